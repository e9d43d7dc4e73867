package oauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"patchbay/provider"
	"patchbay/vault"
)

// Every quirk that an entry may name has its code, and the other way round.
func TestQuirksHaveCode(t *testing.T) {
	names := slices.Sorted(maps.Keys(quirks))
	for _, name := range append(names, "sing") {
		_, err := provider.Load(fstest.MapFS{"a.yaml": {Data: []byte("quirks: [" + name + "]\n")}})
		if unknown := strings.Contains(err.Error(), "unknown quirk"); unknown != (name == "sing") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !slices.Equal(names, slices.Sorted(slices.Values(provider.Quirks()))) {
		t.Errorf("code for %v, names %v", names, provider.Quirks())
	}
}

const quirky = plainClient + plainRevoke + "scopes: {default: [a], known: [{scope: a, ability: Do a}]}\napi: {hosts: [{name: a, url: 'https://api.acme.example'}]}\n"

func TestInstagramLongLived(t *testing.T) {
	f := newFake(t)
	f.on("/acme/token", 200, `{"data":[{"access_token":"short","user_id":17841400000000001,"permissions":"a,b"}]}`)
	f.on("/acme/api/access_token", 200, `{"access_token":"long","token_type":"bearer","expires_in":5183944}`)
	f.on("/acme/api/refresh_access_token", 200, `{"access_token":"longer","token_type":"bearer","expires_in":5183944}`)
	e := written(t, quirky+"quirks: [instagram_long_lived]\nauthorize: {url: 'https://acme.example/a', pkce: {mode: rejected, reason: none}}\ntoken: {url: 'https://acme.example/t', at: [., data.0], scope_at: permissions}\nconnection_config: [{name: user_id, at: data.0.user_id}]\n")
	reg, c := f.at(t, e), client(t, f)
	got, err := c.Exchange(ctx, reg, code, vault.Secret{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.AccessToken.Reveal() != "long" || got.RefreshToken.Reveal() != "long" || got.ExpiresAt.Sub(now) < 59*24*time.Hour ||
		strings.Join(got.Scopes, " ") != "a b" || got.ConnectionConfig["user_id"] != "17841400000000001" {
		t.Errorf("got %+v", got)
	}
	asked, _ := url.ParseQuery(f.last(t).Query)
	if asked.Get("grant_type") != "ig_exchange_token" || asked.Get("client_secret") != "sandbox-secret" || asked.Get("access_token") != "short" || f.last(t).Method != "GET" {
		t.Errorf("asked %v", asked)
	}
	got, err = c.Refresh(ctx, reg, got.RefreshToken, nil)
	asked, _ = url.ParseQuery(f.last(t).Query)
	if err != nil || got.AccessToken.Reveal() != "longer" || got.RefreshToken.Reveal() != "longer" || asked.Get("access_token") != "long" || asked.Has("client_secret") {
		t.Errorf("refreshed %+v, %v, asking %v", got, err, asked)
	}

	// A step that fails leaves nothing half done, and no token in the error.
	f.on("/acme/api/access_token", 400, `{"error":{"message":"Cannot parse short","type":"OAuthException","code":190}}`)
	if _, err := c.Exchange(ctx, reg, code, vault.Secret{}, nil); err == nil || strings.Contains(err.Error(), "short") || strings.Contains(err.Error(), "sandbox-secret") {
		t.Errorf("error %v", err)
	}
	f.Close()
	if _, err := c.Refresh(ctx, reg, vault.NewSecret("canary"), nil); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("error %v", err)
	}
}

// The token endpoint is the operator's, and where the API is nobody said: no token goes
// to the provider of the catalogue.
func TestInstagramWithoutAnAPI(t *testing.T) {
	f := newFake(t)
	f.on("/acme/token", 200, `{"access_token":"short"}`)
	e := written(t, quirky+plainAuthorize+plainToken+"quirks: [instagram_long_lived]\n")
	reg := f.at(t, e)
	reg.Overrides.API = ""
	reg.Endpoints, _ = e.Resolve(nil, reg.Overrides)
	if _, err := client(t, f).Exchange(ctx, reg, code, verifier, nil); ClassOf(err) != ConnectorFault || len(f.calls()) != 1 {
		t.Errorf("%v after %d calls", err, len(f.calls()))
	}
}

func TestJiraSites(t *testing.T) {
	const one, two = "11223344-a1b2-4b33-a444-def123456789", "21223344-a1b2-4b33-a444-def123456789"
	both := `[{"id":"` + one + `","url":"https://acme.atlassian.net"},{"id":"` + one + `","url":"https://acme.atlassian.net"},{"id":"` + two + `","url":"https://other.atlassian.net/"}]`
	for name, tc := range map[string]struct {
		answer, site string
		want         map[string]string // nil: an error
	}{
		"the only one":               {`[{"id":"` + one + `","url":"https://acme.atlassian.net"}]`, "", map[string]string{"cloud_id": one, "site_url": "https://acme.atlassian.net"}},
		"several, one named":         {both, "other", map[string]string{"cloud_id": two, "site_url": "https://other.atlassian.net"}},
		"several, none named":        {both, "", map[string]string{"site_urls": "https://acme.atlassian.net https://other.atlassian.net"}},
		"another than the one named": {both, "third", nil},
		"part of a name":             {both, "acm", nil},
		"none":                       {`[]`, "", nil},
		"an id that is no id":        {`[{"id":"../../evil","url":"https://acme.atlassian.net"}]`, "", nil},
		"no list":                    {`{"id":"` + one + `"}`, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on("/acme/token", 200, `{"access_token":"a"}`)
			f.on("/acme/api/oauth/token/accessible-resources", 200, tc.answer)
			f.on("/acme/userinfo", 200, `{"account_id":"7"}`)
			e := written(t, quirky+plainAuthorize+plainToken+`quirks: [jira_sites]
account: {url: 'https://api.acme.example/me', id: '{account_id}'}
params: [{name: subdomain, label: S, example: acme, pattern: '[a-z]+', ask: true}]
connection_config: [{name: cloud_id, from: quirk}, {name: site, from: param, at: subdomain}]
`)
			reg, c := f.at(t, e), client(t, f)
			reg.Params = map[string]string{"subdomain": tc.site}
			tokens, err := c.Exchange(ctx, reg, code, verifier, nil)
			if err != nil {
				t.Fatal(err)
			}
			account, err := c.Account(ctx, reg, &tokens)
			delete(tokens.ConnectionConfig, "site")
			if tc.want == nil {
				if ClassOf(err) != ProviderFault {
					t.Errorf("account %+v, %v with %v", account, err, tokens.ConnectionConfig)
				}
				return
			}
			if err != nil || account.ID != "7" || !maps.Equal(tokens.ConnectionConfig, tc.want) {
				t.Errorf("account %+v, %v with %v, want %v", account, err, tokens.ConnectionConfig, tc.want)
			}
		})
	}
}

const wixEntry = plainClient + plainRevoke + `quirks: [wix_install]
scopes: {fixed: true, abilities: [Do it all]}
authorize: {url: 'https://acme.example/app-installer', code_param: signedInstance, pkce: {mode: rejected, reason: none}, params: {shareUrlId: '{account}'}}
token: {url: 'https://acme.example/t', body: json}
params: [{name: account, label: A, example: a1, pattern: '[a-z0-9]+'}]
connection_config: [{name: instance_id, from: quirk}, {name: site_id, from: callback, at: tenantId, pattern: '[a-z0-9-]+'}]
`

func signedInstance(secret, payload string) string {
	encoded := base64.RawURLEncoding.EncodeToString([]byte(payload))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(encoded))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) + "." + encoded
}

func TestWixAuthorize(t *testing.T) {
	f := newFake(t)
	reg := f.at(t, written(t, wixEntry))
	at, err := client(t, f).AuthorizeURL(reg, AuthorizeRequest{State: "the state"})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(at)
	q := u.Query()
	back, _ := url.Parse(q.Get("postInstallationUrl"))
	if len(q) != 2 || q.Get("appId") != "client-1" || back.Query().Get("state") != "the state" || !strings.HasPrefix(back.String(), reg.RedirectURI+"?") {
		t.Errorf("leads to %s", at)
	}
}

func TestWixInstall(t *testing.T) {
	const instance, other = "4f8cda49-0000-4000-8000-d6f39bcdc823", "5f8cda49-0000-4000-8000-d6f39bcdc823"
	good := `{"instanceId":"` + instance + `","appDefId":"client-1","signDate":"2026-11-23T11:59:00Z"}`
	query := func(pairs ...string) url.Values {
		v := url.Values{"appId": {"client-1"}, "instanceId": {instance}, "tenantId": {"site-1"}}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	for name, tc := range map[string]struct {
		signed   string
		callback url.Values
		info     string // what token-info answers
		ok       bool
	}{
		"signed":                       {signedInstance("sandbox-secret", good), query(), "", true},
		"signed with the older key":    {signedInstance("older-secret", good), query(), "", true},
		"little said":                  {signedInstance("sandbox-secret", `{"instanceId":"`+instance+`"}`), url.Values{}, "", true},
		"another key":                  {signedInstance("guess", good), query(), "", false},
		"not signed":                   {instance, query(), "", false},
		"signed for another app":       {signedInstance("sandbox-secret", strings.Replace(good, "client-1", "client-2", 1)), query(), "", false},
		"signed long ago":              {signedInstance("sandbox-secret", strings.Replace(good, "11:59", "10:00", 1)), query(), "", false},
		"another instance beside it":   {signedInstance("sandbox-secret", good), query("instanceId", other), "", false},
		"another app beside it":        {signedInstance("sandbox-secret", good), query("appId", "client-2"), "", false},
		"an instance that is no id":    {signedInstance("sandbox-secret", `{"instanceId":"../evil"}`), url.Values{}, "", false},
		"a JWT that Wix vouches for":   {"a.b.c", query(), `{"instanceId":"` + instance + `","clientId":"client-1"}`, true},
		"a JWT of another app":         {"a.b.c", query(), `{"instanceId":"` + instance + `","clientId":"client-2"}`, false},
		"a JWT of another instance":    {"a.b.c", query(), `{"instanceId":"` + other + `"}`, false},
		"a JWT that Wix does not know": {"a.b.c", query(), `{"error":"invalid_token"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on("/acme/token", 200, `{"access_token":"minted","token_type":"Bearer","expires_in":14400}`)
			if tc.info != "" {
				f.on("/acme/token-info", 200, tc.info)
			}
			reg, c := f.at(t, written(t, wixEntry)), client(t, f)
			reg.ClientSecrets = secrets("sandbox-secret", "older-secret")
			got, err := c.Exchange(ctx, reg, vault.NewSecret(tc.signed), vault.Secret{}, tc.callback)
			minted := slices.ContainsFunc(f.calls(), func(r received) bool { return r.Path == "/acme/token" })
			if !tc.ok {
				if err == nil || minted {
					t.Errorf("got %+v, minted %v", got, minted)
				}
				return
			}
			if err != nil || got.AccessToken.Reveal() != "minted" || got.RefreshToken.Reveal() != instance || got.ConnectionConfig["instance_id"] != instance {
				t.Fatalf("got %+v, %v", got, err)
			}
			want := map[string]string{"grant_type": "client_credentials", "client_id": "client-1", "client_secret": "sandbox-secret", "instance_id": instance}
			if !maps.Equal(f.last(t).JSON, want) {
				t.Errorf("sent %v", f.last(t).JSON)
			}
			if again, err := c.Refresh(ctx, reg, got.RefreshToken, nil); err != nil || again.RefreshToken.Reveal() != instance || !maps.Equal(f.last(t).JSON, want) {
				t.Errorf("again %+v, %v", again, err)
			}
		})
	}
}

func TestWixUninstalled(t *testing.T) {
	f := newFake(t)
	f.on("/acme/token", http.StatusBadRequest, `{"error":"invalid_grant"}`)
	_, err := client(t, f).Refresh(ctx, f.at(t, written(t, wixEntry)), vault.NewSecret("4f8cda49-0000-4000-8000-d6f39bcdc823"), nil)
	if ClassOf(err) != GrantDead {
		t.Errorf("%v", err)
	}
}
