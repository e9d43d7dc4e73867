package oauth_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/oauth"
	"patchbay/provider"
	"patchbay/vault"
)

const apiToken = "canary/access+token=1"

// apiFixture is a provider's API, and a client that may reach it.
func apiFixture(t *testing.T, handle http.HandlerFunc) (*oauth.Client, oauth.Registration, *atomic.Int64) {
	t.Helper()
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		handle(w, r)
	}))
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	guarded, err := oauth.NewAPIClient([]string{at.Host})
	if err != nil {
		t.Fatal(err)
	}
	base := server.URL + "/v1"
	return &oauth.Client{HTTP: guarded, API: guarded}, oauth.Registration{
		Entry: &provider.Entry{API: provider.API{
			Hosts:           []provider.Host{{Name: "main", URL: "https://api.provider.example/v1"}, {Name: "upload", URL: "https://up.provider.example"}},
			RequestHeaders:  []string{"Accept", "If-Match", "Content-Type", "Authorization"},
			ResponseHeaders: []string{"ETag", "X-Echo"},
		}},
		Endpoints: provider.Endpoints{API: base}, Overrides: provider.Endpoints{API: base},
	}, &calls
}

func callAPI(t *testing.T, c *oauth.Client, r oauth.Registration, q oauth.APIRequest) oauth.APIResponse {
	t.Helper()
	if q.Method == "" {
		q.Method = http.MethodGet
	}
	if q.Path == "" {
		q.Path = "/thing"
	}
	got, err := c.Call(t.Context(), r, vault.NewSecret(apiToken), nil, q)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestCallSends(t *testing.T) {
	c, r, calls := apiFixture(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.String() != "/v1/a%20b?x=1&n=2&n=3" || r.Method != "PUT" || string(body) != `{"a":1}` {
			t.Errorf("%s %s %s", r.Method, r.URL, body)
		}
		if h := r.Header; h.Get("Authorization") != "Bearer "+apiToken || h.Get("If-Match") != "e" || h.Get("X-Other") != "" ||
			h.Get("Content-Type") != "application/json" || h.Get("Cookie") != "" {
			t.Errorf("headers %v", h)
		}
		w.Header().Set("ETag", `"f"`)
		w.Header().Set("X-Secret", "not listed")
		_, _ = io.WriteString(w, `{"n":12345678901234567890}`)
	})
	got := callAPI(t, c, r, oauth.APIRequest{
		Method: "PUT", Path: "/a%20b?x=1", Query: url.Values{"n": {"2", "3"}}, Body: json.RawMessage(`{"a":1}`),
		Header: map[string]string{"if-match": "e", "X-Other": "o", "Authorization": "Bearer mine", "Cookie": "c=1", "Content-Type": "text/plain"},
	})
	if !got.Success() || got.Phase != oauth.Responded || got.Status != 200 || string(got.Data) != `{"n":12345678901234567890}` ||
		len(got.Header) != 1 || got.Header["etag"] != `"f"` {
		t.Errorf("%+v", got)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// Each way a call can go wrong has the phase that is true of it, and none is tried again.
func TestCallPhases(t *testing.T) {
	cut := func(w http.ResponseWriter, linger bool) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if tcp, ok := conn.(*net.TCPConn); ok && !linger {
			_ = tcp.SetLinger(0) // a reset
		}
		_ = conn.Close()
	}
	for name, test := range map[string]struct {
		handle  http.HandlerFunc
		method  string
		phase   oauth.Phase
		status  int
		success bool
		timeout time.Duration
	}{
		"reset before the body is read": {handle: func(w http.ResponseWriter, _ *http.Request) { cut(w, false) }, method: "POST", phase: oauth.SentUnconfirmed},
		"reset after the body was read": {handle: func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); cut(w, false) }, method: "POST", phase: oauth.SentUnconfirmed},
		"closed without an answer":      {handle: func(w http.ResponseWriter, _ *http.Request) { cut(w, true) }, method: "GET", phase: oauth.SentUnconfirmed},
		"no answer in time": {handle: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, method: "GET", phase: oauth.TimedOut,
			timeout: 300 * time.Millisecond},
		"4xx":     {handle: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(422) }, phase: oauth.Responded, status: 422},
		"5xx":     {handle: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, phase: oauth.Responded, status: 503},
		"no body": {handle: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, phase: oauth.Responded, status: 204, success: true},
		"redirect": {handle: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusTemporaryRedirect)
		}, phase: oauth.Responded, status: http.StatusTemporaryRedirect},
		"10 MB": {handle: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 10<<20)) },
			phase: oauth.Responded, status: 200},
		"breaks off": {handle: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		}, phase: oauth.Responded, status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			c, r, calls := apiFixture(t, test.handle)
			if test.timeout > 0 {
				c.API.Timeout = test.timeout
			}
			q := oauth.APIRequest{Method: test.method}
			if test.method == "POST" {
				q.Body = json.RawMessage(`"` + strings.Repeat("x", 1<<19) + `"`)
			}
			got := callAPI(t, c, r, q)
			if got.Phase != test.phase || got.Status != test.status || got.Success() != test.success {
				t.Errorf("%+v", got)
			}
			if got.Status == 0 && got.Problem == "" {
				t.Error("it does not say why")
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		c, r, _ := apiFixture(t, func(http.ResponseWriter, *http.Request) {})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		closed := l.Addr().String()
		_ = l.Close()
		guarded, err := oauth.NewAPIClient([]string{closed})
		if err != nil {
			t.Fatal(err)
		}
		c.API = guarded
		r.Endpoints.API, r.Overrides.API = "http://"+closed, "http://"+closed
		if got := callAPI(t, c, r, oauth.APIRequest{Method: "POST"}); got.Phase != oauth.NotSent || got.Status != 0 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("not allowed outside", func(t *testing.T) {
		c, r, calls := apiFixture(t, func(http.ResponseWriter, *http.Request) {})
		r.Endpoints.API = "http://127.0.0.1:1/"
		if got := callAPI(t, c, r, oauth.APIRequest{}); got.Phase != oauth.NotSent || calls.Load() != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestCallBodies(t *testing.T) {
	var kind, body string
	c, r, _ := apiFixture(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("X-Echo", apiToken)
		_, _ = io.WriteString(w, body)
	})
	for _, test := range []struct{ kind, body, data, binary string }{
		{"application/json; charset=utf-8", `[1, 2]`, `[1, 2]`, ""},
		{"application/vnd.api+json", `{}`, `{}`, ""},
		{"application/json", `{broken`, `"{broken"`, ""},
		{"text/html", "<b>", "\"\\u003cb\\u003e\"", ""},
		{"image/png", "\x89PNG\x00", "", "\x89PNG\x00"},
		{"application/pdf", "%PDF", "", "%PDF"},
		{"application/json", "\xff\xfe", "", "\xff\xfe"},
		{"", "", "", ""},
		{"application/json", `{"you_sent":"Bearer ` + apiToken + `"}`, `{"you_sent":"Bearer [access token]"}`, ""},
		{"text/plain", "?t=" + url.QueryEscape(apiToken), `"?t=[access token]"`, ""},
	} {
		kind, body = test.kind, test.body
		got := callAPI(t, c, r, oauth.APIRequest{})
		if string(got.Data) != test.data || string(got.Binary) != test.binary || (test.binary != "" && got.MediaType != test.kind) {
			t.Errorf("%s %q: %q %q %s", test.kind, test.body, got.Data, got.Binary, got.MediaType)
		}
		if got.Header["x-echo"] != "[access token]" {
			t.Errorf("a header says %q", got.Header["x-echo"])
		}
	}
}

func TestCallRefuses(t *testing.T) {
	c, r, calls := apiFixture(t, func(http.ResponseWriter, *http.Request) {})
	for _, path := range []string{
		"", "thing", "//evil.example", "https://evil.example/", "/\\evil.example", "/%5cevil.example", "/a/../b", "/..", "/a/%2e%2e/b", "/%2E%2e",
		"/a/%252e%252e/b", "/a/./b", "/a\r\nX: y", "/a%0d%0aX:%20y", "/a b", "/a\x00", "/a%00", "/a#b", "/http://evil.example", "/a/..;/b", "/%zz", "/%2f%2fevil.example/..%2f",
		"/%ff", "/\u2028\u0085", strings.Repeat("/a", 5000),
	} {
		if _, err := c.Call(t.Context(), r, vault.NewSecret(apiToken), nil, oauth.APIRequest{Method: "GET", Path: path}); !errors.Is(err, oauth.ErrAPIPath) {
			t.Errorf("path %.40q: %v", path, err)
		}
	}
	for _, host := range []string{"other", "evil.example", "Main", "main ", "127.0.0.1", "https://api.provider.example"} {
		if _, err := c.Call(t.Context(), r, vault.NewSecret(apiToken), nil, oauth.APIRequest{Method: "GET", Path: "/a", Host: host}); !errors.Is(err, provider.ErrNoHost) {
			t.Errorf("host %q: %v", host, err)
		}
	}
	for _, method := range []string{"", "get", "CONNECT", "TRACE", "OPTIONS", "GET /"} {
		if _, err := c.Call(t.Context(), r, vault.NewSecret(apiToken), nil, oauth.APIRequest{Method: method, Path: "/a"}); !errors.Is(err, oauth.ErrAPIMethod) {
			t.Errorf("method %q: %v", method, err)
		}
	}
	for name, value := range map[string]string{"A\r\nB": "c", "Accept": "a\r\nHost: evil", "": "a", "A B": "c"} {
		if _, err := c.Call(t.Context(), r, vault.NewSecret(apiToken), nil, oauth.APIRequest{Method: "GET", Path: "/a", Header: map[string]string{name: value}}); !errors.Is(err, oauth.ErrAPIHeader) {
			t.Errorf("header %q: %v", name, err)
		}
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d calls", n)
	}
	for _, host := range []string{"", "main", "upload"} { // overridden: all names lead to the one address
		callAPI(t, c, r, oauth.APIRequest{Host: host})
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("%d calls", n)
	}
	r.Overrides.API, r.Endpoints.API = "", ""
	for _, host := range []string{"", "upload"} { // the tokens come from elsewhere, the API's address does not
		if _, err := c.Call(t.Context(), r, vault.NewSecret(apiToken), nil, oauth.APIRequest{Method: "GET", Path: "/a", Host: host}); err == nil {
			t.Errorf("host %q of the catalogue is sent a foreign token", host)
		}
	}
}
