package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/provider"
	"patchbay/vault"
)

// now is when every test takes place.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// fake is a provider: an HTTP server on loopback that answers as told and remembers
// what it was asked.
type fake struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]http.HandlerFunc
	got     []received
}

type received struct {
	Method, Path, Query string
	Header              http.Header
	Form                url.Values        // of a form body
	JSON                map[string]string // of a JSON body
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{answers: map[string]http.HandlerFunc{}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	got := received{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header}
	switch r.Header.Get("Content-Type") {
	case "application/json":
		_ = json.Unmarshal(body, &got.JSON)
	case "application/x-www-form-urlencoded":
		got.Form, _ = url.ParseQuery(string(body))
	}
	f.mu.Lock()
	f.got = append(f.got, got)
	answer := f.answers[r.URL.Path]
	f.mu.Unlock()
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	answer(w, r)
}

// on sets what a path answers; several bodies are given one after the other, the last
// one for ever.
func (f *fake) on(path string, status int, bodies ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[path] = func(w http.ResponseWriter, _ *http.Request) {
		body := bodies[0]
		if len(bodies) > 1 {
			bodies = bodies[1:]
		}
		if strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[") {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func (f *fake) handle(path string, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[path] = h
}

// calls returns what was asked so far, and the last of it.
func (f *fake) calls() []received {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.got)
}

func (f *fake) last(t *testing.T) received {
	t.Helper()
	all := f.calls()
	if len(all) == 0 {
		t.Fatal("the provider was not called")
	}
	return all[len(all)-1]
}

func (f *fake) hostPort() string { return strings.TrimPrefix(f.URL, "http://") }

// client is the guarded client, allowed to reach the fakes.
func client(t *testing.T, fakes ...*fake) *Client {
	t.Helper()
	var allow []string
	for _, f := range fakes {
		allow = append(allow, f.hostPort())
	}
	hc, err := NewHTTPClient(allow)
	if err != nil {
		t.Fatal(err)
	}
	return &Client{HTTP: hc, Now: func() time.Time { return now }}
}

func entry(t *testing.T, typ string) *provider.Entry {
	t.Helper()
	c, err := provider.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	e, ok := c.Entry(typ)
	if !ok {
		t.Fatalf("no entry %s", typ)
	}
	return e
}

// changed is an entry with something else than its file says.
func changed(t *testing.T, typ string, change func(*provider.Entry)) *provider.Entry {
	e := *entry(t, typ)
	e.Errors.Codes = maps.Clone(e.Errors.Codes)
	change(&e)
	return &e
}

// at is a connector of a type with every address on the fake, as in the sandbox.
func (f *fake) at(t *testing.T, e *provider.Entry) Registration {
	t.Helper()
	base := f.URL + "/" + e.Type
	over := provider.Endpoints{
		Authorize: base + "/authorize", Token: base + "/token", Revoke: base + "/revoke",
		Userinfo: base + "/userinfo", API: base + "/api",
	}
	resolved, err := e.Resolve(nil, over)
	if err != nil {
		t.Fatal(err)
	}
	return Registration{
		Entry: e, Endpoints: resolved, Overrides: over, ClientID: "client-1",
		ClientSecrets: secrets("sandbox-secret"), RedirectURI: "http://localhost:8080/oauth/callback/acme/" + e.Type,
	}
}

func secrets(values ...string) []vault.Secret {
	var list []vault.Secret
	for _, v := range values {
		list = append(list, vault.NewSecret(v))
	}
	return list
}

// quiet takes what a test server would say about clients that hang up.
var quiet = log.New(io.Discard, "", 0)

var (
	ctx      = context.Background()
	code     = vault.NewSecret("4/code")
	verifier = vault.NewSecret(strings.Repeat("v", 43))
	refresh  = vault.NewSecret("refresh-1")
)

// oauthError is err as an *Error, which every failed call returns.
func oauthError(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("not an *Error: %v", err)
	}
	return e
}

// accountOf is Account for tokens that nobody looks at afterwards.
func (c *Client) accountOf(ctx context.Context, r Registration, t Tokens) (Account, error) {
	return c.Account(ctx, r, &t)
}
