package handlers

import (
	"net/http"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"patchbay/connect"
	"patchbay/views"
)

func builderPath(app string) string { return "/builder/" + app }

// builder finds the app of the path and the builder who is signed in to it here; nil for
// nobody. An app that does not exist has none.
func (s *Server) builder(c echo.Context) (*connect.App, *connect.BuilderSession, error) {
	all, err := s.Browsers.Builders(c.Request())
	if err != nil {
		return nil, nil, err
	}
	for i := range all {
		if all[i].App == param(c, "app") {
			app, err := s.Service.App(c.Request().Context(), all[i].App)
			return app, &all[i], err
		}
	}
	return nil, nil, nil
}

// errBuilderFirst answers what only a signed-in builder may do.
var errBuilderFirst = &connect.Error{Code: connect.CodeUnauthorized, Message: "Sign in to the builder's page first."}

// builderPage shows a builder what is set up, what is connected and what went wrong.
func (s *Server) builderPage(c echo.Context) error {
	app, b, err := s.builder(c)
	if err != nil {
		return err
	}
	if b == nil {
		return s.builderSignInPage(c, http.StatusOK)
	}
	return s.builderShow(c, app, b, func(*views.BuilderPage) {})
}

func (s *Server) builderSignInPage(c echo.Context, status int) error {
	return render(c, status, views.BuilderSignIn(views.BuilderSignInPage{
		Page: s.page(c, nil, nil), ActionURL: c.Request().URL.EscapedPath(), Wrong: status == http.StatusUnauthorized,
	}))
}

// builderSignIn takes the builder key. Wrong ones are counted with the other failed
// authentications of the address.
func (s *Server) builderSignIn(c echo.Context) error {
	err := s.Browsers.OpenBuilder(c.Response(), c.Request(), param(c, "app"), c.Request().PostForm.Get("key"))
	if connect.CodeOf(err) == connect.CodeUnauthorized {
		if limited := take(s.limits.refusedCalls, c.RealIP()); limited != nil {
			return limited
		}
		return s.builderSignInPage(c, http.StatusUnauthorized)
	}
	if err != nil {
		return err
	}
	return redirect(c, builderPath(param(c, "app")))
}

func (s *Server) builderSignOut(c echo.Context) error {
	app, b, err := s.builder(c)
	if err != nil {
		return err
	}
	if b != nil {
		if err := s.Browsers.CloseBuilder(c.Response(), c.Request(), app.ID); err != nil {
			return err
		}
	}
	return redirect(c, builderPath(param(c, "app")))
}

// builderShare leads to the link on which one account is linked for the whole app.
func (s *Server) builderShare(c echo.Context) error {
	app, b, err := s.builder(c)
	if err != nil {
		return err
	}
	if b == nil {
		return errBuilderFirst
	}
	k, ok := app.Connector(param(c, "connector"))
	if !ok || k.Mode != connect.ModeShared {
		return errNoConnector
	}
	link, err := s.Service.RequestShared(c.Request().Context(), app.ID, k.Type, nil)
	if err != nil {
		return err
	}
	if link.Authorized {
		return s.builderShow(c, app, b, func(p *views.BuilderPage) {
			p.Notice = &views.Notice{Kind: "ok", Text: s.Service.DisplayName(k) + " is connected with all it was asked for."}
		})
	}
	return redirect(c, link.URL)
}

// builderCheck shows what the doctor finds.
func (s *Server) builderCheck(c echo.Context) error {
	app, b, err := s.builder(c)
	if err != nil {
		return err
	}
	if b == nil || s.Doctor == nil {
		return errBuilderFirst
	}
	if err := take(s.limits.starts, "doctor\x00"+app.ID); err != nil {
		return err
	}
	found, err := s.Doctor.Examine(c.Request().Context(), app.ID)
	if err != nil {
		return err
	}
	return s.builderShow(c, app, b, func(p *views.BuilderPage) {
		p.Checked = true
		for _, f := range found {
			p.Findings = append(p.Findings, views.Finding(f))
		}
	})
}

// builderPreview shows the page with the frame in it, as the app's page would hold it.
func (s *Server) builderPreview(c echo.Context) error {
	app, b, err := s.builder(c)
	if err != nil {
		return err
	}
	if b == nil {
		return errBuilderFirst
	}
	made, err := s.Service.PreviewSession(c.Request().Context(), app.ID)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Security-Policy", csp(nobody)+"; frame-src 'self'")
	return s.builderShow(c, app, b, func(p *views.BuilderPage) { p.FrameURL = made.URL })
}

// builderShow renders the page. more puts in what only this answer has.
func (s *Server) builderShow(c echo.Context, app *connect.App, b *connect.BuilderSession, more func(*views.BuilderPage)) error {
	ctx := c.Request().Context()
	p := views.BuilderPage{
		Page: s.page(c, app, nil), KeyName: b.KeyName, Address: builderPath(app.ID), SignOutURL: builderPath(app.ID) + "/sign-out",
		PreviewURL: builderPath(app.ID) + "/preview", CheckURL: builderPath(app.ID) + "/check", PublicURL: s.Service.PublicURL, Origins: app.Origins,
	}
	for i := range app.Connectors {
		p.Connectors = append(p.Connectors, s.builderConnector(b, &app.Connectors[i]))
	}
	shared, err := s.Service.SharedList(ctx, app.ID)
	if err != nil {
		return err
	}
	for _, sh := range shared {
		p.Shared = append(p.Shared, s.builderConnection(sh.Connector, sh.Connection, sh.Scopes))
	}
	if err := s.builderLooks(c, app, &p); err != nil {
		return err
	}
	failed, err := s.Service.FailedFlows(ctx, app.ID, 20)
	if err != nil {
		return err
	}
	for i := range failed {
		p.Failed = append(p.Failed, s.failedFlow(app, &failed[i]))
	}
	if err := s.builderWebhooks(c, app, &p); err != nil {
		return err
	}
	more(&p)
	return render(c, http.StatusOK, views.Builder(p))
}

func (s *Server) builderWebhooks(c echo.Context, app *connect.App, p *views.BuilderPage) error {
	p.AgainURL = builderPath(app.ID) + "/deliver"
	for _, w := range app.Webhooks {
		p.Webhooks = append(p.Webhooks, w.URL)
	}
	if len(p.Webhooks) == 0 {
		return nil
	}
	sent, err := s.Service.Deliveries(c.Request().Context(), app.ID, 20)
	for _, d := range sent {
		p.Deliveries = append(p.Deliveries, views.Delivery{
			ID: d.ID, Kind: string(d.Kind), URL: d.URL, User: d.User, State: string(d.State), Answer: d.Answer, Attempts: d.Attempts,
			At: d.CreatedAt, NextAt: d.NextAt,
		})
	}
	return err
}

// builderDeliver sends a message to a webhook once more.
func (s *Server) builderDeliver(c echo.Context) error {
	app, b, err := s.builder(c)
	if err != nil {
		return err
	}
	if b == nil {
		return errBuilderFirst
	}
	if err := take(s.limits.starts, "deliver\x00"+app.ID); err != nil {
		return err
	}
	if err := s.Service.DeliverAgain(c.Request().Context(), app.ID, c.Request().PostForm.Get("delivery")); err != nil {
		return err
	}
	return redirect(c, builderPath(app.ID)+"#webhooks")
}

// builderLooks lists the connections of the user who is looked for.
func (s *Server) builderLooks(c echo.Context, app *connect.App, p *views.BuilderPage) error {
	user := c.QueryParam("user")
	if user == "" || len(user) > 255 || !utf8.ValidString(user) {
		return nil
	}
	p.LookedFor = user
	conns, err := s.Service.UserConnections(c.Request().Context(), app.ID, user)
	if err != nil {
		return err
	}
	for i := range conns {
		if k, ok := app.Connector(conns[i].Connector); ok {
			p.Connections = append(p.Connections, s.builderConnection(k, &conns[i], conns[i].Scopes))
		}
	}
	return nil
}

func (s *Server) builderConnector(b *connect.BuilderSession, k *connect.Connector) views.BuilderConnector {
	asked := s.Service.AskedScopes(k)
	v := views.BuilderConnector{
		Connector: s.connector(k, asked), Shared: k.Mode == connect.ModeShared,
		RedirectURI: s.Service.RedirectURI(k.App, k.ID), ClientID: k.ClientID, Secrets: len(k.ClientSecrets),
	}
	v.StartURL, v.Ticket = "/start", s.Service.TrialTicket(b, k.ID)
	if v.Shared {
		v.ShareURL = builderPath(k.App) + "/connectors/" + k.ID + "/share"
	}
	e, err := s.Service.Entry(k)
	if err != nil {
		return v
	}
	v.ConsoleURL, v.DocsURL = e.Console, e.Docs
	v.RedirectRules = e.RedirectURI.Rules()
	if k.Endpoints.Authorize == "" { // else it is not this provider's rule that counts
		v.RedirectProblem = e.RedirectURI.Problem(v.RedirectURI)
	}
	v.NeedsSecret = !e.Client.Public && e.Client.Auth != "none"
	v.ChosenAtProvider = e.Scopes.Fixed
	for _, scope := range asked {
		ability, _ := e.Ability(scope)
		v.Scopes = append(v.Scopes, views.BuilderScope{Name: scope, Ability: ability})
	}
	return v
}

func (s *Server) builderConnection(k *connect.Connector, conn *connect.Connection, scopes []string) views.BuilderConnection {
	v := views.BuilderConnection{Connector: s.Service.DisplayName(k), State: views.NotConnected, Scopes: scopes}
	if conn != nil {
		v.State, v.Account, v.Scopes, v.Assurance = string(conn.Status), conn.Account.Label(), conn.Scopes, string(conn.Assurance)
		v.ConnectedAt, v.LastUsedAt = someTime(conn.ConnectedAt), someTime(conn.LastUsedAt)
	}
	return v
}

func (s *Server) failedFlow(app *connect.App, f *connect.Flow) views.FailedFlow {
	v := views.FailedFlow{At: f.FinishedAt, Connector: f.Connector, User: f.User.ID, Code: string(f.Code), Trace: f.Detail.Trace, ProviderSaid: f.Detail.ProviderError}
	if k, ok := app.Connector(f.Connector); ok {
		v.Connector = s.Service.DisplayName(k)
	}
	return v
}
