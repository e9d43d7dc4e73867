package sandbox

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

func dataDialects() []*dialect {
	return []*dialect{databricksDialect(), snowflakeDialect(), airtableDialect(), contentfulDialect()}
}

// databricksDialect: PKCE is required, and a refresh token that is no longer good is an
// invalid_request.
//
// https://docs.databricks.com/aws/en/dev-tools/auth/oauth-u2m
func databricksDialect() *dialect {
	return &dialect{
		id: "databricks", name: "Databricks", brand: "#ff3621",

		responseType: true, noIssuer: true, pkce: pkceRequired, scopeNeeded: true,
		scopeForm:    regexp.MustCompile(`^(all-apis|sql|offline_access|openid|profile|email)$`),
		offlineScope: "offline_access",

		basicAuth: true, postAuth: true, lifetime: time.Hour, expires: true,
		answer: plainAnswer,
		fault: func(key faultKey, sentence string) (int, map[string]any) {
			plain := plainFaults[key]
			if key == faultRefresh {
				return http.StatusBadRequest, map[string]any{"error": "invalid_request", "error_description": "Refresh token is invalid"}
			}
			return plain.status, map[string]any{"error": plain.name, "error_description": sentence}
		},
		revocation: revokeNone,

		userinfo: func(v view) any {
			return map[string]any{
				"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "id": who(v.Account).digits("databricks", 16),
				"userName": v.Email, "displayName": v.Name, "active": true,
				"emails": []any{map[string]any{"type": "work", "value": v.Email, "primary": true}},
			}
		},
		userinfoNeeds: []string{"all-apis"},
		resources:     []resource{{path: "2.1/clusters/list", needs: []string{"all-apis"}, data: within("clusters", listOf(repoSamples, "cluster_id", "cluster_name"))}},
		forbidden: func(need, _ []string) (int, any) {
			return http.StatusForbidden, map[string]any{"error_code": "PERMISSION_DENIED", "message": "Required: " + words(need, " or ")}
		},
		unauthorized: func(tokenState) any {
			return map[string]any{"error_code": "401", "message": "Credential was not sent or was of an unsupported type"}
		},
	}
}

// snowflakeDialect: only HTTP Basic, offline access is the scope refresh_token, tokens
// live ten minutes, and who somebody is must be asked in SQL.
//
// https://docs.snowflake.com/en/user-guide/oauth-custom
func snowflakeDialect() *dialect {
	name := func(p identity) string { return strings.ToUpper(strings.ReplaceAll(p.Login, "-", "_")) }
	return &dialect{
		id: "snowflake", name: "Snowflake", brand: "#29b5e8",

		responseType: true, noIssuer: true,
		scopeForm:    regexp.MustCompile(`^(refresh_token|session:role:[A-Za-z_][A-Za-z0-9_$]*|session:role-encoded:\S+)$`),
		offlineScope: "refresh_token",

		basicAuth: true, lifetime: 600 * time.Second, expires: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			answer["username"] = name(t.who)
			answer["expires_in"] = "599" // a text, as it has been seen
			if t.lifetime != 600*time.Second {
				answer["expires_in"] = seconds(t.lifetime)
			}
			if t.refresh != "" && !t.refreshed {
				answer["refresh_token_expires_in"] = 7_776_000
			}
			return answer
		},
		revocation: revokeNone,

		userinfoPost: true,
		userinfoCheck: func(r *http.Request, _ view) (int, any) {
			var ask struct {
				Statement string `json:"statement"`
			}
			if r.Header.Get("X-Snowflake-Authorization-Token-Type") != "OAUTH" {
				return http.StatusUnauthorized, map[string]any{"code": "390303", "message": "Invalid OAuth access token."}
			}
			if !jsonBody(r, &ask) || !strings.HasPrefix(strings.ToUpper(ask.Statement), "SELECT CURRENT_USER()") {
				return http.StatusUnprocessableEntity, map[string]any{"code": "001003", "message": "SQL compilation error."}
			}
			return 0, nil
		},
		userinfo: func(v view) any {
			return map[string]any{
				"code": "090001", "message": "Statement executed successfully.",
				"resultSetMetaData": map[string]any{"numRows": 1, "format": "jsonv2"},
				"data":              []any{[]any{name(v.identity), "ANALYST", strings.ToUpper(slug(v.Domain))}},
			}
		},
		resources: []resource{{path: "databases", data: listOf(repoSamples, "created_on", "name")}},
		apiPrefix: "v2/",
		unauthorized: func(tokenState) any {
			return map[string]any{"code": "390303", "message": "Invalid OAuth access token."}
		},
	}
}

// jsonBody reads a small JSON body that a check wants to see, and leaves it readable.
func jsonBody(r *http.Request, v any) bool {
	if r.Header.Get("Content-Type") != "application/json" {
		return false
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	r.Body = io.NopCloser(bytes.NewReader(raw))
	return err == nil && json.Unmarshal(raw, v) == nil
}

// airtableDialect: a client with a secret must use HTTP Basic and nothing else, PKCE is
// required, the state has an alphabet and a length (of 16 to 1,024), and a refresh ends the access
// token too.
//
// https://airtable.com/developers/web/api/oauth-reference
func airtableDialect() *dialect {
	return &dialect{
		id: "airtable", name: "Airtable", brand: "#18bfff",

		responseType: true, noIssuer: true, pkce: pkceRequired, scopeNeeded: true,
		stateForm: regexp.MustCompile(`^[A-Za-z0-9._-]{16,500}$`),
		scopeForm: regexp.MustCompile(`^[A-Za-z]+(\.[A-Za-z]+)?:(read|write|manage)$`),
		callbackMore: func(req authorizeRequest, _ identity, _ []string) url.Values {
			return url.Values{"code_challenge": {req.challenge}, "code_challenge_method": {"S256"}}
		},

		accessPrefix: "oaa", refreshPrefix: "oar", basicAuth: true,
		lifetime: time.Hour, expires: true, rotates: true, refreshEndsAccess: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			answer["token_type"] = "Bearer " // as it is documented
			answer["refresh_expires_in"] = 5_184_000
			return answer
		},
		revocation: revokeNone,

		userinfo: func(v view) any {
			me := map[string]any{"id": "usr" + who(v.Account).letters("airtable", 14), "scopes": v.scopes}
			if v.has("user.email:read") {
				me["email"] = v.Email
			}
			return me
		},
		resources: []resource{{path: "meta/bases", needs: []string{"schema.bases:read"}, data: within("bases", listOf(itemSamples, "id", "name"))}},
		apiPrefix: "v0/",
		unauthorized: func(tokenState) any {
			return map[string]any{"error": map[string]any{"type": "AUTHENTICATION_REQUIRED", "message": "Authentication required"}}
		},
		forbidden: func(_, _ []string) (int, any) {
			return http.StatusForbidden, map[string]any{"error": map[string]any{"type": "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND", "message": "Invalid permissions"}}
		},
		notFound: map[string]any{"error": "NOT_FOUND"},
	}
}

// contentfulDialect: tokens live as long as the application says, here for ever, and
// are not refreshed.
//
// https://www.contentful.com/developers/docs/extensibility/oauth/
func contentfulDialect() *dialect {
	return &dialect{
		id: "contentful", name: "Contentful", brand: "#2478cc",

		responseType: true, noIssuer: true, pkce: pkceIgnored, scopeNeeded: true,
		scopeForm: regexp.MustCompile(`^content_management_(read|manage)$`),

		accessPrefix: "CFPAT-", postAuth: true, lifetime: 24 * time.Hour,
		answer:     plainAnswer,
		revocation: revokeNone,

		userinfo: func(v view) any {
			given, family, _ := strings.Cut(v.Name, " ")
			return map[string]any{
				"sys": map[string]any{"type": "User", "id": who(v.Account).letters("contentful", 22)}, "firstName": given, "lastName": family,
				"email": v.Email, "avatarUrl": v.origin + iconPath,
			}
		},
		resources: []resource{{path: "spaces", data: within("items", listOf(repoSamples, "id", "name"))}},
		unauthorized: func(tokenState) any {
			return map[string]any{"sys": map[string]any{"type": "Error", "id": "AccessTokenInvalid"}, "message": "The access token you sent could not be found or is invalid."}
		},
	}
}
