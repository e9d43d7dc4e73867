package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"patchbay/connect"
	"patchbay/views"
)

// disconnectPage asks, and says beforehand what will happen at the provider.
func (s *Server) disconnectPage(c echo.Context) error {
	v, k, err := s.visitorAndConnector(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	page, err := s.visitPage(c, v, "disconnect")
	if err != nil {
		return err
	}
	conn, err := s.Service.UserConnection(ctx, v.app.ID, k.ID, v.user.ID)
	if err != nil {
		return err
	}
	p := views.DisconnectPage{
		Page: page, Connector: s.connectorNow(k, &conn, false),
		ActionURL: v.path("connectors", k.ID, "disconnect"), BackURL: v.path("settings"),
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
		if other, ok := v.app.Connector(siblings[i].Connector); ok && siblings[i].App == v.app.ID && siblings[i].Owner == conn.Owner {
			p.Siblings = append(p.Siblings, s.Service.DisplayName(other))
		}
	}
	return render(c, http.StatusOK, views.Disconnect(p))
}

func (s *Server) visitorAndConnector(c echo.Context) (*visit, *connect.Connector, error) {
	v, err := s.visitor(c)
	if err != nil {
		return nil, nil, err
	}
	k, err := v.connector(param(c, "connector"))
	return v, k, err
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
	v, k, err := s.visitorAndConnector(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	done, err := s.Service.DisconnectAppUser(ctx, v.app.ID, k.ID, v.user.ID)
	if err != nil {
		return err
	}
	if done.Removed {
		return redirect(c, v.path("receipts", done.Receipt))
	}
	events, err := s.Service.History(ctx, v.app.ID, v.user.ID, 100)
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.Kind == connect.EventDisconnected && e.Connector == k.ID {
			return redirect(c, v.path("receipts", e.ID))
		}
	}
	return redirect(c, v.path())
}

// receiptPage tells what a disconnect did: here, there, and what remains.
func (s *Server) receiptPage(c echo.Context) error {
	v, err := s.visitor(c)
	if err != nil {
		return err
	}
	e, err := s.Service.Receipt(c.Request().Context(), v.app.ID, v.user.ID, param(c, "receipt"))
	if err != nil {
		return err
	}
	if !v.allows(e.Connector) {
		return errNoPage
	}
	page, err := s.visitPage(c, v, "receipt")
	if err != nil {
		return err
	}
	shown := views.Connector{ID: e.Connector, Name: e.Connector}
	p := views.ReceiptPage{Page: page, Removed: true, Revoked: e.Data["revoked"], At: e.At, ListURL: v.path()}
	if k, ok := v.app.Connector(e.Connector); ok {
		shown = s.connector(k, nil)
		p.ProviderURL = s.providerPage(k)
	}
	shown.Account = e.Data["account"]
	p.Connector = shown
	return render(c, http.StatusOK, views.Receipt(p))
}
