package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/connect"
	"patchbay/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) connect.Store { return openTest(t) })
}

func BenchmarkSQLite(b *testing.B) {
	storetest.Benchmark(b, func(t testing.TB) connect.Store { return openTest(t) })
}

func openTest(t testing.TB) *Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "patchbay.db"), Options{})
}

// openAt opens a store and sees to it that the test leaves nothing under way.
func openAt(t testing.TB, path string, opts Options) *Store {
	t.Helper()
	s, err := OpenSQLite(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n := s.durable.Stats().InUse + s.relaxed.Stats().InUse + len(s.turn); n != 0 {
			t.Errorf("a transaction is still open")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// putApp gives the store an app with one connector and a user's connection.
func putApp(t testing.TB, s *Store, app string) connect.Connection {
	t.Helper()
	err := s.ApplyApps(t.Context(), connect.ApplyBatch{Put: []connect.AppRecord{{
		ID: app, Document: []byte(`{}`), Connectors: []connect.ConnectorRecord{{App: app, ID: "calendar", Type: "calendar", Mode: connect.ModeUser, Document: []byte(`{}`)}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return putConnection(t, s, app, "dana", []byte("sealed tokens"))
}

func putConnection(t testing.TB, s *Store, app, user string, sealed []byte) connect.Connection {
	t.Helper()
	f := putFlow(t, s, app, user, nil)
	f.Status, f.FinishedAt = connect.StatusConnected, time.Now()
	c := connect.Connection{ID: "cn_" + app + user, App: app, Connector: "calendar", Owner: connect.OwnerOf(user), Status: connect.ConnectionConnected, Sealed: sealed, KeyID: "k1", Generation: 1}
	if res, err := s.Connect(t.Context(), connect.Connecting{Flow: f, Connection: c}); err != nil || res.FlowMoved || res.ConnectionMoved {
		t.Fatal(res, err)
	}
	return c
}

func putFlow(t testing.TB, s *Store, app, user string, sealed []byte) connect.Flow {
	t.Helper()
	id := fmt.Sprintf("fl_%s_%s_%d", app, user, time.Now().UnixNano())
	f := connect.Flow{ID: id, App: app, Connector: "calendar", User: connect.EndUser{ID: user}, Status: connect.StatusStarted, Version: 1,
		StateHash: []byte("state" + id), CookieHash: []byte("cookie" + id), Sealed: sealed, CreatedAt: time.Now(), MovedAt: time.Now()}
	if ok, err := s.CreateFlow(t.Context(), f, []byte("nonce"+id), time.Now().Add(time.Hour), connect.Event{}); err != nil || !ok {
		t.Fatal(ok, err)
	}
	return f
}

// The handle that durable methods commit on syncs with every commit; the other one at
// checkpoints. The setting is asked of SQLite itself, and each method is shown to use
// the handle that its promise needs by taking the other one away.
func TestDurability(t *testing.T) {
	s := openTest(t)
	for name, want := range map[string][3]string{ // durable, relaxed, readers
		"synchronous":   {"2", "1", ""}, // FULL, NORMAL
		"journal_mode":  {"wal", "wal", "wal"},
		"secure_delete": {"1", "1", "1"},
		"foreign_keys":  {"1", "1", "1"},
		"busy_timeout":  {"5000", "5000", "5000"},
		"temp_store":    {"2", "2", "2"},
		"query_only":    {"0", "0", "1"},
	} {
		for i, db := range []querier{s.durable, s.relaxed, s.readers.DB} {
			if want[i] == "" {
				continue
			}
			got, err := one(t.Context(), db, func(v *string) []any { return []any{v} }, anyRow, "PRAGMA "+name)
			if err != nil || got != want[i] {
				t.Errorf("handle %d: %s is %q instead of %q (%v)", i, name, got, want[i], err)
			}
		}
	}

	c := putApp(t, s, "acme")
	end := func() connect.Connecting {
		f := putFlow(t, s, "acme", "sam", nil)
		f.Status = connect.StatusConnected
		return connect.Connecting{Flow: f, Connection: connect.Connection{ID: "cn_sam", App: "acme", Connector: "calendar", Owner: connect.OwnerOf("sam"), Generation: 1}}
	}()
	ctx := t.Context()
	durable := map[string]func() error{
		"Connect": func() error { _, err := s.Connect(ctx, end); return err },
		"SaveRefreshed": func() error {
			_, err := s.SaveRefreshed(ctx, connect.Refreshed{ID: c.ID, Generation: 1})
			return err
		},
		"MarkReconnect": func() error { _, err := s.MarkReconnect(ctx, c.ID, 2, "", connect.Event{}); return err },
		"Disconnect": func() error {
			_, err := s.Disconnect(ctx, "acme", "calendar", c.Owner, func(*connect.Connection) connect.Event { return connect.Event{} })
			return err
		},
		"ForgetUser":        func() error { return s.ForgetUser(ctx, "acme", "dana") },
		"EndConnectSession": func() error { _, err := s.EndConnectSession(ctx, "acme", "cs", time.Now()); return err },
		"EndBrowserSession": func() error { return s.EndBrowserSession(ctx, []byte("hash"), "acme") },
		"ApplyApps":         func() error { return s.ApplyApps(ctx, connect.ApplyBatch{RemoveApps: []string{"acme"}}) },
		"AddKeyCheck":       func() error { return s.AddKeyCheck(ctx, "k1", []byte("check")) },
	}
	if err := s.durable.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range durable {
		if call() == nil {
			t.Errorf("%s does not commit on the durable handle", name)
		}
	}
	for name, call := range map[string]func() error{
		"CreateConnectSession": func() error {
			return s.CreateConnectSession(ctx, connect.ConnectSession{ID: "cs_1", App: "acme", URLHash: []byte("url")})
		},
		"UpdateFlow": func() error { _, err := s.UpdateFlow(ctx, end.Flow); return err },
		"Park":       func() error { return s.Park(ctx, []byte("id"), []byte("sealed"), time.Now()) },
		"Touch":      func() error { return s.TouchConnections(ctx, map[string]time.Time{c.ID: time.Now()}) },
		"Sweep":      func() error { return s.Sweep(ctx, time.Now(), time.Now()) },
		"Writable":   func() error { return s.Writable(ctx) },
	} {
		if err := call(); err != nil {
			t.Errorf("%s needs the durable handle: %v", name, err)
		}
	}
}

func TestSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchbay.db")
	s, err := OpenSQLite(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := putApp(t, s, "acme")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path, Options{})
	if got, err := s.Connection(t.Context(), "acme", "calendar", c.Owner); err != nil || got.ID != c.ID {
		t.Fatal(got, err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// A row of another key is an error, whoever mixed them up.
func TestAnotherRowIsAnError(t *testing.T) {
	s := openTest(t)
	putApp(t, s, "acme")
	same := connectionOf("acme", "calendar", connect.OwnerOf("sam"))
	c, err := one(t.Context(), s.readers, connectionFields, same, selectConnection, "acme", "calendar", connect.OwnerOf("dana").Key())
	if !errors.Is(err, errOtherRow) || c.ID != "" {
		t.Errorf("%q, %v", c.ID, err)
	}
	if err := s.wrap("read", err); errors.Is(err, connect.ErrNotFound) || errors.Is(err, connect.ErrUnavailable) {
		t.Error(err)
	}
}

// Another process that holds the lock makes writes wait, then fail; reads go on.
func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchbay.db")
	s, other := openAt(t, path, Options{BusyTimeout: 50 * time.Millisecond}), openAt(t, path, Options{})
	c := putApp(t, s, "acme")
	held, err := other.durable.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"relaxed": s.Writable(t.Context()),
		"durable": s.AddKeyCheck(t.Context(), "k", []byte("check")),
	} {
		if !errors.Is(err, connect.ErrUnavailable) || !strings.Contains(err.Error(), "locked") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Connection(t.Context(), "acme", "calendar", c.Owner); err != nil {
		t.Error(err)
	}
	if err := held.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.Writable(t.Context()); err != nil {
		t.Error(err)
	}
}

// Within a process, writes wait for their turn: for as long as the caller or the
// patience lasts.
func TestTurn(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "patchbay.db"), Options{BusyTimeout: 50 * time.Millisecond})
	s.turn <- struct{}{}
	if err := s.Writable(t.Context()); !errors.Is(err, connect.ErrUnavailable) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Writable(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, connect.ErrUnavailable) {
		t.Error(err)
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		<-s.turn
	}()
	if err := s.Writable(t.Context()); err != nil {
		t.Error(err)
	}
}

// Once a write has begun it ends, and its outcome is told, whoever has gone away.
func TestWritesEnd(t *testing.T) {
	s := openTest(t)
	ctx, cancel := context.WithCancel(t.Context())
	ok, err := s.write(ctx, s.durable, "go on", func(t tx) (bool, error) {
		cancel()
		time.Sleep(10 * time.Millisecond)
		n, err := t.exec(insertKeyCheck, "k", []byte("check"))
		return n == 1, err
	})
	if err != nil || !ok {
		t.Error(ok, err)
	}
	if checks, err := s.KeyChecks(t.Context()); err != nil || len(checks) != 1 {
		t.Error(checks, err)
	}
}

func TestWritesLeaveNothingOpenAfterAPanic(t *testing.T) {
	s := openTest(t)
	func() {
		defer func() { _ = recover() }()
		_, _ = s.write(t.Context(), s.durable, "panic", func(tx) (bool, error) { panic("in a transaction") })
	}()
	if err := s.AddKeyCheck(t.Context(), "k", []byte("check")); err != nil {
		t.Error(err)
	}
}

func TestReadOnly(t *testing.T) {
	s := openTest(t)
	c := putApp(t, s, "acme")
	if _, err := s.relaxed.Exec(`PRAGMA query_only = 1`); err != nil {
		t.Fatal(err)
	}
	if err := s.Writable(t.Context()); !errors.Is(err, connect.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := s.readers.Exec(`DELETE FROM connections`); err == nil {
		t.Error("a reader can write")
	}
	if _, err := s.Connection(t.Context(), "acme", "calendar", c.Owner); err != nil {
		t.Error(err)
	}
}

// A full database refuses writes, goes on with reads, and works again with space.
func TestFull(t *testing.T) {
	s := openTest(t)
	c := putApp(t, s, "acme")
	limitPages(t, s, 1) // SQLite makes it the pages that there are
	fillUp(t, s)
	if _, err := s.Connection(t.Context(), "acme", "calendar", c.Owner); err != nil {
		t.Error(err)
	}
	limitPages(t, s, 1_000_000)
	worksAgain(t, s, c)
}

func limitPages(t *testing.T, s *Store, pages int) {
	t.Helper()
	for _, db := range []*sql.DB{s.durable, s.relaxed} {
		if _, err := db.Exec(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)); err != nil {
			t.Fatal(err)
		}
	}
}

// fillUp writes on both handles until there is no room, and expects it to be said.
func fillUp(t *testing.T, s *Store) {
	t.Helper()
	large := make([]byte, 100<<10)
	for name, write := range map[string]func(i int) error{
		"relaxed": func(i int) error { return s.Park(t.Context(), fmt.Append(nil, "parked", i), large, time.Now()) },
		"durable": func(i int) error { return s.AddKeyCheck(t.Context(), fmt.Sprint("key", i), large) },
	} {
		var err error
		for i := 0; err == nil && i < 100; i++ {
			err = write(i)
		}
		if !errors.Is(err, connect.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func worksAgain(t *testing.T, s *Store, c connect.Connection) {
	t.Helper()
	large := make([]byte, 100<<10)
	if err := s.Park(t.Context(), []byte("after"), large, time.Now()); err != nil {
		t.Error(err)
	}
	if ok, err := s.SaveRefreshed(t.Context(), connect.Refreshed{ID: c.ID, Generation: c.Generation, Sealed: large}); err != nil || !ok {
		t.Error(ok, err)
	}
	if got, err := s.Connection(t.Context(), "acme", "calendar", c.Owner); err != nil || len(got.Sealed) != len(large) {
		t.Error(len(got.Sealed), err)
	}
	var verdict string
	if err := s.durable.QueryRow(`PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
		t.Error(verdict, err)
	}
}

func TestKeys(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	if checks, err := s.KeyChecks(ctx); err != nil || len(checks) != 0 {
		t.Error(checks, err)
	}
	for _, add := range [][2]string{{"k1", "one"}, {"k2", "two"}, {"k1", "late"}} {
		if err := s.AddKeyCheck(ctx, add[0], []byte(add[1])); err != nil {
			t.Error(err)
		}
	}
	checks, err := s.KeyChecks(ctx)
	if err != nil || len(checks) != 2 || string(checks["k1"]) != "one" || string(checks["k2"]) != "two" {
		t.Error(checks, err)
	}

	sealedBy := func(id string) []byte { // the form of vault's records
		return append([]byte{1, byte(len(id))}, append([]byte(id), make([]byte, 40)...)...)
	}
	rec := connect.AppRecord{ID: "acme", Sealed: sealedBy("of-app")}
	for i, sealed := range [][]byte{sealedBy("of-connector"), sealedBy("of-app"), []byte("no record")} {
		rec.Connectors = append(rec.Connectors, connect.ConnectorRecord{App: "acme", ID: []string{"calendar", "b", "c"}[i], Type: "t", Mode: connect.ModeUser, Sealed: sealed})
	}
	if err := s.ApplyApps(ctx, connect.ApplyBatch{Put: []connect.AppRecord{rec}}); err != nil {
		t.Fatal(err)
	}
	putConnection(t, s, "acme", "dana", []byte("x")) // k1
	used, err := s.KeysInUse(ctx)
	if err != nil || strings.Join(used, " ") != "k1 of-app of-connector" {
		t.Error(used, err)
	}
	if _, err := s.SaveRefreshed(ctx, connect.Refreshed{ID: "cn_acmedana", Generation: 1, KeyID: "k2"}); err != nil {
		t.Error(err)
	}
	rec.Sealed, rec.Connectors[1].Sealed = sealedBy("k2"), sealedBy("k2")
	if err := s.ApplyApps(ctx, connect.ApplyBatch{Put: []connect.AppRecord{rec}}); err != nil {
		t.Fatal(err)
	}
	if used, err = s.KeysInUse(ctx); err != nil || strings.Join(used, " ") != "k2 of-connector" {
		t.Error(used, err)
	}
}

// What requests ask for is found by an index, however large the tables grow.
func TestNoScans(t *testing.T) {
	s := openTest(t)
	for _, query := range []string{
		selectConnectSession, selectConnectSessionByURL, selectConnectSessionByToken, endConnectSession, endConnectSessionLinks,
		endConnectedBrowsers, selectBrowserSessions, useTicket, dropBrowser, clearBrowser, moveBrowser,
		selectFlow, selectFlowByState, updateFlow, selectOpenFlows, selectSessionFlows, selectStaleFlows, selectParked, dropParked, touchBrowser,
		selectConnection, selectUserConnections, selectConnectorConnections, countConnections, selectAccountConnections,
		finishFlow, replaceConnection, supersedeFlows, endLink, saveRefreshed, markReconnect, deleteConnection, touchConnection,
		selectEvents, selectEventsAfter, selectLastEvent, selectEvent, updateEventData,
		sweepBrowserSessions, sweepConnectSessions, sweepTickets, sweepParked, sweepFlows, sweepStarts,
	} {
		args := make([]any, 40)
		for i := range args {
			args[i] = 1
		}
		n := 0
		for i := range args {
			if strings.Contains(query, fmt.Sprintf("$%d", i+1)) {
				n = i + 1
			}
		}
		type step struct {
			id, parent, unused int
			detail             string
		}
		plan, err := list(t.Context(), s.durable, func(p *step) []any { return []any{&p.id, &p.parent, &p.unused, &p.detail} }, anyRow, "EXPLAIN QUERY PLAN "+query, args[:n]...)
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		for _, p := range plan {
			if strings.HasPrefix(p.detail, "SCAN") {
				t.Errorf("%s: %s", query, p.detail)
			}
		}
	}
}

// Stores of one file see each other's writes, and make the schema once between them.
func TestSeveralOpenANewDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchbay.db")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s, err := OpenSQLite(t.Context(), path, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = s.Close() }()
			for j := range 20 {
				if err := s.AddKeyCheck(t.Context(), fmt.Sprint(i, "-", j), []byte("check")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := openAt(t, path, Options{})
	if checks, err := s.KeyChecks(t.Context()); err != nil || len(checks) != 160 {
		t.Error(len(checks), err)
	}
}
