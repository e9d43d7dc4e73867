package acme

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestOpenConnectors(t *testing.T) {
	g := newRig(t)
	g.signIn("dana")
	a := g.post("/connectors", nil)
	if a.status != 303 || !strings.HasPrefix(a.location, g.patchbay.url+"/session/ticket") {
		t.Fatalf("status %d, to %q", a.status, a.location)
	}
	calls := g.patchbay.made("POST", "/connect-sessions")
	if len(calls) != 1 {
		t.Fatalf("calls %+v", calls)
	}
	body := calls[0].body
	user, _ := body["user"].(map[string]any)
	if body["mode"] != "redirect" || body["return_url"] != g.url+"/return" || body["connectors"] != nil || len(body) != 3 ||
		user["id"] != "dana" || user["name"] != "Dana Reyes" || user["email"] != "dana@acme.example" {
		t.Errorf("asked for %+v", body)
	}
}

func TestAddressesOfPatchbayAreChecked(t *testing.T) {
	for _, address := range []string{"", "javascript:alert(1)", "/relative", "//host", "ftp://x/", "http://"} {
		g := newRig(t)
		g.signIn("dana")
		g.patchbay.override["/connect-sessions"] = func(w http.ResponseWriter) {
			w.WriteHeader(201)
			w.Write([]byte(`{"id":"1","url":"` + address + `","token":"t"}`))
		}
		g.patchbay.override["/flows/"] = func(w http.ResponseWriter) { w.Write([]byte(`{"result_url":"` + address + `"}`)) }
		for _, a := range []reply{g.post("/connectors", nil), g.get("/verify?flow=f1&result_code=r1")} {
			if a.status != 502 || a.location != "" {
				t.Errorf("%q: status %d, to %q", address, a.status, a.location)
			}
		}
	}
}

func TestVerify(t *testing.T) {
	g := newRig(t)
	g.signIn("dana")
	head, _ := http.NewRequest("HEAD", g.url+"/verify?flow=f1&result_code=r1", nil)
	if a := g.send(head); a.status != 405 {
		t.Errorf("HEAD: status %d", a.status)
	}
	a := g.get("/verify?flow=f%2F1&result_code=r%261&user_id=sam&user=sam")
	if a.status != 303 || a.location != g.patchbay.url+"/flows/f1" {
		t.Fatalf("status %d, to %q", a.status, a.location)
	}
	calls := g.patchbay.made("POST", "/flows/")
	if len(calls) != 1 || calls[0].path != "/flows/f%2F1/confirm" || calls[0].body["result_code"] != "r&1" ||
		calls[0].body["user_id"] != "dana" || len(calls[0].body) != 2 {
		t.Errorf("confirmed with %+v", calls)
	}
}

func TestVerifyWithoutSession(t *testing.T) {
	g := newRig(t)
	page := g.get("/verify?flow=f1&result_code=" + url.QueryEscape(`r"><b>`))
	g.has(page, "Sign in to finish", `name="flow" value="f1"`, `name="result_code" value="r&#34;&gt;&lt;b&gt;"`, `data-user="sam"`)
	if n := len(g.patchbay.made("POST", "/flows/")); n != 0 {
		t.Fatalf("confirmed %d times for nobody", n)
	}
	a := g.post("/login", url.Values{"user": {"sam"}, "flow": {"f1"}, "result_code": {"r&1"}})
	if a.status != 303 || a.location != "/verify?flow=f1&result_code=r%261" {
		t.Fatalf("status %d, to %q", a.status, a.location)
	}
	g.get(a.location)
	if calls := g.patchbay.made("POST", "/flows/"); len(calls) != 1 || calls[0].body["user_id"] != "sam" {
		t.Errorf("confirmed with %+v", calls)
	}
}

func TestVerifyIncomplete(t *testing.T) {
	g := newRig(t)
	g.signIn("dana")
	for _, query := range []string{"", "?flow=f1", "?result_code=r1", "?flow=&result_code=r1", "?flow=f1&result_code=" + strings.Repeat("r", 201)} {
		if a := g.get("/verify" + query); a.status != 400 {
			t.Errorf("%q: status %d", query, a.status)
		}
	}
	if n := len(g.patchbay.calls); n != 0 {
		t.Errorf("Patchbay was called %d times", n)
	}
}

func TestVerifyRefused(t *testing.T) {
	for _, c := range []struct {
		status   int
		code     string
		sentence string
	}{
		{403, "user_mismatch", "started by someone else"},
		{403, "forbidden", "no longer good"},
		{409, "flow_finished", "over already"},
		{404, "not_found", "gone"},
		{401, "unauthorized", "did not work"},
		{429, "rate_limited", "One moment"},
		{503, "unavailable", "out of reach"},
		{500, "internal", "did not work"},
		{418, "something_new", "did not work"},
	} {
		g := newRig(t)
		g.signIn("dana")
		g.patchbay.override["/flows/"] = func(w http.ResponseWriter) { fail(w, c.status, c.code, "") }
		a := g.get("/verify?flow=f1&result_code=r1")
		want := c.status
		if want >= 500 || want == 401 {
			want = 502
		}
		if a.status != want || a.location != "" {
			t.Errorf("%s: status %d, to %q", c.code, a.status, a.location)
		}
		g.has(a, c.sentence, `data-code="`+c.code+`"`, `href="/"`)
		if strings.Contains(a.body, "internal detail") {
			t.Errorf("%s: the message for developers is shown", c.code)
		}
		if c.code == "user_mismatch" {
			g.has(a, "nothing was linked")
		}
	}
}

func TestReturn(t *testing.T) {
	g := newRig(t)
	g.signIn("dana")
	for query, want := range map[string]string{
		"status=connected&code=connected":         `data-status="connected" data-code="connected">The account is linked.`,
		"status=connected&code=scopes_missing":    "some permissions were left out",
		"status=connected&code=no_refresh_token":  "only for a while",
		"status=denied&code=access_denied":        "access was refused",
		"status=failed&code=account_mismatch":     "another account",
		"status=failed&code=user_mismatch":        "somebody else had begun",
		"status=failed&code=provider_unavailable": "could not be linked",
		"status=expired&code=expired":             "took too long",
		"status=superseded&code=superseded":       "later attempt",
		"status=canceled&code=canceled":           "canceled",
		"status=connected&code=%3Cscript%3E":      `data-status="connected" data-code="">The account is linked.`,
		"flow=f1&status=connected":                "The account is linked.",
	} {
		a := g.get("/return?" + query)
		if a.status != 200 {
			t.Errorf("%s: status %d", query, a.status)
		}
		g.has(a, want, "Hello Dana")
	}
	for _, query := range []string{"", "status=", "status=hacked", "status=%3Cscript%3Ealert(1)%3C/script%3E", "code=connected", "status=Connected"} {
		if a := g.get("/return?" + query); a.status != 200 || strings.Contains(a.body, `data-field="outcome"`) || strings.Contains(a.body, "alert(1)") {
			t.Errorf("%q: status %d: %s", query, a.status, a.body)
		}
	}
	g.post("/logout", nil)
	g.has(g.get("/return?status=connected&code=connected"), "The account is linked.", `data-user="dana"`)
}
