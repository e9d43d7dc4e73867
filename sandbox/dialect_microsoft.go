package sandbox

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// microsoftDialects imitate the Microsoft identity platform: a refresh must name its
// scopes again, offline access is a scope that is never listed, every refresh brings a
// new refresh token while the old one goes on working, and there is no address to
// revoke at.
//
// https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow
// https://learn.microsoft.com/en-us/entra/identity-platform/refresh-tokens
func microsoftDialects() []*dialect {
	things := func(from []sample, title string) func(view) any {
		return func(v view) any {
			items := []map[string]any{}
			for _, s := range pick(v.Account, 3, from) {
				items = append(items, map[string]any{"id": who(v.Account+s.title).letters("graph", 20), title: s.title})
			}
			return map[string]any{"@odata.context": v.origin + "/$metadata", "value": items}
		}
	}
	return []*dialect{
		microsoftDialect("microsoft_teams", "Microsoft Teams", "#6264a7",
			resource{path: "me/joinedTeams", needs: []string{"Team.ReadBasic.All", "Group.Read.All"}, data: things(channelSamples, "displayName")},
			resource{path: "me/chats", needs: []string{"Chat.ReadBasic", "Chat.Read", "Chat.ReadWrite"}, data: things(meetingSamples, "topic")}),
		microsoftDialect("one_drive", "OneDrive", "#0078d4",
			resource{path: "me/drive/root/children", needs: []string{"Files.Read", "Files.Read.All", "Files.ReadWrite", "Files.ReadWrite.All"}, data: things(itemSamples, "name")}),
		microsoftDialect("outlook", "Outlook", "#0f6cbd",
			resource{path: "me/messages", needs: []string{"Mail.Read", "Mail.ReadWrite", "Mail.ReadBasic"}, data: things(itemSamples, "subject")},
			resource{path: "me/events", needs: []string{"Calendars.Read", "Calendars.ReadWrite"}, data: things(meetingSamples, "subject")}),
		microsoftDialect("share_point", "SharePoint", "#038387",
			resource{path: "sites/root", needs: []string{"Sites.Read.All", "Sites.ReadWrite.All", "Sites.Manage.All", "Sites.FullControl.All"}, data: func(v view) any {
				return map[string]any{"id": guid(v.Domain, "site"), "displayName": displayName(v.Domain, v.Domain), "webUrl": "https://" + slug(v.Domain) + ".sharepoint.com"}
			}}),
	}
}

func microsoftDialect(id, name, brand string, resources ...resource) *dialect {
	return &dialect{
		id: id, name: name, brand: brand, noun: "Microsoft",

		responseType: true,
		scopeNeeded:  true,
		scopeForm:    regexp.MustCompile(`^(openid|profile|email|offline_access|(https://graph\.microsoft\.com/)?([A-Z][A-Za-z]+)(\.[A-Za-z]+)+|https://graph\.microsoft\.com/\.default)$`),
		scopeHidden:  []string{"offline_access"},
		openID:       true,
		silentPrompt: true,
		offlineScope: "offline_access",
		denial: url.Values{
			"error": {"access_denied"}, "error_subcode": {"cancel"},
			"error_description": {"AADSTS65004: User declined to consent to access the app."},
		},
		noIssuer: true,
		callbackMore: func(_ authorizeRequest, p identity, _ []string) url.Values {
			return url.Values{"session_state": {guid(p.Account, "session")}}
		},

		codePrefix: "1.A", accessPrefix: "EwB", refreshPrefix: "M.C5_",
		basicAuth: true, postAuth: true,
		checkFields: func(grantType string, f url.Values) *fault {
			if grantType == "refresh_token" && f.Get("scope") == "" {
				return &fault{faultRequest, "AADSTS90009: a refresh names the scopes of the one resource that the token is for."}
			}
			return nil
		},
		lifetime:      3599 * time.Second,
		expires:       true,
		rotatesSoftly: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			answer["ext_expires_in"] = answer["expires_in"]
			return answer
		},
		fault: func(key faultKey, sentence string) (int, map[string]any) {
			plain := plainFaults[key]
			code := map[faultKey]int{faultClient: 7000215, faultCode: 70000, faultReplay: 54005, faultRefresh: 700082, faultRedirect: 50011}[key]
			return plain.status, map[string]any{
				"error": plain.name, "error_description": sentence, "error_codes": []int{code},
				"timestamp": "2026-11-01 09:00:00Z", "trace_id": guid(sentence, "trace"), "correlation_id": guid(sentence, "correlation"),
			}
		},

		revocation: revokeNone,

		userinfo:      microsoftMe,
		userinfoNeeds: []string{"User.Read", "User.ReadBasic.All", "User.ReadWrite"},
		claims: func(p identity) map[string]any {
			return map[string]any{
				"sub": who(p.Account).letters("pairwise", 32), "oid": guid(p.Account, "oid"), "tid": guid(p.Domain, "tenant"),
				"preferred_username": p.Email, "ver": "2.0",
			}
		},
		resources: append(resources, resource{path: "me", needs: []string{"User.Read"}, data: microsoftMe}),
		apiPrefix: "v1.0/",
		unauthorized: func(state tokenState) any {
			return graphError("InvalidAuthenticationToken", "The access token is "+string(state)+".")
		},
		forbidden: func(need, _ []string) (int, any) {
			return http.StatusForbidden, graphError("Authorization_RequestDenied", "Insufficient privileges: "+strings.Join(need, " or ")+".")
		},
		notFound: graphError("itemNotFound", "Resource not found."),
	}
}

func graphError(code, message string) map[string]any {
	return map[string]any{"error": map[string]any{"code": code, "message": message}}
}

// microsoftMe has no mail address for every second account, as many have none.
func microsoftMe(v view) any {
	me := map[string]any{
		"@odata.context": v.origin + "/$metadata#users/$entity",
		"id":             guid(v.Account, "oid"), "displayName": v.Name, "userPrincipalName": v.Email, "mail": any(v.Email),
	}
	if who(v.Account).number("mail")%2 == 0 {
		me["mail"] = nil
	}
	if fields := v.query.Get("$select"); fields != "" {
		chosen := map[string]any{"@odata.context": me["@odata.context"]}
		for name, value := range me {
			if slices.Contains(strings.Split(fields, ","), name) {
				chosen[name] = value
			}
		}
		return chosen
	}
	return me
}
