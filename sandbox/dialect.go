package sandbox

import (
	"net/url"
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
	responseType bool              // response_type=code must be sent (RFC 6749 section 4.1.1)
	scopeParam   string            // default "scope"
	scopeSplit   string            // characters that separate the scopes of a request; default " "
	scopeAlias   map[string]string // how a requested scope is called in answers
	openID       bool              // OpenID Connect is spoken: an ID token for the scope openid, a key set
	addOpenID    bool              // openid comes with email and profile
	hintParam    string            // default "login_hint"
	silentPrompt bool              // prompt=none is understood (OpenID Connect Core section 3.1.2.6)
	callback     func(scopes []string) url.Values

	// Tokens.
	codePrefix, accessPrefix, refreshPrefix string
	basicAuth, postAuth                     bool          // how a client may authenticate
	grantTypeOptional                       bool          // an exchange need not name its grant type
	lifetime                                time.Duration // of an access token that expires
	expires                                 bool          // tokens expire without a scenario asking for it
	rotates                                 bool          // every refresh ends the refresh token it used
	refreshEndsAccess                       bool          // and the access tokens of the grant
	offlineParam                            bool          // a refresh token needs access_type=offline and prompt=consent
	scopeNarrowing                          bool          // a refresh may ask for fewer scopes (RFC 6749 section 6)
	answer                                  func(issued) map[string]any
	formAnswers                             bool // answers are form-encoded unless JSON is accepted

	// Errors of the token and revocation endpoints.
	faults      map[faultKey]string // the provider's name of each, where it is not RFC 6749's
	faultStatus int                 // one HTTP status for all of them; default by kind
	faultBody   func(name, sentence string) map[string]any

	// Revocation.
	revocation  revocation
	revokeGrant bool // revoking any token ends all grants of that account and client

	// Userinfo and API.
	userinfo     func(view) any
	resources    []resource
	apiPrefix    string // may stand before an API path
	unauthorized func(tokenState) any
	forbidden    func(need, have []string) (status int, body any)
	notFound     any
}

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
	nonce     string        // of the authorization request, "" after a refresh
}

var dialects = []*dialect{githubDialect(), googleCalendarDialect(), slackDialect(), genericDialect()}

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
	case "openid", "email", "profile", "read:user", googleEmail, googleProfile:
		return true
	}
	return false
}
