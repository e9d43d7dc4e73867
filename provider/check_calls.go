package provider

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

func (f *file) checkRevoke() {
	r := &f.entry.Revoke
	f.require("revoke.style", r.Style, "rfc7009", "custom", "none")
	f.checkHeaders("revoke.headers", r.Headers)
	if r.Style != "rfc7009" && r.Style != "custom" {
		if r.Style == "none" && r.URL != "" {
			f.problem("revoke.url", "style none has no address")
		}
		return
	}
	if f.present("revoke.url", r.URL) {
		f.checkAddress("revoke.url", r.URL)
	}
	f.oneOf("revoke.method", r.Method, "POST", "DELETE", "GET", "PUT")
	f.oneOf("revoke.body", r.Body, "form", "json", "none")
	f.require("revoke.auth", r.Auth, "none", "basic", "post", "bearer")
	f.oneOf("revoke.token", r.Token, "refresh", "access")
	sendsToken := slices.ContainsFunc(slices.Collect(maps.Values(r.Fields)), func(v string) bool { return strings.Contains(v, "{token}") })
	switch {
	case r.Body == "none" && len(r.Fields) > 0 && r.Style == "custom":
		f.problem("revoke.fields", "there is no body to put fields into")
	case r.Body == "none" && r.Auth == "post":
		f.problem("revoke.auth", "there is no body to put the client's credentials into")
	case !sendsToken && r.Auth != "bearer":
		f.problem("revoke", "nothing says which token to revoke: no field holds {token}, and auth is not bearer")
	case r.Auth == "bearer" && r.Token != "access":
		f.problem("revoke.token", "auth bearer sends the access token: say token: access")
	}
}

func (f *file) checkAccount() {
	a := &f.entry.Account
	f.checkHeaders("account.headers", a.Headers)
	f.oneOf("account.method", a.Method, "GET", "POST")
	if a.URL == "" {
		return
	}
	f.checkAddress("account.url", a.URL)
	if len(a.ID) == 0 {
		f.problem("account", "id is missing")
	}
	f.checkTemplates("account.id", a.ID)
	f.checkTemplates("account.name", a.Name)
	f.checkTemplates("account.email", a.Email)
	for i, call := range a.More {
		at := index("account.more", i)
		if f.present(at+".path", call.Path) && (!strings.HasPrefix(call.Path, "/") || strings.HasPrefix(call.Path, "//") || strings.Contains(call.Path, "..")) {
			f.problem(at+".path", "must begin with one / and not contain ..")
		}
		if len(f.entry.API.Hosts) == 0 {
			f.problem(at+".path", "is below the first of api.hosts, and there is none")
		}
		f.checkTemplates(at+".name", call.Name)
		f.checkTemplates(at+".email", call.Email)
		for j, scope := range call.Scopes {
			if f.entry.scope(scope) == nil {
				f.problem(index(at+".scopes", j), "unknown scope %q", scope)
			}
		}
	}
}

// A template without a part that is read from the answer would be the same for
// everybody.
var template = regexp.MustCompile(`^[^{}]*(\{[^{}]+\}[^{}]*)+$`)

func (f *file) checkTemplates(path string, templates []string) {
	for i, text := range templates {
		if !template.MatchString(text) {
			f.problem(index(path, i), "must hold at least one {path} into the answer")
		}
	}
}

func (f *file) checkAPI() {
	names := map[string]bool{}
	for i, h := range f.entry.API.Hosts {
		at := index("api.hosts", i)
		if f.present(at+".name", h.Name) && names[h.Name] {
			f.problem(at+".name", "the name %q is taken", h.Name)
		}
		names[h.Name] = true
		if f.present(at+".url", h.URL) {
			f.checkAddress(at+".url", h.URL)
		}
	}
	for _, list := range []struct {
		path  string
		names []string
	}{{"api.request_headers", f.entry.API.RequestHeaders}, {"api.response_headers", f.entry.API.ResponseHeaders}} {
		for i, name := range list.names {
			f.checkHeader(index(list.path, i), name)
		}
	}
}

var faults = []Fault{Throttled, Transient, InvalidClient, ConnectorFault, GrantDead, ScopeRejected, RedirectRejected, ProviderFault}

func (f *file) checkErrors() {
	for _, code := range slices.Sorted(maps.Keys(f.entry.Errors.Codes)) {
		path := join("errors.codes", code)
		if !errorCode.MatchString(code) {
			f.problem(path, "an error code has letters, digits, dots, _ and - only, at most 64")
		}
		if fault := f.entry.Errors.Codes[code]; !slices.Contains(faults, fault) {
			f.problem(path, "must be one of %s, not %q", joined(faults), string(fault))
		}
	}
}

func (f *file) checkConnectionConfig() {
	names := map[string]bool{}
	for i, c := range f.entry.ConnectionConfig {
		at := index("connection_config", i)
		if f.present(at+".name", c.Name) && names[c.Name] {
			f.problem(at+".name", "the name %q is taken", c.Name)
		}
		names[c.Name] = true
		f.oneOf(at+".from", c.From, "answer", "callback")
		f.present(at+".at", c.At)
		f.checkDomains(at+".domains", c.Domains)
	}
}
