package acme

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const danaHasTwo = `[
	{"id":"c1","connector":"googlecalendar","type":"googlecalendar","status":"connected","account":{"id":"1","name":"Dana","email":"dana@sandbox.example"},"missing_scopes":[]},
	{"id":"c2","connector":"github","type":"github","status":"reconnect_required","account":{"id":"2","name":"dana-gh","email":null},"missing_scopes":[]}
]`

func TestSignedOut(t *testing.T) {
	g := newRig(t)
	a := g.get("/")
	g.has(a, `data-user="dana"`, `data-user="sam"`, `action="/login"`)
	if a.status != 200 || strings.Contains(a.body, "open-connectors") {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if got := a.header.Get("Content-Security-Policy"); got != pagePolicy {
		t.Errorf("policy %q", got)
	}
	for _, path := range []string{"/connectors", "/read"} {
		if a := g.post(path, url.Values{"connector": {"github"}}); a.status != 303 || a.location != "/" {
			t.Errorf("%s: status %d, to %q", path, a.status, a.location)
		}
	}
	if len(g.patchbay.calls) != 0 {
		t.Errorf("Patchbay was called: %+v", g.patchbay.calls)
	}
}

func TestSignInAndHome(t *testing.T) {
	g := newRig(t)
	g.patchbay.connections = danaHasTwo
	a := g.post("/login", url.Values{"user": {"dana"}})
	cookie := a.header.Get("Set-Cookie")
	for _, want := range []string{"acme_session=", "HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie %q lacks %s", cookie, want)
		}
	}
	if len(a.header.Values("Set-Cookie")) != 1 || strings.Contains(cookie, "Secure") || strings.Contains(cookie, "dana") {
		t.Errorf("cookies %q", a.header.Values("Set-Cookie"))
	}

	home := g.get("/")
	g.has(home, "Hello Dana", `data-action="open-connectors"`, "Google Calendar", "dana@sandbox.example",
		`data-action="read" data-connector="googlecalendar"`, `data-action="read" data-connector="github"`, "dana-gh", "link again",
		`data-user="sam"`, `data-field="user">Dana Reyes`)
	if calls := g.patchbay.made("GET", "/users/"); len(calls) != 1 || calls[0].path != "/users/dana/connections" {
		t.Errorf("called %+v", calls)
	}
	if home.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", home.header)
	}

	g.signIn("sam")
	g.has(g.get("/"), "Hello Sam")
	g.post("/logout", nil)
	g.has(g.get("/"), "Who would you like to be?")
}

func TestSessionIDsAreNotKept(t *testing.T) {
	g := newRig(t)
	first := g.post("/login", url.Values{"user": {"dana"}}).header.Get("Set-Cookie")
	second := g.post("/login", url.Values{"user": {"dana"}}).header.Get("Set-Cookie")
	if first == second {
		t.Error("signing in again kept the session id")
	}
	g.browser = newBrowser()
	req, _ := http.NewRequest("GET", g.url+"/", nil)
	value, _, _ := strings.Cut(first, ";")
	req.Header.Set("Cookie", value)
	g.has(g.send(req), "Who would you like to be?")
	req.Header.Set("Cookie", "acme_session=dana")
	g.has(g.send(req), "Who would you like to be?")
}

func TestSessionsAreBounded(t *testing.T) {
	s := newSessions(true)
	for range maxSessions + 50 {
		w := &discard{header: http.Header{}}
		s.begin(w, &http.Request{Header: http.Header{}}, users[0])
		if !strings.Contains(w.header.Get("Set-Cookie"), "Secure") {
			t.Fatal("an https app sets a cookie without Secure")
		}
	}
	if len(s.rows) != maxSessions || len(s.order) != maxSessions {
		t.Errorf("%d rows, %d in order", len(s.rows), len(s.order))
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

func TestUnknownUser(t *testing.T) {
	g := newRig(t)
	for _, id := range []string{"", "eve", "dana ", "<script>"} {
		if a := g.post("/login", url.Values{"user": {id}}); a.status != 400 || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%q: status %d, %v", id, a.status, a.header)
		}
	}
}

func TestPostsOfOtherSitesAreRefused(t *testing.T) {
	g := newRig(t)
	g.signIn("dana")
	for _, path := range []string{"/login", "/logout", "/connectors", "/read", sessionPath} {
		for name, header := range map[string][]string{
			"cross-site":   {"Origin", "https://attacker.example", "Sec-Fetch-Site", "cross-site"},
			"same-site":    {"Origin", "http://127.0.0.1:1", "Sec-Fetch-Site", "same-site"},
			"only Origin":  {"Origin", "https://attacker.example", "Sec-Fetch-Site", ""},
			"opaque":       {"Origin", "null", "Sec-Fetch-Site", ""},
			"patchbay too": {"Origin", g.patchbay.url, "Sec-Fetch-Site", "cross-site"},
		} {
			a := g.post(path, url.Values{"user": {"sam"}, "connector": {"github"}}, header...)
			if a.status != 403 || a.header.Get("Set-Cookie") != "" || a.location != "" {
				t.Errorf("%s, %s: status %d", path, name, a.status)
			}
		}
	}
	if n := len(g.patchbay.made("POST", "/connect-sessions")); n != 0 {
		t.Errorf("%d sessions were made", n)
	}
	g.has(g.get("/"), "Hello Dana")
}

func TestOddRequests(t *testing.T) {
	g := newRig(t)
	g.signIn("dana")
	for path, want := range map[string]int{
		"/nothing": 404, "/acme.css": 200, "/icon.svg": 200, "/pages/home.html": 404, "/connectors": 404, "/read": 404, "/login": 404,
		"/acme.js": 200, "/pages/acme.js": 404, sessionPath: 404, "/embed/": 404,
	} {
		if a := g.get(path); a.status != want {
			t.Errorf("GET %s: status %d, want %d", path, a.status, want)
		}
	}
	big := url.Values{"user": {"sam"}, "x": {strings.Repeat("a", 100_000)}}
	if a := g.post("/login", big); a.status != 400 {
		t.Errorf("oversized: status %d", a.status)
	}
}

func TestPatchbayIsDown(t *testing.T) {
	down := map[string]func(http.ResponseWriter){
		"500 in HTML":  func(w http.ResponseWriter) { w.WriteHeader(500); w.Write([]byte("<h1>goroutine 1 [running]</h1>")) },
		"503 in JSON":  func(w http.ResponseWriter) { fail(w, 503, "unavailable", "") },
		"200 in HTML":  func(w http.ResponseWriter) { w.Write([]byte("<html>goroutine</html>")) },
		"no answer":    func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"token is bad": func(w http.ResponseWriter) { fail(w, 401, "unauthorized", "") },
	}
	for name, answer := range down {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.patchbay.override["/"] = answer
			g.signIn("dana")
			for what, a := range map[string]reply{
				"home":    g.get("/"),
				"manage":  g.post("/connectors", nil),
				"read":    g.post("/read", url.Values{"connector": {"github"}}),
				"confirm": g.get("/verify?flow=f1&result_code=r1"),
			} {
				if !strings.Contains(a.body, "data-code=") || strings.Contains(a.body, "goroutine") || strings.Contains(a.body, "internal detail") {
					t.Errorf("%s: %s", what, a.body)
				}
				if a.location != "" {
					t.Errorf("%s: sent to %q", what, a.location)
				}
				if (what == "manage" || what == "confirm") && a.status < 400 {
					t.Errorf("%s: status %d", what, a.status)
				}
			}
			g.has(g.get("/"), "Hello Dana", "Harbour walk") // the notes are there all the same
		})
	}
}
