// Package openid is a small OpenID provider for tests. It is strict about what it is
// sent: a client that leaves out PKCE, nonce or its secret gets nowhere. What it answers
// a test can break in every way. It asks no one anything: the browser comes back at once
// as the person that the test names.
package openid

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Provider is the provider, running. Its issuer is URL.
type Provider struct {
	*httptest.Server
	ClientID     string
	ClientSecret string
	// RedirectURI is the one that is registered.
	RedirectURI string
	// Now is the clock of the tokens.
	Now func() time.Time

	mu    sync.Mutex
	rules Rules
	codes map[string]grant
	calls []Call
}

// Rules is what the provider does. The zero Rules, with a Person, is a good provider.
type Rules struct {
	// Person holds the claims about who is signed in at the provider, sub among them.
	Person map[string]any
	// Metadata, Back, Claims and Answer change what is about to be sent: the discovery
	// document, the query of the way back, the claims of the ID token, the answer of
	// the token endpoint.
	Metadata func(m map[string]any)
	Back     func(q url.Values)
	Claims   func(c map[string]any)
	Answer   func(m map[string]any)
	// Sign makes the ID token in place of the provider.
	Sign func(claims map[string]any) string
	// Error is answered in place of a code.
	Error string
	// Status is answered by a path in place of what it should answer.
	Status map[string]int
	// UserInfo holds the claims of the userinfo endpoint; nil: there is none.
	UserInfo map[string]any
}

// Call is one request that the provider got.
type Call struct {
	Method, Path  string
	Query, Form   url.Values
	Authorization string
}

type grant struct {
	challenge, nonce string
	person           map[string]any
}

// New starts a provider that ends with the test. Its client is "patchbay" with a
// secret, its person is dana.
func New(t testing.TB) *Provider {
	p := &Provider{
		ClientID: "patchbay", ClientSecret: "canary-openid-" + random(), Now: time.Now, codes: map[string]grant{},
		rules: Rules{Person: map[string]any{"sub": "dana", "name": "Dana Smith", "email": "dana@acme.example", "email_verified": true}},
	}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// Change changes the rules.
func (p *Provider) Change(change func(r *Rules)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.rules)
}

// SignIn makes sub the person at the provider, with an e-mail address of the same name.
func (p *Provider) SignIn(sub string) {
	p.Change(func(r *Rules) {
		r.Person = map[string]any{"sub": sub, "name": "The person " + sub, "email": sub + "@acme.example", "email_verified": true}
	})
}

// Calls lists the requests to a path.
func (p *Provider) Calls(path string) []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []Call
	for _, c := range p.calls {
		if c.Path == path {
			found = append(found, c)
		}
	}
	return found
}

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.mu.Lock()
	p.calls = append(p.calls, Call{r.Method, r.URL.Path, r.URL.Query(), r.PostForm, r.Header.Get("Authorization")})
	rules := p.rules
	p.mu.Unlock()
	if status := rules.Status[r.URL.Path]; status != 0 {
		http.Error(w, "canary-body of a broken provider", status)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		p.metadata(w, &rules)
	case "/jwks":
		public := func(key any, id string, alg jose.SignatureAlgorithm) jose.JSONWebKey {
			return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(alg), Use: "sig"}
		}
		writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			public(Key().Public(), "rsa", jose.RS256), public(ellipticKey().Public(), "ec", jose.ES256),
		}})
	case "/authorize":
		p.authorize(w, r, &rules)
	case "/token":
		p.token(w, r, &rules)
	case "/userinfo":
		p.userInfo(w, r, &rules)
	default:
		http.NotFound(w, r)
	}
}

func (p *Provider) metadata(w http.ResponseWriter, rules *Rules) {
	m := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/jwks",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"RS256", "ES256", "HS256", "none"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post"},
		"authorization_response_iss_parameter_supported": true,
	}
	if rules.UserInfo != nil {
		m["userinfo_endpoint"] = p.URL + "/userinfo"
	}
	if rules.Metadata != nil {
		rules.Metadata(m)
	}
	writeJSON(w, http.StatusOK, m)
}

func (p *Provider) authorize(w http.ResponseWriter, r *http.Request, rules *Rules) {
	q := r.URL.Query()
	scopes := strings.Fields(q.Get("scope"))
	switch {
	case q.Get("client_id") != p.ClientID, q.Get("redirect_uri") != p.RedirectURI:
		http.Error(w, "unknown client or redirect URI", http.StatusBadRequest)
		return
	case q.Get("response_type") != "code", len(q.Get("state")) < 22, len(q.Get("nonce")) < 22, !slices.Contains(scopes, "openid"),
		len(q.Get("code_challenge")) != 43, q.Get("code_challenge_method") != "S256", !slices.Contains([]string{"", "query"}, q.Get("response_mode")):
		http.Error(w, "response_type, state, nonce, scope or code_challenge", http.StatusBadRequest)
		return
	}
	back := url.Values{"state": {q.Get("state")}, "iss": {p.URL}}
	if rules.Error != "" {
		back.Set("error", rules.Error)
	} else {
		code := random()
		p.mu.Lock()
		p.codes[code] = grant{q.Get("code_challenge"), q.Get("nonce"), maps.Clone(rules.Person)}
		p.mu.Unlock()
		back.Set("code", code)
	}
	if rules.Back != nil {
		rules.Back(back)
	}
	http.Redirect(w, r, p.RedirectURI+"?"+back.Encode(), http.StatusFound)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request, rules *Rules) {
	refuse := func(status int, code string) {
		writeJSON(w, status, map[string]string{"error": code, "error_description": "canary-description"})
	}
	if !p.authenticated(r) {
		refuse(http.StatusUnauthorized, "invalid_client")
		return
	}
	p.mu.Lock()
	g, known := p.codes[r.PostForm.Get("code")]
	delete(p.codes, r.PostForm.Get("code"))
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !known || r.PostForm.Get("grant_type") != "authorization_code" || r.PostForm.Get("redirect_uri") != p.RedirectURI ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		refuse(http.StatusBadRequest, "invalid_grant")
		return
	}
	access := "canary-access-" + random()
	claims := g.person
	hash := sha256.Sum256([]byte(access))
	maps.Copy(claims, map[string]any{
		"iss": p.URL, "aud": p.ClientID, "nonce": g.nonce, "iat": p.Now().Unix(), "exp": p.Now().Add(5 * time.Minute).Unix(),
		"at_hash": base64.RawURLEncoding.EncodeToString(hash[:16]),
	})
	if rules.Claims != nil {
		rules.Claims(claims)
	}
	sign := rules.Sign
	if sign == nil {
		sign = func(claims map[string]any) string { return Sign(jose.RS256, Key(), "rsa", claims) }
	}
	answer := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": sign(claims)}
	if rules.Answer != nil {
		rules.Answer(answer)
	}
	writeJSON(w, http.StatusOK, answer)
}

// authenticated accepts the secret in one place only, and a client without one.
func (p *Provider) authenticated(r *http.Request) bool {
	id, secret, basic := r.BasicAuth()
	posted := r.PostForm.Has("client_secret")
	if p.ClientSecret == "" {
		return !basic && !posted && r.PostForm.Get("client_id") == p.ClientID
	}
	if basic {
		return !posted && id == p.ClientID && secret == p.ClientSecret
	}
	return r.PostForm.Get("client_id") == p.ClientID && r.PostForm.Get("client_secret") == p.ClientSecret
}

func (p *Provider) userInfo(w http.ResponseWriter, r *http.Request, rules *Rules) {
	if rules.UserInfo == nil || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer canary-access-") {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	writeJSON(w, http.StatusOK, rules.UserInfo)
}

// Key is the provider's RSA key, the same in all of a test binary.
var Key = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

var ellipticKey = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })

// EllipticKey is the provider's other key, which signs ES256 and has the key id "ec".
func EllipticKey() *ecdsa.PrivateKey { return ellipticKey() }

// Sign makes a JWT.
func Sign(alg jose.SignatureAlgorithm, key any, kid string, claims map[string]any) string {
	return SignText(alg, key, kid, must(json.Marshal(claims)))
}

// SignText makes a JWT of claims that no map can hold.
func SignText(alg jose.SignatureAlgorithm, key any, kid string, claims []byte) string {
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil))
	return must(must(signer.Sign(claims)).CompactSerialize())
}

// Unsigned makes a JWT of algorithm none.
func Unsigned(claims map[string]any) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(must(json.Marshal(claims))) + "."
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func random() string {
	var raw [24]byte
	_, _ = rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
