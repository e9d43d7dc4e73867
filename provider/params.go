package provider

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// ParamFields returns what must be asked from the end user before the flow, in the
// order of the catalogue: the parameters meant for end users that the builder has
// not fixed.
func (e *Entry) ParamFields(fixed map[string]string) []Param {
	var fields []Param
	for _, p := range e.Params {
		if _, is := fixed[p.Name]; p.Ask && !is {
			fields = append(fields, p)
		}
	}
	return fields
}

// CheckParams checks the values that a builder fixes: every name must be known, every
// value fit its pattern, and what only the builder can set and has no default must be
// there. The error holds all problems, one a line.
func (e *Entry) CheckParams(fixed map[string]string) error {
	problems := e.badValues(fixed)
	for _, p := range e.Params {
		if _, is := fixed[p.Name]; !is && p.Required && !p.Ask && p.Default == "" {
			problems = append(problems, fmt.Errorf("param %s is missing: %s", p.Name, p.hint()))
		}
	}
	return errors.Join(problems...)
}

// ParamValues returns the value of every parameter, given being those from the builder
// and from the end user together, with defaults filled in. Optional ones may be "".
func (e *Entry) ParamValues(given map[string]string) (map[string]string, error) {
	problems := e.badValues(given)
	values := map[string]string{}
	for _, p := range e.Params {
		value := given[p.Name]
		if value == "" {
			value = p.Default
		}
		if value == "" && p.Required {
			problems = append(problems, fmt.Errorf("param %s is missing: %s", p.Name, p.hint()))
		}
		values[p.Name] = value
	}
	return values, errors.Join(problems...)
}

func (e *Entry) badValues(given map[string]string) []error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		i := slices.IndexFunc(e.Params, func(p Param) bool { return p.Name == name })
		if i < 0 {
			problems = append(problems, fmt.Errorf("%s has no param %q", e.Type, name))
		} else if err := e.Params[i].Check(given[name]); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// Check checks a value against the pattern and, for a host, the domains. An empty
// value is accepted where the parameter is optional or has a default. The error is
// fit for the person who typed the value, and does not repeat it.
func (p *Param) Check(value string) error {
	if value == "" {
		if p.Required && p.Default == "" {
			return fmt.Errorf("param %s is missing: %s", p.Name, p.hint())
		}
		return nil
	}
	if !p.Pattern.MatchString(value) || strings.ContainsFunc(value, unicode.IsControl) ||
		len(p.Domains) > 0 && !below(value, p.Domains) {
		return fmt.Errorf("param %s is not valid: %s", p.Name, p.hint())
	}
	return nil
}

func (p *Param) hint() string {
	if p.PatternError != "" {
		return p.PatternError
	}
	return "it looks like " + p.Example
}

// below reports whether host is one of domains or a name under one.
func below(host string, domains []string) bool {
	return slices.ContainsFunc(domains, func(d string) bool {
		return host == d || strings.HasSuffix(host, "."+d)
	})
}

// Accepts reports whether a value that the provider handed out may be used.
func (c *ConfigValue) Accepts(value string) bool {
	return (c.Pattern == nil || c.Pattern.MatchString(value)) &&
		(len(c.Domains) == 0 || below(hostOf(value), c.Domains))
}

// hostOf returns a host, or the host of an https address that is nothing but scheme
// and host; "" for anything else.
func hostOf(value string) string {
	host := strings.TrimPrefix(value, "https://")
	if !isHost(host) {
		return ""
	}
	return strings.ToLower(host)
}
