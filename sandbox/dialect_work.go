package sandbox

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

func workDialects() []*dialect {
	return []*dialect{
		asanaDialect(), clickupDialect(), jiraDialect(), linearDialect(), notionDialect(),
		wrikeDialect(), typeformDialect(), calendlyDialect(), bambooDialect(),
	}
}

// asanaDialect: a refresh repeats the redirect URI and brings no refresh token, and
// only refresh tokens can be revoked.
//
// https://developers.asana.com/docs/oauth
func asanaDialect() *dialect {
	me := func(p identity) map[string]any {
		return map[string]any{"gid": who(p.Account).digits("asana", 16), "id": who(p.Account).digits("asana", 16), "name": p.Name, "email": p.Email}
	}
	return &dialect{
		id: "asana", name: "Asana", brand: "#f06a6a",

		responseType: true, noIssuer: true, scopeNeeded: true,
		scopeForm: regexp.MustCompile(`^(openid|email|profile|default|[a-z_]+:(read|write|delete))$`),

		accessPrefix: "1/", refreshPrefix: "2/", postAuth: true,
		checkFields: func(grantType string, f url.Values) *fault {
			if grantType == "refresh_token" && f.Get("redirect_uri") == "" {
				return &fault{faultRequest, "The redirect_uri is missing."}
			}
			return nil
		},
		body: bodyEither, lifetime: time.Hour, expires: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			answer["token_type"], answer["data"] = "bearer", me(t.who)
			delete(answer, "scope")
			return answer
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeForm(w, r, d, revokeForm{client: true, refreshOnly: true, body: map[string]any{}})
		},

		userinfo:      func(v view) any { return map[string]any{"data": me(v.identity)} },
		userinfoNeeds: []string{"users:read", "default"},
		resources:     []resource{{path: "projects", needs: []string{"projects:read", "default"}, data: within("data", listOf(repoSamples, "gid", "name"))}},
		apiPrefix:     "1.0/",
		unauthorized: func(tokenState) any {
			return map[string]any{"errors": []any{map[string]any{"message": "Not Authorized"}}}
		},
	}
}

// clickupDialect: no scopes, no expiry, nothing to revoke at, and errors with names of
// its own.
//
// https://developer.clickup.com/docs/authentication
// https://developer.clickup.com/docs/common_errors
func clickupDialect() *dialect {
	return &dialect{
		id: "clickup", name: "ClickUp", brand: "#7b68ee",

		noIssuer: true, pkce: pkceIgnored, scopeless: true,

		postAuth: true, grantTypeOptional: true, lifetime: time.Hour,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			delete(answer, "scope")
			return answer
		},
		fault: func(key faultKey, sentence string) (int, map[string]any) {
			code, status := "OAUTH_017", http.StatusBadRequest
			switch key {
			case faultClient:
				code, status = "OAUTH_010", http.StatusUnauthorized
			case faultRedirect:
				code = "OAUTH_007"
			case faultCode, faultReplay:
				code = "OAUTH_014"
			case faultRefresh:
				code, status = "OAUTH_025", http.StatusUnauthorized
			}
			return status, map[string]any{"err": sentence, "ECODE": code}
		},
		revocation: revokeNone,

		userinfo: func(v view) any {
			return map[string]any{"user": map[string]any{
				"id": who(v.Account).number("clickup"), "username": v.Name, "email": v.Email, "color": "#7b68ee", "profilePicture": nil,
			}}
		},
		resources:    []resource{{path: "team", data: within("teams", listOf(repoSamples, "id", "name"))}},
		apiPrefix:    "v2/",
		unauthorized: func(tokenState) any { return map[string]any{"err": "Token invalid", "ECODE": "OAUTH_025"} },
	}
}

// jiraDialect: the audience must be named, the refresh token is used up, a dead one is
// a 403, and the sites are told by a call of their own.
//
// https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/
func jiraDialect() *dialect {
	return &dialect{
		id: "jira", name: "Jira", brand: "#0052cc", noun: "Atlassian",

		responseType: true, noIssuer: true, scopeNeeded: true,
		wants:        map[string]string{"audience": "api.atlassian.com", "prompt": "consent"},
		stateForm:    regexp.MustCompile(`.`),
		scopeForm:    regexp.MustCompile(`^(offline_access|[a-z]+:[a-z-]+(:[a-z-]+)?)$`),
		offlineScope: "offline_access",

		postAuth: true, body: bodyEither, lifetime: time.Hour, expires: true, rotates: true,
		answer: plainAnswer,
		fault: func(key faultKey, sentence string) (int, map[string]any) {
			plain := plainFaults[key]
			if key == faultRefresh {
				return http.StatusForbidden, map[string]any{"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}
			}
			return plain.status, map[string]any{"error": plain.name, "error_description": sentence}
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeForm(w, r, d, revokeForm{client: true, whole: true})
		},
		revokeGrant: true,

		userinfo: func(v view) any {
			return map[string]any{
				"account_type": "atlassian", "account_id": "712020:" + guid(v.Account, "atlassian"), "name": v.Name,
				"email": v.Email, "picture": v.origin + iconPath, "account_status": "active",
			}
		},
		userinfoNeeds: []string{"read:me"},
		resources: []resource{
			{path: "oauth/token/accessible-resources", data: func(v view) any {
				site := map[string]any{
					"id": guid(v.Domain, "cloud"), "url": "https://" + slug(v.Domain) + ".atlassian.net", "name": slug(v.Domain),
					"scopes": v.scopes, "avatarUrl": v.origin + iconPath,
				}
				return []any{site, site} // once for each product
			}},
			{path: "rest/api/3/project/search", needs: []string{"read:jira-work"}, data: within("values", listOf(repoSamples, "id", "name"))},
		},
		unauthorized: func(tokenState) any { return map[string]any{"code": 401, "message": "Unauthorized"} },
	}
}

// linearDialect: scopes are joined by commas when asked and by spaces when granted,
// who-am-I is GraphQL, and a token can revoke itself.
//
// https://linear.app/developers/oauth-2-0-authentication
func linearDialect() *dialect {
	return &dialect{
		id: "linear", name: "Linear", brand: "#5e6ad2",

		responseType: true, noIssuer: true,
		scopeSplit: ",", scopeForm: regexp.MustCompile(`^[A-Za-z]+(:[A-Za-z]+)?$`),

		accessPrefix: "lin_oauth_", refreshPrefix: "lin_refresh_", basicAuth: true, postAuth: true,
		lifetime: 86_399 * time.Second, expires: true, rotates: true,
		answer: plainAnswer,

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			if !allowed(w, r, http.MethodPost) {
				return
			}
			value := bearer(r)
			if value == "" {
				form, f := readForm(w, r)
				if f != nil {
					d.refuse(w, r, f)
					return
				}
				if value = form.Get("access_token"); value == "" {
					value = form.Get("refresh_token")
				}
			}
			switch s.grants.revoke(revokeRequest{dialect: d, token: value}) {
			case tokenAlive:
				w.WriteHeader(http.StatusOK)
			case tokenRevoked:
				d.write(w, r, http.StatusBadRequest, map[string]any{"error": "invalid_request", "error_description": "Token already revoked"})
			default:
				d.write(w, r, http.StatusUnauthorized, map[string]any{"error": "invalid_token", "error_description": "Unable to authenticate"})
			}
		},

		userinfoPost: true,
		userinfoCheck: func(r *http.Request, _ view) (int, any) {
			var ask struct {
				Query string `json:"query"`
			}
			if !jsonBody(r, &ask) || !strings.Contains(ask.Query, "viewer") {
				return http.StatusBadRequest, map[string]any{"errors": []any{map[string]any{"message": "GraphQL operations must contain a non-empty `query`."}}}
			}
			return 0, nil
		},
		userinfo: func(v view) any {
			return map[string]any{"data": map[string]any{
				"viewer": map[string]any{
					"id": guid(v.Account, "linear"), "name": v.Name, "displayName": v.Login, "email": v.Email, "avatarUrl": v.origin + iconPath,
				},
				"organization": map[string]any{"id": guid(v.Domain, "linear"), "name": displayName(v.Domain, v.Domain), "urlKey": slug(v.Domain)},
			}}
		},
		resources: []resource{{path: "graphql", post: true, needs: []string{"read"}, data: within("data", within("issues", within("nodes", listOf(itemSamples, "identifier", "title"))))}},
		unauthorized: func(tokenState) any {
			return map[string]any{"errors": []any{map[string]any{"message": "Authentication required, not authenticated", "extensions": map[string]any{"code": "AUTHENTICATION_ERROR"}}}}
		},
	}
}

// notionDialect: every call names a version, bodies are JSON, the client proves itself
// by HTTP Basic, and there are no scopes.
//
// https://developers.notion.com/docs/authorization
// https://developers.notion.com/reference/create-a-token
func notionDialect() *dialect {
	bot := func(p identity) string { return guid(p.Account, "bot") }
	owner := func(p identity) map[string]any {
		return map[string]any{"type": "user", "user": map[string]any{
			"object": "user", "id": guid(p.Account, "notion"), "name": p.Name, "avatar_url": nil, "type": "person",
			"person": map[string]any{"email": p.Email},
		}}
	}
	return &dialect{
		id: "notion", name: "Notion", brand: "#3f3f3f",

		responseType: true, noIssuer: true, pkce: pkceIgnored, scopeless: true,
		wants: map[string]string{"owner": "user"},

		accessPrefix: "ntn_", refreshPrefix: "nrt_", basicAuth: true, body: bodyJSON,
		headers:  map[string]string{"Notion-Version": "20"},
		lifetime: time.Hour, alwaysRefresh: true, rotates: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			delete(answer, "scope")
			answer["token_type"], answer["bot_id"], answer["owner"] = "bearer", bot(t.who), owner(t.who)
			answer["workspace_id"], answer["workspace_name"] = guid(t.who.Domain, "workspace"), displayName(t.who.Domain, t.who.Domain)
			answer["workspace_icon"], answer["duplicated_template_id"] = nil, nil
			if t.refresh == "" {
				answer["refresh_token"] = nil
			}
			return answer
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeJSON(w, r, d, revokeBody{token: "token", basic: true, whole: true, body: map[string]any{"request_id": guid("revoke", "request")}})
		},

		userinfo: func(v view) any {
			return map[string]any{
				"object": "user", "id": bot(v.identity), "name": "Acme", "type": "bot",
				"bot": map[string]any{"owner": owner(v.identity), "workspace_id": guid(v.Domain, "workspace"), "workspace_name": displayName(v.Domain, v.Domain)},
			}
		},
		resources: []resource{{path: "search", post: true, data: within("results", listOf(itemSamples, "id", "title"))}},
		apiPrefix: "v1/",
		unauthorized: func(tokenState) any {
			return map[string]any{"object": "error", "status": 401, "code": "unauthorized", "message": "API token is invalid."}
		},
		notFound: map[string]any{"object": "error", "status": 404, "code": "object_not_found", "message": "Could not find it."},
	}
}

// wrikeDialect: scopes by commas, and the answer says on which host the account lives.
//
// https://developers.wrike.com/docs/oauth-20-authorization
func wrikeDialect() *dialect {
	return &dialect{
		id: "wrike", name: "Wrike", brand: "#08cf65",

		responseType: true, noIssuer: true, pkce: pkceIgnored,
		scopeSplit: ",", scopeForm: regexp.MustCompile(`^(Default|ws(ReadOnly|ReadWrite)|am(ReadOnly|ReadWrite)[A-Z][a-z]+|dataExportFull)$`),

		postAuth: true, lifetime: time.Hour, expires: true, rotates: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			delete(answer, "scope")
			answer["token_type"], answer["host"] = "bearer", "app-eu.wrike.com"
			return answer
		},
		revocation: revokeNone,

		userinfoNeeds: []string{"amReadOnlyUser", "amReadWriteUser", "Default"},
		userinfo: func(v view) any {
			given, family, _ := strings.Cut(v.Name, " ")
			if v.query.Get("me") != "true" {
				given, family = "Somebody", "Else" // the first of all contacts
				v.identity = identify("somebody@" + v.Domain)
			}
			return map[string]any{"kind": "contacts", "data": []any{map[string]any{
				"id": "KU" + who(v.Account).letters("wrike", 6), "firstName": given, "lastName": family, "type": "Person",
				"profiles":  []any{map[string]any{"accountId": "IE" + who(v.Domain).letters("wrike", 6), "email": v.Email, "role": "User"}},
				"avatarUrl": v.origin + iconPath, "me": true,
			}}}
		},
		resources: []resource{{path: "tasks", needs: []string{"wsReadOnly", "wsReadWrite"}, data: within("data", listOf(itemSamples, "id", "title"))}},
		apiPrefix: "v4/",
		unauthorized: func(tokenState) any {
			return map[string]any{"error": "not_authorized", "errorDescription": "Access token is unknown or invalid"}
		},
	}
}

// typeformDialect: the scope offline gives a refresh token, and answers name no scopes.
//
// https://www.typeform.com/developers/get-started/applications/
func typeformDialect() *dialect {
	return &dialect{
		id: "typeform", name: "Typeform", brand: "#262627",

		responseType: true, noIssuer: true, pkce: pkceIgnored, scopeNeeded: true,
		scopeForm:    regexp.MustCompile(`^(offline|[a-z]+:(read|write))$`),
		offlineScope: "offline",

		accessPrefix: "tfp_", basicAuth: true, postAuth: true, lifetime: 604_800 * time.Second, expires: true, rotates: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			delete(answer, "scope")
			answer["token_type"], answer["state"] = "bearer", ""
			return answer
		},
		revocation: revokeNone,

		userinfo: func(v view) any {
			return map[string]any{"user_id": strings.ToLower(who(v.Account).letters("typeform", 26)), "alias": v.Name, "email": v.Email, "language": "en"}
		},
		userinfoNeeds: []string{"accounts:read"},
		resources:     []resource{{path: "forms", needs: []string{"forms:read"}, data: within("items", listOf(itemSamples, "id", "title"))}},
		unauthorized: func(tokenState) any {
			return map[string]any{"code": "AUTHENTICATION_FAILED", "description": "Authentication credentials not found on the Request Headers"}
		},
	}
}

// calendlyDialect: the answer names the owner and the organisation by their addresses,
// and the refresh token is used up.
//
// https://developer.calendly.com/docs/authentication/how-to-access-calendly-data-on-behalf-of-authenticated-users
func calendlyDialect() *dialect {
	user := func(p identity) string { return "https://api.calendly.com/users/" + guid(p.Account, "calendly") }
	organization := func(p identity) string { return "https://api.calendly.com/organizations/" + guid(p.Domain, "calendly") }
	return &dialect{
		id: "calendly", name: "Calendly", brand: "#006bff",

		responseType: true, noIssuer: true, scopeNeeded: true,
		scopeForm: regexp.MustCompile(`^[a-z_]+:(read|write)$`),

		basicAuth: true, postAuth: true, lifetime: 2 * time.Hour, expires: true, rotates: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			answer["created_at"], answer["owner"], answer["organization"] = 1_760_000_000, user(t.who), organization(t.who)
			return answer
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeForm(w, r, d, revokeForm{client: true, whole: true, body: map[string]any{}})
		},

		userinfo: func(v view) any {
			return map[string]any{"resource": map[string]any{
				"uri": user(v.identity), "name": v.Name, "email": v.Email, "slug": v.Login, "avatar_url": nil, "timezone": "UTC",
				"current_organization": organization(v.identity),
			}}
		},
		userinfoNeeds: []string{"users:read", "users:write"},
		resources:     []resource{{path: "scheduled_events", needs: []string{"scheduled_events:read", "scheduled_events:write"}, data: within("collection", listOf(meetingSamples, "uri", "name"))}},
		unauthorized: func(tokenState) any {
			return map[string]any{"title": "Unauthenticated", "message": "The access token is invalid"}
		},
		forbidden: func(need, _ []string) (int, any) {
			return http.StatusForbidden, map[string]any{"title": "Permission Denied", "message": "Required scope: " + words(need, " or ")}
		},
	}
}

// bambooDialect: request=token stands beside the address, and the person is known by
// the ID token.
//
// https://documentation.bamboohr.com/docs/getting-started
func bambooDialect() *dialect {
	return &dialect{
		id: "bamboohr", name: "BambooHR", brand: "#73c41d",

		responseType: true, noIssuer: true, pkce: pkceIgnored, openID: true,
		wants:        map[string]string{"request": "authorize"},
		scopeForm:    regexp.MustCompile(`^[a-z_]+(:[a-z_]+)*(\.write)?$`),
		offlineScope: "offline_access",

		postAuth: true, body: bodyEither, headers: map[string]string{"Accept": "json"},
		tokenQuery: map[string]string{"request": "token"},
		lifetime:   time.Hour, expires: true, rotates: true,
		answer:     plainAnswer,
		revocation: revokeNone,

		userinfo: func(v view) any {
			claims := map[string]any{"sub": who(v.Account).digits("bamboo", 6)}
			if v.has("email") {
				claims["email"] = v.Email
			}
			return claims
		},
		resources:    []resource{{path: "v1/employees/directory", needs: []string{"employee_directory", "employee"}, data: within("employees", listOf(meetingSamples, "id", "displayName"))}},
		unauthorized: func(tokenState) any { return map[string]any{"error": "Unauthorized"} },
	}
}
