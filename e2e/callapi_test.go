package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// callsServer is a server whose shared connector can call an API that goes wrong.
func callsServer(t *testing.T, change func(apps string) string) *server {
	t.Helper()
	provider := startSandbox(t)
	s := newSettings(t)
	s.sandbox = strings.TrimPrefix(provider.origin, "http://")
	path := s.apps(t, "https://app.acme.example", "shared:github")
	if change != nil {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(change(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v := serve(t, s, provider)
	v.consent(t, *v.ask(t, "github", `{"scopes":[]}`).RedirectURL, "approve").wantResult("connected", "connected")
	return v
}

func (v *server) callAPI(t *testing.T, request map[string]any) answer {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return v.call(t, "POST", "connectors/github/call", "", string(body))
}

// Each phase is told truthfully, by the sandbox's API that goes wrong on demand, and
// nothing is ever sent twice.
func TestCallAPIPhases(t *testing.T) {
	t.Parallel()
	v := callsServer(t, nil)
	big := strings.Repeat("y", 900<<10)
	for _, c := range []struct {
		path, phase string
		status      any // null for none
		success     bool
		body        any
	}{
		{"/play/status/204", "responded", 204.0, true, nil},
		{"/play/status/400", "responded", 400.0, false, map[string]any{"a": 1}},
		{"/play/status/401", "responded", 401.0, false, nil},
		{"/play/status/429", "responded", 429.0, false, nil},
		{"/play/status/500", "responded", 500.0, false, nil},
		{"/play/status/503", "responded", 503.0, false, map[string]any{"a": 1}},
		{"/play/redirect", "responded", 302.0, false, nil},
		{"/play/echo", "responded", 200.0, true, map[string]any{"text": big}},
		{"/play/reset", "sent_unconfirmed", nil, false, map[string]any{"a": 1}},
		{"/play/hang", "timed_out", nil, false, map[string]any{"a": 1}},
	} {
		t.Run(strings.ReplaceAll(c.path[1:], "/", "-"), func(t *testing.T) {
			t.Parallel()
			request := map[string]any{"path": c.path, "method": "GET"}
			if c.body != nil {
				request["method"], request["body"] = "POST", c.body
			}
			got := v.callAPI(t, request)
			if got.status != 200 || got.body["phase"] != c.phase || got.body["status_code"] != c.status || got.body["success"] != c.success || got.body["credits_charged"] != 0.0 {
				text, _ := json.Marshal(got.body)
				t.Errorf("%d %.300s", got.status, text)
			}
			if n := v.sent(t, "/github/api"+c.path); n != 1 {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

// sent counts the sandbox's requests of a path.
func (v *server) sent(t *testing.T, path string) int {
	t.Helper()
	resp, err := http.Get(v.provider.origin + "/_sandbox/log")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var log struct{ Requests []struct{ Path string } }
	if err := json.NewDecoder(resp.Body).Decode(&log); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range log.Requests {
		if r.Path == path {
			n++
		}
	}
	return n
}

func TestCallAPIAnswers(t *testing.T) {
	t.Parallel()
	v := callsServer(t, nil)
	binary := v.callAPI(t, map[string]any{"path": "/play/binary"}).body
	if raw, err := base64.StdEncoding.DecodeString(binary["data_base64"].(string)); err != nil || !slices.Equal(raw, []byte{0, 1, 2, 0xff, 0xfe, 0}) || binary["data"] != nil || binary["content_type"] != "application/octet-stream" {
		t.Errorf("binary: %v", binary)
	}
	begun := time.Now()
	large := v.callAPI(t, map[string]any{"path": "/play/big"})
	if text, _ := json.Marshal(large.body); large.status != 200 || large.body["success"] != false || large.body["phase"] != "responded" || len(text) > 10<<10 {
		t.Errorf("10 MB: %d, %d bytes after %s: %.300s", large.status, len(text), time.Since(begun), text)
	}
	cut := v.callAPI(t, map[string]any{"path": "/play/cut"}).body
	if cut["success"] != false || cut["phase"] == "not_sent" {
		t.Errorf("cut off in the middle: %v", cut)
	}
	moved := v.callAPI(t, map[string]any{"path": "/play/redirect"}).body
	if text, _ := json.Marshal(moved); strings.Contains(string(text), "elsewhere.example") {
		t.Errorf("where a redirect leads is told: %s", text)
	}
	token := v.call(t, "GET", "external-auth/tokens/github", "", "").body["access_token"].(string)
	for _, path := range []string{"/play/echo", "/play/reset", "/whoami"} {
		if text, _ := json.Marshal(v.callAPI(t, map[string]any{"path": path, "headers": map[string]string{"Authorization": "Bearer other"}}).body); strings.Contains(string(text), token) {
			t.Errorf("%s: the token is in the answer", path)
		}
	}
	if strings.Contains(v.stderr.String()+v.stdout.String(), token) {
		t.Error("the token is in the log")
	}
}

// A refused connection and a connection that is cut before anything could be sent are
// provably not sent.
func TestCallAPINotSent(t *testing.T) {
	t.Parallel()
	closed := freeAddress(t)
	v := callsServer(t, func(apps string) string {
		at := strings.Index(apps, "api: ")
		end := at + strings.Index(apps[at:]+"\n", "\n")
		return apps[:at] + "api: http://" + closed + "/api" + apps[end:]
	})
	refused := v.callAPI(t, map[string]any{"method": "POST", "path": "/play/echo", "body": map[string]any{"a": 1}}).body
	if refused["phase"] != "not_sent" || refused["success"] != false || refused["status_code"] != nil {
		t.Errorf("where calls may not go: %v", refused)
	}
	v.process.stop(t)

	// The same with leave to go there: nobody listens, then somebody who hangs up at once.
	allowed := v.settings
	allowed.sandbox += "," + closed
	v = serve(t, allowed, v.provider)
	if got := v.callAPI(t, map[string]any{"method": "POST", "path": "/play/echo", "body": map[string]any{"a": 1}}).body; got["phase"] != "not_sent" {
		t.Errorf("a refused connection: %v", got)
	}
	l, err := net.Listen("tcp", closed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	}()
	for range 5 {
		got := v.callAPI(t, map[string]any{"method": "POST", "path": "/play/echo", "body": map[string]any{"a": 1}}).body
		// Whether something left before the reset arrived cannot be known from here: both
		// are true, and "responded" and "timed_out" are not.
		if got["phase"] != "not_sent" && got["phase"] != "sent_unconfirmed" {
			t.Errorf("a connection that was cut at once: %v", got)
		}
	}
}
