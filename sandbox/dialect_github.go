package sandbox

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// githubDialect imitates a GitHub OAuth App, whose tokens neither expire nor refresh,
// and in the scenarios that need it a GitHub App with expiring user tokens.
//
// https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
// https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors
// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens
func githubDialect() *dialect {
	return &dialect{
		id: "github", name: "GitHub", brand: "#57606a", noun: "GitHub",

		scopeSplit: " ,",
		hintParam:  "login",

		accessPrefix: "gho_", refreshPrefix: "ghr_",
		postAuth:          true,
		grantTypeOptional: true,
		lifetime:          8 * time.Hour,
		rotates:           true,
		refreshEndsAccess: true,
		answer:            githubAnswer,
		formAnswers:       true,

		faults: map[faultKey]string{
			faultClient:   "incorrect_client_credentials",
			faultCode:     "bad_verification_code",
			faultReplay:   "bad_verification_code",
			faultRedirect: "redirect_uri_mismatch",
			faultRefresh:  "bad_refresh_token",
		},
		faultStatus: http.StatusOK,
		faultBody: func(name, sentence string) map[string]any {
			return map[string]any{"error": name, "error_description": sentence, "error_uri": githubDocs}
		},

		revocation: revokeByDelete,

		userinfo: githubUser,
		resources: []resource{
			{path: "user", data: githubUser},
			{path: "user/emails", needs: []string{"user:email", "user"}, data: githubEmails},
			{path: "user/repos", data: githubRepos},
		},
		unauthorized: func(tokenState) any { return githubMessage("Bad credentials", http.StatusUnauthorized) },
		// GitHub hides what a token may not see.
		forbidden: func(_, _ []string) (int, any) {
			return http.StatusNotFound, githubMessage("Not Found", http.StatusNotFound)
		},
		notFound: githubMessage("Not Found", http.StatusNotFound),
	}
}

const githubDocs = "https://docs.github.com/rest"

func githubAnswer(t issued) map[string]any {
	answer := map[string]any{
		"access_token": t.access,
		"token_type":   "bearer",
		"scope":        strings.Join(t.scopes, ","),
	}
	if t.lifetime > 0 {
		answer["expires_in"] = seconds(t.lifetime)
	}
	if t.refresh != "" {
		answer["refresh_token"] = t.refresh
		answer["refresh_token_expires_in"] = 15_897_600
	}
	return answer
}

func githubMessage(message string, status int) map[string]any {
	return map[string]any{"message": message, "documentation_url": githubDocs, "status": fmt.Sprint(status)}
}

func githubUser(v view) any {
	return map[string]any{
		"login":      v.Login,
		"id":         who(v.Account).number("github"),
		"node_id":    "U_" + who(v.Account).letters("github-node", 10),
		"avatar_url": v.origin + iconPath,
		"html_url":   v.origin + "/github/" + v.Login,
		"type":       "User",
		"name":       v.Name,
		"email":      nil, // most people keep it private; user/emails has it
		"company":    nil,
		"created_at": "2019-04-02T09:30:00Z",
	}
}

func githubEmails(v view) any {
	return []map[string]any{
		{"email": v.Email, "primary": true, "verified": true, "visibility": "private"},
		{"email": v.Login + "@users.noreply.github.example", "primary": false, "verified": true, "visibility": nil},
	}
}

func githubRepos(v view) any {
	repos := make([]map[string]any, 0, 4)
	add := func(i int, s sample, private bool) {
		repos = append(repos, map[string]any{
			"id":          who(v.Account).number("repo/" + s.title),
			"name":        s.title,
			"full_name":   v.Login + "/" + s.title,
			"private":     private,
			"description": s.detail,
			"html_url":    v.origin + "/github/" + v.Login + "/" + s.title,
			"pushed_at":   v.now.Add(-time.Duration(7+31*i) * time.Hour).UTC().Format(time.RFC3339),
		})
	}
	for i, s := range pick(v.Account, 3, repoSamples) {
		add(i, s, false)
	}
	if v.has("repo") {
		add(3, sample{"attic", "Half-finished things, for my eyes only"}, true)
	}
	return repos
}
