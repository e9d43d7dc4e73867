package oauth

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Where the catalogue's keys count, nothing else signs.
func TestSecurity22_Signatures(t *testing.T) {
	k := idKeys()
	for name, tc := range map[string]struct {
		keys   []any
		key    any
		header map[string]any
	}{
		"another key of that name":   {[]any{jwk(k.rsa.Public(), "k1", "")}, k.other, rs256()},
		"another key, no name":       {[]any{jwk(k.rsa.Public(), "k1", "")}, k.other, rs256("kid", nil)},
		"a key that is not there":    {[]any{jwk(k.rsa.Public(), "k1", "")}, k.rsa, rs256("kid", "k2")},
		"kid as a path":              {[]any{jwk(k.rsa.Public(), "k1", "")}, k.rsa, rs256("kid", "../k1")},
		"signed with the wrong one":  {[]any{jwk(k.rsa.Public(), "k1", ""), jwk(k.other.Public(), "k2", "")}, k.other, rs256()},
		"a key for encryption":       {[]any{jwk(k.rsa.Public(), "k1", "enc"), jwk(k.other.Public(), "k2", "")}, k.rsa, rs256()},
		"a key for another alg":      {[]any{jose.JSONWebKey{Key: k.rsa.Public(), KeyID: "k1", Algorithm: "PS256"}}, k.rsa, rs256()},
		"a key of another kind":      {[]any{jwk(k.ec.Public(), "k1", "")}, k.rsa, rs256()},
		"a key that is too short":    {[]any{jwk(k.weak.Public(), "k1", ""), jwk(k.other.Public(), "k2", "")}, k.weak, rs256()},
		"no signature to speak of":   {[]any{jwk(k.rsa.Public(), "k1", "")}, []byte{0}, rs256()},
		"a signature of zeros":       {[]any{jwk(k.rsa.Public(), "k1", "")}, make([]byte, 256), rs256()},
		"a secret published as key":  {[]any{jwk([]byte("client-secret-of-32-bytes-or-more"), "k1", ""), jwk(k.rsa.Public(), "k2", "")}, hmacKey("client-secret-of-32-bytes-or-more"), rs256()},
		"a private key is published": {[]any{jwk(k.other, "k1", ""), jwk(k.rsa.Public(), "k2", "")}, k.other, rs256()},
	} {
		t.Run(name, func(t *testing.T) {
			p := ofTheCatalogue(t)
			p.publish(tc.keys...)
			token := signed(t, tc.key, tc.header, p.claims(t))
			wantRefused(t, p.judge(t, quoted(token)), token)
		})
	}
	t.Run("changed behind the signature", func(t *testing.T) {
		p := ofTheCatalogue(t)
		good := strings.Split(signed(t, k.rsa, rs256(), with(p.claims(t), "sub", "1090")), ".")
		mine := strings.Split(signed(t, []byte{0}, rs256(), p.claims(t)), ".")
		wantRefused(t, p.judge(t, quoted(good[0]+"."+mine[1]+"."+good[2])), mine[1])
	})
}

// Every algorithm that an entry may list is understood, with the hash that is its own.
func TestIDTokenAlgorithms(t *testing.T) {
	k := idKeys()
	ed512 := sha512.Sum512([]byte("at-1"))
	ec384 := sha512.Sum384([]byte("at-1"))
	for alg, tc := range map[jose.SignatureAlgorithm]struct {
		key    any
		public any
		atHash string
	}{
		jose.RS256: {k.rsa, k.rsa.Public(), halfOf256("at-1")},
		jose.PS256: {k.rsa, k.rsa.Public(), halfOf256("at-1")},
		jose.RS384: {k.rsa, k.rsa.Public(), base64.RawURLEncoding.EncodeToString(ec384[:24])},
		jose.PS512: {k.rsa, k.rsa.Public(), base64.RawURLEncoding.EncodeToString(ed512[:32])},
		jose.ES256: {k.ec, k.ec.Public(), halfOf256("at-1")},
		jose.ES384: {k.ec384, k.ec384.Public(), base64.RawURLEncoding.EncodeToString(ec384[:24])},
		jose.EdDSA: {k.ed, k.ed.Public(), base64.RawURLEncoding.EncodeToString(ed512[:32])},
		jose.HS256: {[]byte("client-secret-of-32-bytes-or-more"), k.rsa.Public(), halfOf256("at-1")},
	} {
		t.Run(string(alg), func(t *testing.T) {
			p := ofTheCatalogue(t, string(alg))
			p.publish(jwk(tc.public, "", ""))
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: tc.key}, nil)
			if err != nil {
				t.Fatal(err)
			}
			issue := func(atHash string) string {
				claims, _ := json.Marshal(with(p.claims(t), "at_hash", atHash))
				jws, err := signer.Sign(claims)
				if err != nil {
					t.Fatal(err)
				}
				token, err := jws.CompactSerialize()
				if err != nil {
					t.Fatal(err)
				}
				return token
			}
			if err := p.judge(t, quoted(issue(tc.atHash))); err != nil {
				t.Error(err)
			}
			if err := p.judge(t, quoted(issue("AAAA"))); err == nil {
				t.Error("accepted with another at_hash")
			}
			if alg != jose.RS256 {
				wantRefused(t, ofTheCatalogue(t).judge(t, quoted(issue(tc.atHash))), "")
			}
		})
	}
	t.Run("HS256 with another secret", func(t *testing.T) {
		p := ofTheCatalogue(t, "HS256")
		wantRefused(t, p.judge(t, quoted(signed(t, hmacKey("another-secret-of-32-bytes-or-more"), rs256("alg", "HS256"), p.claims(t)))), "")
		p.ClientSecrets = secrets("")
		wantRefused(t, p.judge(t, quoted(signed(t, hmacKey(""), rs256("alg", "HS256"), p.claims(t)))), "")
		p.ClientSecrets = secrets("client-secret-of-32-bytes-or-more")
		p.Overrides = movedAway(t).Overrides
		wantRefused(t, p.judge(t, quoted(signed(t, hmacKey("x"), rs256("alg", "HS256"), p.claims(t)))), "")
	})
}

func TestKeySetIsKeptForAnHour(t *testing.T) {
	p, k := ofTheCatalogue(t), idKeys()
	clock := now
	p.Now = func() time.Time { return clock }
	fetched := func() int { return calls(p.fake, "/jwks") }
	token := func(key any, kid string) string {
		c := with(with(p.claims(t), "iat", clock.Unix()), "exp", clock.Add(time.Hour).Unix())
		return quoted(signed(t, key, rs256("kid", kid), c))
	}
	for range 3 {
		if err := p.judge(t, token(k.rsa, "k1")); err != nil {
			t.Fatal(err)
		}
	}
	if fetched() != 1 {
		t.Errorf("fetched %d times for three tokens", fetched())
	}
	p.publish(jwk(k.other.Public(), "k2", "sig"))
	if err := p.judge(t, token(k.other, "k2")); err != nil || fetched() != 2 {
		t.Errorf("a key that came meanwhile: %v after %d fetches", err, fetched())
	}
	clock = clock.Add(time.Hour)
	p.publish(jwk(k.rsa.Public(), "k1", ""))
	if err := p.judge(t, token(k.other, "k2")); err == nil || fetched() != 3 {
		t.Errorf("a key that was withdrawn an hour ago: %v after %d fetches", err, fetched())
	}
	for i := range 3 * maxKeySets {
		p.keys.put(fmt.Sprint(i), nil, clock)
	}
	if n := len(p.keys.sets); n > maxKeySets {
		t.Errorf("%d key sets are kept", n)
	}
}

// Without the provider's keys there is no good token; but it is not the token's fault.
func TestSecurity22_KeySetOutOfReach(t *testing.T) {
	elsewhere := newFake(t)
	elsewhere.on("/jwks", 200, `{"keys":[]}`)
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   Class
	}{
		"in trouble":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, Transient},
		"too many":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, Throttled},
		"hangs up":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Transient},
		"not there":    {http.NotFound, ProviderFault},
		"locked":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, ProviderFault},
		"elsewhere":    {http.RedirectHandler(elsewhere.URL+"/jwks", http.StatusFound).ServeHTTP, ProviderFault},
		"HTML":         {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, ProviderFault},
		"no keys":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }, ProviderFault},
		"keys no list": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":{}}`)) }, ProviderFault},
		"nothing useful": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[1,{},{"kty":"oct","k":"AA"}]}`))
		}, ProviderFault},
		"larger than all": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxBody+1)) }, ProviderFault},
	} {
		t.Run(name, func(t *testing.T) {
			p := ofTheCatalogue(t)
			p.Config.ErrorLog = quiet
			p.handle("/jwks", tc.answer)
			err := p.judge(t, quoted(signed(t, idKeys().rsa, rs256(), p.claims(t))))
			if e := oauthError(t, err); e.Class != tc.want || e.Op != "key_set" {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("inside", func(t *testing.T) {
		p := ofTheCatalogue(t)
		p.Entry.OpenID.JWKSURL = elsewhere.URL + "/jwks"
		if err := p.judge(t, quoted(signed(t, idKeys().rsa, rs256(), p.claims(t)))); !errors.Is(err, ErrBlocked) {
			t.Errorf("%v", err)
		}
	})
	if n := len(elsewhere.calls()); n != 0 {
		t.Errorf("%d calls went elsewhere", n)
	}
}
