package provider

import (
	"net/netip"
	"net/url"
	"strings"
)

// Rules says in sentences what the provider asks of a redirect URI.
func (r *RedirectURI) Rules() []string {
	var rules []string
	switch r.HTTP {
	case "localhost":
		rules = append(rules, "https, or http on localhost.")
	case "loopback":
		rules = append(rules, "https, or http on a loopback host.")
	case "any":
		rules = append(rules, "https or http.")
	default:
		rules = append(rules, "https only.")
	}
	if r.Match == "below" {
		rules = append(rules, "The registered address or one below it.")
	} else {
		rules = append(rules, "Compared letter by letter: no slash more, no other case.")
	}
	if r.Note != "" {
		rules = append(rules, r.Note)
	}
	return rules
}

// Problem says why the provider will refuse the address as a redirect URI, "" when
// nothing speaks against it.
func (r *RedirectURI) Problem(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "It is no address."
	}
	if u.Scheme == "https" || r.HTTP == "any" {
		return ""
	}
	host := u.Hostname()
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	ip, err := netip.ParseAddr(host)
	loopback := local || (err == nil && ip.IsLoopback())
	switch {
	case r.HTTP == "localhost" && local, r.HTTP == "loopback" && loopback:
		return ""
	case r.HTTP == "localhost" && loopback:
		return "This provider takes plain http on the name localhost only, and this is an IP address."
	case r.HTTP == "localhost" || r.HTTP == "loopback":
		return "This provider takes plain http on your own machine only."
	}
	return "This provider takes https only, also while you develop: use a public https address or a tunnel, or the sandbox."
}
