package hostile

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"patchbay/connect"
	"patchbay/e2e/stack"
)

// confirm, row by row of contract section 7 step 4.
func TestConfirm(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	ask := func(user string) (flow, code string, dana *stack.Browser, callback string) {
		t.Helper()
		dana = s.Browser()
		back := dana.SignIn(s.Acme, user).Connect("github").Approve(user + "@example.com")
		q := back.Follow().WantStatus(http.StatusSeeOther).Query()
		return q.Get("flow"), q.Get("result_code"), dana, back.Location()
	}
	unchanged := func(flow string) {
		t.Helper()
		if f := s.Flow(flow); f.Status != connect.StatusVerifying || f.Sealed == nil {
			t.Errorf("the flow is %s", f.Status)
		}
		wantTokenCalls(t, s, 0)
	}
	t.Run("wrong codes change nothing", func(t *testing.T) {
		flow, code, _, _ := ask("u1")
		_, otherCode, _, _ := ask("u2")
		for _, wrong := range []string{"x", code + "A", code[:42], strings.ToLower(code), otherCode, flow, strings.Repeat("A", 43)} {
			s.Acme.Confirm(flow, wrong, "u1").Want(http.StatusForbidden, "forbidden")
			s.Acme.Confirm(flow, wrong, "mallory").Want(http.StatusForbidden, "forbidden")
		}
		s.Acme.Confirm(flow, "", "u1").Want(http.StatusBadRequest, "invalid_request")
		s.Acme.Confirm(flow, code, "").Want(http.StatusBadRequest, "invalid_request")
		s.Acme.Confirm("fl_"+strings.Repeat("A", 22), code, "u1").Want(http.StatusNotFound, "not_found")
		s.Other.Confirm(flow, code, "u1").Want(http.StatusNotFound, "not_found")
		unchanged(flow)
	})
	t.Run("before the browser returned", func(t *testing.T) {
		begun := s.Browser().SignIn(s.Acme, "u3").Connect("github")
		s.Acme.Confirm(begun.FlowID(), strings.Repeat("A", 43), "u3").Want(http.StatusForbidden, "forbidden")
		begun.Approve("u3@example.com").Rest().WantFlow("connected", "connected")
		if n := s.TokenCalls(); n != 1 {
			t.Errorf("%d token calls", n)
		}
	})
	s.Sandbox.ClearLog()
	t.Run("loading the callback again voids the code", func(t *testing.T) {
		flow, first, dana, callback := ask("u4")
		s.Advance(20 * time.Second)
		second := dana.Come(callback).WantStatus(http.StatusSeeOther).Query().Get("result_code")
		if first == second {
			t.Fatal("the same result code again")
		}
		s.Acme.Confirm(flow, first, "u4").Want(http.StatusForbidden, "forbidden")
		unchanged(flow)
		s.Advance(39 * time.Second)
		r := s.Acme.Confirm(flow, second, "u4").Want(http.StatusOK, "connected")
		if r.Text("flow") != flow || r.Text("status") != "connected" || r.Text("connection", "assurance") != "app" || r.Text("result_url") != s.URL+"/flows/"+flow {
			t.Errorf("confirm answers %s", r.Body)
		}
		s.Acme.Confirm(flow, second, "u4").Want(http.StatusConflict, "flow_finished")
		wantTokenCalls(t, s, 1)
		dana.Get("/flows/"+flow).WantFlow("connected", "connected")
	})
	t.Run("60 seconds of the last code", func(t *testing.T) {
		flow, _, dana, callback := ask("u9")
		s.Advance(59 * time.Second)
		second := dana.Come(callback).WantStatus(http.StatusSeeOther).Query().Get("result_code")
		s.Advance(59 * time.Second)
		// In time for us; the provider's own code is over by now.
		s.Acme.Confirm(flow, second, "u9").Want(http.StatusOK, "provider_error")
	})
	s.Sandbox.ClearLog()
	t.Run("60 seconds", func(t *testing.T) {
		flow, code, dana, callback := ask("u5")
		s.Advance(time.Minute)
		s.Acme.Confirm(flow, code, "u5").Want(http.StatusConflict, "flow_finished")
		dana.Come(callback).WantResult("expired", "expired")
		if state := s.Acme.FlowState(flow); state.Text("code") != "expired" {
			t.Errorf("the flow is %s", state.Body)
		}
		wantTokenCalls(t, s, 0)
	})
	t.Run("another browser loads the callback", func(t *testing.T) {
		flow, code, _, callback := ask("u6")
		s.Browser().Come(callback).WantError(http.StatusForbidden, "cookie_missing")
		unchanged(flow)
		s.Acme.Confirm(flow, code, "u6").Want(http.StatusOK, "connected") // and voided nothing
	})
	s.Sandbox.ClearLog()
	t.Run("the provider refuses", func(t *testing.T) {
		flow, code, _, _ := ask("u7")
		s.Advance(30 * time.Second)
		broken := s.Sandbox.RevokeAccount("u7@example.com") // nothing yet: the code is what has to die
		if broken != 0 {
			t.Fatalf("%d grants", broken)
		}
		s.Apply(strings.ReplaceAll(s.AppsYAML(""), "client_secret: "+stack.ClientSecret, "client_secret: wrong"))
		r := s.Acme.Confirm(flow, code, "u7").Want(http.StatusOK, "client_rejected")
		if r.Text("status") != "failed" || r.Value("connection") != nil {
			t.Errorf("confirm answers %s", r.Body)
		}
		s.Apply(s.AppsYAML(""))
	})
	t.Run("denied needs none", func(t *testing.T) {
		s.Browser().SignIn(s.Acme, "u8").Connect("github").Choose("deny", "").Follow().WantResult("denied", "access_denied")
	})
}

// Another account than the one already linked.
func TestSecurity23_AccountMismatch(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		for _, connector := range []string{"github", "googlecalendar", "slack"} {
			dana := s.Browser()
			dana.Flow(a, "dana", connector, "first@example.com").WantFlow("connected", "connected")
			before := a.Token("dana", connector).Want(http.StatusOK, "")
			begun := dana.Get("/apps/" + a.ID).Connect(connector)
			s.Sandbox.ClearLog()
			result := begun.Approve("second@example.com").Rest().WantFlow("failed", "account_mismatch")
			if result.Field("account") == "" || result.Field("other_account") == "" || result.Field("account") == result.Field("other_account") {
				t.Errorf("%s: the page names %q and %q, want both accounts", connector, result.Field("account"), result.Field("other_account"))
			}
			if !result.Has("reconnect") || !result.Has("disconnect") {
				t.Errorf("%s: the page must offer to reconnect, and to disconnect first", connector)
			}
			after := a.Token("dana", connector).Want(http.StatusOK, "")
			if after.Text("access_token") != before.Text("access_token") || after.Text("account", "id") != before.Text("account", "id") {
				t.Errorf("%s: the old connection changed", connector)
			}
			if s.Sandbox.Calls(connector, "/revoke") == 0 && !revokedByPath(s, connector) {
				t.Errorf("%s: the fresh grant was not revoked: %v", connector, s.Sandbox.Log())
			}
			if alive := s.Sandbox.RevokeAccount("second@example.com"); alive != 0 {
				t.Errorf("%s: %d grants of the second account live on", connector, alive)
			}
			if alive := s.Sandbox.RevokeAccount("first@example.com"); alive != 1 {
				t.Errorf("%s: %d grants of the first account lived, want 1", connector, alive)
			}
		}
	})
}

func revokedByPath(s *stack.Stack, typ string) bool {
	for _, r := range s.Sandbox.Log() {
		if r.Type == typ && strings.Contains(r.Path, "revoke") {
			return true
		}
	}
	return false
}

// Two users link the same provider account: two rows, and ending one leaves the other.
func TestSecurity24_SharedProviderAccount(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	for _, connector := range []string{"github", "slack"} {
		s.Browser().Flow(s.Acme, "dana", connector, "family@example.com").WantFlow("connected", "connected")
		s.Browser().Flow(s.Acme, "sam", connector, "family@example.com").WantFlow("connected", "connected")
		dana, sam := s.Acme.Token("dana", connector).Want(http.StatusOK, ""), s.Acme.Token("sam", connector).Want(http.StatusOK, "")
		if dana.Text("access_token") == sam.Text("access_token") {
			t.Errorf("%s: two users share a token", connector)
		}
		s.Acme.Disconnect("dana", connector).Want(http.StatusOK, "")
		s.Acme.Token("dana", connector).Want(http.StatusNotFound, "not_connected")
		if again := s.Acme.Token("sam", connector).Want(http.StatusOK, ""); again.Text("access_token") != sam.Text("access_token") {
			t.Errorf("%s: the other's connection changed", connector)
		}
	}
	// Where a revocation would end the other's grant too, the page says so beforehand.
	dana := s.Browser()
	dana.Flow(s.Acme, "dana", "googlecalendar", "family@example.com").WantFlow("connected", "connected")
	alone := dana.Get("/apps/acme/connectors/googlecalendar/disconnect").WantStatus(http.StatusOK).Doc.Find("main").Text()
	s.Browser().Flow(s.Acme, "sam", "googlecalendar", "family@example.com").WantFlow("connected", "connected")
	shared := dana.Get("/apps/acme/connectors/googlecalendar/disconnect").WantStatus(http.StatusOK)
	if shared.Doc.Find("main").Text() == alone {
		t.Error("the page does not say that others are touched")
	}
	wantSilent(t, shared, "sam")
}

func TestOutcomes(t *testing.T) {
	for _, c := range []struct{ scenario, connector, status, code string }{
		{"approve", "github", "connected", "connected"},
		{"deny", "github", "denied", "access_denied"},
		{"fewer_scopes", "googlecalendar", "connected", "scopes_missing"},
		{"no_refresh_token", "googlecalendar", "connected", "no_refresh_token"},
		{"rotating", "googlecalendar", "connected", "connected"},
		{"token_500_once", "github", "failed", "provider_unavailable"},
		{"wrong_iss", "slack", "failed", "issuer_mismatch"},
		{"other_account", "slack", "connected", "connected"},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
				result := s.Browser().SignIn(a, "dana").Connect(c.connector).Choose(c.scenario, "dana@example.com").Rest().WantFlow(c.status, c.code)
				state := a.FlowState(result.FlowID()).Want(http.StatusOK, c.code)
				if state.Text("status") != c.status || state.Text("connector") != c.connector || state.Text("mode") != "redirect" {
					t.Errorf("the flow is %s", state.Body)
				}
				if c.status != "connected" {
					a.Token("dana", c.connector).Want(http.StatusNotFound, "not_connected")
					wantRows(t, s, a, 0)
					return
				}
				want := map[bool]string{true: "app", false: "human"}[a.VerifyURL != ""]
				if got := state.Text("assurance"); got != want || state.Text("connection", "assurance") != want {
					t.Errorf("assurance %q, want %q: %s", got, want, state.Body)
				}
				a.Token("dana", c.connector).Want(http.StatusOK, "")
				if c.code == "scopes_missing" {
					if missing, _ := a.Token("dana", c.connector).Value("missing_scopes").([]any); len(missing) != 1 {
						t.Errorf("missing_scopes %v", missing)
					}
				}
			})
		})
	}
}

// A denied or failed reconnect leaves the old connection as it was.
func TestFailedReconnect(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		dana.Flow(a, "dana", "github", "dana@example.com").WantFlow("connected", "connected")
		before := s.Rows(a)[0]
		for _, scenario := range []string{"deny", "wrong_iss", "token_500_once"} {
			dana.Get("/apps/"+a.ID).Connect("github").Choose(scenario, "dana@example.com").Rest().WantStatus(http.StatusOK)
			after := s.Rows(a)[0]
			if after.Generation != before.Generation || after.ID != before.ID || !bytes.Equal(after.Sealed, before.Sealed) || after.Status != before.Status {
				t.Errorf("%s changed the connection", scenario)
			}
		}
		a.Token("dana", "github").Want(http.StatusOK, "")
	})
}

// A provider that posts its answer: the browser brings no cookie with it.
func TestFormPost(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		form := dana.SignIn(a, "dana").Connect("github").Choose("form_post", "dana@example.com").WantStatus(http.StatusOK)
		parked := form.Submit("continue").WantStatus(http.StatusSeeOther)
		wantNoCookie(t, parked.Header)
		to, _ := url.Parse(parked.Location())
		for _, name := range []string{"code", "state", "iss"} {
			if to.Query().Has(name) {
				t.Errorf("the address of the GET has %s", name)
			}
		}
		wantTokenCalls(t, s, 0)
		t.Run("another browser", func(t *testing.T) {
			again := form.Submit("continue").WantStatus(http.StatusSeeOther)
			s.Browser().Come(again.Location()).WantError(http.StatusForbidden, "cookie_missing")
		})
		t.Run("another connector", func(t *testing.T) {
			again := form.Submit("continue").WantStatus(http.StatusSeeOther)
			dana.Come(strings.Replace(again.Location(), "/github", "/slack", 1)).WantError(http.StatusBadRequest, "state_unknown")
		})
		t.Run("after 60 seconds", func(t *testing.T) {
			again := form.Submit("continue").WantStatus(http.StatusSeeOther)
			s.Advance(time.Minute)
			dana.Come(again.Location()).WantError(http.StatusBadRequest, "state_unknown")
		})
		t.Run("with more in the query", func(t *testing.T) {
			again := form.Submit("continue").WantStatus(http.StatusSeeOther)
			for _, more := range []string{"&code=x", "&state=x", "&posted=x"} {
				dana.Come(again.Location()+more).WantError(http.StatusBadRequest, "state_unknown")
			}
		})
		t.Run("unknown state is not kept", func(t *testing.T) {
			address, fields := form.Form("continue")
			fields.Set("state", strings.Repeat("A", 43))
			dana.NewRequest(form.URL, false, http.MethodPost, address, fields).Send().WantError(http.StatusBadRequest, "state_unknown")
		})
		s.WantNothingLinked(t)
		fresh := dana.Get("/apps/"+a.ID).Connect("github").Choose("form_post", "dana@example.com").Submit("continue")
		s.Browser().Come(fresh.Location()).WantError(http.StatusForbidden, "cookie_missing") // and uses nothing up
		fresh.Rest().WantFlow("connected", "connected")
		dana.Come(fresh.Location()).WantError(http.StatusBadRequest, "state_unknown") // its id worked once
		wantTokenCalls(t, s, 1)
	})
}

// An app that demands assurance app without a way to reach it refuses at every door.
func TestMinAssurance(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	for _, mode := range []string{"redirect", "link"} {
		fields := stack.SessionFields(mode, "dana", map[string]any{"connectors": []string{"github"}})
		s.Strict.Call(http.MethodPost, "connect-sessions", fields, stack.Bearer(s.Strict.Sessions)).Want(http.StatusForbidden, "assurance_too_low")
	}
	s.Strict.Initiate("dana", "github").Want(http.StatusForbidden, "assurance_too_low")

	// The demand grows while flows are under way.
	stricter := strings.Replace(s.AppsYAML(""), "name: Human Notes", "name: Human Notes\n    min_assurance: app", 1)
	dana := s.Browser()
	list := dana.SignIn(s.Human, "dana")
	back := list.Connect("github").Approve("dana@example.com")
	s.Apply(stricter)
	back.Follow().WantResult("failed", "assurance_too_low")
	over := list.In("slack").Submit("connect").WantFlow("failed", "assurance_too_low") // without a way to the provider
	if over.Has("continue") || s.Flow(over.FlowID()).Status != connect.StatusFailed {
		t.Error("a flow that can only fail goes on")
	}
	s.WantNothingLinked(t)

	// An app that loses its verify_url while its users are on the way.
	s.Apply(s.AppsYAML(""))
	asked := dana.SignIn(s.Acme, "dana").Connect("github").Approve("dana@example.com")
	begun := dana.Get("/apps/acme").Connect("slack").Approve("dana@example.com")
	asked.Follow().WantStatus(http.StatusSeeOther)
	s.Apply(strings.Replace(s.AppsYAML(""), `    verify_url: "`+s.Acme.VerifyURL+`"`+"\n", "", 1))
	begun.Follow().WantResult("failed", "assurance_too_low")
	asked.Follow().WantResult("failed", "assurance_too_low")
	s.WantNothingLinked(t)
}

func TestSessionTickets(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	gone := func(p *stack.Page) {
		t.Helper()
		p.WantError(http.StatusGone, "expired")
	}
	t.Run("once", func(t *testing.T) {
		cs := s.Acme.Session("dana")
		b := s.Browser()
		b.Enter(cs)
		gone(b.Come(cs.URL))
		gone(s.Browser().Come(cs.URL))
	})
	t.Run("raced", func(t *testing.T) {
		cs := s.Acme.Session("dana")
		requests := make([]*stack.Request, 20)
		for i := range requests {
			requests[i] = s.Browser().NewRequest(nil, true, http.MethodGet, cs.URL, nil)
		}
		pages := make([]*stack.Page, len(requests))
		together(len(requests), func(i int) { pages[i], _ = requests[i].TrySend() })
		in := 0
		for _, p := range pages {
			if p.Status == http.StatusSeeOther {
				in++
			} else {
				gone(p)
			}
		}
		if in != 1 {
			t.Errorf("one ticket opened %d sessions", in)
		}
	})
	t.Run("5 minutes", func(t *testing.T) {
		cs, late := s.Acme.Session("dana"), s.Acme.Session("dana")
		s.Advance(5*time.Minute - time.Second)
		s.Browser().Enter(cs)
		s.Advance(time.Second)
		gone(s.Browser().Come(late.URL))
	})
	t.Run("prefetch", func(t *testing.T) {
		cs := s.Acme.Session("dana")
		for _, purpose := range []string{"prefetch", "prefetch;prerender", "prefetch;anonymous-client-ip"} {
			r := s.Browser().NewRequest(nil, true, http.MethodGet, cs.URL, nil)
			r.Header.Set("Sec-Purpose", purpose)
			p := r.Send()
			wantNoCookie(t, p.Header)
			wantSilent(t, p, "dana")
		}
		s.Browser().Enter(cs)
	})
	t.Run("deleted", func(t *testing.T) {
		cs := s.Acme.Session("dana")
		entered := s.Acme.Session("dana")
		b := s.Browser()
		list := b.Enter(entered)
		s.Acme.Call(http.MethodGet, "app-user-auth/connectors", nil, stack.Bearer(cs.Token)).Want(http.StatusOK, "")
		child := s.Acme.Call(http.MethodPost, "app-user-auth/connectors/github/initiate", nil, stack.Bearer(cs.Token)).Want(http.StatusOK, "").Text("redirect_url")
		for _, id := range []string{cs.ID, entered.ID} {
			s.Acme.Call(http.MethodDelete, "connect-sessions/"+id, nil, stack.Bearer(s.Acme.Sessions)).Want(http.StatusNoContent, "")
		}
		gone(s.Browser().Come(cs.URL))
		s.Acme.Call(http.MethodGet, "app-user-auth/connectors", nil, stack.Bearer(cs.Token)).Want(http.StatusUnauthorized, "unauthorized")
		gone(s.Browser().Come(child))
		list.In("github").Submit("connect").WantError(http.StatusConflict, "expired")
		s.Other.Call(http.MethodDelete, "connect-sessions/"+cs.ID, nil, stack.Bearer(s.Other.Sessions)).Want(http.StatusNotFound, "not_found")
	})
	t.Run("switch", func(t *testing.T) {
		b := s.Browser()
		b.SignIn(s.Acme, "dana")
		cs := s.Acme.Session("sam")
		page := b.Come(cs.URL).WantStatus(http.StatusOK)
		wantNoCookie(t, page.Header)
		if !strings.Contains(page.Body, "dana") || !strings.Contains(page.Body, "sam") || !page.Has("switch") {
			t.Error("the page does not name both users and offer to switch")
		}
		b.Get("/apps/acme").WantStatus(http.StatusOK)
		if user := b.Get("/apps/acme").Field("user"); user != "dana" {
			t.Errorf("before the switch the browser is %s", user)
		}
		other := s.Browser() // the same ticket elsewhere: not used up by looking at it
		other.Come(cs.URL).WantStatus(http.StatusSeeOther)
		gone(page.Submit("switch"))
		page = b.Come(s.Acme.Session("sam").URL).WantStatus(http.StatusOK)
		page.Submit("switch").WantStatus(http.StatusSeeOther).Follow()
		if user := b.Get("/apps/acme").Field("user"); user != "sam" {
			t.Errorf("after the switch the browser is %s", user)
		}
	})
	t.Run("same user", func(t *testing.T) {
		b := s.Browser()
		b.SignIn(s.Acme, "dana")
		b.Enter(s.Acme.Session("dana"))
	})
	t.Run("token lives 15 minutes", func(t *testing.T) {
		cs := s.Acme.Session("dana")
		call := func() stack.Answer {
			return s.Acme.Call(http.MethodGet, "app-user-auth/connectors", nil, stack.Bearer(cs.Token))
		}
		s.Advance(15*time.Minute - time.Second)
		call().Want(http.StatusOK, "")
		s.Advance(time.Second)
		call().Want(http.StatusUnauthorized, "unauthorized")
	})
}

// DELETE users ends everything, also when asked about somebody unknown.
func TestDeleteUser(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		for _, connector := range []string{"github", "slack"} {
			dana.Flow(a, "dana", connector, "dana@example.com").WantFlow("connected", "connected")
		}
		s.Browser().Flow(a, "sam", "github", "sam@example.com").WantFlow("connected", "connected")
		underWay := dana.Get("/apps/" + a.ID).Connect("googlecalendar").Approve("dana@example.com")
		link, session := a.Link("dana", "github"), a.Session("dana")
		remove := func(user string) stack.Answer {
			return a.Call(http.MethodDelete, "users/"+user, nil, stack.Bearer(a.Sessions)).Want(http.StatusOK, "")
		}
		if r := remove("dana"); r.Value("removed") != 2.0 {
			t.Errorf("removed: %s", r.Body)
		}
		if alive := s.Sandbox.RevokeAccount("dana@example.com"); alive != 0 {
			t.Errorf("%d grants live on at the provider", alive)
		}
		calls := s.TokenCalls()
		underWay.Follow().WantError(http.StatusBadRequest, "state_unknown")
		dana.Get("/apps/" + a.ID).WantStatus(http.StatusUnauthorized)
		s.Browser().Come(link.URL).WantError(http.StatusGone, "expired")
		s.Browser().Come(session.URL).WantError(http.StatusGone, "expired")
		a.Call(http.MethodGet, "app-user-auth/connectors", nil, stack.Bearer(session.Token)).Want(http.StatusUnauthorized, "unauthorized")
		a.Token("dana", "github").Want(http.StatusNotFound, "not_connected")
		wantTokenCalls(t, s, calls)
		for _, user := range []string{"dana", "nobody", "DANA"} {
			if r := remove(user); r.Value("removed") != 0.0 {
				t.Errorf("removed: %s", r.Body)
			}
		}
		a.Token("sam", "github").Want(http.StatusOK, "")
		wantRows(t, s, a, 1)
		// The same id again is somebody new.
		list := s.Browser().SignIn(a, "dana")
		if list.State("github") != "not_connected" {
			t.Errorf("the new dana sees %s", list.State("github"))
		}
	})
}

// Disconnect twice, and at a provider that already knows.
func TestDisconnectTwice(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	s.Browser().Flow(s.Acme, "dana", "github", "dana@example.com").WantFlow("connected", "connected")
	first := s.Acme.Disconnect("dana", "github").Want(http.StatusOK, "")
	if first.Value("removed") != true || first.Text("revoked") != "yes" {
		t.Errorf("the first: %s", first.Body)
	}
	second := s.Acme.Disconnect("dana", "github").Want(http.StatusOK, "")
	if second.Value("removed") != false || second.Text("revoked") != "unsupported" {
		t.Errorf("the second: %s", second.Body)
	}
	s.Browser().Flow(s.Acme, "dana", "github", "dana@example.com").WantFlow("connected", "connected")
	s.Sandbox.RevokeAccount("dana@example.com")
	if third := s.Acme.Disconnect("dana", "github"); third.Text("revoked") != "yes" {
		t.Errorf("already dead at the provider: %s", third.Body)
	}
}

// A callback whose connector was removed by an apply tells nothing and links nothing.
func TestConnectorGone(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	extra := s.ConnectorYAML("passing", "github", "client-of-acme")
	s.Apply(s.AppsYAML(extra))
	back := s.Browser().SignIn(s.Acme, "dana").Connect("passing").Approve("dana@example.com")
	s.Apply(s.AppsYAML(""))
	if p := back.Follow(); p.Status/100 != 4 {
		t.Errorf("the callback answers %d %s", p.Status, p.FlowCode())
	}
	s.WantNothingLinked(t)
}
