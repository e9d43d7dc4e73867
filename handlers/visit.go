package handlers

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"patchbay/connect"
	"patchbay/views"
)

// visit is whose pages are shown, and where: an end user's, in a browser session or in
// the frame of an app's page. Exactly one of browser and frame is set.
type visit struct {
	app       *connect.App
	user      connect.EndUser
	returnURL string
	browser   *connect.BrowserSession
	frame     *connect.FrameView
}

// path is the address of one of the visit's own pages.
func (v *visit) path(rest ...string) string {
	base := "/apps/" + v.app.ID
	if v.frame != nil {
		base = "/embed/" + v.frame.Token
	}
	p, _ := url.JoinPath(base, rest...)
	return p
}

// allows reports whether the visit may see and begin the connector.
func (v *visit) allows(connector string) bool {
	if v.frame != nil {
		return v.frame.Session.Allows(connector)
	}
	return v.browser.Allows(connector)
}

// connector finds a connector that the visit may see.
func (v *visit) connector(id string) (*connect.Connector, error) {
	k, ok := v.app.Connector(id)
	if !ok || k.Mode != connect.ModeUser || !v.allows(id) {
		return nil, errNoConnector
	}
	return k, nil
}

// startTicket prints a ticket for one of the visit's connectors.
func (s *Server) startTicket(v *visit, connector string) string {
	if v.frame != nil {
		return s.Service.FrameStartTicket(v.frame, connector)
	}
	return s.Service.SessionStartTicket(v.browser, connector)
}

// visitPage is what every page of the visit has. view names the page to the frame's
// script.
func (s *Server) visitPage(c echo.Context, v *visit, view string) (views.Page, error) {
	if v.frame == nil {
		return s.sessionPage(c, v.app, v.browser), nil
	}
	return s.framePage(c, v, view)
}

// visitor finds who is here, by the route: the frame's session below /embed, else the
// browser's.
func (s *Server) visitor(c echo.Context) (*visit, error) {
	if isEmbed(c.Request()) {
		return s.framed(c)
	}
	return s.signedIn(c)
}

// signedIn finds the app of the path and who is signed in to it here. Nobody, and an
// app that does not exist, answer alike: open this from the app.
func (s *Server) signedIn(c echo.Context) (*visit, error) {
	app, err := s.Service.App(c.Request().Context(), param(c, "app"))
	if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
		return nil, err
	}
	if app == nil {
		return nil, errOpenFromApp
	}
	b, err := s.Browsers.Identity(c.Request(), app.ID)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, s.notSignedIn(c, app)
	}
	return &visit{app: app, user: b.User, returnURL: b.ReturnURL, browser: b}, nil
}

// signInFirst sends a visitor to the app's own sign-in.
type signInFirst struct{ to string }

func (signInFirst) Error() string { return "nobody is signed in" }

// notSignedIn leads to the sign-in where the app has one and the browser asks for a
// page that can be come back to.
func (s *Server) notSignedIn(c echo.Context, app *connect.App) error {
	if app.Login == nil || c.Request().Method != http.MethodGet {
		return errOpenFromApp
	}
	return signInFirst{loginPath(app.ID, c.Request().URL.EscapedPath())}
}

// visitKey keeps the visit for an error page of the same request.
const visitKey = "visit"

// framed finds the embed session of the path. It is served into an iframe, or to a
// browser too old to say where it puts the page; anything else is refused before
// anything is said. From here on the answer may be framed, by the session's origin and
// by no other.
func (s *Server) framed(c echo.Context) (*visit, error) {
	r := c.Request()
	dest := r.Header.Values("Sec-Fetch-Dest")
	if len(dest) > 1 || (len(dest) == 1 && dest[0] != "iframe") {
		return nil, errFramedWrongly
	}
	token := param(c, "token")
	cs, err := s.Service.Embed(r.Context(), token)
	if cs.ID == "" {
		if connect.CodeOf(err) == connect.CodeExpired {
			err = gone{err}
		}
		return nil, err
	}
	app, appErr := s.Service.App(r.Context(), cs.App)
	if appErr != nil {
		return nil, gone{&connect.Error{Code: connect.CodeExpired, Message: "The app of this page is gone."}}
	}
	s.frameHeaders(c, app, cs.Origin)
	v := &visit{app: app, user: cs.User, returnURL: cs.ReturnURL, frame: &connect.FrameView{Session: cs, Token: token, Framed: len(dest) == 1}}
	c.Set(visitKey, v)
	if err != nil {
		if connect.CodeOf(err) == connect.CodeExpired {
			err = gone{err}
		}
		return nil, err
	}
	return v, nil
}

// errFramedWrongly answers what is loaded as anything but a frame.
var errFramedWrongly = &connect.Error{Code: codeFramedWrongly, Message: "This page works only inside the app's own page."}

// frameHeaders lets the one origin frame the answer, also where that page isolates
// itself.
func (s *Server) frameHeaders(c echo.Context, app *connect.App, origin string) {
	h := c.Response().Header()
	if !s.Service.MayFrame(app, origin) {
		return
	}
	h.Del("X-Frame-Options") // it knows no single origin
	h.Set("Content-Security-Policy", csp(origin))
	h.Set("Cross-Origin-Embedder-Policy", "require-corp")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
}

func isEmbed(r *http.Request) bool { return len(r.URL.Path) > 7 && r.URL.Path[:7] == "/embed/" }

// framePage is visitPage inside the frame. view "error" of a session that is over has
// nothing live about it.
func (s *Server) framePage(c echo.Context, v *visit, view string) (views.Page, error) {
	cs := &v.frame.Session
	p := s.page(c, v.app, &v.user)
	p.Frame = true
	p.Live = &views.FrameLive{
		View: view, Origin: cs.Origin, Session: cs.ID, URL: "/api/apps/" + v.app.ID + "/live",
		ExpiresIn: int(s.Service.Remaining(cs).Seconds()),
	}
	live, err := s.Service.FrameLive(c.Request().Context(), v.frame)
	if err != nil {
		return p, err
	}
	if !live {
		p.Live.ExpiresIn, p.User = 0, nil
		return p, nil
	}
	p.Live.Token = s.Service.LiveToken(v.frame)
	p.Live.After, err = s.Service.LastChange(c.Request().Context(), cs)
	return p, err
}
