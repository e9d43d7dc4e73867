package connect

import (
	"context"
	"errors"
	"time"

	"patchbay/vault"
)

// Token is what a token read answers with. There is never a refresh token in it.
type Token struct {
	Connection  Connection
	AccessToken vault.Secret
}

// AppUserConnection returns a token of the end user's connection with at least margin
// of life left, refreshing it first where that is needed. A token whose whole life is
// not longer than margin is refreshed when less than a tenth of it is left. Errors:
// not_found, not_connected, reconnect_required, connection_changed,
// connector_misconfigured, provider_unavailable, provider_error.
func (s *Service) AppUserConnection(ctx context.Context, app, connector, user string, margin time.Duration) (Token, error) {
	_, c, err := s.userConnector(ctx, app, connector)
	if err != nil {
		return Token{}, err
	}
	conn, err := s.Store.ConnectionToken(ctx, app, connector, OwnerOf(user))
	if isNotFound(err) {
		return Token{}, errNotConnected
	}
	if err != nil {
		return Token{}, err
	}
	return s.readToken(ctx, c, conn, margin)
}

// readToken is a read of a token, and tells of it.
func (s *Service) readToken(ctx context.Context, c *Connector, conn Connection, margin time.Duration) (Token, error) {
	t, err := s.fresh(ctx, c, conn, margin)
	kind := EventTokenRead
	if err != nil {
		kind = EventTokenRefused
	}
	ev := s.event(ctx, kind, conn.App, conn.Owner.User, conn.Connector)
	ev.Connection = conn.ID
	if err != nil {
		ev.Data = map[string]string{"code": string(CodeOf(err))}
	}
	s.emit(ctx, ev)
	return t, err
}

func (s *Service) fresh(ctx context.Context, c *Connector, conn Connection, margin time.Duration) (Token, error) {
	if conn.Status != ConnectionConnected {
		return Token{}, errReconnect(&conn)
	}
	tokens, err := s.openTokens(&conn)
	if err != nil {
		return Token{}, err
	}
	if s.due(&conn, margin) {
		fresh, err := s.renewShared(ctx, c, conn)
		switch {
		case err == nil:
			conn = fresh
			if tokens, err = s.openTokens(&conn); err != nil {
				return Token{}, err
			}
		case passing(err) && s.alive(&conn):
			// The old token still lives: better that than nothing.
		default:
			return Token{}, err
		}
	}
	now := s.now()
	s.used.touch(conn.ID, now)
	conn.LastUsedAt = now
	return Token{Connection: conn, AccessToken: vault.NewSecret(tokens.Access)}, nil
}

// due reports whether the access token must be refreshed before it is handed out. What
// is refreshed ahead of its need is not due here: see ahead.go.
func (s *Service) due(c *Connection, margin time.Duration) bool {
	if c.ExpiresAt.IsZero() {
		return false
	}
	left, life := c.ExpiresAt.Sub(s.now()), c.ExpiresAt.Sub(c.ObtainedAt)
	if life <= margin {
		return left < life/10
	}
	return left < margin
}

func (s *Service) alive(c *Connection) bool {
	return c.ExpiresAt.IsZero() || s.now().Before(c.ExpiresAt)
}

// passing reports whether the failure of a refresh says nothing against the token
// that is there.
func passing(err error) bool {
	switch CodeOf(err) {
	case CodeProviderUnavailable, CodeProviderError, CodeConnectorMisconfigured, CodeUnavailable, errCannotRefresh.Code:
		return true
	}
	return false
}

var errCannotRefresh = refuse("cannot_refresh", "The provider gave no refresh token.")

var errChanged = refuse(CodeConnectionChanged, "The connection was ended or replaced while it was read. Ask again.")

func errReconnect(c *Connection) *Error {
	return &Error{Code: CodeReconnectRequired, Message: "The provider no longer accepts this connection. The user has to link the account again.",
		Cause: errors.New(c.Reason)}
}

// asItIsNow is the connection that another refresh or a reconnect left.
func (s *Service) asItIsNow(c *Connection) (Connection, error) {
	if c.Status != ConnectionConnected {
		return Connection{}, errReconnect(c)
	}
	return *c, nil
}
