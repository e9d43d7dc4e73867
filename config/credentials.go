package config

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"patchbay/vault"
)

const (
	minToken      = 20 // characters of a service token
	maxToken      = 512
	minHS256      = 32 // bytes, as many as SHA-256 gives
	builderPrefix = "b44k_"
)

func (d *decoder) serviceTokens(n *yaml.Node, tokens unique) (list []ServiceToken) {
	names := unique{}
	for _, item := range d.list(n, "service_tokens") {
		o := d.object(item, "a service token", "name", "token", "scopes")
		t := ServiceToken{Name: d.credentialName(o, names), Token: d.token(o, tokens)}
		if strings.HasPrefix(t.Token.Reveal(), builderPrefix) {
			d.report(o.get("token"), "a token that begins with b44k_ is a builder key: choose another, or list it under builder_keys")
		}
		scopes := o.need("scopes", "list some of tokens, sessions, proxy")
		for _, item := range d.list(scopes, "scopes") {
			switch scope := d.oneOf(item, "tokens", "sessions", "proxy"); {
			case scope == "":
			case slices.Contains(t.Scopes, scope):
				d.report(item, "this scope is here twice: keep one")
			default:
				t.Scopes = append(t.Scopes, scope)
			}
		}
		if isEmptyList(scopes) {
			d.report(scopes, "a token without scopes can do nothing: list some of tokens, sessions, proxy")
		}
		list = append(list, t)
	}
	return list
}

func (d *decoder) builderKeys(n *yaml.Node, tokens unique) (list []BuilderKey) {
	names := unique{}
	for _, item := range d.list(n, "builder_keys") {
		o := d.object(item, "a builder key", "name", "token")
		list = append(list, BuilderKey{d.credentialName(o, names), d.builderKey(o, tokens)})
	}
	return list
}

func (d *decoder) credentialName(o object, names unique) string {
	n := o.need("name", "say who uses it, like backend")
	name := d.label(n, 80)
	names.check(d, "name", name, n)
	return name
}

// token reads the token of a service token.
func (d *decoder) token(o object, tokens unique) vault.Secret {
	s := d.scalar(o.need("token", "give a random string of 20 characters or more"))
	switch {
	case !s.ok:
	case !isPrintable(s.text):
		d.report(s.node, "a token may contain printable ASCII only, without spaces: check for a line end at its end")
	case len(s.text) < minToken || len(s.text) > maxToken:
		d.reportf(s.node, "this has %d characters: a token has 20 to 512, choose a random one", len(s.text))
	default:
		return tokens.secret(d, s)
	}
	return vault.Secret{}
}

// builderKey reads the token of a builder key.
func (d *decoder) builderKey(o object, tokens unique) vault.Secret {
	s := d.scalar(o.need("token", "give b44k_ and a random string"))
	switch {
	case !s.ok:
	case !isPrintable(s.text):
		d.report(s.node, "a builder key may contain printable ASCII only, without spaces: check for a line end at its end")
	case !strings.HasPrefix(s.text, builderPrefix) || s.text == builderPrefix:
		d.report(s.node, "a builder key is b44k_ and a random string: put b44k_ before yours")
	case len(s.text) > maxToken:
		d.reportf(s.node, "this has %d characters: a builder key has at most 512", len(s.text))
	default:
		return tokens.secret(d, s)
	}
	return vault.Secret{}
}

func (d *decoder) userTokens(n *yaml.Node, appID string) *UserTokens {
	if n == nil {
		return nil
	}
	o := d.object(n, "user_tokens", "issuer", "audience", "jwks_url", "hs256_secret", "public_key")
	if o.node == nil {
		return nil
	}
	t := &UserTokens{
		Issuer:   d.plain(o.get("issuer"), 1000),
		Audience: cmp.Or(d.plain(o.get("audience"), 1000), appID),
		JWKSURL:  d.address(o.get("jwks_url")),
	}
	if s := d.scalar(o.get("hs256_secret")); s.ok {
		switch {
		case len(s.text) < minHS256:
			d.reportf(s.node, "this has %d bytes: an HS256 secret has 32 or more", len(s.text))
		case strings.HasSuffix(s.text, "\n"):
			d.report(s.node, "this ends with a line end, which would be part of the secret: remove it, in a block by writing |- for |")
		default:
			t.HS256Secret = vault.NewSecret(s.text)
		}
	}
	if s := d.scalar(o.get("public_key")); s.ok {
		var problem string
		if t.PublicKey, t.PublicKeyPEM, problem = parsePublicKey(s.text); problem != "" {
			d.report(s.node, problem)
		}
	}
	sources := 0
	for _, name := range []string{"jwks_url", "hs256_secret", "public_key"} {
		if o.get(name) != nil {
			sources++
		}
	}
	if sources != 1 {
		d.reportf(o.node, "user_tokens has %d key sources: give exactly one of jwks_url, hs256_secret, public_key", sources)
	}
	return t
}
