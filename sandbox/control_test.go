package sandbox

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestControlNext(t *testing.T) {
	g := newRig(t)
	a := g.do("POST", "/_sandbox/next", nil, `{"scenario":"approve","account":"kim@x.example"}`)
	if a.status != 200 {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	back := g.callback(g.get(ask("generic")))
	got := g.tokens(g.postForm("/generic/token", exchangeForm(back.Get("code"))))
	if who := g.api("/generic/api/whoami", got.access).json(t); who["account"] != "kim@x.example" {
		t.Errorf("linked %v", who)
	}
	if page := g.get(ask("generic")); page.status != 200 {
		t.Errorf("a decision holds once: status %d", page.status)
	}

	// The last one counts, and a form's content type is what curl -d sends.
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	g.do("POST", "/_sandbox/next", form, `{"scenario":"approve"}`)
	g.do("POST", "/_sandbox/next", form, `{"scenario":"deny"}`)
	if back := g.callback(g.get(ask("generic"))); back.Get("error") != "access_denied" {
		t.Errorf("came back with %v", back)
	}
}

func TestControlNextRefusals(t *testing.T) {
	g := newRig(t)
	for _, body := range []string{``, `{`, `[]`, `"approve"`, `{"scenario":1}`, `{"scenario":"nope"}`, `{}`, `{"scenario":"approve","account":"a\u0000"}`} {
		a := g.do("POST", "/_sandbox/next", nil, body)
		if a.status != 400 || g.failed(a) != "invalid_request" {
			t.Errorf("%s: status %d: %s", body, a.status, a.body)
		}
	}
	list, _ := g.do("POST", "/_sandbox/next", nil, `{"scenario":"nope"}`).json(t)["scenarios"].([]any)
	if len(list) != len(scenarios) {
		t.Errorf("the answer lists %v", list)
	}
	if a := g.do("POST", "/_sandbox/next", nil, `{"account":"`+strings.Repeat("a", 70_000)+`"}`); a.status != 413 {
		t.Errorf("oversized: status %d", a.status)
	}
	if a := g.get("/_sandbox/next"); a.status != 405 {
		t.Errorf("GET: status %d", a.status)
	}
	if page := g.get(ask("generic")); page.status != 200 {
		t.Errorf("a refused decision was kept: status %d", page.status)
	}
}

func TestControlRefusesUnknownFields(t *testing.T) {
	g := newRig(t)
	for body, field := range map[string]string{
		`{"scenario":"approve","acount":"kim"}`:  `\"acount\"`,
		`{"Scenario":"approve"}`:                 `\"Scenario\"`,
		`{"scenario":"approve","":1}`:            `\"\"`,
		`{"account":7,"scenario":"approve"}`:     `account`,
		`{"type":"github","scenario":"approve"}`: `\"type\"`,
	} {
		a := g.do("POST", "/_sandbox/next", nil, body)
		if a.status != 400 || g.failed(a) != "invalid_request" || !strings.Contains(a.body, field) {
			t.Errorf("next %s: status %d: %s", body, a.status, a.body)
		}
	}
	if page := g.get(ask("generic")); page.status != 200 {
		t.Errorf("a refused decision was kept: status %d", page.status)
	}
	linked := g.link("github", Approve, "kim")
	if a := g.do("POST", "/_sandbox/revoke", nil, `{"account":"kim","type":"slack"}`); a.status != 400 || !strings.Contains(a.body, `\"type\"`) {
		t.Errorf("revoke: status %d: %s", a.status, a.body)
	}
	if g.whoami("github", linked.access) != 200 {
		t.Error("a refused request revoked")
	}
}

func TestControlLog(t *testing.T) {
	g := newRig(t)
	code := g.code("github", Approve, "")
	got := g.tokens(g.postForm("/github/token", exchangeForm(code)))
	g.api("/github/api/user", got.access)
	g.get("/nothing?secret=" + got.access)
	g.do("POST", "/_sandbox/next", nil, `{}`)

	var log struct {
		Requests []struct {
			At, Method, Path, Type string
			Status                 int
		}
	}
	raw := g.get("/_sandbox/log").body
	if err := json.Unmarshal([]byte(raw), &log); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range log.Requests {
		lines = append(lines, strings.Join([]string{r.Method, r.Path, r.Type, http.StatusText(r.Status)}, " "))
		if !regexp.MustCompile(`^2026-11-23T09:00:00\.000Z$`).MatchString(r.At) {
			t.Errorf("at %q", r.At)
		}
	}
	want := []string{"GET /github/authorize github Found", "POST /github/token github OK", "GET /github/api/user github OK", "GET /nothing  Not Found"}
	if !slices.Equal(lines, want) {
		t.Errorf("logged\n%q, want\n%q", lines, want)
	}
	for _, secret := range []string{code, got.access, "?", clientSecret} {
		if strings.Contains(raw, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	if g.Calls("github", "/token") != 1 || g.Calls("slack", "/token") != 0 || g.Calls("", "/token") != 1 || g.Calls("github", "") != 3 {
		t.Errorf("counts are wrong: %+v", g.Log())
	}

	if a := g.do("DELETE", "/_sandbox/log", nil, ""); a.status != 204 || a.body != "" {
		t.Errorf("DELETE: status %d: %s", a.status, a.body)
	}
	if a := g.get("/_sandbox/log"); strings.TrimSpace(a.body) != `{"requests":[]}` {
		t.Errorf("emptied: %s", a.body)
	}
	if a := g.do("PUT", "/_sandbox/log", nil, ""); a.status != 405 {
		t.Errorf("PUT: status %d", a.status)
	}
}

// A call counts from its arrival: a token endpoint that is still at work was called.
func TestLogHasRequestsUnderWay(t *testing.T) {
	g := newRig(t)
	code := g.code("generic", SlowToken, "")
	g.ClearLog()
	entered, leave := make(chan bool), make(chan bool)
	g.wait = func(<-chan struct{}, time.Duration) { entered <- true; <-leave }
	done := make(chan reply)
	go func() { done <- g.postForm("/generic/token", exchangeForm(code)) }()
	<-entered
	if log := g.Log(); len(log) != 1 || log[0].Status != 0 || g.Calls("generic", "/token") != 1 {
		t.Errorf("logged %+v", log)
	}
	leave <- true
	if a := <-done; a.status != 200 {
		t.Errorf("status %d", a.status)
	}
	if log := g.Log(); log[0].Status != 200 {
		t.Errorf("logged %+v", log)
	}
}

func TestLogIsBounded(t *testing.T) {
	g := newRig(t)
	req, _ := http.NewRequest("GET", "/"+strings.Repeat("é", 300), nil)
	for range maxRequests + 500 {
		g.requests.add(g.clock.Now(), req)
	}
	log := g.Log()
	if len(log) != maxRequests {
		t.Errorf("%d entries", len(log))
	}
	if len(log[0].Path) > maxLogPath+len("…") {
		t.Errorf("a path of %d bytes", len(log[0].Path))
	}
}

func TestControlRevoke(t *testing.T) {
	g := newRig(t)
	github, google := g.link("github", Approve, "kim"), g.link("googlecalendar", Approve, "kim")
	other := g.link("generic", Approve, "sam")
	pending := g.code("generic", Approve, "kim")
	a := g.do("POST", "/_sandbox/revoke", nil, `{"account":" kim "}`)
	if a.status != 200 || a.json(t)["revoked"] != 2.0 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if g.whoami("github", github.access) != 401 || g.whoami("googlecalendar", google.access) != 401 || g.whoami("generic", other.access) != 200 {
		t.Error("the wrong tokens are alive")
	}
	if a := g.refresh("googlecalendar", google.refresh); g.failed(a) != "invalid_grant" {
		t.Errorf("a refresh: %s", a.body)
	}
	if a := g.postForm("/generic/token", exchangeForm(pending)); g.failed(a) != "invalid_grant" {
		t.Errorf("a code from before: %s", a.body)
	}
	if a := g.do("POST", "/_sandbox/revoke", nil, `{"account":"kim"}`); a.json(t)["revoked"] != 0.0 {
		t.Errorf("again: %s", a.body)
	}
	for _, body := range []string{``, `{}`, `{"account":""}`, `{"account":1}`} {
		if a := g.do("POST", "/_sandbox/revoke", nil, body); a.status != 400 {
			t.Errorf("%s: status %d", body, a.status)
		}
	}
}

func TestFrontPage(t *testing.T) {
	g := newRig(t)
	g.get("/generic/token<script>")
	a := g.get("/")
	if a.status != 200 || strings.Contains(a.body, "<script>") {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	for _, want := range append(append(scenarioNames(), allTypes...), g.url+"/TYPE/authorize", "/_sandbox/next", "GET /generic/token&lt;script&gt;", clientSecret) {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if a := g.do("POST", "/", nil, ""); a.status != 405 {
		t.Errorf("POST: status %d", a.status)
	}
}
