package store

import (
	"bytes"
	"context"
	"time"

	"patchbay/connect"
)

// flowKey says which flow it is: none of it ever changes. Its version is $5.
const (
	flowKey  = `id, app, connector, user_id, version`
	flowBody = `mode, user_name, user_email, status, code, state_hash, cookie_hash, sealed, need, proofs, scopes,
		params, return_url, lang, session, reconnect, result_hash, result_expires, connection, detail,
		created_at, moved_at, finished_at`
	flowColumns = flowKey + `, ` + flowBody
)

func flowFields(f *connect.Flow) []any {
	return []any{
		&f.ID, &f.App, &f.Connector, &f.User.ID, &f.Version,
		&f.Mode, &f.User.Name, &f.User.Email, &f.Status, &f.Code,
		blobField{&f.StateHash}, blobField{&f.CookieHash}, blobField{&f.Sealed}, &f.Need,
		jsonField{&f.Proofs}, jsonField{&f.Scopes}, jsonField{&f.Params},
		&f.ReturnURL, &f.Lang, &f.Session, &f.Reconnect,
		blobField{&f.ResultHash}, timeField{&f.ResultExpires}, &f.Connection, jsonField{&f.Detail},
		timeField{&f.CreatedAt}, timeField{&f.MovedAt}, timeField{&f.FinishedAt},
	}
}

// unfinished are the statuses that are not final.
const unfinished = `status IN ('created', 'started', 'returned', 'verifying', 'exchanging')`

const useNonce = `INSERT INTO used_tickets (nonce, expires_at) VALUES ($1, $2) ON CONFLICT (nonce) DO NOTHING`

var insertFlow = `INSERT INTO flows (` + flowColumns + `) VALUES (` + placeholders(1, flowColumns) + `)`

// CreateFlow implements connect.Store.
func (s *Store) CreateFlow(ctx context.Context, f connect.Flow, nonce []byte, nonceExpires time.Time, ev connect.Event) (bool, error) {
	return s.write(ctx, s.relaxed, "create a flow", func(t tx) (bool, error) {
		if err := t.lockUser(f.App, f.User.ID); err != nil {
			return false, err
		}
		n, err := t.exec(useNonce, nonce, millis(nonceExpires))
		if err != nil || n == 0 {
			return false, err
		}
		if _, err := t.exec(insertFlow, flowFields(&f)...); err != nil {
			return false, err
		}
		err = t.record(ev)
		return err == nil, err
	})
}

const countOpenFlows = `SELECT COUNT(*) FROM flows WHERE app = $1 AND finished_at = 0`

// CountOpenFlows implements connect.Store.
func (s *Store) CountOpenFlows(ctx context.Context, app string) (int, error) {
	n, err := s.readers.number(ctx, countOpenFlows, app)
	return int(n), s.wrap("count flows", err)
}

const (
	selectFlow        = `SELECT ` + flowColumns + ` FROM flows WHERE id = $1`
	selectFlowByState = `SELECT ` + flowColumns + ` FROM flows WHERE state_hash = $1`
)

// Flow implements connect.Store.
func (s *Store) Flow(ctx context.Context, id string) (connect.Flow, error) {
	same := func(f *connect.Flow) bool { return f.ID == id }
	f, err := one(ctx, s.readers, flowFields, same, selectFlow, id)
	return f, s.wrap("read a flow", err)
}

// FlowByState implements connect.Store.
func (s *Store) FlowByState(ctx context.Context, stateHash []byte) (connect.Flow, error) {
	same := func(f *connect.Flow) bool { return bytes.Equal(f.StateHash, stateHash) }
	f, err := one(ctx, s.readers, flowFields, same, selectFlowByState, stateHash)
	return f, s.wrap("read a flow by its state", err)
}

var updateFlow = `UPDATE flows SET (` + flowBody + `) = (` + placeholders(6, flowBody) + `), version = version + 1
	WHERE id = $1 AND app = $2 AND connector = $3 AND user_id = $4 AND version = $5`

// UpdateFlow implements connect.Store. A flow cannot move to another app, connector
// or user: one that says so matches nothing.
func (s *Store) UpdateFlow(ctx context.Context, f connect.Flow, events ...connect.Event) (bool, error) {
	return s.write(ctx, s.relaxed, "update a flow", func(t tx) (bool, error) {
		if err := t.lockUser(f.App, f.User.ID); err != nil {
			return false, err
		}
		n, err := t.exec(updateFlow, flowFields(&f)...)
		if err != nil || n == 0 {
			return false, err
		}
		err = t.record(events...)
		return err == nil, err
	})
}

const selectOpenFlows = `SELECT ` + flowColumns + ` FROM flows WHERE app = $1 AND user_id = $2 AND ` + unfinished + `
	ORDER BY created_at, id`

// OpenFlows implements connect.Store. They are in the order in which they began.
func (s *Store) OpenFlows(ctx context.Context, app, user string) ([]connect.Flow, error) {
	same := func(f *connect.Flow) bool { return f.App == app && f.User.ID == user }
	flows, err := list(ctx, s.readers, flowFields, same, selectOpenFlows, app, user)
	return flows, s.wrap("read open flows", err)
}

const selectSessionFlows = `SELECT ` + flowColumns + ` FROM flows WHERE app = $1 AND session = $2 ORDER BY created_at, id`

// SessionFlows implements connect.Store.
func (s *Store) SessionFlows(ctx context.Context, app, session string) ([]connect.Flow, error) {
	same := func(f *connect.Flow) bool { return f.App == app && f.Session == session }
	flows, err := list(ctx, s.readers, flowFields, same, selectSessionFlows, app, session)
	return flows, s.wrap("read the flows of a session", err)
}

const selectStaleFlows = `SELECT ` + flowColumns + ` FROM flows WHERE ` + unfinished + ` AND moved_at < $1
	ORDER BY moved_at, id LIMIT $2`

// StaleFlows implements connect.Store. The ones that wait longest come first.
func (s *Store) StaleFlows(ctx context.Context, before time.Time, limit int) ([]connect.Flow, error) {
	same := func(f *connect.Flow) bool { return f.MovedAt.Before(before) && !f.Status.Final() }
	flows, err := list(ctx, s.readers, flowFields, same, selectStaleFlows, millis(before), limit)
	return flows, s.wrap("read stale flows", err)
}

const insertParked = `INSERT INTO parked (id_hash, sealed, expires_at) VALUES ($1, $2, $3)`

// Park implements connect.Store.
func (s *Store) Park(ctx context.Context, idHash, sealed []byte, expires time.Time) error {
	return s.writeAll(ctx, s.relaxed, "park a callback", func(t tx) error {
		_, err := t.exec(insertParked, idHash, sealed, millis(expires))
		return err
	})
}

const (
	selectParked = `SELECT id_hash, sealed FROM parked WHERE id_hash = $1 AND expires_at > $2`
	dropParked   = `DELETE FROM parked WHERE id_hash = $1`
)

// Parked implements connect.Store.
func (s *Store) Parked(ctx context.Context, idHash []byte, now time.Time) ([]byte, error) {
	type parked struct{ idHash, sealed []byte }
	fields := func(p *parked) []any { return []any{blobField{&p.idHash}, blobField{&p.sealed}} }
	same := func(p *parked) bool { return bytes.Equal(p.idHash, idHash) }
	p, err := one(ctx, s.readers, fields, same, selectParked, idHash, millis(now))
	return p.sealed, s.wrap("read a parked callback", err)
}

// Unpark implements connect.Store.
func (s *Store) Unpark(ctx context.Context, idHash []byte) error {
	return s.writeAll(ctx, s.relaxed, "drop a parked callback", func(t tx) error {
		_, err := t.exec(dropParked, idHash)
		return err
	})
}
