package store

import (
	"context"
	"database/sql"
	"strings"

	"patchbay/connect"
)

const (
	eventColumns = `id, at, kind, app, user_id, connector, flow, connection, trace, data, actor`
	seqColumns   = eventColumns + `, seq`
)

func eventFields(e *connect.Event) []any {
	return []any{
		&e.ID, timeField{&e.At}, &e.Kind, &e.App, &e.User, &e.Connector, &e.Flow, &e.Connection, &e.Trace, jsonField{&e.Data}, &e.Actor,
	}
}

func seqFields(e *connect.Event) []any { return append(eventFields(e), &e.Seq) }

var insertEvent = `INSERT INTO events (` + eventColumns + `) VALUES (` + placeholders(1, eventColumns) + `)`

// notify tells the other instances whose history grew, when this commits.
const notify = `SELECT pg_notify('patchbay', $1)`

const lockUser = `SELECT pg_advisory_xact_lock(hashtextextended($1, 20261124))`

// lockUser comes first in what writes a user's history, where writes run side by side. The
// numbers of the entries are then in the order of their commits, as a frame needs that
// asks for those after the last it saw; and two flows of a user that end each other do
// not wait for each other.
func (t tx) lockUser(app, user string) error {
	if t.dialect != postgres {
		return nil
	}
	_, err := t.exec(lockUser, app+"\n"+user)
	return err
}

// record keeps those of the events that end users see: as their history, or in a frame
// while it happens.
func (t tx) record(events ...connect.Event) error {
	for i := range events {
		if !historic(events[i].Kind) {
			continue
		}
		if _, err := t.exec(insertEvent, eventFields(&events[i])...); err != nil {
			return err
		}
		for j := range events[i].Deliveries {
			if _, err := t.exec(insertDelivery, deliveryFields(&events[i].Deliveries[j])...); err != nil {
				return err
			}
		}
		if t.dialect == postgres {
			if _, err := t.exec(notify, events[i].App+"\n"+events[i].User); err != nil {
				return err
			}
		}
	}
	return nil
}

func historic(k connect.EventKind) bool {
	return k == connect.EventFlowStarted || k == connect.EventFlowFinished || strings.HasPrefix(string(k), "connection.")
}

const selectEvents = `SELECT ` + eventColumns + ` FROM events WHERE app = $1 AND user_id = $2 AND kind <> 'flow.started'
	ORDER BY at DESC, seq DESC LIMIT $3`

// Events implements connect.Store. Of the same instant, what was written last is newest.
func (s *Store) Events(ctx context.Context, app, user string, limit int) ([]connect.Event, error) {
	same := func(e *connect.Event) bool { return e.App == app && e.User == user }
	events, err := list(ctx, s.readers, eventFields, same, selectEvents, app, user, limit)
	return events, s.wrap("read the history", err)
}

const (
	selectEventsAfter = `SELECT ` + seqColumns + ` FROM events WHERE app = $1 AND user_id = $2 AND seq > $3
		ORDER BY seq LIMIT $4`
	selectLastEvent = `SELECT COALESCE(MAX(seq), 0) FROM events WHERE app = $1 AND user_id = $2`
)

// EventsAfter implements connect.Store.
func (s *Store) EventsAfter(ctx context.Context, app, user string, seq int64, limit int) ([]connect.Event, error) {
	same := func(e *connect.Event) bool { return e.App == app && e.User == user && e.Seq > seq }
	events, err := list(ctx, s.readers, seqFields, same, selectEventsAfter, app, user, seq, limit)
	return events, s.wrap("read what happened", err)
}

// LastEvent implements connect.Store.
func (s *Store) LastEvent(ctx context.Context, app, user string) (int64, error) {
	n, err := s.readers.number(ctx, selectLastEvent, app, user)
	return n, s.wrap("read what happened", err)
}

const selectEvent = `SELECT ` + eventColumns + ` FROM events WHERE app = $1 AND user_id = $2 AND id = $3`

// Event implements connect.Store.
func (s *Store) Event(ctx context.Context, app, user, id string) (connect.Event, error) {
	same := func(e *connect.Event) bool { return e.App == app && e.User == user && e.ID == id }
	e, err := one(ctx, s.readers, eventFields, same, selectEvent, app, user, id)
	return e, s.wrap("read an entry of the history", err)
}

const updateEventData = `UPDATE events SET data = $1 WHERE id = $2`

// SetEventData implements connect.Store.
func (s *Store) SetEventData(ctx context.Context, id string, data map[string]string) error {
	return s.writeAll(ctx, s.relaxed, "amend the history", func(t tx) error {
		n, err := t.exec(updateEventData, jsonField{&data}, id)
		if err == nil && n == 0 {
			return sql.ErrNoRows
		}
		return err
	})
}
