package handlers

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"patchbay/connect"
)

// cors answers browsers on pages of the app's origins. Credentials are never allowed:
// the caller is known by its token, not by a cookie.
func (s *Server) cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Add("Vary", "Origin")
		if origin, ok := s.allowedOrigin(c); ok {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		}
		return next(c)
	}
}

func (s *Server) allowedOrigin(c echo.Context) (string, bool) {
	origin := c.Request().Header.Values("Origin")
	if len(origin) != 1 {
		return "", false
	}
	app, err := s.Service.App(c.Request().Context(), param(c, "app"))
	return origin[0], err == nil && slices.Contains(app.Origins, origin[0])
}

func (s *Server) preflight(c echo.Context) error {
	h := c.Response().Header()
	if h.Get("Access-Control-Allow-Origin") == "" {
		return &connect.Error{Code: connect.CodeOriginNotAllowed, Message: "This origin is not among the app's origins."}
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	h.Set("Access-Control-Allow-Headers", "authorization, content-type, x-app-id, x-origin-url, x-base44-anonymous-id")
	h.Set("Access-Control-Max-Age", "600")
	return c.NoContent(http.StatusNoContent)
}

// initiate is connectAppUser: the address of our own start page for this user.
func (s *Server) initiate(c *call) error {
	to, err := s.Service.ConnectAppUser(c.Request().Context(), c.app.ID, param(c, "connector"), c.caller.User, c.caller.Session)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"redirect_url": to})
}

// disconnectAppUser removes the caller's connection and says what the provider said.
func (s *Server) disconnectAppUser(c *call) error {
	connector := param(c, "connector")
	if !c.caller.Allows(connector) {
		return errNoConnector
	}
	done, err := s.Service.DisconnectAppUser(c.Request().Context(), c.app.ID, connector, c.caller.User.ID)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"removed": done.Removed, "revoked": done.Revoked})
}

var errNoConnector = &connect.Error{Code: connect.CodeNotFound, Message: "There is no such connector in this app."}

// userConnectors lists what the caller can connect, and how it stands.
func (s *Server) userConnectors(c *call) error {
	conns, err := s.Service.UserConnections(c.Request().Context(), c.app.ID, c.caller.User.ID)
	if err != nil {
		return err
	}
	type connectorJSON struct {
		ID          string                  `json:"id"`
		Type        string                  `json:"type"`
		Name        string                  `json:"name"`
		Description string                  `json:"description"`
		Status      string                  `json:"status"`
		Connection  *connect.ConnectionView `json:"connection"`
	}
	out := []connectorJSON{}
	for i := range c.app.Connectors {
		k := &c.app.Connectors[i]
		if k.Mode != connect.ModeUser || !c.caller.Allows(k.ID) {
			continue
		}
		row := connectorJSON{ID: k.ID, Type: k.Type, Name: s.Service.DisplayName(k), Description: s.Service.Description(k), Status: "not_connected"}
		if conn := connectionTo(conns, k.ID); conn != nil {
			row.Status, row.Connection = string(conn.Status), conn.View()
		}
		out = append(out, row)
	}
	return c.JSON(http.StatusOK, map[string]any{"connectors": out})
}

func connectionTo(conns []connect.Connection, connector string) *connect.Connection {
	for i := range conns {
		if conns[i].Connector == connector {
			return &conns[i]
		}
	}
	return nil
}
