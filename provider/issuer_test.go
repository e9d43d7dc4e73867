package provider

import (
	"errors"
	"strings"
	"testing"
)

// SECURITY 15: iss wrong, repeated, or absent although promised.
func TestSecurity15_CheckIssuer(t *testing.T) {
	promised := mustLoad(t, strings.Replace(minimal, "mode: supported}", "mode: supported}\n  issuer: https://acme.example\n  issuer_promised: true", 1))
	sandbox := Endpoints{Authorize: "http://127.0.0.1:8081/x/authorize"}
	for name, tc := range map[string]struct {
		entry *Entry
		over  Endpoints
		iss   []string
		want  error
	}{
		"known issuer, absent":          {embeddedEntry(t, "github"), Endpoints{}, nil, nil},
		"known issuer, right":           {embeddedEntry(t, "github"), Endpoints{}, []string{"https://github.com/login/oauth"}, nil},
		"known issuer, origin only":     {embeddedEntry(t, "github"), Endpoints{}, []string{"https://github.com"}, ErrIssuerMismatch},
		"known issuer, other provider":  {embeddedEntry(t, "googlecalendar"), Endpoints{}, []string{"https://github.com/login/oauth"}, ErrIssuerMismatch},
		"known issuer, slash added":     {embeddedEntry(t, "googlecalendar"), Endpoints{}, []string{"https://accounts.google.com/"}, ErrIssuerMismatch},
		"known issuer, empty":           {embeddedEntry(t, "googlecalendar"), Endpoints{}, []string{""}, ErrIssuerMismatch},
		"known issuer, repeated":        {embeddedEntry(t, "googlecalendar"), Endpoints{}, []string{"https://accounts.google.com", "https://accounts.google.com"}, ErrIssuerRepeated},
		"promised, absent":              {promised, Endpoints{}, nil, ErrIssuerMissing},
		"promised, right":               {promised, Endpoints{}, []string{"https://acme.example"}, nil},
		"unknown issuer, absent":        {embeddedEntry(t, "slack"), Endpoints{}, nil, nil},
		"unknown issuer, its origin":    {embeddedEntry(t, "slack"), Endpoints{}, []string{"https://slack.com"}, nil},
		"unknown issuer, another":       {embeddedEntry(t, "slack"), Endpoints{}, []string{"https://accounts.google.com"}, ErrIssuerMismatch},
		"authorize overridden, absent":  {embeddedEntry(t, "github"), sandbox, nil, nil},
		"authorize overridden, origin":  {embeddedEntry(t, "github"), sandbox, []string{"http://127.0.0.1:8081"}, nil},
		"authorize overridden, path":    {embeddedEntry(t, "github"), sandbox, []string{"http://127.0.0.1:8081/x"}, ErrIssuerMismatch},
		"authorize overridden, old iss": {embeddedEntry(t, "github"), sandbox, []string{"https://github.com/login/oauth"}, ErrIssuerMismatch},
		"overridden lifts the promise":  {promised, sandbox, nil, nil},
		"issuer set, absent":            {embeddedEntry(t, "github"), Endpoints{Issuer: "https://id.example/t"}, nil, ErrIssuerMissing},
		"issuer set, right":             {embeddedEntry(t, "github"), Endpoints{Issuer: "https://id.example/t"}, []string{"https://id.example/t"}, nil},
		"issuer set, another":           {embeddedEntry(t, "github"), Endpoints{Authorize: sandbox.Authorize, Issuer: "https://id.example/t"}, []string{"http://127.0.0.1:8081"}, ErrIssuerMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			resolved, err := tc.entry.Resolve(nil, tc.over)
			if err != nil {
				t.Fatal(err)
			}
			if err := tc.entry.CheckIssuer(tc.over, resolved, tc.iss); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}
