package provider

import (
	"fmt"
	"slices"
)

// Discover fetches what a provider says about itself (OpenID Connect Discovery 1.0
// section 4, RFC 8414): the decoded document below the issuer.
type Discover func(issuer string) (map[string]any, error)

// discovered is the part of the document that an entry can be filled from.
type discovered map[string]any

func (d discovered) text(name string) string { s, _ := d[name].(string); return s }

func (d discovered) list(name string) []string {
	items, _ := d[name].([]any)
	var texts []string
	for _, item := range items {
		if s, ok := item.(string); ok {
			texts = append(texts, s)
		}
	}
	return texts
}

// discover fills what the file leaves out. What stands in the file wins.
func (f *file) discover(ask Discover) {
	e := &f.entry
	if !e.OpenID.Discover {
		return
	}
	const at = "openid.discover"
	if e.OpenID.Issuer == "" || checkAddress(e.OpenID.Issuer) != nil {
		f.problem(at, "needs openid.issuer, an https address without {names}")
		return
	}
	if ask == nil {
		f.problem(at, "cannot be followed here: this catalogue is read without network")
		return
	}
	doc, err := ask(e.OpenID.Issuer)
	if err != nil {
		f.problem(at, "the description of %s cannot be had: %v", e.OpenID.Issuer, err)
		return
	}
	d := discovered(doc)
	if d.text("issuer") != e.OpenID.Issuer { // Discovery 4.3
		f.problem(at, "the description names the issuer %q, not %q: they must be equal to the letter", d.text("issuer"), e.OpenID.Issuer)
		return
	}
	f.fillFrom(d)
}

func (f *file) fillFrom(d discovered) {
	e := &f.entry
	for _, field := range []struct {
		into *string
		path string
		name string
	}{
		{&e.Authorize.URL, "authorize.url", "authorization_endpoint"},
		{&e.Token.URL, "token.url", "token_endpoint"},
		{&e.OpenID.JWKSURL, "openid.jwks_url", "jwks_uri"},
		{&e.Docs, "docs", "service_documentation"},
	} {
		if *field.into != "" {
			continue
		}
		*field.into = d.text(field.name)
		if err := checkAddress(*field.into); *field.into != "" && err != nil {
			f.problem("openid.discover", "%s of the description %v", field.name, err)
			*field.into = ""
		}
	}
	if e.Docs == "" {
		e.Docs = e.OpenID.Issuer
	}
	if e.Authorize.Issuer == "" {
		e.Authorize.Issuer = e.OpenID.Issuer
		e.Authorize.IssuerPromised, _ = d["authorization_response_iss_parameter_supported"].(bool)
	}
	if e.OpenID.Algs == nil {
		e.OpenID.Algs = slices.DeleteFunc(d.list("id_token_signing_alg_values_supported"), func(alg string) bool { return !slices.Contains(idTokenAlgs, alg) })
		if len(e.OpenID.Algs) == 0 {
			e.OpenID.Algs = nil
		}
	}
	if e.Client.Auth == "" {
		e.Client.Auth = clientAuth(d.list("token_endpoint_auth_methods_supported"))
		if e.Client.Auth == "" {
			f.problem("openid.discover", "the description offers no client authentication that is spoken here (client_secret_basic, client_secret_post)")
		}
	}
	if e.Authorize.PKCE.Mode == "" {
		e.Authorize.PKCE.Mode = "ignored" // what is not announced is not done (RFC 8414 section 2), and does no harm
		if slices.Contains(d.list("code_challenge_methods_supported"), "S256") {
			e.Authorize.PKCE.Mode = "supported"
		}
	}
	f.fillRevoke(d)
	f.fillAccount(d)
	f.fillScopes(d)
}

// clientAuth picks what the provider offers; the default is Discovery's.
func clientAuth(offered []string) string {
	switch {
	case offered == nil, slices.Contains(offered, "client_secret_basic"):
		return "basic"
	case slices.Contains(offered, "client_secret_post"):
		return "post"
	case slices.Contains(offered, "none"):
		return "none"
	}
	return ""
}

func (f *file) fillRevoke(d discovered) {
	r := &f.entry.Revoke
	if r.Style != "" {
		return
	}
	r.Style = "none"
	if at := d.text("revocation_endpoint"); at != "" {
		*r = Revoke{Style: "rfc7009", URL: at, Auth: f.entry.Client.Auth}
		if err := checkAddress(at); err != nil {
			f.problem("openid.discover", "revocation_endpoint of the description %v", err)
		}
	}
}

func (f *file) fillAccount(d discovered) {
	a := &f.entry.Account
	if a.URL == "" && a.From == "" {
		if a.URL = d.text("userinfo_endpoint"); a.URL == "" {
			a.From = "id_token"
		} else if err := checkAddress(a.URL); err != nil {
			f.problem("openid.discover", "userinfo_endpoint of the description %v", err)
		}
	}
	if a.ID == nil { // the claims of OpenID Connect Core 5.1
		a.ID = []string{"{sub}"}
		a.Name = []string{"{name}", "{preferred_username}"}
		a.Email = []string{"{email}"}
	}
}

// standardScopes are those of OpenID Connect Core 5.4 and 11, in words.
var standardScopes = []Scope{
	{Scope: "openid", Ability: "Confirm who you are with your %s account"},
	{Scope: "profile", Ability: "See your name and picture at %s"},
	{Scope: "email", Ability: "See your email address at %s"},
	{Scope: "offline_access", Ability: "Stay connected when you are away", Silent: true},
}

func (f *file) fillScopes(d discovered) {
	s := &f.entry.Scopes
	if s.Default != nil || s.Known != nil || s.Fixed {
		return
	}
	offered := d.list("scopes_supported")
	for _, scope := range standardScopes {
		if scope.Scope != "openid" && !slices.Contains(offered, scope.Scope) {
			continue
		}
		if !scope.Silent {
			scope.Ability = fmt.Sprintf(scope.Ability, f.entry.Name)
		}
		s.Known = append(s.Known, scope)
		s.Default = append(s.Default, scope.Scope)
	}
	if slices.Contains(s.Default, "offline_access") && f.entry.Authorize.Params == nil {
		f.entry.Authorize.Params = map[string]string{"prompt": "consent"} // OpenID Connect Core 11
	}
}
