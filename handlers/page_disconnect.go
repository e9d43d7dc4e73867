package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"patchbay/connect"
	"patchbay/views"
)

// disconnectPage asks, and says beforehand what will happen at the provider.
func (s *Server) disconnectPage(c echo.Context) error {
	app, b, k, err := s.sessionAndConnector(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	conn, err := s.Service.UserConnection(ctx, app.ID, k.ID, b.User.ID)
	if err != nil {
		return err
	}
	p := views.DisconnectPage{
		Page: s.sessionPage(c, app, b), Connector: s.connectorNow(k, &conn, false),
		ActionURL: appPath(app.ID, "connectors", k.ID, "disconnect"), BackURL: appPath(app.ID, "settings"),
		RevokeWay: views.RevokeUnsupported, ProviderURL: s.providerPage(k),
	}
	if s.Service.RevokeSupported(k, &conn) {
		p.RevokeWay = views.RevokeYes
	}
	siblings, err := s.Service.Siblings(ctx, &conn)
	if err != nil {
		return err
	}
	for i := range siblings {
		p.RevokeWay = views.RevokeSiblings
		// Only the person's own are named; whose the others are is not theirs to know.
		if other, ok := app.Connector(siblings[i].Connector); ok && siblings[i].App == app.ID && siblings[i].Owner == conn.Owner {
			p.Siblings = append(p.Siblings, s.Service.DisplayName(other))
		}
	}
	return render(c, http.StatusOK, views.Disconnect(p))
}

func (s *Server) sessionAndConnector(c echo.Context) (*connect.App, *connect.BrowserSession, *connect.Connector, error) {
	app, b, err := s.signedIn(c)
	if err != nil {
		return nil, nil, nil, err
	}
	k, err := sessionsConnector(app, b, param(c, "connector"))
	return app, b, k, err
}

func (s *Server) providerPage(k *connect.Connector) string {
	if e, err := s.Service.Entry(k); err == nil {
		return e.Manage
	}
	return ""
}

// disconnect removes, revokes, and leads to the receipt. Pressed twice, it leads to
// the receipt of the first time.
func (s *Server) disconnect(c echo.Context) error {
	app, b, k, err := s.sessionAndConnector(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	done, err := s.Service.DisconnectAppUser(ctx, app.ID, k.ID, b.User.ID)
	if err != nil {
		return err
	}
	if done.Removed {
		return redirect(c, appPath(app.ID, "receipts", done.Receipt))
	}
	events, err := s.Service.History(ctx, app.ID, b.User.ID, 100)
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.Kind == connect.EventDisconnected && e.Connector == k.ID {
			return redirect(c, appPath(app.ID, "receipts", e.ID))
		}
	}
	return redirect(c, appPath(app.ID))
}

// receiptPage tells what a disconnect did: here, there, and what remains.
func (s *Server) receiptPage(c echo.Context) error {
	app, b, err := s.signedIn(c)
	if err != nil {
		return err
	}
	e, err := s.Service.Receipt(c.Request().Context(), app.ID, b.User.ID, param(c, "receipt"))
	if err != nil {
		return err
	}
	v := views.Connector{ID: e.Connector, Name: e.Connector}
	p := views.ReceiptPage{
		Page: s.sessionPage(c, app, b), Removed: true, Revoked: e.Data["revoked"], At: e.At, ListURL: appPath(app.ID),
	}
	if k, ok := app.Connector(e.Connector); ok {
		v = s.connector(k, nil)
		p.ProviderURL = s.providerPage(k)
	}
	v.Account = e.Data["account"]
	p.Connector = v
	return render(c, http.StatusOK, views.Receipt(p))
}
