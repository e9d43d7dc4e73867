package oauth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"patchbay/provider"
)

// idKeys are made once: an RSA key takes long.
var idKeys = sync.OnceValue(func() (k struct {
	rsa, other, weak *rsa.PrivateKey
	ec, ec384        *ecdsa.PrivateKey
	ed               ed25519.PrivateKey
}) {
	for size, into := range map[int][]**rsa.PrivateKey{2048: {&k.rsa, &k.other}, 1024: {&k.weak}} {
		for _, key := range into {
			*key, _ = rsa.GenerateKey(rand.Reader, size)
		}
	}
	k.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.ec384, _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, k.ed, _ = ed25519.GenerateKey(rand.Reader)
	return k
})

const (
	idNonce = "nonce-nonce-nonce-nonce-nonce-nonce-nonce-n"
	idSub   = "1089"
)

var openidScopes = []string{"openid", "email"}

// idProvider is an OpenID provider on the fake, with one connector at it.
type idProvider struct {
	*fake
	Registration
	*Client
}

// ofTheCatalogue is a provider that stands where its entry says: its keys count.
func ofTheCatalogue(t *testing.T, algs ...string) idProvider {
	t.Helper()
	f := newFake(t)
	e := changed(t, "googlecalendar", func(e *provider.Entry) {
		e.Token.URL, e.Token.RefreshURL = f.URL+"/token", ""
		e.OpenID.JWKSURL = f.URL + "/jwks"
		if algs != nil {
			e.OpenID.Algs = algs
		}
	})
	resolved, err := e.Resolve(nil, provider.Endpoints{})
	if err != nil {
		t.Fatal(err)
	}
	r := Registration{Entry: e, Endpoints: resolved, ClientID: "client-1", ClientSecrets: secrets("newest-secret", "client-secret-of-32-bytes-or-more"), RedirectURI: "https://p.example/cb"}
	p := idProvider{f, r, client(t, f)}
	p.publish(jwk(idKeys().rsa.Public(), "k1", ""))
	return p
}

// movedAway has every address overridden: no key set is known.
func movedAway(t *testing.T) idProvider {
	t.Helper()
	f := newFake(t)
	return idProvider{f, f.at(t, entry(t, "googlecalendar")), client(t, f)}
}

func (p idProvider) publish(keys ...any) {
	set, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	p.on("/jwks", 200, string(set))
}

func jwk(public any, kid, use string) any { return jose.JSONWebKey{Key: public, KeyID: kid, Use: use} }

func (p idProvider) issuer(t *testing.T) string {
	t.Helper()
	rules, err := p.Entry.IDTokens(nil, p.Overrides)
	if err != nil {
		t.Fatal(err)
	}
	return rules.Issuers[0]
}

// claims are good ones.
func (p idProvider) claims(t *testing.T) map[string]any {
	t.Helper()
	return map[string]any{
		"iss": p.issuer(t), "aud": "client-1", "azp": "client-1", "sub": idSub, "nonce": idNonce,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "at_hash": halfOf256("at-1"),
	}
}

func halfOf256(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// judge exchanges a code for an answer with this id_token, as JSON, and checks it.
func (p idProvider) judge(t *testing.T, value string) error {
	t.Helper()
	field := ""
	if value != "" {
		field = `,"id_token":` + value
	}
	path := strings.TrimPrefix(p.Endpoints.Token, p.URL)
	p.on(path, 200, `{"access_token":"at-1","token_type":"Bearer"`+field+`}`)
	got, err := p.Exchange(ctx, p.Registration, code, verifier, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p.CheckIDToken(ctx, p.Registration, got, Account{ID: idSub}, openidScopes, idNonce)
}

func quoted(token string) string { raw, _ := json.Marshal(token); return string(raw) }

// signed makes a token of any header and claims (a map, or the JSON itself), with any
// signature: by a key, or the bytes themselves.
func signed(t *testing.T, key any, header, claims any) string {
	t.Helper()
	part := func(v any) string {
		raw, ok := v.(string)
		if !ok {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			raw = string(b)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(raw))
	}
	text := part(header) + "." + part(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature(t, key, text))
}

func signature(t *testing.T, key any, text string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	var out []byte
	var err error
	switch key := key.(type) {
	case *rsa.PrivateKey:
		out, err = rsa.SignPKCS1v15(nil, key, 5, sum[:]) // 5: crypto.SHA256
	case hmacKey:
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(text))
		out = mac.Sum(nil)
	case []byte:
		out = key
	default:
		t.Fatalf("no signature with %T", key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

type hmacKey string

func rs256(more ...any) map[string]any {
	h := map[string]any{"alg": "RS256", "kid": "k1", "typ": "JWT"}
	for i := 0; i+1 < len(more); i += 2 {
		if h[more[i].(string)] = more[i+1]; more[i+1] == nil {
			delete(h, more[i].(string))
		}
	}
	return h
}

func with(claims map[string]any, name string, value any) map[string]any {
	c := maps.Clone(claims)
	if c[name] = value; value == nil {
		delete(c, name)
	}
	return c
}

// wantRefused requires the error of a bad token, without the token in it.
func wantRefused(t *testing.T, err error, token string) {
	t.Helper()
	if err == nil {
		t.Fatal("accepted")
	}
	if e := oauthError(t, err); e.Class != ProviderFault || e.Op != "id_token" {
		t.Errorf("%s, %s: %v", e.Op, e.Class, err)
	}
	for _, part := range append(strings.Split(token, "."), idNonce, idSub) {
		if len(part) >= 4 && strings.Contains(err.Error(), part) {
			t.Errorf("the error repeats %q: %v", part, err)
		}
	}
}

// SECURITY 22: an ID token that is not certainly good is refused, with the provider's
// keys at hand and without them.
func TestSecurity22_BadIDTokens(t *testing.T) {
	key := idKeys().rsa
	for where, make := range map[string]func(*testing.T) idProvider{
		"of the catalogue": func(t *testing.T) idProvider { return ofTheCatalogue(t) }, "moved away": movedAway,
	} {
		t.Run(where, func(t *testing.T) {
			p := make(t)
			good := p.claims(t)
			goodToken := signed(t, key, rs256(), good)
			if err := p.judge(t, quoted(goodToken)); err != nil {
				t.Fatalf("the good one: %v", err)
			}
			parts := strings.Split(goodToken, ".")
			claim := func(name string, value any) string { return signed(t, key, rs256(), with(good, name, value)) }
			header := func(more ...any) string { return signed(t, key, rs256(more...), good) }
			text, _ := json.Marshal(good)
			sum := sha256.Sum256([]byte("at-1"))
			wholeHash := base64.RawURLEncoding.EncodeToString(sum[:])
			public := base64.RawURLEncoding.EncodeToString(key.N.Bytes())
			for name, token := range map[string]string{
				"nonce of another flow": claim("nonce", strings.Repeat("x", 43)),
				"nonce longer":          claim("nonce", idNonce+"x"),
				"nonce in other case":   claim("nonce", strings.ToUpper(idNonce)),
				"no nonce":              claim("nonce", nil),
				"empty nonce":           claim("nonce", ""),
				"list of nonces":        claim("nonce", []string{idNonce}),

				"another client":              claim("aud", "client-2"),
				"no aud":                      claim("aud", nil),
				"empty aud":                   claim("aud", ""),
				"no client in the list":       claim("aud", []string{"client-2", "client-3"}),
				"empty list":                  claim("aud", []string{}),
				"a number in the list":        claim("aud", []any{"client-1", 7}),
				"aud an object":               claim("aud", map[string]any{"client-1": true}),
				"client id as part":           claim("aud", "client-1 client-2"),
				"several, no azp":             signed(t, key, rs256(), with(with(good, "aud", []string{"client-1", "client-2"}), "azp", nil)),
				"several, azp of another":     signed(t, key, rs256(), with(with(good, "aud", []string{"client-1", "client-2"}), "azp", "client-2")),
				"azp of another":              claim("azp", "client-2"),
				"azp a list":                  claim("azp", []string{"client-1"}),
				"another issuer":              claim("iss", "https://attacker.example"),
				"no issuer":                   claim("iss", nil),
				"empty issuer":                claim("iss", ""),
				"issuer with a slash":         claim("iss", p.issuer(t)+"/"),
				"issuer in capitals":          claim("iss", strings.ToUpper(p.issuer(t))),
				"list of issuers":             claim("iss", []string{p.issuer(t)}),
				"no sub":                      claim("sub", nil),
				"empty sub":                   claim("sub", ""),
				"sub a number":                claim("sub", 1089),
				"sub too long":                claim("sub", strings.Repeat("1", 256)),
				"another account":             claim("sub", "1090"),
				"expired":                     claim("exp", now.Add(-time.Minute).Unix()),
				"no exp":                      claim("exp", nil),
				"exp as text":                 claim("exp", fmt.Sprint(now.Add(time.Hour).Unix())),
				"exp without end":             claim("exp", 1e300),
				"exp below zero":              claim("exp", -1),
				"issued later":                claim("iat", now.Add(time.Minute+time.Second).Unix()),
				"no iat":                      claim("iat", nil),
				"iat as text":                 claim("iat", "now"),
				"not yet valid":               claim("nbf", now.Add(2*time.Minute).Unix()),
				"nbf as text":                 claim("nbf", "now"),
				"hash of another token":       claim("at_hash", halfOf256("at-2")),
				"whole hash":                  claim("at_hash", wholeHash),
				"empty hash":                  claim("at_hash", ""),
				"hash a number":               claim("at_hash", 1),
				"hash null":                   signed(t, key, rs256(), strings.Replace(string(text), `"at_hash":`+quoted(halfOf256("at-1")), `"at_hash":null`, 1)),
				"nonce twice":                 signed(t, key, rs256(), strings.TrimSuffix(string(text), "}")+`,"nonce":"other"}`),
				"nonce twice, right one last": signed(t, key, rs256(), `{"nonce":"other",`+string(text)[1:]),
				"claims a list":               signed(t, key, rs256(), "["+string(text)+"]"),
				"claims null":                 signed(t, key, rs256(), "null"),
				"claims and more":             signed(t, key, rs256(), string(text)+"{}"),
				"claims not UTF-8":            signed(t, key, rs256(), strings.TrimSuffix(string(text), "}")+",\"name\":\"\xff\"}"),
				"claims nest":                 signed(t, key, rs256(), strings.TrimSuffix(string(text), "}")+`,"a":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)+"}"),

				"alg none":                  signed(t, []byte{}, rs256("alg", "none"), good),
				"alg none, no dot":          strings.TrimSuffix(signed(t, []byte{}, rs256("alg", "none"), good), "."),
				"alg none, some signature":  signed(t, key, rs256("alg", "none"), good),
				"alg None":                  signed(t, key, rs256("alg", "None"), good),
				"alg NONE":                  signed(t, []byte{1}, rs256("alg", "NONE"), good),
				"no alg":                    header("alg", nil),
				"empty alg":                 header("alg", ""),
				"alg a list":                header("alg", []string{"RS256"}),
				"unknown alg":               header("alg", "RS1"),
				"alg in small letters":      header("alg", "rs256"),
				"alg with a space":          header("alg", "RS256 "),
				"RS512, not listed":         header("alg", "RS512"),
				"ES256, not listed":         header("alg", "ES256"),
				"HS256 with the public key": signed(t, hmacKey(public), rs256("alg", "HS256"), good),
				"HS256 with the secret":     signed(t, hmacKey("client-secret-of-32-bytes-or-more"), rs256("alg", "HS256"), good),
				"HS256 with the sandbox's":  signed(t, hmacKey("sandbox-secret"), rs256("alg", "HS256"), good),
				"HS256 with nothing":        signed(t, hmacKey(""), rs256("alg", "HS256"), good),
				"alg twice":                 signed(t, key, `{"alg":"none","alg":"RS256","kid":"k1"}`, good),
				"crit":                      header("crit", []string{"exp"}),
				"crit, empty":               header("crit", []string{}),
				"b64":                       header("b64", false),
				"jku":                       header("jku", p.URL+"/jwks"),
				"jwk":                       header("jwk", jwk(key.Public(), "k1", "")),
				"x5u":                       header("x5u", p.URL),
				"x5c":                       header("x5c", []string{"AA"}),
				"kid a number":              header("kid", 1),
				"header a list":             signed(t, key, `["RS256"]`, good),
				"no signature":              parts[0] + "." + parts[1] + ".",
				"two parts":                 parts[0] + "." + parts[1],
				"four parts":                goodToken + ".x",
				"encrypted, five parts":     goodToken + ".x.y",
				"one part":                  parts[1],
				"nothing":                   "",
				"dots":                      "..",
				"padded":                    parts[0] + "=." + parts[1] + "." + parts[2],
				"other base64":              "+/" + goodToken[2:],
				"line break":                goodToken[:20] + "\n" + goodToken[20:],
				"space before":              " " + goodToken,
				"space behind":              goodToken + " ",
				"too long":                  signed(t, key, rs256("pad", strings.Repeat("x", maxIDToken)), good),
				"not even close":            "<html>",
			} {
				t.Run(name, func(t *testing.T) { wantRefused(t, p.judge(t, quoted(token)), token) })
			}
			for name, value := range map[string]string{
				"a number": "7", "a list": `["` + goodToken + `"]`, "an object": "{}", "false": "false", "true": "true",
			} {
				t.Run("id_token is "+name, func(t *testing.T) { wantRefused(t, p.judge(t, value), goodToken) })
			}
			if n := calls(p.fake, "/jwks"); n > 1 {
				t.Errorf("tokens that are bad anyway had the keys fetched %d times", n)
			}
		})
	}
}

func calls(f *fake, path string) (n int) {
	for _, call := range f.calls() {
		if call.Path == path {
			n++
		}
	}
	return n
}

func TestGoodIDTokens(t *testing.T) {
	key := idKeys().rsa
	for where, make := range map[string]func(*testing.T) idProvider{
		"of the catalogue": func(t *testing.T) idProvider { return ofTheCatalogue(t) }, "moved away": movedAway,
	} {
		p := make(t)
		good := p.claims(t)
		for name, claims := range map[string]map[string]any{
			"as it is":                  good,
			"without at_hash":           with(good, "at_hash", nil),
			"without azp":               with(good, "azp", nil),
			"aud a list of one":         with(good, "aud", []string{"client-1"}),
			"several, azp names us":     with(good, "aud", []string{"client-2", "client-1"}),
			"expired within the leeway": with(good, "exp", now.Add(-59*time.Second).Unix()),
			"issued within the leeway":  with(good, "iat", now.Add(time.Minute).Unix()),
			"issued long ago":           with(good, "iat", now.Add(-24*time.Hour).Unix()),
			"valid within the leeway":   with(good, "nbf", now.Add(59*time.Second).Unix()),
			"times with a fraction":     with(good, "exp", float64(now.Unix())+1800.5),
			"claims that mean nothing":  with(good, "amr", []any{map[string]any{"x": nil}}),
		} {
			if err := p.judge(t, quoted(signed(t, key, rs256(), claims))); err != nil {
				t.Errorf("%s, %s: %v", where, name, err)
			}
		}
		if err := p.judge(t, quoted(signed(t, key, map[string]any{"alg": "RS256"}, good))); err != nil {
			t.Errorf("%s, a header with nothing but alg: %v", where, err)
		}
	}
	p := ofTheCatalogue(t)
	if err := p.judge(t, quoted(signed(t, key, rs256(), with(p.claims(t), "iss", "accounts.google.com")))); err != nil {
		t.Errorf("Google's other issuer: %v", err)
	}
}

// OpenID Connect Core 3.1.3.3: id_token is required. Only what was put in the place of
// the catalogue's token endpoint, without saying who it is, may speak OAuth 2.0 alone.
func TestSecurity22_MissingIDToken(t *testing.T) {
	p := ofTheCatalogue(t)
	for _, value := range []string{"", "null"} {
		wantRefused(t, p.judge(t, value), "")
	}
	p = movedAway(t)
	for _, value := range []string{"", "null"} {
		if err := p.judge(t, value); err != nil {
			t.Errorf("moved away: %v", err)
		}
	}
	p.Overrides.Issuer = "https://me.example/realm"
	wantRefused(t, p.judge(t, ""), "")
	if err := p.judge(t, quoted(signed(t, idKeys().rsa, rs256(), p.claims(t)))); err != nil {
		t.Errorf("with the issuer named: %v", err)
	}
	wantRefused(t, p.judge(t, quoted(signed(t, idKeys().rsa, rs256(), with(p.claims(t), "iss", p.URL)))), "")
}

// A flow that asked for no ID token does not look at one; and one that asked and has
// lost its nonce accepts none.
func TestSecurity22_WhatTheFlowAsked(t *testing.T) {
	p := ofTheCatalogue(t)
	p.on("/token", 200, `{"access_token":"at-1","id_token":"junk","scope":"openid"}`)
	got, err := p.Exchange(ctx, p.Registration, code, verifier, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CheckIDToken(ctx, p.Registration, got, Account{}, []string{"email"}, ""); err != nil {
		t.Errorf("not asked: %v", err)
	}
	github := published(t, "github")
	if err := p.CheckIDToken(ctx, github, got, Account{}, openidScopes, ""); err != nil {
		t.Errorf("a type that has none: %v", err)
	}
	for _, nonce := range []any{nil, ""} {
		token := signed(t, idKeys().rsa, rs256(), with(p.claims(t), "nonce", nonce))
		p.on("/token", 200, `{"access_token":"at-1","id_token":`+quoted(token)+`}`)
		got, err := p.Exchange(ctx, p.Registration, code, verifier, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(t, p.CheckIDToken(ctx, p.Registration, got, Account{}, openidScopes, ""), token)
	}
	// An account that nobody told of cannot be compared.
	token := signed(t, idKeys().rsa, rs256(), p.claims(t))
	p.on("/token", 200, `{"access_token":"at-1","id_token":`+quoted(token)+`}`)
	if got, err = p.Exchange(ctx, p.Registration, code, verifier, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.CheckIDToken(ctx, p.Registration, got, Account{}, openidScopes, idNonce); err != nil {
		t.Errorf("without an account: %v", err)
	}
	if text := fmt.Sprintf("%+v %#v %v", got, got, got); strings.Contains(text, token) || strings.Contains(text, strings.Split(token, ".")[2]) {
		t.Errorf("the token can be printed: %s", text)
	}
}

// A token whose keys are not known to be of this provider is not judged by another's.
func TestSecurity22_NoKeysOfAnotherProvider(t *testing.T) {
	p := movedAway(t)
	p.HTTP.Transport = only(t, p.fake, p.HTTP.Transport)
	if err := p.judge(t, quoted(signed(t, idKeys().other, rs256(), p.claims(t)))); err != nil {
		t.Error(err)
	}
}
