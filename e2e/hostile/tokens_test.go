package hostile

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"patchbay/e2e/stack"
)

func expiry(t *testing.T, r stack.Answer) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, r.Text("expires_at"))
	if err != nil {
		t.Fatalf("expires_at in %s: %v", r.Body, err)
	}
	return at
}

func TestMinSeconds(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	s.Browser().Flow(s.Human, "dana", "googlecalendar", "dana@example.com").WantFlow("connected", "connected")
	for _, bad := range []string{"-1", "3001", "x", "", "1.5", "1e3", " 1", "+", "0x10", "99999999999999999999"} {
		s.Human.Token("dana", "googlecalendar", "min_seconds="+url.QueryEscape(bad)).Want(http.StatusBadRequest, "invalid_request")
	}
	s.Human.Token("dana", "googlecalendar", "min_seconds=1", "min_seconds=2").Want(http.StatusBadRequest, "invalid_request")
	first := s.Human.Token("dana", "googlecalendar", "min_seconds=3000").Want(http.StatusOK, "")
	life := expiry(t, first).Sub(s.Clock.Now())
	s.Advance(life - 60*time.Second)
	same := s.Human.Token("dana", "googlecalendar").Want(http.StatusOK, "")
	if same.Text("access_token") != first.Text("access_token") {
		t.Error("a token with exactly 60 seconds left was refreshed")
	}
	fresh := s.Human.Token("dana", "googlecalendar", "min_seconds=61").Want(http.StatusOK, "")
	if fresh.Text("access_token") == first.Text("access_token") || expiry(t, fresh).Sub(s.Clock.Now()) < 61*time.Second {
		t.Errorf("asked for 61 seconds, got %s", fresh.Body)
	}
	s.Advance(life - time.Second)
	if zero := s.Human.Token("dana", "googlecalendar", "min_seconds=0").Want(http.StatusOK, ""); zero.Text("access_token") != fresh.Text("access_token") {
		t.Error("min_seconds=0 refreshes a token that lives")
	}
}

// A token whose whole life is shorter than what is asked is refreshed when less than a
// tenth of it is left.
func TestShortLife(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	s.Browser().SignIn(s.Human, "dana").Connect("googlecalendar").Choose("expires_5s", "dana@example.com").Rest().WantFlow("connected", "connected")
	read := func() string {
		t.Helper()
		return s.Human.Token("dana", "googlecalendar").Want(http.StatusOK, "").Text("access_token")
	}
	first := read()
	s.Advance(4500 * time.Millisecond)
	if read() != first {
		t.Error("refreshed with a tenth of its life left")
	}
	s.Advance(time.Millisecond)
	if read() == first {
		t.Error("not refreshed with less than a tenth of its life left")
	}
	s.Advance(time.Hour)
	read()
	wantTokenCalls(t, s, 3)
}

func TestParallelReadsOfAnExpiredToken(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	for _, scenario := range []string{"expires_5s", "rotating", "reuse_revokes_family"} {
		user := "user of " + scenario
		s.Browser().SignIn(s.Human, user).Connect("googlecalendar").Choose(scenario, "dana@example.com").Rest().WantFlow("connected", "connected")
		for range 2 { // a second round shows that the rotated token was kept
			s.Advance(9 * time.Hour)
			s.Sandbox.ClearLog()
			release := s.Wire.Hold()
			answers := make([]stack.Answer, 100)
			done := make(chan struct{})
			go func() {
				together(len(answers), func(i int) { answers[i] = s.Human.Token(user, "googlecalendar") })
				close(done)
			}()
			release()
			<-done
			for _, r := range answers {
				if r.Status != http.StatusOK || r.Text("access_token") != answers[0].Text("access_token") {
					t.Fatalf("%s: %d %s", scenario, r.Status, r.Body)
				}
			}
			if !expiry(t, answers[0]).After(s.Clock.Now()) {
				t.Errorf("%s: the token is over", scenario)
			}
			wantTokenCalls(t, s, 1)
		}
	}
}

// A refresh token that the provider has ended needs the user, and says where.
func TestReconnectRequired(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	s.Browser().Flow(s.Human, "dana", "googlecalendar", "dana@example.com").WantFlow("connected", "connected")
	s.Sandbox.RevokeAccount("dana@example.com")
	s.Advance(2 * time.Hour)
	r := s.Human.Token("dana", "googlecalendar").Want(http.StatusConflict, "reconnect_required")
	link := r.Text("connect_url")
	if !strings.HasPrefix(link, s.URL+"/link/") {
		t.Fatalf("connect_url %q", link)
	}
	if state := s.Browser().SignIn(s.Human, "dana").State("googlecalendar"); state != "reconnect_required" {
		t.Errorf("the list shows %s", state)
	}
	calls := s.TokenCalls()
	s.Human.Token("dana", "googlecalendar").Want(http.StatusConflict, "reconnect_required")
	wantTokenCalls(t, s, calls) // asked once, not each time
	s.Browser().Come(link).WantStatus(http.StatusOK).Connect("googlecalendar").Approve("dana@example.com").Rest().WantFlow("connected", "connected")
	s.Human.Token("dana", "googlecalendar").Want(http.StatusOK, "")
	wantRows(t, s, s.Human, 1)
}

// The operator's mistake is not the user's: nothing is marked.
func TestWrongClientSecret(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	for _, connector := range []string{"github", "googlecalendar", "slack"} {
		s.Browser().SignIn(s.Human, "dana").Connect(connector).Choose("rotating", "dana@example.com").Rest().WantFlow("connected", "connected")
	}
	s.Apply(strings.ReplaceAll(s.AppsYAML(""), "client_secret: "+stack.ClientSecret, "client_secret: wrong"))
	s.Advance(24 * time.Hour)
	for _, connector := range []string{"github", "googlecalendar", "slack"} {
		s.Human.Token("dana", connector).Want(http.StatusBadGateway, "connector_misconfigured")
	}
	s.Apply(s.AppsYAML(""))
	for _, connector := range []string{"github", "googlecalendar", "slack"} {
		s.Human.Token("dana", connector).Want(http.StatusOK, "")
	}
}

// A refresh that fails for a passing reason gives the token that still lives, with its
// true end.
func TestPassingFailure(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	s.Browser().Flow(s.Human, "dana", "googlecalendar", "dana@example.com").WantFlow("connected", "connected")
	first := s.Human.Token("dana", "googlecalendar").Want(http.StatusOK, "")
	down := strings.Replace(s.AppsYAML(""), "\n  - id: human", "\n  - id: human", 1)
	down = strings.ReplaceAll(down, "token: "+s.Provider+"/googlecalendar/token", "token: "+s.Provider+"/no-such-type/token")
	s.Apply(down)
	s.Advance(time.Hour - 30*time.Second)
	r := s.Human.Token("dana", "googlecalendar").Want(http.StatusOK, "")
	if r.Text("access_token") != first.Text("access_token") || !expiry(t, r).Equal(expiry(t, first)) {
		t.Errorf("got %s, want the first token with its end", r.Body)
	}
	s.Advance(time.Minute)
	if r := s.Human.Token("dana", "googlecalendar"); r.Status != http.StatusBadGateway && r.Status != http.StatusServiceUnavailable {
		t.Errorf("after its end: %d %s", r.Status, r.Body)
	}
	s.Apply(s.AppsYAML(""))
	s.Human.Token("dana", "googlecalendar").Want(http.StatusOK, "")
}

// A disconnect that comes while a refresh is at the provider wins.
func TestDisconnectDuringRefresh(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	s.Browser().SignIn(s.Human, "dana").Connect("googlecalendar").Choose("rotating", "dana@example.com").Rest().WantFlow("connected", "connected")
	s.Advance(2 * time.Hour)
	release := s.Wire.Hold()
	read := make(chan stack.Answer)
	go func() { read <- s.Human.Token("dana", "googlecalendar") }()
	s.Human.Disconnect("dana", "googlecalendar").Want(http.StatusOK, "")
	release()
	if r := <-read; r.Status == http.StatusOK {
		t.Errorf("a token of an ended connection: %s", r.Body)
	}
	wantRows(t, s, s.Human, 0)
	s.Human.Token("dana", "googlecalendar").Want(http.StatusNotFound, "not_connected")
}
