package connect

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"patchbay/oauth"
	"patchbay/provider"
	"patchbay/vault"
)

// App is one builder's application, the tenant.
type App struct {
	ID           string       `json:"id"`
	Name         string       `json:"name"`
	UserTokens   UserTokens   `json:"user_tokens"`
	Login        *Login       `json:"login,omitempty"` // nil: nobody signs in here by themselves
	Origins      []string     `json:"origins,omitempty"`
	ReturnURLs   []string     `json:"return_urls,omitempty"`
	VerifyURL    string       `json:"verify_url,omitempty"`
	MinAssurance Assurance    `json:"min_assurance"`
	Webhooks     []Webhook    `json:"webhooks,omitempty"`
	Theme        Theme        `json:"theme,omitzero"`
	Credentials  []Credential `json:"credentials,omitempty"`
	Connectors   []Connector  `json:"-"`
}

// UserTokens says how the JWTs that the app gives its own users are checked. At most
// one of JWKSURL, PublicKey (PEM) and HS256Secret is set.
type UserTokens struct {
	Issuer      string       `json:"issuer,omitempty"`
	Audience    string       `json:"audience,omitempty"`
	JWKSURL     string       `json:"jwks_url,omitempty"`
	PublicKey   string       `json:"public_key,omitempty"`
	HS256Secret vault.Secret `json:"-"`
}

// Login is the app's OpenID provider, at which people sign in who come by themselves.
type Login struct {
	Issuer       string       `json:"issuer"`
	ClientID     string       `json:"client_id"`
	ClientSecret vault.Secret `json:"-"`          // zero for a public client
	UserClaim    string       `json:"user_claim"` // of the ID token: the user id
}

// Theme is how the app's pages look. Logo is an image of at most 64 KB.
type Theme struct {
	Accent   string `json:"accent,omitempty"`
	Logo     []byte `json:"logo,omitempty"`
	LogoType string `json:"logo_type,omitempty"`
}

// Webhook is where an app is told of its connections.
type Webhook struct {
	URL    string       `json:"url"`
	Secret vault.Secret `json:"-"` // see vault.WebhookKey
}

// CredentialKind tells a back end's token from a builder's key.
type CredentialKind string

// The two kinds of credential that an apps file gives out.
const (
	ServiceToken CredentialKind = "service"
	BuilderKey   CredentialKind = "builder"
)

// Credential is a token of the app's back end or of a builder; only its hash is kept.
type Credential struct {
	Kind   CredentialKind `json:"kind"`
	Name   string         `json:"name"`
	Hash   []byte         `json:"hash"`
	Scopes []string       `json:"scopes,omitempty"`
}

// Has reports whether the credential carries the scope.
func (c Credential) Has(scope string) bool { return slices.Contains(c.Scopes, scope) }

// Credential finds the credential that token is, in time that does not depend on how
// much of it is right.
func (a *App) Credential(token string) (Credential, bool) {
	h := HashSecret(token)
	found := -1
	for i := range a.Credentials {
		if subtle.ConstantTimeCompare(a.Credentials[i].Hash, h) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Credential{}, false
	}
	return a.Credentials[found], true
}

// ConnectorMode says whose account a connector links.
type ConnectorMode string

// A connector links an account for every end user, or one for the whole app.
const (
	ModeUser   ConnectorMode = "user"
	ModeShared ConnectorMode = "shared"
)

// Connector is one integration configured for one app, with its own OAuth client.
type Connector struct {
	App           string             `json:"-"`
	ID            string             `json:"id"`
	Type          string             `json:"type"`
	Mode          ConnectorMode      `json:"mode"`
	Name          string             `json:"name,omitempty"`
	Description   string             `json:"description,omitempty"`
	ClientID      string             `json:"client_id"`
	ClientSecrets []vault.Secret     `json:"-"`
	Scopes        []string           `json:"scopes"` // nil: the catalogue's
	Params        map[string]string  `json:"params,omitempty"`
	Endpoints     provider.Endpoints `json:"endpoints,omitzero"`
}

// Connector returns the app's connector of that id.
func (a *App) Connector(id string) (*Connector, bool) {
	for i := range a.Connectors {
		if a.Connectors[i].ID == id {
			return &a.Connectors[i], true
		}
	}
	return nil, false
}

// App returns the app, or a not_found error. The caller must not change what it
// points to: it is shared.
func (s *Service) App(ctx context.Context, id string) (*App, error) {
	apps, err := s.loadApps(ctx)
	if err != nil {
		return nil, err
	}
	if a, ok := apps[id]; ok {
		return a, nil
	}
	return nil, refuse(CodeNotFound, "There is no such app.")
}

// Apps returns every app in the order of its id.
func (s *Service) Apps(ctx context.Context) ([]*App, error) {
	apps, err := s.loadApps(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*App, 0, len(apps))
	for _, a := range apps {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *App) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// appCache keeps the apps as they were at a revision. Another process may apply a
// new apps file at any time, so the revision is asked for, one read by primary key against
// decoding and opening everything; what was just asked is believed for a moment.
type appCache struct {
	mu       sync.Mutex
	revision int64
	apps     map[string]*App
	looked   time.Time
}

// revisionFresh is how long another process's apply may go unnoticed.
const revisionFresh = 10 * time.Millisecond

func (s *Service) loadApps(ctx context.Context) (map[string]*App, error) {
	s.apps.mu.Lock()
	known, looked := s.apps.apps, s.apps.looked
	s.apps.mu.Unlock()
	begun := time.Now()
	if known != nil && begun.Sub(looked) < revisionFresh {
		return known, nil
	}
	revision, err := s.Store.Revision(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the revision of the apps: %w", err)
	}
	s.apps.mu.Lock()
	defer s.apps.mu.Unlock()
	if s.apps.apps != nil && s.apps.revision == revision {
		s.apps.looked = begun
		return s.apps.apps, nil
	}
	stored, err := s.Store.Apps(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the apps: %w", err)
	}
	apps := make(map[string]*App, len(stored.Apps))
	for _, rec := range stored.Apps {
		a, err := s.openApp(rec)
		if err != nil {
			return nil, err
		}
		apps[a.ID] = a
	}
	s.apps.revision, s.apps.apps, s.apps.looked = stored.Revision, apps, begun
	return apps, nil
}

// AppRecord is an app as the Store keeps it: a JSON document without secrets, and
// the secrets sealed.
type AppRecord struct {
	ID         string
	Document   []byte
	Sealed     []byte
	Connectors []ConnectorRecord
}

// ConnectorRecord is a connector as the Store keeps it.
type ConnectorRecord struct {
	App, ID  string
	Type     string
	Mode     ConnectorMode
	Document []byte
	Sealed   []byte
}

// StoredApps is everything that apply wrote, at one revision.
type StoredApps struct {
	Revision int64
	Apps     []AppRecord
}

type appSecrets struct {
	HS256 string   `json:"hs256,omitempty"`
	Login string   `json:"login,omitempty"`
	Hooks []string `json:"hooks,omitempty"` // as in App.Webhooks
}

type connectorSecrets struct {
	Client []string `json:"client"`
}

func appContext(app string) vault.Context { return vault.Context{App: app, Row: app, Purpose: "app"} }

func connectorContext(app, id string) vault.Context {
	return vault.Context{App: app, Connector: id, Row: id, Purpose: "connector"}
}

func (s *Service) openApp(rec AppRecord) (*App, error) {
	var a App
	var sec appSecrets
	if err := s.openDocument(appContext(rec.ID), rec.Document, rec.Sealed, &a, &sec); err != nil {
		return nil, fmt.Errorf("app %s: %w", rec.ID, err)
	}
	a.UserTokens.HS256Secret = vault.NewSecret(sec.HS256)
	if a.Login != nil {
		a.Login.ClientSecret = vault.NewSecret(sec.Login)
	}
	for i := range min(len(a.Webhooks), len(sec.Hooks)) {
		a.Webhooks[i].Secret = vault.NewSecret(sec.Hooks[i])
	}
	for _, cr := range rec.Connectors {
		c := Connector{App: rec.ID}
		var cs connectorSecrets
		if err := s.openDocument(connectorContext(rec.ID, cr.ID), cr.Document, cr.Sealed, &c, &cs); err != nil {
			return nil, fmt.Errorf("app %s, connector %s: %w", rec.ID, cr.ID, err)
		}
		for _, v := range cs.Client {
			c.ClientSecrets = append(c.ClientSecrets, vault.NewSecret(v))
		}
		a.Connectors = append(a.Connectors, c)
	}
	return &a, nil
}

func (s *Service) openDocument(vc vault.Context, document, sealed []byte, into, secrets any) error {
	if err := json.Unmarshal(document, into); err != nil {
		return fmt.Errorf("the stored document cannot be read: %w", err)
	}
	plain, err := s.Sealer.Open(vc, sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, secrets)
}

func (s *Service) sealApp(a App) (AppRecord, error) {
	rec := AppRecord{ID: a.ID}
	var err error
	if rec.Document, err = json.Marshal(a); err != nil {
		return rec, err
	}
	secrets := appSecrets{HS256: a.UserTokens.HS256Secret.Reveal(), Login: loginSecret(&a).Reveal()}
	for _, w := range a.Webhooks {
		secrets.Hooks = append(secrets.Hooks, w.Secret.Reveal())
	}
	if rec.Sealed, err = s.sealJSON(appContext(a.ID), secrets); err != nil {
		return rec, err
	}
	for _, c := range a.Connectors {
		cr := ConnectorRecord{App: a.ID, ID: c.ID, Type: c.Type, Mode: c.Mode}
		if cr.Document, err = json.Marshal(c); err != nil {
			return rec, err
		}
		if cr.Sealed, err = s.sealJSON(connectorContext(a.ID, c.ID), connectorSecrets{Client: reveal(c.ClientSecrets)}); err != nil {
			return rec, err
		}
		rec.Connectors = append(rec.Connectors, cr)
	}
	return rec, nil
}

func (s *Service) sealJSON(vc vault.Context, v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.Sealer.Seal(vc, plain)
}

func loginSecret(a *App) vault.Secret {
	if a.Login == nil {
		return vault.Secret{}
	}
	return a.Login.ClientSecret
}

func reveal(secrets []vault.Secret) []string {
	out := make([]string, len(secrets))
	for i, v := range secrets {
		out[i] = v.Reveal()
	}
	return out
}

// userConnector finds a connector that end users link accounts of their own with.
// A shared one answers as if it did not exist.
func (s *Service) userConnector(ctx context.Context, appID, id string) (*App, *Connector, error) {
	return s.connector(ctx, appID, id, ModeUser)
}

// connectorOf finds a connector of the kind that the owner's connections belong to.
func (s *Service) connectorOf(ctx context.Context, appID, id string, o Owner) (*App, *Connector, error) {
	if o == (Owner{}) {
		return s.connector(ctx, appID, id, ModeShared)
	}
	return s.connector(ctx, appID, id, ModeUser)
}

// connectorIn finds the connector of a flow. A builder may try one of either kind.
func (s *Service) connectorIn(ctx context.Context, f *Flow) (*App, *Connector, error) {
	if f.Detail.Trial {
		return s.connector(ctx, f.App, f.Connector, "")
	}
	return s.connectorOf(ctx, f.App, f.Connector, f.Owner())
}

// connector finds a connector of that mode, of either for "".
func (s *Service) connector(ctx context.Context, appID, id string, mode ConnectorMode) (*App, *Connector, error) {
	a, err := s.App(ctx, appID)
	if err != nil {
		return nil, nil, err
	}
	c, ok := a.Connector(id)
	if !ok || (mode != "" && c.Mode != mode) {
		return nil, nil, errNoConnector
	}
	return a, c, nil
}

// Entry returns the catalogue entry of the connector's type. Apply refuses unknown
// types, so an error means that the database is older than the program.
func (s *Service) Entry(c *Connector) (*provider.Entry, error) {
	e, ok := s.Catalog.Entry(c.Type)
	if !ok {
		return nil, fmt.Errorf("connector %s/%s: this program does not know the integration type %q", c.App, c.ID, c.Type)
	}
	return e, nil
}

// DisplayName is the connector's own name, or the catalogue's.
func (s *Service) DisplayName(c *Connector) string {
	if c.Name != "" {
		return c.Name
	}
	if e, ok := s.Catalog.Entry(c.Type); ok {
		return e.Name
	}
	return c.ID
}

// AskedScopes are the scopes that a flow of the connector asks for.
func (s *Service) AskedScopes(c *Connector) []string {
	if c.Scopes != nil {
		return c.Scopes
	}
	if e, ok := s.Catalog.Entry(c.Type); ok {
		return e.DefaultScopes()
	}
	return nil
}

// RedirectURI is the address that the builder registers at the provider, one for
// each app and connector, so that no connector can receive another's code.
func (s *Service) RedirectURI(app, connector string) string {
	return s.PublicURL + "/oauth/callback/" + app + "/" + connector
}

var errParams = errors.New("parameters do not fit")

// registration is the connector as the OAuth client needs it. asked holds the
// parameters that the end user filled in.
func (s *Service) registration(c *Connector, asked map[string]string) (oauth.Registration, error) {
	e, err := s.Entry(c)
	if err != nil {
		return oauth.Registration{}, err
	}
	params := make(map[string]string, len(c.Params)+len(asked))
	for k, v := range asked {
		params[k] = v
	}
	for k, v := range c.Params {
		params[k] = v
	}
	resolved, err := e.Resolve(params, c.Endpoints)
	if err != nil {
		return oauth.Registration{}, fmt.Errorf("connector %s/%s: %w: %w", c.App, c.ID, errParams, err)
	}
	return oauth.Registration{
		Entry: e, Endpoints: resolved, Overrides: c.Endpoints,
		ClientID: c.ClientID, ClientSecrets: c.ClientSecrets,
		RedirectURI: s.RedirectURI(c.App, c.ID), Params: params,
	}, nil
}

// Description is why the app wants the connector: its own words, or the catalogue's.
func (s *Service) Description(c *Connector) string {
	if c.Description != "" {
		return c.Description
	}
	if e, ok := s.Catalog.Entry(c.Type); ok {
		return e.Description
	}
	return ""
}
