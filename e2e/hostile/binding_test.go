package hostile

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"patchbay/connect"
	"patchbay/e2e/stack"
)

// Mallory begins, Victor finishes: his account must not land on her.
func TestSecurity01_ForwardedAuthorizeAddress(t *testing.T) {
	everyWay(t, func(t *testing.T, s *stack.Stack, _ *stack.App, begin func(*stack.Browser, string) *stack.Page) {
		sent := begin(s.Browser(), "mallory").Href("continue")
		page := s.Browser().Come(sent).Submit("approve", "account", "victor@example.com").Follow()
		page.WantError(http.StatusForbidden, "cookie_missing")
		wantNoCookie(t, page.Header)
		s.WantNothingLinked(t)
	})
}

// What Mallory can forward before the provider: a link, a session's address, the post
// that begins. None leads Victor's browser to the provider with his own account, or
// what it leads to is refused before the exchange.
func TestSecurity02_ForwardedStart(t *testing.T) {
	t.Parallel()
	t.Run("start", func(t *testing.T) {
		t.Parallel()
		s := stack.New(t)
		to, form := s.Browser().SignIn(s.Acme, "mallory").In("github").Form("connect")
		victor := s.Browser()
		from, _ := url.Parse(s.URL + "/apps/acme")
		page := victor.NewRequest(from, false, http.MethodPost, to, form).Send()
		page.WantError(http.StatusConflict, "expired")
		wantNoCookie(t, page.Header)
		if page.Has("continue") {
			t.Error("the refusal leads to the provider")
		}
		s.WantNothingLinked(t)
	})
	t.Run("link, app proof", func(t *testing.T) {
		t.Parallel()
		s := stack.New(t)
		link := s.Acme.Link("mallory", "github").URL
		victor := s.Browser().AtApp(s.Acme, "victor")
		end := victor.Come(link).Connect("github").Approve("victor@example.com").Follow()
		flow := end.Query().Get("flow")
		if to := end.Location(); !strings.HasPrefix(to, s.Acme.VerifyURL+"?") {
			t.Fatalf("after the provider the app is asked, but the browser is sent to %q", to)
		}
		end.Rest().WantStatus(http.StatusForbidden)
		if f := s.Flow(flow); f.Status != connect.StatusFailed || f.Code != connect.CodeUserMismatch || f.Sealed != nil {
			t.Errorf("the flow is %s %s, its secrets %d bytes; want failed user_mismatch without secrets", f.Status, f.Code, len(f.Sealed))
		}
		s.WantNothingLinked(t)
	})
	t.Run("link, human proof, no press", func(t *testing.T) {
		t.Parallel()
		s := stack.New(t)
		made := s.Human.Link("mallory", "github", map[string]any{"user": map[string]any{"id": "m-1", "email": "mallory@example.com", "name": "Victor"}})
		page := s.Browser().Come(made.URL).Connect("github")
		if got := page.Field("user"); got != "mallory@example.com" {
			t.Errorf("the page names %q, want the e-mail address that the app gave", got)
		}
		if n := page.Doc.Find(`meta[http-equiv="refresh"]`).Length(); n != 0 {
			t.Error("the page goes on by itself")
		}
		if !page.Has("not_me") {
			t.Error("the page offers no way to say that this is somebody else")
		}
		if log := s.Sandbox.Log(); len(log) != 0 {
			t.Errorf("the provider was reached: %v", log)
		}
		page.Submit("not_me").WantResult("canceled", "canceled")
		if !strings.Contains(s.Log.String(), "security.not_me") {
			t.Error("the security event is not in the log")
		}
		s.WantNothingLinked(t)
	})
}

// A session of Victor's own does not help: nothing is quietly bound to him.
func TestSecurity03_ForwardedToSomebodySignedIn(t *testing.T) {
	t.Parallel()
	t.Run("authorize address", func(t *testing.T) {
		everyWay(t, func(t *testing.T, s *stack.Stack, a *stack.App, begin func(*stack.Browser, string) *stack.Page) {
			sent := begin(s.Browser(), "mallory").Href("continue")
			victor := s.Browser()
			list := victor.SignIn(a, "victor")
			victor.Come(sent).Submit("approve", "account", "victor@example.com").Follow().WantError(http.StatusForbidden, "cookie_missing")
			if state := victor.Get(list.URL.String()).State("github"); state != "not_connected" {
				t.Errorf("Victor's list shows %s", state)
			}
			s.WantNothingLinked(t)
		})
	})
	t.Run("link", func(t *testing.T) {
		bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
			link := a.Link("mallory", "github").URL
			victor := s.Browser()
			victor.SignIn(a, "victor")
			page := victor.Come(link)
			page.WantError(http.StatusForbidden, "user_mismatch")
			if page.Has("connect") || !page.Has("logout") {
				t.Error("the page must offer to end the session and nothing else")
			}
			wantSilent(t, page, "mallory")
			// Signing out leads back to the link, now as nobody.
			page.Submit("logout").WantStatus(http.StatusSeeOther).Follow().WantStatus(http.StatusOK).In("github")
			s.WantNothingLinked(t)
		})
	})
	t.Run("link page was open before", func(t *testing.T) {
		t.Parallel()
		s := stack.New(t)
		victor := s.Browser()
		page := victor.Come(s.Acme.Link("mallory", "github").URL).WantStatus(http.StatusOK)
		victor.SignIn(s.Acme, "victor")
		page.In("github").Submit("connect").WantError(http.StatusForbidden, "user_mismatch")
		s.WantNothingLinked(t)
	})
	t.Run("start", func(t *testing.T) {
		t.Parallel()
		s := stack.New(t)
		to, form := s.Browser().SignIn(s.Acme, "mallory").In("github").Form("connect")
		victor := s.Browser()
		list := victor.SignIn(s.Acme, "victor")
		victor.NewRequest(list.URL, false, http.MethodPost, to, form).Send().WantError(http.StatusConflict, "expired")
		if n := s.OpenFlows(s.Acme, "mallory") + s.OpenFlows(s.Acme, "victor"); n != 0 {
			t.Errorf("%d flows were begun", n)
		}
		s.WantNothingLinked(t)
	})
}

func TestSecurity04_ComputedCookies(t *testing.T) {
	everyWay(t, func(t *testing.T, s *stack.Stack, _ *stack.App, begin func(*stack.Browser, string) *stack.Page) {
		started := begin(s.Browser(), "mallory")
		sent := started.Href("continue")
		callback := s.Browser().Come(sent).Submit("approve", "account", "victor@example.com").Location()
		state, flow := query(t, sent, "state"), started.FlowID()
		at := strconv.FormatInt(s.Clock.Now().Unix(), 36)
		sum := sha256.Sum256([]byte(state))
		weak := md5.Sum([]byte(state))
		values := []string{
			"", "1", "true", ".", state, flow, at + ".", at + "." + state, at + "." + flow, at + ".1",
			hex.EncodeToString(sum[:]), base64.RawURLEncoding.EncodeToString(sum[:]), at + "." + hex.EncodeToString(sum[:]),
			at + "." + base64.RawURLEncoding.EncodeToString(sum[:]), hex.EncodeToString(weak[:]),
			at + "." + query(t, sent, "code_challenge"), at + "." + strings.Repeat("A", 43), "?",
		}
		for _, value := range values {
			victor := s.Browser()
			for _, name := range []string{flow, state, "", "1"} {
				victor.SetCookie("patchbay_flow_"+name, value)
			}
			victor.SetCookie("patchbay_session", value)
			page := victor.Come(callback)
			if page.Status != http.StatusForbidden || !slices.Contains([]string{"browser_mismatch", "cookie_missing"}, page.FlowCode()) {
				t.Errorf("cookie value %q: %d %s", value, page.Status, page.FlowCode())
			}
			victor.Get("/flows/" + flow).WantStatus(http.StatusNotFound)
		}
		s.WantNothingLinked(t)
	})
}

// Login CSRF: Victor is made to finish what Mallory began.
func TestSecurity05_CodeDeliveredToAnotherBrowser(t *testing.T) {
	everyWay(t, func(t *testing.T, s *stack.Stack, a *stack.App, begin func(*stack.Browser, string) *stack.Page) {
		callback := begin(s.Browser(), "mallory").Approve("mallory@example.com").Location()
		clean := s.Browser()
		clean.Come(callback).WantError(http.StatusForbidden, "cookie_missing")
		busy := s.Browser()
		begin(busy, "victor") // a flow of his own is under way
		busy.Come(callback).WantError(http.StatusForbidden, "browser_mismatch")
		s.WantNothingLinked(t)
		if list := s.Browser().SignIn(a, "victor"); list.State("github") != "waiting" {
			t.Errorf("Victor's list shows %s, want his own flow waiting", list.State("github"))
		}
	})
}

func TestSecurity06_NeverConfirmed(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	asked := s.Browser().SignIn(s.Acme, "dana").Connect("github").Approve("dana@example.com").Follow()
	flow := asked.Query().Get("flow")
	if f := s.Flow(flow); f.Status != connect.StatusVerifying || f.Sealed == nil {
		t.Fatalf("the flow is %s, want verifying with the code kept", f.Status)
	}
	s.Acme.Token("dana", "github").Want(http.StatusNotFound, "not_connected")
	s.Advance(time.Minute)
	s.Acme.Confirm(flow, asked.Query().Get("result_code"), "dana").Want(http.StatusConflict, "flow_finished")
	if f := s.Flow(flow); f.Status != connect.StatusExpired || f.Code != connect.CodeExpired || f.Sealed != nil {
		t.Errorf("the flow is %s %s with %d bytes of secrets, want expired without", f.Status, f.Code, len(f.Sealed))
	}
	s.Acme.Token("dana", "github").Want(http.StatusNotFound, "not_connected")
	s.WantNothingLinked(t)

	t.Run("nobody looks", func(t *testing.T) {
		asked := s.Browser().SignIn(s.Acme, "sam").Connect("github").Approve("sam@example.com").Follow()
		s.Advance(61 * time.Second)
		if err := s.Service.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f := s.Flow(asked.Query().Get("flow")); f.Status != connect.StatusExpired || f.Sealed != nil {
			t.Errorf("after the sweep the flow is %s with %d bytes of secrets", f.Status, len(f.Sealed))
		}
		s.WantNothingLinked(t)
	})
}

func TestSecurity07_ConfirmedByAnother(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	asked := s.Browser().SignIn(s.Acme, "dana").Connect("github").Approve("dana@example.com").Follow()
	flow, code := asked.Query().Get("flow"), asked.Query().Get("result_code")
	s.Other.Confirm(flow, code, "dana").Want(http.StatusNotFound, "not_found")
	s.Other.FlowState(flow).Want(http.StatusNotFound, "not_found")
	if f := s.Flow(flow); f.Status != connect.StatusVerifying {
		t.Fatalf("another app's confirm moved the flow to %s", f.Status)
	}
	s.Acme.Confirm(flow, code, "mallory").Want(http.StatusForbidden, "user_mismatch")
	s.Acme.Confirm(flow, code, "dana").Want(http.StatusConflict, "flow_finished")
	if state := s.Acme.FlowState(flow); state.Text("status") != "failed" || state.Text("code") != "user_mismatch" {
		t.Errorf("the flow is %s", state.Body)
	}
	if f := s.Flow(flow); f.Sealed != nil {
		t.Error("the provider's code is still kept")
	}
	s.WantNothingLinked(t)
}

func TestSecurity08_ReplayedCallback(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		back := dana.SignIn(a, "dana").Connect("github").Approve("dana@example.com")
		back.Rest().WantFlow("connected", "connected")
		before := s.Rows(a)[0]
		for _, later := range []time.Duration{time.Second, 59 * time.Minute, time.Hour} {
			s.Advance(later)
			dana.Come(back.Location()).WantResult("connected", "connected")
			other := s.Browser().Come(back.Location())
			other.WantError(http.StatusForbidden, "cookie_missing")
			wantSilent(t, other, "dana", "Github", "GitHub", before.ID, before.Account.ID)
		}
		wantTokenCalls(t, s, 1)
		if after := s.Rows(a)[0]; after.Generation != before.Generation || !after.UpdatedAt.Equal(before.UpdatedAt) {
			t.Error("a replay changed the connection")
		}
	})
}
