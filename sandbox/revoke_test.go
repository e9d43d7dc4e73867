package sandbox

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// discard revokes in the provider's own style, and reports the status and body.
func (g *rig) discard(typ, token string) reply {
	switch typ {
	case "github":
		return g.do("DELETE", "/github/revoke", http.Header{"Authorization": {basicHeader("client-1", clientSecret)}}, `{"access_token":"`+token+`"}`)
	case "slack":
		return g.do("POST", "/slack/revoke", http.Header{"Authorization": {"Bearer " + token}}, "")
	case "googlecalendar":
		return g.postForm("/googlecalendar/revoke", url.Values{"token": {token}})
	}
	return g.postForm("/generic/revoke", url.Values{"token": {token}, "client_id": {"client-1"}, "client_secret": {clientSecret}})
}

func basicHeader(id, secret string) string {
	req, _ := http.NewRequest("GET", "/", nil)
	req.SetBasicAuth(id, secret)
	return req.Header.Get("Authorization")
}

func TestRevoke(t *testing.T) {
	answers := map[string]struct {
		first, second         int
		firstBody, secondBody string
	}{
		"github":         {204, 404, "", `"message":"Not Found"`},
		"slack":          {200, 200, `{"ok":true,"revoked":true}`, `"error":"token_revoked"`},
		"googlecalendar": {200, 400, `{}`, `"error":"invalid_token"`},
		"generic":        {200, 200, "", ""},
	}
	eachType(t, func(t *testing.T, g *rig, typ string) {
		want := answers[typ]
		got := g.link(typ, Approve, "")
		other := g.link(typ, Approve, "sam@sandbox.example")
		if a := g.discard(typ, got.access); a.status != want.first || !strings.Contains(a.body, want.firstBody) {
			t.Errorf("first: status %d: %s", a.status, a.body)
		}
		if g.whoami(typ, got.access) != 401 {
			t.Error("the token is alive")
		}
		if a := g.discard(typ, got.access); a.status != want.second || !strings.Contains(a.body, want.secondBody) {
			t.Errorf("second: status %d: %s", a.status, a.body)
		}
		if g.whoami(typ, other.access) != 200 {
			t.Error("another account's token died as well")
		}
	})
}

func TestRevokeRefreshToken(t *testing.T) {
	for _, typ := range []string{"generic", "googlecalendar"} {
		g := newRig(t)
		got := g.link(typ, Approve, "")
		g.discard(typ, got.refresh)
		if g.whoami(typ, got.access) != 401 {
			t.Errorf("%s: the access token outlived its refresh token", typ)
		}
		if a := g.refresh(typ, got.refresh); g.failed(a) != "invalid_grant" {
			t.Errorf("%s: %s", typ, a.body)
		}
	}
}

func TestRevokeAccessTokenAlone(t *testing.T) {
	g := newRig(t)
	got := g.link("generic", Approve, "")
	g.discard("generic", got.access)
	g.tokens(g.refresh("generic", got.refresh)) // RFC 7009 section 2.1: the grant may stay
}

// At Google, revoking one token ends all that the account has given to the client.
func TestRevokeEndsTheWholeGrant(t *testing.T) {
	g := newRig(t)
	first, second := g.link("googlecalendar", Approve, ""), g.link("googlecalendar", Approve, "")
	elsewhere := g.link("generic", Approve, "")
	g.discard("googlecalendar", first.access)
	if g.whoami("googlecalendar", second.access) != 401 {
		t.Error("a sibling is alive")
	}
	if a := g.refresh("googlecalendar", second.refresh); g.failed(a) != "invalid_grant" {
		t.Errorf("a sibling refreshed: %s", a.body)
	}
	if g.whoami("generic", elsewhere.access) != 200 {
		t.Error("another provider's token died as well")
	}

	one, two := g.link("github", Approve, ""), g.link("github", Approve, "")
	g.discard("github", one.access)
	if g.whoami("github", two.access) != 200 {
		t.Error("GitHub's token endpoint ends one token only")
	}
}

func TestRevokeRefusals(t *testing.T) {
	g := newRig(t)
	github, slack, generic := g.link("github", Approve, ""), g.link("slack", Approve, ""), g.link("generic", Approve, "")
	auth := func(id, secret string) http.Header { return http.Header{"Authorization": {basicHeader(id, secret)}} }
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	body := `{"access_token":"` + github.access + `"}`
	for name, c := range map[string]struct {
		got  reply
		want int
	}{
		"github POST":            {g.do("POST", "/github/revoke", auth("client-1", clientSecret), body), 405},
		"github without auth":    {g.do("DELETE", "/github/revoke", nil, body), 401},
		"github wrong secret":    {g.do("DELETE", "/github/revoke", auth("client-1", "x"), body), 401},
		"github no JSON":         {g.do("DELETE", "/github/revoke", auth("client-1", clientSecret), "token"), 422},
		"github empty":           {g.do("DELETE", "/github/revoke", auth("client-1", clientSecret), `{}`), 422},
		"github null":            {g.do("DELETE", "/github/revoke", auth("client-1", clientSecret), `null`), 422},
		"github other client":    {g.do("DELETE", "/github/revoke", auth("client-2", clientSecret), body), 404},
		"github oversized":       {g.do("DELETE", "/github/revoke", auth("client-1", clientSecret), `{"x":"`+strings.Repeat("a", 70_000)+`"}`), 413},
		"slack DELETE":           {g.do("DELETE", "/slack/revoke", nil, ""), 405},
		"google GET":             {g.get("/googlecalendar/revoke?token=x"), 405},
		"google without token":   {g.do("POST", "/googlecalendar/revoke", form, ""), 400},
		"google JSON":            {g.do("POST", "/googlecalendar/revoke", http.Header{"Content-Type": {"application/json"}}, `{}`), 400},
		"generic without auth":   {g.do("POST", "/generic/revoke", form, "token="+generic.access), 401},
		"generic without token":  {g.do("POST", "/generic/revoke", form, "client_id=client-1&client_secret="+clientSecret), 400},
		"generic, token unknown": {g.do("POST", "/generic/revoke", form, "token=x&client_id=client-1&client_secret="+clientSecret), 200},
		"generic other client":   {g.do("POST", "/generic/revoke", form, "token="+generic.access+"&client_id=client-2&client_secret="+clientSecret), 200},
	} {
		if c.got.status != c.want {
			t.Errorf("%s: status %d, want %d: %s", name, c.got.status, c.want, c.got.body)
		}
	}
	for name, c := range map[string]struct {
		header http.Header
		want   string
	}{
		"no token":      {nil, `"not_authed"`},
		"unknown token": {http.Header{"Authorization": {"Bearer x"}}, `"invalid_auth"`},
		"dry run":       {http.Header{"Authorization": {"Bearer " + slack.access}}, `"revoked":false`},
	} {
		if a := g.do("POST", "/slack/revoke?test=1", c.header, ""); a.status != 200 || !strings.Contains(a.body, c.want) {
			t.Errorf("slack, %s: status %d: %s", name, a.status, a.body)
		}
	}
	for typ, token := range map[string]string{"github": github.access, "slack": slack.access, "generic": generic.access} {
		if g.whoami(typ, token) != 200 {
			t.Errorf("%s: a refused revocation ended the token", typ)
		}
	}
}

// What one person granted to one Google project is one grant, whichever service asked.
func TestGoogleRevokesTheWholeFamily(t *testing.T) {
	g := newGrants(time.Now)
	link := func(typ, client string) issued {
		d := dialectByID[typ]
		code := g.authorize(authorization{dialect: d, scenario: scenario{Name: Approve}, client: client, redirect: redirectURI, account: "kim", offline: true})
		out, _, f := g.exchange(codeRequest{dialect: d, client: client, redirect: redirectURI, code: code})
		if f != nil {
			t.Fatal(f.sentence)
		}
		return out
	}
	mail, calendar, foreign, box := link("gmail", "c"), link("googlecalendar", "c"), link("googledrive", "other"), link("box", "c")
	g.revoke(revokeRequest{dialect: dialectByID["gmail"], token: mail.refresh})
	for _, want := range []struct {
		typ, token string
		state      tokenState
	}{{"gmail", mail.access, tokenRevoked}, {"googlecalendar", calendar.access, tokenRevoked}, {"googledrive", foreign.access, tokenAlive}, {"box", box.access, tokenAlive}} {
		if _, _, state := g.access(dialectByID[want.typ], want.token); state != want.state {
			t.Errorf("%s is %q", want.typ, state)
		}
	}
}
