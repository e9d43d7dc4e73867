package handlers

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"

	"patchbay/connect"
	"patchbay/views"
)

// openSession signs the browser in with a ticket, once. When somebody else of the app
// is signed in here it asks first, and until then nothing changes.
func (s *Server) openSession(c echo.Context) error {
	if strings.Contains(c.Request().Header.Get("Sec-Purpose"), "prefetch") {
		return c.NoContent(http.StatusNoContent)
	}
	cs, app, err := s.sessionTicket(c)
	if err != nil {
		return err
	}
	b, err := s.Browsers.Identity(c.Request(), app.ID)
	if err != nil {
		return err
	}
	if b == nil || b.User.ID == cs.User.ID {
		return s.enter(c, cs)
	}
	return render(c, http.StatusOK, views.Switch(views.SwitchPage{
		Page: s.page(c, app, nil), Current: viewUser(b.User), Next: viewUser(cs.User),
		ActionURL: c.Request().URL.Path, StayURL: appPath(app.ID),
	}))
}

// switchSession is the answer "yes, switch".
func (s *Server) switchSession(c echo.Context) error {
	cs, _, err := s.sessionTicket(c)
	if err != nil {
		return err
	}
	return s.enter(c, cs)
}

func (s *Server) sessionTicket(c echo.Context) (connect.ConnectSession, *connect.App, error) {
	cs, err := s.Service.SessionTicket(c.Request().Context(), param(c, "ticket"))
	if err != nil {
		return cs, nil, gone{err}
	}
	app, err := s.Service.App(c.Request().Context(), cs.App)
	return cs, app, err
}

func (s *Server) enter(c echo.Context, cs connect.ConnectSession) error {
	if err := s.Browsers.Open(c.Response(), c.Request(), cs); err != nil {
		return gone{err}
	}
	return redirect(c, appPath(cs.App))
}

func viewUser(u connect.EndUser) views.User {
	return views.User{ID: u.ID, Name: u.Name, Email: u.Email}
}

// linkPage is the start page of an address that may have been sent. It may be opened
// any number of times. It tells that something is linked and never which account: whoever
// holds the address can see it.
func (s *Server) linkPage(c echo.Context) error {
	ctx := c.Request().Context()
	cs, err := s.Service.Link(ctx, param(c, "ticket"))
	if err != nil {
		return gone{err}
	}
	app, err := s.Service.App(ctx, cs.App)
	if err != nil {
		return err
	}
	k, ok := app.Connector(cs.Connectors[0])
	if !ok {
		return gone{&connect.Error{Code: connect.CodeExpired, Message: "The connector of this link is gone."}}
	}
	here, err := s.Browsers.Identities(c.Request())
	if err != nil {
		return err
	}
	shared := k.Mode == connect.ModeShared
	if !shared {
		if other := connect.OtherUser(here, app.ID, cs.User.ID); other != nil {
			return s.otherUserPage(c, app, other)
		}
		if connect.MustSignIn(app, here, cs.User.ID) {
			return signInFirst{loginPath(app.ID, c.Request().URL.EscapedPath())}
		}
	}
	conn, err := s.Service.OwnerConnection(ctx, app.ID, k.ID, connect.OwnerOf(cs.User.ID))
	if err != nil && connect.CodeOf(err) != connect.CodeNotConnected {
		return err
	}
	asked := cs.Scopes
	if asked == nil {
		asked = s.Service.AskedScopes(k)
	}
	v := s.connector(k, asked)
	if err == nil {
		v.State, v.Connected = string(conn.Status), true
	}
	v.StartURL, v.Ticket = "/start", s.Service.LinkStartTicket(&cs)
	if err := s.linkWaiting(c, &cs, &v); err != nil {
		return err
	}
	return render(c, http.StatusOK, views.Link(views.LinkPage{Page: s.page(c, app, &cs.User), Connector: v, ExpiresAt: cs.ExpiresAt, Shared: shared}))
}

// linkWaiting shows a flow under way that this browser began from the link.
func (s *Server) linkWaiting(c echo.Context, cs *connect.ConnectSession, v *views.Connector) error {
	flows, err := s.Service.SessionFlows(c.Request().Context(), cs)
	for i := range flows {
		if !flows[i].Status.Final() && s.Browsers.Flow(c.Request(), flows[i].ID) != "" {
			v.State, v.CancelURL = views.Waiting, connect.ResultPath(flows[i].ID)+"/cancel"
			v.RefreshURL = c.Request().URL.Path
		}
	}
	return err
}

// otherUserPage refuses a link in a browser that is signed in as somebody else, and
// offers to end that session.
func (s *Server) otherUserPage(c echo.Context, app *connect.App, other *connect.BrowserSession) error {
	s.logError(c, http.StatusForbidden, &connect.Error{Code: connect.CodeUserMismatch}, errors.New("link opened beside another user's session"))
	p := views.ErrorPage{
		Page: s.page(c, app, &other.User), Status: http.StatusForbidden, Code: string(connect.CodeUserMismatch),
		EndSessionURL: "/logout",
	}
	if logoutNext.MatchString(c.Request().URL.Path) {
		p.EndSessionNext = c.Request().URL.Path
	}
	return render(c, http.StatusForbidden, views.Error(p))
}

// logoutNext are the only addresses that sign-out leads on to.
var logoutNext = regexp.MustCompile(`^/link/[A-Za-z0-9_-]{1,64}$`)

// logout ends the browser's session of one app, or of all when none is named.
func (s *Server) logout(c echo.Context) error {
	if err := s.Browsers.Close(c.Response(), c.Request(), c.Request().PostForm.Get("app")); err != nil {
		return err
	}
	if next := c.Request().PostForm.Get("next"); logoutNext.MatchString(next) {
		return redirect(c, next)
	}
	return redirect(c, "/signed-out")
}

func (s *Server) signedOutPage(c echo.Context) error {
	return render(c, http.StatusOK, views.SignedOut(views.SignedOutPage{Page: s.page(c, nil, nil)}))
}

// errorPage shows an error as a page, in the app's colours where the app is known.
func (s *Server) errorPage(c echo.Context, status int, e *connect.Error) error {
	p := views.ErrorPage{Status: status, Code: string(e.Code), FlowOver: e.FlowOver}
	if e.Code == connect.CodeInvalidRequest {
		p.Detail = e.Message
	}
	if isEmbed(c.Request()) {
		return s.frameError(c, p)
	}
	app, _ := s.Service.App(c.Request().Context(), param(c, "app"))
	if e.Code == connect.CodeUnauthorized || e.Code == connect.CodeStateUnknown {
		app = nil // whether an app exists is nobody's business
	}
	here, _ := s.Browsers.Identities(c.Request())
	var b *connect.BrowserSession
	if app != nil {
		b = identityIn(here, app.ID)
	} else if len(here) == 1 && e.Code != connect.CodeStateUnknown {
		b = &here[0]
	}
	if app == nil && b != nil {
		app, _ = s.Service.App(c.Request().Context(), b.App)
	}
	p.Page = s.page(c, app, nil)
	if app != nil && b != nil {
		p.Page = s.sessionPage(c, app, b)
		if e.Code == connect.CodeExpired && status == http.StatusConflict {
			p.RetryURL = appPath(app.ID)
		}
	}
	return render(c, status, views.Error(p))
}

// frameError is an error below /embed. What the browser's cookies say plays no part in
// it; where the frame's session is not known, nothing is said of any app or person.
func (s *Server) frameError(c echo.Context, p views.ErrorPage) error {
	v, known := c.Get(visitKey).(*visit)
	if !known {
		p.Page = s.page(c, nil, nil)
		return render(c, p.Status, views.Error(p))
	}
	page, err := s.framePage(c, v, "error")
	if err != nil {
		page = s.page(c, v.app, nil)
	}
	p.Page = page
	if page.Live != nil && page.Live.Token != "" {
		p.RetryURL, p.RetryLabel = v.path(), "Back to the list"
	}
	return render(c, p.Status, views.Error(p))
}

func identityIn(here []connect.BrowserSession, app string) *connect.BrowserSession {
	for i := range here {
		if here[i].App == app {
			return &here[i]
		}
	}
	return nil
}
