package views

import (
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
)

func TestConnectorHasOneWayToConnect(t *testing.T) {
	for _, c := range []struct {
		state     string
		connected bool
		want      string
	}{
		{"", false, "connect"},
		{NotConnected, false, "connect"},
		{Waiting, false, "connect"},
		{Waiting, true, "reconnect"},
		{Connected, true, "reconnect"},
		{ReconnectRequired, true, "reconnect"},
	} {
		slack := sampleSlack(or(c.state, NotConnected))
		slack.State, slack.Connected = c.state, c.connected
		slack.DisconnectURL, slack.CancelURL = "/disconnect", "/cancel"
		doc := parse(t, List(ListPage{Page: samplePage(), Connectors: []Connector{slack}}))

		card := doc.Find(`[data-connector="slack"]`)
		if got := card.AttrOr("data-state", ""); got != or(c.state, NotConnected) {
			t.Errorf("data-state %q, want %q", got, c.state)
		}
		begin := card.Find(`[data-action="connect"], [data-action="reconnect"]`)
		if begin.Length() != 1 || begin.AttrOr("data-action", "") != c.want {
			t.Errorf("%s: %d ways to begin, %q", c.state, begin.Length(), begin.AttrOr("data-action", ""))
		}
		form := begin.Closest("form")
		if form.AttrOr("action", "") != "/start" || form.Find(`input[name="ticket"]`).AttrOr("value", "") != "ticket-slack" {
			t.Errorf("%s: the form does not post its ticket to /start", c.state)
		}
		if _, ok := form.Attr("target"); ok {
			t.Error("a top-level page opens another window")
		}
		if got, want := card.Find(`button[data-action="cancel"]`).Length() == 1, c.state == Waiting; got != want {
			t.Errorf("%s: cancel %v", c.state, got)
		}
		if got, want := card.Find(`a[data-action="refresh"]`).Length() == 1, c.state == Waiting; got != want {
			t.Errorf("%s: refresh %v", c.state, got)
		}
		settled := c.state == Connected || c.state == ReconnectRequired
		if got := card.Find(`a[data-action="disconnect"][href="/disconnect"]`).Length() == 1; got != settled {
			t.Errorf("%s: disconnect %v", c.state, got)
		}
	}
}

func TestUserIsNamedByEmailOrID(t *testing.T) {
	for _, c := range []struct {
		user       User
		want, name string
	}{
		{User{ID: "u1", Name: "Dana", Email: "dana@example.com"}, "dana@example.com", "Dana"},
		{User{ID: "u1", Name: "Dana"}, "u1", "Dana"},
		{User{ID: "u1"}, "u1", ""},
	} {
		p := Page{App: sampleApp, User: &c.user}
		for name, component := range map[string]*goquery.Document{
			"list":         parse(t, List(ListPage{Page: p})),
			"settings":     parse(t, Settings(SettingsPage{Page: p})),
			"interstitial": parse(t, Interstitial(InterstitialPage{Page: p, Press: true})),
			"link":         parse(t, Link(LinkPage{Page: p})),
			"result":       parse(t, Result(ResultPage{Page: p, Status: "started"})),
			"switch":       parse(t, Switch(SwitchPage{Current: c.user})),
		} {
			field := component.Find(`[data-field="user"]`)
			if field.Length() != 1 || field.Text() != c.want {
				t.Errorf("%s: user is %q, want %q", name, field.Text(), c.want)
			}
			if got := field.SiblingsFiltered(".name").Text(); got != c.name {
				t.Errorf("%s: name beside it is %q, want %q", name, got, c.name)
			}
		}
	}
}

func TestParamsArePosted(t *testing.T) {
	doc := parse(t, List(ListPage{Page: samplePage(), Connectors: []Connector{sampleParams(true)}}))
	form := doc.Find(`[data-action="connect"]`).Closest("form")
	input := form.Find(`input[name="param.subdomain"]`)
	for attr, want := range map[string]string{"value": "acme support!", "pattern": "[a-z0-9]+", "aria-invalid": "true"} {
		if got := input.AttrOr(attr, ""); got != want {
			t.Errorf("%s is %q, want %q", attr, got, want)
		}
	}
	if _, ok := input.Attr("required"); !ok {
		t.Error("not required")
	}
	if form.Find(`input[name="param.region"]`).AttrOr("value", "") != "eu" {
		t.Error("the second parameter is not in the form")
	}
}

func TestFrameOpensTheProviderInATab(t *testing.T) {
	doc := parse(t, List(ListPage{Page: sampleFrame(), Connectors: sampleConnectors()}))
	doc.Find(`[data-action="connect"], [data-action="reconnect"]`).Each(func(_ int, s *goquery.Selection) {
		form := s.Closest("form")
		if form.AttrOr("target", "") != "_blank" || form.AttrOr("rel", "") != "noopener" {
			t.Error("the form stays in the frame")
		}
	})
	if doc.Find(`[data-action="logout"]`).Length() != 0 || doc.Find(`[data-field="user"]`).Length() != 1 {
		t.Error("a frame has no session to end, and names its user")
	}
}

func TestInterstitial(t *testing.T) {
	const provider = "https://slack.com/oauth/v2/authorize?client_id=1&state=a%22b&scope=x+y"
	p := InterstitialPage{
		Page: samplePage(), FlowID: "flow_1", Connector: sampleSlack(NotConnected),
		ContinueURL: provider, ProviderHost: "slack.com", NotMeURL: "/not-me", CancelURL: "/cancel",
	}
	doc := parse(t, Interstitial(p))
	if got := doc.Find(`main[data-flow-id="flow_1"] a[data-action="continue"]`).AttrOr("href", ""); got != provider {
		t.Errorf("continue leads to %q", got)
	}
	if got := doc.Find(`head > meta[http-equiv="refresh"]`).AttrOr("content", ""); got != "0;url="+provider {
		t.Errorf("meta refresh is %q", got)
	}
	for _, attr := range []string{"target", "rel"} {
		if got, ok := doc.Find(`[data-action="continue"]`).Attr(attr); ok {
			t.Errorf("continue has %s %q", attr, got)
		}
	}

	p.Press = true
	doc = parse(t, Interstitial(p))
	if doc.Find(`meta[http-equiv="refresh"]`).Length() != 0 || strings.Contains(render(t, Interstitial(p)), "http-equiv") {
		t.Error("a page that waits for a press goes on by itself")
	}
	if doc.Find(`form[action="/not-me"] button[data-action="not_me"]`).Length() != 1 {
		t.Error("no way to say that it is not me")
	}
	text := doc.Find("main").Text()
	for _, want := range []string{"Acme Notes", "Slack", "dana@example.com", "Dana Reyes", "Continue only if this is you"} {
		if !strings.Contains(text, want) {
			t.Errorf("page does not say %q", want)
		}
	}

	p.User, p.Shared = nil, true
	if !strings.Contains(parse(t, Interstitial(p)).Text(), "Everyone in Acme Notes will use this account") {
		t.Error("a shared account is not called so")
	}
}

func TestInterstitialLeadsOnlyToTheWeb(t *testing.T) {
	for _, address := range []string{
		"", "javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "data:text/html,x", "//evil.example", "/start",
		"vbscript:x", "https:evil", "mailto:a@b", "http://", "java\nscript:alert(1)",
	} {
		doc := parse(t, Interstitial(InterstitialPage{Page: samplePage(), ContinueURL: address}))
		if n := doc.Find(`[data-action="continue"], meta[http-equiv="refresh"]`).Length(); n != 0 {
			t.Errorf("%q became an address", address)
		}
	}
	for _, address := range []string{`https://a.example/?x="y`, "https://a.example/?x=' y", "https://a.example/?x=<y>"} {
		doc := parse(t, Interstitial(InterstitialPage{Page: samplePage(), ContinueURL: address}))
		if n := doc.Find(`meta[http-equiv="refresh"]`).Length(); n != 0 {
			t.Errorf("%q became a meta refresh", address)
		}
	}
}

func TestResultSaysHowTheFlowStands(t *testing.T) {
	for _, r := range resultCodes {
		p := sampleResult(r.status, r.code)
		html, doc := render(t, Result(p)), parse(t, Result(p))
		main := doc.Find("main")
		for attr, want := range map[string]string{"data-flow-id": "flow_1", "data-flow-status": r.status, "data-flow-code": r.code} {
			if got, ok := main.Attr(attr); !ok || got != want {
				t.Errorf("%s %s: %s is %q", r.status, r.code, attr, got)
			}
		}
		unfinished := r.code == ""
		if got := doc.Find(`a[data-action="refresh"][href="/flows/flow_1"]`).Length() == 1; got != unfinished {
			t.Errorf("%s %s: refresh %v", r.status, r.code, got)
		}
		if got := strings.Contains(html, `<noscript><meta http-equiv="refresh" content="2;url=/flows/flow_1"></noscript>`); got != unfinished {
			t.Errorf("%s %s: meta refresh %v", r.status, r.code, got)
		}
		if got := doc.Find(`script[src]`).Length() == 1; got != unfinished {
			t.Errorf("%s %s: script %v", r.status, r.code, got)
		}
		if got := doc.Find(`a[data-action="return"]`).AttrOr("href", "none") == p.ReturnURL; got == unfinished {
			t.Errorf("%s %s: return %v", r.status, r.code, got)
		}
		if n := doc.Find(".btn.main").Length(); !unfinished && n != 1 {
			t.Errorf("%s %s: %d main steps, want 1", r.status, r.code, n)
		}
		if !strings.Contains(doc.Find("footer").Text(), sampleTrace) {
			t.Errorf("%s %s: no reference", r.status, r.code)
		}
	}
}

func TestMismatchNamesBothAccounts(t *testing.T) {
	p := sampleResult("failed", "account_mismatch")
	doc := parse(t, Result(p))
	if got := doc.Find(`[data-field="account"]`).Text(); got != p.Connector.Account {
		t.Errorf("linked account is %q", got)
	}
	if !strings.Contains(doc.Find("main").Text(), p.OtherAccount) {
		t.Error("the chosen account is not named")
	}
	if doc.Find(`a[data-action="disconnect"]`).Length() != 1 || doc.Find(`a[href="/apps/acme"]`).Length() != 1 {
		t.Error("Reconnect and Disconnect are not both offered")
	}
	p.Connector.StartURL, p.Connector.Ticket = "/start", "t1"
	if parse(t, Result(p)).Find(`form[action="/start"] [data-action="reconnect"]`).Length() != 1 {
		t.Error("a ticket makes no form")
	}
}

func TestFailedReconnectSaysTheLinkStays(t *testing.T) {
	for _, code := range []string{"access_denied", "expired", "provider_error", "client_rejected", "canceled"} {
		p := sampleResult("failed", code)
		if !strings.Contains(parse(t, Result(p)).Text(), "Nothing was linked.") {
			t.Errorf("%s does not say that nothing was linked", code)
		}
		p.Reconnect = true
		if !strings.Contains(parse(t, Result(p)).Text(), "The link you already had stays as it was.") {
			t.Errorf("%s does not say that the link stays", code)
		}
	}
}

func TestErrorPage(t *testing.T) {
	for _, e := range pageCodes {
		doc := parse(t, Error(ErrorPage{Page: Page{App: sampleApp, Trace: sampleTrace}, Code: e.code, Provider: "Slack"}))
		main := doc.Find("main")
		if main.AttrOr("data-flow-code", "") != e.code || main.AttrOr("data-trace", "") != sampleTrace {
			t.Errorf("%s: main carries %q, %q", e.code, main.AttrOr("data-flow-code", ""), main.AttrOr("data-trace", ""))
		}
		if steps := doc.Find(".told").Text(); !strings.Contains(steps, "Next step") || !strings.Contains(steps, "Who can fix this") {
			t.Errorf("%s has no next step", e.code)
		}
	}
	over := parse(t, Error(ErrorPage{Page: Page{App: sampleApp}, Code: "browser_mismatch", FlowOver: true}))
	if over.Find("main").AttrOr("data-flow-code", "") != "browser_mismatch" || !strings.Contains(over.Find("h1").Text(), "already over") {
		t.Error("a flow that is over is not called so")
	}
	end := parse(t, Error(ErrorPage{Page: samplePage(), Code: "user_mismatch", EndSessionURL: "/logout", EndSessionNext: "/link/t"}))
	form := end.Find(`main [data-action="logout"]`).Closest("form")
	if form.Find(`[name="app"]`).AttrOr("value", "") != "acme" || form.Find(`[name="next"]`).AttrOr("value", "") != "/link/t" {
		t.Error("the session cannot be ended from here")
	}
}

func TestDisconnectAsksAndTells(t *testing.T) {
	doc := parse(t, Disconnect(DisconnectPage{Page: samplePage(), Connector: sampleSlack(Connected), ActionURL: "/d", BackURL: "/b"}))
	if doc.Find(`form[action="/d"] button[data-action="confirm"]`).Length() != 1 || doc.Find(`a[data-action="cancel"][href="/b"]`).Length() != 1 {
		t.Error("confirm or cancel is missing")
	}
	for revoked, want := range map[string]string{
		"yes": "has withdrawn", "no": "refused", "unsupported": "no way", "unknown": "no clear answer",
	} {
		doc := parse(t, Receipt(ReceiptPage{Page: samplePage(), Connector: sampleSlack(Connected), Removed: true, Revoked: revoked, ProviderURL: "https://slack.com/apps"}))
		if got := doc.Find("main").AttrOr("data-revoked", ""); got != revoked {
			t.Errorf("data-revoked %q, want %q", got, revoked)
		}
		if !strings.Contains(doc.Text(), want) || doc.Find(`a[href="https://slack.com/apps"]`).Length() != 1 {
			t.Errorf("%s is not told", revoked)
		}
	}
}

func TestTimesAreInWords(t *testing.T) {
	at := time.Date(2026, 11, 23, 23, 4, 0, 0, time.FixedZone("", 2*3600))
	doc := parse(t, Settings(SettingsPage{Page: samplePage(), Connections: []Connection{{Connector: sampleSlack(Connected), ConnectedAt: &at}}}))
	if got := doc.Find(`time[datetime="2026-11-23T21:04:00Z"]`).Text(); got != "23 November 2026, 21:04 UTC" {
		t.Errorf("time is %q", got)
	}
	if !strings.Contains(doc.Text(), "Never") {
		t.Error("an account that was never used does not say so")
	}
}

func TestTheme(t *testing.T) {
	p := samplePage()
	p.Theme = Theme{StylesheetURL: "/theme/acme.css", LogoURL: "/theme/acme.svg"}
	doc := parse(t, List(ListPage{Page: p}))
	sheets := doc.Find(`link[rel="stylesheet"]`)
	if sheets.Length() != 2 || sheets.Last().AttrOr("href", "") != "/theme/acme.css" {
		t.Error("the theme does not come after our own style sheet")
	}
	if doc.Find(`img[src="/theme/acme.svg"][alt=""]`).Length() != 1 {
		t.Error("the app's logo is missing")
	}
}
