package e2e

import (
	"testing"
)

// person is a visitor of the demo: a user of Acme Notes.
type person struct {
	*visitor
	demo *demo
}

func newPerson(t *testing.T, d *demo) *person { return &person{newVisitor(t), d} }

// signIn becomes dana or sam at Acme Notes and sees the notes.
func (p *person) signIn(user string) *page {
	p.t.Helper()
	return p.open(p.demo.app + "/").press(`[data-user="` + user + `"]`).wantStatus(200).wantHas(`[data-action="open-connectors"]`)
}

// accounts goes from Acme Notes to Patchbay's list.
func (p *person) accounts() *page {
	p.t.Helper()
	return p.open(p.demo.app + "/").press(`[data-action="open-connectors"]`).wantStatus(200)
}

// list opens the list directly, as from a tab that was left open.
func (p *person) list() *page {
	p.t.Helper()
	return p.open(p.demo.patchbay + "/apps/acme").wantStatus(200)
}

func (p *person) settings() *page {
	p.t.Helper()
	return p.open(p.demo.patchbay + "/apps/acme/settings").wantStatus(200)
}

// card selects something of a connector on the list or the settings.
func card(connector, inside string) string {
	return `[data-connector="` + connector + `"] ` + inside
}

// wantState requires how the list or the settings show a connector.
func (p *page) wantState(connector, want string) *page {
	p.v.t.Helper()
	if got := p.attr(`main [data-connector="`+connector+`"]`, "data-state"); got != want {
		p.v.t.Errorf("%s shows %s as %q, want %q", p.url, connector, got, want)
	}
	return p
}

// begin presses connect or reconnect on a list and goes on to the provider's page.
func (p *page) begin(connector, action string) *page {
	p.v.t.Helper()
	return p.press(card(connector, `[data-action="`+action+`"]`)).onward()
}

// onward leaves the interstitial. No press is due where the app has a verify_url, so a
// meta refresh to the same address is there too.
func (p *page) onward() *page {
	p.v.t.Helper()
	p.wantStatus(200).wantHas("main[data-flow-id]")
	to := p.attr(`[data-action="continue"]`, "href")
	if meta := p.attr(`meta[http-equiv="refresh"]`, "content"); meta != "0;url="+to && meta != "0; url="+to {
		p.v.t.Errorf("the meta refresh says %q, the link %q", meta, to)
	}
	return p.press(`[data-action="continue"]`).wantStatus(200)
}

// approve is the Approve button of the provider's page, with a scenario and an account;
// empty ones stay as printed.
func (p *page) approve(scenario, account string) *page {
	p.v.t.Helper()
	var fields []string
	if scenario != "" {
		fields = append(fields, "scenario", scenario)
	}
	if account != "" {
		fields = append(fields, "account", account)
	}
	return p.press(`[data-action="approve"]`, fields...)
}

// wantResult requires the page of a flow that ended so.
func (p *page) wantResult(status, code string) *page {
	p.v.t.Helper()
	p.wantStatus(200)
	main := p.one("main")
	if s, c := main.AttrOr("data-flow-status", ""), main.AttrOr("data-flow-code", ""); s != status || c != code {
		p.v.t.Errorf("%s is %s (%s), want %s (%s): %s", p.url, s, c, status, code, p.text("main"))
	}
	return p
}

// wantError requires an error page.
func (p *page) wantError(status int, code string) *page {
	p.v.t.Helper()
	p.wantStatus(status)
	if got := p.attr("main", "data-flow-code"); got != code {
		p.v.t.Errorf("%s has code %q, want %q", p.url, got, code)
	}
	if p.attr("main", "data-trace") == "" {
		p.v.t.Errorf("%s has no trace", p.url)
	}
	return p
}

// connect does the whole of it: from the list to the result.
func (p *person) connect(connector string) *page {
	p.t.Helper()
	return p.list().begin(connector, "connect").approve("", "").wantResult("connected", "connected")
}

// reads lets Acme's back end read the account, and returns what its page shows.
func (p *person) reads(connector string) *page {
	p.t.Helper()
	home := p.open(p.demo.app + "/")
	return home.press(`[data-action="read"][data-connector="` + connector + `"]`).wantStatus(200).wantHas(`[data-field="read"]`)
}
