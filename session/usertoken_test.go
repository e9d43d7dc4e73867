package session

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"patchbay/connect"
	"patchbay/vault"
)

var clock = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// claims are good ones; change them to make bad ones.
func claims() map[string]any {
	return map[string]any{"sub": "dana", "aud": "acme", "iss": "https://app.example", "exp": clock.Add(time.Minute).Unix(), "email": "dana@acme.example"}
}

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, head map[jose.HeaderKey]any, payload any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, &jose.SignerOptions{ExtraHeaders: head})
	if err != nil {
		t.Fatal(err)
	}
	raw, ok := payload.(string)
	if !ok {
		b, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		raw = string(b)
	}
	jws, err := signer.Sign([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func checker(client *http.Client) *UserTokens {
	return NewUserTokens(client, func() time.Time { return clock })
}

func pemOf(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func TestVerifyTakesTheAlgorithmsOfEachKey(t *testing.T) {
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	edPublic, edKey, _ := ed25519.GenerateKey(rand.Reader)
	for _, test := range []struct {
		alg     jose.SignatureAlgorithm
		private any
		public  crypto.PublicKey
	}{
		{jose.RS256, rsaKey, rsaKey.Public()}, {jose.PS256, rsaKey, rsaKey.Public()},
		{jose.ES256, ecKey, ecKey.Public()}, {jose.EdDSA, edKey, edPublic},
	} {
		t.Run(string(test.alg), func(t *testing.T) {
			app := &connect.App{ID: "acme", UserTokens: connect.UserTokens{PublicKey: pemOf(t, test.public), Issuer: "https://app.example"}}
			user, err := checker(nil).Verify(t.Context(), app, sign(t, test.alg, test.private, nil, claims()))
			if err != nil || user.ID != "dana" || user.Email != "dana@acme.example" {
				t.Errorf("%+v, %v", user, err)
			}
			hmac := sign(t, jose.HS256, []byte(app.UserTokens.PublicKey), nil, claims())
			if _, err := checker(nil).Verify(t.Context(), app, hmac); err == nil {
				t.Error("HS256 with the public key's text as secret is accepted")
			}
		})
	}
	app := &connect.App{ID: "acme", UserTokens: connect.UserTokens{PublicKey: pemOf(t, rsaKey.Public())}}
	if _, err := checker(nil).Verify(t.Context(), app, sign(t, jose.RS512, rsaKey, nil, claims())); err == nil {
		t.Error("RS512 is accepted")
	}
}

func TestVerifyRefuses(t *testing.T) {
	secret := []byte("an-hs256-secret-of-32-bytes-or-more")
	app := &connect.App{ID: "acme", UserTokens: connect.UserTokens{HS256Secret: vault.NewSecret(string(secret)), Issuer: "https://app.example"}}
	with := func(k string, v any) map[string]any {
		c := claims()
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
		return c
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"dana"}`)) + "."
	good := sign(t, jose.HS256, secret, nil, claims())
	if _, err := checker(nil).Verify(t.Context(), app, good); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"nothing":          "",
		"not a JWT":        "a.b.c",
		"two parts":        "a.b",
		"alg none":         none,
		"other secret":     sign(t, jose.HS256, []byte("another-secret-of-32-bytes-or-more!"), nil, claims()),
		"no exp":           sign(t, jose.HS256, secret, nil, with("exp", nil)),
		"expired":          sign(t, jose.HS256, secret, nil, with("exp", clock.Add(-2*time.Minute).Unix())),
		"not yet":          sign(t, jose.HS256, secret, nil, with("nbf", clock.Add(5*time.Minute).Unix())),
		"no aud":           sign(t, jose.HS256, secret, nil, with("aud", nil)),
		"other aud":        sign(t, jose.HS256, secret, nil, with("aud", "other")),
		"other iss":        sign(t, jose.HS256, secret, nil, with("iss", "https://evil.example")),
		"no sub":           sign(t, jose.HS256, secret, nil, with("sub", nil)),
		"number as sub":    sign(t, jose.HS256, secret, nil, with("sub", 7)),
		"control in sub":   sign(t, jose.HS256, secret, nil, with("sub", "da\nna")),
		"ID token, nonce":  sign(t, jose.HS256, secret, nil, with("nonce", "n")),
		"ID token, hash":   sign(t, jose.HS256, secret, nil, with("at_hash", "h")),
		"jku":              sign(t, jose.HS256, secret, map[jose.HeaderKey]any{"jku": "https://evil.example"}, claims()),
		"x5u":              sign(t, jose.HS256, secret, map[jose.HeaderKey]any{"x5u": "https://evil.example"}, claims()),
		"jwk":              sign(t, jose.HS256, secret, map[jose.HeaderKey]any{"jwk": map[string]string{"kty": "oct"}}, claims()),
		"crit":             sign(t, jose.HS256, secret, map[jose.HeaderKey]any{"crit": []string{"x"}}, claims()),
		"sub twice":        sign(t, jose.HS256, secret, nil, fmt.Sprintf(`{"sub":"sam","sub":"dana","aud":"acme","iss":"https://app.example","exp":%d}`, clock.Add(time.Minute).Unix())),
		"a megabyte":       good + strings.Repeat("A", 1<<20),
		"something behind": good + ".x",
	} {
		if user, err := checker(nil).Verify(t.Context(), app, token); err == nil {
			t.Errorf("%s: accepted as %+v", name, user)
		}
	}
	for name, exp := range map[string]time.Duration{"a minute late": -59 * time.Second, "in time": time.Hour} {
		if _, err := checker(nil).Verify(t.Context(), app, sign(t, jose.HS256, secret, nil, with("exp", clock.Add(exp).Unix()))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecurity57_KeySetIsFetchedSeldom(t *testing.T) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	var fetches atomic.Int32
	var down atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		if down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: key.Public(), KeyID: "one", Algorithm: "ES256", Use: "sig"},
			{Key: key.Public(), KeyID: "enc", Use: "enc"},
		}})
	}))
	defer server.Close()
	now := clock
	u := NewUserTokens(server.Client(), func() time.Time { return now })
	app := &connect.App{ID: "acme", UserTokens: connect.UserTokens{JWKSURL: server.URL}}
	token := func(kid string) string {
		c := claims()
		c["exp"] = now.Add(time.Minute).Unix()
		return sign(t, jose.ES256, jose.JSONWebKey{Key: key, KeyID: kid}, nil, c)
	}
	verify := func(kid string) error {
		_, err := u.Verify(t.Context(), app, token(kid))
		return err
	}
	if err := verify("one"); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if verify("unknown") == nil {
			t.Fatal("an unknown key id is accepted")
		}
	}
	if verify("enc") == nil {
		t.Error("a key for encryption verifies")
	}
	if n := fetches.Load(); n != 2 {
		t.Errorf("%d fetches within 30 s, want the first and one more", n)
	}
	now = now.Add(30 * time.Second)
	_ = verify("unknown")
	if n := fetches.Load(); n != 3 {
		t.Errorf("%d fetches after 30 s", n)
	}
	down.Store(true)
	now = now.Add(time.Hour)
	if err := verify("one"); err != nil {
		t.Errorf("a known key stops working while the set cannot be fetched: %v", err)
	}
	now = now.Add(24 * time.Hour)
	if verify("one") == nil {
		t.Error("a key works for ever without its set")
	}
}

func FuzzVerify(f *testing.F) {
	app := &connect.App{ID: "acme", UserTokens: connect.UserTokens{HS256Secret: vault.NewSecret("an-hs256-secret-of-32-bytes-or-more")}}
	f.Add("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkYW5hIn0.AAAA")
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		if user, err := checker(nil).Verify(t.Context(), app, token); err == nil {
			t.Errorf("accepted as %+v", user)
		}
	})
}

func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
		defer server.Close()
		k := keySets{client: server.Client(), now: func() time.Time { return clock }}
		keys, err := k.fetch(t.Context(), server.URL)
		for _, key := range keys {
			if err == nil && !key.IsPublic() {
				t.Errorf("a secret key is taken for a public one: %v", key.KeyID)
			}
		}
	})
}
