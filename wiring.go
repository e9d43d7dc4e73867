package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"patchbay/config"
	"patchbay/connect"
	"patchbay/connect/doctor"
	"patchbay/events"
	"patchbay/handlers"
	"patchbay/oauth"
	"patchbay/provider"
	"patchbay/session"
	"patchbay/statedir"
	"patchbay/store"
	"patchbay/vault"
)

// house is the program's parts, made in order by build. Close it.
type house struct {
	log     *slog.Logger
	store   *store.Store
	service *connect.Service
	ring    *vault.Ring
	oauth   *oauth.Client
	catalog *provider.Catalog
	closers []func() error

	audit    *events.Audit
	metrics  *events.Metrics
	webhooks *events.Webhooks
}

// build opens the database and makes everything that works on it.
func build(ctx context.Context, s *config.Settings, log *slog.Logger) (*house, error) {
	return buildOn(ctx, s, log, false)
}

// buildOn is build; with plan nothing is written to a PostgreSQL database.
func buildOn(ctx context.Context, s *config.Settings, log *slog.Logger, plan bool) (*house, error) {
	ring, err := vault.ParseKeys(s.Keys)
	if err != nil {
		return nil, err
	}
	outbound, err := oauth.NewHTTPClient(s.OutboundAllow)
	if err != nil {
		return nil, err
	}
	calls, err := oauth.NewAPIClient(s.OutboundAllow)
	if err != nil {
		return nil, err
	}
	client := &oauth.Client{HTTP: outbound, API: calls}
	catalog, err := readCatalog(ctx, s, client)
	if err != nil {
		return nil, err
	}
	db, err := openStore(ctx, s, plan)
	if err != nil {
		return nil, err
	}
	if err := checkKeys(ctx, db, ring, plan); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	h := &house{log: log, store: db, ring: ring, catalog: catalog, oauth: client}
	h.service = &connect.Service{
		Store: db, Sealer: ring, Catalog: catalog, OAuth: h.oauth,
	}
	h.tell(db, outbound)
	if s.PublicURL != nil {
		h.service.PublicURL = s.PublicURL.String()
	}
	return h, nil
}

// tell makes the readers of events: everything that happens is told to all of them.
func (h *house) tell(db *store.Store, outbound *http.Client) {
	h.audit = &events.Audit{Store: db, Log: h.log}
	h.metrics = events.NewMetrics(events.Sources{
		OldestDue: h.service.OldestDue, Healths: db.Healths, WaitingDeliveries: db.WaitingDeliveries, AuditDropped: h.audit.Dropped,
	})
	h.webhooks = &events.Webhooks{Store: db, App: h.service.App, HTTP: outbound, Log: h.log, Done: h.metrics.Delivered}
	h.service.Emit = events.Fan(events.Log(h.log), h.audit.Take, h.metrics.Take, h.webhooks.Take)
}

// background starts what goes on beside the requests, and returns what ends it.
func (h *house) background(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, run := range []func(context.Context){
		h.service.Run, h.audit.Run, h.webhooks.Run,
		func(ctx context.Context) { h.store.Listen(ctx, h.service.Wake) },
	} {
		all.Go(func() { run(ctx) })
	}
	return func() { cancel(); all.Wait() }
}

func openStore(ctx context.Context, s *config.Settings, plan bool) (*store.Store, error) {
	if !s.Postgres.IsZero() {
		return store.OpenPostgres(ctx, s.Postgres.Reveal(), store.Options{Plan: plan})
	}
	return store.OpenSQLite(ctx, s.Database, store.Options{})
}

// readCatalog reads the catalogue and the operator's own provider files.
func readCatalog(ctx context.Context, s *config.Settings, client *oauth.Client) (*provider.Catalog, error) {
	if s.Providers == "" {
		return provider.Embedded()
	}
	if info, err := os.Stat(s.Providers); err != nil {
		return nil, fmt.Errorf("%s: %w", config.Providers.Env(), err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s: %s is not a directory: name the one that holds the provider files", config.Providers.Env(), s.Providers)
	}
	catalog, err := provider.WithOwn(os.DirFS(s.Providers), func(issuer string) (map[string]any, error) {
		return client.Metadata(ctx, issuer)
	})
	if err != nil {
		return nil, fmt.Errorf("%s=%s:\n%w", config.Providers.Env(), s.Providers, err)
	}
	return catalog, nil
}

// recover opens the state directory, stores what a process before this one could not,
// and looks whether the database is an old copy.
func (h *house) recover(ctx context.Context, dir string) error {
	id, err := h.store.ID(ctx)
	if err != nil {
		return err
	}
	local, err := statedir.Open(filepath.Join(dir, "patchbay-"+id))
	if err != nil {
		return fmt.Errorf("%s: %w", config.StateDir.Env(), err)
	}
	h.service.Local = local
	return h.service.Recover(ctx)
}

func (h *house) close() error {
	last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var err error
	if h.audit != nil {
		err = h.audit.Flush(last)
	}
	err = errors.Join(err, h.store.Close())
	for _, c := range h.closers {
		err = errors.Join(err, c())
	}
	return err
}

// site is the web side. Its streams end with ctx.
func (h *house) site(ctx context.Context, s *config.Settings) *handlers.Server {
	secure := s.PublicURL.Scheme == "https"
	return &handlers.Server{
		Service:        h.service,
		Browsers:       &session.Browsers{Service: h.service, Secure: secure},
		Callers:        &session.Callers{Service: h.service, Tokens: session.NewUserTokens(h.oauth.HTTP, nil)},
		Logins:         &session.Logins{Service: h.service, HTTP: h.oauth.HTTP, Secure: secure},
		Doctor:         &doctor.Doctor{Service: h.service, Listen: reachable(s.Listen), Client: doctor.NewClient()},
		Log:            h.log,
		Ready:          h.store.Ping,
		TrustedProxies: s.TrustedProxies,
		RateLimit:      s.RateLimit,
		HTTPS:          secure,
		Stopping:       ctx.Done(),
	}
}

func newLogger(w io.Writer, s *config.Settings) *slog.Logger {
	o := &slog.HandlerOptions{Level: s.LogLevel}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// checkKeys refuses keys that cannot open what is stored. For each key that was ever
// used there is a sealed check value; a key of the same id with other bytes fails on it.
func checkKeys(ctx context.Context, db *store.Store, ring *vault.Ring, plan bool) error {
	checks, err := db.KeyChecks(ctx)
	if err != nil {
		return err
	}
	used, err := db.KeysInUse(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, id := range used {
		if !ring.Has(id) {
			problems = append(problems, fmt.Errorf("PATCHBAY_KEYS lacks the key %q, which sealed what is stored in this database: add its id:base64 line after the newest one", id))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(checks)) {
		if !ring.Has(id) {
			continue
		}
		if _, err := ring.Open(keyCheck(id), checks[id]); err != nil {
			problems = append(problems, fmt.Errorf("PATCHBAY_KEYS has a key %q that is not the one this database was sealed with: restore the right key under that id, and give a new key a new id", id))
		}
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	newest := ring.NewestID()
	if _, known := checks[newest]; known || plan {
		return nil
	}
	sealed, err := ring.Seal(keyCheck(newest), []byte("patchbay"))
	if err != nil {
		return err
	}
	return db.AddKeyCheck(ctx, newest, sealed)
}

func keyCheck(id string) vault.Context { return vault.Context{Row: id, Purpose: "key-check"} }

// checker lets package config ask the catalogue.
type checker struct{ catalog *provider.Catalog }

func (c checker) KnownType(typ string) (string, bool) {
	if _, ok := c.catalog.Entry(typ); ok {
		return "", true
	}
	var near []string
	for _, t := range c.catalog.Types() {
		if len(typ) >= 3 && (strings.Contains(t, typ) || strings.Contains(typ, t) || strings.HasPrefix(t, typ[:3])) {
			near = append(near, t)
		}
	}
	if near == nil {
		near = c.catalog.Types()
	}
	return strings.Join(near, ", "), false
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

// wanted turns an apps file into what connect keeps.
func wanted(file *config.Apps) []connect.App {
	out := make([]connect.App, 0, len(file.Apps))
	for i := range file.Apps {
		out = append(out, wantedApp(&file.Apps[i]))
	}
	return out
}

func wantedApp(a *config.App) connect.App {
	w := connect.App{
		ID: a.ID, Name: a.Name, Origins: a.Origins, ReturnURLs: a.ReturnURLs, VerifyURL: a.VerifyURL,
		MinAssurance: connect.Assurance(a.MinAssurance), Theme: connect.Theme{Accent: a.Theme.Accent},
	}
	if a.Theme.Logo != nil {
		w.Theme.Logo, w.Theme.LogoType = a.Theme.Logo.Data, a.Theme.Logo.MediaType
	}
	if u := a.UserTokens; u != nil {
		w.UserTokens = connect.UserTokens{
			Issuer: u.Issuer, Audience: u.Audience, JWKSURL: u.JWKSURL, PublicKey: u.PublicKeyPEM, HS256Secret: u.HS256Secret,
		}
	}
	for _, h := range a.Webhooks {
		w.Webhooks = append(w.Webhooks, connect.Webhook{URL: h.URL, Secret: h.Secret})
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
