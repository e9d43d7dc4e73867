package sandbox

import (
	"net/http"
	"net/url"
	"regexp"
	"time"
)

func salesDialects() []*dialect { return []*dialect{hubspotDialect(), salesforceDialect()} }

// hubspotDialect: a refresh must not carry the redirect URI and repeats the refresh
// token, errors have a status and a message beside the standard names.
//
// https://developers.hubspot.com/docs/api-reference/latest/authentication/manage-oauth-tokens
func hubspotDialect() *dialect {
	hub := func(p identity) int64 { return who(p.Domain + p.Account).number("hub") }
	return &dialect{
		id: "hubspot", name: "HubSpot", brand: "#ff7a59",

		noIssuer: true, scopeNeeded: true,
		scopeForm: regexp.MustCompile(`^[a-z]+(\.[a-z_]+)*$`),

		postAuth: true,
		checkFields: func(grantType string, f url.Values) *fault {
			if grantType == "refresh_token" && f.Has("redirect_uri") {
				return &fault{faultRequest, "A refresh carries no redirect_uri."}
			}
			return nil
		},
		lifetime: 1800 * time.Second, expires: true, repeats: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			delete(answer, "scope")
			answer["token_type"], answer["hub_id"], answer["user_id"], answer["scopes"] = "bearer", hub(t.who), who(t.who.Account).number("hubspot"), t.scopes
			return answer
		},
		fault: func(key faultKey, sentence string) (int, map[string]any) {
			plain := plainFaults[key]
			status := map[faultKey]string{faultRefresh: "BAD_REFRESH_TOKEN", faultCode: "BAD_AUTH_CODE", faultReplay: "BAD_AUTH_CODE", faultClient: "BAD_CLIENT_SECRET", faultRedirect: "BAD_REDIRECT_URI"}[key]
			return plain.status, map[string]any{"error": plain.name, "error_description": sentence, "status": status, "message": sentence}
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeForm(w, r, d, revokeForm{client: true, whole: true})
		},

		userinfo: func(v view) any {
			return map[string]any{
				"portalId": hub(v.identity), "accountType": "STANDARD", "timeZone": "UTC", "companyCurrency": "USD",
				"uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
			}
		},
		userinfoNeeds: []string{"oauth"},
		resources:     []resource{{path: "crm/v3/objects/contacts", needs: []string{"crm.objects.contacts.read"}, data: within("results", listOf(meetingSamples, "id", "name"))}},
		unauthorized: func(tokenState) any {
			return map[string]any{"status": "error", "message": "Authentication credentials not found.", "category": "INVALID_AUTHENTICATION"}
		},
	}
}

// salesforceDialect: no expiry is named, the answer says where the organisation lives,
// and a refresh token needs a scope and is not repeated.
//
// https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_web_server_flow.htm&type=5
func salesforceDialect() *dialect {
	org := func(p identity) string { return "00D" + who(p.Domain).letters("org", 15) }
	user := func(p identity) string { return "005" + who(p.Account).letters("sf-user", 15) }
	return &dialect{
		id: "salesforce", name: "Salesforce", brand: "#00a1e0",

		responseType: true, noIssuer: true, openID: true, scopeNeeded: true,
		scopeForm: regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`), offlineScope: "refresh_token",
		denial: url.Values{"error": {"access_denied"}, "error_description": {"end-user denied authorization"}},

		codePrefix: "aPrx", accessPrefix: "00D!", refreshPrefix: "5Aep861", basicAuth: true, postAuth: true,
		lifetime: 2 * time.Hour, expires: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			if t.lifetime == 2*time.Hour { // the session's; a scenario's own is told, or nobody could see it
				delete(answer, "expires_in")
			}
			answer["instance_url"], answer["issued_at"] = "https://sandbox-acme.my.salesforce.com", "1760000000000"
			answer["id"] = "https://login.salesforce.com/id/" + org(t.who) + "/" + user(t.who)
			answer["signature"] = who(t.access).letters("signature", 40)
			return answer
		},
		faults: map[faultKey]string{faultClient: "invalid_client", faultRedirect: "redirect_uri_mismatch", faultToken: "invalid_token"},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeForm(w, r, d, revokeForm{deadStatus: http.StatusBadRequest})
		},

		userinfo: func(v view) any {
			return map[string]any{
				"sub": "https://login.salesforce.com/id/" + org(v.identity) + "/" + user(v.identity), "user_id": user(v.identity),
				"organization_id": org(v.identity), "preferred_username": v.Email, "name": v.Name, "email": v.Email, "picture": v.origin + iconPath,
			}
		},
		userinfoNeeds: []string{"openid", "id", "profile", "full"},
		resources:     []resource{{path: "services/data/v62.0/query", needs: []string{"api", "full"}, data: within("records", listOf(itemSamples, "Id", "Name"))}},
		unauthorized: func(tokenState) any {
			return []any{map[string]any{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}}
		},
	}
}
