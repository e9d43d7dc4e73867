package hostile

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"patchbay/e2e/stack"
)

// listener counts the requests it gets.
func listener(t *testing.T) (address string, hits *atomic.Int32) {
	t.Helper()
	hits = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(server.Close)
	return server.URL, hits
}

// An apps file cannot point the provider inside.
func TestSecurity69_EndpointsInside(t *testing.T) {
	t.Parallel()
	canary, hits := listener(t)
	s := stack.New(t)
	for _, address := range []string{
		"http://provider.example/token", "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/token", "ftp://provider.example/", "file:///etc/passwd", "//provider.example/token",
		"https://user:pass@provider.example/", "https://provider.example/#x", "javascript:alert(1)", "http://localhost.evil.example/", "http://127.0.0.1.evil.example/", "http://2130706433/", "http://0x7f000001/",
	} {
		extra := strings.Replace(s.ConnectorYAML("inside", "github", "x"), s.Provider+"/github/token", address, 1)
		if err := s.TryApply(s.AppsYAML(extra)); err == nil {
			t.Errorf("the token endpoint %q is taken", address)
		}
	}
	// Loopback can be written down, and is not reached unless the operator allows it.
	extra := strings.Replace(s.ConnectorYAML("inside", "github", "x"), s.Provider+"/github/token", canary+"/token", 1)
	s.Apply(s.AppsYAML(extra))
	s.Browser().SignIn(s.Acme, "dana").Connect("inside").Approve("dana@example.com").Rest().WantFlow("failed", "provider_error")
	if hits.Load() != 0 {
		t.Errorf("%d requests reached a listener that is not allowed", hits.Load())
	}
	wantRows(t, s, s.Acme, 0)
}

// A token endpoint that redirects is not followed.
func TestSecurity70_RedirectingTokenEndpoint(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		second, hits := listener(t)
		first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, second+"/token", status) }))
		t.Cleanup(first.Close)
		s := stack.New(t, stack.Reachable(strings.TrimPrefix(first.URL, "http://"), strings.TrimPrefix(second, "http://")))
		s.Apply(s.AppsYAML(strings.Replace(s.ConnectorYAML("moving", "github", "x"), s.Provider+"/github/token", first.URL+"/token", 1)))
		s.Browser().SignIn(s.Acme, "dana").Connect("moving").Approve("dana@example.com").Rest().WantFlow("failed", "provider_error")
		if hits.Load() != 0 {
			t.Errorf("%d: the second host got %d requests", status, hits.Load())
		}
		wantRows(t, s, s.Acme, 0)
	}
}
