package e2e

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// hostile is a page of Mallory's own, on an origin of its own.
func hostile(t *testing.T, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>prize</title>"+body)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// victor is somebody else, in a browser of their own: signed in to Acme as dana, and to
// Patchbay if session says so.
func (b framed) victor(session bool) tourist {
	b.t.Helper()
	v := tourist{openTab(b.t, true), b.demo}
	if session {
		v.accounts("dana")
	} else {
		v.open(b.demo.app + "/")
		v.click(`[data-user="dana"]`)
		v.seesFrame()
	}
	return v
}

// mallory is sam, with a frame of his own.
func mallory(t *testing.T) framed {
	t.Helper()
	b := openDemo(t, startDemo(t), true)
	b.open(b.demo.app + "/")
	b.click(`[data-user="sam"]`)
	b.seesFrame()
	f := framed{tourist: b}
	f.frame = f.target("iframe", b.demo.patchbay+"/embed/")
	return f
}

// wantNothing requires that no token endpoint was called and nobody has a connection.
func (b framed) wantNothing() {
	b.t.Helper()
	for _, typ := range []string{"github", "slack", "googlecalendar"} {
		b.demo.provider().wantCalls("/"+typ+"/token", 0)
	}
	for _, user := range []string{"dana", "sam"} {
		if got := b.api(http.MethodGet, "users/"+user+"/connections", ""); got != `{"connections":[]}` {
			b.t.Errorf("%s has %s", user, got)
		}
	}
}

// api calls Patchbay as Acme's back end.
func (b framed) api(method, path, body string) string {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.demo.patchbay+"/api/apps/acme/"+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer demo-service-token-acme")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// Mallory begins in the frame and sends Victor the provider's address.
func TestSecurity1To3_AuthorizeAddressForwarded(t *testing.T) {
	t.Parallel()
	m := mallory(t)
	m.frame.click(card("github", `[data-action="connect"]`))
	p := m.target("page", m.demo.sandbox)
	p.sees(`[data-action="approve"]`)
	address := p.address()
	for _, session := range []bool{false, true} {
		v := m.victor(session)
		v.open(address)
		v.click(`[data-action="approve"]`)
		v.sees(`main[data-flow-code="cookie_missing"]`)
		v.takeFaults()
	}
	m.wantNothing()
}

// Mallory sends Victor what only the app's page may hold: the frame's address, as a page
// and in a frame of his own; and his start form, on a page that submits it by itself.
func TestSecurity2And34_FrameForwardedAndFramed(t *testing.T) {
	t.Parallel()
	m := mallory(t)
	address := m.frame.address()
	ticket := evaluate[string](m.frame, `document.querySelector("[data-connector=github] [name=ticket]").value`)
	v := m.victor(true)
	v.open(address)
	v.sees(`main[data-flow-code="framed_wrongly"]`)

	v.open(hostile(t, `<iframe id=f src="`+html.EscapeString(address)+`"></iframe>`))
	v.sees("#f")
	inner := framed{tourist: v}.target("iframe", "")
	awaitFor(t, patience, "the refusal", func() bool { return strings.HasPrefix(evaluate[string](inner, "location.href"), "chrome-error:") })

	form := fmt.Sprintf(`<form method=post action="%s/start"><input name=ticket value="%s"></form><script>document.forms[0].submit()</script>`, m.demo.patchbay, html.EscapeString(ticket))
	v.open(hostile(t, form))
	v.sees(`main[data-flow-code="origin_rejected"]`)
	v.takeFaults()
	inner.takeFaults()
	m.wantNothing()
}

// Mallory sends Victor the address of a session of his own. The flow that Victor makes
// in it is Mallory's by name, and the app, asked, says that it is Victor who sits there.
func TestSecurity2_SessionForwarded(t *testing.T) {
	t.Parallel()
	m := mallory(t)
	session := func() string {
		made := m.api(http.MethodPost, "connect-sessions", `{"mode":"redirect","user":{"id":"sam","email":"sam@acme.example"}}`)
		_, rest, _ := strings.Cut(made, `"url":"`)
		address, _, _ := strings.Cut(rest, `"`)
		return address
	}
	signedIn := m.victor(true)
	signedIn.open(session())
	signedIn.sees(`[data-action="switch"]`) // both are named, nothing has changed
	signedIn.list()
	if who := signedIn.says(`[data-field="user"]`); who != "dana@acme.example" {
		t.Errorf("the session is %s's", who)
	}
	v := m.victor(false)
	v.open(session())
	v.sees("main.list")
	v.click(card("github", `[data-action="connect"]`))
	v.click(`[data-action="approve"]`)
	v.sees(`[data-code="user_mismatch"]`) // Acme's own page
	v.takeFaults()
	signedIn.takeFaults()
	m.wantNothing()
}

// A window that opened our pages, and a page that they could be told to talk to, hear
// nothing and cannot steer them.
func TestSecurity38_OpenerHearsNothing(t *testing.T) {
	t.Parallel()
	m := mallory(t)
	v := m.victor(true)
	at := hostile(t, `<script>
		window.heard = []; addEventListener("message", e => heard.push(e.origin));
		addEventListener("click", () => { window.opened = open("`+m.demo.patchbay+`/apps/acme") });
	</script><button>prize</button>`)
	v.open(at)
	v.click("button")
	tab := framed{tourist: v}.target("page", m.demo.patchbay+"/apps/acme")
	tab.sees("main.list")
	if evaluate[bool](tab, "!!window.opener") {
		t.Error("our page knows its opener")
	}
	tab.front()
	tab.click(card("github", `[data-action="connect"]`))
	tab.click(`[data-action="approve"]`)
	tab.sees(`main[data-flow-status="connected"]`)
	v.front()
	if n := evaluate[int](v.tab, "heard.length"); n != 0 {
		t.Errorf("the opener heard %d messages", n)
	}
	if evaluate[bool](v.tab, `(() => { try { return !!opened.document } catch { return false } })()`) {
		t.Error("the opener reads our page")
	}
	// What the tab keeps in its history holds nothing that could be used.
	history, err := chromedp.Call(tab.ctx, cdppage.GetNavigationHistory, chromedp.Void{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range history.Entries {
		to, err := url.Parse(e.URL)
		if err != nil || !strings.HasPrefix(e.URL, m.demo.patchbay) {
			continue
		}
		for _, secret := range []string{"code", "state", "ticket", "token", "result_code", "posted"} {
			if to.Query().Has(secret) {
				t.Errorf("the history keeps %s", e.URL)
			}
		}
	}
	v.takeFaults()
	tab.takeFaults()
}
