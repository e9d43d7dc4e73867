package oauth

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/provider"
)

func TestExchangeGoogle(t *testing.T) {
	f := newFake(t)
	f.on("/googlecalendar/token", 200, `{"access_token":"at-1","refresh_token":"rt-1","token_type":"Bearer","expires_in":3599,
		"scope":"https://www.googleapis.com/auth/userinfo.email openid","id_token":"x.y.z"}`)
	got, err := client(t, f).Exchange(ctx, f.at(t, entry(t, "googlecalendar")), code, verifier, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.AccessToken.Reveal() != "at-1" || got.RefreshToken.Reveal() != "rt-1" || got.TokenType != "Bearer" || got.ConnectionConfig != nil ||
		!got.ObtainedAt.Equal(now) || !got.ExpiresAt.Equal(now.Add(3599*time.Second)) ||
		!slices.Equal(got.Scopes, []string{"https://www.googleapis.com/auth/userinfo.email", "openid"}) {
		t.Errorf("tokens: %+v", got)
	}
	sent := f.last(t)
	want := map[string]string{
		"grant_type": "authorization_code", "code": "4/code", "code_verifier": verifier.Reveal(),
		"redirect_uri": "http://localhost:8080/oauth/callback/acme/googlecalendar", "client_id": "client-1", "client_secret": "sandbox-secret",
	}
	if sent.Method != "POST" || sent.Query != "" || sent.Header.Get("Authorization") != "" || sent.Header.Get("Accept") != "application/json" ||
		sent.Header.Get("User-Agent") != "patchbay" || !maps.Equal(single(sent.Form), want) {
		t.Errorf("request: %+v", sent)
	}
}

// Without an Accept that it honours, GitHub answers with a form; its scopes have
// commas in either.
func TestExchangeGitHub(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"JSON": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"access_token":"gho_1","scope":"read:user,user:email","token_type":"bearer"}`))
		},
		"form": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
			_, _ = w.Write([]byte("access_token=gho_1&scope=read%3Auser%2Cuser%3Aemail&token_type=bearer"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.handle("/github/token", answer)
			got, err := client(t, f).Exchange(ctx, f.at(t, entry(t, "github")), code, verifier, nil)
			if err != nil || got.AccessToken.Reveal() != "gho_1" || !got.RefreshToken.IsZero() || got.TokenType != "Bearer" ||
				!got.ExpiresAt.IsZero() || !slices.Equal(got.Scopes, []string{"read:user", "user:email"}) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestExchangeSlack(t *testing.T) {
	f := newFake(t)
	f.on("/slack/token", 200, `{"ok":true,"app_id":"A1","authed_user":{"id":"U1","scope":"users:read,chat:write","access_token":"xoxp-1",
		"token_type":"user","refresh_token":"xoxe-1","expires_in":43200},"team":{"id":"T1","name":"Acme"},"enterprise":null,"is_enterprise_install":false}`)
	got, err := client(t, f).Exchange(ctx, f.at(t, entry(t, "slack")), code, verifier, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.AccessToken.Reveal() != "xoxp-1" || got.RefreshToken.Reveal() != "xoxe-1" || got.TokenType != "user" ||
		!got.ExpiresAt.Equal(now.Add(12*time.Hour)) || !slices.Equal(got.Scopes, []string{"users:read", "chat:write"}) {
		t.Errorf("tokens: %+v", got)
	}
	if want := map[string]string{"team_id": "T1", "team_name": "Acme", "app_id": "A1", "user_id": "U1"}; !maps.Equal(got.ConnectionConfig, want) {
		t.Errorf("connection_config: %v", got.ConnectionConfig)
	}
	sent := f.last(t)
	if user, pass, _ := basic(sent); user != "client-1" || pass != "sandbox-secret" {
		t.Errorf("credentials: %s %s", user, pass)
	}
	for _, name := range []string{"client_id", "client_secret", "code_verifier"} {
		if sent.Form.Has(name) {
			t.Errorf("%s is in the body", name)
		}
	}
}

// The bot's token that may stand beside the user's is never taken for it.
func TestSlackBotTokenIsNotAUserToken(t *testing.T) {
	f := newFake(t)
	f.on("/slack/token", 200, `{"ok":true,"access_token":"xoxb-1","token_type":"bot","scope":"commands","authed_user":{"id":"U1"}}`)
	_, err := client(t, f).Exchange(ctx, f.at(t, entry(t, "slack")), code, verifier, nil)
	if ClassOf(err) != ProviderFault {
		t.Errorf("got %v", err)
	}
}

func TestRefresh(t *testing.T) {
	for name, tc := range map[string]struct {
		typ, answer    string
		access, renew  string
		expires        time.Duration
		scopes, config int
	}{
		"Google keeps the refresh token": {"googlecalendar", `{"access_token":"at-2","expires_in":3599,"token_type":"Bearer","scope":"openid"}`, "at-2", "", 3599 * time.Second, 1, 0},
		"GitHub App rotates":             {"github", `{"access_token":"ghu_2","expires_in":28800,"refresh_token":"ghr_2","refresh_token_expires_in":15897600,"scope":"","token_type":"bearer"}`, "ghu_2", "ghr_2", 8 * time.Hour, 0, 0},
		"Slack answers flat":             {"slack", `{"ok":true,"access_token":"xoxe.xoxp-2","refresh_token":"xoxe-2","expires_in":43200,"token_type":"user","scope":"users:read","team":{"id":"T1","name":"Acme"}}`, "xoxe.xoxp-2", "xoxe-2", 12 * time.Hour, 1, 2},
		"Slack answers nested":           {"slack", `{"ok":true,"authed_user":{"access_token":"xoxp-2","token_type":"user"}}`, "xoxp-2", "", 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on("/"+tc.typ+"/token", 200, tc.answer)
			got, err := client(t, f).Refresh(ctx, f.at(t, entry(t, tc.typ)), refresh, []string{"asked"})
			if err != nil {
				t.Fatal(err)
			}
			if got.AccessToken.Reveal() != tc.access || got.RefreshToken.Reveal() != tc.renew || len(got.Scopes) != tc.scopes || len(got.ConnectionConfig) != tc.config {
				t.Errorf("tokens: %+v", got)
			}
			if tc.expires == 0 && !got.ExpiresAt.IsZero() || tc.expires > 0 && !got.ExpiresAt.Equal(now.Add(tc.expires)) {
				t.Errorf("expires at %v", got.ExpiresAt)
			}
			sent := f.last(t)
			if sent.Form.Get("grant_type") != "refresh_token" || sent.Form.Get("refresh_token") != "refresh-1" || sent.Form.Has("scope") || sent.Form.Has("redirect_uri") {
				t.Errorf("request: %v", sent.Form)
			}
		})
	}
}

func TestRefreshWithoutARefreshToken(t *testing.T) {
	f := newFake(t)
	_, err := client(t, f).Refresh(ctx, f.at(t, entry(t, "github")), secrets("")[0], nil)
	if e := oauthError(t, err); e.Class != GrantDead || e.Sent || len(f.calls()) != 0 {
		t.Errorf("%+v", e)
	}
}

func TestRefreshWithoutAnAddress(t *testing.T) {
	f := newFake(t)
	r := f.at(t, entry(t, "github"))
	r.Endpoints.Refresh = ""
	_, err := client(t, f).Refresh(ctx, r, refresh, nil)
	if e := oauthError(t, err); e.Class != ConnectorFault || e.Sent || len(f.calls()) != 0 {
		t.Errorf("%+v", e)
	}
}

// What the three types do not use but the format offers.
func TestTokenRequestVariants(t *testing.T) {
	f := newFake(t)
	f.on("/github/token", 201, `{"access_token":"at","realm":"r"}`)
	for name, tc := range map[string]struct {
		change func(*provider.Entry)
		check  func(received) bool
	}{
		"JSON body":   {func(e *provider.Entry) { e.Token.Body = "json" }, func(r received) bool { return r.JSON["code"] == "4/code" && r.JSON["client_secret"] != "" }},
		"no secret":   {func(e *provider.Entry) { e.Client.Auth = "none" }, func(r received) bool { return r.Form.Get("client_id") == "client-1" && !r.Form.Has("client_secret") }},
		"id's name":   {func(e *provider.Entry) { e.Client.IDParam = "client_key" }, func(r received) bool { return r.Form.Get("client_key") == "client-1" && !r.Form.Has("client_id") }},
		"headers":     {func(e *provider.Entry) { e.Token.Headers = map[string]string{"Notion-Version": "2026-03-11"} }, func(r received) bool { return r.Header.Get("Notion-Version") == "2026-03-11" }},
		"more params": {func(e *provider.Entry) { e.Token.Params = map[string]string{"request": "token"} }, func(r received) bool { return r.Form.Get("request") == "token" }},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client(t, f).Exchange(ctx, f.at(t, changed(t, "github", tc.change)), code, verifier, nil)
			if got := f.last(t); err != nil || !tc.check(got) {
				t.Errorf("%v: %+v", err, got)
			}
		})
	}
	e := changed(t, "github", func(e *provider.Entry) {
		e.Token.RefreshScope, e.Token.RefreshParams = true, map[string]string{"short": "no"}
	})
	if _, err := client(t, f).Refresh(ctx, f.at(t, e), refresh, []string{"a", "b"}); err != nil || f.last(t).Form.Get("scope") != "a b" || f.last(t).Form.Get("short") != "no" {
		t.Errorf("%v: %v", err, f.last(t).Form)
	}
}

func TestConnectionConfig(t *testing.T) {
	e := changed(t, "github", func(e *provider.Entry) {
		e.ConnectionConfig = []provider.ConfigValue{
			{Name: "realm_id", From: "callback", At: "realmId", Required: true},
			{Name: "host", From: "answer", At: "host", Domains: []string{"wrike.example"}},
			{Name: "sandboxed", From: "answer", At: "flags.0"},
		}
	})
	f := newFake(t)
	f.on("/github/token", 200, `{"access_token":"at","host":"app.wrike.example","flags":[true]}`, `{"access_token":"at","host":"evil.example"}`)
	r, c := f.at(t, e), client(t, f)

	got, err := c.Exchange(ctx, r, code, verifier, url.Values{"realmId": {"42"}})
	if want := map[string]string{"realm_id": "42", "host": "app.wrike.example", "sandboxed": "true"}; err != nil || !maps.Equal(got.ConnectionConfig, want) {
		t.Errorf("%v, %v", got.ConnectionConfig, err)
	}
	if got, err = c.Refresh(ctx, r, refresh, nil); err != nil || got.ConnectionConfig != nil {
		t.Errorf("a host outside the domains is not taken over: %v, %v", got.ConnectionConfig, err)
	}
	for _, callback := range []url.Values{nil, {"realmId": {"1", "2"}}} {
		if got, err = c.Exchange(ctx, r, code, verifier, callback); ClassOf(err) != ProviderFault || !got.AccessToken.IsZero() {
			t.Errorf("%v: %v", callback, err)
		}
	}
}

// After a rotation of the client secret the old one goes on working until the provider
// has the new one, and the other way round.
func TestNextSecretAfterInvalidClient(t *testing.T) {
	for _, typ := range []string{"googlecalendar", "github", "slack"} {
		t.Run(typ, func(t *testing.T) {
			f := newFake(t)
			refusal := map[string]string{
				"googlecalendar": `{"error":"invalid_client"}`, "github": `{"error":"incorrect_client_credentials"}`, "slack": `{"ok":false,"error":"bad_client_secret"}`,
			}[typ]
			f.handle("/"+typ+"/token", func(w http.ResponseWriter, r *http.Request) {
				got := f.last(t)
				_, pass, _ := basic(got)
				if pass+got.Form.Get("client_secret") != "old" {
					if typ == "googlecalendar" {
						w.WriteHeader(401)
					}
					_, _ = w.Write([]byte(refusal))
					return
				}
				_, _ = w.Write([]byte(`{"ok":true,"access_token":"at"}`))
			})
			r := f.at(t, entry(t, typ))
			r.ClientSecrets = secrets("new", "old")
			if got, err := client(t, f).Refresh(ctx, r, refresh, nil); err != nil || got.AccessToken.Reveal() != "at" || len(f.calls()) != 2 {
				t.Errorf("%+v, %v after %d calls", got, err, len(f.calls()))
			}
			r.ClientSecrets = secrets("wrong", "also wrong")
			_, err := client(t, f).Refresh(ctx, r, refresh, nil)
			if e := oauthError(t, err); e.Class != ConnectorFault || len(f.calls()) != 4 {
				t.Errorf("%v after %d calls", e, len(f.calls()))
			}
		})
	}
}

// Nothing but a refused client leads to a second request: it would burn a single-use
// code or token.
func TestNoSecondTryForOtherErrors(t *testing.T) {
	for _, answer := range []struct {
		status int
		body   string
	}{{400, `{"error":"invalid_grant"}`}, {401, `<html>`}, {401, `{"error":"unauthorized_client"}`}, {500, ``}, {200, `<html>`}, {429, ``}} {
		f := newFake(t)
		f.on("/github/token", answer.status, answer.body)
		r := f.at(t, entry(t, "github"))
		r.ClientSecrets = secrets("new", "old")
		if _, err := client(t, f).Exchange(ctx, r, code, verifier, nil); err == nil || len(f.calls()) != 1 {
			t.Errorf("%v: %v after %d calls", answer, err, len(f.calls()))
		}
	}
}

func TestBasicCredentialsAreFormEncodedFirst(t *testing.T) {
	f := newFake(t)
	f.on("/slack/token", 200, `{"ok":true,"access_token":"at"}`)
	r := f.at(t, entry(t, "slack"))
	r.ClientID, r.ClientSecrets = "id:1 ü", secrets("s+/=:%")
	if _, err := client(t, f).Refresh(ctx, r, refresh, nil); err != nil {
		t.Fatal(err)
	}
	if user, pass, raw := basic(f.last(t)); user != "id:1 ü" || pass != "s+/=:%" || raw != "id%3A1+%C3%BC:s%2B%2F%3D%3A%25" {
		t.Errorf("%q %q %q", user, pass, raw)
	}
}

func TestNoClientSecret(t *testing.T) {
	f := newFake(t)
	r := f.at(t, entry(t, "github"))
	r.ClientSecrets = nil
	_, err := client(t, f).Refresh(ctx, r, refresh, nil)
	if e := oauthError(t, err); e.Class != ConnectorFault || e.Op != "refresh" || len(f.calls()) != 0 {
		t.Errorf("%v", e)
	}
}

// SECURITY 73: malformed although 200.
func TestSecurity73_MalformedAnswers(t *testing.T) {
	hour := time.Hour
	for name, tc := range map[string]struct {
		body    string
		form    bool
		class   Class
		expires time.Duration // of a good one; 0: none
	}{
		"HTML":                       {body: "<!DOCTYPE html><html>", class: ProviderFault},
		"empty":                      {body: "", class: ProviderFault},
		"null":                       {body: "null", class: ProviderFault},
		"a text":                     {body: `"access_token"`, class: ProviderFault},
		"a list":                     {body: `[{"access_token":"at"}]`, class: ProviderFault},
		"cut off":                    {body: `{"access_token":"at"`, class: ProviderFault},
		"two values":                 {body: `{"access_token":"at"}{"access_token":"bt"}`, class: ProviderFault},
		"no token":                   {body: `{"token_type":"bearer"}`, class: ProviderFault},
		"token null":                 {body: `{"access_token":null}`, class: ProviderFault},
		"token empty":                {body: `{"access_token":""}`, class: ProviderFault},
		"token a number":             {body: `{"access_token":1}`, class: ProviderFault},
		"token with line break":      {body: `{"access_token":"a\r\nX: y"}`, class: ProviderFault},
		"token with space around":    {body: `{"access_token":" at"}`, class: ProviderFault},
		"token not ASCII":            {body: `{"access_token":"\ud800"}`, class: ProviderFault},
		"refresh with line break":    {body: `{"access_token":"at","refresh_token":"a\nb"}`, class: ProviderFault},
		"other type":                 {body: `{"access_token":"at","token_type":"mac"}`, class: ProviderFault},
		"error under 200":            {body: `{"error":"invalid_grant","access_token":"at"}`, class: GrantDead},
		"error object under 200":     {body: `{"error":{"message":"x"},"access_token":"at"}`, class: ProviderFault},
		"error not a code":           {body: `{"error":"<b>no</b>"}`, class: ProviderFault},
		"error null":                 {body: `{"error":null,"access_token":"at"}`},
		"error empty":                {body: `{"error":"","access_token":"at"}`},
		"duplicate names":            {body: `{"access_token":"at","access_token":"bt"}`, class: ProviderFault},
		"duplicate names further in": {body: `{"access_token":"at","x":{"a":1,"a":2}}`, class: ProviderFault},
		"duplicate names in a form":  {body: "access_token=at&access_token=bt", form: true, class: ProviderFault},
		"form with a bad escape":     {body: "access_token=%zz", form: true, class: ProviderFault},
		"JSON called a form":         {body: `{"access_token":"at"}`, form: true},
		"not UTF-8":                  {body: "{\"access_token\":\"\xff\"}", class: ProviderFault},
		"100,000 deep":               {body: `{"access_token":"at","x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}", class: ProviderFault},
		"100 deep":                   {body: `{"access_token":"at","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", class: ProviderFault},
		"many values":                {body: `{"access_token":"at","x":[` + strings.Repeat("{},", 100_000) + "{}]}", class: ProviderFault},
		"BOM":                        {body: "\xef\xbb\xbf{\"access_token\":\"at\"}"},
		"space around":               {body: "\n {\"access_token\":\"at\"}\n"},
		"form":                       {body: "access_token=at&expires_in=3600", form: true, expires: hour},
		"expires_in a number":        {body: `{"access_token":"at","expires_in":3600}`, expires: hour},
		"expires_in a text":          {body: `{"access_token":"at","expires_in":" 3600 "}`, expires: hour},
		"expires_in a float":         {body: `{"access_token":"at","expires_in":3600.5}`, expires: hour + 500*time.Millisecond},
		"expires_in with exponent":   {body: `{"access_token":"at","expires_in":3.6e3}`, expires: hour},
		"expires_in five seconds":    {body: `{"access_token":"at","expires_in":5}`, expires: 5 * time.Second},
		"expires_in null":            {body: `{"access_token":"at","expires_in":null}`},
		"expires_in zero":            {body: `{"access_token":"at","expires_in":0}`},
		"expires_in negative":        {body: `{"access_token":"at","expires_in":-1}`},
		"expires_in 1e18":            {body: `{"access_token":"at","expires_in":1e18}`, expires: maxLifetime},
		"expires_in 1e999":           {body: `{"access_token":"at","expires_in":1e999}`, expires: maxLifetime},
		"expires_in nonsense":        {body: `{"access_token":"at","expires_in":"soon"}`},
		"expires_in NaN":             {body: `{"access_token":"at","expires_in":"NaN"}`},
		"expires_in a list":          {body: `{"access_token":"at","expires_in":[3600]}`},
		"expires_in true":            {body: `{"access_token":"at","expires_in":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.handle("/github/token", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if tc.form {
					w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
				}
				_, _ = w.Write([]byte(tc.body))
			})
			got, err := client(t, f).Refresh(ctx, f.at(t, entry(t, "github")), refresh, nil)
			if ClassOf(err) != tc.class {
				t.Fatalf("got %+v, %v", got, err)
			}
			if err != nil {
				if !got.AccessToken.IsZero() || !got.RefreshToken.IsZero() {
					t.Error("tokens beside an error")
				}
				return
			}
			want := time.Time{}
			if tc.expires > 0 {
				want = now.Add(tc.expires)
			}
			if got.AccessToken.Reveal() != "at" || !got.ExpiresAt.Equal(want) {
				t.Errorf("%q expires at %v, want %v", got.AccessToken.Reveal(), got.ExpiresAt, want)
			}
		})
	}
}

func TestLifetimeOfTheEntryWhenTheAnswerNamesNone(t *testing.T) {
	f := newFake(t)
	f.on("/googlecalendar/token", 200, `{"access_token":"at"}`, `{"access_token":"at","expires_in":-5}`)
	for range 2 {
		got, err := client(t, f).Refresh(ctx, f.at(t, entry(t, "googlecalendar")), refresh, nil)
		if err != nil || !got.ExpiresAt.Equal(now.Add(time.Hour)) {
			t.Errorf("%v, %v", got.ExpiresAt, err)
		}
	}
}

func TestScopesOfTheAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		field string
		want  []string
		isNil bool
	}{
		"absent": {``, nil, true},
		"null":   {`,"scope":null`, nil, true},
		"empty":  {`,"scope":""`, nil, false}, // nothing was granted
		"spaces": {`,"scope":"a  b a"`, []string{"a", "b"}, false},
		"commas": {`,"scope":"a,b, c"`, []string{"a", "b", "c"}, false},
		"a list": {`,"scope":["a","b",1,null]`, []string{"a", "b", "1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on("/github/token", 200, `{"access_token":"at"`+tc.field+`}`)
			got, err := client(t, f).Exchange(ctx, f.at(t, entry(t, "github")), code, verifier, nil)
			if err != nil || !slices.Equal(got.Scopes, tc.want) || (got.Scopes == nil) != tc.isNil {
				t.Errorf("%#v, %v", got.Scopes, err)
			}
		})
	}
}

// SECURITY 74: a large token is kept whole; beyond the limit there is an error.
func TestSecurity74_LargeTokens(t *testing.T) {
	large := strings.Repeat("t", 64<<10)
	f := newFake(t)
	f.on("/github/token", 200, `{"access_token":"`+large+`","refresh_token":"`+large+`"}`, `{"access_token":"`+strings.Repeat("t", maxBody)+`"}`)
	got, err := client(t, f).Refresh(ctx, f.at(t, entry(t, "github")), refresh, nil)
	if err != nil || got.AccessToken.Reveal() != large || got.RefreshToken.Reveal() != large {
		t.Errorf("64 KiB: %v", err)
	}
	got, err = client(t, f).Refresh(ctx, f.at(t, entry(t, "github")), refresh, nil)
	if ClassOf(err) != ProviderFault || !strings.Contains(err.Error(), "larger than 1 MiB") || !got.AccessToken.IsZero() {
		t.Errorf("1 MiB: %v", err)
	}
}

// SECURITY 75: the client's credentials go to the connector's own token endpoint, in
// its body or header, and to no other.
func TestSecurity75_SecretOnlyAtItsEndpoint(t *testing.T) {
	token, other := newFake(t), newFake(t)
	token.on("/github/token", 200, `{"access_token":"at","token_type":"bearer"}`)
	other.on("/github/userinfo", 200, `{"id":1,"login":"dana"}`)
	other.on("/github/api/user/emails", 200, `[]`)
	r := token.at(t, entry(t, "github"))
	r.ClientSecrets = secrets("canary-secret")
	r.Endpoints.Userinfo, r.Endpoints.API = other.URL+"/github/userinfo", other.URL+"/github/api"
	c := client(t, token, other)
	got, err := c.Exchange(ctx, r, code, verifier, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.accountOf(ctx, r, got); err != nil {
		t.Fatal(err)
	}
	for _, call := range append(token.calls(), other.calls()...) {
		if strings.Contains(call.Path+call.Query, "canary") {
			t.Errorf("the secret is in the address: %+v", call)
		}
	}
	for _, call := range other.calls() {
		if _, _, raw := basic(call); raw != "" || len(call.Form) > 0 || len(call.JSON) > 0 {
			t.Errorf("credentials elsewhere: %+v", call)
		}
	}
	if len(other.calls()) != 2 {
		t.Errorf("%d calls", len(other.calls()))
	}
}

func single(form url.Values) map[string]string {
	m := map[string]string{}
	for name, values := range form {
		m[name] = strings.Join(values, "|")
	}
	return m
}

// basic returns the credentials of a Basic header, decoded and as sent.
func basic(r received) (user, pass, raw string) {
	u, p, ok := (&http.Request{Header: r.Header}).BasicAuth()
	if !ok {
		return "", "", ""
	}
	user, _ = url.QueryUnescape(u)
	pass, _ = url.QueryUnescape(p)
	return user, pass, u + ":" + p
}
