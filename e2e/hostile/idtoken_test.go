package hostile

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"patchbay/e2e/stack"
	"patchbay/provider"
	"patchbay/sandbox"
)

// breakage is one way in which an ID token can be bad.
type breakage struct {
	name   string
	change func(*sandbox.IDToken)
}

func claim(name string, value any) breakage {
	return breakage{fmt.Sprintf("%s is %v", name, value), func(k *sandbox.IDToken) { k.Claims[name] = value }}
}

func without(name string) breakage {
	return breakage{"no " + name, func(k *sandbox.IDToken) { delete(k.Claims, name) }}
}

func header(name string, value any) breakage {
	return breakage{fmt.Sprintf("header, %s is %v", name, value), func(k *sandbox.IDToken) { k.Header[name] = value }}
}

func instead(value any) breakage {
	return breakage{fmt.Sprintf("instead %v", value), func(k *sandbox.IDToken) { k.Instead = value }}
}

// brokenIDTokens are refused whoever runs the token endpoint.
func brokenIDTokens(now time.Time) []breakage {
	return []breakage{
		claim("nonce", strings.Repeat("A", 43)), claim("nonce", ""), without("nonce"),
		claim("aud", "client-of-somebody-else"), claim("aud", []string{"a", "b"}), without("aud"),
		{"aud of several, azp of another", func(k *sandbox.IDToken) {
			k.Claims["aud"], k.Claims["azp"] = []any{k.Claims["aud"], "other"}, "other"
		}},
		{"aud of several, no azp", func(k *sandbox.IDToken) {
			k.Claims["aud"] = []any{k.Claims["aud"], "other"}
			delete(k.Claims, "azp")
		}},
		claim("azp", "client-of-somebody-else"),
		claim("iss", "https://attacker.example"), claim("iss", "https://accounts.google.com"), without("iss"),
		{"iss with a slash", func(k *sandbox.IDToken) { k.Claims["iss"] = fmt.Sprint(k.Claims["iss"]) + "/" }},
		header("alg", "none"), header("alg", "None"), header("alg", "HS256"), header("alg", "RS512"), header("alg", "ES256"), header("alg", "XX999"), header("alg", ""), header("alg", nil),
		header("crit", []string{"exp"}), header("jku", "https://attacker.example/jwks"), header("jwk", map[string]string{"kty": "oct", "k": "AAAA"}),
		claim("exp", now.Add(-61*time.Second).Unix()), without("exp"), claim("iat", now.Add(61*time.Second).Unix()), without("iat"),
		claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), claim("sub", "999999999999999999999"), without("sub"),
		instead(""), instead("x"), instead("eyJhbGciOiJub25lIn0.e30."), instead(7), instead([]string{"a.b.c"}), instead(map[string]string{}), instead(true),
	}
}

// wantNoIDToken requires that no ID token that crossed the line is written anywhere.
func wantNoIDToken(t *testing.T, s *stack.Stack) {
	t.Helper()
	places := map[string][]byte{"the log": s.Log.Bytes(), "a page or an answer": s.Seen.Bytes()}
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(s.Database + suffix)
		if err == nil {
			places["the database"+suffix] = content
		}
	}
	for _, token := range s.Wire.Secrets()["ID token"] {
		for i, part := range strings.Split(token, ".") {
			for place, content := range places {
				if i > 0 && len(part) >= 16 && bytes.Contains(content, []byte(part)) {
					t.Errorf("part %d of an ID token is in %s", i, place)
				}
			}
		}
	}
}

func TestSecurity22_BadIDTokens(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		for i, broken := range brokenIDTokens(s.Clock.Now()) {
			user := fmt.Sprintf("user%d", i)
			s.Sandbox.AlterIDToken(broken.change)
			s.Sandbox.ClearLog()
			result := s.Browser().Flow(a, user, "googlecalendar", user+"@example.com")
			if result.FlowStatus() != "failed" || result.FlowCode() != "provider_error" {
				t.Errorf("%s: the flow is %s, %s", broken.name, result.FlowStatus(), result.FlowCode())
			}
			wantTokenCalls(t, s, 1)
			if alive := s.Sandbox.RevokeAccount(user + "@example.com"); alive != 0 {
				t.Errorf("%s: the fresh grant lives on", broken.name)
			}
			a.Token(user, "googlecalendar").Want(http.StatusNotFound, "not_connected")
		}
		wantRows(t, s, a, 0)
		if n := strings.Count(s.Log.String(), "the ID token is refused"); n < len(brokenIDTokens(s.Clock.Now())) {
			t.Errorf("the log tells %d times why", n)
		}
		wantNoIDToken(t, s)

		s.Sandbox.AlterIDToken(nil)
		s.Browser().Flow(a, "dana", "googlecalendar", "dana@example.com").WantFlow("connected", "connected")
		wantNoIDToken(t, s)
	})
}

// A minute of difference between the clocks is no reason to refuse.
func TestSecurity22_IDTokenLeeway(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	now := s.Clock.Now()
	for i, good := range []breakage{
		claim("exp", now.Add(-59*time.Second).Unix()), claim("iat", now.Add(59*time.Second).Unix()), without("at_hash"), without("azp"), without("email"),
		{"aud of several, azp ours", func(k *sandbox.IDToken) { k.Claims["aud"] = []any{"other", k.Claims["aud"]} }},
	} {
		s.Sandbox.AlterIDToken(good.change)
		result := s.Browser().Flow(s.Acme, fmt.Sprintf("user%d", i), "googlecalendar", "dana@example.com")
		if result.FlowCode() != "connected" {
			t.Errorf("%s: %s", good.name, result.FlowCode())
		}
	}
}

// A reconnect that brings a bad ID token leaves the old connection as it was. Google
// ends all grants of an account with any of them, so there the fresh one of the same
// account has to stay, and that of another account goes.
func TestSecurity22_BadIDTokenAtReconnect(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		dana.Flow(a, "dana", "googlecalendar", "dana@example.com").WantFlow("connected", "connected")
		before := a.Token("dana", "googlecalendar").Want(http.StatusOK, "")
		row := s.Rows(a)[0]
		s.Sandbox.AlterIDToken(claim("nonce", "of-another-flow").change)
		again := func(account string) {
			t.Helper()
			dana.Get("/apps/"+a.ID).Connect("googlecalendar").Approve(account).Rest().WantFlow("failed", "provider_error")
		}
		again("dana@example.com")
		if n := s.Sandbox.Calls("googlecalendar", "/revoke"); n != 0 {
			t.Errorf("%d revocations, which end the old connection", n)
		}
		again("other@example.com")
		if alive := s.Sandbox.RevokeAccount("other@example.com"); alive != 0 {
			t.Errorf("the grant of the other account lives on")
		}
		after := a.Token("dana", "googlecalendar").Want(http.StatusOK, "")
		if after.Text("access_token") != before.Text("access_token") {
			t.Error("the old connection has another token")
		}
		if rows := s.Rows(a); len(rows) != 1 || rows[0].Generation != row.Generation || !bytes.Equal(rows[0].Sealed, row.Sealed) {
			t.Errorf("the old connection changed: %+v", rows)
		}
		s.Advance(2 * time.Hour)
		a.Token("dana", "googlecalendar").Want(http.StatusOK, "") // it still refreshes
	})
}

// Nothing is refused, and nothing is believed, where no ID token was asked for.
func TestSecurity22_IDTokenNotAsked(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	// Google adds openid to email by itself, and hands out an ID token that nobody wants.
	s.Apply(s.AppsYAML(s.ConnectorYAML("mail", "googlecalendar", "x") + "        scopes: [email]\n"))
	s.Sandbox.AlterIDToken(header("alg", "none").change)
	begun := s.Browser().SignIn(s.Acme, "dana").Connect("mail")
	if u, _ := url.Parse(begun.Href("continue")); u.Query().Has("nonce") {
		t.Errorf("a nonce is sent: %s", u)
	}
	begun.Approve("dana@example.com").Rest().WantFlow("connected", "connected")
	if len(s.Wire.Secrets()["ID token"]) != 1 {
		t.Fatal("the sandbox issued no ID token: nothing was tried")
	}
	wantNoIDToken(t, s)
}

// OpenID Connect demands an ID token. What stands at an overridden token endpoint may
// speak OAuth 2.0 alone, unless endpoints.issuer says that it is an OpenID provider.
func TestSecurity22_MissingIDToken(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	named := strings.Replace(s.ConnectorYAML("named", "googlecalendar", "x"), "endpoints: {", "endpoints: {issuer: "+s.Provider+", ", 1)
	elsewhere := strings.Replace(s.ConnectorYAML("elsewhere", "googlecalendar", "x"), "endpoints: {", "endpoints: {issuer: https://id.example, ", 1)
	s.Apply(s.AppsYAML(named + elsewhere))
	for connector, want := range map[string]string{"googlecalendar": "connected", "named": "provider_error"} {
		s.Sandbox.AlterIDToken(func(k *sandbox.IDToken) { k.Omit = true })
		if got := s.Browser().Flow(s.Acme, "dana", connector, "dana@example.com").FlowCode(); got != want {
			t.Errorf("%s, no ID token: %s, want %s", connector, got, want)
		}
		s.Sandbox.AlterIDToken(nil)
		s.Browser().Flow(s.Acme, "sam", connector, "sam@example.com").WantFlow("connected", "connected")
	}
	// An overridden issuer is the only one. The callback's iss is held to it before.
	begun := s.Browser().SignIn(s.Acme, "eve").Connect("elsewhere")
	callback := begun.Approve("eve@example.com")
	s.Sandbox.ClearLog()
	callback.Rest().WantFlow("failed", "issuer_mismatch")
	wantTokenCalls(t, s, 0)
}

// Where the provider's key set is known, it has the last word.
func TestSecurity22_Signature(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	file := strings.ReplaceAll(`type: opensesame
name: Open Sesame
category: doors
description: Opens doors.
color: "#123456"
docs: https://sesame.example/docs
client: {auth: post}
authorize: {url: "AT/authorize", pkce: {mode: supported}, issuer: "ORIGIN"}
openid: {issuer: "ORIGIN", jwks_url: "AT/jwks"}
scopes: {default: [openid], known: [{scope: openid, ability: Know you}]}
token: {url: "AT/token"}
revoke: {style: rfc7009, url: "AT/revoke", auth: post}
account: {url: "AT/userinfo", id: "{sub}", name: "{name}"}
`, "AT", s.Provider+"/generic")
	catalog, err := provider.Load(os.DirFS("../../provider/catalog"), fstest.MapFS{"sesame.yaml": {Data: []byte(strings.ReplaceAll(file, "ORIGIN", s.Provider))}})
	must(t, err)
	s.Service.Catalog = catalog
	s.Apply(s.AppsYAML("      - {id: sesame, type: opensesame, client_id: x, client_secret: " + stack.ClientSecret + "}\n"))

	for i, broken := range []breakage{
		{"signed with a foreign key", func(k *sandbox.IDToken) { k.ForeignKey = true }},
		{"signed with a foreign key that has no name", func(k *sandbox.IDToken) { k.ForeignKey = true; delete(k.Header, "kid") }},
		{"none at all", func(k *sandbox.IDToken) { k.Omit = true }},
		header("kid", "unknown"), header("kid", "../../jwks"), header("kid", 1),
		header("alg", "none"), header("alg", "HS256"), header("alg", "RS512"),
		claim("nonce", "of-another-flow"), claim("iss", s.Provider+"/generic"), claim("aud", "y"),
	} {
		s.Sandbox.AlterIDToken(broken.change)
		user := fmt.Sprintf("user%d", i)
		result := s.Browser().Flow(s.Acme, user, "sesame", user+"@example.com")
		if result.FlowStatus() != "failed" || result.FlowCode() != "provider_error" {
			t.Errorf("%s: the flow is %s, %s", broken.name, result.FlowStatus(), result.FlowCode())
		}
		if alive := s.Sandbox.RevokeAccount(user + "@example.com"); alive != 0 {
			t.Errorf("%s: the fresh grant lives on", broken.name)
		}
	}
	wantRows(t, s, s.Acme, 0)
	s.Sandbox.AlterIDToken(nil)
	before := s.Sandbox.Calls("generic", "/jwks")
	for i := range 3 {
		s.Browser().Flow(s.Acme, fmt.Sprintf("good%d", i), "sesame", "dana@example.com").WantFlow("connected", "connected")
	}
	if n := s.Sandbox.Calls("generic", "/jwks") - before; n != 0 {
		t.Errorf("the key set that is at hand was fetched %d times more", n)
	}
	wantNoIDToken(t, s)
}

var nonceForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// Every flow has a nonce of its own, which is none of its other secrets.
func TestSecurity22_Nonces(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	seen := map[string]bool{}
	for i := range 20 {
		begun := s.Browser().SignIn(s.Acme, fmt.Sprintf("user%d", i)).Connect("googlecalendar")
		u, err := url.Parse(begun.Href("continue"))
		must(t, err)
		q := u.Query()
		if len(q["nonce"]) != 1 || !nonceForm.MatchString(q.Get("nonce")) {
			t.Fatalf("nonce %q", q["nonce"])
		}
		for _, name := range []string{"nonce", "state", "code_challenge"} {
			if seen[q.Get(name)] {
				t.Errorf("%s comes twice", name)
			}
			seen[q.Get(name)] = true
		}
	}
	for _, connector := range []string{"github", "slack"} {
		begun := s.Browser().SignIn(s.Acme, "dana").Connect(connector)
		if query(t, begun.Href("continue"), "nonce") != "" {
			t.Errorf("%s is sent a nonce", connector)
		}
	}
}
