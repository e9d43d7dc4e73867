package handlers

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"patchbay/connect"
	"patchbay/views"
)

// start begins a flow. It answers with the interstitial and not with a redirect:
// browsers apply form-action to redirects, and treat a cookie set on one differently.
func (s *Server) start(c echo.Context) error {
	r := c.Request()
	tickets := r.PostForm["ticket"]
	if len(tickets) != 1 {
		return &connect.Error{Code: connect.CodeExpired, Message: "The form holds no ticket."}
	}
	here, err := s.Browsers.Identities(r)
	if err != nil {
		return err
	}
	grant, err := s.checkTicket(r, tickets[0], here)
	if err != nil {
		return s.startRefused(c, grant, here, err)
	}
	if err := take(s.limits.starts, grant.App.ID+"\x00"+grant.User.ID); err != nil {
		return err
	}
	grant.SameWindow = r.PostForm.Get("window") == "top"
	begun, err := s.Service.Start(r.Context(), grant, startParams(r.PostForm))
	if err != nil {
		return s.startRefused(c, grant, here, err)
	}
	s.Browsers.SetFlow(c.Response(), r, begun.Flow.ID, begun.Cookie, begun.Flow.CreatedAt)
	if begun.Flow.Status.Final() {
		return s.result(c, &begun.Flow, begun.App, here, true)
	}
	return render(c, http.StatusOK, views.Interstitial(s.interstitial(c, &begun, len(here) > 0)))
}

// checkTicket finds what a ticket allows. Only for a builder's is it looked up whose
// builder this browser is.
func (s *Server) checkTicket(r *http.Request, text string, here []connect.BrowserSession) (connect.StartGrant, error) {
	if !connect.IsTrialTicket(text) {
		return s.Service.CheckTicket(r.Context(), text, here)
	}
	builders, err := s.Browsers.Builders(r)
	if err != nil {
		return connect.StartGrant{}, err
	}
	return s.Service.CheckTrialTicket(r.Context(), text, builders)
}

// startRefused offers the way out of a session of somebody else, and from a button
// that was used or is too old the way back to where there is a fresh one.
func (s *Server) startRefused(c echo.Context, g connect.StartGrant, here []connect.BrowserSession, err error) error {
	code := connect.CodeOf(err)
	if (code != connect.CodeUserMismatch && code != connect.CodeExpired) || g.AppID() == "" {
		return err
	}
	app, appErr := s.Service.App(c.Request().Context(), g.AppID())
	if appErr != nil {
		return err
	}
	b := identityIn(here, app.ID)
	if code == connect.CodeUserMismatch {
		if b == nil {
			return err
		}
		return s.otherUserPage(c, app, b)
	}
	e := asError(err)
	s.logError(c, http.StatusConflict, e, err)
	p := views.ErrorPage{Page: s.page(c, app, nil), Status: http.StatusConflict, Code: string(e.Code), ReturnURL: returnTo(app, "")}
	if b != nil && !g.Embedded() { // a frame's flows have nothing to do with who is signed in here
		p.Page, p.RetryURL = s.sessionPage(c, app, b), appPath(app.ID)
	}
	return render(c, http.StatusConflict, views.Error(p))
}

// startParams are the fields param.NAME of the form; a field given twice is refused
// by being none.
func startParams(form url.Values) map[string]string {
	params := map[string]string{}
	for name, values := range form {
		if key, ok := strings.CutPrefix(name, "param."); ok && len(values) == 1 {
			params[key] = values[0]
		}
	}
	return params
}

func (s *Server) interstitial(c echo.Context, begun *connect.Started, inSession bool) views.InterstitialPage {
	f := &begun.Flow
	p := views.InterstitialPage{
		Page: s.page(c, begun.App, &f.User), FlowID: f.ID, Connector: s.connector(begun.Connector, f.Scopes),
		ContinueURL: begun.ContinueURL, Press: begun.Press, Reconnect: f.Reconnect,
		CancelURL: "/flows/" + f.ID + "/cancel", Shared: f.Shared(), Trial: f.Detail.Trial,
	}
	if begun.Press {
		p.NotMeURL = "/flows/" + f.ID + "/not-me"
	}
	// Which account is linked is told to a person who is known, not to whoever holds
	// an address.
	if f.Reconnect && ((inSession && f.Mode == connect.ModeRedirect) || f.Need == connect.ProofFrame) {
		p.Connector.Account = f.Detail.Account
	}
	if to, err := url.Parse(begun.ContinueURL); err == nil {
		p.ProviderHost = to.Host
	}
	return p
}

// callback is our redirect URI. What a provider posted comes back here as a GET with
// a one-time id.
func (s *Server) callback(c echo.Context) error {
	r := c.Request()
	query, err := callbackQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	ids, posted := query["posted"]
	if posted {
		if len(query) != 1 || len(ids) != 1 {
			return errBadState
		}
		if query, err = s.Service.Parked(r.Context(), ids[0]); err != nil {
			return err
		}
	}
	back, err := s.Service.Return(r.Context(), connect.ReturnRequest{
		App: param(c, "app"), Connector: param(c, "connector"), Query: query,
		Cookie:       func(flow string) string { return s.Browsers.Flow(r, flow) },
		OtherCookies: s.Browsers.HoldsFlows(r),
		TopLevel:     topLevel(r),
	})
	if err != nil {
		return err
	}
	if posted {
		// Only now: a browser that the flow does not belong to uses nothing up.
		if err := s.Service.Unpark(r.Context(), ids[0]); err != nil {
			return err
		}
	}
	return redirect(c, back.Location)
}

// callbackQuery reads the callback's query. A part that is badly encoded is dropped,
// as any parameter is that we do not know; one that could be ours is an error.
func callbackQuery(raw string) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err == nil {
		return query, nil
	}
	for part := range strings.SplitSeq(raw, "&") {
		if _, err := url.ParseQuery(part); err == nil {
			continue
		}
		name, _, _ := strings.Cut(part, "=")
		if name, err := url.QueryUnescape(name); err != nil || slices.Contains(ourParameters, name) {
			return nil, errBadState
		}
	}
	return query, nil // what could be read
}

// ourParameters decide what a callback means.
var ourParameters = []string{
	"state", "code", "error", "iss", "posted", "error_description", "error_uri",
	"access_token", "id_token", "refresh_token", "token",
}

// topLevel reports whether the browser loads r as a page of its own, as far as it says.
func topLevel(r *http.Request) bool {
	dest := r.Header.Values("Sec-Fetch-Dest")
	return len(dest) == 0 || (len(dest) == 1 && dest[0] == "document")
}

var errBadState = &connect.Error{Code: connect.CodeStateUnknown, Message: "This answer of the provider belongs to nothing that was begun here."}

// callbackPost takes what a provider posts (OAuth 2.0 Form Post Response Mode). The
// browser sends no cookie along, so nothing is decided here.
func (s *Server) callbackPost(c echo.Context) error {
	r := c.Request()
	if !isForm(r) {
		return errMediaType
	}
	if err := r.ParseForm(); err != nil {
		return formError(err)
	}
	app, connector := param(c, "app"), param(c, "connector")
	id, err := s.Service.Park(r.Context(), app, connector, r.PostForm)
	if err != nil {
		return err
	}
	return redirect(c, s.Service.RedirectURI(app, connector)+"?posted="+url.QueryEscape(id))
}

// resultPage says how a flow stands, to whom it concerns.
func (s *Server) resultPage(c echo.Context) error {
	f, app, here, err := s.concerned(c)
	if err != nil {
		return err
	}
	return s.result(c, &f, app, here, s.Browsers.Flow(c.Request(), f.ID) != "")
}

// result is the page of a flow. held: this browser began it.
func (s *Server) result(c echo.Context, f *connect.Flow, app *connect.App, here []connect.BrowserSession, held bool) error {
	k, ok := app.Connector(f.Connector)
	if !ok {
		return errNoPage
	}
	p := s.outcome(f, k)
	p.Page, p.Shared = s.page(c, app, &f.User), f.Shared()
	if f.Detail.Trace != "" {
		p.Trace = f.Detail.Trace
	}
	p.RefreshURL = connect.ResultPath(f.ID)
	p.CloseTab = f.Mode == connect.ModeEmbed && !f.Detail.SameWindow
	if connect.SignedInAs(here, f) {
		p.LogoutURL = "/logout"
	}
	if f.Detail.Trial {
		p.Trial, p.GivenBack, p.ProviderSaid, p.BuilderURL = true, f.Detail.FreshGrant, f.Detail.ProviderError, builderPath(app.ID)
	}
	if f.Status.Final() && !p.Trial {
		p.ReturnURL = returnWithOutcome(app, f)
		if err := s.offerAgain(c, &p, f, k, here, held); err != nil {
			return err
		}
	} else if held && !f.Status.Final() {
		p.CancelURL = connect.ResultPath(f.ID) + "/cancel"
	}
	return render(c, http.StatusOK, views.Result(p))
}

// frameResultPage is the same inside the frame that the flow began in.
func (s *Server) frameResultPage(c echo.Context) error {
	v, err := s.visitor(c)
	if err != nil {
		return err
	}
	f, err := s.Service.FlowFor(c.Request().Context(), v.app.ID, param(c, "flow"))
	if err != nil {
		return err
	}
	k, err := v.connector(f.Connector)
	if err != nil || f.User.ID != v.user.ID {
		return errNoPage
	}
	p := s.outcome(&f, k)
	if p.Page, err = s.visitPage(c, v, "result"); err != nil {
		return err
	}
	if f.Detail.Trace != "" {
		p.Trace = f.Detail.Trace
	}
	p.ListURL, p.RefreshURL = v.path(), v.path("flows", f.ID)
	if !f.Status.Final() {
		p.CancelURL = v.path("connectors", k.ID, "cancel")
		return render(c, http.StatusOK, views.Result(p))
	}
	if err := s.again(c, &p, v, k); err != nil {
		return err
	}
	return render(c, http.StatusOK, views.Result(p))
}

// outcome is what a result page says of the flow itself.
func (s *Server) outcome(f *connect.Flow, k *connect.Connector) views.ResultPage {
	p := views.ResultPage{
		FlowID: f.ID, Status: string(f.Status), Code: string(f.Code),
		Connector: s.connector(k, f.Scopes), Reconnect: f.Reconnect, OtherAccount: f.Detail.OtherAccount,
	}
	p.Connector.Account = f.Detail.Account
	p.Connector.Abilities = nil
	if f.Status == connect.StatusConnected {
		p.Abilities = s.abilities(k, f.Detail.Scopes)
		p.Missing = s.inWords(k, f.Detail.Missing)
	}
	for i := range p.Connector.Params {
		if v, ok := f.Params[p.Connector.Params[i].Name]; ok {
			p.Connector.Params[i].Value = v
		}
	}
	return p
}

// concerned finds the flow of the path for a browser that it concerns.
func (s *Server) concerned(c echo.Context) (connect.Flow, *connect.App, []connect.BrowserSession, error) {
	r := c.Request()
	here, err := s.Browsers.Identities(r)
	if err != nil {
		return connect.Flow{}, nil, nil, err
	}
	id := param(c, "flow")
	f, err := s.Service.FlowOf(r.Context(), id, s.Browsers.Flow(r, id), here)
	if err != nil {
		return connect.Flow{}, nil, nil, err
	}
	app, err := s.Service.App(r.Context(), f.App)
	return f, app, here, err
}

// offerAgain gives a result what it needs to begin anew, from the session or the link
// that the flow came from, while that is alive. A flow that a frame began is begun anew
// there: a button here could not carry the frame's proof.
func (s *Server) offerAgain(c echo.Context, p *views.ResultPage, f *connect.Flow, k *connect.Connector, here []connect.BrowserSession, held bool) error {
	if f.Mode == connect.ModeEmbed {
		return nil
	}
	if b := identityIn(here, f.App); b != nil && b.User.ID == f.User.ID && b.Allows(f.Connector) {
		app, err := s.Service.App(c.Request().Context(), f.App)
		if err != nil {
			return err
		}
		p.ListURL = appPath(f.App)
		return s.again(c, p, &visit{app: app, user: b.User, browser: b}, k)
	}
	if f.Session == "" || !held {
		return nil
	}
	ticket, err := s.Service.LinkTicketAgain(c.Request().Context(), f)
	if err != nil || ticket == "" {
		return err
	}
	p.Connector.StartURL, p.Connector.Ticket = "/start", ticket
	return nil
}

// again offers to begin anew, or to disconnect, to a visitor who may.
func (s *Server) again(c echo.Context, p *views.ResultPage, v *visit, k *connect.Connector) error {
	p.Connector.StartURL, p.Connector.Ticket = "/start", s.startTicket(v, k.ID)
	conn, err := s.Service.UserConnection(c.Request().Context(), v.app.ID, k.ID, v.user.ID)
	if connect.CodeOf(err) == connect.CodeNotConnected {
		return nil
	}
	if err != nil {
		return err
	}
	p.DisconnectURL = v.path("connectors", k.ID, "disconnect")
	p.Connector.State, p.Connector.Connected = string(conn.Status), true
	return nil
}

// cancelFlow ends the flow that this browser began.
func (s *Server) cancelFlow(c echo.Context) error { return s.endFlow(c, false) }

// notMe ends it because the page names somebody else.
func (s *Server) notMe(c echo.Context) error { return s.endFlow(c, true) }

func (s *Server) endFlow(c echo.Context, notMe bool) error {
	id := param(c, "flow")
	f, err := s.Service.CancelFlow(c.Request().Context(), id, s.Browsers.Flow(c.Request(), id), notMe)
	if err != nil {
		return err
	}
	return redirect(c, connect.ResultPath(f.ID))
}
