package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	redirectURI = "http://localhost:8080/oauth/callback/acme/x"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge   = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636 appendix B
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// rig is a sandbox that listens, its clock, and a client that follows no redirect.
type rig struct {
	*testing.T
	*Server
	clock  *clock
	url    string
	client *http.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	c := &clock{t: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
	s := New(Options{Now: c.Now})
	ts := httptest.NewServer(s)
	t.Cleanup(ts.Close)
	client := &http.Client{
		Transport:     &http.Transport{}, // the default one loses its connections when any test server closes
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &rig{T: t, Server: s, clock: c, url: ts.URL, client: client}
}

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func (a reply) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("no JSON object: %v: %s", err, a.body)
	}
	return v
}

func (g *rig) do(method, path string, header http.Header, body string) reply {
	g.Helper()
	req, err := http.NewRequest(method, g.url+path, strings.NewReader(body))
	if err != nil {
		g.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := g.client.Do(req)
	if err != nil {
		g.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		g.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(raw)}
}

func (g *rig) get(path string) reply { return g.do("GET", path, nil, "") }

func (g *rig) postForm(path string, form url.Values, header ...string) reply {
	h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return g.do("POST", path, h, form.Encode())
}

// api calls with a bearer token.
func (g *rig) api(path, token string) reply {
	return g.do("GET", path, http.Header{"Authorization": {"Bearer " + token}}, "")
}

// ask is the address of an authorization request; edits are pairs of names and values,
// an empty value leaves a parameter out.
func ask(typ string, edits ...string) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {"client-1"}, "redirect_uri": {redirectURI}, "state": {"st"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	switch typ {
	case "github":
		q.Set("scope", "read:user user:email")
	case "googlecalendar":
		q.Set("scope", "openid email profile "+googleScope+"calendar.readonly")
		q.Set("access_type", "offline")
		q.Set("prompt", "consent")
	case "slack":
		q.Set("user_scope", "users:read,channels:read")
	default:
		q.Set("scope", "openid email profile items.read")
	}
	for i := 0; i+1 < len(edits); i += 2 {
		q.Del(edits[i])
		if edits[i+1] != "" {
			q.Set(edits[i], edits[i+1])
		}
	}
	return "/" + typ + "/authorize?" + q.Encode()
}

// callback is the query of the redirect to the client.
func (g *rig) callback(a reply) url.Values {
	g.Helper()
	if a.status != 302 && a.status != 303 {
		g.Fatalf("status %d, want a redirect: %s", a.status, a.body)
	}
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		g.Fatal(err)
	}
	if got := u.Scheme + "://" + u.Host + u.Path; got != redirectURI {
		g.Fatalf("sent to %s", got)
	}
	return u.Query()
}

// code decides the next authorization and returns its code.
func (g *rig) code(typ, scenario, account string, edits ...string) string {
	g.Helper()
	if err := g.Next(scenario, account); err != nil {
		g.Fatal(err)
	}
	return g.callback(g.get(ask(typ, edits...))).Get("code")
}

func exchangeForm(code string, edits ...string) url.Values {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
		"client_id": {"client-1"}, "client_secret": {clientSecret},
	}
	return edit(form, edits)
}

func refreshForm(token string, edits ...string) url.Values {
	form := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {"client-1"}, "client_secret": {clientSecret},
	}
	return edit(form, edits)
}

func edit(form url.Values, edits []string) url.Values {
	for i := 0; i+1 < len(edits); i += 2 {
		form.Del(edits[i])
		if edits[i+1] != "" {
			form.Set(edits[i], edits[i+1])
		}
	}
	return form
}

// tokens are those of an answer, wherever the provider has put them.
type tokens struct {
	access, refresh string
	expires         float64
	scope           string
	raw             map[string]any
}

func (g *rig) tokens(a reply) tokens {
	g.Helper()
	raw := a.json(g.T)
	from := raw
	if user, ok := raw["authed_user"].(map[string]any); ok {
		from = user
	}
	var t tokens
	t.access, _ = from["access_token"].(string)
	t.refresh, _ = from["refresh_token"].(string)
	t.expires, _ = from["expires_in"].(float64)
	t.scope, _ = from["scope"].(string)
	t.raw = raw
	if t.access == "" {
		g.Fatalf("no access token in %s", a.body)
	}
	return t
}

// link goes through a whole authorization.
func (g *rig) link(typ, scenario, account string, edits ...string) tokens {
	g.Helper()
	return g.tokens(g.postForm("/"+typ+"/token", exchangeForm(g.code(typ, scenario, account, edits...))))
}

func (g *rig) refresh(typ, token string) reply {
	g.Helper()
	return g.postForm("/"+typ+"/token", refreshForm(token))
}

// failed is the name of the provider's error, "" when there is none.
func (g *rig) failed(a reply) string {
	g.Helper()
	name, _ := a.json(g.T)["error"].(string)
	return name
}

var allTypes = []string{"github", "googlecalendar", "slack", "generic"}
