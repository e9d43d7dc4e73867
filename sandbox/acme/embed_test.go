package acme

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
)

func TestHomeHasTheFrame(t *testing.T) {
	g := newRig(t)
	g.signIn("dana")
	for name, a := range map[string]reply{
		"home": g.get("/"), "return": g.get("/return?status=connected"), "read": g.post("/read", url.Values{"connector": {"github"}}),
	} {
		made := len(g.patchbay.made("POST", "/connect-sessions"))
		doc := g.page(a)
		helper := doc.Find("script[data-into]")
		if helper.Length() != 1 || helper.AttrOr("src", "") != g.patchbay.url+"/embed.js" || helper.AttrOr("data-session", "") != sessionPath ||
			doc.Find(helper.AttrOr("data-into", "")).Length() != 1 {
			t.Errorf("%s: the helper is not as it should be: %s", name, a.body)
		}
		if first := doc.Find("script").First(); first.AttrOr("src", "") != "/acme.js" || first.ParentFiltered("head").Length() != 1 {
			t.Errorf("%s: Acme's script comes after the frame", name)
		}
		if lazy := doc.Find("noscript iframe"); lazy.Length() != 1 || lazy.AttrOr("src", "") != "/patchbay-frame" || lazy.AttrOr("title", "") == "" {
			t.Errorf("%s: nothing for a browser without script: %s", name, a.body)
		}
		want := "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; script-src 'self' " +
			g.patchbay.url + "; connect-src 'self'; frame-src 'self' " + g.patchbay.url
		if got := a.header.Get("Content-Security-Policy"); got != want {
			t.Errorf("%s: policy %q, want %q", name, got, want)
		}
		if again := len(g.patchbay.made("POST", "/connect-sessions")); again != made {
			t.Errorf("%s: reading the page made a session", name)
		}
	}
	for _, c := range g.patchbay.made("POST", "/connect-sessions") {
		if c.body["mode"] == "embed" {
			t.Errorf("a session was made for a frame that nobody asked for: %v", c.body)
		}
	}
}

func TestFrameSession(t *testing.T) {
	g := newRig(t)
	for _, a := range []reply{g.post(sessionPath, nil), g.get("/patchbay-frame"), g.get("/linked")} {
		if a.status != 401 || a.location != "" {
			t.Errorf("signed out: status %d: %s", a.status, a.body)
		}
	}
	if n := len(g.patchbay.calls); n != 0 {
		t.Fatalf("Patchbay was called %d times for nobody", n)
	}

	g.signIn("sam")
	a := g.post(sessionPath, nil)
	var answer map[string]string
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil {
		t.Fatal(err)
	}
	if a.status != 200 || len(answer) != 1 || answer["url"] != g.patchbay.url+"/embed/token1" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, %v: %s", a.status, a.header, a.body)
	}
	if a := g.get("/patchbay-frame"); a.status != 303 || a.location != g.patchbay.url+"/embed/token2" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, to %q", a.status, a.location)
	}
	calls := g.patchbay.made("POST", "/connect-sessions")
	if len(calls) != 2 {
		t.Fatalf("calls %+v", calls)
	}
	for _, c := range calls {
		user, _ := c.body["user"].(map[string]any)
		if c.body["mode"] != "embed" || c.body["origin"] != g.url || c.body["return_url"] != g.url+"/return" || len(c.body) != 4 || user["id"] != "sam" {
			t.Errorf("asked for %+v", c.body)
		}
	}
}

// A page that frames or opens this address instead of Acme's own gets nothing.
func TestFrameIsForOurOwnPages(t *testing.T) {
	g := newRig(t)
	g.signIn("dana")
	for _, header := range []string{"Sec-Fetch-Dest: document", "Sec-Fetch-Dest: empty", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: none"} {
		req, _ := http.NewRequest("GET", g.url+"/patchbay-frame", nil)
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
		if a := g.send(req); a.status != 403 || a.location != "" {
			t.Errorf("%s: status %d, to %q", header, a.status, a.location)
		}
	}
	if n := len(g.patchbay.calls); n != 0 {
		t.Errorf("Patchbay was called %d times", n)
	}
}

func TestFrameWithoutPatchbay(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		code   string
	}{
		"origin not listed": {func(w http.ResponseWriter) { fail(w, 403, "origin_not_allowed", "") }, "origin_not_allowed"},
		"down":              {func(w http.ResponseWriter) { w.WriteHeader(500); w.Write([]byte("<h1>goroutine 1 [running]</h1>")) }, "unavailable"},
		"no address":        {func(w http.ResponseWriter) { w.Write([]byte(`{"id":"1","token":"t"}`)) }, "unavailable"},
		"script address":    {func(w http.ResponseWriter) { w.Write([]byte(`{"id":"1","url":"javascript:alert(1)"}`)) }, "unavailable"},
		"foreign address":   {func(w http.ResponseWriter) { w.Write([]byte(`{"id":"1","url":"https://attacker.example/embed/x"}`)) }, "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.signIn("dana")
			g.patchbay.override["/connect-sessions"] = c.answer
			session, frame, page := g.post(sessionPath, nil), g.get("/patchbay-frame"), g.get("/embed?sandbox=1")
			if session.status != 502 || strings.TrimSpace(session.body) != `{"code":"`+c.code+`"}` {
				t.Errorf("session: status %d: %s", session.status, session.body)
			}
			if frame.status != 502 || frame.location != "" {
				t.Errorf("frame: status %d, to %q", frame.status, frame.location)
			}
			doc := g.page(page)
			problem := doc.Find(`[data-field="frame-problem"]`)
			if _, hidden := problem.Attr("hidden"); hidden || problem.AttrOr("data-code", "") != c.code || doc.Find("iframe").Length() != 0 {
				t.Errorf("page: %s", page.body)
			}
			for _, a := range []reply{session, frame, page} {
				for _, inside := range []string{"internal detail", "goroutine", "attacker", "javascript:"} {
					if strings.Contains(a.body, inside) {
						t.Errorf("%q is shown: %s", inside, a.body)
					}
				}
			}
		})
	}
}

func TestLinkedAlone(t *testing.T) {
	g := newRig(t)
	g.signIn("dana")
	none := g.get("/linked")
	if none.status != 200 || strings.Contains(none.body, "<html") || none.header.Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, %v: %s", none.status, none.header, none.body)
	}
	g.has(none, `<div id="linked">`, "None yet.")
	g.patchbay.connections = danaHasTwo
	g.has(g.get("/linked"), `<div id="linked">`, `data-connector-row="github" data-status="reconnect_required"`, "dana@sandbox.example", `data-action="read" data-connector="googlecalendar"`)
	if calls := g.patchbay.made("GET", "/users/dana/connections"); len(calls) != 2 {
		t.Errorf("called %+v", g.patchbay.calls)
	}
	home := g.page(g.get("/"))
	if home.Find("#linked").Length() != 1 || home.Find("#linked [data-connector-row]").Length() != 2 {
		t.Error("the page has no such list to replace")
	}
}

// What the choices make of the iframe and of the scripts.
func TestBoardFrames(t *testing.T) {
	for query, want := range map[string]struct {
		helper, own, script bool
		sandbox             string
	}{
		"":                      {helper: true, script: true},
		"script=on&csp=none":    {helper: true, script: true},
		"allow=forms":           {helper: true, script: true}, // no sandbox, so nothing to allow
		"script=off":            {own: true, sandbox: "absent"},
		"sandbox=1":             {own: true, script: true, sandbox: ""},
		"sandbox=1&allow=forms": {own: true, script: true, sandbox: "allow-forms"},
		"sandbox=1&allow=popups&allow=scripts&allow=forms&allow=same-origin&allow=popups-to-escape-sandbox&allow=top-navigation-by-user-activation": {own: true, script: true,
			sandbox: "allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"},
		"sandbox=1&allow=scripts&script=off":                     {own: true, sandbox: "allow-scripts"},
		"sandbox=1&allow=modals&allow=top-navigation&allow=none": {own: true, script: true, sandbox: ""},
	} {
		g := newRig(t)
		g.signIn("dana")
		doc := g.page(g.get("/embed?" + query))
		frame, helper := doc.Find("iframe"), doc.Find("script[data-into]")
		if (frame.Length() == 1) != want.own || (helper.Length() == 1) != want.helper {
			t.Errorf("%q: %d iframes, %d helpers", query, frame.Length(), helper.Length())
		}
		if want.helper {
			if helper.AttrOr("src", "") != g.patchbay.url+"/embed.js" || len(g.patchbay.made("POST", "/connect-sessions")) != 0 {
				t.Errorf("%q: helper %v", query, helper.Nodes)
			}
		} else {
			if frame.AttrOr("src", "") != g.patchbay.url+"/embed/token1" || frame.AttrOr("data-origin", "") != g.patchbay.url || frame.AttrOr("title", "") == "" {
				t.Errorf("%q: iframe %v", query, frame.Nodes[0].Attr)
			}
			if got := frame.AttrOr("sandbox", "absent"); got != want.sandbox {
				t.Errorf("%q: sandbox %q, want %q", query, got, want.sandbox)
			}
		}
		if (doc.Find(`script[src="/acme.js"]`).Length() == 1) != want.script || (doc.Find(`[data-field="messages"]`).Length() == 1) != want.script {
			t.Errorf("%q: script is not %v", query, want.script)
		}
		if !want.script && doc.Find("script").Length() != 0 {
			t.Errorf("%q: there is script", query)
		}
		if doc.Find("#linked").Length() != 1 {
			t.Errorf("%q: no list of linked accounts", query)
		}
	}
}

func TestBoardHeaders(t *testing.T) {
	const policy, coop, coep = "Content-Security-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy"
	g := newRig(t)
	g.signIn("dana")
	strict := pagePolicy + "; script-src 'self' " + g.patchbay.url + "; connect-src 'self'"
	for query, want := range map[string][3]string{
		"":                              {strict + "; frame-src " + g.patchbay.url, "", ""},
		"csp=strict&coop=none&coep=no":  {strict + "; frame-src " + g.patchbay.url, "", ""},
		"csp=no-frame-src":              {strict, "", ""},
		"csp=none":                      {"", "", ""},
		"coop=same-origin":              {strict + "; frame-src " + g.patchbay.url, "same-origin", ""},
		"coop=same-origin-allow-popups": {strict + "; frame-src " + g.patchbay.url, "same-origin-allow-popups", ""},
		"coep=require-corp":             {strict + "; frame-src " + g.patchbay.url, "", "require-corp"},
		"coep=credentialless&csp=none":  {"", "", "credentialless"},
		"coop=unsafe-none&coep=x%0Ay":   {strict + "; frame-src " + g.patchbay.url, "", ""},
	} {
		a := g.get("/embed?" + query)
		for i, name := range []string{policy, coop, coep} {
			if got := a.header.Get(name); got != want[i] {
				t.Errorf("%q: %s is %q, want %q", query, name, got, want[i])
			}
		}
		sent := g.page(a).Find(`[data-field="sent"]`).Text()
		for i, name := range []string{policy, coop, coep} {
			if strings.Contains(sent, name) != (want[i] != "") || !strings.Contains(sent, want[i]) {
				t.Errorf("%q: the page says that it sent %q", query, sent)
			}
		}
	}
}

// The form has every choice, described, and shows the one that is made.
func TestBoardForm(t *testing.T) {
	g := newRig(t)
	g.signIn("dana")
	const address = "/embed?accent=%236d28d9&allow=scripts&allow=forms&coep=require-corp&coop=same-origin&csp=none&provider=coop&sandbox=1&scheme=dark&script=off"
	doc := g.page(g.get(address))
	form := doc.Find(`form[action="/embed"]`)
	if got := "/embed?" + filled(form).Encode(); form.AttrOr("method", "") != "get" || got != address {
		t.Errorf("the form leads to %s, want %s", got, address)
	}
	form.Find("select, input").Each(func(_ int, field *goquery.Selection) {
		about := doc.Find("#" + field.AttrOr("aria-describedby", "none"))
		if about.Length() != 1 || !strings.HasSuffix(about.Text(), ".") {
			t.Errorf("%s %s is not described: %q", field.AttrOr("name", ""), field.AttrOr("value", ""), about.Text())
		}
	})
	if n := form.Find("[name=allow]").Length(); n != 6 {
		t.Errorf("%d words may be allowed", n)
	}
	if n := doc.Find(`[data-field="expect"] li`).Length(); n != 1+4+6+1 { // sandbox, missing words, switches, accent
		t.Errorf("%d sentences say what to expect", n)
	}
	if got := doc.Find("iframe").AttrOr("data-theme", ""); got != `{"accent":"#6d28d9","scheme":"dark"}` {
		t.Errorf("theme %s", got)
	}

	// The helper takes the theme from its own element.
	doc = g.page(g.get("/embed?scheme=light&accent=%23abc"))
	if helper := doc.Find("script[data-into]"); helper.AttrOr("data-scheme", "") != "light" || helper.AttrOr("data-accent", "") != "#abc" {
		t.Errorf("helper %v", helper.Nodes[0].Attr)
	}

	// Without a choice all is at its default, and all words are ticked for whoever turns
	// the sandbox on.
	doc = g.page(g.get("/embed"))
	if got := parseChoices(filled(doc.Find(`form[action="/embed"]`))).address(); got != "/embed" {
		t.Errorf("the untouched form leads to %s", got)
	}
	if doc.Find("[name=allow][checked]").Length() != 6 || doc.Find(`[data-field="expect"]`).Length() != 0 {
		t.Error("the defaults are not as they should be")
	}
}

// filled is what a browser would send.
func filled(form *goquery.Selection) url.Values {
	sent := url.Values{}
	form.Find("input").Each(func(_ int, field *goquery.Selection) {
		_, checked := field.Attr("checked")
		if field.AttrOr("type", "text") != "checkbox" || checked {
			sent.Add(field.AttrOr("name", ""), field.AttrOr("value", ""))
		}
	})
	form.Find("select").Each(func(_ int, field *goquery.Selection) {
		sent.Add(field.AttrOr("name", ""), field.Find("option[selected]").AttrOr("value", "no option"))
	})
	return sent
}

func TestSituations(t *testing.T) {
	g := newRig(t)
	g.signIn("dana")
	seen := map[string]bool{}
	for _, s := range situations {
		doc := g.page(g.get(s.Address))
		here := doc.Find(`[aria-current="page"]`)
		if here.Length() != 1 || here.Text() != s.Label || here.AttrOr("href", "") != s.Address {
			t.Errorf("%s: the page is at %q", s.Address, here.Text())
		}
		if seen[s.Address] {
			t.Errorf("%s is there twice", s.Address)
		}
		seen[s.Address] = true
	}
	if n := g.page(g.get("/embed")).Find(".situations a").Length(); n != len(situations) {
		t.Errorf("%d situations are offered, want %d", n, len(situations))
	}
}

func TestBoardTellsTheProvider(t *testing.T) {
	authorize := func(g *rig) *http.Response {
		t.Helper()
		resp, err := g.browser.Get(g.box + "/generic/authorize?response_type=code&client_id=c&redirect_uri=http://localhost/cb")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	g := newRig(t)
	g.signIn("dana")
	req, _ := http.NewRequest("HEAD", g.url+"/embed?provider=coop", nil)
	g.send(req)
	req, _ = http.NewRequest("GET", g.url+"/embed?provider=coop", nil)
	req.Header.Set("Sec-Purpose", "prefetch")
	g.send(req)
	g.get("/embed")
	if resp := authorize(g); resp.Header.Get("Cross-Origin-Opener-Policy") != "" {
		t.Error("the provider was told without a person looking at the page")
	}
	if page := g.page(g.get("/embed?provider=coop")); page.Find(`[data-field="provider-problem"]`).Length() != 0 {
		t.Error("a problem is shown")
	}
	if resp := authorize(g); resp.StatusCode != 200 || resp.Header.Get("Cross-Origin-Opener-Policy") != "same-origin" {
		t.Errorf("status %d, %v", resp.StatusCode, resp.Header)
	}
	if resp := authorize(g); resp.Header.Get("Cross-Origin-Opener-Policy") != "" {
		t.Error("it holds for longer than one sign-in")
	}

	g.browser = newBrowser()
	if a := g.get("/embed?provider=coop"); a.status != 200 || authorize(g).Header.Get("Cross-Origin-Opener-Policy") != "" {
		t.Errorf("a stranger has told the provider: status %d", a.status)
	}
}

func TestBoardWithoutTheProvider(t *testing.T) {
	g := newRig(t)
	g.serve(g.patchbay.url) // which knows no such address
	g.signIn("dana")
	page := g.page(g.get("/embed?provider=coop"))
	if page.Find(`[data-field="provider-problem"]`).Length() != 1 || page.Find("script[data-into]").Length() != 1 {
		t.Error("the page does not say that the provider could not be told")
	}
}
