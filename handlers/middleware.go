package handlers

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"patchbay/connect"
)

const (
	maxFormBody = "64KiB"
	maxJSONBody = "1MiB"
)

// traced gives every request a trace id, tells it to the caller, and logs the request
// by its route's pattern: addresses hold tickets, queries hold codes.
func (s *Server) traced(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		begun := time.Now()
		var raw [12]byte
		_, _ = rand.Read(raw[:])
		trace := hex.EncodeToString(raw[:])
		r := c.Request()
		c.SetRequest(r.WithContext(connect.WithTrace(r.Context(), trace)))
		c.Response().Header().Set("X-Request-ID", trace)
		if err := next(c); err != nil {
			c.Error(err)
		}
		route := c.Path()
		if route == "" {
			route = "(none)"
		}
		level := slog.LevelInfo
		if route == "/healthz" || route == "/readyz" || strings.HasPrefix(route, "/static/") {
			level = slog.LevelDebug
		}
		s.Log.LogAttrs(r.Context(), level, "request",
			slog.String("method", knownMethod(r.Method)), slog.String("route", route),
			slog.Int("status", c.Response().Status), slog.Float64("took_ms", float64(time.Since(begun).Microseconds())/1000),
			slog.String("client", c.RealIP()), slog.String("trace", trace))
		return nil
	}
}

// knownMethod keeps what a stranger made up out of the log.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// csp lets a page load our own files, post to ourselves, and nothing else. ancestors
// says who may frame it.
func csp(ancestors string) string {
	return "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors " + ancestors
}

const nobody = "'none'"

// shared marks an answer as a file that any page may load: it says nothing about
// anybody. A frame whose sandbox took its origin away loads even its own style sheet as
// a stranger.
func shared(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		return next(c)
	}
}

// secured sets the headers that every answer has, errors among them.
func (s *Server) secured(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Content-Security-Policy", csp(nobody))
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cache-Control", "no-store")
		if s.HTTPS {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if isAPI(c.Request()) {
			h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
			h.Set("Referrer-Policy", "no-referrer")
		}
		return next(c)
	}
}

// recovered turns a panic into an internal error; its stack goes to the log.
func (s *Server) recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if e, ok := p.(error); ok && errors.Is(e, http.ErrAbortHandler) {
				panic(p)
			}
			s.Log.ErrorContext(c.Request().Context(), "panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()),
				"trace", connect.Trace(c.Request().Context()))
			err = &connect.Error{Code: connect.CodeInternal, Message: internalMessage}
		}()
		return next(c)
	}
}

func isAPI(r *http.Request) bool {
	return r.URL.Path == "/api" || strings.HasPrefix(r.URL.Path, "/api/")
}

func bodyLimited(limit string) echo.MiddlewareFunc { return middleware.BodyLimit(limit) }

// compressed packs pages. What they hold that is secret is made afresh for each
// answer, so its length tells nothing.
var compressed = middleware.GzipWithConfig(middleware.GzipConfig{MinLength: 1024})

// clientAddress finds the address that limits and logs go by. X-Forwarded-For counts
// only as far as it was written by proxies that the operator named.
func clientAddress(trusted []netip.Prefix) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range trusted {
		p = p.Masked()
		options = append(options, echo.TrustIPRange(&net.IPNet{
			IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
		}))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// ourForm lets a post through that our own page made: form-encoded, from our origin.
// The browser sends both headers by itself and no page elsewhere can change them. The
// checks stand in the order in which the refusals are promised.
func (s *Server) ourForm(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if !isForm(r) {
			return errMediaType
		}
		origin := r.Header.Values("Origin")
		if len(origin) != 1 || origin[0] != s.Service.PublicURL {
			return errOrigin
		}
		for _, site := range r.Header.Values("Sec-Fetch-Site") {
			if site != "same-origin" {
				return errOrigin
			}
		}
		if err := r.ParseForm(); err != nil {
			return formError(err)
		}
		return next(c)
	}
}

func isForm(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded")
}

func formError(err error) error {
	var he *echo.HTTPError
	if errors.As(err, &he) {
		return he
	}
	return &connect.Error{Code: connect.CodeInvalidRequest, Message: "The form could not be read.", Cause: err}
}
