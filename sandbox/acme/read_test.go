package acme

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"patchbay/sandbox"
)

func (g *rig) read(connector string) reply {
	g.Helper()
	return g.post("/read", url.Values{"connector": {connector}})
}

func TestRead(t *testing.T) {
	for _, c := range []struct{ typ, query, heading, data string }{
		{"googlecalendar", "&scope=email+https://www.googleapis.com/auth/calendar.readonly", "Next meetings", "UTC, "},
		{"github", "&scope=read:user", "Repositories", "<strong>dana/"},
		{"slack", "&user_scope=channels:read", "Channels", "<strong>#"},
		{"generic", "&scope=items", "Items", "<li><strong>"},
	} {
		t.Run(c.typ, func(t *testing.T) {
			g := newRig(t)
			g.signIn("dana")
			g.provide(c.typ, sandbox.Approve, "dana@sandbox.example", c.query)
			a := g.read(c.typ)
			if a.status != 200 {
				t.Fatalf("status %d", a.status)
			}
			g.has(a, `data-field="read"`, "dana@sandbox.example", c.heading, c.data, "Hello Dana")
			if strings.Contains(a.body, "data-code=") {
				t.Errorf("a problem is shown: %s", a.body)
			}
		})
	}
}

// The user token is limited to the one connector, used once, and ended.
func TestReadUsesAShortUserToken(t *testing.T) {
	for name, linked := range map[string]bool{"linked": true, "not linked": false} {
		g := newRig(t)
		g.signIn("sam")
		if linked {
			g.provide("github", sandbox.Approve, "", "")
		}
		a := g.read("github")
		made := g.patchbay.made("POST", "/connect-sessions")
		ended := g.patchbay.made("DELETE", "/connect-sessions/")
		read := g.patchbay.made("GET", "/app-user-auth/")
		if len(made) != 1 || len(ended) != 1 || len(read) != 1 {
			t.Fatalf("%s: calls %+v", name, g.patchbay.calls)
		}
		user, _ := made[0].body["user"].(map[string]any)
		only, _ := made[0].body["connectors"].([]any)
		if made[0].body["mode"] != "redirect" || user["id"] != "sam" || len(only) != 1 || only[0] != "github" {
			t.Errorf("%s: asked for %+v", name, made[0].body)
		}
		if read[0].path != "/app-user-auth/connectors/github/token" || read[0].onBehalf != "Bearer ut_1" || ended[0].path != "/connect-sessions/cs_1" {
			t.Errorf("%s: %+v %+v", name, read, ended)
		}
		for _, secret := range []string{"ut_1", "gho_", serviceToken} {
			if strings.Contains(a.body, secret) {
				t.Errorf("%s: the page has %q", name, secret)
			}
		}
	}
}

func TestReadProblems(t *testing.T) {
	token := func(status int, code, connectURL string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { fail(w, status, code, connectURL) }
	}
	for _, c := range []struct {
		name, prefix string
		answer       func(http.ResponseWriter)
		code, has    string
	}{
		{"not connected", "", nil, "not_connected", "No GitHub account is linked yet."},
		{"reconnect", "/app-user-auth/", token(409, "reconnect_required", "http://localhost:8080/link/t"), "reconnect_required", `href="http://localhost:8080/link/t"`},
		{"reconnect, odd link", "/app-user-auth/", token(409, "reconnect_required", "javascript:alert(1)"), "reconnect_required", `href="#ZgotmplZ"`},
		{"changed", "/app-user-auth/", token(409, "connection_changed", ""), "connection_changed", "try again"},
		{"misconfigured", "/app-user-auth/", token(502, "connector_misconfigured", ""), "connector_misconfigured", "not set up correctly"},
		{"provider down", "/app-user-auth/", token(503, "provider_unavailable", ""), "provider_unavailable", "does not answer"},
		{"throttled", "/app-user-auth/", token(429, "rate_limited", ""), "rate_limited", "wait a moment"},
		{"no such connector", "/connect-sessions", token(404, "not_found", ""), "not_found", "cannot link GitHub"},
		{"not allowed", "/connect-sessions", token(403, "forbidden", ""), "forbidden", "not set up correctly"},
		{"new code", "/app-user-auth/", token(418, "something_new", ""), "something_new", "could not be read"},
		{"no JSON", "/app-user-auth/", func(w http.ResponseWriter) { w.Write([]byte("<html>")) }, "unavailable", "does not answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t)
			g.signIn("dana")
			if c.answer != nil {
				g.patchbay.override[c.prefix] = c.answer
			}
			a := g.read("github")
			if a.status != 200 {
				t.Errorf("status %d", a.status)
			}
			g.has(a, `data-field="read"`, `data-code="`+c.code+`"`, c.has, "Hello Dana")
			if strings.Contains(a.body, "internal detail") || strings.Contains(a.body, "javascript:") {
				t.Errorf("shown: %s", a.body)
			}
		})
	}
}

func TestReadWhenTheProviderRefuses(t *testing.T) {
	t.Run("revoked there", func(t *testing.T) {
		g := newRig(t)
		g.signIn("dana")
		g.provide("github", sandbox.Approve, "kim", "")
		g.sandbox.RevokeAccount("kim")
		g.has(g.read("github"), `data-code="token_rejected"`, "turned the token down")
	})
	for typ, query := range map[string]string{"slack": "&user_scope=users:read", "googlecalendar": "&scope=email"} {
		t.Run("permission missing at "+typ, func(t *testing.T) {
			g := newRig(t)
			g.signIn("dana")
			g.provide(typ, sandbox.Approve, "kim", query)
			g.has(g.read(typ), `data-code="permission_missing"`, "<strong>kim</strong>")
		})
	}
	for name, answer := range map[string]http.HandlerFunc{
		"not JSON": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"500":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"302": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://localhost/", http.StatusFound)
		},
		"404":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			got := reading{Name: "GitHub"}
			err := fillFrom(t, answer, &got)
			if err == nil {
				t.Fatal("no error")
			}
			got.explain(err)
			if got.Code != "provider_error" && got.Code != "provider_unavailable" {
				t.Errorf("code %q: %v", got.Code, err)
			}
		})
	}
}

func TestReadOfATypeThatAcmeDoesNotKnow(t *testing.T) {
	got := reading{}
	err := fillFrom(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/github/api/whoami" && r.URL.EscapedPath() != "/no%2Fsuch/api/whoami" {
			t.Errorf("called %s", r.URL)
		}
		w.Write([]byte(`{"account":"kim","name":"Kim","scopes":["a"]}`))
	}, &got, "no/such")
	if err != nil || got.Account != "kim" || got.Heading != "" {
		t.Errorf("read %+v (%v)", got, err)
	}
}

func TestReadOddConnectors(t *testing.T) {
	g := newRig(t)
	g.signIn("dana")
	for _, id := range []string{"", "../users/sam", "a/b", "GITHUB", "x y", strings.Repeat("a", 64), "<script>"} {
		if a := g.read(id); a.status != 400 || strings.Contains(a.body, "<script") {
			t.Errorf("%q: status %d", id, a.status)
		}
	}
	if n := len(g.patchbay.calls); n != 0 {
		t.Errorf("Patchbay was called %d times", n)
	}
}
