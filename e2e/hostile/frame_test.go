package hostile

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/connect"
	"patchbay/e2e/stack"
)

// wantFrame requires headers that let the one origin frame the page, and nobody else.
func wantFrame(t *testing.T, p *stack.Page, origin string) {
	t.Helper()
	csp := p.Header.Get("Content-Security-Policy")
	if !strings.HasSuffix(csp, "frame-ancestors "+origin) || strings.Count(csp, "frame-ancestors") != 1 || strings.Contains(csp, "unsafe") {
		t.Errorf("%s: CSP %q, want %s as the one ancestor", p.URL.Path, csp, origin)
	}
	if p.Header.Get("X-Frame-Options") != "" || p.Header.Get("Cross-Origin-Embedder-Policy") != "require-corp" || p.Header.Get("Cross-Origin-Resource-Policy") != "cross-origin" {
		t.Errorf("%s: headers %v", p.URL.Path, p.Header)
	}
	if p.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control %q", p.URL.Path, p.Header.Get("Cache-Control"))
	}
	wantNoCookie(t, p.Header)
}

// Everything that happens in the frame: list, connect, settings, disconnect, receipt.
func TestFrame(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	dana := s.Browser()
	list := dana.Frame(s.Acme.Embed("dana")).WantStatus(http.StatusOK)
	wantFrame(t, list, s.Acme.Origin)
	between := list.Connect("github") // the frame proof: nothing to press
	if between.Doc.Find("meta[http-equiv=refresh]").Length() != 1 || between.Has("not_me") {
		t.Error("a flow with the frame proof waits for a press")
	}
	if csp := between.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("the tab may be framed: %q", csp)
	}
	if state := dana.Frame(s.Acme.Embed("dana")).State("github"); state != "waiting" { // another frame sees it too
		t.Errorf("under way: %q", state)
	}
	between.Approve("dana@example.com").Follow().WantResult("connected", "connected")
	flow := s.Acme.FlowState(between.FlowID()).Want(http.StatusOK, "")
	if fmt.Sprint(flow.Value("proofs")) != "[browser frame]" || flow.Text("assurance") != "app" || flow.Text("mode") != "embed" {
		t.Errorf("the flow: %s", flow.Body)
	}
	again := list.Go(list.URL.Path).WantStatus(http.StatusOK) // the session lives on
	if again.State("github") != "connected" || again.In("github").Field("account") != "dana@example.com" {
		t.Errorf("after: %s", again.Body)
	}
	settings := again.Go(again.URL.Path + "/settings").WantStatus(http.StatusOK)
	wantFrame(t, settings, s.Acme.Origin)
	asks := settings.In("github").Click("disconnect").WantStatus(http.StatusOK)
	wantFrame(t, asks, s.Acme.Origin)
	receipt := asks.Submit("confirm").WantStatus(http.StatusSeeOther).Follow().WantStatus(http.StatusOK)
	wantFrame(t, receipt, s.Acme.Origin)
	if receipt.Doc.Find("main").AttrOr("data-revoked", "") != "yes" {
		t.Errorf("receipt: %s", receipt.Body)
	}
	wantRows(t, s, s.Acme, 0)

	denied := receipt.Go(list.URL.Path).Connect("slack")
	denied.Choose("deny", "dana@example.com").Rest().WantFlow("denied", "access_denied")
	frame := receipt.Go(list.URL.Path).WantStatus(http.StatusOK)
	result := frame.Go(list.URL.Path+"/flows/"+denied.FlowID()).WantFlow("denied", "access_denied")
	wantFrame(t, result, s.Acme.Origin)
	result.Submit("connect").WantStatus(http.StatusOK)
	canceled := frame.Go(list.URL.Path).In("slack").Submit("cancel").WantStatus(http.StatusSeeOther).Follow().WantStatus(http.StatusOK)
	if canceled.State("slack") != "not_connected" {
		t.Errorf("after cancel: %s", canceled.State("slack"))
	}
	for _, c := range dana.Cookies() {
		if !strings.HasPrefix(c.Name, "patchbay_flow_") {
			t.Errorf("the browser holds %s", c.Name)
		}
	}
}

// A page that is loaded as anything but a frame says nothing, not even whether the
// token is one.
func TestSecurity47_EmbedTokenOutsideAFrame(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	cs := s.Acme.Embed("dana", map[string]any{"user": map[string]any{"id": "dana", "email": "dana@acme.example"}})
	for _, address := range []string{cs.URL, cs.URL + "/settings", cs.URL + "/connectors/github/disconnect", s.URL + "/embed/" + strings.Repeat("A", 43)} {
		for _, dest := range []string{"document", "empty", "object", "embed", "frame", "fencedframe", "script", "IFRAME", "iframe, iframe", ""} {
			r := s.Browser().NewRequest(nil, true, http.MethodGet, address, nil)
			r.Header.Set("Sec-Fetch-Dest", dest)
			p := r.Send().WantError(http.StatusForbidden, "framed_wrongly")
			if csp := p.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || p.Header.Get("X-Frame-Options") != "DENY" {
				t.Errorf("%s: CSP %q", dest, csp)
			}
			for _, told := range []string{"dana", "Acme", `name="ticket"`, s.Acme.Origin} {
				if strings.Contains(p.Body, told) {
					t.Errorf("Sec-Fetch-Dest %q: the page says %q", dest, told)
				}
			}
		}
	}
	twice := s.Browser().NewRequest(nil, true, http.MethodGet, cs.URL, nil)
	twice.Header.Add("Sec-Fetch-Dest", "iframe")
	twice.Send().WantError(http.StatusForbidden, "framed_wrongly")
	s.WantNothingLinked(t)
}

// A browser that does not say where it puts the page gets the page, and its flows are
// judged as if there were no frame.
func TestFrameThatCannotBeProven(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	unproven := func(a *stack.App) *stack.Page {
		r := s.Browser().AtApp(a, "dana").NewRequest(nil, true, http.MethodGet, a.Embed("dana").URL, nil)
		r.Header.Del("Sec-Fetch-Dest")
		p := r.Send().WantStatus(http.StatusOK)
		wantFrame(t, p, a.Origin)
		return p
	}
	unproven(s.Acme).Connect("github").Approve("dana@example.com").Rest().WantFlow("connected", "connected")
	between := unproven(s.Human).Connect("github")
	if !between.Has("not_me") || between.Doc.Find("meta[http-equiv=refresh]").Length() != 0 {
		t.Error("a flow without proof does not wait for a press")
	}
	between.Approve("dana@example.com").Rest().WantFlow("connected", "connected")
	for app, want := range map[*stack.App]string{s.Acme: "[browser app]", s.Human: "[browser human]"} {
		if got := fmt.Sprint(s.Rows(app)[0].Proofs); got != want {
			t.Errorf("%s: proofs %s, want %s", app.ID, got, want)
		}
	}
	calls := s.TokenCalls()
	over := unproven(s.Strict).In("github").Submit("connect").WantFlow("failed", "assurance_too_low")
	if over.Has("continue") || s.Acme != nil && s.Strict.FlowState(over.FlowID()).Text("code") != "assurance_too_low" {
		t.Error("a flow that can only fail goes on")
	}
	wantRows(t, s, s.Strict, 0)
	if s.TokenCalls() != calls {
		t.Error("the token endpoint was called")
	}
	// The proven frame reaches what the app demands.
	s.Browser().Frame(s.Strict.Embed("dana")).Connect("github").Approve("dana@example.com").Follow().WantResult("connected", "connected")
	if got := s.Rows(s.Strict)[0]; got.Assurance != connect.AssuranceApp {
		t.Errorf("assurance %s", got.Assurance)
	}
}

func TestEmbedSessionRequests(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	post := func(more map[string]any) stack.Answer {
		return s.Acme.Call(http.MethodPost, "connect-sessions", stack.SessionFields("embed", "dana", more), stack.Bearer(s.Acme.Sessions))
	}
	post(nil).Want(http.StatusBadRequest, "invalid_request")
	for _, origin := range []string{"", "*", "null", s.Other.Origin, s.Acme.Origin + "/", s.Acme.Origin + ".evil.example", strings.ToUpper(s.Acme.Origin), "http://localhost"} {
		post(map[string]any{"origin": origin}).Want(http.StatusForbidden, "origin_not_allowed")
	}
	post(map[string]any{"origin": s.Acme.Origin, "expires_in": 60}).Want(http.StatusBadRequest, "invalid_request")
	post(map[string]any{"origin": s.Acme.Origin, "connectors": []string{"nosuch"}}).Want(http.StatusNotFound, "not_found")
	made := post(map[string]any{"origin": s.Acme.Origin, "connectors": []string{"github"}}).Want(http.StatusCreated, "")
	if !strings.HasPrefix(made.Text("url"), s.URL+"/embed/") || made.Text("token") == "" || strings.Contains(made.Text("url"), made.Text("token")) {
		t.Errorf("made: %s", made.Body)
	}
	only := s.Browser().Frame(stack.Session{URL: made.Text("url")}).WantStatus(http.StatusOK)
	if n := only.Doc.Find("[data-connector]").Length(); n != 1 {
		t.Errorf("the frame shows %d connectors", n)
	}
	only.Go(only.URL.Path+"/connectors/slack/disconnect").WantError(http.StatusNotFound, "not_found")
}

// An embed token lives 15 minutes, is dead at once after DELETE, and is worth nothing
// when the app no longer lists the origin. What was started goes on.
func TestSecurity47_EmbedTokenEnds(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	ends := map[string]func(stack.Session){
		"in time": func(stack.Session) { s.Advance(15 * time.Minute) },
		"by the app": func(cs stack.Session) {
			s.Acme.Call(http.MethodDelete, "connect-sessions/"+cs.ID, nil, stack.Bearer(s.Acme.Sessions)).Want(http.StatusNoContent, "")
		},
		"with its origin": func(stack.Session) {
			s.Apply(strings.ReplaceAll(s.AppsYAML(""), s.Acme.Origin, "https://elsewhere.example"))
		},
	}
	for _, name := range []string{"by the app", "with its origin", "in time"} {
		s.Apply(s.AppsYAML(""))
		dana := s.Browser()
		cs := s.Acme.Embed("dana")
		list := dana.Frame(cs).WantStatus(http.StatusOK)
		between := list.Connect("slack")
		live := list.Doc.Find("body").AttrOr("data-live", "")
		ends[name](cs)
		gone := dana.Frame(cs).WantError(http.StatusGone, "expired")
		if strings.Contains(gone.Body, "dana") || strings.Contains(gone.Body, `name="ticket"`) || gone.Doc.Find("body").AttrOr("data-live", "") != "" {
			t.Errorf("%s: the dead page says %s", name, gone.Body)
		}
		if origin := s.Acme.Origin; name != "with its origin" {
			wantFrame(t, gone, origin) // the frame says so itself
		} else if csp := gone.Header.Get("Content-Security-Policy"); strings.Contains(csp, origin) {
			t.Errorf("%s: CSP %q", name, csp)
		}
		dana.Frame(stack.Session{URL: cs.URL + "/settings"}).WantError(http.StatusGone, "expired")
		list.In("github").Submit("connect").WantError(http.StatusConflict, "expired")
		s.Call(http.MethodGet, "/api/apps/acme/live", nil, stack.Bearer(live)).Want(http.StatusGone, "expired")
		s.Call(http.MethodGet, "/api/apps/acme/live/page?view=list", nil, stack.Bearer(live)).Want(http.StatusGone, "expired")
		if name != "in time" {
			between.Approve("dana@example.com").Follow().WantResult("connected", "connected")
		}
	}
	s.Browser().Frame(stack.Session{URL: s.URL + "/embed/" + strings.Repeat("A", 43)}).WantError(http.StatusGone, "expired")
	// One door's secret opens no other.
	for from, other := range map[string]stack.Session{"session": s.Acme.Session("dana"), "link": s.Acme.Link("dana", "github"), "embed": s.Acme.Embed("dana")} {
		for _, door := range []string{"session", "link", "embed"} {
			if door == from {
				continue
			}
			r := s.Browser().NewRequest(nil, true, http.MethodGet, strings.Replace(other.URL, "/"+from+"/", "/"+door+"/", 1), nil)
			if door == "embed" {
				r.Framed()
			}
			r.Send().WantError(http.StatusGone, "expired")
		}
	}
}

// The embed token is in no log, no answer but the one that made it and the frame's own
// pages, and in no address outside of the frame.
func TestSecurity47_EmbedTokenIsNotTold(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	cs := s.Acme.Embed("dana")
	token := cs.URL[strings.LastIndex(cs.URL, "/")+1:]
	list := s.Browser().Frame(cs)
	between := list.Connect("github")
	result := between.Approve("dana@example.com").Follow().Follow().WantFlow("connected", "connected")
	for name, p := range map[string]*stack.Page{"interstitial": between, "result": result} {
		if strings.Contains(p.Body, token) {
			t.Errorf("the %s names the embed token", name)
		}
	}
	if strings.Contains(s.Log.String(), token) {
		t.Error("the embed token is in the log")
	}
	if got := list.Header.Get("Referrer-Policy"); got != "same-origin" {
		t.Errorf("Referrer-Policy %q", got)
	}
}

// Nobody else may frame the pages: another app's origin, or another origin of the same
// app.
func TestSecurity34And35_FramedByOthers(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	for _, a := range []*stack.App{s.Acme, s.Other} {
		csp := s.Browser().Frame(a.Embed("dana")).Header.Get("Content-Security-Policy")
		_, ancestors, _ := strings.Cut(csp, "frame-ancestors ")
		if ancestors != a.Origin {
			t.Errorf("%s may be framed by %q", a.ID, ancestors)
		}
	}
}

// Somebody else's session cookie plays no part in the frame, nor in what begins there.
func TestFrameIgnoresSessions(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	both := s.Browser()
	both.SignIn(s.Acme, "sam")
	r := both.NewRequest(nil, true, http.MethodGet, s.Acme.Embed("dana").URL, nil)
	r.Header.Set("Sec-Fetch-Dest", "iframe")
	if len(r.Cookies()) == 0 {
		t.Fatal("the cookie does not go along")
	}
	list := r.Send().WantStatus(http.StatusOK)
	if list.Field("user") != "dana" || list.Has("logout") {
		t.Errorf("the frame is %q's", list.Field("user"))
	}
	between := list.Connect("github")
	if !strings.Contains(between.Doc.Text(), "dana") || strings.Contains(between.Doc.Text(), "sam") {
		t.Error("the interstitial names the wrong person")
	}
	for _, path := range []string{list.URL.Path + "/connectors/nosuch/disconnect", "/embed/" + strings.Repeat("A", 43), "/embed/x/y/z"} {
		wrong := both.NewRequest(nil, true, http.MethodGet, path, nil)
		wrong.Header.Set("Sec-Fetch-Dest", "iframe")
		if p := wrong.Send(); p.Status < 400 || p.Field("user") == "sam" {
			t.Errorf("%s (%d) names who is signed in", path, p.Status)
		}
	}
	between.Approve("dana@example.com").Follow().WantResult("connected", "connected")
	if rows := s.Rows(s.Acme); len(rows) != 1 || rows[0].Owner.User != "dana" {
		t.Errorf("rows %+v", rows)
	}
}

// Mallory sends Victor what her frame holds: the frame's address, the start form's
// ticket, the provider's address.
func TestSecurity1To3_ForwardedFromAFrame(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	cs := s.Acme.Embed("mallory")
	list := s.Browser().Frame(cs)
	between := list.Connect("github")
	for _, signedIn := range []bool{false, true} {
		victor := s.Browser()
		if signedIn {
			victor.SignIn(s.Acme, "victor")
		}
		victor.Come(cs.URL).WantError(http.StatusForbidden, "framed_wrongly")
		// Her form on her page, with her fresh ticket.
		fresh := s.Browser().Frame(cs)
		address, fields := fresh.In("slack").Form("connect")
		hers, _ := url.Parse("https://mallory.example/")
		victor.NewRequest(hers, true, http.MethodPost, address, fields).Send().WantError(http.StatusForbidden, "origin_rejected")
		victor.NewRequest(nil, true, http.MethodGet, address+"?"+fields.Encode(), nil).Send().WantStatus(http.StatusMethodNotAllowed)
		back := victor.Come(between.Href("continue")).Submit("approve", "account", "victor@example.com")
		want := "cookie_missing"
		back.Follow().WantError(http.StatusForbidden, want)
	}
	s.WantNothingLinked(t)
}

// A ticket of the frame works once, and in no other hands than ours.
func TestFrameTickets(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	list := s.Browser().Frame(s.Acme.Embed("dana"))
	list.In("github").Submit("connect").WantStatus(http.StatusOK)
	used := list.In("github").Submit("connect").WantError(http.StatusConflict, "expired")
	if !used.Has("return") {
		t.Error("a used button leads nowhere")
	}
	live := list.Doc.Find("body").AttrOr("data-live", "")
	list.In("slack").Submit("connect", "ticket", strings.Split(live, ".")[0]).WantError(http.StatusConflict, "expired")
	_, fields := list.In("slack").Form("connect")
	s.Call(http.MethodGet, "/api/apps/acme/live", nil, stack.Bearer(fields.Get("ticket"))).Want(http.StatusUnauthorized, "unauthorized")
}

// event is one of a stream.
type event struct{ id, name, data string }

// listen opens the live stream of a frame page and sends its events until the test ends
// or the server closes it.
func listen(t *testing.T, s *stack.Stack, live, lastID string) <-chan event {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Address+"/api/apps/acme/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+live)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Last-Event-ID", lastID)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("the stream answers %d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	events := make(chan event, 100)
	go func() {
		defer close(events)
		defer resp.Body.Close()
		var e event
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "":
				if e.name != "" {
					events <- e
				}
				e = event{}
			}
		}
	}()
	return events
}

// streamStatus asks for a stream and looks at the first line of the answer only.
func streamStatus(t *testing.T, s *stack.Stack, path, live string, more stack.Header) int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+live)
	req.Header.Set("Accept", "text/event-stream")
	if more.Name != "" {
		req.Header.Set(more.Name, more.Value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// next waits for the next event.
func next(t *testing.T, events <-chan event, name string) map[string]any {
	t.Helper()
	select {
	case e, open := <-events:
		if !open || e.name != name {
			t.Fatalf("got %+v (open %v), want %s", e, open, name)
		}
		var data map[string]any
		if err := json.Unmarshal([]byte(e.data), &data); err != nil {
			t.Fatal(err)
		}
		data["#"] = e.id
		return data
	case <-time.After(20 * time.Second):
		t.Fatalf("no %s came", name)
	}
	return nil
}

// The stream tells what happened, from where the page was drawn, and again to who asks
// again.
func TestLiveStream(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	dana := s.Browser()
	cs := s.Acme.Embed("dana")
	list := dana.Frame(cs)
	body := list.Doc.Find("body")
	live, after := body.AttrOr("data-live", ""), body.AttrOr("data-after", "")
	events := listen(t, s, live, after)
	if hello := next(t, events, "hello"); hello["expires_in"] != 900.0 {
		t.Errorf("hello: %v", hello)
	}
	between := list.Connect("github")
	started := next(t, events, "change")
	if started["type"] != "flow.started" || started["flow"] != between.FlowID() || started["connector"] != "github" {
		t.Errorf("started: %v", started)
	}
	between.Choose("fewer_scopes", "dana@example.com").Rest()
	connected := next(t, events, "change")
	if connected["type"] != "connected" || connected["account"] != "Dana" || connected["connection"] != s.Rows(s.Acme)[0].ID || connected["assurance"] != "app" {
		t.Errorf("connected: %v", connected)
	}
	if missing, _ := connected["missing_scopes"].([]any); len(missing) == 0 {
		t.Errorf("connected: %v", connected)
	}
	second := list.Connect("slack")
	next(t, events, "change")
	second.Choose("deny", "dana@example.com").Rest()
	denied := next(t, events, "change")
	if denied["type"] != "error" || denied["code"] != "access_denied" || denied["who"] != "user" || denied["retry"] != true || denied["flow"] != second.FlowID() {
		t.Errorf("denied: %v", denied)
	}
	s.Acme.Disconnect("dana", "github").Want(http.StatusOK, "")
	gone := next(t, events, "change")
	if gone["type"] != "disconnected" || gone["revoked"] != "yes" || gone["connector"] != "github" {
		t.Errorf("disconnected: %v", gone)
	}
	// Who connects again is told what came after the last it saw.
	again := listen(t, s, live, fmt.Sprint(started["#"]))
	next(t, again, "hello")
	for _, want := range []string{"connected", "flow.started", "error", "disconnected"} {
		if e := next(t, again, "change"); e["type"] != want {
			t.Errorf("replay: %v, want %s", e, want)
		}
	}
	// So is who cannot stream.
	poll := s.Call(http.MethodGet, "/api/apps/acme/live?after="+fmt.Sprint(denied["#"]), nil, stack.Bearer(live)).Want(http.StatusOK, "")
	changes, _ := poll.Value("changes").([]any)
	if len(changes) != 1 || fmt.Sprint(poll.Value("last")) != fmt.Sprint(gone["#"]) {
		t.Errorf("poll: %s", poll.Body)
	}
	done := make(chan stack.Answer)
	go func() {
		done <- s.Call(http.MethodGet, fmt.Sprintf("/api/apps/acme/live?wait=20&after=%v", gone["#"]), nil, stack.Bearer(live))
	}()
	third := list.Connect("googlecalendar")
	if waited := <-done; !strings.Contains(string(waited.Body), third.FlowID()) {
		t.Errorf("long poll: %s", waited.Body)
	}
	next(t, events, "change")
	// The end of the session ends the stream.
	s.Acme.Call(http.MethodDelete, "connect-sessions/"+cs.ID, nil, stack.Bearer(s.Acme.Sessions)).Want(http.StatusNoContent, "")
	if end := next(t, events, "end"); end["reason"] != "expired" {
		t.Errorf("end: %v", end)
	}
	if e, open := <-events; open {
		t.Errorf("after the end: %+v", e)
	}
}

// The page drawn anew carries what the page at hand carried, and no more.
func TestLivePage(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	for name, framed := range map[string]bool{"framed": true, "not known to be": false} {
		r := s.Browser().NewRequest(nil, true, http.MethodGet, s.Human.Embed("dana").URL, nil).Framed()
		if !framed {
			r.Header.Del("Sec-Fetch-Dest")
		}
		list := r.Send().WantStatus(http.StatusOK)
		live := list.Doc.Find("body").AttrOr("data-live", "")
		for _, view := range []string{"list", "settings"} {
			s.Call(http.MethodGet, "/api/apps/human/live/page?view="+view, nil, stack.Bearer(live)).Want(http.StatusOK, "")
		}
		drawn := s.Call(http.MethodGet, "/api/apps/human/live/page?view=list", nil, stack.Bearer(live))
		html := drawn.Text("html")
		_, rest, _ := strings.Cut(html[strings.Index(html, `data-connector="github"`):], `name="ticket" value="`)
		ticket, _, _ := strings.Cut(rest, `"`)
		if ticket == list.In("github").Doc.Find("input[name=ticket]").AttrOr("value", "") {
			t.Error("the ticket is the old one")
		}
		between := list.In("github").Submit("connect", "ticket", ticket).WantStatus(http.StatusOK)
		if between.Has("not_me") == framed {
			t.Errorf("%s: the proof of the new ticket is another", name)
		}
		s.Call(http.MethodGet, "/api/apps/human/live/page?view=disconnect", nil, stack.Bearer(live)).Want(http.StatusBadRequest, "invalid_request")
	}
}

func TestSecurity51And52_LiveIsTheOwners(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	frame := func(a *stack.App, user string, more ...map[string]any) (*stack.Page, string) {
		p := s.Browser().Frame(a.Embed(user, more...))
		return p, p.Doc.Find("body").AttrOr("data-live", "")
	}
	list, live := frame(s.Acme, "dana")
	_, sams := frame(s.Acme, "sam")
	_, others := frame(s.Other, "dana")
	_, calendarOnly := frame(s.Acme, "dana", map[string]any{"connectors": []string{"googlecalendar"}})
	between := list.Connect("github")
	between.Approve("dana@example.com").Follow().WantResult("connected", "connected")

	read := func(path, bearer string, headers ...stack.Header) stack.Answer {
		if bearer != "" {
			headers = append(headers, stack.Bearer(bearer))
		}
		return s.Call(http.MethodGet, path, nil, headers...)
	}
	const at = "/api/apps/acme/live"
	for _, path := range []string{at, at + "/page?view=list"} {
		read(path, "").Want(http.StatusUnauthorized, "unauthorized")
		for _, wrong := range []string{"x", "x.y", strings.Repeat("A", 43), between.FlowID(), s.Acme.All, s.Acme.JWT("dana"), live + "x", live[1:], strings.Split(live, ".")[1], strings.Split(live, ".")[0],
			strings.Split(live, ".")[0] + "." + strings.Split(sams, ".")[1], strings.Split(sams, ".")[0] + "." + strings.Split(live, ".")[1]} {
			if a := read(path, wrong); a.Status != http.StatusUnauthorized && a.Status != http.StatusGone {
				t.Errorf("%s with %q: %d %s", path, wrong, a.Status, a.Body)
			}
		}
		read(path, others).Want(http.StatusUnauthorized, "unauthorized")
		for _, h := range []stack.Header{{Name: "Origin", Value: s.Acme.Origin}, {Name: "Origin", Value: "null"}, {Name: "Sec-Fetch-Site", Value: "cross-site"}, {Name: "Sec-Fetch-Site", Value: "same-site"}} {
			read(path, live, h).Want(http.StatusForbidden, "origin_rejected")
			if status := streamStatus(t, s, path, live, h); status != http.StatusForbidden {
				t.Errorf("%s with %v: a stream answers %d", path, h, status)
			}
		}
		read(path, live, stack.Header{Name: "Origin", Value: s.URL}, stack.Header{Name: "Sec-Fetch-Site", Value: "same-origin"}).Want(http.StatusOK, "")
	}
	if own := read(at, live); !strings.Contains(string(own.Body), between.FlowID()) {
		t.Errorf("her own: %s", own.Body)
	}
	for name, token := range map[string]string{"sam's": sams, "of other connectors": calendarOnly} {
		if a := read(at, token); a.Status != http.StatusOK || strings.Contains(string(a.Body), between.FlowID()) || strings.Contains(string(a.Body), "github") {
			t.Errorf("a session %s: %d %s", name, a.Status, a.Body)
		}
	}
	read("/api/apps/other/live", others).Want(http.StatusOK, "")
	for _, bad := range []string{"?after=-1", "?after=x", "?wait=26", "?wait=-1", "?wait=1.5"} {
		read(at+bad, live).Want(http.StatusBadRequest, "invalid_request")
	}
	// What a flow's id alone opens: nothing.
	for _, path := range []string{"/flows/" + between.FlowID(), "/embed/" + strings.Split(sams, ".")[1] + "/flows/" + between.FlowID()} {
		p := s.Browser().NewRequest(nil, true, http.MethodGet, path, nil)
		if strings.HasPrefix(path, "/embed/") {
			p.Framed()
		}
		p.Send().WantError(http.StatusNotFound, "not_found")
	}
}

// One session cannot hold the server's connections.
func TestLiveStreamsAreCounted(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	live := s.Browser().Frame(s.Acme.Embed("dana")).Doc.Find("body").AttrOr("data-live", "")
	for range 8 {
		next(t, listen(t, s, live, "0"), "hello")
	}
	if status := streamStatus(t, s, "/api/apps/acme/live", live, stack.Header{}); status != http.StatusTooManyRequests {
		t.Errorf("the ninth stream: %d", status)
	}
	s.Call(http.MethodGet, "/api/apps/acme/live?wait=5", nil, stack.Bearer(live)).Want(http.StatusTooManyRequests, "rate_limited")
	s.Call(http.MethodGet, "/api/apps/acme/live", nil, stack.Bearer(live)).Want(http.StatusOK, "") // a plain poll goes through
	if !slices.Contains([]int{http.StatusOK}, s.Browser().Frame(s.Acme.Embed("dana")).Status) {
		t.Error("the page is refused")
	}
}
