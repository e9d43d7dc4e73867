package sandbox

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// listOf is an answer that is a list of pretend things.
func listOf(from []sample, id, title string) func(view) any {
	return func(v view) any {
		items := []map[string]any{}
		for _, s := range pick(v.Account, 3, from) {
			items = append(items, map[string]any{id: who(v.Account + s.title).number(id), title: s.title})
		}
		return items
	}
}

// within puts an answer below a name.
func within(name string, data func(view) any) func(view) any {
	return func(v view) any { return map[string]any{name: data(v)} }
}

func codeDialects() []*dialect {
	return []*dialect{gitlabDialect(), supabaseDialect(), huggingFaceDialect()}
}

// gitlabDialect: a refresh repeats the redirect URI, and ends both tokens that were
// there.
//
// https://docs.gitlab.com/api/oauth2/
func gitlabDialect() *dialect {
	return &dialect{
		id: "gitlab", name: "GitLab", brand: "#fc6d26",

		responseType: true, noIssuer: true,
		scopeForm: regexp.MustCompile(`^(openid|profile|email|[a-z][a-z0-9]*(_[a-z0-9]+)+|api|sudo)$`),

		accessPrefix: "", refreshPrefix: "", basicAuth: true, postAuth: true,
		checkFields: func(grantType string, f url.Values) *fault {
			if grantType == "refresh_token" && f.Get("redirect_uri") == "" {
				return &fault{faultRequest, "The redirect_uri is missing."}
			}
			return nil
		},
		lifetime: 2 * time.Hour, expires: true, rotates: true, refreshEndsAccess: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			answer["token_type"], answer["created_at"] = "bearer", 1_760_000_000
			return answer
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeForm(w, r, d, revokeForm{client: true, whole: true, body: map[string]any{}})
		},

		userinfo: func(v view) any {
			return map[string]any{
				"id": who(v.Account).number("gitlab"), "username": v.Login, "name": v.Name, "state": "active",
				"email": v.Email, "avatar_url": v.origin + iconPath, "web_url": v.origin + "/gitlab/" + v.Login,
			}
		},
		userinfoNeeds: []string{"read_user", "read_api", "api"},
		resources:     []resource{{path: "projects", needs: []string{"read_api", "api"}, data: listOf(repoSamples, "id", "name")}},
		apiPrefix:     "v4/",
		unauthorized:  func(tokenState) any { return map[string]any{"message": "401 Unauthorized"} },
		notFound:      map[string]any{"message": "404 Not Found"},
	}
}

// supabaseDialect: an answer has the status 201, the body of a token request may hold
// known fields alone, and a revocation is JSON with the refresh token.
//
// https://supabase.com/docs/guides/integrations/build-a-supabase-oauth-integration
func supabaseDialect() *dialect {
	known := []string{"grant_type", "client_id", "client_secret", "code", "code_verifier", "redirect_uri", "refresh_token", "scope", "resource"}
	return &dialect{
		id: "supabase", name: "Supabase", brand: "#3ecf8e",

		responseType: true, noIssuer: true, scopeless: true,

		accessPrefix: "sbp_oauth_", basicAuth: true, postAuth: true,
		checkFields: func(_ string, f url.Values) *fault {
			for name := range f {
				if !slices.Contains(known, name) {
					return &fault{faultRequest, "The body has the unknown field " + quote(name) + "."}
				}
			}
			return nil
		},
		status: http.StatusCreated, lifetime: time.Hour, expires: true, rotates: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			delete(answer, "scope")
			return answer
		},
		fault: func(key faultKey, sentence string) (int, map[string]any) {
			plain := plainFaults[key]
			return plain.status, map[string]any{"error": plain.name, "message": sentence}
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeJSON(w, r, d, revokeBody{token: "refresh_token", client: true, whole: true, status: http.StatusNoContent})
		},
		revokeGrant: true,

		userinfo: func(v view) any {
			return map[string]any{"gotrue_id": guid(v.Account, "gotrue"), "primary_email": v.Email, "username": v.Login}
		},
		resources: []resource{
			{path: "v1/organizations", data: func(v view) any {
				return []any{map[string]any{"id": slug(v.Domain), "slug": slug(v.Domain), "name": displayName(v.Domain, v.Domain)}}
			}},
			{path: "v1/projects", data: listOf(repoSamples, "id", "name")},
		},
		unauthorized: func(tokenState) any { return map[string]any{"message": "Unauthorized"} },
	}
}

// huggingFaceDialect: OpenID Connect; the refresh token is used up by a refresh.
//
// https://huggingface.co/docs/hub/oauth
func huggingFaceDialect() *dialect {
	return &dialect{
		id: "hugging_face", name: "Hugging Face", brand: "#ffd21e",

		responseType: true, noIssuer: true, openID: true, silentPrompt: true,
		scopeForm: regexp.MustCompile(`^(openid|profile|email|jobs|webhooks|[a-z]+-[a-z]+)$`),

		accessPrefix: "hf_oauth_", refreshPrefix: "hf_refresh_", basicAuth: true, postAuth: true,
		lifetime: 8 * time.Hour, expires: true, rotates: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			answer["token_type"] = "bearer"
			return answer
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeForm(w, r, d, revokeForm{client: true, whole: true})
		},

		userinfo: func(v view) any {
			claims := map[string]any{
				"sub": who(v.Account).digits("hf", 20), "name": v.Name, "preferred_username": v.Login,
				"picture": v.origin + iconPath, "orgs": []any{},
			}
			if v.has("email") {
				claims["email"], claims["email_verified"] = v.Email, true
			}
			return claims
		},
		userinfoNeeds: []string{"openid"},
		resources: []resource{
			{path: "whoami-v2", data: func(v view) any {
				return map[string]any{"type": "user", "id": who(v.Account).digits("hf", 20), "name": v.Login}
			}},
			{path: "models", data: listOf(repoSamples, "_id", "id")},
		},
		unauthorized: func(tokenState) any { return map[string]any{"error": "Invalid credentials in Authorization header"} },
	}
}

// words joins with what this provider puts between scopes.
func words(scopes []string, separator string) string { return strings.Join(scopes, separator) }
