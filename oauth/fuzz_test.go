package oauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/provider"
	"patchbay/vault"
)

func FuzzTokenAnswer(f *testing.F) {
	for _, seed := range []struct{ body, contentType string }{
		{`{"access_token":"at-1","refresh_token":"rt-1","token_type":"Bearer","expires_in":3599,"scope":"openid email"}`, "application/json"},
		{`{"ok":true,"authed_user":{"id":"U1","scope":"users:read","access_token":"xoxp-1","token_type":"user"},"team":{"id":"T1"}}`, "application/json"},
		{`{"ok":false,"error":"invalid_code"}`, "application/json"},
		{"access_token=gho_1&scope=repo%2Cgist&token_type=bearer", "application/x-www-form-urlencoded; charset=utf-8"},
		{"error=bad_verification_code&error_description=x", "application/x-www-form-urlencoded"},
		{"\xef\xbb\xbf{\"access_token\":\"at\",\"expires_in\":\"1e18\"}", ""},
		{`{"access_token":"at","expires_in":-1,"scope":["a",1,null,{}]}`, "text/html"},
		{`[[[[{"a":[{}]}]]]]`, "application/json"},
		{"<html>", "text/html"},
	} {
		f.Add([]byte(seed.body), seed.contentType)
	}
	c, err := provider.Embedded()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		value, _ := parseBody(body, contentType)
		for _, typ := range c.Types() {
			e, _ := c.Entry(typ)
			if code, _ := errorIn(e, value); len(cleanCode(code)) > 64 {
				t.Errorf("code %q", code)
			}
			got, err := readTokens(e, nil, value, now, url.Values{})
			if err != nil {
				continue
			}
			if got.AccessToken.IsZero() || !printable(got.AccessToken.Reveal()) || !printable(got.RefreshToken.Reveal()) {
				t.Errorf("unusable token %q", got.AccessToken.Reveal())
			}
			if life := got.ExpiresAt.Sub(now); !got.ExpiresAt.IsZero() && (life < 0 || life > maxLifetime) {
				t.Errorf("expires in %v", life)
			}
		}
	})
}

// What is accepted without a signature says, to another reader of JSON, all that it
// has to say.
func FuzzIDToken(f *testing.F) {
	claims := `"iss":"https://id.example","sub":"1","aud":["c"],"nonce":"n","iat":1795435200,"exp":1795438800`
	for _, seed := range []struct{ header, claims string }{
		{`{"alg":"RS256","kid":"k"}`, "{" + claims + "}"},
		{`{"alg":"RS256"}`, `{"nonce":"m",` + claims + "}"},
		{`{"alg":"none"}`, "{" + claims + "}"},
		{`{"alg":"HS256"}`, "{" + claims + `,"azp":"c","at_hash":"x","nbf":1}`},
		{`{"alg":"EdDSA","crit":["b64"],"b64":false}`, "[]"},
		{`[[[[`, `{"exp":1e999}`},
	} {
		f.Add(seed.header, seed.claims, "c2ln", "")
	}
	f.Add("", "", "", "eyJhbGciOiJub25lIn0.e30.")
	f.Add("", "", "", "a.b.c.d.e")
	algs := []string{"RS256", "EdDSA"}
	f.Fuzz(func(t *testing.T, header, claims, signature, whole string) {
		if whole == "" {
			whole = base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + signature
		}
		k, err := parseIDToken(whole, algs)
		if err != nil {
			return
		}
		k.signedWith(idKeys().rsa.Public())
		if k.checkParties([]string{"https://id.example"}, "c") != nil || k.checkTimes(now) != nil || k.checkBinding("n", "at") != nil {
			return
		}
		parts := strings.Split(whole, ".")
		var said [2]map[string]any
		for i := range said {
			raw, err := base64.RawURLEncoding.DecodeString(parts[i])
			if err != nil || json.Unmarshal(raw, &said[i]) != nil {
				t.Fatalf("accepted, and not JSON: %q", parts[i])
			}
		}
		alg, _ := said[0]["alg"].(string)
		exp, _ := said[1]["exp"].(float64)
		if len(parts) != 3 || !slices.Contains(algs, alg) || said[1]["iss"] != "https://id.example" || said[1]["nonce"] != "n" || exp+60 <= float64(now.Unix()) {
			t.Errorf("accepted: %v", said)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "0", "120", "-1", "1e9", "99999999999999999999", "Mon, 23 Nov 2026 12:02:00 GMT", "Monday, 23-Nov-26 12:02:00 GMT", "soon", "١٢"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := retryAfter(value, now); got < 0 || got > time.Hour {
			t.Errorf("%q: %v", value, got)
		}
	})
}

// Nobody signs an instance without the secret.
func FuzzSignedInstance(f *testing.F) {
	good := signedInstance("sandbox-secret", `{"instanceId":"4f8cda49-0000-4000-8000-d6f39bcdc823"}`)
	for _, seed := range []string{good, good + "=", "." + good, strings.Replace(good, ".", "..", 1), "a.b", "", "a.b.c", good[1:]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, signed string) {
		signature, payload, _ := strings.Cut(signed, ".")
		if _, ok := wixVerify(signature, payload, vault.NewSecret("sandbox-secret")); ok && strings.TrimRight(signed, "=") != good {
			if wixSignature(payload) != strings.TrimRight(signature, "=") {
				t.Errorf("%q is taken for signed", signed)
			}
		}
		if _, ok := wixVerify(signature, payload, vault.Secret{}); ok {
			t.Errorf("%q is signed with no secret at all", signed)
		}
	})
}

func wixSignature(payload string) string {
	mac := hmac.New(sha256.New, []byte("sandbox-secret"))
	mac.Write([]byte(payload))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
