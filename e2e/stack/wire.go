package stack

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Call is one request of Patchbay to a provider, with its answer.
type Call struct {
	Method, URL string
	Header      http.Header
	Form        url.Values // of a form-encoded body
	Status      int
	Answer      []byte
}

// Wire is the line to the providers. It records every call.
type Wire struct {
	next http.RoundTripper

	mu    sync.Mutex
	calls []Call
	hold  chan struct{}
}

// RoundTrip implements http.RoundTripper.
func (w *Wire) RoundTrip(r *http.Request) (*http.Response, error) {
	c := Call{Method: r.Method, URL: r.URL.String(), Header: r.Header.Clone()}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		r.Body = io.NopCloser(bytes.NewReader(body))
		c.Form, _ = url.ParseQuery(string(body))
	}
	w.mu.Lock()
	hold := w.hold
	w.mu.Unlock()
	if hold != nil && strings.HasSuffix(r.URL.Path, "/token") {
		select {
		case <-hold:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	resp, err := w.next.RoundTrip(r)
	if err == nil {
		c.Status = resp.StatusCode
		c.Answer, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(c.Answer))
	}
	w.mu.Lock()
	w.calls = append(w.calls, c)
	w.mu.Unlock()
	return resp, err
}

// Hold keeps every call of a token endpoint waiting until the returned function is
// called.
func (w *Wire) Hold() (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hold := make(chan struct{})
	w.hold = hold
	return sync.OnceFunc(func() {
		w.mu.Lock()
		w.hold = nil
		w.mu.Unlock()
		close(hold)
	})
}

// Calls lists the calls to addresses whose path ends in suffix.
func (w *Wire) Calls(suffix string) []Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []Call
	for _, c := range w.calls {
		if u, err := url.Parse(c.URL); err == nil && strings.HasSuffix(u.Path, suffix) {
			found = append(found, c)
		}
	}
	return found
}

// Secrets lists what crossed the line and may be seen nowhere else, by kind.
func (w *Wire) Secrets() map[string][]string {
	secrets := map[string][]string{}
	add := func(kind, value string) {
		if len(value) >= 8 {
			secrets[kind] = append(secrets[kind], value)
		}
	}
	for _, c := range w.Calls("/token") {
		add("code", c.Form.Get("code"))
		add("verifier", c.Form.Get("code_verifier"))
		add("client secret", c.Form.Get("client_secret"))
		add("refresh token", c.Form.Get("refresh_token"))
		var answer map[string]any
		if json.Unmarshal(c.Answer, &answer) == nil {
			collectTokens(answer, add)
		}
	}
	return secrets
}

func collectTokens(v any, add func(kind, value string)) {
	object, ok := v.(map[string]any)
	if !ok {
		return
	}
	for name, value := range object {
		text, _ := value.(string)
		switch name {
		case "access_token":
			add("access token", text)
		case "refresh_token":
			add("refresh token", text)
		case "id_token":
			add("ID token", text)
		default:
			collectTokens(value, add)
		}
	}
}
