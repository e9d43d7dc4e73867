//go:build linux

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/store/pgcluster"
)

// The same callback 50 times at once over three instances: one exchange.
func TestSecurity09_CallbackRacedOverThreeInstances(t *testing.T) {
	t.Parallel()
	provider := startSandbox(t)
	database := "PATCHBAY_DATABASE=" + pgcluster.Database(t)
	s := newSettings(t)
	s.sandbox = strings.TrimPrefix(provider.origin, "http://")
	s.apps(t, "https://app.acme.example", "github")
	v := serveWith(t, s, provider, database)
	hosts := []string{s.address}
	for range 2 {
		other := s
		other.dir, other.address, other.public = t.TempDir(), freeAddress(t), s.publicHost()
		other.apps(t, "https://app.acme.example", "github")
		serveWith(t, other, provider, database)
		hosts = append(hosts, other.address)
	}
	dana := newVisitor(t)
	consent := dana.open(v.link(t, "dana", "github")).press(`main [data-action="connect"]`).press(`[data-action="continue"]`).wantStatus(200)
	dana.halt = "/oauth/callback/"
	callback := consent.approve("approve", "")
	statuses := make([]int, 50)
	var all sync.WaitGroup
	for i := range statuses {
		req := dana.request(consent.url, http.MethodGet, callback.url, "cross-site", nil)
		public := *req.URL
		req.URL.Host, req.Host = hosts[i%3], public.Host
		all.Go(func() {
			resp, err := (&http.Transport{}).RoundTrip(req)
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
			statuses[i] = resp.StatusCode
		})
	}
	all.Wait()
	for _, status := range statuses {
		if status >= 500 || status == 0 {
			t.Errorf("answered %d", status)
		}
	}
	provider.wantCalls("/github/token", 1)
	conns := v.call(t, http.MethodGet, "users/dana/connections", "", "")
	if list, _ := conns.body["connections"].([]any); len(list) != 1 {
		t.Errorf("%v", conns.body)
	}
}

// How long a refusal takes does not depend on how much of a token is right: of two kinds
// of wrong tokens, taken in turns, the medians differ by less than their own noise.
func TestSecurity62_TimingTellsNothing(t *testing.T) {
	f := newFleet(t, 1, "")
	v := f.servers[0]
	almost := serviceToken[:len(serviceToken)-1] + "x"
	wrong := strings.Repeat("x", len(serviceToken))
	tries := size(2000, 10_000)
	took := map[string][]float64{}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	for range tries {
		for _, token := range []string{almost, wrong} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.origin+"/api/apps/acme/users/dana/connections", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			begun := time.Now()
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			took[token] = append(took[token], float64(time.Since(begun).Nanoseconds()))
			if resp.StatusCode != http.StatusUnauthorized {
				t.Fatalf("answered %d", resp.StatusCode)
			}
		}
	}
	a, b := took[almost], took[wrong]
	slices.Sort(a)
	slices.Sort(b)
	differ := math.Abs(a[len(a)/2] - b[len(b)/2])
	noise := a[len(a)*3/4] - a[len(a)/4]
	t.Logf("medians differ by %.0f ns, half of the tries lie within %.0f ns", differ, noise)
	if differ > noise {
		t.Errorf("the medians differ by %.0f ns", differ)
	}
	db, _ := f.open(t)
	if raw := dump(t, db); bytes.Contains(raw, []byte(serviceToken)) {
		t.Error("the token is stored")
	}
}

// Fields that nobody reads, or that only we may set, are refused and have no effect.
func TestSecurity63_UnknownFields(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "github", "shared:slack")
	for _, field := range []string{`"user_id":"eve"`, `"app_id":"other"`, `"role":"admin"`, `"id":"cs_mine"`, `"assurance":"app"`} {
		for path, body := range map[string]string{
			"connect-sessions":        `{"mode":"redirect","user":{"id":"dana"},` + field + `}`,
			"connect-sessions ":       `{"mode":"redirect","user":{"id":"dana",` + field + `}}`,
			"connectors/slack/call":   `{"method":"GET","path":"/x",` + field + `}`,
			"flows/fl_none/confirm  ": `{"result_code":"x","user_id":"dana","` + strings.Trim(strings.Split(field, ":")[0], `"`) + `_":1}`,
		} {
			if strings.HasPrefix(path, "connect-sessions ") && strings.HasPrefix(field, `"id"`) {
				continue // a user has one
			}
			got := v.call(t, http.MethodPost, strings.TrimSpace(path), "", body)
			if got.status != http.StatusBadRequest || got.code() != "invalid_request" {
				t.Errorf("%s %s: %d %v", path, body, got.status, got.body)
			}
		}
	}
	if got := v.call(t, http.MethodGet, "users/eve/connections", "", ""); len(got.body["connections"].([]any)) != 0 {
		t.Errorf("%v", got.body)
	}
}

// A flood of one app is stopped with 429, and the other app's answers stay quick.
func TestSecurity64_FloodOfOneApp(t *testing.T) {
	f := newFleet(t, 0, "")
	text, err := os.ReadFile(f.dir + "/apps.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const otherToken = "e2e-service-token-of-other"
	f.write(t, "apps.yaml", string(text)+"  - id: other\n    name: Other\n    service_tokens: [{name: b, token: "+otherToken+", scopes: [tokens]}]\n    connectors: []\n")
	v := serveWith(t, f.settings, sandbox{}, f.database, "PATCHBAY_RATE_LIMIT=on")
	v.origin = "http://" + f.address
	ask := func(ctx context.Context, app, token string) (int, time.Duration) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.origin+"/api/apps/"+app+"/users/x/connections", nil)
		if err != nil {
			return 0, 0
		}
		req.Header.Set("Authorization", "Bearer "+token)
		begun := time.Now()
		resp, err := fleetClient.Do(req)
		if err != nil {
			return 0, 0
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode, time.Since(begun)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var limited, passed atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				switch status, _ := ask(ctx, "acme", serviceToken); status {
				case http.StatusTooManyRequests:
					limited.Add(1)
				case http.StatusOK:
					passed.Add(1)
				}
			}
		})
	}
	time.Sleep(500 * time.Millisecond)
	for range 200 {
		if status, _ := ask(t.Context(), "other", otherToken); status != http.StatusOK {
			t.Fatalf("the other app is answered %d", status)
		}
		time.Sleep(6 * time.Millisecond)
	}
	stop()
	all.Wait()
	if limited.Load() == 0 || passed.Load() == 0 {
		t.Errorf("%d were stopped and %d passed", limited.Load(), passed.Load())
	}
}

// After a disconnect no instance hands out the token, whichever is asked.
func TestSecurity66_DisconnectOnEveryInstance(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, pgcluster.Database(t))
	f.seed(t, time.Now().Add(time.Hour), time.Time{}, "dana")
	token := userToken(t, "dana")
	for _, v := range f.servers {
		if r := f.read(t.Context(), v, token); r.status != http.StatusOK {
			t.Fatalf("%+v", r)
		}
	}
	f.rotator.Close() // the removal does not wait for the provider
	f.servers[0].call(t, http.MethodDelete, "users/dana", "", "")
	for i, v := range f.servers {
		if r := f.read(t.Context(), v, token); r.status != http.StatusNotFound {
			t.Errorf("instance %d: %+v", i, r)
		}
	}
}

// A user who was deleted and comes again under the same id begins with nothing, and what
// was sealed for the first is not in the file any more.
func TestSecurity67_SameUserAgain(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, "")
	v := f.servers[0]
	f.seed(t, time.Now().Add(time.Hour), time.Time{}, "dana", "sam")
	db, _ := f.open(t)
	rows, err := db.ConnectorConnections(t.Context(), "acme", f.typ)
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	v.call(t, http.MethodDelete, "users/dana", "", "")
	if r := f.read(t.Context(), v, userToken(t, "dana")); r.status != http.StatusNotFound {
		t.Errorf("%+v", r)
	}
	made := v.call(t, http.MethodPost, "connect-sessions", "", `{"mode":"redirect","user":{"id":"dana"}}`)
	if made.status != http.StatusCreated {
		t.Fatal(made)
	}
	if r := v.call(t, http.MethodGet, "users/dana/connections", "", ""); len(r.body["connections"].([]any)) != 0 {
		t.Errorf("%v", r.body)
	}
	v.stop(t) // the log is merged into the file
	left := everyFile(t, f.dir)
	if bytes.Contains(left, rows[0].Sealed) {
		t.Error("the deleted ciphertext is still there")
	}
	if !bytes.Contains(left, rows[1].Sealed) {
		t.Error("the other user's ciphertext is not found: the test looks in the wrong place")
	}
}

// Requests that are given up in the middle of a query never make another one answer with
// somebody else's token.
func TestSecurity68_CanceledReads(t *testing.T) {
	for name, database := range map[string]func(*testing.T) string{"sqlite": func(*testing.T) string { return "" }, "postgres": func(t *testing.T) string { return pgcluster.Database(t) }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 1, database(t))
			v := f.servers[0]
			users := names("u", 100)
			f.seed(t, time.Now().Add(time.Hour), time.Time{}, users...)
			owner := map[string]string{}
			f.rotator.set(func(r *rotator) {
				for access, fam := range r.access {
					owner[access] = fam.user
				}
			})
			ctx, stop := context.WithCancel(t.Context())
			var good atomic.Int64
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for ctx.Err() == nil {
						u := users[rand.IntN(len(users))]
						r := f.read(ctx, v, userToken(t, u))
						if ctx.Err() == nil && (r.status != http.StatusOK || owner[r.access] != u) {
							t.Errorf("%s got %+v of %s", u, r, owner[r.access])
						}
						good.Add(1)
					}
				})
			}
			var canceled sync.WaitGroup
			for range 8 {
				canceled.Go(func() {
					for range size(250, 1250) {
						short, end := context.WithTimeout(ctx, rand.N(1200*time.Microsecond))
						u := users[rand.IntN(len(users))]
						if r := f.read(short, v, userToken(t, u)); r.status == http.StatusOK && owner[r.access] != u {
							t.Errorf("%s got a token of %s", u, owner[r.access])
						}
						end()
					}
				})
			}
			canceled.Wait()
			stop()
			all.Wait()
			t.Logf("%d reads beside %d canceled ones", good.Load(), 8*size(250, 1250))
		})
	}
}

// The kernel writes no core dump of the server and lets nobody of the same user look
// into it.
func TestSecurity77_CoreDumpsAreOff(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, "")
	pid := f.servers[0].cmd.Process.Pid
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if strings.HasPrefix(line, "Max core file size") {
			if fields := strings.Fields(line); fields[4] != "0" || fields[5] != "0" {
				t.Errorf("%s", line)
			}
		}
	}
	status, err := os.Stat(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 { // the files of a process that is not dumpable belong to root
		if f, err := os.Open(fmt.Sprintf("/proc/%d/environ", pid)); err == nil {
			_ = f.Close()
			t.Errorf("the environment can be read: %v", status.Mode())
		}
	}
}

// Five thousand sockets that send their headers slowly take little memory, and the server
// goes on answering.
func TestSecurity80_SlowSockets(t *testing.T) {
	f := newFleet(t, 1, "")
	v := f.servers[0]
	f.seed(t, time.Now().Add(time.Hour), time.Time{}, "dana")
	before := resident(t, v)
	n := size(800, 5000)
	conns := make([]net.Conn, 0, n)
	for range n {
		c, err := net.Dial("tcp", f.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for range 20 {
		if r := f.read(t.Context(), v, userToken(t, "dana")); r.status != http.StatusOK {
			t.Errorf("%+v", r)
		}
	}
	grown := resident(t, v) - before
	t.Logf("%d slow sockets: %d KB each", n, grown/n)
	if grown > n*64 {
		t.Errorf("%d KB for each slow socket", grown/n)
	}
	ended := 0
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || !os.IsTimeout(err) {
			ended++
		}
		_ = c.Close()
	}
	if ended != n {
		t.Errorf("%d of %d were ended", ended, n)
	}
}

// resident is the memory of the server in KB.
func resident(t *testing.T, v *server) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			var kb int
			if _, err := fmt.Sscanf(strings.TrimSpace(rest), "%d kB", &kb); err != nil {
				t.Fatal(err)
			}
			return kb
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// Flows that nobody finishes end, first of all those of a user who begins too many.
func TestSecurity80_PendingFlows(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "github")
	link := v.link(t, "dana", "github")
	n := size(130, 1000)
	for range n {
		newVisitor(t).open(link).press(`main [data-action="connect"]`).wantStatus(200)
	}
	f := &fleet{settings: v.settings, database: "PATCHBAY_DATABASE=sqlite:" + v.settings.database()}
	db, _ := f.open(t)
	if got, err := db.CountOpenFlows(t.Context(), "acme"); err != nil || got != n {
		t.Fatalf("%d flows are under way, %v", got, err)
	}
	if err := db.Sweep(t.Context(), time.Now(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got, err := db.CountOpenFlows(t.Context(), "acme"); err != nil || got != 100 {
		t.Errorf("%d flows are under way, %v", got, err)
	}
	// The newest goes on.
	v.follow(t, v.link(t, "dana", "github"), "dana").wantResult("connected", "connected")
}
