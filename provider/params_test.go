package provider

import (
	"strings"
	"testing"
)

// tenanted is a type whose addresses need values: one asked from the end user, one
// that only the builder sets.
var tenanted = strings.NewReplacer(
	"https://acme.example/authorize", `"https://{subdomain}.acme.example/authorize"`,
	"https://acme.example/token", `"https://{host}/{tenant}/token?v={tenant}"`,
	"mode: supported}", `mode: supported}
  issuer: "https://{subdomain}.acme.example"`,
).Replace(minimal) + `params:
  - name: subdomain
    label: Your Acme address
    description: The part before .acme.example
    example: dunder-mifflin
    pattern: "[a-z0-9][a-z0-9-]{0,62}"
    pattern_error: Letters, digits and hyphens.
    required: true
    ask: true
  - name: host
    label: Region
    example: eu.acme.example
    default: www.acme.example
    pattern: "[a-z0-9.-]+"
    domains: [acme.example]
  - name: tenant
    label: Tenant
    example: common
    default: common
    pattern: "[^/]{1,40}"
`

func TestParamFields(t *testing.T) {
	e := mustLoad(t, tenanted)
	fields := e.ParamFields(nil)
	if len(fields) != 1 || fields[0].Name != "subdomain" || !fields[0].Required || fields[0].Label != "Your Acme address" {
		t.Errorf("asked from the end user: %+v", fields)
	}
	if fields := e.ParamFields(map[string]string{"subdomain": "scranton"}); len(fields) != 0 {
		t.Errorf("still asked although fixed: %+v", fields)
	}
}

func TestCheckParams(t *testing.T) {
	e := mustLoad(t, tenanted)
	for name, tc := range map[string]struct {
		fixed map[string]string
		want  []string
	}{
		"nothing fixed":    {nil, nil},
		"all fixed":        {map[string]string{"subdomain": "scranton", "host": "eu.acme.example", "tenant": "x"}, nil},
		"unknown":          {map[string]string{"region": "eu"}, []string{`acme has no param "region"`}},
		"does not match":   {map[string]string{"subdomain": "Not This"}, []string{"param subdomain is not valid: Letters, digits and hyphens."}},
		"matches in part":  {map[string]string{"subdomain": "ok\nevil"}, []string{"param subdomain is not valid"}},
		"outside domains":  {map[string]string{"host": "acme.example.evil.example"}, []string{"param host is not valid: it looks like eu.acme.example"}},
		"suffix only":      {map[string]string{"host": "evilacme.example"}, []string{"param host is not valid"}},
		"control":          {map[string]string{"tenant": "a\x00"}, []string{"param tenant is not valid"}},
		"several problems": {map[string]string{"subdomain": "_", "region": "eu"}, []string{"region", "subdomain"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := e.CheckParams(tc.fixed)
			if (err == nil) != (len(tc.want) == 0) {
				t.Fatalf("got %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %q", err, want)
				}
			}
		})
	}
	must := mustLoad(t, strings.Replace(tenanted, "    ask: true\n", "", 1))
	if err := must.CheckParams(nil); err == nil || !strings.Contains(err.Error(), "param subdomain is missing") {
		t.Errorf("what only the builder can set and has no default is missing: %v", err)
	}
}

func TestParamMistakes(t *testing.T) {
	for name, tc := range map[string]struct{ old, new, want string }{
		"pattern":            {`"[a-z0-9][a-z0-9-]{0,62}"`, `"["`, "the pattern does not compile"},
		"no pattern":         {"    pattern: \"[a-z0-9][a-z0-9-]{0,62}\"\n", "", "pattern is missing"},
		"example":            {"example: dunder-mifflin", "example: Dunder Mifflin", "does not fit the pattern"},
		"default":            {"default: www.acme.example", "default: www.evil.example", "does not fit the pattern or the domains"},
		"unused":             {"{subdomain}", "x", "{subdomain} is used in no address"},
		"may be empty":       {"    default: common\n", "", "{tenant} may be empty"},
		"host not pinned":    {"    domains: [acme.example]\n", "", "the host is not pinned to the provider"},
		"suffix not pinned":  {"{subdomain}.acme.example/authorize", "{subdomain}.example/authorize", "the host is not pinned to the provider"},
		"domain":             {"domains: [acme.example]", `domains: ["*.acme.example"]`, "must be a domain name"},
		"no label":           {"    label: Tenant\n", "", "label is missing"},
		"reserved name":      {"name: tenant", "name: client_id", `the name "client_id" is taken`},
		"not a field's name": {"name: tenant", "name: Tenant-1", "must be lower case letters"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(tenanted, tc.old) {
				t.Fatalf("no %q in the file", tc.old)
			}
			_, err := load(t, strings.ReplaceAll(tenanted, tc.old, tc.new))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got:\n%v\nwant a line with:\n%s", err, tc.want)
			}
		})
	}
}

func TestConfigValueAccepts(t *testing.T) {
	e := mustLoad(t, minimal+"connection_config: [{name: host, at: host, domains: [wrike.example]}]\n")
	for value, want := range map[string]bool{
		"app-eu.wrike.example": true, "wrike.example": true, "evil.example": false, "wrike.example.evil.example": false,
		"a.wrike.example/path": false, "evil.example#.wrike.example": false, "x@evil.wrike.example": false,
	} {
		if e.ConnectionConfig[0].Accepts(value) != want {
			t.Errorf("Accepts(%q) = %v", value, !want)
		}
	}
}
