package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"patchbay/connect"
)

// recorder is what a store keeps beside connect.Store: the audit and the outbox.
type recorder interface {
	connect.Store
	connect.SealedStore
	AppendAudit(ctx context.Context, entries []connect.AuditEntry) error
	Audit(ctx context.Context, from, to time.Time, limit int) ([]connect.AuditEntry, error)
	SweepAudit(ctx context.Context, before time.Time) error
	TakeDeliveries(ctx context.Context, now, until time.Time, limit int) ([]connect.Delivery, error)
	EndDelivery(ctx context.Context, d connect.Delivery) error
	WaitingDeliveries(ctx context.Context) (int, error)
}

func delivery(app, user string) connect.Delivery {
	return connect.Delivery{
		ID: id("msg_"), App: app, URL: "https://app.example/hooks", Kind: connect.EventConnected, User: user,
		Body: `{"type":"connection.created"}`, CreatedAt: now, NextAt: now, State: connect.DeliveryWaiting,
	}
}

var recordTests = []test{
	{"deliveries are stored with their event, and taken once", func(t *testing.T, s connect.Store) {
		acme(t, s)
		st := s.(recorder)
		const n = 40
		for range n {
			ev := event(connect.EventConnected, "acme", "dana")
			ev.Deliveries = []connect.Delivery{delivery("acme", "dana")}
			tell(t, s, ev)
		}
		lost := event(connect.EventConnected, "acme", "dana")
		lost.Deliveries = []connect.Delivery{delivery("acme", "dana")}
		f := begin(t, s, flow("acme", "calendar", "dana"))
		f.Version++
		no(s.UpdateFlow(t.Context(), f, lost))(t) // what did not happen is not told
		if got := must(st.WaitingDeliveries(t.Context()))(t); got != n {
			t.Errorf("%d wait instead of %d", got, n)
		}
		var mu sync.Mutex
		taken := map[string]int{}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for {
					got, err := st.TakeDeliveries(t.Context(), now, now.Add(time.Minute), 3)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, d := range got {
						taken[d.ID]++
					}
					mu.Unlock()
					if len(got) == 0 {
						return
					}
				}
			})
		}
		all.Wait()
		if len(taken) != n {
			t.Errorf("%d were taken instead of %d", len(taken), n)
		}
		for id, times := range taken {
			if times != 1 {
				t.Errorf("%s was taken %d times", id, times)
			}
		}
	}},
	{"a delivery ends, and can come again", func(t *testing.T, s connect.Store) {
		apply(t, s, map[string][]string{"acme": {"calendar"}, "other": {"calendar"}})
		st := s.(recorder)
		ev := event(connect.EventConnected, "acme", "dana")
		d := delivery("acme", "dana")
		ev.Deliveries = []connect.Delivery{d}
		tell(t, s, ev)
		taken := must(st.TakeDeliveries(t.Context(), now, now.Add(time.Minute), 10))(t)
		count(t, "deliveries", taken, 1)
		late := taken[0]
		count(t, "deliveries", must(st.TakeDeliveries(t.Context(), now.Add(time.Hour), now.Add(2*time.Hour), 10))(t), 1)
		late.State, late.EndedAt = connect.DeliveryGivenUp, now
		check(t, st.EndDelivery(t.Context(), late)) // by the one who was too slow
		if got := must(st.WaitingDeliveries(t.Context()))(t); got != 1 {
			t.Errorf("%d wait instead of 1", got)
		}
		late.Attempts, late.State, late.Answer = 2, connect.DeliveryArrived, "200"
		check(t, st.EndDelivery(t.Context(), late))
		all := must(s.Deliveries(t.Context(), "acme", 10))(t)
		count(t, "deliveries", all, 1)
		if all[0].State != connect.DeliveryArrived || all[0].Answer != "200" || all[0].Body != d.Body {
			t.Errorf("%+v", all[0])
		}
		count(t, "deliveries", must(s.Deliveries(t.Context(), "other", 10))(t), 0)
		no(s.DeliverAgain(t.Context(), "other", d.ID, now))(t)
		yes(s.DeliverAgain(t.Context(), "acme", d.ID, now))(t)
		no(s.DeliverAgain(t.Context(), "acme", d.ID, now))(t)
		count(t, "deliveries", must(st.TakeDeliveries(t.Context(), now, now.Add(time.Minute), 10))(t), 1)
	}},
	{"the audit", func(t *testing.T, s connect.Store) {
		st := s.(recorder)
		e := filled[connect.AuditEntry](0)
		e.ID, e.Seq, e.Deliveries, e.At, e.LastAt = "", 0, nil, now, now.Add(time.Second)
		old := e
		old.At, old.LastAt = now.Add(-time.Hour), now.Add(-time.Hour)
		check(t, st.AppendAudit(t.Context(), []connect.AuditEntry{old, e}))
		got := must(st.Audit(t.Context(), now.Add(time.Second), now.Add(time.Minute), 10))(t)
		count(t, "entries", got, 1)
		equal(t, got[0], e)
		check(t, st.SweepAudit(t.Context(), now))
		count(t, "entries", must(st.Audit(t.Context(), now.Add(-2*time.Hour), now.Add(time.Minute), 10))(t), 1)
	}},
	{"sealed values are found page by page and changed only as they were read", func(t *testing.T, s connect.Store) {
		apply(t, s, map[string][]string{"acme": {"calendar", "mail"}, "other": {"calendar"}})
		st := s.(recorder)
		var conns []connect.Connection
		for _, user := range []string{"ann", "bob", "cid"} {
			conns = append(conns, link(t, s, "acme", "calendar", user))
		}
		open := begin(t, s, flow("acme", "mail", "dana"))
		for kind, want := range map[connect.SealedKind]int{connect.SealedApp: 2, connect.SealedConnector: 3, connect.SealedConnection: 3, connect.SealedFlow: 1} {
			if got := must(st.CountSealed(t.Context(), kind, ""))(t); got != want && kind != connect.SealedApp && kind != connect.SealedConnector {
				t.Errorf("%d of %s instead of %d", got, kind, want)
			}
			seen := map[string]bool{}
			var after connect.SealedRow
			for {
				rows := must(st.SealedRows(t.Context(), kind, "", after, 2))(t)
				if len(rows) == 0 {
					break
				}
				for _, r := range rows {
					seen[r.App+"/"+r.ID] = true
				}
				after = rows[len(rows)-1]
			}
			if n := must(st.CountSealed(t.Context(), kind, ""))(t); len(seen) != n {
				t.Errorf("%s: %d seen of %d", kind, len(seen), n)
			}
		}
		if got := must(st.CountSealed(t.Context(), connect.SealedConnection, "k1"))(t); got != 0 {
			t.Errorf("%d are not under k1", got)
		}
		rows := must(st.SealedRows(t.Context(), connect.SealedFlow, "k2", connect.SealedRow{}, 5))(t)
		count(t, "flows", rows, 1)
		if rows[0].ID != open.ID || rows[0].Owner != open.Owner() {
			t.Errorf("%+v", rows[0])
		}
		rows = must(st.SealedRows(t.Context(), connect.SealedConnection, "k2", connect.SealedRow{}, 5))(t)
		count(t, "connections", rows, 3)
		fresh := random(50)
		changed := connect.Resealed{SealedRow: rows[0], Fresh: fresh, KeyID: "k2"}
		stale := connect.Resealed{SealedRow: rows[1], Fresh: random(50), KeyID: "k2"}
		stale.Sealed = random(50)
		if n := must(st.Reseal(t.Context(), []connect.Resealed{changed, stale}))(t); n != 1 {
			t.Errorf("%d changed instead of 1", n)
		}
		for _, c := range conns {
			got := must(s.Connection(t.Context(), c.App, c.Connector, c.Owner))(t)
			if c.ID == rows[0].ID {
				c.Sealed, c.KeyID = fresh, "k2"
			}
			equal(t, got, c)
		}
	}},
}
