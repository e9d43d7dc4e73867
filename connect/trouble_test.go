package connect_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"patchbay/connect"
	"patchbay/oauth"
	"patchbay/provider"
)

// bender answers refreshes in the provider's place.
type bender struct {
	mu     sync.Mutex
	calls  int
	answer func(n int) (status int, header, body string) // n counts from 1
}

func (b *bender) RoundTrip(req *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, req.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	status, header, body := b.answer(b.calls)
	resp := &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
	if name, value, ok := strings.Cut(header, ": "); ok {
		resp.Header.Set(name, value)
	}
	return resp, nil
}

const (
	invalidGrant = `{"error":"invalid_grant"}`
	freshPair    = `{"access_token":"at-fresh","refresh_token":"rt-fresh","token_type":"bearer","expires_in":3600}`
)

// bend connects dana and then has the provider's answers made up.
func bend(t *testing.T, typ string, answer func(n int) (int, string, string)) (*fixture, *bender) {
	t.Helper()
	f := newFixture(t)
	f.apply(f.app("acme", typ))
	f.connect("acme", typ, "dana", "approve")
	f.connect("acme", typ, "sam", "approve")
	b := &bender{answer: answer}
	f.OAuth = &oauth.Client{HTTP: &http.Client{Transport: b}, Now: f.now}
	f.advance(24 * 365 * time.Hour)
	return f, b
}

func (b *bender) want(t *testing.T, calls int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.calls != calls {
		t.Errorf("%d calls of the provider instead of %d", b.calls, calls)
	}
}

// fickle makes a type of the operator's own, like Airtable, whose invalid_grant is known
// to be wrong at times.
func fickle(t *testing.T) *provider.Catalog {
	t.Helper()
	text, err := os.ReadFile("../provider/catalog/airtable.yaml")
	must(t, err)
	text = bytes.Replace(text, []byte("type: airtable"), []byte("type: fickle"), 1)
	text = bytes.Replace(text, []byte("refresh:\n"), []byte("refresh:\n  transient_invalid_grant: true\n"), 1)
	c, err := provider.WithOwn(fstest.MapFS{"fickle.yaml": {Data: text}}, nil)
	must(t, err)
	return c
}

// A fickle provider is believed the second time, half a minute later.
func TestFickleProvider(t *testing.T) {
	for name, well := range map[string]bool{"it was wrong": true, "it was right": false} {
		t.Run(name, func(t *testing.T) {
			f, b := bend(t, "airtable", func(n int) (int, string, string) {
				if n == 2 && well {
					return 200, "", freshPair
				}
				return 400, "", invalidGrant
			})
			catalog := fickle(t)
			f.Catalog = catalogAs(t, catalog)
			_, err := f.token("acme", "airtable", "dana")
			wantCode(t, err, connect.CodeProviderUnavailable)
			f.advance(20 * time.Second)
			_, err = f.token("acme", "airtable", "dana")
			wantCode(t, err, connect.CodeProviderUnavailable)
			b.want(t, 1)
			f.advance(15 * time.Second)
			_, err = f.token("acme", "airtable", "dana")
			if well {
				must(t, err)
			} else {
				wantCode(t, err, connect.CodeReconnectRequired)
			}
			b.want(t, 2)
		})
	}
}

// A provider that does not answer is probed every ten seconds, by one of all instances,
// and is used again when it works.
func TestOutageIsProbedSeldom(t *testing.T) {
	down := true
	f, b := bend(t, "googlecalendar", func(int) (int, string, string) {
		if down {
			return 503, "", ""
		}
		return 200, "", freshPair
	})
	other := &connect.Service{Store: f.Store, Sealer: f.Sealer, Catalog: f.Catalog, OAuth: f.OAuth, PublicURL: publicURL, Now: f.now}
	for range 600 { // ten minutes, two instances asked every second
		for _, s := range []*connect.Service{f.Service, other} {
			_, err := s.AppUserConnection(t.Context(), "acme", "googlecalendar", "dana", time.Minute)
			wantCode(t, err, connect.CodeProviderUnavailable)
		}
		f.advance(time.Second)
	}
	if b.calls > 70 {
		t.Errorf("%d calls in ten minutes", b.calls)
	}
	down = false
	recovered := 0
	for ; recovered < 400; recovered++ {
		if _, err := f.token("acme", "googlecalendar", "dana"); err == nil {
			break
		}
		f.advance(time.Second)
	}
	t.Logf("%d calls in ten minutes, well again after %d s", b.calls, recovered)
	if recovered > 310 { // the row's own wait, at most five minutes
		t.Errorf("not well after %d s", recovered)
	}
}

// A provider that asks to wait is not asked before, by no instance, and not for longer
// than an hour.
func TestThrottled(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"Retry-After: 120": 2 * time.Minute, "Retry-After: 315360000": time.Hour,
	} {
		t.Run(header, func(t *testing.T) {
			f, b := bend(t, "googlecalendar", func(n int) (int, string, string) {
				if n == 1 {
					return 429, header, ""
				}
				return 200, "", freshPair
			})
			other := &connect.Service{Store: f.Store, Sealer: f.Sealer, Catalog: f.Catalog, OAuth: f.OAuth, PublicURL: publicURL, Now: f.now}
			_, err := f.token("acme", "googlecalendar", "dana")
			wantCode(t, err, connect.CodeProviderUnavailable)
			f.advance(want - time.Second)
			_, err = other.AppUserConnection(t.Context(), "acme", "googlecalendar", "sam", time.Minute) // nor for anybody else
			wantCode(t, err, connect.CodeProviderUnavailable)
			b.want(t, 1)
			f.advance(want / 5) // the wait is drawn out by up to a tenth
			_, err = other.AppUserConnection(t.Context(), "acme", "googlecalendar", "sam", time.Minute)
			must(t, err)
			b.want(t, 2)
		})
	}
}

// Without a new refresh token in the answer the old one stays, and with the same one too.
func TestAnswerWithoutRefreshToken(t *testing.T) {
	f, b := bend(t, "googlecalendar", func(n int) (int, string, string) {
		return 200, "", fmt.Sprintf(`{"access_token":"at-%d","token_type":"bearer","expires_in":3600}`, n)
	})
	for i := 1; i <= 3; i++ {
		got, err := f.token("acme", "googlecalendar", "dana")
		must(t, err)
		if got.AccessToken.Reveal() != fmt.Sprintf("at-%d", i) {
			t.Errorf("%d: %s", i, got.AccessToken.Reveal())
		}
		f.advance(2 * time.Hour)
	}
	b.want(t, 3)
}

// A refresh token that nobody needs is used before it dies of idleness, all year long.
func TestKeptAlive(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "airtable")) // 60 days
	f.connect("acme", "airtable", "dana", "approve")
	var last time.Time
	b := &bender{answer: func(n int) (int, string, string) {
		last = f.now()
		return 200, "", fmt.Sprintf(`{"access_token":"at-%d","refresh_token":"rt-%d","token_type":"bearer","expires_in":3600}`, n, n)
	}}
	f.OAuth = &oauth.Client{HTTP: &http.Client{Transport: b}, Now: f.now}
	last = f.now()
	longest := time.Duration(0)
	for range 365 * 4 {
		f.advance(6 * time.Hour)
		longest = max(longest, f.now().Sub(last))
		must(t, f.RefreshDue(t.Context()))
	}
	t.Logf("%d refreshes in a year, at most %v apart", b.calls, longest)
	if longest > 50*24*time.Hour || b.calls > 60 {
		t.Errorf("%d refreshes, at most %v apart", b.calls, longest)
	}
}

// Tokens that somebody reads are fresh before they run out; those that nobody reads rest.
func TestRefreshAhead(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "googlecalendar"))
	f.connect("acme", "googlecalendar", "dana", "approve")
	for range 12 * 60 { // twelve hours; dana's token is read every ten minutes
		f.advance(time.Minute)
		must(t, f.RefreshDue(t.Context()))
		conn, err := f.UserConnection(t.Context(), "acme", "googlecalendar", "dana")
		must(t, err)
		if left := conn.ExpiresAt.Sub(f.now()); left < 4*time.Minute {
			t.Fatalf("%v left", left)
		}
	}
	f.advance(48 * time.Hour)
	before := f.sandbox.Calls("googlecalendar", "/token")
	for range 20 {
		must(t, f.RefreshDue(t.Context()))
		f.advance(time.Hour)
	}
	if n := f.sandbox.Calls("googlecalendar", "/token") - before; n > 1 {
		t.Errorf("%d refreshes of a token that nobody reads", n)
	}
	_, err := f.token("acme", "googlecalendar", "dana")
	must(t, err)
}

// A row that cannot be opened is put off and in nobody's way.
func TestPoisonRow(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "googlecalendar"))
	for i := range 20 {
		f.connect("acme", "googlecalendar", fmt.Sprintf("user%02d", i), "approve")
	}
	conn, err := f.UserConnection(t.Context(), "acme", "googlecalendar", "user07")
	must(t, err)
	bad := connect.Refreshed{ID: conn.ID, Generation: conn.Generation, Sealed: bytes.Repeat([]byte{1}, 90), KeyID: conn.KeyID,
		ObtainedAt: conn.ObtainedAt, ExpiresAt: conn.ExpiresAt, Fingerprint: "x", DueAt: f.now()}
	if ok, err := f.Store.SaveRefreshed(t.Context(), bad); err != nil || !ok {
		t.Fatal(ok, err)
	}
	before := f.sandbox.Calls("googlecalendar", "/token")
	f.advance(56 * time.Minute)
	for range 5 {
		must(t, f.RefreshDue(t.Context()))
	}
	if n := f.sandbox.Calls("googlecalendar", "/token") - before; n != 19 {
		t.Errorf("%d refreshes instead of 19", n)
	}
	if n := f.saw(connect.EventRefreshFailed); n != 1 {
		t.Errorf("the bad row failed %d times in one minute", n)
	}
	if f.saw(connect.EventReconnectRequired) != 0 {
		t.Error("the user was blamed")
	}
	if _, err := f.token("acme", "googlecalendar", "user07"); connect.CodeOf(err) != connect.CodeInternal {
		t.Errorf("the bad row reads as %v", err)
	}
}

// catalogAs returns the catalogue with its type fickle under the name airtable, whose
// connection there is.
func catalogAs(t *testing.T, c *provider.Catalog) *provider.Catalog {
	t.Helper()
	from, ok := c.Entry("fickle")
	to, known := c.Entry("airtable")
	if !ok || !known {
		t.Fatal("there is no such type")
	}
	was := to.Refresh
	t.Cleanup(func() { to.Refresh = was })
	to.Refresh = from.Refresh
	return c
}
