package hostile

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/labstack/echo/v4"

	"patchbay/e2e/stack"
)

// route is a row of the server's own route table, with the path filled in.
type route struct{ method, pattern, path string }

// routes walks the table, so that a route added later is attacked too. known fills the
// parameters with what exists.
func routes(t *testing.T, s *stack.Stack, known map[string]string) []route {
	t.Helper()
	table, ok := s.Handler.(interface{ Routes() []*echo.Route })
	if !ok {
		t.Fatal("the handler does not tell its routes")
	}
	var all []route
	for _, r := range table.Routes() {
		if r.Method == echo.RouteNotFound {
			continue
		}
		parts := strings.Split(r.Path, "/")
		for i, part := range parts {
			if name, ok := strings.CutPrefix(part, ":"); ok {
				if parts[i] = known[name]; parts[i] == "" {
					t.Fatalf("%s: nothing is known for %s: add it to the test", r.Path, part)
				}
			}
		}
		path := strings.Replace(strings.Join(parts, "/"), "*", "app.css", 1)
		all = append(all, route{r.Method, r.Path, path})
	}
	if len(all) < 20 {
		t.Fatalf("the route table has %d rows", len(all))
	}
	return all
}

// furnished is a stack with one of everything: a connection, a receipt, a finished and
// an unfinished flow, an open link, an unused session ticket.
func furnished(t *testing.T, opts ...stack.Option) (*stack.Stack, *stack.Browser, map[string]string) {
	t.Helper()
	s := stack.New(t, opts...)
	dana := s.Browser()
	dana.Flow(s.Acme, "dana", "github", "dana@example.com").WantFlow("connected", "connected")
	dana.Flow(s.Acme, "dana", "slack", "dana@example.com").WantFlow("connected", "connected")
	receipt := dana.Get("/apps/acme/connectors/slack/disconnect").Submit("confirm").WantStatus(http.StatusSeeOther).Follow().WantStatus(http.StatusOK)
	begun := dana.Get("/apps/acme").Connect("googlecalendar")
	session, frame := s.Acme.Session("dana"), s.Acme.Embed("dana")
	return s, dana, map[string]string{
		"token": frame.URL[strings.LastIndex(frame.URL, "/")+1:],
		"app":   "acme", "connector": "github", "type": "github", "user": "dana", "flow": begun.FlowID(), "session": session.ID,
		"ticket":  session.URL[strings.LastIndex(session.URL, "/")+1:],
		"receipt": receipt.URL.Path[strings.LastIndex(receipt.URL.Path, "/")+1:],
	}
}

// state is what a refused request must not change.
func state(s *stack.Stack) string {
	var b strings.Builder
	for _, a := range s.Apps() {
		for _, c := range s.Rows(a) {
			fmt.Fprintln(&b, c.ID, c.Generation, c.Status)
		}
		fmt.Fprintln(&b, a.ID, s.OpenFlows(a, "dana"))
	}
	return b.String()
}

func TestSecurity36_Framing(t *testing.T) {
	t.Parallel()
	s, dana, known := furnished(t)
	for _, r := range routes(t, s, known) {
		if r.method != http.MethodGet {
			continue
		}
		for _, b := range []*stack.Browser{dana, s.Browser()} {
			p := b.Get(r.path)
			if csp := p.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") {
				t.Errorf("%s (%d): CSP %q", r.pattern, p.Status, csp)
			}
			if p.Header.Get("X-Frame-Options") != "DENY" {
				t.Errorf("%s (%d): X-Frame-Options %q", r.pattern, p.Status, p.Header.Get("X-Frame-Options"))
			}
		}
	}
}

func TestSecurity40_ForgedDisconnect(t *testing.T) {
	t.Parallel()
	s, dana, _ := furnished(t)
	page := dana.Get("/apps/acme/connectors/github/disconnect").WantStatus(http.StatusOK)
	before := state(s)
	for name, forge := range forgeries(s.URL) {
		r := page.Prepare("confirm")
		forge(r.Header)
		if p := r.Send(); p.Status != http.StatusForbidden && p.Status != http.StatusUnsupportedMediaType {
			t.Errorf("%s: %d", name, p.Status)
		}
	}
	hostile, _ := url.Parse("https://hostile.example/")
	dana.NewRequest(hostile, true, http.MethodPost, page.URL.String(), nil).Send().WantError(http.StatusForbidden, "origin_rejected")
	dana.NewRequest(nil, true, http.MethodGet, page.URL.String()+"?confirm=1&_method=post", nil).Send().WantStatus(http.StatusOK)
	if after := state(s); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	page.Submit("confirm").WantStatus(http.StatusSeeOther)
	wantRows(t, s, s.Acme, 0)
}

func TestSecurity41_ForgedPostsToEveryRoute(t *testing.T) {
	t.Parallel()
	s, dana, known := furnished(t)
	before := state(s)
	from, _ := url.Parse(s.URL + "/apps/acme")
	posts := 0
	for _, r := range routes(t, s, known) {
		if r.method == http.MethodGet || r.method == http.MethodHead || r.method == http.MethodOptions {
			continue
		}
		api := strings.HasPrefix(r.path, "/api/")
		posts++
		for name, forge := range forgeries(s.URL) {
			req := dana.NewRequest(from, false, r.method, r.path, url.Values{"ticket": {"x"}, "app": {"acme"}})
			forge(req.Header)
			p := req.Send()
			switch {
			case r.pattern == "/oauth/callback/:app/:connector": // a provider's post: from anywhere, and it decides nothing
				if p.Status != http.StatusBadRequest && p.Status != http.StatusUnsupportedMediaType {
					t.Errorf("%s %s: %d", r.method, r.pattern, p.Status)
				}
			case api: // cookies count for nothing there
				if p.Status != http.StatusUnauthorized {
					t.Errorf("%s %s with a session's cookie: %d, want 401", r.method, r.pattern, p.Status)
				}
			case p.Status != http.StatusForbidden && p.Status != http.StatusUnsupportedMediaType:
				t.Errorf("%s %s, %s: %d", r.method, r.pattern, name, p.Status)
			}
			wantNoCookie(t, p.Header)
		}
	}
	if posts < 8 {
		t.Errorf("only %d routes change state", posts)
	}
	if after := state(s); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	dana.Get("/apps/acme").WantStatus(http.StatusOK) // the session lives
}

// GET changes nothing but at the addresses made for it.
func TestGetChangesNothing(t *testing.T) {
	t.Parallel()
	s, dana, known := furnished(t)
	before := state(s)
	for _, r := range routes(t, s, known) {
		if strings.HasPrefix(r.pattern, "/session/") || strings.HasPrefix(r.pattern, "/oauth/callback/") {
			continue
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if p := dana.NewRequest(nil, true, method, r.path, nil).Send(); p.Status >= 500 {
				t.Errorf("%s %s: %d", method, r.pattern, p.Status)
			}
		}
	}
	if after := state(s); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// payloads are attempts to break out of text, attributes, addresses and comments.
func payloads(n int) []string {
	seeds := []string{
		`<xss-canary>`, `<script>xss_canary()</script>`, `"><xss-canary>`, `'><xss-canary>`, `"><img src=x onerror=xss_canary()>`, `<img src=x onerror=xss_canary()>`,
		`<svg onload=xss_canary()>`, `"><svg/onload=xss_canary()>`, `' onmouseover='xss_canary()`, `" onmouseover="xss_canary()`, `" autofocus onfocus=xss_canary() x="`,
		`</title><xss-canary>`, `</textarea><xss-canary>`, `</script><xss-canary>`, `</style><xss-canary>`, `--><xss-canary>`, `]]><xss-canary>`, `<!--<xss-canary>`,
		`javascript:xss_canary()`, `JaVaScRiPt:xss_canary()`, `data:text/html,<xss-canary>`, `<a href="javascript:xss_canary()">x</a>`, `<iframe srcdoc="<xss-canary>">`,
		`<math><mi xlink:href="javascript:xss_canary()">`, `<meta http-equiv=refresh content="0;url=javascript:xss_canary()">`, `0;url=javascript:xss_canary()`,
		`<base href=//evil.example/>`, `<form action=//evil.example><button>`, `<input name=ticket value=x>`, `<button formaction=//evil.example>x`, `<link rel=stylesheet href=//evil.example/x.css>`,
		`<style>@import '//evil.example/x.css';</style>`, `<object data=//evil.example>`, `<embed src=//evil.example>`, `<template><xss-canary></template>`, `<details open ontoggle=xss_canary()>`,
		`{{constructor.constructor('xss_canary()')()}}`, `${xss_canary()}`, `&lt;xss-canary&gt;`, `&#60;xss-canary&#62;`, `\u003cxss-canary\u003e`, `%3Cxss-canary%3E`, `+ADw-xss-canary+AD4-`,
		"\u2028<xss-canary>", "<xss-canary\u200b>", "<\u0130mg src=x onerror=xss_canary()>", "\u202e<xss-canary>", "`onmouseover=xss_canary()", `\"><xss-canary>`, `\'><xss-canary>`,
		`x" data-action="confirm`, `x" data-flow-status="connected`, `<main data-flow-status="connected">`, `</main><main data-flow-code="connected">`, `<bdi data-field="user">admin</bdi>`,
	}
	var all []string
	wraps := []string{"%s", "a%sb", "Dana %s Reyes", "%s@example.com", `""%s''`}
	for i := 0; len(all) < n; i++ {
		all = append(all, fmt.Sprintf(wraps[i/len(seeds)%len(wraps)], seeds[i%len(seeds)]))
	}
	return all
}

// onward is the one refresh that a page may have: to the provider or to itself, with
// every character of a value encoded.
var onward = regexp.MustCompile(`^[0-9]+(;\s*url=(http://127\.0\.0\.1:[0-9]+)?/[A-Za-z0-9/_.?=&%+~:-]*)?$`)

// wantInert requires that nothing in the page came from a payload: no element, handler
// or address that our templates do not make.
func wantInert(t *testing.T, where, payload string, p *stack.Page) {
	t.Helper()
	if csp := p.Header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("%s: CSP %q", where, csp)
	}
	p.Doc.Find("*").Each(func(_ int, el *goquery.Selection) {
		name := goquery.NodeName(el)
		switch name {
		case "iframe", "object", "embed", "base", "style", "template", "math", "textarea", "xss-canary":
			t.Errorf("%s with %q: an element %s", where, payload, name)
		case "script":
			if src := el.AttrOr("src", ""); !strings.HasPrefix(src, "/static/") || strings.TrimSpace(el.Text()) != "" {
				t.Errorf("%s with %q: a script %q", where, payload, el.Text())
			}
		case "meta":
			if el.AttrOr("http-equiv", "") == "refresh" && !onward.MatchString(el.AttrOr("content", "")) {
				t.Errorf("%s with %q: a refresh to %q", where, payload, el.AttrOr("content", ""))
			}
		}
		for _, a := range el.Nodes[0].Attr {
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "srcdoc", a.Key == "formaction", a.Key == "autofocus":
				t.Errorf("%s with %q: the attribute %s=%q on %s", where, payload, a.Key, a.Val, name)
			case a.Key == "href" || a.Key == "src" || a.Key == "action":
				if u, err := url.Parse(a.Val); err != nil || !slices.Contains([]string{"", "http", "https"}, u.Scheme) || u.Hostname() == "evil.example" {
					t.Errorf("%s with %q: %s leads to %q", where, payload, name, a.Val)
				}
			}
		}
	})
	if n := p.Doc.Find("main").Length(); n != 1 {
		t.Errorf("%s with %q: %d main elements", where, payload, n)
	}
	if n := p.Doc.Find(`[data-field="user"]`).Length(); n > 1 {
		t.Errorf("%s with %q: %d users named", where, payload, n)
	}
}

func TestSecurity42_Scripts(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	attacks := payloads(200)
	const everywhere = 60 // so many go through every page: each kind once
	for i, attack := range attacks {
		b := s.Browser()
		user := map[string]any{"id": fmt.Sprintf("%s %d", attack, i), "name": attack, "email": attack}
		list := b.SignIn(s.Human, "", map[string]any{"user": user})
		wantInert(t, "list", attack, list)
		if got := list.Field("user"); got != strings.TrimSpace(attack) {
			t.Errorf("the list names %q, want %q", got, attack)
		}
		begun := list.Connect("github")
		wantInert(t, "interstitial", attack, begun)
		back := begun.Choose("approve", attack)
		if back.Location() == "" {
			t.Fatalf("the provider refuses the account %q", attack)
		}
		wantInert(t, "result", attack, back.Rest().WantFlow("connected", "connected"))
		wantInert(t, "settings", attack, b.Get("/apps/human/settings").WantStatus(http.StatusOK))
		if i > everywhere {
			continue
		}
		ask := b.Get("/apps/human/connectors/github/disconnect").WantStatus(http.StatusOK)
		wantInert(t, "disconnect", attack, ask)
		wantInert(t, "receipt", attack, ask.Submit("confirm").Rest().WantStatus(http.StatusOK))
		wantInert(t, "history", attack, b.Get("/apps/human/settings").WantStatus(http.StatusOK))

		failing := b.Get("/apps/human").Connect("slack").Approve("dana@example.com").Location()
		failed := b.Come(edit(t, failing, func(q url.Values) {
			q.Del("code")
			q.Set("error", attack)
			q.Set("error_description", attack)
			q.Set("error_uri", attack)
		})).Rest().WantStatus(http.StatusOK)
		wantInert(t, "error result", attack, failed)

		escaped := url.PathEscape(attack)
		for _, path := range []string{
			"/apps/" + escaped, "/apps/human/connectors/" + escaped + "/disconnect", "/flows/" + escaped, "/session/" + escaped, "/link/" + escaped,
			"/oauth/callback/" + escaped + "/" + escaped + "?state=" + url.QueryEscape(attack), "/" + escaped, "/signed-out?x=" + url.QueryEscape(attack),
		} {
			wantInert(t, path, attack, b.Get(path))
		}
		// The page that names two users, and the one that names the other.
		wantInert(t, "switch", attack, b.Come(s.Human.Session("somebody else").URL).WantStatus(http.StatusOK))
		wantInert(t, "link of another", attack, b.Come(s.Human.Link("somebody else", "github").URL).WantStatus(http.StatusForbidden))
	}
}

// Names of connectors and apps come from the builder and are text too.
func TestSecurity42_ScriptsFromTheAppsFile(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	for _, attack := range payloads(60) {
		extra := strings.Replace(s.ConnectorYAML("named", "github", "client"), "type: github", fmt.Sprintf("type: github\n        name: %s\n        description: %s\n        scopes: [%s]", yamlText(attack), yamlText(attack), yamlText(attack)), 1)
		text := strings.Replace(s.AppsYAML(extra), "name: Acme Notes", "name: "+yamlText(attack), 1)
		if err := s.TryApply(text); err != nil {
			continue // refused: cannot be shown
		}
		b := s.Browser()
		list := b.SignIn(s.Acme, "dana")
		wantInert(t, "list", attack, list)
		wantInert(t, "interstitial", attack, list.Connect("named"))
		wantInert(t, "link", attack, s.Browser().Come(s.Acme.Link("sam", "named").URL).WantStatus(http.StatusOK))
	}
}

// yamlText quotes for YAML as JSON does, which YAML takes.
func yamlText(text string) string { return fmt.Sprintf("%q", strings.ToValidUTF8(text, "")) }

func TestSecurity45_Cookies(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]stack.Option{"http": nil, "https": {stack.HTTPS()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dana, known := furnished(t, opts...)
			seen := map[string]bool{}
			check := func(p *stack.Page) {
				t.Helper()
				for _, c := range (&http.Response{Header: p.Header}).Cookies() {
					kind := strings.TrimPrefix(c.Name, "__Host-")
					if _, ok := strings.CutPrefix(kind, "patchbay_flow_fl_"); ok {
						kind = "patchbay_flow_"
					}
					seen[kind] = true
					if (name == "https") != strings.HasPrefix(c.Name, "__Host-") || (name == "https") != c.Secure {
						t.Errorf("%s: %s", name, c.Raw)
					}
					if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || len(c.Raw) > 4096 {
						t.Errorf("%s sets %s", p.URL.Path, c.Raw)
					}
					if c.MaxAge > 3600 {
						t.Errorf("%s sets a cookie for %d s: %s", p.URL.Path, c.MaxAge, c.Raw)
					}
				}
			}
			entering := s.Browser()
			check(entering.Come(s.Acme.Session("sam").URL))
			list := entering.Get("/apps/acme")
			check(list.In("github").Submit("connect"))
			check(list.Submit("logout"))
			for _, r := range routes(t, s, known) {
				for _, b := range []*stack.Browser{dana, s.Browser()} {
					p := b.NewRequest(nil, true, r.method, r.path, url.Values{}).Send()
					check(p)
					if strings.HasPrefix(r.path, "/api/") || strings.HasPrefix(r.path, "/embed/") || strings.HasPrefix(r.path, "/static/") {
						wantNoCookie(t, p.Header)
					}
				}
			}
			if len(seen) != 2 || !seen["patchbay_session"] || !seen["patchbay_flow_"] {
				t.Errorf("cookies seen: %v, want the session's and the flows'", seen)
			}
		})
	}
}

func TestSecurity46_SessionFixation(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	session := func(b *stack.Browser) string {
		for _, c := range b.Cookies() {
			if c.Name == "patchbay_session" {
				return c.Value
			}
		}
		return ""
	}
	planted := strings.Repeat("A", 43)
	victim := s.Browser()
	victim.SetCookie("patchbay_session", planted)
	victim.SignIn(s.Acme, "dana")
	if session(victim) == planted {
		t.Fatal("a planted secret is taken over")
	}
	mallory := s.Browser()
	mallory.SetCookie("patchbay_session", planted)
	mallory.Get("/apps/acme").WantStatus(http.StatusUnauthorized)

	// Mallory's own live session planted in the victim's browser.
	mallory = s.Browser()
	mallory.SignIn(s.Acme, "mallory")
	victim = s.Browser()
	victim.SetCookie("patchbay_session", session(mallory))
	victim.Come(s.Acme.Session("dana").URL).WantStatus(http.StatusOK).Submit("switch").Rest().WantStatus(http.StatusOK)
	if session(victim) == session(mallory) {
		t.Fatal("the secret of another session is taken over")
	}
	mallory.Get("/apps/acme").WantStatus(http.StatusUnauthorized) // the old one is dead

	// A new session of the same user, and one of another app.
	first := session(victim)
	victim.SignIn(s.Acme, "dana")
	second := session(victim)
	victim.SignIn(s.Other, "dana")
	third := session(victim)
	if first == second || second == third {
		t.Error("signing in again keeps the secret")
	}
	for _, old := range []string{first, second} {
		b := s.Browser()
		b.SetCookie("patchbay_session", old)
		b.Get("/apps/acme").WantStatus(http.StatusUnauthorized)
		b.Get("/apps/other").WantStatus(http.StatusUnauthorized)
	}
	victim.Get("/apps/acme").WantStatus(http.StatusOK) // both apps go on in this browser
	victim.Get("/apps/other").WantStatus(http.StatusOK)
}

func TestSecurity48And49_Headers(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]stack.Option{"http": nil, "https": {stack.HTTPS()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dana, known := furnished(t, opts...)
			all := append(routes(t, s, known),
				route{"GET", "404", "/no/such/page"}, route{"GET", "404 in the API", "/api/no/such"}, route{"GET", "404 in an app's API", "/api/apps/acme/no/such"},
				route{"GET", "no such asset", "/static/no-such.css"}, route{"PUT", "405", "/start"}, route{"GET", "bare API", "/api"})
			for _, r := range all {
				for _, b := range []*stack.Browser{dana, s.Browser()} {
					p := b.NewRequest(nil, true, r.method, r.path, url.Values{}).Send()
					want := map[string]string{"X-Content-Type-Options": "nosniff"}
					if name == "https" {
						want["Strict-Transport-Security"] = "max-age="
					}
					if strings.HasPrefix(r.path, "/static/") && p.Status == http.StatusOK {
						want["Cache-Control"] = "" // an asset is anybody's
					} else if !slices.Contains([]string{"/apps/:app/theme.css", "/apps/:app/logo", "/embed.js"}, r.pattern) {
						want["Cache-Control"] = "no-store"
					}
					want["Cross-Origin-Opener-Policy"] = "same-origin"
					want["Cross-Origin-Resource-Policy"] = ""
					want["Permissions-Policy"] = ""
					want["Content-Security-Policy"] = "default-src 'none'"
					want["X-Request-Id"] = ""
					for header, value := range want {
						got, sent := p.Header[header]
						if !sent || !strings.Contains(strings.Join(got, ","), value) {
							t.Errorf("%s %s (%d): %s is %q, want %q", r.method, r.pattern, p.Status, header, got, value)
						}
					}
					if kind := p.Header.Get("Content-Type"); strings.HasPrefix(r.path, "/api") && len(p.Body) > 0 && !strings.HasPrefix(kind, "application/json") {
						t.Errorf("%s %s (%d): the API answers %s", r.method, r.pattern, p.Status, kind)
					}
				}
			}
		})
	}
}

func TestSecurity50_CORS(t *testing.T) {
	t.Parallel()
	s, _, known := furnished(t)
	origins := []string{
		s.Acme.Origin, s.Other.Origin, s.URL, "null", "", "*", "https://evil.example", s.Acme.Origin + ".evil.example", s.Acme.Origin + ":443", s.Acme.Origin + ":8443",
		s.Acme.Origin + "/", strings.ToUpper(s.Acme.Origin), strings.Replace(s.Acme.Origin, "https", "http", 1), "https://evil" + strings.TrimPrefix(s.Acme.Origin, "https://"),
		strings.Replace(s.Acme.Origin, "app.", "x.app.", 1), strings.Replace(s.Acme.Origin, "app.", "app_", 1), "https://user@" + strings.TrimPrefix(s.Acme.Origin, "https://"),
		s.Acme.Origin + " " + "https://evil.example", s.Acme.Origin + ",https://evil.example", "file://", "chrome-extension://x", "http://localhost", "http://127.0.0.1",
	}
	userRoutes := []string{"/api/apps/:app/app-user-auth/connectors", "/api/apps/:app/app-user-auth/connectors/:connector/initiate", "/api/apps/:app/app-user-auth/connectors/:connector"}
	jwt := s.Acme.JWT("dana")
	for _, r := range routes(t, s, known) {
		if r.method == http.MethodDelete {
			continue // DELETE users would end what the test needs; its preflight is asked below
		}
		for _, origin := range origins {
			for _, method := range []string{r.method, http.MethodOptions} {
				answer := s.Call(method, r.path, nil, stack.Header{Name: "Origin", Value: origin}, stack.Bearer(jwt),
					stack.Header{Name: "Access-Control-Request-Method", Value: "GET"}, stack.Header{Name: "Access-Control-Request-Headers", Value: "authorization"})
				got := answer.Header.Get("Access-Control-Allow-Origin")
				want := ""
				if slices.Contains(userRoutes, r.pattern) && origin == s.Acme.Origin {
					want = origin
				}
				if r.pattern == "/embed.js" && method != http.MethodOptions {
					want = "*" // a file for every builder's page
				}
				if got != want {
					t.Errorf("%s %s from %q: Access-Control-Allow-Origin %q, want %q", method, r.pattern, origin, got, want)
				}
				if slices.Contains(userRoutes, r.pattern) && !strings.Contains(strings.Join(answer.Header.Values("Vary"), ","), "Origin") {
					t.Errorf("%s %s from %q: Vary %q", method, r.pattern, origin, answer.Header.Values("Vary"))
				}
				if answer.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s %s: credentials are allowed", method, r.pattern)
				}
				if want != "" && method == http.MethodOptions {
					for header, value := range map[string]string{
						"Access-Control-Allow-Methods": "GET, POST, DELETE",
						"Access-Control-Allow-Headers": "authorization, content-type, x-app-id, x-origin-url, x-base44-anonymous-id",
						"Access-Control-Max-Age":       "600",
					} {
						if answer.Status != http.StatusNoContent || answer.Header.Get(header) != value {
							t.Errorf("preflight of %s: %d, %s %q", r.pattern, answer.Status, header, answer.Header.Get(header))
						}
					}
				}
			}
		}
	}
	twice := s.Call(http.MethodGet, "/api/apps/acme/app-user-auth/connectors", nil, stack.Bearer(jwt), stack.Header{Name: "Origin", Value: s.Acme.Origin}, stack.Header{Name: "Origin", Value: "https://evil.example"})
	if twice.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("two Origin headers are answered as one")
	}
	if strings.Contains(s.Log.String(), "canary-origin-url") {
		t.Error("X-Origin-URL is in the log")
	}
}

// X-Origin-URL is neither used nor logged.
func TestOriginURLHeader(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	s.Acme.Call(http.MethodGet, "app-user-auth/connectors", nil, stack.Bearer(s.Acme.JWT("dana")), stack.Header{Name: "X-Origin-URL", Value: "https://canary-origin-url.example/?secret"}).Want(http.StatusOK, "")
	if strings.Contains(s.Log.String(), "canary-origin-url") {
		t.Error("X-Origin-URL is in the log")
	}
}

// What is keyed by a flow's id tells nothing to whom it does not concern.
func TestSecurity52_FlowsOfOthers(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		begun := dana.SignIn(a, "dana").Connect("github")
		state := query(t, begun.Href("continue"), "state")
		look := func() {
			t.Helper()
			mallory := s.Browser()
			mallory.SignIn(a, "mallory")
			mallory.Get("/apps/" + a.ID).Connect("slack")
			tenant := s.Browser()
			tenant.SignIn(s.Other, "dana")
			limited := s.Browser()
			limited.SignIn(a, "dana", map[string]any{"connectors": []string{"slack"}})
			for name, b := range map[string]*stack.Browser{"nobody": s.Browser(), "another user": mallory, "the other tenant's dana": tenant, "a session for another connector": limited} {
				for _, id := range []string{begun.FlowID(), state} {
					p := b.Get("/flows/" + id)
					if p.Status != http.StatusNotFound {
						t.Errorf("%s sees the flow: %d", name, p.Status)
					}
					wantSilent(t, p, "dana@example.com", a.ReturnURLs[0])
				}
			}
			for _, token := range []string{a.JWT("dana"), a.Tokens, a.Builder, s.Other.All} {
				if r := a.Call(http.MethodGet, "flows/"+begun.FlowID(), nil, stack.Bearer(token)); r.Status != http.StatusForbidden && r.Status != http.StatusUnauthorized {
					t.Errorf("a flow is told to the wrong credential: %d %s", r.Status, r.Body)
				}
			}
			a.FlowState(state).Want(http.StatusNotFound, "not_found")
			other := s.Browser() // whom it concerns
			other.SignIn(a, "dana")
			other.Get("/flows/" + begun.FlowID()).WantStatus(http.StatusOK)
		}
		look()
		begun.Approve("dana@example.com").Rest().WantFlow("connected", "connected")
		look()
		told := a.FlowState(begun.FlowID()).Want(http.StatusOK, "")
		for _, secrets := range s.Wire.Secrets() {
			for _, secret := range secrets {
				if strings.Contains(string(told.Body), secret) {
					t.Errorf("the flow tells %s", secret)
				}
			}
		}
		s.Advance(time.Minute)
		begun.Go("/flows/"+begun.FlowID()).WantFlow("connected", "connected")
	})
}
