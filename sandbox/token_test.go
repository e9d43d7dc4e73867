package sandbox

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestTokenAnswers(t *testing.T) {
	g := newRig(t)

	t.Run("github", func(t *testing.T) {
		got := g.link("github", Approve, "")
		if got.raw["token_type"] != "bearer" || got.scope != "read:user,user:email" || got.expires != 0 || got.refresh != "" {
			t.Errorf("answered %v", got.raw)
		}
	})
	t.Run("github without Accept", func(t *testing.T) {
		a := g.postForm("/github/token", exchangeForm(g.code("github", Approve, "")), "Accept", "*/*")
		form, err := url.ParseQuery(a.body)
		if err != nil || !strings.HasPrefix(a.header.Get("Content-Type"), "application/x-www-form-urlencoded") ||
			form.Get("access_token") == "" || form.Get("scope") != "read:user,user:email" {
			t.Errorf("answered %s %q (%v)", a.header.Get("Content-Type"), a.body, err)
		}
	})
	t.Run("github as a GitHub App", func(t *testing.T) {
		got := g.link("github", Rotating, "")
		if got.expires != 28_800 || got.refresh == "" || got.raw["refresh_token_expires_in"] == nil {
			t.Errorf("answered %v", got.raw)
		}
	})
	t.Run("googlecalendar", func(t *testing.T) {
		got := g.link("googlecalendar", Approve, "")
		want := "openid " + googleEmail + " " + googleProfile + " " + googleScope + "calendar.readonly"
		if got.raw["token_type"] != "Bearer" || got.scope != want || got.expires != 3599 || got.refresh == "" {
			t.Errorf("answered %v", got.raw)
		}
	})
	t.Run("googlecalendar adds openid", func(t *testing.T) {
		if got := g.link("googlecalendar", Approve, "", "scope", "email"); got.scope != googleEmail+" openid" {
			t.Errorf("scope %q", got.scope)
		}
	})
	for name, edits := range map[string][]string{
		"online":            {"access_type", ""},
		"without consent":   {"prompt", ""},
		"only the chooser":  {"prompt", "select_account"},
		"no refresh wanted": {"access_type", "online"},
	} {
		t.Run("googlecalendar "+name, func(t *testing.T) {
			if got := g.link("googlecalendar", Approve, "", edits...); got.refresh != "" || got.expires != 3599 {
				t.Errorf("answered %v", got.raw)
			}
		})
	}
	t.Run("googlecalendar consent and chooser", func(t *testing.T) {
		if got := g.link("googlecalendar", Approve, "", "prompt", "consent select_account"); got.refresh == "" {
			t.Errorf("answered %v", got.raw)
		}
	})
	t.Run("slack", func(t *testing.T) {
		got := g.link("slack", Approve, "dana@sandbox.example")
		user, _ := got.raw["authed_user"].(map[string]any)
		team, _ := got.raw["team"].(map[string]any)
		enterprise, there := got.raw["enterprise"]
		if got.raw["ok"] != true || user["token_type"] != "user" || got.scope != "users:read,channels:read" ||
			got.expires != 0 || got.refresh != "" || !there || enterprise != nil || got.raw["is_enterprise_install"] != false ||
			got.raw["access_token"] != nil || team["name"] != "Sandbox" {
			t.Errorf("answered %v", got.raw)
		}
		if id, _ := user["id"].(string); len(id) != 11 || id[0] != 'U' {
			t.Errorf("user id %q", id)
		}
	})
	t.Run("slack refreshes flat", func(t *testing.T) {
		first := g.link("slack", Rotating, "")
		if first.expires != 43_200 || first.refresh == "" {
			t.Fatalf("answered %v", first.raw)
		}
		raw := g.refresh("slack", first.refresh).json(t)
		if raw["ok"] != true || raw["authed_user"] != nil || raw["access_token"] == nil || raw["refresh_token"] == nil ||
			raw["token_type"] != "user" || raw["expires_in"] != 43_200.0 {
			t.Errorf("answered %v", raw)
		}
	})
	t.Run("generic", func(t *testing.T) {
		got := g.link("generic", Approve, "")
		if got.raw["token_type"] != "Bearer" || got.scope != "openid email profile items.read" || got.expires != 3600 || got.refresh == "" {
			t.Errorf("answered %v", got.raw)
		}
	})
	t.Run("never cached", func(t *testing.T) {
		if a := g.refresh("generic", "none"); a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", a.header)
		}
	})
}

// Every refusal has the provider's own name and status.
func TestTokenRefusals(t *testing.T) {
	type names map[string]string
	for name, c := range map[string]struct {
		edit []string
		want names
	}{
		"wrong secret":      {[]string{"client_secret", "guess"}, names{"github": "incorrect_client_credentials", "googlecalendar": "invalid_client", "slack": "bad_client_secret", "generic": "invalid_client"}},
		"no secret":         {[]string{"client_secret", ""}, names{"github": "incorrect_client_credentials", "googlecalendar": "invalid_client", "slack": "bad_client_secret", "generic": "invalid_client"}},
		"no client":         {[]string{"client_id", ""}, names{"github": "incorrect_client_credentials", "googlecalendar": "invalid_client", "slack": "bad_client_secret", "generic": "invalid_client"}},
		"another client":    {[]string{"client_id", "client-2"}, names{"github": "bad_verification_code", "googlecalendar": "invalid_grant", "slack": "invalid_code", "generic": "invalid_grant"}},
		"another redirect":  {[]string{"redirect_uri", redirectURI + "/"}, names{"github": "redirect_uri_mismatch", "googlecalendar": "redirect_uri_mismatch", "slack": "bad_redirect_uri", "generic": "invalid_grant"}},
		"no redirect":       {[]string{"redirect_uri", ""}, names{"github": "redirect_uri_mismatch", "googlecalendar": "redirect_uri_mismatch", "slack": "bad_redirect_uri", "generic": "invalid_grant"}},
		"wrong verifier":    {[]string{"code_verifier", strings.Repeat("x", 43)}, names{"github": "bad_verification_code", "googlecalendar": "invalid_grant", "slack": "invalid_code", "generic": "invalid_grant"}},
		"no verifier":       {[]string{"code_verifier", ""}, names{"github": "bad_verification_code", "googlecalendar": "invalid_grant", "slack": "invalid_code", "generic": "invalid_grant"}},
		"challenge sent":    {[]string{"code_verifier", challenge}, names{"github": "bad_verification_code", "googlecalendar": "invalid_grant", "slack": "invalid_code", "generic": "invalid_grant"}},
		"unknown code":      {[]string{"code", "guess"}, names{"github": "bad_verification_code", "googlecalendar": "invalid_grant", "slack": "invalid_code", "generic": "invalid_grant"}},
		"no code":           {[]string{"code", ""}, names{"github": "invalid_request", "googlecalendar": "invalid_request", "slack": "invalid_arguments", "generic": "invalid_request"}},
		"password grant":    {[]string{"grant_type", "password"}, names{"github": "unsupported_grant_type", "googlecalendar": "unsupported_grant_type", "slack": "invalid_grant_type", "generic": "unsupported_grant_type"}},
		"no refresh token":  {[]string{"grant_type", "refresh_token"}, names{"github": "invalid_request", "googlecalendar": "invalid_request", "slack": "invalid_arguments", "generic": "invalid_request"}},
		"bad refresh token": {[]string{"grant_type", "refresh_token", "refresh_token", "guess"}, names{"github": "bad_refresh_token", "googlecalendar": "invalid_grant", "slack": "invalid_refresh_token", "generic": "invalid_grant"}},
	} {
		for typ, want := range c.want {
			g := newRig(t)
			a := g.postForm("/"+typ+"/token", exchangeForm(g.code(typ, Approve, ""), c.edit...))
			if got := g.failed(a); got != want {
				t.Errorf("%s, %s: error %q, want %q", typ, name, got, want)
			}
			wantStatus := 400
			switch {
			case typ == "github" || typ == "slack":
				wantStatus = 200
			case want == "invalid_client":
				wantStatus = 401
			}
			if a.status != wantStatus {
				t.Errorf("%s, %s: status %d, want %d", typ, name, a.status, wantStatus)
			}
			if typ == "slack" && a.json(t)["ok"] != false {
				t.Errorf("%s, %s: answered %s", typ, name, a.body)
			}
		}
	}
}

func TestTokenHostileInput(t *testing.T) {
	for _, typ := range allTypes {
		t.Run(typ, func(t *testing.T) {
			g := newRig(t)
			path := "/" + typ + "/token"
			if a := g.get(path); a.status != 405 || a.header.Get("Allow") != "POST" {
				t.Errorf("GET: status %d, Allow %q", a.status, a.header.Get("Allow"))
			}
			big := exchangeForm(strings.Repeat("x", 70_000))
			if a := g.postForm(path, big); a.status != 413 || g.failed(a) == "" {
				t.Errorf("oversized: status %d: %s", a.status, a.body)
			}
			wantMedia := "invalid_request"
			if typ == "slack" {
				wantMedia = "invalid_form_data"
			}
			for _, media := range []string{"application/json", "multipart/form-data; boundary=x", "nonsense;;", ""} {
				a := g.postForm(path, exchangeForm(g.code(typ, Approve, "")), "Content-Type", media)
				if got := g.failed(a); got != wantMedia {
					t.Errorf("%q: error %q", media, got)
				}
			}
			header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
			for name, body := range map[string]string{
				"malformed":       "grant_type=%zz",
				"repeated code":   exchangeForm("a").Encode() + "&code=b",
				"repeated secret": exchangeForm("a").Encode() + "&client_secret=" + clientSecret,
			} {
				a := g.do("POST", path, header, body)
				if got := g.failed(a); got != "invalid_request" && got != "invalid_arguments" {
					t.Errorf("%s: error %q", name, got)
				}
			}
			// Parameters of the address are none of the body's (RFC 6749 section 2.3.1).
			if a := g.do("POST", path+"?"+exchangeForm(g.code(typ, Approve, "")).Encode(), header, ""); g.failed(a) == "" {
				t.Errorf("the query was read: %s", a.body)
			}
		})
	}
}

func TestClientAuthentication(t *testing.T) {
	inBody := func(code string) url.Values { return exchangeForm(code) }
	inHeader := func(code string) url.Values { return exchangeForm(code, "client_id", "", "client_secret", "") }
	basic := func(id, secret string) string {
		req, _ := http.NewRequest("GET", "/", nil)
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
		return req.Header.Get("Authorization")
	}
	for _, c := range []struct {
		name, typ, authorization string
		form                     func(string) url.Values
		want                     string
	}{
		{"body", "generic", "", inBody, ""},
		{"basic", "generic", basic("client-1", clientSecret), inHeader, ""},
		{"basic", "googlecalendar", basic("client-1", clientSecret), inHeader, ""},
		{"basic", "slack", basic("client-1", clientSecret), inHeader, ""},
		{"basic is not read", "github", basic("client-1", clientSecret), inHeader, "incorrect_client_credentials"},
		{"basic, wrong secret", "generic", basic("client-1", "x"), inHeader, "invalid_client"},
		{"basic, no id", "generic", basic("", clientSecret), inHeader, "invalid_client"},
		{"both", "generic", basic("client-1", clientSecret), inBody, "invalid_request"},
		{"two ids", "generic", basic("client-2", clientSecret), func(code string) url.Values {
			return exchangeForm(code, "client_secret", "")
		}, "invalid_request"},
		{"basic, id repeated", "generic", basic("client-1", clientSecret), func(code string) url.Values {
			return exchangeForm(code, "client_secret", "")
		}, ""},
		{"bearer", "generic", "Bearer x", inBody, "invalid_client"},
		{"no base64", "generic", "Basic !!", inHeader, "invalid_client"},
	} {
		g := newRig(t)
		form := c.form(g.code(c.typ, Approve, ""))
		a := g.postForm("/"+c.typ+"/token", form, "Authorization", c.authorization)
		got, _ := a.json(t)["error"].(string)
		if got != c.want {
			t.Errorf("%s, %s: error %q, want %q: %s", c.typ, c.name, got, c.want, a.body)
		}
		if c.want == "invalid_client" && a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s, %s: no WWW-Authenticate", c.typ, c.name)
		}
	}
}

func TestPKCEIsOptional(t *testing.T) {
	without := []string{"code_challenge", "", "code_challenge_method", ""}
	g := newRig(t)
	g.tokens(g.postForm("/slack/token", exchangeForm(g.code("slack", Approve, "", without...), "code_verifier", "")))
	a := g.postForm("/generic/token", exchangeForm(g.code("generic", Approve, "", without...)))
	if g.failed(a) != "invalid_grant" {
		t.Errorf("a verifier without a challenge: %s", a.body)
	}
}

func TestCodeLifetime(t *testing.T) {
	g := newRig(t)
	early, late := g.code("generic", Approve, ""), g.code("generic", Approve, "")
	g.clock.Advance(59 * time.Second)
	g.tokens(g.postForm("/generic/token", exchangeForm(early)))
	g.clock.Advance(time.Second)
	if a := g.postForm("/generic/token", exchangeForm(late)); g.failed(a) != "invalid_grant" {
		t.Errorf("after 60 s: %s", a.body)
	}
}

func TestCodeReplayRevokes(t *testing.T) {
	for typ, want := range map[string]string{"generic": "invalid_grant", "github": "bad_verification_code", "slack": "code_already_used"} {
		g := newRig(t)
		code := g.code(typ, Approve, "")
		got := g.tokens(g.postForm("/"+typ+"/token", exchangeForm(code)))
		if a := g.api("/"+typ+"/api/whoami", got.access); a.status != 200 {
			t.Fatalf("%s: status %d before the replay", typ, a.status)
		}
		g.clock.Advance(5 * time.Minute)
		if a := g.postForm("/"+typ+"/token", exchangeForm(code)); g.failed(a) != want {
			t.Errorf("%s: the replay was answered %s", typ, a.body)
		}
		if a := g.api("/"+typ+"/api/whoami", got.access); a.status != 401 {
			t.Errorf("%s: status %d after the replay", typ, a.status)
		}
		if got.refresh != "" {
			if a := g.refresh(typ, got.refresh); g.failed(a) != want {
				t.Errorf("%s: a refresh after the replay was answered %s", typ, a.body)
			}
		}
	}
}

// One wrong attempt uses the code up; a stranger's attempt does not.
func TestCodeIsBurntByItsOwnClientOnly(t *testing.T) {
	g := newRig(t)
	code := g.code("generic", Approve, "")
	g.failed(g.postForm("/generic/token", exchangeForm(code, "client_id", "client-2")))
	g.failed(g.postForm("/github/token", exchangeForm(code)))
	g.tokens(g.postForm("/generic/token", exchangeForm(code)))

	code = g.code("generic", Approve, "")
	g.failed(g.postForm("/generic/token", exchangeForm(code, "code_verifier", strings.Repeat("x", 43))))
	if a := g.postForm("/generic/token", exchangeForm(code)); g.failed(a) != "invalid_grant" {
		t.Errorf("a burnt code was taken: %s", a.body)
	}
}

func TestRefresh(t *testing.T) {
	for _, typ := range []string{"generic", "googlecalendar"} {
		g := newRig(t)
		first := g.link(typ, Approve, "")
		second := g.tokens(g.refresh(typ, first.refresh))
		if second.refresh != "" || second.access == first.access {
			t.Errorf("%s: a refresh answered %v", typ, second.raw)
		}
		g.tokens(g.refresh(typ, first.refresh))
		for _, token := range []string{first.access, second.access} {
			if a := g.api("/"+typ+"/api/whoami", token); a.status != 200 {
				t.Errorf("%s: status %d", typ, a.status)
			}
		}
		if a := g.postForm("/"+typ+"/token", refreshForm(first.refresh, "client_id", "client-2")); g.failed(a) != "invalid_grant" {
			t.Errorf("%s: another client refreshed: %s", typ, a.body)
		}
		if a := g.refresh(typ, first.access); g.failed(a) != "invalid_grant" {
			t.Errorf("%s: an access token refreshed: %s", typ, a.body)
		}
		if a := g.api("/"+typ+"/api/whoami", first.refresh); a.status != 401 {
			t.Errorf("%s: a refresh token opened the API: status %d", typ, a.status)
		}
	}
}

func TestGitHubRefreshEndsTheOldPair(t *testing.T) {
	g := newRig(t)
	first := g.link("github", Expires5s, "")
	second := g.tokens(g.refresh("github", first.refresh))
	if a := g.api("/github/api/user", first.access); a.status != 401 {
		t.Errorf("the old access token: status %d", a.status)
	}
	if a := g.refresh("github", first.refresh); g.failed(a) != "bad_refresh_token" {
		t.Errorf("the old refresh token: %s", a.body)
	}
	if a := g.api("/github/api/user", second.access); a.status != 200 {
		t.Errorf("the new access token: status %d", a.status)
	}
}

func TestRefreshNarrowsScopes(t *testing.T) {
	g := newRig(t)
	first := g.link("generic", Approve, "")
	got := g.tokens(g.postForm("/generic/token", refreshForm(first.refresh, "scope", "openid")))
	if got.scope != "openid" {
		t.Errorf("scope %q", got.scope)
	}
	if a := g.postForm("/generic/token", refreshForm(first.refresh, "scope", "openid admin")); g.failed(a) != "invalid_scope" {
		t.Errorf("widened: %s", a.body)
	}
	if got := g.tokens(g.refresh("generic", first.refresh)); got.scope != "openid email profile items.read" {
		t.Errorf("scope %q after a narrow refresh", got.scope)
	}
}
