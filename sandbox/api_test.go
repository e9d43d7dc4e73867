package sandbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestUserinfo(t *testing.T) {
	const account = "dana.reyes@sandbox.example"
	g := newRig(t)
	for typ, want := range map[string]map[string]any{
		"github":         {"login": "dana-reyes", "name": "Dana Reyes", "email": nil},
		"googlecalendar": {"name": "Dana Reyes", "email": account, "email_verified": true, "picture": g.url + iconPath},
		"slack":          {"ok": true, "user": "dana-reyes", "team": "Sandbox", "url": g.url + "/slack/"},
		"generic":        {"name": "Dana Reyes", "email": account},
	} {
		a := g.api("/"+typ+"/userinfo", g.link(typ, Approve, account).access)
		if a.status != 200 || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d, %v", typ, a.status, a.header)
		}
		got := a.json(t)
		for name, value := range want {
			if v, there := got[name]; !there || v != value {
				t.Errorf("%s: %s is %v, want %v", typ, name, v, value)
			}
		}
	}
	t.Run("ids", func(t *testing.T) {
		github := g.api("/github/userinfo", g.link("github", Approve, account).access)
		if !strings.Contains(github.body, `"id":`) || strings.Contains(github.body, `"id":"`) {
			t.Errorf("GitHub's id is no number: %s", github.body)
		}
		google := g.api("/googlecalendar/userinfo", g.link("googlecalendar", Approve, account).access).json(t)
		if sub, _ := google["sub"].(string); len(sub) != 21 || strings.Trim(sub, "0123456789") != "" {
			t.Errorf("Google's sub is %q", sub)
		}
		slack := g.api("/slack/userinfo", g.link("slack", Approve, account).access).json(t)
		user, _ := slack["user_id"].(string)
		team, _ := slack["team_id"].(string)
		if !strings.HasPrefix(user, "U") || !strings.HasPrefix(team, "T") {
			t.Errorf("Slack's ids are %q and %q", user, team)
		}
	})
	t.Run("Google tells what was asked", func(t *testing.T) {
		got := g.api("/googlecalendar/userinfo", g.link("googlecalendar", Approve, account, "scope", "openid").access).json(t)
		if len(got) != 1 || got["sub"] == nil {
			t.Errorf("told %v", got)
		}
	})
}

func TestWhoami(t *testing.T) {
	eachType(t, func(t *testing.T, g *rig, typ string) {
		got := g.link(typ, Approve, "kim")
		who := g.api("/"+typ+"/api/whoami", got.access).json(t)
		if who["type"] != typ || who["account"] != "kim" || who["name"] != "Kim" || who["email"] != "kim@sandbox.example" {
			t.Errorf("answered %v", who)
		}
		if scopes, _ := who["scopes"].([]any); len(scopes) == 0 {
			t.Errorf("scopes %v", who["scopes"])
		}
	})
}

func TestData(t *testing.T) {
	g := newRig(t)
	token := map[string]string{}
	for _, typ := range allTypes {
		token[typ] = g.link(typ, Approve, "").access
	}
	repo := g.link("github", Approve, "", "scope", "repo").access
	email := g.link("slack", Approve, "", "user_scope", "users:read,users:read.email").access
	userID := slackUserID(identify(defaultAccount))

	for _, c := range []struct {
		typ, path, token string
		status           int
		has              string
	}{
		{"github", "user", token["github"], 200, `"login":"dana"`},
		{"github", "user/emails", token["github"], 200, `"primary":true`},
		{"github", "user/emails", repo, 404, `"Not Found"`},
		{"github", "user/repos", token["github"], 200, `"full_name":"dana/`},
		{"github", "user/repos", repo, 200, `"private":true`},
		{"googlecalendar", "calendars/primary", token["googlecalendar"], 200, `"id":"dana@sandbox.example"`},
		{"googlecalendar", "calendars/primary/events", token["googlecalendar"], 200, `"dateTime":"2026-11-23T09:30:00Z"`},
		{"googlecalendar", "calendar/v3/calendars/primary/events", token["googlecalendar"], 200, `"items"`},
		{"googlecalendar", "calendars/primary/events", g.link("googlecalendar", FewerScopes, "").access, 403, `PERMISSION_DENIED`},
		{"slack", "auth.test", token["slack"], 200, userID},
		{"slack", "conversations.list", token["slack"], 200, `"channels":[{`},
		{"slack", "conversations.list", g.link("slack", FewerScopes, "").access, 200, `"missing_scope"`},
		{"slack", "users.info?user=" + userID, token["slack"], 200, `"real_name":"Dana"`},
		{"slack", "users.info?user=" + userID, email, 200, `"email":"dana@sandbox.example"`},
		{"slack", "users.info?user=U1", token["slack"], 200, `"user_not_found"`},
		{"slack", "users.info", token["slack"], 200, `"user_not_found"`},
		{"generic", "me", token["generic"], 200, `"email":"dana@sandbox.example"`},
		{"generic", "items", token["generic"], 200, `"items":[{`},
		{"generic", "nothing", token["generic"], 404, `"error"`},
		{"github", "user/keys", token["github"], 404, `"Not Found"`},
		{"googlecalendar", "calendars/x/events", token["googlecalendar"], 404, `NOT_FOUND`},
		{"slack", "chat.postMessage", token["slack"], 404, `"unknown_method"`},
	} {
		a := g.api("/"+c.typ+"/api/"+c.path, c.token)
		if a.status != c.status || !strings.Contains(a.body, c.has) || !json.Valid([]byte(a.body)) {
			t.Errorf("%s %s: status %d: %s", c.typ, c.path, a.status, a.body)
		}
	}
	if a := g.api("/slack/api/users.info?user="+userID, token["slack"]); strings.Contains(a.body, "sandbox.example") {
		t.Errorf("the address is told without its scope: %s", a.body)
	}
	if a := g.api("/github/api/user/repos", token["github"]); strings.Contains(a.body, `"private":true`) {
		t.Errorf("private repositories are told without the scope: %s", a.body)
	}
	header := http.Header{"Authorization": {"Bearer " + token["slack"]}, "Content-Type": {"application/x-www-form-urlencoded"}}
	if a := g.do("POST", "/slack/api/users.info", header, url.Values{"user": {userID}}.Encode()); !strings.Contains(a.body, `"real_name":"Dana"`) {
		t.Errorf("POST: %s", a.body)
	}
	if a := g.do("POST", "/slack/api/users.info", header, "user="+strings.Repeat("x", 70_000)); a.status != 413 {
		t.Errorf("oversized: status %d", a.status)
	}
	if a := g.do("POST", "/github/api/user/repos", http.Header{"Authorization": {"Bearer " + token["github"]}}, ""); a.status != 405 {
		t.Errorf("POST: status %d", a.status)
	}
}

func TestDataDependOnTheAccount(t *testing.T) {
	for _, path := range []string{"googlecalendar/api/calendars/primary/events", "github/api/user/repos", "generic/api/items"} {
		g := newRig(t)
		typ, _, _ := strings.Cut(path, "/")
		seen := map[string]bool{}
		for _, account := range []string{"dana@x.example", "sam@x.example", "kim@x.example"} {
			seen[g.api("/"+path, g.link(typ, Approve, account).access).body] = true
		}
		if len(seen) != 3 {
			t.Errorf("%s: %d answers for 3 accounts", path, len(seen))
		}
	}
}

func TestDeadTokens(t *testing.T) {
	eachType(t, func(t *testing.T, g *rig, typ string) {
		expired := g.link(typ, Expires5s, "").access
		g.clock.Advance(6 * time.Second)
		revoked := g.link(typ, Approve, "kim").access
		if n := g.RevokeAccount("kim"); n != 1 {
			t.Fatalf("revoked %d", n)
		}
		foreign := g.link(map[bool]string{true: "github", false: "generic"}[typ != "github"], Approve, "").access
		for name, header := range map[string]http.Header{
			"none":       nil,
			"unknown":    {"Authorization": {"Bearer guess"}},
			"empty":      {"Authorization": {"Bearer "}},
			"basic":      {"Authorization": {basicHeader("client-1", clientSecret)}},
			"expired":    {"Authorization": {"Bearer " + expired}},
			"revoked":    {"Authorization": {"Bearer " + revoked}},
			"of another": {"Authorization": {"Bearer " + foreign}},
		} {
			for _, path := range []string{"userinfo", "api/whoami", "api/no/such/thing"} {
				a := g.do("GET", "/"+typ+"/"+path, header, "")
				if a.status != 401 || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") || !json.Valid([]byte(a.body)) {
					t.Errorf("%s, %s: status %d, %v", path, name, a.status, a.header)
				}
			}
		}
		live := g.link(typ, Approve, "").access
		for _, header := range []http.Header{{"Authorization": {"bearer " + live}}, {"Authorization": {"BEARER  " + live}}} {
			if a := g.do("GET", "/"+typ+"/userinfo", header, ""); a.status != 200 {
				t.Errorf("%v: status %d", header, a.status)
			}
		}
		if a := g.get("/" + typ + "/api/whoami?access_token=" + live); a.status != 401 {
			t.Error("a token in the address was taken")
		}
	})
}

func TestUnknownTypesAndPaths(t *testing.T) {
	g := newRig(t)
	for path, want := range map[string]string{
		"/trello/token":        "unknown_type",
		"/trello/api/whoami":   "unknown_type",
		"/_sandbox/authorize":  "",
		"/GitHub/userinfo":     "unknown_type",
		"/nothing":             "not_found",
		"/github":              "not_found",
		"/github/login/oauth":  "not_found",
		"/_sandbox/elsewhere":  "not_found",
		"/%00/token":           "unknown_type",
		"/..%2f..%2fetc/token": "unknown_type",
	} {
		a := g.get(path)
		if a.status != 404 || want != "" && g.failed(a) != want {
			t.Errorf("%s: status %d: %s", path, a.status, a.body)
		}
	}
}
