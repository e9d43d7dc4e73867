package sandbox

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

func fileDialects() []*dialect { return []*dialect{boxDialect(), dropboxDialect()} }

// boxDialect: the client proves itself in the body, and a refresh uses the refresh
// token up.
//
// https://developer.box.com/guides/authentication/oauth2/without-sdk/
func boxDialect() *dialect {
	return &dialect{
		id: "box", name: "Box", brand: "#0061d5",

		responseType: true, noIssuer: true, pkce: pkceIgnored,
		scopeForm: regexp.MustCompile(`^[a-z]+(_[a-z]+)*(\.[a-z]+)?$`),

		postAuth: true, lifetime: time.Hour, expires: true, rotates: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			delete(answer, "scope")
			answer["token_type"], answer["restricted_to"] = "bearer", []any{}
			return answer
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeForm(w, r, d, revokeForm{client: true, whole: true})
		},

		userinfo: func(v view) any {
			return map[string]any{"type": "user", "id": who(v.Account).digits("box", 11), "name": v.Name, "login": v.Email, "avatar_url": v.origin + iconPath}
		},
		resources: []resource{{path: "folders/0/items", data: within("entries", listOf(itemSamples, "id", "name"))}},
		apiPrefix: "2.0/",
	}
}

// dropboxDialect: a refresh token needs token_access_type=offline, who-am-I is a POST
// without a body, and a revocation is a POST whose bearer token revokes itself.
//
// https://developers.dropbox.com/oauth-guide
// https://www.dropbox.com/developers/documentation/http/documentation
func dropboxDialect() *dialect {
	bare := func(r *http.Request) string {
		raw, _ := io.ReadAll(io.LimitReader(r.Body, maxBody))
		media := r.Header.Get("Content-Type")
		body := strings.TrimSpace(string(raw))
		if media == "" && body == "" || strings.HasPrefix(media, "application/json") && body == "null" {
			return ""
		}
		return "Error in call to API function: Bad HTTP \"Content-Type\" header: \"" + media + "\"."
	}
	id := func(p identity) string { return "dbid:" + who(p.Account).letters("dropbox", 35) }
	return &dialect{
		id: "dropbox", name: "Dropbox", brand: "#0061ff",

		responseType: true, noIssuer: true,
		scopeForm:   regexp.MustCompile(`^(openid|profile|email|[a-z_]+(\.[a-z]+)+)$`),
		offlineWant: [2]string{"token_access_type", "offline"},

		accessPrefix: "sl.u.", basicAuth: true, postAuth: true, lifetime: 14_400 * time.Second, expires: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			answer["token_type"] = "bearer"
			if !t.refreshed {
				answer["uid"], answer["account_id"] = who(t.who.Account).digits("dropbox", 9), id(t.who)
			}
			return answer
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			if problem := bare(r); problem != "" {
				http.Error(w, problem, http.StatusBadRequest)
				return
			}
			s.revokeMine(w, r, d, http.StatusUnauthorized, nil)
		},

		userinfoPost:  true,
		userinfoNeeds: []string{"account_info.read"},
		userinfoCheck: func(r *http.Request, _ view) (int, any) {
			if problem := bare(r); problem != "" {
				return http.StatusBadRequest, problem
			}
			return 0, nil
		},
		userinfo: func(v view) any {
			return map[string]any{
				"account_id": id(v.identity), "name": map[string]any{"display_name": v.Name, "familiar_name": v.Name},
				"email": v.Email, "email_verified": true, "disabled": false,
			}
		},
		resources: []resource{{path: "files/list_folder", post: true, needs: []string{"files.metadata.read"}, data: within("entries", listOf(itemSamples, "id", "name"))}},
		apiPrefix: "2/",
		unauthorized: func(state tokenState) any {
			tag := "invalid_access_token"
			if state == tokenExpired {
				tag = "expired_access_token"
			}
			return map[string]any{"error_summary": tag + "/", "error": map[string]any{".tag": tag}}
		},
		forbidden: func(need, _ []string) (int, any) {
			return http.StatusUnauthorized, map[string]any{"error_summary": "missing_scope/", "error": map[string]any{".tag": "missing_scope", "required_scope": need[0]}}
		},
	}
}
