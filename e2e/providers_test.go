package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var fenced = regexp.MustCompile("(?s)```yaml\n(type: (\\w+)\n.*?)```")

// The files of docs/adding-a-provider.md work as they stand: one file each, and nothing
// else, makes a type.
func TestAddingAProvider(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/adding-a-provider.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := fenced.FindAllStringSubmatch(string(page), -1)
	if len(examples) != 2 {
		t.Fatalf("the page has %d examples", len(examples))
	}
	provider := startSandbox(t)
	s := newSettings(t)
	s.sandbox = strings.TrimPrefix(provider.origin, "http://")
	own := filepath.Join(s.dir, "providers")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	var connectors strings.Builder
	for _, example := range examples {
		text, typ := strings.ReplaceAll(example[1], "https://acme.example", provider.origin), example[2]
		if err := os.WriteFile(filepath.Join(own, typ+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		connectors.WriteString("      - {id: " + typ + ", type: " + typ + ", client_id: mine, client_secret: \"${ACME_CLIENT_SECRET}\"}\n")
	}
	before, _, _ := strings.Cut(readFile(t, s.apps(t, "https://app.acme.example", "github")), "    connectors:")
	s.write(t, "apps.yaml", before+"    connectors:\n"+connectors.String())
	v := serveWith(t, s, provider, "PATCHBAY_PROVIDERS="+own)

	for _, example := range examples {
		typ := example[2]
		person := newVisitor(t)
		interstitial := person.open(v.link(t, "dana", typ)).press(`[data-action="connect"]`)
		result := interstitial.press(`[data-action="continue"]`).press(`[data-action="approve"]`)
		result.wantHas(`main[data-flow-status="connected"]`)
		token := v.call(t, http.MethodGet, "app-user-auth/connectors/"+typ+"/token", userToken(t, "dana"), "")
		if token.status != http.StatusOK || token.body["access_token"] == "" {
			t.Errorf("%s: the token read says %d %v", typ, token.status, token.body)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A provider file with a mistake stops serve and apply, with file, line and reason.
func TestProviderFileWithAMistake(t *testing.T) {
	t.Parallel()
	s := newSettings(t)
	s.apps(t, "https://app.acme.example", "github")
	good := `type: mine
name: Mine
category: testing
description: Link your account.
color: "#123456"
docs: https://mine.example
client: {auth: post}
authorize: {url: "https://mine.example/a", pkce: {mode: supported}}
token: {url: "https://mine.example/t"}
revoke: {style: none}
`
	for name, tc := range map[string]struct{ old, new, want string }{
		"bad URL":                 {"https://mine.example/t", "mine.example/t", "mine.yaml:9:14: must begin with https://"},
		"http":                    {"https://mine.example/t", "http://mine.example/t", "mine.yaml:9:14: must be https"},
		"unknown quirk":           {"revoke:", "quirks: [sing]\nrevoke:", `mine.yaml:10:10: unknown quirk "sing"`},
		"pattern":                 {"revoke:", "params: [{name: tenant, label: T, example: a, pattern: '['}]\nrevoke:", "mine.yaml:10:56: the pattern does not compile"},
		"unknown field":           {"revoke:", "colour: red\nrevoke:", `mine.yaml:10:1: unknown field "colour"`},
		"a type there is already": {"type: mine", "type: slack", `mine.yaml:1:7: the type "slack" is already described`},
		"discovery in vain":       {"revoke:", "openid: {issuer: 'https://mine.invalid', discover: true}\nrevoke:", "mine.yaml:10:52: the description of https://mine.invalid cannot be had"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := t.TempDir()
			if err := os.WriteFile(filepath.Join(own, "mine.yaml"), []byte(strings.Replace(good, tc.old, tc.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, command := range [][]string{{"serve"}, {"apply", "-f", filepath.Join(s.dir, "apps.yaml")}} {
				mine := s
				mine.dir = t.TempDir()
				_, stderr, exit := run(t, mine.env("PATCHBAY_PROVIDERS="+own), command...)
				if exit == 0 || !strings.Contains(stderr, tc.want) {
					t.Errorf("%s: exit %d\n%s\nwant a line with\n%s", command[0], exit, stderr, tc.want)
				}
			}
		})
	}
	t.Run("no directory", func(t *testing.T) {
		t.Parallel()
		mine := s
		mine.dir = t.TempDir()
		_, stderr, exit := run(t, mine.env("PATCHBAY_PROVIDERS="+filepath.Join(mine.dir, "nowhere")), "serve")
		if exit == 0 || !strings.Contains(stderr, "PATCHBAY_PROVIDERS") {
			t.Errorf("exit %d\n%s", exit, stderr)
		}
	})
}
