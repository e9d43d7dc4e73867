package storetest

import (
	"testing"
	"time"

	"patchbay/connect"
)

var appTests = []test{
	{"an empty store has none", func(t *testing.T, st connect.Store) {
		apps := must(st.Apps(t.Context()))(t)
		count(t, "apps", apps.Apps, 0)
		if rev := must(st.Revision(t.Context()))(t); rev != apps.Revision {
			t.Errorf("revision %d beside apps of revision %d", rev, apps.Revision)
		}
		check(t, st.ApplyApps(t.Context(), connect.ApplyBatch{}))
	}},
	{"what is put is read, in its order", func(t *testing.T, st connect.Store) {
		before := must(st.Revision(t.Context()))(t)
		want := []connect.AppRecord{appRecord("zeta", "c3", "c1", "c2"), appRecord("alpha"), appRecord("mid", "one")}
		want[2].Connectors[0].Mode = connect.ModeShared
		check(t, st.ApplyApps(t.Context(), connect.ApplyBatch{Put: want}))
		expectApps(t, st, want)
		if after := must(st.Revision(t.Context()))(t); after <= before {
			t.Errorf("revision %d after %d", after, before)
		}
		// Again, changed and in another order.
		want = []connect.AppRecord{appRecord("alpha", "new"), appRecord("zeta", "c2", "c1", "c3"), want[2]}
		check(t, st.ApplyApps(t.Context(), connect.ApplyBatch{Put: want}))
		expectApps(t, st, want)
	}},
	{"every field survives", func(t *testing.T, st connect.Store) {
		want := filled[connect.AppRecord](0)
		for i := range want.Connectors {
			want.Connectors[i].App = want.ID
			want.Connectors[i].Document = []byte(`{"é":"\u0000 \\"}`)
		}
		want.Document = []byte(`{"ключ": [1, "\n"]}`)
		check(t, st.ApplyApps(t.Context(), connect.ApplyBatch{Put: []connect.AppRecord{want}}))
		expectApps(t, st, []connect.AppRecord{want})
	}},
	{"what is returned belongs to the caller", func(t *testing.T, st connect.Store) {
		want := []connect.AppRecord{appRecord("acme", "calendar")}
		check(t, st.ApplyApps(t.Context(), connect.ApplyBatch{Put: want}))
		got := must(st.Apps(t.Context()))(t)
		clear(got.Apps[0].Sealed)
		clear(got.Apps[0].Connectors[0].Document)
		expectApps(t, st, want)
	}},
	{"a connector that is neither put nor removed", func(t *testing.T, st connect.Store) {
		want := []connect.AppRecord{appRecord("acme", "calendar", "mail")}
		check(t, st.ApplyApps(t.Context(), connect.ApplyBatch{Put: want}))
		unchanged(t, st, connect.ApplyBatch{Put: []connect.AppRecord{appRecord("acme", "calendar")}})
		check(t, st.ApplyApps(t.Context(), connect.ApplyBatch{
			Put: []connect.AppRecord{{ID: "acme", Document: want[0].Document, Sealed: want[0].Sealed, Connectors: want[0].Connectors[:1]}}, RemoveConnectors: [][2]string{{"acme", "mail"}},
		}))
		want[0].Connectors = want[0].Connectors[:1]
		expectApps(t, st, want)
	}},
	{"another type or mode needs a removal", func(t *testing.T, st connect.Store) {
		acme(t, st)
		link(t, st, "acme", "calendar", "dana")
		kept := link(t, st, "acme", "mail", "dana")
		for _, c := range []connect.ConnectorRecord{
			connectorRecord("acme", "calendar", "other", connect.ModeUser),
			connectorRecord("acme", "calendar", "type_calendar", connect.ModeShared),
		} {
			b := connect.ApplyBatch{Put: []connect.AppRecord{appRecord("acme", "mail")}}
			b.Put[0].Connectors = append(b.Put[0].Connectors, c)
			unchanged(t, st, b)
			b.RemoveConnectors = [][2]string{{"acme", "calendar"}}
			check(t, st.ApplyApps(t.Context(), b))
			missing(st.Connection(t.Context(), "acme", "calendar", connect.OwnerOf("dana")))(t)
			equal(t, must(st.Connection(t.Context(), "acme", "mail", kept.Owner))(t), kept)
		}
	}},
	{"one shared connector for each type", func(t *testing.T, st connect.Store) {
		shared := func(app, id string) connect.ConnectorRecord {
			return connectorRecord(app, id, "slack", connect.ModeShared)
		}
		two := appRecord("acme")
		two.Connectors = []connect.ConnectorRecord{shared("acme", "one"), shared("acme", "two")}
		unchanged(t, st, connect.ApplyBatch{Put: []connect.AppRecord{two}})
		one, other := appRecord("acme"), appRecord("other")
		one.Connectors = []connect.ConnectorRecord{shared("acme", "one"), connectorRecord("acme", "two", "slack", connect.ModeUser), connectorRecord("acme", "three", "slack", connect.ModeUser)}
		other.Connectors = []connect.ConnectorRecord{shared("other", "one")}
		check(t, st.ApplyApps(t.Context(), connect.ApplyBatch{Put: []connect.AppRecord{one, other}}))
	}},
	{"a batch is applied whole or not at all", func(t *testing.T, st connect.Store) {
		acme(t, st)
		link(t, st, "acme", "calendar", "dana")
		bad := appRecord("bad")
		bad.Connectors = []connect.ConnectorRecord{connectorRecord("elsewhere", "x", "slack", connect.ModeUser)}
		unchanged(t, st, connect.ApplyBatch{RemoveApps: []string{"acme"}, Put: []connect.AppRecord{appRecord("fine"), bad}})
		count(t, "connections", must(st.UserConnections(t.Context(), "acme", "dana"))(t), 1)
	}},
	{"a removed connector takes everything with it", func(t *testing.T, st connect.Store) {
		acme(t, st)
		gone := link(t, st, "acme", "calendar", "dana")
		kept := link(t, st, "acme", "mail", "dana")
		goneFlow := begin(t, st, flow("acme", "calendar", "dana"))
		keptFlow := begin(t, st, flow("acme", "mail", "dana"))
		only, both, all := connectSession("acme", "dana"), connectSession("acme", "dana"), connectSession("acme", "dana")
		only.Connectors, both.Connectors = []string{"calendar"}, []string{"calendar", "mail"}
		browsers := map[string]connect.BrowserSession{}
		for _, cs := range []connect.ConnectSession{only, both, all} {
			check(t, st.CreateConnectSession(t.Context(), cs))
			b := browserSession(&cs)
			yes(st.OpenBrowserSession(t.Context(), nil, b, now))(t)
			browsers[cs.ID] = b
		}

		check(t, st.ApplyApps(t.Context(), connect.ApplyBatch{RemoveConnectors: [][2]string{{"acme", "calendar"}}}))
		check(t, st.ApplyApps(t.Context(), connect.ApplyBatch{Put: []connect.AppRecord{appRecord("acme", "calendar", "mail")}}))

		missing(st.Connection(t.Context(), "acme", "calendar", gone.Owner))(t)
		missing(st.Flow(t.Context(), goneFlow.ID))(t)
		missing(st.FlowByState(t.Context(), goneFlow.StateHash))(t)
		count(t, "connections", must(st.ConnectorConnections(t.Context(), "acme", "calendar"))(t), 0)
		equal(t, must(st.Connection(t.Context(), "acme", "mail", kept.Owner))(t), kept)
		equal(t, must(st.Flow(t.Context(), keptFlow.ID))(t), keptFlow)
		// A session that was limited to it must not reach the new one of the same id.
		missing(st.ConnectSession(t.Context(), "acme", only.ID))(t)
		count(t, "browser sessions", must(st.BrowserSessions(t.Context(), browsers[only.ID].Hash, now))(t), 0)
		both.Connectors, both.UsedAt, all.UsedAt = []string{"mail"}, now, now
		equal(t, must(st.ConnectSession(t.Context(), "acme", both.ID))(t), both)
		equal(t, must(st.ConnectSession(t.Context(), "acme", all.ID))(t), all)
		b := browsers[both.ID]
		b.Connectors = []string{"mail"}
		equal(t, must(st.BrowserSessions(t.Context(), b.Hash, now))(t)[0], b)
		// The history outlives the connector.
		if n := len(must(st.Events(t.Context(), "acme", "dana", 10))(t)); n == 0 {
			t.Error("the history is gone")
		}
	}},
	{"a removed app takes everything with it", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar"}, "other": {"calendar"}})
		kept := link(t, st, "other", "calendar", "dana")
		gone := link(t, st, "acme", "calendar", "dana")
		f := begin(t, st, flow("acme", "calendar", "dana"))
		cs, b := signIn(t, st, "acme", "dana")
		ev := event(connect.EventFlowFinished, "acme", "dana")
		yes(st.UpdateFlow(t.Context(), f, ev))(t)

		check(t, st.ApplyApps(t.Context(), connect.ApplyBatch{RemoveApps: []string{"acme"}, RemoveConnectors: [][2]string{{"acme", "calendar"}}}))
		for range 2 { // removed, and made again
			missing(st.Connection(t.Context(), "acme", "calendar", gone.Owner))(t)
			count(t, "connections", must(st.UserConnections(t.Context(), "acme", "dana"))(t), 0)
			count(t, "connections of the account", must(st.AccountConnections(t.Context(), []string{gone.Type}, gone.Account.ID))(t), 1)
			missing(st.Flow(t.Context(), f.ID))(t)
			missing(st.FlowByState(t.Context(), f.StateHash))(t)
			count(t, "open flows", must(st.OpenFlows(t.Context(), "acme", "dana"))(t), 0)
			missing(st.ConnectSession(t.Context(), "acme", cs.ID))(t)
			missing(st.ConnectSessionByURL(t.Context(), cs.URLHash))(t)
			missing(st.ConnectSessionByToken(t.Context(), "acme", cs.TokenHash))(t)
			count(t, "browser sessions", must(st.BrowserSessions(t.Context(), b.Hash, now))(t), 0)
			count(t, "events", must(st.Events(t.Context(), "acme", "dana", 10))(t), 0)
			missing(st.Event(t.Context(), "acme", "dana", ev.ID))(t)
			no(st.SaveRefreshed(t.Context(), connect.Refreshed{ID: gone.ID, Generation: gone.Generation, Sealed: random(9)}))(t)
			no(st.MarkReconnect(t.Context(), gone.ID, gone.Generation, "late", event(connect.EventReconnectRequired, "other", "dana")))(t)
			check(t, st.TouchConnections(t.Context(), map[string]time.Time{gone.ID: now}))
			apply(t, st, map[string][]string{"acme": {"calendar"}})
		}
		equal(t, must(st.Connection(t.Context(), "other", "calendar", kept.Owner))(t), kept)
	}},
	{"both removed and put: made anew", func(t *testing.T, st connect.Store) {
		acme(t, st)
		link(t, st, "acme", "calendar", "dana")
		check(t, st.ApplyApps(t.Context(), connect.ApplyBatch{RemoveApps: []string{"acme"}, Put: []connect.AppRecord{appRecord("acme", "calendar")}}))
		count(t, "connections", must(st.UserConnections(t.Context(), "acme", "dana"))(t), 0)
	}},
	{"rows of an app or connector that is not there", func(t *testing.T, st connect.Store) {
		acme(t, st)
		cs := connectSession("nobody", "dana")
		missing(0, st.CreateConnectSession(t.Context(), cs))(t)
		nonce := random(10)
		f := flow("acme", "nothing", "dana")
		missing(st.CreateFlow(t.Context(), f, nonce, now.Add(time.Hour), event(connect.EventFlowStarted, "acme", "dana")))(t)
		f.Connector = "mail"
		yes(st.CreateFlow(t.Context(), f, nonce, now.Add(time.Hour), event(connect.EventFlowStarted, "acme", "dana")))(t)
	}},
}

func expectApps(t *testing.T, st connect.Store, want []connect.AppRecord) {
	t.Helper()
	got := must(st.Apps(t.Context()))(t)
	if len(got.Apps) != len(want) {
		t.Fatalf("%d apps instead of %d", len(got.Apps), len(want))
	}
	for i := range want {
		equal(t, got.Apps[i], want[i])
	}
	if rev := must(st.Revision(t.Context()))(t); rev != got.Revision {
		t.Errorf("apps of revision %d at revision %d", got.Revision, rev)
	}
}

// unchanged expects the batch to be refused as a fault, without a trace.
func unchanged(t *testing.T, st connect.Store, b connect.ApplyBatch) {
	t.Helper()
	before := must(st.Apps(t.Context()))(t)
	fault(t, st.ApplyApps(t.Context(), b))
	expectApps(t, st, before.Apps)
	if rev := must(st.Revision(t.Context()))(t); rev != before.Revision {
		t.Errorf("revision %d instead of %d", rev, before.Revision)
	}
}
