package handlers

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"patchbay/connect"
)

// Codes that only HTTP knows.
const (
	codeOriginRejected   connect.Code = "origin_rejected"
	codeFramedWrongly    connect.Code = "framed_wrongly"
	codeMethodNotAllowed connect.Code = "method_not_allowed"
	codeMediaType        connect.Code = "unsupported_media_type"
	codeTooLarge         connect.Code = "too_large"
	codeRateLimited      connect.Code = "rate_limited"
)

const internalMessage = "Something went wrong on our side. The trace id leads to it in the log."

var (
	errMediaType   = &connect.Error{Code: codeMediaType, Message: "Send the fields as application/x-www-form-urlencoded."}
	errJSONType    = &connect.Error{Code: codeMediaType, Message: "Send the body as application/json."}
	errOrigin      = &connect.Error{Code: codeOriginRejected, Message: "This form was not sent from a page of ours."}
	errNoPage      = &connect.Error{Code: connect.CodeNotFound, Message: "There is nothing at this address."}
	errOpenFromApp = &connect.Error{Code: connect.CodeUnauthorized, Message: "Open this from the app."}
)

// statuses is the one table from codes to HTTP.
var statuses = map[connect.Code]int{
	connect.CodeInvalidRequest:         http.StatusBadRequest,
	connect.CodeStateUnknown:           http.StatusBadRequest,
	connect.CodeUnauthorized:           http.StatusUnauthorized,
	connect.CodeForbidden:              http.StatusForbidden,
	connect.CodeUserMismatch:           http.StatusForbidden,
	connect.CodeOriginNotAllowed:       http.StatusForbidden,
	connect.CodeAssuranceTooLow:        http.StatusForbidden,
	connect.CodeCookieMissing:          http.StatusForbidden,
	connect.CodeBrowserMismatch:        http.StatusForbidden,
	codeOriginRejected:                 http.StatusForbidden,
	codeFramedWrongly:                  http.StatusForbidden,
	connect.CodeNotFound:               http.StatusNotFound,
	connect.CodeNotConnected:           http.StatusNotFound,
	codeMethodNotAllowed:               http.StatusMethodNotAllowed,
	connect.CodeExpired:                http.StatusConflict,
	connect.CodeReconnectRequired:      http.StatusConflict,
	connect.CodeFlowFinished:           http.StatusConflict,
	connect.CodeConnectionChanged:      http.StatusConflict,
	codeTooLarge:                       http.StatusRequestEntityTooLarge,
	codeMediaType:                      http.StatusUnsupportedMediaType,
	codeRateLimited:                    http.StatusTooManyRequests,
	connect.CodeInternal:               http.StatusInternalServerError,
	connect.CodeProviderError:          http.StatusBadGateway,
	connect.CodeConnectorMisconfigured: http.StatusBadGateway,
	connect.CodeProviderUnavailable:    http.StatusServiceUnavailable,
	connect.CodeUnavailable:            http.StatusServiceUnavailable,
}

// gone is an address that worked once or for a while: the page is 410.
type gone struct{ error }

func (g gone) Unwrap() error { return g.error }

// answerError turns any error into its answer: JSON below /api, a page elsewhere.
func (s *Server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	var first signInFirst
	if errors.As(err, &first) {
		_ = redirect(c, first.to)
		return
	}
	e := asError(err)
	status, ok := statuses[e.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	var g gone
	if errors.As(err, &g) && e.Code == connect.CodeExpired {
		status = http.StatusGone
	}
	s.logError(c, status, e, err)
	if status == http.StatusMethodNotAllowed {
		c.Response().Header().Set("Allow", allowed(c))
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		c.Response().Header().Set("Retry-After", seconds(e.RetryAfter))
	}
	if c.Request().Method == http.MethodHead {
		_ = c.NoContent(status)
		return
	}
	if isAPI(c.Request()) {
		_ = s.jsonError(c, status, e)
		return
	}
	if perr := s.errorPage(c, status, e); perr != nil {
		s.Log.ErrorContext(c.Request().Context(), "error page", "error", perr)
	}
}

// allowed lists the methods of the address that was asked (RFC 9110 section 10.2.1).
// The framework's own list has OPTIONS on it, which only preflighted addresses take.
func allowed(c echo.Context) string {
	list, _ := c.Get(echo.ContextKeyHeaderAllow).(string)
	var methods []string
	for m := range strings.SplitSeq(list, ", ") {
		if m != "" && (m != http.MethodOptions || slices.Contains(preflights, c.Path())) {
			methods = append(methods, m)
		}
	}
	return strings.Join(methods, ", ")
}

// asError finds the refusal in err, or makes one that says nothing of the cause.
func asError(err error) *connect.Error {
	var e *connect.Error
	var he *echo.HTTPError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &he):
		return fromEcho(he)
	case errors.Is(err, connect.ErrNotFound): // removed while the request was at it
		return errNoPage
	case errors.Is(err, connect.ErrUnavailable):
		return &connect.Error{Code: connect.CodeUnavailable, RetryAfter: 5 * time.Second,
			Message: "Patchbay cannot use its database right now. Nothing was changed. Try again in a moment."}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &connect.Error{Code: connect.CodeUnavailable, RetryAfter: time.Second, Message: "The request took too long and was given up."}
	}
	return &connect.Error{Code: connect.CodeInternal, Message: internalMessage}
}

func fromEcho(he *echo.HTTPError) *connect.Error {
	switch he.Code {
	case http.StatusNotFound:
		return errNoPage
	case http.StatusMethodNotAllowed:
		return &connect.Error{Code: codeMethodNotAllowed, Message: "This address does not take that method."}
	case http.StatusRequestEntityTooLarge:
		return &connect.Error{Code: codeTooLarge, Message: "The request is larger than allowed."}
	case http.StatusBadRequest:
		return &connect.Error{Code: connect.CodeInvalidRequest, Message: "The request could not be read."}
	}
	return &connect.Error{Code: connect.CodeInternal, Message: internalMessage}
}

// logError keeps the cause, which no caller sees.
func (s *Server) logError(c echo.Context, status int, e *connect.Error, err error) {
	level := slog.LevelDebug
	if status >= 500 {
		level = slog.LevelError
	} else if e.Cause != nil {
		level = slog.LevelInfo
	}
	ctx := c.Request().Context()
	if errors.Is(ctx.Err(), context.Canceled) {
		level = slog.LevelDebug // the caller has gone: a page that was left, and nobody's fault
	}
	s.Log.LogAttrs(ctx, level, "refused", slog.String("code", string(e.Code)), slog.Int("status", status),
		slog.String("route", c.Path()), slog.String("error", err.Error()), slog.String("trace", connect.Trace(ctx)))
}

func (s *Server) jsonError(c echo.Context, status int, e *connect.Error) error {
	body := struct {
		Code       connect.Code `json:"code"`
		Message    string       `json:"message"`
		Trace      string       `json:"trace"`
		ConnectURL string       `json:"connect_url,omitempty"`
	}{e.Code, e.Message, connect.Trace(c.Request().Context()), e.ConnectURL}
	return c.JSON(status, body)
}

// seconds is a Retry-After, at least one second.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}
