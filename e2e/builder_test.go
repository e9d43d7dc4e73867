package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// build calls the API as the command-line tool does: with the builder key in api_key.
// It returns the status and the body as it is.
func (v *server) build(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, v.origin+"/api/apps/acme/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header["api_key"] = []string{builderKey}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(raw))
}

// wantBuild requires exactly this JSON.
func (v *server) wantBuild(t *testing.T, method, path, body string, status int, want string) {
	t.Helper()
	got, raw := v.build(t, method, path, body)
	var a, b any
	if json.Unmarshal([]byte(raw), &a) != nil || json.Unmarshal([]byte(want), &b) != nil || got != status || !reflect.DeepEqual(a, b) {
		t.Errorf("%s %s: %d %s, want %d %s", method, path, got, raw, status, want)
	}
}

type sharedLink struct {
	RedirectURL   *string `json:"redirect_url"`
	ConnectionID  *string `json:"connection_id"`
	Authorized    bool    `json:"already_authorized"`
	Error         *string `json:"error"`
	ErrorMessage  *string `json:"error_message"`
	OtherUserMail *string `json:"other_user_email"`
}

// ask PUTs a wish for a shared connection and requires a link.
func (v *server) ask(t *testing.T, typ, body string) sharedLink {
	t.Helper()
	status, raw := v.build(t, http.MethodPut, "external-auth/integrations/"+typ, body)
	var l sharedLink
	d := json.NewDecoder(strings.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil || status != 200 || l.RedirectURL == nil || l.ConnectionID == nil || l.Authorized {
		t.Fatalf("asking for %s: %d %s, %v", typ, status, raw, err)
	}
	for _, field := range []string{"redirect_url", "connection_id", "already_authorized", "error", "error_message", "other_user_email"} {
		if !strings.Contains(raw, `"`+field+`"`) {
			t.Errorf("the answer lacks %s: %s", field, raw)
		}
	}
	return l
}

func (v *server) wantRequest(t *testing.T, typ, id, state string) {
	t.Helper()
	q := url.Values{"integration_type": {typ}, "connection_id": {id}}
	v.wantBuild(t, http.MethodGet, "external-auth/status?"+q.Encode(), "", 200, `{"status":"`+state+`"}`)
}

// consent opens the link of a shared connector and goes through with it.
func (v *server) consent(t *testing.T, link, scenario string) *page {
	t.Helper()
	v.provider.next(scenario, "team@sandbox.example")
	start := newVisitor(t).open(link).wantStatus(200).wantSays("Everyone in Acme Notes will use this account")
	asks := start.press(`main [data-action="connect"], main [data-action="reconnect"]`).wantStatus(200)
	asks.wantSays("Everyone in Acme Notes will use this account").wantHas(`[data-action="not_me"]`).wantNo(`meta[http-equiv="refresh"]`)
	return asks.press(`[data-action="continue"]`)
}

// The builder connects one account for the app, as the command-line tool asks for it.
func TestBuilderConnectsSharedAccount(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "github", "shared:github", "shared:slack", "shared:stripe")
	read := func() answer { t.Helper(); return v.call(t, http.MethodGet, "external-auth/tokens/github", "", "") }
	if a := read(); a.status != 404 || a.code() != "not_connected" {
		t.Errorf("before anything: %d %s", a.status, a.code())
	}
	v.wantBuild(t, http.MethodGet, "external-auth/list", "", 200, `{"integrations":[]}`)

	first := v.ask(t, "github", `{"scopes":[]}`)
	if again := v.ask(t, "github", `{"scopes":[]}`); *again.RedirectURL != *first.RedirectURL || *again.ConnectionID != *first.ConnectionID {
		t.Errorf("the same request: %s, then %s", *first.RedirectURL, *again.RedirectURL)
	}
	v.wantRequest(t, "github", *first.ConnectionID, "PENDING")
	if _, raw := v.build(t, http.MethodGet, "external-auth/list", ""); !strings.Contains(raw, `"integration_type":"github","status":"disconnected"`) || strings.Contains(raw, "user_email") {
		t.Errorf("asked for and not connected: %s", raw)
	}

	v.consent(t, *first.RedirectURL, "deny").wantResult("denied", "access_denied")
	v.wantRequest(t, "github", *first.ConnectionID, "FAILED")
	second := v.ask(t, "github", `{"scopes":[]}`)
	if *second.RedirectURL == *first.RedirectURL || *second.ConnectionID == *first.ConnectionID {
		t.Error("after a denial the same link comes again")
	}
	newVisitor(t).open(*first.RedirectURL).wantStatus(410)

	v.consent(t, *second.RedirectURL, "approve").wantResult("connected", "connected").wantSays("Everyone in Acme Notes uses this account")
	v.wantRequest(t, "github", *second.ConnectionID, "ACTIVE")
	v.wantRequest(t, "github", *first.ConnectionID, "FAILED")
	v.wantBuild(t, http.MethodPut, "external-auth/integrations/github", `{"scopes":[]}`, 200,
		`{"redirect_url":null,"connection_id":null,"already_authorized":true,"error":null,"error_message":null,"other_user_email":null}`)
	if _, raw := v.build(t, http.MethodGet, "external-auth/list", ""); !strings.Contains(raw, `"status":"active"`) || !strings.Contains(raw, `"user_email":"team@sandbox.example"`) {
		t.Errorf("connected: %s", raw)
	}
	a := read()
	token, _ := a.body["access_token"].(string)
	if a.status != 200 || a.body["integration_type"] != "github" || v.whoami(t, "github", token) != "team@sandbox.example" {
		t.Errorf("the token: %d %v", a.status, a.body["code"])
	}
	if b := v.call(t, http.MethodGet, "external-auth/tokens/connectors/team-github", "", ""); b.body["access_token"] != token {
		t.Errorf("by the connector's id: %d", b.status)
	}
	// A user's own connection of the same type is another thing.
	for path, onBehalf := range map[string]string{
		"external-auth/tokens/connectors/github":            "",
		"app-user-auth/connectors/team-github/token":        userToken(t, "dana"),
		"external-auth/tokens/slack":                        "",
		"external-auth/tokens/nosuch":                       "",
		"external-auth/tokens/connectors/nosuch":            "",
		"app-user-auth/connectors/github/token":             userToken(t, "dana"),
		"external-auth/tokens/connectors/team%2Dgithub%2Fx": "",
	} {
		if a := v.call(t, http.MethodGet, path, onBehalf, ""); a.status != 404 {
			t.Errorf("GET %s: %d", path, a.status)
		}
	}

	// More scopes need consent again; the old token goes on until then.
	grown := v.ask(t, "github", `{"scopes":["repo","user:email","gist"]}`)
	if a := read(); a.status != 200 {
		t.Errorf("while more is asked: %d", a.status)
	}
	v.consent(t, *grown.RedirectURL, "approve").wantResult("connected", "connected")
	v.wantRequest(t, "github", *grown.ConnectionID, "ACTIVE")
	v.wantBuild(t, http.MethodGet, "external-auth/list", "", 200,
		`{"integrations":[{"integration_type":"github","status":"active","scopes":["repo","user:email","gist"],"user_email":"team@sandbox.example"}]}`)
	v.wantBuild(t, http.MethodPut, "external-auth/integrations/github", `{"scopes":["gist"]}`, 200,
		`{"redirect_url":null,"connection_id":null,"already_authorized":true,"error":null,"error_message":null,"other_user_email":null}`)

	// Stripe is asked for like the others and stands on another list.
	v.ask(t, "stripe", `{"scopes":[]}`)
	v.ask(t, "slack", `{}`)
	if _, raw := v.build(t, http.MethodGet, "external-auth/list", ""); strings.Contains(raw, "stripe") || !strings.Contains(raw, "slack") {
		t.Errorf("the list: %s", raw)
	}

	last, _ := read().body["access_token"].(string)
	v.wantBuild(t, http.MethodDelete, "external-auth/integrations/github/remove", "", 200, `{"status":"removed","integration_type":"github"}`)
	v.wantBuild(t, http.MethodDelete, "external-auth/integrations/github/remove", "", 200, `{"status":"removed","integration_type":"github"}`)
	await(t, "the token is revoked at the provider", func() bool { return v.whoami(t, "github", last) == "" })
	if a := read(); a.status != 404 || a.code() != "not_connected" {
		t.Errorf("after the removal: %d %s", a.status, a.code())
	}
	if _, raw := v.build(t, http.MethodGet, "external-auth/list", ""); strings.Contains(raw, "github") {
		t.Errorf("after the removal: %s", raw)
	}
	if status, raw := v.build(t, http.MethodGet, "external-auth/status?integration_type=github&connection_id="+*grown.ConnectionID, ""); status != 404 {
		t.Errorf("the request after the removal: %d %s", status, raw)
	}
}

func TestBuilderWhoMay(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "github", "shared:slack")
	routes := []struct{ method, path, body string }{
		{"GET", "external-auth/available-integrations", ""}, {"GET", "external-auth/list", ""},
		{"PUT", "external-auth/integrations/slack", `{"scopes":[]}`}, {"GET", "external-auth/status?integration_type=slack&connection_id=x", ""},
		{"DELETE", "external-auth/integrations/slack/remove", ""}, {"DELETE", "connectors/github/connections", ""}, {"GET", "payments/stripe/status", ""},
	}
	for _, r := range routes {
		if a := v.call(t, r.method, r.path, "", r.body); a.status != 403 || a.code() != "forbidden" {
			t.Errorf("%s %s with a service token: %d %s", r.method, r.path, a.status, a.code())
		}
	}
	for _, path := range []string{"external-auth/tokens/slack", "external-auth/tokens/connectors/team-slack", "app-user-auth/connectors/github/token", "users/dana/connections"} {
		if status, raw := v.build(t, "GET", path, ""); status != 403 {
			t.Errorf("GET %s with a builder key: %d %s", path, status, raw)
		}
	}
	for _, r := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"PUT", "external-auth/integrations/github", `{"scopes":[]}`, 404, "not_found"}, // a user connector
		{"PUT", "external-auth/integrations/nosuch", `{"scopes":[]}`, 404, "not_found"},
		{"PUT", "external-auth/integrations/slack", `{"scopes":["a b"]}`, 400, "invalid_request"},
		{"PUT", "external-auth/integrations/slack", `{"scopes":"all"}`, 400, "invalid_request"},
		{"PUT", "external-auth/integrations/slack", `{"scope":[]}`, 400, "invalid_request"},
		{"GET", "external-auth/status?integration_type=slack", "", 400, "invalid_request"},
		{"GET", "external-auth/status?integration_type=slack&connection_id=x", "", 404, "not_found"},
		{"DELETE", "external-auth/integrations/github/remove", "", 404, "not_found"},
		{"DELETE", "connectors/team-slack/connections", "", 404, "not_found"},
		{"DELETE", "connectors/nosuch/connections", "", 404, "not_found"},
		{"PATCH", "external-auth/list", "", 405, "method_not_allowed"},
	} {
		if status, raw := v.build(t, r.method, r.path, r.body); status != r.status || !strings.Contains(raw, `"code":"`+r.code+`"`) {
			t.Errorf("%s %s %s: %d %s", r.method, r.path, r.body, status, raw)
		}
	}
	v.wantBuild(t, "GET", "payments/stripe/status", "", 200, `{"stripe_mode":null,"sandbox_claim_url":null}`)

	_, raw := v.build(t, "GET", "external-auth/available-integrations", "")
	var all struct {
		Integrations []struct {
			Type   string           `json:"integration_type"`
			Fields []map[string]any `json:"connection_config_fields"`
		}
	}
	if err := json.Unmarshal([]byte(raw), &all); err != nil || len(all.Integrations) < 32 {
		t.Fatalf("%d integrations, %v", len(all.Integrations), err)
	}
	fields := 0
	for _, i := range all.Integrations {
		for _, f := range i.Fields {
			fields++
			for name, v := range f {
				if v == nil && !strings.HasPrefix(name, "validation_") {
					t.Errorf("%s: %s is null", i.Type, name)
				}
			}
			if len(f) != 7 {
				t.Errorf("%s: a field is %v", i.Type, f)
			}
		}
	}
	if fields == 0 {
		t.Error("no type asks for anything")
	}
}

// A shared account that its owner takes away is expired on the list, asks for consent
// again, and is active afterwards; a try that was denied is failed and starts afresh.
func TestBuilderSharedAccountExpires(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "shared:github")
	v.consent(t, *v.ask(t, "github", `{"scopes":[]}`).RedirectURL, "expires_5s").wantResult("connected", "connected")
	v.wantBuild(t, "GET", "external-auth/list", "", 200, `{"integrations":[{"integration_type":"github","status":"active","scopes":["read:user","user:email"],"user_email":"team@sandbox.example"}]}`)
	resp, err := http.Post(v.provider.origin+"/_sandbox/revoke", "application/json", strings.NewReader(`{"account":"team@sandbox.example"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	await(t, "the refresh to be refused", func() bool {
		a := v.call(t, "GET", "external-auth/tokens/github?min_seconds=4", "", "")
		return a.status == 409 && a.code() == "reconnect_required" && a.body["connect_url"] == nil
	})
	v.wantBuild(t, "GET", "external-auth/list", "", 200, `{"integrations":[{"integration_type":"github","status":"expired","scopes":["read:user","user:email"],"user_email":"team@sandbox.example"}]}`)

	denied := v.ask(t, "github", `{"scopes":[]}`)
	v.wantRequest(t, "github", *denied.ConnectionID, "PENDING")
	v.consent(t, *denied.RedirectURL, "deny").wantResult("denied", "access_denied")
	v.wantRequest(t, "github", *denied.ConnectionID, "FAILED")
	again := v.ask(t, "github", `{"scopes":[]}`)
	if *again.ConnectionID == *denied.ConnectionID || *again.RedirectURL == *denied.RedirectURL {
		t.Error("after a denial the same link comes again")
	}
	v.consent(t, *again.RedirectURL, "approve").wantResult("connected", "connected")
	v.wantRequest(t, "github", *again.ConnectionID, "ACTIVE")
	v.wantBuild(t, "GET", "external-auth/list", "", 200, `{"integrations":[{"integration_type":"github","status":"active","scopes":["read:user","user:email"],"user_email":"team@sandbox.example"}]}`)
	v.wantBuild(t, "PUT", "external-auth/integrations/github", `{"scopes":[]}`, 200,
		`{"redirect_url":null,"connection_id":null,"already_authorized":true,"error":null,"error_message":null,"other_user_email":null}`)
}

// After a breach every connection of a connector ends, here and at the provider.
func TestBuilderAfterABreach(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "github", "googlecalendar")
	for _, user := range []string{"dana", "sam", "kim"} {
		v.follow(t, v.link(t, user, "github"), user).wantResult("connected", "connected")
	}
	v.follow(t, v.link(t, "dana", "googlecalendar"), "dana").wantResult("connected", "connected")
	v.wantBuild(t, "DELETE", "connectors/github/connections", "", 200, `{"removed":3,"revoked":{"yes":3,"no":0,"unsupported":0,"unknown":0}}`)
	v.wantBuild(t, "DELETE", "connectors/github/connections", "", 200, `{"removed":0,"revoked":{"yes":0,"no":0,"unsupported":0,"unknown":0}}`)
	if left := v.call(t, "GET", "users/dana/connections", "", "").body["connections"].([]any); len(left) != 1 {
		t.Errorf("dana has %v", left)
	}
}

// The whole-app half of the SDK: getConnection, getAccessToken, getWorkspaceConnection
// and callApi.
func TestSDKShared(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "shared:github")
	app := newSDK(t, v, "", serviceToken)
	app.service("getConnection", "github").wantError(t, 404, "not_connected")
	app.service("callApi", "github", `{"path":"/whoami"}`).wantError(t, 404, "not_connected")
	v.consent(t, *v.ask(t, "github", `{"scopes":[]}`).RedirectURL, "approve").wantResult("connected", "connected")

	token := app.service("getAccessToken", "github").wantText(t)
	for method, name := range map[string]string{"getConnection": "github", "getWorkspaceConnection": "team-github"} {
		got, _ := app.service(method, name).Result.(map[string]any)
		if config, has := got["connectionConfig"]; got["accessToken"] != token || !has || config != nil {
			t.Errorf("%s: %v", method, got)
		}
	}
	app.service("getWorkspaceConnection", "github").wantError(t, 404, "not_found")

	got := app.service("callApi", "github", `{"path":"/whoami","query":{"n":[1,"a"],"b":true},"headers":{"Authorization":"Bearer mine","Accept":"application/json"}}`)
	answer, _ := got.Result.(map[string]any)
	data, _ := answer["data"].(map[string]any)
	if answer["success"] != true || answer["phase"] != "responded" || answer["status"] != 200.0 || data["account"] != "team@sandbox.example" || answer["creditsCharged"] != 0.0 {
		t.Errorf("callApi: %+v %+v", got.Result, got.Error)
	}
	missing, _ := app.service("callApi", "github", `{"path":"/no/such/thing","method":"GET"}`).Result.(map[string]any)
	if missing["success"] != false || missing["phase"] != "responded" || missing["status"] != 404.0 {
		t.Errorf("callApi of what is not there: %v", missing)
	}
	for _, path := range []string{"//evil.example/x", "https://evil.example", "/../x", "/%2e%2e/x", "/%252e%252e/x", "/x\\\\y", "/x\\ny", "/a/..;/b", "/x#y", "x", "/@evil.example/..", "/%5c..%5cx"} {
		app.service("callApi", "github", `{"path":"`+path+`"}`).wantError(t, 400, "invalid_request")
	}
	for _, host := range []string{"evil.example", "https://api.github.com", "127.0.0.1", "GITHUB"} {
		app.service("callApi", "github", `{"path":"/whoami","host":"`+host+`"}`).wantError(t, 400, "invalid_request")
	}
	app.service("callApi", "slack", `{"path":"/whoami"}`).wantError(t, 404, "not_found")
	if strings.Contains(v.stderr.String(), token) {
		t.Error("the log holds the token")
	}
}

// What types writes makes a right name compile against the published SDK, and a wrong
// one not, for both names of the registry.
func TestTypesCompile(t *testing.T) {
	t.Parallel()
	needTool(t, "node")
	compiler := needPackage(t, "typescript/bin/tsc")
	s := newSettings(t)
	apps := s.apps(t, "https://app.acme.example", "github", "shared:googlecalendar", "shared:github")
	if _, errs, exit := run(t, s.env(), "apply", "-f", apps); exit != 0 {
		t.Fatal(errs)
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "connectors.d.ts")
	if _, errs, exit := run(t, s.env(), "types", "--app", "acme", "-o", out); exit != 0 {
		t.Fatal(errs)
	}
	printed, _, _ := run(t, s.env(), "types", "--app", "acme")
	if written, err := os.ReadFile(out); err != nil || string(written) != printed {
		t.Errorf("the file holds %q, printed was %q", written, printed)
	}
	modules, err := filepath.Abs("node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	const client = "import { createClient } from \"@base44/sdk\";\nconst app = createClient({ serverUrl: \"http://localhost\", appId: \"acme\", serviceToken: \"t\" });\n"
	programs := map[string]string{
		"right.ts":          client + "export const a = app.asServiceRole.connectors.getConnection(\"googlecalendar\");\nexport const b = app.asServiceRole.connectors.getAccessToken(\"github\");\n",
		"wrong.ts":          client + "export const a = app.asServiceRole.connectors.getConnection(\"googelcalendar\");\n",
		"other.ts":          client + "export const a = app.asServiceRole.connectors.getConnection(\"slack\");\n",
		"right_registry.ts": "import type { ConnectorTypeRegistry } from \"@base44/sdk\";\nexport const a: keyof ConnectorTypeRegistry = \"github\";\n",
		"wrong_registry.ts": "import type { ConnectorTypeRegistry } from \"@base44/sdk\";\nexport const a: keyof ConnectorTypeRegistry = \"slack\";\n",
	}
	for name, text := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		tsc := exec.CommandContext(t.Context(), compiler, "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "connectors.d.ts", name)
		tsc.Dir = dir
		said, err := tsc.CombinedOutput()
		right := strings.HasPrefix(name, "right")
		if (err == nil) != right || (!right && !strings.Contains(string(said), "is not assignable to")) {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
	for _, c := range []struct {
		args []string
		exit int
		says string
	}{
		{[]string{"types"}, 2, "--app"}, {[]string{"types", "--app", "nosuch"}, 1, "nosuch"},
		{[]string{"types", "--app", "acme", "-o", filepath.Join(dir, "no", "such", "dir.d.ts")}, 1, "no such file"},
	} {
		if _, errs, exit := run(t, s.env(), c.args...); exit != c.exit || !strings.Contains(errs, c.says) {
			t.Errorf("%v: exit %d, %s", c.args, exit, errs)
		}
	}
	if names, _ := filepath.Glob(filepath.Join(dir, ".types-*")); !slices.Equal(names, nil) {
		t.Errorf("left behind: %v", names)
	}
}
