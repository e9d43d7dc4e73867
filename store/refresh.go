package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"patchbay/connect"
)

const refreshColumns = `lease_owner, lease_until, intent_fingerprint, intent_at, retry_at, failures, suspect_at, restored, due_at`

func refreshFields(st *connect.RefreshState) []any {
	return []any{
		&st.LeaseOwner, timeField{&st.LeaseUntil}, &st.Intent, timeField{&st.IntentAt}, timeField{&st.RetryAt},
		&st.Failures, timeField{&st.SuspectAt}, &st.Restored, timeField{&st.DueAt},
	}
}

type refreshRow struct {
	connect.Connection
	state connect.RefreshState
}

func refreshRowFields(r *refreshRow) []any {
	return append(connectionFields(&r.Connection), refreshFields(&r.state)...)
}

const selectRefreshRow = `SELECT ` + connectionColumns + `, ` + refreshColumns + ` FROM connections WHERE id = $1`

// RefreshRow implements connect.Store.
func (s *Store) RefreshRow(ctx context.Context, id string) (connect.Connection, connect.RefreshState, error) {
	same := func(r *refreshRow) bool { return r.ID == id }
	r, err := one(ctx, s.readers, refreshRowFields, same, selectRefreshRow, id)
	return r.Connection, r.state, s.wrap("read a connection to refresh it", err)
}

const claimRefresh = `UPDATE connections SET lease_owner = $3, lease_until = $4, intent_fingerprint = $5, intent_at = $6,
		fingerprint = $7, recoveries = recoveries + $8, generation = generation + 1
	WHERE id = $1 AND generation = $2 AND status = 'connected'`

// ClaimRefresh implements connect.Store.
func (s *Store) ClaimRefresh(ctx context.Context, c connect.Claim) (bool, error) {
	again := 0
	if c.Recovery {
		again = 1
	}
	return s.write(ctx, s.durable, "claim a refresh", func(t tx) (bool, error) {
		n, err := t.exec(claimRefresh, c.ID, c.Generation, c.Owner, millis(c.Until), c.Intent, millis(c.At), c.Fingerprint, again)
		return n == 1, err
	})
}

// Fresh tokens are stored under the claim that they were asked for with, or as long as
// the refresh token that they were traded for is still the one that is stored: whoever
// claimed after us has nothing newer then.
const saveRefreshed = `UPDATE connections SET sealed = $3, key_id = $4, token_type = $5, scopes = $6, missing = $7,
		config = $8, obtained_at = $9, expires_at = $10, status = $11, reason = '', generation = generation + 1,
		fingerprint = $12, due_at = $13, ` + refreshOver + `
	WHERE id = $1 AND (generation = $2 OR (fingerprint = $14 AND fingerprint <> '' AND obtained_at <= $9 AND generation > $2))`

// refreshOver is what a refresh leaves behind.
const refreshOver = `lease_owner = '', lease_until = 0, intent_fingerprint = '', intent_at = 0, retry_at = 0, failures = 0,
		suspect_at = 0, restored = FALSE`

// SaveRefreshed implements connect.Store. Fresh tokens work, so the connection does,
// whatever somebody else made of a refresh that failed.
func (s *Store) SaveRefreshed(ctx context.Context, r connect.Refreshed) (bool, error) {
	return s.write(ctx, s.durable, "save refreshed tokens", func(t tx) (bool, error) {
		n, err := t.exec(saveRefreshed, r.ID, r.Generation, blobField{&r.Sealed}, r.KeyID, r.TokenType,
			jsonField{&r.Scopes}, jsonField{&r.Missing}, jsonField{&r.Config},
			millis(r.ObtainedAt), millis(r.ExpiresAt), connect.ConnectionConnected,
			r.Fingerprint, millis(r.DueAt), r.Parent)
		return n == 1, err
	})
}

const releaseRefresh = `UPDATE connections SET lease_owner = '', lease_until = 0, intent_fingerprint = $3, intent_at = $4,
		retry_at = $5, failures = $6, suspect_at = $7, due_at = $8
	WHERE id = $1 AND generation = $2`

// ReleaseRefresh implements connect.Store.
func (s *Store) ReleaseRefresh(ctx context.Context, id string, generation int64, st connect.RefreshState) (bool, error) {
	return s.write(ctx, s.relaxed, "release a refresh", func(t tx) (bool, error) {
		n, err := t.exec(releaseRefresh, id, generation, st.Intent, millis(st.IntentAt), millis(st.RetryAt), st.Failures, millis(st.SuspectAt), millis(st.DueAt))
		return n == 1, err
	})
}

const setDue = `UPDATE connections SET due_at = $3 WHERE id = $1 AND generation = $2`

// SetDue implements connect.Store.
func (s *Store) SetDue(ctx context.Context, id string, generation int64, due time.Time) error {
	return s.writeAll(ctx, s.relaxed, "put a refresh off", func(t tx) error {
		_, err := t.exec(setDue, id, generation, millis(due))
		return err
	})
}

const markReconnect = `UPDATE connections SET status = $1, reason = $2, updated_at = $3, due_at = 0, ` + refreshOver + `
	WHERE id = $4 AND generation = $5 AND status <> $1`

// MarkReconnect implements connect.Store. It is false also for a connection that is
// marked already, so that the history tells of it once.
func (s *Store) MarkReconnect(ctx context.Context, id string, generation int64, reason string, ev connect.Event) (bool, error) {
	return s.write(ctx, s.durable, "mark a connection", func(t tx) (bool, error) {
		if err := t.lockUser(ev.App, ev.User); err != nil {
			return false, err
		}
		n, err := t.exec(markReconnect, connect.ConnectionReconnectRequired, reason, millis(ev.At), id, generation)
		if err != nil || n == 0 {
			return false, err
		}
		err = t.record(ev)
		return err == nil, err
	})
}

const (
	selectHeld = `SELECT ` + connectionColumns + `, ` + refreshColumns + ` FROM connections WHERE lease_owner <> '' ORDER BY lease_until LIMIT $1`
	selectDue  = `SELECT ` + connectionColumns + `, ` + refreshColumns + ` FROM connections
		WHERE app = $1 AND connector = $2 AND due_at > 0 AND due_at <= $3 AND status = 'connected' AND lease_owner = ''
		ORDER BY due_at LIMIT $4`
	selectDueConnectors = `SELECT app, connector, COUNT(*), MIN(due_at) FROM connections
		WHERE due_at > 0 AND due_at <= $1 GROUP BY app, connector ORDER BY 4`
)

// HeldRefreshes implements connect.Store.
func (s *Store) HeldRefreshes(ctx context.Context, limit int) ([]connect.Refreshing, error) {
	return s.refreshing(ctx, anyRow, selectHeld, limit)
}

// DueRefreshes implements connect.Store.
func (s *Store) DueRefreshes(ctx context.Context, app, connector string, now time.Time, limit int) ([]connect.Refreshing, error) {
	same := func(r *refreshRow) bool { return r.App == app && r.Connector == connector }
	return s.refreshing(ctx, same, selectDue, app, connector, millis(now), limit)
}

func (s *Store) refreshing(ctx context.Context, same func(*refreshRow) bool, query string, args ...any) ([]connect.Refreshing, error) {
	rows, err := list(ctx, s.readers, refreshRowFields, same, query, args...)
	if err != nil {
		return nil, s.wrap("read what is to be refreshed", err)
	}
	out := make([]connect.Refreshing, len(rows))
	for i := range rows {
		out[i] = connect.Refreshing{Connection: rows[i].Connection, State: rows[i].state}
	}
	return out, nil
}

// DueConnectors implements connect.Store.
func (s *Store) DueConnectors(ctx context.Context, now time.Time) ([]connect.DueConnector, error) {
	fields := func(d *connect.DueConnector) []any {
		return []any{&d.App, &d.Connector, &d.Count, timeField{&d.Oldest}}
	}
	all, err := list(ctx, s.readers, fields, anyRow, selectDueConnectors, millis(now))
	return all, s.wrap("read what is due", err)
}

const healthColumns = `app, connector, version, closed_until, cause, window_at, fine, dead, braked_at`

func healthFields(h *connect.Health) []any {
	return []any{
		&h.App, &h.Connector, &h.Version, timeField{&h.ClosedUntil}, &h.Cause, timeField{&h.WindowAt}, &h.Fine, &h.Dead, timeField{&h.BrakedAt},
	}
}

const (
	selectHealth1 = `SELECT ` + healthColumns + ` FROM connector_health WHERE app = $1 AND connector = $2`
	selectHealths = `SELECT ` + healthColumns + ` FROM connector_health ORDER BY app, connector`
	updateHealth  = `UPDATE connector_health SET version = version + 1, closed_until = $4, cause = $5, window_at = $6, fine = $7, dead = $8, braked_at = $9
		WHERE app = $1 AND connector = $2 AND version = $3`
	forgetHealth  = `DELETE FROM connector_health WHERE app = $1`
	forgetRetries = `UPDATE connections SET retry_at = 0 WHERE app = $1 AND retry_at > 0`
)

var insertHealth = `INSERT INTO connector_health (` + healthColumns + `) VALUES (` + placeholders(1, healthColumns) + `)
	ON CONFLICT (app, connector) DO NOTHING`

// Health implements connect.Store.
func (s *Store) Health(ctx context.Context, app, connector string) (connect.Health, error) {
	same := func(h *connect.Health) bool { return h.App == app && h.Connector == connector }
	all, err := list(ctx, s.readers, healthFields, same, selectHealth1, app, connector)
	if err != nil || len(all) == 0 {
		return connect.Health{App: app, Connector: connector}, s.wrap("read a connector's health", err)
	}
	return all[0], nil
}

// Healths implements connect.Store.
func (s *Store) Healths(ctx context.Context) ([]connect.Health, error) {
	all, err := list(ctx, s.readers, healthFields, anyRow, selectHealths)
	return all, s.wrap("read the connectors' health", err)
}

// UpdateHealth implements connect.Store.
func (s *Store) UpdateHealth(ctx context.Context, h connect.Health) (bool, error) {
	return s.write(ctx, s.relaxed, "note a connector's health", func(t tx) (bool, error) {
		query, args := updateHealth, healthFields(&h)
		if h.Version == 0 {
			h.Version = 1
			query, args = insertHealth, healthFields(&h)
		}
		n, err := t.exec(query, args...)
		return n == 1, err
	})
}

const (
	selectEpoch = `SELECT epoch FROM instance`
	bumpEpoch   = `UPDATE instance SET epoch = epoch + 1`
	raiseEpoch  = `UPDATE instance SET epoch = $1 WHERE epoch < $1`
)

const (
	selectID = `SELECT id FROM instance`
	setID    = `UPDATE instance SET id = $1 WHERE id = ''`
)

// ID names the database: it and its copies, and no other.
func (s *Store) ID(ctx context.Context) (string, error) {
	var id string
	err := s.writeAll(ctx, s.durable, "name the database", func(t tx) error {
		if _, err := t.exec(setID, strings.ToLower(rand.Text()[:12])); err != nil {
			return err
		}
		return t.QueryRowContext(t.ctx, selectID).Scan(&id)
	})
	return id, err
}

// Epoch implements connect.Store.
func (s *Store) Epoch(ctx context.Context) (int64, error) {
	n, err := s.readers.number(ctx, selectEpoch)
	return n, s.wrap("read the epoch", err)
}

// BumpEpoch implements connect.Store.
func (s *Store) BumpEpoch(ctx context.Context, atLeast int64) (int64, error) {
	var epoch int64
	err := s.writeAll(ctx, s.durable, "count the epoch", func(t tx) error {
		if _, err := t.exec(raiseEpoch, atLeast); err != nil {
			return err
		}
		if _, err := t.exec(bumpEpoch); err != nil {
			return err
		}
		return t.QueryRowContext(t.ctx, selectEpoch).Scan(&epoch)
	})
	return epoch, err
}

const (
	selectRefreshable = `SELECT id FROM connections WHERE fingerprint <> '' AND status = 'connected' AND id > $1 ORDER BY id LIMIT $2`
	countRefreshable  = `SELECT COUNT(*) FROM connections WHERE fingerprint <> '' AND status = 'connected'`
	suspectRestored   = `UPDATE connections SET intent_fingerprint = fingerprint, intent_at = $2, restored = TRUE, due_at = $3,
		lease_owner = '', lease_until = 0, retry_at = 0, generation = generation + 1 WHERE id = $1 AND status = 'connected'`
)

// SuspectAll implements connect.Store.
func (s *Store) SuspectAll(ctx context.Context, now time.Time, over time.Duration) (int, error) {
	all, err := s.readers.number(ctx, countRefreshable)
	if err != nil {
		return 0, s.wrap("count what can be refreshed", err)
	}
	done, after := 0, ""
	for {
		ids, err := list(ctx, s.readers, func(id *string) []any { return []any{id} }, anyRow, selectRefreshable, after, 500)
		if err != nil || len(ids) == 0 {
			return done, s.wrap("read what can be refreshed", err)
		}
		err = s.writeAll(ctx, s.durable, "suspect what was restored", func(t tx) error {
			for i, id := range ids {
				due := now.Add(over * time.Duration(done+i) / time.Duration(max(1, all)))
				if _, err := t.exec(suspectRestored, id, millis(now), millis(due)); err != nil {
					return fmt.Errorf("connection %s: %w", id, err)
				}
			}
			return nil
		})
		if err != nil {
			return done, err
		}
		done, after = done+len(ids), ids[len(ids)-1]
	}
}
