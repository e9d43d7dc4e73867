package connect

import (
	"context"
	"maps"
	"strconv"
	"sync"

	"patchbay/oauth"
	"patchbay/vault"
)

// Disconnected tells how a disconnect went.
type Disconnected struct {
	Removed bool
	Revoked oauth.Revoked
	// Receipt is the id of the record of it, "" when nothing was removed.
	Receipt string
}

// DisconnectAppUser removes the end user's connection of the connector and then asks
// the provider to revoke it. The removal never waits for the provider: it has
// happened, whatever Revoked says. Nothing connected is not an error.
func (s *Service) DisconnectAppUser(ctx context.Context, app, connector, user string) (Disconnected, error) {
	_, c, err := s.userConnector(ctx, app, connector)
	if err != nil {
		return Disconnected{}, err
	}
	return s.disconnect(ctx, c, OwnerOf(user))
}

func (s *Service) disconnect(ctx context.Context, c *Connector, o Owner) (Disconnected, error) {
	var ev Event
	conn, err := s.Store.Disconnect(ctx, c.App, c.ID, o, func(gone *Connection) Event {
		ev = s.connectionEvent(ctx, EventDisconnected, gone, nil)
		ev.Data["revoked"] = string(oauth.RevokedUnknown)
		return ev
	})
	if isNotFound(err) {
		return Disconnected{Revoked: oauth.RevokedUnsupported}, nil
	}
	if err != nil {
		return Disconnected{}, err
	}
	out := Disconnected{Removed: true, Receipt: ev.ID, Revoked: s.revoke(ctx, c, &conn)}
	ev.Data = maps.Clone(ev.Data)
	ev.Data["revoked"] = string(out.Revoked)
	if err := s.Store.SetEventData(context.WithoutCancel(ctx), ev.ID, ev.Data); err != nil && !isNotFound(err) {
		return out, err
	}
	s.emit(ctx, ev)
	return out, nil
}

// revoke asks the provider to end the grant of a connection that is gone here.
func (s *Service) revoke(ctx context.Context, c *Connector, conn *Connection) oauth.Revoked {
	ctx, done := s.detached(ctx)
	defer done()
	tokens, err := s.openTokens(conn)
	if err != nil {
		return oauth.RevokedUnknown
	}
	reg, err := s.registration(c, conn.Params)
	if err != nil {
		return oauth.RevokedUnknown
	}
	if reg.Endpoints.Revoke != "" && reg.Entry.Revoke.Token == "access" && !s.alive(conn) && tokens.Refresh != "" {
		// Revoking a token that ran out would end nothing: the grant lives on in the
		// refresh token, which this provider does not take.
		fresh, err := s.OAuth.Refresh(ctx, reg, vault.NewSecret(tokens.Refresh), conn.Scopes)
		switch {
		case oauth.ClassOf(err) == oauth.GrantDead:
			return oauth.RevokedYes // it was dead already
		case err != nil:
			return oauth.RevokedUnknown
		}
		tokens.Access, tokens.Refresh = fresh.AccessToken.Reveal(), fresh.RefreshToken.Reveal()
	}
	return s.OAuth.Revoke(ctx, reg, oauth.Tokens{
		AccessToken: vault.NewSecret(tokens.Access), RefreshToken: vault.NewSecret(tokens.Refresh),
		TokenType: conn.TokenType, ConnectionConfig: conn.Config,
	})
}

// RevokeSupported reports whether the provider of a connection has a way to revoke.
func (s *Service) RevokeSupported(c *Connector, conn *Connection) bool {
	reg, err := s.registration(c, conn.Params)
	return err == nil && reg.Endpoints.Revoke != ""
}

// DeleteUser disconnects and revokes everything of an end user and removes all that
// is kept about them. It returns how many connections there were; a user who is not
// known has none.
func (s *Service) DeleteUser(ctx context.Context, app, user string) (int, error) {
	a, err := s.App(ctx, app)
	if err != nil || user == "" { // nobody: what the app shares is not a user's
		return 0, err
	}
	if err := s.Store.ForgetUser(ctx, app, user); err != nil {
		return 0, err
	}
	conns, err := s.Store.UserConnections(ctx, app, user)
	if err != nil {
		return 0, err
	}
	if err := s.disconnectAll(ctx, a, conns, nil); err != nil {
		return 0, err
	}
	// Once more: what the removals themselves wrote down.
	return len(conns), s.Store.ForgetUser(ctx, app, user)
}

// disconnectAll removes connections, four at a time because each waits for a provider.
// done is told of each, one after the other; nil tells nobody.
func (s *Service) disconnectAll(ctx context.Context, a *App, conns []Connection, done func(Disconnected)) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		slots = make(chan struct{}, 4)
	)
	for i := range conns {
		c, ok := a.Connector(conns[i].Connector)
		if !ok {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			d, err := s.disconnect(ctx, c, conns[i].Owner)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && first == nil {
				first = err
			}
			if done != nil {
				done(d)
			}
		})
	}
	wg.Wait()
	return first
}

// Breached counts what Breach removed, and by what the provider said.
type Breached struct {
	Removed int
	Revoked map[oauth.Revoked]int // all four answers are keys
}

// Breach removes every connection of a user connector and asks the provider to revoke
// each, four at a time. What the provider said is counted. It goes on when the caller
// hangs up; whatever stops it, asking again goes on with what is left.
func (s *Service) Breach(ctx context.Context, app, connector string) (Breached, error) {
	a, _, err := s.userConnector(ctx, app, connector)
	if err != nil {
		return Breached{}, err
	}
	ctx = context.WithoutCancel(ctx)
	conns, err := s.Store.ConnectorConnections(ctx, app, connector)
	if err != nil {
		return Breached{}, err
	}
	out := Breached{Revoked: map[oauth.Revoked]int{
		oauth.RevokedYes: 0, oauth.RevokedNo: 0, oauth.RevokedUnsupported: 0, oauth.RevokedUnknown: 0,
	}}
	err = s.disconnectAll(ctx, a, conns, func(d Disconnected) {
		if d.Removed {
			out.Removed++
			out.Revoked[d.Revoked]++
		}
	})
	return out, err
}

// describeConnections counts for people: "1 connection", "3 connections".
func describeConnections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return strconv.Itoa(n) + " connections"
}
