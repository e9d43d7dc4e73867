package connect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"patchbay/oauth"
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
	conn, err := s.Store.Connection(ctx, app, connector, OwnerOf(user))
	if isNotFound(err) {
		return Token{}, errNotConnected
	}
	if err != nil {
		return Token{}, err
	}
	return s.readToken(ctx, c, conn, margin)
}

func (s *Service) readToken(ctx context.Context, c *Connector, conn Connection, margin time.Duration) (Token, error) {
	if conn.Status != ConnectionConnected {
		return Token{}, errReconnect(&conn)
	}
	tokens, err := s.openTokens(&conn)
	if err != nil {
		return Token{}, err
	}
	if s.due(&conn, margin) {
		fresh, err := s.refreshShared(ctx, c, conn)
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
	ev := s.event(ctx, EventTokenRead, conn.App, conn.Owner.User, conn.Connector)
	ev.Connection = conn.ID
	s.emit(ctx, ev)
	return Token{Connection: conn, AccessToken: vault.NewSecret(tokens.Access)}, nil
}

// due reports whether the access token must be refreshed before it is handed out.
func (s *Service) due(c *Connection, margin time.Duration) bool {
	if c.ExpiresAt.IsZero() {
		return false
	}
	if e, ok := s.Catalog.Entry(c.Type); ok {
		margin = max(margin, e.Refresh.Ahead)
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
	case CodeProviderUnavailable, CodeProviderError, CodeConnectorMisconfigured, errCannotRefresh.Code:
		return true
	}
	return false
}

var errCannotRefresh = refuse("cannot_refresh", "The provider gave no refresh token.")

// refreshShared lets the callers of this process that need the same connection fresh
// share one refresh. The key is the connection's random id, so no two connections
// can meet in it. It goes on when a caller hangs up.
func (s *Service) refreshShared(ctx context.Context, c *Connector, conn Connection) (Connection, error) {
	result := s.refreshes.DoChan(conn.ID, func() (any, error) {
		ctx, done := s.detached(ctx)
		defer done()
		return s.refresh(ctx, c, conn)
	})
	select {
	case <-ctx.Done():
		return Connection{}, ctx.Err()
	case r := <-result:
		fresh, _ := r.Val.(Connection)
		return fresh, r.Err
	}
}

// refresh gets a fresh access token and stores it if the connection is still what it
// was. What somebody else stored in the meantime wins over the answer at hand.
func (s *Service) refresh(ctx context.Context, c *Connector, seen Connection) (Connection, error) {
	conn, err := s.Store.Connection(ctx, seen.App, seen.Connector, seen.Owner)
	if isNotFound(err) || (err == nil && conn.ID != seen.ID) {
		return Connection{}, errChanged
	}
	if err != nil {
		return Connection{}, err
	}
	if conn.Generation != seen.Generation {
		return s.asItIsNow(&conn)
	}
	tokens, err := s.openTokens(&conn)
	if err != nil {
		return Connection{}, err
	}
	if tokens.Refresh == "" {
		if s.alive(&conn) {
			return Connection{}, errCannotRefresh
		}
		return s.needsUser(ctx, &conn, "no_refresh_token")
	}
	reg, err := s.registration(c, conn.Params)
	if err != nil {
		return Connection{}, &Error{Code: CodeConnectorMisconfigured, Message: "This connector is not set up correctly.", Cause: err}
	}
	answer, err := s.OAuth.Refresh(ctx, reg, vault.NewSecret(tokens.Refresh), conn.Scopes)
	if err != nil {
		return s.refreshFailed(ctx, &conn, err)
	}
	return s.storeRefreshed(ctx, c, reg, conn, tokens, answer)
}

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

func (s *Service) storeRefreshed(ctx context.Context, c *Connector, reg oauth.Registration, conn Connection, old storedTokens, t oauth.Tokens) (Connection, error) {
	fresh := storedTokens{Access: t.AccessToken.Reveal(), Refresh: old.Refresh, Previous: old.Previous}
	if next := t.RefreshToken.Reveal(); next != "" && next != old.Refresh {
		fresh.Refresh, fresh.Previous = next, old.Refresh
	}
	r := Refreshed{ID: conn.ID, Generation: conn.Generation}
	if t.Scopes != nil {
		conn.Scopes, conn.Missing = t.Scopes, reg.Entry.Missing(conn.Asked, t.Scopes)
	}
	for k, v := range t.ConnectionConfig {
		if conn.Config == nil {
			conn.Config = map[string]string{}
		}
		conn.Config[k] = v
	}
	conn.Generation++
	conn.TokenType, conn.ObtainedAt, conn.ExpiresAt = t.TokenType, t.ObtainedAt, t.ExpiresAt
	if err := s.sealTokens(&conn, fresh); err != nil {
		return Connection{}, err
	}
	r.Sealed, r.KeyID, r.TokenType = conn.Sealed, conn.KeyID, conn.TokenType
	r.Scopes, r.Missing, r.Config = conn.Scopes, conn.Missing, conn.Config
	r.ObtainedAt, r.ExpiresAt = conn.ObtainedAt, conn.ExpiresAt
	stored, err := s.Store.SaveRefreshed(ctx, r)
	if err != nil {
		return Connection{}, fmt.Errorf("store the refreshed tokens of connection %s: %w", conn.ID, err)
	}
	if stored {
		ev := s.event(ctx, EventTokenRefreshed, conn.App, conn.Owner.User, conn.Connector)
		ev.Connection = conn.ID
		s.emit(ctx, ev)
		return conn, nil
	}
	return s.lateRefresh(ctx, c, reg, conn, t)
}

// lateRefresh deals with an answer that came after the connection had been ended,
// replaced or refreshed by somebody else. A fresh pair without a home is revoked.
func (s *Service) lateRefresh(ctx context.Context, c *Connector, reg oauth.Registration, conn Connection, t oauth.Tokens) (Connection, error) {
	now, err := s.Store.Connection(ctx, conn.App, conn.Connector, conn.Owner)
	if err != nil && !isNotFound(err) {
		return Connection{}, err
	}
	if err == nil && now.ID == conn.ID && now.Account.ID == conn.Account.ID && s.alive(&now) {
		return s.asItIsNow(&now)
	}
	s.revokeFresh(ctx, c, reg, t, conn.Account, now)
	return Connection{}, errChanged
}

// refreshFailed tells a passing failure, the operator's mistake and the end of the
// grant apart. Only the last one needs the user.
func (s *Service) refreshFailed(ctx context.Context, conn *Connection, cause error) (Connection, error) {
	out := &Error{Code: CodeProviderError, Message: "The provider answered the refresh with something that is not a token.", Cause: cause}
	var oe *oauth.Error
	if errors.As(cause, &oe) {
		switch oe.Class {
		case oauth.Throttled, oauth.Transient:
			out.Code, out.Message = CodeProviderUnavailable, "The provider cannot refresh the token right now. Try again later."
			out.RetryAfter = max(oe.RetryAfter, time.Second)
		case oauth.ConnectorFault, oauth.Blocked:
			out.Code, out.Message = CodeConnectorMisconfigured, "The provider does not accept this connector's client. The app's builder has to check its client id and secret."
		case oauth.GrantDead:
			return s.needsUser(ctx, conn, "grant_ended")
		}
	}
	ev := s.event(ctx, EventRefreshFailed, conn.App, conn.Owner.User, conn.Connector)
	ev.Connection, ev.Data = conn.ID, map[string]string{"code": string(out.Code), "cause": cause.Error()}
	s.emit(ctx, ev)
	return Connection{}, out
}

// needsUser marks the connection, unless somebody else has written it since it was
// read: then what they wrote counts.
func (s *Service) needsUser(ctx context.Context, conn *Connection, reason string) (Connection, error) {
	ev := s.connectionEvent(ctx, EventReconnectRequired, conn, nil)
	ev.Data["reason"] = reason
	marked, err := s.Store.MarkReconnect(ctx, conn.ID, conn.Generation, reason, ev)
	if err != nil {
		return Connection{}, err
	}
	if !marked {
		now, err := s.Store.Connection(ctx, conn.App, conn.Connector, conn.Owner)
		if isNotFound(err) || (err == nil && now.ID != conn.ID) {
			return Connection{}, errChanged
		}
		if err != nil {
			return Connection{}, err
		}
		return s.asItIsNow(&now)
	}
	s.emit(ctx, ev)
	conn.Reason = reason
	return Connection{}, errReconnect(conn)
}
