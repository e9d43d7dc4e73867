package handlers

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"patchbay/connect"
)

// Every code of connect needs a place in the table, or it would answer 500.
func TestEveryCodeHasAStatus(t *testing.T) {
	for _, code := range []connect.Code{
		connect.CodeExpired, connect.CodeUserMismatch, connect.CodeAssuranceTooLow, connect.CodeProviderError,
		connect.CodeProviderUnavailable, connect.CodeStateUnknown, connect.CodeCookieMissing, connect.CodeBrowserMismatch,
		connect.CodeInvalidRequest, connect.CodeUnauthorized, connect.CodeForbidden, connect.CodeNotFound,
		connect.CodeNotConnected, connect.CodeOriginNotAllowed, connect.CodeReconnectRequired, connect.CodeFlowFinished,
		connect.CodeConnectionChanged, connect.CodeConnectorMisconfigured, connect.CodeUnavailable, connect.CodeInternal,
		codeOriginRejected, codeMethodNotAllowed, codeMediaType, codeTooLarge, codeRateLimited,
	} {
		if _, ok := statuses[code]; !ok {
			t.Errorf("%s has no status", code)
		}
	}
}

func TestErrorsSayNothingOfTheirCause(t *testing.T) {
	cause := errors.New("SELECT token FROM connections: disk I/O error at /var/lib/x")
	for name, err := range map[string]error{
		"bare":        cause,
		"wrapped":     fmt.Errorf("read: %w", cause),
		"unavailable": fmt.Errorf("%w: %w", connect.ErrUnavailable, cause),
		"refusal":     &connect.Error{Code: connect.CodeProviderError, Message: "The provider answered oddly.", Cause: cause},
	} {
		if e := asError(err); strings.Contains(e.Message, "SELECT") || strings.Contains(e.Message, "/var") {
			t.Errorf("%s: %q", name, e.Message)
		}
	}
}

func TestRetryAfterIsAtLeastASecond(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", 1500 * time.Millisecond: "2", time.Minute: "60"} {
		if got := seconds(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestReadableOn(t *testing.T) {
	for accent, want := range map[string]string{"#000000": "#fff", "#fff": "#000", "#6d28d9": "#fff", "#ffd400": "#000", "nonsense": "#fff"} {
		if got := readableOn(accent); got != want {
			t.Errorf("on %s: %s, want %s", accent, got, want)
		}
	}
}

func TestHTMLPattern(t *testing.T) {
	for expr, want := range map[string]string{`^(?:T[A-Z0-9]{6,})$`: `T[A-Z0-9]{6,}`, `^a+$`: "a+", "a|b": "a|b"} {
		if got := htmlPattern(regexp.MustCompile(expr).String()); got != want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
	}
}

func TestSecurity31_ClientAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, test := range []struct {
		peer, forwarded string
		trusted         []netip.Prefix
		want            string
	}{
		{"203.0.113.9:1", "198.51.100.7", nil, "203.0.113.9"},
		{"127.0.0.1:1", "198.51.100.7", nil, "127.0.0.1"},
		{"203.0.113.9:1", "198.51.100.7", proxies, "203.0.113.9"},
		{"127.0.0.1:1", "198.51.100.7", proxies, "127.0.0.1"},
		{"192.168.1.1:1", "198.51.100.7", proxies, "192.168.1.1"},
		{"10.1.2.3:1", "198.51.100.7", proxies, "198.51.100.7"},
		{"10.1.2.3:1", "1.1.1.1, 198.51.100.7, 10.9.9.9", proxies, "198.51.100.7"},
		{"[fd00::1]:1", "2001:db8::5", proxies, "2001:db8::5"},
		{"10.1.2.3:1", "garbage", proxies, "10.1.2.3"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = test.peer
		r.Header.Set("X-Forwarded-For", test.forwarded)
		r.Header.Set("X-Real-Ip", "6.6.6.6")
		if got := clientAddress(test.trusted)(r); got != test.want {
			t.Errorf("peer %s, forwarded %q, trusted %v: %s, want %s", test.peer, test.forwarded, test.trusted, got, test.want)
		}
	}
}

func TestLimits(t *testing.T) {
	l := newLimits(true)
	key := func(name string) string { return t.Name() + name }
	for name, test := range map[string]struct {
		limiter limiter
		burst   int
	}{
		"pages": {l.pages, 200}, "starts": {l.starts, 60}, "token reads": {l.tokenReads, 1000},
		"calls": {l.apiCalls, 200}, "refused": {l.refusedCalls, 60},
	} {
		allowed := 0
		for range test.burst + 50 {
			if take(test.limiter, key(name)) == nil {
				allowed++
			}
		}
		if allowed < test.burst || allowed > test.burst+49 {
			t.Errorf("%s: %d of %d at once", name, allowed, test.burst+50)
		}
		if err := take(test.limiter, key("somebody else")); err != nil {
			t.Errorf("%s: one caller's limit is another's: %v", name, err)
		}
	}
	off := newLimits(false)
	for range 5000 {
		if take(off.pages, "x") != nil {
			t.Fatal("limited although off")
		}
	}
}

func TestPanicIsAnInternalError(t *testing.T) {
	s := &Server{Log: slog.New(slog.DiscardHandler), Service: &connect.Service{}}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/apps/acme/flows/x", nil)) // no store: it panics
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"code":"internal"`) || strings.Contains(w.Body.String(), "goroutine") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
