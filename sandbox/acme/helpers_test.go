package acme

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"golang.org/x/net/html"

	"patchbay/sandbox"
)

const serviceToken = "service-token-of-the-tests"

// call is one request that the fake Patchbay got.
type call struct {
	method, path, onBehalf string
	body                   map[string]any
}

// fakePatchbay answers as CONTRACT section 6 has it, from what a test has put in.
type fakePatchbay struct {
	t           *testing.T
	url         string
	mu          sync.Mutex
	calls       []call
	connections string                               // the JSON list of GET users/{id}/connections
	token       map[string]string                    // by connector: the JSON answer of a token read
	override    map[string]func(http.ResponseWriter) // by path prefix, for what goes wrong
}

func (p *fakePatchbay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/api/apps/acme")
	c := call{method: r.Method, path: path, onBehalf: r.Header.Get("on-behalf-of")}
	raw, _ := io.ReadAll(r.Body)
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &c.body); err != nil || r.Header.Get("Content-Type") != "application/json" {
			p.t.Errorf("%s %s: a body that is no JSON: %s", r.Method, path, raw)
		}
	}
	p.mu.Lock()
	p.calls = append(p.calls, c)
	n := len(p.calls)
	p.mu.Unlock()

	if r.Header.Get("Authorization") != "Bearer "+serviceToken {
		fail(w, 401, "unauthorized", "")
		return
	}
	for prefix, answer := range p.override {
		if strings.HasPrefix(path, prefix) {
			answer(w)
			return
		}
	}
	switch {
	case r.Method == "POST" && path == "/connect-sessions":
		kind := "session/ticket"
		if c.body["mode"] == "embed" {
			kind = "embed/token"
		}
		w.WriteHeader(201)
		fmt.Fprintf(w, `{"id":"cs_%d","url":"%s/%s%d","token":"ut_%d","expires_at":"2026-11-23T10:00:00Z"}`, n, p.url, kind, n, n)
	case r.Method == "DELETE" && strings.HasPrefix(path, "/connect-sessions/"):
		w.WriteHeader(204)
	case r.Method == "POST" && strings.HasSuffix(path, "/confirm"):
		fmt.Fprintf(w, `{"flow":"f1","status":"connected","code":"connected","connection":null,"result_url":"%s/flows/f1"}`, p.url)
	case r.Method == "GET" && strings.HasPrefix(path, "/users/"):
		fmt.Fprintf(w, `{"connections":%s}`, p.connections)
	case r.Method == "GET" && strings.HasPrefix(path, "/app-user-auth/connectors/"):
		connector := strings.Split(path, "/")[3]
		if !strings.HasPrefix(c.onBehalf, "Bearer ut_") {
			fail(w, 401, "unauthorized", "")
		} else if answer, ok := p.token[connector]; ok {
			io.WriteString(w, answer)
		} else {
			fail(w, 404, "not_connected", "")
		}
	default:
		fail(w, 404, "not_found", "")
	}
}

func fail(w http.ResponseWriter, status int, code, connectURL string) {
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"code": code, "message": "internal detail of " + code, "trace": "t1", "connect_url": connectURL})
}

// made lists the calls of a method and path prefix.
func (p *fakePatchbay) made(method, prefix string) []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []call
	for _, c := range p.calls {
		if c.method == method && strings.HasPrefix(c.path, prefix) {
			out = append(out, c)
		}
	}
	return out
}

// rig is Acme, listening, between a fake Patchbay and a real sandbox, and a browser.
type rig struct {
	*testing.T
	patchbay *fakePatchbay
	sandbox  *sandbox.Server
	box      string // the sandbox's address
	url      string
	browser  *http.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	p := &fakePatchbay{t: t, connections: "[]", token: map[string]string{}, override: map[string]func(http.ResponseWriter){}}
	patchbayServer := httptest.NewServer(p)
	t.Cleanup(patchbayServer.Close)
	p.url = patchbayServer.URL
	box := sandbox.New(sandbox.Options{})
	boxServer := httptest.NewServer(box)
	t.Cleanup(boxServer.Close)

	g := &rig{T: t, patchbay: p, sandbox: box, box: boxServer.URL, browser: newBrowser()}
	g.serve(boxServer.URL)
	return g
}

// serve starts Acme with the provider at this address.
func (g *rig) serve(provider string) {
	var handler http.Handler
	acmeServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	g.Cleanup(acmeServer.Close)
	g.url = acmeServer.URL
	handler = New(Config{
		PatchbayURL: g.patchbay.url, SandboxURL: provider, PublicURL: g.url, AppID: "acme", ServiceToken: serviceToken,
		Types: []Type{{"googlecalendar", "Google Calendar"}, {"github", "GitHub"}, {"slack", "Slack"}},
	})
}

func newBrowser() *http.Client {
	jar, _ := cookiejar.New(nil)
	return &http.Client{
		Jar:           jar,
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type reply struct {
	status   int
	location string
	header   http.Header
	body     string
}

func (g *rig) send(req *http.Request) reply {
	g.Helper()
	resp, err := g.browser.Do(req)
	if err != nil {
		g.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		g.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header.Get("Location"), resp.Header, string(raw)}
}

func (g *rig) get(path string) reply {
	g.Helper()
	req, err := http.NewRequest("GET", g.url+path, nil)
	if err != nil {
		g.Fatal(err)
	}
	return g.send(req)
}

// post sends a form as a page of Acme does; header pairs override.
func (g *rig) post(path string, form url.Values, header ...string) reply {
	g.Helper()
	req, err := http.NewRequest("POST", g.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		g.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", g.url)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return g.send(req)
}

func (g *rig) signIn(id string) {
	g.Helper()
	if a := g.post("/login", url.Values{"user": {id}}); a.status != 303 || a.location != "/" {
		g.Fatalf("signing in: status %d, to %q", a.status, a.location)
	}
}

func (g *rig) has(a reply, wanted ...string) {
	g.Helper()
	for _, want := range wanted {
		if !strings.Contains(a.body, want) {
			g.Errorf("the page lacks %s:\n%s", want, a.body)
		}
	}
}

// page reads an answer as a browser with script off would, so that noscript counts.
func (g *rig) page(a reply) *goquery.Document {
	g.Helper()
	if a.status != 200 {
		g.Fatalf("status %d: %s", a.status, a.body)
	}
	root, err := html.ParseWithOptions(strings.NewReader(a.body), html.ParseOptionEnableScripting(false))
	if err != nil {
		g.Fatal(err)
	}
	return goquery.NewDocumentFromNode(root)
}

// provide gets a real token of the sandbox and makes Patchbay answer with it.
func (g *rig) provide(typ, scenario, account, query string) {
	g.Helper()
	if err := g.sandbox.Next(scenario, account); err != nil {
		g.Fatal(err)
	}
	const redirect = "http://localhost/cb"
	resp, err := g.browser.Get(g.box + "/" + typ + "/authorize?response_type=code&client_id=c&redirect_uri=" + url.QueryEscape(redirect) + query)
	if err != nil {
		g.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		g.Fatal(err)
	}
	resp, err = g.browser.PostForm(g.box+"/"+typ+"/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {redirect},
		"client_id": {"c"}, "client_secret": {"sandbox-secret"},
	})
	if err != nil {
		g.Fatal(err)
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	var answer struct {
		AccessToken string `json:"access_token"`
		AuthedUser  struct {
			AccessToken string `json:"access_token"`
		} `json:"authed_user"`
	}
	token := ""
	if json.Unmarshal(raw, &answer) == nil {
		token = answer.AccessToken + answer.AuthedUser.AccessToken
	} else if form, err := url.ParseQuery(string(raw)); err == nil {
		token = form.Get("access_token")
	}
	if token == "" {
		g.Fatalf("no token in %s", raw)
	}
	g.patchbay.token[typ] = fmt.Sprintf(`{"access_token":%q,"integration_type":%q,"connection_config":null,"token_type":"Bearer","expires_at":null,"scopes":[],"missing_scopes":[],"account":{"id":"1","name":null,"email":null}}`, token, typ)
}

// fillFrom reads an account of a provider that answers so.
func fillFrom(t *testing.T, answer http.HandlerFunc, got *reading, typ ...string) error {
	t.Helper()
	ts := httptest.NewServer(answer)
	t.Cleanup(ts.Close)
	client := newBrowser()
	token := accessToken{Value: "x", Type: "github"}
	if len(typ) > 0 {
		token.Type = typ[0]
	}
	return (&provider{base: ts.URL, http: client}).fill(t.Context(), token, got)
}
