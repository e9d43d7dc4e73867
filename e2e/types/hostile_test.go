package types

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"patchbay/e2e/stack"
	"patchbay/oauth"
	"patchbay/provider"
	"patchbay/vault"
)

// badHosts are what is tried where something becomes part of a host.
var badHosts = []string{
	"evil.com#", "evil.com/", "evil.com?", "evil.com\\", "x@evil.com", "evil.com:443", "evil.com%2f", "..", ".", "a..b", ".evil", "evil.",
	"evil。com", "evil｡com", "ｅvil", "127.0.0.1", "2130706433", "0x7f000001", "017700000001", "[::1]", "[::ffff:169.254.169.254]",
	"169.254.169.254", "localhost", "evil.com", "a b", "a\tb", "a\r\nHost: evil.com", "a\x00", "-", "_", "*", "{subdomain}", "https://evil.com",
	"evil.com.", "xn--e1afmkfd.com", "a.evil.com", strings.Repeat("a", 300),
}

// SECURITY 69, for the params of every type: whatever somebody types, the addresses stay
// with the provider.
func TestSecurity69_HostsOfEveryType(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, typ := range catalogue(t).Types() {
		e := entry(t, typ)
		good := map[string]string{}
		for _, p := range e.Params {
			good[p.Name] = p.Example
		}
		own := hosts(t, e, good)
		for _, p := range e.Params {
			for _, domain := range append([]string{""}, p.Domains...) {
				for _, bad := range badHosts {
					for _, value := range []string{bad, bad + "." + domain, domain + "." + bad, domain + bad, bad + domain, "@" + domain, domain + "@" + bad} {
						tried++
						given := map[string]string{}
						for name, v := range good {
							given[name] = v
						}
						given[p.Name] = value
						for host := range hosts(t, e, given) {
							if !withinAny(host, own, p.Domains) {
								t.Errorf("%s: %s=%q leads to the host %q", typ, p.Name, value, host)
							}
						}
					}
				}
			}
		}
		for i := range e.ConnectionConfig {
			v := &e.ConnectionConfig[i]
			for _, domain := range v.Domains {
				for _, bad := range badHosts {
					for _, value := range []string{bad, domain + "." + bad, domain + bad, "https://" + bad, "https://" + domain + "." + bad, "https://" + domain + bad, "http://" + domain, "https://x@" + domain, "https://" + domain + "/x", "https://" + domain + ":8443"} {
						tried++
						if bad == "." || bad == "" || !v.Accepts(value) {
							continue
						}
						u, err := url.Parse(value)
						if err != nil || u.Scheme == "" {
							u, err = url.Parse("https://" + value)
						}
						if err != nil || !withinAny(u.Hostname(), nil, v.Domains) || u.Port() != "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
							t.Errorf("%s: %s takes %q", typ, v.Name, value)
						}
					}
				}
			}
		}
	}
	if tried < 10_000 {
		t.Errorf("only %d values were tried", tried)
	}
}

// hosts are those of the addresses for params; none where they are refused.
func hosts(t *testing.T, e *provider.Entry, params map[string]string) map[string]bool {
	t.Helper()
	r, err := e.Resolve(params, provider.Endpoints{})
	if err != nil {
		return nil
	}
	found := map[string]bool{}
	for _, address := range []string{r.Authorize, r.Token, r.Refresh, r.Revoke, r.Userinfo, r.API} {
		if address == "" {
			continue
		}
		_, rest, _ := strings.Cut(address, "://")
		host, _, _ := strings.Cut(rest, "/")
		host, _, _ = strings.Cut(host, "?")
		if strings.HasPrefix(host, "{config.") {
			continue // filled in later, from a value that is checked on its own
		}
		found[host] = true
	}
	return found
}

// withinAny reports whether the host is one of the type's own, below the same registered
// domain as one of them, or below one of the domains.
func withinAny(host string, own map[string]bool, domains []string) bool {
	if own[host] {
		return true
	}
	for o := range own {
		labels := strings.Split(o, ".")
		if site := strings.Join(labels[max(0, len(labels)-2):], "."); strings.HasSuffix(host, "."+site) && plainHost(host) {
			return true
		}
	}
	for _, d := range domains {
		if (host == d || strings.HasSuffix(host, "."+d)) && plainHost(host) {
			return true
		}
	}
	return false
}

func plainHost(host string) bool {
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	})
}

// SECURITY 15, for every type: an iss that is not the provider's, or is there twice, is
// refused before the token request; one that is promised must be there.
func TestSecurity15_IssuerOfEveryType(t *testing.T) {
	t.Parallel()
	for _, typ := range catalogue(t).Types() {
		e := entry(t, typ)
		params := map[string]string{}
		for _, p := range e.Params {
			params[p.Name] = p.Example
		}
		r, err := e.Resolve(params, provider.Endpoints{})
		if err != nil {
			t.Fatal(err)
		}
		good := r.Issuer
		if good == "" {
			u, _ := url.Parse(r.Authorize)
			good = u.Scheme + "://" + u.Host
		}
		for _, iss := range [][]string{{"https://attacker.example"}, {good, good}, {good + "/"}, {strings.ToUpper(good)}, {""}, {good + ".attacker.example"}} {
			if e.CheckIssuer(provider.Endpoints{}, r, iss) == nil {
				t.Errorf("%s: iss %q is taken", typ, iss)
			}
		}
		if err := e.CheckIssuer(provider.Endpoints{}, r, []string{good}); err != nil {
			t.Errorf("%s: its own iss is refused: %v", typ, err)
		}
		over := provider.Endpoints{Issuer: "https://id.example"}
		moved, _ := e.Resolve(params, over)
		if e.CheckIssuer(over, moved, nil) == nil || e.CheckIssuer(over, moved, []string{good}) == nil {
			t.Errorf("%s: with an issuer of the operator's, none or another is taken", typ)
		}
	}
}

// A stage is a provider of a type that answers as it is told, and whoever else hears.
type stage struct {
	*httptest.Server
	mu     sync.Mutex
	answer http.HandlerFunc
	heard  []heard
}

type heard struct{ method, uri, authorization, body string }

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength+1)
		n, _ := r.Body.Read(body)
		s.mu.Lock()
		s.heard = append(s.heard, heard{r.Method, r.RequestURI, r.Header.Get("Authorization"), string(body[:n])})
		answer := s.answer
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *stage) says(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.heard = h, nil
}

func (s *stage) requests() []heard {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]heard(nil), s.heard...)
}

// onStage is a client of the type whose every address is on the stage.
func onStage(t *testing.T, e *provider.Entry, s *stage, more ...*stage) (*oauth.Client, oauth.Registration) {
	t.Helper()
	var reach []string
	for _, at := range append(more, s) {
		reach = append(reach, strings.TrimPrefix(at.URL, "http://"))
	}
	outbound, err := oauth.NewHTTPClient(reach)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{web: s.Server}
	return &oauth.Client{HTTP: outbound}, w.registration(t, e)
}

// goodCode is what this type's callback brings.
func goodCode(t *testing.T, e *provider.Entry) (vault.Secret, url.Values) {
	t.Helper()
	w := newWorld(t)
	v := w.authorize(t, w.registration(t, e), "approve", "")
	v.callback.Set("realmId", "9341453474484455")
	return v.code(), v.callback
}

// SECURITY 70, for every type: no endpoint's redirect is followed, and the second host
// hears nothing.
func TestSecurity70_RedirectsOfEveryType(t *testing.T) {
	t.Parallel()
	for _, typ := range catalogue(t).Types() {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			e := entry(t, typ)
			code, callback := goodCode(t, e)
			first, second := newStage(t), newStage(t)
			second.says(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"access_token":"stolen"}`)) })
			c, reg := onStage(t, e, first, second)
			for _, status := range []int{301, 302, 303, 307, 308} {
				first.says(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, second.URL+"/x", status) })
				if _, err := c.Exchange(ctx, reg, code, vault.NewSecret(oauth.NewVerifier()), callback); oauth.ClassOf(err) != oauth.ProviderFault {
					t.Errorf("%d, exchange: %v", status, err)
				}
				if _, err := c.Refresh(ctx, reg, vault.NewSecret("refresh"), nil); oauth.ClassOf(err) != oauth.ProviderFault {
					t.Errorf("%d, refresh: %v", status, err)
				}
				tokens := held(e)
				if _, err := c.Account(ctx, reg, &tokens); err == nil {
					t.Errorf("%d: an account", status)
				}
				if got := c.Revoke(ctx, reg, held(e)); got == oauth.RevokedYes {
					t.Errorf("%d: revoked %s", status, got)
				}
			}
			if len(second.requests()) > 0 {
				t.Errorf("the second host heard %v", second.requests())
			}
		})
	}
}

// held is a connection's tokens, with everything that its addresses need.
func held(e *provider.Entry) oauth.Tokens {
	config := map[string]string{}
	for _, v := range e.ConnectionConfig {
		config[v.Name] = "acct_1"
		if len(v.Domains) > 0 {
			config[v.Name] = v.Domains[0]
		}
	}
	return oauth.Tokens{AccessToken: vault.NewSecret("access"), RefreshToken: vault.NewSecret("refresh"), ConnectionConfig: config}
}

// SECURITY 72 to 74, for every type: what is malformed although 200 is a fault of the
// provider's or an error it names, never a token and never a panic; a token of 64 KB is
// kept whole.
func TestSecurity73_MalformedAnswersToEveryType(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	bodies := []string{
		"", "null", "[]", "<!doctype html>", `"access_token"`, `{"access_token":"a"`, `{"access_token":"a","access_token":"b"}`, `{"access_token":1}`,
		`{"access_token":{}}`, `{"access_token":"a\nb"}`, `{"access_token":" "}`, `{"data":[{"access_token":null}]}`, `{"authed_user":{"access_token":[]}}`,
		`{"access_token":"a","x":` + deep + `}`, `{"ok":true}`, `{"ok":false}`, `{"error":{"code":"ok"}}`, "access_token=a&access_token=b",
		`{"access_token":"a","expires_in":` + strings.Repeat("9", 500) + `}garbage`, "\x00\x01\x02", `{"access_token":"` + strings.Repeat("a", 2<<20) + `"}`,
	}
	for _, typ := range catalogue(t).Types() {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			e := entry(t, typ)
			code, callback := goodCode(t, e)
			s := newStage(t)
			c, reg := onStage(t, e, s)
			for _, body := range bodies {
				s.says(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
				if got, err := c.Exchange(ctx, reg, code, vault.NewSecret(oauth.NewVerifier()), callback); err == nil {
					t.Errorf("%.60q gave %q", body, got.AccessToken.Reveal())
				}
				if got, err := c.Refresh(ctx, reg, vault.NewSecret("refresh"), nil); err == nil {
					t.Errorf("%.60q refreshed to %q", body, got.AccessToken.Reveal())
				}
				tokens := held(e)
				if got, err := c.Account(ctx, reg, &tokens); err == nil && got.ID != "" && !strings.Contains(strings.Join(e.Account.ID, ""), "{config.") {
					t.Errorf("%.60q is the account %+v", body, got)
				}
			}
		})
	}
}

// SECURITY 75, for every type: the client secret stands in no address but the one that
// the provider demands (Instagram's), goes to the connector's own host alone, and is in
// no error.
func TestSecurity75_SecretOfEveryType(t *testing.T) {
	t.Parallel()
	for _, typ := range catalogue(t).Types() {
		e := entry(t, typ)
		code, callback := goodCode(t, e)
		s := newStage(t)
		c, reg := onStage(t, e, s)
		at, err := c.AuthorizeURL(reg, oauth.AuthorizeRequest{State: "s", Scopes: e.DefaultScopes(), Verifier: oauth.NewVerifier(), Nonce: oauth.NewNonce()})
		if err != nil || strings.Contains(at, "sandbox-secret") {
			t.Errorf("%s: %s, %v", typ, at, err)
		}
		s.says(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"invalid_request","error_description":"sandbox-secret was no good"}`))
		})
		_, errExchange := c.Exchange(ctx, reg, code, vault.NewSecret(oauth.NewVerifier()), callback)
		_, errRefresh := c.Refresh(ctx, reg, vault.NewSecret("the-refresh-token"), e.DefaultScopes())
		_, errRevoke := c.RevokeDetail(ctx, reg, held(e))
		for _, err := range []error{errExchange, errRefresh, errRevoke} {
			if err != nil && (strings.Contains(err.Error(), "sandbox-secret") || strings.Contains(err.Error(), "the-refresh-token")) {
				t.Errorf("%s: the error says %q", typ, err)
			}
		}
		for _, r := range s.requests() {
			if strings.Contains(r.uri, "sandbox-secret") && typ != "instagram" {
				t.Errorf("%s: the secret stands in the address %s", typ, r.uri)
			}
		}
	}
}

// SECURITY 76: fewer scopes than asked are stored as granted and named, with a way to
// grant the rest; more than asked are named as more.
func TestSecurity76_FewerAndMore(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	list := s.Browser().SignIn(s.Human, "dana")
	list.Connect("googlecalendar").Choose("fewer_scopes", "dana@sandbox.example").Rest().WantFlow("connected", "scopes_missing")
	card := s.Browser().SignIn(s.Human, "dana").In("googlecalendar")
	if words := card.Doc.Find(`[data-connector="googlecalendar"]`).Text(); !strings.Contains(words, "Not granted") || !strings.Contains(words, "Grant the rest") || !strings.Contains(words, "See and download any calendar you can open") {
		t.Errorf("the list says %s", words)
	}
	if got := s.Human.Token("dana", "googlecalendar").Value("missing_scopes"); len(got.([]any)) != 1 {
		t.Errorf("missing_scopes %v", got)
	}
	card.Submit("reconnect").WantStatus(http.StatusOK).Approve("dana@sandbox.example").Rest().WantFlow("connected", "connected")

	s.Apply(strings.Replace(s.AppsYAML(""), "type: googlecalendar\n        client_id: client-of-human\n",
		"type: googlecalendar\n        client_id: client-of-human\n        scopes: [email]\n", 1))
	page := s.Browser().SignIn(s.Human, "sam")
	page.Connect("googlecalendar").Approve("sam@sandbox.example").Rest().WantFlow("connected", "connected")
	settings := s.Browser().SignIn(s.Human, "sam").Go(s.URL + "/apps/human/settings").WantStatus(http.StatusOK)
	if words := settings.Doc.Text(); !strings.Contains(words, "Granted beyond what was asked") || !strings.Contains(words, "Confirm who you are with your Google Account") {
		t.Errorf("openid came along, and the settings page does not say so: %s", words)
	}
	if !strings.Contains(s.Log.String(), "extra_scopes=openid") {
		t.Error("and neither does the log")
	}
}

// The instance in a Wix callback is anybody's to write; only what the app's own secret
// has signed, for this app, mints tokens.
func TestForgedInstance(t *testing.T) {
	t.Parallel()
	w, e := newWorld(t), entry(t, "wix")
	reg := w.registration(t, e)
	good := w.authorize(t, reg, "approve", "dana@sandbox.example")
	signed := good.callback.Get("signedInstance")
	signature, payload, _ := strings.Cut(signed, ".")
	other := reg
	other.ClientID = "client-of-somebody-else"
	foreign := w.authorize(t, other, "approve", "sam@sandbox.example")
	for name, forged := range map[string]string{
		"no signature": "." + payload, "another payload": signature + "." + payload + "AA", "a signature of zeros": strings.Repeat("A", 43) + "." + payload,
		"for another app": foreign.callback.Get("signedInstance"), "the bare id": good.callback.Get("instanceId"), "nothing": "",
	} {
		v := good
		v.callback = url.Values{"signedInstance": {forged}, "appId": {reg.ClientID}}
		before := w.Calls("wix", "/token")
		if got, err := w.exchange(v); err == nil {
			t.Errorf("%s: minted %q", name, got.AccessToken.Reveal())
		}
		if w.Calls("wix", "/token") != before {
			t.Errorf("%s: the token endpoint was called", name)
		}
	}
	if _, err := w.exchange(good); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

// Who reaches several sites of Jira and named none gets none by guessing.
func TestSeveralSites(t *testing.T) {
	t.Parallel()
	e := entry(t, "jira")
	s := newStage(t)
	c, reg := onStage(t, e, s)
	s.says(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "accessible-resources") {
			_, _ = w.Write([]byte(`[{"id":"11223344-a1b2-4b33-a444-def123456789","url":"https://acme.atlassian.net"},{"id":"21223344-a1b2-4b33-a444-def123456789","url":"https://other.atlassian.net"}]`))
			return
		}
		_, _ = w.Write([]byte(`{"account_id":"7","name":"Dana"}`))
	})
	for site, want := range map[string]string{"": "", "other": "21223344-a1b2-4b33-a444-def123456789"} {
		tokens := held(e)
		tokens.ConnectionConfig = nil
		reg.Params = map[string]string{"subdomain": site}
		if _, err := c.Account(ctx, reg, &tokens); err != nil || tokens.ConnectionConfig["cloud_id"] != want {
			t.Errorf("site %q: %v, %v", site, tokens.ConnectionConfig, err)
		}
	}
}
