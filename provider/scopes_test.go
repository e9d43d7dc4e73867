package provider

import (
	"slices"
	"testing"
)

func TestAbility(t *testing.T) {
	google := embeddedEntry(t, "googlecalendar")
	for scope, want := range map[string]string{
		"https://www.googleapis.com/auth/calendar.events.readonly": "See events on all your calendars",
		"email": "See the email address of your Google Account",
		"https://www.googleapis.com/auth/userinfo.email": "See the email address of your Google Account", // another name for email
	} {
		if got, known := google.Ability(scope); got != want || !known {
			t.Errorf("%s: %q, %v", scope, got, known)
		}
	}
	if got, known := google.Ability("made.up"); got != "made.up" || known {
		t.Errorf("an unknown scope is returned as it is: %q, %v", got, known)
	}
}

func TestMissing(t *testing.T) {
	for name, tc := range map[string]struct {
		typ            string
		asked, granted []string
		want           []string
	}{
		"all granted in another order": {"slack", []string{"users:read", "channels:read"}, []string{"channels:read", "users:read"}, nil},
		"one not granted":              {"slack", []string{"users:read", "chat:write"}, []string{"users:read"}, []string{"chat:write"}},
		"nothing granted":              {"slack", []string{"users:read", "chat:write"}, []string{}, []string{"users:read", "chat:write"}},
		"asked twice":                  {"slack", []string{"chat:write", "chat:write", ""}, nil, []string{"chat:write"}},
		"Google's other names": {
			"googlecalendar", []string{"openid", "email", "profile"},
			[]string{"https://www.googleapis.com/auth/userinfo.profile", "openid", "https://www.googleapis.com/auth/userinfo.email"}, nil,
		},
		"other name asked, own granted":     {"googlecalendar", []string{"https://www.googleapis.com/auth/userinfo.email"}, []string{"email"}, nil},
		"Google includes nothing":           {"googlecalendar", []string{"https://www.googleapis.com/auth/calendar.readonly"}, []string{"https://www.googleapis.com/auth/calendar"}, []string{"https://www.googleapis.com/auth/calendar.readonly"}},
		"repo includes public_repo":         {"github", []string{"public_repo", "repo:status"}, []string{"repo"}, nil},
		"public_repo does not include repo": {"github", []string{"repo"}, []string{"public_repo"}, []string{"repo"}},
		"user includes reading and e-mail":  {"github", []string{"read:user", "user:email"}, []string{"user"}, nil},
		"included twice over":               {"github", []string{"read:org", "read:repo_hook"}, []string{"admin:org", "admin:repo_hook"}, nil},
		"a scope nobody described":          {"github", []string{"codespace", "read:audit_log"}, []string{"codespace"}, []string{"read:audit_log"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := embeddedEntry(t, tc.typ).Missing(tc.asked, tc.granted); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// Scopes that include each other must not hang.
func TestScopesInACircle(t *testing.T) {
	e := mustLoad(t, minimal+"scopes: {known: [{scope: a, ability: Do a, implies: [b]}, {scope: b, ability: Do b, implies: [a]}]}\n")
	if got := e.Missing([]string{"a", "b"}, []string{"b"}); got != nil {
		t.Errorf("missing %q", got)
	}
}

// SECURITY 76: more than was asked is found by exchanging the arguments.
func TestSecurity76_GrantedBeyondAsked(t *testing.T) {
	slack := embeddedEntry(t, "slack")
	asked, granted := []string{"users:read"}, []string{"users:read", "search:read"}
	if got := slack.Missing(granted, asked); !slices.Equal(got, []string{"search:read"}) {
		t.Errorf("beyond what was asked: %q", got)
	}
}

func TestDenied(t *testing.T) {
	e := mustLoad(t, minimal+"errors: {denied: user_cancelled_authorize}\n")
	for code, want := range map[string]bool{"access_denied": true, "user_cancelled_authorize": true, "server_error": false, "": false} {
		if e.Denied(code) != want {
			t.Errorf("Denied(%q) = %v", code, !want)
		}
	}
}

func TestPKCE(t *testing.T) {
	for typ, want := range map[string]bool{"googlecalendar": true, "github": true, "slack": false} {
		if e := embeddedEntry(t, typ); e.UsesPKCE() != want {
			t.Errorf("%s: UsesPKCE = %v", typ, !want)
		}
	}
}
