package config

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"patchbay/vault"
)

const (
	maxClientSecrets = 4
	maxClientSecret  = 4000 // bytes; some are a signed assertion
)

func (d *decoder) connectors(n *yaml.Node) (list []Connector) {
	ids, shared := unique{}, unique{}
	for _, item := range d.list(n, "connectors") {
		o := d.object(item, "a connector", "id", "type", "mode", "name", "description", "client_id",
			"client_secret", "client_secrets", "scopes", "params", "endpoints")
		if o.node == nil {
			continue
		}
		c := d.connector(o)
		ids.check(d, "connector id", c.ID, o.get("id"))
		if first := shared[c.Type]; c.Mode == "shared" && first != nil {
			d.reportf(o.node, "the app has a shared connector of this type: keep one (the first is in line %d)", first.Line)
		} else if c.Mode == "shared" && c.Type != "" {
			shared[c.Type] = o.node
		}
		list = append(list, c)
	}
	return list
}

func (d *decoder) connector(o object) Connector {
	c := Connector{
		Pos:         d.pos(o.node),
		ID:          d.id(o.need("id", "give a short name, like cal")),
		Type:        d.integrationType(o.need("type", "name an integration type, like googlecalendar")),
		Mode:        cmp.Or(d.oneOf(o.get("mode"), "user", "shared"), "user"),
		Name:        d.label(o.get("name"), 80),
		Description: d.label(o.get("description"), 300),
		ClientID:    d.plain(o.need("client_id", "copy it from the provider's page about your OAuth client"), 1000),
		Scopes:      d.scopes(o.get("scopes")),
		Params:      d.params(o.get("params")),
		Endpoints:   d.endpoints(o.get("endpoints")),
	}
	c.ClientSecrets = d.clientSecrets(o, c.Type)
	if c.Type != "" {
		at := o.get("params")
		if at == nil {
			at = o.get("type")
		}
		d.reportAll(at, d.check.CheckParams(c.Type, c.Params))
	}
	return c
}

func (d *decoder) integrationType(n *yaml.Node) string {
	s := d.scalar(n)
	if !s.ok {
		return ""
	}
	suggestion, ok := d.check.KnownType(s.text)
	switch {
	case !ok && suggestion != "":
		d.reportf(s.node, "%s is not an integration type: did you mean %s?", s.shown(), suggestion)
		return ""
	case !ok:
		d.reportf(s.node, "%s is not an integration type: name one of the catalogue", s.shown())
		return ""
	}
	return s.text
}

// clientSecrets reads client_secret, or client_secrets, newest first. A type whose
// provider also registers clients without one may have none.
func (d *decoder) clientSecrets(o object, typ string) (secrets []vault.Secret) {
	one, many := o.get("client_secret"), o.get("client_secrets")
	switch {
	case o.node != nil && one == nil && many == nil && !d.check.NeedsSecret(typ):
	case o.node != nil && one == nil && many == nil:
		d.report(o.node, "a connector needs client_secret: copy it from the provider's page about your OAuth client")
	case one != nil && many != nil:
		d.report(many, "client_secret and client_secrets are both here: put all into client_secrets, the newest first")
	case one != nil:
		if text := d.plain(one, maxClientSecret); text != "" {
			secrets = append(secrets, vault.NewSecret(text))
		}
	default:
		items := d.list(many, "client_secrets")
		if isEmptyList(many) || len(items) > maxClientSecrets {
			d.reportf(many, "client_secrets has %d items: give 1 to %d, the newest first", len(items), maxClientSecrets)
		}
		for _, item := range items {
			secret := vault.NewSecret(d.plain(item, maxClientSecret))
			switch {
			case secret.IsZero():
			case slices.Contains(secrets, secret):
				d.report(item, "this secret is here twice: keep one")
			default:
				secrets = append(secrets, secret)
			}
		}
	}
	return secrets
}

// scopes keeps an empty list apart from none.
func (d *decoder) scopes(n *yaml.Node) []string {
	if n == nil {
		return nil
	}
	scopes := []string{}
	for _, item := range d.list(n, "scopes") {
		s := d.scalar(item)
		switch {
		case !s.ok:
		case !isScope(s.text):
			d.report(s.node, "a scope is up to 500 printable ASCII characters without spaces, quotes and backslashes: write one scope an item")
		case slices.Contains(scopes, s.text):
			d.report(s.node, "this scope is here twice: keep one")
		default:
			scopes = append(scopes, s.text)
		}
	}
	return scopes
}

// isScope reports whether text is a scope-token of RFC 6749, section 3.3.
func isScope(text string) bool {
	return text != "" && len(text) <= 500 && isPrintable(text) && !strings.ContainsAny(text, `"\`)
}

// params reads what the builder fixes for the catalogue entry. Which names there
// are, the catalogue knows.
func (d *decoder) params(n *yaml.Node) map[string]string {
	if n == nil {
		return nil
	}
	if n = d.resolve(n); n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.report(n, "params must be a mapping, like {tenant: common}")
		return nil
	}
	params := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch _, twice := params[key.Value]; {
		case key.Kind != yaml.ScalarNode || !isParam(key.Value):
			d.report(key, "this is not the name of a parameter: use a-z, 0-9 and _")
		case twice:
			d.report(key, "this parameter is here a second time: keep one")
		default:
			d.names[n.Content[i+1]] = key.Value
			params[key.Value] = d.plain(n.Content[i+1], 255)
		}
	}
	return params
}

func isParam(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	return name != "" && len(name) <= 32 && strings.Trim(name, letters+"0123456789_") == "" && strings.IndexByte(letters, name[0]) >= 0
}

func (d *decoder) endpoints(n *yaml.Node) (e Endpoints) {
	if n == nil {
		return e
	}
	o := d.object(n, "endpoints", "authorize", "token", "refresh", "revoke", "userinfo", "api", "issuer")
	e.Authorize = d.endpoint(o.get("authorize"))
	e.Token = d.endpoint(o.get("token"))
	e.Refresh = d.endpoint(o.get("refresh"))
	e.Revoke = d.endpoint(o.get("revoke"))
	e.Userinfo = d.endpoint(o.get("userinfo"))
	e.API = d.endpoint(o.get("api"))
	e.Issuer = d.endpoint(o.get("issuer"))
	if strings.Contains(e.API, "?") {
		d.report(o.get("api"), "api may not have a query: remove the ? and what follows it")
	}
	if strings.Contains(e.Issuer, "?") {
		d.report(o.get("issuer"), "issuer may not have a query: remove the ? and what follows it")
	}
	return e
}

// endpoint checks an address and keeps it as it is written.
func (d *decoder) endpoint(n *yaml.Node) string {
	s := d.scalar(n)
	if !s.ok {
		return ""
	}
	if _, problem := parseAddress(s.text); problem != "" {
		d.report(s.node, problem)
		return ""
	}
	return s.text
}

// reportAll reports an error, or each of the errors that it joins.
func (d *decoder) reportAll(at *yaml.Node, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			d.reportAll(at, err)
		}
	} else if err != nil {
		d.report(at, err.Error())
	}
}
