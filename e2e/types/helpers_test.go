package types

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/oauth"
	"patchbay/provider"
	"patchbay/sandbox"
	"patchbay/vault"
)

// ownClient is not the default one, whose idle connections every test server closes that
// ends, also those that others are about to use.
var ownClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}

var ctx = context.Background()

// world is a sandbox with a clock of its own, and a client that shares the clock.
type world struct {
	*sandbox.Server
	web    *httptest.Server
	client *oauth.Client
	ahead  atomic.Int64 // how far the clock has been put forward
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	w.Server = sandbox.New(sandbox.Options{Now: w.now})
	w.web = httptest.NewServer(w.Server)
	t.Cleanup(w.web.Close)
	at, err := url.Parse(w.web.URL)
	if err != nil {
		t.Fatal(err)
	}
	outbound, err := oauth.NewHTTPClient([]string{at.Host})
	if err != nil {
		t.Fatal(err)
	}
	w.client = &oauth.Client{HTTP: outbound, Now: w.now}
	return w
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// later puts the clock forward.
func (w *world) later(d time.Duration) { w.ahead.Add(int64(d)) }

func catalogue(t *testing.T) *provider.Catalog {
	t.Helper()
	c, err := provider.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func entry(t *testing.T, typ string) *provider.Entry {
	t.Helper()
	e, ok := catalogue(t).Entry(typ)
	if !ok {
		t.Fatalf("the catalogue has no %s", typ)
	}
	return e
}

// registration is a connector of the type with every address in the sandbox, and the
// examples of the catalogue as params.
func (w *world) registration(t *testing.T, e *provider.Entry) oauth.Registration {
	t.Helper()
	base := w.web.URL + "/" + e.Type
	over := provider.Endpoints{
		Authorize: base + "/authorize", Token: base + "/token", Revoke: base + "/revoke",
		Userinfo: base + "/userinfo", API: base + "/api",
	}
	params := map[string]string{}
	for _, p := range e.Params {
		if p.Required && p.Default == "" {
			params[p.Name] = p.Example
		}
	}
	resolved, err := e.Resolve(params, over)
	if err != nil {
		t.Fatal(err)
	}
	return oauth.Registration{
		Entry: e, Endpoints: resolved, Overrides: over, ClientID: "client-of-" + e.Type, Params: params,
		ClientSecrets: []vault.Secret{vault.NewSecret("sandbox-secret")},
		RedirectURI:   "http://localhost:8080/oauth/callback/acme/" + e.Type,
	}
}

// visit is one authorization, as the browser brings it back.
type visit struct {
	reg      oauth.Registration
	asked    oauth.AuthorizeRequest
	address  string
	callback url.Values
}

var noRedirect = &http.Client{
	Transport:     ownClient.Transport,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// authorize sends a browser to the provider and takes what it comes back with.
func (w *world) authorize(t *testing.T, reg oauth.Registration, scenario, account string) visit {
	t.Helper()
	v, err := w.tryAuthorize(reg, scenario, account)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (w *world) tryAuthorize(reg oauth.Registration, scenario, account string) (visit, error) {
	v := visit{reg: reg, asked: oauth.AuthorizeRequest{
		State: oauth.NewVerifier(), Scopes: reg.Entry.DefaultScopes(), Verifier: oauth.NewVerifier(), Nonce: oauth.NewNonce(),
	}}
	if err := w.Next(scenario, account); err != nil {
		return v, err
	}
	var err error
	if v.address, err = w.client.AuthorizeURL(reg, v.asked); err != nil {
		return v, err
	}
	answer, err := noRedirect.Get(v.address)
	if err != nil {
		return v, err
	}
	defer answer.Body.Close()
	back, err := answer.Location()
	if err != nil {
		return v, fmt.Errorf("the provider did not send the browser back (status %d) from %s", answer.StatusCode, v.address)
	}
	v.callback = back.Query()
	if got := v.callback.Get("state"); got != v.asked.State {
		return v, fmt.Errorf("the state came back as %q", got)
	}
	return v, nil
}

func (v *visit) code() vault.Secret {
	return vault.NewSecret(v.callback.Get(v.reg.Entry.Authorize.CodeParam))
}

func (w *world) exchange(v visit) (oauth.Tokens, error) {
	verifier := vault.Secret{}
	if v.reg.Entry.UsesPKCE() {
		verifier = vault.NewSecret(v.asked.Verifier)
	}
	return w.client.Exchange(ctx, v.reg, v.code(), verifier, v.callback)
}

// whoami calls the API in the account's name and returns the status.
func (w *world) whoami(t *testing.T, typ string, t1 oauth.Tokens) int {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.web.URL+"/"+typ+"/api/whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+t1.AccessToken.Reveal())
	answer, err := ownClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}
