package provider

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// placeholder is {name} in an address or a parameter's value.
var placeholder = regexp.MustCompile(`\{([a-z][a-z0-9_]*)\}`)

// configPart is {config.name} in an address: a value that the provider handed out, and
// that is filled in when the address is used.
var configPart = regexp.MustCompile(`\{config\.([a-z][a-z0-9_]*)\}`)

// FillConfig puts values of connection_config into an address. A value in the host
// must be a host, or an https address that is nothing but one. Whether it is a host of
// the provider's was decided when the value came in ([ConfigValue.Accepts]).
func FillConfig(text string, config map[string]string) (string, error) {
	if !configPart.MatchString(text) {
		return text, nil
	}
	a, ok := splitAddress(text)
	if !ok {
		return "", errors.New("not an address")
	}
	missing := ""
	fill := func(part string, escape func(string) string) string {
		return configPart.ReplaceAllStringFunc(part, func(m string) string {
			name := m[len("{config.") : len(m)-1]
			value := escape(config[name])
			if value == "" || value == "." || value == ".." {
				missing = name
			}
			return value
		})
	}
	filled := a.scheme + "://" + fill(a.authority, hostOf) + fill(a.path, url.PathEscape)
	if a.query != "" {
		filled += "?" + fill(a.query, url.QueryEscape)
	}
	if missing != "" {
		return "", fmt.Errorf("the connection has no usable %s", missing)
	}
	return filled, checkAddress(strings.ReplaceAll(filled, "{client_id}", "x"))
}

// AddQuery adds parameters to the query of an address. Those that are there already
// stay as they are.
func AddQuery(address string, query map[string]string) (string, error) {
	if len(query) == 0 {
		return address, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", errors.New("is not a valid address")
	}
	values := u.Query()
	for name, value := range query {
		if !values.Has(name) {
			values.Set(name, value)
		}
	}
	u.RawQuery = values.Encode()
	return u.String(), nil
}

// placeholders returns the names used in text.
func placeholders(text string) []string {
	var names []string
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// FillValue puts values into the placeholders of a parameter's value. It reports
// false if one of them is empty: such a parameter is left out.
func FillValue(text string, values map[string]string) (string, bool) {
	whole := true
	filled := placeholder.ReplaceAllStringFunc(text, func(m string) string {
		v := values[m[1:len(m)-1]]
		whole = whole && v != ""
		return v
	})
	return filled, whole
}

// address is a URL with placeholders, cut where their escaping changes.
type address struct{ scheme, authority, path, query string }

func splitAddress(text string) (address, bool) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return address{}, false
	}
	a := address{scheme: scheme, authority: rest}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		a.authority, a.path = rest[:i], rest[i:]
	}
	a.path, a.query, _ = strings.Cut(a.path, "?")
	return a, true
}

// fillAddress puts values into an address. A value in the host must be made of host
// characters, one in the path is one escaped segment, one in the query is escaped.
// A placeholder that is not in values stays as it is: {client_id} is filled in when
// the call is made.
func fillAddress(text string, values map[string]string) (string, error) {
	a, ok := splitAddress(text)
	if !ok {
		return "", errors.New("not an address")
	}
	var bad error
	fill := func(part string, escape func(string) (string, error)) string {
		return placeholder.ReplaceAllStringFunc(part, func(m string) string {
			name := m[1 : len(m)-1]
			value, given := values[name]
			if !given {
				return m
			}
			escaped, err := escape(value)
			if err != nil {
				bad = fmt.Errorf("param %s %w", name, err)
			}
			return escaped
		})
	}
	host := fill(a.authority, func(v string) (string, error) {
		if !isHost(v) {
			return "", errors.New("cannot be part of a host name")
		}
		return strings.ToLower(v), nil
	})
	path := fill(a.path, func(v string) (string, error) {
		if v == "" || v == "." || v == ".." {
			return "", errors.New("cannot be part of a path")
		}
		return url.PathEscape(v), nil
	})
	query := fill(a.query, func(v string) (string, error) { return url.QueryEscape(v), nil })
	if bad != nil {
		return "", bad
	}
	filled := a.scheme + "://" + host + path
	if a.query != "" {
		filled += "?" + query
	}
	if err := checkAddress(configPart.ReplaceAllString(strings.ReplaceAll(filled, "{client_id}", "x"), "x")); err != nil {
		return "", err
	}
	return filled, nil
}

var hostPart = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?)*$`)

// isHost reports whether text is one or more labels of a host name, and nothing that
// could be read as something else: no port, no user, no dot at either end.
func isHost(text string) bool { return len(text) <= 253 && hostPart.MatchString(text) }

// checkAddress checks an address without placeholders: absolute, https (http on
// loopback only), with a host, without user, fragment or control characters.
func checkAddress(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("is not a valid address")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must begin with https://")
	case u.Hostname() == "":
		return errors.New("has no host")
	case !isHost(u.Hostname()) && !isIP(u.Hostname()):
		return errors.New("has a host that is not a plain host name")
	case u.User != nil:
		return errors.New("must not hold a user name or password")
	case strings.Contains(text, "#"):
		return errors.New("must not have a fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return errors.New("must be https (http is for loopback hosts only)")
	}
	return nil
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func isLoopback(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// origin returns scheme, host and port, the scheme's own port left out; "" for what
// is not an address.
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return strings.ToLower(u.Scheme) + "://" + host
}
