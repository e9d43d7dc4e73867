package storetest

import (
	"bytes"
	"testing"
	"time"

	"patchbay/connect"
)

// filledFlow has every field set and belongs to acme's calendar.
func filledFlow(seed int) connect.Flow {
	f := filled[connect.Flow](seed)
	f.App, f.Connector, f.User.ID = "acme", "calendar", "dana"
	return f
}

var flowTests = []test{
	{"every field survives", func(t *testing.T, st connect.Store) {
		acme(t, st)
		want := begin(t, st, filledFlow(0))
		equal(t, must(st.Flow(t.Context(), want.ID))(t), want)
		equal(t, must(st.FlowByState(t.Context(), want.StateHash))(t), want)
		// And every field that may change changes.
		next := filledFlow(1000)
		next.ID, next.Version = want.ID, want.Version
		yes(st.UpdateFlow(t.Context(), next))(t)
		next.Version++
		equal(t, must(st.Flow(t.Context(), want.ID))(t), next)
		equal(t, must(st.FlowByState(t.Context(), next.StateHash))(t), next)
		missing(st.FlowByState(t.Context(), want.StateHash))(t)
		// And every field that may be empty can be emptied.
		empty := connect.Flow{ID: want.ID, App: want.App, Connector: want.Connector, User: connect.EndUser{ID: want.User.ID}, Version: next.Version, StateHash: next.StateHash, CookieHash: next.CookieHash}
		yes(st.UpdateFlow(t.Context(), empty))(t)
		empty.Version++
		equal(t, must(st.Flow(t.Context(), want.ID))(t), empty)
	}},
	{"what does not match finds nothing", func(t *testing.T, st connect.Store) {
		acme(t, st)
		f := begin(t, st, flow("acme", "calendar", "dana"))
		missing(st.Flow(t.Context(), ""))(t)
		missing(st.Flow(t.Context(), f.ID+" "))(t)
		missing(st.FlowByState(t.Context(), nil))(t)
		missing(st.FlowByState(t.Context(), f.StateHash[:16]))(t)
		missing(st.FlowByState(t.Context(), f.CookieHash))(t)
	}},
	{"a ticket begins one flow", func(t *testing.T, st connect.Store) {
		acme(t, st)
		nonce := random(10)
		first, second := flow("acme", "calendar", "dana"), flow("acme", "mail", "sam")
		ev := event(connect.EventFlowFinished, "acme", "sam")
		yes(st.CreateFlow(t.Context(), first, nonce, now.Add(time.Hour), event(connect.EventFlowStarted, "acme", "dana")))(t)
		no(st.CreateFlow(t.Context(), second, nonce, now.Add(time.Hour), ev))(t)
		missing(st.Flow(t.Context(), second.ID))(t)
		missing(st.FlowByState(t.Context(), second.StateHash))(t)
		missing(st.Event(t.Context(), "acme", "sam", ev.ID))(t)
	}},
	{"a flow that cannot be made leaves the ticket", func(t *testing.T, st connect.Store) {
		acme(t, st)
		first, second := begin(t, st, flow("acme", "calendar", "dana")), flow("acme", "mail", "sam")
		second.StateHash = first.StateHash
		nonce := random(10)
		_, err := st.CreateFlow(t.Context(), second, nonce, now.Add(time.Hour), event(connect.EventFlowStarted, "acme", "sam"))
		fault(t, err)
		missing(st.Flow(t.Context(), second.ID))(t)
		second.StateHash = random(32)
		yes(st.CreateFlow(t.Context(), second, nonce, now.Add(time.Hour), event(connect.EventFlowStarted, "acme", "sam")))(t)
	}},
	{"an update needs the version it was read at", func(t *testing.T, st connect.Store) {
		acme(t, st)
		f := begin(t, st, flow("acme", "calendar", "dana"))
		moved := f
		moved.Status = connect.StatusVerifying
		ev := event(connect.EventFlowFinished, "acme", "dana")
		yes(st.UpdateFlow(t.Context(), moved, ev))(t)
		moved.Version++
		must(st.Event(t.Context(), "acme", "dana", ev.ID))(t)

		late := event(connect.EventFlowFinished, "acme", "dana")
		for _, f := range []connect.Flow{
			f, // the old version
			with(moved, func(f *connect.Flow) { f.Version++ }),
			with(moved, func(f *connect.Flow) { f.ID = "fl_unknown" }),
			with(moved, func(f *connect.Flow) { f.User.ID = "sam" }),
			with(moved, func(f *connect.Flow) { f.Connector = "mail" }),
			with(moved, func(f *connect.Flow) { f.App = "other" }),
		} {
			f.Status = connect.StatusFailed
			no(st.UpdateFlow(t.Context(), f, late))(t)
		}
		equal(t, must(st.Flow(t.Context(), f.ID))(t), moved)
		missing(st.Event(t.Context(), "acme", "dana", late.ID))(t)
	}},
	{"an update and its events are one", func(t *testing.T, st connect.Store) {
		acme(t, st)
		f := begin(t, st, flow("acme", "calendar", "dana"))
		ev := event(connect.EventFlowFinished, "acme", "dana")
		twice := ev
		moved := f
		moved.Status = connect.StatusFailed
		_, err := st.UpdateFlow(t.Context(), moved, ev, twice)
		fault(t, err)
		equal(t, must(st.Flow(t.Context(), f.ID))(t), f)
		missing(st.Event(t.Context(), "acme", "dana", ev.ID))(t)
	}},
	{"what is returned belongs to the caller", func(t *testing.T, st connect.Store) {
		acme(t, st)
		f := begin(t, st, flow("acme", "calendar", "dana"))
		got := must(st.Flow(t.Context(), f.ID))(t)
		clear(got.Sealed)
		clear(got.Scopes)
		clear(got.StateHash)
		equal(t, must(st.Flow(t.Context(), f.ID))(t), f)
	}},
	{"open flows are those without a final status", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar", "mail"}, "other": {"calendar"}})
		var want []connect.Flow
		for i, status := range statuses {
			f := flow("acme", "calendar", "dana")
			f.Status, f.CreatedAt = status, now.Add(time.Duration(-i)*time.Second)
			begin(t, st, f)
			if !status.Final() {
				want = append([]connect.Flow{f}, want...)
			}
		}
		begin(t, st, flow("acme", "calendar", "sam"))
		begin(t, st, flow("other", "calendar", "dana"))
		got := must(st.OpenFlows(t.Context(), "acme", "dana"))(t)
		count(t, "open flows", got, len(want))
		for i := range got {
			equal(t, got[i], want[i])
		}
	}},
	{"the flows of a session, in the order in which they began", func(t *testing.T, st connect.Store) {
		acme(t, st)
		var want []connect.Flow
		for i, status := range statuses {
			f := flow("acme", "calendar", "dana")
			f.Session, f.Status, f.CreatedAt = "cs_one", status, now.Add(time.Duration(-i)*time.Second)
			begin(t, st, f)
			want = append([]connect.Flow{f}, want...)
		}
		begin(t, st, with(flow("acme", "calendar", "dana"), func(f *connect.Flow) { f.Session = "cs_two" }))
		begin(t, st, flow("acme", "calendar", "dana"))
		got := must(st.SessionFlows(t.Context(), "acme", "cs_one"))(t)
		count(t, "flows", got, len(want))
		for i := range got {
			equal(t, got[i], want[i])
		}
		count(t, "flows of another app", must(st.SessionFlows(t.Context(), "other", "cs_one"))(t), 0)
	}},
	{"stale flows are open ones that have not moved", func(t *testing.T, st connect.Store) {
		acme(t, st)
		var want []connect.Flow
		for i, status := range statuses {
			f := flow("acme", "calendar", "dana")
			f.Status, f.MovedAt = status, now.Add(time.Duration(i)*time.Second)
			begin(t, st, f)
			if !status.Final() {
				want = append(want, f)
			}
		}
		got := must(st.StaleFlows(t.Context(), now.Add(time.Hour), 100))(t)
		count(t, "stale flows", got, len(want))
		for i := range got {
			equal(t, got[i], want[i])
		}
		got = must(st.StaleFlows(t.Context(), now.Add(time.Hour), 2))(t)
		count(t, "first stale flows", got, 2)
		equal(t, got[1], want[1])
		count(t, "flows before the second", must(st.StaleFlows(t.Context(), want[1].MovedAt, 100))(t), 1)
	}},
}

var statuses = []connect.Status{
	connect.StatusCreated, connect.StatusStarted, connect.StatusReturned, connect.StatusVerifying, connect.StatusExchanging,
	connect.StatusConnected, connect.StatusFailed, connect.StatusDenied, connect.StatusExpired, connect.StatusSuperseded, connect.StatusCanceled,
}

func with[T any](v T, change func(*T)) T {
	change(&v)
	return v
}

var parkedTests = []test{
	{"there until it is dropped", func(t *testing.T, st connect.Store) {
		hash, sealed := random(32), random(3000)
		check(t, st.Park(t.Context(), hash, sealed, now.Add(time.Minute)))
		missing(st.Parked(t.Context(), random(32), now))(t)
		missing(st.Parked(t.Context(), nil, now))(t)
		check(t, st.Unpark(t.Context(), random(32)))
		for range 2 {
			if got := must(st.Parked(t.Context(), hash, now))(t); !bytes.Equal(got, sealed) {
				t.Error("other fields came back")
			}
		}
		check(t, st.Unpark(t.Context(), hash))
		missing(st.Parked(t.Context(), hash, now))(t)
		check(t, st.Unpark(t.Context(), hash))
	}},
	{"not after its end", func(t *testing.T, st connect.Store) {
		hash := random(32)
		check(t, st.Park(t.Context(), hash, random(10), now.Add(time.Minute)))
		missing(st.Parked(t.Context(), hash, now.Add(time.Minute)))(t)
	}},
	{"an id is used once", func(t *testing.T, st connect.Store) {
		hash, sealed := random(32), random(10)
		check(t, st.Park(t.Context(), hash, sealed, now.Add(time.Minute)))
		fault(t, st.Park(t.Context(), hash, random(10), now.Add(time.Minute)))
		if got := must(st.Parked(t.Context(), hash, now))(t); !bytes.Equal(got, sealed) {
			t.Error("other fields came back")
		}
	}},
}
