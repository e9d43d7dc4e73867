package config

import (
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"patchbay/vault"
)

// Settings is what one command was told. A setting that the command does not take
// has the zero value.
type Settings struct {
	Listen         string       // host:port
	PublicURL      *url.URL     // scheme and host only, normalised
	Database       string       // path of the SQLite file; "" with Postgres
	Postgres       vault.Secret // postgres://…; zero with an SQLite file
	Keys           vault.Secret
	AppsFile       string // "" for none
	Providers      string // directory of the operator's own provider files, "" for none
	StateDir       string
	TrustedProxies []netip.Prefix
	OutboundAllow  []string // host:port, lower case
	RateLimit      bool
	MetricsListen  string // host:port, "" for none
	LogLevel       slog.Level
	LogFormat      string // "text" or "json"
}

// A Setting names one of the settings.
type Setting string

// The settings, by the name of their environment variable without its prefix.
const (
	Listen         Setting = "LISTEN"
	PublicURL      Setting = "PUBLIC_URL"
	Database       Setting = "DATABASE"
	Keys           Setting = "KEYS"
	AppsFile       Setting = "APPS"
	Providers      Setting = "PROVIDERS"
	StateDir       Setting = "STATE_DIR"
	TrustedProxies Setting = "TRUSTED_PROXIES"
	OutboundAllow  Setting = "OUTBOUND_ALLOW"
	RateLimit      Setting = "RATE_LIMIT"
	MetricsListen  Setting = "METRICS_LISTEN"
	LogLevel       Setting = "LOG_LEVEL"
	LogFormat      Setting = "LOG_FORMAT"
)

const envPrefix = "PATCHBAY_"

// Env is the environment variable of the setting.
func (s Setting) Env() string { return envPrefix + string(s) }

// An Option tells Flags about the settings of a command.
type Option func(*Reader)

// Takes lists settings that the command reads.
func Takes(settings ...Setting) Option {
	return func(r *Reader) { r.takes = append(r.takes, settings...) }
}

// Requires lists settings that the command reads and cannot do without.
func Requires(settings ...Setting) Option {
	return func(r *Reader) {
		r.takes = append(r.takes, settings...)
		r.requires = append(r.requires, settings...)
	}
}

// Default replaces the default of a setting, for one command.
func Default(s Setting, value string) Option {
	return func(r *Reader) { r.defaults[s] = value }
}

// Reader reads the settings of one command. Use it once.
type Reader struct {
	flags    *flag.FlagSet
	takes    []Setting
	requires []Setting
	defaults map[Setting]string

	env      func(string) (string, bool)
	given    map[string]string // flags on the command line
	problems Problems
}

// Flags registers, on fs, the flags of the settings that the command takes. Parse
// fs before Read.
func Flags(fs *flag.FlagSet, options ...Option) *Reader {
	r := &Reader{flags: fs, defaults: map[Setting]string{}}
	for _, option := range options {
		option(r)
	}
	for _, row := range table {
		if row.flag != "" && slices.Contains(r.takes, row.setting) {
			fs.String(row.flag, r.defaultOf(row), fmt.Sprintf("%s (%s)", row.usage, row.setting.Env()))
		}
	}
	return r
}

// Environment describes the settings that the command takes from the environment
// alone, a line each, for its usage.
func (r *Reader) Environment() []string {
	var lines []string
	for _, row := range table {
		if row.flag == "" && slices.Contains(r.takes, row.setting) {
			lines = append(lines, fmt.Sprintf("%s\n    \t%s", row.setting.Env(), row.usage))
		}
	}
	return lines
}

// Read returns the settings, or every problem with them. The environment is asked
// through env, which is os.LookupEnv in a program; an empty variable counts as none.
func (r *Reader) Read(env func(string) (string, bool)) (*Settings, error) {
	r.env = env
	r.given = map[string]string{}
	r.flags.Visit(func(f *flag.Flag) { r.given[f.Name] = f.Value.String() })

	s := &Settings{}
	for _, row := range table {
		if !slices.Contains(r.takes, row.setting) {
			continue
		}
		value, ok := r.lookup(row)
		switch {
		case !ok: // reported
		case value == "" && slices.Contains(r.requires, row.setting):
			r.report(row, "is required: "+row.example)
		case value != "":
			if text := row.read(s, value); text != "" {
				r.report(row, text)
			}
		}
	}
	if slices.Contains(r.takes, StateDir) && s.StateDir == "" {
		s.StateDir = filepath.Dir(s.Database) // "." without a database
	}
	if slices.Contains(r.takes, LogFormat) && s.LogFormat == "" {
		s.LogFormat = "json"
		if isTerminal(os.Stderr) {
			s.LogFormat = "text"
		}
	}
	if err := r.problems.err(); err != nil {
		return nil, err
	}
	return s, nil
}

// lookup finds the value of a setting; not ok means that a problem was reported.
func (r *Reader) lookup(row row) (value string, ok bool) {
	if value, given := r.given[row.flag]; given && value != "" {
		return value, true // an empty flag counts as none, like an empty variable
	}
	value, _ = r.env(row.setting.Env())
	if row.file {
		path, _ := r.env(row.setting.Env() + "_FILE")
		if path != "" && value == "" {
			value, text := readValueFile(path)
			if text != "" {
				r.problems = append(r.problems, Problem{row.setting.Env() + "_FILE", text})
			}
			return value, text == ""
		}
	}
	if value == "" {
		value = r.defaultOf(row)
	}
	return value, true
}

func (r *Reader) defaultOf(row row) string {
	if value, ok := r.defaults[row.setting]; ok {
		return value
	}
	return row.fallback
}

func (r *Reader) report(row row, text string) {
	where := row.setting.Env()
	if row.flag != "" {
		where += " (--" + row.flag + ")"
	}
	for line := range strings.Lines(text) { // one problem a line
		r.problems = append(r.problems, Problem{where, strings.TrimSuffix(line, "\n")})
	}
}
