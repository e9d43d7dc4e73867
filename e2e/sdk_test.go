package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// outcome is what sdk/call.mjs prints.
type outcome struct {
	Result any
	Error  *struct {
		Name, Code, Message string
		Status              int
	}
}

// sdk is a client of the published SDK with its two tokens; either may be "".
type sdk struct {
	t                   *testing.T
	server              *server
	token, serviceToken string
}

func newSDK(t *testing.T, v *server, token, service string) sdk {
	t.Helper()
	needTool(t, "node")
	needPackage(t, "@base44/sdk/package.json")
	return sdk{t, v, token, service}
}

// user and service call a method of connectors and of asServiceRole.connectors.
func (c sdk) user(method string, args ...string) outcome {
	c.t.Helper()
	return c.call("user", method, args)
}

func (c sdk) service(method string, args ...string) outcome {
	c.t.Helper()
	return c.call("service", method, args)
}

func (c sdk) call(as, method string, args []string) outcome {
	c.t.Helper()
	node := exec.CommandContext(c.t.Context(), "node", append([]string{"sdk/call.mjs", as, method}, args...)...)
	node.Env = bareEnv([]string{"SERVER_URL=" + c.server.origin, "APP_ID=acme", "USER_TOKEN=" + c.token, "SERVICE_TOKEN=" + c.serviceToken})
	var out, errs bytes.Buffer
	node.Stdout, node.Stderr = &out, &errs
	if err := node.Run(); err != nil {
		c.t.Fatalf("%s: %v\n%s%s", method, err, &out, &errs)
	}
	var got outcome
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		c.t.Fatalf("%s printed %q: %v\n%s", method, &out, err, &errs)
	}
	return got
}

// wantText requires a result that is a string.
func (o outcome) wantText(t *testing.T) string {
	t.Helper()
	text, ok := o.Result.(string)
	if o.Error != nil || !ok || text == "" {
		t.Fatalf("answered %+v %+v", o.Result, o.Error)
	}
	return text
}

// wantError requires the SDK's own error with our status and code.
func (o outcome) wantError(t *testing.T, status int, code string) {
	t.Helper()
	if o.Error == nil {
		t.Fatalf("answered %v, want %s", o.Result, code)
	}
	if o.Error.Name != "Base44Error" || o.Error.Status != status || o.Error.Code != code || o.Error.Message == "" {
		t.Errorf("failed with %+v, want %d %s", *o.Error, status, code)
	}
}

// An app's user connects, its back end reads, the user disconnects: all of it through
// the SDK, with the app's own JWT.
func TestSDK(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "googlecalendar", "github")
	app := newSDK(t, v, userToken(t, "dana"), serviceToken)

	app.service("getCurrentAppUserConnection", "googlecalendar").wantError(t, 404, "not_connected")
	link := app.user("connectAppUser", "googlecalendar").wantText(t)
	if !strings.HasPrefix(link, v.origin+"/link/") {
		t.Fatalf("connectAppUser leads to %s", link)
	}
	v.follow(t, link, "dana").wantResult("connected", "connected")

	connection, ok := app.service("getCurrentAppUserConnection", "googlecalendar").Result.(map[string]any)
	token, _ := connection["accessToken"].(string)
	if !ok || token == "" {
		t.Fatalf("the connection is %v", connection)
	}
	if _, ok := connection["connectionConfig"]; !ok {
		t.Errorf("the connection has no connectionConfig: %v", connection)
	}
	if again := app.service("getCurrentAppUserAccessToken", "googlecalendar").wantText(t); again != token {
		t.Error("two reads gave two tokens though the first is fresh")
	}
	if who := v.whoami(t, "googlecalendar", token); who != danaAtProvider {
		t.Errorf("the token is %q's", who)
	}
	newSDK(t, v, userToken(t, "sam"), serviceToken).service("getCurrentAppUserConnection", "googlecalendar").wantError(t, 404, "not_connected")

	if got := app.user("disconnectAppUser", "googlecalendar"); got.Error != nil {
		t.Errorf("disconnecting failed: %+v", *got.Error)
	}
	if got := app.user("disconnectAppUser", "googlecalendar"); got.Error != nil {
		t.Errorf("disconnecting twice failed: %+v", *got.Error)
	}
	app.service("getCurrentAppUserAccessToken", "googlecalendar").wantError(t, 404, "not_connected")
	await(t, "the token is revoked at the provider", func() bool { return v.whoami(t, "googlecalendar", token) == "" })
}

func TestSDKErrors(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "github")
	app := newSDK(t, v, userToken(t, "dana"), serviceToken)
	app.user("connectAppUser", "no-such-connector").wantError(t, 404, "not_found")
	app.user("disconnectAppUser", "no-such-connector").wantError(t, 404, "not_found")
	app.service("getCurrentAppUserConnection", "no-such-connector").wantError(t, 404, "not_found")

	newSDK(t, v, "", "").user("connectAppUser", "github").wantError(t, 401, "unauthorized")
	newSDK(t, v, userToken(t, "dana")+"x", serviceToken).user("connectAppUser", "github").wantError(t, 401, "unauthorized")
	newSDK(t, v, "", serviceToken).service("getCurrentAppUserConnection", "github").wantError(t, 401, "unauthorized")
	newSDK(t, v, userToken(t, "dana"), "another-token-of-twenty-bytes").service("getCurrentAppUserConnection", "github").wantError(t, 401, "unauthorized")
	newSDK(t, v, serviceToken, "").user("connectAppUser", "github").wantError(t, 403, "forbidden")
	newSDK(t, v, "", userToken(t, "dana")).service("getCurrentAppUserConnection", "github").wantError(t, 403, "forbidden")

	// The provider takes the access away; the next refresh learns of it.
	v.followWith(t, v.link(t, "dana", "github"), "dana", "expires_5s").wantResult("connected", "connected")
	v.provider.revoke(danaAtProvider)
	var last outcome
	await(t, "reconnect_required", func() bool {
		last = app.service("getCurrentAppUserConnection", "github")
		return last.Error != nil
	})
	last.wantError(t, 409, "reconnect_required")
}

// An app without JWTs of its own gives its front end the token of a connect session.
func TestSDKWithConnectSession(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "googlecalendar", "github")
	made := v.call(t, http.MethodPost, "connect-sessions", "", `{"mode":"redirect","user":{"id":"dana","email":"dana@acme.example"},"connectors":["github"]}`)
	if made.status != http.StatusCreated {
		t.Fatalf("no session: %v", made)
	}
	app := newSDK(t, v, made.body["token"].(string), serviceToken)
	app.user("connectAppUser", "googlecalendar").wantError(t, 404, "not_found")
	v.follow(t, app.user("connectAppUser", "github").wantText(t), "dana@acme.example").wantResult("connected", "connected")
	app.service("getCurrentAppUserAccessToken", "github").wantText(t)

	if ended := v.call(t, http.MethodDelete, "connect-sessions/"+made.body["id"].(string), "", ""); ended.status != http.StatusNoContent {
		t.Errorf("ending the session: %v", ended)
	}
	app.user("connectAppUser", "github").wantError(t, 401, "unauthorized")
	newSDK(t, v, userToken(t, "dana"), serviceToken).service("getCurrentAppUserAccessToken", "github").wantText(t)
}

// A page of the app calls Patchbay from the browser; a page of somebody else cannot.
func TestSDKInTheBrowser(t *testing.T) {
	t.Parallel()
	needTool(t, "node")
	dir := t.TempDir()
	bundle := exec.CommandContext(t.Context(), needPackage(t, "esbuild/bin/esbuild"), "sdk/page.mjs",
		"--bundle", "--format=iife", "--define:process.env.NODE_ENV=\"production\"", "--outfile="+filepath.Join(dir, "page.js"))
	if out, err := bundle.CombinedOutput(); err != nil {
		t.Fatalf("the SDK was not bundled: %v\n%s", err, out)
	}
	page := []byte("<!doctype html><title>Acme Notes</title><link rel=icon href=data:,><script src=page.js></script>")
	if err := os.WriteFile(filepath.Join(dir, "index.html"), page, 0o600); err != nil {
		t.Fatal(err)
	}
	ours, foreign := httptest.NewServer(http.FileServer(http.Dir(dir))), httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(ours.Close)
	t.Cleanup(foreign.Close)
	v := startServer(t, ours.URL, "github")

	b := openTab(t, true, ours.URL, v.origin)
	b.open(ours.URL)
	link := b.sdk(v, userToken(t, "dana"), "connectAppUser").wantText(t)
	v.follow(t, link, "dana").wantResult("connected", "connected")
	if got := b.sdk(v, userToken(t, "dana"), "disconnectAppUser"); got.Error != nil {
		t.Errorf("disconnecting failed: %+v", *got.Error)
	}
	newSDK(t, v, userToken(t, "dana"), serviceToken).service("getCurrentAppUserConnection", "github").wantError(t, 404, "not_connected")
	b.sdk(v, "no token", "connectAppUser").wantError(t, 401, "unauthorized")

	b = openTab(t, true, foreign.URL, v.origin)
	b.open(foreign.URL)
	for _, method := range []string{"connectAppUser", "disconnectAppUser"} {
		if got := b.sdk(v, userToken(t, "dana"), method); got.Error == nil || got.Error.Status != 0 {
			t.Errorf("%s from a foreign origin: %+v", method, got)
		}
	}
	faults := "" // they come a moment after the answer
	await(t, "Chromium speaks of CORS", func() bool {
		faults += strings.Join(b.takeFaults(), "\n")
		return strings.Contains(faults, "CORS")
	})
}

// sdk calls a method for the connector github in the page that the tab shows.
func (b *tab) sdk(v *server, token, method string) outcome {
	b.t.Helper()
	options, err := json.Marshal(map[string]string{"serverUrl": v.origin, "appId": "acme", "token": token})
	if err != nil {
		b.t.Fatal(err)
	}
	var got outcome
	text := evaluate[string](b, fmt.Sprintf("call(%s, %q, 'github').then(JSON.stringify)", options, method))
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		b.t.Fatal(err)
	}
	return got
}

// whoami asks the provider whose a token is; "" when it is dead.
func (v *server) whoami(t *testing.T, typ, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.provider.origin+"/"+typ+"/api/whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var who struct{ Account string }
	_ = json.NewDecoder(resp.Body).Decode(&who)
	return who.Account
}
