package doctor

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"
)

func TestHostPort(t *testing.T) {
	for origin, want := range map[string]string{
		"https://github.com": "github.com:443", "http://10.0.0.1": "10.0.0.1:80", "https://id.example:8443": "id.example:8443",
		"http://127.0.0.1:8081": "127.0.0.1:8081", "https://[::1]": "[::1]:443",
	} {
		if got := hostPort(origin); got != want {
			t.Errorf("%s: %s, want %s", origin, got, want)
		}
	}
	if asCIDR("10.0.0.1") != "10.0.0.1/32" || asCIDR("::1") != "::1/128" {
		t.Error("an address is not one address as CIDR")
	}
}

func TestClockFindingSaysWhichWay(t *testing.T) {
	for skew, want := range map[time.Duration]string{
		10 * time.Minute:  "This machine's clock is 10m0s ahead of the provider's.",
		-90 * time.Second: "This machine's clock is 1m30s behind the provider's.",
	} {
		if got := clockFinding("https://id.example", skew).What; got != want {
			t.Errorf("%s: %s", skew, got)
		}
	}
}

func TestCauseLeavesTheAddressOut(t *testing.T) {
	err := &url.Error{Op: "Get", URL: "https://connect.example/secret", Err: errors.New("connection refused.")}
	if got := cause(err); got != "connection refused" {
		t.Errorf("%q", got)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	if err := NewClient().CheckRedirect(nil, nil); !errors.Is(err, http.ErrUseLastResponse) {
		t.Error(err)
	}
}
