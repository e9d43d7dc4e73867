package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"patchbay/connect"
	"patchbay/views"
)

// signedIn finds the app of the path and who is signed in to it here. Nobody, and an
// app that does not exist, answer alike: open this from the app.
func (s *Server) signedIn(c echo.Context) (*connect.App, *connect.BrowserSession, error) {
	app, err := s.Service.App(c.Request().Context(), param(c, "app"))
	if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
		return nil, nil, err
	}
	if app == nil {
		return nil, nil, errOpenFromApp
	}
	b, err := s.Browsers.Identity(c.Request(), app.ID)
	if err != nil {
		return nil, nil, err
	}
	if b == nil {
		return nil, nil, errOpenFromApp
	}
	return app, b, nil
}

func (s *Server) frontPage(echo.Context) error { return errOpenFromApp }

// listPage shows what can be connected, and how it stands.
func (s *Server) listPage(c echo.Context) error {
	app, b, err := s.signedIn(c)
	if err != nil {
		return err
	}
	conns, err := s.Service.UserConnections(c.Request().Context(), app.ID, b.User.ID)
	if err != nil {
		return err
	}
	waiting, err := s.waiting(c, app.ID, b.User.ID)
	if err != nil {
		return err
	}
	p := views.ListPage{
		Page: s.sessionPage(c, app, b), SettingsURL: appPath(app.ID, "settings"), ReturnURL: returnTo(app, b.ReturnURL),
	}
	for i := range app.Connectors {
		k := &app.Connectors[i]
		if k.Mode == connect.ModeUser && b.Allows(k.ID) {
			p.Connectors = append(p.Connectors, s.sessionConnector(b, k, connectionTo(conns, k.ID), waiting[k.ID]))
		}
	}
	return render(c, http.StatusOK, views.List(p))
}

// sessionConnector is a connector with the controls that a browser session has.
func (s *Server) sessionConnector(b *connect.BrowserSession, k *connect.Connector, conn *connect.Connection, waiting bool) views.Connector {
	v := s.connectorNow(k, conn, waiting)
	v.StartURL, v.Ticket = "/start", s.Service.SessionStartTicket(b, k.ID)
	if waiting {
		v.CancelURL = appPath(b.App, "connectors", k.ID, "cancel")
	}
	if conn != nil {
		v.DisconnectURL = appPath(b.App, "connectors", k.ID, "disconnect")
	}
	return v
}

// settingsPage shows what is connected, and what happened.
func (s *Server) settingsPage(c echo.Context) error {
	app, b, err := s.signedIn(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	conns, err := s.Service.UserConnections(ctx, app.ID, b.User.ID)
	if err != nil {
		return err
	}
	waiting, err := s.waiting(c, app.ID, b.User.ID)
	if err != nil {
		return err
	}
	events, err := s.Service.History(ctx, app.ID, b.User.ID, 100)
	if err != nil {
		return err
	}
	p := views.SettingsPage{Page: s.sessionPage(c, app, b), ListURL: appPath(app.ID), ReturnURL: returnTo(app, b.ReturnURL)}
	shown := map[string]bool{}
	for i := range conns {
		k, ok := app.Connector(conns[i].Connector)
		if !ok || !b.Allows(k.ID) {
			continue
		}
		shown[k.ID] = true
		p.Connections = append(p.Connections, s.connectionView(app, b, k, &conns[i], waiting[k.ID], events))
	}
	var rest []connect.Event
	for _, e := range events {
		if !shown[e.Connector] && b.Allows(e.Connector) {
			rest = append(rest, e)
		}
	}
	p.History = s.historyOf(app, rest)
	return render(c, http.StatusOK, views.Settings(p))
}

func (s *Server) connectionView(app *connect.App, b *connect.BrowserSession, k *connect.Connector, conn *connect.Connection, waiting bool, events []connect.Event) views.Connection {
	v := views.Connection{
		Connector:   s.sessionConnector(b, k, conn, waiting),
		ConnectedAt: someTime(conn.ConnectedAt), LastUsedAt: someTime(conn.LastUsedAt),
		Assurance: string(conn.Assurance), Scopes: conn.Scopes,
	}
	if !s.Service.Refreshes(conn) {
		v.ExpiresAt = someTime(conn.ExpiresAt)
	}
	for _, p := range conn.Proofs {
		v.Proofs = append(v.Proofs, string(p))
	}
	var own []connect.Event
	for _, e := range events {
		if e.Connector == k.ID {
			own = append(own, e)
		}
	}
	v.History = s.historyOf(app, own)
	for i := range v.History {
		v.History[i].Connector = ""
	}
	return v
}

// cancelConnector ends the user's unfinished flows of a connector.
func (s *Server) cancelConnector(c echo.Context) error {
	app, b, err := s.signedIn(c)
	if err != nil {
		return err
	}
	k, err := sessionsConnector(app, b, param(c, "connector"))
	if err != nil {
		return err
	}
	if err := s.Service.CancelUserFlows(c.Request().Context(), app.ID, b.User.ID, k.ID); err != nil {
		return err
	}
	return redirect(c, appPath(app.ID))
}

// sessionsConnector finds a connector that the session may see.
func sessionsConnector(app *connect.App, b *connect.BrowserSession, id string) (*connect.Connector, error) {
	k, ok := app.Connector(id)
	if !ok || k.Mode != connect.ModeUser || !b.Allows(id) {
		return nil, errNoConnector
	}
	return k, nil
}

// themeStyle serves the app's accent as a style sheet of its own, so that the CSP
// needs no exception.
func (s *Server) themeStyle(c echo.Context) error {
	app, err := s.Service.App(c.Request().Context(), param(c, "app"))
	if err != nil {
		return err
	}
	if app.Theme.Accent == "" {
		return errNoPage
	}
	c.Response().Header().Set("Cache-Control", "public, max-age=86400")
	css := fmt.Sprintf(":root{--accent:%s;--on-accent:%s}\n", app.Theme.Accent, readableOn(app.Theme.Accent))
	return c.Blob(http.StatusOK, "text/css; charset=utf-8", []byte(css))
}

// readableOn is black or white, whichever is easier to read on the colour (WCAG 2.2,
// relative luminance).
func readableOn(accent string) string {
	hex := strings.TrimPrefix(accent, "#")
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil || len(hex) != 6 {
		return "#fff"
	}
	l := 0.2126*linear(n>>16) + 0.7152*linear(n>>8&0xff) + 0.0722*linear(n&0xff)
	if (l+0.05)/0.05 > 1.05/(l+0.05) {
		return "#000"
	}
	return "#fff"
}

// themeLogo serves the app's logo as an image that can do nothing.
func (s *Server) themeLogo(c echo.Context) error {
	app, err := s.Service.App(c.Request().Context(), param(c, "app"))
	if err != nil {
		return err
	}
	if len(app.Theme.Logo) == 0 {
		return errNoPage
	}
	h := c.Response().Header()
	h.Set("Cache-Control", "public, max-age=86400")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'")
	return c.Blob(http.StatusOK, app.Theme.LogoType, app.Theme.Logo)
}

func themeVersion(app *connect.App) string {
	h := sha256.New()
	h.Write([]byte(app.Theme.Accent))
	h.Write(app.Theme.Logo)
	return hex.EncodeToString(h.Sum(nil)[:6])
}
