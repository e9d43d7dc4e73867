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

func (s *Server) frontPage(echo.Context) error { return errOpenFromApp }

// listPage shows what can be connected, and how it stands.
func (s *Server) listPage(c echo.Context) error {
	v, err := s.visitor(c)
	if err != nil {
		return err
	}
	p, err := s.list(c, v)
	if err != nil {
		return err
	}
	return render(c, http.StatusOK, views.List(p))
}

func (s *Server) list(c echo.Context, v *visit) (views.ListPage, error) {
	p := views.ListPage{SettingsURL: v.path("settings")}
	var err error
	// The page's own change id is read before what it shows: what happens in between
	// is told twice and not never.
	if p.Page, err = s.visitPage(c, v, "list"); err != nil {
		return p, err
	}
	conns, err := s.Service.UserConnections(c.Request().Context(), v.app.ID, v.user.ID)
	if err != nil {
		return p, err
	}
	tries, err := s.tries(c, v)
	if err != nil {
		return p, err
	}
	if v.frame == nil {
		p.ReturnURL = returnTo(v.app, v.returnURL)
	} else {
		p.RefreshURL = v.path()
	}
	for i := range v.app.Connectors {
		k := &v.app.Connectors[i]
		if k.Mode == connect.ModeUser && v.allows(k.ID) {
			p.Connectors = append(p.Connectors, s.visitConnector(v, k, connectionTo(conns, k.ID), tries[k.ID]))
		}
	}
	return p, nil
}

// visitConnector is a connector with the controls that its visitor has.
func (s *Server) visitConnector(v *visit, k *connect.Connector, conn *connect.Connection, t try) views.Connector {
	k2 := s.connectorNow(k, conn, t.open != "")
	k2.StartURL, k2.Ticket = "/start", s.startTicket(v, k.ID)
	if t.open != "" {
		k2.CancelURL = v.path("connectors", k.ID, "cancel")
		k2.RefreshURL = v.path()
		if v.frame != nil {
			k2.WaitingFlow = t.open
		}
	}
	if t.ended != nil && (conn == nil || conn.UpdatedAt.Before(t.ended.FinishedAt)) {
		k2.Ended = &views.Ended{Code: string(t.ended.Code), DetailsURL: v.path("flows", t.ended.ID)}
	}
	if conn != nil {
		k2.DisconnectURL = v.path("connectors", k.ID, "disconnect")
	}
	return k2
}

// settingsPage shows what is connected, and what happened.
func (s *Server) settingsPage(c echo.Context) error {
	v, err := s.visitor(c)
	if err != nil {
		return err
	}
	p, err := s.settings(c, v)
	if err != nil {
		return err
	}
	return render(c, http.StatusOK, views.Settings(p))
}

func (s *Server) settings(c echo.Context, v *visit) (views.SettingsPage, error) {
	p := views.SettingsPage{ListURL: v.path()}
	var err error
	if p.Page, err = s.visitPage(c, v, "settings"); err != nil {
		return p, err
	}
	ctx := c.Request().Context()
	conns, err := s.Service.UserConnections(ctx, v.app.ID, v.user.ID)
	if err != nil {
		return p, err
	}
	tries, err := s.tries(c, v)
	if err != nil {
		return p, err
	}
	events, err := s.Service.History(ctx, v.app.ID, v.user.ID, 100)
	if err != nil {
		return p, err
	}
	if v.frame == nil {
		p.ReturnURL = returnTo(v.app, v.returnURL)
	} else {
		p.RefreshURL = v.path("settings")
	}
	shown := map[string]bool{}
	for i := range conns {
		k, err := v.connector(conns[i].Connector)
		if err != nil {
			continue
		}
		shown[k.ID] = true
		p.Connections = append(p.Connections, s.connectionView(v, k, &conns[i], tries[k.ID], events))
	}
	var rest []connect.Event
	for _, e := range events {
		if !shown[e.Connector] && v.allows(e.Connector) {
			rest = append(rest, e)
		}
	}
	p.History = s.historyOf(v.app, rest)
	return p, nil
}

func (s *Server) connectionView(of *visit, k *connect.Connector, conn *connect.Connection, t try, events []connect.Event) views.Connection {
	v := views.Connection{
		Connector:   s.visitConnector(of, k, conn, t),
		ConnectedAt: someTime(conn.ConnectedAt), LastUsedAt: someTime(conn.LastUsedAt),
		Assurance: string(conn.Assurance), Scopes: conn.Scopes, Extra: s.extra(k, conn),
	}
	if t.open != "" {
		v.RefreshURL = of.path("settings")
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
	v.History = s.historyOf(of.app, own)
	for i := range v.History {
		v.History[i].Connector = ""
	}
	return v
}

// cancelConnector ends the user's unfinished flows of a connector.
func (s *Server) cancelConnector(c echo.Context) error {
	v, err := s.visitor(c)
	if err != nil {
		return err
	}
	k, err := v.connector(param(c, "connector"))
	if err != nil {
		return err
	}
	if err := s.Service.CancelUserFlows(c.Request().Context(), v.app.ID, v.user.ID, k.ID); err != nil {
		return err
	}
	return redirect(c, v.path())
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
