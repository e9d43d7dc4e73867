package connect

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/oauth"
	"patchbay/provider"
	"patchbay/vault"
)

// The simulation runs the refresh of real Services against a provider, a database and
// disks that are made up, on a clock that is made up too. Each schedule is one seed:
// instances crash and come back, answers get lost, the provider is slow, commits fail
// after they happened, clocks are wrong, users disconnect and link again.
//
//	go test ./connect -run TestRefreshSimulation -schedules 1000000
//	go test ./connect -run TestRefreshSimulation -seed 4711 -v
var (
	schedules = flag.Int("schedules", defaultSchedules, "how many schedules TestRefreshSimulation runs")
	oneSeed   = flag.Uint64("seed", 0, "the one schedule that TestRefreshSimulation runs")
)

func TestRefreshSimulation(t *testing.T) {
	if *oneSeed != 0 {
		simulate(t, *oneSeed)
		return
	}
	var next atomic.Uint64
	var total tally
	t.Run("schedules", func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for seed := next.Add(1); seed <= uint64(*schedules) && !t.Failed(); seed = next.Add(1) {
					total.add(simulate(t, seed))
				}
			})
		}
	})
	t.Logf("%d schedules: %d refresh tokens sent, %d of them again with a recovery noted; %d crashes; %d connections flagged; %d answers spooled",
		*schedules, total.sent.Load(), total.recovered.Load(), total.crashes.Load(), total.flagged.Load(), total.spooled.Load())
	if *schedules >= 1000 && (total.recovered.Load() == 0 || total.crashes.Load() == 0 || total.flagged.Load() == 0 || total.spooled.Load() == 0) {
		t.Error("the schedules miss what they are for")
	}
}

type tally struct{ sent, recovered, crashes, flagged, spooled atomic.Int64 }

func (t *tally) add(w *world) {
	t.sent.Add(int64(w.sends))
	t.recovered.Add(int64(w.recovered))
	t.crashes.Add(int64(w.crashes))
	t.flagged.Add(int64(w.flagged))
	t.spooled.Add(int64(w.spooled))
}

func simulate(t *testing.T, seed uint64) *world {
	var w *world
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, seed)
		w.run()
	})
	return w
}

// world is everything that the instances share.
type world struct {
	t    *testing.T
	seed uint64
	mu   sync.Mutex
	rnd  *rand.Rand

	// What kind of schedule it is.
	grace    time.Duration // for which the provider takes a used refresh token
	crashy   bool
	lossy    bool
	slow     bool
	outages  bool
	skewed   bool
	restless bool // the user disconnects and links again
	calm     atomic.Bool

	// The database.
	row       *Connection
	state     RefreshState
	health    Health
	finger    string         // of the stored refresh token
	noted     map[string]int // recoveries by fingerprint
	downUntil time.Time
	serial    int // of the newest pair that was stored

	// The provider.
	grants  map[string]*simGrant // by refresh token
	issued  int
	sending map[string]*instance // by refresh token: who waits for an answer
	sentBy  map[string]int

	sends, recovered, crashes, flagged, spooled int
}

// simGrant is what the provider knows of a refresh token.
type simGrant struct {
	family  int
	usedAt  time.Time // zero: not yet
	revoked *bool
	serial  int
}

// instance is a process; a crash makes all it does fail from then on.
type instance struct {
	w    *world
	s    *Service
	dead atomic.Bool
	disk *simDisk
	skew time.Duration
}

var errCrashed = errors.New("this process is no more")

var simCatalog = sync.OnceValue(func() *provider.Catalog {
	c, err := provider.Embedded()
	if err != nil {
		panic(err)
	}
	return c
})

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 20261124)), noted: map[string]int{}, grants: map[string]*simGrant{},
		sending: map[string]*instance{}, sentBy: map[string]int{}}
	w.crashy, w.lossy, w.slow = w.chance(0.6), w.chance(0.5), w.chance(0.3)
	w.outages, w.skewed, w.restless = w.chance(0.3), w.chance(0.2), w.chance(0.3)
	if w.chance(0.5) {
		w.grace = 30 * time.Second
	}
	w.link(1)
	return w
}

func (w *world) chance(p float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rnd.Float64() < p
}

func (w *world) between(a, b time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return a + time.Duration(w.rnd.Int64N(int64(b-a)+1))
}

func (w *world) violation(format string, args ...any) {
	w.t.Errorf("seed %d: "+format, append([]any{w.seed}, args...)...)
}

// trace tells of the one schedule that -seed asks for.
func (w *world) trace(format string, args ...any) {
	if *oneSeed != 0 {
		w.t.Logf(time.Now().Format("04:05.000 ")+format, args...)
	}
}

const simLife = 30 * time.Second

// issue makes a pair of a family.
func (w *world) issue(family int, revoked *bool) (access, refresh string) {
	w.issued++
	refresh = fmt.Sprintf("rt-%d", w.issued)
	w.grants[refresh] = &simGrant{family: family, revoked: revoked, serial: w.issued}
	return fmt.Sprintf("at-%d", w.issued), refresh
}

// link is a user who links an account: a new row, or new tokens for the one there is.
func (w *world) link(generation int64) {
	access, refresh := w.issue(w.issued+1, new(bool))
	sealed, _ := json.Marshal(storedTokens{Access: access, Refresh: refresh})
	now := time.Now().Truncate(time.Millisecond)
	id := fmt.Sprintf("cn_%d", w.issued)
	if w.row != nil {
		id = w.row.ID
	}
	w.row = &Connection{ID: id, App: "acme", Connector: "x", Type: "box", Owner: OwnerOf("dana"), Status: ConnectionConnected,
		Sealed: sealed, KeyID: "k", ObtainedAt: now, ExpiresAt: now.Add(simLife), Generation: generation, ConnectedAt: now, LastUsedAt: now}
	w.state, w.finger, w.serial = RefreshState{}, fingerprint(id, refresh), w.issued
}

// run is one schedule: trouble for a while, then calm, then the verdict.
func (w *world) run() {
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() { w.machine(ctx) })
	}
	if w.restless {
		all.Go(func() { w.user(ctx) })
	}
	time.Sleep(w.between(40*time.Second, 100*time.Second))
	w.calm.Store(true)
	stop()
	all.Wait()
	w.verdict()
}

// machine runs an instance, and another one with the same disk when it crashed.
func (w *world) machine(ctx context.Context) {
	disk := &simDisk{w: w, files: map[string][]byte{}}
	for ctx.Err() == nil {
		in := w.boot(disk)
		_ = in.s.Recover(ctx)
		live, end := context.WithCancel(ctx)
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for live.Err() == nil && !in.dead.Load() {
					_, _ = in.s.AppUserConnection(live, "acme", "x", "dana", 10*time.Second)
					pause(live, w.between(100*time.Millisecond, 8*time.Second))
				}
			})
		}
		readers.Go(func() {
			for live.Err() == nil && !in.dead.Load() {
				_ = in.s.RefreshAhead(live)
				pause(live, time.Second)
			}
		})
		readers.Wait()
		end()
		in.s.ahead.wg.Wait()
		in.s.inFlight.Wait()
		in.dead.Store(true)
		pause(ctx, w.between(100*time.Millisecond, 3*time.Second))
	}
}

// boot makes an instance.
func (w *world) boot(disk *simDisk) *instance {
	in := &instance{w: w, disk: disk}
	if w.skewed {
		in.skew = w.between(0, 20*time.Minute) - 10*time.Minute
	}
	now := func() time.Time { return time.Now().Add(in.skew) }
	in.s = &Service{
		Store: &simStore{in: in}, Sealer: simSealer{}, Catalog: simCatalog(), Now: now, Local: disk, PublicURL: "https://p.example",
		OAuth: &oauth.Client{HTTP: &http.Client{Transport: &simTransport{in}}, Now: now},
		Emit: func(_ context.Context, e Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if e.Kind == EventSpooled {
				w.spooled++
			}
		},
	}
	base := "https://fake.example"
	in.s.apps.revision = 1
	in.s.apps.apps = map[string]*App{"acme": {ID: "acme", Connectors: []Connector{{
		App: "acme", ID: "x", Type: "box", Mode: ModeUser, ClientID: "c", ClientSecrets: []vault.Secret{vault.NewSecret("s")},
		Endpoints: provider.Endpoints{Authorize: base + "/authorize", Token: base + "/token", Revoke: base + "/revoke", API: base},
	}}}}
	return in
}

// user disconnects and links again, or links over what is there.
func (w *world) user(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, w.between(5*time.Second, 40*time.Second))
		w.mu.Lock()
		generation := int64(1)
		if w.row != nil {
			generation = w.row.Generation + 1
		}
		if w.rnd.IntN(2) == 0 {
			w.row = nil
			generation = 1
		}
		w.link(generation)
		w.mu.Unlock()
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// step is a moment in which an instance can crash, before and after what it does.
func (in *instance) step(do func() error) error {
	if in.dead.Load() {
		return errCrashed
	}
	if in.w.crashy && !in.w.calm.Load() && in.w.chance(0.004) {
		in.crash()
		return errCrashed
	}
	time.Sleep(in.w.between(0, 20*time.Millisecond))
	if in.dead.Load() {
		return errCrashed
	}
	err := do()
	if in.w.crashy && !in.w.calm.Load() && in.w.chance(0.004) {
		in.crash()
		return errCrashed
	}
	return err
}

func (in *instance) crash() {
	if in.dead.Swap(true) {
		return
	}
	in.w.mu.Lock()
	in.w.crashes++
	in.w.trace("%p crashes", in)
	in.w.mu.Unlock()
}

// verdict lets time pass in calm and looks at what is left.
func (w *world) verdict() {
	disk := &simDisk{w: w, files: map[string][]byte{}}
	w.skewed = false
	in := w.boot(disk)
	for range 60 { // a machine that stays up
		_ = in.s.RefreshAhead(context.Background())
		time.Sleep(time.Second)
	}
	in.s.ahead.wg.Wait()
	time.Sleep(3 * time.Hour) // whatever a wrong clock wrote is over
	var last error
	for range 200 {
		_, last = in.s.AppUserConnection(context.Background(), "acme", "x", "dana", 10*time.Second)
		if last == nil || CodeOf(last) == CodeReconnectRequired {
			break
		}
		time.Sleep(10 * time.Second)
	}
	in.s.inFlight.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for refresh, n := range w.sentBy {
		allowed := 1
		for finger, again := range w.noted {
			if strings.HasSuffix(finger, " "+refresh) {
				allowed += again
			}
		}
		if n > allowed {
			w.violation("%s was sent %d times with %d recoveries noted", refresh, n, allowed-1)
		}
	}
	switch {
	case last == nil:
	case CodeOf(last) == CodeReconnectRequired:
		w.flagged++
		if !w.crashy && !w.lossy && !w.slow && !w.outages {
			w.violation("a connection was lost without a cause")
		}
		if w.grace > 0 && w.crashes <= 1 && !w.lossy && !w.slow && !w.outages && !w.skewed {
			w.violation("a connection was lost although the provider takes a used refresh token for %s", w.grace)
		}
		if w.row.Reason != "rotation_outcome_lost" {
			w.violation("a connection was lost and the reason is %s", w.row.Reason)
		}
	default:
		w.violation("no verdict after half an hour of calm: %v", last)
	}
}

// simDisk is the state directory of one machine.
type simDisk struct {
	w     *world
	mu    sync.Mutex
	files map[string][]byte
	epoch int64
}

func (d *simDisk) Keep(name string, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[name] = data
	return nil
}

func (d *simDisk) Drop(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, name)
	return nil
}

func (d *simDisk) Kept() (map[string][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string][]byte{}
	for k, v := range d.files {
		out[k] = v
	}
	return out, nil
}

func (d *simDisk) Epoch() (int64, error)  { return d.epoch, nil }
func (d *simDisk) SetEpoch(n int64) error { d.epoch = n; return nil }

type simSealer struct{ Sealer }

// A sealed value has the shape of one, so that its key has an id.
func (simSealer) Seal(_ vault.Context, plain []byte) ([]byte, error) {
	return append([]byte("\x01\x01k............................"), plain...), nil
}

func (simSealer) Open(_ vault.Context, sealed []byte) ([]byte, error) {
	if sealed[0] == 1 {
		return sealed[31:], nil
	}
	return sealed, nil
}

// simTransport is the way to the provider.
type simTransport struct{ in *instance }

func (tr *simTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	w, in := tr.in.w, tr.in
	body, _ := io.ReadAll(req.Body)
	form, _ := url.ParseQuery(string(body))
	if strings.HasSuffix(req.URL.Path, "/revoke") {
		return respond(200, `{}`), nil
	}
	refresh := form.Get("refresh_token")
	var delay, back time.Duration = w.between(10*time.Millisecond, 300*time.Millisecond), 0
	lost, calm := false, w.calm.Load()
	if !calm {
		if w.slow && w.chance(0.3) {
			delay = w.between(0, 120*time.Second)
		}
		if w.slow && w.chance(0.2) {
			back = w.between(0, 30*time.Second)
		}
		lost = w.lossy && w.chance(0.15)
	}
	err := in.step(func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.sends++
		w.trace("%p sends %s", in, refresh)
		w.sentBy[refresh]++
		if other := w.sending[refresh]; other != nil && other != in && !other.dead.Load() {
			w.violation("%s is sent by two instances at once", refresh)
		}
		w.sending[refresh] = in
		return nil
	})
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.sending[refresh] == in {
			delete(w.sending, refresh)
		}
	}()
	if err != nil {
		return nil, err
	}
	answer := make(chan string, 1)
	go func() { // the provider goes on whatever becomes of the caller
		time.Sleep(delay)
		answer <- w.provide(refresh)
	}()
	select {
	case <-req.Context().Done():
		return nil, req.Context().Err()
	case text := <-answer:
		if err := in.step(func() error { return nil }); err != nil {
			return nil, err
		}
		if lost {
			return nil, errors.New("connection reset")
		}
		select {
		case <-req.Context().Done():
			return nil, req.Context().Err()
		case <-time.After(back):
		}
		if strings.Contains(text, "error") {
			return respond(400, text), nil
		}
		return respond(200, text), nil
	}
}

func respond(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
}

// provide is the provider's token endpoint: single-use refresh tokens, with or without
// a time of grace.
func (w *world) provide(refresh string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.grants[refresh]
	w.trace("the provider looks at %s: used %s ago of %s", refresh, time.Since(g.usedAt), w.grace)
	if g == nil || *g.revoked || (!g.usedAt.IsZero() && time.Since(g.usedAt) > w.grace) {
		return `{"error":"invalid_grant"}`
	}
	if g.usedAt.IsZero() {
		g.usedAt = time.Now()
	}
	access, next := w.issue(g.family, g.revoked)
	return fmt.Sprintf(`{"access_token":%q,"refresh_token":%q,"token_type":"bearer","expires_in":%d}`, access, next, int(simLife.Seconds()))
}

// simStore is the database as one instance sees it.
type simStore struct {
	Store
	in *instance
}

// op is one call: the database may be away, and an answer may get lost after the commit.
func (st *simStore) op(write bool, do func() error) error {
	w := st.in.w
	return st.in.step(func() error {
		w.mu.Lock()
		if w.outages && !w.calm.Load() && w.rnd.Float64() < 0.005 {
			w.downUntil = time.Now().Add(time.Duration(w.rnd.Int64N(int64(60 * time.Second))))
		}
		down := time.Now().Before(w.downUntil)
		if down {
			w.mu.Unlock()
			return fmt.Errorf("%w: away", ErrUnavailable)
		}
		err := do()
		unsure := write && err == nil && w.outages && !w.calm.Load() && w.rnd.Float64() < 0.01
		w.mu.Unlock()
		if unsure {
			return fmt.Errorf("%w: the connection broke off", ErrUnavailable)
		}
		return err
	})
}

func (st *simStore) Revision(context.Context) (int64, error) { return 1, nil }

func (st *simStore) Connection(_ context.Context, _, _ string, _ Owner) (c Connection, err error) {
	err = st.op(false, func() error { return st.read(&c, nil, "") })
	return c, err
}

func (st *simStore) ConnectionToken(ctx context.Context, app, connector string, o Owner) (Connection, error) {
	return st.Connection(ctx, app, connector, o)
}

func (st *simStore) RefreshRow(_ context.Context, id string) (c Connection, s RefreshState, err error) {
	err = st.op(false, func() error { return st.read(&c, &s, id) })
	return c, s, err
}

func (st *simStore) read(c *Connection, s *RefreshState, id string) error {
	w := st.in.w
	if w.row == nil || (id != "" && w.row.ID != id) {
		return ErrNotFound
	}
	*c = *w.row
	if s != nil {
		*s = w.state
	}
	return nil
}

func (st *simStore) ClaimRefresh(_ context.Context, c Claim) (ok bool, err error) {
	w := st.in.w
	err = st.op(true, func() error {
		ok = w.row != nil && w.row.ID == c.ID && w.row.Generation == c.Generation && w.row.Status == ConnectionConnected
		if !ok {
			return nil
		}
		w.row.Generation++
		w.trace("%p claims, recovery %t", st.in, c.Recovery)
		w.state.LeaseOwner, w.state.LeaseUntil, w.state.Intent, w.state.IntentAt = c.Owner, c.Until, c.Intent, c.At
		w.finger = c.Fingerprint
		if c.Recovery {
			w.recovered++
			w.noted[c.Intent+" "+w.tokenOf(c.ID, c.Intent)]++
		}
		return nil
	})
	return ok, err
}

// tokenOf finds the refresh token behind a fingerprint.
func (w *world) tokenOf(id, finger string) string {
	for refresh := range w.grants {
		if fingerprint(id, refresh) == finger {
			return refresh
		}
	}
	return ""
}

func (st *simStore) SaveRefreshed(_ context.Context, r Refreshed) (ok bool, err error) {
	w := st.in.w
	err = st.op(true, func() error {
		ok = w.row != nil && w.row.ID == r.ID && (w.row.Generation == r.Generation ||
			(w.finger == r.Parent && w.finger != "" && !w.row.ObtainedAt.After(r.ObtainedAt) && w.row.Generation > r.Generation))
		if !ok {
			return nil
		}
		w.trace("%p stores", st.in)
		fresh, err := parseTokens(r.Sealed[31:])
		if err != nil {
			return err
		}
		if serial := w.grants[fresh.Refresh].serial; serial < w.serial {
			w.violation("pair %d was overwritten by pair %d", w.serial, serial)
		} else {
			w.serial = serial
		}
		w.row.Sealed, w.row.ObtainedAt, w.row.ExpiresAt, w.row.Status, w.row.Reason = r.Sealed, r.ObtainedAt, r.ExpiresAt, ConnectionConnected, ""
		w.row.Generation++
		w.state, w.finger = RefreshState{DueAt: r.DueAt}, r.Fingerprint
		return nil
	})
	return ok, err
}

func (st *simStore) ReleaseRefresh(_ context.Context, id string, generation int64, s RefreshState) (ok bool, err error) {
	w := st.in.w
	err = st.op(true, func() error {
		if ok = w.row != nil && w.row.ID == id && w.row.Generation == generation; ok {
			s.LeaseOwner, s.LeaseUntil = "", time.Time{}
			w.state = s
		}
		return nil
	})
	return ok, err
}

func (st *simStore) MarkReconnect(_ context.Context, id string, generation int64, reason string, _ Event) (ok bool, err error) {
	w := st.in.w
	err = st.op(true, func() error {
		if ok = w.row != nil && w.row.ID == id && w.row.Generation == generation && w.row.Status == ConnectionConnected; ok {
			w.trace("%p marks: %s", st.in, reason)
			w.row.Status, w.row.Reason, w.state = ConnectionReconnectRequired, reason, RefreshState{}
		}
		return nil
	})
	return ok, err
}

func (st *simStore) HeldRefreshes(context.Context, int) (out []Refreshing, err error) {
	err = st.op(false, func() error {
		if w := st.in.w; w.row != nil && w.state.LeaseOwner != "" {
			out = []Refreshing{{*w.row, w.state}}
		}
		return nil
	})
	return out, err
}

func (st *simStore) DueConnectors(_ context.Context, now time.Time) (out []DueConnector, err error) {
	err = st.op(false, func() error {
		if w := st.in.w; w.row != nil && !w.state.DueAt.IsZero() && !w.state.DueAt.After(now) {
			out = []DueConnector{{"acme", "x", 1, w.state.DueAt}}
		}
		return nil
	})
	return out, err
}

func (st *simStore) DueRefreshes(_ context.Context, _, _ string, now time.Time, _ int) (out []Refreshing, err error) {
	err = st.op(false, func() error {
		if w := st.in.w; w.row != nil && !w.state.DueAt.IsZero() && !w.state.DueAt.After(now) && w.state.LeaseOwner == "" {
			out = []Refreshing{{*w.row, w.state}}
		}
		return nil
	})
	return out, err
}

func (st *simStore) SetDue(_ context.Context, id string, generation int64, due time.Time) error {
	return st.op(true, func() error {
		if w := st.in.w; w.row != nil && w.row.ID == id && w.row.Generation == generation {
			w.state.DueAt = due
		}
		return nil
	})
}

func (st *simStore) Health(context.Context, string, string) (h Health, err error) {
	err = st.op(false, func() error { h = st.in.w.health; h.App, h.Connector = "acme", "x"; return nil })
	return h, err
}

func (st *simStore) UpdateHealth(_ context.Context, h Health) (ok bool, err error) {
	err = st.op(true, func() error {
		if ok = st.in.w.health.Version == h.Version; ok {
			h.Version++
			st.in.w.health = h
		}
		return nil
	})
	return ok, err
}

func (st *simStore) AccountConnections(context.Context, []string, string) ([]Connection, error) {
	return nil, nil
}

func (st *simStore) Epoch(context.Context) (int64, error) { return st.in.disk.epoch, nil }

func (st *simStore) BumpEpoch(_ context.Context, atLeast int64) (int64, error) {
	return max(st.in.disk.epoch, atLeast) + 1, nil
}
