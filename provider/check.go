package provider

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// The quirks: behaviour of one provider that no field of an entry can say. Package
// oauth has the code of each.
const (
	// QuirkInstagramLongLived: the code is traded for a token of an hour, and that at
	// once for one of 60 days, which later renews itself.
	QuirkInstagramLongLived = "instagram_long_lived"
	// QuirkJiraSites: the sites that a token reaches are told by a further call, and one
	// of them becomes connection_config.
	QuirkJiraSites = "jira_sites"
	// QuirkWixInstall: no authorization request, but an installation whose callback
	// brings a signed instance; tokens are minted for it with the client's credentials.
	QuirkWixInstall = "wix_install"
)

var knownQuirks = []string{QuirkInstagramLongLived, QuirkJiraSites, QuirkWixInstall}

// HasQuirk reports whether the entry names the quirk.
func (e *Entry) HasQuirk(name string) bool { return slices.Contains(e.Quirks, name) }

var (
	typeName  = regexp.MustCompile(`^[a-z0-9][a-z0-9_]{0,62}$`)
	fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	hexColor  = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	logoName  = regexp.MustCompile(`^[a-z0-9_-]{1,63}$`)
	header    = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	// fieldOfAnswer is the name of a parameter or of a field in an answer.
	fieldOfAnswer = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)
	errorCode     = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)
)

// check finds everything wrong with an entry that could be decoded.
func (f *file) check() {
	e := &f.entry
	f.checkIdentity()
	f.checkParams()
	f.require("client.auth", e.Client.Auth, "basic", "post", "none")
	f.checkAuthorize()
	f.checkOpenID()
	f.checkScopes()
	f.checkToken()
	f.checkRevoke()
	f.checkAccount()
	f.checkAPI()
	f.checkErrors()
	f.checkConnectionConfig()
	f.oneOf("redirect_uri.http", e.RedirectURI.HTTP, "never", "localhost", "loopback", "any")
	f.oneOf("redirect_uri.match", e.RedirectURI.Match, "exact", "below")
	for i, quirk := range e.Quirks {
		if !slices.Contains(knownQuirks, quirk) {
			f.problem(index("quirks", i), "unknown quirk %q", quirk)
		}
	}
}

func (f *file) checkIdentity() {
	e := &f.entry
	if f.present("type", e.Type) && !typeName.MatchString(e.Type) {
		f.problem("type", "must be lower case letters, digits and _, at most 63")
	}
	f.present("name", e.Name)
	f.present("category", e.Category)
	f.present("description", e.Description)
	if e.Logo != "" && !logoName.MatchString(e.Logo) {
		f.problem("logo", "must be the name of a logo: lower case letters, digits, _ and -")
	}
	if f.present("color", e.Color) && !hexColor.MatchString(e.Color) {
		f.problem("color", "must be a colour like #1a2b3c")
	}
	if f.present("docs", e.Docs) {
		f.checkURL("docs", e.Docs)
	}
	f.checkURL("console", e.Console)
	f.checkURL("manage", e.Manage)
}

func (f *file) checkParams() {
	seen := map[string]bool{"client_id": true, "token": true}
	used := f.usedParams()
	for i := range f.entry.Params {
		p, at := &f.entry.Params[i], index("params", i)
		if f.present(at+".name", p.Name) {
			if !fieldName.MatchString(p.Name) {
				f.problem(at+".name", "must be lower case letters, digits and _")
			} else if seen[p.Name] {
				f.problem(at+".name", "the name %q is taken", p.Name)
			} else if !used[p.Name] {
				f.problem(at+".name", "{%s} is used in no address and no parameter", p.Name)
			}
			seen[p.Name] = true
		}
		f.present(at+".label", p.Label)
		f.present(at+".example", p.Example)
		f.checkDomains(at+".domains", p.Domains)
		if p.Pattern == nil {
			if f.nodes[at+".pattern"] == nil {
				f.problem(at, "pattern is missing")
			}
			continue
		}
		for _, sample := range []struct{ field, value string }{{"example", p.Example}, {"default", p.Default}} {
			if sample.value != "" && p.Check(sample.value) != nil {
				f.problem(at+"."+sample.field, "does not fit the pattern or the domains of this param")
			}
		}
	}
}

// usedParams returns the names in the placeholders of all addresses and parameters.
func (f *file) usedParams() map[string]bool {
	e := &f.entry
	texts := []string{e.Authorize.URL, e.Authorize.Issuer, e.OpenID.Issuer, e.OpenID.JWKSURL, e.Token.URL, e.Token.RefreshURL, e.Revoke.URL, e.Account.URL}
	for _, h := range e.API.Hosts {
		texts = append(texts, h.URL)
	}
	for _, m := range []map[string]string{e.Authorize.Params, e.Authorize.SelectAccountParams, e.Token.Params, e.Token.RefreshParams} {
		texts = slices.AppendSeq(texts, maps.Values(m))
	}
	used := map[string]bool{}
	for _, c := range e.ConnectionConfig {
		if c.From == "param" {
			used[c.At] = true
		}
	}
	for _, text := range texts {
		for _, name := range placeholders(text) {
			used[name] = true
		}
	}
	return used
}

// ownParams are the parameters of the requests that the client makes itself.
var ownParams = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
	"grant_type", "code", "code_verifier", "client_secret", "refresh_token",
}

func (f *file) checkAuthorize() {
	a := &f.entry.Authorize
	if f.present("authorize.url", a.URL) {
		f.checkAddress("authorize.url", a.URL)
	}
	f.checkAddress("authorize.issuer", a.Issuer)
	if a.IssuerPromised && a.Issuer == "" {
		f.problem("authorize.issuer_promised", "promised without an issuer")
	}
	f.require("authorize.pkce.mode", a.PKCE.Mode, "required", "supported", "ignored", "rejected")
	if a.PKCE.Mode == "rejected" && a.PKCE.Reason == "" {
		f.problem("authorize.pkce", "reason is missing: say why no code challenge is sent")
	}
	f.checkSentParams("authorize.params", a.Params)
	f.checkSentParams("authorize.select_account_params", a.SelectAccountParams)
	if !fieldOfAnswer.MatchString(a.CodeParam) {
		f.problem("authorize.code_param", "must be the name of a parameter")
	}
}

func (f *file) checkSentParams(path string, params map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if slices.Contains(ownParams, name) || name == f.entry.Client.IDParam || name == f.entry.Scopes.Param {
			f.problem(join(path, name), "%s is set by the client itself", name)
		}
		for _, used := range placeholders(params[name]) {
			f.checkPlaceholder(join(path, name), used)
		}
	}
}

func (f *file) checkScopes() {
	s := &f.entry.Scopes
	if len([]rune(s.Separator)) != 1 {
		f.problem("scopes.separator", "must be one character")
	}
	names := map[string]bool{}
	for i, scope := range s.Known {
		at := index("scopes.known", i)
		f.present(at+".scope", scope.Scope)
		f.present(at+".ability", scope.Ability)
		for _, name := range append([]string{scope.Scope}, scope.Aliases...) {
			if names[name] && name != "" {
				f.problem(at, "the scope %q is listed twice", name)
			}
			names[name] = true
		}
	}
	if s.Fixed && len(s.Default) > 0 {
		f.problem("scopes.default", "fixed scopes are not asked: there is no default")
	}
	for i, ability := range s.Abilities {
		f.present(index("scopes.abilities", i), ability)
	}
	for i, scope := range s.Known {
		if !scope.Open && strings.Contains(scope.Ability, "{rest}") {
			f.problem(index("scopes.known", i)+".ability", "{rest} is for a scope that is open")
		}
		for j, implied := range scope.Implies {
			if !names[implied] {
				f.problem(index(index("scopes.known", i)+".implies", j), "unknown scope %q", implied)
			}
		}
	}
	for i, scope := range s.Default {
		if !names[scope] {
			f.problem(index("scopes.default", i), "the scope %q is not among the known ones", scope)
		}
	}
}

func (f *file) checkToken() {
	t := &f.entry.Token
	if f.present("token.url", t.URL) {
		f.checkAddress("token.url", t.URL)
	}
	f.checkAddress("token.refresh_url", t.RefreshURL)
	f.oneOf("token.body", t.Body, "form", "json")
	f.checkHeaders("token.headers", t.Headers)
	f.checkSentParams("token.params", t.Params)
	f.checkSentParams("token.refresh_params", t.RefreshParams)
	for i, name := range t.Omit {
		f.oneOf(index("token.omit", i), name, "client_id", "redirect_uri", "grant_type")
	}
	for path, name := range map[string]string{"token.expires_at": t.ExpiresAt, "token.scope_at": t.ScopeAt} {
		if name != "" && !fieldOfAnswer.MatchString(name) {
			f.problem(path, "must be the name of a field")
		}
	}
	r := &f.entry.Refresh
	for i, code := range r.DeadCodes {
		if !errorCode.MatchString(code) {
			f.problem(index("refresh.dead_codes", i), "an error code has letters, digits, dots, _ and - only, at most 64")
		}
	}
	f.oneOf("refresh.rotation", r.Rotation, "none", "single_use", "grace")
	if (r.Rotation == "grace") != (r.Grace > 0) {
		f.problem("refresh", "rotation grace and a grace belong together")
	}
}

// Quirks returns the names that Entry.Quirks may hold.
func Quirks() []string { return slices.Clone(knownQuirks) }
