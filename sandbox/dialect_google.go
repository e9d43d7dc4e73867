package sandbox

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	googleScope   = "https://www.googleapis.com/auth/"
	googleEmail   = googleScope + "userinfo.email"
	googleProfile = googleScope + "userinfo.profile"
)

// googleCalendarDialect imitates Google: scopes come back under other names, a refresh
// token is given only where consent to offline access was asked, and revoking any
// token ends the whole grant.
//
// https://developers.google.com/identity/protocols/oauth2/web-server
// https://developers.google.com/workspace/calendar/api/v3/reference/events/list
func googleCalendarDialect() *dialect {
	return &dialect{
		id: "googlecalendar", name: "Google Calendar", brand: "#4285f4", noun: "Google",

		responseType: true,
		scopeAlias:   map[string]string{"email": googleEmail, "profile": googleProfile},
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

		userinfo: googleUserinfo,
		resources: []resource{
			{path: "calendars/primary", needs: googleCalendarScopes, data: googlePrimary},
			{path: "calendars/primary/events", needs: googleCalendarScopes, data: googleEvents},
		},
		apiPrefix: "calendar/v3/",
		unauthorized: func(tokenState) any {
			return googleError(http.StatusUnauthorized, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
		},
		forbidden: func(_, _ []string) (int, any) {
			return http.StatusForbidden, googleError(http.StatusForbidden, "PERMISSION_DENIED", "Request had insufficient authentication scopes.")
		},
		notFound: googleError(http.StatusNotFound, "NOT_FOUND", "Not Found"),
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
