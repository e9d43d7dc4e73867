package stack

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"patchbay/connect"
	"patchbay/connect/doctor"
	"patchbay/e2e/stack/openid"
	"patchbay/events"
	"patchbay/handlers"
	"patchbay/oauth"
	"patchbay/provider"
	"patchbay/sandbox"
	"patchbay/session"
	"patchbay/store"
	"patchbay/vault"
)

// Stack is everything, running.
type Stack struct {
	Clock    *Clock
	URL      string // the public origin
	Address  string // host:port at which the server listens
	Database string // the SQLite file

	Service *connect.Service
	Server  *handlers.Server
	Handler http.Handler
	Sandbox *sandbox.Server
	// Provider is the sandbox's origin.
	Provider string

	// Acme has a verify_url, Human has none, Strict has none and demands assurance
	// app, Other is a second tenant whose connectors have the names of Acme's.
	Acme, Human, Strict, Other *App

	// OpenID is where people sign in to Strict; nil without the option Login.
	OpenID *openid.Provider

	// Wire is what crossed between Patchbay and its providers.
	Wire *Wire
	// Log is everything that was logged, debug lines too.
	Log *Journal
	// Seen is every answer that a browser or a back end got from Patchbay.
	Seen *Journal

	t    testing.TB
	site *httptest.Server // of the apps
}

// Option changes how a stack is made.
type Option func(*options)

type options struct {
	https     bool
	extra     string
	reachable []string
	login     bool
}

// HTTPS gives the public address the scheme https, as behind a proxy with TLS.
func HTTPS() Option { return func(o *options) { o.https = true } }

// Reachable lets outbound calls reach more addresses inside, as host:port.
func Reachable(hostports ...string) Option {
	return func(o *options) { o.reachable = append(o.reachable, hostports...) }
}

// Connectors adds entries to Acme's list of connectors, as text of an apps.yaml.
func Connectors(yaml string) Option { return func(o *options) { o.extra += yaml } }

// Login gives Strict an OpenID provider, at which its people sign in by themselves.
func Login() Option { return func(o *options) { o.login = true } }

// New makes a stack that ends with the test.
func New(t testing.TB, opts ...Option) *Stack {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	s := &Stack{t: t, Clock: newClock(), Log: &Journal{}, Seen: &Journal{}, Database: filepath.Join(t.TempDir(), "patchbay.db")}
	log := slog.New(slog.NewTextHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))

	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	s.Address = l.Addr().String()
	_, port, _ := net.SplitHostPort(s.Address)
	s.URL = "http://localhost:" + port
	if o.https {
		s.URL = "https://patchbay.localhost"
	}
	s.Sandbox = sandbox.New(sandbox.Options{Now: s.Clock.Now})
	provider := httptest.NewServer(s.Sandbox)
	t.Cleanup(provider.Close)
	s.Provider = provider.URL
	s.site = httptest.NewServer(http.HandlerFunc(s.serveSite))
	t.Cleanup(s.site.Close)

	if o.login {
		s.OpenID = openid.New(t)
		s.OpenID.Now, s.OpenID.RedirectURI = s.Clock.Now, s.URL+"/login/strict/callback"
		o.reachable = append(o.reachable, hostOf(s.OpenID.URL))
	}
	s.wire(log, append(o.reachable, hostOf(s.Provider)))
	s.makeApps()
	s.Apply(s.AppsYAML(o.extra))

	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: s.Handler, ReadHeaderTimeout: 10 * time.Second}}
	server.Start()
	t.Cleanup(server.Close)
	return s
}

// wire makes the parts by hand, in the order in which the program does.
func (s *Stack) wire(log *slog.Logger, reachable []string) {
	t := s.t
	line, err := vault.NewKeyLine(s.Clock.Now())
	must(t, err)
	ring, err := vault.ParseKeys(vault.NewSecret(line))
	must(t, err)
	catalog, err := provider.Embedded()
	must(t, err)
	outbound, err := oauth.NewHTTPClient(reachable)
	must(t, err)
	s.Wire = &Wire{next: outbound.Transport}
	recorded := *outbound
	recorded.Transport = s.Wire
	db, err := store.OpenSQLite(t.Context(), s.Database, store.Options{})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })

	s.Service = &connect.Service{
		Store: db, Sealer: ring, Catalog: catalog, PublicURL: s.URL, Now: s.Clock.Now, Emit: events.Log(log),
		OAuth: &oauth.Client{HTTP: &recorded, Now: s.Clock.Now},
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Service.Drain(ctx)
	})
	secure := s.URL[:6] == "https:"
	s.Server = &handlers.Server{
		Service:  s.Service,
		Browsers: &session.Browsers{Service: s.Service, Secure: secure},
		Callers:  &session.Callers{Service: s.Service, Tokens: session.NewUserTokens(outbound, s.Clock.Now)},
		Logins:   &session.Logins{Service: s.Service, HTTP: outbound, Secure: secure, Now: s.Clock.Now},
		Doctor:   &doctor.Doctor{Service: s.Service, Listen: "127.0.0.1:8080", Client: doctor.NewClient()},
		Log:      log, Ready: db.Ping, HTTPS: secure,
	}
	s.Handler = s.Server.Handler()
}

// Advance moves the clock of the server and of the provider. Nothing else does.
func (s *Stack) Advance(d time.Duration) { s.Clock.Advance(d) }

// TokenCalls counts the requests that any token endpoint of the sandbox got.
func (s *Stack) TokenCalls() int { return s.Sandbox.Calls("", "/token") }

// Rows lists the stored connections of an app.
func (s *Stack) Rows(a *App) []connect.Connection {
	s.t.Helper()
	app, err := s.Service.App(s.t.Context(), a.ID)
	must(s.t, err)
	var rows []connect.Connection
	for i := range app.Connectors {
		conns, err := s.Service.Store.ConnectorConnections(s.t.Context(), a.ID, app.Connectors[i].ID)
		must(s.t, err)
		rows = append(rows, conns...)
	}
	return rows
}

// WantNothingLinked requires the observable rule: no token endpoint was called, and no
// app has a connection.
func (s *Stack) WantNothingLinked(t testing.TB) {
	t.Helper()
	if n := s.TokenCalls(); n != 0 {
		t.Errorf("the provider's token endpoint was called %d times, want 0", n)
	}
	for _, a := range s.Apps() {
		if rows := s.Rows(a); len(rows) != 0 {
			t.Errorf("app %s has %d connections, want none: %+v", a.ID, len(rows), rows)
		}
	}
}

// Apps lists all of them.
func (s *Stack) Apps() []*App { return []*App{s.Acme, s.Human, s.Strict, s.Other} }

// Flow reads a flow as it is stored.
func (s *Stack) Flow(id string) connect.Flow {
	s.t.Helper()
	f, err := s.Service.Store.Flow(s.t.Context(), id)
	must(s.t, err)
	return f
}

// OpenFlows counts the unfinished flows of a user.
func (s *Stack) OpenFlows(a *App, user string) int {
	s.t.Helper()
	flows, err := s.Service.OpenFlows(s.t.Context(), a.ID, user)
	must(s.t, err)
	return len(flows)
}

// Clock stands still until it is moved.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *Clock { return &Clock{now: time.Now().UTC().Truncate(time.Second)} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves it.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Journal collects bytes from many goroutines.
type Journal struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, p...)
	return len(p), nil
}

// Bytes returns a copy of all that was written.
func (j *Journal) Bytes() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.text)
}

// String returns all that was written.
func (j *Journal) String() string { return string(j.Bytes()) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
