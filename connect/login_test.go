package connect_test

import (
	"strings"
	"testing"

	"patchbay/connect"
	"patchbay/vault"
)

func TestLoginSecretIsKeptAndNeverPrinted(t *testing.T) {
	f := newFixture(t)
	with := func(secret string) connect.App {
		app := f.app("acme", "github")
		app.Login = &connect.Login{Issuer: "https://id.acme.example", ClientID: "patchbay", ClientSecret: vault.NewSecret(secret), UserClaim: "sub"}
		return app
	}
	f.apply(f.app("acme", "github"))
	for _, step := range []struct{ secret, want string }{
		{"canary-one", "changed app acme: login"},
		{"canary-one", "unchanged app acme"},
		{"canary-two", "changed app acme: login"},
		{"", "changed app acme: login"},
	} {
		steps, err := f.Apply(t.Context(), []connect.App{with(step.secret)}, false, nil)
		must(t, err)
		if got := steps[0].String(); got != step.want {
			t.Errorf("secret %q: %s, want %s", step.secret, got, step.want)
		}
		app, err := f.App(t.Context(), "acme")
		must(t, err)
		if got := app.Login.ClientSecret.Reveal(); got != step.secret {
			t.Errorf("the stored secret is %q, want %q", got, step.secret)
		}
		stored, err := f.Store.Apps(t.Context())
		must(t, err)
		for _, rec := range stored.Apps {
			if strings.Contains(string(rec.Document)+string(rec.Sealed), "canary") {
				t.Error("the secret is stored in the clear")
			}
		}
	}
	steps, err := f.Apply(t.Context(), []connect.App{f.app("acme", "github")}, false, nil)
	must(t, err)
	if app, _ := f.App(t.Context(), "acme"); app.Login != nil || steps[0].String() != "changed app acme: login" {
		t.Errorf("%s: %+v", steps[0], app.Login)
	}
}

func TestSealedLoginOpensInItsPlaceOnly(t *testing.T) {
	f := newFixture(t)
	text, err := f.SealLogin("acme", connect.LoginAttempt, "canary")
	must(t, err)
	var got string
	if !f.UnsealLogin("acme", connect.LoginAttempt, text, &got) || got != "canary" {
		t.Fatalf("read back %q", got)
	}
	if strings.Contains(text, "canary") {
		t.Error("the text can be read")
	}
	flipped := "A" + text[1:]
	if text[0] == 'A' {
		flipped = "B" + text[1:]
	}
	for name, open := range map[string]func() bool{
		"another app":   func() bool { return f.UnsealLogin("other", connect.LoginAttempt, text, &got) },
		"another part":  func() bool { return f.UnsealLogin("acme", connect.LoginOutcome, text, &got) },
		"changed":       func() bool { return f.UnsealLogin("acme", connect.LoginAttempt, flipped, &got) },
		"cut":           func() bool { return f.UnsealLogin("acme", connect.LoginAttempt, text[:len(text)-4], &got) },
		"nothing":       func() bool { return f.UnsealLogin("acme", connect.LoginAttempt, "", &got) },
		"another shape": func() bool { return f.UnsealLogin("acme", connect.LoginAttempt, text, new(int)) },
		"very long":     func() bool { return f.UnsealLogin("acme", connect.LoginAttempt, strings.Repeat("A", 1<<20), &got) },
	} {
		if open() {
			t.Errorf("%s: it opens", name)
		}
	}
}
