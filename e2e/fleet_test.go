package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/connect"
	"patchbay/store"
	"patchbay/vault"
)

// full runs the tests of the vault in the size of their goals (make vault) instead of the
// smaller one of make test.
var (
	full      = flag.Bool("full", false, "run the tests of the vault in the size of their goals")
	killTimes = flag.Int("kills", 0, "how often TestKillsDuringRefresh kills; 0: 12, or 1000 with -full")
)

func size(small, whole int) int {
	if *full {
		return whole
	}
	return small
}

// rotator is a provider whose refresh tokens are good once, with or without a time of
// grace, and which counts what it is sent.
type rotator struct {
	*httptest.Server
	mu       sync.Mutex
	grace    time.Duration
	latency  time.Duration
	life     time.Duration                      // of access tokens
	before   func(refresh string)               // is called before an answer is made
	refuse   func() (status int, answer string) // 0: does not
	pairs    map[string]*rotated                // by refresh token
	access   map[string]*family
	families []*family
	issued   int
	calls    int
	sent     map[string]int
	running  int
	peak     int
}

type rotated struct {
	*family
	usedAt time.Time
}

// family is a grant: what a user once allowed.
type family struct {
	user    string
	revoked bool
	newest  string // refresh token
}

func startRotator(t *testing.T) *rotator {
	t.Helper()
	r := &rotator{life: time.Hour, pairs: map[string]*rotated{}, access: map[string]*family{}, sent: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{type}/token", r.token)
	mux.HandleFunc("POST /{type}/revoke", r.revoke)
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

func (r *rotator) host() string { return strings.TrimPrefix(r.URL, "http://") }

// set changes the provider while it runs.
func (r *rotator) set(change func(*rotator)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// issue makes a pair of a family. The caller holds the lock.
func (r *rotator) issue(f *family) (access, refresh string) {
	r.issued++
	access, refresh = fmt.Sprintf("canary-at-%06d", r.issued), fmt.Sprintf("canary-rt-%06d", r.issued)
	r.pairs[refresh], r.access[access], f.newest = &rotated{family: f}, f, refresh
	return access, refresh
}

func (r *rotator) token(w http.ResponseWriter, q *http.Request) {
	refresh := q.PostFormValue("refresh_token")
	r.mu.Lock()
	r.calls++
	r.sent[refresh]++
	r.running++
	r.peak = max(r.peak, r.running)
	latency, before, refuse := r.latency, r.before, r.refuse
	r.mu.Unlock()
	defer r.set(func(r *rotator) { r.running-- })
	time.Sleep(latency)
	if before != nil {
		before(refresh)
	}
	w.Header().Set("Content-Type", "application/json")
	if refuse != nil {
		if status, answer := refuse(); status != 0 {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, answer)
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pairs[refresh]
	if p == nil || p.revoked || !p.usedAt.IsZero() && time.Since(p.usedAt) > r.grace {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant"}`)
		return
	}
	if p.usedAt.IsZero() {
		p.usedAt = time.Now()
	}
	access, next := r.issue(p.family)
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": access, "refresh_token": next, "token_type": "bearer", "expires_in": r.life.Seconds()})
}

func (r *rotator) revoke(_ http.ResponseWriter, q *http.Request) {
	_ = q.ParseForm()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, field := range []string{"token", "access_token", "refresh_token"} {
		text := q.PostForm.Get(field)
		if p := r.pairs[text]; p != nil {
			p.revoked = true
		}
		if f := r.access[text]; f != nil {
			f.revoked = true
		}
	}
}

// alive counts the grants that the provider would still honour.
func (r *rotator) alive() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, f := range r.families {
		if !f.revoked {
			n++
		}
	}
	return n
}

// works reports whether the provider knows the access token.
func (r *rotator) works(access string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.access[access]
	return f != nil && !f.revoked
}

// fleet is some servers on one database, and their provider.
type fleet struct {
	settings
	rotator  *rotator
	database string // the environment's line
	typ      string
	servers  []*server
}

const fleetType = "box" // single-use refresh tokens

// newFleet makes n servers with an app that has one connector. database is "" for SQLite.
func newFleet(t *testing.T, n int, database string) *fleet {
	t.Helper()
	f := &fleet{settings: newSettings(t), rotator: startRotator(t), typ: fleetType}
	f.sandbox = f.rotator.host()
	f.apps(t, "https://app.acme.example", f.typ)
	f.database = "PATCHBAY_DATABASE=sqlite:" + f.settings.database()
	if database != "" {
		f.database = "PATCHBAY_DATABASE=" + database
	}
	for range n {
		f.add(t)
	}
	return f
}

// add starts one more server.
func (f *fleet) add(t *testing.T) *server {
	t.Helper()
	s := f.settings
	if len(f.servers) > 0 {
		s.address = freeAddress(t)
	}
	v := serveWith(t, s, sandbox{}, f.database, "PATCHBAY_STATE_DIR="+t.TempDir())
	v.origin = "http://" + s.address
	f.servers = append(f.servers, v)
	return v
}

// open opens the fleet's database beside the servers.
func (f *fleet) open(t *testing.T) (*store.Store, *vault.Ring) {
	t.Helper()
	ring, err := vault.ParseKeys(vault.NewSecret(f.key))
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(f.database, "PATCHBAY_DATABASE=")
	var db *store.Store
	if path, lite := strings.CutPrefix(address, "sqlite:"); lite {
		db, err = store.OpenSQLite(t.Context(), path, store.Options{BusyTimeout: 20 * time.Second})
	} else {
		db, err = store.OpenPostgres(t.Context(), address, store.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, ring
}

// seed links accounts of users, with tokens that end at that time and are due then.
func (f *fleet) seed(t *testing.T, expires, due time.Time, users ...string) {
	t.Helper()
	db, ring := f.open(t)
	defer func() { _ = db.Close() }()
	obtained := expires.Add(-f.rotator.life)
	for _, user := range users {
		var access, refresh string
		f.rotator.set(func(r *rotator) {
			grant := &family{user: user}
			r.families = append(r.families, grant)
			access, refresh = r.issue(grant)
		})
		seedOne(t, db, ring, f.typ, user, access, refresh, obtained, expires, due)
	}
}

func seedOne(t *testing.T, db *store.Store, ring *vault.Ring, typ, user, access, refresh string, obtained, expires, due time.Time) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	now := time.Now().UTC()
	id := "cn_" + user
	sealed, err := ring.Seal(vault.Context{App: "acme", Connector: typ, User: "u:" + user, Row: id, Purpose: "tokens"},
		[]byte(`{"access":"`+access+`","refresh":"`+refresh+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	fl := connect.Flow{
		ID: "fl_" + user, App: "acme", Connector: typ, Mode: connect.ModeLink, User: connect.EndUser{ID: user}, Status: connect.StatusStarted, Version: 1,
		StateHash: connect.HashSecret("state" + user), CookieHash: connect.HashSecret("cookie" + user), Need: connect.ProofHuman, CreatedAt: now, MovedAt: now,
	}
	if _, err := db.CreateFlow(ctx, fl, connect.HashSecret("nonce"+user), now.Add(time.Hour), connect.Event{ID: "ev_s" + user, At: now, Kind: connect.EventFlowStarted, App: "acme", User: user}); err != nil {
		t.Fatal(err)
	}
	fl.Status, fl.Code, fl.Connection, fl.FinishedAt = connect.StatusConnected, connect.CodeConnected, id, now
	res, err := db.Connect(ctx, connect.Connecting{
		Flow: fl, DueAt: due,
		Connection: connect.Connection{
			ID: id, App: "acme", Connector: typ, Type: typ, Owner: connect.OwnerOf(user), Status: connect.ConnectionConnected,
			Account: connect.Account{ID: user}, Sealed: sealed, KeyID: ring.NewestID(), ObtainedAt: obtained, ExpiresAt: expires, Generation: 1,
			ConnectedAt: obtained, UpdatedAt: now, LastUsedAt: now,
		},
	})
	if err != nil || res.FlowMoved || res.ConnectionMoved {
		t.Fatalf("seed %s: %+v, %v", user, res, err)
	}
}

func names(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%05d", prefix, i)
	}
	return out
}

// read is a token read that may fail.
type read struct {
	status int
	code   string
	access string
	took   time.Duration
	err    error
}

var fleetClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}, Timeout: 60 * time.Second}

// read asks a server for a token of the user.
func (f *fleet) read(ctx context.Context, v *server, token string) (out read) {
	begun := time.Now()
	defer func() { out.took = time.Since(begun) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.origin+"/api/apps/acme/app-user-auth/connectors/"+f.typ+"/token", nil)
	if err != nil {
		return read{err: err}
	}
	req.Header.Set("Authorization", "Bearer "+serviceToken)
	req.Header.Set("On-Behalf-Of", "Bearer "+token)
	resp, err := fleetClient.Do(req)
	if err != nil {
		return read{err: err}
	}
	defer resp.Body.Close()
	var body struct {
		Code   string `json:"code"`
		Access string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return read{err: err}
	}
	return read{status: resp.StatusCode, code: body.Code, access: body.Access}
}
