package sandbox

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A dialect is how one provider differs from the others: its names, its defaults and
// the shapes of its answers. Everything a dialect leaves zero is as RFC 6749 has it.
type dialect struct {
	id    string // the type's name, the first part of every path
	name  string // as people know it
	brand string // CSS colour of the stripe on its pages
	noun  string // "your pretend NOUN account"

	// Authorization request and callback.
	clientParam  string            // the client's id there; default "client_id"
	installs     bool              // an installation (Wix): no code, see install.go
	wants        map[string]string // parameters that must be there; "" is any value
	stateForm    *regexp.Regexp    // what a state must look like, and that it must be there
	pkce         pkceRule
	scopeForm    *regexp.Regexp // what each scope must look like
	scopeNeeded  bool           // a request without scopes is refused
	scopeless    bool           // there are no scopes: none is granted, none is listed
	scopeHidden  []string       // granted, and not listed in answers
	offlineScope string         // a refresh token needs this scope
	offlineWant  [2]string      // or this parameter
	denial       url.Values     // how a refusal comes back; default access_denied
	noIssuer     bool           // iss is not sent
	callbackMore func(req authorizeRequest, who identity, scopes []string) url.Values
	responseType bool              // response_type=code must be sent (RFC 6749 section 4.1.1)
	scopeParam   string            // default "scope"
	scopeSplit   string            // characters that separate the scopes of a request; default " "
	scopeAlias   map[string]string // how a requested scope is called in answers
	openID       bool              // OpenID Connect is spoken: an ID token for the scope openid, a key set
	addOpenID    bool              // openid comes with email and profile
	hintParam    string            // default "login_hint"
	silentPrompt bool              // prompt=none is understood (OpenID Connect Core section 3.1.2.6)
	callback     func(scopes []string) url.Values

	// Token requests.
	tokenClientParam string // the client's id there; default "client_id"
	clientless       bool   // the secret alone says who the client is (Stripe)
	redirectless     bool   // the redirect URI is not repeated (Stripe)
	body             bodyRule
	headers          map[string]string                           // must be sent with every call; "" is any value
	tokenQuery       map[string]string                           // must be in the query of the token address
	checkFields      func(grantType string, f url.Values) *fault // what else this provider refuses
	basicRefusal     int                                         // status for HTTP Basic where it is not understood

	// Tokens.
	codePrefix, accessPrefix, refreshPrefix string
	basicAuth, postAuth                     bool          // how a client may authenticate
	grantTypeOptional                       bool          // an exchange need not name its grant type
	lifetime                                time.Duration // of an access token that expires
	expires                                 bool          // tokens expire without a scenario asking for it
	rotates                                 bool          // every refresh ends the refresh token it used
	refreshEndsAccess                       bool          // and the access tokens of the grant
	rotatesSoftly                           bool          // every refresh brings a new refresh token, and the old one goes on working
	repeats                                 bool          // every refresh repeats the refresh token
	refreshless                             bool          // there are none, although access tokens expire
	alwaysRefresh                           bool          // there is one, although access tokens do not expire
	status                                  int           // of a good answer; default 200
	offlineParam                            bool          // a refresh token needs access_type=offline and prompt=consent
	scopeNarrowing                          bool          // a refresh may ask for fewer scopes (RFC 6749 section 6)
	answer                                  func(issued) map[string]any
	formAnswers                             bool // answers are form-encoded unless JSON is accepted

	// Errors of the token and revocation endpoints.
	faults      map[faultKey]string // the provider's name of each, where it is not RFC 6749's
	faultStatus int                 // one HTTP status for all of them; default by kind
	faultBody   func(name, sentence string) map[string]any
	fault       func(key faultKey, sentence string) (status int, body map[string]any) // in place of all of that

	// Revocation.
	revocation  revocation
	revokeWith  func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) // in place of revocation
	family      string                                                              // types whose grants are one at the provider
	revokeGrant bool                                                                // revoking any token ends all grants of that account and client

	// Userinfo and API.
	userinfo      func(view) any
	claims        func(identity) map[string]any                                                  // of an ID token, beside what userinfo says
	userinfoPost  bool                                                                           // it is asked by POST alone
	userinfoCheck func(r *http.Request, v view) (status int, body any)                           // refuses a request
	userinfoNeeds []string                                                                       // any of these scopes
	open          map[string]func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) // API paths without a bearer token
	resources     []resource
	apiPrefix     string // may stand before an API path
	unauthorized  func(tokenState) any
	forbidden     func(need, have []string) (status int, body any)
	notFound      any
}

// pkceRule is what a provider does with a code challenge (RFC 7636).
type pkceRule int

const (
	pkceSupported pkceRule = iota // checked when it is there
	pkceRequired                  // refused without one
	pkceIgnored                   // neither challenge nor verifier is looked at
	pkceRefused                   // an exchange with a verifier fails
)

// bodyRule is how the body of a token request may be encoded.
type bodyRule int

const (
	bodyForm bodyRule = iota
	bodyJSON
	bodyEither
)

// A resource is one address below /{type}/api/.
type resource struct {
	path  string
	post  bool     // POST is understood beside GET
	needs []string // any of these scopes; none needed when empty
	data  func(view) any
}

// view is what the data of an answer may depend on.
type view struct {
	identity
	scopes []string
	now    time.Time
	origin string
	query  url.Values

	install string // the instance, where there is an installation
}

func (v view) has(scopes ...string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(v.scopes, s) })
}

// issued is what one token request gave.
type issued struct {
	who       identity
	client    string
	scopes    []string
	access    string
	refresh   string        // "" when none was given
	lifetime  time.Duration // 0: the access token does not expire
	refreshed bool          // by a refresh, not by a code
	issuer    string        // who this provider was to the browser
	at        time.Time     // when
	nonce     string        // of the authorization request, "" after a refresh
}

var dialects = complete(slices.Concat(
	[]*dialect{githubDialect(), slackDialect()},
	googleDialects(), microsoftDialects(), codeDialects(), dataDialects(), fileDialects(),
	workDialects(), talkDialects(), moneyDialects(), salesDialects(), siteDialects(),
	[]*dialect{genericDialect()},
))

// complete gives every dialect what it has not said itself.
func complete(list []*dialect) []*dialect {
	for _, d := range list {
		plain := genericDialect()
		if d.answer == nil {
			d.answer = plainAnswer
		}
		if d.unauthorized == nil {
			d.unauthorized = plain.unauthorized
		}
		if d.forbidden == nil {
			d.forbidden = plain.forbidden
		}
		if d.notFound == nil {
			d.notFound = plain.notFound
		}
		if d.noun == "" {
			d.noun = d.name
		}
		if d.clientParam == "" {
			d.clientParam = "client_id"
		}
		if d.tokenClientParam == "" {
			d.tokenClientParam = "client_id"
		}
		if d.status == 0 {
			d.status = http.StatusOK
		}
	}
	return list
}

var dialectByID = func() map[string]*dialect {
	byID := make(map[string]*dialect, len(dialects))
	for _, d := range dialects {
		byID[d.id] = d
	}
	return byID
}()

func typeIDs() []string {
	ids := make([]string, len(dialects))
	for i, d := range dialects {
		ids[i] = d.id
	}
	return ids
}

// requested splits the scopes of an authorization request, each once, in order.
func (d *dialect) requested(q url.Values) []string {
	param, split := "scope", " "
	if d.scopeParam != "" {
		param = d.scopeParam
	}
	if d.scopeSplit != "" {
		split = d.scopeSplit
	}
	var scopes []string
	for s := range strings.FieldsFuncSeq(q.Get(param), func(r rune) bool { return strings.ContainsRune(split, r) }) {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return scopes
}

// granted is what the provider calls the scopes it gives.
func (d *dialect) granted(scopes []string) []string {
	out := make([]string, 0, len(scopes)+1)
	if d.scopeless {
		return out
	}
	add := func(s string) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, s := range scopes {
		if alias, ok := d.scopeAlias[s]; ok {
			s = alias
		}
		add(s)
	}
	if d.addOpenID && slices.ContainsFunc(out, isIdentityScope) {
		add("openid")
	}
	return out
}

// fewer drops the last scope that is not about who the account is, so that a client
// misses a permission and still learns whom it linked.
func fewer(scopes []string) []string {
	for i, s := range slices.Backward(scopes) {
		if !isIdentityScope(s) {
			return slices.Delete(slices.Clone(scopes), i, i+1)
		}
	}
	return scopes
}

func isIdentityScope(s string) bool {
	switch s {
	case "openid", "email", "profile", "read:user", googleEmail, googleProfile,
		"offline_access", "offline", "offline.access", "refresh_token", // not about who it is, and what a refresh token depends on
		"User.Read", "user.info.basic", "users.read", "tweet.read", "users:read", "identify", "account_info.read",
		"accounts:read", "read:me", "oauth", "amReadOnlyUser", "MERCHANT_PROFILE_READ", "instagram_business_basic", "read_user",
		"user.email:read", "com.intuit.quickbooks.accounting", "company:info":
		return true
	}
	return false
}

// kin reports whether grants of the two types are one at the provider.
func (d *dialect) kin(other *dialect) bool {
	return d == other || d.family != "" && d.family == other.family
}
