package hostile

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"patchbay/e2e/stack"
)

// A link of an app that accepts no mere consent: who opens it signs in first, as the
// person it is for.
func TestLoginProvesALink(t *testing.T) {
	t.Parallel()
	s := stack.New(t, stack.Login())
	link := s.Strict.Link("dana", "github")
	to, err := url.Parse(link.URL)
	if err != nil {
		t.Fatal(err)
	}
	first := s.Browser().Come(link.URL).WantStatus(http.StatusSeeOther)
	if want := "/login/strict?next=" + url.QueryEscape(to.Path); first.Location() != want {
		t.Errorf("the link leads to %q, want %q", first.Location(), want)
	}
	visit(s, s.Browser(), "sam", to.Path).WantError(http.StatusForbidden, "user_mismatch")
	s.WantNothingLinked(t)
	page := visit(s, s.Browser(), "dana", to.Path).WantStatus(http.StatusOK)
	page.Connect("github").Approve("dana@example.com").Follow().WantResult("connected", "connected")
	if rows := s.Rows(s.Strict); len(rows) != 1 || fmt.Sprint(rows[0].Proofs) != "[browser login]" {
		t.Errorf("rows %+v", rows)
	}
}

// A link page says that a flow is under way, to the browser that began it.
func TestLinkWaits(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	link, dana := s.Human.Link("dana", "github"), s.Browser()
	between := dana.Come(link.URL).Connect("github")
	waits := dana.Get(link.URL)
	if waits.State("github") != "waiting" || !waits.In("github").Has("connect") {
		t.Errorf("her own: %s", waits.Body)
	}
	if state := s.Browser().Get(link.URL).State("github"); state != "not_connected" {
		t.Errorf("another browser's: %s", state)
	}
	waits.In("github").Submit("cancel").Rest().WantFlow("canceled", "canceled")
	if f := s.Flow(between.FlowID()); !f.Status.Final() {
		t.Errorf("the flow is %s", f.Status)
	}
}
