package config

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"patchbay/vault"
)

const (
	goodKey = "k1:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="
	origin  = "https://connect.acme.example"
)

// every setting, as the serve command reads them.
var every = []Option{
	Requires(PublicURL, Keys),
	Takes(Listen, Database, AppsFile, StateDir, TrustedProxies, OutboundAllow, RateLimit, LogLevel, LogFormat),
}

func read(t *testing.T, options []Option, args []string, values map[string]string) (*Settings, error) {
	t.Helper()
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	r := Flags(fs, options...)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return r.Read(environment(values))
}

func TestDefaults(t *testing.T) {
	s, err := read(t, every, nil, map[string]string{"PATCHBAY_PUBLIC_URL": origin, "PATCHBAY_KEYS": goodKey, "PATCHBAY_LOG_FORMAT": "json"})
	if err != nil {
		t.Fatal(err)
	}
	if s.PublicURL.String() != origin {
		t.Errorf("PublicURL = %v", s.PublicURL)
	}
	s.PublicURL = nil
	want := &Settings{Listen: "127.0.0.1:8080", Database: "patchbay.db", Keys: vault.NewSecret(goodKey), StateDir: ".",
		RateLimit: true, LogLevel: slog.LevelInfo, LogFormat: "json"}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

func TestEverySetting(t *testing.T) {
	byFlag := []string{"--listen", ":9000", "--public-url", "http://LOCALHOST:9000/", "--database", "sqlite:/var/lib/patchbay/my.db",
		"--apps", "apps.yaml", "--state-dir", "/var/lib/state", "--trusted-proxies", "10.0.0.0/8, 192.0.2.1,2001:db8::/32",
		"--outbound-allow", "GitLab.internal:443, [::1]:80,127.0.0.1:8081,gitlab.internal:443", "--rate-limit", "off"}
	byEnv := map[string]string{"PATCHBAY_KEYS": goodKey, "PATCHBAY_LOG_LEVEL": "Warn", "PATCHBAY_LOG_FORMAT": "text"}
	all := map[string]string{}
	for name, value := range byEnv {
		all[name] = value
	}
	for i := 0; i < len(byFlag); i += 2 {
		all[envPrefix+strings.ToUpper(strings.ReplaceAll(byFlag[i][2:], "-", "_"))] = byFlag[i+1]
	}
	for name, test := range map[string]struct {
		args   []string
		values map[string]string
	}{"flags": {byFlag, byEnv}, "environment": {nil, all}} {
		s, err := read(t, every, test.args, test.values)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.PublicURL.String() != "http://localhost:9000" {
			t.Errorf("%s: PublicURL = %v", name, s.PublicURL)
		}
		s.PublicURL = nil
		want := &Settings{
			Listen: ":9000", Database: "/var/lib/patchbay/my.db", Keys: vault.NewSecret(goodKey),
			AppsFile: "apps.yaml", StateDir: "/var/lib/state",
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/32")},
			OutboundAllow:  []string{"gitlab.internal:443", "[::1]:80", "127.0.0.1:8081"},
			LogLevel:       slog.LevelWarn, LogFormat: "text",
		}
		if !reflect.DeepEqual(s, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, s, want)
		}
	}
}

func TestFlagThenEnvironmentThenFileThenDefault(t *testing.T) {
	file := filepath.Join(t.TempDir(), "database")
	if err := os.WriteFile(file, []byte("sqlite:from-file.db\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fromEnv := map[string]string{"PATCHBAY_DATABASE": "sqlite:from-env.db"}
	fromFile := map[string]string{"PATCHBAY_DATABASE_FILE": file, "PATCHBAY_DATABASE": ""}
	for _, test := range []struct {
		args   []string
		values map[string]string
		want   string
	}{
		{[]string{"--database", "sqlite:from-flag.db"}, fromEnv, "from-flag.db"},
		{[]string{"--database", "sqlite:from-flag.db"}, fromFile, "from-flag.db"},
		{nil, fromEnv, "from-env.db"},
		{nil, fromFile, "from-file.db"},
		{nil, map[string]string{"PATCHBAY_DATABASE": ""}, "other.db"},
	} {
		s, err := read(t, []Option{Takes(Database), Default(Database, "sqlite:other.db")}, test.args, test.values)
		if err != nil || s.Database != test.want {
			t.Errorf("%v %v: %v, %v; want %s", test.args, test.values, s, err, test.want)
		}
	}
}

func TestKeysFromAFile(t *testing.T) {
	dir := t.TempDir()
	good, empty, large := filepath.Join(dir, "keys"), filepath.Join(dir, "empty"), filepath.Join(dir, "large")
	for file, content := range map[string]string{good: goodKey + "\n", empty: "\n", large: strings.Repeat("x", 65<<10)} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := read(t, []Option{Requires(Keys)}, nil, map[string]string{"PATCHBAY_KEYS_FILE": good})
	if err != nil || s.Keys.Reveal() != goodKey {
		t.Errorf("Keys = %v, %v", s, err)
	}
	for want, values := range map[string]map[string]string{
		"PATCHBAY_KEYS_FILE: " + empty + " is empty: put the value into it":                                                                   {"PATCHBAY_KEYS_FILE": empty},
		"PATCHBAY_KEYS_FILE: " + large + " is larger than 64 KiB: name the file that holds the value":                                         {"PATCHBAY_KEYS_FILE": large},
		"PATCHBAY_KEYS_FILE: none cannot be read (no such file or directory): name a file that this process may read":                         {"PATCHBAY_KEYS_FILE": "none"},
		"PATCHBAY_KEYS_FILE: " + dir + " cannot be read (is a directory): name a file that this process may read":                             {"PATCHBAY_KEYS_FILE": dir},
		"PATCHBAY_KEYS: is required: make a key with `patchbay keys new` and put its line here, or into a file that PATCHBAY_KEYS_FILE names": nil,
	} {
		if _, err := read(t, []Option{Requires(Keys)}, nil, values); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	_, err := read(t, every, []string{"--listen", "8080", "--rate-limit", "maybe"}, map[string]string{
		"PATCHBAY_DATABASE":        "mysql://patchbay:CANARY@db/patchbay",
		"PATCHBAY_KEYS":            "CANARY,k1:CANARY",
		"PATCHBAY_TRUSTED_PROXIES": "10.0.0.1/8,proxy,::ffff:10.0.0.0/104,",
		"PATCHBAY_OUTBOUND_ALLOW":  "gitlab.internal,*:443,a:0",
		"PATCHBAY_LOG_LEVEL":       "loud",
		"PATCHBAY_LOG_FORMAT":      "xml",
	})
	want := `PATCHBAY_LISTEN (--listen): "8080" is not an address: give host:port, like 127.0.0.1:8080, or :8080 for every interface
PATCHBAY_PUBLIC_URL (--public-url): is required: give the address that browsers use, like https://connect.example.com
PATCHBAY_DATABASE (--database): this kind of database is not known: give sqlite:PATH, like sqlite:/var/lib/patchbay/patchbay.db, or postgres://USER:PASSWORD@HOST:PORT/DATABASE
PATCHBAY_KEYS: entry 1: has no colon: write ` + "`id:base64`, as `patchbay keys new`" + ` prints it
PATCHBAY_KEYS: entry 2: key "k1" is not base64: copy the whole line that ` + "`patchbay keys new`" + ` printed
PATCHBAY_TRUSTED_PROXIES (--trusted-proxies): "10.0.0.1/8" has an address inside the range: did you mean 10.0.0.0/8?
PATCHBAY_TRUSTED_PROXIES (--trusted-proxies): "proxy" is not a CIDR: write it like 10.0.0.0/8
PATCHBAY_TRUSTED_PROXIES (--trusted-proxies): "::ffff:10.0.0.0/104" is IPv4 in IPv6: write the IPv4 range, like 10.0.0.0/8
PATCHBAY_TRUSTED_PROXIES (--trusted-proxies): has an empty entry: remove the comma that is too many
PATCHBAY_OUTBOUND_ALLOW (--outbound-allow): "gitlab.internal" is not host:port: write it like gitlab.internal:443
PATCHBAY_OUTBOUND_ALLOW (--outbound-allow): "*:443" is not host:port: write it like gitlab.internal:443
PATCHBAY_OUTBOUND_ALLOW (--outbound-allow): "a:0" is not host:port: write it like gitlab.internal:443
PATCHBAY_RATE_LIMIT (--rate-limit): "maybe" is neither: say on or off
PATCHBAY_LOG_LEVEL: "loud" is not a level: say debug, info, warn or error
PATCHBAY_LOG_FORMAT: "xml" is not a format: say text or json`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestACommandReadsOnlyWhatItTakes(t *testing.T) {
	values := map[string]string{"PATCHBAY_LISTEN": "127.0.0.1:1", "PATCHBAY_PUBLIC_URL": "nonsense", "PATCHBAY_KEYS": "nonsense"}
	s, err := read(t, []Option{Takes(Listen)}, nil, values)
	if err != nil || !reflect.DeepEqual(s, &Settings{Listen: "127.0.0.1:1"}) {
		t.Errorf("got %+v, %v", s, err)
	}
	fs := flag.NewFlagSet("healthcheck", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	Flags(fs, Takes(Listen, Keys))
	if err := fs.Parse([]string{"--database", "x"}); err == nil {
		t.Error("a flag of another command is accepted")
	}
}

func TestUsageNamesFlagAndVariable(t *testing.T) {
	var usage bytes.Buffer
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	fs.SetOutput(&usage)
	Flags(fs, append(every, Default(Listen, "localhost:9999"))...)
	fs.PrintDefaults()
	for _, want := range []string{
		"  -listen address\n    \taddress to serve, plain HTTP (PATCHBAY_LISTEN) (default \"localhost:9999\")\n",
		"  -rate-limit on or off\n    \trate limits, on or off (PATCHBAY_RATE_LIMIT) (default \"on\")\n",
	} {
		if !strings.Contains(usage.String(), want) {
			t.Errorf("no %q in\n%s", want, usage.String())
		}
	}
	if strings.Contains(usage.String(), "KEYS") {
		t.Error("there is a flag for keys, which every user of the machine could read")
	}
}

func TestPublicURL(t *testing.T) {
	for value, want := range map[string]string{
		"https://connect.example.com":      "https://connect.example.com",
		"HTTPS://Connect.Example.com:443/": "https://connect.example.com",
		"https://connect.example.com:8443": "https://connect.example.com:8443",
		"https://xn--bcher-kva.example":    "https://xn--bcher-kva.example",
		"https://192.0.2.1":                "https://192.0.2.1",
		"https://[2001:DB8:0::1]:443":      "https://[2001:db8::1]",
		"http://localhost:8080":            "http://localhost:8080",
		"http://localhost:80":              "http://localhost",
		"http://notes.localhost:8080":      "http://notes.localhost:8080",
		"http://127.1.2.3:8080":            "http://127.1.2.3:8080",
		"http://[::1]:8080":                "http://[::1]:8080",

		"http://connect.example.com":                       "",
		"http://10.0.0.1":                                  "",
		"http://localhost.example.com":                     "",
		"http://localhost.":                                "",
		"http://127.1":                                     "",
		"http://0x7f.1":                                    "",
		"http://2130706433":                                "",
		"http://[::ffff:127.0.0.1]":                        "",
		"http://[::1%25lo]":                                "",
		"http://0.0.0.0:8080":                              "",
		"https://connect.example.com/path":                 "",
		"https://connect.example.com//":                    "",
		"https://connect.example.com?":                     "",
		"https://connect.example.com/?a=b":                 "",
		"https://connect.example.com#":                     "",
		"https://connect.example.com/#a":                   "",
		"https://CANARY@example.com":                       "",
		"https://user:CANARY@example.com":                  "",
		"https://@example.com":                             "",
		"https://bücher.example":                           "",
		"https://connect.example.com:":                     "",
		"https://connect.example.com:0":                    "",
		"https://connect.example.com:65536":                "",
		"https://connect.example.com:+1":                   "",
		"https://":                                         "",
		"https:connect.example.com":                        "",
		"https:\\\\connect.example.com":                    "",
		"https://connect.example.com\n":                    "",
		"https://connect .example.com":                     "",
		"https://-%41.example.com":                         "",
		"//connect.example.com":                            "",
		"connect.example.com":                              "",
		"ftp://connect.example.com":                        "",
		"https://*.example.com":                            "",
		"https://" + strings.Repeat("a", 64) + ".example":  "",
		"https://" + strings.Repeat("a.", 130) + "example": "",
	} {
		s, err := read(t, []Option{Requires(PublicURL)}, []string{"--public-url", value}, nil)
		switch {
		case want == "" && (err == nil || !strings.HasPrefix(err.Error(), "PATCHBAY_PUBLIC_URL (--public-url): ")):
			t.Errorf("%q: %v, %v", value, s, err)
		case want == "" && strings.Contains(err.Error(), "CANARY"):
			t.Errorf("%q: shows a secret: %v", value, err)
		case want != "" && (err != nil || s.PublicURL.String() != want):
			t.Errorf("%q: %v, %v", value, s, err)
		}
	}
}

func TestDatabase(t *testing.T) {
	for value, want := range map[string]struct{ path, stateDir, problem string }{
		"sqlite:patchbay.db":                   {"patchbay.db", ".", ""},
		"sqlite:data/patchbay.db":              {"data/patchbay.db", "data", ""},
		"sqlite:/var/lib/patchbay/patchbay.db": {"/var/lib/patchbay/patchbay.db", "/var/lib/patchbay", ""},
		"sqlite:":                              {"", "", "give sqlite:PATH"},
		"sqlite:///var/lib/patchbay.db":        {"", "", "give sqlite:PATH"},
		"sqlite::memory:":                      {"", "", "would forget everything"},
		"sqlite:patchbay.db?mode=ro":           {"", "", "takes a plain path"},
		"sqlite:a\x00b":                        {"", "", "takes a plain path"},
		"patchbay.db":                          {"", "", "give sqlite:PATH"},
		"postgres://user:CANARY@host":          {"", "", "names no database"},
		"postgres:///":                         {"", "", "names no database"},
		"postgres://user:CANARY@host:x/db":     {"", "", "names no database"},
		"mysql://host/db":                      {"", "", "give sqlite:PATH"},
	} {
		s, err := read(t, []Option{Takes(Database, StateDir)}, nil, map[string]string{"PATCHBAY_DATABASE": value})
		switch {
		case want.problem == "" && (err != nil || s.Database != want.path || s.StateDir != want.stateDir):
			t.Errorf("%q: %+v, %v", value, s, err)
		case want.problem != "" && (err == nil || !strings.Contains(err.Error(), want.problem) || strings.Contains(err.Error(), "CANARY")):
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestListen(t *testing.T) {
	for value, ok := range map[string]bool{
		"127.0.0.1:8080": true, ":8080": true, "[::]:8080": true, "localhost:0": true, "0.0.0.0:80": true,
		"127.0.0.1": false, "8080": false, ":http": false, "host:99999": false, "a b:80": false, "http://localhost:80": false, "::1:80": false,
	} {
		if s, err := read(t, []Option{Takes(Listen)}, []string{"--listen", value}, nil); (err == nil) != ok {
			t.Errorf("%q: %v, %v", value, s, err)
		}
	}
}

func TestLogFormatFollowsTheTerminal(t *testing.T) {
	s, err := read(t, []Option{Takes(LogFormat)}, nil, nil)
	want := "json"
	if isTerminal(os.Stderr) {
		want = "text"
	}
	if err != nil || s.LogFormat != want {
		t.Errorf("LogFormat = %v, %v", s, err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if isTerminal(null) || isTerminal(file) {
		t.Error("the null device or a file is taken for a terminal")
	}
	if terminal, err := os.Open("/dev/ptmx"); err == nil {
		defer func() { _ = terminal.Close() }()
		if !isTerminal(terminal) {
			t.Error("a terminal is not recognised")
		}
	}
}

func TestPrintingSettingsShowsNoKey(t *testing.T) {
	s, err := read(t, every, []string{"--public-url", origin}, map[string]string{"PATCHBAY_KEYS": goodKey})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%v %+v %#v", s, *s, s); strings.Contains(got, goodKey[3:]) {
		t.Errorf("shows the key: %s", got)
	}
}

func TestPostgresAddressIsASecret(t *testing.T) {
	for _, address := range []string{"postgres://patchbay:canary@db.internal:5432/patchbay?sslmode=verify-full", "postgresql://patchbay@/patchbay?host=/run/postgresql"} {
		s, err := read(t, []Option{Takes(Database, StateDir)}, nil, map[string]string{"PATCHBAY_DATABASE": address})
		if err != nil || s.Postgres.Reveal() != address || s.Database != "" || s.StateDir != "." {
			t.Errorf("%s: %v, %+v", address, err, s)
		}
		if text := fmt.Sprintf("%+v %#v", s, s); strings.Contains(text, "canary") {
			t.Error("the settings print the password")
		}
	}
}
