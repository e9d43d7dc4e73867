package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// foreign is a server of ours whose connectors point at an OAuth server that nobody
// here wrote. Both speak OpenID Connect as the catalogue's Google entry does.
type foreign struct {
	*server
	issuer string
	paths  opPaths
}

// opPaths are the endpoints of an OAuth server, below its issuer.
type opPaths struct{ authorize, token, revoke, userinfo string }

// client is a connector and its registration at the foreign server.
type client struct {
	connector, id, secret string
	revoke                string // query of the revocation address
	issuer                string // path below the issuer that is configured as issuer; "-" configures none
}

var foreignApps = template.Must(template.New("").Parse(`apps:
  - id: acme
    name: Acme Notes
    service_tokens:
      - {name: backend, token: "${ACME_SERVICE_TOKEN}", scopes: [tokens, sessions]}
    user_tokens: {hs256_secret: "${ACME_USER_TOKEN_SECRET}"}
    origins: [https://app.acme.example]
    return_urls: [https://app.acme.example/settings]
    connectors:{{range .}}
      - id: {{.ID}}
        type: googlecalendar
        client_id: {{.ClientID}}
        client_secret: {{.Secret}}
        scopes: [openid, profile, email, offline_access]
        endpoints:
          authorize: {{.Authorize}}
          token: {{.Token}}
          revoke: {{.Revoke}}
          userinfo: {{.Userinfo}}
          api: {{.Userinfo}}{{with .Issuer}}
          issuer: {{.}}{{end}}{{end}}
`))

// startForeign starts an OAuth server with run, which gets the redirect URIs of the
// clients, and then a server of ours with a connector for each client.
func startForeign(t *testing.T, paths opPaths, run func(redirectURIs []string) *process, clients ...client) *foreign {
	t.Helper()
	s := newSettings(t)
	var redirects []string
	for _, c := range clients {
		redirects = append(redirects, s.callback(c.connector))
	}
	op := run(redirects)
	f := &foreign{issuer: op.printed(t, op.stdout, `(?m)^(http://127\.0\.0\.1:\d+)$`)[0], paths: paths}
	s.sandbox = strings.TrimPrefix(f.issuer, "http://")

	var connectors []map[string]string
	for _, c := range clients {
		one := map[string]string{
			"ID": c.connector, "ClientID": c.id, "Secret": c.secret,
			"Authorize": f.issuer + paths.authorize, "Token": f.issuer + paths.token,
			"Revoke": f.issuer + paths.revoke + c.revoke, "Userinfo": f.issuer + paths.userinfo,
		}
		if c.issuer != "-" {
			one["Issuer"] = f.issuer + c.issuer
		}
		connectors = append(connectors, one)
	}
	var text strings.Builder
	if err := foreignApps.Execute(&text, connectors); err != nil {
		t.Fatal(err)
	}
	s.write(t, "apps.yaml", text.String())
	f.server = serve(t, s, sandbox{})
	return f
}

// callback is the redirect URI of a connector.
func (s settings) callback(connector string) string {
	return "http://" + s.publicHost() + "/oauth/callback/acme/" + connector
}

// zitadel is the example OP of zitadel/oidc, built once for all tests.
var zitadel struct {
	once   sync.Once
	path   string
	absent bool // `make tools` has not downloaded its modules
	err    error
}

func buildZitadel() {
	listed := exec.Command("go", "list", "-deps", ".")
	listed.Dir, listed.Env = "thirdparty", append(os.Environ(), "GOPROXY=off")
	if out, err := listed.CombinedOutput(); err != nil {
		zitadel.absent, zitadel.err = strings.Contains(string(out), "GOPROXY=off"), fmt.Errorf("%w\n%s", err, out)
		return
	}
	fmt.Fprintln(os.Stderr, "Building the example OP of zitadel/oidc, once: about 20 s with a cold cache.")
	zitadel.path = filepath.Join(filepath.Dir(patchbay), "zitadel")
	zitadel.err = buildProgram("thirdparty", zitadel.path)
}

// startZitadel starts the example OP of zitadel/oidc. It sends no iss, which a
// configured issuer would promise.
func startZitadel(t *testing.T, clients ...client) *foreign {
	t.Helper()
	zitadel.once.Do(buildZitadel)
	if zitadel.absent {
		missing(t, "a Go module of e2e/thirdparty")
	}
	if zitadel.err != nil {
		t.Fatal(zitadel.err)
	}
	run := func(redirectURIs []string) *process {
		return startCommand(t, nil, zitadel.path, redirectURIs...)
	}
	return startForeign(t, opPaths{"/auth", "/oauth/token", "/revoke", "/userinfo"}, run, clients...)
}

// startOIDCProvider starts npm oidc-provider.
func startOIDCProvider(t *testing.T, clients ...client) *foreign {
	t.Helper()
	needPackage(t, "oidc-provider/package.json")
	node := needModernNode(t)
	script, err := filepath.Abs("op.mjs")
	if err != nil {
		t.Fatal(err)
	}
	run := func(redirectURIs []string) *process {
		return startCommand(t, nil, node, append([]string{script}, redirectURIs...)...)
	}
	return startForeign(t, opPaths{"/auth", "/token", "/token/revocation", "/me"}, run, clients...)
}

// needModernNode returns a Node that oidc-provider runs on: the one that `make tools`
// put beside the npm packages because the system's is too old, or the system's.
func needModernNode(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("node_modules/node-linux-*/bin/node")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) > 0 {
		node, err := filepath.Abs(found[0])
		if err != nil {
			t.Fatal(err)
		}
		return node
	}
	node := needTool(t, "node")
	if err := exec.CommandContext(t.Context(), node, "modern.mjs").Run(); err != nil {
		missing(t, "a Node on which oidc-provider runs (22, or a late 20)")
	}
	return node
}

// asks follows a link of the user to the page that asks before it leads to the provider.
func (f *foreign) asks(v *visitor, user, connector string) *page {
	v.t.Helper()
	start := v.open(f.link(v.t, user, connector)).wantStatus(200)
	return start.press(`main [data-action="connect"], main [data-action="reconnect"]`).wantStatus(200).wantSays(user)
}

// token reads the user's token, with that much life left.
func (f *foreign) token(t *testing.T, user, connector string, minSeconds int) answer {
	t.Helper()
	path := fmt.Sprintf("app-user-auth/connectors/%s/token?min_seconds=%d", connector, minSeconds)
	return f.call(t, http.MethodGet, path, userToken(t, user), "")
}

// wantToken reads the user's token and requires that it works at its issuer, for the
// person with that e-mail address.
func (f *foreign) wantToken(t *testing.T, user, connector string, minSeconds int, email string) answer {
	t.Helper()
	a := f.token(t, user, connector, minSeconds)
	if a.status != http.StatusOK {
		t.Fatalf("reading the token: %v", a)
	}
	if got := f.emailOf(t, a.accessToken()); got != email {
		t.Fatalf("the token is of %q at its issuer, want %q: %v", got, email, a)
	}
	if missing, _ := a.body["missing_scopes"].([]any); len(missing) > 0 {
		t.Errorf("scopes are missing: %v", missing)
	}
	return a
}

func (a answer) accessToken() string { token, _ := a.body["access_token"].(string); return token }

// emailOf asks the issuer whose a token is; "" when it refuses the token.
func (f *foreign) emailOf(t *testing.T, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.issuer+f.paths.userinfo, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		if resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden {
			t.Fatalf("userinfo answers %d", resp.StatusCode)
		}
		return ""
	}
	var who struct{ Email string }
	if err := json.NewDecoder(resp.Body).Decode(&who); err != nil {
		t.Fatal(err)
	}
	return who.Email
}

// wantRefreshes reads until the token was refreshed twice: the second time with the
// refresh token that the first one brought, as both servers rotate.
func (f *foreign) wantRefreshes(t *testing.T, user, connector, email string) answer {
	t.Helper()
	last := f.wantToken(t, user, connector, 0, email)
	for range 2 {
		expires, err := time.Parse(time.RFC3339, fmt.Sprint(last.body["expires_at"]))
		if err != nil {
			t.Fatalf("the token does not expire: %v", last)
		}
		// The token falls below this within a second, and a fresh one has more. To ask
		// for a whole life would not do: then a token lives to its last tenth.
		almostAll := int(time.Until(expires).Seconds())
		before := last.accessToken()
		await(t, "a refresh", func() bool {
			last = f.wantToken(t, user, connector, almostAll, email)
			return last.accessToken() != before
		})
	}
	return last
}

// disconnect is the app's front end ending the user's connection.
func (f *foreign) disconnect(t *testing.T, user, connector string) (revoked string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, f.origin+"/api/apps/acme/app-user-auth/connectors/"+connector, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+userToken(t, user))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var said struct {
		Removed bool
		Revoked string
	}
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || !said.Removed {
		t.Fatalf("disconnecting: status %d, %+v", resp.StatusCode, said)
	}
	f.wantNotConnected(t, user, connector)
	return said.Revoked
}

func (f *foreign) wantNotConnected(t *testing.T, user, connector string) {
	t.Helper()
	if a := f.token(t, user, connector, 0); a.status != http.StatusNotFound || a.code() != "not_connected" {
		t.Errorf("reading the token of %s: %v", connector, a)
	}
}

// wantNoTokenFor redeems the code of a callback as a thief would who has it and the
// client's secret, but no PKCE verifier; and then with a verifier of the thief's own.
func (f *foreign) wantNoTokenFor(t *testing.T, c client, callback string) {
	t.Helper()
	code := query(t, callback).Get("code")
	if code == "" {
		t.Fatalf("the OP sent no code: %s", callback)
	}
	for _, verifier := range []string{"", strings.Repeat("thief", 10)} {
		form := url.Values{
			"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {f.settings.callback(c.connector)},
			"client_id": {c.id}, "client_secret": {c.secret},
		}
		if verifier != "" {
			form.Set("code_verifier", verifier)
		}
		if status, said := f.redeem(t, form); status != http.StatusBadRequest || said["access_token"] != nil {
			t.Errorf("a code without its verifier (%q): status %d, %v", verifier, status, said)
		}
	}
}

// redeem posts to the OP's token endpoint.
func (f *foreign) redeem(t *testing.T, form url.Values) (status int, said map[string]any) {
	t.Helper()
	resp, err := http.PostForm(f.issuer+f.paths.token, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, said
}

func query(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// withoutPKCE is an authorization request of somebody who leaves PKCE out.
func withoutPKCE(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 {
		t.Errorf("an authorization request without PKCE: %s", address)
	}
	q.Del("code_challenge")
	q.Del("code_challenge_method")
	q.Set("state", "somebody-else")
	u.RawQuery = q.Encode()
	return u.String()
}

const zitadelEmail = "test-user@zitadel.ch"

// zitadelLogin fills in the example OP's form; it knows this user.
func (p *page) zitadelLogin() *page {
	p.v.t.Helper()
	return p.press(`button[type="submit"]`, "username", "test-user@127.0.0.1", "password", "verysecure")
}

// The whole life of a connection at the example OP of zitadel/oidc, with a client that
// has to use PKCE.
func TestZitadel(t *testing.T) {
	t.Parallel()
	native := client{connector: "native", id: "native", secret: "needs-none", revoke: "?client_id=native", issuer: "-"}
	f := startZitadel(t, native)
	dana := newVisitor(t)

	asks := f.asks(dana, "dana", "native")
	authorize := asks.attr(`[data-action="continue"]`, "href")
	thief := newVisitor(t)
	thief.halt = "/oauth/callback/"
	f.wantNoTokenFor(t, native, thief.open(withoutPKCE(t, authorize)).zitadelLogin().url.String())

	login := asks.press(`[data-action="continue"]`).wantStatus(200)
	again := login.press(`button[type="submit"]`, "username", "test-user@127.0.0.1", "password", "wrong").wantStatus(200)
	dana.halt = "/oauth/callback/"
	callback := again.zitadelLogin().url.String()
	f.wantNoTokenFor(t, native, callback)
	f.wantNotConnected(t, "dana", "native")
	dana.halt = ""
	result := dana.open(callback).wantResult("connected", "connected")
	wantAccount(t, result, "main", zitadelEmail)
	first := f.wantToken(t, "dana", "native", 0, zitadelEmail)

	dana.open(callback).wantResult("connected", "connected")
	newVisitor(t).open(callback).wantError(403, "cookie_missing")
	if f.wantToken(t, "dana", "native", 0, zitadelEmail).accessToken() != first.accessToken() {
		t.Error("loading the callback again made another token")
	}

	last := f.wantRefreshes(t, "dana", "native", zitadelEmail)
	if revoked := f.disconnect(t, "dana", "native"); revoked != "yes" {
		t.Errorf("revoked: %s", revoked)
	}
	if f.emailOf(t, last.accessToken()) != "" {
		t.Error("the token lives on at the OP")
	}
}

// A client with a secret. The OP takes the secret in the body; a revocation that brings
// none, as Google's do, it refuses, and Patchbay says so.
func TestZitadelClientSecret(t *testing.T) {
	t.Parallel()
	right := client{connector: "right", id: "web", secret: "web-secret", issuer: "-"}
	wrong := client{connector: "wrong", id: "web", secret: "another-secret", issuer: "-"}
	f := startZitadel(t, right, wrong)

	dana := newVisitor(t)
	f.asks(dana, "dana", "wrong").press(`[data-action="continue"]`).zitadelLogin().wantResult("failed", "client_rejected")
	f.wantNotConnected(t, "dana", "wrong")

	f.asks(dana, "dana", "right").press(`[data-action="continue"]`).zitadelLogin().wantResult("connected", "connected")
	last := f.wantRefreshes(t, "dana", "right", zitadelEmail)
	if revoked := f.disconnect(t, "dana", "right"); revoked != "no" {
		t.Errorf("revoked: %s", revoked)
	}
	if f.emailOf(t, last.accessToken()) != zitadelEmail {
		t.Error("the OP refused the revocation, and yet the token is dead")
	}
}

// acme is the one client that op.mjs knows; its connector expects that iss.
func acme(connector, issuer string) client {
	return client{connector: connector, id: "acme", secret: "acme-secret", issuer: issuer}
}

// oidcProviderLogin signs in on oidc-provider's page and sees its consent page.
func (p *page) oidcProviderLogin(name string) *page {
	p.v.t.Helper()
	return p.press(`button[type="submit"]`, "login", name, "password", "any").wantStatus(200)
}

// What oidc-provider demands (PKCE) and promises (iss).
func TestOIDCProvider(t *testing.T) {
	t.Parallel()
	right, wrong := acme("right", ""), acme("wrong", "/another")
	f := startOIDCProvider(t, right, wrong)
	dana := newVisitor(t)

	// Another issuer than the configured one: the code is dropped.
	consent := f.asks(dana, "dana", "wrong").press(`[data-action="continue"]`).oidcProviderLogin("dana")
	consent.press(`button[type="submit"]`).wantResult("failed", "issuer_mismatch")
	f.wantNotConnected(t, "dana", "wrong")

	asks := f.asks(dana, "dana", "right")
	thief := newVisitor(t)
	thief.halt = "/oauth/callback/"
	refused := thief.open(withoutPKCE(t, asks.attr(`[data-action="continue"]`, "href"))).url.Query()
	if refused.Get("error") != "invalid_request" || !strings.Contains(refused.Get("error_description"), "PKCE") || refused.Has("code") {
		t.Errorf("an authorization request without PKCE: %v", refused)
	}
	consent = asks.press(`[data-action="continue"]`).wantStatus(200)
	dana.halt = "/oauth/callback/"
	callback := consent.press(`button[type="submit"]`).url.String()
	f.wantNoTokenFor(t, right, callback)
	dana.halt = ""
	dana.open(callback).wantResult("connected", "connected")
	f.wantToken(t, "dana", "right", 0, "dana@op.example")
}

// The whole life of a connection at oidc-provider, by a person in Chromium.
func TestOIDCProviderInChromium(t *testing.T) {
	t.Parallel()
	f := startOIDCProvider(t, acme("provider", ""))
	made := f.call(t, http.MethodPost, "connect-sessions", "", `{"mode":"redirect","user":{"id":"dana","email":"dana@acme.example"}}`)
	if made.status != http.StatusCreated {
		t.Fatalf("no session: %v", made)
	}
	b := openForeignTab(t, f)
	b.open(made.body["url"].(string))
	b.sees("main.list")

	// On the consent page Dana thinks better of it.
	b.toProvider("connect")
	b.types(`input[name="login"]`, "dana")
	b.types(`input[name="password"]`, "any")
	b.click(`button[type="submit"]`)
	b.sees(`input[name="prompt"][value="consent"] + button`)
	b.click(`a[href$="/abort"]`)
	b.sees(`main[data-flow-status="denied"][data-flow-code="access_denied"]`)
	f.wantNotConnected(t, "dana", "provider")

	// And then goes through with it. The OP knows who it is.
	b.open(f.origin + "/apps/acme")
	b.toProvider("connect")
	b.sees(`input[name="prompt"][value="consent"] + button`)
	b.click(`button[type="submit"]`)
	b.sees(`main[data-flow-status="connected"][data-flow-code="connected"]`)
	if got := b.says(`main [data-field="account"]`); !strings.Contains(got, "dana@op.example") {
		t.Errorf("the result names %q", got)
	}
	first := f.wantToken(t, "dana", "provider", 0, "dana@op.example")

	// A code that is redeemed twice ends the whole grant at this OP.
	callback := b.callback()
	if got := query(t, callback)["iss"]; len(got) != 1 || got[0] != f.issuer {
		t.Errorf("iss is %q", got)
	}
	b.open(callback)
	b.sees(`main[data-flow-status="connected"][data-flow-code="connected"]`)
	if f.wantToken(t, "dana", "provider", 0, "dana@op.example").accessToken() != first.accessToken() {
		t.Error("loading the callback again made another token")
	}

	last := f.wantRefreshes(t, "dana", "provider", "dana@op.example")
	b.open(f.origin + "/apps/acme/settings")
	b.click(card("provider", `[data-action="disconnect"]`))
	b.click(`[data-action="confirm"]`)
	b.sees(`main[data-revoked="yes"]`)
	f.wantNotConnected(t, "dana", "provider")
	if f.emailOf(t, last.accessToken()) != "" {
		t.Error("the token lives on at the OP")
	}
}

// foreignTab is Chromium on the pages of Patchbay and of oidc-provider.
type foreignTab struct {
	*tab
	mu        sync.Mutex
	callbacks []string // the addresses that the OP sent the browser back to
}

// openForeignTab opens a tab in which the font that oidc-provider's pages want from a
// third party is blocked, and not held against them.
func openForeignTab(t *testing.T, f *foreign) *foreignTab {
	t.Helper()
	const fonts = "https://fonts.googleapis.com/"
	b := &foreignTab{tab: openTab(t, true, f.origin, f.issuer)}
	command(b.tab, network.SetBlockedURLs, network.SetBlockedURLsParams{URLPatterns: []*network.BlockPattern{{URLPattern: fonts + "*", Block: true}}})
	t.Cleanup(func() {
		for _, fault := range b.takeFaults() {
			if !strings.Contains(fault, fonts) {
				t.Error(fault)
			}
		}
	})
	err := chromedp.Listen(b.ctx, func(event any) {
		if sent, ok := event.(*network.EventRequestWillBeSent); ok && strings.HasPrefix(sent.Request.URL, f.origin+"/oauth/callback/") {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.callbacks = append(b.callbacks, sent.Request.URL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// callback is the last address that the OP sent the browser back to.
func (b *foreignTab) callback() string {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.callbacks) == 0 {
		b.t.Fatal("the OP sent nobody back")
	}
	return b.callbacks[len(b.callbacks)-1]
}

// toProvider goes from the list through the page that asks to the provider's first page.
func (b *foreignTab) toProvider(action string) {
	b.t.Helper()
	b.click(card("provider", `[data-action="`+action+`"]`))
	b.click(`[data-action="continue"]`)
	b.sees(".login-card")
}

// types types into a field, key by key.
func (b *foreignTab) types(selector, text string) {
	b.t.Helper()
	b.do("typing into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
}
