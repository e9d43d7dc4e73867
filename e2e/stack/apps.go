package stack

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"patchbay/config"
	"patchbay/connect"
	"patchbay/provider"
	"patchbay/vault"
)

// ClientSecret is what the sandbox expects of every client.
const ClientSecret = "sandbox-secret"

// signingKey is of the app Other, whose user tokens are RS256. Making one is slow, and
// all stacks of a test binary may share it.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// PublicKeyPEM is Other's public_key, as its apps file has it.
func PublicKeyPEM() string {
	der, err := x509.MarshalPKIXPublicKey(&signingKey().PublicKey)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func (s *Stack) makeApps() {
	app := func(id string) *App {
		a := &App{stack: s, ID: id}
		secret := func(kind string) string { return "canary-" + id + "-" + kind + "-" + randomHex() }
		a.All, a.Tokens, a.Sessions, a.Proxy = secret("all"), secret("tokens"), secret("sessions"), secret("proxy")
		a.Builder = "b44k_" + secret("builder")
		a.UserSecret = secret("user-tokens")
		a.Origin = "https://app." + id + ".example"
		a.ReturnURLs = []string{s.site.URL + "/" + id + "/settings", s.site.URL + "/" + id + "/done"}
		return a
	}
	s.Acme, s.Human, s.Strict, s.Other = app("acme"), app("human"), app("strict"), app("other")
	s.Acme.VerifyURL = s.site.URL + "/acme/verify"
	s.Other.VerifyURL = s.site.URL + "/other/verify"
	s.Other.key = signingKey()
}

// AppsYAML is the apps file of the stack; extra are more connectors of Acme.
func (s *Stack) AppsYAML(extra string) string {
	var b strings.Builder
	b.WriteString("apps:\n")
	for _, a := range s.Apps() {
		env := strings.ToUpper(a.ID)
		fmt.Fprintf(&b, "  - id: %s\n    name: %s Notes\n", a.ID, strings.ToUpper(a.ID[:1])+a.ID[1:])
		fmt.Fprintf(&b, "    service_tokens:\n")
		fmt.Fprintf(&b, "      - {name: all, token: \"${%s_ALL}\", scopes: [tokens, sessions, proxy]}\n", env)
		fmt.Fprintf(&b, "      - {name: tokens, token: \"${%s_TOKENS}\", scopes: [tokens]}\n", env)
		fmt.Fprintf(&b, "      - {name: sessions, token: \"${%s_SESSIONS}\", scopes: [sessions]}\n", env)
		fmt.Fprintf(&b, "      - {name: proxy, token: \"${%s_PROXY}\", scopes: [proxy]}\n", env)
		fmt.Fprintf(&b, "    builder_keys:\n      - {name: ci, token: \"${%s_BUILDER}\"}\n", env)
		if a.key == nil {
			fmt.Fprintf(&b, "    user_tokens: {issuer: %q, hs256_secret: \"${%s_USERS}\"}\n", a.Origin, env)
		} else {
			fmt.Fprintf(&b, "    user_tokens:\n      issuer: %q\n      public_key: |\n", a.Origin)
			for line := range strings.Lines(PublicKeyPEM()) {
				b.WriteString("        " + line)
			}
		}
		fmt.Fprintf(&b, "    origins: [%q]\n    return_urls: [%q, %q]\n", a.Origin, a.ReturnURLs[0], a.ReturnURLs[1])
		if a.VerifyURL != "" {
			fmt.Fprintf(&b, "    verify_url: %q\n", a.VerifyURL)
		}
		if a == s.Strict {
			b.WriteString("    min_assurance: app\n")
		}
		if a == s.Strict && s.OpenID != nil {
			fmt.Fprintf(&b, "    login: {issuer: %q, client_id: %s, client_secret: \"${STRICT_LOGIN}\"}\n", s.OpenID.URL, s.OpenID.ClientID)
		}
		b.WriteString("    connectors:\n")
		for _, typ := range []string{"github", "googlecalendar", "slack"} {
			b.WriteString(s.ConnectorYAML(typ, typ, "client-of-"+a.ID))
		}
		b.WriteString(strings.Replace(s.ConnectorYAML("team", "slack", "client-of-"+a.ID), "type: slack", "type: slack\n        mode: shared", 1))
		if a == s.Acme {
			b.WriteString(extra)
		}
	}
	return b.String()
}

// ConnectorYAML is a connector that is pointed at the sandbox.
func (s *Stack) ConnectorYAML(id, typ, client string) string {
	at := s.Provider + "/" + typ
	return fmt.Sprintf("      - id: %s\n        type: %s\n        client_id: %s\n        client_secret: %s\n"+
		"        endpoints: {authorize: %s/authorize, token: %s/token, revoke: %s/revoke, userinfo: %s/userinfo, api: %s/api}\n",
		id, typ, client, ClientSecret, at, at, at, at, at)
}

// Apply loads the text as an apps file and makes the stored apps equal it.
func (s *Stack) Apply(text string) {
	s.t.Helper()
	if err := s.TryApply(text); err != nil {
		s.t.Fatal(err)
	}
}

// TryApply is Apply for a file that may be refused.
func (s *Stack) TryApply(text string) error {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "apps.yaml")
	must(s.t, os.WriteFile(path, []byte(text), 0o600))
	file, err := config.LoadApps(path, s.env, checker{s.Service.Catalog})
	if err != nil {
		return err
	}
	apps := make([]connect.App, 0, len(file.Apps))
	for i := range file.Apps {
		apps = append(apps, stored(&file.Apps[i]))
	}
	_, err = s.Service.Apply(s.t.Context(), apps, true, nil)
	return err
}

func (s *Stack) env(name string) (string, bool) {
	if name == "STRICT_LOGIN" && s.OpenID != nil {
		return s.OpenID.ClientSecret, true
	}
	id, kind, _ := strings.Cut(name, "_")
	for _, a := range s.Apps() {
		if strings.EqualFold(a.ID, id) {
			v, ok := map[string]string{"ALL": a.All, "TOKENS": a.Tokens, "SESSIONS": a.Sessions, "PROXY": a.Proxy, "BUILDER": a.Builder, "USERS": a.UserSecret}[kind]
			return v, ok
		}
	}
	return "", false
}

// stored turns an app of an apps file into what connect keeps, as the program does.
func stored(a *config.App) connect.App {
	w := connect.App{
		ID: a.ID, Name: a.Name, Origins: a.Origins, ReturnURLs: a.ReturnURLs, VerifyURL: a.VerifyURL,
		MinAssurance: connect.Assurance(a.MinAssurance), Theme: connect.Theme{Accent: a.Theme.Accent},
	}
	if u := a.UserTokens; u != nil {
		w.UserTokens = connect.UserTokens{
			Issuer: u.Issuer, Audience: u.Audience, JWKSURL: u.JWKSURL, PublicKey: u.PublicKeyPEM, HS256Secret: u.HS256Secret,
		}
	}
	if l := a.Login; l != nil {
		w.Login = &connect.Login{Issuer: l.Issuer, ClientID: l.ClientID, ClientSecret: l.ClientSecret, UserClaim: l.UserClaim}
	}
	for _, t := range a.ServiceTokens {
		w.Credentials = append(w.Credentials, credential(connect.ServiceToken, t.Name, t.Token, t.Scopes))
	}
	for _, k := range a.BuilderKeys {
		w.Credentials = append(w.Credentials, credential(connect.BuilderKey, k.Name, k.Token, nil))
	}
	for _, c := range a.Connectors {
		w.Connectors = append(w.Connectors, connect.Connector{
			App: a.ID, ID: c.ID, Type: c.Type, Mode: connect.ConnectorMode(c.Mode), Name: c.Name, Description: c.Description,
			ClientID: c.ClientID, ClientSecrets: c.ClientSecrets, Scopes: c.Scopes, Params: c.Params,
			Endpoints: provider.Endpoints(c.Endpoints),
		})
	}
	return w
}

func credential(kind connect.CredentialKind, name string, token vault.Secret, scopes []string) connect.Credential {
	return connect.Credential{Kind: kind, Name: name, Hash: connect.HashSecret(token.Reveal()), Scopes: scopes}
}

// checker lets package config ask the catalogue.
type checker struct{ catalog *provider.Catalog }

func (c checker) KnownType(typ string) (string, bool) {
	_, ok := c.catalog.Entry(typ)
	return "", ok
}

func (c checker) CheckParams(typ string, params map[string]string) error {
	e, ok := c.catalog.Entry(typ)
	if !ok {
		return nil
	}
	return e.CheckParams(params)
}

func (c checker) NeedsSecret(typ string) bool {
	e, ok := c.catalog.Entry(typ)
	return !ok || !e.Client.Public && e.Client.Auth != "none"
}

func randomHex() string {
	var raw [12]byte
	_, _ = rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}
