package hostile

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"patchbay/connect/doctor"
	"patchbay/e2e/stack"
)

// at is a page of ours that a request begins on.
func at(s *stack.Stack, path string) *url.URL {
	u, err := url.Parse(s.URL + path)
	if err != nil {
		panic(err)
	}
	return u
}

// builder signs a browser in to the builder's page.
func builder(t *testing.T, s *stack.Stack, b *stack.Browser, a *stack.App, key string) *stack.Page {
	t.Helper()
	return b.NewRequest(at(s, "/builder/"+a.ID), false, http.MethodPost, "/builder/"+a.ID, url.Values{"key": {key}}).Send()
}

func TestBuilderSignIn(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	signedIn := func(b *stack.Browser, app string) bool {
		p := b.Get("/builder/" + app).WantStatus(http.StatusOK)
		return p.Doc.Find(`[data-field="user"]`).Length() == 1
	}
	b := s.Browser()
	for name, key := range map[string]string{
		"none": "", "made up": "b44k_" + strings.Repeat("x", 40), "of another app": s.Other.Builder, "a service token": s.Acme.All,
		"a user token": s.Acme.JWT("dana"), "cut": s.Acme.Builder[:len(s.Acme.Builder)-1],
	} {
		p := builder(t, s, b, s.Acme, key)
		if p.Status != http.StatusUnauthorized || p.Header.Get("Set-Cookie") != "" || signedIn(b, "acme") {
			t.Errorf("a key that is %s: %d, cookie %q", name, p.Status, p.Header.Get("Set-Cookie"))
		}
	}
	nobody := &stack.App{ID: "nosuch"}
	if p := builder(t, s, b, nobody, s.Acme.Builder); p.Status != http.StatusUnauthorized {
		t.Errorf("an app that does not exist: %d", p.Status)
	}

	b.SignIn(s.Acme, "dana")
	before := b.Cookies()[0].Value
	p := builder(t, s, b, s.Acme, s.Acme.Builder)
	if p.Status != http.StatusSeeOther || p.Location() != "/builder/acme" || !signedIn(b, "acme") || signedIn(b, "other") {
		t.Fatalf("%d %s", p.Status, p.Location())
	}
	if b.Cookies()[0].Value == before {
		t.Error("the sign-in kept the browser's former secret")
	}
	if got := b.Get("/apps/acme").WantStatus(http.StatusOK).Field("user"); !strings.Contains(got, "dana") {
		t.Errorf("the end user of this browser is now %q", got)
	}
	stolen := s.Browser()
	stolen.SetCookie("patchbay_session", before)
	if signedIn(stolen, "acme") {
		t.Error("the former secret opens the builder's page")
	}
	b.SignIn(s.Acme, "dana")
	if !signedIn(b, "acme") {
		t.Error("the sign-in of an end user ended the builder's")
	}

	b.Get("/builder/acme").Submit("logout").WantStatus(http.StatusSeeOther)
	if signedIn(b, "acme") || b.Get("/apps/acme").Status != http.StatusOK {
		t.Error("signing out of the builder's page did not do just that")
	}
	builder(t, s, b, s.Acme, s.Acme.Builder)
	s.Advance(time.Hour)
	if signedIn(b, "acme") {
		t.Error("signed in after an hour")
	}
	builder(t, s, b, s.Acme, s.Acme.Builder)
	old := s.Acme.Builder
	s.Acme.Builder = "b44k_" + strings.Repeat("n", 40)
	s.Apply(s.AppsYAML(""))
	if signedIn(b, "acme") {
		t.Errorf("the key %s is gone from the apps file, and its session is not", old[:8])
	}
}

func TestBuilderPageNeedsTheKey(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	b, stranger := s.Browser(), s.Browser()
	builder(t, s, b, s.Acme, s.Acme.Builder)
	page := b.Get("/builder/acme")
	for _, action := range []string{"preview", "check", "connectors/team/share"} {
		p := stranger.NewRequest(at(s, "/builder/acme"), false, http.MethodPost, "/builder/acme/"+action, url.Values{}).Send()
		p.WantStatus(http.StatusUnauthorized)
	}
	_, form := page.In("github").Form("connect")
	refused := stranger.NewRequest(at(s, "/builder/acme"), false, http.MethodPost, "/start", form).Send()
	refused.WantError(http.StatusConflict, "expired")
	stranger.SignIn(s.Acme, "dana")
	stranger.NewRequest(at(s, "/builder/acme"), false, http.MethodPost, "/start", form).Send().WantError(http.StatusConflict, "expired")
	if n := s.TokenCalls(); n != 0 {
		t.Errorf("%d calls of token endpoints", n)
	}
	// The ticket was not used up by those who may not, and works once for whom it is.
	page.In("github").Submit("connect").WantStatus(http.StatusOK)
	page.In("github").Submit("connect").WantError(http.StatusConflict, "expired")
}

func TestBuilderTriesAndKeepsNothing(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	b := s.Browser()
	builder(t, s, b, s.Strict, s.Strict.Builder) // whose minimum of assurance concerns end users
	for _, connector := range []string{"github", "team"} {
		start := b.Get("/builder/strict").In(connector).Submit("connect").WantStatus(http.StatusOK)
		if start.Doc.Find("meta[http-equiv=refresh]").Length() != 0 {
			t.Errorf("%s: the try goes on without a press", connector)
		}
		before := s.TokenCalls()
		page := start.Approve("dana@example.com").Rest()
		page.WantFlow("connected", "connected")
		if s.TokenCalls() != before+1 {
			t.Errorf("%s: %d calls of the token endpoint", connector, s.TokenCalls()-before)
		}
		if text := page.Doc.Find("main").Text(); !strings.Contains(strings.ToLower(text), "dana") || !strings.Contains(text, "Nothing here.") {
			t.Errorf("%s: the result says %q", connector, text)
		}
		if s.Sandbox.Calls("", "/revoke") == 0 {
			t.Errorf("%s: the access was not given back", connector)
		}
	}
	if rows := s.Rows(s.Strict); len(rows) != 0 {
		t.Errorf("%d connections after tries", len(rows))
	}
	denied := b.Get("/builder/strict").In("github").Submit("connect").Choose("deny", "").Rest()
	denied.WantFlow("denied", "access_denied")

	// Another browser that finishes it gets nothing exchanged.
	before := s.TokenCalls()
	location := b.Get("/builder/strict").In("github").Submit("connect").Approve("dana@example.com")
	s.Browser().Get(location.Location()).WantError(http.StatusForbidden, "cookie_missing")
	if s.TokenCalls() != before {
		t.Error("a browser that did not begin the try had its code exchanged")
	}
}

func TestBuilderTryLeavesTheLinkedAccountAlone(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	dana := s.Browser()
	dana.Flow(s.Acme, "dana", "github", "dana@example.com").WantFlow("connected", "connected")
	b := s.Browser()
	builder(t, s, b, s.Acme, s.Acme.Builder)
	p := b.Get("/builder/acme").In("github").Submit("connect").Approve("dana@example.com").Rest()
	p.WantFlow("connected", "connected")
	if n := s.Sandbox.Calls("", "/revoke"); n != 0 {
		t.Errorf("%d revocations beside a linked account", n)
	}
	s.Acme.Token("dana", "github").Want(http.StatusOK, "")
}

func TestBuilderFindsAndTells(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	dana := s.Browser()
	dana.Flow(s.Acme, "dana", "github", "dana@example.com").WantFlow("connected", "connected")
	dana.Get("/apps/acme").Connect("slack").Choose("wrong_iss", "").Rest()
	b := s.Browser()
	builder(t, s, b, s.Acme, s.Acme.Builder)
	page := b.Get("/builder/acme?user=dana")
	if text := page.Doc.Find("#user").Text(); !strings.Contains(text, "dana@example.com") {
		t.Errorf("found for dana: %q", text)
	}
	failed := page.Doc.Find("#failed [data-flow-code]")
	if failed.Length() != 1 || failed.AttrOr("data-flow-code", "") != "issuer_mismatch" || len(failed.AttrOr("data-trace", "")) != 24 {
		t.Errorf("failed: %s", page.Doc.Find("#failed").Text())
	}
	if text := b.Get("/builder/acme?user=" + url.QueryEscape("<b>nobody")).Doc.Find("#user").Text(); !strings.Contains(text, "<b>nobody") {
		t.Errorf("found for nobody: %q", text)
	}
	builder(t, s, b, s.Other, s.Other.Builder)
	other := b.Get("/builder/other?user=dana")
	if text := other.Doc.Find("main").Text(); strings.Contains(text, "dana@example.com") || other.Doc.Find("#failed [data-flow-code]").Length() != 0 {
		t.Error("another app's builder sees dana's")
	}
	for _, secret := range []string{stack.ClientSecret, s.Acme.All, s.Acme.Builder} {
		if strings.Contains(page.Body, secret) {
			t.Error("the page holds a secret")
		}
	}
	for connector, want := range map[string]string{"github": "/oauth/callback/acme/github", "team": "/oauth/callback/acme/team"} {
		if got := page.In(connector).Field("redirect_uri"); got != s.URL+want {
			t.Errorf("%s: redirect URI %q", connector, got)
		}
	}
}

func TestBuilderPreview(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	b := s.Browser()
	builder(t, s, b, s.Acme, s.Acme.Builder)
	page := b.NewRequest(at(s, "/builder/acme"), false, http.MethodPost, "/builder/acme/preview", url.Values{}).Send().WantStatus(http.StatusOK)
	if !strings.Contains(page.Header.Get("Content-Security-Policy"), "frame-src 'self'") {
		t.Error("the page may not show its frame")
	}
	address := page.Doc.Find("iframe").AttrOr("src", "")
	frame := b.NewRequest(at(s, "/builder/acme"), false, http.MethodGet, address, nil).Framed().Send().WantStatus(http.StatusOK)
	if csp := frame.Header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "frame-ancestors "+s.URL) {
		t.Errorf("the preview may be framed by: %s", csp)
	}
	if got := frame.Field("user"); !strings.HasPrefix(got, "builder-preview-") || len(got) < 32 {
		t.Errorf("the preview is of %q", got)
	}
	if strings.Contains(b.Get("/builder/acme").Header.Get("Content-Security-Policy"), "frame-src") {
		t.Error("the page may hold frames without a preview")
	}
}

func TestBuilderSharesByTheLink(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	b := s.Browser()
	builder(t, s, b, s.Acme, s.Acme.Builder)
	share := func() *stack.Page {
		return b.NewRequest(at(s, "/builder/acme"), false, http.MethodPost, "/builder/acme/connectors/team/share", url.Values{}).Send()
	}
	link := share().WantStatus(http.StatusSeeOther)
	p := link.Follow().Submit("connect").Approve("team@example.com").Rest()
	p.WantFlow("connected", "connected")
	if text := b.Get("/builder/acme").Doc.Find("#shared").Text(); !strings.Contains(text, "Connected") {
		t.Errorf("shared: %q", text)
	}
	share().WantStatus(http.StatusOK)
	b.NewRequest(at(s, "/builder/acme"), false, http.MethodPost, "/builder/acme/connectors/github/share", url.Values{}).Send().WantStatus(http.StatusNotFound)
}

// A pass is made with the keys. Any other is no pass, and the page answers as to anybody.
func TestDoctorsPassIsTheKeys(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	good := doctor.Pass(s.Service.Sealer, time.Now())
	ask := func(method, path string, passes ...string) *stack.Page {
		r := s.Browser().NewRequest(nil, false, method, path, nil)
		r.Header[doctor.Header] = passes
		return r.Send()
	}
	if p := ask(http.MethodGet, "/apps/acme", good); p.Status != http.StatusOK || !strings.Contains(p.Body, `"doctor":1`) {
		t.Fatalf("a good pass: %d %s", p.Status, p.Body)
	}
	other := stack.New(t)
	for name, passes := range map[string][]string{
		"none": nil, "empty": {""}, "garbage": {"x"}, "cut": {good[:len(good)-2]}, "twice": {good, good},
		"of other keys": {doctor.Pass(other.Service.Sealer, time.Now())},
		"old":           {doctor.Pass(s.Service.Sealer, time.Now().Add(-2*time.Hour))},
		"of the future": {doctor.Pass(s.Service.Sealer, time.Now().Add(2*time.Hour))},
	} {
		if p := ask(http.MethodGet, "/apps/acme", passes...); p.Status != http.StatusUnauthorized || strings.Contains(p.Body, `"doctor"`) {
			t.Errorf("%s: %d", name, p.Status)
		}
	}
	if p := ask(http.MethodPost, "/start", good); strings.Contains(p.Body, `"doctor"`) {
		t.Error("a post was answered")
	}
	if p := ask(http.MethodGet, "/oauth/callback/acme/github?state=x&code=secret-code", good); strings.Contains(s.Log.String(), "secret-code") || p.Status != http.StatusOK {
		t.Error("what the doctor sends is in the log")
	}
}
