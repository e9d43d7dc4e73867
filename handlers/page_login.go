package handlers

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"

	"patchbay/connect"
	"patchbay/views"
)

// loginPage sends the browser to sign in at the app's OpenID provider. It is for people
// who come by themselves: as a page of its own, and not because a browser looks ahead.
func (s *Server) loginPage(c echo.Context) error {
	if strings.Contains(c.Request().Header.Get("Sec-Purpose"), "prefetch") {
		return c.NoContent(http.StatusNoContent)
	}
	app, err := s.loginApp(c)
	if err != nil {
		return err
	}
	if !topLevel(c.Request()) {
		return errOpenFromApp
	}
	next := loginNext(app.ID, c.QueryParam("next"))
	to, err := s.Logins.Begin(c.Response(), c.Request(), app, next)
	if err != nil {
		return s.loginRefused(c, app, next, err)
	}
	return redirect(c, to)
}

// loginApp finds the app of the path. One without a sign-in of its own answers as if it
// did not exist.
func (s *Server) loginApp(c echo.Context) (*connect.App, error) {
	app, err := s.Service.App(c.Request().Context(), param(c, "app"))
	switch {
	case err != nil && connect.CodeOf(err) != connect.CodeNotFound:
		return nil, err
	case err != nil || app.Login == nil:
		return nil, errOpenFromApp
	}
	return app, nil
}

// loginNexts are the pages of an app, without /apps/{app}, that its sign-in leads on to.
var loginNexts = regexp.MustCompile(`^(|/settings|/connectors/[a-z0-9][a-z0-9_-]{0,62}/disconnect)$`)

// loginNext is next if it is one of those pages of this app or a link, else the app's
// list.
func loginNext(app, next string) string {
	if logoutNext.MatchString(next) {
		return next
	}
	if rest, ok := strings.CutPrefix(next, appPath(app)); ok && loginNexts.MatchString(rest) {
		return next
	}
	return appPath(app)
}

// loginCallback is our redirect URI at the app's OpenID provider. When somebody else of
// the app is signed in here it asks first, and until then nothing changes.
func (s *Server) loginCallback(c echo.Context) error {
	if strings.Contains(c.Request().Header.Get("Sec-Purpose"), "prefetch") {
		return c.NoContent(http.StatusNoContent)
	}
	app, err := s.loginApp(c)
	if err != nil {
		return err
	}
	if !topLevel(c.Request()) {
		return s.loginRefused(c, app, "", errLoginFramed)
	}
	user, next, err := s.Logins.Finish(c.Response(), c.Request(), app)
	if err != nil {
		return s.loginRefused(c, app, next, err)
	}
	here, err := s.Browsers.Identity(c.Request(), app.ID)
	if err != nil {
		return err
	}
	if here == nil || here.User.ID == user.ID {
		return s.enterLogin(c, app, user, next)
	}
	ticket, err := s.Logins.Keep(app.ID, user, next, here)
	if err != nil {
		return err
	}
	return render(c, http.StatusOK, views.Switch(views.SwitchPage{
		Page: s.page(c, app, nil), Current: viewUser(here.User), Next: viewUser(user),
		ActionURL: c.Request().URL.Path, StayURL: appPath(app.ID), Ticket: ticket,
	}))
}

// errLoginFramed refuses an answer that is not loaded as a page of its own: a picture or
// a frame, which another site chose.
var errLoginFramed = &connect.Error{Code: connect.CodeCookieMissing, Message: "The sign-in's answer was not opened as a page."}

// loginSwitch is the answer "yes, switch".
func (s *Server) loginSwitch(c echo.Context) error {
	app, err := s.loginApp(c)
	if err != nil {
		return err
	}
	here, err := s.Browsers.Identity(c.Request(), app.ID)
	if err != nil {
		return err
	}
	user, next, err := s.Logins.Kept(app.ID, c.Request().PostForm.Get("ticket"), here)
	if err != nil {
		return s.loginRefused(c, app, "", err)
	}
	return s.enterLogin(c, app, user, next)
}

func (s *Server) enterLogin(c echo.Context, app *connect.App, user connect.EndUser, next string) error {
	if err := s.Browsers.OpenLogin(c.Response(), c.Request(), app.ID, user); err != nil {
		return err
	}
	return redirect(c, next)
}

// loginRefused shows why the sign-in came to nothing, with a way to try again where that
// can help.
func (s *Server) loginRefused(c echo.Context, app *connect.App, next string, err error) error {
	e := asError(err)
	status, ok := statuses[e.Code]
	switch {
	case e.Code == connect.CodeAccessDenied:
		status = http.StatusForbidden
	case !ok:
		status = http.StatusInternalServerError
	}
	s.logError(c, status, e, err)
	if status == http.StatusServiceUnavailable {
		c.Response().Header().Set("Retry-After", seconds(e.RetryAfter))
	}
	p := views.ErrorPage{Page: s.page(c, app, nil), Status: status, Code: string(e.Code)}
	if at, err := url.Parse(app.Login.Issuer); err == nil {
		p.Provider = at.Host
	}
	if here, _ := s.Browsers.Identity(c.Request(), app.ID); here != nil {
		p.Page = s.sessionPage(c, app, here)
	}
	if e.Code != connect.CodeConnectorMisconfigured && status != http.StatusInternalServerError {
		p.RetryURL, p.RetryLabel = loginPath(app.ID, next), "Sign in again"
	}
	return render(c, status, views.Error(p))
}

// loginPath is where the sign-in begins that leads on to next, "" for the app's list.
func loginPath(app, next string) string {
	to := "/login/" + app
	if next != "" && next != appPath(app) {
		to += "?next=" + url.QueryEscape(next)
	}
	return to
}
