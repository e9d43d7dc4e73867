package connect_test

import (
	"net/http"
	"net/url"
	"testing"
)

// authorize loads the provider's address as a browser would, and returns what the
// provider sends it back with.
func authorize(t *testing.T, address string) url.Values {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(address)
	must(t, err)
	defer resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		t.Fatalf("the provider answered %s and sent the browser nowhere", resp.Status)
	}
	return to.Query()
}
