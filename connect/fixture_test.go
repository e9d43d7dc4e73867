package connect_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"patchbay/connect"
	"patchbay/oauth"
	"patchbay/provider"
	"patchbay/sandbox"
	"patchbay/store"
	"patchbay/vault"
)

// fixture is a Service over a real database and the sandbox provider, with a clock
// that tests move.
type fixture struct {
	*connect.Service
	t       *testing.T
	sandbox *sandbox.Server
	address string

	mu     sync.Mutex
	clock  time.Time
	events []connect.Event
}

const publicURL = "http://localhost:8080"

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, clock: time.Now().UTC().Truncate(time.Second)}
	f.sandbox = sandbox.New(sandbox.Options{Log: slog.New(slog.DiscardHandler), Now: f.now})
	server := httptest.NewServer(f.sandbox)
	t.Cleanup(server.Close)
	f.address = server.URL
	host, err := url.Parse(server.URL)
	must(t, err)
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "connect.db"), store.Options{})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	line, err := vault.NewKeyLine(f.clock)
	must(t, err)
	ring, err := vault.ParseKeys(vault.NewSecret(line))
	must(t, err)
	catalog, err := provider.Embedded()
	must(t, err)
	client, err := oauth.NewHTTPClient([]string{host.Host})
	must(t, err)
	f.Service = &connect.Service{
		Store: db, Sealer: ring, Catalog: catalog, OAuth: &oauth.Client{HTTP: client, Now: f.now},
		PublicURL: publicURL, Now: f.now, Emit: f.record,
	}
	return f
}

func (f *fixture) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clock
}

func (f *fixture) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = f.clock.Add(d)
}

func (f *fixture) record(_ context.Context, e connect.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

func (f *fixture) saw(kind connect.EventKind) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, e := range f.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// app is an app without verify_url, so that its flows need the human proof, with one
// connector for each type.
func (f *fixture) app(id string, types ...string) connect.App {
	a := connect.App{ID: id, Name: id, MinAssurance: connect.AssuranceHuman, ReturnURLs: []string{"https://app.example/return"}}
	for _, typ := range types {
		base := f.address + "/" + typ
		a.Connectors = append(a.Connectors, connect.Connector{
			App: id, ID: typ, Type: typ, Mode: connect.ModeUser, ClientID: "client-" + typ,
			ClientSecrets: []vault.Secret{vault.NewSecret("sandbox-secret")},
			Endpoints: provider.Endpoints{
				Authorize: base + "/authorize", Token: base + "/token", Revoke: base + "/revoke",
				Userinfo: base + "/userinfo", API: base + "/api",
			},
		})
	}
	return a
}

func (f *fixture) apply(apps ...connect.App) {
	f.t.Helper()
	_, err := f.Apply(f.t.Context(), apps, false, nil)
	must(f.t, err)
}

// begin starts a flow on a link for the user and returns it with the provider's answer
// to the scenario.
func (f *fixture) begin(app, connector, user, scenario, account string) (connect.Started, url.Values) {
	f.t.Helper()
	ctx := f.t.Context()
	made, err := f.CreateSession(ctx, app, connect.SessionRequest{Mode: connect.ModeLink, User: connect.EndUser{ID: user}, Connectors: []string{connector}})
	must(f.t, err)
	grant, err := f.CheckTicket(ctx, f.LinkStartTicket(&made.Session), nil)
	must(f.t, err)
	begun, err := f.Start(ctx, grant, nil)
	must(f.t, err)
	must(f.t, f.sandbox.Next(scenario, account))
	return begun, authorize(f.t, begun.ContinueURL)
}

// finish brings the provider's answer back in the browser that began.
func (f *fixture) finish(begun connect.Started, answer url.Values) connect.Flow {
	f.t.Helper()
	back, err := f.Return(f.t.Context(), connect.ReturnRequest{
		App: begun.Flow.App, Connector: begun.Flow.Connector, Query: answer, TopLevel: true,
		Cookie: func(string) string { return begun.Cookie },
	})
	must(f.t, err)
	return back.Flow
}

func (f *fixture) connect(app, connector, user, scenario string) connect.Flow {
	f.t.Helper()
	begun, answer := f.begin(app, connector, user, scenario, user+"@sandbox.example")
	return f.finish(begun, answer)
}

func (f *fixture) token(app, connector, user string) (connect.Token, error) {
	return f.AppUserConnection(f.t.Context(), app, connector, user, time.Minute)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code connect.Code) {
	t.Helper()
	if err == nil || connect.CodeOf(err) != code {
		t.Errorf("error %v, want code %s", err, code)
	}
}
