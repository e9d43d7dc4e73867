//go:build linux

package store

import (
	"context"
	"testing"
	"time"

	"patchbay/connect"
	"patchbay/store/pgcluster"
	"patchbay/store/storetest"
)

func TestPostgres(t *testing.T) {
	storetest.Run(t, func(t *testing.T) connect.Store { return openPostgresTest(t, pgcluster.Database(t)) })
}

func openPostgresTest(t testing.TB, address string) *Store {
	t.Helper()
	s, err := OpenPostgres(t.Context(), address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n := s.durable.Stats().InUse + s.relaxed.Stats().InUse; n != 0 {
			t.Errorf("%d transactions are still open", n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// What one instance writes wakes who waits at another, and nobody else.
func TestPostgresWakesOtherInstances(t *testing.T) {
	address := pgcluster.Database(t)
	writer, err := OpenPostgres(t.Context(), address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	waiter, err := OpenPostgres(t.Context(), address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = waiter.Close() }()
	woken := make(chan string, 10)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		waiter.Listen(ctx, func(app, user string) { woken <- app + "/" + user })
	}()
	want := func(who string) {
		t.Helper()
		select {
		case got := <-woken:
			if got != who {
				t.Errorf("woken for %q instead of %q", got, who)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("not woken for %q", who)
		}
	}
	want("/") // it listens: whoever waits looks once
	app := connect.AppRecord{ID: "acme", Document: []byte(`{}`), Connectors: []connect.ConnectorRecord{{App: "acme", ID: "mail", Type: "mail", Mode: connect.ModeUser, Document: []byte(`{}`)}}}
	if err := writer.ApplyApps(t.Context(), connect.ApplyBatch{Put: []connect.AppRecord{app}}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	f := connect.Flow{ID: "fl_1", App: "acme", Connector: "mail", User: connect.EndUser{ID: "dana\u00e9"}, Status: connect.StatusStarted, Version: 1, StateHash: []byte{1}, CookieHash: []byte{1}, CreatedAt: now, MovedAt: now}
	ev := connect.Event{ID: "ev_1", At: now, Kind: connect.EventFlowStarted, App: "acme", User: f.User.ID}
	if ok, err := writer.CreateFlow(t.Context(), f, []byte{1}, now.Add(time.Hour), ev); err != nil || !ok {
		t.Fatal(ok, err)
	}
	want("acme/dana\u00e9")
	stop()
	<-ended
}
