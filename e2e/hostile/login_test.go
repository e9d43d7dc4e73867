package hostile

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"patchbay/e2e/stack"
	"patchbay/e2e/stack/openid"
)

// visit comes by oneself, as sub at the app's OpenID provider, and shows the page where
// that ends.
func visit(s *stack.Stack, b *stack.Browser, sub, path string) *stack.Page {
	s.OpenID.SignIn(sub)
	return b.Get(path).Rest()
}

// answer goes to the provider and stops before its answer is opened: the address of
// that.
func answer(s *stack.Stack, b *stack.Browser, sub string) string {
	s.OpenID.SignIn(sub)
	return b.Get("/login/strict").WantStatus(http.StatusSeeOther).Follow().WantStatus(http.StatusFound).Location()
}

// cookie is the value of one of the browser's cookies, "" for none.
func cookie(b *stack.Browser, name string) string {
	for _, c := range b.Cookies() {
		if strings.TrimPrefix(c.Name, "__Host-") == name {
			return c.Value
		}
	}
	return ""
}

func wantUser(t *testing.T, p *stack.Page, email string) {
	t.Helper()
	if got := p.Field("user"); p.Status != http.StatusOK || got != email {
		t.Errorf("%s: %d, the page is of %q, want %q", p.URL.Path, p.Status, got, email)
	}
}

// A visitor signs in and connects: the sign-in is the proof, nobody has to press or to
// confirm anything.
func TestLogin(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]stack.Option{"http": nil, "https": {stack.HTTPS()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stack.New(t, append(opts, stack.Login())...)
			prefix := map[string]string{"http": "", "https": "__Host-"}[name]
			dana := s.Browser()
			first := dana.Get("/apps/strict")
			if first.Status != http.StatusSeeOther || first.Location() != "/login/strict" {
				t.Fatalf("without a session: %d to %q", first.Status, first.Location())
			}
			wantNoCookie(t, first.Header)
			login := first.Follow().WantStatus(http.StatusSeeOther)
			wantCookie(t, login, prefix+"patchbay_login", 600, name == "https")
			if to := login.Location(); !strings.HasPrefix(to, s.OpenID.URL+"/authorize?") {
				t.Fatalf("the sign-in leads to %q", to)
			}
			back := login.Follow().Follow().WantStatus(http.StatusSeeOther)
			wantCookie(t, back, prefix+"patchbay_session", 12*3600, name == "https")
			wantCookie(t, back, prefix+"patchbay_login", -1, name == "https")
			if cookie(dana, "patchbay_login") != "" {
				t.Error("the attempt's cookie is still there")
			}
			if back.Location() != "/apps/strict" {
				t.Fatalf("the sign-in ends at %q", back.Location())
			}
			list := back.Follow()
			wantUser(t, list, "dana@acme.example")

			begun := list.Connect("github")
			if begun.Has("not_me") || begun.Doc.Find(`meta[http-equiv="refresh"]`).Length() != 1 {
				t.Error("the interstitial waits for a press")
			}
			end := begun.Approve("dana@example.com")
			if to := end.Follow().Location(); !strings.HasPrefix(to, "/flows/") && !strings.HasPrefix(to, s.URL+"/flows/") {
				t.Errorf("the callback leads to %q, want the result", to)
			}
			end.Follow().Rest().WantFlow("connected", "connected")
			state := s.Strict.FlowState(begun.FlowID())
			if proofs, _ := state.Value("proofs").([]any); !slices.Equal(proofs, []any{"browser", "login"}) || state.Text("assurance") != "app" || state.Text("mode") != "redirect" {
				t.Errorf("the flow: %s", state.Body)
			}
			s.Strict.Token("dana", "github").Want(http.StatusOK, "")
		})
	}
}

func wantCookie(t *testing.T, p *stack.Page, name string, maxAge int, secure bool) {
	t.Helper()
	for _, c := range (&http.Response{Header: p.Header}).Cookies() {
		if c.Name != name {
			continue
		}
		if c.MaxAge != maxAge || c.Secure != secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("%s: %s", p.URL.Path, c.Raw)
		}
		return
	}
	t.Errorf("%s sets no cookie %s: %q", p.URL.Path, name, p.Header.Values("Set-Cookie"))
}

// Mallory signs in and sends Victor the last step: he must not end up in her account,
// where what he links would be hers.
func TestLoginCSRF(t *testing.T) {
	t.Parallel()
	s := stack.New(t, stack.Login())
	hers := answer(s, s.Browser(), "mallory")

	clean := s.Browser()
	refused := clean.Come(hers)
	refused.WantError(http.StatusForbidden, "cookie_missing")
	wantNoCookie(t, refused.Header)
	wantSilent(t, refused, "mallory")

	busy := s.Browser()
	busy.Get("/login/strict").WantStatus(http.StatusSeeOther) // his own attempt is under way
	refused = busy.Come(hers)
	refused.WantError(http.StatusBadRequest, "state_unknown")
	wantSilent(t, refused, "mallory")

	there := s.Browser()
	wantUser(t, visit(s, there, "victor", "/apps/strict"), "victor@acme.example")
	there.Come(hers).WantError(http.StatusForbidden, "cookie_missing")
	wantUser(t, there.Get("/apps/strict"), "victor@acme.example")

	for _, b := range []*stack.Browser{clean, busy} {
		if cookie(b, "patchbay_session") != "" {
			t.Error("the answer of another browser's sign-in opens a session")
		}
	}
	if n := len(s.OpenID.Calls("/token")); n != 1 { // Victor's own
		t.Errorf("the OpenID provider's token endpoint was called %d times, want 1", n)
	}
}

// An answer that another site makes the browser load as a picture or in a frame decides
// nothing and harms nothing.
func TestLoginIsAPageOfItsOwn(t *testing.T) {
	t.Parallel()
	s := stack.New(t, stack.Login())
	dana := s.Browser()
	get := func(address string, header, value string) *stack.Page {
		r := dana.NewRequest(nil, true, http.MethodGet, address, nil)
		r.Header.Set(header, value)
		return r.Send()
	}
	for _, dest := range []string{"iframe", "image", "empty", "object"} {
		p := get("/login/strict", "Sec-Fetch-Dest", dest)
		p.WantError(http.StatusUnauthorized, "unauthorized")
		wantNoCookie(t, p.Header)
	}
	if p := get("/login/strict", "Sec-Purpose", "prefetch;prerender"); p.Status != http.StatusNoContent {
		t.Errorf("a prefetch: %d", p.Status)
	}
	if n := len(s.OpenID.Calls("/.well-known/openid-configuration")); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
	back := answer(s, dana, "dana")
	for _, dest := range []string{"iframe", "image", "empty"} {
		p := get(back, "Sec-Fetch-Dest", dest)
		p.WantError(http.StatusForbidden, "cookie_missing")
		wantNoCookie(t, p.Header)
	}
	if p := get(back, "Sec-Purpose", "prefetch"); p.Status != http.StatusNoContent {
		t.Errorf("a prefetch: %d", p.Status)
	}
	wantUser(t, dana.Come(back).Rest(), "dana@acme.example")
}

// Whether an app exists is nobody's business; one without a sign-in looks like none.
func TestLoginOfNoApp(t *testing.T) {
	t.Parallel()
	s := stack.New(t, stack.Login())
	for _, path := range []string{"/login/acme", "/login/nothing", "/login/acme/callback?code=x&state=y", "/login/nothing/callback?code=x&state=y", "/login/Strict", "/login/%73trict%00"} {
		p := s.Browser().Get(path)
		p.WantError(http.StatusUnauthorized, "unauthorized")
		wantNoCookie(t, p.Header)
		wantSilent(t, p, "Acme")
	}
	s.Browser().Get("/apps/acme").WantError(http.StatusUnauthorized, "unauthorized")
	from, _ := url.Parse(s.URL + "/login/acme")
	s.Browser().NewRequest(from, false, http.MethodPost, "/login/acme/callback", url.Values{"ticket": {"x"}}).Send().WantError(http.StatusUnauthorized, "unauthorized")
	s.Browser().NewRequest(from, false, http.MethodPost, "/login/strict/callback", url.Values{"ticket": {"x"}}).Send().WantError(http.StatusConflict, "expired")
}

// The sign-in leads on to pages of ours and of this app, and to nothing else.
func TestLoginLeadsOnToOurPagesOnly(t *testing.T) {
	t.Parallel()
	s := stack.New(t, stack.Login())
	good := []string{"/apps/strict", "/apps/strict/settings", "/apps/strict/connectors/github/disconnect", "/link/" + strings.Repeat("A", 43)}
	for _, next := range append(slices.Clone(good),
		"", "/", "//evil.example", "///evil.example", "/\\evil.example", "https://evil.example/apps/strict", "/apps/strict@evil.example", "/apps/strict.evil.example",
		"/apps/strict/../../evil", "/apps/strict/settings/", "/apps/strict/settings?x=//evil.example", "/apps/strict#x", "/apps/strict/connectors/../disconnect",
		"/apps/strict\n/settings", "/apps/strict/settings\nSet-Cookie: x=y", "/apps/strict/settings\x00", "/apps/acme", "/apps/acme/settings", "/apps/strictly", "/apps//settings", "/apps/",
		"javascript:alert(1)", "/link/", "/link/a/b", "/link/..", "/logout", "/session/"+strings.Repeat("A", 43), "/login/strict", "/apps/strict/receipts/x", s.URL+"/apps/strict",
	) {
		want := next
		if !slices.Contains(good, next) {
			want = "/apps/strict"
		}
		s.OpenID.SignIn("dana")
		end := s.Browser().Get("/login/strict?next=" + url.QueryEscape(next)).Follow().Follow().WantStatus(http.StatusSeeOther)
		if got := end.Location(); got != want {
			t.Errorf("next=%q ends at %q, want %q", next, got, want)
		}
	}
	dana := s.Browser()
	wanted := dana.Get("/apps/strict/settings").WantStatus(http.StatusSeeOther)
	if end := wanted.Follow().Follow().Follow(); end.Location() != "/apps/strict/settings" {
		t.Errorf("who wanted the settings lands at %q", end.Location())
	}
	// Nor does the provider's answer decide.
	back := answer(s, s.Browser(), "dana")
	other := s.Browser()
	own := answer(s, other, "dana")
	end := other.Come(edit(t, own, func(q url.Values) { q.Set("next", "https://evil.example") }))
	if end.Location() != "/apps/strict" || back == own {
		t.Errorf("next in the answer ends at %q", end.Location())
	}
}

// A session id that was there before the sign-in, whoever put it there, is worth nothing
// afterwards.
func TestLoginFixation(t *testing.T) {
	t.Parallel()
	s := stack.New(t, stack.Login())
	victor, mallory := s.Browser(), s.Browser()
	planted := strings.Repeat("B", 43)
	for _, old := range []string{planted, ""} { // then a session of Mallory's own
		if old == "" {
			visit(s, mallory, "mallory", "/apps/strict")
			old = cookie(mallory, "patchbay_session")
		}
		victor.SetCookie("patchbay_session", old)
		s.OpenID.SignIn("victor")
		page := victor.Get("/login/strict").Follow().Follow()
		if page.Has("switch") {
			page = page.Submit("switch")
		}
		wantUser(t, page.WantStatus(http.StatusSeeOther).Follow(), "victor@acme.example")
		fresh := cookie(victor, "patchbay_session")
		if fresh == old || len(fresh) != 43 {
			t.Errorf("the session is %q after the sign-in and was %q before", fresh, old)
		}
		thief := s.Browser()
		thief.SetCookie("patchbay_session", old)
		if p := thief.Get("/apps/strict"); p.Status != http.StatusSeeOther || !strings.HasPrefix(p.Location(), "/login/strict") {
			t.Errorf("the old id shows %d", p.Status)
		}
	}
}

// Somebody else is signed in: nothing changes before the person decides, and the
// decision can be taken by nobody else.
func TestLoginAsSomebodyElse(t *testing.T) {
	t.Parallel()
	s := stack.New(t, stack.Login())
	dana := s.Browser()
	visit(s, dana, "dana", "/apps/strict")
	held := cookie(dana, "patchbay_session")

	s.OpenID.SignIn("sam")
	asked := dana.Get("/login/strict?next=%2Fapps%2Fstrict%2Fsettings").Follow().Follow().WantStatus(http.StatusOK)
	if asked.Field("user") != "dana@acme.example" || asked.Field("next") != "sam@acme.example" {
		t.Errorf("the page names %q and %q", asked.Field("user"), asked.Field("next"))
	}
	if csp := asked.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("the page that asks may be framed: %s", csp)
	}
	unchanged := func(when string) {
		t.Helper()
		if cookie(dana, "patchbay_session") != held {
			t.Errorf("%s: another session", when)
		}
		wantUser(t, dana.Get("/apps/strict"), "dana@acme.example")
	}
	unchanged("before the decision")

	to, form := asked.Form("switch")
	ticket := form.Get("ticket")
	if raw, err := base64.RawURLEncoding.DecodeString(ticket); err != nil || strings.Contains(string(raw), "sam") {
		t.Errorf("the form's ticket can be read: %v", err)
	}
	for name, forge := range forgeries(s.URL) {
		r := asked.Prepare("switch")
		forge(r.Header)
		if p := r.Send(); p.Status != http.StatusForbidden && p.Status != http.StatusUnsupportedMediaType {
			t.Errorf("%s: %d", name, p.Status)
		}
	}
	flipped := []byte(ticket)
	flipped[len(flipped)/2] ^= 1
	for name, bad := range map[string]url.Values{"none": {}, "changed": {"ticket": {string(flipped)}}, "the attempt": {"ticket": {cookie(dana, "patchbay_login")}}} {
		dana.NewRequest(asked.URL, false, http.MethodPost, to, bad).Send().WantError(http.StatusConflict, "expired")
		unchanged(name)
	}
	// In another browser, signed in or not, the ticket is nothing.
	other := s.Browser()
	other.NewRequest(asked.URL, false, http.MethodPost, to, form).Send().WantError(http.StatusConflict, "expired")
	visit(s, other, "victor", "/apps/strict")
	other.NewRequest(asked.URL, false, http.MethodPost, to, form).Send().WantError(http.StatusConflict, "expired")
	wantUser(t, other.Get("/apps/strict"), "victor@acme.example")

	switched := asked.Submit("switch").WantStatus(http.StatusSeeOther)
	if switched.Location() != "/apps/strict/settings" || cookie(dana, "patchbay_session") == held {
		t.Errorf("the switch leads to %q", switched.Location())
	}
	wantUser(t, switched.Follow(), "sam@acme.example")
	asked.Submit("switch").WantError(http.StatusConflict, "expired") // it worked once
	wantUser(t, dana.Get("/apps/strict"), "sam@acme.example")

	t.Run("too late", func(t *testing.T) {
		s.OpenID.SignIn("dana")
		asked := dana.Get("/login/strict").Follow().Follow().WantStatus(http.StatusOK)
		s.Advance(5 * time.Minute)
		late := asked.Submit("switch")
		late.WantError(http.StatusConflict, "expired")
		wantUser(t, dana.Get("/apps/strict"), "sam@acme.example")
	})
	t.Run("the same person again", func(t *testing.T) {
		wantUser(t, visit(s, dana, "sam", "/login/strict"), "sam@acme.example")
	})
}

func TestLoginGoesWrong(t *testing.T) {
	t.Parallel()
	s := stack.New(t, stack.Login())
	round := func() *stack.Page {
		s.Advance(10 * time.Second) // metadata may be fetched again
		return s.Browser().Get("/login/strict?next=%2Fapps%2Fstrict%2Fsettings").Rest()
	}
	change := func(r openid.Rules) {
		s.OpenID.Change(func(now *openid.Rules) { r.Person = now.Person; *now = r })
	}
	wantUser(t, round(), "dana@acme.example") // from here on the metadata is known
	for name, test := range map[string]struct {
		rules  openid.Rules
		status int
		code   string
	}{
		"denied":          {openid.Rules{Error: "access_denied"}, http.StatusForbidden, "access_denied"},
		"provider's fate": {openid.Rules{Error: "server_error"}, http.StatusServiceUnavailable, "provider_unavailable"},
		"token endpoint":  {openid.Rules{Status: map[string]int{"/token": 502}}, http.StatusServiceUnavailable, "provider_unavailable"},
		"made-up code":    {openid.Rules{Back: func(q url.Values) { q.Set("code", "x") }}, http.StatusConflict, "expired"},
		"code and error":  {openid.Rules{Back: func(q url.Values) { q.Set("error", "x") }}, http.StatusBadGateway, "provider_error"},
		"state swapped":   {openid.Rules{Back: func(q url.Values) { q.Set("state", strings.Repeat("A", 43)) }}, http.StatusBadRequest, "state_unknown"},
		"iss of another":  {openid.Rules{Back: func(q url.Values) { q.Set("iss", "https://evil.example") }}, http.StatusBadGateway, "connector_misconfigured"},
		"other nonce":     {openid.Rules{Claims: func(c map[string]any) { c["nonce"] = "x" }}, http.StatusBadGateway, "connector_misconfigured"},
		"other audience":  {openid.Rules{Claims: func(c map[string]any) { c["aud"] = "another" }}, http.StatusBadGateway, "connector_misconfigured"},
		"other issuer":    {openid.Rules{Claims: func(c map[string]any) { c["iss"] = "https://evil.example" }}, http.StatusBadGateway, "connector_misconfigured"},
		"expired":         {openid.Rules{Claims: func(c map[string]any) { c["exp"] = s.Clock.Now().Unix() - 1 }}, http.StatusBadGateway, "connector_misconfigured"},
		"alg none":        {openid.Rules{Sign: openid.Unsigned}, http.StatusBadGateway, "connector_misconfigured"},
		"HS256": {openid.Rules{Sign: func(c map[string]any) string {
			return openid.Sign(jose.HS256, []byte(s.OpenID.ClientSecret), "rsa", c)
		}}, http.StatusBadGateway, "connector_misconfigured"},
		"wrong signature": {openid.Rules{Sign: func(c map[string]any) string {
			good := openid.Sign(jose.RS256, openid.Key(), "rsa", c)
			return good[:len(good)-8] + "AAAAAAAA"
		}}, http.StatusBadGateway, "connector_misconfigured"},
		"secret refused": {openid.Rules{Status: map[string]int{"/token": 401}}, http.StatusBadGateway, "connector_misconfigured"},
		"away":           {openid.Rules{Status: map[string]int{"/.well-known/openid-configuration": 503}}, 0, ""},
	} {
		change(test.rules)
		b := s.Browser()
		s.Advance(10 * time.Second)
		page := b.Get("/login/strict?next=%2Fapps%2Fstrict%2Fsettings").Rest()
		change(openid.Rules{})
		if test.code == "" { // metadata is remembered for a day
			wantUser(t, page, "dana@acme.example")
			continue
		}
		if page.Status != test.status || page.FlowCode() != test.code {
			t.Errorf("%s: %d %s, want %d %s", name, page.Status, page.FlowCode(), test.status, test.code)
		}
		if cookie(b, "patchbay_session") != "" || cookie(b, "patchbay_login") != "" {
			t.Errorf("%s: cookies are left: %v", name, b.Cookies())
		}
		if (page.Header.Get("Retry-After") != "") != (page.Status == http.StatusServiceUnavailable) {
			t.Errorf("%s: %d with Retry-After %q", name, page.Status, page.Header.Get("Retry-After"))
		}
		wantSilent(t, page, "nonce", "audience", "signature", "canary", "evil.example")
		retry := page.Doc.Find(`a[href="/login/strict?next=%2Fapps%2Fstrict%2Fsettings"]`)
		if want := test.code != "connector_misconfigured"; (retry.Length() == 1) != want {
			t.Errorf("%s: the page offers to try again: %v, want %v", name, !want, want)
		}
	}
	wantUser(t, round(), "dana@acme.example")

	t.Run("never reached", func(t *testing.T) {
		s := stack.New(t, stack.Login())
		s.OpenID.Change(func(r *openid.Rules) { r.Status = map[string]int{"/.well-known/openid-configuration": 503} })
		p := s.Browser().Get("/login/strict")
		p.WantError(http.StatusServiceUnavailable, "provider_unavailable")
		wantNoCookie(t, p.Header)
		if p.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		s.OpenID.Close()
		s.Advance(10 * time.Second)
		s.Browser().Get("/login/strict").WantError(http.StatusServiceUnavailable, "provider_unavailable")
	})
	t.Run("inside the network", func(t *testing.T) {
		s := stack.New(t, stack.Login())
		inside := openid.New(t) // not on the list of what may be reached
		s.Apply(strings.ReplaceAll(s.AppsYAML(""), s.OpenID.URL, inside.URL))
		s.Browser().Get("/login/strict").WantError(http.StatusBadGateway, "connector_misconfigured")
		if n := len(inside.Calls("/.well-known/openid-configuration")); n != 0 {
			t.Errorf("it was called %d times", n)
		}
	})
}

// 12 h, or 1 h without use, whatever the browser keeps.
func TestLoginEnds(t *testing.T) {
	t.Parallel()
	s := stack.New(t, stack.Login())
	ended := func(b *stack.Browser) bool {
		p := b.Get("/apps/strict")
		return p.Status == http.StatusSeeOther && p.Location() == "/login/strict"
	}
	dana := s.Browser()
	visit(s, dana, "dana", "/apps/strict")
	for range 11 {
		s.Advance(59 * time.Minute)
		if ended(dana) {
			t.Fatal("a session in use ends")
		}
	}
	s.Advance(71 * time.Minute) // 12 h in all; and more than an hour without use
	if !ended(dana) {
		t.Error("the session lives for more than 12 h")
	}
	for i := range 13 {
		if i == 0 {
			visit(s, dana, "dana", "/apps/strict")
		}
		s.Advance(59 * time.Minute)
		if over := ended(dana); over != (i == 12) {
			t.Errorf("after %d times 59 minutes in use: ended %v", i+1, over)
		}
	}
	visit(s, dana, "dana", "/apps/strict")
	s.Advance(time.Hour)
	if !ended(dana) {
		t.Error("the session lives on after an hour without use")
	}
	// A flow that was begun in time outlives it, and stays the same user's.
	begun := visit(s, dana, "dana", "/apps/strict").Connect("github").Approve("dana@example.com")
	begun.WantStatus(http.StatusSeeOther)
	dana.Get("/apps/strict").Submit("logout")
	visit(s, dana, "sam", "/apps/strict")
	begun.Rest().WantFlow("connected", "connected")
	if rows := s.Rows(s.Strict); len(rows) != 1 || rows[0].Owner.User != "dana" {
		t.Errorf("the connection is %+v", rows)
	}
}

// A session made by a ticket never counts as a sign-in, and a link does for the user it
// is for and who has signed in.
func TestLoginIsProvenByLoginOnly(t *testing.T) {
	t.Parallel()
	s := stack.New(t, stack.Login())
	s.Strict.Call(http.MethodPost, "connect-sessions", stack.SessionFields("redirect", "dana"), stack.Bearer(s.Strict.All)).Want(http.StatusForbidden, "assurance_too_low")

	relaxed := strings.Replace(s.AppsYAML(""), "    min_assurance: app\n", "", 1)
	s.Apply(relaxed)
	dana := s.Browser()
	list := dana.SignIn(s.Strict, "dana")
	s.Apply(s.AppsYAML(""))
	list.Connect("github").WantFlow("failed", "assurance_too_low")
	s.WantNothingLinked(t)

	// A link can reach the minimum only by signing in, so that comes first.
	link := s.Strict.Link("dana", "github").URL
	here := s.Browser()
	here.Come(link).WantStatus(http.StatusSeeOther)
	page := visit(s, here, "dana", link)
	if page.URL.String() != link {
		t.Errorf("after the sign-in the browser is at %s, want the link", page.URL.Path)
	}
	page.Connect("github").Approve("dana@example.com").Rest().WantFlow("connected", "connected")
	other := s.Browser()
	visit(s, other, "mallory", "/apps/strict")
	other.Come(s.Strict.Link("dana", "github").URL).WantError(http.StatusForbidden, "user_mismatch")
}

// Nothing of a sign-in that could be used again is in the log or on a page.
func TestLoginKeepsItsSecrets(t *testing.T) {
	t.Parallel()
	s := stack.New(t, stack.Login())
	dana := s.Browser()
	visit(s, dana, "dana", "/apps/strict")
	s.OpenID.SignIn("sam")
	dana.Get("/login/strict").Follow().Follow().Submit("switch")
	for _, broken := range []openid.Rules{
		{Status: map[string]int{"/token": 400}}, {Status: map[string]int{"/token": 500}}, {Sign: openid.Unsigned},
		{Back: func(q url.Values) { q.Set("error", "canary-error") }}, {Error: "canary <error>"},
		{Back: func(q url.Values) { q.Set("code", "canary-code") }}, {Answer: func(m map[string]any) { m["id_token"] = "canary-id-token" }},
		{Person: map[string]any{"sub": "canary-\x00"}},
	} {
		s.OpenID.Change(func(r *openid.Rules) {
			if broken.Person == nil {
				broken.Person = maps.Clone(r.Person)
			}
			*r = broken
		})
		s.Browser().Get("/login/strict").Rest()
		s.OpenID.Change(func(r *openid.Rules) { *r = openid.Rules{Person: map[string]any{"sub": "dana"}} })
	}
	secrets := []string{"canary", "eyJ", s.OpenID.ClientSecret}
	for _, c := range s.OpenID.Calls("/token") {
		secrets = append(secrets, c.Form.Get("code"), c.Form.Get("code_verifier"), strings.TrimPrefix(c.Authorization, "Basic "))
	}
	for _, c := range s.OpenID.Calls("/authorize") {
		secrets = append(secrets, c.Query.Get("state"), c.Query.Get("nonce"))
	}
	if len(secrets) < 20 {
		t.Fatalf("only %d secrets were seen", len(secrets))
	}
	for _, secret := range secrets {
		if strings.Contains(s.Log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
		if strings.Contains(s.Seen.String(), secret) {
			t.Errorf("a page holds %q", secret)
		}
	}
}
