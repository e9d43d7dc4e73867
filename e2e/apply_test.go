package e2e

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// apply runs apply and returns the plan, a line each.
func (s settings) apply(t *testing.T, flags ...string) []string {
	t.Helper()
	stdout, stderr, exit := run(t, s.env(), append([]string{"apply", "-f", filepath.Join(s.dir, "apps.yaml")}, flags...)...)
	if exit != 0 {
		t.Fatalf("apply %v: exit %d\n%s%s", flags, exit, stdout, stderr)
	}
	return strings.Split(strings.TrimSpace(stdout), "\n")
}

// wantPlan requires every line to begin with a verb, and these lines to be there.
func wantPlan(t *testing.T, plan []string, lines ...string) {
	t.Helper()
	for _, line := range plan {
		if !regexp.MustCompile(`^(added|changed|removed|unchanged) `).MatchString(line) {
			t.Errorf("a line of the plan is %q", line)
		}
	}
	all := strings.Join(plan, "\n")
	for _, expression := range lines {
		if !regexp.MustCompile(`(?m)^` + expression).MatchString(all) {
			t.Errorf("no line %q in the plan\n%s", expression, all)
		}
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	s := newSettings(t)
	s.apps(t, "https://app.acme.example", "github", "slack")
	for range 2 { // a dry run changes nothing, so it says the same again
		wantPlan(t, s.apply(t, "--dry-run"), "added .*acme", "added .*github", "added .*slack")
		if left, err := filepath.Glob(filepath.Join(s.dir, "*.db*")); err != nil || len(left) != 0 {
			t.Errorf("a dry run made %v, %v", left, err)
		}
	}
	wantPlan(t, s.apply(t), "added .*acme", "added .*github", "added .*slack")
	for _, line := range s.apply(t) {
		if !strings.HasPrefix(line, "unchanged ") {
			t.Errorf("applied twice: %s", line)
		}
	}

	s.apps(t, "https://other.acme.example", "slack", "googlecalendar")
	for _, flag := range []string{"--dry-run", "--prune"} {
		wantPlan(t, s.apply(t, flag), "changed .*acme", "removed .*github", "unchanged .*slack", "added .*googlecalendar")
	}
	wantPlan(t, s.apply(t), "unchanged .*acme", "unchanged .*slack", "unchanged .*googlecalendar")

	// Another client secret is a change, and is not shown.
	stdout, _, _ := run(t, s.env("ACME_CLIENT_SECRET=sandbox-secret-of-next-year"), "apply", "-f", filepath.Join(s.dir, "apps.yaml"), "--dry-run")
	wantPlan(t, strings.Split(strings.TrimSpace(stdout), "\n"), "changed .*slack", "changed .*googlecalendar")
}

// What people have linked is not removed by an edit of a file alone.
func TestApplyRemovesConnections(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "github", "slack")
	v.follow(t, v.link(t, "dana", "github"), "dana").wantResult("connected", "connected")
	s := v.settings
	s.apps(t, "https://app.acme.example", "slack")
	file := filepath.Join(s.dir, "apps.yaml")
	wantPlan(t, s.apply(t, "--dry-run"), "removed .*github.*1 connection")
	stdout, stderr, exit := run(t, s.env(), "apply", "-f", file)
	if exit != 1 || !strings.Contains(stderr, "--prune") || !strings.Contains(stderr, "github") {
		t.Errorf("without --prune: exit %d\n%s%s", exit, stdout, stderr)
	}
	v.provider.wantCalls("/github/revoke", 0)
	v.stop(t)
	stdout, stderr, exit = run(t, s.env("PATCHBAY_LISTEN=127.0.0.1:0"), "serve", "--apps", file)
	if exit != 1 || !strings.Contains(stderr, "--prune") || !strings.Contains(stderr, "github") {
		t.Errorf("at the start of serve: exit %d\n%s%s", exit, stdout, stderr)
	}
	wantPlan(t, s.apply(t, "--prune"), "removed .*github")
	v.provider.wantCalls("/github/revoke", 1)

	again := serve(t, s, v.provider)
	list := again.call(t, http.MethodGet, "users/dana/connections", "", "")
	if left := list.body["connections"].([]any); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// What is wrong with an apps file is said with line and column.
func TestBrokenAppsFile(t *testing.T) {
	t.Parallel()
	s := newSettings(t)
	for name, c := range map[string]struct{ text, at, says string }{
		"unknown field": {"apps:\n  - id: acme\n    name: Acme\n    colour: red\n", "apps.yaml:4:5", "colour"},
		"bad id":        {"apps:\n  - id: Acme Notes\n    name: Acme\n", "apps.yaml:2:9", "id"},
		"not YAML":      {"apps:\n  - id: [acme\n", "apps.yaml:", ""},
		"no variable":   {"apps:\n  - id: acme\n    name: ${NO_SUCH_VARIABLE}\n", "apps.yaml:3:11", "NO_SUCH_VARIABLE"},
		"any origin":    {"apps:\n  - id: acme\n    name: Acme\n    origins: ['*']\n", "apps.yaml:4:15", "*"},
		"plain http":    {"apps:\n  - id: acme\n    name: Acme\n    return_urls: [http://app.acme.example/]\n", "apps.yaml:4:19", "https"},
		"short token":   {"apps:\n  - id: acme\n    name: Acme\n    service_tokens: [{name: b, token: tiny-secret, scopes: [tokens]}]\n", "apps.yaml:4:39", "20"},
		"unknown type":  {"apps:\n  - id: acme\n    name: Acme\n    connectors: [{id: a, type: githib, client_id: c, client_secret: s}]\n", "apps.yaml:4:32", "github"},
	} {
		t.Run(name, func(t *testing.T) {
			file := s.write(t, "apps.yaml", c.text)
			for _, args := range [][]string{{"apply", "-f", file}, {"apply", "-f", file, "--dry-run"}, {"serve", "--apps", file}} {
				stdout, stderr, exit := run(t, s.env("PATCHBAY_LISTEN=127.0.0.1:0"), args...)
				if exit != 1 || !strings.Contains(stderr, c.at) || !strings.Contains(stderr, c.says) {
					t.Errorf("%v: exit %d, want %s\n%s%s", args, exit, c.at, stdout, stderr)
				}
				if strings.Contains(stdout+stderr, "tiny-secret") {
					t.Errorf("%v: a token was repeated", args)
				}
			}
		})
	}
}
