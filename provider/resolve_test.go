package provider

import (
	"strings"
	"testing"
)

func TestResolveFillsPlaceholders(t *testing.T) {
	e := mustLoad(t, tenanted)
	got, err := e.Resolve(map[string]string{"subdomain": "scranton", "tenant": "a b%"}, Endpoints{})
	want := Endpoints{
		Authorize: "https://scranton.acme.example/authorize",
		Token:     "https://www.acme.example/a%20b%25/token?v=a+b%25",
		Refresh:   "https://www.acme.example/a%20b%25/token?v=a+b%25",
		Issuer:    "https://scranton.acme.example",
	}
	if err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	if _, err := e.Resolve(nil, Endpoints{}); err == nil || !strings.Contains(err.Error(), "param subdomain is missing") {
		t.Errorf("without the required param: %v", err)
	}
}

func TestResolveOverrides(t *testing.T) {
	sandbox := Endpoints{
		Authorize: "http://127.0.0.1:8081/github/authorize", Token: "http://127.0.0.1:8081/github/token",
		Revoke: "http://127.0.0.1:8081/github/revoke", Userinfo: "http://127.0.0.1:8081/github/userinfo", API: "http://127.0.0.1:8081/github/api",
	}
	github := Endpoints{
		Authorize: "https://github.com/login/oauth/authorize", Token: "https://github.com/login/oauth/access_token",
		Refresh: "https://github.com/login/oauth/access_token", Revoke: "https://api.github.com/applications/{client_id}/token",
		Userinfo: "https://api.github.com/user", API: "https://api.github.com", Issuer: "https://github.com/login/oauth",
	}
	with := func(change func(*Endpoints)) Endpoints { r := github; change(&r); return r }
	for name, tc := range map[string]struct{ over, want Endpoints }{
		"none": {Endpoints{}, github},
		"all": {sandbox, Endpoints{
			Authorize: sandbox.Authorize, Token: sandbox.Token, Refresh: sandbox.Token, Revoke: sandbox.Revoke,
			Userinfo: sandbox.Userinfo, API: sandbox.API, Issuer: "http://127.0.0.1:8081",
		}},
		"authorize alone": {Endpoints{Authorize: "https://sso.acme.example:443/auth"}, with(func(r *Endpoints) {
			r.Authorize, r.Issuer = "https://sso.acme.example:443/auth", "https://sso.acme.example"
		})},
		"api alone": {Endpoints{API: "https://proxy.acme.example/gh"}, with(func(r *Endpoints) { r.API = "https://proxy.acme.example/gh" })},
		"token on the same host": {Endpoints{Token: "https://github.com/other/token"}, with(func(r *Endpoints) {
			r.Token, r.Refresh = "https://github.com/other/token", "https://github.com/other/token"
		})},
		// The tokens now come from elsewhere; none may be sent to the real GitHub.
		"token on another host": {Endpoints{Token: "https://ghe.acme.example/token"}, Endpoints{
			Authorize: github.Authorize, Token: "https://ghe.acme.example/token", Refresh: "https://ghe.acme.example/token", Issuer: github.Issuer,
		}},
		"token and userinfo": {Endpoints{Token: "https://ghe.acme.example/token", Userinfo: "https://ghe.acme.example/user"}, Endpoints{
			Authorize: github.Authorize, Token: "https://ghe.acme.example/token", Refresh: "https://ghe.acme.example/token",
			Userinfo: "https://ghe.acme.example/user", Issuer: github.Issuer,
		}},
		"refresh alone": {Endpoints{Refresh: "https://github.com/refresh"}, with(func(r *Endpoints) { r.Refresh = "https://github.com/refresh" })},
		"token and refresh": {Endpoints{Token: "https://a.example/t", Refresh: "https://a.example/r"}, Endpoints{
			Authorize: github.Authorize, Token: "https://a.example/t", Refresh: "https://a.example/r", Issuer: github.Issuer,
		}},
		"issuer": {Endpoints{Issuer: "https://ghe.acme.example/login/oauth"}, with(func(r *Endpoints) { r.Issuer = "https://ghe.acme.example/login/oauth" })},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := embeddedEntry(t, "github").Resolve(nil, tc.over)
			if err != nil || got != tc.want {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tc.want)
			}
		})
	}
}

func TestResolveRefreshOfItsOwn(t *testing.T) {
	same := mustLoad(t, strings.Replace(minimal, "/token\n", "/token\n  refresh_url: https://acme.example/refresh?kind=long\n", 1))
	got, err := same.Resolve(nil, Endpoints{Token: "http://127.0.0.1:8081/acme/token"})
	if err != nil || got.Refresh != "http://127.0.0.1:8081/refresh?kind=long" {
		t.Errorf("on the token's host: %q, %v", got.Refresh, err)
	}
	third := mustLoad(t, strings.Replace(minimal, "/token\n", "/token\n  refresh_url: https://graph.acme.example/refresh\n", 1))
	if got, err = third.Resolve(nil, Endpoints{Token: "http://127.0.0.1:8081/acme/token"}); err != nil || got.Refresh != "" {
		t.Errorf("on a third host there is none: %q, %v", got.Refresh, err)
	}
	if got, err = third.Resolve(nil, Endpoints{}); err != nil || got.Refresh != "https://graph.acme.example/refresh" {
		t.Errorf("without overrides: %q, %v", got.Refresh, err)
	}
}

func TestResolveRefusesOverridesThatAreNoAddress(t *testing.T) {
	for _, bad := range []string{"github.com/token", "ftp://github.com", "https://", "https://me:pw@github.com/", "https://github.com/#x", "https://git hub.com", "://"} {
		_, err := embeddedEntry(t, "github").Resolve(nil, Endpoints{Token: bad, API: "https://ok.example"})
		if err == nil || !strings.Contains(err.Error(), "endpoints.token") || strings.Contains(err.Error(), "endpoints.api") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestStyleNoneHasNoRevokeAddress(t *testing.T) {
	got, err := mustLoad(t, minimal).Resolve(nil, Endpoints{Revoke: "https://acme.example/revoke"})
	if err != nil || got.Revoke != "" {
		t.Errorf("%q, %v", got.Revoke, err)
	}
}

// SECURITY 69: nothing that an end user types moves a call to a host of their choice,
// however loose the pattern of the param is.
func TestSecurity69_TypedValuesCannotChooseTheHost(t *testing.T) {
	loose := strings.ReplaceAll(strings.ReplaceAll(tenanted, `"[a-z0-9][a-z0-9-]{0,62}"`, `".*"`), `"[a-z0-9.-]+"`, `".*"`)
	e := mustLoad(t, loose)
	for _, evil := range []string{
		"evil.example#", "evil.example?", "evil.example/", "evil.example\\", "evil.example:443/", "x@evil", "x:y@evil.example#",
		"evil。example", "evil．example", ".", "..", ".evil", "evil.", "a..b", "-evil", "[::1]", "::ffff:169.254.169.254", "[::ffff:169.254.169.254]",
		"169.254.169.254/", "evil%2eexample", "evil%00", "evil example", "evil\texample", "evil\nexample", "", "{tenant}", "é",
		strings.Repeat("a.", 200) + "a",
	} {
		got, err := e.Resolve(map[string]string{"subdomain": evil}, Endpoints{})
		if err == nil {
			t.Errorf("subdomain %q: resolved to %s", evil, got.Authorize)
		}
		if got, err := e.Resolve(map[string]string{"subdomain": "ok", "host": evil}, Endpoints{}); err == nil && got.Token != "https://www.acme.example/common/token?v=common" {
			t.Errorf("host %q: resolved to %s", evil, got.Token)
		}
	}
	// What looks like an address of its own is a label below the provider's domain.
	for _, odd := range []string{"2130706433", "169.254.169.254", "localhost", "evil.example", "0x7f.1"} {
		got, err := e.Resolve(map[string]string{"subdomain": odd}, Endpoints{})
		if err != nil || got.Authorize != "https://"+odd+".acme.example/authorize" {
			t.Errorf("%q: %s, %v", odd, got.Authorize, err)
		}
	}
	// In a path a value is one segment.
	for _, evil := range []string{"..", "."} {
		if got, err := e.Resolve(map[string]string{"subdomain": "ok", "tenant": evil}, Endpoints{}); err == nil {
			t.Errorf("tenant %q: %s", evil, got.Token)
		}
	}
}
