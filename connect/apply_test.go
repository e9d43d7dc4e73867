package connect_test

import (
	"errors"
	"strings"
	"testing"

	"patchbay/connect"
	"patchbay/vault"
)

func lines(steps []connect.Step) string {
	var out []string
	for _, st := range steps {
		out = append(out, st.String())
	}
	return strings.Join(out, "\n")
}

func TestPlanSaysWhatApplyDoes(t *testing.T) {
	f := newFixture(t)
	first := f.app("acme", "github", "slack")
	steps, err := f.Plan(t.Context(), []connect.App{first})
	must(t, err)
	if got, want := lines(steps), "added app acme\nadded connector acme/github\nadded connector acme/slack"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if apps, _ := f.Apps(t.Context()); len(apps) != 0 {
		t.Fatal("a plan changed something")
	}
	f.apply(first)
	steps, err = f.Plan(t.Context(), []connect.App{f.app("acme", "github", "slack")})
	must(t, err)
	if got, want := lines(steps), "unchanged app acme\nunchanged connector acme/github\nunchanged connector acme/slack"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	second := f.app("acme", "github", "googlecalendar")
	second.Name = "Acme Notes"
	second.Connectors[0].ClientSecrets = []vault.Secret{vault.NewSecret("a-new-secret")}
	steps, err = f.Apply(t.Context(), []connect.App{second}, false, nil)
	must(t, err)
	want := "changed app acme: name\nchanged connector acme/github: client_secrets\nadded connector acme/googlecalendar\nremoved connector acme/slack"
	if got := lines(steps); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(lines(steps), "a-new-secret") {
		t.Error("the plan holds a secret")
	}
}

func TestRemovingConnectionsNeedsPrune(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "github", "slack"))
	f.connect("acme", "github", "dana", "approve")
	_, err := f.Apply(t.Context(), []connect.App{f.app("acme", "slack")}, false, nil)
	var need *connect.PruneNeeded
	if !errors.As(err, &need) || !strings.Contains(err.Error(), "acme/github has 1 connection") {
		t.Fatalf("got %v", err)
	}
	_, err = f.token("acme", "github", "dana")
	must(t, err)

	var progress []string
	_, err = f.Apply(t.Context(), []connect.App{f.app("acme", "slack")}, true, func(line string) { progress = append(progress, line) })
	must(t, err)
	if len(progress) != 1 || f.sandbox.Calls("github", "/revoke") != 1 {
		t.Errorf("progress %q, %d revocations", progress, f.sandbox.Calls("github", "/revoke"))
	}
	f.apply(f.app("acme", "github", "slack"))
	_, err = f.token("acme", "github", "dana")
	wantCode(t, err, connect.CodeNotConnected)
}

func TestRemovedAppComesBackEmpty(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "github"), f.app("other", "github"))
	f.connect("acme", "github", "dana", "approve")
	_, err := f.Apply(t.Context(), []connect.App{f.app("other", "github")}, true, nil)
	must(t, err)
	_, err = f.App(t.Context(), "acme")
	wantCode(t, err, connect.CodeNotFound)
	f.apply(f.app("acme", "github"), f.app("other", "github"))
	conns, err := f.UserConnections(t.Context(), "acme", "dana")
	must(t, err)
	if len(conns) != 0 {
		t.Errorf("%d connections of the earlier app", len(conns))
	}
}

func TestMinimumThatCannotBeReached(t *testing.T) {
	f := newFixture(t)
	app := f.app("acme", "github")
	app.MinAssurance = connect.AssuranceApp
	f.apply(app)
	q := connect.SessionRequest{Mode: connect.ModeRedirect, User: connect.EndUser{ID: "dana"}}
	_, err := f.CreateSession(t.Context(), "acme", q)
	wantCode(t, err, connect.CodeAssuranceTooLow)
	_, err = f.ConnectAppUser(t.Context(), "acme", "github", connect.EndUser{ID: "dana"}, nil)
	wantCode(t, err, connect.CodeAssuranceTooLow)
}

// A new secret of a webhook is a change, although it is not shown.
func TestPlanSeesWebhookSecrets(t *testing.T) {
	f := newFixture(t)
	a := f.app("acme", "github")
	a.Webhooks = []connect.Webhook{{URL: "https://app.example/hooks", Secret: vault.NewSecret("whsec_one")}}
	f.apply(a)
	b := f.app("acme", "github")
	b.Webhooks = []connect.Webhook{{URL: "https://app.example/hooks", Secret: vault.NewSecret("whsec_two")}}
	steps, err := f.Plan(t.Context(), []connect.App{b})
	must(t, err)
	if !strings.Contains(lines(steps), "changed app acme") {
		t.Errorf("%s", lines(steps))
	}
	f.apply(b)
	got, err := f.App(t.Context(), "acme")
	must(t, err)
	if len(got.Webhooks) != 1 || got.Webhooks[0].Secret.Reveal() != "whsec_two" {
		t.Errorf("%+v", got.Webhooks)
	}
}
