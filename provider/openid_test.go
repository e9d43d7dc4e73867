package provider

import (
	"reflect"
	"strings"
	"testing"
)

const openid = minimal + `openid:
  issuer: https://id.acme.example
  issuers: [id.acme.example]
  jwks_url: https://keys.acme.example/jwks
scopes: {known: [{scope: openid, ability: Know you, aliases: [oidc]}]}
`

func TestIDTokenAsked(t *testing.T) {
	for name, tc := range map[string]struct {
		text   string
		scopes []string
		want   bool
	}{
		"asked":                  {openid, []string{"email", "openid"}, true},
		"asked by another name":  {openid, []string{"oidc"}, true},
		"not asked":              {openid, []string{"email", "openid2"}, false},
		"nothing asked":          {openid, nil, false},
		"a type that has none":   {minimal, []string{"openid"}, false},
		"a scope with its parts": {openid, []string{"openid email"}, false},
	} {
		if got := mustLoad(t, tc.text).IDTokenAsked(tc.scopes); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// SECURITY 22: whose word an ID token is depends on where the tokens come from.
func TestSecurity22_IDTokens(t *testing.T) {
	e := mustLoad(t, openid)
	rs256 := []string{"RS256"}
	catalogue := []string{"https://id.acme.example", "id.acme.example"}
	const keys = "https://keys.acme.example/jwks"
	const box = "http://127.0.0.1:8081/acme/"
	for name, tc := range map[string]struct {
		over Endpoints
		want IDTokens
	}{
		"the catalogue's":                {Endpoints{}, IDTokens{catalogue, keys, rs256, true}},
		"authorize alone":                {Endpoints{Authorize: "https://sso.acme.example/auth"}, IDTokens{catalogue, keys, rs256, true}},
		"userinfo alone":                 {Endpoints{Userinfo: box + "userinfo"}, IDTokens{catalogue, keys, rs256, true}},
		"token at the same origin":       {Endpoints{Token: "https://acme.example:443/v2/token", Authorize: box}, IDTokens{catalogue, keys, rs256, true}},
		"token alone":                    {Endpoints{Token: box + "token"}, IDTokens{catalogue, "", rs256, false}},
		"token and authorize":            {Endpoints{Token: box + "token", Authorize: box + "authorize"}, IDTokens{[]string{"http://127.0.0.1:8081"}, "", rs256, false}},
		"token, authorize at its own":    {Endpoints{Token: box + "token", Authorize: "https://sso.acme.example/auth"}, IDTokens{[]string{"https://sso.acme.example"}, "", rs256, false}},
		"token, authorize and issuer":    {Endpoints{Token: box + "token", Authorize: box + "authorize", Issuer: "https://me.example/r"}, IDTokens{[]string{"https://me.example/r"}, "", rs256, true}},
		"token and issuer":               {Endpoints{Token: box + "token", Issuer: "https://me.example/r"}, IDTokens{[]string{"https://me.example/r"}, "", rs256, true}},
		"issuer alone":                   {Endpoints{Issuer: "https://id.acme.example/eu"}, IDTokens{[]string{"https://id.acme.example/eu"}, keys, rs256, true}},
		"issuer, token at same origin":   {Endpoints{Issuer: "https://id.acme.example/eu", Token: "https://acme.example/t"}, IDTokens{[]string{"https://id.acme.example/eu"}, keys, rs256, true}},
		"token in plain on its own host": {Endpoints{Token: "http://acme.example/token"}, IDTokens{catalogue, "", rs256, false}},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := e.IDTokens(nil, tc.over); err != nil || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tc.want)
			}
		})
	}
}

func TestIDTokensFillPlaceholders(t *testing.T) {
	text := strings.NewReplacer("https://id.acme.example", "https://id.acme.example/{tenant}/v2.0", "https://keys", "https://{tenant}.keys").Replace(openid) +
		"params: [{name: tenant, label: Tenant, example: one, pattern: '.+', required: true}]\n"
	e := mustLoad(t, text)
	got, err := e.IDTokens(map[string]string{"tenant": "blue"}, Endpoints{})
	if err != nil || got.Issuers[0] != "https://id.acme.example/blue/v2.0" || got.JWKSURL != "https://blue.keys.acme.example/jwks" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, evil := range []string{"", "evil.example#", "evil.example/", "x@evil", "..", "a b"} {
		if got, err := e.IDTokens(map[string]string{"tenant": evil}, Endpoints{}); err == nil {
			t.Errorf("tenant %q: %+v", evil, got)
		}
	}
}

func TestOpenIDMistakes(t *testing.T) {
	for name, tc := range map[string]struct{ block, want string }{
		"no issuer":         {"openid: {jwks_url: 'https://a.example'}", "a.yaml:15:9: issuer is missing"},
		"empty block":       {"openid: {}", "a.yaml:15:9: issuer is missing"},
		"issuer in plain":   {"openid: {issuer: 'http://a.example'}", "a.yaml:15:18: must be https"},
		"keys in plain":     {"openid: {issuer: 'https://a.example', jwks_url: 'http://a.example'}", "a.yaml:15:49: must be https"},
		"unknown param":     {"openid: {issuer: 'https://a.example/{tenant}'}", "{tenant} is not among the params"},
		"keys anywhere":     {"openid: {issuer: 'https://a.example', jwks_url: 'https://{h}/'}\nparams: [{name: h, label: H, example: x, pattern: x, required: true}]", "the host is not pinned"},
		"empty issuer":      {"openid: {issuer: 'https://a.example', issuers: ['']}", "must not be empty"},
		"no algorithm":      {"openid: {issuer: 'https://a.example', algs: []}", "must not be empty"},
		"alg none":          {"openid: {issuer: 'https://a.example', algs: [RS256, none]}", `must be one of RS256,`},
		"unknown algorithm": {"openid: {issuer: 'https://a.example', algs: RS1}", `not "RS1"`},
		"unknown field":     {"openid: {issuer: 'https://a.example', keys: x}", `unknown field "keys"`},
		"nonce of its own":  {"token: {url: 'https://a.example', params: {nonce: x}}", "nonce is set by the client itself"},
	} {
		t.Run(name, func(t *testing.T) {
			text := minimal
			if strings.HasPrefix(tc.block, "token:") {
				text = strings.Replace(text, "token:\n  url: https://acme.example/token\n", "", 1)
			}
			if _, err := load(t, text+tc.block+"\n"); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got:\n%v\nwant a line with:\n%s", err, tc.want)
			}
		})
	}
}

// The default is what OpenID Connect Core 3.1.3.7 item 7 names.
func TestOpenIDDefaults(t *testing.T) {
	if e := mustLoad(t, openid); !reflect.DeepEqual(e.OpenID.Algs, []string{"RS256"}) {
		t.Errorf("%+v", e.OpenID)
	}
	if e := embeddedEntry(t, "googlecalendar"); !e.IDTokenAsked(e.DefaultScopes()) || e.OpenID.JWKSURL == "" {
		t.Errorf("Google Calendar: %+v", e.OpenID)
	}
}
