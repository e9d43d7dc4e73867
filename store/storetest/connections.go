package storetest

import (
	"testing"
	"time"

	"patchbay/connect"
)

func filledConnection(seed int, user string) connect.Connection {
	c := filled[connect.Connection](seed)
	c.App, c.Connector, c.Owner = "acme", "calendar", connect.OwnerOf(user)
	return c
}

var connectTests = []test{
	{"every field survives, made and replaced", func(t *testing.T, st connect.Store) {
		acme(t, st)
		c := filledConnection(0, "dana")
		end := ending(begin(t, st, flow("acme", "calendar", "dana")), c)
		connected(t, st, end)
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t), c)
		end.Flow.Version++
		equal(t, must(st.Flow(t.Context(), end.Flow.ID))(t), end.Flow)
		equal(t, must(st.Event(t.Context(), "acme", "dana", end.Events[0].ID))(t), end.Events[0])

		next := filledConnection(1000, "dana")
		end = ending(begin(t, st, flow("acme", "calendar", "dana")), next)
		end.Replaces, end.ReplacesGen = c.ID, c.Generation
		connected(t, st, end)
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t), next)
		count(t, "connections", must(st.UserConnections(t.Context(), "acme", "dana"))(t), 1)
	}},
	{"for the whole app", func(t *testing.T, st connect.Store) {
		acme(t, st)
		c := connection("acme", "calendar", "")
		connected(t, st, ending(begin(t, st, flow("acme", "calendar", "builder")), c))
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", connect.Owner{}))(t), c)
		missing(st.Connection(t.Context(), "acme", "calendar", connect.OwnerOf("app")))(t)
		missing(st.Connection(t.Context(), "acme", "calendar", connect.OwnerOf("builder")))(t)
		count(t, "connections of nobody", must(st.UserConnections(t.Context(), "acme", ""))(t), 0)
		count(t, "connections of a user named app", must(st.UserConnections(t.Context(), "acme", "app"))(t), 0)
	}},
	{"a flow that moved stores nothing", func(t *testing.T, st connect.Store) {
		acme(t, st)
		for _, change := range []func(*connect.Connecting){
			func(c *connect.Connecting) { c.Flow.Version++ },
			func(c *connect.Connecting) { c.Flow.ID = "fl_unknown" },
			func(c *connect.Connecting) { c.Flow.User.ID, c.Connection.Owner = "sam", connect.OwnerOf("sam") },
			func(c *connect.Connecting) { c.Flow.Connector, c.Connection.Connector = "mail", "mail" },
		} {
			nothingConnected(t, st, func(c *connect.Connecting) { change(c) }, connect.ConnectResult{FlowMoved: true})
		}
	}},
	{"a flow that is over stores nothing", func(t *testing.T, st connect.Store) {
		acme(t, st)
		for _, status := range statuses {
			if !status.Final() {
				continue
			}
			f := flow("acme", "calendar", "dana")
			f.Status = status
			begin(t, st, f)
			res := must(st.Connect(t.Context(), ending(f, connection("acme", "calendar", "dana"))))(t)
			if !res.FlowMoved || res.ConnectionMoved {
				t.Errorf("of a flow that is %s: %+v", status, res)
			}
			equal(t, must(st.Flow(t.Context(), f.ID))(t), f)
		}
		missing(st.Connection(t.Context(), "acme", "calendar", connect.OwnerOf("dana")))(t)
	}},
	{"a connection that moved stores nothing", func(t *testing.T, st connect.Store) {
		acme(t, st)
		moved := connect.ConnectResult{ConnectionMoved: true}
		replacing := func(id string, gen int64) func(*connect.Connecting) {
			return func(c *connect.Connecting) {
				c.Replaces, c.ReplacesGen, c.Connection.Generation = id, gen, gen+1
			}
		}
		nothingConnected(t, st, replacing("cn_gone", 1), moved)
		old := link(t, st, "acme", "calendar", "dana")
		nothingConnected(t, st, func(*connect.Connecting) {}, moved)
		nothingConnected(t, st, replacing("cn_other", old.Generation), moved)
		nothingConnected(t, st, replacing(old.ID, old.Generation+1), moved)
		nothingConnected(t, st, replacing(old.ID, old.Generation-1), moved)
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", old.Owner))(t), old)
	}},
	{"a mistake of the caller", func(t *testing.T, st connect.Store) {
		acme(t, st)
		for name, change := range map[string]func(*connect.Connecting){
			"a status that is not final":      func(c *connect.Connecting) { c.Flow.Status = connect.StatusExchanging },
			"another user's connection":       func(c *connect.Connecting) { c.Connection.Owner = connect.OwnerOf("sam") },
			"another connector's connection":  func(c *connect.Connecting) { c.Connection.Connector = "mail" },
			"another app's connection":        func(c *connect.Connecting) { c.Connection.App = "other" },
			"a generation that does not grow": func(c *connect.Connecting) { c.ReplacesGen = c.Connection.Generation },
		} {
			end := ending(begin(t, st, flow("acme", "calendar", "dana")), connection("acme", "calendar", "dana"))
			change(&end)
			if _, err := st.Connect(t.Context(), end); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		count(t, "connections", must(st.ConnectorConnections(t.Context(), "acme", "calendar"))(t), 0)
	}},
	{"the user's other flows of the connector are superseded", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar", "mail"}, "other": {"calendar"}})
		wins := begin(t, st, flow("acme", "calendar", "dana"))
		var lost, kept []connect.Flow
		for _, status := range statuses {
			f := flow("acme", "calendar", "dana")
			f.Status, f.ResultHash, f.ResultExpires, f.Code = status, random(32), now.Add(time.Minute), "before"
			begin(t, st, f)
			if status.Final() {
				kept = append(kept, f)
			} else {
				lost = append(lost, f)
			}
		}
		kept = append(kept, begin(t, st, flow("acme", "mail", "dana")), begin(t, st, flow("acme", "calendar", "sam")), begin(t, st, flow("other", "calendar", "dana")))

		end := ending(wins, connection("acme", "calendar", "dana"))
		told := map[string]bool{}
		end.Supersede = func(f *connect.Flow) connect.Event {
			ev := event(connect.EventFlowFinished, f.App, f.User.ID)
			ev.Flow, told[f.ID] = f.ID, true
			return ev
		}
		res := connected(t, st, end)
		count(t, "superseded flows", res.Superseded, len(lost))
		for _, e := range must(st.Events(t.Context(), "acme", "dana", 100))(t) {
			delete(told, e.Flow)
		}
		if len(told) != 0 {
			t.Errorf("%d entries of superseded flows were not kept", len(told))
		}
		returned := map[string]connect.Flow{}
		for _, f := range res.Superseded {
			returned[f.ID] = f
		}
		for _, f := range lost {
			want := f
			want.Status, want.Code, want.Sealed, want.ResultHash, want.ResultExpires = connect.StatusSuperseded, connect.CodeSuperseded, nil, nil, time.Time{}
			want.MovedAt, want.FinishedAt = end.Flow.FinishedAt, end.Flow.FinishedAt
			want.Version++
			equal(t, must(st.Flow(t.Context(), f.ID))(t), want)
			equal(t, returned[f.ID], want)
			no(st.UpdateFlow(t.Context(), f))(t)
		}
		for _, f := range kept {
			equal(t, must(st.Flow(t.Context(), f.ID))(t), f)
		}
	}},
	{"the link that began it ends", func(t *testing.T, st connect.Store) {
		acme(t, st)
		cs, other := connectSession("acme", "dana"), connectSession("acme", "dana")
		cs.Mode = connect.ModeLink
		check(t, st.CreateConnectSession(t.Context(), cs))
		check(t, st.CreateConnectSession(t.Context(), other))
		f := flow("acme", "calendar", "dana")
		f.Session = cs.ID
		end := ending(begin(t, st, f), connection("acme", "calendar", "dana"))
		connected(t, st, end)
		cs.EndedAt = end.Flow.FinishedAt
		equal(t, must(st.ConnectSession(t.Context(), "acme", cs.ID))(t), cs)
		equal(t, must(st.ConnectSession(t.Context(), "acme", other.ID))(t), other)
	}},
	{"the frame that began it goes on", func(t *testing.T, st connect.Store) {
		acme(t, st)
		cs := connectSession("acme", "dana")
		cs.Mode = connect.ModeEmbed
		check(t, st.CreateConnectSession(t.Context(), cs))
		f := flow("acme", "calendar", "dana")
		f.Session = cs.ID
		connected(t, st, ending(begin(t, st, f), connection("acme", "calendar", "dana")))
		equal(t, must(st.ConnectSession(t.Context(), "acme", cs.ID))(t), cs)
	}},
}

// nothingConnected tries an ending that somebody was faster than, and expects every
// row as it was.
func nothingConnected(t *testing.T, st connect.Store, change func(*connect.Connecting), want connect.ConnectResult) {
	t.Helper()
	cs := connectSession("acme", "dana")
	check(t, st.CreateConnectSession(t.Context(), cs))
	f := flow("acme", "calendar", "dana")
	f.Session = cs.ID
	begin(t, st, f)
	bystander := begin(t, st, flow("acme", "calendar", "dana"))
	before := must(st.ConnectorConnections(t.Context(), "acme", "calendar"))(t)

	end := ending(f, connection("acme", "calendar", "dana"))
	change(&end)
	res := must(st.Connect(t.Context(), end))(t)
	if res.FlowMoved != want.FlowMoved || res.ConnectionMoved != want.ConnectionMoved || len(res.Superseded) != 0 {
		t.Errorf("%+v instead of %+v", res, want)
	}
	equal(t, must(st.Flow(t.Context(), f.ID))(t), f)
	equal(t, must(st.Flow(t.Context(), bystander.ID))(t), bystander)
	equal(t, must(st.ConnectSession(t.Context(), "acme", cs.ID))(t), cs)
	missing(st.Event(t.Context(), "acme", "dana", end.Events[0].ID))(t)
	after := must(st.ConnectorConnections(t.Context(), "acme", "calendar"))(t)
	count(t, "connections", after, len(before))
	for i := range after {
		equal(t, after[i], before[i])
	}
}

var connectionTests = []test{
	{"what does not match finds nothing", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar", "mail"}, "other": {"calendar"}})
		link(t, st, "acme", "calendar", "dana")
		missing(st.Connection(t.Context(), "acme", "calendar", connect.OwnerOf("sam")))(t)
		missing(st.Connection(t.Context(), "acme", "calendar", connect.Owner{}))(t)
		missing(st.Connection(t.Context(), "acme", "mail", connect.OwnerOf("dana")))(t)
		missing(st.Connection(t.Context(), "other", "calendar", connect.OwnerOf("dana")))(t)
	}},
	{"lists", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar", "mail"}, "other": {"calendar"}})
		a, b := link(t, st, "acme", "mail", "dana"), link(t, st, "acme", "calendar", "dana")
		c, d := link(t, st, "acme", "calendar", "sam"), link(t, st, "other", "calendar", "dana")
		expect := func(got, want []connect.Connection) {
			t.Helper()
			count(t, "connections", got, len(want))
			for i := range min(len(got), len(want)) {
				equal(t, got[i], want[i])
			}
		}
		expect(must(st.UserConnections(t.Context(), "acme", "dana"))(t), []connect.Connection{b, a})
		expect(must(st.UserConnections(t.Context(), "acme", "eve"))(t), nil)
		expect(must(st.ConnectorConnections(t.Context(), "acme", "calendar"))(t), []connect.Connection{b, c})
		expect(must(st.AccountConnections(t.Context(), []string{"type_calendar"}, "account of dana"))(t), []connect.Connection{b, d})
		expect(must(st.AccountConnections(t.Context(), []string{"type_mail", "type_calendar"}, "account of dana"))(t), []connect.Connection{b, a, d})
		expect(must(st.AccountConnections(t.Context(), nil, "account of dana"))(t), nil)
		expect(must(st.AccountConnections(t.Context(), []string{"type_calendar"}, ""))(t), nil)
		if n := must(st.CountConnections(t.Context(), "acme", "calendar"))(t); n != 2 {
			t.Errorf("%d connections counted instead of 2", n)
		}
	}},
	{"fresh tokens need the generation they were made from", func(t *testing.T, st connect.Store) {
		acme(t, st)
		c := filledConnection(0, "dana")
		c.Status = connect.ConnectionConnected
		connected(t, st, ending(begin(t, st, flow("acme", "calendar", "dana")), c))
		r := filled[connect.Refreshed](1000)
		r.ID, r.Generation = c.ID, c.Generation
		for _, r := range []connect.Refreshed{
			with(r, func(r *connect.Refreshed) { r.Generation-- }),
			with(r, func(r *connect.Refreshed) { r.Generation++ }),
			with(r, func(r *connect.Refreshed) { r.ID = "cn_unknown" }),
		} {
			no(st.SaveRefreshed(t.Context(), r))(t)
		}
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t), c)
		yes(st.SaveRefreshed(t.Context(), r))(t)
		c.Generation++
		c.Sealed, c.KeyID, c.TokenType, c.Scopes, c.Missing = r.Sealed, r.KeyID, r.TokenType, r.Scopes, r.Missing
		c.Config, c.ObtainedAt, c.ExpiresAt, c.Reason = r.Config, r.ObtainedAt, r.ExpiresAt, ""
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t), c)
		no(st.SaveRefreshed(t.Context(), r))(t)
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t), c)
	}},
	{"marking needs the generation, and happens once", func(t *testing.T, st connect.Store) {
		acme(t, st)
		c := link(t, st, "acme", "calendar", "dana")
		ev := event(connect.EventReconnectRequired, "acme", "dana")
		ev.At, ev.Connection = now.Add(time.Hour), c.ID
		no(st.MarkReconnect(t.Context(), c.ID, c.Generation+1, "grant_ended", ev))(t)
		no(st.MarkReconnect(t.Context(), "cn_unknown", c.Generation, "grant_ended", ev))(t)
		missing(st.Event(t.Context(), "acme", "dana", ev.ID))(t)
		yes(st.MarkReconnect(t.Context(), c.ID, c.Generation, "grant_ended", ev))(t)
		no(st.MarkReconnect(t.Context(), c.ID, c.Generation, "again", event(connect.EventReconnectRequired, "acme", "dana")))(t)
		want := c
		want.Status, want.Reason, want.UpdatedAt = connect.ConnectionReconnectRequired, "grant_ended", ev.At
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t), want)
		equal(t, must(st.Event(t.Context(), "acme", "dana", ev.ID))(t), ev)
		// A refresh of the same generation that worked after all says that it works.
		yes(st.SaveRefreshed(t.Context(), connect.Refreshed{ID: c.ID, Generation: c.Generation, Sealed: random(9), KeyID: "k"}))(t)
		if got := must(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t); got.Status != connect.ConnectionConnected || got.Reason != "" {
			t.Errorf("%s, %q after fresh tokens", got.Status, got.Reason)
		}
	}},
	{"a disconnect returns what it removed", func(t *testing.T, st connect.Store) {
		acme(t, st)
		c, other := link(t, st, "acme", "calendar", "dana"), link(t, st, "acme", "calendar", "sam")
		ev := event(connect.EventDisconnected, "acme", "dana")
		equal(t, must(st.Disconnect(t.Context(), "acme", "calendar", c.Owner, entry(ev)))(t), c)
		missing(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t)
		ev.Connection = c.ID
		equal(t, must(st.Event(t.Context(), "acme", "dana", ev.ID))(t), ev)
		again := event(connect.EventDisconnected, "acme", "dana")
		missing(st.Disconnect(t.Context(), "acme", "calendar", c.Owner, entry(again)))(t)
		missing(st.Event(t.Context(), "acme", "dana", again.ID))(t)
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", other.Owner))(t), other)
		// Nothing that was under way brings it back.
		no(st.SaveRefreshed(t.Context(), connect.Refreshed{ID: c.ID, Generation: c.Generation, Sealed: random(9)}))(t)
		// A new one begins anew.
		fresh := link(t, st, "acme", "calendar", "dana")
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t), fresh)
	}},
	{"last uses only grow", func(t *testing.T, st connect.Store) {
		acme(t, st)
		a, b := link(t, st, "acme", "calendar", "dana"), link(t, st, "acme", "calendar", "sam")
		check(t, st.TouchConnections(t.Context(), nil))
		many := map[string]time.Time{a.ID: now.Add(2 * time.Second)}
		for range 1200 {
			many[id("cn_")] = now
		}
		check(t, st.TouchConnections(t.Context(), many))
		check(t, st.TouchConnections(t.Context(), map[string]time.Time{a.ID: now.Add(time.Second)}))
		a.LastUsedAt = now.Add(2 * time.Second)
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", a.Owner))(t), a)
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", b.Owner))(t), b)
	}},
	{"what is returned belongs to the caller", func(t *testing.T, st connect.Store) {
		acme(t, st)
		c := filledConnection(0, "dana")
		connected(t, st, ending(begin(t, st, flow("acme", "calendar", "dana")), c))
		got := must(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t)
		clear(got.Sealed)
		clear(got.Config)
		clear(got.Scopes)
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t), c)
	}},
	{"large values", func(t *testing.T, st connect.Store) {
		acme(t, st)
		c := connection("acme", "calendar", string(make255()))
		c.Sealed = random(64 << 10)
		c.Config = map[string]string{"large": string(make255())}
		connected(t, st, ending(begin(t, st, flow("acme", "calendar", c.Owner.User)), c))
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t), c)
		r := connect.Refreshed{ID: c.ID, Generation: c.Generation, Sealed: random(64 << 10), KeyID: c.KeyID}
		yes(st.SaveRefreshed(t.Context(), r))(t)
		c.Sealed, c.Config, c.Generation = r.Sealed, nil, c.Generation+1
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t), c)
	}},
}
