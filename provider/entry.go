package provider

import (
	"regexp"
	"time"
)

// Entry is one integration type of the catalogue. Entries are shared by everything
// that asks for them: never change one.
//
// The yaml tags are the file format. A field marked "required" must be there; every
// other one may be left out. An unknown field is an error.
type Entry struct {
	Type        string `yaml:"type"`        // required; [a-z0-9_], the name in apps.yaml and in the API
	Name        string `yaml:"name"`        // required; as people know it
	Category    string `yaml:"category"`    // required; what kind of service, in one or two words
	Description string `yaml:"description"` // required; one sentence: what linking it is for
	Logo        string `yaml:"logo"`        // name of its drawing in static/logos, without .svg; empty: the first letter on Color
	Color       string `yaml:"color"`       // required; the brand's colour, #rrggbb
	Docs        string `yaml:"docs"`        // required; the provider's page about OAuth
	Console     string `yaml:"console"`     // where a builder registers a client
	Manage      string `yaml:"manage"`      // where a person sees and removes the apps with access to their account

	Params           []Param       `yaml:"params"`
	Client           Client        `yaml:"client"`
	Authorize        Authorize     `yaml:"authorize"`
	OpenID           OpenID        `yaml:"openid"`
	Scopes           Scopes        `yaml:"scopes"`
	Token            Token         `yaml:"token"`
	Refresh          Refresh       `yaml:"refresh"`
	Revoke           Revoke        `yaml:"revoke"`
	Account          Account       `yaml:"account"`
	API              API           `yaml:"api"`
	Errors           Errors        `yaml:"errors"`
	ConnectionConfig []ConfigValue `yaml:"connection_config"`
	RedirectURI      RedirectURI   `yaml:"redirect_uri"`

	// Quirks names behaviour that data cannot express; each is a small Go function
	// in package oauth. A name that this program does not know is an error.
	Quirks []string `yaml:"quirks"`

	Sources   []string `yaml:"sources"`   // where the facts were read
	Uncertain []string `yaml:"uncertain"` // facts that rest on one source or on inference
}

// Param is a value that addresses need and the catalogue cannot know, such as a
// tenant or a subdomain. In addresses and parameters it is written {name}.
//
// A value that becomes part of a host is pinned to the provider: the rest of the host
// is written out in the address ({subdomain}.example.com), or the whole host lies in
// Domains. A host of the user's choosing would be sent the client secret.
type Param struct {
	Name         string         `yaml:"name"`        // required
	Label        string         `yaml:"label"`       // required; above the input field
	Description  string         `yaml:"description"` // where a person finds the value
	Example      string         `yaml:"example"`     // required; must match Pattern
	Default      string         `yaml:"default"`
	Pattern      *regexp.Regexp `yaml:"pattern"`       // required; written without anchors, always matches the whole value
	PatternError string         `yaml:"pattern_error"` // said when the value does not match
	Required     bool           `yaml:"required"`
	Ask          bool           `yaml:"ask"`     // asked from the end user before the flow unless the builder fixed it; else only the builder may set it
	Domains      []string       `yaml:"domains"` // where the value is a host: it must be one of these or below one
}

// Client says how the client proves itself at the token endpoint. It is never found
// out by trying: the first try would burn a single-use code or token.
type Client struct {
	Auth    string `yaml:"auth"`     // required; "basic" (RFC 6749 2.3.1), "post" (in the body), "none"
	IDParam string `yaml:"id_param"` // default "client_id", in the authorization request and in bodies

	// Public: the provider also registers clients without a secret (RFC 6749 2.1). A
	// connector without one then sends its id in the body, whatever Auth is.
	Public bool `yaml:"public"`
}

// Authorize describes the authorization request and its response.
type Authorize struct {
	URL                 string            `yaml:"url"` // required
	Params              map[string]string `yaml:"params"`
	SelectAccountParams map[string]string `yaml:"select_account_params"` // put over Params to bring up the account chooser
	PKCE                PKCE              `yaml:"pkce"`

	// Issuer is the iss that the response carries (RFC 9207). IssuerPromised makes
	// its absence an error. See [Entry.CheckIssuer].
	Issuer         string `yaml:"issuer"`
	IssuerPromised bool   `yaml:"issuer_promised"`

	// CodeParam is the parameter of the response that holds what is exchanged;
	// default "code".
	CodeParam string `yaml:"code_param"`
}

// OpenID is there if the provider speaks OpenID Connect: with the scope openid it hands
// out an ID token beside the access token. See [Entry.IDTokens].
type OpenID struct {
	Issuer  string   `yaml:"issuer"`   // required; the iss of its ID tokens; {claim.tid} is that claim of the token, for a provider with an issuer per tenant
	Issuers []string `yaml:"issuers"`  // what else it documents as iss
	JWKSURL string   `yaml:"jwks_url"` // its key set (RFC 7517); empty: the signature is not checked
	Algs    []string `yaml:"algs"`     // how it signs ID tokens for our clients; default [RS256]

	// Discover: what the file leaves out is taken from the provider's own description
	// below Issuer (OpenID Connect Discovery 1.0) when the file is read.
	Discover bool `yaml:"discover"`
}

// PKCE says what the provider does with a code challenge (RFC 7636). S256 is sent
// except in mode "rejected", which needs a reason.
type PKCE struct {
	Mode   string `yaml:"mode"` // required; "required", "supported", "ignored", "rejected"
	Reason string `yaml:"reason"`
}

// Scopes lists what can be asked for.
type Scopes struct {
	Param     string   `yaml:"param"`     // default "scope"
	Separator string   `yaml:"separator"` // between scopes in the request; default one space
	Default   []string `yaml:"default"`   // asked when the connector names none
	Known     []Scope  `yaml:"known"`

	// Fixed: the registration at the provider decides, and no request names scopes.
	// What a connector lists is then what it expects to be granted.
	Fixed bool `yaml:"fixed"`
	// Abilities says what every token of this provider can do, whatever its scopes, in
	// sentences for the end user.
	Abilities []string `yaml:"abilities"`
	// Prefix may stand before every scope and means nothing:
	// https://graph.microsoft.com/User.Read is User.Read.
	Prefix string `yaml:"prefix"`
}

// Scope is one permission.
type Scope struct {
	Scope   string   `yaml:"scope"`   // required
	Ability string   `yaml:"ability"` // required; what it lets the app do, in a sentence that an end user understands
	Aliases []string `yaml:"aliases"` // other names under which the provider grants the very same
	Implies []string `yaml:"implies"` // known scopes that are part of this one, where the provider documents it

	// Silent: the provider never lists it among the granted, so it cannot be missing.
	Silent bool `yaml:"silent"`
	// Offline: without it the provider gives no refresh token.
	Offline bool `yaml:"offline"`
	// Open: every scope that begins so is meant; {rest} in Ability is what follows.
	Open bool `yaml:"open"`
}

// Token describes the token request and its answer.
type Token struct {
	URL           string            `yaml:"url"`         // required
	RefreshURL    string            `yaml:"refresh_url"` // default URL
	Body          string            `yaml:"body"`        // "form" (default), "json"
	Headers       map[string]string `yaml:"headers"`
	Params        map[string]string `yaml:"params"`         // added to the code exchange
	RefreshParams map[string]string `yaml:"refresh_params"` // added to the refresh
	RefreshScope  bool              `yaml:"refresh_scope"`  // repeat the scopes when refreshing
	Query         map[string]string `yaml:"query"`          // added to the address, also to one that is overridden
	Omit          []string          `yaml:"omit"`           // parameters of the client's own that this provider does not take

	// RefreshRedirect: the redirect URI is repeated when refreshing.
	RefreshRedirect bool `yaml:"refresh_redirect"`

	// At lists the objects of the answer that may hold the token, as paths, "." for
	// the answer itself; the first with an access token of one of Types counts.
	At []string `yaml:"at"` // default [.]
	// Types are the accepted values of token_type, compared without case. An answer
	// that names none is accepted.
	Types []string `yaml:"types"` // default [bearer]
	// Lifetime of an access token when the answer names none; 0: it does not expire,
	// or nobody knows.
	Lifetime time.Duration `yaml:"lifetime"`
	// ExpiresAt is the field with the time of expiry (RFC 3339), for an answer without
	// expires_in.
	ExpiresAt string `yaml:"expires_at"`
	ScopeAt   string `yaml:"scope_at"` // the field with the granted scopes; default "scope"
}

// Refresh says how refresh tokens behave.
type Refresh struct {
	Rotation              string        `yaml:"rotation"`                // "none" (default), "single_use", "grace"
	Grace                 time.Duration `yaml:"grace"`                   // with rotation "grace": how long the old one goes on working
	ReuseRevokesFamily    bool          `yaml:"reuse_revokes_family"`    // using an old one ends the whole grant
	IdleLimit             time.Duration `yaml:"idle_limit"`              // an unused one dies after this; 0: never, or unknown
	AccessDiesOnRefresh   bool          `yaml:"access_dies_on_refresh"`  // a refresh ends the access token that is in use
	TransientInvalidGrant bool          `yaml:"transient_invalid_grant"` // invalid_grant is known to be wrong at times

	// Ahead: a token is refreshed when less than this is left of its life, for a
	// provider where a late refresh comes too late. 0: shortly before it is needed.
	Ahead     time.Duration `yaml:"ahead"`
	DeadCodes []string      `yaml:"dead_codes"` // error codes that mean, to a refresh, that the refresh token is no longer good
}

// Revoke says how a grant is ended at the provider.
type Revoke struct {
	Style   string            `yaml:"style"`   // required; "rfc7009", "custom", "none"
	URL     string            `yaml:"url"`     // {client_id} may stand in it
	Method  string            `yaml:"method"`  // default POST
	Body    string            `yaml:"body"`    // "form" (default), "json", "none"
	Auth    string            `yaml:"auth"`    // "none", "basic", "post", "bearer" (the token itself)
	Headers map[string]string `yaml:"headers"` // {client_secret} may stand in a value
	Token   string            `yaml:"token"`   // which one is sent: "refresh" (default; the access token when there is none), "access"

	// Fields is the body; {token}, {client_id}, {client_secret} and {config.NAME} may
	// stand in a value. Default with rfc7009: {token: "{token}"}.
	Fields map[string]string `yaml:"fields"`

	Success      map[string]string `yaml:"success"`       // what a good answer says, path to value
	DeadStatuses []int             `yaml:"dead_statuses"` // HTTP statuses that mean: it was dead already
	DeadCodes    []string          `yaml:"dead_codes"`    // error codes that mean the same

	// Unproven: the provider does not document this way, so its "done" is no proof and
	// counts as unknown.
	Unproven bool `yaml:"unproven"`

	// TakesSiblings: other connections of the same account to the same client, or
	// more than that, die with this one.
	TakesSiblings bool `yaml:"takes_siblings"`
}

// Account says how to learn whose account it is. ID, Name and Email are templates
// over the answer: "{team_id}:{user.id}", numbers being positions in lists, and
// {config.NAME} what became connection_config; the first of several whose every part
// has a value counts.
type Account struct {
	// From is where the answer comes from: "url" (default), or "id_token", the claims
	// of the ID token that came with the tokens, for a provider that has no address
	// for it (OpenID Connect Core 2).
	From    string            `yaml:"from"`
	URL     string            `yaml:"url"`    // {config.NAME} may stand in it
	Method  string            `yaml:"method"` // default GET
	Headers map[string]string `yaml:"headers"`
	Query   map[string]string `yaml:"query"` // added to the address, also to one that is overridden
	Body    string            `yaml:"body"`  // JSON; with method POST
	ID      []string          `yaml:"id"`    // required with URL; must never change for an account

	// Scopes: without any of these the provider does not tell, and the account stays
	// unknown. None: it always tells.
	Scopes []string      `yaml:"scopes"`
	Name   []string      `yaml:"name"`
	Email  []string      `yaml:"email"`
	More   []AccountCall `yaml:"more"`
}

// AccountCall is a further call that improves on name and e-mail address. It fails
// without consequence.
type AccountCall struct {
	Path   string            `yaml:"path"`   // required; below the first of API.Hosts; may use values of the first answer
	Scopes []string          `yaml:"scopes"` // made when any of these was granted; none: always
	Where  map[string]string `yaml:"where"`  // the answer is a list: take the element that says this, path to value
	Name   []string          `yaml:"name"`
	Email  []string          `yaml:"email"`
}

// API lists where calls in the name of an account may go.
type API struct {
	Hosts           []Host   `yaml:"hosts"`            // the first is the default
	RequestHeaders  []string `yaml:"request_headers"`  // what a caller may set
	ResponseHeaders []string `yaml:"response_headers"` // what a caller gets back
}

// Host is a named base address.
type Host struct {
	Name string `yaml:"name"` // required
	URL  string `yaml:"url"`  // required; {config.NAME} may stand in it
}

// Errors tells a good answer from a bad one and what a bad one means.
type Errors struct {
	At      []string          `yaml:"at"`      // where the error code stands in an answer; default [error]
	Success map[string]string `yaml:"success"` // what every good answer says, path to value
	Codes   map[string]Fault  `yaml:"codes"`   // what the provider's own error codes mean
	Denied  []string          `yaml:"denied"`  // callback errors beside access_denied that mean: the person said no

	// Statuses is what an HTTP status means where the code says nothing.
	Statuses map[string]Fault `yaml:"statuses"`
}

// Fault is what an error code of a provider means, in Errors.Codes.
type Fault string

// The faults. Codes of RFC 6749 and RFC 6750 need not be listed in an entry.
const (
	Throttled        Fault = "throttled"         // too many requests, try later
	Transient        Fault = "transient"         // it may work later
	InvalidClient    Fault = "invalid_client"    // client id or secret refused, before the grant was looked at
	ConnectorFault   Fault = "connector_fault"   // the registration is wrong in another way
	GrantDead        Fault = "grant_dead"        // the code or refresh token is no longer good
	ScopeRejected    Fault = "scope_rejected"    // a scope is unknown or not allowed
	RedirectRejected Fault = "redirect_rejected" // the redirect URI is not registered
	ProviderFault    Fault = "provider_fault"    // anything else
)

// ConfigValue is a value that the provider hands out and the builder's code needs,
// such as the address of an instance: part of connection_config in the API.
//
// One that becomes part of an address, as {config.NAME}, is checked like a param: a
// host of somebody's choosing would be sent the tokens.
type ConfigValue struct {
	Name string `yaml:"name"` // required
	// From is "answer" (default: the token answer), "callback" (the callback's query),
	// "param" (what the builder or the end user filled in), "id_token" (its claims),
	// "account" (the answer about the account), "quirk" (set by the quirk of the entry).
	From     string         `yaml:"from"`
	At       string         `yaml:"at"`      // required except with "quirk"; the path in the answer, or the name of the parameter
	Default  string         `yaml:"default"` // when there is none
	Pattern  *regexp.Regexp `yaml:"pattern"`
	Domains  []string       `yaml:"domains"` // where the value is a host, or an https address without a path: its host must be one of these or below one
	Required bool           `yaml:"required"`
}

// RedirectURI holds what the provider demands of a redirect URI, for those who
// register one.
type RedirectURI struct {
	HTTP  string `yaml:"http"`  // where plain http is accepted: "never" (default), "localhost", "loopback" (127.0.0.1 too), "any"
	Match string `yaml:"match"` // "exact" (default), "below" (the registered one or a path below it)
	Note  string `yaml:"note"`
}
