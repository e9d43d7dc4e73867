package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const danaAtProvider = "dana@sandbox.example"

// A person links an account, uses it, looks at it and takes it back.
func TestConnectUseDisconnect(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for _, c := range []struct{ connector, account, shows string }{
		{"github", danaAtProvider, "Repositories"},
		{"googlecalendar", danaAtProvider, "Next meetings"},
		{"slack", "Dana", "Channels"}, // without users:read.email the address is not known
	} {
		t.Run(c.connector, func(t *testing.T) {
			dana := newPerson(t, d)
			dana.signIn("dana")
			list := dana.accounts().wantState(c.connector, "not_connected")
			if got := list.text(`[data-field="user"]`); got != "dana@acme.example" {
				t.Errorf("the list is %q's", got)
			}

			consent := list.begin(c.connector, "connect")
			if consent.url.Host != dana.demo.sandbox[len("http://"):] {
				t.Fatalf("sent to %s", consent.url)
			}
			result := consent.approve("", "").wantResult("connected", "connected")
			dana.passed("/oauth/callback/acme/" + c.connector)
			dana.passed("/verify?")
			wantAccount(t, result, "main", c.account)

			wantAccount(t, dana.list().wantState(c.connector, "connected"), card(c.connector, ""), c.account)
			settings := dana.settings().wantState(c.connector, "connected")
			wantAccount(t, settings, card(c.connector, ""), c.account)
			settings.wantHas(card(c.connector, `[data-action="reconnect"]`), card(c.connector, `[data-action="disconnect"]`), card(c.connector, "time"))

			home := result.press(`[data-action="return"]`).wantStatus(200)
			if home.url.Host != dana.demo.app[len("http://"):] || home.url.Query().Get("status") != "connected" ||
				home.url.Query().Get("code") != "connected" || home.url.Query().Get("flow") == "" {
				t.Errorf("returned to %s", home.url)
			}
			home.wantHas(`[data-field="outcome"][data-status="connected"]`)
			read := dana.reads(c.connector)
			if got := read.text(`[data-field="read"]`); !strings.Contains(got, danaAtProvider) || !strings.Contains(got, c.shows) {
				t.Errorf("the back end read: %s", got)
			}
			dana.settings().wantSays("Last used")

			asks := dana.settings().press(card(c.connector, `[data-action="disconnect"]`)).wantStatus(200)
			asks.wantHas(`[data-action="cancel"]`)
			dana.list().wantState(c.connector, "connected")
			receipt := asks.press(`[data-action="confirm"]`).wantStatus(200).wantHas(`main[data-revoked="yes"]`)
			wantAccount(t, receipt, "main", c.account)
			receipt.reload().wantStatus(200).wantHas(`main[data-revoked="yes"]`)
			dana.list().wantState(c.connector, "not_connected")
			dana.settings().wantNo(`main [data-connector="` + c.connector + `"]`)
		})
	}
}

func wantAccount(t *testing.T, p *page, where, want string) {
	t.Helper()
	if got := p.text(where + ` [data-field="account"]`); !strings.Contains(got, want) {
		t.Errorf("%s shows the account %q, want %q", p.url, got, want)
	}
}

func TestDenied(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	result := dana.accounts().begin("github", "connect").press(`[data-action="deny"]`).wantResult("denied", "access_denied")
	d.provider().wantCalls("/github/token", 0)
	dana.list().wantState("github", "not_connected")
	home := result.press(`[data-action="return"]`)
	home.wantHas(`[data-field="outcome"][data-status="denied"][data-code="access_denied"]`)

	again := result.press(`main [data-action="connect"]`).onward().approve("", "")
	again.wantResult("connected", "connected")
}

func TestFewerScopes(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	result := dana.accounts().begin("github", "connect").approve("fewer_scopes", "").wantResult("connected", "scopes_missing")
	missing := result.text("main .missing li")
	if missing == "" {
		t.Fatalf("what is missing is not named: %s", result.text("main"))
	}
	dana.list().wantState("github", "connected").wantSays(missing)
	dana.settings().wantSays(missing)

	result.press(`main [data-action="reconnect"]`).onward().approve("", "").wantResult("connected", "connected")
	if got := dana.list().wantState("github", "connected").text(card("github", ".missing")); got != "" {
		t.Errorf("still missing: %s", got)
	}
}

// Reconnecting with another account changes nothing, and the page names both.
func TestOtherAccount(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	dana.accounts()
	dana.connect("github")

	result := dana.list().begin("github", "reconnect").approve("other_account", "").wantResult("failed", "account_mismatch")
	wantAccount(t, result, "main", danaAtProvider)
	if got := result.text(`[data-field="other_account"]`); !strings.Contains(got, "other-dana@sandbox.example") {
		t.Errorf("the other account is %q", got)
	}
	result.wantHas(`main [data-action="reconnect"]`, `main [data-action="disconnect"]`)
	wantAccount(t, dana.list().wantState("github", "connected"), card("github", ""), danaAtProvider)
	if got := dana.reads("github").text(`[data-field="read"]`); !strings.Contains(got, danaAtProvider) {
		t.Errorf("read %s", got)
	}

	// Disconnect first, then the other may be linked.
	result.reload().press(`main [data-action="disconnect"]`).press(`[data-action="confirm"]`).wantHas(`main[data-revoked]`)
	other := dana.list().begin("github", "connect").approve("other_account", "").wantResult("connected", "connected")
	wantAccount(t, other, "main", "other-dana@sandbox.example")
}

// Two accounts of one name must be told apart, or the page explains nothing.
func TestOtherAccountOfTheSameName(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	dana.accounts().begin("slack", "connect").approve("", "dana@one.example").wantResult("connected", "connected")
	result := dana.list().begin("slack", "reconnect").approve("", "dana@two.example").wantResult("failed", "account_mismatch")
	linked, chosen := result.text(`main [data-field="account"]`), result.text(`main [data-field="other_account"]`)
	if linked == chosen {
		t.Errorf("both accounts are called %q", linked)
	}
}

// A callback that is loaded again shows its result and exchanges nothing.
func TestCallbackReloaded(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	result := dana.accounts().begin("github", "connect").approve("", "").wantResult("connected", "connected")
	callback := dana.passed("/oauth/callback/")
	again := dana.open(callback).wantResult("connected", "connected")
	if again.url.String() != result.url.String() {
		t.Errorf("led to %s, first to %s", again.url, result.url)
	}
	result.reload().wantResult("connected", "connected")
	d.provider().wantCalls("/github/token", 1)

	stranger := newVisitor(t)
	stranger.open(callback).wantError(403, "cookie_missing")
	stranger.open(result.url.String()).wantStatus(404)
}

// In two tabs the second press begins afresh; whichever finishes first connects.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	for _, first := range []int{0, 1} {
		t.Run(fmt.Sprintf("tab %d first", first+1), func(t *testing.T) {
			d := startDemo(t)
			dana := newPerson(t, d)
			dana.signIn("dana")
			dana.accounts()
			lists := []*page{dana.list(), dana.list()}
			tabs := []*page{lists[0].begin("github", "connect"), lists[1].begin("github", "connect")}
			dana.list().wantState("github", "waiting")
			tabs[first].approve("", "").wantResult("connected", "connected")
			tabs[1-first].approve("", "").wantResult("superseded", "superseded")
			dana.list().wantState("github", "connected")
			d.provider().wantCalls("/github/token", 1)
		})
	}
}

func TestCancelWhileWaiting(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	consent := dana.accounts().begin("slack", "connect")
	waiting := dana.list().wantState("slack", "waiting")
	waiting.wantHas(card("slack", `[data-action="connect"]`), card("slack", `[data-action="cancel"]`))
	waiting.press(card("slack", `[data-action="cancel"]`)).wantState("slack", "not_connected")
	consent.approve("", "").wantResult("canceled", "canceled")
	d.provider().wantCalls("/slack/token", 0)
	dana.list().wantState("slack", "not_connected")
}

// A provider that shows an error and never comes back locks nobody out.
func TestProviderNeverComesBack(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	stuck := dana.accounts().begin("googlecalendar", "connect").press(`[data-action="approve"]`, "scenario", "error_page")
	if stuck.status != 400 || !stuck.has(`main[data-page="error"]`) {
		t.Fatalf("the provider shows %s", stuck.text("main"))
	}
	list := dana.list().wantState("googlecalendar", "waiting")
	list.wantHas(card("googlecalendar", `[data-action="cancel"]`))
	list.begin("googlecalendar", "connect").approve("", "").wantResult("connected", "connected")
}

func TestNoRefreshToken(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	dana.accounts().begin("googlecalendar", "connect").approve("no_refresh_token", "").wantResult("connected", "no_refresh_token")
	dana.list().wantState("googlecalendar", "connected")
	if got := dana.reads("googlecalendar").text(`[data-field="read"]`); !strings.Contains(got, danaAtProvider) {
		t.Errorf("read %s", got)
	}
}

func TestWrongIssuer(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	dana.accounts().begin("github", "connect").approve("wrong_iss", "").wantResult("failed", "issuer_mismatch")
	d.provider().wantCalls("/github/token", 0)
	dana.list().wantState("github", "not_connected")
	if history := dana.settings().wantSays("Earlier").text("main .history"); strings.Contains(history, "issuer_mismatch") {
		t.Errorf("the history speaks to people in codes: %s", history)
	}
}

func TestTokenEndpointFailsOnce(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	result := dana.accounts().begin("slack", "connect").approve("token_500_once", "").wantResult("failed", "provider_unavailable")
	d.provider().wantCalls("/slack/token", 1)
	result.press(`main [data-action="connect"]`).onward().approve("", "").wantResult("connected", "connected")
}

// A provider that answers with a form that posts itself.
func TestFormPost(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	posting := dana.accounts().begin("googlecalendar", "connect").approve("form_post", "").wantStatus(200)
	posting.press(`[data-action="continue"]`).wantResult("connected", "connected")
	dana.list().wantState("googlecalendar", "connected")
}

// Reads go on working while tokens of five seconds die and refresh tokens are used up.
func TestReadsWhileTokensExpire(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	dana.accounts().begin("github", "connect").approve("expires_5s", "").wantResult("connected", "connected")
	dana.list().begin("slack", "connect").approve("rotating", "").wantResult("connected", "connected")
	began := time.Now()
	awaitFor(t, 15*time.Second, "three refreshes", func() bool {
		for _, connector := range []string{"github", "slack"} {
			if got := dana.reads(connector).text(`[data-field="read"]`); !strings.Contains(got, danaAtProvider) {
				t.Fatalf("after %v %s was read as: %s", time.Since(began), connector, got)
			}
		}
		time.Sleep(300 * time.Millisecond)
		return d.provider().calls("/github/token") >= 3
	})
	dana.list().wantState("github", "connected").wantState("slack", "connected")
}

// Access that the provider takes away is noticed at the next refresh; the user can mend it.
func TestRevokedLater(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	dana.accounts().begin("github", "connect").approve("revoked_later", "").wantResult("connected", "connected")
	var read *page
	awaitFor(t, 25*time.Second, "reconnect_required", func() bool {
		time.Sleep(300 * time.Millisecond)
		read = dana.reads("github")
		return read.attr(`[data-field="read"]`, "data-code") == "reconnect_required"
	})
	dana.list().wantState("github", "reconnect_required").wantHas(card("github", `[data-action="reconnect"]`), card("github", `[data-action="disconnect"]`))
	dana.settings().wantState("github", "reconnect_required")

	// Acme links to connect_url, a start page of ours.
	link := read.press(`[data-field="read"] [data-action="reconnect"]`).wantStatus(200)
	if !strings.HasPrefix(link.url.String(), d.patchbay+"/link/") {
		t.Fatalf("connect_url leads to %s", link.url)
	}
	link.press(`main [data-action="reconnect"]`).onward().approve("", "").wantResult("connected", "connected")
	if got := dana.reads("github").text(`[data-field="read"]`); !strings.Contains(got, danaAtProvider) {
		t.Errorf("read %s", got)
	}
}

// Two people at one browser: nothing of the first is the second's before it is said so.
func TestSwitchUsers(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	person := newPerson(t, d)
	person.signIn("dana")
	person.accounts()
	person.connect("github")

	person.open(d.app + "/").press(`[data-user="sam"]`)
	asks := person.accounts().wantHas(`[data-action="switch"]`)
	asks.wantSays("dana@acme.example", "sam@acme.example")
	if got := person.list().text(`[data-field="user"]`); got != "dana@acme.example" {
		t.Errorf("before the choice the session is %q's", got)
	}
	if got := asks.press(`main .acts a`).wantState("github", "connected").text(`[data-field="user"]`); got != "dana@acme.example" {
		t.Errorf("who stays is %q", got)
	}
	list := asks.press(`[data-action="switch"]`).wantStatus(200).wantState("github", "not_connected")
	if got := list.text(`[data-field="user"]`); got != "sam@acme.example" {
		t.Errorf("after the choice the session is %q's", got)
	}
	list.begin("github", "connect").approve("", "sam@sandbox.example").wantResult("connected", "connected")
	if got := person.reads("github").text(`[data-field="read"]`); !strings.Contains(got, "sam@sandbox.example") {
		t.Errorf("sam read %s", got)
	}
	person.open(d.app + "/").press(`[data-user="dana"]`)
	if got := person.reads("github").text(`[data-field="read"]`); !strings.Contains(got, danaAtProvider) {
		t.Errorf("dana read %s", got)
	}
}

// Somebody who finishes at Acme as another user than the one who began links nothing.
func TestFinishedBySomeoneElse(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	person := newPerson(t, d)
	person.signIn("dana")
	consent := person.accounts().begin("github", "connect")
	person.open(d.app + "/").press(`[data-user="sam"]`)
	consent.approve("", "").wantStatus(403).wantHas(`[data-code="user_mismatch"]`)
	d.provider().wantCalls("/github/token", 0)
	person.list().wantState("github", "not_connected")
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	list := dana.accounts()
	signedOut := list.press(`[data-action="logout"]`).wantStatus(200)
	if signedOut.url.Path != "/signed-out" {
		t.Errorf("led to %s", signedOut.url)
	}
	list.reload().wantError(401, "unauthorized")
	list.press(card("github", `[data-action="connect"]`)).wantError(409, "expired")
	d.provider().wantCalls("/github/authorize", 0)
}

func TestVisitorsWithoutASession(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	visitor := newVisitor(t)
	for _, path := range []string{"/apps/acme", "/apps/acme/settings", "/apps/no-such-app", "/apps/acme/connectors/github/disconnect"} {
		visitor.open(d.patchbay+path).wantError(401, "unauthorized")
	}
	for _, path := range []string{"/nothing", "/apps", "/flows/unknown", "/apps/acme/nothing"} {
		visitor.open(d.patchbay+path).wantError(404, "not_found")
	}
	for _, path := range []string{"/session/unknown", "/link/unknown"} {
		visitor.open(d.patchbay+path).wantError(410, "expired")
	}
	visitor.open(d.patchbay+"/oauth/callback/acme/github?state=unknown&code=x").wantError(400, "state_unknown")
}

// A session's address works once.
func TestSessionAddressWorksOnce(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	dana := newPerson(t, d)
	dana.signIn("dana")
	dana.accounts()
	ticket := dana.passed("/session/")
	newVisitor(t).open(ticket).wantError(410, "expired")
	dana.list()
}
