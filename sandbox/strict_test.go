package sandbox

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// good is an authorization request that each type accepts, as its documentation has it.
var good = map[string][]string{
	"airtable":        {"scope", "data.records:read", "state", "a-state-of-more-than-sixteen"},
	"asana":           {"scope", "users:read tasks:read"},
	"bamboohr":        {"scope", "openid email offline_access", "request", "authorize"},
	"databricks":      {"scope", "all-apis offline_access"},
	"dropbox":         {"scope", "account_info.read", "token_access_type", "offline"},
	"gitlab":          {"scope", "read_user"},
	"gmail":           {"scope", "email https://mail.google.com/", "access_type", "offline", "prompt", "consent"},
	"hubspot":         {"scope", "oauth"},
	"instagram":       {"scope", "instagram_business_basic,instagram_business_manage_comments"},
	"jira":            {"scope", "read:me offline_access", "audience", "api.atlassian.com", "prompt", "consent"},
	"linear":          {"scope", "read,write"},
	"linkedin":        {"scope", "openid profile", "code_challenge", "", "code_challenge_method", ""},
	"microsoft_teams": {"scope", "openid offline_access User.Read"},
	"notion":          {"scope", "", "owner", "user"},
	"quickbooks":      {"scope", "com.intuit.quickbooks.accounting"},
	"salesforce":      {"scope", "api refresh_token openid"},
	"slackbot":        {"scope", "channels:read,team:read", "code_challenge", "", "code_challenge_method", ""},
	"snowflake":       {"scope", "refresh_token session:role:ANALYST"},
	"splitwise":       {"scope", ""},
	"square":          {"scope", "MERCHANT_PROFILE_READ ITEMS_READ", "code_challenge", "", "code_challenge_method", ""},
	"stripe":          {"scope", "read_only"},
	"supabase":        {"scope", ""},
	"tiktok":          {"scope", "user.info.basic,video.list", "client_id", "", "client_key", "client-1"},
	"typeform":        {"scope", "offline accounts:read"},
	"wrike":           {"scope", "wsReadOnly,amReadOnlyUser"},
	"x":               {"scope", "tweet.read users.read offline.access"},
	"zoom":            {"scope", ""},
}

// What a provider refuses of an authorization request is refused, and with an error of
// its own at the redirect URI.
func TestStrictAuthorize(t *testing.T) {
	for _, tc := range []struct{ typ, what, name, value, want string }{
		{"airtable", "no PKCE", "code_challenge", "", "invalid_request"},
		{"airtable", "a short state", "state", "short", "invalid_request"},
		{"airtable", "a state with other characters", "state", "sixteen+characters/of=base64", "invalid_request"},
		{"airtable", "no scope", "scope", "", "invalid_scope"},
		{"airtable", "commas", "scope", "data.records:read,schema.bases:read", "invalid_scope"},
		{"bamboohr", "no request parameter", "request", "", "invalid_request"},
		{"databricks", "no PKCE", "code_challenge", "", "invalid_request"},
		{"databricks", "an unknown scope", "scope", "everything", "invalid_scope"},
		{"gmail", "a scope that is none", "scope", "mail", "invalid_scope"},
		{"instagram", "spaces", "scope", "instagram_business_basic instagram_business_manage_comments", "invalid_scope"},
		{"instagram", "a name of before 2025", "scope", "business_basic", "invalid_scope"},
		{"jira", "no audience", "audience", "", "invalid_request"},
		{"jira", "no state", "state", "", "invalid_request"},
		{"linear", "spaces", "scope", "read write", "invalid_scope"},
		{"microsoft_teams", "no scope", "scope", "", "invalid_scope"},
		{"microsoft_teams", "a short name of nothing", "scope", "calendar", "invalid_scope"},
		{"notion", "no owner", "owner", "", "invalid_request"},
		{"snowflake", "another provider's word for offline", "scope", "offline_access", "invalid_scope"},
		{"square", "small letters", "scope", "items_read", "invalid_scope"},
		{"stripe", "a scope that is none", "scope", "read", "invalid_scope"},
		{"tiktok", "spaces", "scope", "user.info.basic video.list", "invalid_scope"},
		{"wrike", "spaces", "scope", "wsReadOnly amReadOnlyUser", "invalid_scope"},
		{"x", "no PKCE", "code_challenge", "", "invalid_request"},
		{"x", "plain PKCE", "code_challenge_method", "plain", "invalid_request"},
	} {
		t.Run(tc.typ+" "+tc.what, func(t *testing.T) {
			g := newRig(t)
			if err := g.Next(Approve, ""); err != nil {
				t.Fatal(err)
			}
			edits := append(append([]string(nil), good[tc.typ]...), tc.name, tc.value)
			if tc.name == "code_challenge" {
				edits = append(edits, "code_challenge_method", "")
			}
			back := g.callback(g.get(ask(tc.typ, edits...)))
			if back.Get("error") != tc.want || back.Has("code") {
				t.Errorf("came back with %v, want %s", back, tc.want)
			}
		})
	}
	g := newRig(t)
	if a := g.get(ask("tiktok", "scope", "user.info.basic")); a.status != http.StatusBadRequest || !strings.Contains(a.body, "client_key") {
		t.Errorf("a client_id in place of TikTok's client_key: %d", a.status)
	}
	if a := g.get("/wix/authorize?appId=a&redirect_uri=http%3A%2F%2Flocalhost%2Fx"); a.status != http.StatusBadRequest {
		t.Errorf("a redirect_uri at Wix's installer: %d", a.status)
	}
}

// call is one token request, as headers, a form or a JSON body.
type tokenCall struct {
	form   url.Values
	json   bool
	query  string
	header []string
}

func byBasicHeader() []string {
	return []string{"Authorization", basicHeader("client-1", clientSecret)}
}

// way is how each type wants a token request; the rest take a form with the client in it.
func way(typ string, form url.Values) tokenCall {
	c := tokenCall{form: form}
	byBasic := func() {
		c.form.Del("client_id")
		c.form.Del("client_secret")
		c.header = byBasicHeader()
	}
	switch typ {
	case "airtable", "snowflake", "x":
		byBasic()
	case "notion":
		byBasic()
		c.json, c.header = true, append(c.header, "Notion-Version", "2025-09-03")
	case "square":
		c.json = true
	case "tiktok":
		c.form.Set("client_key", c.form.Get("client_id"))
		c.form.Del("client_id")
	case "stripe":
		c.form.Del("redirect_uri")
		c.form.Del("client_id")
	case "bamboohr":
		c.query = "?request=token"
	}
	switch typ {
	case "linkedin", "square", "slackbot", "tiktok":
		c.form.Del("code_verifier")
	}
	return c
}

func (g *rig) token(typ string, c tokenCall) reply {
	g.Helper()
	if !c.json {
		return g.postForm("/"+typ+"/token"+c.query, c.form, c.header...)
	}
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	for i := 0; i+1 < len(c.header); i += 2 {
		h.Set(c.header[i], c.header[i+1])
	}
	var pairs []string
	for name := range c.form {
		pairs = append(pairs, `"`+name+`":"`+c.form.Get(name)+`"`)
	}
	return g.do("POST", "/"+typ+"/token"+c.query, h, "{"+strings.Join(pairs, ",")+"}")
}

// What a provider refuses of a token request is refused, by status and in its own words.
func TestStrictToken(t *testing.T) {
	without := func(names ...string) func(*tokenCall) {
		return func(c *tokenCall) {
			for _, name := range names {
				c.form.Del(name)
			}
		}
	}
	with := func(pairs ...string) func(*tokenCall) {
		return func(c *tokenCall) { c.form = edit(c.form, pairs) }
	}
	body := func(c *tokenCall) { // the client in the body
		c.header = nil
		c.form = edit(c.form, []string{"client_id", "client_1", "client_secret", clientSecret})
	}
	asForm := func(c *tokenCall) { c.json = false }
	bare := func(c *tokenCall) { c.header, c.query = nil, "" }
	for _, tc := range []struct {
		typ, what string
		refresh   bool
		change    func(*tokenCall)
		status    int
		says      string
	}{
		{"airtable", "the client in the body", false, body, 401, `"invalid_client"`},
		{"snowflake", "the client in the body", false, body, 401, `"invalid_client"`},
		{"x", "the client in the body", false, body, 401, `"unauthorized_client"`},
		{"notion", "the client in the body", false, func(c *tokenCall) { body(c); c.header = []string{"Notion-Version", "2025-09-03"} }, 401, `"invalid_client"`},
		{"notion", "no version", false, func(c *tokenCall) { c.header = byBasicHeader() }, 400, "Notion-Version"},
		{"notion", "a form", false, asForm, 400, "application/json"},
		{"square", "a form", false, asForm, 400, `"errors"`},
		{"square", "the wrong secret", false, with("client_secret", "wrong"), 401, `"service.not_authorized"`},
		{"splitwise", "HTTP Basic", false, func(c *tokenCall) { c.header = byBasicHeader() }, 404, "Basic"},
		{"stripe", "a redirect URI", false, with("redirect_uri", redirectURI), 400, "redirect_uri"},
		{"tiktok", "client_id", false, with("client_key", "", "client_id", "client-1"), 401, `"log_id"`},
		{"supabase", "an unknown field", false, with("audience", "x"), 400, "audience"},
		{"bamboohr", "no request in the query", false, bare, 400, "request=token"},
		{"linkedin", "a verifier", false, with("code_verifier", verifier), 400, `"invalid_grant"`},
		{"databricks", "no verifier", false, without("code_verifier"), 400, `"invalid_grant"`},
		{"quickbooks", "no Accept", false, func(c *tokenCall) { c.header = []string{"Accept", "*/*"} }, 400, "Accept"},
		{"instagram", "the wrong secret", false, with("client_secret", "wrong"), 400, `"error_type"`},
		{"hubspot", "a redirect URI when refreshing", true, with("redirect_uri", redirectURI), 400, "redirect_uri"},
		{"gitlab", "no redirect URI when refreshing", true, without("redirect_uri"), 400, "redirect_uri"},
		{"asana", "no redirect URI when refreshing", true, without("redirect_uri"), 400, "redirect_uri"},
		{"microsoft_teams", "no scopes when refreshing", true, without("scope"), 400, "AADSTS90009"},
		{"jira", "an unknown refresh token", true, with("refresh_token", "unknown"), 403, `"invalid_grant"`},
		{"databricks", "an unknown refresh token", true, with("refresh_token", "unknown"), 400, `"invalid_request"`},
		{"zoom", "an unknown refresh token", true, with("refresh_token", "unknown"), 400, `"reason":"Invalid Token!"`},
		{"hubspot", "an unknown refresh token", true, with("refresh_token", "unknown"), 400, `"BAD_REFRESH_TOKEN"`},
		{"microsoft_teams", "an unknown refresh token", true, with("refresh_token", "unknown"), 400, `"error_codes"`},
	} {
		t.Run(tc.typ+" "+tc.what, func(t *testing.T) {
			g := newRig(t)
			ask := func() tokenCall {
				if err := g.Next(Approve, ""); err != nil {
					t.Fatal(err)
				}
				return way(tc.typ, exchangeForm(g.code(tc.typ, Approve, "", good[tc.typ]...)))
			}
			c := ask()
			if tc.refresh {
				given := g.tokens(g.token(tc.typ, c))
				c = way(tc.typ, refreshForm(given.refresh))
				if tc.typ == "gitlab" || tc.typ == "asana" {
					c.form.Set("redirect_uri", redirectURI)
				}
				if tc.typ == "microsoft_teams" {
					c.form.Set("scope", "openid offline_access User.Read")
				}
			}
			tc.change(&c)
			if a := g.token(tc.typ, c); a.status != tc.status || !strings.Contains(a.body, tc.says) {
				t.Errorf("status %d, want %d with %s: %s", a.status, tc.status, tc.says, a.body)
			}
			// And what was not changed is accepted.
			c = ask()
			if a := g.token(tc.typ, c); a.status != http.StatusOK && a.status != http.StatusCreated {
				t.Errorf("the good request: %d %s", a.status, a.body)
			}
		})
	}
}

// Who-am-I and revocation are as strict.
func TestStrictCalls(t *testing.T) {
	g := newRig(t)
	linked := func(typ string) tokens {
		t.Helper()
		a := g.token(typ, way(typ, exchangeForm(g.code(typ, Approve, "", good[typ]...))))
		if strings.Contains(a.body, `"data":[{"access_token"`) { // Instagram's
			return tokens{access: strings.Split(strings.Split(a.body, `"access_token":"`)[1], `"`)[0]}
		}
		return g.tokens(a)
	}
	bearer := func(token string, more ...string) http.Header {
		h := http.Header{"Authorization": {"Bearer " + token}}
		for i := 0; i+1 < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	for _, tc := range []struct {
		typ, method, path string
		header            []string
		body              string
		status            int
	}{
		{"linear", "GET", "userinfo", nil, "", 405},
		{"linear", "POST", "userinfo", []string{"Content-Type", "application/json"}, `{"query":"{ teams }"}`, 400},
		{"linear", "POST", "userinfo", []string{"Content-Type", "application/json"}, `{"query":"{ viewer { id } }"}`, 200},
		{"snowflake", "POST", "userinfo", []string{"Content-Type", "application/json"}, `{"statement":"SELECT CURRENT_USER()"}`, 401},
		{"snowflake", "POST", "userinfo", []string{"Content-Type", "application/json", "X-Snowflake-Authorization-Token-Type", "OAUTH"}, `{"statement":"DROP TABLE users"}`, 422},
		{"dropbox", "POST", "userinfo", []string{"Content-Type", "application/x-www-form-urlencoded"}, "a=b", 400},
		{"dropbox", "GET", "userinfo", nil, "", 405},
		{"dropbox", "POST", "userinfo", nil, "", 200},
		{"tiktok", "GET", "userinfo", nil, "", 400},
		{"tiktok", "GET", "userinfo?fields=open_id,username", nil, "", 401},
		{"tiktok", "GET", "userinfo?fields=open_id", nil, "", 200},
		{"notion", "GET", "userinfo", nil, "", 400},
		{"notion", "GET", "userinfo", []string{"Notion-Version", "2025-09-03"}, "", 200},
		{"x", "GET", "userinfo?user.fields=confirmed_email", nil, "", 403},
		{"dropbox", "POST", "revoke", []string{"Content-Type", "application/x-www-form-urlencoded"}, "token=x", 400},
		{"gmail", "POST", "revoke", []string{"Content-Type", "application/json"}, `{"token":"x"}`, 400},
		{"microsoft_teams", "POST", "revoke", nil, "", 404},
		{"airtable", "POST", "revoke", nil, "", 404},
		{"instagram", "GET", "api/refresh_access_token?grant_type=ig_refresh_token&access_token=unknown", nil, "", 400},
		{"instagram", "GET", "api/access_token?grant_type=ig_exchange_token&client_secret=wrong&access_token=x", nil, "", 400},
	} {
		if a := g.do(tc.method, "/"+tc.typ+"/"+tc.path, bearer(linked(tc.typ).access, tc.header...), tc.body); a.status != tc.status {
			t.Errorf("%s %s %s %s: %d, want %d: %s", tc.typ, tc.method, tc.path, tc.body, a.status, tc.status, a.body)
		}
	}

	// Each revokes what it is asked to, and in its own way alone.
	json := func(more ...string) http.Header {
		h := http.Header{"Content-Type": {"application/json"}}
		for i := 0; i+1 < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	square := linked("square")
	squareBody := `{"client_id":"client-1","access_token":"` + square.access + `"}`
	if a := g.do("POST", "/square/revoke", json("Authorization", "Bearer "+clientSecret), squareBody); a.status != 401 {
		t.Errorf("square's own scheme is not demanded: %d", a.status)
	}
	if a := g.do("POST", "/square/revoke", json("Authorization", "Client "+clientSecret), squareBody); a.status != 200 || !strings.Contains(a.body, `"success":true`) {
		t.Errorf("square: %d %s", a.status, a.body)
	}
	supabase := linked("supabase")
	if a := g.do("POST", "/supabase/revoke", json(), `{"client_id":"client-1","client_secret":"`+clientSecret+`","token":"`+supabase.refresh+`"}`); a.status != 400 {
		t.Errorf("supabase takes token: %d", a.status)
	}
	if a := g.do("POST", "/supabase/revoke", json(), `{"client_id":"client-1","client_secret":"`+clientSecret+`","refresh_token":"`+supabase.refresh+`"}`); a.status != 204 {
		t.Errorf("supabase: %d %s", a.status, a.body)
	}
	asana := linked("asana")
	form := func(token string) url.Values {
		return url.Values{"token": {token}, "client_id": {"client-1"}, "client_secret": {clientSecret}}
	}
	if a := g.postForm("/asana/revoke", form(asana.access)); a.status != 400 {
		t.Errorf("asana revokes an access token: %d", a.status)
	}
	zoom := linked("zoom")
	if a := g.postForm("/zoom/revoke", form(zoom.access)); a.status != 401 {
		t.Errorf("zoom takes the client in the body: %d", a.status)
	}
	if a := g.postForm("/zoom/revoke", url.Values{"token": {zoom.access}}, byBasicHeader()...); a.status != 200 || !strings.Contains(a.body, "success") {
		t.Errorf("zoom: %d %s", a.status, a.body)
	}
}

// A long token of Instagram's renews itself, but not on its first day.
func TestInstagramRenewsItself(t *testing.T) {
	g := newRig(t)
	a := g.token("instagram", way("instagram", exchangeForm(g.code("instagram", Approve, "", good["instagram"]...))))
	short := strings.Split(strings.Split(a.body, `"access_token":"`)[1], `"`)[0]
	long := g.tokens(g.get("/instagram/api/access_token?grant_type=ig_exchange_token&client_secret=" + clientSecret + "&access_token=" + short))
	if long.expires < 59*24*3600 {
		t.Errorf("it lives %v seconds", long.expires)
	}
	renew := func(token string) reply {
		return g.get("/instagram/api/refresh_access_token?grant_type=ig_refresh_token&access_token=" + token)
	}
	if a := renew(long.access); a.status != 400 {
		t.Errorf("renewed at once: %d", a.status)
	}
	g.clock.Advance(25 * time.Hour)
	fresh := g.tokens(renew(long.access))
	g.clock.Advance(60 * 24 * time.Hour)
	if a := renew(fresh.access); a.status != 400 {
		t.Errorf("renewed after it had run out: %d", a.status)
	}
}
