package provider

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// minimal is the smallest file that describes a working type. Tests change one line
// of it.
const minimal = `type: acme
name: Acme
category: notes
description: Read your notes.
color: "#123456"
docs: https://acme.example/docs
client: {auth: post}
authorize:
  url: https://acme.example/authorize
  pkce: {mode: supported}
token:
  url: https://acme.example/token
revoke:
  style: none
`

func load(t *testing.T, files ...string) (*Catalog, error) {
	t.Helper()
	fsys := fstest.MapFS{}
	for i, text := range files {
		fsys[string(rune('a'+i))+".yaml"] = &fstest.MapFile{Data: []byte(text)}
	}
	return Load(fsys)
}

func mustLoad(t *testing.T, text string) *Entry {
	t.Helper()
	c, err := load(t, text)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := c.Entry(c.Types()[0])
	return e
}

func embeddedEntry(t *testing.T, typ string) *Entry {
	t.Helper()
	c, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	e, ok := c.Entry(typ)
	if !ok {
		t.Fatalf("no entry %s", typ)
	}
	return e
}

func TestEmbeddedCatalogue(t *testing.T) {
	c, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	types := c.Types()
	if !slices.IsSorted(types) {
		t.Errorf("types are not sorted: %v", types)
	}
	for _, want := range []string{"github", "googlecalendar", "slack"} {
		if !slices.Contains(types, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if _, ok := c.Entry("nobody"); ok {
		t.Error("there is an entry for a type that nobody described")
	}
	for _, typ := range types {
		e, _ := c.Entry(typ)
		t.Run(typ, func(t *testing.T) {
			if e.Type != typ || len(e.Sources) == 0 || e.Console == "" && typ != "snowflake" /* which has none */ || len(e.Uncertain) == 0 {
				t.Errorf("an entry of ours has its type, sources, what is uncertain, and the page to register at: %+v", e)
			}
			for _, source := range e.Sources {
				if checkAddress(source) != nil {
					t.Errorf("a source is an address, not %q", source)
				}
			}
			if len(e.Account.ID) == 0 || len(e.API.Hosts) == 0 {
				t.Error("an entry of ours says who is there, and where the API is")
			}
			if (len(e.DefaultScopes()) == 0) != e.Scopes.Fixed || e.Scopes.Fixed && len(e.Scopes.Abilities) == 0 {
				t.Error("an entry of ours has default scopes, or sentences about what any token can do")
			}
			examples := map[string]string{}
			for _, p := range e.Params {
				examples[p.Name] = p.Example
				if p.PatternError == "" {
					t.Errorf("nobody is told what a good %s is", p.Name)
				}
			}
			for _, s := range e.Scopes.Known {
				if strings.HasSuffix(s.Ability, ".") || s.Ability[:1] != strings.ToUpper(s.Ability[:1]) {
					t.Errorf("%s: an ability begins with a capital and has no full stop: %q", s.Scope, s.Ability)
				}
			}
			if !strings.HasSuffix(e.Description, ".") {
				t.Errorf("the description is a sentence: %q", e.Description)
			}
			resolved, err := e.Resolve(examples, Endpoints{})
			if err != nil || resolved.Authorize == "" || resolved.Token == "" || resolved.Refresh == "" {
				t.Errorf("resolved to %+v, %v", resolved, err)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	e := mustLoad(t, minimal)
	if e.Client.IDParam != "client_id" || e.Scopes.Param != "scope" || e.Scopes.Separator != " " || e.Token.Body != "form" ||
		!slices.Equal(e.Token.At, []string{"."}) || !slices.Equal(e.Token.Types, []string{"bearer"}) ||
		e.Refresh.Rotation != "none" || !slices.Equal(e.Errors.At, []string{"error"}) || e.RedirectURI.HTTP != "never" {
		t.Errorf("unexpected defaults: %+v", e)
	}
	if !e.UsesPKCE() || e.Token.Lifetime != 0 {
		t.Errorf("PKCE is used and no lifetime assumed: %+v", e)
	}
}

func TestDurationsAndLists(t *testing.T) {
	e := mustLoad(t, minimal+"refresh: {rotation: grace, grace: 10m, idle_limit: 180d}\nsources: https://one.example\n")
	if e.Refresh.Grace != 10*time.Minute || e.Refresh.IdleLimit != 180*24*time.Hour {
		t.Errorf("durations: %+v", e.Refresh)
	}
	if !slices.Equal(e.Sources, []string{"https://one.example"}) {
		t.Errorf("a single text stands for a list: %q", e.Sources)
	}
}

func TestMistakes(t *testing.T) {
	change := func(old, new string) string {
		if !strings.Contains(minimal, old) {
			t.Fatalf("no %q in the minimal file", old)
		}
		return strings.Replace(minimal, old, new, 1)
	}
	for name, tc := range map[string]struct{ text, want string }{
		"unknown field":               {minimal + "colour: red\n", `a.yaml:15:1: unknown field "colour"`},
		"unknown nested field":        {change("style: none", "style: none\n  urll: x"), `a.yaml:15:3: unknown field "urll"`},
		"not YAML":                    {"type: [", "a.yaml:2:1: did not find"},
		"empty file":                  {"", "a.yaml:1:1: "},
		"two documents":               {minimal + "---\ntype: b\n", "a.yaml:"},
		"a list":                      {"- type: acme\n", "a.yaml:1:1: must be a mapping"},
		"not UTF-8":                   {"type: \xff\n", "a.yaml:1:1: the file is not UTF-8"},
		"too large":                   {minimal + "#" + strings.Repeat(".", maxFile), "a.yaml:1:1: the file is larger than 256 KiB"},
		"given twice":                 {minimal + "name: Other\n", "a.yaml:15:"},
		"alias":                       {minimal + "sources: &s [a]\nuncertain: *s\n", "a.yaml:15:10: anchors and aliases"},
		"missing name":                {change("name: Acme\n", ""), "a.yaml:1:1: name is missing"},
		"empty name":                  {change("name: Acme", `name: ""`), "a.yaml:2:7: must not be empty"},
		"null name":                   {change("name: Acme", "name:"), "a.yaml:2:6: has no value"},
		"missing client auth":         {change("client: {auth: post}\n", ""), "a.yaml:1:1: client.auth is missing"},
		"missing authorize url":       {change("  url: https://acme.example/authorize\n", ""), "a.yaml:9:3: url is missing"},
		"list for text":               {change("name: Acme", "name: [Acme]"), "a.yaml:2:7: must be a single value"},
		"text for list":               {minimal + "params: none\n", "a.yaml:15:9: must be a list"},
		"not a bool":                  {change("mode: supported}", "mode: supported}\n  issuer: https://a.example\n  issuer_promised: maybe"), "a.yaml:12:20: must be true or false"},
		"not a number":                {change("style: none", "style: custom\n  url: https://a.example\n  auth: bearer\n  token: access\n  body: none\n  dead_statuses: [gone]"), "must be a whole number"},
		"not a duration":              {minimal + "refresh: {idle_limit: half a year}\n", "a.yaml:15:23: must be a duration"},
		"grace alone":                 {minimal + "refresh: {grace: 1m}\n", "a.yaml:15:10: rotation grace and a grace belong together"},
		"bad type":                    {change("type: acme", "type: Acme Inc"), "a.yaml:1:7: must be lower case"},
		"bad colour":                  {change(`"#123456"`, "blue"), "a.yaml:5:8: must be a colour"},
		"bad logo":                    {minimal + "logo: ../secret\n", "a.yaml:15:7: must be the name of a logo"},
		"bad client auth":             {change("auth: post", "auth: guess"), `a.yaml:7:16: must be one of basic, post, none, not "guess"`},
		"unknown quirk":               {minimal + "quirks: [sing]\n", `a.yaml:15:10: unknown quirk "sing"`},
		"plain http":                  {change("https://acme.example/token", "http://acme.example/token"), "a.yaml:12:8: must be https"},
		"not an address":              {change("https://acme.example/token", "acme.example/token"), "a.yaml:12:8: must begin with https://"},
		"bad URL":                     {change("https://acme.example/token", `"https://acme.example:port/"`), "a.yaml:12:8: is not a valid address"},
		"no host":                     {change("https://acme.example/token", "https:///token"), "a.yaml:12:8: has no host"},
		"user in address":             {change("https://acme.example/token", "https://me@acme.example/token"), "a.yaml:12:8: must not hold a user name"},
		"fragment":                    {change("https://acme.example/token", "'https://acme.example/#x'"), "a.yaml:12:8: must not have a fragment"},
		"unicode dot":                 {change("https://acme.example/token", "https://acme。example/token"), "a.yaml:12:8: has a host that is not a plain host name"},
		"stray brace":                 {change("https://acme.example/token", "'https://acme.example/{Token'"), "a.yaml:12:8: has a brace"},
		"placeholder without a param": {change("https://acme.example/token", "'https://acme.example/{tenant}/token'"), "a.yaml:12:8: {tenant} is not among the params"},
		"client_id elsewhere":         {change("https://acme.example/token", "'https://acme.example/{client_id}'"), "a.yaml:12:8: {client_id} is not among the params"},
		"rejected PKCE, no reason":    {change("mode: supported", "mode: rejected"), "a.yaml:10:9: reason is missing"},
		"own parameter":               {change("mode: supported}", "mode: supported}\n  params: {state: mine}"), "a.yaml:11:19: state is set by the client itself"},
		"promise without issuer":      {change("mode: supported}", "mode: supported}\n  issuer_promised: true"), "promised without an issuer"},
		"unknown default scope":       {minimal + "scopes: {default: [x]}\n", `a.yaml:15:20: the scope "x" is not among the known ones`},
		"unknown implied scope":       {minimal + "scopes: {known: [{scope: a, ability: Do a, implies: [b]}]}\n", `unknown scope "b"`},
		"scope twice":                 {minimal + "scopes: {known: [{scope: a, ability: Do a}, {scope: b, ability: Do b, aliases: [a]}]}\n", `the scope "a" is listed twice`},
		"scope without ability":       {minimal + "scopes: {known: [{scope: a}]}\n", "a.yaml:15:18: ability is missing"},
		"bad separator":               {minimal + "scopes: {separator: ', '}\n", "a.yaml:15:21: must be one character"},
		"revoke without address":      {change("style: none", "style: rfc7009\n  auth: none"), "url is missing"},
		"revoke sends no token":       {change("style: none", "style: custom\n  url: https://a.example\n  auth: basic"), "nothing says which token to revoke"},
		"revoke none with address":    {change("style: none", "style: none\n  url: https://a.example"), "style none has no address"},
		"account without id":          {minimal + "account: {url: 'https://a.example'}\n", "a.yaml:15:10: id is missing"},
		"same id for everybody":       {minimal + "account: {url: 'https://a.example', id: me}\n", "must hold at least one {path}"},
		"further call to elsewhere":   {minimal + "account: {url: 'https://a.example', id: '{a}', more: [{path: '//evil.example', name: '{b}'}]}\napi: {hosts: [{name: a, url: 'https://a.example'}]}\n", "must begin with one /"},
		"header of ours":              {change("  url: https://acme.example/token", "  url: https://acme.example/token\n  headers: {Authorization: x}"), "Authorization is set by the client itself"},
		"unknown fault":               {minimal + "errors: {codes: {oops: bad}}\n", "must be one of throttled"},
		"bad pattern":                 {minimal + "params:\n  - {name: tenant, label: T, example: a, pattern: '(', required: true}\n", "a.yaml:16:51: the pattern does not compile"},
		"fixed scopes asked":          {minimal + "scopes: {fixed: true, default: [a], known: [{scope: a, ability: Do a}]}\n", "a.yaml:15:32: fixed scopes are not asked"},
		"rest of a closed scope":      {minimal + "scopes: {known: [{scope: a, ability: 'Do {rest}'}]}\n", "a.yaml:15:38: {rest} is for a scope that is open"},
		"left out what is needed":     {change("  url: https://acme.example/token", "  url: https://acme.example/token\n  omit: [code]"), "a.yaml:13:10: must be one of client_id, redirect_uri, grant_type"},
		"unknown value":               {minimal + "account: {url: 'https://{config.host}/me', id: '{id}'}\n", "a.yaml:15:16: {config.host} is not in connection_config"},
		"free host of an answer":      {minimal + "account: {url: 'https://{config.host}/me', id: '{id}'}\nconnection_config: [{name: host, at: host}]\n", "a.yaml:15:16: the host is not pinned to the provider: give {config.host} domains"},
		"part of a host":              {minimal + "account: {url: 'https://{config.host}.evil.example/me', id: '{id}'}\nconnection_config: [{name: host, at: host, domains: [acme.example]}]\n", "a.yaml:15:16: {config.host} must be the whole host"},
		"value before it is known":    {change("https://acme.example/token", "'https://acme.example/{config.a}'") + "connection_config: [{name: a, at: a}]\n", "a.yaml:12:8: {config.a} is not known yet"},
		"default of another host":     {minimal + "connection_config: [{name: host, at: host, default: evil.example, domains: [acme.example]}]\n", "a.yaml:15:53: does not fit"},
		"value of no param":           {minimal + "connection_config: [{name: a, from: param, at: tenant}]\n", `a.yaml:15:48: "tenant" is not among the params`},
		"body with GET":               {minimal + "account: {url: 'https://a.example', id: '{id}', body: '{}'}\n", "a.yaml:15:55: is for method POST"},
		"body that is no JSON":        {minimal + "account: {url: 'https://a.example', id: '{id}', method: POST, body: '{'}\n", "a.yaml:15:69: is not JSON"},
		"two ways to the account":     {minimal + "account: {from: id_token, url: 'https://a.example', id: '{sub}'}\n", "a.yaml:15:32: is not used"},
		"status of success":           {minimal + "errors: {statuses: {'200': transient}}\n", "a.yaml:15:28: must be an HTTP status"},
		"secret in a plain header":    {change("style: none", "style: custom\n  url: https://a.example\n  auth: none\n  fields: {a: '{token}'}\n  headers: {Authorization: 'Client x'}"), "Authorization is set by the client itself"},
		"unknown filler":              {change("style: none", "style: custom\n  url: https://a.example\n  auth: none\n  fields: {a: '{token}', b: '{password}'}"), "{password} means nothing here"},
		"tenants and a param":         {minimal + "openid: {issuer: 'https://a.example/{claim.tid}/{tenant}'}\nparams: [{name: tenant, label: T, example: a, pattern: a, required: true}]\n", "do not go together"},
		"discovery without issuer":    {minimal + "openid: {discover: true}\n", "a.yaml:15:20: needs openid.issuer"},
		"discovery without network":   {minimal + "openid: {issuer: 'https://a.example', discover: true}\n", "a.yaml:15:49: cannot be followed here"},
		"host twice":                  {minimal + "api: {hosts: [{name: a, url: 'https://a.example'}, {name: a, url: 'https://b.example'}]}\n", `the name "a" is taken`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tc.text)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got:\n%v\nwant a line with:\n%s", err, tc.want)
			}
		})
	}
}

func TestEveryMistakeAtOnce(t *testing.T) {
	text := strings.NewReplacer("auth: post", "auth: guess", `"#123456"`, "blue", "https://acme.example/token", "http://acme.example/token").Replace(minimal)
	_, err := load(t, text+"colour: red\n", strings.Replace(minimal, "name: Acme\n", "", 1))
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("not Problems: %v", err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.Error())
	}
	want := []string{
		"a.yaml:5:8: must be a colour like #1a2b3c",
		`a.yaml:7:16: must be one of basic, post, none, not "guess"`,
		"a.yaml:12:8: must be https (http is for loopback hosts only)",
		`a.yaml:15:1: unknown field "colour"`,
		"b.yaml:1:1: name is missing",
		`b.yaml:1:7: the type "acme" is already described at a.yaml:1:7`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// An operator's own directory is loaded beside the embedded one.
func TestLoadSeveralDirectories(t *testing.T) {
	c, err := WithOwn(fstest.MapFS{
		"acme.yaml": &fstest.MapFile{Data: []byte(minimal)},
		"notes.txt": &fstest.MapFile{Data: []byte("not a provider file")},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Entry("acme"); !ok || len(c.Types()) < 4 {
		t.Errorf("types: %v", c.Types())
	}
	_, err = WithOwn(fstest.MapFS{"mine.yaml": &fstest.MapFile{Data: []byte(strings.Replace(minimal, "type: acme", "type: slack", 1))}}, nil)
	if err == nil || !strings.Contains(err.Error(), `the type "slack" is already described`) {
		t.Errorf("a second description of slack: %v", err)
	}
}

func TestLoopbackMayBePlain(t *testing.T) {
	for _, host := range []string{"localhost:8081", "127.0.0.1:8081", "[::1]:8081", "idp.localhost"} {
		mustLoad(t, strings.Replace(minimal, "https://acme.example/token", `"http://`+host+`/token"`, 1))
	}
}

func FuzzCatalogueFile(f *testing.F) {
	names, err := fs.Glob(embedded, "catalog/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(embedded, name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(minimal))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("type: {type: {type: []}}\nparams: [{name: a, pattern: '('}]"))
	f.Add([]byte("? [a]\n: b\n? null\n: c"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file := parseFile("f.yaml", text, nil)
		for _, p := range file.problems {
			if p.Line < 1 || p.Column < 1 || p.Reason == "" {
				t.Errorf("a problem without a place or a reason: %+v", p)
			}
		}
		if len(file.problems) > 0 {
			return
		}
		// What passes the checks can be used.
		e := &file.entry
		values := map[string]string{}
		for _, p := range e.Params {
			values[p.Name] = p.Example
		}
		if _, err := e.Resolve(values, Endpoints{}); err != nil {
			t.Errorf("an entry without problems does not resolve with its own examples: %v", err)
		}
		if e.IDTokenAsked([]string{"openid"}) {
			rules, err := e.IDTokens(values, Endpoints{})
			if err != nil || slices.Contains(rules.Issuers, "") || slices.Contains(rules.Algs, "none") {
				t.Errorf("an entry without problems judges ID tokens by %+v, %v", rules, err)
			}
		}
		e.Missing(e.DefaultScopes(), nil)
	})
}
