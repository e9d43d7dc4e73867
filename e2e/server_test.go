package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"
)

// What the app of these tests and Patchbay know of each other.
const (
	serviceToken    = "e2e-service-token-of-acme"
	builderKey      = "b44k_e2e_builder_of_acme"
	userTokenSecret = "e2e-secret-of-thirty-two-bytes-or-more"
)

// server is a running `patchbay serve` beside a `patchbay sandbox`.
type server struct {
	*process
	origin   string
	provider sandbox
	settings settings
}

// settings are what a test gives to commands that share a database.
type settings struct {
	dir     string
	key     string
	address string // where serve listens
	sandbox string // host:port; where nobody listens, unless a test starts one
	verify  string // the app's verify_url, or ""
	public  string // host:port of what stands before the server, "" for nothing
}

func startSandbox(t *testing.T) sandbox {
	t.Helper()
	p := start(t, nil, "sandbox", "--listen", "127.0.0.1:0")
	return sandbox{t, p.printed(t, p.stdout, `(http://127\.0\.0\.1:\d+)`)[0]}
}

// newSettings makes a key, an address and an empty directory.
func newSettings(t *testing.T) settings {
	t.Helper()
	key, _, exit := run(t, nil, "keys", "new")
	if exit != 0 {
		t.Fatal("no key")
	}
	return settings{dir: t.TempDir(), key: strings.TrimSpace(key), address: freeAddress(t), sandbox: "127.0.0.1:9"}
}

// freeAddress is an address that nobody listens on right now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s settings) database() string { return filepath.Join(s.dir, "patchbay.db") }

// env is the environment of serve and apply. more comes last and wins.
func (s settings) env(more ...string) []string {
	return append([]string{
		"PATCHBAY_LISTEN=" + s.address, "PATCHBAY_PUBLIC_URL=http://" + s.publicHost(),
		"PATCHBAY_DATABASE=sqlite:" + s.database(), "PATCHBAY_KEYS=" + s.key, "PATCHBAY_RATE_LIMIT=off",
		"PATCHBAY_OUTBOUND_ALLOW=" + s.sandbox, "PATCHBAY_LOG_FORMAT=json",
		"ACME_SERVICE_TOKEN=" + serviceToken, "ACME_BUILDER_KEY=" + builderKey, "ACME_USER_TOKEN_SECRET=" + userTokenSecret, "ACME_CLIENT_SECRET=sandbox-secret",
	}, more...)
}

func (s settings) publicHost() string {
	if s.public != "" {
		return s.public
	}
	_, port, _ := net.SplitHostPort(s.address)
	return "localhost:" + port
}

// write puts a file into the directory and returns its path.
func (s settings) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var appsFile = template.Must(template.New("").Parse(`apps:
  - id: acme
    name: Acme Notes
    service_tokens:
      - {name: backend, token: "${ACME_SERVICE_TOKEN}", scopes: [tokens, sessions, proxy]}
    builder_keys:
      - {name: builder, token: "${ACME_BUILDER_KEY}"}
    user_tokens: {hs256_secret: "${ACME_USER_TOKEN_SECRET}"}
    origins: [{{.Origin}}]
    return_urls: [{{.Origin}}/settings]{{with .Verify}}
    verify_url: {{.}}{{end}}
    connectors:{{range .Connectors}}
      - id: {{.ID}}
        type: {{.Type}}
        mode: {{.Mode}}
        client_id: acme
        client_secret: "${ACME_CLIENT_SECRET}"
        endpoints:
          authorize: {{$.Sandbox}}/{{.Type}}/authorize
          token: {{$.Sandbox}}/{{.Type}}/token
          revoke: {{$.Sandbox}}/{{.Type}}/revoke
          userinfo: {{$.Sandbox}}/{{.Type}}/userinfo
          api: {{$.Sandbox}}/{{.Type}}/api{{end}}
`))

// apps writes an apps file with connectors whose ids are their types. "shared:TYPE" is
// one for the whole app, with the id team-TYPE.
func (s settings) apps(t *testing.T, origin string, connectors ...string) string {
	t.Helper()
	var text strings.Builder
	type connector struct{ ID, Type, Mode string }
	var list []connector
	for _, c := range connectors {
		if typ, shared := strings.CutPrefix(c, "shared:"); shared {
			list = append(list, connector{"team-" + typ, typ, "shared"})
		} else {
			list = append(list, connector{c, c, "user"})
		}
	}
	err := appsFile.Execute(&text, map[string]any{
		"Origin": origin, "Verify": s.verify, "Connectors": list, "Sandbox": "http://" + s.sandbox,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.write(t, "apps.yaml", text.String())
}

// startServer runs a server whose app embeds from the origin, beside a sandbox.
func startServer(t *testing.T, origin string, connectors ...string) *server {
	t.Helper()
	provider := startSandbox(t)
	s := newSettings(t)
	s.sandbox = strings.TrimPrefix(provider.origin, "http://")
	s.apps(t, origin, connectors...)
	return serve(t, s, provider)
}

// serve starts a server on the settings and waits until it is ready.
func serve(t *testing.T, s settings, provider sandbox) *server {
	t.Helper()
	return serveWith(t, s, provider)
}

// serveWith is serve with more settings.
func serveWith(t *testing.T, s settings, provider sandbox, more ...string) *server {
	t.Helper()
	v := &server{
		process: start(t, s.env(append(more, "PATCHBAY_APPS="+filepath.Join(s.dir, "apps.yaml"))...), "serve"),
		origin:  "http://" + s.publicHost(), provider: provider, settings: s,
	}
	v.awaitReady(t)
	return v
}

func (v *server) awaitReady(t *testing.T) {
	t.Helper()
	await(t, "the server is ready", func() bool {
		select {
		case <-v.ended:
			t.Fatalf("serve ended: %v\n%s", v.endedErr, v.stderr)
		default:
		}
		resp, err := http.Get("http://" + v.settings.address + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// userToken is the JWT that the app gives to a user's browser.
func userToken(t *testing.T, user string) string {
	t.Helper()
	part := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	signed := part(map[string]string{"alg": "HS256", "typ": "JWT"}) + "." + part(map[string]any{
		"sub": user, "aud": "acme", "email": user + "@acme.example", "exp": time.Now().Add(time.Hour).Unix(),
	})
	mac := hmac.New(sha256.New, []byte(userTokenSecret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// answer is what the API said.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a answer) code() string { code, _ := a.body["code"].(string); return code }

// call is the app's back end calling the API with the service token. onBehalfOf is a
// user token for token reads, or "".
func (v *server) call(t *testing.T, method, path, onBehalfOf, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, v.origin+"/api/apps/acme/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+serviceToken)
	if onBehalfOf != "" {
		req.Header.Set("On-Behalf-Of", "Bearer "+onBehalfOf)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode != http.StatusNoContent {
		if err := json.NewDecoder(resp.Body).Decode(&a.body); err != nil {
			t.Fatalf("%s %s: status %d: %v", method, path, resp.StatusCode, err)
		}
	}
	return a
}

// link makes a connect session of mode link, and returns its address.
func (v *server) link(t *testing.T, user, connector string) string {
	t.Helper()
	made := v.call(t, http.MethodPost, "connect-sessions", "", `{"mode":"link","user":{"id":"`+user+`"},"connectors":["`+connector+`"]}`)
	if made.status != http.StatusCreated {
		t.Fatalf("no link: %v", made)
	}
	return made.body["url"].(string)
}

// follow opens a link and goes through with it: the page asks whether this is the
// user, and the sandbox decides by itself.
func (v *server) follow(t *testing.T, link, user string) *page {
	t.Helper()
	return v.followWith(t, link, user, "approve")
}

func (v *server) followWith(t *testing.T, link, user, scenario string) *page {
	t.Helper()
	v.provider.next(scenario, "")
	start := newVisitor(t).open(link).wantStatus(200)
	asks := start.press(`main [data-action="connect"], main [data-action="reconnect"]`).wantStatus(200)
	asks.wantSays(user).wantHas(`[data-action="not_me"]`).wantNo(`meta[http-equiv="refresh"]`)
	return asks.press(`[data-action="continue"]`)
}
