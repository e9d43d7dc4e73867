package provider

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
)

const discovering = `type: acme
name: Acme
category: testing
description: Link your Acme account.
color: "#123456"
openid: {issuer: "https://id.acme.example", discover: true}
`

func acmeMetadata() map[string]any {
	return map[string]any{
		"issuer":                                         "https://id.acme.example",
		"authorization_endpoint":                         "https://id.acme.example/auth",
		"token_endpoint":                                 "https://tokens.acme.example/token",
		"userinfo_endpoint":                              "https://id.acme.example/me",
		"revocation_endpoint":                            "https://id.acme.example/revoke",
		"jwks_uri":                                       "https://id.acme.example/keys",
		"service_documentation":                          "https://acme.example/docs",
		"scopes_supported":                               []any{"openid", "email", "offline_access", "paint"},
		"id_token_signing_alg_values_supported":          []any{"none", "ES256", "XX1"},
		"token_endpoint_auth_methods_supported":          []any{"private_key_jwt", "client_secret_post"},
		"code_challenge_methods_supported":               []any{"plain", "S256"},
		"authorization_response_iss_parameter_supported": true,
	}
}

// discovered loads one file with what a provider says about itself.
func loadDiscovered(t *testing.T, text string, doc map[string]any, failure error) (*Entry, error) {
	t.Helper()
	c, err := WithOwn(fstest.MapFS{"acme.yaml": {Data: []byte(text)}}, func(issuer string) (map[string]any, error) {
		if issuer != "https://id.acme.example" {
			t.Errorf("asked %q", issuer)
		}
		return doc, failure
	})
	if err != nil {
		return nil, err
	}
	e, _ := c.Entry("acme")
	return e, nil
}

func TestDiscoveryFills(t *testing.T) {
	e, err := loadDiscovered(t, discovering, acmeMetadata(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Resolve(nil, Endpoints{})
	if err != nil {
		t.Fatal(err)
	}
	want := Endpoints{
		Authorize: "https://id.acme.example/auth", Token: "https://tokens.acme.example/token", Refresh: "https://tokens.acme.example/token",
		Revoke: "https://id.acme.example/revoke", Userinfo: "https://id.acme.example/me", Issuer: "https://id.acme.example",
	}
	if r != want {
		t.Errorf("resolved to %+v, want %+v", r, want)
	}
	if e.Client.Auth != "post" || e.Authorize.PKCE.Mode != "supported" || !e.Authorize.IssuerPromised || e.Revoke.Style != "rfc7009" || e.Revoke.Auth != "post" {
		t.Errorf("client %+v, authorize %+v, revoke %+v", e.Client, e.Authorize, e.Revoke)
	}
	if got := strings.Join(e.DefaultScopes(), " "); got != "openid email offline_access" {
		t.Errorf("default scopes %q", got)
	}
	if ability, known := e.Ability("email"); !known || ability != "See your email address at Acme" {
		t.Errorf("email is %q", ability)
	}
	if strings.Join(e.OpenID.Algs, " ") != "ES256" || e.Account.ID[0] != "{sub}" || e.Docs != "https://acme.example/docs" {
		t.Errorf("openid %+v, account %+v, docs %s", e.OpenID, e.Account, e.Docs)
	}
}

// What the file says is not replaced.
func TestDiscoveryLeavesWhatIsThere(t *testing.T) {
	e, err := loadDiscovered(t, discovering+`client: {auth: basic}
authorize: {url: "https://own.acme.example/a", pkce: {mode: required}, params: {kind: x}}
revoke: {style: none}
scopes: {default: [paint], known: [{scope: paint, ability: Paint}]}
account: {url: "https://own.acme.example/me", id: "{id}"}
`, acmeMetadata(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if e.Client.Auth != "basic" || e.Authorize.URL != "https://own.acme.example/a" || e.Authorize.PKCE.Mode != "required" ||
		e.Revoke.Style != "none" || e.Account.ID[0] != "{id}" || e.Scopes.Default[0] != "paint" || len(e.Scopes.Known) != 1 {
		t.Errorf("%+v", e)
	}
}

func TestDiscoveryRefuses(t *testing.T) {
	with := func(name string, value any) map[string]any {
		doc := acmeMetadata()
		if doc[name] = value; value == nil {
			delete(doc, name)
		}
		return doc
	}
	for name, tc := range map[string]struct {
		doc  map[string]any
		err  error
		want string
	}{
		"no answer":                 {nil, errors.New("no such host"), "acme.yaml:6:55: the description of https://id.acme.example cannot be had: no such host"},
		"another issuer":            {with("issuer", "https://id.acme.example/"), nil, `names the issuer "https://id.acme.example/", not "https://id.acme.example"`},
		"no issuer":                 {with("issuer", nil), nil, `names the issuer ""`},
		"plain http":                {with("token_endpoint", "http://tokens.acme.example/"), nil, "token_endpoint of the description must be https"},
		"a number":                  {with("token_endpoint", 7), nil, "token.url is missing"},
		"no token endpoint":         {with("token_endpoint", nil), nil, "token.url is missing"},
		"userinfo of an odd scheme": {with("userinfo_endpoint", "ftp://id.acme.example/"), nil, "userinfo_endpoint of the description must begin with https://"},
		"revocation in the clear":   {with("revocation_endpoint", "http://id.acme.example/"), nil, "revocation_endpoint of the description must be https"},
		"keys that only JWT know":   {with("token_endpoint_auth_methods_supported", []any{"private_key_jwt"}), nil, "no client authentication that is spoken here"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadDiscovered(t, discovering, tc.doc, tc.err)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got:\n%v\nwant a line with:\n%s", err, tc.want)
			}
		})
	}
}

// A provider that says little is taken at the defaults of the specification, and the
// account is read from the ID token where there is no other way.
func TestDiscoveryOfLittle(t *testing.T) {
	doc := acmeMetadata()
	maps.DeleteFunc(doc, func(name string, _ any) bool {
		return name != "issuer" && name != "authorization_endpoint" && name != "token_endpoint"
	})
	e, err := loadDiscovered(t, discovering, doc, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e.Client.Auth != "basic" || e.Authorize.PKCE.Mode != "ignored" || e.Account.From != "id_token" || e.Revoke.Style != "none" ||
		e.Authorize.IssuerPromised || strings.Join(e.OpenID.Algs, " ") != "RS256" || strings.Join(e.DefaultScopes(), " ") != "openid" {
		t.Errorf("%+v", e)
	}
}
