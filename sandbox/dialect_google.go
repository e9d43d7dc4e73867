package sandbox

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const (
	googleScope   = "https://www.googleapis.com/auth/"
	googleEmail   = googleScope + "userinfo.email"
	googleProfile = googleScope + "userinfo.profile"
)

// googleDialect imitates Google: scopes come back under other names, a refresh token is
// given only where consent to offline access was asked, and revoking any token ends the
// whole grant. The services differ in their API alone.
//
// https://developers.google.com/identity/protocols/oauth2/web-server
func googleDialect(id, name, brand, prefix string, resources ...resource) *dialect {
	return &dialect{
		id: id, name: name, brand: brand, noun: "Google",

		responseType: true,
		scopeAlias:   map[string]string{"email": googleEmail, "profile": googleProfile},
		scopeForm:    googleScopeForm,
		scopeNeeded:  true,
		openID:       true,
		addOpenID:    true,
		silentPrompt: true,
		callback: func(scopes []string) url.Values {
			return url.Values{"scope": {strings.Join(scopes, " ")}, "authuser": {"0"}, "prompt": {"consent"}}
		},

		codePrefix: "4/0A", accessPrefix: "ya29.a0", refreshPrefix: "1//0",
		basicAuth: true, postAuth: true,
		lifetime:     3599 * time.Second,
		expires:      true,
		offlineParam: true,
		answer:       plainAnswer,

		faults: map[faultKey]string{faultRedirect: "redirect_uri_mismatch"},

		revocation:  revokeByForm,
		revokeGrant: true,
		family:      "google",

		userinfo:  googleUserinfo,
		resources: resources,
		apiPrefix: prefix,
		unauthorized: func(tokenState) any {
			return googleError(http.StatusUnauthorized, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
		},
		forbidden: func(_, _ []string) (int, any) {
			return http.StatusForbidden, googleError(http.StatusForbidden, "PERMISSION_DENIED", "Request had insufficient authentication scopes.")
		},
		notFound: googleError(http.StatusNotFound, "NOT_FOUND", "Not Found"),
	}
}

// googleScopeForm is a scope of OpenID Connect, or an address of Google's.
var googleScopeForm = regexp.MustCompile(`^(openid|email|profile|https://(www\.googleapis\.com/auth/[A-Za-z._]+|mail\.google\.com/))$`)

// googleDialects are the services.
//
// https://developers.google.com/workspace/calendar/api/v3/reference/events/list
// https://developers.google.com/workspace/gmail/api/reference/rest
// https://developers.google.com/workspace/drive/api/reference/rest/v3
// https://developers.google.com/bigquery/docs/reference/rest
func googleDialects() []*dialect {
	// named is a list of pretend things below one name of the answer.
	named := func(path, list, id, title string, from []sample, scopes ...string) resource {
		return resource{path: path, needs: scopes, data: func(v view) any {
			items := []map[string]any{}
			for _, s := range pick(v.Account, 3, from) {
				items = append(items, map[string]any{id: who(v.Account+s.title).letters(path, 16), title: s.title})
			}
			return map[string]any{list: items}
		}}
	}
	g := func(names ...string) []string {
		for i := range names {
			names[i] = googleScope + names[i]
		}
		return names
	}
	return []*dialect{
		googleDialect("googlecalendar", "Google Calendar", "#4285f4", "calendar/v3/",
			resource{path: "calendars/primary", needs: googleCalendarScopes, data: googlePrimary},
			resource{path: "calendars/primary/events", needs: googleCalendarScopes, data: googleEvents}),
		googleDialect("gmail", "Gmail", "#ea4335", "gmail/v1/",
			resource{path: "users/me/profile", data: func(v view) any {
				return map[string]any{"emailAddress": v.Email, "messagesTotal": 412, "threadsTotal": 230, "historyId": who(v.Account).digits("history", 7)}
			}},
			named("users/me/messages", "messages", "id", "snippet", itemSamples, append(g("gmail.readonly", "gmail.modify", "gmail.metadata"), "https://mail.google.com/")...)),
		googleDialect("googledrive", "Google Drive", "#1fa463", "drive/v3/",
			named("files", "files", "id", "name", itemSamples, g("drive", "drive.readonly", "drive.file", "drive.metadata.readonly", "drive.metadata")...)),
		googleDialect("googledocs", "Google Docs", "#4285f4", "v1/",
			resource{path: "documents/welcome", needs: g("documents", "documents.readonly", "drive", "drive.readonly", "drive.file"), data: func(v view) any {
				return map[string]any{"documentId": "welcome", "title": pick(v.Account, 1, itemSamples)[0].title}
			}}),
		googleDialect("googlesheets", "Google Sheets", "#34a853", "v4/",
			resource{path: "spreadsheets/inventory", needs: g("spreadsheets", "spreadsheets.readonly", "drive", "drive.readonly", "drive.file"), data: func(v view) any {
				return map[string]any{"spreadsheetId": "inventory", "properties": map[string]any{"title": "Inventory of " + v.Name}}
			}}),
		googleDialect("googleslides", "Google Slides", "#fbbc04", "v1/",
			resource{path: "presentations/plans", needs: g("presentations", "presentations.readonly", "drive", "drive.readonly", "drive.file"), data: func(v view) any {
				return map[string]any{"presentationId": "plans", "title": "Plans of " + v.Name}
			}}),
		googleDialect("googlebigquery", "Google BigQuery", "#669df6", "bigquery/v2/",
			named("projects", "projects", "id", "friendlyName", repoSamples, g("bigquery", "bigquery.readonly", "cloud-platform", "cloud-platform.read-only")...)),
		googleDialect("google_analytics", "Google Analytics", "#e37400", "v1beta/",
			named("accountSummaries", "accountSummaries", "account", "displayName", repoSamples, g("analytics", "analytics.readonly", "analytics.edit")...)),
		googleDialect("google_classroom", "Google Classroom", "#0f9d58", "v1/",
			named("courses", "courses", "id", "name", meetingSamples, g("classroom.courses", "classroom.courses.readonly")...)),
		googleDialect("google_search_console", "Google Search Console", "#458cf5", "webmasters/v3/",
			resource{path: "sites", needs: g("webmasters", "webmasters.readonly"), data: func(v view) any {
				return map[string]any{"siteEntry": []any{map[string]any{"siteUrl": "https://" + v.Domain + "/", "permissionLevel": "siteOwner"}}}
			}}),
		googleDialect("googleads", "Google Ads", "#4285f4", "v21/",
			resource{path: "customers:listAccessibleCustomers", needs: g("adwords"), data: func(v view) any {
				return map[string]any{"resourceNames": []string{"customers/" + who(v.Account).digits("ads", 10)}}
			}}),
		googleDialect("googlemeet", "Google Meet", "#00897b", "v2/",
			named("conferenceRecords", "conferenceRecords", "name", "space", meetingSamples, g("meetings.space.created", "meetings.space.readonly")...)),
		googleDialect("googletasks", "Google Tasks", "#2684fc", "tasks/v1/",
			named("users/@me/lists", "items", "id", "title", itemSamples, g("tasks", "tasks.readonly")...)),
	}
}

var googleCalendarScopes = []string{
	googleScope + "calendar",
	googleScope + "calendar.readonly",
	googleScope + "calendar.events",
	googleScope + "calendar.events.readonly",
	googleScope + "calendar.events.owned",
}

func googleError(code int, status, message string) map[string]any {
	return map[string]any{"error": map[string]any{"code": code, "message": message, "status": status}}
}

// googleUserinfo is the OpenID Connect answer; what it tells depends on the scopes.
func googleUserinfo(v view) any {
	claims := map[string]any{"sub": who(v.Account).digits("google", 21)}
	if v.has(googleEmail) {
		claims["email"], claims["email_verified"] = v.Email, true
	}
	if v.has(googleProfile) {
		claims["name"], claims["picture"] = v.Name, v.origin+iconPath
		given, family, _ := strings.Cut(v.Name, " ")
		claims["given_name"] = given
		if family != "" {
			claims["family_name"] = family
		}
	}
	return claims
}

func googlePrimary(v view) any {
	return map[string]any{"kind": "calendar#calendar", "id": v.Email, "summary": v.Email, "timeZone": "UTC"}
}

// googleEvents has the next meetings, the first one within the hour.
func googleEvents(v view) any {
	start := v.now.UTC().Truncate(30 * time.Minute).Add(30 * time.Minute)
	items := make([]map[string]any, 0, 4)
	for i, s := range pick(v.Account, 4, meetingSamples) {
		begin := start.Add(time.Duration(i) * 21 * time.Hour)
		items = append(items, map[string]any{
			"kind":      "calendar#event",
			"id":        strings.ToLower(who(v.Account+s.title).letters("event", 26)),
			"status":    "confirmed",
			"summary":   s.title,
			"location":  s.detail,
			"organizer": map[string]any{"email": v.Email, "self": true},
			"start":     map[string]any{"dateTime": begin.Format(time.RFC3339), "timeZone": "UTC"},
			"end":       map[string]any{"dateTime": begin.Add(45 * time.Minute).Format(time.RFC3339), "timeZone": "UTC"},
		})
	}
	return map[string]any{"kind": "calendar#events", "summary": v.Email, "timeZone": "UTC", "items": items}
}
