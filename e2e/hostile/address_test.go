package hostile

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"patchbay/e2e/stack"
)

var spoofed = map[string]string{
	"Host":                   "evil.example",
	"X-Forwarded-Host":       "evil.example",
	"X_Forwarded_Host":       "evil.example",
	"X-Forwarded-Proto":      "https",
	"X-Forwarded-Scheme":     "https",
	"X-Forwarded-Port":       "4443",
	"X-Forwarded-Server":     "evil.example",
	"X-Forwarded-Prefix":     "/evil",
	"X-Forwarded-Uri":        "/evil",
	"X-Original-URL":         "/evil",
	"X-Rewrite-URL":          "/evil",
	"X-Original-Host":        "evil.example",
	"X-Host":                 "evil.example",
	"Forwarded":              `host=evil.example;proto=https;for="[::1]"`,
	"X-HTTP-Method":          "DELETE",
	"X-Http-Method-Override": "DELETE",
}

// Hosts in headers shape nothing: all addresses come from the settings.
func TestSecurity25_ForwardedHeaders(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]stack.Option{"http": nil, "https": {stack.HTTPS()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stack.New(t, opts...)
			for header, value := range spoofed {
				dana := s.Browser()
				spoof := func(r *stack.Request) *stack.Page {
					if header == "Host" {
						if s.URL[:6] == "https:" {
							return r.Send() // Send writes this header itself there
						}
						r.Host = value
					} else {
						r.Header[header] = []string{value}
					}
					p := r.Send()
					if strings.Contains(p.Body+strings.Join(p.Header.Values("Set-Cookie"), " ")+p.Location(), "evil") {
						t.Errorf("%s: %s repeats the value", header, p.URL.Path)
					}
					for _, c := range p.Header.Values("Set-Cookie") {
						if strings.Contains(strings.ToLower(c), "domain") || strings.Contains(c, "Secure") != (name == "https") {
							t.Errorf("%s: cookie %q", header, c)
						}
					}
					return p
				}
				cs := s.Human.Session("user " + header)
				entered := spoof(dana.NewRequest(nil, true, http.MethodGet, cs.URL, nil)).WantStatus(http.StatusSeeOther)
				if to := entered.Location(); to != "/apps/human" && to != s.URL+"/apps/human" {
					t.Errorf("%s: the session leads to %s", header, to)
				}
				list := spoof(dana.NewRequest(nil, true, http.MethodGet, "/apps/human", nil)).WantStatus(http.StatusOK)
				begun := spoof(list.In("github").Prepare("connect")).WantStatus(http.StatusOK)
				if got, want := query(t, begun.Href("continue"), "redirect_uri"), s.URL+"/oauth/callback/human/github"; got != want {
					t.Errorf("%s: redirect_uri %s, want %s", header, got, want)
				}
				back := begun.Approve("dana@example.com")
				result := spoof(dana.NewRequest(nil, true, http.MethodGet, back.Location(), nil)).WantStatus(http.StatusSeeOther)
				if to := result.Location(); !strings.HasPrefix(to, s.URL+"/flows/") && !strings.HasPrefix(to, "/flows/") {
					t.Errorf("%s: the callback leads to %s", header, to)
				}
				made := s.Human.Call(http.MethodPost, "connect-sessions", stack.SessionFields("redirect", "dana"), stack.Bearer(s.Human.All), stack.Header{Name: header, Value: value})
				if made.Status != http.StatusCreated || !strings.HasPrefix(made.Text("url"), s.URL+"/session/") {
					t.Errorf("%s: connect session %d %s", header, made.Status, made.Body)
				}
			}
		})
	}
}

// returnAttacks are addresses that must not be taken for good, made from two that are.
func returnAttacks(good, second string) []string {
	u, _ := url.Parse(good)
	host, path := u.Host, u.Path
	seeds := []string{
		"//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/%09/evil.example", "https:evil.example", "https:/evil.example",
		"http:///evil.example", "https://evil.example" + path, "http://evil.example", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)",
		"data:text/html,<script>alert(1)</script>", "vbscript:x", "file:///etc/passwd", "about:blank", "blob:x", "/", ".", "..", "/apps/human", "", " ",
		"http://" + host + "@evil.example" + path, "http://evil.example#" + good, "http://evil.example?" + good, "http://evil.example\\@" + host + path,
		"http://" + host + ".evil.example" + path, "http://evil.example." + host + path, "http://evil" + host + path, "http://" + host + "%2eevil.example" + path,
		"http://user@" + host + path, "http://user:pass@" + host + path, "http://:@" + host + path, "https://" + host + path, "HTTP://" + host + path,
		"http://" + strings.ToUpper(host) + path, "http://" + host + "." + path, "http://" + host + ":80" + path, "http://127.1:" + u.Port() + path,
		"http://2130706433:" + u.Port() + path, "http://[::ffff:127.0.0.1]:" + u.Port() + path, "http://localhost:" + u.Port() + path, "http://0x7f.1:" + u.Port() + path,
		good + "/", good + "/.", good + "/..", good + "/../evil", good + "//", good + "/./", good + "?", good + "?x=1", good + "#", good + "#x", good + "&x", good + ";x",
		good + "%00", good + "%2f", good + "%0d%0aSet-Cookie:x", good + "\r\nLocation: https://evil.example", good + "\n", good + "\t", good + " ", " " + good, "\t" + good, "\x00" + good,
		good + "\x00", good + "x", good[:len(good)-1], strings.Replace(good, "/settings", "/%73ettings", 1), strings.Replace(good, "/settings", "//settings", 1),
		strings.Replace(good, "/settings", "/./settings", 1), strings.Replace(good, "/settings", "/x/../settings", 1), strings.Replace(good, "://", ":\\\\", 1), strings.Replace(good, "://", ":/", 1),
		good + "," + second, good + " " + second, good + "\u200b", "\ufeff" + good, strings.ReplaceAll(good, ".", "。"), strings.ReplaceAll(good, "/", "／"),
		good + strings.Repeat("A", 8<<10), "http://evil.example/" + strings.Repeat("A", 8<<10), url.QueryEscape(good), url.QueryEscape(url.QueryEscape("https://evil.example")),
		"*", "null", "undefined", "http://*/", "http://" + host + "/*", "http://", "://", "http:", "http://%zz",
	}
	seeds = slices.DeleteFunc(seeds, func(seed string) bool { return seed == good || seed == second }) // an IP has no other case
	all := slices.Clone(seeds)
	for i := 0; len(all) < 300; i++ { // and each with something around it
		seed := seeds[i%len(seeds)]
		switch i / len(seeds) {
		case 0:
			all = append(all, "https://evil.example/?next="+url.QueryEscape(seed))
		case 1:
			all = append(all, seed+"@evil.example")
		default:
			all = append(all, "//evil.example/"+seed)
		}
	}
	return all
}

func TestSecurity26_ReturnAddresses(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	good, second := s.Human.ReturnURLs[0], s.Human.ReturnURLs[1]
	attacks := returnAttacks(good, second)
	if len(attacks) < 300 {
		t.Fatalf("%d attacks", len(attacks))
	}
	dana := s.Browser()
	list := dana.SignIn(s.Human, "dana")
	own := []string{s.URL + "/", "/apps/human", "/signed-out", "/flows/", "/link/"}
	check := func(where, attack string, p *stack.Page) {
		t.Helper()
		to := p.Location()
		if to != "" && !slices.ContainsFunc(own, func(prefix string) bool { return strings.HasPrefix(to, prefix) && !strings.HasPrefix(to, "//") }) {
			t.Errorf("%s with %q leads to %q", where, attack, to)
		}
		if strings.Contains(to, "evil") {
			t.Errorf("%s with %q leads to %q", where, attack, to)
		}
	}
	for i, attack := range attacks {
		if i%20 == 0 {
			list = dana.Get("/apps/human") // with a ticket that is good once
		}
		r := s.Human.Call(http.MethodPost, "connect-sessions", stack.SessionFields("redirect", "dana", map[string]any{"return_url": attack}), stack.Bearer(s.Human.All))
		if r.Status != http.StatusBadRequest || r.Text("code") != "invalid_request" {
			t.Errorf("connect-sessions takes return_url %q: %d", attack, r.Status)
		}
		fields := []string{"return_url", attack, "return_to", attack, "next", attack, "redirect_uri", attack}
		check("/start", attack, list.In("slack").Submit("connect", fields...))
		check("/logout", attack, s.Browser().NewRequest(list.URL, false, http.MethodPost, "/logout", url.Values{"next": {attack}, "return_url": {attack}}).Send())
		cs := s.Human.Session("dana")
		check("/session", attack, s.Browser().Come(cs.URL+"?return_url="+url.QueryEscape(attack)+"&next="+url.QueryEscape(attack)))
	}
	// An address of ours that is allowed for next is no way out either.
	for _, next := range []string{"/link/../../evil.example", "/link//evil.example", "/link/x?y=//evil.example", "/link/x#//evil.example", "/link/x\r\nX: y", "/link/%2e%2e", "//link/x", "/link/"} {
		p := s.Browser().NewRequest(list.URL, false, http.MethodPost, "/logout", url.Values{"next": {next}}).Send()
		if p.Location() != "/signed-out" {
			t.Errorf("sign-out with next %q leads to %q", next, p.Location())
		}
	}
	for _, fine := range []string{good, second} {
		s.Human.Call(http.MethodPost, "connect-sessions", stack.SessionFields("redirect", "dana", map[string]any{"return_url": fine}), stack.Bearer(s.Human.All)).Want(http.StatusCreated, "")
	}
}

// What is added to the callback changes no address: the value of the session is used.
func TestSecurity27_ReturnAddressAtCallback(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		begun := dana.SignIn(a, "dana", map[string]any{"return_url": a.ReturnURLs[1]}).Connect("github")
		callback := edit(t, begun.Approve("dana@example.com").Location(), func(q url.Values) {
			for _, name := range []string{"return_to", "return_url", "next", "redirect_uri", "verify_url", "flow", "result_code"} {
				q.Set(name, "https://evil.example")
			}
		})
		asked := dana.Come(callback)
		if a.VerifyURL != "" {
			if !strings.HasPrefix(asked.Location(), a.VerifyURL+"?") || strings.Contains(asked.Location(), "evil") {
				t.Errorf("the app is asked at %s", asked.Location())
			}
		}
		result := asked.Rest().WantFlow("connected", "connected")
		back := result.Href("return")
		to, _ := url.Parse(back)
		q := to.Query()
		if want := a.ReturnURLs[1]; !strings.HasPrefix(back, want+"?") || q.Get("flow") != result.FlowID() || q.Get("status") != "connected" || q.Get("code") != "connected" || len(q) != 3 {
			t.Errorf("the result leads back to %s, want %s with flow, status and code", back, want)
		}
		wantSilent(t, result, "evil.example")
	})
}

// CR, LF and NUL in anything echoed make no header.
func TestSecurity28_HeaderInjection(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	dana := s.Browser()
	list := dana.SignIn(s.Human, "dana")
	evil := "x\r\nX-Injected: 1\r\nSet-Cookie: injected=1\x00"
	escaped := url.QueryEscape(evil)
	callback := list.Connect("github").Approve("dana@example.com").Location()
	for _, p := range []*stack.Page{
		dana.Come(callback + "&error_description=" + escaped),
		dana.Get("/apps/" + url.PathEscape(evil)),
		dana.Get("/session/" + url.PathEscape(evil)),
		dana.Get("/link/" + url.PathEscape(evil)),
		dana.Get("/flows/" + url.PathEscape(evil)),
		dana.Get("/oauth/callback/human/github?state=" + escaped + "&code=" + escaped),
		dana.Get("/static/" + url.PathEscape(evil)),
		dana.Get("/signed-out?next=" + escaped),
		s.Browser().NewRequest(list.URL, false, http.MethodPost, "/logout", url.Values{"next": {"/link/" + evil}}).Send(),
		dana.NewRequest(list.URL, false, http.MethodPost, "/start", url.Values{"ticket": {evil}}).Send(),
		dana.NewRequest(list.URL, false, http.MethodPost, "/oauth/callback/human/github", url.Values{"state": {evil}, "code": {evil}}).Send(),
	} {
		if p.Header.Get("X-Injected") != "" || strings.Contains(strings.Join(p.Header.Values("Set-Cookie"), ";"), "injected") {
			t.Errorf("%s: a header was injected: %v", p.URL.Path, p.Header)
		}
	}
	r := s.Human.Call(http.MethodGet, "users/"+url.PathEscape(evil)+"/connections", nil, stack.Bearer(s.Human.All))
	if r.Header.Get("X-Injected") != "" {
		t.Error("the API lets a header in")
	}
}

// After the callback no address bar, history or Referer holds a code or state.
func TestSecurity29_CleanAddress(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		for _, scenario := range []string{"approve", "deny", "fewer_scopes", "wrong_iss"} {
			dana := s.Browser()
			list := dana.SignIn(a, "dana")
			begun := list.Connect("github")
			at := begun.Choose(scenario, "dana@example.com")
			code, state := at.Query().Get("code"), at.Query().Get("state")
			pages := []*stack.Page{list, begun}
			for at.Location() != "" {
				at = at.Follow()
				if strings.HasPrefix(at.URL.String(), s.URL) {
					pages = append(pages, at)
				}
			}
			end := at.URL.String()
			if at.URL.RawQuery != "" || strings.Contains(end, state) || (code != "" && strings.Contains(end, code)) {
				t.Errorf("%s: the browser ends at %s", scenario, end)
			}
			for _, p := range pages {
				if policy := p.Header.Get("Referrer-Policy"); policy != "same-origin" && policy != "strict-origin" {
					t.Errorf("%s has the Referrer-Policy %q", p.URL.Path, policy)
				}
			}
			wantSilent(t, at, state)
		}
	})
}

// An untrusted peer's X-Forwarded-For changes neither the log nor the limits.
func TestSecurity31_ForwardedFor(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	serve := func(h http.Handler, peer, forwarded string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/apps/acme", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", forwarded)
		r.Header.Set("X-Real-IP", forwarded)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	serve(s.Handler, "203.0.113.9:1", "198.51.100.77")
	if log := s.Log.String(); strings.Contains(log, "198.51.100.77") || !strings.Contains(log, "203.0.113.9") {
		t.Error("the log names an address that the caller made up")
	}
	limited := func(trusted ...netip.Prefix) int {
		server := *s.Server
		server.RateLimit, server.TrustedProxies = true, trusted
		h, n := server.Handler(), 0
		for i := range 400 {
			if serve(h, "203.0.113.9:1", fmt.Sprintf("198.51.100.%d", i%250)) == http.StatusTooManyRequests {
				n++
			}
		}
		return n
	}
	if limited() == 0 {
		t.Error("made-up addresses get around the limit")
	}
	if limited(netip.MustParsePrefix("203.0.113.9/32")) != 0 {
		t.Error("a trusted proxy's addresses share one limit")
	}
}

// No way of writing a path reaches what needs credentials without them.
func TestSecurity32_PathTricks(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	s.Browser().Flow(s.Acme, "dana", "github", "dana@example.com").WantFlow("connected", "connected")
	protected := []string{
		"/apps/acme", "/apps/acme/settings", "/apps/acme/connectors/github/disconnect", "/api/apps/acme/users/dana/connections",
		"/api/apps/acme/app-user-auth/connectors/github/token", "/api/apps/acme/app-user-auth/connectors", "/api/apps/acme/connect-sessions",
	}
	tricks := func(path string) []string {
		parts := strings.SplitN(path[1:], "/", 2)
		return []string{
			path, path + "/", "/" + path, "//" + parts[0] + "//" + parts[1], "/." + path, "/x/.." + path, "/x/..;" + path, path + ";", path + ";x=y",
			path + "%00", path + "%20", path + "%2f", path + "?", path + "?/healthz", path + "#/healthz", path + "%3f/healthz", path + "/.", path + "/..", path + "/%2e%2e/",
			"/healthz/.." + path, "/healthz/%2e%2e" + path, "/healthz;" + path, "/static/.." + path, "/static/%2e%2e" + path, "/static/..%2f" + path[1:],
			strings.ToUpper(path), "/%61" + path[2:], strings.Replace(path, "/", "%2f", 1), strings.ReplaceAll(path, "/", "%2f"), strings.ReplaceAll(path, "/", "\\"),
			strings.Replace(path, "acme", "%61cme", 1), strings.Replace(path, "acme", "other/../acme", 1), strings.Replace(path, "acme", "other%2f..%2facme", 1),
			"http://localhost" + path, "http://evil.example" + path,
		}
	}
	for _, path := range protected {
		for _, trick := range tricks(path) {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "XYZZY", "PROPFIND"} {
				status, body := rawRequest(t, s.Address, method, trick, "GoogleHC/1.0")
				if status/100 == 2 && status != http.StatusNoContent && method != "OPTIONS" {
					if strings.Contains(body, "ok\n") || strings.Contains(trick, "/healthz") && len(body) < 10 {
						continue // the health check itself
					}
					t.Errorf("%s %s: %d", method, trick, status)
				}
				if status >= 500 {
					t.Errorf("%s %s: %d", method, trick, status)
				}
				if strings.Contains(body, "dana@example.com") || strings.Contains(body, "gho_") {
					t.Errorf("%s %s tells of the user", method, trick)
				}
			}
		}
	}
	wantRows(t, s, s.Acme, 1)
}

// rawRequest sends a request line as it is written, which a client library would not.
func rawRequest(t *testing.T, address, method, target, agent string) (int, string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nX-Original-URL: /healthz\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", method, target, address, agent)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: strings.ToUpper(method)})
	if err != nil {
		t.Fatalf("%s %q: %v", method, target, err)
	}
	defer resp.Body.Close()
	body := make([]byte, 64<<10)
	n, _ := resp.Body.Read(body)
	return resp.StatusCode, string(body[:n])
}

func TestSecurity33_OnBehalfOfTricks(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	s.Browser().Flow(s.Acme, "dana", "github", "dana@example.com").WantFlow("connected", "connected")
	dana, sam := s.Acme.JWT("dana"), s.Acme.JWT("sam")
	path := "app-user-auth/connectors/github/token"
	for _, c := range []struct {
		name    string
		headers []stack.Header
		status  int
		code    string
	}{
		{"good", []stack.Header{stack.OnBehalfOf(dana)}, 200, ""},
		{"named in Connection", []stack.Header{stack.OnBehalfOf(dana), {Name: "Connection", Value: "on-behalf-of"}}, 400, "invalid_request"},
		{"named in Connection, other case", []stack.Header{stack.OnBehalfOf(dana), {Name: "Connection", Value: "keep-alive, On-Behalf-Of"}}, 400, "invalid_request"},
		{"named in Connection and stripped", []stack.Header{{Name: "Connection", Value: "on-behalf-of"}}, 400, "invalid_request"},
		{"twice", []stack.Header{stack.OnBehalfOf(dana), stack.OnBehalfOf(sam)}, 400, "invalid_request"},
		{"twice the same", []stack.Header{stack.OnBehalfOf(dana), stack.OnBehalfOf(dana)}, 400, "invalid_request"},
		{"two in one", []stack.Header{{Name: "on-behalf-of", Value: "Bearer " + dana + ", Bearer " + sam}}, 401, "unauthorized"},
		{"empty", []stack.Header{{Name: "on-behalf-of", Value: ""}}, 401, "unauthorized"},
		{"without Bearer", []stack.Header{{Name: "on-behalf-of", Value: dana}}, 401, "unauthorized"},
		{"a user id", []stack.Header{stack.OnBehalfOf("dana")}, 401, "unauthorized"},
		{"a service token", []stack.Header{stack.OnBehalfOf(s.Acme.All)}, 401, "unauthorized"},
		{"a builder key", []stack.Header{stack.OnBehalfOf(s.Acme.Builder)}, 401, "unauthorized"},
		{"under a wrong name", []stack.Header{{Name: "on_behalf_of", Value: "Bearer " + dana}}, 401, "unauthorized"},
	} {
		s.Acme.Call(http.MethodGet, path, nil, append(c.headers, stack.Bearer(s.Acme.Tokens))...).Want(c.status, c.code)
	}
}
