package oauth

import (
	"maps"
	"testing"

	"patchbay/provider"
)

func TestRevokeRequests(t *testing.T) {
	t.Run("Google takes the refresh token, from anybody", func(t *testing.T) {
		f := newFake(t)
		f.on("/googlecalendar/revoke", 200, "")
		r, c := f.at(t, entry(t, "googlecalendar")), client(t, f)
		if got := c.Revoke(ctx, r, granted()); got != RevokedYes {
			t.Errorf("revoked %s", got)
		}
		sent := f.last(t)
		if sent.Method != "POST" || !maps.Equal(single(sent.Form), map[string]string{"token": "rt-1"}) || sent.Header.Get("Authorization") != "" {
			t.Errorf("request: %+v", sent)
		}
		c.Revoke(ctx, r, Tokens{AccessToken: granted().AccessToken})
		if sent = f.last(t); sent.Form.Get("token") != "at-1" {
			t.Errorf("without a refresh token: %+v", sent)
		}
	})
	t.Run("GitHub takes DELETE with Basic and JSON", func(t *testing.T) {
		f := newFake(t)
		f.on("/applications/client-1/token", 204, "")
		r := f.at(t, entry(t, "github"))
		r.Endpoints.Revoke = f.URL + "/applications/{client_id}/token"
		if got := client(t, f).Revoke(ctx, r, granted()); got != RevokedYes {
			t.Errorf("revoked %s", got)
		}
		sent := f.last(t)
		user, pass, _ := basic(sent)
		if sent.Method != "DELETE" || !maps.Equal(sent.JSON, map[string]string{"access_token": "at-1"}) || user != "client-1" || pass != "sandbox-secret" ||
			sent.Header.Get("Accept") != "application/vnd.github+json" || sent.Query != "" {
			t.Errorf("request: %+v", sent)
		}
	})
	t.Run("an override changes the address only", func(t *testing.T) {
		f := newFake(t)
		f.on("/github/revoke", 204, "")
		client(t, f).Revoke(ctx, f.at(t, entry(t, "github")), granted())
		if sent := f.last(t); sent.Method != "DELETE" || sent.JSON["access_token"] != "at-1" {
			t.Errorf("request: %+v", sent)
		}
	})
	t.Run("Slack takes the token itself", func(t *testing.T) {
		f := newFake(t)
		f.on("/slack/revoke", 200, `{"ok":true,"revoked":true}`)
		if got := client(t, f).Revoke(ctx, f.at(t, entry(t, "slack")), granted()); got != RevokedYes {
			t.Errorf("revoked %s", got)
		}
		if sent := f.last(t); sent.Method != "POST" || sent.Header.Get("Authorization") != "Bearer at-1" || len(sent.Form) > 0 {
			t.Errorf("request: %+v", sent)
		}
	})
	t.Run("credentials in the body", func(t *testing.T) {
		f := newFake(t)
		f.on("/googlecalendar/revoke", 200, "")
		e := changed(t, "googlecalendar", func(e *provider.Entry) { e.Revoke.Auth = "post" })
		client(t, f).Revoke(ctx, f.at(t, e), granted())
		if sent := f.last(t); sent.Form.Get("client_id") != "client-1" || sent.Form.Get("client_secret") != "sandbox-secret" {
			t.Errorf("request: %+v", sent)
		}
	})
}

func TestRevokeOutcomes(t *testing.T) {
	for name, tc := range map[string]struct {
		typ    string
		status int
		body   string
		want   Revoked
	}{
		"Google, done":             {"googlecalendar", 200, "", RevokedYes},
		"Google, dead already":     {"googlecalendar", 400, `{"error":"invalid_token"}`, RevokedYes},
		"Google, refused":          {"googlecalendar", 400, `{"error":"invalid_request"}`, RevokedNo},
		"Google, error under 200":  {"googlecalendar", 200, `{"error":"unsupported_token_type"}`, RevokedNo},
		"Google, throttled":        {"googlecalendar", 429, ``, RevokedUnknown},
		"Google, in trouble":       {"googlecalendar", 503, `<html>`, RevokedUnknown},
		"Google, nobody there":     {"googlecalendar", 404, `<html>`, RevokedUnknown},
		"Google, redirect":         {"googlecalendar", 302, ``, RevokedUnknown},
		"GitHub, done":             {"github", 204, "", RevokedYes},
		"GitHub, dead already":     {"github", 404, `{"message":"Not Found"}`, RevokedYes},
		"GitHub, refused":          {"github", 422, `{"message":"Validation Failed"}`, RevokedNo},
		"GitHub, wrong secret":     {"github", 401, `{"message":"Bad credentials"}`, RevokedNo},
		"Slack, done":              {"slack", 200, `{"ok":true,"revoked":true}`, RevokedYes},
		"Slack, ok but not done":   {"slack", 200, `{"ok":true,"revoked":false}`, RevokedNo},
		"Slack, dead already":      {"slack", 200, `{"ok":false,"error":"token_revoked"}`, RevokedYes},
		"Slack, refused":           {"slack", 200, `{"ok":false,"error":"invalid_auth"}`, RevokedNo},
		"Slack, throttled":         {"slack", 429, ``, RevokedUnknown},
		"Slack, no clear answer":   {"slack", 200, `<html>`, RevokedUnknown},
		"Slack, throttled in 200":  {"slack", 200, `{"ok":false,"error":"ratelimited"}`, RevokedUnknown},
		"Slack, in trouble in 200": {"slack", 200, `{"ok":false,"error":"internal_error"}`, RevokedUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on("/"+tc.typ+"/revoke", tc.status, tc.body)
			got, err := client(t, f).RevokeDetail(ctx, f.at(t, entry(t, tc.typ)), granted())
			if got != tc.want || (err == nil) != (tc.want == RevokedYes) {
				t.Errorf("revoked %s, %v", got, err)
			}
		})
	}
}

func TestRevokeTriesTheNextSecret(t *testing.T) {
	f := newFake(t)
	f.on("/github/revoke", 401, `{"message":"Bad credentials"}`)
	r := f.at(t, entry(t, "github"))
	r.ClientSecrets = secrets("new", "old")
	if got, err := client(t, f).RevokeDetail(ctx, r, granted()); got != RevokedNo || len(f.calls()) != 2 || oauthError(t, err).Class != ConnectorFault {
		t.Errorf("revoked %s, %v after %d calls", got, err, len(f.calls()))
	}
}

func TestRevokeUnsupported(t *testing.T) {
	f := newFake(t)
	none := changed(t, "github", func(e *provider.Entry) { e.Revoke = provider.Revoke{Style: "none"} })
	c := client(t, f)
	if got, err := c.RevokeDetail(ctx, f.at(t, none), granted()); got != RevokedUnsupported || err != nil {
		t.Errorf("style none: %s, %v", got, err)
	}
	if got, err := c.RevokeDetail(ctx, f.at(t, entry(t, "github")), Tokens{RefreshToken: refresh}); got != RevokedUnsupported || err != nil {
		t.Errorf("no token of the kind that is revoked: %s, %v", got, err)
	}
	if len(f.calls()) != 0 {
		t.Errorf("%d calls", len(f.calls()))
	}
}

func TestRevokeWhenNobodyAnswers(t *testing.T) {
	f := newFake(t)
	r, c := f.at(t, entry(t, "slack")), client(t, f)
	f.Close()
	if got, err := c.RevokeDetail(ctx, r, granted()); got != RevokedUnknown || ClassOf(err) != Transient {
		t.Errorf("revoked %s, %v", got, err)
	}
	c = client(t) // the address is not allowed
	if got, err := c.RevokeDetail(ctx, r, granted()); got != RevokedUnknown || ClassOf(err) != Blocked {
		t.Errorf("revoked %s, %v", got, err)
	}
}
