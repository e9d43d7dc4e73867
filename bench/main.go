// Command bench measures the built binary from outside: size, cold start, idle memory,
// the weight of a list page with 20 connectors, and how fast that page and a token read
// are answered. It prints one Markdown table. Servers listen on loopback only, and every
// loop is bounded.
//
//	go run ./bench > docs/measurements.md
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	runs         = 5 // medians of this many
	requests     = 4000
	concurrency  = 64
	connectors   = 20
	serviceToken = "bench-service-token-0123456789"
	jsonType     = "application/json"
)

func main() {
	log.SetFlags(0)
	dir, err := os.MkdirTemp("", "patchbay-bench")
	check(err)
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "patchbay")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	check(build.Run())
	info, err := os.Stat(bin)
	check(err)

	b := &bench{dir: dir, bin: bin}
	cleanUp = b.stop
	fmt.Printf("# Measurements\n\nMade by `make bench` (`go run ./bench`) with %s on %d cores; the load runs on the same machine. "+
		"Medians of %d runs. They tell the order of magnitude; compare only figures of one run.\n\n", runtime.Version(), runtime.NumCPU(), runs)
	row("what", "figure")
	row("---", "---")
	row("binary, static, stripped", fmt.Sprintf("%.1f MB", float64(info.Size())/1e6))

	var starts []time.Duration
	for i := range runs {
		starts = append(starts, b.start(i))
		if i < runs-1 {
			b.stop()
		}
	}
	defer b.stop()
	row("cold start to ready, new database, 20 connectors applied", ms(median(starts)))
	time.Sleep(2 * time.Second)
	row("idle memory (resident)", b.resident())
	b.connectAndMeasure()
}

type bench struct {
	dir, bin, base, sandbox string
	server, provider        *exec.Cmd
}

// start makes a new database and measures from exec to ready.
func (b *bench) start(run int) time.Duration {
	b.base, b.sandbox = "http://localhost:18970", "http://127.0.0.1:18971"
	apps := filepath.Join(b.dir, "apps.yaml")
	var y strings.Builder
	fmt.Fprintf(&y, "apps:\n  - id: acme\n    name: Acme Notes\n    service_tokens: [{name: b, token: %s, scopes: [tokens, sessions]}]\n    connectors:\n", serviceToken)
	types := []string{"github", "googlecalendar", "slack"}
	for i := range connectors {
		typ := types[i%len(types)]
		at := b.sandbox + "/" + typ
		fmt.Fprintf(&y, "      - {id: c%d, type: %s, client_id: c%d, client_secret: sandbox-secret, endpoints: {authorize: %s/authorize, token: %s/token, revoke: %s/revoke, userinfo: %s/userinfo, api: %s/api}}\n", i, typ, i, at, at, at, at, at)
	}
	check(os.WriteFile(apps, []byte(y.String()), 0o600))
	key, err := exec.Command(b.bin, "keys", "new").Output()
	check(err)
	b.provider = exec.Command(b.bin, "sandbox", "--listen", "127.0.0.1:18971")
	check(b.provider.Start())
	b.server = exec.Command(b.bin, "serve", "--listen", "127.0.0.1:18970", "--public-url", b.base, "--apps", apps, "--rate-limit", "off",
		"--database", "sqlite:"+filepath.Join(b.dir, fmt.Sprintf("run%d.db", run)), "--outbound-allow", "127.0.0.1:18971")
	b.server.Env = append(os.Environ(), "PATCHBAY_KEYS="+strings.TrimSpace(string(key)), "PATCHBAY_LOG_LEVEL=warn")
	b.server.Stderr = os.Stderr
	begun := time.Now()
	check(b.server.Start())
	for time.Since(begun) < 20*time.Second {
		if resp, err := http.Get(b.base + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return time.Since(begun)
			}
		}
		time.Sleep(time.Millisecond)
	}
	die("the server is not ready after 20 s")
	return 0
}

func (b *bench) stop() {
	for _, c := range []*exec.Cmd{b.server, b.provider} {
		if c == nil || c.Process == nil {
			continue
		}
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait()
	}
}

func (b *bench) resident() string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.server.Process.Pid))
	if err != nil {
		return "not known on this system"
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	kb, _ := strconv.Atoi(string(m[1]))
	return fmt.Sprintf("%.1f MB", float64(kb)/1024)
}

// connectAndMeasure links one account, then measures the list page and the token read.
func (b *bench) connectAndMeasure() {
	client := &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: concurrency, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	session := func(mode, more string) map[string]string {
		body := send(client, "POST", b.base+"/api/apps/acme/connect-sessions", `{"mode":"`+mode+`","user":{"id":"dana"}`+more+`}`,
			map[string]string{"Authorization": "Bearer " + serviceToken, "Content-Type": jsonType})
		return map[string]string{"url": field(body.body, `"url":"([^"]+)"`), "token": field(body.body, `"token":(?:"([^"]+)"|null)`)}
	}
	opened := send(client, "GET", session("redirect", "")["url"], "", nil)
	cookie := strings.SplitN(opened.header.Get("Set-Cookie"), ";", 2)[0]
	list := func() answer {
		return send(client, "GET", b.base+"/apps/acme", "", map[string]string{"Cookie": cookie, "Accept-Encoding": "gzip"})
	}
	b.weigh(client, list())
	b.link(client, session("link", `,"connectors":["c0"]`)["url"])
	user := session("redirect", "")["token"]
	headers := map[string]string{"Authorization": "Bearer " + serviceToken, "on-behalf-of": "Bearer " + user}
	read := func() answer {
		return send(client, "GET", b.base+"/api/apps/acme/app-user-auth/connectors/c0/token", "", headers)
	}
	if !strings.Contains(read().body, "access_token") {
		die("the token read does not work: %s", read().body)
	}
	for _, m := range []struct {
		name string
		do   func() answer
	}{{"list page, 20 connectors, gzip", list}, {"token read, service token and user token checked", read}} {
		var alone []time.Duration
		var rates []float64
		for range runs {
			one, rate := load(m.do)
			alone, rates = append(alone, one), append(rates, rate)
		}
		slices.Sort(rates)
		row(m.name+", one at a time", ms(median(alone)))
		row(fmt.Sprintf("%s, %d at a time", m.name, concurrency), fmt.Sprintf("%.0f a second", rates[len(rates)/2]))
	}
}

// weigh adds up what a browser loads for the list page, as it comes over the wire.
func (b *bench) weigh(client *http.Client, page answer) {
	total := len(page.body)
	z, err := gzip.NewReader(strings.NewReader(page.body))
	check(err)
	html, err := io.ReadAll(z)
	check(err)
	row("list page with 20 connectors, HTML gzipped", fmt.Sprintf("%.1f KB", float64(len(page.body))/1000))
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?:href|src)="(/static/[^"#]+)`).FindAllSubmatch(html, -1) {
		path := string(m[1])
		if seen[path] {
			continue
		}
		seen[path] = true
		file := send(client, "GET", b.base+path, "", map[string]string{"Accept-Encoding": "gzip"})
		total += len(file.body)
		row("… "+regexp.MustCompile(`\.[0-9A-Za-z_-]{8,}\.`).ReplaceAllString(filepath.Base(path), "."), fmt.Sprintf("%.1f KB", float64(len(file.body))/1000))
	}
	row("list page with everything it loads", fmt.Sprintf("%.1f KB", float64(total)/1000))
}

// link connects c0 through the sandbox, as a person who presses Connect and Continue.
func (b *bench) link(client *http.Client, url string) {
	page := send(client, "GET", url, "", nil)
	started := send(client, "POST", b.base+"/start", "ticket="+field(page.body, `name="ticket" value="([^"]+)"`),
		map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": b.base})
	cookie := strings.SplitN(started.header.Get("Set-Cookie"), ";", 2)[0]
	to := strings.ReplaceAll(field(started.body, `href="(http://127.0.0.1:18971[^"]+)"`), "&amp;", "&")
	send(client, "POST", b.sandbox+"/_sandbox/next", `{"scenario":"approve"}`, map[string]string{"Content-Type": jsonType})
	back := send(client, "GET", to, "", nil)
	done := send(client, "GET", back.header.Get("Location"), "", map[string]string{"Cookie": cookie})
	if done.status != http.StatusSeeOther {
		die("linking failed: %d %s", done.status, done.body)
	}
}

// load returns the median time of requests made one at a time, and the rate of many.
func load(do func() answer) (time.Duration, float64) {
	var times []time.Duration
	for range 500 {
		begun := time.Now()
		do()
		times = append(times, time.Since(begun))
	}
	begun := time.Now()
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for range requests / concurrency {
				do()
			}
		})
	}
	wg.Wait()
	return median(times), float64(requests) / time.Since(begun).Seconds()
}

type answer struct {
	status int
	header http.Header
	body   string
}

func send(client *http.Client, method, url, body string, headers map[string]string) answer {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	check(err)
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := client.Do(req)
	check(err)
	defer resp.Body.Close()
	var buf bytes.Buffer
	_, err = io.Copy(&buf, resp.Body)
	check(err)
	if resp.StatusCode >= 400 {
		die("%s %s: %d %s", method, req.URL.Path, resp.StatusCode, buf.String())
	}
	return answer{resp.StatusCode, resp.Header, buf.String()}
}

func field(text, pattern string) string {
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		die("%s is not in %.300s", pattern, text)
	}
	return m[1]
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }

func row(a, b string) { fmt.Printf("| %s | %s |\n", a, b) }

// cleanUp stops the servers when the measurement fails.
var cleanUp = func() {}

func die(format string, args ...any) {
	cleanUp()
	log.Fatalf(format, args...)
}

func check(err error) {
	if err != nil {
		die("%v", err)
	}
}
