package sandbox

import (
	"net/http"
	"strings"
	"time"
)

// genericDialect is a provider without a will of its own: RFC 6749, 7009, 7636, 9207
// and the ID token and userinfo endpoint of OpenID Connect Core sections 2 and 5.3.
func genericDialect() *dialect {
	return &dialect{
		id: "generic", name: "Generic OAuth", brand: "#0f766e", noun: "generic",

		responseType: true,
		openID:       true,
		silentPrompt: true,

		codePrefix: "code_", accessPrefix: "at_", refreshPrefix: "rt_",
		basicAuth: true, postAuth: true,
		lifetime:       time.Hour,
		expires:        true,
		scopeNarrowing: true,
		answer:         plainAnswer,

		revocation: revokeRFC7009,

		userinfo: genericUser,
		resources: []resource{
			{path: "me", data: genericUser},
			{path: "items", data: genericItems},
		},
		unauthorized: func(state tokenState) any {
			return map[string]any{"error": "invalid_token", "error_description": "The access token is " + string(state) + "."}
		},
		forbidden: func(need, _ []string) (int, any) {
			return http.StatusForbidden, map[string]any{"error": "insufficient_scope", "scope": strings.Join(need, " ")}
		},
		notFound: map[string]any{"error": "not_found", "error_description": "Nothing here."},
	}
}

// plainAnswer is the token answer of RFC 6749 section 5.1.
func plainAnswer(t issued) map[string]any {
	answer := map[string]any{
		"access_token": t.access,
		"token_type":   "Bearer",
		"scope":        strings.Join(t.scopes, " "),
	}
	if t.lifetime > 0 {
		answer["expires_in"] = seconds(t.lifetime)
	}
	if t.refresh != "" {
		answer["refresh_token"] = t.refresh
	}
	return answer
}

func genericUser(v view) any {
	return map[string]any{
		"sub":                "user-" + who(v.Account).digits("generic", 12),
		"name":               v.Name,
		"preferred_username": v.Login,
		"email":              v.Email,
		"email_verified":     true,
		"picture":            v.origin + iconPath,
	}
}

func genericItems(v view) any {
	items := []map[string]any{}
	for i, s := range pick(v.Account, 3, itemSamples) {
		items = append(items, map[string]any{
			"id":         who(v.Account+s.title).digits("item", 8),
			"title":      s.title,
			"detail":     s.detail,
			"updated_at": v.now.Add(-time.Duration(3+17*i) * time.Hour).UTC().Format(time.RFC3339),
		})
	}
	return map[string]any{"items": items}
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
