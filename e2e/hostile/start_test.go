package hostile

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"patchbay/connect"
	"patchbay/e2e/stack"
)

// A hostile page tries to begin a flow: image, link, form from elsewhere.
func TestSecurity21_StartFromElsewhere(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		list := dana.SignIn(a, "dana")
		to, form := list.In("github").Form("connect")
		hostile, _ := url.Parse("https://hostile.example/page")
		send := func(method, body string, change func(h http.Header)) *stack.Page {
			r := dana.NewRequest(list.URL, false, method, to+body, form)
			change(r.Header)
			return r.Send()
		}
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
			if page := send(method, "?"+form.Encode(), func(http.Header) {}); page.Status != http.StatusMethodNotAllowed && page.Status != http.StatusNotFound {
				t.Errorf("%s /start: %d", method, page.Status)
			}
		}
		for name, change := range forgeries(s.URL) {
			page := send(http.MethodPost, "", change)
			if page.Status != http.StatusForbidden && page.Status != http.StatusUnsupportedMediaType {
				t.Errorf("%s: %d %s", name, page.Status, page.FlowCode())
			}
			wantNoCookie(t, page.Header)
		}
		// As a browser sends it from there: without the cookie, and saying so.
		dana.NewRequest(hostile, true, http.MethodPost, to, form).Send().WantError(http.StatusForbidden, "origin_rejected")
		if n := s.OpenFlows(a, "dana"); n != 0 {
			t.Errorf("%d flows were begun", n)
		}
		if log := s.Sandbox.Log(); len(log) != 0 {
			t.Errorf("the provider was reached: %v", log)
		}
		list.In("github").Submit("connect").WantStatus(http.StatusOK) // the ticket was not used up
	})
}

// forgeries are posts that no page of ours can have made.
func forgeries(public string) map[string]func(h http.Header) {
	origin := func(values ...string) func(h http.Header) { return func(h http.Header) { h["Origin"] = values } }
	site := func(value string) func(h http.Header) { return func(h http.Header) { h.Set("Sec-Fetch-Site", value) } }
	media := func(value string) func(h http.Header) { return func(h http.Header) { h.Set("Content-Type", value) } }
	return map[string]func(h http.Header){
		"no Origin":            origin(),
		"Origin null":          origin("null"),
		"empty Origin":         origin(""),
		"another Origin":       origin("https://hostile.example"),
		"Origin as prefix":     origin(public + ".hostile.example"),
		"Origin with path":     origin(public + "/"),
		"Origin, other case":   origin(strings.ToUpper(public)),
		"Origin, other port":   origin("http://localhost:1"),
		"Origin, other scheme": origin(strings.Replace(public, "http:", "https:", 1)),
		"Origin by IP":         origin(strings.Replace(public, "localhost", "127.0.0.1", 1)),
		"two Origins":          origin(public, "https://hostile.example"),
		"Origin list":          origin(public + " https://hostile.example"),
		"cross-site":           site("cross-site"),
		"same-site":            site("same-site"),
		"typed":                site("none"),
		"text/plain":           media("text/plain"),
		"JSON":                 media("application/json"),
		"multipart":            media("multipart/form-data; boundary=x"),
		"no type":              func(h http.Header) { h.Del("Content-Type") },
		"almost a form":        media("application/x-www-form-urlencodedx"),
	}
}

// What is wrong with a ticket, in any way, is 409 and begins nothing.
func TestTickets(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	dana := s.Browser()
	list := dana.SignIn(s.Acme, "dana")
	ticket := func(p *stack.Page, connector string) string {
		_, form := p.In(connector).Form("connect")
		return form.Get("ticket")
	}
	good := ticket(list, "github")
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	sam := ticket(s.Browser().SignIn(s.Acme, "sam"), "github")
	danaElsewhere := ticket(s.Browser().SignIn(s.Acme, "dana"), "github")
	otherApp := ticket(s.Browser().SignIn(s.Other, "dana"), "github")
	bad := map[string]string{
		"empty": "", "not base64": "!", "short": good[:20], "long": good + strings.Repeat("A", 600),
		"of another user": sam, "of another session of the user": danaElsewhere, "of another app": otherApp,
	}
	for i := range raw { // every byte is authenticated
		flipped := append([]byte(nil), raw...)
		flipped[i] ^= 1
		bad[fmt.Sprintf("byte %d changed", i)] = base64.RawURLEncoding.EncodeToString(flipped)
	}
	reused := strings.Replace(string(raw[:len(raw)-16]), "github", "slacks", 1) + string(raw[len(raw)-16:])
	bad["other connector, same MAC"] = base64.RawURLEncoding.EncodeToString([]byte(reused))
	for name, value := range bad {
		page := list.In("github").Submit("connect", "ticket", value)
		if page.Status != http.StatusConflict || page.FlowCode() != "expired" {
			t.Errorf("%s: %d %s, want 409 expired", name, page.Status, page.FlowCode())
		}
		wantNoCookie(t, page.Header)
	}
	t.Run("none, and two", func(t *testing.T) {
		for _, tickets := range [][]string{nil, {good, good}} {
			dana.NewRequest(list.URL, false, http.MethodPost, "/start", url.Values{"ticket": tickets}).Send().WantError(http.StatusConflict, "expired")
		}
	})
	if n := s.OpenFlows(s.Acme, "dana") + s.OpenFlows(s.Acme, "sam"); n != 0 {
		t.Fatalf("%d flows were begun", n)
	}
	t.Run("used", func(t *testing.T) {
		list.In("github").Submit("connect", "ticket", good).WantStatus(http.StatusOK)
		page := list.In("github").Submit("connect", "ticket", good)
		page.WantError(http.StatusConflict, "expired")
		if page.Doc.Find(`main a[href="/apps/acme"]`).Length() == 0 {
			t.Error("the page offers no way to begin again")
		}
		if n := s.OpenFlows(s.Acme, "dana"); n != 1 {
			t.Errorf("%d flows are open, want 1", n)
		}
	})
	t.Run("raced", func(t *testing.T) {
		requests := make([]*stack.Request, 30)
		fresh := dana.Get("/apps/acme")
		_, form := fresh.In("slack").Form("connect")
		for i := range requests {
			requests[i] = dana.NewRequest(fresh.URL, false, http.MethodPost, "/start", form)
		}
		pages := make([]*stack.Page, len(requests))
		together(len(requests), func(i int) { pages[i], _ = requests[i].TrySend() })
		begun := 0
		for _, p := range pages {
			if p.Status == http.StatusOK {
				begun++
			} else if p.Status != http.StatusConflict {
				t.Errorf("a raced start answers %d", p.Status)
			}
		}
		if begun != 1 {
			t.Errorf("one ticket began %d flows", begun)
		}
	})
	t.Run("after 15 minutes", func(t *testing.T) {
		old := dana.Get("/apps/acme")
		s.Advance(15 * time.Minute)
		old.In("github").Submit("connect").WantError(http.StatusConflict, "expired")
	})
	t.Run("without the session's cookie", func(t *testing.T) {
		fresh := dana.Get("/apps/acme").In("github").Prepare("connect")
		fresh.Header.Del("Cookie")
		fresh.Send().WantError(http.StatusConflict, "expired")
	})
	t.Run("after signing out", func(t *testing.T) {
		open := dana.Get("/apps/acme")
		open.Submit("logout").Rest().WantStatus(http.StatusOK)
		open.In("github").Submit("connect").WantError(http.StatusConflict, "expired")
	})
	t.Run("after the session's end", func(t *testing.T) {
		other := s.Browser()
		other.SignIn(s.Acme, "kim")
		s.Advance(time.Hour - time.Minute)
		last := other.Get("/apps/acme").WantStatus(http.StatusOK)
		s.Advance(time.Minute)
		last.In("github").Submit("connect").WantError(http.StatusConflict, "expired")
		other.Get("/apps/acme").WantStatus(http.StatusUnauthorized)
	})
	s.WantNothingLinked(t)
}

// The refusals of a post come in a fixed order: 405, 415, 403 origin, 401, 409.
func TestOrderOfRefusals(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	signedIn, nobody := s.Browser(), s.Browser()
	list := signedIn.SignIn(s.Acme, "dana")
	for _, c := range []struct {
		name                string
		method, path        string
		media, origin, code string
		session             bool
		status              int
	}{
		{"start: everything wrong", "PUT", "/start", "text/plain", "https://hostile.example", "", false, 405},
		{"start: type and origin", "POST", "/start", "text/plain", "https://hostile.example", "unsupported_media_type", false, 415},
		{"start: origin and ticket", "POST", "/start", "", "https://hostile.example", "origin_rejected", false, 403},
		{"start: ticket", "POST", "/start", "", s.URL, "expired", false, 409},
		{"disconnect: everything wrong", "DELETE", "/apps/acme/connectors/github/disconnect", "text/plain", "null", "", false, 405},
		{"disconnect: type and origin", "POST", "/apps/acme/connectors/github/disconnect", "text/plain", "null", "unsupported_media_type", false, 415},
		{"disconnect: origin and session", "POST", "/apps/acme/connectors/github/disconnect", "", "null", "origin_rejected", false, 403},
		{"disconnect: session", "POST", "/apps/acme/connectors/github/disconnect", "", s.URL, "unauthorized", false, 401},
		{"disconnect: session of the app, unknown app", "POST", "/apps/unknown/connectors/github/disconnect", "", s.URL, "unauthorized", true, 401},
		{"session: type", "POST", "/session/unknown", "text/plain", "null", "unsupported_media_type", false, 415},
		{"session: origin", "POST", "/session/unknown", "", "null", "origin_rejected", false, 403},
		{"logout: origin", "POST", "/logout", "", "", "origin_rejected", true, 403},
	} {
		b := nobody
		if c.session {
			b = signedIn
		}
		r := b.NewRequest(list.URL, false, c.method, c.path, url.Values{"ticket": {"x"}})
		if r.Header.Set("Content-Type", "application/x-www-form-urlencoded"); c.media != "" {
			r.Header.Set("Content-Type", c.media)
		}
		if r.Header.Set("Origin", c.origin); c.origin == "" {
			r.Header.Del("Origin")
		}
		page := r.Send()
		if page.Status != c.status || (c.code != "" && page.FlowCode() != c.code) {
			t.Errorf("%s: %d %s, want %d %s", c.name, page.Status, page.FlowCode(), c.status, c.code)
		}
	}
}

func TestTwoTabs(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		first := dana.SignIn(a, "dana").Connect("github")
		second := dana.Get("/apps/" + a.ID).Connect("github")
		late := first.Approve("dana@example.com")
		if state := dana.Get("/apps/" + a.ID).State("github"); state != "waiting" {
			t.Errorf("with two tabs open the list shows %s", state)
		}
		second.Approve("dana@example.com").Rest().WantFlow("connected", "connected")
		late.Follow().WantResult("superseded", "superseded")
		dana.Get("/flows/"+first.FlowID()).WantFlow("superseded", "superseded")
		wantTokenCalls(t, s, 1)
		wantRows(t, s, a, 1)
	})
}

// The first of two tabs is at the app's verify_url when the second connects.
func TestSupersededWhileVerifying(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	dana := s.Browser()
	waiting := dana.SignIn(s.Acme, "dana").Connect("github").Approve("dana@example.com").Follow()
	dana.Get("/apps/acme").Connect("github").Approve("dana@example.com").Rest().WantFlow("connected", "connected")
	q := waiting.Query()
	s.Acme.Confirm(q.Get("flow"), q.Get("result_code"), "dana").Want(http.StatusConflict, "flow_finished")
	if f := s.Flow(q.Get("flow")); f.Status != connect.StatusSuperseded || f.Sealed != nil {
		t.Errorf("the first flow is %s, its secrets %d bytes", f.Status, len(f.Sealed))
	}
	wantTokenCalls(t, s, 1)
}

// Eight flow cookies are kept; the ninth drops the oldest.
func TestFlowCookies(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	dana := s.Browser()
	dana.SignIn(s.Human, "dana")
	var flows []*stack.Page
	for range 9 {
		flows = append(flows, dana.Get("/apps/human").Connect("github"))
		s.Advance(time.Second)
	}
	held := map[string]bool{}
	for _, c := range dana.Cookies() {
		if id, ok := strings.CutPrefix(c.Name, "patchbay_flow_"); ok {
			held[id] = true
		}
	}
	if len(held) != 8 || held[flows[0].FlowID()] {
		t.Errorf("the browser holds %d flow cookies, the oldest among them: %v", len(held), held[flows[0].FlowID()])
	}
	flows[0].Approve("dana@example.com").Follow().WantError(http.StatusForbidden, "browser_mismatch")
	wantTokenCalls(t, s, 0)
	flows[1].Approve("dana@example.com").Rest().WantFlow("connected", "connected")
}

func TestCancel(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		begun := dana.SignIn(a, "dana").Connect("github")
		back := begun.Approve("dana@example.com")
		// Another browser cannot end it, even one with a session of the user.
		other := s.Browser()
		other.SignIn(a, "mallory")
		from, _ := url.Parse(s.URL + "/")
		for _, verb := range []string{"cancel", "not-me"} {
			other.NewRequest(from, false, http.MethodPost, "/flows/"+begun.FlowID()+"/"+verb, nil).Send().WantStatus(http.StatusNotFound)
		}
		dana.Get("/apps/" + a.ID).In("github").Submit("cancel").Rest().WantStatus(http.StatusOK)
		back.Follow().WantResult("canceled", "canceled")
		if state := dana.Get("/apps/" + a.ID).State("github"); state != "not_connected" {
			t.Errorf("the list shows %s", state)
		}
		s.WantNothingLinked(t)
	})
}

// A link dies with the first flow that connects, at its end of life, and by DELETE.
func TestLinkLife(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dead := func(address string) {
			t.Helper()
			s.Browser().Come(address).WantError(http.StatusGone, "expired")
		}
		dana := s.Browser().AtApp(a, "dana")
		link := a.Link("dana", "github")
		for range 3 {
			dana.Come(link.URL).WantStatus(http.StatusOK)
		}
		dana.Come(link.URL).Connect("github").Choose("deny", "").Follow().WantResult("denied", "access_denied")
		again := dana.Come(link.URL) // a flow that did not connect leaves it alive
		second := dana.Come(link.URL).WantStatus(http.StatusOK)
		again.Connect("github").Approve("dana@example.com").Rest().WantFlow("connected", "connected")
		dead(link.URL)
		second.In("github").Submit("connect").WantError(http.StatusConflict, "expired")

		late := a.Link("sam", "github", map[string]any{"expires_in": 120})
		s.Advance(119 * time.Second)
		s.Browser().Come(late.URL).WantStatus(http.StatusOK)
		s.Advance(time.Second)
		dead(late.URL)

		deleted := a.Link("kim", "github")
		open := s.Browser().AtApp(a, "kim").Come(deleted.URL)
		begun := s.Browser().AtApp(a, "kim").Come(deleted.URL).Connect("github")
		a.Call(http.MethodDelete, "connect-sessions/"+deleted.ID, nil, stack.Bearer(a.Sessions)).Want(http.StatusNoContent, "")
		dead(deleted.URL)
		open.In("github").Submit("connect").WantError(http.StatusConflict, "expired")
		begun.Approve("kim@example.com").Rest().WantFlow("connected", "connected") // started flows go on
		a.Call(http.MethodDelete, "connect-sessions/"+deleted.ID, nil, stack.Bearer(a.Sessions)).Want(http.StatusNoContent, "")
	})
}

// A session that changes or ends mid-flow does not move the flow to another user.
func TestSessionChangesMidFlow(t *testing.T) {
	bothProofs(t, func(t *testing.T, s *stack.Stack, a *stack.App) {
		dana := s.Browser()
		begun := dana.SignIn(a, "dana").Connect("github")
		// The same browser becomes sam, in Patchbay and not at the app.
		dana.Come(a.Session("sam").URL).WantStatus(http.StatusOK).Submit("switch").Rest().WantStatus(http.StatusOK)
		begun.Approve("dana@example.com").Rest().WantFlow("connected", "connected")
		rows := s.Rows(a)
		if len(rows) != 1 || rows[0].Owner.User != "dana" {
			t.Errorf("linked for %+v, want dana", rows)
		}
		if state := dana.Get("/apps/" + a.ID).State("github"); state != "not_connected" {
			t.Errorf("sam's list shows %s", state)
		}
	})
}
