package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"patchbay/provider"
)

// Part B 8, 10 and 12 of the security notes: what an answer means is data.
func TestClasses(t *testing.T) {
	for name, tc := range map[string]struct {
		typ    string
		status int
		body   string
		class  Class
		code   string
	}{
		"dead grant":                    {"googlecalendar", 400, `{"error":"invalid_grant","error_description":"Token has been revoked."}`, GrantDead, "invalid_grant"},
		"dead grant, other status":      {"googlecalendar", 403, `{"error":"invalid_grant"}`, GrantDead, "invalid_grant"},
		"dead grant, refused as 401":    {"googlecalendar", 401, `{"error":"invalid_grant"}`, GrantDead, "invalid_grant"},
		"dead grant said by a sick one": {"googlecalendar", 503, `{"error":"invalid_grant"}`, Transient, "invalid_grant"},
		"dead grant, throttled":         {"googlecalendar", 429, `{"error":"invalid_grant"}`, Throttled, "invalid_grant"},
		"wrong client":                  {"googlecalendar", 401, `{"error":"invalid_client"}`, ConnectorFault, "invalid_client"},
		"wrong client, 400":             {"googlecalendar", 400, `{"error":"invalid_client"}`, ConnectorFault, "invalid_client"},
		"client not allowed":            {"googlecalendar", 400, `{"error":"unauthorized_client"}`, ConnectorFault, "unauthorized_client"},
		"client deleted":                {"googlecalendar", 401, `{"error":"deleted_client"}`, ConnectorFault, "deleted_client"},
		"401 and nothing else":          {"googlecalendar", 401, ``, ConnectorFault, ""},
		"401 HTML":                      {"googlecalendar", 401, `<html>`, ConnectorFault, ""},
		"scope":                         {"googlecalendar", 400, `{"error":"invalid_scope"}`, ScopeRejected, "invalid_scope"},
		"redirect URI":                  {"googlecalendar", 400, `{"error":"redirect_uri_mismatch"}`, RedirectRejected, "redirect_uri_mismatch"},
		"overload":                      {"googlecalendar", 400, `{"error":"temporarily_unavailable"}`, Transient, "temporarily_unavailable"},
		"throttled":                     {"googlecalendar", 429, `too many`, Throttled, ""},
		"time-out":                      {"googlecalendar", 408, ``, Transient, ""},
		"trouble":                       {"googlecalendar", 500, `<html>`, Transient, ""},
		"bad request":                   {"googlecalendar", 400, `{"error":"invalid_request"}`, ProviderFault, "invalid_request"},
		"forbidden HTML":                {"googlecalendar", 403, `<html>`, ProviderFault, ""},
		"a code with markup":            {"googlecalendar", 400, `{"error":"<script>alert(1)</script>"}`, ProviderFault, ""},
		"a code with a token inside":    {"googlecalendar", 400, `{"error":"` + strings.Repeat("x", 65) + `"}`, ProviderFault, ""},
		"GitHub, bad code":              {"github", 200, `{"error":"bad_verification_code","error_description":"x","error_uri":"y"}`, GrantDead, "bad_verification_code"},
		"GitHub, bad refresh token":     {"github", 200, `{"error":"bad_refresh_token"}`, GrantDead, "bad_refresh_token"},
		"GitHub, wrong secret":          {"github", 200, `{"error":"incorrect_client_credentials"}`, ConnectorFault, "incorrect_client_credentials"},
		"GitHub, redirect URI":          {"github", 200, `{"error":"redirect_uri_mismatch"}`, RedirectRejected, "redirect_uri_mismatch"},
		"GitHub, unknown":               {"github", 200, `{"error":"something_new"}`, ProviderFault, "something_new"},
		"Slack, bad code":               {"slack", 200, `{"ok":false,"error":"invalid_code"}`, GrantDead, "invalid_code"},
		"Slack, used code":              {"slack", 200, `{"ok":false,"error":"code_already_used"}`, GrantDead, "code_already_used"},
		"Slack, bad refresh token":      {"slack", 200, `{"ok":false,"error":"invalid_refresh_token"}`, GrantDead, "invalid_refresh_token"},
		"Slack, standard refresh error": {"slack", 400, `{"error":"invalid_grant"}`, GrantDead, "invalid_grant"},
		"Slack, wrong secret":           {"slack", 200, `{"ok":false,"error":"bad_client_secret"}`, ConnectorFault, "bad_client_secret"},
		"Slack, redirect URI":           {"slack", 200, `{"ok":false,"error":"bad_redirect_uri"}`, RedirectRejected, "bad_redirect_uri"},
		"Slack, throttled":              {"slack", 200, `{"ok":false,"error":"ratelimited"}`, Throttled, "ratelimited"},
		"Slack, trouble":                {"slack", 200, `{"ok":false,"error":"internal_error"}`, Transient, "internal_error"},
		"Slack, not ok, no code":        {"slack", 200, `{"ok":false,"access_token":"at"}`, ProviderFault, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on("/"+tc.typ+"/token", tc.status, tc.body)
			_, err := client(t, f).Refresh(ctx, f.at(t, entry(t, tc.typ)), refresh, nil)
			e := oauthError(t, err)
			if e.Class != tc.class || e.Code != tc.code || e.Status != tc.status || e.Op != "refresh" || !e.Sent {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestRetryAfterReachesTheCaller(t *testing.T) {
	f := newFake(t)
	f.handle("/github/token", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(503)
	})
	_, err := client(t, f).Refresh(ctx, f.at(t, entry(t, "github")), refresh, nil)
	if e := oauthError(t, err); e.Class != Transient || e.RetryAfter != 7*time.Second {
		t.Errorf("%+v", e)
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"30":                            30 * time.Second,
		" 30 ":                          30 * time.Second,
		"3600":                          time.Hour,
		"315360000":                     time.Hour, // ten years
		"99999999999999999999":          time.Hour,
		"-5":                            0,
		"1.5":                           0,
		"soon":                          0,
		"Mon, 23 Nov 2026 12:02:00 GMT": 2 * time.Minute,
		"Mon, 23 Nov 2026 11:00:00 GMT": 0,
		"Fri, 23 Nov 2035 12:00:00 GMT": time.Hour,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestCallbackError(t *testing.T) {
	linkedin := changed(t, "slack", func(e *provider.Entry) { e.Errors.Denied = []string{"user_cancelled_login"} })
	for _, tc := range []struct {
		entry *provider.Entry
		code  string
		class Class
		shown string
	}{
		{entry(t, "github"), "access_denied", Denied, "access_denied"},
		{linkedin, "user_cancelled_login", Denied, "user_cancelled_login"},
		{linkedin, "access_denied", Denied, "access_denied"},
		{entry(t, "github"), "application_suspended", ConnectorFault, "application_suspended"},
		{entry(t, "github"), "redirect_uri_mismatch", RedirectRejected, "redirect_uri_mismatch"},
		{entry(t, "slack"), "invalid_team_for_non_distributed_app", ConnectorFault, "invalid_team_for_non_distributed_app"},
		{entry(t, "slack"), "invalid_scope", ScopeRejected, "invalid_scope"},
		{entry(t, "slack"), "server_error", Transient, "server_error"},
		{entry(t, "slack"), "<b>", ProviderFault, ""},
		{entry(t, "slack"), "", ProviderFault, ""},
	} {
		if e := CallbackError(tc.entry, tc.code); e.Class != tc.class || e.Code != tc.shown {
			t.Errorf("%s: %+v", tc.code, e)
		}
	}
}

// An error can be logged: it holds no secret, no body and no address with a query.
func TestErrorsKeepSecretsToThemselves(t *testing.T) {
	f := newFake(t)
	echo := `{"error":"invalid_grant","error_description":"canary-body canary-code canary-secret"}`
	f.on("/github/token", 400, echo)
	f.on("/github/userinfo", 200, `<html>canary-body`)
	f.handle("/github/revoke", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "https://evil.example/%zz?token=canary-code")
		w.WriteHeader(302)
	})
	r := f.at(t, entry(t, "github"))
	r.ClientSecrets = secrets("canary-secret")
	c := client(t, f)
	tokens := Tokens{AccessToken: secrets("canary-token")[0], RefreshToken: secrets("canary-refresh")[0]}

	var all []error
	_, err := c.Exchange(ctx, r, secrets("canary-code")[0], secrets(strings.Repeat("canary-", 8))[0], nil)
	all = append(all, err)
	_, err = c.Refresh(ctx, r, tokens.RefreshToken, nil)
	all = append(all, err)
	_, err = c.accountOf(ctx, r, tokens)
	all = append(all, err)
	_, err = c.RevokeDetail(ctx, r, tokens)
	all = append(all, err)
	r.Endpoints.Token, r.Endpoints.Refresh = "http://127.0.0.1:1/token?key=canary-query", "http://10.0.0.1/token?key=canary-query"
	_, err = c.Exchange(ctx, r, secrets("canary-code")[0], verifier, nil) // blocked
	all = append(all, err)
	_, err = c.Refresh(ctx, r, tokens.RefreshToken, nil) // blocked
	all = append(all, err)
	closed := newFake(t)
	closed.Close()
	r.Endpoints.Token = closed.URL + "/token?key=canary-query"
	_, err = client(t, closed).Exchange(ctx, r, secrets("canary-code")[0], verifier, nil) // refused
	all = append(all, err)

	for i, err := range all {
		if err == nil {
			t.Errorf("call %d did not fail", i)
			continue
		}
		text := err.Error()
		for e := err; e != nil; e = errors.Unwrap(e) {
			text += fmt.Sprintf(" %v %+v %#v", e, e, e)
		}
		if strings.Contains(text, "canary") {
			t.Errorf("call %d: %s", i, text)
		}
	}
}

func TestErrorSaysWhatHappened(t *testing.T) {
	f := newFake(t)
	f.on("/github/token", 200, `{"error":"incorrect_client_credentials"}`)
	_, err := client(t, f).Refresh(ctx, f.at(t, entry(t, "github")), refresh, nil)
	want := "oauth refresh: connector_fault: the provider does not accept this client: check its id, secret and registration: incorrect_client_credentials (HTTP 200)"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if ClassOf(errors.New("other")) != "" || ClassOf(fmt.Errorf("wrapped: %w", err)) != ConnectorFault {
		t.Error("ClassOf")
	}
}

// Sent tells whether a rotating refresh token may have been used up.
func TestSent(t *testing.T) {
	f := newFake(t)
	f.handle("/github/token", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	r, c := f.at(t, entry(t, "github")), client(t, f)

	limited, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err := c.Refresh(limited, r, refresh, nil)
	if e := oauthError(t, err); e.Class != Transient || !e.Sent || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer in time: %+v", e)
	}
	_, err = client(t).Refresh(ctx, r, refresh, nil)
	if e := oauthError(t, err); e.Class != Blocked || e.Sent || !errors.Is(err, ErrBlocked) {
		t.Errorf("blocked: %+v", e)
	}
	f.CloseClientConnections()
	f.Close()
	_, err = c.Refresh(ctx, r, refresh, nil)
	if e := oauthError(t, err); e.Class != Transient || e.Sent {
		t.Errorf("nobody listens: %+v", e)
	}
}

func TestNoHTTPClientIsNoDefaultClient(t *testing.T) {
	f := newFake(t)
	_, err := (&Client{}).Refresh(ctx, f.at(t, entry(t, "github")), refresh, nil)
	if ClassOf(err) != Blocked || len(f.calls()) != 0 {
		t.Errorf("got %v", err)
	}
}

// Every fault that a catalogue file can name is a class here, but for the one that
// also asks for the next client secret.
func TestFaultsAreClasses(t *testing.T) {
	for fault, want := range map[provider.Fault]Class{
		provider.Throttled: Throttled, provider.Transient: Transient, provider.InvalidClient: ConnectorFault, provider.ConnectorFault: ConnectorFault,
		provider.GrantDead: GrantDead, provider.ScopeRejected: ScopeRejected, provider.RedirectRejected: RedirectRejected, provider.ProviderFault: ProviderFault,
	} {
		e := changed(t, "github", func(e *provider.Entry) { e.Errors.Codes["made_up"] = fault })
		class, badClient := classify(e, 400, "made_up")
		if class != want || badClient != (fault == provider.InvalidClient) {
			t.Errorf("%s: %s, %v", fault, class, badClient)
		}
	}
}
