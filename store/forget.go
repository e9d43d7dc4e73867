package store

import (
	"context"
	"time"

	"patchbay/connect"
)

// ForgetUser implements connect.Store.
func (s *Store) ForgetUser(ctx context.Context, app, user string) error {
	return s.writeAll(ctx, s.durable, "forget a user", func(t tx) error {
		return t.execAll([]any{app, user},
			`DELETE FROM connect_sessions WHERE app = $1 AND user_id = $2`,
			`DELETE FROM browser_sessions WHERE app = $1 AND user_id = $2`,
			`DELETE FROM flows WHERE app = $1 AND user_id = $2`,
			`DELETE FROM events WHERE app = $1 AND user_id = $2`)
	})
}

// A connect session is kept for as long as a browser session or a link that hangs on
// it, because whoever ends it ends them by it.
const (
	sweepBrowserSessions = `DELETE FROM browser_sessions WHERE expires_at <= $1 AND (hash, app) IN
		(SELECT hash, app FROM browser_sessions WHERE expires_at <= $1 LIMIT $2)`
	sweepBuilderSessions = `DELETE FROM builder_sessions WHERE expires_at <= $1 AND (hash, app) IN
		(SELECT hash, app FROM builder_sessions WHERE expires_at <= $1 LIMIT $2)`
	// A frame that outlives its session by up to a day is told so in its own page.
	overConnectSession = `expires_at <= $1 AND (mode <> 'embed' OR expires_at <= $1 - 86400000)
		AND NOT EXISTS (SELECT 1 FROM browser_sessions AS b WHERE b.session = connect_sessions.id)
		AND NOT EXISTS (SELECT 1 FROM connect_sessions AS l
			WHERE l.app = connect_sessions.app AND l.parent = connect_sessions.id AND l.expires_at > $1)`
	sweepConnectSessions = `DELETE FROM connect_sessions WHERE ` + overConnectSession + ` AND id IN
		(SELECT id FROM connect_sessions WHERE ` + overConnectSession + ` LIMIT $2)`
	sweepTickets = `DELETE FROM used_tickets WHERE expires_at <= $1 AND nonce IN
		(SELECT nonce FROM used_tickets WHERE expires_at <= $1 LIMIT $2)`
	sweepParked = `DELETE FROM parked WHERE expires_at <= $1 AND id_hash IN
		(SELECT id_hash FROM parked WHERE expires_at <= $1 LIMIT $2)`
	sweepStarts = `DELETE FROM events WHERE kind = 'flow.started' AND at < $1 AND id IN
		(SELECT id FROM events WHERE kind = 'flow.started' AND at < $1 LIMIT $2)`
	sweepExpired = `DELETE FROM flows WHERE status = 'expired' AND finished_at <> 0 AND finished_at < $1 AND id IN
		(SELECT id FROM flows WHERE status = 'expired' AND finished_at <> 0 AND finished_at < $1 LIMIT $2)`
	// Flows beyond a user's newest are over; one at the provider's token endpoint is left alone.
	trimFlows = `UPDATE flows SET status = 'expired', code = 'expired', sealed = NULL, result_hash = NULL, result_expires = 0,
			moved_at = $1, finished_at = $1, version = version + 1
		WHERE status IN ('created', 'started') AND id IN
			(SELECT id FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY app, user_id ORDER BY created_at DESC, id) AS place
				FROM flows WHERE finished_at = 0) AS open WHERE place > $2)`
	sweepFlows = `DELETE FROM flows WHERE finished_at <> 0 AND finished_at < $1 AND id IN
		(SELECT id FROM flows WHERE finished_at <> 0 AND finished_at < $1 LIMIT $2)`
)

// Sweep implements connect.Store. It takes the lock for one batch at a time, and then
// removes what deleted and overwritten rows left outside of the tables.
func (s *Store) Sweep(ctx context.Context, now, finishedBefore time.Time) error {
	for _, sweep := range []struct {
		query  string
		before time.Time
	}{
		{sweepBrowserSessions, now}, // before the connect sessions that they hold
		{sweepBuilderSessions, now},
		{sweepConnectSessions, now},
		{sweepTickets, now},
		{sweepParked, now},
		{sweepExpired, now.Add(-time.Hour)},
		{sweepFlows, finishedBefore},
		{sweepStarts, finishedBefore},
		{sweepArrived, finishedBefore},
	} {
		if err := s.sweep(ctx, sweep.query, sweep.before); err != nil {
			return err
		}
	}
	err := s.writeAll(ctx, s.relaxed, "trim flows", func(t tx) error {
		_, err := t.exec(trimFlows, millis(now), connect.MaxUserFlows)
		return err
	})
	if err != nil {
		return err
	}
	if s.clean == nil || !s.dirty.Swap(false) {
		return nil
	}
	if err := s.clean(ctx); err != nil {
		s.dirty.Store(true)
		return s.wrap("clean up", err)
	}
	return nil
}

const sweepBatch = 1000

func (s *Store) sweep(ctx context.Context, query string, before time.Time) error {
	for {
		var n int64
		_, err := s.write(ctx, s.relaxed, "sweep", func(t tx) (bool, error) {
			var err error
			n, err = t.exec(query, millis(before), sweepBatch)
			return n > 0, err
		})
		if err != nil || n < sweepBatch {
			return err
		}
	}
}
