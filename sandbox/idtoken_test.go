package sandbox

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"
)

const nonce = "nonce-of-one-flow-nonce-of-one-flow-nonce-0"

// publicKey is the one key of a type's key set.
func (g *rig) publicKey(typ string) (key *rsa.PublicKey, kid string) {
	g.Helper()
	var set struct {
		Keys []struct{ Kty, Use, Alg, Kid, N, E string }
	}
	a := g.get("/" + typ + "/jwks")
	if err := json.Unmarshal([]byte(a.body), &set); err != nil || a.status != 200 || len(set.Keys) != 1 {
		g.Fatalf("key set %d %s", a.status, a.body)
	}
	k := set.Keys[0]
	if k.Kty != "RSA" || k.Use != "sig" || k.Alg != "RS256" {
		g.Errorf("key %+v", k)
	}
	number := func(text string) *big.Int { return new(big.Int).SetBytes(unbase64(g.T, text)) }
	return &rsa.PublicKey{N: number(k.N), E: int(number(k.E).Int64())}, k.Kid
}

func unbase64(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// idToken is the ID token of an answer, "" for none.
func (t tokens) idToken() string {
	token, _ := t.raw["id_token"].(string)
	return token
}

// read takes a token apart and reports whether the published key signed it.
func (g *rig) read(typ, token string) (header, claims map[string]any, signed bool) {
	g.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 || json.Unmarshal(unbase64(g.T, parts[0]), &header) != nil || json.Unmarshal(unbase64(g.T, parts[1]), &claims) != nil {
		g.Fatalf("no JWT: %q", token)
	}
	key, _ := g.publicKey(typ)
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return header, claims, rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], unbase64(g.T, parts[2])) == nil
}

func TestIDToken(t *testing.T) {
	for _, typ := range []string{"googlecalendar", "generic"} {
		t.Run(typ, func(t *testing.T) {
			g := newRig(t)
			if err := g.Next(Approve, "dana@sandbox.example"); err != nil {
				t.Fatal(err)
			}
			back := g.callback(g.get(ask(typ, "nonce", nonce)))
			got := g.tokens(g.postForm("/"+typ+"/token", exchangeForm(back.Get("code"))))
			header, claims, signed := g.read(typ, got.idToken())
			_, kid := g.publicKey(typ)
			if !signed || header["alg"] != "RS256" || header["kid"] != kid {
				t.Errorf("header %v, signed %v", header, signed)
			}
			user := g.api("/"+typ+"/userinfo", got.access).json(t)
			sum := sha256.Sum256([]byte(got.access))
			now := float64(g.clock.Now().Unix())
			for name, want := range map[string]any{
				"iss": back.Get("iss"), "aud": "client-1", "sub": user["sub"], "email": user["email"], "nonce": nonce,
				"iat": now, "exp": now + 3600, "at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
			} {
				if claims[name] != want || want == nil || want == "" {
					t.Errorf("%s is %v, want %v", name, claims[name], want)
				}
			}

			// OpenID Connect Core section 12.2.
			g.clock.Advance(time.Minute)
			_, again, signed := g.read(typ, g.tokens(g.refresh(typ, got.refresh)).idToken())
			if !signed || again["nonce"] != nil || again["sub"] != claims["sub"] || again["iss"] != claims["iss"] || again["iat"] != now+60 {
				t.Errorf("after a refresh %v", again)
			}
			if _, claims, _ := g.read(typ, g.link(typ, FewerScopes, "").idToken()); claims["nonce"] != nil {
				t.Errorf("a nonce that nobody sent: %v", claims["nonce"])
			}
		})
	}
}

func TestNoIDToken(t *testing.T) {
	g := newRig(t)
	for name, got := range map[string]tokens{
		"generic, no openid": g.link("generic", Approve, "", "scope", "items.read"),
		"Google, no openid":  g.link("googlecalendar", Approve, "", "scope", googleScope+"calendar.readonly"),
		"GitHub":             g.link("github", Approve, "", "scope", "openid", "nonce", nonce),
		"Slack":              g.link("slack", Approve, "", "user_scope", "openid", "nonce", nonce),
	} {
		if _, there := got.raw["id_token"]; there {
			t.Errorf("%s: %v", name, got.raw)
		}
	}
	for _, typ := range []string{"github", "slack"} {
		if a := g.get("/" + typ + "/jwks"); a.status != 404 {
			t.Errorf("%s has a key set: %d %s", typ, a.status, a.body)
		}
	}
	if a := g.do("POST", "/generic/jwks", nil, ""); a.status != 405 {
		t.Errorf("POST to the key set: %d", a.status)
	}
}

// The issuer is who the provider was to the browser, by whatever name the token
// endpoint is called.
func TestIDTokenIssuer(t *testing.T) {
	g := newRig(t)
	code := g.code("generic", Approve, "")
	elsewhere := strings.Replace(g.url, "127.0.0.1", "localhost", 1)
	issuer := g.url
	g.url = elsewhere
	got := g.tokens(g.postForm("/generic/token", exchangeForm(code)))
	if _, claims, _ := g.read("generic", got.idToken()); claims["iss"] != issuer {
		t.Errorf("iss %v, want %s", claims["iss"], issuer)
	}
}

func TestAlterIDToken(t *testing.T) {
	g := newRig(t)
	altered := func(change func(*IDToken)) tokens {
		g.AlterIDToken(change)
		return g.link("generic", Approve, "")
	}
	for alg, parts := range map[string]int{"none": 2, "HS256": 3, "ES256": 3} {
		got := altered(func(k *IDToken) { k.Header["alg"] = alg })
		if n := len(strings.FieldsFunc(got.idToken(), func(r rune) bool { return r == '.' })); n != parts {
			t.Errorf("%s: %s", alg, got.idToken())
		}
	}
	if _, claims, signed := g.read("generic", altered(func(k *IDToken) { k.Claims["aud"] = "x" }).idToken()); claims["aud"] != "x" || !signed {
		t.Errorf("changed claims: %v, signed %v", claims, signed)
	}
	if _, _, signed := g.read("generic", altered(func(k *IDToken) { k.ForeignKey = true }).idToken()); signed {
		t.Error("the foreign key is the published one")
	}
	if _, there := altered(func(k *IDToken) { k.Omit = true }).raw["id_token"]; there {
		t.Error("left out, and there")
	}
	if got := altered(func(k *IDToken) { k.Instead = 7 }).raw["id_token"]; got != 7.0 {
		t.Errorf("instead: %v", got)
	}
	if _, _, signed := g.read("generic", altered(nil).idToken()); !signed {
		t.Error("broken after the end")
	}
}
