package store

import (
	"context"
	"time"

	"patchbay/connect"
)

const deliveryColumns = `id, app, url, kind, user_id, body, created_at, next_at, attempts, state, answer, ended_at`

func deliveryFields(d *connect.Delivery) []any {
	return []any{
		&d.ID, &d.App, &d.URL, &d.Kind, &d.User, &d.Body, timeField{&d.CreatedAt}, timeField{&d.NextAt},
		&d.Attempts, &d.State, &d.Answer, timeField{&d.EndedAt},
	}
}

var insertDelivery = `INSERT INTO deliveries (` + deliveryColumns + `) VALUES (` + placeholders(1, deliveryColumns) + `)`

// The condition stands in the outer statement too: of two instances that choose the same
// row, the second finds it taken.
const (
	takeDeliveries = `UPDATE deliveries SET next_at = $2, attempts = attempts + 1
		WHERE state = 'waiting' AND next_at <= $1 AND id IN
			(SELECT id FROM deliveries WHERE state = 'waiting' AND next_at <= $1 ORDER BY next_at LIMIT $3)
		RETURNING ` + deliveryColumns
	endDelivery    = `UPDATE deliveries SET state = $2, answer = $3, next_at = $4, ended_at = $5 WHERE id = $1 AND attempts = $6`
	listDeliveries = `SELECT ` + deliveryColumns + ` FROM deliveries WHERE app = $1 ORDER BY created_at DESC, id LIMIT $2`
	againDelivery  = `UPDATE deliveries SET state = 'waiting', next_at = $3, attempts = 0, ended_at = 0 WHERE app = $1 AND id = $2 AND state <> 'waiting'`
	countWaiting   = `SELECT COUNT(*) FROM deliveries WHERE state = 'waiting'`
	sweepArrived   = `DELETE FROM deliveries WHERE ended_at > 0 AND ended_at < $1 AND id IN
		(SELECT id FROM deliveries WHERE ended_at > 0 AND ended_at < $1 LIMIT $2)`
)

// TakeDeliveries returns deliveries whose time has come and counts the try; nobody else
// gets them until then.
func (s *Store) TakeDeliveries(ctx context.Context, now, until time.Time, limit int) ([]connect.Delivery, error) {
	n, err := s.readers.number(ctx, `SELECT COUNT(*) FROM deliveries WHERE state = 'waiting' AND next_at <= $1`, millis(now))
	if err != nil || n == 0 { // most of the time; a write would keep others waiting
		return nil, s.wrap("look for deliveries", err)
	}
	var out []connect.Delivery
	err = s.writeAll(ctx, s.relaxed, "take deliveries", func(t tx) error {
		var err error
		out, err = list(t.ctx, t, deliveryFields, anyRow, takeDeliveries, millis(now), millis(until), limit)
		return err
	})
	return out, err
}

// EndDelivery writes how a try went: the state, the answer and the time of the next try.
func (s *Store) EndDelivery(ctx context.Context, d connect.Delivery) error {
	return s.writeAll(ctx, s.relaxed, "end a delivery", func(t tx) error {
		_, err := t.exec(endDelivery, d.ID, d.State, d.Answer, millis(d.NextAt), millis(d.EndedAt), d.Attempts)
		return err
	})
}

// Deliveries implements connect.Store.
func (s *Store) Deliveries(ctx context.Context, app string, limit int) ([]connect.Delivery, error) {
	same := func(d *connect.Delivery) bool { return d.App == app }
	all, err := list(ctx, s.readers, deliveryFields, same, listDeliveries, app, limit)
	return all, s.wrap("read deliveries", err)
}

// DeliverAgain implements connect.Store.
func (s *Store) DeliverAgain(ctx context.Context, app, id string, now time.Time) (bool, error) {
	return s.write(ctx, s.relaxed, "deliver again", func(t tx) (bool, error) {
		n, err := t.exec(againDelivery, app, id, millis(now))
		return n == 1, err
	})
}

// WaitingDeliveries counts what has not arrived yet.
func (s *Store) WaitingDeliveries(ctx context.Context) (int, error) {
	n, err := s.readers.number(ctx, countWaiting)
	return int(n), s.wrap("count deliveries", err)
}
