package e2e

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
)

// visitor is a person with a browser that runs no script. It sends what a browser
// sends: Origin and Sec-Fetch headers, and no cookie with a form from another site.
type visitor struct {
	t     *testing.T
	http  *http.Client
	jar   *cookiejar.Jar
	trail []string // every address of the last navigation, redirects included
	halt  string   // a redirect to an address with this text is not followed
}

func newVisitor(t *testing.T) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, jar: jar, http: &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// page is what the visitor sees.
type page struct {
	v      *visitor
	url    *url.URL
	status int
	header http.Header
	doc    *goquery.Document
}

// open types an address.
func (v *visitor) open(address string) *page {
	v.t.Helper()
	return v.navigate(nil, http.MethodGet, address, nil)
}

// navigate follows redirects to the page at their end.
func (v *visitor) navigate(from *url.URL, method, address string, form url.Values) *page {
	v.t.Helper()
	v.trail = nil
	site := "none"
	for range 20 {
		to, err := url.Parse(address)
		if err != nil {
			v.t.Fatal(err)
		}
		v.trail = append(v.trail, address)
		site = fetchSite(site, from, to)
		resp, err := v.http.Do(v.request(from, method, to, site, form))
		if err != nil {
			v.t.Fatal(err)
		}
		v.jar.SetCookies(to, resp.Cookies())
		if location := resp.Header.Get("Location"); location != "" && resp.StatusCode >= 300 && resp.StatusCode < 400 {
			resp.Body.Close()
			if resp.StatusCode == http.StatusTemporaryRedirect || resp.StatusCode == http.StatusPermanentRedirect {
				v.t.Fatalf("%s answers %d, which sends a form on", to, resp.StatusCode)
			}
			next, err := to.Parse(location)
			if err != nil {
				v.t.Fatal(err)
			}
			address, method, form = next.String(), http.MethodGet, nil
			if v.halt == "" || !strings.Contains(address, v.halt) {
				continue
			}
			v.trail = append(v.trail, address)
			return &page{v: v, url: next, status: resp.StatusCode, header: resp.Header, doc: &goquery.Document{}}
		}
		doc, err := goquery.NewDocumentFromReader(resp.Body)
		resp.Body.Close()
		if err != nil {
			v.t.Fatal(err)
		}
		return &page{v: v, url: to, status: resp.StatusCode, header: resp.Header, doc: doc}
	}
	v.t.Fatalf("redirected in circles: %v", v.trail)
	return nil
}

// request is what a browser sends for a navigation. Cookies are Lax, so a form from
// another site goes without.
func (v *visitor) request(from *url.URL, method string, to *url.URL, site string, form url.Values) *http.Request {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, to.String(), strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	h := req.Header
	h.Set("Sec-Fetch-Dest", "document")
	h.Set("Sec-Fetch-Mode", "navigate")
	h.Set("Sec-Fetch-Site", site)
	h.Set("Accept", "text/html")
	if method == http.MethodPost {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		h.Set("Origin", from.Scheme+"://"+from.Host)
		if site == "cross-site" {
			return req
		}
	}
	for _, c := range v.jar.Cookies(to) {
		req.AddCookie(c)
	}
	return req
}

// fetchSite is Sec-Fetch-Site: a redirect chain is as foreign as its worst step.
func fetchSite(before string, from, to *url.URL) string {
	switch {
	case from == nil:
		return "none"
	case before == "cross-site" || from.Hostname() != to.Hostname():
		return "cross-site"
	case before == "same-site" || from.Host != to.Host:
		return "same-site"
	}
	return "same-origin"
}

// passed finds the address of the last navigation that has the text.
func (v *visitor) passed(text string) string {
	v.t.Helper()
	for _, address := range v.trail {
		if strings.Contains(address, text) {
			return address
		}
	}
	v.t.Fatalf("no address with %q in %v", text, v.trail)
	return ""
}

// press follows a link, or submits the form of a button with every field as printed.
// fields are names and values that the visitor fills in.
func (p *page) press(control string, fields ...string) *page {
	p.v.t.Helper()
	el := p.one(control)
	if goquery.NodeName(el) == "a" {
		to, err := p.url.Parse(el.AttrOr("href", ""))
		if err != nil {
			p.v.t.Fatal(err)
		}
		return p.v.navigate(p.url, http.MethodGet, to.String(), nil)
	}
	form := el.Closest("form")
	if form.Length() != 1 || goquery.NodeName(el) != "button" {
		p.v.t.Fatalf("%s is neither a link nor the button of a form", control)
	}
	to, err := p.url.Parse(form.AttrOr("action", p.url.String()))
	if err != nil {
		p.v.t.Fatal(err)
	}
	values := formValues(form)
	if name := el.AttrOr("name", ""); name != "" {
		values.Set(name, el.AttrOr("value", ""))
	}
	for i := 0; i+1 < len(fields); i += 2 {
		if form.Find(fmt.Sprintf("[name=%q]", fields[i])).Length() == 0 {
			p.v.t.Fatalf("the form has no field %q", fields[i])
		}
		values.Set(fields[i], fields[i+1])
	}
	return p.v.navigate(p.url, strings.ToUpper(form.AttrOr("method", "get")), to.String(), values)
}

func formValues(form *goquery.Selection) url.Values {
	values := url.Values{}
	form.Find("input[name], select[name]").Each(func(_ int, field *goquery.Selection) {
		value := field.AttrOr("value", "")
		if goquery.NodeName(field) == "select" {
			chosen := field.Find("option[selected]")
			if chosen.Length() == 0 {
				chosen = field.Find("option")
			}
			value = chosen.First().AttrOr("value", "")
		}
		values.Set(field.AttrOr("name", ""), value)
	})
	return values
}

// one is the only element that the selector finds.
func (p *page) one(selector string) *goquery.Selection {
	p.v.t.Helper()
	el := p.doc.Find(selector)
	if el.Length() != 1 {
		p.v.t.Fatalf("%s (status %d) has %d of %s:\n%s", p.url, p.status, el.Length(), selector, p.text("body"))
	}
	return el
}

func (p *page) has(selector string) bool { return p.doc.Find(selector).Length() > 0 }

// text is what the selector's elements say, in one line.
func (p *page) text(selector string) string {
	return strings.Join(strings.Fields(p.doc.Find(selector).Text()), " ")
}

func (p *page) attr(selector, name string) string {
	p.v.t.Helper()
	return p.one(selector).AttrOr(name, "")
}

// reload loads the page once more.
func (p *page) reload() *page {
	p.v.t.Helper()
	return p.v.open(p.url.String())
}

func (p *page) wantStatus(want int) *page {
	p.v.t.Helper()
	if p.status != want {
		p.v.t.Fatalf("%s: status %d, want %d: %s", p.url, p.status, want, p.text("main"))
	}
	return p
}

// wantHas requires each selector to find something.
func (p *page) wantHas(selectors ...string) *page {
	p.v.t.Helper()
	for _, s := range selectors {
		if !p.has(s) {
			p.v.t.Errorf("%s has no %s: %s", p.url, s, p.text("main"))
		}
	}
	return p
}

// wantNo requires each selector to find nothing.
func (p *page) wantNo(selectors ...string) *page {
	p.v.t.Helper()
	for _, s := range selectors {
		if p.has(s) {
			p.v.t.Errorf("%s has a %s", p.url, s)
		}
	}
	return p
}

// wantSays requires the page to say each of the words somewhere in main.
func (p *page) wantSays(words ...string) *page {
	p.v.t.Helper()
	for _, w := range words {
		if !strings.Contains(p.text("main"), w) {
			p.v.t.Errorf("%s does not say %q: %s", p.url, w, p.text("main"))
		}
	}
	return p
}
