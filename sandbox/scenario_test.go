package sandbox

import (
	"testing"
	"time"
)

// refusedRefresh is each provider's word for invalid_grant.
var refusedRefresh = map[string]string{
	"github": "bad_refresh_token", "googlecalendar": "invalid_grant", "slack": "invalid_refresh_token", "generic": "invalid_grant",
}

func eachType(t *testing.T, f func(t *testing.T, g *rig, typ string)) {
	for _, typ := range allTypes {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			f(t, newRig(t), typ)
		})
	}
}

func (g *rig) whoami(typ, token string) int {
	g.Helper()
	return g.api("/"+typ+"/api/whoami", token).status
}

func TestFewerScopes(t *testing.T) {
	for typ, c := range map[string]struct{ param, ask, want string }{
		"github":         {"scope", "read:user user:email", "read:user"},
		"googlecalendar": {"scope", googleScope + "calendar.readonly openid email", "openid " + googleEmail},
		"slack":          {"user_scope", "users:read,channels:read", "users:read"},
		"generic":        {"scope", "items.read items.write openid profile", "items.read openid profile"},
	} {
		g := newRig(t)
		if got := g.link(typ, FewerScopes, "", c.param, c.ask); got.scope != c.want {
			t.Errorf("%s: scope %q, want %q", typ, got.scope, c.want)
		}
	}
	g := newRig(t)
	if got := g.link("generic", FewerScopes, "", "scope", "openid email"); got.scope != "openid email" {
		t.Errorf("identity scopes were left out: %q", got.scope)
	}
}

func TestOtherAccount(t *testing.T) {
	eachType(t, func(t *testing.T, g *rig, typ string) {
		for account, want := range map[string]string{"": "other-" + defaultAccount, "kim@x.example": "other-kim@x.example"} {
			got := g.link(typ, OtherAccount, account)
			if who := g.api("/"+typ+"/api/whoami", got.access).json(t); who["account"] != want {
				t.Errorf("account %q: linked %v", account, who["account"])
			}
		}
	})
}

func TestSlowToken(t *testing.T) {
	eachType(t, func(t *testing.T, g *rig, typ string) {
		var waited time.Duration
		g.wait = func(_ <-chan struct{}, d time.Duration) { waited += d }
		got := g.link(typ, SlowToken, "")
		if waited != 3*time.Second {
			t.Errorf("waited %v", waited)
		}
		g.tokens(g.refresh(typ, got.refresh))
		if waited != 6*time.Second {
			t.Errorf("waited %v after a refresh", waited)
		}
		g.link(typ, Approve, "")
		if waited != 6*time.Second {
			t.Error("another grant is slow as well")
		}
	})
}

func TestToken500Once(t *testing.T) {
	eachType(t, func(t *testing.T, g *rig, typ string) {
		code := g.code(typ, Token500Once, "")
		if a := g.postForm("/"+typ+"/token", exchangeForm(code)); a.status != 500 || g.failed(a) == "" {
			t.Fatalf("first: status %d: %s", a.status, a.body)
		}
		got := g.tokens(g.postForm("/"+typ+"/token", exchangeForm(code)))
		g.tokens(g.refresh(typ, got.refresh))
	})
}

func TestWrongIss(t *testing.T) {
	eachType(t, func(t *testing.T, g *rig, typ string) {
		if err := g.Next(WrongIss, ""); err != nil {
			t.Fatal(err)
		}
		back := g.callback(g.get(ask(typ)))
		if back.Get("iss") != "https://attacker.example" || len(back["iss"]) != 1 || back.Get("code") == "" {
			t.Errorf("came back with %v", back)
		}
	})
}

func TestNoRefreshToken(t *testing.T) {
	eachType(t, func(t *testing.T, g *rig, typ string) {
		if got := g.link(typ, NoRefreshToken, ""); got.refresh != "" || got.expires == 0 {
			t.Errorf("answered %v", got.raw)
		}
	})
}

func TestRotating(t *testing.T) {
	eachType(t, func(t *testing.T, g *rig, typ string) {
		first := g.link(typ, Rotating, "")
		second := g.tokens(g.refresh(typ, first.refresh))
		if second.refresh == "" || second.refresh == first.refresh {
			t.Fatalf("no new refresh token: %v", second.raw)
		}
		if a := g.refresh(typ, first.refresh); g.failed(a) != refusedRefresh[typ] {
			t.Errorf("the old one: %s", a.body)
		}
		g.tokens(g.refresh(typ, second.refresh))
	})
}

func TestReuseRevokesFamily(t *testing.T) {
	eachType(t, func(t *testing.T, g *rig, typ string) {
		first := g.link(typ, ReuseRevokes, "")
		second := g.tokens(g.refresh(typ, first.refresh))
		if g.whoami(typ, second.access) != 200 {
			t.Fatal("the new token is dead")
		}
		for _, token := range []string{first.refresh, second.refresh} {
			if a := g.refresh(typ, token); g.failed(a) != refusedRefresh[typ] {
				t.Errorf("answered %s", a.body)
			}
		}
		if g.whoami(typ, second.access) != 401 {
			t.Error("the access token outlived its family")
		}
	})
}

func TestRevokedLater(t *testing.T) {
	eachType(t, func(t *testing.T, g *rig, typ string) {
		got := g.link(typ, RevokedLater, "")
		g.clock.Advance(4900 * time.Millisecond)
		if g.whoami(typ, got.access) != 200 {
			t.Error("dead too early")
		}
		g.clock.Advance(100 * time.Millisecond)
		if g.whoami(typ, got.access) != 401 {
			t.Error("alive too long")
		}
		if a := g.refresh(typ, got.refresh); g.failed(a) != refusedRefresh[typ] {
			t.Errorf("a refresh: %s", a.body)
		}
	})
}

func TestExpires5s(t *testing.T) {
	eachType(t, func(t *testing.T, g *rig, typ string) {
		got := g.link(typ, Expires5s, "")
		if got.expires != 5 {
			t.Fatalf("expires_in %v", got.expires)
		}
		g.clock.Advance(4 * time.Second)
		if g.whoami(typ, got.access) != 200 {
			t.Error("dead too early")
		}
		g.clock.Advance(time.Second)
		if g.whoami(typ, got.access) != 401 {
			t.Error("alive too long")
		}
		again := g.tokens(g.refresh(typ, got.refresh))
		if g.whoami(typ, again.access) != 200 || again.expires != 5 {
			t.Errorf("refreshed: %v", again.raw)
		}
	})
}

func TestScenarioNames(t *testing.T) {
	want := []string{
		"approve", "deny", "fewer_scopes", "other_account", "slow_token", "token_500_once", "wrong_iss", "no_refresh_token",
		"rotating", "reuse_revokes_family", "revoked_later", "expires_5s", "coop", "form_post", "error_page",
	}
	got := scenarioNames()
	if len(got) != len(want) {
		t.Fatalf("%d scenarios, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("scenario %d is %q, want %q", i, got[i], want[i])
		}
	}
}
