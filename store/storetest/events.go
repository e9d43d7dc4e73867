package storetest

import (
	"testing"
	"time"

	"patchbay/connect"
)

// tell writes events down by the way of a flow.
func tell(t *testing.T, st connect.Store, events ...connect.Event) {
	t.Helper()
	f := begin(t, st, flow("acme", "calendar", "dana"))
	yes(st.UpdateFlow(t.Context(), f, events...))(t)
}

var eventTests = []test{
	{"every field survives", func(t *testing.T, st connect.Store) {
		acme(t, st)
		want := filled[connect.Event](0)
		want.App, want.Kind, want.Seq, want.Deliveries = "acme", connect.EventConnected, 0, nil
		tell(t, st, want)
		equal(t, must(st.Event(t.Context(), "acme", want.User, want.ID))(t), want)
		got := must(st.Events(t.Context(), "acme", want.User, 10))(t)
		count(t, "events", got, 1)
		equal(t, got[0], want)
	}},
	{"only what end users see is kept", func(t *testing.T, st connect.Store) {
		acme(t, st)
		kept := []connect.EventKind{connect.EventFlowFinished, connect.EventConnected, connect.EventReconnected, connect.EventDisconnected, connect.EventReconnectRequired}
		dropped := []connect.EventKind{connect.EventFlowStarted, connect.EventExchangeFailed, connect.EventTokenRead, connect.EventTokenRefreshed,
			connect.EventRefreshFailed, connect.EventNotMe, connect.EventCallbackRefused, connect.EventConfirmRefused, connect.EventCredentialsRefused}
		for _, kind := range append(kept, dropped...) {
			tell(t, st, event(kind, "acme", "dana"))
		}
		got := must(st.Events(t.Context(), "acme", "dana", 100))(t)
		count(t, "events", got, len(kept))
		for i, e := range got {
			if e.Kind != kept[len(kept)-1-i] {
				t.Errorf("event %d is %s", i, e.Kind)
			}
		}
	}},
	{"newest first, as many as asked for", func(t *testing.T, st connect.Store) {
		acme(t, st)
		old, first, second, latest := event(connect.EventConnected, "acme", "dana"), event(connect.EventConnected, "acme", "dana"), event(connect.EventFlowFinished, "acme", "dana"), event(connect.EventDisconnected, "acme", "dana")
		old.At, latest.At = now.Add(-time.Hour), now.Add(time.Hour)
		tell(t, st, latest)
		tell(t, st, first, second) // of one instant: what was written later is newer
		tell(t, st, old)
		tell(t, st, event(connect.EventConnected, "acme", "sam"))
		got := must(st.Events(t.Context(), "acme", "dana", 3))(t)
		count(t, "events", got, 3)
		for i, want := range []connect.Event{latest, second, first} {
			equal(t, got[i], want)
		}
		count(t, "events", must(st.Events(t.Context(), "acme", "dana", 100))(t), 4)
	}},
	{"what came after, starts included, in the order in which it was written", func(t *testing.T, st connect.Store) {
		acme(t, st)
		if n := must(st.LastEvent(t.Context(), "acme", "dana"))(t); n != 0 {
			t.Errorf("the last entry of nobody is %d", n)
		}
		begin(t, st, flow("acme", "mail", "sam"))
		f := begin(t, st, flow("acme", "mail", "dana"))
		late, early := event(connect.EventFlowFinished, "acme", "dana"), event(connect.EventConnected, "acme", "dana")
		early.At = now.Add(-time.Hour)
		yes(st.UpdateFlow(t.Context(), f, late, early))(t)
		got := must(st.EventsAfter(t.Context(), "acme", "dana", 0, 10))(t)
		count(t, "entries", got, 3)
		if got[0].Kind != connect.EventFlowStarted || got[1].ID != late.ID || got[2].ID != early.ID {
			t.Errorf("%+v", got)
		}
		if last := must(st.LastEvent(t.Context(), "acme", "dana"))(t); last != got[2].Seq || got[0].Seq >= got[1].Seq || got[1].Seq >= got[2].Seq {
			t.Errorf("places %d, %d, %d; the last is %d", got[0].Seq, got[1].Seq, got[2].Seq, last)
		}
		rest := must(st.EventsAfter(t.Context(), "acme", "dana", got[0].Seq, 1))(t)
		count(t, "entries", rest, 1)
		equal(t, rest[0], got[1])
		count(t, "history", must(st.Events(t.Context(), "acme", "dana", 10))(t), 2)
	}},
	{"an entry is its user's", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar"}, "other": {"calendar"}})
		ev := event(connect.EventDisconnected, "acme", "dana")
		tell(t, st, ev)
		missing(st.Event(t.Context(), "acme", "sam", ev.ID))(t)
		missing(st.Event(t.Context(), "other", "dana", ev.ID))(t)
		missing(st.Event(t.Context(), "acme", "dana", "ev_unknown"))(t)
	}},
	{"its data can be replaced", func(t *testing.T, st connect.Store) {
		acme(t, st)
		ev := event(connect.EventDisconnected, "acme", "dana")
		ev.Data = map[string]string{"revoked": "unknown"}
		tell(t, st, ev)
		for _, data := range []map[string]string{{"revoked": "yes", "account": "d@example.com"}, {}, nil} {
			check(t, st.SetEventData(t.Context(), ev.ID, data))
			ev.Data = data
			equal(t, must(st.Event(t.Context(), "acme", "dana", ev.ID))(t), ev)
		}
		missing(0, st.SetEventData(t.Context(), "ev_unknown", nil))(t)
	}},
}

var forgetTests = []test{
	{"a user's sessions, flows and history", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar", "mail"}, "other": {"calendar"}})
		type traces struct {
			cs connect.ConnectSession
			b  connect.BrowserSession
			f  connect.Flow
			c  connect.Connection
		}
		leave := func(app, user string) traces {
			tr := traces{c: link(t, st, app, "calendar", user)}
			tr.cs, tr.b = signIn(t, st, app, user)
			tr.f = begin(t, st, flow(app, "calendar", user))
			return tr
		}
		gone := leave("acme", "dana")
		check(t, st.ForgetUser(t.Context(), "acme", "nobody"))
		kept := []traces{leave("acme", "sam"), leave("other", "dana")}

		for range 2 {
			check(t, st.ForgetUser(t.Context(), "acme", "dana"))
			missing(st.ConnectSession(t.Context(), "acme", gone.cs.ID))(t)
			count(t, "browser sessions", must(st.BrowserSessions(t.Context(), gone.b.Hash, now))(t), 0)
			missing(st.Flow(t.Context(), gone.f.ID))(t)
			count(t, "open flows", must(st.OpenFlows(t.Context(), "acme", "dana"))(t), 0)
			count(t, "events", must(st.Events(t.Context(), "acme", "dana", 10))(t), 0)
		}
		// The connection is the caller's to end, because it has to be revoked.
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", gone.c.Owner))(t), gone.c)
		for _, tr := range kept {
			must(st.ConnectSession(t.Context(), tr.cs.App, tr.cs.ID))(t)
			count(t, "browser sessions", must(st.BrowserSessions(t.Context(), tr.b.Hash, now))(t), 1)
			equal(t, must(st.Flow(t.Context(), tr.f.ID))(t), tr.f)
			count(t, "events", must(st.Events(t.Context(), tr.cs.App, tr.cs.User.ID, 10))(t), 1)
		}
	}},
}

var sweepTests = []test{
	{"what is over goes, what is not stays", func(t *testing.T, st connect.Store) {
		acme(t, st)
		over, live := connectSession("acme", "dana"), connectSession("acme", "dana")
		over.ExpiresAt, live.ExpiresAt = now, now.Add(time.Millisecond)
		frame, oldFrame := connectSession("acme", "dana"), connectSession("acme", "dana")
		frame.Mode, frame.ExpiresAt = connect.ModeEmbed, now.Add(-23*time.Hour)
		oldFrame.Mode, oldFrame.ExpiresAt = connect.ModeEmbed, now.Add(-24*time.Hour)
		check(t, st.CreateConnectSession(t.Context(), frame))
		check(t, st.CreateConnectSession(t.Context(), oldFrame))
		check(t, st.CreateConnectSession(t.Context(), over))
		check(t, st.CreateConnectSession(t.Context(), live))
		parkedOver, parkedLive := random(32), random(32)
		check(t, st.Park(t.Context(), parkedOver, random(9), now))
		check(t, st.Park(t.Context(), parkedLive, random(9), now.Add(time.Millisecond)))
		usedOver, usedLive := random(10), random(10)
		open, old, fresh := flow("acme", "calendar", "dana"), flow("acme", "calendar", "dana"), flow("acme", "calendar", "dana")
		open.CreatedAt, open.MovedAt = now.Add(-1000*time.Hour), now.Add(-1000*time.Hour)
		old.Status, old.FinishedAt = connect.StatusFailed, now.Add(-time.Hour-time.Millisecond)
		fresh.Status, fresh.FinishedAt = connect.StatusFailed, now.Add(-time.Hour)
		begin(t, st, open)
		yes(st.CreateFlow(t.Context(), old, usedOver, now, event(connect.EventFlowStarted, "acme", "dana")))(t)
		yes(st.CreateFlow(t.Context(), fresh, usedLive, now.Add(time.Millisecond), event(connect.EventFlowStarted, "acme", "dana")))(t)
		c := link(t, st, "acme", "mail", "dana")

		for range 2 {
			check(t, st.Sweep(t.Context(), now, now.Add(-time.Hour)))
		}
		missing(st.ConnectSession(t.Context(), "acme", over.ID))(t)
		equal(t, must(st.ConnectSession(t.Context(), "acme", live.ID))(t), live)
		equal(t, must(st.ConnectSession(t.Context(), "acme", frame.ID))(t), frame)
		missing(st.ConnectSession(t.Context(), "acme", oldFrame.ID))(t)
		missing(st.Parked(t.Context(), parkedOver, now.Add(-time.Hour)))(t)
		must(st.Parked(t.Context(), parkedLive, now))(t)
		missing(st.Flow(t.Context(), old.ID))(t)
		equal(t, must(st.Flow(t.Context(), open.ID))(t), open)
		equal(t, must(st.Flow(t.Context(), fresh.ID))(t), fresh)
		equal(t, must(st.Connection(t.Context(), "acme", "mail", c.Owner))(t), c)
		count(t, "events", must(st.Events(t.Context(), "acme", "dana", 10))(t), 1)
		no(st.CreateFlow(t.Context(), flow("acme", "mail", "sam"), usedLive, now.Add(time.Hour), event(connect.EventFlowStarted, "acme", "sam")))(t)
		yes(st.CreateFlow(t.Context(), flow("acme", "mail", "sam"), usedOver, now.Add(time.Hour), event(connect.EventFlowStarted, "acme", "sam")))(t)
	}},
	{"a connect session outlives its time while something hangs on it", func(t *testing.T, st connect.Store) {
		acme(t, st)
		cs, b := signIn(t, st, "acme", "dana") // 15 minutes, and an hour
		parent, child := connectSession("acme", "dana"), connectSession("acme", "dana")
		child.Parent, child.ExpiresAt = parent.ID, now.Add(time.Hour)
		check(t, st.CreateConnectSession(t.Context(), parent))
		check(t, st.CreateConnectSession(t.Context(), child))
		check(t, st.Sweep(t.Context(), now.Add(30*time.Minute), now))
		yes(st.EndConnectSession(t.Context(), "acme", cs.ID, now.Add(30*time.Minute)))(t)
		count(t, "browser sessions", must(st.BrowserSessions(t.Context(), b.Hash, now))(t), 0)
		yes(st.EndConnectSession(t.Context(), "acme", parent.ID, now.Add(30*time.Minute)))(t)
		if got := must(st.ConnectSession(t.Context(), "acme", child.ID))(t); got.EndedAt.IsZero() {
			t.Error("the link goes on")
		}
		check(t, st.Sweep(t.Context(), now.Add(2*time.Hour), now))
		for range 2 { // the child first, then what it hung on
			check(t, st.Sweep(t.Context(), now.Add(2*time.Hour), now))
		}
		for _, gone := range []connect.ConnectSession{cs, parent, child} {
			missing(st.ConnectSession(t.Context(), "acme", gone.ID))(t)
		}
	}},
	{"more than one batch", func(t *testing.T, st connect.Store) {
		acme(t, st)
		const n = 2100
		for range n {
			check(t, st.Park(t.Context(), random(32), random(9), now))
		}
		last := random(32)
		check(t, st.Park(t.Context(), last, random(9), now))
		check(t, st.Sweep(t.Context(), now, now))
		missing(st.Parked(t.Context(), last, now.Add(-time.Hour)))(t)
	}},
}
