package e2e

import (
	"strings"
	"testing"
)

// tourist is a user of Acme Notes in Chromium.
type tourist struct {
	*tab
	demo *demo
}

func openDemo(t *testing.T, d *demo, script bool) tourist {
	t.Helper()
	return tourist{openTab(t, script, d.patchbay, d.sandbox, d.app), d}
}

// accounts signs in to Acme Notes and goes on to Patchbay's list.
func (b tourist) accounts(user string) {
	b.t.Helper()
	b.open(b.demo.app + "/")
	b.click(`[data-user="` + user + `"]`)
	b.click(`[data-action="open-connectors"]`)
	b.sees("main.list")
}

func (b tourist) list() { b.t.Helper(); b.open(b.demo.patchbay + "/apps/acme") }

// approve goes from a list through the provider's page to the result.
func (b tourist) approve(connector, action, scenario string) {
	b.t.Helper()
	b.click(card(connector, `[data-action="`+action+`"]`))
	b.sees(`[data-action="approve"]`)
	b.choose(`select[name="scenario"]`, scenario)
	b.click(`[data-action="approve"]`)
	b.sees("main[data-flow-code]")
}

func (b tourist) wantState(connector, state string) {
	b.t.Helper()
	b.sees(`main [data-connector="` + connector + `"][data-state="` + state + `"]`)
}

// The main path, by mouse, with script and without.
func TestChromium(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]bool{"script": true, "no script": false} {
		t.Run(name, func(t *testing.T) {
			b := openDemo(t, startDemo(t), script)
			b.accounts("dana")
			b.wantState("github", "not_connected")
			b.approve("github", "connect", "approve")
			b.sees(`main[data-flow-status="connected"]`)
			if got := b.says(`[data-field="account"]`); !strings.Contains(got, danaAtProvider) {
				t.Errorf("the result names %q", got)
			}
			b.click(`[data-action="return"]`)
			b.click(`[data-action="read"]`)
			b.sees(`[data-field="read"]`)
			if got := b.says(`[data-field="read"]`); !strings.Contains(got, danaAtProvider) {
				t.Errorf("read %q", got)
			}
			b.click(`[data-action="open-connectors"]`)
			b.wantState("github", "connected")
			b.click(`a[href$="/settings"]`)
			b.sees("main.settings")
			b.click(card("github", `[data-action="disconnect"]`))
			b.click(`[data-action="confirm"]`)
			b.sees(`main[data-revoked="yes"]`)
			b.open(b.address())
			b.sees(`main[data-revoked="yes"]`)
			b.list()
			b.wantState("github", "not_connected")
		})
	}
}

// The same with the keyboard alone.
func TestChromiumByKeyboard(t *testing.T) {
	t.Parallel()
	b := openDemo(t, startDemo(t), true)
	b.open(b.demo.app + "/")
	b.keyTo(`[data-user="dana"]`)
	b.keyTo(`[data-action="open-connectors"]`)
	b.sees("main.list")
	b.keyTo(card("box", `[data-action="connect"]`))
	b.keyTo(`[data-action="approve"]`)
	b.sees(`main[data-flow-status="connected"]`)
	b.keyTo(`main a[href="/apps/acme"]`)
	b.wantState("box", "connected")
	b.keyTo(card("box", `[data-action="disconnect"]`))
	b.keyTo(`[data-action="confirm"]`)
	b.sees("main[data-revoked]")
}

// A list that waits in one tab learns by itself what was finished in another.
func TestChromiumLiveUpdate(t *testing.T) {
	t.Parallel()
	first := openDemo(t, startDemo(t), true)
	first.accounts("dana")
	second := tourist{first.another(), first.demo}
	second.list()
	second.click(card("github", `[data-action="connect"]`))
	second.sees(`[data-action="approve"]`)
	first.list()
	first.wantState("github", "waiting")
	second.click(`[data-action="approve"]`)
	second.sees(`main[data-flow-status="connected"]`)
	first.wantState("github", "connected")
	first.sees(card("github", `[data-action="disconnect"]`))
}

// Connect pressed in two tabs: both end well, and say how.
func TestChromiumTwoTabs(t *testing.T) {
	t.Parallel()
	first := openDemo(t, startDemo(t), true)
	first.accounts("dana")
	second := tourist{first.another(), first.demo}
	second.list()
	for _, b := range []tourist{first, second} {
		b.click(card("github", `[data-action="connect"]`))
		b.sees(`[data-action="approve"]`)
	}
	second.click(`[data-action="approve"]`)
	second.sees(`main[data-flow-status="connected"]`)
	first.click(`[data-action="approve"]`)
	first.sees(`main[data-flow-status="superseded"]`)
}

// A form that the provider's page posts by itself, from another site.
func TestChromiumFormPost(t *testing.T) {
	t.Parallel()
	b := openDemo(t, startDemo(t), true)
	b.accounts("dana")
	b.approve("googlecalendar", "connect", "form_post")
	b.sees(`main[data-flow-status="connected"]`)
}

// A provider whose pages cut off the window that opened them.
func TestChromiumCoop(t *testing.T) {
	t.Parallel()
	b := openDemo(t, startDemo(t), true)
	b.accounts("dana")
	b.approve("github", "connect", "coop")
	b.sees(`main[data-flow-status="connected"]`)
}
