package config

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"patchbay/vault"
)

// apps reads the whole file.
func (d *decoder) apps(root *yaml.Node) []App {
	top := d.object(root, "the file", "apps")
	n := top.need("apps", "write `apps: []` for no apps")
	if n != nil && n.ShortTag() == "!!null" {
		d.report(n, "apps has no value: write `apps: []` for no apps")
		return nil
	}
	var apps []App
	ids := unique{}
	for _, item := range d.list(n, "apps") {
		apps = append(apps, d.app(item, ids))
	}
	return apps
}

func (d *decoder) app(n *yaml.Node, ids unique) (app App) {
	o := d.object(n, "an app", "id", "name", "service_tokens", "builder_keys", "user_tokens", "login", "origins",
		"return_urls", "verify_url", "min_assurance", "webhooks", "theme", "connectors")
	if o.node == nil {
		return app
	}
	app.Pos = d.pos(o.node)
	app.ID = d.id(o.need("id", "give a short name, like acme"))
	ids.check(d, "app id", app.ID, o.get("id"))
	app.Name = cmp.Or(d.label(o.get("name"), 80), app.ID)
	tokens := unique{} // service tokens and builder keys together
	app.ServiceTokens = d.serviceTokens(o.get("service_tokens"), tokens)
	app.BuilderKeys = d.builderKeys(o.get("builder_keys"), tokens)
	app.UserTokens = d.userTokens(o.get("user_tokens"), app.ID)
	app.Login = d.login(o.get("login"))
	app.Origins = d.origins(o.get("origins"))
	app.ReturnURLs = d.returnURLs(o.get("return_urls"))
	app.VerifyURL = d.address(o.get("verify_url"))
	app.MinAssurance = cmp.Or(d.oneOf(o.get("min_assurance"), "human", "app"), "human")
	app.Webhooks = d.webhooks(o.get("webhooks"))
	app.Theme = d.theme(o.get("theme"))
	app.Connectors = d.connectors(o.get("connectors"))
	return app
}

func (d *decoder) origins(n *yaml.Node) (origins []string) {
	for _, item := range d.list(n, "origins") {
		s := d.scalar(item)
		if !s.ok {
			continue
		}
		u, problem := parseOrigin(s.text)
		switch {
		case problem != "":
			d.report(s.node, problem)
		case slices.Contains(origins, u.String()):
			d.report(s.node, "this origin is here twice: keep one")
		default:
			origins = append(origins, u.String())
		}
	}
	return origins
}

func (d *decoder) returnURLs(n *yaml.Node) (addresses []string) {
	for _, item := range d.list(n, "return_urls") {
		address := d.address(item)
		switch {
		case address == "":
		case strings.Contains(address, "?"):
			d.report(item, "a return address may not have a query: remove the ? and what follows it")
		case slices.Contains(addresses, address):
			d.report(item, "this address is here twice: keep one")
		default:
			addresses = append(addresses, address)
		}
	}
	return addresses
}

const maxWebhooks = 5

func (d *decoder) webhooks(n *yaml.Node) (hooks []Webhook) {
	for _, item := range d.list(n, "webhooks") {
		o := d.object(item, "a webhook", "url", "secret")
		if o.node == nil {
			continue
		}
		w := Webhook{URL: d.address(o.need("url", "give the address that takes the events, like https://app.acme.example/hooks"))}
		secret := d.scalar(o.need("secret", "make one with: echo whsec_$(openssl rand -base64 32)"))
		if secret.ok {
			w.Secret = vault.NewSecret(secret.text)
			if _, err := vault.WebhookKey(w.Secret); err != nil {
				d.report(secret.node, err.Error())
			}
		}
		switch {
		case w.URL == "" || w.Secret.IsZero():
		case slices.ContainsFunc(hooks, func(h Webhook) bool { return h.URL == w.URL }):
			d.report(item, "this address is here twice: keep one")
		case len(hooks) == maxWebhooks:
			d.reportf(item, "there are more than %d webhooks: one of them can tell the others", maxWebhooks)
		default:
			hooks = append(hooks, w)
		}
	}
	return hooks
}

func (d *decoder) theme(n *yaml.Node) (theme Theme) {
	if n == nil {
		return theme
	}
	o := d.object(n, "theme", "accent", "logo")
	if s := d.scalar(o.get("accent")); s.ok {
		theme.Accent = strings.ToLower(s.text)
		hex, found := strings.CutPrefix(theme.Accent, "#")
		if !found || strings.Trim(hex, "0123456789abcdef") != "" || (len(hex) != 3 && len(hex) != 6) {
			d.reportf(s.node, "%s is not a colour: write it like \"#6d28d9\", in quotes", s.shown())
		}
	}
	if s := d.scalar(o.get("logo")); s.ok {
		var problem string
		if theme.Logo, problem = loadLogo(d.files, s.text); problem != "" {
			d.report(s.node, problem)
		}
	}
	return theme
}
