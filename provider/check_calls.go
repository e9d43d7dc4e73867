package provider

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
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
	sends := func(what string) bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(r.Fields)), func(v string) bool { return strings.Contains(v, what) })
	}
	switch {
	case r.Body == "none" && len(r.Fields) > 0 && r.Style == "custom":
		f.problem("revoke.fields", "there is no body to put fields into")
	case r.Body == "none" && r.Auth == "post":
		f.problem("revoke.auth", "there is no body to put the client's credentials into")
	case !sends("{token}") && !sends("{config.") && r.Auth != "bearer":
		f.problem("revoke", "nothing says which token to revoke: no field holds {token}, and auth is not bearer")
	case r.Auth == "bearer" && r.Token != "access":
		f.problem("revoke.token", "auth bearer sends the access token: say token: access")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Fields)) {
		f.checkFields(join("revoke.fields", name), r.Fields[name], "token", "client_id", "client_secret")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		f.checkFields(join("revoke.headers", name), r.Headers[name], "client_id", "client_secret")
	}
}

// checkFields checks the placeholders of a value that is filled in when it is sent.
func (f *file) checkFields(path, value string, known ...string) {
	f.withoutConfigIn(path, value)
	for _, name := range placeholders(value) {
		if !slices.Contains(known, name) {
			f.problem(path, "{%s} means nothing here", name)
		}
	}
}

func (f *file) withoutConfigIn(path, value string) {
	for _, m := range configPart.FindAllStringSubmatch(value, -1) {
		if !slices.ContainsFunc(f.entry.ConnectionConfig, func(c ConfigValue) bool { return c.Name == m[1] }) {
			f.problem(path, "%s is not in connection_config", m[0])
		}
	}
}

func (f *file) checkAccount() {
	a := &f.entry.Account
	f.checkHeaders("account.headers", a.Headers)
	f.oneOf("account.from", a.From, "url", "id_token")
	f.oneOf("account.method", a.Method, "GET", "POST")
	switch {
	case a.Body != "" && a.Method != "POST":
		f.problem("account.body", "is for method POST")
	case a.Body != "" && !json.Valid([]byte(a.Body)):
		f.problem("account.body", "is not JSON")
	case a.From == "id_token" && a.URL != "":
		f.problem("account.url", "is not used: the account is read from the ID token")
	}
	if a.URL == "" && a.From == "url" {
		return
	}
	f.checkAddress("account.url", a.URL)
	for path, templates := range map[string][]string{"account.id": a.ID, "account.name": a.Name, "account.email": a.Email} {
		for i, text := range templates {
			f.withoutConfigIn(index(path, i), text)
		}
	}
	if len(a.ID) == 0 {
		f.problem("account", "id is missing")
	}
	f.checkTemplates("account.id", a.ID)
	for i, scope := range a.Scopes {
		if f.entry.scope(scope) == nil {
			f.problem(index("account.scopes", i), "unknown scope %q", scope)
		}
	}
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
	for _, status := range slices.Sorted(maps.Keys(f.entry.Errors.Statuses)) {
		path := join("errors.statuses", status)
		if number, err := strconv.Atoi(status); err != nil || number < 300 || number > 499 || number == 429 {
			f.problem(path, "must be an HTTP status from 300 to 499 other than 429")
		}
		if fault := f.entry.Errors.Statuses[status]; !slices.Contains(faults, fault) {
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
		if c.Name != "" && !fieldName.MatchString(c.Name) {
			f.problem(at+".name", "must be lower case letters, digits and _")
		}
		f.oneOf(at+".from", c.From, "answer", "callback", "param", "id_token", "account", "quirk")
		if c.From != "quirk" {
			f.present(at+".at", c.At)
		}
		if c.From == "param" && f.entry.param(c.At) == nil {
			f.problem(at+".at", "%q is not among the params", c.At)
		}
		if c.Default != "" && !c.Accepts(c.Default) {
			f.problem(at+".default", "does not fit the pattern or the domains of this value")
		}
		f.checkDomains(at+".domains", c.Domains)
	}
}
