package views

import "time"

var (
	sampleApp   = App{ID: "acme", Name: "Acme Notes"}
	sampleUser  = User{ID: "dana", Name: "Dana Reyes", Email: "dana@example.com"}
	sampleTime  = time.Date(2026, 11, 23, 21, 4, 0, 0, time.UTC)
	sampleTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
)

func samplePage() Page {
	return Page{App: sampleApp, User: &sampleUser, LogoutURL: "/logout"}
}

func sampleFrame() Page { return frameOf("list") }

// frameOf is a page in a frame whose session lives.
func frameOf(view string) Page {
	return Page{App: sampleApp, User: &sampleUser, Frame: true, Live: &FrameLive{
		View: view, Origin: "https://app.acme.example", Session: "cs_sample", Token: "live", URL: "/api/apps/acme/live", After: 7, ExpiresIn: 870,
	}}
}

// overFrame is a page in a frame whose session is over.
func overFrame() Page {
	p := frameOf("error")
	p.User, p.Live.Token, p.Live.ExpiresIn = nil, "", 0
	return p
}

// sampleFrameTries are a flow under way in another tab, and two that did not connect.
func sampleFrameTries() []Connector {
	waits, denied, broken := sampleWaiting(), sampleConnectors()[0], sampleSlack(ReconnectRequired)
	waits.WaitingFlow = "fl_sample"
	denied.Ended = &Ended{Code: "access_denied", DetailsURL: "/embed/token/flows/fl_1"}
	broken.Ended = &Ended{Code: "redirect_uri_rejected", DetailsURL: "/embed/token/flows/fl_2"}
	return []Connector{waits, denied, broken}
}

// sampleLong is a page of names that are long, or run the other way.
func sampleLong() Page {
	return Page{
		App:       App{ID: "acme", Name: "The Society for the Improvement of Remarkably Long Application Names"},
		User:      &User{ID: "9f8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f", Name: "نورة بنت عبدالعزيز الفيصل"},
		LogoutURL: "/logout",
		Trace:     sampleTrace,
	}
}

func sampleSlack(state string) Connector {
	c := Connector{
		ID: "slack", Type: "slack", Name: "Slack", Logo: "slack", Color: "#4a154b",
		Description: "Sends you a message when a note you follow changes.",
		Abilities:   []string{"See the channels you are in", "Post messages where you allow it"},
		State:       state, Ticket: "ticket-slack", StartURL: "/start",
	}
	if c.exists() {
		c.Account = "dana@example.com in Example Studio"
		c.DisconnectURL = "/apps/acme/connectors/slack/disconnect"
	}
	return c
}

// receiptConnector is not connected any more, but remembers its account.
func receiptConnector() Connector {
	c := sampleSlack(NotConnected)
	c.Account = "dana@example.com in Example Studio"
	return c
}

func sampleConnectors() []Connector {
	return []Connector{
		{
			ID: "cal", Type: "googlecalendar", Name: "Google Calendar", Logo: "googlecalendar", Color: "#4285f4",
			Description: "Shows your meetings next to your notes.",
			Abilities:   []string{"See your events and who is invited", "Add, change and remove events"},
			State:       Connected, Account: "dana@example.com", Ticket: "ticket-cal", StartURL: "/start",
			DisconnectURL: "/apps/acme/connectors/cal/disconnect",
		},
		sampleSlack(NotConnected),
		{
			ID: "github", Type: "github", Name: "GitHub", Logo: "github", Color: "#181717",
			Description: "Links notes to the issues they are about.",
			Abilities:   []string{"See your repositories", "See and comment on issues"},
			Missing:     []string{"Change issues"},
			State:       ReconnectRequired, Account: "danareyes", Ticket: "ticket-github", StartURL: "/start",
			DisconnectURL: "/apps/acme/connectors/github/disconnect",
		},
		{
			ID: "wrike", Type: "wrike", Name: "Wrike", Color: "#08cf65",
			Abilities: []string{"See your tasks"},
			State:     NotConnected, Ticket: "ticket-wrike", StartURL: "/start",
		},
		sampleWaitingBox(),
	}
}

func sampleWaitingBox() Connector {
	return Connector{
		ID: "box", Type: "box", Name: "Box", Color: "#0061d5",
		Description: "Attaches files to your notes.", Abilities: []string{"See and download your files"},
		State: Waiting, Ticket: "ticket-box", StartURL: "/start", CancelURL: "/flows/flow_2/cancel",
	}
}

func sampleWaiting() Connector {
	c := sampleSlack(Waiting)
	c.CancelURL, c.RefreshURL = "/flows/flow_1/cancel", "/apps/acme"
	return c
}

func sampleWaitingAgain() Connector {
	c := sampleConnectors()[2]
	c.State, c.Connected, c.CancelURL = Waiting, true, "/flows/flow_3/cancel"
	return c
}

func sampleParams(wrong bool) Connector {
	c := Connector{
		ID: "zendesk", Type: "zendesk", Name: "Helpdesk", Color: "#7a3ff2",
		Description: "Turns a note into a ticket.", Abilities: []string{"See and create tickets"},
		State: NotConnected, Ticket: "ticket-helpdesk", StartURL: "/start",
		Params: []Param{
			{Name: "subdomain", Label: "Your helpdesk’s name", Description: "The part before .helpdesk.example.", Example: "acme-support", Pattern: "[a-z0-9]+", Required: true},
			{Name: "region", Label: "Region", Value: "eu"},
		},
	}
	if wrong {
		c.ID, c.Name = "zendesk2", "Second helpdesk"
		c.Params[0].Value = "acme support!"
		c.Params[0].Error = "Use small letters and digits only."
	}
	return c
}

func sampleConnections() []Connection {
	since, used, ends := sampleTime.AddDate(0, -4, -11), sampleTime.Add(-41*time.Minute), sampleTime.AddDate(0, 2, 0)
	list := sampleConnectors()
	return []Connection{
		{
			Connector: list[0], ConnectedAt: &since, LastUsedAt: &used, ExpiresAt: &ends,
			Proofs: []string{"browser", "frame"}, Assurance: "app",
			Scopes: []string{"openid", "https://www.googleapis.com/auth/calendar.events"},
			History: []HistoryEntry{
				{At: used, Text: "Used by Acme Notes."},
				{At: since, Text: "Connected from inside Acme Notes."},
			},
		},
		{
			Connector: list[2], ConnectedAt: &since,
			Proofs: []string{"browser", "human"}, Assurance: "human",
			Scopes: []string{"repo", "read:user"},
			Reason: "GitHub says that the access was withdrawn there.",
		},
		{
			Connector: sampleSlack(Connected), ConnectedAt: &since, LastUsedAt: &used,
			Proofs: []string{"browser", "login"}, Assurance: "app",
		},
	}
}

func sampleLongConnectors() []Connector {
	list := sampleConnectors()
	list[0].Name = "Google Calendar for the Department of Extraordinarily Verbose Naming"
	list[0].Account = "dana.with.a.very.long.address.that.does.not.break@subdomain.of.a.long.domain.example.com"
	list[1].Name = "سلاك"
	list[1].Description = "يرسل إليك رسالة عندما تتغير ملاحظة تتابعها."
	list[2].ID = "a-connector-whose-id-is-sixty-characters-long-as-some-will-be"
	list[3].Name = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
	return list
}

func sampleLongConnections() []Connection {
	list := sampleConnections()
	for i, c := range sampleLongConnectors()[:3] {
		list[i].Name, list[i].Account = c.Name, or(c.Account, list[i].Account)
	}
	list[0].Scopes = append(list[0].Scopes, "https://www.example.com/auth/an.extremely.long.permission.name.that.nobody.can.read.aloud.in.one.breath")
	return list
}

func sampleResult(status, code string) ResultPage {
	p := ResultPage{
		Page:   Page{App: sampleApp, User: &sampleUser, LogoutURL: "/logout", Trace: sampleTrace},
		FlowID: "flow_1", Status: status, Code: code, Connector: sampleSlack(NotConnected),
		RefreshURL: "/flows/flow_1", AgainURL: "/apps/acme",
	}
	p.Connector.Ticket, p.Connector.StartURL = "", ""
	if code == "" {
		p.CancelURL = "/flows/flow_1/cancel"
		return p
	}
	p.ReturnURL = "https://app.acme.example/settings?flow=flow_1&status=" + status + "&code=" + code
	p.ListURL = "/apps/acme/settings"
	if status == "connected" || code == "account_mismatch" {
		p.Connector = sampleSlack(Connected)
		p.Connector.StartURL = ""
		p.DisconnectURL = p.Connector.DisconnectURL
		p.Abilities = p.Connector.Abilities
	}
	switch code {
	case "scopes_missing":
		p.Abilities, p.Missing = p.Abilities[:1], p.Abilities[1:]
	case "no_refresh_token":
		p.Missing = []string{"Lasting access, without asking you again"}
	case "account_mismatch":
		p.Reconnect, p.OtherAccount = true, "dana.reyes@private.example in Reyes Family"
	}
	return p
}
