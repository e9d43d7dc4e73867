package provider

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// present notes a missing value.
func (f *file) present(path, value string) bool {
	if strings.TrimSpace(value) != "" {
		return true
	}
	if n := f.nodes[path]; n != nil {
		if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" { // other kinds were noted when decoding
			f.problem(path, "must not be empty")
		}
		return false
	}
	parent, field, nested := cutLast(path)
	if !nested {
		parent, field = "", path
	}
	f.problem(parent, "%s is missing", f.from(parent, path, field))
	return false
}

// from names a missing field as seen from the nearest mapping that exists.
func (f *file) from(parent, path, field string) string {
	if f.nodes[parent] != nil {
		return field
	}
	return path
}

func cutLast(path string) (before, after string, ok bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

func (f *file) require(path, value string, allowed ...string) {
	if f.present(path, value) {
		f.oneOf(path, value, allowed...)
	}
}

func (f *file) oneOf(path, value string, allowed ...string) {
	if value != "" && !slices.Contains(allowed, value) {
		f.problem(path, "must be one of %s, not %q", joined(allowed), value)
	}
}

func (f *file) checkURL(path, text string) {
	if text == "" {
		return
	}
	if err := checkAddress(text); err != nil {
		f.problem(path, "%v", err)
	}
}

// checkAddress checks an address with placeholders: each has a param that always has
// a value, and one in the host is pinned to the provider.
func (f *file) checkAddress(path, text string) {
	if text == "" {
		return
	}
	text = f.withoutConfig(path, text)
	if rest := placeholder.ReplaceAllString(text, "x"); strings.ContainsAny(rest, "{}") {
		f.problem(path, "has a brace that is not part of a {name}")
		return
	}
	if err := checkAddress(placeholder.ReplaceAllString(text, "x")); err != nil {
		f.problem(path, "%v", err)
		return
	}
	for _, name := range placeholders(text) {
		if name == "client_id" && path == "revoke.url" {
			continue
		}
		if p := f.checkPlaceholder(path, name); p != nil && !p.Required && p.Default == "" {
			f.problem(path, "{%s} may be empty: the param must be required or have a default", name)
		}
	}
	a, _ := splitAddress(text)
	inHost := placeholders(a.authority)
	if len(inHost) == 0 {
		return
	}
	end := a.authority[strings.LastIndexByte(a.authority, '}')+1:]
	if strings.Count(end, ".") >= 2 && strings.HasPrefix(end, ".") {
		return
	}
	p := f.entry.param(inHost[0])
	if a.authority != "{"+inHost[0]+"}" && !strings.HasSuffix(a.authority, ".{"+inHost[0]+"}") || len(inHost) > 1 || p != nil && len(p.Domains) == 0 {
		f.problem(path, "the host is not pinned to the provider: write out its domain after {%s}, or give the param domains", inHost[0])
	}
}

// withoutConfig checks the {config.name} parts of an address and returns it with
// something in their place.
func (f *file) withoutConfig(path, text string) string {
	a, _ := splitAddress(text)
	for _, m := range configPart.FindAllStringSubmatch(text, -1) {
		i := slices.IndexFunc(f.entry.ConnectionConfig, func(c ConfigValue) bool { return c.Name == m[1] })
		inHost := strings.Contains(a.authority, m[0])
		switch {
		case i < 0:
			f.problem(path, "%s is not in connection_config", m[0])
		case path != "account.url" && path != "revoke.url" && !strings.HasPrefix(path, "api.hosts."):
			f.problem(path, "%s is not known yet when this address is used", m[0])
		case inHost && a.authority != m[0]:
			f.problem(path, "%s must be the whole host", m[0])
		case inHost && len(f.entry.ConnectionConfig[i].Domains) == 0:
			f.problem(path, "the host is not pinned to the provider: give %s domains", m[0])
		}
	}
	return configPart.ReplaceAllString(text, "x")
}

func (f *file) checkPlaceholder(path, name string) *Param {
	p := f.entry.param(name)
	if p == nil {
		f.problem(path, "{%s} is not among the params", name)
	}
	return p
}

func (e *Entry) param(name string) *Param {
	for i := range e.Params {
		if e.Params[i].Name == name {
			return &e.Params[i]
		}
	}
	return nil
}

func (f *file) checkDomains(path string, domains []string) {
	for i, d := range domains {
		if !isHost(d) || !strings.Contains(d, ".") || d != strings.ToLower(d) {
			f.problem(index(path, i), "must be a domain name in lower case, without * or a leading dot")
		}
	}
}

func (f *file) checkHeaders(path string, headers map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if path == "revoke.headers" && strings.Contains(headers[name], "{client_secret}") && strings.EqualFold(name, "authorization") {
			continue // a scheme of the provider's own
		}
		f.checkHeader(join(path, name), name)
		if strings.ContainsAny(headers[name], "\r\n\x00") {
			f.problem(join(path, name), "a header is one line")
		}
	}
}

func (f *file) checkHeader(path, name string) {
	if !header.MatchString(name) {
		f.problem(path, "%q is not a header name", name)
	}
	switch strings.ToLower(name) {
	case "authorization", "cookie", "host", "connection", "content-length", "transfer-encoding":
		f.problem(path, "%s is set by the client itself", name)
	}
}

func joined[T ~string](names []T) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ", ")
}

func index(path string, i int) string { return fmt.Sprintf("%s.%s", path, strconv.Itoa(i)) }
