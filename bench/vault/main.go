//go:build linux

// Command vault measures the built server beside floors: the least that a service of this
// kind does on the same HTTP server, drivers and durability. The server runs on one core,
// load, provider and everything else on another; runs alternate, and ratios of medians are
// printed as a Markdown table, for SQLite and for PostgreSQL. Needs Linux, two cores and
// PostgreSQL's binaries. Only loopback is used,
// and every loop is bounded.
//
//	go run ./bench/vault > docs/measurements-vault.md
//	go run ./bench/vault -rows 1000000
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"patchbay/store/pgcluster"
	"patchbay/views"
)

var (
	postgres = flag.String("postgres", "", "`address` of an empty PostgreSQL database to measure on; default: a throw-away one, whose disk is not synced")
	engine   = flag.String("engine", "", "measure on sqlite or postgres only")
	rows     = flag.Int("rows", 1000, "connections in the database")
	runs     = flag.Int("runs", 5, "runs of each, of which the median counts")
	length   = flag.Duration("length", 3*time.Second, "of one run")
	only     = flag.String("only", "", "measure only what has this `text` in its name")
	isFloor  = flag.String("floor", "", "internal: serve the floor at this `address`")
	database = flag.String("database", "", "internal: of the floor")
	provider = flag.String("provider", "", "internal: of the floor")
	keep     = flag.Bool("keep", false, "keep the directory with the databases")
)

const (
	serviceToken = "bench-service-token-of-acme"
	tokenSecret  = "bench-secret-of-thirty-two-bytes-or-more"
	sealedToken  = 900 // bytes of an access token
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if *isFloor != "" {
		f, err := openFloor(*database, *provider, samplePage())
		check(err)
		check(f.fill(users(min(*rows, 1000)), strings.Repeat("t", sealedToken)))
		check(http.ListenAndServe(*isFloor, f.handler()))
	}
	dir, err := os.MkdirTemp("", "patchbay-bench")
	check(err)
	if !*keep {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	b := &bench{dir: dir, bin: filepath.Join(dir, "patchbay"), self: filepath.Join(dir, "bench")}
	defer b.stop()
	for into, pkg := range map[string]string{b.bin: ".", b.self: "./bench/vault"} {
		build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", into, pkg)
		build.Env, build.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
		check(build.Run())
	}
	check(unix.SchedSetaffinity(0, cores(1))) // this process: load and provider
	b.startProvider()
	fmt.Printf("# Measurements of the vault\n\nMade by `make bench-vault` with %s. The server on one core, load and provider on the other; medians of %d alternating runs "+
		"of %v, %d connections open. A floor is the least that such a service does: the same HTTP server, drivers and durability, and no decisions "+
		"(`bench/vault/floor.go`). Compare only figures of one run.\n\n", runtime.Version(), *runs, *length, workers)
	if *engine != "postgres" {
		b.measure("SQLite", "sqlite:"+filepath.Join(dir, "patchbay.db"), "sqlite:"+filepath.Join(dir, "floor.db"))
	}
	if *engine != "sqlite" {
		if *postgres == "" {
			*postgres, err = pgcluster.Address()
			check(err)
		}
		b.measure("PostgreSQL", *postgres, *postgres)
	}
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}

func cores(n int) *unix.CPUSet {
	var set unix.CPUSet
	set.Set(n)
	return &set
}

func users(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("user-%07d", i)
	}
	return out
}

type bench struct {
	dir, bin, self  string
	processes       []*exec.Cmd
	server, floor   string // host:port
	serverProcess   *exec.Cmd
	provider        string
	latency         atomic.Int64
	refreshes       atomic.Int64
	accountSerial   atomic.Int64
	database, where string
}

// startProvider is a provider that says yes.
func (b *bench) startProvider() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /box/authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		w.Header().Set("Location", q.Get("redirect_uri")+"?code="+strconv.FormatInt(b.accountSerial.Add(1), 10)+"&state="+url.QueryEscape(q.Get("state")))
		w.WriteHeader(http.StatusFound)
	})
	token := `{"access_token":"` + strings.Repeat("t", sealedToken) + `","refresh_token":"` + strings.Repeat("r", 64) + `","token_type":"bearer","expires_in":3600}`
	mux.HandleFunc("POST /box/token", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("grant_type") == "refresh_token" {
			b.refreshes.Add(1)
			time.Sleep(time.Duration(b.latency.Load()))
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, token)
	})
	mux.HandleFunc("GET /box/api/{rest...}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"1","type":"user","name":"Dana","login":"dana@example.com"}`)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	b.provider = "http://" + l.Addr().String()
	go func() { _ = http.Serve(l, mux) }()
}

func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer l.Close()
	return l.Addr().String()
}

func (b *bench) run(env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.Command("taskset", append([]string{"-c", "0", name}, args...)...)
	cmd.Env = append(env, "PATH="+os.Getenv("PATH"), "HOME="+b.dir)
	cmd.Dir, cmd.Stderr = b.dir, os.Stderr
	check(cmd.Start())
	b.processes = append(b.processes, cmd)
	return cmd
}

func (b *bench) stop() {
	for _, p := range b.processes {
		_ = p.Process.Kill()
		_ = p.Wait()
	}
	b.processes = nil
}

func await(address, path string) time.Duration {
	begun := time.Now()
	for time.Since(begun) < time.Minute {
		if resp, err := http.Get("http://" + address + path); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode < 500 {
				return time.Since(begun)
			}
		}
		time.Sleep(time.Millisecond)
	}
	log.Panic("no answer from " + address)
	return 0
}

const keyLine = "bench:q83vEjRWeJq83vEjRWeJq83vEjRWeJq83vEjRWeJq80="

func (b *bench) env() []string {
	_, port, _ := net.SplitHostPort(b.server)
	return []string{
		"PATCHBAY_LISTEN=" + b.server, "PATCHBAY_PUBLIC_URL=http://localhost:" + port, "PATCHBAY_DATABASE=" + b.database, "PATCHBAY_KEYS=" + keyLine,
		"PATCHBAY_APPS=" + filepath.Join(b.dir, "apps.yaml"), "PATCHBAY_RATE_LIMIT=off", "PATCHBAY_LOG_FORMAT=json", "PATCHBAY_LOG_LEVEL=warn",
		"PATCHBAY_STATE_DIR=" + filepath.Join(b.dir, "state"), "PATCHBAY_OUTBOUND_ALLOW=" + strings.TrimPrefix(b.provider, "http://"),
	}
}

// apps has an app with one connector and one with forty.
func (b *bench) apps() string {
	var out strings.Builder
	out.WriteString("apps:\n")
	for _, app := range []struct {
		id string
		n  int
	}{{"acme", 1}, {"big", 40}} {
		fmt.Fprintf(&out, "  - id: %s\n    service_tokens: [{name: b, token: %s, scopes: [tokens, sessions]}]\n    user_tokens: {hs256_secret: %s}\n    return_urls: [https://app.example/settings]\n    connectors:\n",
			app.id, serviceToken, tokenSecret)
		for i := range app.n {
			id := "box"
			if i > 0 {
				id += strconv.Itoa(i)
			}
			fmt.Fprintf(&out, "      - {id: %s, type: box, client_id: acme, client_secret: s, endpoints: {authorize: %[2]s/box/authorize, token: %[2]s/box/token, revoke: %[2]s/box/revoke, api: %[2]s/box/api}}\n", id, b.provider)
		}
	}
	return out.String()
}

func (b *bench) measure(name, database, floorDatabase string) {
	b.where, b.database, b.server, b.floor = name, database, freePort(), freePort()
	check(os.WriteFile(filepath.Join(b.dir, "apps.yaml"), []byte(b.apps()), 0o600))
	b.serverProcess = b.run(b.env(), b.bin, "serve")
	await(b.server, "/readyz")
	b.kill()
	fmt.Printf("## %s\n\n", name)
	size := b.seed()
	fmt.Print("| what | here | floor | ratio | p99 here | p99 floor | ratio |\n|---|---|---|---|---|---|---|\n")
	b.serverProcess = b.run(b.env(), b.bin, "serve")
	ready := await(b.server, "/healthz")
	time.Sleep(2 * time.Second)
	idle := b.resident()
	b.run([]string{}, b.self, "-floor", b.floor, "-database", floorDatabase, "-provider", b.provider, "-rows", strconv.Itoa(*rows))
	await(b.floor, "/done")

	b.reads()
	b.pages()
	b.flows()
	b.stampede()
	fmt.Printf("\n- First answer on an existing store after %v. Memory: %d MB idle, %d MB after the load.\n", ready.Round(time.Millisecond), idle/1024, b.resident()/1024)
	fmt.Printf("- %s\n", size)
	if info, err := os.Stat(b.bin); err == nil {
		fmt.Printf("- The binary has %.1f MB.\n\n", float64(info.Size())/1e6)
	}
	b.stop()
}

func (b *bench) kill() {
	_ = b.serverProcess.Process.Signal(unix.SIGTERM)
	_ = b.serverProcess.Wait()
	b.processes = slices.DeleteFunc(b.processes, func(p *exec.Cmd) bool { return p == b.serverProcess })
}

// resident is the server's memory in KB.
func (b *bench) resident() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.serverProcess.Process.Pid))
	check(err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}

// compare alternates runs of ours and of the floor and prints a row.
func (b *bench) compare(what string, ours, floor func() func(worker, n int) bool) {
	if !strings.Contains(what, *only) {
		return
	}
	var a, z []result
	for range *runs {
		a = append(a, load(*length, ours()))
		z = append(z, load(*length, floor()))
	}
	x, y := middle(a), middle(z)
	note := ""
	if x.failed+y.failed > 0 {
		note = fmt.Sprintf(" (%d and %d failed)", x.failed, y.failed)
	}
	fmt.Printf("| %s%s | %.0f/s | %.0f/s | %.2f | %v | %v | %.2f |\n", what, note, x.perSecond, y.perSecond, x.perSecond/y.perSecond,
		x.p99.Round(10*time.Microsecond), y.p99.Round(10*time.Microsecond), float64(x.p99)/float64(y.p99))
}

func userToken(user string) string {
	part := func(v any) string {
		raw, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	signed := part(map[string]string{"alg": "HS256", "typ": "JWT"}) + "." + part(map[string]any{"sub": user, "aud": "acme", "exp": time.Now().Add(6 * time.Hour).Unix()})
	mac := hmac.New(sha256.New, []byte(tokenSecret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (b *bench) request(method, path string, header ...string) []byte {
	return []byte(method + " " + path + " HTTP/1.1\r\nHost: " + b.server + "\r\n" + strings.Join(header, "\r\n") + strings.Repeat("\r\n", min(1, len(header))) + "\r\n")
}

func (b *bench) tokenRead(user string) []byte {
	return b.request("GET", "/api/apps/acme/app-user-auth/connectors/box/token", "Authorization: Bearer "+serviceToken, "On-Behalf-Of: Bearer "+userToken(user))
}

func (b *bench) reads() {
	all := users(*rows)
	var ours, floor [][]byte
	for i := range 2000 {
		u := all[(i*7907)%len(all)]
		ours = append(ours, b.tokenRead(u))
		floor = append(floor, b.request("GET", "/token", "X-User: "+users(min(*rows, 1000))[i%min(*rows, 1000)]))
	}
	b.compare("token read", func() func(int, int) bool { return sender(b.server, 200, ours) }, func() func(int, int) bool { return sender(b.floor, 200, floor) })
}

// signIn opens a browser session and returns its cookie.
func (b *bench) signIn(app, user string) string {
	body := `{"mode":"redirect","user":{"id":"` + user + `"}}`
	c := connection{address: b.server}
	a, err := c.do(append(b.request("POST", "/api/apps/"+app+"/connect-sessions", "Authorization: Bearer "+serviceToken, "Content-Type: application/json", "Content-Length: "+strconv.Itoa(len(body))), body...))
	check(err)
	var made struct{ URL string }
	check(json.Unmarshal(a.body, &made))
	u, err := url.Parse(made.URL)
	check(err)
	a, err = c.do(b.request("GET", u.Path, navigation...))
	check(err)
	cookie, _, _ := strings.Cut(a.get("Set-Cookie"), ";")
	if a.status != 303 || cookie == "" {
		log.Panicf("no session: %d %s", a.status, a.header)
	}
	return cookie
}

var navigation = []string{"Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: same-origin", "Accept: text/html"}

func samplePage() views.ListPage {
	p := views.ListPage{Page: views.Page{App: views.App{ID: "big", Name: "big"}, User: &views.User{ID: "user-0000001"}}, SettingsURL: "/apps/big/settings", ReturnURL: "https://app.example/settings"}
	for i := range 40 {
		c := views.Connector{ID: "box" + strconv.Itoa(i), Type: "box", Name: "Box", Description: "Read the files and folders that you can open in Box.", Color: "#0061D5", Logo: "box",
			Abilities: []string{"Read all files and folders that you can open in Box"}, State: views.NotConnected, StartURL: "/start", Ticket: strings.Repeat("t", 120)}
		if i%2 == 0 {
			c.State, c.Connected, c.Account, c.DisconnectURL = views.Connected, true, "dana@example.com", "/apps/big/connectors/x/disconnect"
		}
		p.Connectors = append(p.Connectors, c)
	}
	return p
}

func (b *bench) pages() {
	var ours [][]byte
	for _, u := range users(64) {
		ours = append(ours, b.request("GET", "/apps/big", append([]string{"Cookie: " + b.signIn("big", u)}, navigation...)...))
	}
	b.compare("list page, 40 connectors", func() func(int, int) bool { return sender(b.server, 200, ours) },
		func() func(int, int) bool { return sender(b.floor, 200, [][]byte{b.request("GET", "/page")}) })
}

var (
	ticketField = regexp.MustCompile(`name="ticket" value="([^"]+)"`)
	continueURL = regexp.MustCompile(`href="(http://[^"]+/box/authorize\?[^"]+)"`)
)

// browser is a worker with a session.
type browser struct {
	b       *bench
	server  connection
	away    connection
	cookie  string
	tickets []string
}

// collect prints tickets for flows to come.
func (w *browser) collect(n int) {
	for len(w.tickets) < n {
		a, err := w.server.do(w.b.request("GET", "/apps/acme", append([]string{"Cookie: " + w.cookie}, navigation...)...))
		check(err)
		found := ticketField.FindSubmatch(a.body)
		if a.status != 200 || found == nil {
			log.Panicf("no ticket: %d %s", a.status, a.body)
		}
		w.tickets = append(w.tickets, string(found[1]))
	}
}

// start begins a flow and returns the flow's cookie and the provider's address.
func (w *browser) start() (cookie, to string, ok bool) {
	if len(w.tickets) == 0 {
		return "", "", false
	}
	body := "ticket=" + url.QueryEscape(w.tickets[0])
	w.tickets = w.tickets[1:]
	_, port, _ := net.SplitHostPort(w.b.server)
	a, err := w.server.do(append(w.b.request("POST", "/start", append([]string{"Cookie: " + w.cookie, "Origin: http://localhost:" + port,
		"Content-Type: application/x-www-form-urlencoded", "Content-Length: " + strconv.Itoa(len(body))}, navigation...)...), body...))
	if err != nil || a.status != 200 {
		return "", "", false
	}
	found := continueURL.FindSubmatch(a.body)
	if found == nil {
		return "", "", false
	}
	cookie, _, _ = strings.Cut(a.get("Set-Cookie"), ";")
	return cookie, strings.ReplaceAll(string(found[1]), "&amp;", "&"), true
}

// flow is a whole one, from the press to the result.
func (w *browser) flow() bool {
	cookie, to, ok := w.start()
	if !ok {
		return false
	}
	u, err := url.Parse(to)
	if err != nil {
		return false
	}
	a, err := w.away.do([]byte("GET " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\n\r\n"))
	if err != nil || a.status != 302 {
		return false
	}
	back, err := url.Parse(a.get("Location"))
	if err != nil {
		return false
	}
	cookies := "Cookie: " + w.cookie + "; " + cookie
	a, err = w.server.do(w.b.request("GET", back.RequestURI(), "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: cross-site", cookies))
	if err != nil || a.status != 303 {
		return false
	}
	a, err = w.server.do(w.b.request("GET", a.get("Location"), append([]string{cookies}, navigation...)...))
	return err == nil && a.status == 200 && bytes.Contains(a.body, []byte(`data-flow-status="connected"`))
}

func (b *bench) flows() {
	if !strings.Contains("flow start whole flow", *only) {
		return
	}
	browsers := make([]*browser, workers)
	for i, u := range users(workers) {
		browsers[i] = &browser{b: b, server: connection{address: b.server}, away: connection{address: strings.TrimPrefix(b.provider, "http://")}, cookie: b.signIn("acme", "flow-"+u)}
	}
	ready := func(n int) {
		var all sync.WaitGroup
		for _, w := range browsers {
			all.Go(func() { w.collect(n) })
		}
		all.Wait()
	}
	floorStart := func() func(int, int) bool {
		var requests [][]byte
		for _, u := range users(workers) {
			requests = append(requests, b.request("GET", "/start", "X-User: flow-"+u))
		}
		return sender(b.floor, 302, requests)
	}
	many := int(length.Seconds()*1600/workers) + 20
	b.compare("flow start", func() func(int, int) bool {
		ready(2 * many)
		return func(w, _ int) bool { _, _, ok := browsers[w].start(); return ok }
	}, floorStart)
	b.compare("whole flow", func() func(int, int) bool {
		ready(many)
		return func(w, _ int) bool { return browsers[w].flow() }
	}, func() func(int, int) bool { return b.floorFlows() })
}

func (b *bench) floorFlows() func(worker, n int) bool {
	conns, away := make([]connection, workers), make([]connection, workers)
	for i := range conns {
		conns[i].address, away[i].address = b.floor, strings.TrimPrefix(b.provider, "http://")
	}
	return func(w, _ int) bool {
		get := func(c *connection, uri string, header ...string) (answer, *url.URL) {
			a, err := c.do([]byte("GET " + uri + " HTTP/1.1\r\nHost: " + c.address + "\r\n" + strings.Join(append(header, "X-User: flow-"+strconv.Itoa(w)), "\r\n") + "\r\n\r\n"))
			if err != nil || a.status != 302 {
				return a, nil
			}
			u, _ := url.Parse(a.get("Location"))
			return a, u
		}
		_, u := get(&conns[w], "/start")
		if u == nil {
			return false
		}
		if _, u = get(&away[w], u.RequestURI()); u == nil {
			return false
		}
		if _, u = get(&conns[w], u.RequestURI()); u == nil {
			return false
		}
		a, _ := get(&conns[w], u.RequestURI())
		return a.status == 200
	}
}

// stampede is 500 readers of one expired token, again and again, beside readers of others.
func (b *bench) stampede() {
	if !strings.Contains("stampede", *only) {
		return
	}
	const readers, latency = 500, 300 * time.Millisecond
	b.latency.Store(int64(latency))
	others := [][]byte{}
	for _, u := range users(min(*rows, 1000))[*runs:] {
		others = append(others, b.tokenRead(u))
	}
	conns := make([]connection, readers)
	for i := range conns {
		conns[i].address = b.server
		_, err := conns[i].do(others[i%len(others)])
		check(err)
	}
	var calm, busy, slowest []float64
	calls := int64(0)
	for run := range *runs {
		calm = append(calm, load(*length, sender(b.server, 200, others)).perSecond)
		user := users(*runs)[run]
		request := b.tokenRead(user)
		ctx, done := context.WithCancel(context.Background())
		var worst atomic.Int64
		go func() {
			defer done()
			time.Sleep(*length / 3)
			before := b.refreshes.Load()
			b.expire(user)
			var all sync.WaitGroup
			for i := range conns {
				all.Go(func() {
					at := time.Now()
					if a, err := conns[i].do(request); err != nil || a.status != 200 {
						complaints.Add(1)
					}
					took := time.Since(at).Nanoseconds()
					for old := worst.Load(); took > old && !worst.CompareAndSwap(old, took); old = worst.Load() {
					}
				})
			}
			all.Wait()
			calls = max(calls, b.refreshes.Load()-before)
		}()
		busy = append(busy, load(*length, sender(b.server, 200, others)).perSecond)
		<-ctx.Done()
		slowest = append(slowest, float64(worst.Load())/1e6)
	}
	for _, s := range [][]float64{calm, busy, slowest} {
		slices.Sort(s)
	}
	m := len(calm) / 2
	fmt.Printf("\n- 500 readers of one expired token beside %d others: at most %d refresh; the slowest reader waits %.0f ms, of which the provider takes %v; "+
		"readers of other tokens keep %.0f %% of their rate (%.0f/s of %.0f/s, the 500 not counted).\n", workers, calls, slowest[m], latency, 100*busy[m]/calm[m], busy[m], calm[m])
}
