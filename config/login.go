package config

import (
	"cmp"
	"strings"

	"go.yaml.in/yaml/v4"

	"patchbay/vault"
)

// wellKnown is where an issuer's metadata is (OpenID Connect Discovery 1.0 section 4).
const wellKnown = "/.well-known/openid-configuration"

func (d *decoder) login(n *yaml.Node) *Login {
	if n == nil {
		return nil
	}
	o := d.object(n, "login", "issuer", "client_id", "client_secret", "user_claim")
	if o.node == nil {
		return nil
	}
	return &Login{
		Issuer:       d.issuer(o.need("issuer", "give the address of your OpenID provider, like https://id.acme.example")),
		ClientID:     d.plain(o.need("client_id", "copy it from the provider's page about your OpenID client"), 1000),
		ClientSecret: vault.NewSecret(d.plain(o.get("client_secret"), maxClientSecret)),
		UserClaim:    cmp.Or(d.claim(o.get("user_claim")), "sub"),
	}
}

// issuer keeps the address as it is written: ID tokens are compared with it byte by
// byte.
func (d *decoder) issuer(n *yaml.Node) string {
	address := d.endpoint(n)
	switch {
	case strings.Contains(address, "?"):
		d.report(n, "issuer may not have a query: remove the ? and what follows it")
	case strings.HasSuffix(address, wellKnown):
		d.report(n, "issuer is the address before "+wellKnown+": remove that part")
	}
	return address
}

// claim reads the name of a claim of an ID token.
func (d *decoder) claim(n *yaml.Node) string {
	s := d.scalar(n)
	if !s.ok {
		return ""
	}
	if !isClaim(s.text) {
		d.reportf(s.node, "%s is not the name of a claim: use 1 to 100 of a-z, A-Z, 0-9 and _ . : / -", s.shown())
		return ""
	}
	return s.text
}

func isClaim(text string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/-"
	return text != "" && len(text) <= 100 && strings.Trim(text, allowed) == ""
}
