package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay/config"
	"patchbay/connect"
	"patchbay/provider"
	"patchbay/sandbox"
	"patchbay/sandbox/acme"
	"patchbay/vault"
)

// What the demo's app is known by. Public, and good for the demo alone.
const (
	demoApp          = "acme"
	demoServiceToken = "demo-service-token-acme"
	demoBuilderKey   = "b44k_demo_acme"
	demoSecret       = "sandbox-secret"
)

// demo is the three servers and where they are.
type demo struct {
	listen, sandbox, app net.Listener
	publicURL, appURL    *url.URL
	sandboxURL           *url.URL
}

func runDemo(ctx context.Context, p *program, args []string) error {
	fs := p.flags("demo", "Runs Patchbay, a pretend provider and a pretend app in one process, on loopback only.\nIt needs no settings and no account anywhere.")
	listen := fs.String("listen", "127.0.0.1:8080", "`address` of Patchbay")
	sandboxListen := fs.String("sandbox-listen", "127.0.0.1:8081", "`address` of the sandbox provider")
	appListen := fs.String("app-listen", "127.0.0.1:8082", "`address` of the pretend app")
	file := fs.String("file", "patchbay-demo.db", "SQLite `file` that keeps the demo's data; its key lies beside it")
	fresh := fs.Bool("fresh", false, "empty the demo's data first")
	rateLimit := fs.String("rate-limit", "on", "rate limits, `on or off`")
	verbose := fs.Bool("verbose", false, "log every request")
	if err := p.parse(fs, args); err != nil {
		return err
	}
	if *rateLimit != "on" && *rateLimit != "off" {
		return errors.New("--rate-limit must be on or off")
	}
	d, err := openDemo(*listen, *sandboxListen, *appListen)
	if err != nil {
		return err
	}
	if *fresh {
		if err := emptyDemo(*file); err != nil {
			return err
		}
	}
	keys, err := demoKeys(*file + ".key")
	if err != nil {
		return err
	}
	s := &config.Settings{
		PublicURL: d.publicURL, Database: *file, Keys: keys, OutboundAllow: []string{d.sandboxURL.Host},
		RateLimit: *rateLimit == "on", LogLevel: slog.LevelWarn, LogFormat: "text",
	}
	if *verbose {
		s.LogLevel = slog.LevelDebug
	}
	log := newLogger(p.stderr, s)
	h, err := build(ctx, s, log)
	if err != nil {
		return err
	}
	return errors.Join(d.run(ctx, p, h, s), h.close())
}

// openDemo takes the three addresses. The public address follows the port, under the
// name localhost, so that the app on 127.0.0.1 is another site to the browser.
func openDemo(listen, sandboxListen, appListen string) (*demo, error) {
	d := &demo{}
	for _, l := range []struct {
		flag, address string
		into          *net.Listener
		url           **url.URL
		host          string
	}{
		{"--listen", listen, &d.listen, &d.publicURL, "localhost"},
		{"--sandbox-listen", sandboxListen, &d.sandbox, &d.sandboxURL, "127.0.0.1"},
		{"--app-listen", appListen, &d.app, &d.appURL, "127.0.0.1"},
	} {
		if err := loopback(l.address); err != nil {
			return nil, fmt.Errorf("%s: %w", l.flag, err)
		}
		opened, err := net.Listen("tcp", l.address)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: choose another port with %s 127.0.0.1:PORT", l.flag, err, l.flag)
		}
		port := opened.Addr().(*net.TCPAddr).Port
		*l.into, *l.url = opened, &url.URL{Scheme: "http", Host: l.host + ":" + strconv.Itoa(port)}
	}
	return d, nil
}

func loopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not host:port", address)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("the demo's secrets are public, so it listens on 127.0.0.1 only, not on %q", host)
	}
	return nil
}

func emptyDemo(file string) error {
	for _, suffix := range []string{"", "-wal", "-shm", ".key"} {
		if err := os.Remove(file + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// demoKeys keeps one key beside the demo's data, so that the data opens again.
func demoKeys(path string) (vault.Secret, error) {
	kept, err := os.ReadFile(path)
	if err == nil {
		return vault.NewSecret(string(kept)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return vault.Secret{}, err
	}
	line, err := vault.NewKeyLine(time.Now())
	if err != nil {
		return vault.Secret{}, err
	}
	return vault.NewSecret(line), os.WriteFile(path, []byte(line), 0o600)
}

func (d *demo) run(ctx context.Context, p *program, h *house, s *config.Settings) error {
	if _, err := h.service.Apply(ctx, []connect.App{d.acme(h.catalog)}, true, nil); err != nil {
		return err
	}
	notes := acme.New(acme.Config{
		PatchbayURL: d.publicURL.String(), SandboxURL: d.sandboxURL.String(), PublicURL: d.appURL.String(),
		AppID: demoApp, ServiceToken: demoServiceToken, Types: d.types(h.catalog), Log: h.log,
	})
	group, ctx := errgroup.WithContext(ctx)
	serve := func(l net.Listener, site http.Handler) {
		group.Go(func() error { return serveHTTP(ctx, l, site, h.log) })
	}
	serve(d.sandbox, sandbox.New(sandbox.Options{Log: h.log, BaseURL: d.sandboxURL.String()}))
	serve(d.app, notes)
	group.Go(func() error { return h.serve(ctx, d.listen, h.site(ctx, s).Handler()) })
	fmt.Fprintf(p.stdout, `Patchbay's demo is running.

  1. Open  %s/  and sign in to Acme Notes as Dana or Sam.
  2. Connect something in the frame on that page: that is Patchbay, at %s
  3. The sandbox provider, at %s, plays GitHub and the others in a
     tab of its own; on its page you choose what happens. The frame learns the outcome.
  4. Back in Acme Notes, press "Show": its back end reads with the token.
     "Manage linked accounts" leads to the same, full width; for the frame in other
     circumstances (sandbox, policies, no script) open %s/embed

  5. As the app's builder, open  %s/builder/acme  with the key %s.

The app's service token is %s. Ctrl-C stops; --fresh begins anew.
`, d.appURL, d.publicURL, d.sandboxURL, d.appURL, d.publicURL, demoBuilderKey, demoServiceToken)
	return group.Wait()
}

// acme is the demo's app: every type of the catalogue, pointed at the sandbox.
func (d *demo) acme(catalog *provider.Catalog) connect.App {
	a := connect.App{
		ID: demoApp, Name: "Acme Notes", MinAssurance: connect.AssuranceHuman,
		Origins: []string{d.appURL.String()}, ReturnURLs: []string{d.appURL.String() + "/return"},
		VerifyURL: d.appURL.String() + "/verify",
		Credentials: []connect.Credential{
			credential(connect.ServiceToken, "demo", vault.NewSecret(demoServiceToken), []string{"tokens", "sessions", "proxy"}),
			credential(connect.BuilderKey, "demo", vault.NewSecret(demoBuilderKey), nil),
		},
	}
	for _, typ := range catalog.Types() {
		base := d.sandboxURL.String() + "/" + typ
		a.Connectors = append(a.Connectors, connect.Connector{
			App: demoApp, ID: typ, Type: typ, Mode: connect.ModeUser, ClientID: "demo-" + typ,
			ClientSecrets: []vault.Secret{vault.NewSecret(demoSecret)},
			Endpoints: provider.Endpoints{
				Authorize: base + "/authorize", Token: base + "/token", Revoke: base + "/revoke",
				Userinfo: base + "/userinfo", API: base + "/api",
			},
		})
	}
	return a
}

func (d *demo) types(catalog *provider.Catalog) []acme.Type {
	var types []acme.Type
	for _, typ := range catalog.Types() {
		e, _ := catalog.Entry(typ)
		types = append(types, acme.Type{ID: typ, Name: e.Name})
	}
	return types
}
