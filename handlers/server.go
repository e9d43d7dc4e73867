package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/labstack/echo/v4"

	"patchbay/connect"
	"patchbay/session"
	"patchbay/static"
)

// Server is the web side of Patchbay. The exported fields are its dependencies;
// Handler may be called once they are set.
type Server struct {
	Service  *connect.Service
	Browsers *session.Browsers
	Callers  *session.Callers
	Log      *slog.Logger
	// Ready reports why the server cannot work right now; nil when it can.
	Ready func(context.Context) error
	// TrustedProxies are believed about the client's address, and about nothing else.
	TrustedProxies []netip.Prefix
	// RateLimit turns the limits of the settings on.
	RateLimit bool
	// HTTPS says that the public address is https.
	HTTPS bool

	limits *limits
}

// Handler returns the whole site.
func (s *Server) Handler() http.Handler {
	s.limits = newLimits(s.RateLimit)
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(discard{})
	e.IPExtractor = clientAddress(s.TrustedProxies)
	e.HTTPErrorHandler = s.answerError
	e.Use(s.traced, s.secured, s.recovered)
	s.routes(e)
	return e
}

// routes is the whole route table. What is not here does not exist.
func (s *Server) routes(e *echo.Echo) {
	e.Match([]string{http.MethodGet, http.MethodHead}, "/healthz", s.healthz)
	e.Match([]string{http.MethodGet, http.MethodHead}, "/readyz", s.readyz)
	e.Match([]string{http.MethodGet, http.MethodHead}, static.Prefix+"*", echo.WrapHandler(static.Handler()))
	e.GET("/favicon.ico", s.favicon)

	page := e.Group("", s.pageLimited, bodyLimited(maxFormBody), compressed)
	page.GET("/", s.frontPage)
	page.GET("/apps/:app", s.listPage)
	page.GET("/apps/:app/settings", s.settingsPage)
	page.GET("/apps/:app/connectors/:connector/disconnect", s.disconnectPage)
	page.POST("/apps/:app/connectors/:connector/disconnect", s.disconnect, s.ourForm)
	page.POST("/apps/:app/connectors/:connector/cancel", s.cancelConnector, s.ourForm)
	page.GET("/apps/:app/receipts/:receipt", s.receiptPage)
	page.GET("/apps/:app/theme.css", s.themeStyle)
	page.GET("/apps/:app/logo", s.themeLogo)
	page.GET("/session/:ticket", s.openSession)
	page.POST("/session/:ticket", s.switchSession, s.ourForm)
	page.GET("/link/:ticket", s.linkPage)
	page.POST("/start", s.start, s.ourForm)
	page.GET("/oauth/callback/:app/:connector", s.callback)
	page.POST("/oauth/callback/:app/:connector", s.callbackPost)
	page.GET("/flows/:flow", s.resultPage)
	page.POST("/flows/:flow/cancel", s.cancelFlow, s.ourForm)
	page.POST("/flows/:flow/not-me", s.notMe, s.ourForm)
	page.POST("/logout", s.logout, s.ourForm)
	page.GET("/signed-out", s.signedOutPage)

	api := e.Group("/api/apps/:app", bodyLimited(maxJSONBody))
	user := api.Group("/app-user-auth/connectors", s.cors)
	user.GET("", s.api(s.userConnectors, userTokens))
	user.OPTIONS("", s.preflight)
	user.POST("/:connector/initiate", s.api(s.initiate, userTokens))
	user.OPTIONS("/:connector/initiate", s.preflight)
	user.DELETE("/:connector", s.api(s.disconnectAppUser, userTokens))
	user.OPTIONS("/:connector", s.preflight)
	api.GET("/app-user-auth/connectors/:connector/token", s.api(s.appUserToken, tokenReads))
	api.POST("/connect-sessions", s.api(s.createSession, sessionCalls))
	api.DELETE("/connect-sessions/:session", s.api(s.deleteSession, sessionCalls))
	api.GET("/flows/:flow", s.api(s.flow, sessionCalls))
	api.POST("/flows/:flow/confirm", s.api(s.confirm, sessionCalls))
	api.GET("/users/:user/connections", s.api(s.userConnections, tokenCalls))
	api.DELETE("/users/:user", s.api(s.deleteUser, sessionCalls))
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

func (s *Server) favicon(c echo.Context) error {
	return c.Redirect(http.StatusFound, static.URL("favicon.svg"))
}

// discard drops what the framework itself would print.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
