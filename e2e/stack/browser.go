package stack

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
)

// Browser is a person with a browser of their own that runs no script. It sends what a
// browser sends: Origin with posts, Sec-Fetch headers, and no cookie with a form that
// comes from another site. It follows no redirect unless told to.
type Browser struct {
	stack *Stack
	jar   *cookiejar.Jar
	wire  *http.Transport
}

// Browser makes a clean one.
func (s *Stack) Browser() *Browser {
	jar, err := cookiejar.New(nil)
	must(s.t, err)
	b := &Browser{stack: s, jar: jar, wire: &http.Transport{}}
	// The public address is a name; wherever it would lead, the server is here.
	b.wire.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, _ := net.SplitHostPort(address); host == "localhost" || host == "patchbay.localhost" {
			address = s.Address
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	s.t.Cleanup(b.wire.CloseIdleConnections)
	return b
}

// Page is one answer that the browser shows.
type Page struct {
	URL    *url.URL
	Status int
	Header http.Header
	Body   string
	Doc    *goquery.Document

	browser *Browser
	part    *goquery.Selection // controls are looked for in here
	foreign bool               // the navigation that led here crossed sites
	framed  bool               // shown inside the app's page
}

// Request is a request of the browser that a test may change before it is sent.
type Request struct {
	*http.Request
	browser *Browser
	foreign bool
	framed  bool
}

// NewRequest prepares a navigation. from is the page it begins on, nil for an address
// that was typed.
func (b *Browser) NewRequest(from *url.URL, foreign bool, method, address string, form url.Values) *Request {
	b.stack.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.stack.URL + address
	}
	to, err := url.Parse(address)
	must(b.stack.t, err)
	req, err := http.NewRequestWithContext(b.stack.t.Context(), method, to.String(), strings.NewReader(form.Encode()))
	must(b.stack.t, err)
	foreign = foreign || (from != nil && from.Hostname() != to.Hostname())
	site := "none"
	switch {
	case foreign:
		site = "cross-site"
	case from != nil && from.Host != to.Host:
		site = "same-site"
	case from != nil:
		site = "same-origin"
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Sec-Fetch-Site", site)
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if from != nil {
			req.Header.Set("Origin", from.Scheme+"://"+from.Host)
		}
	}
	if method != http.MethodPost || !foreign { // SameSite=Lax
		for _, c := range b.jar.Cookies(to) {
			req.AddCookie(c)
		}
	}
	return &Request{Request: req, browser: b, foreign: foreign}
}

// Framed makes it a navigation of the frame inside the app's page: another site's page
// is around it, so no cookie goes along and none is kept.
func (r *Request) Framed() *Request {
	r.framed = true
	r.Header.Set("Sec-Fetch-Dest", "iframe")
	r.Header.Del("Cookie")
	return r
}

// Send sends it and returns the answer, a redirect as it is.
func (r *Request) Send() *Page {
	t := r.browser.stack.t
	t.Helper()
	p, err := r.TrySend()
	must(t, err)
	return p
}

// TrySend is Send for goroutines, which may not end a test.
func (r *Request) TrySend() (*Page, error) {
	address := *r.URL
	if r.URL.Scheme == "https" { // the proxy with TLS in front of the server
		plain := *r.URL
		plain.Scheme = "http"
		if plain.Port() == "" {
			plain.Host += ":443"
		}
		r.Host, r.Request.URL = address.Host, &plain
	}
	resp, err := r.browser.wire.RoundTrip(r.Request)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if !r.framed {
		r.browser.jar.SetCookies(&address, resp.Cookies())
	}
	p := &Page{URL: &address, Status: resp.StatusCode, Header: resp.Header, Body: string(body), browser: r.browser, foreign: r.foreign, framed: r.framed}
	if p.Doc, err = goquery.NewDocumentFromReader(strings.NewReader(p.Body)); err != nil {
		return nil, err
	}
	p.part = p.Doc.Selection
	if strings.HasPrefix(address.String(), r.browser.stack.URL) {
		_, _ = io.WriteString(r.browser.stack.Seen, p.Body+"\n")
	}
	return p, nil
}

// Get opens an address that was typed or pasted. A path is one of Patchbay's.
func (b *Browser) Get(address string) *Page {
	b.stack.t.Helper()
	return b.NewRequest(nil, false, http.MethodGet, address, nil).Send()
}

// Come opens an address of Patchbay as somebody does who is sent by another site.
func (b *Browser) Come(address string) *Page {
	b.stack.t.Helper()
	return b.NewRequest(nil, true, http.MethodGet, address, nil).Send()
}

// Frame loads an embed session's address into the app's page.
func (b *Browser) Frame(cs Session) *Page {
	b.stack.t.Helper()
	return b.NewRequest(nil, true, http.MethodGet, cs.URL, nil).Framed().Send()
}

// Cookies lists what the browser holds for Patchbay.
func (b *Browser) Cookies() []*http.Cookie { return b.jar.Cookies(b.publicURL()) }

// SetCookie plants a cookie.
func (b *Browser) SetCookie(name, value string) {
	b.jar.SetCookies(b.publicURL(), []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

func (b *Browser) publicURL() *url.URL {
	u, err := url.Parse(b.stack.URL)
	must(b.stack.t, err)
	return u
}

// AtApp signs the browser in to the app's own site, where verify_url is.
func (b *Browser) AtApp(a *App, user string) *Browser {
	u, err := url.Parse(b.stack.site.URL)
	must(b.stack.t, err)
	b.jar.SetCookies(u, []*http.Cookie{{Name: siteCookie + a.ID, Value: url.QueryEscape(user), Path: "/"}})
	return b
}

// SignIn comes from the app as that user, at the app's own site too, and shows the
// list of connectors.
func (b *Browser) SignIn(a *App, user string, more ...map[string]any) *Page {
	b.stack.t.Helper()
	return b.AtApp(a, user).Enter(a.Session(user, more...))
}

// Enter opens a connect session's address and shows the list.
func (b *Browser) Enter(cs Session) *Page {
	b.stack.t.Helper()
	return b.Come(cs.URL).WantStatus(http.StatusSeeOther).Follow().WantStatus(http.StatusOK)
}

// Flow connects all the way from the app to the result page, approving at the provider.
func (b *Browser) Flow(a *App, user, connector, account string) *Page {
	b.stack.t.Helper()
	return b.SignIn(a, user).Connect(connector).Approve(account).Rest().WantStatus(http.StatusOK)
}

// T is the test that the page belongs to.
func (p *Page) T() testing.TB { return p.browser.stack.t }

// In narrows the page to one connector.
func (p *Page) In(connector string) *Page {
	p.T().Helper()
	part := p.Doc.Find(`[data-connector="` + connector + `"]`)
	if part.Length() != 1 {
		p.T().Fatalf("%s shows connector %q %d times\n%s", p.URL, connector, part.Length(), p.Body)
	}
	narrow := *p
	narrow.part = part
	return &narrow
}

func (p *Page) control(action string) *goquery.Selection {
	p.T().Helper()
	found := p.part.Find(`[data-action="` + action + `"]`)
	if found.Length() != 1 {
		p.T().Fatalf("%s (%d) has %d controls %q\n%s", p.URL, p.Status, found.Length(), action, p.Body)
	}
	return found
}

// Has reports whether the page has a control.
func (p *Page) Has(action string) bool { return p.part.Find(`[data-action="`+action+`"]`).Length() > 0 }

// Href is where a link leads.
func (p *Page) Href(action string) string {
	p.T().Helper()
	href, ok := p.control(action).Attr("href")
	if !ok {
		p.T().Fatalf("%s: %q is no link", p.URL, action)
	}
	return href
}

// Click follows a link.
func (p *Page) Click(action string) *Page {
	p.T().Helper()
	href, err := p.URL.Parse(p.Href(action))
	must(p.T(), err)
	r := p.browser.NewRequest(p.URL, false, http.MethodGet, href.String(), nil)
	return p.stay(r, p.control(action).AttrOr("target", "")).Send()
}

// Go leads from this page to an address.
func (p *Page) Go(address string) *Page {
	p.T().Helper()
	to, err := p.URL.Parse(address)
	must(p.T(), err)
	return p.stay(p.browser.NewRequest(p.URL, false, http.MethodGet, to.String(), nil), "").Send()
}

// stay keeps a navigation that begins in a frame in the frame, unless its control
// leads elsewhere.
func (p *Page) stay(r *Request, target string) *Request {
	if p.framed && target == "" {
		return r.Framed()
	}
	return r
}

// Form is the form of a button: where it posts and every field as printed.
func (p *Page) Form(action string) (string, url.Values) {
	p.T().Helper()
	button := p.control(action)
	form := button.Closest("form")
	if form.Length() != 1 {
		p.T().Fatalf("%s: %q is in no form", p.URL, action)
	}
	fields := url.Values{}
	form.Find("input[name], select[name]").Each(func(_ int, in *goquery.Selection) {
		value := in.AttrOr("value", "")
		if goquery.NodeName(in) == "select" {
			value = in.Find("option[selected]").AttrOr("value", "")
		}
		fields.Add(in.AttrOr("name", ""), value)
	})
	if name, ok := button.Attr("name"); ok {
		fields.Add(name, button.AttrOr("value", ""))
	}
	to, err := p.URL.Parse(form.AttrOr("action", ""))
	must(p.T(), err)
	return to.String(), fields
}

// Prepare is Submit up to the sending.
func (p *Page) Prepare(action string, fill ...string) *Request {
	p.T().Helper()
	to, fields := p.Form(action)
	for i := 0; i+1 < len(fill); i += 2 {
		fields.Set(fill[i], fill[i+1])
	}
	button := p.control(action)
	target := button.AttrOr("formtarget", button.Closest("form").AttrOr("target", ""))
	return p.stay(p.browser.NewRequest(p.URL, false, http.MethodPost, to, fields), target)
}

// Submit presses a button. fill are names and values that the person fills in.
func (p *Page) Submit(action string, fill ...string) *Page {
	p.T().Helper()
	return p.Prepare(action, fill...).Send()
}

// Location is where a redirect leads, "" for none.
func (p *Page) Location() string { return p.Header.Get("Location") }

// Follow follows one redirect.
func (p *Page) Follow() *Page {
	p.T().Helper()
	to, err := p.URL.Parse(p.Location())
	must(p.T(), err)
	if p.Location() == "" {
		p.T().Fatalf("%s (%d) leads nowhere\n%s", p.URL, p.Status, p.Body)
	}
	return p.stay(p.browser.NewRequest(p.URL, p.foreign, http.MethodGet, to.String(), nil), "").Send()
}

// Rest follows redirects to the page at their end.
func (p *Page) Rest() *Page {
	p.T().Helper()
	for range 10 {
		if p.Location() == "" {
			return p
		}
		p = p.Follow()
	}
	p.T().Fatalf("%s: redirected in circles", p.URL)
	return p
}

// Connect presses connect (or reconnect) and shows the interstitial.
func (p *Page) Connect(connector string) *Page {
	p.T().Helper()
	part := p.In(connector)
	action := "connect"
	if part.Has("reconnect") {
		action = "reconnect"
	}
	return part.Submit(action).WantStatus(http.StatusOK)
}

// Choose decides at the provider, from the interstitial: a scenario and an account. It
// returns the provider's answer, which is a redirect in most scenarios.
func (p *Page) Choose(scenario, account string) *Page {
	p.T().Helper()
	return p.Click("continue").WantStatus(http.StatusOK).Submit("approve", "scenario", scenario, "account", account)
}

// Approve approves at the provider and returns its redirect to our callback.
func (p *Page) Approve(account string) *Page {
	p.T().Helper()
	return p.Choose("approve", account).WantStatus(http.StatusSeeOther)
}

// FlowID is the id of the flow that an interstitial or a result is of.
func (p *Page) FlowID() string { return p.Doc.Find("main").AttrOr("data-flow-id", "") }

// FlowStatus is the status on a result page.
func (p *Page) FlowStatus() string { return p.Doc.Find("main").AttrOr("data-flow-status", "") }

// FlowCode is the code on a result or error page.
func (p *Page) FlowCode() string { return p.Doc.Find("main").AttrOr("data-flow-code", "") }

// Field is the text of a data-field.
func (p *Page) Field(name string) string {
	return strings.TrimSpace(p.part.Find(`[data-field="` + name + `"]`).First().Text())
}

// State is how the page shows a connector.
func (p *Page) State(connector string) string {
	p.T().Helper()
	return p.In(connector).part.AttrOr("data-state", "")
}

// WantStatus requires the status of the answer.
func (p *Page) WantStatus(status int) *Page {
	p.T().Helper()
	if p.Status != status {
		p.T().Fatalf("%s: status %d, want %d\n%s", p.URL.Redacted(), p.Status, status, p.Body)
	}
	return p
}

// WantError requires an error page with status and code.
func (p *Page) WantError(status int, code string) *Page {
	p.T().Helper()
	if p.Status != status || p.FlowCode() != code {
		p.T().Errorf("%s: got %d %q, want %d %q", p.URL, p.Status, p.FlowCode(), status, code)
	}
	return p
}

// WantFlow requires a result page with status and code.
func (p *Page) WantFlow(status, code string) *Page {
	p.T().Helper()
	if p.Status != http.StatusOK || p.FlowStatus() != status || p.FlowCode() != code {
		p.T().Errorf("%s: got %d, flow %q %q, want 200, flow %q %q", p.URL, p.Status, p.FlowStatus(), p.FlowCode(), status, code)
	}
	return p
}

// WantResult requires a redirect to the result page, follows it, and requires how the
// flow ended.
func (p *Page) WantResult(status, code string) *Page {
	p.T().Helper()
	to, err := p.URL.Parse(p.Location())
	must(p.T(), err)
	if p.Status != http.StatusSeeOther || !strings.HasPrefix(to.String(), p.browser.stack.URL+"/flows/") {
		p.T().Fatalf("%s: got %d to %q, want 303 to the result\n%s", p.URL, p.Status, p.Location(), p.Body)
	}
	return p.Follow().WantFlow(status, code)
}

// Query is the query of the address that a redirect leads to.
func (p *Page) Query() url.Values {
	to, err := url.Parse(p.Location())
	must(p.T(), err)
	return to.Query()
}
