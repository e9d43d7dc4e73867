package oauth

import (
	"net/http"
	"strings"
	"testing"

	"patchbay/provider"
	"patchbay/vault"
)

func granted(scopes ...string) Tokens {
	return Tokens{AccessToken: vault.NewSecret("at-1"), RefreshToken: vault.NewSecret("rt-1"), Scopes: scopes}
}

const (
	googleUser = `{"sub":"1089","name":"Dana Doe","email":"dana@acme.example","email_verified":true}`
	githubUser = `{"id":583231,"login":"dana","name":null,"email":null}`
	slackUser  = `{"ok":true,"team":"Acme","user":"dana","team_id":"T1","user_id":"U1"}`
)

func TestAccount(t *testing.T) {
	for name, tc := range map[string]struct {
		typ     string
		tokens  Tokens
		answers map[string]string
		want    Account
		calls   int
	}{
		"Google": {"googlecalendar", granted("openid"), map[string]string{"userinfo": googleUser}, Account{"1089", "Dana Doe", "dana@acme.example"}, 1},
		"GitHub, primary verified address": {"github", granted("user:email", "read:user"), map[string]string{
			"userinfo":        `{"id":583231,"login":"dana","name":"Dana Doe","email":"public@acme.example"}`,
			"api/user/emails": `[{"email":"old@acme.example","primary":false,"verified":true},{"email":"dana@acme.example","primary":true,"verified":true}]`,
		}, Account{"583231", "Dana Doe", "dana@acme.example"}, 2},
		"GitHub, by the scope that includes user:email": {"github", granted("user"), map[string]string{
			"userinfo": githubUser, "api/user/emails": `[{"email":"dana@acme.example","primary":true,"verified":true}]`,
		}, Account{"583231", "dana", "dana@acme.example"}, 2},
		"GitHub, none verified": {"github", granted("user:email"), map[string]string{
			"userinfo": githubUser, "api/user/emails": `[{"email":"dana@acme.example","primary":true,"verified":false}]`,
		}, Account{"583231", "dana", ""}, 2},
		"GitHub, addresses not granted": {"github", granted("read:user"), map[string]string{"userinfo": githubUser}, Account{"583231", "dana", ""}, 1},
		"GitHub, scopes unknown":        {"github", granted(), map[string]string{"userinfo": githubUser}, Account{"583231", "dana", ""}, 2},
		"GitHub, addresses fail":        {"github", granted("user:email"), map[string]string{"userinfo": githubUser, "api/user/emails": `{"message":"no"}`}, Account{"583231", "dana", ""}, 2},
		"Slack": {"slack", granted("users:read"), map[string]string{
			"userinfo": slackUser, "api/users.info": `{"ok":true,"user":{"profile":{"real_name":"Dana Doe","email":"dana@acme.example"}}}`,
		}, Account{"T1:U1", "Dana Doe", "dana@acme.example"}, 2},
		"Slack, people not granted": {"slack", granted("chat:write"), map[string]string{"userinfo": slackUser}, Account{"T1:U1", "dana (Acme)", ""}, 1},
		"Slack, second call refused": {"slack", granted("users:read"), map[string]string{
			"userinfo": slackUser, "api/users.info": `{"ok":false,"error":"missing_scope"}`,
		}, Account{"T1:U1", "dana (Acme)", ""}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			for path, body := range tc.answers {
				f.on("/"+tc.typ+"/"+path, 200, body)
			}
			got, err := client(t, f).accountOf(ctx, f.at(t, entry(t, tc.typ)), tc.tokens)
			if err != nil || got != tc.want || len(f.calls()) != tc.calls {
				t.Errorf("got %+v, %v after %d calls", got, err, len(f.calls()))
			}
			for _, call := range f.calls() {
				if call.Method != "GET" || call.Header.Get("Authorization") != "Bearer at-1" || call.Header.Get("User-Agent") == "" {
					t.Errorf("request: %+v", call)
				}
			}
			if tc.typ == "slack" && tc.calls == 2 && f.last(t).Query != "user=U1" {
				t.Errorf("query: %s", f.last(t).Query)
			}
			if tc.typ == "github" && f.last(t).Header.Get("X-Github-Api-Version") == "" {
				t.Error("GitHub's headers are missing")
			}
		})
	}
}

// The further calls go to the API's address. Where that was not moved along, it is
// another provider's.
func TestAccountNeverAsksTheRealProviderWithASandboxToken(t *testing.T) {
	f := newFake(t)
	f.on("/userinfo", 200, githubUser)
	e := entry(t, "github")
	for name, over := range map[string]provider.Endpoints{
		"userinfo alone":     {Userinfo: f.URL + "/userinfo"},
		"token and userinfo": {Token: f.URL + "/token", Userinfo: f.URL + "/userinfo"},
	} {
		resolved, err := e.Resolve(nil, over)
		if err != nil {
			t.Fatal(err)
		}
		c := client(t, f)
		c.HTTP.Transport = only(t, f, c.HTTP.Transport)
		got, err := c.accountOf(ctx, Registration{Entry: e, Endpoints: resolved, Overrides: over}, granted("user:email"))
		if err != nil || got.ID != "583231" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	over := provider.Endpoints{Token: f.URL + "/token"}
	resolved, err := e.Resolve(nil, over)
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, f)
	c.HTTP.Transport = only(t, f, c.HTTP.Transport)
	r := Registration{Entry: e, Endpoints: resolved, Overrides: over, ClientID: "client-1", ClientSecrets: secrets("s")}
	if got, err := c.accountOf(ctx, r, granted("user:email")); err != nil || got != (Account{}) {
		t.Errorf("token alone: %+v, %v", got, err)
	}
	if got := c.Revoke(ctx, r, granted()); got != RevokedUnsupported {
		t.Errorf("token alone: revoked %s", got)
	}
}

func TestAccountErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		typ    string
		status int
		body   string
		class  Class
	}{
		"refused":              {"github", 401, `{"message":"Bad credentials"}`, GrantDead},
		"refused under 200":    {"slack", 200, `{"ok":false,"error":"token_revoked"}`, GrantDead},
		"forbidden":            {"github", 403, `{"message":"no"}`, ProviderFault},
		"throttled":            {"slack", 200, `{"ok":false,"error":"ratelimited"}`, Throttled},
		"in trouble":           {"googlecalendar", 502, `<html>`, Transient},
		"HTML":                 {"googlecalendar", 200, `<html>`, ProviderFault},
		"no id":                {"googlecalendar", 200, `{"name":"Dana"}`, ProviderFault},
		"half an id":           {"slack", 200, `{"ok":true,"user_id":"U1"}`, ProviderFault},
		"id with control":      {"googlecalendar", 200, `{"sub":"a\u0000b"}`, ProviderFault},
		"id too long":          {"googlecalendar", 200, `{"sub":"` + strings.Repeat("1", 256) + `"}`, ProviderFault},
		"id an object":         {"googlecalendar", 200, `{"sub":{}}`, ProviderFault},
		"redirect to a log-in": {"googlecalendar", 302, ``, ProviderFault},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on("/"+tc.typ+"/userinfo", tc.status, tc.body)
			got, err := client(t, f).accountOf(ctx, f.at(t, entry(t, tc.typ)), granted())
			if ClassOf(err) != tc.class || got != (Account{}) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// What the provider says about a person is shown to others: it cannot bring line
// breaks, turn the writing around or be endless.
func TestAccountTextIsMadeFitToShow(t *testing.T) {
	f := newFake(t)
	f.on("/googlecalendar/userinfo", 200,
		`{"sub":"1","name":"  Da\u202ena\r\nDoe\u0000 ","email":"dana@acme.example\r\nBcc: all"}`,
		`{"sub":"1","name":"`+strings.Repeat("ü", 500)+`","email":"not an address"}`)
	r, c := f.at(t, entry(t, "googlecalendar")), client(t, f)
	if got, err := c.accountOf(ctx, r, granted()); err != nil || got != (Account{"1", "Dana  Doe", ""}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := c.accountOf(ctx, r, granted()); err != nil || got != (Account{"1", strings.Repeat("ü", 200), ""}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// only fails the test when anything else than the fake is asked for.
func only(t *testing.T, f *fake, next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host != f.hostPort() {
			t.Errorf("called %s", req.URL.Host)
		}
		return next.RoundTrip(req)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }
