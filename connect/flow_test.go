package connect_test

import (
	"net/url"
	"sync"
	"testing"
	"time"

	"patchbay/connect"
)

func TestFlowConnects(t *testing.T) {
	for _, typ := range []string{"github", "googlecalendar", "slack"} {
		t.Run(typ, func(t *testing.T) {
			f := newFixture(t)
			f.apply(f.app("acme", typ))
			flow := f.connect("acme", typ, "dana", "approve")
			if flow.Status != connect.StatusConnected || flow.Code != connect.CodeConnected {
				t.Fatalf("the flow ended %s, %s", flow.Status, flow.Code)
			}
			got, err := f.token("acme", typ, "dana")
			must(t, err)
			if got.AccessToken.IsZero() || got.Connection.Account.ID == "" {
				t.Errorf("token %v, account %+v", got.AccessToken, got.Connection.Account)
			}
			conn, err := f.UserConnection(t.Context(), "acme", typ, "dana")
			must(t, err)
			if conn.Assurance != connect.AssuranceHuman {
				t.Errorf("assurance %s", conn.Assurance)
			}
			if n := f.sandbox.Calls(typ, "/token"); n != 1 {
				t.Errorf("%d calls of the token endpoint", n)
			}
		})
	}
}

func TestFlowOutcomes(t *testing.T) {
	for _, test := range []struct {
		scenario string
		status   connect.Status
		code     connect.Code
	}{
		{"deny", connect.StatusDenied, connect.CodeAccessDenied},
		{"fewer_scopes", connect.StatusConnected, connect.CodeScopesMissing},
		{"no_refresh_token", connect.StatusConnected, connect.CodeNoRefreshToken},
		{"token_500_once", connect.StatusFailed, connect.CodeProviderUnavailable},
		{"wrong_iss", connect.StatusFailed, connect.CodeIssuerMismatch},
	} {
		t.Run(test.scenario, func(t *testing.T) {
			f := newFixture(t)
			f.apply(f.app("acme", "googlecalendar"))
			flow := f.connect("acme", "googlecalendar", "dana", test.scenario)
			if flow.Status != test.status || flow.Code != test.code {
				t.Errorf("ended %s, %s; want %s, %s", flow.Status, flow.Code, test.status, test.code)
			}
		})
	}
}

func TestAnotherAccountLeavesTheOldOne(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "github"))
	f.connect("acme", "github", "dana", "approve")
	before, err := f.token("acme", "github", "dana")
	must(t, err)

	flow := f.connect("acme", "github", "dana", "other_account")
	if flow.Code != connect.CodeAccountMismatch {
		t.Fatalf("ended %s", flow.Code)
	}
	if flow.Detail.Account != "dana@sandbox.example" || flow.Detail.OtherAccount != "other-dana@sandbox.example" || flow.Detail.FreshGrant != "yes" {
		t.Errorf("detail %+v", flow.Detail)
	}
	after, err := f.token("acme", "github", "dana")
	must(t, err)
	if after.AccessToken != before.AccessToken {
		t.Error("the old token was replaced")
	}
}

func TestFirstToConnectSupersedesTheOthers(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "github"))
	first, answer := f.begin("acme", "github", "dana", "approve", "dana@sandbox.example")
	second, secondAnswer := f.begin("acme", "github", "dana", "approve", "dana@sandbox.example")
	f.finish(second, secondAnswer)
	late := f.finish(first, answer)
	if late.Status != connect.StatusSuperseded {
		t.Errorf("the other flow is %s", late.Status)
	}
	if n := f.sandbox.Calls("github", "/token"); n != 1 {
		t.Errorf("%d calls of the token endpoint", n)
	}
}

func TestFlowExpires(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "github"))
	begun, answer := f.begin("acme", "github", "dana", "approve", "dana@sandbox.example")
	f.advance(connect.FlowLife)
	if flow := f.finish(begun, answer); flow.Code != connect.CodeExpired {
		t.Errorf("ended %s, %s", flow.Status, flow.Code)
	}
	if n := f.sandbox.Calls("github", "/token"); n != 0 {
		t.Errorf("%d calls of the token endpoint", n)
	}
}

func TestStartTicketWorksOnceAndNotForever(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "github"))
	ctx := t.Context()
	made, err := f.CreateSession(ctx, "acme", connect.SessionRequest{
		Mode: connect.ModeLink, User: connect.EndUser{ID: "dana"}, Connectors: []string{"github"}, ExpiresIn: time.Hour})
	must(t, err)
	text := f.LinkStartTicket(&made.Session)
	grant, err := f.CheckTicket(ctx, text, nil)
	must(t, err)
	_, err = f.Start(ctx, grant, nil)
	must(t, err)
	_, err = f.Start(ctx, grant, nil)
	wantCode(t, err, connect.CodeExpired)

	for i := range text {
		broken := []byte(text)
		broken[i] ^= 1
		if _, err := f.CheckTicket(ctx, string(broken), nil); err == nil {
			t.Fatalf("a ticket with byte %d changed is good", i)
		}
	}
	fresh := f.LinkStartTicket(&made.Session)
	f.advance(15 * time.Minute)
	_, err = f.CheckTicket(ctx, fresh, nil)
	wantCode(t, err, connect.CodeExpired)
}

func TestConfirmByTheAppIsNeededBeforeTheExchange(t *testing.T) {
	f := newFixture(t)
	app := f.app("acme", "github")
	app.VerifyURL = "https://app.example/verify?from=patchbay"
	f.apply(app)
	begun, answer := f.begin("acme", "github", "dana", "approve", "dana@sandbox.example")
	back, err := f.Return(t.Context(), connect.ReturnRequest{
		App: "acme", Connector: "github", Query: answer, TopLevel: true, Cookie: func(string) string { return begun.Cookie }})
	must(t, err)
	to, err := url.Parse(back.Location)
	must(t, err)
	q := to.Query()
	if to.Host != "app.example" || q.Get("from") != "patchbay" || q.Get("flow") != begun.Flow.ID {
		t.Fatalf("sent to %s", back.Location)
	}
	if n := f.sandbox.Calls("github", "/token"); n != 0 {
		t.Fatalf("%d calls of the token endpoint before confirm", n)
	}
	_, err = f.Confirm(t.Context(), "acme", begun.Flow.ID, "guess", "dana")
	wantCode(t, err, connect.CodeForbidden)
	done, err := f.Confirm(t.Context(), "acme", begun.Flow.ID, q.Get("result_code"), "dana")
	must(t, err)
	if done.Status != connect.StatusConnected || connect.AssuranceOf(done.Proofs) != connect.AssuranceApp {
		t.Errorf("ended %s with proofs %v", done.Status, done.Proofs)
	}
	_, err = f.Confirm(t.Context(), "acme", begun.Flow.ID, q.Get("result_code"), "dana")
	wantCode(t, err, connect.CodeFlowFinished)
}

func TestCallbackRacedIsExchangedOnce(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "github"))
	begun, answer := f.begin("acme", "github", "dana", "approve", "dana@sandbox.example")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			back, err := f.Return(t.Context(), connect.ReturnRequest{
				App: "acme", Connector: "github", Query: answer, TopLevel: true, Cookie: func(string) string { return begun.Cookie }})
			if err != nil || back.Flow.Status != connect.StatusConnected {
				t.Errorf("%s, %v", back.Flow.Status, err)
			}
		})
	}
	wg.Wait()
	if n := f.sandbox.Calls("github", "/token"); n != 1 {
		t.Errorf("%d calls of the token endpoint", n)
	}
}
