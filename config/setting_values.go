package config

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"patchbay/vault"
)

// row is one line of the table of settings.
type row struct {
	setting  Setting
	flag     string // "" for none
	file     bool   // may come from a file that NAME_FILE names
	fallback string // the default
	usage    string
	example  string // what to do when it is required and missing
	// read checks a value that is not empty and puts it into the settings; it
	// returns what is wrong, one sentence a line.
	read func(s *Settings, value string) string
}

var table = []row{
	{Listen, "listen", false, "127.0.0.1:8080", "`address` to serve, plain HTTP", "give host:port, like 127.0.0.1:8080", readListen},
	{PublicURL, "public-url", false, "", "the one `origin` of every link and cookie", "give the address that browsers use, like https://connect.example.com", readPublicURL},
	{Database, "database", true, "sqlite:patchbay.db", "where to keep everything, as `sqlite:PATH` or postgres://…", "give sqlite:PATH, like sqlite:patchbay.db", readDatabase},
	{Keys, "", true, "", "encryption keys, id:base64 each, newest first; PATCHBAY_KEYS_FILE names a file with them", "make a key with `patchbay keys new` and put its line here, or into a file that PATCHBAY_KEYS_FILE names", readKeys},
	{AppsFile, "apps", false, "", "apps `file` to apply at start", "name an apps file, like apps.yaml", readAppsFile},
	{Providers, "providers", false, "", "`directory` of the operator's own provider files", "name a directory", readProviders},
	{StateDir, "state-dir", false, "", "`directory` of the refresh spool; default: the SQLite file's", "name a directory", readStateDir},
	{TrustedProxies, "trusted-proxies", false, "", "`CIDRs` whose X-Forwarded-For is believed", "list CIDRs, like 10.0.0.0/8", readTrustedProxies},
	{OutboundAllow, "outbound-allow", false, "", "`host:port` list that outbound calls may reach though not public and https", "list host:port, like gitlab.internal:443", readOutboundAllow},
	{RateLimit, "rate-limit", false, "on", "rate limits, `on or off`", "say on or off", readRateLimit},
	{MetricsListen, "metrics-listen", false, "", "another `address` that serves /metrics for Prometheus; nobody is asked who they are there", "give host:port, like 127.0.0.1:9090", readMetricsListen},
	{LogLevel, "", false, "info", "debug, info, warn or error; default info", "say debug, info, warn or error", readLogLevel},
	{LogFormat, "", false, "", "text or json; default text on a terminal, else json", "say text or json", readLogFormat},
}

func readListen(s *Settings, value string) string {
	s.Listen = value
	return checkListen(value)
}

func readMetricsListen(s *Settings, value string) string {
	s.MetricsListen = value
	return checkListen(value)
}

func checkListen(value string) string {
	host, port, err := net.SplitHostPort(value)
	if err != nil || !isPort(port, 0) || (host != "" && canonicalHost(host) == "") {
		return fmt.Sprintf("%q is not an address: give host:port, like 127.0.0.1:8080, or :8080 for every interface", value)
	}
	return ""
}

// readPublicURL does not repeat the value, which may hold a password.
func readPublicURL(s *Settings, value string) string {
	u, text := parseOrigin(strings.TrimSuffix(value, "/"))
	if text != "" {
		return text + "; give the address that browsers use, like https://connect.example.com"
	}
	s.PublicURL = u
	return ""
}

// readDatabase does not repeat the value, which may hold a password.
func readDatabase(s *Settings, value string) string {
	if strings.HasPrefix(value, "postgres://") || strings.HasPrefix(value, "postgresql://") {
		if u, err := url.Parse(value); err != nil || strings.Trim(u.Path, "/") == "" {
			return "names no database: give postgres://USER:PASSWORD@HOST:PORT/DATABASE"
		}
		s.Database, s.Postgres = "", vault.NewSecret(value)
		return ""
	}
	s.Postgres = vault.Secret{}
	path, ok := strings.CutPrefix(value, "sqlite:")
	switch {
	case !ok:
		return "this kind of database is not known: give sqlite:PATH, like sqlite:/var/lib/patchbay/patchbay.db, or postgres://USER:PASSWORD@HOST:PORT/DATABASE"
	case path == "" || strings.HasPrefix(path, "//"):
		return "has no path: give sqlite:PATH, like sqlite:/var/lib/patchbay/patchbay.db"
	case path == ":memory:":
		return "would forget everything: give a file, like sqlite:patchbay.db"
	case strings.ContainsFunc(path, func(c rune) bool { return c == '?' || unicode.IsControl(c) }):
		return "takes a plain path: remove the ? and what follows it, and control characters"
	}
	s.Database = path
	return ""
}

// ParseDatabase reads the address of a database as [Database] has it. name is what the
// error calls it.
func ParseDatabase(name, value string) (*Settings, error) {
	s := &Settings{}
	if text := readDatabase(s, value); text != "" {
		return nil, fmt.Errorf("%s: %s", name, text)
	}
	return s, nil
}

func readKeys(s *Settings, value string) string {
	s.Keys = vault.NewSecret(value)
	if _, err := vault.ParseKeys(s.Keys); err != nil {
		return err.Error()
	}
	return ""
}

func readAppsFile(s *Settings, value string) string { s.AppsFile = value; return "" }

func readProviders(s *Settings, value string) string { s.Providers = value; return "" }

func readStateDir(s *Settings, value string) string { s.StateDir = value; return "" }

func readTrustedProxies(s *Settings, value string) string {
	return readList(value, func(item string) string {
		prefix, err := netip.ParsePrefix(item)
		if addr, addrErr := netip.ParseAddr(item); addrErr == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil:
			return fmt.Sprintf("%q is not a CIDR: write it like 10.0.0.0/8", item)
		case prefix.Addr().Is4In6():
			return fmt.Sprintf("%q is IPv4 in IPv6: write the IPv4 range, like 10.0.0.0/8", item)
		case prefix != prefix.Masked():
			return fmt.Sprintf("%q has an address inside the range: did you mean %s?", item, prefix.Masked())
		}
		s.TrustedProxies = append(s.TrustedProxies, prefix)
		return ""
	})
}

func readOutboundAllow(s *Settings, value string) string {
	return readList(value, func(item string) string {
		host, port, err := net.SplitHostPort(item)
		host = canonicalHost(host)
		if err != nil || host == "" || !isPort(port, 1) {
			return fmt.Sprintf("%q is not host:port: write it like gitlab.internal:443", item)
		}
		if hostport := net.JoinHostPort(host, port); !slices.Contains(s.OutboundAllow, hostport) {
			s.OutboundAllow = append(s.OutboundAllow, hostport)
		}
		return ""
	})
}

func readRateLimit(s *Settings, value string) string {
	s.RateLimit = value == "on"
	if value != "on" && value != "off" {
		return fmt.Sprintf("%q is neither: say on or off", value)
	}
	return ""
}

func readLogLevel(s *Settings, value string) string {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[strings.ToLower(value)]
	if !ok {
		return fmt.Sprintf("%q is not a level: say debug, info, warn or error", value)
	}
	s.LogLevel = level
	return ""
}

func readLogFormat(s *Settings, value string) string {
	if value != "text" && value != "json" {
		return fmt.Sprintf("%q is not a format: say text or json", value)
	}
	s.LogFormat = value
	return ""
}

// readList reads the items of a comma-separated list, a sentence for each bad one.
func readList(value string, read func(item string) string) string {
	var texts []string
	for item := range strings.SplitSeq(value, ",") {
		item = strings.TrimSpace(item)
		text := "has an empty entry: remove the comma that is too many"
		if item != "" {
			text = read(item)
		}
		if text != "" {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "\n")
}

func isPort(port string, least int) bool {
	n, err := strconv.Atoi(port)
	return err == nil && least <= n && n <= 65535 && strconv.Itoa(n) == port
}

// readValueFile reads a value from a file, without the line end that editors add.
func readValueFile(path string) (value, problem string) {
	const limit = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Sprintf("%s cannot be read (%v): name a file that this process may read", path, reason(err))
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return "", fmt.Sprintf("%s cannot be read (%v): name a file that this process may read", path, reason(err))
	case len(data) > limit:
		return "", fmt.Sprintf("%s is larger than 64 KiB: name the file that holds the value", path)
	}
	value = strings.TrimRight(string(data), "\r\n")
	if value == "" {
		return "", path + " is empty: put the value into it"
	}
	return value, ""
}

// isTerminal reports whether f is a terminal. The null device, which a supervisor
// may give, is a character device too.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
