package types

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/oauth"
	"patchbay/provider"
)

const connectorsFile = "../../docs/connectors.md"

// docs/connectors.md says what the catalogue says; UPDATE=1 (make connectors) writes it
// anew.
func TestConnectorsDoc(t *testing.T) {
	got := connectorsDoc(t, catalogue(t), naiveOutcome(t))
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(connectorsFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(connectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Error("docs/connectors.md is not what the catalogue says: run make connectors")
	}
}

func naiveOutcome(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/naive.txt")
	if err != nil {
		t.Fatal(err)
	}
	outcome := map[string]string{}
	for line := range strings.Lines(string(text)) {
		typ, step, _ := strings.Cut(strings.TrimSpace(line), " ")
		outcome[typ] = step
	}
	return outcome
}

// doc is a Markdown text under construction.
type doc struct{ strings.Builder }

func (d *doc) line(format string, args ...any) { fmt.Fprintf(&d.Builder, format+"\n", args...) }

func connectorsDoc(t *testing.T, c *provider.Catalog, naive map[string]string) string {
	t.Helper()
	failing := 0
	for _, step := range naive {
		if step != "all" {
			failing++
		}
	}
	d := &doc{}
	d.line("# The connectors")
	d.line("")
	d.line("Made from `provider/catalog/` by `make connectors`; a test fails when it is old. What each type needs from the")
	d.line("builder, how it behaves, and how sure that is. No provider was reached from here: what is said rests on the pages")
	d.line("under *Sources*, and *Uncertain* names what only one of them says, or none. Each type is proven against the")
	d.line("sandbox's imitation of its provider, which is written from the same facts and without knowledge of the client")
	d.line("(`go test ./e2e/types`).")
	d.line("")
	d.line("The redirect URI to register is always `PUBLIC_URL/oauth/callback/APP/CONNECTOR`, to the letter.")
	d.line("")
	d.line("*Generic client* is how far `golang.org/x/oauth2` comes with a type, with PKCE, a GET for the account and a")
	d.line("revocation by RFC 7009: it fails with %d of the %d types, at the step that is named.", failing, len(naive))
	d.line("")
	d.line("| type | refresh | disconnect revokes | plain http | asked before the flow | generic client |")
	d.line("|---|---|---|---|---|---|")
	for _, typ := range c.Types() {
		e, _ := c.Entry(typ)
		d.line("| [%s](#%s) | %s | %s | %s | %s | %s |", typ, typ, refreshInShort(e), revokeInShort(e), httpInShort(e),
			cmp.Or(strings.Join(asked(e), ", "), "–"), naive[typ])
	}
	for _, typ := range c.Types() {
		e, _ := c.Entry(typ)
		d.section(e)
	}
	return d.String()
}

func asked(e *provider.Entry) []string {
	var names []string
	for _, p := range e.ParamFields(nil) {
		names = append(names, "`"+p.Name+"`")
	}
	return names
}

func refreshInShort(e *provider.Entry) string {
	switch want := table[e.Type]; want.refresh {
	case "":
		if want.lives == never {
			return "not needed"
		}
		return "no: " + life(want.lives)
	case "new":
		return "yes, a new refresh token each time"
	}
	return "yes"
}

func revokeInShort(e *provider.Entry) string {
	switch {
	case e.Revoke.Style == "none":
		return "no"
	case e.Revoke.Unproven:
		return "tried, not proven"
	case e.Revoke.TakesSiblings:
		return "yes, and others with it"
	}
	return "yes"
}

func httpInShort(e *provider.Entry) string {
	return map[string]string{"never": "never", "localhost": "localhost", "loopback": "localhost, 127.0.0.1", "any": "any host"}[e.RedirectURI.HTTP]
}

func life(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d == time.Hour:
		return "1 hour"
	}
	return fmt.Sprintf("%d minutes", d/time.Minute)
}

func (d *doc) section(e *provider.Entry) {
	d.line("")
	d.line("## %s", e.Type)
	d.line("")
	d.line("**%s**, %s. %s [How it does OAuth](%s).", e.Name, e.Category, e.Description, e.Docs)
	d.line("")
	register := "Register a client at <" + e.Console + ">."
	if e.Console == "" {
		register = "There is no page to register a client at; the link above says how it is done."
	}
	if e.Client.Public {
		register += " One without a secret works too: leave `client_secret` out."
	}
	d.line("- %s", register)
	d.line("- Redirect URI: %s; %s%s", map[string]string{"exact": "exactly as registered", "below": "the registered one or a path below it"}[e.RedirectURI.Match],
		map[string]string{
			"never": "https only", "localhost": "https, or http on localhost", "loopback": "https, or http on localhost and 127.0.0.1", "any": "http is accepted too",
		}[e.RedirectURI.HTTP], cmp.Or(prefixed(". ", e.RedirectURI.Note), "."))
	d.scopes(e)
	for _, p := range e.Params {
		who := "the builder sets it"
		if p.Ask {
			who = "asked from the person before the flow, unless the builder sets it"
		}
		text := fmt.Sprintf("- Param `%s` (%s): %s", p.Name, p.Label, who)
		if p.Default != "" {
			text += "; default `" + p.Default + "`"
		} else if !p.Required {
			text += "; may be left out"
		}
		d.line("%s. %s", text, cmp.Or(p.PatternError, "It looks like `"+p.Example+"`."))
	}
	if names := configNames(e); names != "" {
		d.line("- `connection_config`: %s.", names)
	}
	d.line("- %s", refreshSentence(e))
	d.line("- %s", revokeSentence(e))
	if habits := habits(e); habits != "" {
		d.line("- Its own ways: %s.", habits)
	}
	d.line("- Imitated: %s.", imitated(e))
	if len(e.Uncertain) > 0 {
		d.line("- Uncertain: %s.", strings.Join(e.Uncertain, "; "))
	}
	var links []string
	for _, s := range e.Sources {
		links = append(links, "<"+s+">")
	}
	d.line("- Sources: %s", strings.Join(links, " "))
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func (d *doc) scopes(e *provider.Entry) {
	if e.Scopes.Fixed {
		d.line("- Scopes are chosen where the client is registered and never sent. %s.", strings.Join(e.Scopes.Abilities, ". "))
	} else {
		d.line("- Asked by default:")
		for _, scope := range e.DefaultScopes() {
			ability, _ := e.Ability(scope)
			d.line("  - `%s`: %s", scope, ability)
		}
	}
	var more []string
	for _, s := range e.Scopes.Known {
		if !slices.Contains(e.Scopes.Default, s.Scope) {
			name := s.Scope
			if s.Open {
				name += "…"
			}
			more = append(more, "`"+name+"`")
		}
	}
	if len(more) > 0 {
		d.line("- Also known: %s.", strings.Join(more, " "))
	}
}

func configNames(e *provider.Entry) string {
	var names []string
	for _, v := range e.ConnectionConfig {
		names = append(names, "`"+v.Name+"`")
	}
	return strings.Join(names, " ")
}

func refreshSentence(e *provider.Entry) string {
	want := table[e.Type]
	text := "Access tokens live " + life(want.lives) + " unless the answer says otherwise"
	if want.lives == never {
		text = "Access tokens do not run out"
	}
	switch {
	case want.refresh == "" && want.lives == never:
		return text + ", and there is nothing to refresh."
	case want.refresh == "":
		return text + ", and are not refreshed: the person has to link the account again."
	case want.lives == never:
		text += "; a refresh token comes along and is kept"
	case want.refresh == "kept":
		text += "; the refresh token stays the same"
	default:
		text += "; every refresh brings a new refresh token"
		if e.Refresh.Rotation == "single_use" {
			text += ", and the old one is used up"
		}
	}
	if e.Refresh.Ahead > 0 {
		text += fmt.Sprintf("; refreshed when less than %s are left", life(e.Refresh.Ahead))
	}
	if e.Refresh.IdleLimit > 0 {
		text += fmt.Sprintf("; unused for %s the grant is over", life(e.Refresh.IdleLimit))
	}
	return text + "."
}

func revokeSentence(e *provider.Entry) string {
	r := &e.Revoke
	manage := ""
	if e.Manage != "" {
		manage = " People can see and remove it at <" + e.Manage + ">."
	}
	switch {
	case r.Style == "none":
		return "Disconnecting forgets the tokens here. The provider has no way to revoke them." + manage
	case r.Unproven:
		return "Disconnecting also asks the provider to revoke, in a way that it does not document, so the receipt does not claim it." + manage
	case r.TakesSiblings:
		return "Disconnecting revokes at the provider, and other connections of the same account end with it: the page says so before." + manage
	}
	return "Disconnecting revokes at the provider." + manage
}

// habits is what a generic client would get wrong, as the entry says it.
func habits(e *provider.Entry) string {
	var list []string
	add := func(is bool, text string) {
		if is {
			list = append(list, text)
		}
	}
	add(e.HasQuirk(provider.QuirkWixInstall), "an installation with a signed instance in place of an authorization, and tokens minted for it")
	add(e.HasQuirk(provider.QuirkInstagramLongLived), "the code is traded in two steps, and the token renews itself")
	add(e.HasQuirk(provider.QuirkJiraSites), "the sites are told by a further call, and none is guessed")
	add(e.Client.Auth == "basic" && !e.Client.Public, "the client proves itself by HTTP Basic")
	add(e.Client.IDParam != "client_id", "the client's id is called `"+e.Client.IDParam+"`")
	add(e.Authorize.PKCE.Mode == "required", "PKCE is required")
	add(e.Authorize.PKCE.Mode == "rejected", "no PKCE: "+lowerFirst(strings.TrimSuffix(e.Authorize.PKCE.Reason, ".")))
	add(len(e.Authorize.Params) > 0, "the authorization request also says "+pairs(e.Authorize.Params))
	add(e.Scopes.Param != "scope", "scopes are asked in `"+e.Scopes.Param+"`")
	add(e.Scopes.Separator != " ", "scopes are joined by `"+e.Scopes.Separator+"`")
	add(e.Token.Body == "json", "token requests are JSON")
	add(len(e.Token.Headers) > 0, "token requests carry "+pairs(e.Token.Headers))
	add(len(e.Token.Query) > 0, "the token address carries "+pairs(e.Token.Query))
	add(len(e.Token.Omit) > 0, "token requests go without "+strings.Join(e.Token.Omit, " and "))
	add(e.Token.RefreshScope, "a refresh names the scopes again")
	add(e.Token.RefreshRedirect, "a refresh repeats the redirect URI")
	add(!slices.Equal(e.Token.At, []string{"."}), "the token stands below "+strings.Join(slices.DeleteFunc(slices.Clone(e.Token.At), func(s string) bool { return s == "." }), ", "))
	add(e.Token.ExpiresAt != "", "the expiry is a time, `"+e.Token.ExpiresAt+"`")
	add(e.Account.Method == "POST", "who somebody is, is asked by POST")
	add(len(e.Account.Query) > 0, "asked for the account with "+pairs(e.Account.Query))
	add(e.Account.From == "id_token", "who somebody is stands in the ID token")
	add(len(e.Errors.Success) > 0, "errors come under a status of success")
	add(len(e.Refresh.DeadCodes) > 0, "a dead refresh token is called "+strings.Join(e.Refresh.DeadCodes, ", "))
	add(len(e.Errors.Denied) > 0, "a refusal by the person is called "+strings.Join(e.Errors.Denied, " or "))
	add(e.Revoke.Style == "custom", "revocation is a "+e.Revoke.Method+revokeBody(e))
	return strings.Join(list, "; ")
}

// imitated is what TestEveryType goes through with the type.
func imitated(e *provider.Entry) string {
	want := table[e.Type]
	list := []string{"authorization", "refusal by the person", "exchange"}
	if e.HasQuirk(provider.QuirkWixInstall) {
		list = []string{"installation", "minting"}
	}
	list = append(list, "who-am-I", "a refused client", "a server in trouble")
	if !want.vagueCode && !e.HasQuirk(provider.QuirkWixInstall) {
		list = append(list, "a used code")
	}
	if want.refresh != "" {
		list = append(list, "refresh", "a dead refresh token")
	}
	if want.revoke != oauth.RevokedUnsupported {
		list = append(list, "revocation")
	}
	var vague []string
	for what, is := range map[string]bool{"a refused client": want.vagueClient, "a used code": want.vagueCode, "the second revocation of a token": want.vagueDead} {
		if is {
			vague = append(vague, what)
		}
	}
	if slices.Sort(vague); len(vague) > 0 {
		return strings.Join(list, ", ") + "; what " + strings.Join(vague, " and ") + " is answered with, no source says clearly"
	}
	return strings.Join(list, ", ")
}

func revokeBody(e *provider.Entry) string {
	if e.Revoke.Body == "none" {
		return " whose bearer token is the one that ends"
	}
	return " with " + e.Revoke.Body + " `" + strings.Join(slices.Sorted(maps.Keys(e.Revoke.Fields)), "` `") + "`"
}

func pairs(m map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, "`"+name+"="+m[name]+"`")
	}
	return strings.Join(list, " ")
}

func lowerFirst(s string) string {
	if s == "" || len(s) > 1 && s[1] >= 'A' && s[1] <= 'Z' {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// What the page says of revocation is what the table found.
func TestConnectorsDocIsTrue(t *testing.T) {
	for _, typ := range catalogue(t).Types() {
		e := entry(t, typ)
		want := map[bool]oauth.Revoked{true: oauth.RevokedUnknown, false: oauth.RevokedYes}[e.Revoke.Unproven]
		if e.Revoke.Style == "none" {
			want = oauth.RevokedUnsupported
		}
		if table[typ].revoke != want {
			t.Errorf("%s: the catalogue has %s, the table %s", typ, want, table[typ].revoke)
		}
	}
}
