package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"patchbay/connect"
	"patchbay/connect/doctor"
	"patchbay/session"
	"patchbay/static"
)

// Server is the web side of Patchbay. The exported fields are its dependencies;
// Handler may be called once they are set.
type Server struct {
	Service  *connect.Service
	Browsers *session.Browsers
	Callers  *session.Callers
	Logins   *session.Logins
	// Doctor examines the set-up for a builder who asks; nil: nobody can ask.
	Doctor *doctor.Doctor
	Log    *slog.Logger
	// Ready reports why the server cannot work right now; nil when it can.
	Ready func(context.Context) error
	// TrustedProxies are believed about the client's address, and about nothing else.
	TrustedProxies []netip.Prefix
	// RateLimit turns the limits of the settings on.
	RateLimit bool
	// HTTPS says that the public address is https.
	HTTPS bool
	// Stopping is closed when the program stops, so that streams end; nil: never.
	Stopping <-chan struct{}

	limits  *limits
	streams *streams
}

// Handler returns the whole site.
func (s *Server) Handler() http.Handler {
	s.limits, s.streams = newLimits(s.RateLimit), &streams{}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(discard{})
	e.IPExtractor = clientAddress(s.TrustedProxies)
	e.HTTPErrorHandler = s.answerError
	e.Use(s.traced, s.secured, s.recovered, s.examined, noOptions)
	s.routes(e)
	return e
}

const (
	get  = http.MethodGet
	post = http.MethodPost
	put  = http.MethodPut
	del  = http.MethodDelete
)

// routes is the whole route table. What is not here does not exist. Routes are added
// one by one and not in groups: a group of the framework answers 404 where a known
// address is asked with another method.
func (s *Server) routes(e *echo.Echo) {
	e.Match([]string{http.MethodGet, http.MethodHead}, "/healthz", s.healthz)
	e.Match([]string{http.MethodGet, http.MethodHead}, "/readyz", s.readyz)
	e.Match([]string{http.MethodGet, http.MethodHead}, static.Prefix+"*", echo.WrapHandler(static.Handler()), shared)
	e.Match([]string{http.MethodGet, http.MethodHead}, "/embed.js", s.embedScript, shared)
	e.GET("/favicon.ico", s.favicon)

	page := func(method, path string, handle echo.HandlerFunc, more ...echo.MiddlewareFunc) {
		e.Add(method, path, handle, append([]echo.MiddlewareFunc{s.pageLimited, bodyLimited(maxFormBody), compressed}, more...)...)
	}
	page(get, "/", s.frontPage)
	page(get, "/apps/:app", s.listPage)
	page(get, "/apps/:app/settings", s.settingsPage)
	page(get, "/apps/:app/connectors/:connector/disconnect", s.disconnectPage)
	page(post, "/apps/:app/connectors/:connector/disconnect", s.disconnect, s.ourForm)
	page(post, "/apps/:app/connectors/:connector/cancel", s.cancelConnector, s.ourForm)
	page(get, "/apps/:app/receipts/:receipt", s.receiptPage)
	page(get, "/apps/:app/theme.css", s.themeStyle, shared)
	page(get, "/apps/:app/logo", s.themeLogo, shared)
	page(get, "/session/:ticket", s.openSession)
	page(post, "/session/:ticket", s.switchSession, s.ourForm)
	page(get, "/link/:ticket", s.linkPage)
	page(post, "/start", s.start, s.ourForm)
	page(get, "/oauth/callback/:app/:connector", s.callback)
	page(post, "/oauth/callback/:app/:connector", s.callbackPost)
	page(get, "/flows/:flow", s.resultPage)
	page(post, "/flows/:flow/cancel", s.cancelFlow, s.ourForm)
	page(post, "/flows/:flow/not-me", s.notMe, s.ourForm)
	page(post, "/logout", s.logout, s.ourForm)
	page(get, "/signed-out", s.signedOutPage)
	page(get, "/login/:app", s.loginPage)
	page(get, "/login/:app/callback", s.loginCallback)
	page(post, "/login/:app/callback", s.loginSwitch, s.ourForm)

	page(get, "/builder/:app", s.builderPage)
	page(post, "/builder/:app", s.builderSignIn, s.ourForm)
	page(post, "/builder/:app/sign-out", s.builderSignOut, s.ourForm)
	page(post, "/builder/:app/check", s.builderCheck, s.ourForm)
	page(post, "/builder/:app/preview", s.builderPreview, s.ourForm)
	page(post, "/builder/:app/deliver", s.builderDeliver, s.ourForm)
	page(post, "/builder/:app/connectors/:connector/share", s.builderShare, s.ourForm)

	page(get, "/embed/:token", s.listPage)
	page(get, "/embed/:token/settings", s.settingsPage)
	page(get, "/embed/:token/connectors/:connector/disconnect", s.disconnectPage)
	page(post, "/embed/:token/connectors/:connector/disconnect", s.disconnect, s.ourForm)
	page(post, "/embed/:token/connectors/:connector/cancel", s.cancelConnector, s.ourForm)
	page(get, "/embed/:token/receipts/:receipt", s.receiptPage)
	page(get, "/embed/:token/flows/:flow", s.frameResultPage)
	e.GET("/api/apps/:app/live", s.live, s.pageLimited, s.ownScript)
	e.GET("/api/apps/:app/live/page", s.livePage, s.pageLimited, s.ownScript, compressed)

	api := func(method, path string, handle func(*call) error, need access, more ...echo.MiddlewareFunc) {
		e.Add(method, "/api/apps/:app"+path, s.api(handle, need), append(more, bodyLimited(maxJSONBody))...)
	}
	for _, path := range preflights {
		e.OPTIONS(path, s.preflight, s.cors)
	}
	api(get, "/app-user-auth/connectors", s.userConnectors, userTokens, s.cors)
	api(post, "/app-user-auth/connectors/:connector/initiate", s.initiate, userTokens, s.cors)
	api(del, "/app-user-auth/connectors/:connector", s.disconnectAppUser, userTokens, s.cors)
	api(get, "/app-user-auth/connectors/:connector/token", s.appUserToken, tokenReads)
	api(post, "/connect-sessions", s.createSession, sessionCalls)
	api(del, "/connect-sessions/:session", s.deleteSession, sessionCalls)
	api(get, "/flows/:flow", s.flow, sessionCalls)
	api(post, "/flows/:flow/confirm", s.confirm, sessionCalls)
	api(get, "/users/:user/connections", s.userConnections, tokenCalls)
	api(del, "/users/:user", s.deleteUser, sessionCalls)
	api(get, "/external-auth/tokens/:type", s.sharedToken, tokenReads)
	api(get, "/external-auth/tokens/connectors/:connector", s.workspaceToken, tokenReads)
	api(post, "/connectors/:type/call", s.callAPI, proxyCalls)
	api(get, "/external-auth/available-integrations", s.integrations, builders)
	api(get, "/external-auth/list", s.sharedList, builders)
	api(put, "/external-auth/integrations/:type", s.requestShared, builders)
	api(get, "/external-auth/status", s.sharedStatus, builders)
	api(del, "/external-auth/integrations/:type/remove", s.removeShared, builders)
	api(del, "/connectors/:type/connections", s.breach, builders)
	api(get, "/payments/stripe/status", s.stripeStatus, builders)
}

// preflights are the addresses that browsers may ask about with OPTIONS.
var preflights = []string{
	"/api/apps/:app/app-user-auth/connectors",
	"/api/apps/:app/app-user-auth/connectors/:connector/initiate",
	"/api/apps/:app/app-user-auth/connectors/:connector",
}

// noOptions refuses OPTIONS where it is no preflight; the framework would answer it
// for every address.
func noOptions(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Request().Method == http.MethodOptions && c.Path() != "" && !slices.Contains(preflights, c.Path()) {
			return echo.ErrMethodNotAllowed
		}
		return next(c)
	}
}

func (s *Server) healthz(c echo.Context) error {
	return c.String(http.StatusOK, "ok\n")
}

func (s *Server) readyz(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), 3*time.Second)
	defer cancel()
	if s.Ready != nil {
		if err := s.Ready(ctx); err != nil {
			s.Log.WarnContext(ctx, "not ready", "error", err)
			return c.String(http.StatusServiceUnavailable, "not ready\n")
		}
	}
	return c.String(http.StatusOK, "ready\n")
}

// embedScript serves the builders' helper under an address that never changes, to any
// page.
func (s *Server) embedScript(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "public, max-age=300")
	return c.Blob(http.StatusOK, "text/javascript; charset=utf-8", static.Embed())
}

func (s *Server) favicon(c echo.Context) error {
	return c.Redirect(http.StatusFound, static.URL("favicon.svg"))
}

// discard drops what the framework itself would print.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
