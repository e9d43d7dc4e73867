package handlers

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"patchbay/connect"
)

const (
	defaultMinSeconds = 60
	maxMinSeconds     = 3000
)

// appUserToken is getCurrentAppUserConnection: a fresh token of the end user that the
// on-behalf-of header names. There is no "any user".
func (s *Server) appUserToken(c *call) error {
	user, err := s.Callers.OnBehalfOf(c.Request(), c.app)
	if err != nil {
		return s.refusedCaller(c, err)
	}
	margin, err := minSeconds(c)
	if err != nil {
		return err
	}
	connector := param(c, "connector")
	if !user.Allows(connector) {
		return errNoConnector
	}
	ctx := c.Request().Context()
	t, err := s.Service.AppUserConnection(ctx, c.app.ID, connector, user.User.ID, margin)
	if connect.CodeOf(err) == connect.CodeReconnectRequired {
		return s.withConnectURL(c, err, connector, user.User)
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, tokenOf(&t))
}

// withConnectURL adds where the user can mend it, made as initiate would.
func (s *Server) withConnectURL(c *call, err error, connector string, user connect.EndUser) error {
	var e *connect.Error
	if !errors.As(err, &e) {
		return err
	}
	to, linkErr := s.Service.ConnectAppUser(c.Request().Context(), c.app.ID, connector, user, nil)
	if linkErr != nil {
		return err // an app whose minimum a link cannot reach: the code alone has to do
	}
	mended := *e
	mended.ConnectURL = to
	return &mended
}

type tokenJSON struct {
	AccessToken      string              `json:"access_token"`
	IntegrationType  string              `json:"integration_type"`
	ConnectionConfig map[string]string   `json:"connection_config"`
	TokenType        string              `json:"token_type"`
	ExpiresAt        *string             `json:"expires_at"`
	Scopes           []string            `json:"scopes"`
	MissingScopes    []string            `json:"missing_scopes"`
	Account          connect.AccountView `json:"account"`
}

func tokenOf(t *connect.Token) tokenJSON {
	conn := &t.Connection
	out := tokenJSON{
		AccessToken: t.AccessToken.Reveal(), IntegrationType: conn.Type, TokenType: "Bearer",
		ExpiresAt: connect.Timestamp(conn.ExpiresAt), Scopes: list(conn.Scopes), MissingScopes: list(conn.Missing),
		Account: conn.Account.View(),
	}
	if len(conn.Config) > 0 {
		out.ConnectionConfig = conn.Config
	}
	return out
}

// minSeconds reads how long the token must still live.
func minSeconds(c *call) (time.Duration, error) {
	q := c.QueryParams()["min_seconds"]
	if len(q) == 0 {
		return defaultMinSeconds * time.Second, nil
	}
	n, err := strconv.ParseUint(q[0], 10, 16)
	if err != nil || len(q) > 1 || n > maxMinSeconds {
		return 0, &connect.Error{Code: connect.CodeInvalidRequest, Message: "min_seconds must be one whole number from 0 to 3000."}
	}
	return time.Duration(n) * time.Second, nil
}
