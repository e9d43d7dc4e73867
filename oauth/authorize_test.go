package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"patchbay/provider"
)

// published is a connector at the addresses of the catalogue.
func published(t *testing.T, typ string) Registration {
	t.Helper()
	e := entry(t, typ)
	resolved, err := e.Resolve(nil, provider.Endpoints{})
	if err != nil {
		t.Fatal(err)
	}
	return Registration{Entry: e, Endpoints: resolved, ClientID: "client-1", ClientSecrets: secrets("canary-secret"), RedirectURI: "https://p.example/oauth/callback/acme/" + typ}
}

func authorizeQuery(t *testing.T, r Registration, q AuthorizeRequest) (string, url.Values) {
	t.Helper()
	address, err := (&Client{}).AuthorizeURL(r, q)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return address, u.Query()
}

func TestAuthorizeURL(t *testing.T) {
	v, n := strings.Repeat("v", 43), strings.Repeat("n", 43)
	sum := sha256.Sum256([]byte(v))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	for name, tc := range map[string]struct {
		typ  string
		q    AuthorizeRequest
		host string
		want map[string]string
		not  []string
	}{
		"Google": {"googlecalendar", AuthorizeRequest{State: "s", Verifier: v, Nonce: n, Scopes: []string{"openid", "email"}}, "https://accounts.google.com/o/oauth2/v2/auth?", map[string]string{
			"response_type": "code", "client_id": "client-1", "redirect_uri": "https://p.example/oauth/callback/acme/googlecalendar", "state": "s",
			"scope": "openid email", "nonce": n, "access_type": "offline", "prompt": "consent", "code_challenge": challenge, "code_challenge_method": "S256",
		}, []string{"include_granted_scopes"}},
		"Google, account chooser": {"googlecalendar", AuthorizeRequest{State: "s", Verifier: v, SelectAccount: true}, "https://accounts.google.com/", map[string]string{
			"prompt": "select_account consent",
		}, []string{"scope"}},
		"Google, without openid": {"googlecalendar", AuthorizeRequest{State: "s", Verifier: v, Nonce: n, Scopes: []string{"email"}}, "https://accounts.google.com/", map[string]string{
			"scope": "email",
		}, []string{"nonce"}},
		"GitHub": {"github", AuthorizeRequest{State: "s", Verifier: v, Scopes: []string{"read:user", "user:email"}}, "https://github.com/login/oauth/authorize?", map[string]string{
			"scope": "read:user user:email", "code_challenge_method": "S256",
		}, []string{"prompt"}},
		"GitHub, account chooser": {"github", AuthorizeRequest{State: "s", Verifier: v, SelectAccount: true}, "https://github.com/", map[string]string{"prompt": "select_account"}, nil},
		// Slack asks user scopes, with commas, and takes no challenge.
		"Slack": {"slack", AuthorizeRequest{State: "s", Verifier: v, Nonce: n, Scopes: []string{"users:read", "openid"}}, "https://slack.com/oauth/v2/authorize?", map[string]string{
			"user_scope": "users:read,openid",
		}, []string{"scope", "nonce", "team", "code_challenge", "code_challenge_method"}},
	} {
		t.Run(name, func(t *testing.T) {
			address, query := authorizeQuery(t, published(t, tc.typ), tc.q)
			if !strings.HasPrefix(address, tc.host) || strings.Contains(address, "+") {
				t.Errorf("address: %s", address)
			}
			for name, want := range tc.want {
				if got := query[name]; len(got) != 1 || got[0] != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
			for _, name := range tc.not {
				if query.Has(name) {
					t.Errorf("%s = %q is sent", name, query.Get(name))
				}
			}
		})
	}
}

func TestAuthorizeURLFillsParams(t *testing.T) {
	r := published(t, "slack")
	r.Params = map[string]string{"team": "T0123ABCD"}
	if _, query := authorizeQuery(t, r, AuthorizeRequest{State: "s"}); query.Get("team") != "T0123ABCD" {
		t.Errorf("query: %v", query)
	}
	r.Params = map[string]string{"team": "not a team"}
	if _, err := (&Client{}).AuthorizeURL(r, AuthorizeRequest{State: "s"}); err == nil {
		t.Error("a param that does not fit its pattern is sent")
	}
}

func TestAuthorizeURLKeepsAnOverridesQuery(t *testing.T) {
	r := published(t, "slack")
	r.Endpoints.Authorize = "http://127.0.0.1:8081/authorize?realm=a&state=mine"
	_, query := authorizeQuery(t, r, AuthorizeRequest{State: "s"})
	if query.Get("realm") != "a" || len(query["state"]) != 1 || query.Get("state") != "s" {
		t.Errorf("query: %v", query)
	}
}

// SECURITY 16: every authorization request has its own S256 challenge.
func TestSecurity16_EveryAuthorizationRequestHasAnS256Challenge(t *testing.T) {
	r, seen := published(t, "googlecalendar"), map[string]bool{}
	for range 1000 {
		v := NewVerifier()
		if len(v) != 43 || strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("verifier %q", v)
		}
		address, query := authorizeQuery(t, r, AuthorizeRequest{State: "s", Verifier: v})
		challenge := query.Get("code_challenge")
		if query.Get("code_challenge_method") != "S256" || len(challenge) != 43 || seen[challenge] || strings.Contains(address, v) {
			t.Fatalf("address: %s", address)
		}
		seen[challenge] = true
	}
}

// SECURITY 17: without a verifier there is no request, rather than one without PKCE.
func TestSecurity17_PKCEIsLeftOffOnlyByTheCatalogue(t *testing.T) {
	for _, v := range []string{"", "short", strings.Repeat("v", 129)} {
		if address, err := (&Client{}).AuthorizeURL(published(t, "github"), AuthorizeRequest{State: "s", Verifier: v}); err == nil {
			t.Errorf("verifier %q: %s", v, address)
		}
	}
	f := newFake(t)
	_, err := client(t, f).Exchange(ctx, f.at(t, entry(t, "github")), code, secrets("")[0], nil)
	if err == nil || len(f.calls()) != 0 {
		t.Errorf("exchanged without a verifier: %v", err)
	}
}

// SECURITY 22: an ID token is never asked for without a nonce, and no nonce comes twice.
func TestSecurity22_EveryRequestForAnIDTokenHasANonce(t *testing.T) {
	r, seen := published(t, "googlecalendar"), map[string]bool{}
	for range 1000 {
		n := NewNonce()
		_, query := authorizeQuery(t, r, AuthorizeRequest{State: "s", Verifier: NewVerifier(), Nonce: n, Scopes: []string{"openid"}})
		if len(n) != 43 || seen[n] || len(query["nonce"]) != 1 || query.Get("nonce") != n {
			t.Fatalf("nonce %q, sent %q", n, query["nonce"])
		}
		seen[n] = true
	}
	for _, n := range []string{"", "short"} {
		q := AuthorizeRequest{State: "s", Verifier: NewVerifier(), Nonce: n, Scopes: []string{"email", "openid"}}
		if address, err := (&Client{}).AuthorizeURL(r, q); err == nil {
			t.Errorf("nonce %q: %s", n, address)
		}
	}
}

func TestAuthorizeURLNeedsStateClientAndRedirect(t *testing.T) {
	for name, change := range map[string]func(*Registration, *AuthorizeRequest){
		"state":        func(_ *Registration, q *AuthorizeRequest) { q.State = "" },
		"client id":    func(r *Registration, _ *AuthorizeRequest) { r.ClientID = "" },
		"redirect URI": func(r *Registration, _ *AuthorizeRequest) { r.RedirectURI = "" },
		"address":      func(r *Registration, _ *AuthorizeRequest) { r.Endpoints.Authorize = "" },
	} {
		r, q := published(t, "slack"), AuthorizeRequest{State: "s"}
		change(&r, &q)
		if address, err := (&Client{}).AuthorizeURL(r, q); err == nil {
			t.Errorf("without %s: %s", name, address)
		}
	}
}

// SECURITY 75: the client secret is never in an address.
func TestSecurity75_NoSecretInTheAuthorizationAddress(t *testing.T) {
	for _, typ := range []string{"googlecalendar", "github", "slack"} {
		if address, _ := authorizeQuery(t, published(t, typ), AuthorizeRequest{State: "s", Verifier: NewVerifier()}); strings.Contains(address, "canary") {
			t.Errorf("%s: %s", typ, address)
		}
	}
}
