package store

import (
	"context"
	"time"

	"patchbay/connect"
)

const sharedRequestColumns = `id, app, connector, session, scopes, connected, created_at`

func sharedRequestFields(r *connect.SharedRequest) []any {
	return []any{&r.ID, &r.App, &r.Connector, &r.Session, jsonField{&r.Scopes}, &r.Connected, timeField{&r.CreatedAt}}
}

const (
	// lockConnector keeps two requests for one connector apart.
	lockConnector       = `UPDATE connectors SET position = position WHERE app = $1 AND id = $2`
	newestSharedRequest = `SELECT ` + sharedRequestColumns + ` FROM shared_requests WHERE app = $1 AND connector = $2
		ORDER BY created_at DESC, id DESC LIMIT 1`
	dropSharedRequests = `DELETE FROM shared_requests WHERE app = $1 AND connector = $2 AND created_at < $3`
)

var insertSharedRequest = `INSERT INTO shared_requests (` + sharedRequestColumns + `)
	VALUES (` + placeholders(1, sharedRequestColumns) + `)`

// RequestShared implements connect.Store.
func (s *Store) RequestShared(ctx context.Context, r connect.SharedRequest, cs connect.ConnectSession, after string, forgetBefore time.Time) (bool, error) {
	return s.write(ctx, s.durable, "request a shared connection", func(t tx) (bool, error) {
		if n, err := t.exec(lockConnector, r.App, r.Connector); err != nil || n == 0 {
			return false, err
		}
		same := func(o *connect.SharedRequest) bool { return o.App == r.App && o.Connector == r.Connector }
		newest, err := list(t.ctx, t, sharedRequestFields, same, newestSharedRequest, r.App, r.Connector)
		if err != nil {
			return false, err
		}
		newest = append(newest, connect.SharedRequest{})
		if newest[0].ID != after {
			return false, nil
		}
		if after != "" {
			if _, err := t.exec(endConnectSession, millis(r.CreatedAt), r.App, newest[0].Session); err != nil {
				return false, err
			}
		}
		if _, err := t.exec(dropSharedRequests, r.App, r.Connector, millis(forgetBefore)); err != nil {
			return false, err
		}
		if _, err := t.exec(insertConnectSession, connectSessionFields(&cs)...); err != nil {
			return false, err
		}
		_, err = t.exec(insertSharedRequest, sharedRequestFields(&r)...)
		return err == nil, err
	})
}

const selectSharedRequests = `SELECT ` + sharedRequestColumns + ` FROM shared_requests WHERE app = $1
	ORDER BY created_at DESC, id DESC`

// SharedRequests implements connect.Store.
func (s *Store) SharedRequests(ctx context.Context, app string) ([]connect.SharedRequest, error) {
	same := func(r *connect.SharedRequest) bool { return r.App == app }
	all, err := list(ctx, s.readers, sharedRequestFields, same, selectSharedRequests, app)
	return all, s.wrap("read the shared requests", err)
}

const endSharedLinks = `UPDATE connect_sessions SET ended_at = $1 WHERE app = $2 AND ended_at = 0
	AND id IN (SELECT session FROM shared_requests WHERE app = $2 AND connector = $3)`

// ForgetShared implements connect.Store.
func (s *Store) ForgetShared(ctx context.Context, app, connector string, now time.Time) error {
	return s.writeAll(ctx, s.durable, "forget the shared requests", func(t tx) error {
		if _, err := t.exec(endSharedLinks, millis(now), app, connector); err != nil {
			return err
		}
		_, err := t.exec(`DELETE FROM shared_requests WHERE app = $1 AND connector = $2`, app, connector)
		return err
	})
}

const sharedConnected = `UPDATE shared_requests SET connected = TRUE WHERE app = $1 AND connector = $2 AND session = $3`
