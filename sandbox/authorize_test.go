package sandbox

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestConsentPage(t *testing.T) {
	for _, typ := range allTypes {
		t.Run(typ, func(t *testing.T) {
			g := newRig(t)
			page := g.get(ask(typ))
			if page.status != 200 {
				t.Fatalf("status %d: %s", page.status, page.body)
			}
			d := dialectByID[typ]
			for _, want := range []string{
				"Sandbox provider", "a pretend " + d.name, `data-action="approve"`, `data-action="deny"`,
				`name="scenario"`, `name="account"`, "client-1", "localhost:8080", "dana@sandbox.example",
			} {
				if !strings.Contains(page.body, want) {
					t.Errorf("the page lacks %q", want)
				}
			}
			q, _ := url.Parse(ask(typ))
			for _, scope := range d.requested(q.Query()) {
				if !strings.Contains(page.body, `data-scope="`+scope+`"`) {
					t.Errorf("the page lacks the scope %q", scope)
				}
			}
			for _, name := range scenarioNames() {
				if !strings.Contains(page.body, `value="`+name+`"`) {
					t.Errorf("the page lacks the scenario %q", name)
				}
			}
			for name, want := range map[string]string{
				"X-Frame-Options": "DENY", "Cache-Control": "no-store", "Content-Security-Policy": pagePolicy,
				"Cross-Origin-Opener-Policy": "", "Set-Cookie": "",
			} {
				if got := page.header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestConsentPageEscapes(t *testing.T) {
	g := newRig(t)
	const evil = `"><script>alert(1)</script>`
	page := g.get(ask("generic", "client_id", evil, "scope", "a"+evil, "login_hint", evil, "state", evil))
	if page.status != 200 || strings.Contains(page.body, "<script>") {
		t.Fatalf("status %d, not escaped:\n%s", page.status, page.body)
	}
}

func TestDecisionOnThePage(t *testing.T) {
	g := newRig(t)
	approved := g.postForm(ask("github"), url.Values{"account": {"lee@x.example"}, "scenario": {Approve}, "decision": {"approve"}})
	if approved.status != http.StatusSeeOther {
		t.Fatalf("status %d", approved.status)
	}
	back := g.callback(approved)
	if back.Get("state") != "st" || back.Get("code") == "" || back.Get("iss") != g.url {
		t.Errorf("came back with %v", back)
	}
	token := g.tokens(g.postForm("/github/token", exchangeForm(back.Get("code"))))
	if who := g.api("/github/api/whoami", token.access).json(t); who["account"] != "lee@x.example" {
		t.Errorf("linked %v", who)
	}

	for name, form := range map[string]url.Values{
		"deny pressed":                       {"account": {"a"}, "scenario": {Approve}, "decision": {"deny"}},
		"approve pressed with scenario deny": {"account": {"a"}, "scenario": {Deny}, "decision": {"approve"}},
		"deny pressed with error_page":       {"account": {"a"}, "scenario": {ErrorPage}, "decision": {"deny"}},
	} {
		back := g.callback(g.postForm(ask("github"), form))
		if back.Get("error") != "access_denied" || back.Has("code") || back.Get("state") != "st" || back.Get("iss") != g.url {
			t.Errorf("%s: came back with %v", name, back)
		}
	}
}

func TestDecisionIsChecked(t *testing.T) {
	good := url.Values{"account": {"a"}, "scenario": {Approve}, "decision": {"approve"}}
	with := func(name, value string) url.Values {
		form := url.Values{}
		for k, v := range good {
			form[k] = v
		}
		form.Set(name, value)
		return form
	}
	g := newRig(t)
	for name, form := range map[string]url.Values{
		"unknown scenario":  with("scenario", "nope"),
		"unknown decision":  with("decision", "maybe"),
		"account too long":  with("account", strings.Repeat("a", 201)),
		"account with NUL":  with("account", "a\x00b"),
		"account not UTF-8": with("account", "a\xffb"),
		"repeated account":  {"account": {"a", "b"}, "scenario": {Approve}, "decision": {"approve"}},
	} {
		if a := g.postForm(ask("generic"), form); a.status != 400 || a.header.Get("Location") != "" {
			t.Errorf("%s: status %d, Location %q", name, a.status, a.header.Get("Location"))
		}
	}
	if a := g.postForm(ask("generic"), with("account", strings.Repeat("a", 70_000))); a.status != 413 {
		t.Errorf("oversized: status %d", a.status)
	}
	if a := g.do("POST", ask("generic"), http.Header{"Content-Type": {"application/json"}}, `{"decision":"approve"}`); a.status != 400 {
		t.Errorf("JSON: status %d", a.status)
	}
	if a := g.do("DELETE", ask("generic"), nil, ""); a.status != 405 || a.header.Get("Allow") != "GET, POST" {
		t.Errorf("DELETE: status %d, Allow %q", a.status, a.header.Get("Allow"))
	}
	if a := g.postForm(ask("generic"), with("account", "  ")); g.callback(a).Get("code") == "" {
		t.Error("an empty account is not the default one")
	}
}

func TestRedirectURI(t *testing.T) {
	for raw, fine := range map[string]bool{
		"http://localhost:8080/cb":            true,
		"https://localhost/cb":                true,
		"http://app.localhost:3000/cb?x=1":    true,
		"http://LOCALHOST/cb":                 true,
		"http://127.0.0.1:1/cb":               true,
		"http://127.8.9.10/cb":                true,
		"http://[::1]:8080/cb":                true,
		"":                                    false,
		"https://attacker.example/cb":         false,
		"http://localhost.attacker.example/":  false,
		"http://notlocalhost/cb":              false,
		"http://127.0.0.1.attacker.example/":  false,
		"http://localhost@attacker.example/":  false,
		"http://user:pw@localhost/":           false,
		"http://128.0.0.1/":                   false,
		"http://0.0.0.0/":                     false,
		"http://127.1/":                       false,
		"http://2130706433/":                  false,
		"http://[::ffff:127.0.0.1]/":          false,
		"http://[::1%25lo]/":                  false,
		"http://localhost/cb#x":               false,
		"http://localhost/cb#":                false,
		"javascript:alert(1)":                 false,
		"data:text/html,x":                    false,
		"//localhost/cb":                      false,
		"/cb":                                 false,
		"http:localhost/cb":                   false,
		"http://localhost\\@attacker.example": false,
		"ftp://localhost/":                    false,
	} {
		g := newRig(t)
		if err := g.Next(Approve, ""); err != nil {
			t.Fatal(err)
		}
		a := g.get(ask("generic", "redirect_uri", raw))
		sent := a.header.Get("Location") != ""
		if sent != fine || !fine && a.status != 400 {
			t.Errorf("%q: status %d, Location %q", raw, a.status, a.header.Get("Location"))
		}
	}
}

func TestRefusedOnThePage(t *testing.T) {
	g := newRig(t)
	for name, address := range map[string]string{
		"no client":          ask("github", "client_id", ""),
		"repeated state":     ask("github") + "&state=other",
		"repeated redirect":  ask("github") + "&redirect_uri=http://127.0.0.1/",
		"malformed encoding": "/github/authorize?client_id=%zz",
		"no query at all":    "/github/authorize",
	} {
		if a := g.get(address); a.status != 400 || a.header.Get("Location") != "" || !strings.Contains(a.body, "refused") {
			t.Errorf("%s: status %d: %s", name, a.status, a.body)
		}
	}
	if a := g.get("/trello/authorize?client_id=x"); a.status != 404 || !strings.Contains(a.body, "does not imitate this type") {
		t.Errorf("unknown type: status %d: %s", a.status, a.body)
	}
}

func TestRefusedAtTheClient(t *testing.T) {
	for name, c := range map[string]struct {
		typ  string
		edit []string
		want string
	}{
		"plain challenge":            {"generic", []string{"code_challenge_method", "plain"}, "invalid_request"},
		"challenge without a method": {"generic", []string{"code_challenge_method", ""}, "invalid_request"},
		"method without a challenge": {"slack", []string{"code_challenge", ""}, "invalid_request"},
		"short challenge":            {"github", []string{"code_challenge", "abc"}, "invalid_request"},
		"padded challenge":           {"github", []string{"code_challenge", challenge[:42] + "="}, "invalid_request"},
		"implicit grant":             {"googlecalendar", []string{"response_type", "token"}, "unsupported_response_type"},
		"no response type":           {"generic", []string{"response_type", ""}, "invalid_request"},
		"silent":                     {"generic", []string{"prompt", "none"}, "login_required"},
	} {
		g := newRig(t)
		back := g.callback(g.get(ask(c.typ, c.edit...)))
		if back.Get("error") != c.want || back.Get("state") != "st" || back.Get("iss") != g.url || back.Has("code") {
			t.Errorf("%s: came back with %v", name, back)
		}
	}
	g := newRig(t)
	if a := g.get(ask("github", "response_type", "")); a.status != 200 {
		t.Errorf("GitHub knows one response type and does not ask for it: status %d", a.status)
	}
}

// A refused request must not use up what a test has decided for the next one.
func TestNextSurvivesRefusal(t *testing.T) {
	g := newRig(t)
	if err := g.Next(Deny, ""); err != nil {
		t.Fatal(err)
	}
	g.get(ask("generic", "redirect_uri", "https://attacker.example/"))
	g.get(ask("generic", "code_challenge", "x"))
	if back := g.callback(g.get(ask("generic"))); back.Get("error") != "access_denied" {
		t.Errorf("came back with %v", back)
	}
	if page := g.get(ask("generic")); page.status != 200 {
		t.Errorf("the decision held for a second time: status %d", page.status)
	}
}

func TestHintAndChooser(t *testing.T) {
	g := newRig(t)
	for _, c := range []struct {
		typ, param, prompt, want string
		chooses                  bool
	}{
		{"generic", "login_hint", "", "kim@x.example", false},
		{"github", "login", "", "kim@x.example", false},
		{"github", "login_hint", "", defaultAccount, false},
		{"googlecalendar", "login_hint", "consent select_account", defaultAccount, true},
		{"github", "login", "select_account", defaultAccount, true},
	} {
		page := g.get(ask(c.typ, c.param, "kim@x.example", "prompt", c.prompt))
		if !strings.Contains(page.body, `value="`+c.want+`"`) || strings.Contains(page.body, "<h1>Choose") != c.chooses {
			t.Errorf("%+v: %s", c, page.body)
		}
	}
	if err := g.Next(Approve, ""); err != nil {
		t.Fatal(err)
	}
	back := g.callback(g.get(ask("generic", "login_hint", "kim@x.example")))
	token := g.tokens(g.postForm("/generic/token", exchangeForm(back.Get("code"))))
	if who := g.api("/generic/api/whoami", token.access).json(t); who["account"] != "kim@x.example" {
		t.Errorf("the hint was not followed: %v", who)
	}
}

func TestCallbackKeepsTheQueryOfTheRedirectURI(t *testing.T) {
	g := newRig(t)
	if err := g.Next(Approve, ""); err != nil {
		t.Fatal(err)
	}
	a := g.get(ask("generic", "redirect_uri", redirectURI+"?keep=1%262"))
	if location := a.header.Get("Location"); !strings.HasPrefix(location, redirectURI+"?keep=1%262&code=") {
		t.Errorf("sent to %s", location)
	}
}

func TestIssuerIsTheAddressedOrigin(t *testing.T) {
	g := newRig(t)
	if err := g.Next(Approve, ""); err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("GET", g.url+ask("slack"), nil)
	req.Host = "sandbox.localhost:8081"
	resp, err := g.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	u, _ := resp.Location()
	if got := u.Query().Get("iss"); got != "http://sandbox.localhost:8081" {
		t.Errorf("iss is %q", got)
	}
}

func TestPagesOfScenarios(t *testing.T) {
	const coopRedirect = redirectURI + "?a=b&c='d"
	coopAsk := ask("generic", "redirect_uri", coopRedirect)
	for name, begin := range map[string]func(*rig, string) reply{
		"coop decided beforehand": func(g *rig, address string) reply {
			if err := g.Next(Coop, "kim@x.example"); err != nil {
				t.Fatal(err)
			}
			return g.get(address)
		},
		"coop chosen on the page": func(g *rig, address string) reply {
			return g.postForm(address, url.Values{"scenario": {Coop}, "account": {"kim@x.example"}, "decision": {"approve"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			a := begin(g, coopAsk)
			if a.status != 200 || a.header.Get("Cross-Origin-Opener-Policy") != "same-origin" || strings.Contains(a.body, "<form") {
				t.Fatalf("status %d, %v: %s", a.status, a.header, a.body)
			}
			_, rest, _ := strings.Cut(a.body, `<meta http-equiv="refresh" content="1; url=`)
			refresh, _, _ := strings.Cut(rest, `"`)
			_, rest, _ = strings.Cut(a.body, `data-action="continue" href="`)
			link, _, _ := strings.Cut(rest, `"`)
			u, err := url.Parse(html.UnescapeString(link))
			if err != nil || u.Host != "localhost:8080" || u.Query().Get("state") != "st" || u.Query().Get("a") != "b" {
				t.Fatalf("leads to %q (%v)", link, err)
			}
			if itself, err := url.Parse(html.UnescapeString(refresh)); err != nil || itself.Host != u.Host || itself.Query().Encode() != u.Query().Encode() {
				t.Errorf("leads to %q by itself and to %q by its link (%v)", refresh, link, err)
			}
			form := exchangeForm(u.Query().Get("code"), "redirect_uri", coopRedirect)
			if who := g.api("/generic/api/whoami", g.tokens(g.postForm("/generic/token", form)).access).json(t); who["account"] != "kim@x.example" {
				t.Errorf("linked %v", who)
			}
		})
	}
	t.Run("form_post", func(t *testing.T) {
		g := newRig(t)
		if err := g.Next(FormPost, ""); err != nil {
			t.Fatal(err)
		}
		a := g.get(ask("generic", "state", `s"t`))
		if a.status != 200 {
			t.Fatalf("status %d", a.status)
		}
		for _, want := range []string{
			`action="` + redirectURI + `"`, `method="post"`, `name="code" value="code_`, `name="state" value="s&#34;t"`,
			`name="iss" value="` + g.url + `"`, `data-action="continue"`, `/_sandbox/post.js`,
		} {
			if !strings.Contains(a.body, want) {
				t.Errorf("the page lacks %s:\n%s", want, a.body)
			}
		}
	})
	t.Run("error_page", func(t *testing.T) {
		g := newRig(t)
		if err := g.Next(ErrorPage, ""); err != nil {
			t.Fatal(err)
		}
		a := g.get(ask("generic"))
		if a.status != 400 || !strings.Contains(a.body, `data-page="error"`) || strings.Contains(a.body, redirectURI) {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	})
}

func TestAssets(t *testing.T) {
	g := newRig(t)
	for path, contentType := range map[string]string{
		"/_sandbox/sandbox.css": "text/css; charset=utf-8",
		"/_sandbox/post.js":     "text/javascript; charset=utf-8",
		"/_sandbox/icon.svg":    "image/svg+xml",
	} {
		if a := g.get(path); a.status != 200 || a.header.Get("Content-Type") != contentType || a.body == "" {
			t.Errorf("%s: status %d, %v", path, a.status, a.header)
		}
	}
	if a := g.get("/_sandbox/consent.html"); a.status != 404 {
		t.Errorf("a template is served: status %d", a.status)
	}
}
