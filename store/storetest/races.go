package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/connect"
)

const racers = 50

// race runs f many times at once and returns how often it was true.
func race(t *testing.T, f func(i int) (bool, error)) int {
	t.Helper()
	var (
		wg    sync.WaitGroup
		won   atomic.Int32
		start = make(chan struct{})
	)
	for i := range racers {
		wg.Go(func() {
			<-start
			ok, err := f(i)
			if err != nil {
				t.Error(err)
			}
			if ok {
				won.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(won.Load())
}

func expectOne(t *testing.T, won int) {
	t.Helper()
	if won != 1 {
		t.Errorf("%d of %d won instead of 1", won, racers)
	}
}

var raceTests = []test{
	{"one update of a version", func(t *testing.T, st connect.Store) {
		acme(t, st)
		f := begin(t, st, flow("acme", "calendar", "dana"))
		expectOne(t, race(t, func(i int) (bool, error) {
			mine := f
			mine.Code = connect.Code(fmt.Sprint(i))
			return st.UpdateFlow(t.Context(), mine, event(connect.EventFlowFinished, "acme", "dana"))
		}))
		if got := must(st.Flow(t.Context(), f.ID))(t); got.Version != f.Version+1 {
			t.Errorf("version %d", got.Version)
		}
		count(t, "events", must(st.Events(t.Context(), "acme", "dana", 100))(t), 1)
	}},
	{"one flow of a ticket", func(t *testing.T, st connect.Store) {
		acme(t, st)
		nonce := random(10)
		expectOne(t, race(t, func(int) (bool, error) {
			return st.CreateFlow(t.Context(), flow("acme", "calendar", "dana"), nonce, now.Add(time.Hour), event(connect.EventFlowStarted, "acme", "dana"))
		}))
		count(t, "flows", must(st.OpenFlows(t.Context(), "acme", "dana"))(t), 1)
	}},
	{"one browser of a ticket", func(t *testing.T, st connect.Store) {
		acme(t, st)
		cs := connectSession("acme", "dana")
		check(t, st.CreateConnectSession(t.Context(), cs))
		expectOne(t, race(t, func(int) (bool, error) {
			return st.OpenBrowserSession(t.Context(), nil, browserSession(&cs), now)
		}))
	}},
	{"one connection of one flow", func(t *testing.T, st connect.Store) {
		acme(t, st)
		f := begin(t, st, flow("acme", "calendar", "dana"))
		expectOne(t, race(t, func(int) (bool, error) {
			res, err := st.Connect(t.Context(), ending(f, connection("acme", "calendar", "dana")))
			return err == nil && !res.FlowMoved && !res.ConnectionMoved, err
		}))
		count(t, "connections", must(st.UserConnections(t.Context(), "acme", "dana"))(t), 1)
		count(t, "events", must(st.Events(t.Context(), "acme", "dana", 100))(t), 1)
	}},
	{"one connection of many flows", func(t *testing.T, st connect.Store) {
		acme(t, st)
		flows := make([]connect.Flow, racers)
		for i := range flows {
			flows[i] = begin(t, st, flow("acme", "calendar", "dana"))
		}
		var superseded atomic.Int32
		expectOne(t, race(t, func(i int) (bool, error) {
			res, err := st.Connect(t.Context(), ending(flows[i], connection("acme", "calendar", "dana")))
			superseded.Add(int32(len(res.Superseded)))
			return err == nil && !res.FlowMoved && !res.ConnectionMoved, err
		}))
		if n := superseded.Load(); n != racers-1 {
			t.Errorf("%d flows superseded instead of %d", n, racers-1)
		}
		count(t, "open flows", must(st.OpenFlows(t.Context(), "acme", "dana"))(t), 0)
		conns := must(st.UserConnections(t.Context(), "acme", "dana"))(t)
		count(t, "connections", conns, 1)
		for _, f := range flows {
			if got := must(st.Flow(t.Context(), f.ID))(t); got.Status == connect.StatusConnected && got.Connection != conns[0].ID {
				t.Error("the flow that connected is not the one whose connection is there")
			}
		}
	}},
	{"one refresh of a generation", func(t *testing.T, st connect.Store) {
		acme(t, st)
		c := link(t, st, "acme", "calendar", "dana")
		expectOne(t, race(t, func(int) (bool, error) {
			return st.SaveRefreshed(t.Context(), connect.Refreshed{ID: c.ID, Generation: c.Generation, Sealed: random(100), KeyID: "k"})
		}))
		if got := must(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t); got.Generation != c.Generation+1 {
			t.Errorf("generation %d", got.Generation)
		}
	}},
	{"a disconnect and refreshes", func(t *testing.T, st connect.Store) {
		acme(t, st)
		for range 20 {
			c := link(t, st, "acme", "calendar", "dana")
			race(t, func(i int) (bool, error) {
				if i%10 == 0 {
					_, err := st.Disconnect(t.Context(), "acme", "calendar", c.Owner, entry(event(connect.EventDisconnected, "acme", "dana")))
					if errors.Is(err, connect.ErrNotFound) {
						return false, nil
					}
					return err == nil, err
				}
				_, err := st.SaveRefreshed(t.Context(), connect.Refreshed{ID: c.ID, Generation: c.Generation + int64(i%2), Sealed: random(100), KeyID: "k"})
				return false, err
			})
			missing(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t)
		}
		if n := len(must(st.Events(t.Context(), "acme", "dana", 1000))(t)); n != 40 {
			t.Errorf("%d events of 20 connections made and ended", n)
		}
	}},
	{"two applies leave one whole state", func(t *testing.T, st connect.Store) {
		acme(t, st)
		before := must(st.Revision(t.Context()))(t)
		race(t, func(i int) (bool, error) {
			rec := appRecord("acme", "calendar", "mail")
			mark := []byte(fmt.Sprintf(`{"by":%d}`, i))
			rec.Document, rec.Connectors[0].Document, rec.Connectors[1].Document = mark, mark, mark
			return true, st.ApplyApps(t.Context(), connect.ApplyBatch{Put: []connect.AppRecord{rec}})
		})
		a := must(st.Apps(t.Context()))(t)
		if a.Revision != before+racers {
			t.Errorf("revision %d after %d applies on %d", a.Revision, racers, before)
		}
		for _, c := range a.Apps[0].Connectors {
			if string(c.Document) != string(a.Apps[0].Document) {
				t.Errorf("%s beside %s", c.Document, a.Apps[0].Document)
			}
		}
	}},
	{"apps are read at one revision", func(t *testing.T, st connect.Store) {
		acme(t, st)
		stop := make(chan struct{})
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				rec := appRecord("acme", "calendar", "mail")
				mark := []byte(fmt.Sprintf(`{"by":%d}`, i))
				rec.Document, rec.Connectors[0].Document, rec.Connectors[1].Document = mark, mark, mark
				if err := st.ApplyApps(t.Context(), connect.ApplyBatch{Put: []connect.AppRecord{rec}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
		seen := map[int64]string{}
		for range 300 {
			a := must(st.Apps(t.Context()))(t)
			text := string(a.Apps[0].Document)
			for _, c := range a.Apps[0].Connectors {
				text += string(c.Document)
			}
			if was, ok := seen[a.Revision]; ok && was != text {
				t.Fatalf("revision %d was %s and is %s", a.Revision, was, text)
			}
			seen[a.Revision] = text
		}
		close(stop)
		writer.Wait()
	}},
}

var cancelTests = []test{
	{"before it begins", func(t *testing.T, st connect.Store) {
		acme(t, st)
		c := link(t, st, "acme", "calendar", "dana")
		f := begin(t, st, flow("acme", "calendar", "dana"))
		cs, b := signIn(t, st, "acme", "dana")
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		overdue, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		for ctx, want := range map[context.Context]error{canceled: context.Canceled, overdue: context.DeadlineExceeded} {
			for name, err := range everyMethod(ctx, st, c, f, cs, b) {
				if !errors.Is(err, want) || errors.Is(err, connect.ErrUnavailable) {
					t.Errorf("%s: error %v instead of %v", name, err, want)
				}
			}
		}
		equal(t, must(st.Connection(t.Context(), "acme", "calendar", c.Owner))(t), c)
		equal(t, must(st.Flow(t.Context(), f.ID))(t), f)
		count(t, "browser sessions", must(st.BrowserSessions(t.Context(), b.Hash, now))(t), 1)
	}},
	{"in the middle: nobody gets another's row", func(t *testing.T, st connect.Store) {
		acme(t, st)
		users := make([]connect.Connection, 20)
		for i := range users {
			users[i] = link(t, st, "acme", "calendar", fmt.Sprintf("user %d", i))
		}
		read := func(ctx context.Context, i int) error {
			want := users[i%len(users)]
			got, err := st.Connection(ctx, "acme", "calendar", want.Owner)
			if err != nil {
				return err
			}
			if got.ID != want.ID || string(got.Sealed) != string(want.Sealed) || got.Account != want.Account {
				return fmt.Errorf("%s was read for %s", got.ID, want.ID)
			}
			all, err := st.UserConnections(ctx, "acme", want.Owner.User)
			if err == nil && (len(all) != 1 || all[0].ID != want.ID) {
				return fmt.Errorf("%d connections were read for %s", len(all), want.ID)
			}
			return err
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i := range 500 { // given up at any moment
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(300))*time.Microsecond)
					if err := read(ctx, i); err != nil && !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
					cancel()
				}
			})
			wg.Go(func() {
				for i := range 200 {
					if err := read(t.Context(), i); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}},
	{"in the middle: a write is done or not, and the next one works", func(t *testing.T, st connect.Store) {
		acme(t, st)
		var wg sync.WaitGroup
		for i := range 8 {
			user := fmt.Sprintf("user %d", i)
			c := link(t, st, "acme", "calendar", user)
			wg.Go(func() {
				for range 60 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(3000))*time.Microsecond)
					ok, err := st.SaveRefreshed(ctx, connect.Refreshed{ID: c.ID, Generation: c.Generation, Sealed: random(50), KeyID: "k"})
					cancel()
					if err != nil && !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
					got, err := st.Connection(t.Context(), "acme", "calendar", c.Owner)
					if err != nil {
						t.Error(err)
						return
					}
					if ok != (got.Generation == c.Generation+1) || got.Generation > c.Generation+1 {
						t.Errorf("%v at generation %d after %d", ok, got.Generation, c.Generation)
					}
					c.Generation = got.Generation
				}
			})
		}
		wg.Wait()
		link(t, st, "acme", "mail", "dana")
	}},
}

// everyMethod calls each method once, each in a way that would work.
func everyMethod(ctx context.Context, st connect.Store, c connect.Connection, f connect.Flow, cs connect.ConnectSession, b connect.BrowserSession) map[string]error {
	errs := map[string]error{}
	ev := event(connect.EventFlowFinished, c.App, c.Owner.User)
	_, errs["Revision"] = st.Revision(ctx)
	_, errs["Apps"] = st.Apps(ctx)
	errs["ApplyApps"] = st.ApplyApps(ctx, connect.ApplyBatch{RemoveApps: []string{c.App}})
	_, errs["CountConnections"] = st.CountConnections(ctx, c.App, c.Connector)
	_, errs["ConnectorConnections"] = st.ConnectorConnections(ctx, c.App, c.Connector)
	errs["CreateConnectSession"] = st.CreateConnectSession(ctx, connectSession(c.App, c.Owner.User))
	_, errs["ConnectSession"] = st.ConnectSession(ctx, cs.App, cs.ID)
	_, errs["ConnectSessionByURL"] = st.ConnectSessionByURL(ctx, cs.URLHash)
	_, errs["ConnectSessionByToken"] = st.ConnectSessionByToken(ctx, cs.App, cs.TokenHash)
	_, errs["EndConnectSession"] = st.EndConnectSession(ctx, cs.App, cs.ID, now)
	_, errs["BrowserSessions"] = st.BrowserSessions(ctx, b.Hash, now)
	_, errs["OpenBrowserSession"] = st.OpenBrowserSession(ctx, b.Hash, browserSession(&cs), now)
	errs["TouchBrowserSession"] = st.TouchBrowserSession(ctx, b.Hash, b.App, now)
	errs["EndBrowserSession"] = st.EndBrowserSession(ctx, b.Hash, "")
	_, errs["CreateFlow"] = st.CreateFlow(ctx, flow(c.App, c.Connector, c.Owner.User), random(10), now.Add(time.Hour), ev)
	_, errs["Flow"] = st.Flow(ctx, f.ID)
	_, errs["FlowByState"] = st.FlowByState(ctx, f.StateHash)
	_, errs["UpdateFlow"] = st.UpdateFlow(ctx, f, ev)
	_, errs["OpenFlows"] = st.OpenFlows(ctx, c.App, c.Owner.User)
	_, errs["SessionFlows"] = st.SessionFlows(ctx, c.App, cs.ID)
	_, errs["StaleFlows"] = st.StaleFlows(ctx, now.Add(time.Hour), 10)
	errs["Park"] = st.Park(ctx, random(32), random(9), now)
	_, errs["Parked"] = st.Parked(ctx, random(32), now)
	errs["Unpark"] = st.Unpark(ctx, random(32))
	_, errs["Connect"] = st.Connect(ctx, ending(f, with(c, func(c *connect.Connection) { c.ID = id("cn_") })))
	_, errs["Connection"] = st.Connection(ctx, c.App, c.Connector, c.Owner)
	_, errs["UserConnections"] = st.UserConnections(ctx, c.App, c.Owner.User)
	_, errs["AccountConnections"] = st.AccountConnections(ctx, []string{c.Type}, c.Account.ID)
	_, errs["SaveRefreshed"] = st.SaveRefreshed(ctx, connect.Refreshed{ID: c.ID, Generation: c.Generation, Sealed: random(9)})
	_, errs["MarkReconnect"] = st.MarkReconnect(ctx, c.ID, c.Generation, "because", ev)
	_, errs["Disconnect"] = st.Disconnect(ctx, c.App, c.Connector, c.Owner, entry(ev))
	errs["TouchConnections"] = st.TouchConnections(ctx, map[string]time.Time{c.ID: now})
	errs["ForgetUser"] = st.ForgetUser(ctx, c.App, c.Owner.User)
	_, errs["Events"] = st.Events(ctx, c.App, c.Owner.User, 10)
	_, errs["EventsAfter"] = st.EventsAfter(ctx, c.App, c.Owner.User, 0, 10)
	_, errs["LastEvent"] = st.LastEvent(ctx, c.App, c.Owner.User)
	_, errs["Event"] = st.Event(ctx, c.App, c.Owner.User, ev.ID)
	errs["SetEventData"] = st.SetEventData(ctx, ev.ID, nil)
	errs["Sweep"] = st.Sweep(ctx, now.Add(time.Hour), now)
	return errs
}
