package config

import (
	"net/netip"
	"net/url"
	"strings"
	"unicode"
)

// parseAddress reads an absolute https address, or an http one of a loopback host,
// and returns what is wrong as the beginning of a sentence that does not repeat it.
// It normalises what can be written in several ways and means one thing: scheme and
// host in lower case, no default port.
func parseAddress(raw string) (u *url.URL, problem string) {
	if strings.ContainsFunc(raw, func(c rune) bool { return unicode.IsControl(c) || unicode.IsSpace(c) || c == '\\' }) {
		return nil, "an address may not contain spaces, control characters or backslashes"
	}
	if strings.Contains(raw, "*") {
		return nil, "an address may not contain *: write each one out"
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.Host == "" {
		return nil, "this is not an absolute address: write https://host and what follows"
	}
	host, port := canonicalHost(u.Hostname()), u.Port()
	switch {
	case u.User != nil:
		return nil, "an address may not contain a user name or password"
	case strings.Contains(raw, "#"):
		return nil, "an address may not have a fragment: remove the # and what follows it"
	case host == "":
		return nil, "this is not a host name or IP address: write it in ASCII, an international name as xn--…"
	case port != "" && !isPort(port, 1), strings.HasSuffix(u.Host, ":"):
		return nil, "the port is not a number from 1 to 65535"
	case u.Scheme == "http" && !isLoopback(host):
		return nil, "http is for loopback hosts only: write https"
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, "the address must begin with https://"
	}
	if (u.Scheme == "https" && port == "443") || (u.Scheme == "http" && port == "80") {
		port = ""
	}
	u.Host = host
	if strings.Contains(host, ":") {
		u.Host = "[" + host + "]"
	}
	if port != "" {
		u.Host += ":" + port
	}
	return u, ""
}

// parseOrigin reads scheme://host[:port] and nothing else.
func parseOrigin(raw string) (u *url.URL, problem string) {
	u, problem = parseAddress(raw)
	switch {
	case problem != "":
		return nil, problem
	case u.Path != "" || strings.Contains(raw, "?"):
		return nil, "an origin is scheme://host or scheme://host:port: remove the path and the query"
	}
	return u, ""
}

// canonicalHost returns the one way to write a host, an IPv6 address without its
// brackets, or "" for what is not one. A name that ends in a number must be an IPv4
// address: browsers would read 127.1 or 0x7f.1 as one.
func canonicalHost(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" || addr.Is4In6() {
			return ""
		}
		return addr.String()
	}
	host = strings.ToLower(host)
	if len(host) > 253 {
		return ""
	}
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return ""
		}
		last = label
	}
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return ""
	}
	return host
}

// isLoopback reports whether a canonical host is this machine by its very name.
func isLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
