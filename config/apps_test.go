package config

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"patchbay/vault"
)

var update = flag.Bool("update", false, "write the golden files of testdata/bad")

// catalogue is a Checker with three types.
type catalogue struct{}

func (catalogue) KnownType(typ string) (string, bool) {
	switch typ {
	case "googlecalendar", "outlook", "gitlab":
		return "", true
	case "googlecalender":
		return "googlecalendar", false
	}
	return "", false
}

func (catalogue) NeedsSecret(typ string) bool { return typ != "gitlab" }

func (catalogue) CheckParams(typ string, params map[string]string) error {
	var problems []error
	for name := range params {
		if name != "tenant" || typ != "outlook" {
			problems = append(problems, fmt.Errorf("%s takes no %s: remove it", typ, name))
		}
	}
	if tenant, ok := params["tenant"]; typ == "outlook" && (!ok || strings.Contains(tenant, "!")) {
		problems = append(problems, errors.New("outlook needs a tenant: give common, or the id of one"))
	}
	return errors.Join(problems...)
}

func environment(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

func TestLoadAppsReadsTheExample(t *testing.T) {
	apps, err := LoadApps("testdata/apps.example.yaml", environment(map[string]string{
		"ACME_SERVICE_TOKEN": "service-token-of-acme-1",
		"ACME_REPORTS_TOKEN": "service-token-of-acme-2",
		"ACME_BUILDER_KEY":   "b44k_acme",
		"ACME_OIDC_SECRET":   "oidc",
		"GOOGLE_SECRET":      "google", "OUTLOOK_SECRET_NEW": "new", "OUTLOOK_SECRET_OLD": "old", "GITLAB_SECRET": "gitlab",
	}), catalogue{})
	if err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile("testdata/acme.svg")
	if err != nil {
		t.Fatal(err)
	}
	pos := func(line, col int) Pos { return Pos{"testdata/apps.example.yaml", line, col} }
	want := &Apps{File: "testdata/apps.example.yaml", Apps: []App{{
		Pos:  pos(3, 5),
		ID:   "acme",
		Name: "Acme Notes",
		ServiceTokens: []ServiceToken{
			{"backend", vault.NewSecret("service-token-of-acme-1"), []string{"tokens", "sessions", "proxy"}},
			{"reports", vault.NewSecret("service-token-of-acme-2"), []string{"tokens"}},
		},
		BuilderKeys: []BuilderKey{{"ci", vault.NewSecret("b44k_acme")}},
		UserTokens: &UserTokens{
			Issuer:   "https://app.acme.example",
			Audience: "acme",
			JWKSURL:  "https://app.acme.example/.well-known/jwks.json",
		},
		Login: &Login{
			Issuer:   "https://id.acme.example/realms/acme",
			ClientID: "patchbay", ClientSecret: vault.NewSecret("oidc"),
			UserClaim: "preferred_username",
		},
		Origins:      []string{"https://app.acme.example"},
		ReturnURLs:   []string{"https://app.acme.example/settings"},
		VerifyURL:    "https://app.acme.example/connect/verify",
		MinAssurance: "human",
		Theme:        Theme{"#6d28d9", &Logo{svg, "image/svg+xml"}},
		Connectors: []Connector{{
			Pos: pos(22, 9), ID: "cal", Type: "googlecalendar", Mode: "user",
			Name: "Google Calendar", Description: "Shows your meetings next to your notes.",
			ClientID: "1234.apps.googleusercontent.com", ClientSecrets: []vault.Secret{vault.NewSecret("google")},
			Scopes: []string{"https://www.googleapis.com/auth/calendar.readonly"},
		}, {
			Pos: pos(30, 9), ID: "mail", Type: "outlook", Mode: "user",
			ClientID: "6731de76-14a6-49ae-97bc-6eba6914391e", ClientSecrets: []vault.Secret{vault.NewSecret("new"), vault.NewSecret("old")},
			Params: map[string]string{"tenant": "common"},
		}, {
			Pos: pos(35, 9), ID: "code", Type: "gitlab", Mode: "shared",
			ClientID: "patchbay", ClientSecrets: []vault.Secret{vault.NewSecret("gitlab")},
			Scopes: []string{},
			Endpoints: Endpoints{
				Authorize: "https://gitlab.acme.example/oauth/authorize",
				Token:     "https://gitlab.acme.example/oauth/token",
				Refresh:   "https://gitlab.acme.example/oauth/token",
				Revoke:    "https://gitlab.acme.example/oauth/revoke",
				Userinfo:  "https://gitlab.acme.example/oauth/userinfo",
				API:       "https://gitlab.acme.example/api/v4",
				Issuer:    "https://gitlab.acme.example",
			},
		}},
	}}}
	if !reflect.DeepEqual(apps, want) {
		t.Errorf("got  %+v\nwant %+v", apps, want)
	}
}

// Each file of testdata/bad has its errors beside it. Secrets in them are marked
// CANARY, and so is what the environment holds.
func TestLoadAppsReportsEverythingThatIsWrong(t *testing.T) {
	env := environment(map[string]string{"CANARY_ID": "leaked-canary", "CANARY_LINE": "leaked-canary-with-a-line-end\n"})
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			apps, err := LoadApps(file, env, catalogue{})
			if _, ok := errors.AsType[Problems](err); !ok || apps != nil {
				t.Fatalf("LoadApps = %v, %v", apps, err)
			}
			got := strings.ReplaceAll(err.Error(), "testdata/bad/", "") + "\n"
			if lower := strings.ToLower(got); strings.Contains(strings.ReplaceAll(lower, "${canary_id}", ""), "canary") {
				t.Errorf("an error shows a secret:\n%s", got)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

func load(t testing.TB, text string, values map[string]string) (*Apps, error) {
	t.Helper()
	return LoadAppsBytes("apps.yaml", []byte(text), nil, environment(values), catalogue{})
}

func TestLoadAppsTakesLittle(t *testing.T) {
	for _, text := range []string{"apps: []", "apps: []\n...\n", "\ufeffapps: []\r\n", `{"apps": []}`} {
		if apps, err := load(t, text, nil); err != nil || len(apps.Apps) != 0 {
			t.Errorf("%q: %v, %v", text, apps, err)
		}
	}
	apps, err := load(t, "apps: [{id: acme, user_tokens: {hs256_secret: 0123456789abcdef0123456789abcdef}}]", nil)
	if err != nil {
		t.Fatal(err)
	}
	app := apps.Apps[0]
	if app.Name != "acme" || app.MinAssurance != "human" || app.UserTokens.Audience != "acme" ||
		app.UserTokens.HS256Secret.Reveal() != "0123456789abcdef0123456789abcdef" {
		t.Errorf("defaults: %+v, %+v", app, app.UserTokens)
	}
}

func TestLoginTakesLittle(t *testing.T) {
	for _, issuer := range []string{"https://id.acme.example", "https://ID.acme.example/", "http://localhost:8090/realm", "http://127.0.0.1:8090"} {
		apps, err := load(t, "apps: [{id: acme, login: {issuer: \""+issuer+"\", client_id: patchbay}}]", nil)
		if err != nil {
			t.Fatal(err)
		}
		login := apps.Apps[0].Login
		if login.Issuer != issuer || login.ClientID != "patchbay" || !login.ClientSecret.IsZero() || login.UserClaim != "sub" {
			t.Errorf("%s: %+v", issuer, login)
		}
	}
	claim := "https://acme.example/claims/User_id-1.0:" + strings.Repeat("x", 60)
	apps, err := load(t, "apps: [{id: acme, login: {issuer: https://id.acme.example, client_id: patchbay, user_claim: \""+claim+"\"}}]", nil)
	if err != nil || apps.Apps[0].Login.UserClaim != claim {
		t.Errorf("user_claim %q: %v", claim, err)
	}
}

func TestLoadAppsNormalisesAddresses(t *testing.T) {
	apps, err := load(t, `
apps:
  - id: acme
    origins: [HTTPS://App.Acme.Example:443, "http://LOCALHOST:80", "http://127.0.0.2:8082", "http://[0:0::1]:8082", http://notes.localhost, https://xn--bcher-kva.example:8443]
    return_urls: ["http://127.0.0.1:8082/Path", https://APP.acme.example]
    verify_url: http://localhost:8082/verify?from=patchbay
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	app := apps.Apps[0]
	for _, test := range []struct{ got, want string }{
		{strings.Join(app.Origins, " "), "https://app.acme.example http://localhost http://127.0.0.2:8082 http://[::1]:8082 http://notes.localhost https://xn--bcher-kva.example:8443"},
		{strings.Join(app.ReturnURLs, " "), "http://127.0.0.1:8082/Path https://APP.acme.example"},
		{app.VerifyURL, "http://localhost:8082/verify?from=patchbay"},
	} {
		if test.got != test.want {
			t.Errorf("got  %s\nwant %s", test.got, test.want)
		}
	}
}

func TestEnvironmentVariables(t *testing.T) {
	apps, err := load(t, `
apps:
  - id: ${ID}
    name: "$${ID} of ${WHO}'s ${ID}: $5 {x} $$ $"
    connectors:
      - {id: "a${N}", type: outlook, client_id: "${YAML}", client_secret: "$$${N}", params: {tenant: "${WHO}"}}
`, map[string]string{"ID": "acme", "WHO": "dana", "N": "1", "YAML": "{not: [a, list]} ${ID}"})
	if err != nil {
		t.Fatal(err)
	}
	app := apps.Apps[0]
	c := app.Connectors[0]
	for _, test := range []struct{ got, want string }{
		{app.ID, "acme"},
		{app.Name, "${ID} of dana's acme: $5 {x} $$ $"},
		{c.ID, "a1"},
		{c.ClientID, "{not: [a, list]} ${ID}"}, // neither YAML nor filled in again
		{c.ClientSecrets[0].Reveal(), "$${N}"},
		{c.Params["tenant"], "dana"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestAliasesAreFollowed(t *testing.T) {
	apps, err := load(t, `
apps:
  - id: one
    origins: &origins [https://a.example, https://b.example]
    min_assurance: &least app
  - {id: two, origins: *origins, min_assurance: *least}
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if two := apps.Apps[1]; len(two.Origins) != 2 || two.MinAssurance != "app" {
		t.Errorf("got %+v", two)
	}
}

func TestAliasesCannotMultiply(t *testing.T) {
	var b strings.Builder
	b.WriteString("apps:\n  - id: a\n    connectors: &c [&x {id: a}" + strings.Repeat(", *x", 2000) + "]\n")
	b.WriteString("  - &y {id: b, connectors: *c}\n" + strings.Repeat("  - *y\n", 2000))
	_, err := load(t, b.String(), nil)
	problems, ok := errors.AsType[Problems](err)
	if !ok || len(problems) > maxProblems || !strings.Contains(err.Error(), "too many values") {
		t.Errorf("got %d problems", len(problems))
	}
	if _, err := load(t, "apps: &a [*a, *a]", nil); err == nil {
		t.Error("a list inside itself is accepted")
	}
}

func TestHugeFilesAreRefused(t *testing.T) {
	huge := filepath.Join(t.TempDir(), "apps.yaml")
	if err := os.WriteFile(huge, bytes.Repeat([]byte("#\n"), maxAppsFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadApps(huge, os.LookupEnv, catalogue{}); err == nil || err.Error() != huge+": is larger than 4 MiB: name an apps file" {
		t.Errorf("got %v", err)
	}
	if _, err := load(t, strings.Repeat("[", 100_000), nil); err == nil {
		t.Error("deep nesting is accepted")
	}
}

func TestLoadAppsNamesAFileThatIsMissing(t *testing.T) {
	_, err := LoadApps("testdata/none.yaml", os.LookupEnv, catalogue{})
	want := "testdata/none.yaml: cannot be read (no such file or directory): name an apps file that this process may read"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestLengthsAreLimited(t *testing.T) {
	long := map[string]string{"LONG": strings.Repeat("x", 5000)}
	_, err := load(t, `
apps:
  - id: acme
    service_tokens: [{name: a, token: "${LONG}", scopes: [tokens]}]
    builder_keys: [{name: a, token: "b44k_${LONG}"}]
    connectors:
      - id: cal
        type: outlook
        client_id: "${LONG}"
        client_secret: "${LONG}"
        description: "${LONG}"
        scopes: ["${LONG}"]
        params: {tenant: "${LONG}"}
`, long)
	want := `apps.yaml:4:39: token: this has 5000 characters: a token has 20 to 512, choose a random one
apps.yaml:5:37: token: this has 5005 characters: a builder key has at most 512
apps.yaml:9:20: client_id: this has 5000 bytes: at most 1000 are allowed
apps.yaml:10:24: client_secret: this has 5000 bytes: at most 4000 are allowed
apps.yaml:11:22: description: this has 5000 characters: shorten it to 300
apps.yaml:12:18: scopes: a scope is up to 500 printable ASCII characters without spaces, quotes and backslashes: write one scope an item
apps.yaml:13:26: tenant: this has 5000 bytes: at most 255 are allowed`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestLogosAreToldByTheirContent(t *testing.T) {
	svg := `<svg xmlns="http://www.w3.org/2000/svg"/>`
	files := fstest.MapFS{
		"a.svg":           {Data: []byte(svg)},
		"bom.svg":         {Data: []byte("\ufeff<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<!-- by hand --><!DOCTYPE svg>\n" + svg)},
		"img/misnamed":    {Data: []byte("\x89PNG\r\n\x1a\n and so on")},
		"a.webp":          {Data: []byte("RIFF\x10\x00\x00\x00WEBPVP8L and so on")},
		"limit.svg":       {Data: []byte(svg + strings.Repeat(" ", maxLogo-len(svg)))},
		"large.svg":       {Data: []byte(svg + strings.Repeat(" ", maxLogo-len(svg)+1))},
		"page.svg":        {Data: []byte("<html><svg/></html>")},
		"text.svg":        {Data: []byte("text " + svg)},
		"photo.png":       {Data: []byte("\xff\xd8\xff\xe0\x00\x10JFIF")},
		"empty.svg":       {},
		"folder/file.svg": {Data: []byte(svg)},
	}
	for name, want := range map[string]string{
		"./a.svg": "image/svg+xml", "bom.svg": "image/svg+xml", "img/misnamed": "image/png", "a.webp": "image/webp", "limit.svg": "image/svg+xml",
		"folder/../a.svg": "image/svg+xml",
		"large.svg":       "larger than 64 KB", "page.svg": "not a PNG, WebP or SVG", "text.svg": "not a PNG, WebP or SVG", "photo.png": "not a PNG, WebP or SVG",
		"empty.svg": "not a PNG, WebP or SVG", "folder": "not a file", "b.svg": "cannot be read", "../a.svg": "must lie in the folder", "/a.svg": "must lie in the folder",
	} {
		logo, problem := loadLogo(files, name)
		if logo != nil && logo.MediaType != want || logo == nil && !strings.Contains(problem, want) {
			t.Errorf("%s: %v, %s; want %s", name, logo, problem, want)
		}
	}
	if _, problem := loadLogo(nil, "a.svg"); problem == "" {
		t.Error("a logo without a folder is accepted")
	}
}

func TestLogosStayInTheFolder(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside.svg")
	if err := os.WriteFile(outside, []byte("<svg/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(dir, "inside")
	if err := errors.Join(os.Mkdir(inside, 0o700), os.Symlink(outside, filepath.Join(inside, "link.svg")),
		os.WriteFile(filepath.Join(inside, "apps.yaml"), []byte("apps: [{id: acme, theme: {logo: link.svg}}]"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadApps(filepath.Join(inside, "apps.yaml"), os.LookupEnv, catalogue{}); err == nil || !strings.Contains(err.Error(), "the logo cannot be read") {
		t.Errorf("a link that leads out: %v", err)
	}
}

func TestPublicKeyInAnAppsFile(t *testing.T) {
	apps, err := load(t, `
apps:
  - id: acme
    user_tokens:
      public_key: |
`+indent(publicPEM(t, newECKey(t).Public())), nil)
	if err != nil {
		t.Fatal(err)
	}
	tokens := apps.Apps[0].UserTokens
	if _, ok := tokens.PublicKey.(*ecdsa.PublicKey); !ok || !strings.HasPrefix(tokens.PublicKeyPEM, "-----BEGIN PUBLIC KEY-----\n") {
		t.Errorf("got %T, %q", tokens.PublicKey, tokens.PublicKeyPEM)
	}
	_, err = load(t, "apps: [{id: acme, user_tokens: {public_key: CANARY}}]", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "apps.yaml:1:45: public_key: this is not a PEM block") || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("got %v", err)
	}
}

// FuzzLoadApps checks that no file makes the reader panic, that an error has places
// and no secret, and that what is accepted keeps the rules others rely on.
func FuzzLoadApps(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range append(files, "testdata/apps.example.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	const secret = "environment-0815-of-more-than-20"
	env := func(string) (string, bool) { return secret, true }
	f.Fuzz(func(t *testing.T, data []byte) {
		apps, err := LoadAppsBytes("f", data, nil, env, catalogue{})
		if err != nil {
			for _, problem := range err.(Problems) {
				if !strings.HasPrefix(problem.Where, "f:") || problem.Text == "" || strings.Contains(problem.Error(), "\n") {
					t.Errorf("problem %q", problem.Error())
				}
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("an error shows the environment: %v", err)
			}
			return
		}
		for _, app := range apps.Apps {
			if !isID(app.ID) || app.Name == "" || app.MinAssurance == "" {
				t.Errorf("app %+v", app)
			}
			for _, origin := range app.Origins {
				if u, problem := parseOrigin(origin); problem != "" || u.String() != origin {
					t.Errorf("origin %q", origin)
				}
			}
			for _, c := range app.Connectors {
				if !isID(c.ID) || c.ClientID == "" || len(c.ClientSecrets) == 0 {
					t.Errorf("connector %+v", c)
				}
			}
		}
	})
}
