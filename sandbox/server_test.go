package sandbox

import (
	"net/http/httptest"
	"net/url"
	"testing"
)

// Behind a proxy the server is told its origin, and says it whatever the Host is.
func TestBaseURL(t *testing.T) {
	for base, want := range map[string]string{
		"https://sandbox.acme.example":       "https://sandbox.acme.example",
		"https://sandbox.acme.example/path/": "https://sandbox.acme.example",
		"":                                   "http://example.com",
		"not an address":                     "http://example.com",
	} {
		s := New(Options{BaseURL: base})
		if err := s.Next(Approve, ""); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", ask("generic"), nil))
		u, err := url.Parse(w.Header().Get("Location"))
		if err != nil || u.Query().Get("iss") != want {
			t.Errorf("%q: iss %q (%v)", base, u.Query().Get("iss"), err)
		}
	}
}

// Without options it runs on the clock of the machine and logs nothing.
func TestZeroOptions(t *testing.T) {
	s := New(Options{})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 200 || len(s.Log()) != 1 || s.Log()[0].Status != 200 {
		t.Errorf("status %d, log %+v", w.Code, s.Log())
	}
}
