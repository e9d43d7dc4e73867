package handlers

import (
	"net/http"

	"patchbay/connect"
	"patchbay/provider"
)

// sharedToken is getConnection and getAccessToken: the account of the whole app.
func (s *Server) sharedToken(c *call) error {
	margin, err := minSeconds(c)
	if err != nil {
		return err
	}
	t, err := s.Service.SharedConnection(c.Request().Context(), c.app.ID, param(c, "type"), margin)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, tokenOf(&t))
}

// workspaceToken is getWorkspaceConnection: the same by the connector's id.
func (s *Server) workspaceToken(c *call) error {
	margin, err := minSeconds(c)
	if err != nil {
		return err
	}
	t, err := s.Service.WorkspaceConnection(c.Request().Context(), c.app.ID, param(c, "connector"), margin)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, tokenOf(&t))
}

type configFieldJSON struct {
	Name              string  `json:"name"`
	DisplayName       string  `json:"display_name"`
	Description       string  `json:"description"`
	Placeholder       string  `json:"placeholder"`
	Required          bool    `json:"required"`
	ValidationPattern *string `json:"validation_pattern"`
	ValidationError   *string `json:"validation_error"`
}

// integrations lists the whole catalogue.
func (s *Server) integrations(c *call) error {
	type integrationJSON struct {
		Type        string            `json:"integration_type"`
		DisplayName string            `json:"display_name"`
		Description string            `json:"description"`
		Fields      []configFieldJSON `json:"connection_config_fields"`
	}
	out := []integrationJSON{}
	for _, typ := range s.Service.Catalog.Types() {
		e, ok := s.Service.Catalog.Entry(typ)
		if !ok {
			continue
		}
		out = append(out, integrationJSON{typ, e.Name, e.Description, configFields(e)})
	}
	return c.JSON(http.StatusOK, map[string]any{"integrations": out})
}

// configFields are what is asked for before a flow of the type begins.
func configFields(e *provider.Entry) []configFieldJSON {
	out := []configFieldJSON{}
	for _, p := range e.ParamFields(nil) {
		f := configFieldJSON{
			Name: p.Name, DisplayName: p.Label, Description: p.Description, Placeholder: p.Example,
			Required: p.Required, ValidationError: connect.OrNull(p.PatternError),
		}
		if p.Pattern != nil {
			f.ValidationPattern = connect.OrNull("^(?:" + htmlPattern(p.Pattern.String()) + ")$")
		}
		out = append(out, f)
	}
	return out
}

// sharedStatuses are the words of the wire protocol.
var sharedStatuses = map[connect.ConnectionStatus]string{
	connect.ConnectionConnected:         "active",
	connect.ConnectionReconnectRequired: "expired",
}

// sharedList lists what was requested or connected for the app. Stripe is never on it:
// the tool asks for it elsewhere.
func (s *Server) sharedList(c *call) error {
	all, err := s.Service.SharedList(c.Request().Context(), c.app.ID)
	if err != nil {
		return err
	}
	type integrationJSON struct {
		Type   string   `json:"integration_type"`
		Status string   `json:"status"`
		Scopes []string `json:"scopes"`
		Email  string   `json:"user_email,omitempty"`
	}
	out := []integrationJSON{}
	for _, sh := range all {
		if sh.Connector.Type == "stripe" {
			continue
		}
		row := integrationJSON{Type: sh.Connector.Type, Status: "disconnected", Scopes: list(sh.Scopes)}
		if sh.Connection != nil {
			row.Status, row.Email = sharedStatuses[sh.Connection.Status], sh.Connection.Account.Email
		}
		out = append(out, row)
	}
	return c.JSON(http.StatusOK, map[string]any{"integrations": out})
}

// requestShared asks for a shared connection and answers with the link to consent on.
func (s *Server) requestShared(c *call) error {
	var b struct {
		Scopes []string `json:"scopes"`
	}
	if err := c.body(&b); err != nil {
		return err
	}
	link, err := s.Service.RequestShared(c.Request().Context(), c.app.ID, param(c, "type"), b.Scopes)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{
		"redirect_url": connect.OrNull(link.URL), "connection_id": connect.OrNull(link.Request), "already_authorized": link.Authorized,
		"error": nil, "error_message": nil, "other_user_email": nil,
	})
}

// sharedStatus tells how a request stands.
func (s *Server) sharedStatus(c *call) error {
	q := c.QueryParams()
	if len(q["integration_type"]) != 1 || len(q["connection_id"]) != 1 {
		return &connect.Error{Code: connect.CodeInvalidRequest, Message: "Give integration_type and connection_id once each in the query."}
	}
	state, err := s.Service.SharedStatus(c.Request().Context(), c.app.ID, q.Get("integration_type"), q.Get("connection_id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"status": state})
}

// removeShared disconnects the account of the whole app; the connector stays.
func (s *Server) removeShared(c *call) error {
	typ := param(c, "type")
	if _, err := s.Service.RemoveShared(c.Request().Context(), c.app.ID, typ); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "removed", "integration_type": typ})
}

// breach ends every connection of a connector.
func (s *Server) breach(c *call) error {
	done, err := s.Service.Breach(c.Request().Context(), c.app.ID, param(c, "type")) // the id of a connector: the router wants one name for both
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"removed": done.Removed, "revoked": done.Revoked})
}

// stripeStatus is what the command-line tool asks on every push and pull.
func (s *Server) stripeStatus(c *call) error {
	return c.JSON(http.StatusOK, map[string]any{"stripe_mode": nil, "sandbox_claim_url": nil})
}
