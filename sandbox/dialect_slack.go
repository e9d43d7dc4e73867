package sandbox

import (
	"net/http"
	"strings"
	"time"
)

// slackDialect imitates a Slack app that asks for user scopes only: the token is below
// authed_user, a refresh answers flat, and every refusal of the token endpoint is an
// "ok": false under HTTP 200.
//
// https://docs.slack.dev/authentication/installing-with-oauth
// https://docs.slack.dev/reference/methods/oauth.v2.access
// https://docs.slack.dev/reference/methods/auth.revoke
func slackDialect() *dialect {
	return &dialect{
		id: "slack", name: "Slack", brand: "#611f69", noun: "Slack",

		scopeParam: "user_scope",
		scopeSplit: ", ",

		accessPrefix: "xoxp-", refreshPrefix: "xoxe-1-",
		basicAuth: true, postAuth: true,
		grantTypeOptional: true,
		lifetime:          12 * time.Hour,
		rotates:           true,
		answer:            slackAnswer,

		faults: map[faultKey]string{
			faultRequest:   "invalid_arguments",
			faultMedia:     "invalid_form_data",
			faultClient:    "bad_client_secret",
			faultGrantType: "invalid_grant_type",
			faultCode:      "invalid_code",
			faultReplay:    "code_already_used",
			faultRedirect:  "bad_redirect_uri",
			faultRefresh:   "invalid_refresh_token",
			faultToken:     "invalid_auth",
			faultServer:    "internal_error",
		},
		faultStatus: http.StatusOK,
		faultBody:   func(name, _ string) map[string]any { return slackError(name) },

		revocation: revokeByBearer,

		userinfo: slackAuthTest,
		resources: []resource{
			{path: "auth.test", post: true, data: slackAuthTest},
			{path: "users.info", post: true, needs: []string{"users:read"}, data: slackUsersInfo},
			{path: "conversations.list", post: true, needs: []string{"channels:read", "groups:read"}, data: slackChannels},
		},
		unauthorized: func(state tokenState) any { return slackError(slackTokenError(state)) },
		forbidden: func(need, have []string) (int, any) {
			body := slackError("missing_scope")
			body["needed"], body["provided"] = strings.Join(need, ","), strings.Join(have, ",")
			return http.StatusOK, body
		},
		notFound: slackError("unknown_method"),
	}
}

func slackError(name string) map[string]any { return map[string]any{"ok": false, "error": name} }

func slackTokenError(state tokenState) string {
	switch state {
	case tokenMissing:
		return "not_authed"
	case tokenExpired:
		return "token_expired"
	case tokenRevoked:
		return "token_revoked"
	}
	return "invalid_auth"
}

func slackAnswer(t issued) map[string]any {
	token := map[string]any{
		"scope":        strings.Join(t.scopes, ","),
		"access_token": t.access,
		"token_type":   "user",
	}
	if t.lifetime > 0 {
		token["expires_in"] = seconds(t.lifetime)
	}
	if t.refresh != "" {
		token["refresh_token"] = t.refresh
	}
	answer := map[string]any{
		"ok":                    true,
		"app_id":                "A" + who(t.client).letters("slack-app", 10),
		"team":                  map[string]any{"id": slackTeamID(t.who), "name": slackTeamName(t.who)},
		"enterprise":            nil,
		"is_enterprise_install": false,
	}
	if t.refreshed {
		for k, v := range token {
			answer[k] = v
		}
		return answer
	}
	token["id"] = slackUserID(t.who)
	answer["authed_user"] = token
	return answer
}

func slackUserID(p identity) string { return "U" + who(p.Account).letters("slack-user", 10) }

// slackTeamID: people with the same e-mail domain share a workspace.
func slackTeamID(p identity) string { return "T" + who(p.Domain).letters("slack-team", 10) }

func slackTeamName(p identity) string {
	label, _, _ := strings.Cut(p.Domain, ".")
	return displayName(label, label)
}

func slackAuthTest(v view) any {
	return map[string]any{
		"ok":                    true,
		"url":                   v.origin + "/slack/",
		"team":                  slackTeamName(v.identity),
		"user":                  v.Login,
		"team_id":               slackTeamID(v.identity),
		"user_id":               slackUserID(v.identity),
		"is_enterprise_install": false,
	}
}

// slackUsersInfo knows the token's own user only.
func slackUsersInfo(v view) any {
	if id := v.query.Get("user"); id != slackUserID(v.identity) {
		return slackError("user_not_found")
	}
	profile := map[string]any{
		"real_name":    v.Name,
		"display_name": v.Login,
		"image_192":    v.origin + iconPath,
	}
	if v.has("users:read.email") {
		profile["email"] = v.Email
	}
	return map[string]any{"ok": true, "user": map[string]any{
		"id":        slackUserID(v.identity),
		"team_id":   slackTeamID(v.identity),
		"name":      v.Login,
		"real_name": v.Name,
		"tz":        "Etc/UTC",
		"profile":   profile,
	}}
}

func slackChannels(v view) any {
	channels := []map[string]any{}
	for i, s := range pick(v.Account, 4, channelSamples) {
		channels = append(channels, map[string]any{
			"id":          "C" + who(v.Domain+"/"+s.title).letters("slack-channel", 10),
			"name":        s.title,
			"is_channel":  true,
			"is_private":  false,
			"is_member":   true,
			"topic":       map[string]any{"value": s.detail},
			"num_members": 4 + 9*i,
		})
	}
	return map[string]any{"ok": true, "channels": channels, "response_metadata": map[string]any{"next_cursor": ""}}
}
