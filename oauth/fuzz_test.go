package oauth

import (
	"net/url"
	"testing"
	"time"

	"patchbay/provider"
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
			got, err := readTokens(e, value, now, url.Values{})
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
