package e2e

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var commands = [][]string{
	{"demo"}, {"serve"}, {"apply"}, {"keys"}, {"keys", "new"}, {"sandbox"}, {"healthcheck"}, {"doctor"}, {"version"},
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, command := range append(commands, []string{}) {
		for _, flag := range []string{"--help", "-h"} {
			stdout, stderr, exit := run(t, nil, append(append([]string{}, command...), flag)...)
			if exit != 0 || !strings.Contains(stdout, "Usage: patchbay "+strings.Join(command, " ")) || stderr != "" {
				t.Errorf("%v %s: exit %d\n%s%s", command, flag, exit, stdout, stderr)
			}
		}
	}
	overview, _, _ := run(t, nil, "help")
	for _, command := range commands {
		if !strings.Contains(overview, "\n  "+command[0]) {
			t.Errorf("the overview lacks %s", command[0])
		}
	}
}

func TestUnknownCommandsAndFlags(t *testing.T) {
	t.Parallel()
	calls := [][]string{{}, {"no-such-command"}, {"--no-such-flag"}, {"keys", "no-such-word"}, {"apply"}}
	for _, command := range commands {
		calls = append(calls, append(append([]string{}, command...), "--no-such-flag"), append(append([]string{}, command...), "word"))
	}
	for _, args := range calls {
		stdout, stderr, exit := run(t, nil, args...)
		if exit != 2 || !strings.Contains(stderr, "Usage: patchbay ") || stdout != "" {
			t.Errorf("%v: exit %d\n%s%s", args, exit, stdout, stderr)
		}
	}
}

func TestVersionAndKeys(t *testing.T) {
	t.Parallel()
	if stdout, _, exit := run(t, nil, "version"); exit != 0 || len(strings.Fields(stdout)) != 1 {
		t.Errorf("version: exit %d, %q", exit, stdout)
	}
	keys := map[string]bool{}
	for range 3 {
		stdout, stderr, exit := run(t, nil, "keys", "new")
		if exit != 0 || stderr != "" || !regexp.MustCompile(`^[^:,\s]+:[A-Za-z0-9+/]{43}=\n$`).MatchString(stdout) {
			t.Errorf("keys new: exit %d\n%s%s", exit, stdout, stderr)
		}
		keys[stdout] = true
	}
	if len(keys) != 3 {
		t.Error("a key was made twice")
	}
}

// wantRefusal requires exit code 1, and a line of its own for each problem.
func wantRefusal(t *testing.T, stdout, stderr string, exit int, problems ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if exit != 1 || len(lines) != len(problems) {
		t.Errorf("exit %d, %d lines, want 1 and %d\n%s%s", exit, len(lines), len(problems), stdout, stderr)
	}
	for _, problem := range problems {
		n := 0
		for _, line := range lines {
			if strings.HasPrefix(line, "patchbay: ") && strings.Contains(line, problem) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d lines name %s:\n%s", n, problem, stderr)
		}
	}
}

func TestServeRefusesToStart(t *testing.T) {
	t.Parallel()
	stdout, stderr, exit := run(t, nil, "serve")
	wantRefusal(t, stdout, stderr, exit, "PATCHBAY_PUBLIC_URL", "PATCHBAY_KEYS")

	stdout, stderr, exit = run(t, []string{
		"PATCHBAY_LISTEN=nowhere", "PATCHBAY_PUBLIC_URL=https://connect.example.com/path",
		"PATCHBAY_DATABASE=mysql://root:database-password@db", "PATCHBAY_KEYS=k1:c2hvcnQtc2VjcmV0LWtleQ==",
		"PATCHBAY_TRUSTED_PROXIES=proxy", "PATCHBAY_OUTBOUND_ALLOW=no-port", "PATCHBAY_RATE_LIMIT=maybe",
		"PATCHBAY_LOG_LEVEL=loud", "PATCHBAY_LOG_FORMAT=xml",
	}, "serve")
	wantRefusal(t, stdout, stderr, exit, "PATCHBAY_LISTEN", "PATCHBAY_PUBLIC_URL", "PATCHBAY_DATABASE", "PATCHBAY_KEYS",
		"PATCHBAY_TRUSTED_PROXIES", "PATCHBAY_OUTBOUND_ALLOW", "PATCHBAY_RATE_LIMIT", "PATCHBAY_LOG_LEVEL", "PATCHBAY_LOG_FORMAT")
	for _, secret := range []string{"database-password", "c2hvcnQtc2VjcmV0LWtleQ"} {
		if strings.Contains(stderr, secret) {
			t.Errorf("a secret was repeated: %s", stderr)
		}
	}
}

func TestPublicURL(t *testing.T) {
	t.Parallel()
	s := newSettings(t)
	for _, address := range []string{
		"http://connect.example.com", "http://10.0.0.1", "http://localhost.example.com", "ftp://localhost", "connect.example.com",
		"https://connect.example.com?a=b", "https://connect.example.com/#f", "https://user:pw@connect.example.com", "https://",
	} {
		stdout, stderr, exit := run(t, s.env(), "serve", "--public-url", address)
		wantRefusal(t, stdout, stderr, exit, "PATCHBAY_PUBLIC_URL")
	}
	for _, address := range []string{"http://connect.localhost:8080", "http://127.0.0.9", "http://[::1]:8080", "https://connect.example.com"} {
		p := start(t, s.env("PATCHBAY_LISTEN=127.0.0.1:0"), "serve", "--public-url", address)
		p.printed(t, p.stderr, `"msg":"(serving)"`)
		p.stop(t)
	}
}

// Keys that cannot open what is stored are refused, and named.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	s := newSettings(t)
	file := s.apps(t, "https://app.acme.example", "github")
	if _, stderr, exit := run(t, s.env(), "apply", "-f", file); exit != 0 {
		t.Fatal(stderr)
	}
	id, material, _ := strings.Cut(s.key, ":")
	other := newSettings(t).key
	_, otherMaterial, _ := strings.Cut(other, ":")
	for name, keys := range map[string]string{"other bytes": id + ":" + otherMaterial, "another id": "another:" + otherMaterial} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, exit := run(t, s.env("PATCHBAY_KEYS="+keys), "serve")
			wantRefusal(t, stdout, stderr, exit, "PATCHBAY_KEYS")
			if !strings.Contains(stderr, `"`+id+`"`) {
				t.Errorf("the key %s is not named: %s", id, stderr)
			}
			if strings.Contains(stderr, material) || strings.Contains(stderr, otherMaterial) {
				t.Error("a key was repeated")
			}
		})
	}
	p := start(t, s.env("PATCHBAY_LISTEN=127.0.0.1:0", "PATCHBAY_KEYS=newer:"+otherMaterial+","+s.key), "serve")
	p.printed(t, p.stderr, `"msg":"(serving)"`)
}

// A secret may come from a file.
func TestSecretsFromFiles(t *testing.T) {
	t.Parallel()
	s := newSettings(t)
	keys := s.write(t, "keys", s.key+"\n")
	env := s.env("PATCHBAY_LISTEN=127.0.0.1:0", "PATCHBAY_KEYS=", "PATCHBAY_KEYS_FILE="+keys)
	p := start(t, env, "serve")
	p.printed(t, p.stderr, `"msg":"(serving)"`)
	stdout, stderr, exit := run(t, s.env("PATCHBAY_KEYS=", "PATCHBAY_KEYS_FILE="+filepath.Join(s.dir, "absent")), "serve")
	wantRefusal(t, stdout, stderr, exit, "PATCHBAY_KEYS_FILE")
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "github")
	if stdout, stderr, exit := run(t, v.settings.env(), "healthcheck"); exit != 0 {
		t.Errorf("running: exit %d\n%s%s", exit, stdout, stderr)
	}
	v.stop(t)
	stdout, stderr, exit := run(t, v.settings.env(), "healthcheck")
	wantRefusal(t, stdout, stderr, exit, v.settings.address)
}

func TestDemoIsForLoopback(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--listen", "--sandbox-listen", "--app-listen"} {
		for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
			args := []string{"demo", "--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0", "--app-listen", "127.0.0.1:0"}
			_, stderr, exit := run(t, nil, append(args, flag, address)...)
			if exit == 0 || !strings.Contains(stderr, flag) || !strings.Contains(stderr, "127.0.0.1") {
				t.Errorf("%s %s: exit %d: %s", flag, address, exit, stderr)
			}
		}
	}
}

// The demo keeps its data until it is told to begin afresh.
func TestDemoFresh(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "demo.db")
	for i, want := range []string{"not_connected", "connected", "not_connected"} {
		var flags []string
		if i == 2 {
			flags = []string{"--fresh"}
		}
		d := startDemoWith(t, file, flags...)
		dana := newPerson(t, d)
		dana.signIn("dana")
		dana.accounts().wantState("github", want)
		if i == 0 {
			dana.connect("github")
		}
		d.stop(t)
	}
}

// A taken port is named with the flag that moves it.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	taken := strings.TrimPrefix(d.app, "http://")
	_, stderr, exit := run(t, nil, "demo", "--listen", taken, "--sandbox-listen", "127.0.0.1:0", "--app-listen", "127.0.0.1:0")
	if exit != 1 || !strings.Contains(stderr, "--listen") || !strings.Contains(stderr, taken) {
		t.Errorf("exit %d: %s", exit, stderr)
	}
}
