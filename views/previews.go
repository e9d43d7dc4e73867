package views

import (
	"time"

	"github.com/a-h/templ"
)

// Preview is one page in one state.
type Preview struct {
	Name      string // unique, fit for a file name
	Component templ.Component
}

// Previews lists every page in every state, with props as they occur. Tests
// check each against the rules for pages; with PREVIEW_DIR set they are also
// written there, to be looked at.
func Previews() []Preview {
	all := []Preview{
		{"list", List(ListPage{Page: samplePage(), Connectors: sampleConnectors(), SettingsURL: "/apps/acme/settings", ReturnURL: "https://app.acme.example/settings"})},
		{"list-empty", List(ListPage{Page: samplePage(), ReturnURL: "https://app.acme.example/settings"})},
		{"list-one", List(ListPage{Page: samplePage(), Connectors: sampleConnectors()[:1]})},
		{"list-waiting", List(ListPage{Page: samplePage(), Connectors: []Connector{sampleWaiting(), sampleWaitingAgain()}, SettingsURL: "/apps/acme/settings"})},
		{"list-params", List(ListPage{Page: samplePage(), Connectors: []Connector{sampleParams(false), sampleParams(true)}})},
		{"list-notice", List(ListPage{Page: samplePage(), Connectors: sampleConnectors()[:2], Notice: &Notice{Kind: "warn", Text: "That button was used already. Here is a fresh page."}})},
		{"list-frame", List(ListPage{Page: sampleFrame(), Connectors: sampleConnectors(), SettingsURL: "/embed/token/settings", RefreshURL: "/embed/token"})},
		{"list-frame-tries", List(ListPage{Page: sampleFrame(), Connectors: sampleFrameTries(), SettingsURL: "/embed/token/settings", RefreshURL: "/embed/token"})},
		{"list-frame-params", List(ListPage{Page: sampleFrame(), Connectors: []Connector{sampleParams(false), sampleParams(true)}, RefreshURL: "/embed/token"})},
		{"list-long", List(ListPage{Page: sampleLong(), Connectors: sampleLongConnectors(), SettingsURL: "/apps/acme/settings", ReturnURL: "https://app.acme.example/settings"})},
		{"settings", Settings(SettingsPage{Page: samplePage(), Connections: sampleConnections(), ListURL: "/apps/acme", ReturnURL: "https://app.acme.example/settings", History: []HistoryEntry{
			{At: sampleTime.AddDate(0, -1, -3), Connector: "Notion", Text: "Disconnected. Notion withdrew the access."},
			{At: sampleTime.AddDate(0, -2, 0), Connector: "Notion", Text: "Connected as dana@example.org."},
		}})},
		{"settings-empty", Settings(SettingsPage{Page: samplePage(), ListURL: "/apps/acme"})},
		{"settings-long", Settings(SettingsPage{Page: sampleLong(), Connections: sampleLongConnections(), ListURL: "/apps/acme"})},
		{"settings-frame", Settings(SettingsPage{Page: frameOf("settings"), Connections: sampleConnections(), ListURL: "/embed/token", RefreshURL: "/embed/token/settings"})},
		{"disconnect-frame", Disconnect(DisconnectPage{Page: frameOf("disconnect"), Connector: sampleSlack(Connected), ActionURL: "/embed/token/connectors/slack/disconnect", BackURL: "/embed/token/settings", RevokeWay: RevokeYes})},
		{"receipt-frame", Receipt(ReceiptPage{Page: frameOf("receipt"), Connector: receiptConnector(), Removed: true, Revoked: "yes", At: sampleTime, ListURL: "/embed/token"})},
		{"result-frame-denied", Result(ResultPage{Page: frameOf("result"), FlowID: "fl_1", Status: "denied", Code: "access_denied", Connector: sampleConnectors()[0], ListURL: "/embed/token"})},
		{"result-frame-waiting", Result(ResultPage{Page: frameOf("result"), FlowID: "fl_1", Status: "started", Connector: sampleConnectors()[0], ListURL: "/embed/token", RefreshURL: "/embed/token/flows/fl_1", CancelURL: "/embed/token/connectors/github/cancel"})},
		{"error-frame-expired", Error(ErrorPage{Page: overFrame(), Status: 410, Code: "expired"})},
		{"signed-out", SignedOut(SignedOutPage{Page: Page{App: sampleApp}})},
		{"signed-out-login", SignedOut(SignedOutPage{Page: Page{App: sampleApp}, SignInURL: "/login/acme"})},
		{"switch", Switch(SwitchPage{Page: Page{App: sampleApp}, Current: sampleUser, Next: User{ID: "sam", Name: "Sam Okafor", Email: "sam@example.com"}, ActionURL: "/session/ticket", StayURL: "/apps/acme", Ticket: "t"})},
	}
	all = append(all, builderPreviews()...)
	all = append(all, disconnectPreviews()...)
	all = append(all, beginPreviews()...)
	all = append(all, resultPreviews()...)
	return append(all, errorPreviews()...)
}

func builderPreviews() []Preview {
	page := BuilderPage{
		Page: Page{App: sampleApp}, KeyName: "ci", Address: "/builder/acme", SignOutURL: "/builder/acme/sign-out", PreviewURL: "/builder/acme/preview", CheckURL: "/builder/acme/check",
		PublicURL: "https://connect.acme.example", Origins: []string{"https://app.acme.example"},
	}
	empty := page
	empty.Origins, empty.LookedFor = nil, "dana"
	empty.Checked = true
	empty.Notice = &Notice{Kind: "ok", Text: "Slack is connected with all it was asked for."}
	for _, c := range []Connector{sampleSlack(NotConnected), sampleParams(false)} {
		c.StartURL, c.Ticket = "/start", "ticket"
		page.Connectors = append(page.Connectors, BuilderConnector{
			Connector: c, ConsoleURL: "https://api.slack.com/apps", DocsURL: "https://api.slack.com/authentication/oauth-v2",
			RedirectURI: "https://connect.acme.example/oauth/callback/acme/" + c.ID, RedirectRules: []string{"https only.", "The registered address or one below it."},
			ClientID: "1234567890.0987654321", Secrets: 2, Scopes: []BuilderScope{{"channels:read", "See the channels"}, {"chat:write", "Send messages"}},
		})
	}
	shared := page.Connectors[0]
	shared.ID, shared.Name, shared.Shared, shared.ShareURL = "team", "Team Slack", true, "/builder/acme/connectors/team/share"
	shared.Secrets, shared.NeedsSecret, shared.Scopes, shared.ChosenAtProvider = 0, true, nil, true
	shared.RedirectProblem = "This provider takes https only, also while you develop: use a public https address or a tunnel, or the sandbox."
	page.Connectors = append(page.Connectors, shared)
	since := sampleTime
	page.Shared = []BuilderConnection{
		{Connector: "Team Slack", State: Connected, Account: "team@acme.example", Scopes: []string{"channels:read"}, ConnectedAt: &since, LastUsedAt: &since, Assurance: "human"},
		{Connector: "Linear", State: NotConnected, Scopes: []string{"read"}},
	}
	page.LookedFor, page.Connections = "dana", page.Shared[:1]
	page.Failed = []FailedFlow{
		{At: sampleTime, Connector: "Slack", User: "dana", Code: "redirect_uri_rejected", Trace: "0f1e2d3c4b5a69788796a5b4", ProviderSaid: "bad_redirect_uri"},
		{At: sampleTime, Connector: "GitHub", Code: "provider_unavailable", Trace: "0f1e2d3c4b5a69788796a5b5"},
	}
	page.Webhooks, page.AgainURL = []string{"https://app.acme.example/hooks", "https://audit.acme.example/in"}, "/builder/acme/deliver"
	page.Deliveries = []Delivery{
		{ID: "msg_1", Kind: "connection.created", URL: page.Webhooks[0], User: "dana", State: "waiting", Attempts: 2, Answer: "answered 500", At: sampleTime, NextAt: sampleTime},
		{ID: "msg_2", Kind: "connection.updated", URL: page.Webhooks[0], User: "dana", State: "arrived", Attempts: 1, Answer: "204", At: sampleTime},
		{ID: "msg_3", Kind: "connection.deleted", URL: page.Webhooks[1], State: "given_up", Attempts: 12, Answer: "no answer: connection refused", At: sampleTime},
	}
	preview := page
	preview.Checked = true
	preview.Findings = []Finding{{"client_refused", "acme/slack", "The provider refuses the client id with its secret.", "Nobody can connect, and no token is refreshed.", "Copy both once more into the apps file:\n  client_id: 1234"}}
	preview.Failed, preview.FrameURL = nil, "https://connect.acme.example/embed/token"
	between := InterstitialPage{
		Page: Page{App: sampleApp}, FlowID: "flow_1", Connector: sampleSlack(NotConnected), Press: true, Trial: true,
		ContinueURL: "https://slack.com/oauth/v2/authorize?client_id=1", ProviderHost: "slack.com", CancelURL: "/flows/flow_1/cancel",
	}
	worked, failed := sampleResult("connected", "connected"), sampleResult("failed", "redirect_uri_rejected")
	for _, p := range []*ResultPage{&worked, &failed} {
		p.Trial, p.BuilderURL, p.ReturnURL, p.ListURL, p.User = true, "/builder/acme", "", "", nil
	}
	worked.GivenBack, failed.ProviderSaid = "yes", "bad_redirect_uri"
	return []Preview{
		{"builder", Builder(page)}, {"builder-empty", Builder(empty)}, {"builder-preview", Builder(preview)},
		{"builder-sign-in", BuilderSignIn(BuilderSignInPage{ActionURL: "/builder/acme"})},
		{"builder-sign-in-wrong", BuilderSignIn(BuilderSignInPage{ActionURL: "/builder/acme", Wrong: true})},
		{"builder-try", Interstitial(between)}, {"builder-try-worked", Result(worked)}, {"builder-try-failed", Result(failed)},
	}
}

func disconnectPreviews() []Preview {
	var all []Preview
	for _, way := range []string{RevokeYes, RevokeSiblings, RevokeUnsupported} {
		p := DisconnectPage{Page: samplePage(), Connector: sampleSlack(Connected), ActionURL: "/apps/acme/connectors/slack/disconnect", BackURL: "/apps/acme", RevokeWay: way, ProviderURL: "https://slack.com/apps/manage"}
		if way == RevokeSiblings {
			p.Siblings = []string{"Slack bot", "Slack archive"}
		}
		all = append(all, Preview{"disconnect-" + way, Disconnect(p)})
	}
	all = append(all, Preview{"disconnect-shared", Disconnect(DisconnectPage{Page: samplePage(), Connector: sampleSlack(Connected), ActionURL: "/d", BackURL: "/b", Shared: true, RevokeWay: RevokeYes})})
	for _, revoked := range []string{"yes", "no", "unsupported", "unknown"} {
		all = append(all, Preview{"receipt-" + revoked, Receipt(ReceiptPage{
			Page: samplePage(), Connector: receiptConnector(), Removed: true, Revoked: revoked, At: sampleTime,
			ProviderURL: "https://slack.com/apps/manage", ListURL: "/apps/acme",
		})})
	}
	return append(all, Preview{"receipt-nothing", Receipt(ReceiptPage{Page: samplePage(), Connector: sampleSlack(NotConnected), Revoked: "unsupported", ListURL: "/apps/acme"})})
}

func beginPreviews() []Preview {
	link := LinkPage{Page: Page{App: sampleApp, User: &sampleUser}, Connector: sampleSlack(NotConnected), ExpiresAt: sampleTime.Add(15 * time.Minute)}
	shared := LinkPage{Page: Page{App: sampleApp}, Connector: sampleSlack(NotConnected), ExpiresAt: sampleTime.AddDate(0, 0, 7), Shared: true}
	waiting := link
	waiting.Connector = sampleWaiting()
	again := link
	again.Connector = sampleSlack(ReconnectRequired)

	between := InterstitialPage{
		Page: Page{App: sampleApp, User: &sampleUser}, FlowID: "flow_1", Connector: sampleSlack(NotConnected),
		ContinueURL: "https://slack.com/oauth/v2/authorize?client_id=1&state=abc&scope=chat%3Awrite", ProviderHost: "slack.com", CancelURL: "/flows/flow_1/cancel",
	}
	press := between
	press.Press, press.NotMeURL = true, "/flows/flow_1/not-me"
	reconnect := between
	reconnect.Reconnect, reconnect.Connector = true, sampleSlack(ReconnectRequired)
	everyone := press
	everyone.User, everyone.Shared = nil, true
	long := press
	long.Page = Page{App: sampleLong().App, User: sampleLong().User}
	long.ProviderHost = "a-very-long-tenant-name-of-some-customer.accounts.provider.example"

	return []Preview{
		{"link", Link(link)},
		{"link-shared", Link(shared)},
		{"link-waiting", Link(waiting)},
		{"link-reconnect", Link(again)},
		{"interstitial", Interstitial(between)},
		{"interstitial-press", Interstitial(press)},
		{"interstitial-reconnect", Interstitial(reconnect)},
		{"interstitial-shared", Interstitial(everyone)},
		{"interstitial-long", Interstitial(long)},
	}
}

// resultCodes are the outcomes of a flow by status.
var resultCodes = []struct{ status, code string }{
	{"created", ""}, {"started", ""}, {"returned", ""}, {"verifying", ""}, {"exchanging", ""},
	{"connected", "connected"}, {"connected", "scopes_missing"}, {"connected", "no_refresh_token"},
	{"denied", "access_denied"}, {"expired", "expired"}, {"superseded", "superseded"}, {"canceled", "canceled"},
	{"failed", "account_mismatch"}, {"failed", "user_mismatch"}, {"failed", "assurance_too_low"},
	{"failed", "issuer_mismatch"}, {"failed", "client_rejected"}, {"failed", "scope_rejected"},
	{"failed", "redirect_uri_rejected"}, {"failed", "provider_error"}, {"failed", "provider_unavailable"},
}

func resultPreviews() []Preview {
	var all []Preview
	for _, r := range resultCodes {
		p := sampleResult(r.status, r.code)
		all = append(all, Preview{"result-" + or(r.code, r.status), Result(p)})
	}
	renewed := sampleResult("connected", "connected")
	renewed.Reconnect = true
	kept := sampleResult("denied", "access_denied")
	kept.Reconnect, kept.Connector = true, sampleSlack(ReconnectRequired)
	kept.Connector.StartURL = ""
	tab := sampleResult("connected", "connected")
	tab.CloseTab, tab.ReturnURL, tab.ListURL, tab.DisconnectURL = true, "", "", ""
	direct := sampleResult("failed", "account_mismatch")
	direct.Connector.StartURL, direct.Connector.Ticket = "/start", "ticket"
	shared := sampleResult("connected", "connected")
	shared.Shared, shared.User = true, nil
	bare := sampleResult("failed", "client_rejected")
	bare.ReturnURL, bare.ListURL, bare.AgainURL = "", "", ""
	return append(all,
		Preview{"result-renewed", Result(renewed)},
		Preview{"result-denied-kept", Result(kept)},
		Preview{"result-tab", Result(tab)},
		Preview{"result-mismatch-ticket", Result(direct)},
		Preview{"result-shared", Result(shared)},
		Preview{"result-bare", Result(bare)},
	)
}

// pageCodes are the codes an error page can carry, with their HTTP status.
var pageCodes = []struct {
	status int
	code   string
}{
	{410, "expired"}, {400, "state_unknown"}, {403, "cookie_missing"}, {403, "browser_mismatch"},
	{403, "origin_rejected"}, {403, "framed_wrongly"}, {403, "window_not_opened"},
	{401, "unauthorized"}, {403, "forbidden"}, {403, "user_mismatch"}, {403, "origin_not_allowed"},
	{403, "assurance_too_low"}, {404, "not_found"}, {404, "not_connected"}, {400, "invalid_request"},
	{405, "method_not_allowed"}, {413, "too_large"}, {415, "unsupported_media_type"},
	{409, "reconnect_required"}, {409, "flow_finished"}, {409, "connection_changed"},
	{429, "rate_limited"}, {500, "internal"}, {502, "provider_error"}, {502, "connector_misconfigured"},
	{503, "provider_unavailable"}, {503, "unavailable"},
}

func errorPreviews() []Preview {
	var all []Preview
	for _, e := range pageCodes {
		p := ErrorPage{Page: Page{App: sampleApp, Trace: sampleTrace}, Status: e.status, Code: e.code, Provider: "Slack"}
		switch e.code {
		case "user_mismatch":
			p.User, p.EndSessionURL, p.EndSessionNext = &sampleUser, "/logout", "/link/ticket"
		case "expired":
			p.RetryURL = "/apps/acme"
		case "unauthorized":
			p.App = App{}
		}
		all = append(all, Preview{"error-" + e.code, Error(p)})
	}
	return append(all, Preview{"error-over", Error(ErrorPage{Page: Page{App: sampleApp, Trace: sampleTrace}, Status: 403, Code: "cookie_missing", FlowOver: true})})
}
