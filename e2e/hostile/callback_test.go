package hostile

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/connect"
	"patchbay/e2e/stack"
)

// together calls do n times at once and waits for all.
func together(n int, do func(i int)) {
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		all.Go(func() { <-begin; do(i) })
	}
	close(begin)
	all.Wait()
}

func TestSecurity09_CallbackRaced(t *testing.T) {
	t.Parallel()
	const loads = 50
	t.Run("human proof", func(t *testing.T) {
		t.Parallel()
		s := stack.New(t)
		dana := s.Browser()
		callback := dana.SignIn(s.Human, "dana").Connect("github").Approve("dana@example.com").Location()
		requests := make([]*stack.Request, loads)
		for i := range requests {
			requests[i] = dana.NewRequest(nil, true, http.MethodGet, callback, nil)
		}
		pages := make([]*stack.Page, loads)
		together(loads, func(i int) { pages[i], _ = requests[i].TrySend() })
		for i, p := range pages {
			if p == nil || p.Status != http.StatusSeeOther || !strings.Contains(p.Location(), "/flows/") {
				t.Fatalf("load %d: %+v, want 303 to the result", i, p)
			}
		}
		pages[0].Follow().WantFlow("connected", "connected")
		wantTokenCalls(t, s, 1)
		wantRows(t, s, s.Human, 1)
	})
	t.Run("app proof", func(t *testing.T) {
		t.Parallel()
		s := stack.New(t)
		dana := s.Browser()
		callback := dana.SignIn(s.Acme, "dana").Connect("github").Approve("dana@example.com").Location()
		requests := make([]*stack.Request, loads)
		for i := range requests {
			requests[i] = dana.NewRequest(nil, true, http.MethodGet, callback, nil)
		}
		pages := make([]*stack.Page, loads)
		together(loads, func(i int) { pages[i], _ = requests[i].TrySend() })
		answers := make([]stack.Answer, loads)
		for i, p := range pages {
			if p == nil || p.Status != http.StatusSeeOther || !strings.HasPrefix(p.Location(), s.Acme.VerifyURL) {
				t.Fatalf("load %d: %+v, want 303 to the verify_url", i, p)
			}
		}
		wantTokenCalls(t, s, 0)
		together(loads, func(i int) {
			answers[i] = s.Acme.Confirm(pages[i].Query().Get("flow"), pages[i].Query().Get("result_code"), "dana")
		})
		good := 0
		for _, a := range answers {
			switch {
			case a.Status == http.StatusOK && a.Text("status") == "connected":
				good++
			case a.Text("code") != "forbidden" && a.Text("code") != "flow_finished":
				t.Errorf("a confirm answers %d %s", a.Status, a.Body)
			}
		}
		if good != 1 {
			t.Errorf("%d confirms connected, want 1: the newest result code alone is good, once", good)
		}
		wantTokenCalls(t, s, 1)
		wantRows(t, s, s.Acme, 1)
	})
	t.Run("confirm", func(t *testing.T) {
		t.Parallel()
		s := stack.New(t)
		asked := s.Browser().SignIn(s.Acme, "dana").Connect("github").Approve("dana@example.com").Follow().Query()
		answers := make([]stack.Answer, loads)
		together(loads, func(i int) { answers[i] = s.Acme.Confirm(asked.Get("flow"), asked.Get("result_code"), "dana") })
		good := 0
		for _, a := range answers {
			if a.Status == http.StatusOK {
				good++
			} else if a.Status >= 500 {
				t.Errorf("a confirm answers %d %s", a.Status, a.Body)
			}
		}
		if good != 1 {
			t.Errorf("%d confirms with one result code succeeded, want 1", good)
		}
		wantTokenCalls(t, s, 1)
		wantRows(t, s, s.Acme, 1)
	})
}

func TestSecurity10_BadState(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		callback := dana.SignIn(a, "dana").Connect("github").Approve("dana@example.com").Location()
		path, _, _ := strings.Cut(callback, "?")
		good := url.QueryEscape(query(t, callback, "state"))
		code := "code=" + url.QueryEscape(query(t, callback, "code"))
		for name, raw := range map[string]string{
			"missing":           code,
			"empty":             code + "&state=",
			"repeated":          code + "&state=" + good + "&state=" + good,
			"repeated, unknown": code + "&state=" + good + "&state=x",
			"unknown":           code + "&state=" + strings.Repeat("A", 43),
			"longer":            code + "&state=" + good + "A",
			"shorter":           code + "&state=" + good[:42],
			"padded":            code + "&state=" + good + "=",
			"other case":        code + "&state=" + swapCase(good),
			"very long":         code + "&state=" + strings.Repeat("A", 900_000),
			"invalid UTF-8":     code + "&state=%ff%fe" + good,
			"NUL":               code + "&state=" + good + "%00",
			"bad escape":        code + "&state=%zz",
			"semicolon":         code + ";state=" + good,
			"nothing":           "",
			"other name":        code + "&State=" + good,
		} {
			page := dana.Come(path + "?" + raw)
			if page.Status != http.StatusBadRequest || page.FlowCode() != "state_unknown" {
				t.Errorf("%s: %d %s, want 400 state_unknown", name, page.Status, page.FlowCode())
			}
			wantNoCookie(t, page.Header)
		}
		if page := dana.Come(path + "?" + code + "&state=" + strings.Repeat("A", 1<<20+1)); page.Status/100 != 4 {
			t.Errorf("a state of over 1 MiB: %d, want a refusal", page.Status)
		}
		s.WantNothingLinked(t)
		dana.Come(callback).Rest().WantFlow("connected", "connected") // none of it harmed the flow
	})
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 32
		case r >= 'A' && r <= 'Z':
			return r + 32
		}
		return r
	}, s)
}

func TestSecurity11_TooLate(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		back := dana.SignIn(a, "dana").Connect("github").Approve("dana@example.com")
		s.Advance(15 * time.Minute)
		back.Follow().WantResult("expired", "expired")
		s.WantNothingLinked(t)
		// One second before, it is still good.
		back = dana.SignIn(a, "dana").Connect("github")
		s.Advance(15*time.Minute - time.Second)
		back.Approve("dana@example.com").Rest().WantFlow("connected", "connected")
	})
}

func TestSecurity12_StateOfAnotherConnector(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		callback := dana.SignIn(a, "dana").Connect("github").Approve("dana@example.com").Location()
		for _, to := range []string{"/" + a.ID + "/slack", "/other/github", "/strict/github", "/" + a.ID + "/nothing", "/nothing/github", "/" + a.ID + "/team"} {
			moved := strings.Replace(callback, "/"+a.ID+"/github", to, 1)
			dana.Come(moved).WantError(http.StatusBadRequest, "state_unknown")
		}
		s.WantNothingLinked(t)
		dana.Come(callback).Rest().WantFlow("connected", "connected")
	})
}

// hostileProvider is FP2: its authorization endpoint bounces the browser to FP1, its
// token endpoint takes what it gets.
type hostileProvider struct {
	*httptest.Server
	bounce func(q url.Values) string

	mu  sync.Mutex
	got []string
}

func newHostileProvider(t *testing.T) *hostileProvider {
	p := &hostileProvider{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/authorize") {
			http.Redirect(w, r, p.bounce(r.URL.Query()), http.StatusFound)
			return
		}
		_ = r.ParseForm()
		p.mu.Lock()
		p.got = append(p.got, r.Form.Encode())
		p.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"stolen-and-returned","token_type":"bearer","scope":"read:user"}`)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *hostileProvider) yaml(id string) string {
	return fmt.Sprintf("      - {id: %s, type: github, client_id: evil, client_secret: evil-secret, endpoints: {authorize: %s/authorize, token: %s/token, userinfo: %s/userinfo}}\n",
		id, p.URL, p.URL, p.URL)
}

func (p *hostileProvider) wantNothing(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.got) > 0 {
		t.Errorf("the hostile provider received %q", p.got)
	}
}

// A hostile connector sends Victor's browser on to the honest provider, to be given his
// code (COAT).
func TestSecurity13_MixUpBetweenConnectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, redirect, status, code string
		page                         int
	}{
		{name: "to its own redirect URI", redirect: "evil", status: "failed", code: "issuer_mismatch"},
		{name: "to the honest connector's", redirect: "github", page: http.StatusBadRequest, code: "state_unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fp2 := newHostileProvider(t)
			s := stack.New(t, stack.Reachable(strings.TrimPrefix(fp2.URL, "http://")), stack.Connectors(fp2.yaml("evil")))
			fp2.bounce = func(q url.Values) string {
				q.Set("client_id", "client-of-acme")
				q.Set("redirect_uri", s.URL+"/oauth/callback/acme/"+c.redirect)
				return s.Provider + "/github/authorize?" + q.Encode()
			}
			victor := s.Browser()
			bounced := victor.SignIn(s.Acme, "victor").Connect("evil").Click("continue").WantStatus(http.StatusFound).Follow()
			page := bounced.Submit("approve", "account", "victor@example.com").Follow()
			if c.page != 0 {
				page.WantError(c.page, c.code)
			} else {
				page.WantResult(c.status, c.code)
			}
			s.WantNothingLinked(t)
			fp2.wantNothing(t)
		})
	}
}

func TestSecurity14_MixUpBetweenApps(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	mallory := s.Browser()
	mine := mallory.SignIn(s.Other, "dana").Connect("github")
	theirs := s.Browser().SignIn(s.Acme, "dana").Connect("github")
	a, b := query(t, mine.Href("continue"), "redirect_uri"), query(t, theirs.Href("continue"), "redirect_uri")
	if a != s.URL+"/oauth/callback/other/github" || b != s.URL+"/oauth/callback/acme/github" {
		t.Errorf("the redirect URIs are %s and %s", a, b)
	}
	// The other app's authorization is answered at Acme's address, with either state.
	callback := mine.Approve("dana@example.com").Location()
	mallory.Come(strings.Replace(callback, "/other/", "/acme/", 1)).WantError(http.StatusBadRequest, "state_unknown")
	swapped := edit(t, strings.Replace(callback, "/other/", "/acme/", 1), func(q url.Values) { q.Set("state", query(t, theirs.Href("continue"), "state")) })
	mallory.Come(swapped).WantError(http.StatusForbidden, "browser_mismatch")
	s.WantNothingLinked(t)
}

func TestSecurity15_Issuer(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	promised := strings.Replace(s.ConnectorYAML("promised", "github", "client-of-acme"), "endpoints: {", "endpoints: {issuer: "+s.Provider+", ", 1)
	s.Apply(s.AppsYAML(promised))
	for _, c := range []struct {
		name, connector string
		change          func(q url.Values)
		code            string // "" for connected
	}{
		{"right", "github", func(url.Values) {}, ""},
		{"absent, not promised", "github", func(q url.Values) { q.Del("iss") }, ""},
		{"wrong", "github", func(q url.Values) { q.Set("iss", "https://attacker.example") }, "issuer_mismatch"},
		{"empty", "github", func(q url.Values) { q.Set("iss", "") }, "issuer_mismatch"},
		{"with a slash", "github", func(q url.Values) { q.Set("iss", q.Get("iss")+"/") }, "issuer_mismatch"},
		{"repeated", "github", func(q url.Values) { q.Add("iss", q.Get("iss")) }, "issuer_mismatch"},
		{"repeated, second wrong", "github", func(q url.Values) { q.Add("iss", "https://attacker.example") }, "issuer_mismatch"},
		{"right, promised", "promised", func(url.Values) {}, ""},
		{"absent though promised", "promised", func(q url.Values) { q.Del("iss") }, "issuer_mismatch"},
		{"wrong, promised", "promised", func(q url.Values) { q.Set("iss", s.Provider+"/github") }, "issuer_mismatch"},
		{"wrong, with an error", "github", func(q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("iss", "https://attacker.example")
		}, "issuer_mismatch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls := s.TokenCalls()
			user := "user of " + c.name
			dana := s.Browser()
			callback := dana.SignIn(s.Acme, user).Connect(c.connector).Approve("dana@example.com").Location()
			page := dana.Come(edit(t, callback, c.change))
			if c.code == "" {
				page.Rest().WantFlow("connected", "connected")
				return
			}
			page.WantResult("failed", c.code)
			wantTokenCalls(t, s, calls)
			s.Acme.Token(user, c.connector).Want(http.StatusNotFound, "not_connected")
		})
	}
}

// wrong_iss is the provider's own doing.
func TestSecurity15_IssuerScenario(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		s.Browser().SignIn(a, "dana").Connect("github").Choose("wrong_iss", "dana@example.com").Follow().WantResult("failed", "issuer_mismatch")
		s.WantNothingLinked(t)
	})
}

var verifierForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// Items 16 and 20 look at many authorization requests; they are made below HTTP, where
// making one is quick.
func TestSecurity16And20_EveryAuthorizationRequest(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	made, err := s.Service.CreateSession(t.Context(), "acme", connect.SessionRequest{
		Mode: connect.ModeLink, User: connect.EndUser{ID: "dana-is-the-user"}, Connectors: []string{"github"}, ReturnURL: s.Acme.ReturnURLs[0],
	})
	if err != nil {
		t.Fatal(err)
	}
	const n = 1500
	states, challenges, cookies := map[string]bool{}, map[string]bool{}, map[string]bool{}
	stateForm := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	bits := make([]int, 64)
	for range n {
		grant, err := s.Service.CheckTicket(t.Context(), s.Service.LinkStartTicket(&made.Session), nil)
		if err != nil {
			t.Fatal(err)
		}
		begun, err := s.Service.Start(t.Context(), grant, nil)
		if err != nil {
			t.Fatal(err)
		}
		to, _ := url.Parse(begun.ContinueURL)
		q := to.Query()
		state := q.Get("state")
		if len(q["state"]) != 1 || !stateForm.MatchString(state) {
			t.Fatalf("state %q", q["state"])
		}
		if q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 {
			t.Fatalf("PKCE %q %q", q.Get("code_challenge_method"), q.Get("code_challenge"))
		}
		for i, c := range state {
			if strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", c) && i < 42 {
				bits[i]++
			}
		}
		states[state], challenges[q.Get("code_challenge")], cookies[begun.Cookie] = true, true, true
	}
	if len(states) != n || len(challenges) != n || len(cookies) != n {
		t.Errorf("of %d flows: %d states, %d challenges, %d cookie secrets", n, len(states), len(challenges), len(cookies))
	}
	// No character of a state is fixed: its first bit is set about half of the time.
	for i := range 42 {
		if bits[i] < n*4/10 || bits[i] > n*6/10 {
			t.Errorf("character %d of the state is not random: first bit clear in %d of %d", i, bits[i], n)
		}
	}
	for _, connector := range []string{"github", "googlecalendar", "slack"} {
		s.Browser().Flow(s.Acme, "sam", connector, "sam@example.com").WantFlow("connected", "connected")
	}
	for _, c := range s.Wire.Calls("/token") {
		if strings.Contains(c.URL, "/slack/") {
			continue // the catalogue says that it does not take PKCE from such a client
		}
		if v := c.Form.Get("code_verifier"); !verifierForm.MatchString(v) {
			t.Errorf("%s got the verifier %q", c.URL, v)
		}
	}
}

// A man in the middle strips or weakens the challenge: the flow is still bound.
func TestSecurity17_ChallengeStripped(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	mallory := s.Browser()
	sent := mallory.SignIn(s.Acme, "mallory").Connect("github").Href("continue")
	stripped := edit(t, sent, func(q url.Values) { q.Del("code_challenge"); q.Del("code_challenge_method") })
	callback := s.Browser().Come(stripped).Submit("approve", "account", "victor@example.com").Location()
	s.Browser().Come(callback).WantError(http.StatusForbidden, "cookie_missing")
	plain := edit(t, sent, func(q url.Values) { q.Set("code_challenge_method", "plain") })
	if back := mallory.Come(plain); back.Query().Get("error") == "" {
		t.Error("the sandbox accepts plain")
	}
	s.WantNothingLinked(t)
	for _, c := range s.Wire.Calls("") {
		if strings.Contains(c.URL, "plain") || c.Form.Get("code_challenge_method") == "plain" {
			t.Errorf("plain was asked for: %s", c.URL)
		}
	}
}

func TestSecurity18_SwappedCode(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		stolen := query(t, s.Browser().SignIn(a, "victor").Connect("github").Approve("victor@example.com").Location(), "code")
		mallory := s.Browser()
		callback := mallory.SignIn(a, "mallory").Connect("github").Approve("mallory@example.com").Location()
		swapped := edit(t, callback, func(q url.Values) { q.Set("code", stolen) })
		mallory.Come(swapped).Rest().WantFlow("failed", "provider_error")
		wantRows(t, s, a, 0)
		wantTokenCalls(t, s, 1)
		mallory.Come(callback).WantResult("failed", "provider_error") // the attempt is burnt
		wantTokenCalls(t, s, 1)
		wantRows(t, s, a, 0)
	})
}

func TestSecurity19_TokensInTheCallback(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		for _, name := range []string{"access_token", "id_token", "refresh_token", "token"} {
			dana := s.Browser()
			callback := dana.SignIn(a, "dana").Connect("github").Approve("dana@example.com").Location()
			canary := "canary-in-the-query-" + name
			dana.Come(edit(t, callback, func(q url.Values) { q.Set(name, canary) })).WantResult("failed", "provider_error")
			dana.Come(callback).WantResult("failed", "provider_error")
			if strings.Contains(s.Log.String(), canary) || strings.Contains(s.Seen.String(), canary) {
				t.Errorf("the value of %s is in the log or on a page", name)
			}
		}
		s.WantNothingLinked(t)
	})
}

// The order of contract section 7 step 3: when several things are wrong, the first
// one in this table answers.
func TestCallbackOrder(t *testing.T) {
	wrongs := []struct {
		name   string
		apply  func(q url.Values)
		late   bool
		cookie bool // take it away
		want   string
		page   int // of a page in place; 0: 303 to the result
	}{
		{name: "a: state", apply: func(q url.Values) { q.Set("state", "unknown") }, want: "state_unknown", page: 400},
		{name: "b: cookie", cookie: true, want: "cookie_missing", page: 403},
		{name: "d: late", late: true, want: "expired"},
		{name: "e: iss", apply: func(q url.Values) { q.Set("iss", "https://attacker.example") }, want: "issuer_mismatch"},
		{name: "f: code and error", apply: func(q url.Values) { q.Set("error", "access_denied") }, want: "provider_error"},
	}
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		for first := range wrongs {
			for second := first; second < len(wrongs); second++ {
				w, x := wrongs[first], wrongs[second]
				dana := s.Browser()
				callback := dana.SignIn(a, "dana").Connect("github").Approve("dana@example.com").Location()
				visitor := dana
				for _, wrong := range []int{first, second} {
					if wrongs[wrong].apply != nil {
						callback = edit(t, callback, wrongs[wrong].apply)
					}
					if wrongs[wrong].cookie {
						visitor = s.Browser()
					}
				}
				if w.late || x.late {
					s.Advance(15 * time.Minute)
				}
				page := visitor.Come(callback)
				if w.page == 0 {
					page = page.WantStatus(http.StatusSeeOther).Follow()
				} else if page.Status != w.page {
					t.Errorf("%s with %s: status %d, want %d", w.name, x.name, page.Status, w.page)
				}
				if page.FlowCode() != w.want {
					t.Errorf("%s with %s: %s, want %s", w.name, x.name, page.FlowCode(), w.want)
				}
			}
		}
		s.WantNothingLinked(t)
	})
}

// Step c comes before d, e and f: a finished flow shows its result whatever the query.
func TestCallbackAfterTheEnd(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		back := dana.SignIn(a, "dana").Connect("github").Approve("dana@example.com")
		back.Rest().WantFlow("connected", "connected")
		for _, change := range []func(q url.Values){
			func(q url.Values) { q.Set("iss", "https://attacker.example") },
			func(q url.Values) { q.Set("error", "access_denied") },
			func(q url.Values) { q.Del("code") },
			func(q url.Values) { q.Set("access_token", "x") },
		} {
			dana.Come(edit(t, back.Location(), change)).WantResult("connected", "connected")
		}
		s.Advance(20 * time.Minute)
		dana.Come(back.Location()).WantResult("connected", "connected")
		wantTokenCalls(t, s, 1)
		wantRows(t, s, a, 1)
	})
}

func TestCallbackForm(t *testing.T) {
	for _, c := range []struct {
		name         string
		change       func(q url.Values)
		status, code string
	}{
		{"no code and no error", func(q url.Values) { q.Del("code") }, "failed", "provider_error"},
		{"empty code", func(q url.Values) { q.Set("code", "") }, "failed", "provider_error"},
		{"code twice", func(q url.Values) { q.Add("code", "again") }, "failed", "provider_error"},
		{"error twice", func(q url.Values) { q.Del("code"); q["error"] = []string{"access_denied", "access_denied"} }, "failed", "provider_error"},
		{"description twice", func(q url.Values) { q["error_description"] = []string{"a", "b"} }, "failed", "provider_error"},
		{"empty error beside a code", func(q url.Values) { q.Set("error", "") }, "failed", "provider_error"},
		{"denied", func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }, "denied", "access_denied"},
		{"unknown error", func(q url.Values) { q.Del("code"); q.Set("error", "no such thing") }, "failed", "provider_error"},
		{"scope", func(q url.Values) { q.Del("code"); q.Set("error", "invalid_scope") }, "failed", "scope_rejected"},
		{"client", func(q url.Values) { q.Del("code"); q.Set("error", "unauthorized_client") }, "failed", "client_rejected"},
		{"unavailable", func(q url.Values) { q.Del("code"); q.Set("error", "temporarily_unavailable") }, "failed", "provider_unavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
				dana := s.Browser()
				callback := dana.SignIn(a, "dana").Connect("github").Approve("dana@example.com").Location()
				dana.Come(edit(t, callback, c.change)).WantResult(c.status, c.code)
				s.WantNothingLinked(t)
			})
		})
	}
	t.Run("unknown parameters are ignored", func(t *testing.T) {
		bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
			dana := s.Browser()
			callback := dana.SignIn(a, "dana").Connect("github").Approve("dana@example.com").Location()
			dana.Come(edit(t, callback, func(q url.Values) {
				q["extra"] = []string{"a", "b"}
				q.Set("session_state", "x")
				q.Set("return_url", "https://evil.example")
			})).Rest().WantFlow("connected", "connected")
		})
	})
}

// A browser that says it loads the callback into anything but a page of its own is
// treated as one without the cookie.
func TestCallbackFetchDest(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		callback := dana.SignIn(a, "dana").Connect("github").Approve("dana@example.com").Location()
		load := func(dest ...string) *stack.Page {
			r := dana.NewRequest(nil, true, http.MethodGet, callback, nil)
			r.Header["Sec-Fetch-Dest"] = dest
			return r.Send()
		}
		for _, dest := range []string{"iframe", "frame", "object", "embed", "image", "empty", "script", "Document", "document, iframe"} {
			load(dest).WantError(http.StatusForbidden, "cookie_missing")
		}
		s.WantNothingLinked(t)
		load().Rest().WantFlow("connected", "connected") // an old browser sends none
	})
}

// Sent twice or sent empty is not sent as "document".
func TestCallbackFetchDestMalformed(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		for _, dest := range [][]string{{"document", "iframe"}, {"document", "document"}, {""}} {
			dana := s.Browser()
			callback := dana.SignIn(a, "dana").Connect("github").Approve("dana@example.com").Location()
			r := dana.NewRequest(nil, true, http.MethodGet, callback, nil)
			r.Header["Sec-Fetch-Dest"] = dest
			r.Send().WantError(http.StatusForbidden, "cookie_missing")
		}
		s.WantNothingLinked(t)
	})
}
