package sandbox

import (
	"strings"
	"testing"
)

func TestIdentify(t *testing.T) {
	for account, want := range map[string]identity{
		"dana@sandbox.example":       {Name: "Dana", Email: "dana@sandbox.example", Login: "dana", Domain: "sandbox.example"},
		"dana.reyes@Acme.example":    {Name: "Dana Reyes", Email: "dana.reyes@Acme.example", Login: "dana-reyes", Domain: "acme.example"},
		"other-dana@sandbox.example": {Name: "Other Dana", Email: "other-dana@sandbox.example", Login: "other-dana", Domain: "sandbox.example"},
		"kim":                        {Name: "Kim", Email: "kim@sandbox.example", Login: "kim", Domain: "sandbox.example"},
		"Kim the Great":              {Name: "Kim The Great", Email: "kim-the-great@sandbox.example", Login: "kim-the-great", Domain: "sandbox.example"},
		"@nobody":                    {Name: "@nobody", Email: "nobody@sandbox.example", Login: "nobody", Domain: "sandbox.example"},
		"élodie@x.example":           {Name: "Élodie", Email: "élodie@x.example", Login: "lodie", Domain: "x.example"},
	} {
		want.Account = account
		if got := identify(account); got != want {
			t.Errorf("%q is %+v, want %+v", account, got, want)
		}
	}
	for _, odd := range []string{"李", "...", "😀@x.example", "@@", "-"} {
		got := identify(odd)
		if got.Name == "" || got.Login == "" || !strings.Contains(got.Email, "@") || got != identify(odd) {
			t.Errorf("%q is %+v", odd, got)
		}
	}
}

// The ids are part of what people see in stored connections: they must be the same in
// every process and every version.
func TestIDsNeverChange(t *testing.T) {
	w := who("dana@sandbox.example")
	for name, pair := range map[string][2]any{
		"github": {w.number("github"), wantGitHubID},
		"google": {w.digits("google", 21), wantGoogleID},
		"slack":  {slackUserID(identify(string(w))), wantSlackID},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: id %v, want %v", name, pair[0], pair[1])
		}
	}
	if who("a").number("github") == who("b").number("github") || who("a").number("x") == who("a").number("y") {
		t.Error("ids collide")
	}
}

const (
	wantGitHubID = int64(213759753)
	wantGoogleID = "281077100178166784027"
	wantSlackID  = "UN5TED5F7SM"
)

func TestParseAccount(t *testing.T) {
	for typed, want := range map[string]string{"": "fallback", "  ": "fallback", " kim ": "kim", "Kim": "Kim", "李": "李"} {
		if got, err := parseAccount(typed, "fallback"); err != nil || got != want {
			t.Errorf("%q is %q (%v)", typed, got, err)
		}
	}
	for _, typed := range []string{"a\nb", "a\x00", "\xff", strings.Repeat("x", 201), "a\u0085b"} {
		if got, err := parseAccount(typed, ""); err == nil {
			t.Errorf("%q was taken as %q", typed, got)
		}
	}
}
