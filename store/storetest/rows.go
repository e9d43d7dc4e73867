package storetest

import (
	"crypto/rand"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"patchbay/connect"
)

// now is when the tests take place: in whole milliseconds, as times are kept.
var now = time.Date(2026, 11, 23, 12, 0, 0, 7_000_000, time.UTC)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func id(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

// apply puts apps, each with user connectors of these ids.
func apply(t testing.TB, st connect.Store, connectors map[string][]string) {
	t.Helper()
	var b connect.ApplyBatch
	for app, ids := range connectors {
		b.Put = append(b.Put, appRecord(app, ids...))
	}
	check(t, st.ApplyApps(t.Context(), b))
}

func appRecord(app string, connectors ...string) connect.AppRecord {
	rec := connect.AppRecord{ID: app, Document: []byte(`{"id":"` + app + `"}`), Sealed: random(60)}
	for _, c := range connectors {
		rec.Connectors = append(rec.Connectors, connectorRecord(app, c, "type_"+c, connect.ModeUser))
	}
	return rec
}

func connectorRecord(app, id, typ string, mode connect.ConnectorMode) connect.ConnectorRecord {
	return connect.ConnectorRecord{App: app, ID: id, Type: typ, Mode: mode, Document: []byte(`{"id":"` + id + `"}`), Sealed: random(60)}
}

// acme makes the app that most tests use.
func acme(t testing.TB, st connect.Store) {
	t.Helper()
	apply(t, st, map[string][]string{"acme": {"calendar", "mail"}})
}

func connectSession(app, user string) connect.ConnectSession {
	return connect.ConnectSession{
		ID: id("cs_"), App: app, Mode: connect.ModeRedirect, User: connect.EndUser{ID: user},
		URLHash: random(32), TokenHash: random(32), CreatedAt: now, ExpiresAt: now.Add(15 * time.Minute),
	}
}

func browserSession(cs *connect.ConnectSession) connect.BrowserSession {
	return connect.BrowserSession{
		Hash: random(32), App: cs.App, User: cs.User, Connectors: cs.Connectors, Session: cs.ID,
		CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
}

// signIn makes a connect session and opens it in a browser.
func signIn(t testing.TB, st connect.Store, app, user string) (connect.ConnectSession, connect.BrowserSession) {
	t.Helper()
	cs := connectSession(app, user)
	check(t, st.CreateConnectSession(t.Context(), cs))
	b := browserSession(&cs)
	yes(st.OpenBrowserSession(t.Context(), nil, b, now))(t)
	return cs, b
}

func flow(app, connector, user string) connect.Flow {
	return connect.Flow{
		ID: id("fl_"), App: app, Connector: connector, Mode: connect.ModeRedirect, User: connect.EndUser{ID: user},
		Status: connect.StatusStarted, Version: 1, StateHash: random(32), CookieHash: random(32), Sealed: random(80),
		Need: connect.ProofHuman, Scopes: []string{"read"}, CreatedAt: now, MovedAt: now,
	}
}

// begin makes a flow with a ticket of its own.
func begin(t testing.TB, st connect.Store, f connect.Flow) connect.Flow {
	t.Helper()
	yes(st.CreateFlow(t.Context(), f, random(10), now.Add(time.Hour), event(connect.EventFlowStarted, f.App, f.User.ID)))(t)
	return f
}

func event(kind connect.EventKind, app, user string) connect.Event {
	return connect.Event{ID: id("ev_"), At: now, Kind: kind, App: app, User: user}
}

func connection(app, connector, user string) connect.Connection {
	return connect.Connection{
		ID: id("cn_"), App: app, Connector: connector, Type: "type_" + connector, Owner: connect.OwnerOf(user),
		Status: connect.ConnectionConnected, Account: connect.Account{ID: "account of " + user},
		Sealed: random(200), KeyID: "k1", Generation: 1, ConnectedAt: now, UpdatedAt: now,
	}
}

// ending is the end of a flow that worked, with the connection that it made.
func ending(f connect.Flow, c connect.Connection) connect.Connecting {
	f.Status, f.Code, f.Connection = connect.StatusConnected, connect.CodeConnected, c.ID
	f.MovedAt, f.FinishedAt, f.Sealed = now.Add(time.Minute), now.Add(time.Minute), nil
	ev := event(connect.EventConnected, f.App, f.User.ID)
	ev.Connection, ev.Flow = c.ID, f.ID
	return connect.Connecting{Flow: f, Connection: c, Events: []connect.Event{ev}}
}

// link gives the user a connection by a flow, and returns it.
func link(t testing.TB, st connect.Store, app, connector, user string) connect.Connection {
	t.Helper()
	c := connection(app, connector, user)
	connected(t, st, ending(begin(t, st, flow(app, connector, user)), c))
	return c
}

func connected(t testing.TB, st connect.Store, c connect.Connecting) connect.ConnectResult {
	t.Helper()
	res := must(st.Connect(t.Context(), c))(t)
	if res.FlowMoved || res.ConnectionMoved {
		t.Fatalf("Connect: %+v", res)
	}
	return res
}

// filled returns a value with something different from zero in every field, however
// deep: a column that is forgotten loses it. Different seeds differ in every field
// that can differ.
func filled[T any](seed int) T {
	var v T
	fill(reflect.ValueOf(&v).Elem(), "value", &seed)
	return v
}

func fill(v reflect.Value, name string, n *int) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = now.Add(time.Duration(*n) * time.Second)
		return
	case *[]byte:
		*x = fmt.Appendf(random(8), "%s %d", name, *n)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("%s %d", name, *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), v.Type().Field(i).Name, n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), name, n)
		fill(v.Index(1), name, n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(k, name, n)
			fill(e, name, n)
			v.SetMapIndex(k, e)
		}
	default:
		panic("storetest: cannot fill " + v.Type().String())
	}
}

// equal compares field by field, so that a failure names the column.
func equal[T any](t testing.TB, got, want T) {
	t.Helper()
	diff(t, reflect.TypeFor[T]().Name(), reflect.ValueOf(got), reflect.ValueOf(want))
}

func diff(t testing.TB, name string, got, want reflect.Value) {
	t.Helper()
	if _, isTime := got.Interface().(time.Time); got.Kind() == reflect.Struct && !isTime {
		for i := range got.NumField() {
			diff(t, name+"."+got.Type().Field(i).Name, got.Field(i), want.Field(i))
		}
		return
	}
	if !reflect.DeepEqual(got.Interface(), want.Interface()) {
		t.Errorf("%s is %#v instead of %#v", name, got.Interface(), want.Interface())
	}
}

// entry makes the history's entry of a disconnect.
func entry(ev connect.Event) func(*connect.Connection) connect.Event {
	return func(gone *connect.Connection) connect.Event {
		ev.Connection = gone.ID
		return ev
	}
}
