package store

import (
	"bytes"
	"context"
	"time"

	"patchbay/connect"
)

const connectSessionColumns = `id, app, mode, user_id, user_name, user_email, connectors, origin, return_url, lang, parent,
	scopes, url_hash, token_hash, created_at, expires_at, used_at, ended_at`

func connectSessionFields(cs *connect.ConnectSession) []any {
	return []any{
		&cs.ID, &cs.App, &cs.Mode, &cs.User.ID, &cs.User.Name, &cs.User.Email, jsonField{&cs.Connectors},
		&cs.Origin, &cs.ReturnURL, &cs.Lang, &cs.Parent, jsonField{&cs.Scopes}, blobField{&cs.URLHash}, blobField{&cs.TokenHash},
		timeField{&cs.CreatedAt}, timeField{&cs.ExpiresAt}, timeField{&cs.UsedAt}, timeField{&cs.EndedAt},
	}
}

var insertConnectSession = `INSERT INTO connect_sessions (` + connectSessionColumns + `)
	VALUES (` + placeholders(1, connectSessionColumns) + `)`

// CreateConnectSession implements connect.Store.
func (s *Store) CreateConnectSession(ctx context.Context, cs connect.ConnectSession) error {
	return s.writeAll(ctx, s.relaxed, "create a connect session", func(t tx) error {
		_, err := t.exec(insertConnectSession, connectSessionFields(&cs)...)
		return err
	})
}

const (
	selectConnectSession        = `SELECT ` + connectSessionColumns + ` FROM connect_sessions WHERE app = $1 AND id = $2`
	selectConnectSessionByURL   = `SELECT ` + connectSessionColumns + ` FROM connect_sessions WHERE url_hash = $1`
	selectConnectSessionByToken = `SELECT ` + connectSessionColumns + ` FROM connect_sessions WHERE app = $1 AND token_hash = $2`
)

// ConnectSession implements connect.Store.
func (s *Store) ConnectSession(ctx context.Context, app, id string) (connect.ConnectSession, error) {
	same := func(cs *connect.ConnectSession) bool { return cs.App == app && cs.ID == id }
	return s.connectSession(ctx, same, selectConnectSession, app, id)
}

// ConnectSessionByURL implements connect.Store.
func (s *Store) ConnectSessionByURL(ctx context.Context, urlHash []byte) (connect.ConnectSession, error) {
	same := func(cs *connect.ConnectSession) bool { return bytes.Equal(cs.URLHash, urlHash) }
	return s.connectSession(ctx, same, selectConnectSessionByURL, urlHash)
}

// ConnectSessionByToken implements connect.Store.
func (s *Store) ConnectSessionByToken(ctx context.Context, app string, tokenHash []byte) (connect.ConnectSession, error) {
	same := func(cs *connect.ConnectSession) bool { return cs.App == app && bytes.Equal(cs.TokenHash, tokenHash) }
	return s.connectSession(ctx, same, selectConnectSessionByToken, app, tokenHash)
}

func (s *Store) connectSession(ctx context.Context, same func(*connect.ConnectSession) bool, query string, args ...any) (connect.ConnectSession, error) {
	cs, err := one(ctx, s.readers, connectSessionFields, same, query, args...)
	return cs, s.wrap("read a connect session", err)
}

const (
	endConnectSession = `UPDATE connect_sessions SET ended_at = CASE ended_at WHEN 0 THEN $1 ELSE ended_at END
		WHERE app = $2 AND id = $3`
	endConnectSessionLinks = `UPDATE connect_sessions SET ended_at = $1 WHERE app = $2 AND parent = $3 AND ended_at = 0`
	endConnectedBrowsers   = `DELETE FROM browser_sessions WHERE app = $1 AND (session = $2
		OR session IN (SELECT id FROM connect_sessions WHERE app = $1 AND parent = $2))`
)

// EndConnectSession implements connect.Store. One that has ended before is found, and
// keeps the time at which it did.
func (s *Store) EndConnectSession(ctx context.Context, app, id string, now time.Time) (bool, error) {
	return s.write(ctx, s.durable, "end a connect session", func(t tx) (bool, error) {
		n, err := t.exec(endConnectSession, millis(now), app, id)
		if err != nil || n == 0 {
			return false, err
		}
		if _, err := t.exec(endConnectSessionLinks, millis(now), app, id); err != nil {
			return false, err
		}
		_, err = t.exec(endConnectedBrowsers, app, id)
		return err == nil, err
	})
}

const browserSessionColumns = `hash, app, user_id, user_name, user_email, connectors, session, return_url, lang,
	created_at, expires_at, login, seen_at`

func browserSessionFields(b *connect.BrowserSession) []any {
	return []any{
		blobField{&b.Hash}, &b.App, &b.User.ID, &b.User.Name, &b.User.Email, jsonField{&b.Connectors},
		&b.Session, &b.ReturnURL, &b.Lang, timeField{&b.CreatedAt}, timeField{&b.ExpiresAt},
		&b.Login, timeField{&b.SeenAt},
	}
}

const selectBrowserSessions = `SELECT ` + browserSessionColumns + ` FROM browser_sessions
	WHERE hash = $1 AND expires_at > $2 ORDER BY app`

// BrowserSessions implements connect.Store. They are in the order of their apps.
func (s *Store) BrowserSessions(ctx context.Context, hash []byte, now time.Time) ([]connect.BrowserSession, error) {
	same := func(b *connect.BrowserSession) bool { return bytes.Equal(b.Hash, hash) }
	all, err := list(ctx, s.readers, browserSessionFields, same, selectBrowserSessions, hash, millis(now))
	return all, s.wrap("read browser sessions", err)
}

const (
	useTicket = `UPDATE connect_sessions SET used_at = $1
		WHERE app = $2 AND id = $3 AND used_at = 0 AND ended_at = 0 AND expires_at > $1`
	clearBrowser = `DELETE FROM browser_sessions WHERE hash = $2
		AND app IN (SELECT app FROM browser_sessions WHERE hash = $1)`
	moveBrowser = `UPDATE browser_sessions SET hash = $2 WHERE hash = $1`
)

var insertBrowserSession = `INSERT INTO browser_sessions (` + browserSessionColumns + `)
	VALUES (` + placeholders(1, browserSessionColumns) + `)`

// OpenBrowserSession implements connect.Store.
func (s *Store) OpenBrowserSession(ctx context.Context, oldHash []byte, b connect.BrowserSession, now time.Time) (bool, error) {
	return s.write(ctx, s.relaxed, "open a browser session", func(t tx) (bool, error) {
		if !b.Login {
			if n, err := t.exec(useTicket, millis(now), b.App, b.Session); err != nil || n == 0 {
				return false, err
			}
		}
		if err := t.moveBrowser(oldHash, b.Hash); err != nil {
			return false, err
		}
		// The app's own former identity, moved with the others, makes room.
		if _, err := t.exec(dropBrowser, b.Hash, b.App); err != nil {
			return false, err
		}
		_, err := t.exec(insertBrowserSession, browserSessionFields(&b)...)
		return err == nil, err
	})
}

const touchBrowser = `UPDATE browser_sessions SET seen_at = $1 WHERE hash = $2 AND app = $3 AND seen_at < $1`

// TouchBrowserSession implements connect.Store.
func (s *Store) TouchBrowserSession(ctx context.Context, hash []byte, app string, seen time.Time) error {
	return s.writeAll(ctx, s.relaxed, "note the use of a session", func(t tx) error {
		_, err := t.exec(touchBrowser, millis(seen), hash, app)
		return err
	})
}

const dropBrowserWhole = `DELETE FROM browser_sessions WHERE hash = $1`

// EndBrowserSession implements connect.Store.
func (s *Store) EndBrowserSession(ctx context.Context, hash []byte, app string) error {
	return s.writeAll(ctx, s.durable, "end a browser session", func(t tx) error {
		if app == "" {
			return t.execAll([]any{hash}, dropBrowserWhole, dropBuilderWhole)
		}
		_, err := t.exec(dropBrowser, hash, app)
		return err
	})
}
