package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// twoSecrets stands before the sandbox as a provider whose client secret is changed:
// the one that counts now becomes the sandbox's own.
func twoSecrets(t *testing.T, provider sandbox) (address string, counts *atomic.Value) {
	t.Helper()
	counts = &atomic.Value{}
	counts.Store("old-secret")
	at, err := url.Parse(provider.origin)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(at)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/token") {
			raw, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			form, err := url.ParseQuery(string(raw))
			if err == nil && form.Get("client_secret") == counts.Load().(string) {
				form.Set("client_secret", "sandbox-secret")
				raw = []byte(form.Encode())
			}
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(raw))), int64(len(raw))
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return strings.TrimPrefix(front.URL, "http://"), counts
}

// A client secret is changed while tokens are refreshed and accounts linked: first both
// are set, then the provider changes, then the old one goes. Nothing fails.
func TestClientSecretIsChangedWithoutABrokenMinute(t *testing.T) {
	t.Parallel()
	provider := startSandbox(t)
	s := newSettings(t)
	front, counts := twoSecrets(t, provider)
	s.sandbox = front
	path := s.apps(t, "https://app.acme.example", "github")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set := func(line string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), `client_secret: "${ACME_CLIENT_SECRET}"`, line, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set("client_secret: old-secret")
	v := serve(t, s, provider)
	for _, user := range []string{"dana", "sam"} {
		v.followWith(t, v.link(t, user, "github"), user, "expires_5s").wantResult("connected", "connected")
	}

	stop, reads, tokens := make(chan struct{}), atomic.Int64{}, sync.Map{}
	var wg sync.WaitGroup
	for _, user := range []string{"dana", "sam"} {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
				}
				got := v.call(t, "GET", "app-user-auth/connectors/github/token?min_seconds=4", userToken(t, user), "")
				if got.status != 200 {
					t.Errorf("a read for %s: %d %v", user, got.status, got.body)
					return
				}
				reads.Add(1)
				tokens.Store(got.body["access_token"], true)
			}
		})
	}
	apply := func(line string) {
		t.Helper()
		set(line)
		if _, errs, exit := run(t, s.env(), "apply", "-f", path); exit != 0 {
			t.Error(errs)
		}
	}
	linkOne := func(user string) {
		t.Helper()
		v.follow(t, v.link(t, user, "github"), user).wantResult("connected", "connected")
	}
	time.Sleep(3 * time.Second)
	apply("client_secrets: [new-secret, old-secret]")
	linkOne("kim")
	time.Sleep(3 * time.Second)
	counts.Store("new-secret")
	linkOne("lee")
	time.Sleep(3 * time.Second)
	apply("client_secret: new-secret")
	linkOne("max")
	time.Sleep(3 * time.Second)
	close(stop)
	wg.Wait()
	different := 0
	tokens.Range(func(any, any) bool { different++; return true })
	if reads.Load() < 40 || different < 6 {
		t.Errorf("%d reads of %d tokens: too few to tell", reads.Load(), different)
	}
}
