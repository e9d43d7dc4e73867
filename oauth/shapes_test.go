package oauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"patchbay/provider"
	"patchbay/vault"
)

// written is an entry from the text of a provider file, below what every file has.
func written(t *testing.T, text string) *provider.Entry {
	t.Helper()
	c, err := provider.Load(fstest.MapFS{"acme.yaml": {Data: []byte(`type: acme
name: Acme
category: testing
description: Link your Acme account.
color: "#123456"
docs: https://acme.example/docs
` + text)}})
	if err != nil {
		t.Fatal(err)
	}
	e, _ := c.Entry("acme")
	return e
}

const (
	plainClient    = "client: {auth: post}\n"
	plainAuthorize = "authorize: {url: 'https://acme.example/a', pkce: {mode: ignored}}\n"
	plainToken     = "token: {url: 'https://acme.example/t'}\n"
	plainRevoke    = "revoke: {style: none}\n"
)

// What a field of an entry changes in the requests.
func TestFieldsShapeTheTokenRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		entry string
		noKey bool // the registration has no client secret
		check func(t *testing.T, exchanged, refreshed received)
	}{
		"plain": {plainClient + plainToken, false, func(t *testing.T, x, r received) {
			if x.Form.Get("client_id") == "" || x.Form.Get("redirect_uri") == "" || r.Form.Has("redirect_uri") || r.Form.Has("scope") || x.Query != "" {
				t.Errorf("exchange %v, refresh %v", x.Form, r.Form)
			}
		}},
		"query": {plainClient + "token: {url: 'https://acme.example/t', query: {request: token}}\n", false, func(t *testing.T, x, r received) {
			if x.Query != "request=token" || r.Query != "request=token" {
				t.Errorf("queries %q and %q", x.Query, r.Query)
			}
		}},
		"omit": {plainClient + "token: {url: 'https://acme.example/t', omit: [client_id, redirect_uri]}\n", false, func(t *testing.T, x, r received) {
			if x.Form.Has("client_id") || x.Form.Has("redirect_uri") || x.Form.Get("client_secret") == "" || r.Form.Has("client_id") {
				t.Errorf("exchange %v, refresh %v", x.Form, r.Form)
			}
		}},
		"refresh repeats": {plainClient + "token: {url: 'https://acme.example/t', refresh_redirect: true, refresh_scope: true}\n", false, func(t *testing.T, _, r received) {
			if !strings.HasSuffix(r.Form.Get("redirect_uri"), "/acme") || r.Form.Get("scope") != "a b" {
				t.Errorf("refresh %v", r.Form)
			}
		}},
		"another id": {"client: {auth: post, id_param: client_key}\n" + plainToken, false, func(t *testing.T, x, r received) {
			if x.Form.Get("client_key") == "" || x.Form.Has("client_id") || r.Form.Get("client_key") == "" {
				t.Errorf("exchange %v, refresh %v", x.Form, r.Form)
			}
		}},
		"public with a secret": {"client: {auth: basic, public: true}\n" + plainToken, false, func(t *testing.T, x, _ received) {
			if x.Header.Get("Authorization") == "" || x.Form.Has("client_id") {
				t.Errorf("exchange %v", x.Form)
			}
		}},
		"public without": {"client: {auth: basic, public: true}\n" + plainToken, true, func(t *testing.T, x, r received) {
			if x.Header.Get("Authorization") != "" || x.Form.Get("client_id") == "" || x.Form.Has("client_secret") || r.Form.Get("client_id") == "" {
				t.Errorf("exchange %v, refresh %v", x.Form, r.Form)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on("/acme/token", 200, `{"access_token":"a","refresh_token":"r"}`)
			reg := f.at(t, written(t, tc.entry+plainAuthorize+plainRevoke))
			if tc.noKey {
				reg.ClientSecrets = nil
			}
			c := client(t, f)
			if _, err := c.Exchange(ctx, reg, code, verifier, nil); err != nil {
				t.Fatal(err)
			}
			exchanged := f.last(t)
			if _, err := c.Refresh(ctx, reg, refresh, []string{"a", "b"}); err != nil {
				t.Fatal(err)
			}
			tc.check(t, exchanged, f.last(t))
		})
	}
}

// What a field of an entry changes in the reading of the answer.
func TestFieldsShapeTheAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		token, answer string
		lives         time.Duration
		scopes        string
	}{
		"a time of expiry":         {"expires_at: expires_at", `"expires_at":"2026-11-23T13:00:00Z","scope":"a"`, time.Hour, "a"},
		"both count as seconds":    {"expires_at: expires_at", `"expires_in":60,"expires_at":"2026-11-23T13:00:00Z"`, time.Minute, ""},
		"a time that is over":      {"expires_at: expires_at", `"expires_at":"2026-11-23T11:00:00Z"`, time.Second, ""},
		"no time at all":           {"expires_at: expires_at", `"expires_at":"soon"`, 0, ""},
		"seconds since 1970":       {"types: [bearer]", `"expires_in":1795438800`, time.Hour, ""},
		"permissions in a list":    {"scope_at: permissions", `"permissions":["a","b"],"scope":"c"`, 0, "a b"},
		"permissions with a comma": {"scope_at: permissions", `"permissions":"a,b"`, 0, "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on("/acme/token", 200, `{"access_token":"a",`+tc.answer+`}`)
			reg := f.at(t, written(t, plainClient+plainAuthorize+plainRevoke+"token: {url: 'https://acme.example/t', "+tc.token+"}\n"))
			got, err := client(t, f).Exchange(ctx, reg, code, verifier, nil)
			if err != nil {
				t.Fatal(err)
			}
			lives := time.Duration(0)
			if !got.ExpiresAt.IsZero() {
				lives = got.ExpiresAt.Sub(now)
			}
			if lives != tc.lives || strings.Join(got.Scopes, " ") != tc.scopes {
				t.Errorf("lives %v with %v, want %v with %q", lives, got.Scopes, tc.lives, tc.scopes)
			}
		})
	}
}

// Scopes that the registration decides on are in no request.
func TestFixedScopesAreNotSent(t *testing.T) {
	e := written(t, plainClient+plainAuthorize+plainRevoke+plainToken+"scopes: {fixed: true, abilities: [Do it all], known: [{scope: a, ability: Do a}]}\n")
	f := newFake(t)
	at, err := client(t, f).AuthorizeURL(f.at(t, e), AuthorizeRequest{State: "s", Scopes: []string{"a"}, Verifier: verifier.Reveal()})
	if err != nil || strings.Contains(at, "scope") {
		t.Errorf("%s, %v", at, err)
	}
}

// The answer to who-am-I may need a query, a body, and a host that came with the tokens;
// and it may bring connection_config of its own.
func TestAccountCalls(t *testing.T) {
	e := written(t, plainClient+plainAuthorize+plainRevoke+plainToken+`params: [{name: tenant, label: T, example: t, pattern: '[a-z]+', default: main}]
account:
  url: https://{config.host}/me
  method: POST
  query: {fields: "id,name"}
  body: '{"query": "me"}'
  id: "{config.tenant}:{data.0.0}"
  name: "{data.0.1}"
api: {hosts: [{name: a, url: "https://{config.host}/v1"}]}
connection_config:
  - {name: host, at: host, domains: [acme.example], required: true}
  - {name: tenant, from: param, at: tenant}
  - {name: org, from: account, at: org.id}
  - {name: plan, at: plan, default: free}
`)
	f := newFake(t)
	f.on("/acme/token", 200, `{"access_token":"a","host":"eu.acme.example"}`)
	f.on("/acme/userinfo", 200, `{"data":[["7","Dana"]],"org":{"id":12345678901234567890}}`)
	reg, c := f.at(t, e), client(t, f)
	tokens, err := c.Exchange(ctx, reg, code, verifier, nil)
	if err != nil {
		t.Fatal(err)
	}
	account, err := c.Account(ctx, reg, &tokens)
	if err != nil || account != (Account{"main:7", "Dana", ""}) {
		t.Errorf("account %+v, %v", account, err)
	}
	want := map[string]string{"host": "eu.acme.example", "tenant": "main", "org": "12345678901234567890", "plan": "free"}
	if got := tokens.ConnectionConfig; len(got) != len(want) || got["host"] != want["host"] || got["tenant"] != want["tenant"] || got["org"] != want["org"] || got["plan"] != want["plan"] {
		t.Errorf("connection_config %v, want %v", got, want)
	}
	if got := f.last(t); got.Method != "POST" || got.Query != "fields=id%2Cname" || got.JSON["query"] != "me" {
		t.Errorf("asked %+v", got)
	}

	// Without the override the address is what the answer names, if it is the provider's.
	for host, want := range map[string]string{
		"eu.acme.example":         "https://eu.acme.example/me",
		"https://EU.acme.example": "https://eu.acme.example/me",
		"evil.example":            "", "eu.acme.example.evil.example": "", "eu.acme.example/x": "", "eu.acme.example:8443": "",
		"me@eu.acme.example": "", "http://eu.acme.example": "", "evilacme.example": "", "": "",
	} {
		config, err := readConfig(e, true, func(*provider.ConfigValue) string { return host }, "answer")
		if want == "" {
			if err == nil {
				t.Errorf("%q was taken for a host of the provider", host)
			}
			continue
		}
		if at, err2 := provider.FillConfig(e.Account.URL, config); err != nil || err2 != nil || at != want {
			t.Errorf("%q leads to %q, %v, %v", host, at, err, err2)
		}
	}
}

func TestRevocationsThatDataSays(t *testing.T) {
	tokens := Tokens{AccessToken: vault.NewSecret("acc"), RefreshToken: vault.NewSecret("ref"), ConnectionConfig: map[string]string{"user": "u-1"}}
	for name, tc := range map[string]struct {
		revoke string
		tokens Tokens
		answer int
		want   Revoked
		check  func(r received) bool
	}{
		"a scheme of its own": {"{style: custom, url: 'https://acme.example/r', auth: none, body: json, token: access, headers: {Authorization: 'Client {client_secret}'}, fields: {client_id: '{client_id}', access_token: '{token}'}}",
			tokens, 200, RevokedYes, func(r received) bool {
				return r.Header.Get("Authorization") == "Client sandbox-secret" && r.JSON["client_id"] == "client-1" && r.JSON["access_token"] == "acc"
			}},
		"by account": {"{style: custom, url: 'https://acme.example/r', auth: none, headers: {Authorization: 'Bearer {client_secret}'}, fields: {user_id: '{config.user}'}}",
			tokens, 200, RevokedYes, func(r received) bool { return r.Form.Get("user_id") == "u-1" }},
		"by an account that is not known": {"{style: custom, url: 'https://acme.example/r', auth: none, fields: {user_id: '{config.user}'}}",
			Tokens{AccessToken: tokens.AccessToken}, 200, RevokedUnknown, nil},
		"a bearer token that is dead": {"{style: custom, url: 'https://acme.example/r', auth: bearer, body: none, token: access}",
			tokens, 401, RevokedYes, func(r received) bool { return r.Header.Get("Authorization") == "Bearer acc" }},
		"a client that is refused": {"{style: rfc7009, url: 'https://acme.example/r', auth: post}",
			tokens, 401, RevokedNo, func(r received) bool { return r.Form.Get("token") == "ref" }},
		"a way that is not documented": {"{style: rfc7009, url: 'https://acme.example/r', auth: post, unproven: true}",
			tokens, 200, RevokedUnknown, func(r received) bool { return r.Form.Get("token") == "ref" }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on("/acme/revoke", tc.answer, `{}`)
			reg := f.at(t, written(t, plainClient+plainAuthorize+plainToken+"connection_config: [{name: user, at: user}]\nrevoke: "+tc.revoke+"\n"))
			got, err := client(t, f).RevokeDetail(ctx, reg, tc.tokens)
			if got != tc.want {
				t.Errorf("revoked %s, %v, want %s", got, err, tc.want)
			}
			switch {
			case tc.check == nil && len(f.calls()) > 0:
				t.Errorf("asked %+v", f.last(t))
			case tc.check != nil && !tc.check(f.last(t)):
				t.Errorf("asked %+v", f.last(t))
			}
		})
	}
}

// A client without a secret says who it is in the body, as at the token endpoint.
func TestRevocationByAPublicClient(t *testing.T) {
	f := newFake(t)
	f.on("/acme/revoke", 200, `{}`)
	reg := f.at(t, written(t, "client: {auth: basic, public: true}\n"+plainAuthorize+plainToken+"revoke: {style: rfc7009, url: 'https://acme.example/r', auth: basic}\n"))
	reg.ClientSecrets = nil
	got, err := client(t, f).RevokeDetail(ctx, reg, Tokens{AccessToken: vault.NewSecret("acc")})
	if last := f.last(t); got != RevokedYes || last.Form.Get("client_id") != "client-1" || last.Header.Get("Authorization") != "" {
		t.Errorf("revoked %s, %v, asking %+v", got, err, last)
	}
}

// The older secret is tried where the entry puts it into a header itself.
func TestRevocationTriesTheOlderSecret(t *testing.T) {
	f := newFake(t)
	f.handle("/acme/revoke", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Client old" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	reg := f.at(t, written(t, plainClient+plainAuthorize+plainToken+
		"revoke: {style: custom, url: 'https://acme.example/r', auth: none, fields: {t: '{token}'}, headers: {Authorization: 'Client {client_secret}'}}\n"))
	reg.ClientSecrets = secrets("new", "old")
	if got, err := client(t, f).RevokeDetail(ctx, reg, Tokens{AccessToken: vault.NewSecret("acc")}); got != RevokedYes {
		t.Errorf("revoked %s, %v", got, err)
	}
}

func TestErrorsByStatusAndOperation(t *testing.T) {
	e := written(t, plainClient+plainAuthorize+plainToken+plainRevoke+"errors: {statuses: {'409': transient}}\nrefresh: {dead_codes: [invalid_request]}\n")
	for name, tc := range map[string]struct {
		status            int
		body              string
		exchange, refresh Class
	}{
		"a status with a meaning": {409, `{"error":"just_refreshed"}`, Transient, Transient},
		"a code of dead tokens":   {400, `{"error":"invalid_request"}`, ProviderFault, GrantDead},
		"and of a server in need": {503, `{"error":"invalid_request"}`, Transient, Transient},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on("/acme/token", tc.status, tc.body)
			reg, c := f.at(t, e), client(t, f)
			if _, err := c.Exchange(ctx, reg, code, verifier, nil); ClassOf(err) != tc.exchange {
				t.Errorf("exchange: %v", err)
			}
			if _, err := c.Refresh(ctx, reg, refresh, nil); ClassOf(err) != tc.refresh {
				t.Errorf("refresh: %v", err)
			}
		})
	}
}

func TestCallbackValuesAreChecked(t *testing.T) {
	e := written(t, plainClient+plainAuthorize+plainToken+plainRevoke+"connection_config: [{name: realm_id, from: callback, at: realmId, pattern: '[0-9]{10,19}', required: true}]\n")
	f := newFake(t)
	f.on("/acme/token", 200, `{"access_token":"a"}`)
	reg, c := f.at(t, e), client(t, f)
	for query, ok := range map[string]bool{
		"realmId=9341453474484455": true, "": false, "realmId=../evil": false, "realmId=9341453474484455&realmId=9341453474484456": false,
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Exchange(ctx, reg, code, verifier, values)
		if ok != (err == nil) || ok && got.ConnectionConfig["realm_id"] != "9341453474484455" {
			t.Errorf("%q: %v, %v", query, got.ConnectionConfig, err)
		}
	}
}

// A connector that does not ask for the scopes which tell whose account it is still
// links; nobody is asked what they will not say.
func TestAccountThatIsNotTold(t *testing.T) {
	e := written(t, plainClient+plainAuthorize+plainToken+plainRevoke+`scopes: {known: [{scope: who, ability: See who}, {scope: all, ability: Do all, implies: [who]}, {scope: files, ability: See files}]}
account: {url: 'https://acme.example/me', id: '{id}', scopes: [who]}
`)
	for scopes, asked := range map[string]bool{"files": false, "who files": true, "all": true, "": true} {
		f := newFake(t)
		f.on("/acme/userinfo", 200, `{"id":7}`)
		tokens := Tokens{AccessToken: vault.NewSecret("a"), Scopes: strings.Fields(scopes)}
		if scopes == "" {
			tokens.Scopes = nil // the answer does not say
		}
		got, err := client(t, f).Account(ctx, f.at(t, e), &tokens)
		if err != nil || (len(f.calls()) > 0) != asked || (got.ID == "7") != asked {
			t.Errorf("with %q: %+v, %v after %d calls", scopes, got, err, len(f.calls()))
		}
	}
}
