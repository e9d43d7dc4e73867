package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// demo is a running `patchbay demo` and where its three servers are.
type demo struct {
	*process
	t                      *testing.T
	patchbay, sandbox, app string // origins
	file                   string
}

func startDemo(t *testing.T, flags ...string) *demo {
	t.Helper()
	return startDemoWith(t, filepath.Join(t.TempDir(), "demo.db"), flags...)
}

func startDemoWith(t *testing.T, file string, flags ...string) *demo {
	t.Helper()
	args := append([]string{
		"demo", "--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0", "--app-listen", "127.0.0.1:0",
		"--file", file, "--rate-limit", "off",
	}, flags...)
	d := &demo{process: start(t, nil, args...), t: t, file: file}
	at := d.printed(t, d.stdout, `(?s)Open +(http://127\.0\.0\.1:\d+)/ .*Patchbay, at (http://localhost:\d+)\n.*provider, at (http://127\.0\.0\.1:\d+),`)
	d.app, d.patchbay, d.sandbox = at[0], at[1], at[2]
	t.Cleanup(func() {
		if errs := d.stderr.String(); strings.Contains(errs, "level=ERROR") {
			t.Errorf("the demo logged an error:\n%s", errs)
		}
	})
	return d
}

// Sandbox is the provider's side, as its control endpoints show it.
type sandbox struct {
	t      *testing.T
	origin string
}

func (d *demo) provider() sandbox { return sandbox{d.t, d.sandbox} }

// next decides the next authorization without a page.
func (s sandbox) next(scenario, account string) {
	s.t.Helper()
	s.call(http.MethodPost, "/_sandbox/next", map[string]string{"scenario": scenario, "account": account}, nil)
}

// revoke takes the account's grants away at the provider.
func (s sandbox) revoke(account string) {
	s.t.Helper()
	s.call(http.MethodPost, "/_sandbox/revoke", map[string]string{"account": account}, nil)
}

// calls counts the requests of a path since the start, finished or not.
func (s sandbox) calls(path string) int {
	s.t.Helper()
	var log struct{ Requests []struct{ Path string } }
	s.call(http.MethodGet, "/_sandbox/log", nil, &log)
	n := 0
	for _, r := range log.Requests {
		if r.Path == path {
			n++
		}
	}
	return n
}

// wantCalls requires a number of calls of a path, most often of a token endpoint.
func (s sandbox) wantCalls(path string, want int) {
	s.t.Helper()
	if got := s.calls(path); got != want {
		s.t.Errorf("%s was called %d times, want %d", path, got, want)
	}
}

func (s sandbox) call(method, path string, in, out any) {
	s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.origin+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode > 299 {
		s.t.Fatalf("%s %s: status %d, %v: %s", method, path, resp.StatusCode, err, raw)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			s.t.Fatal(err)
		}
	}
}
