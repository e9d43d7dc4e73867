package sandbox

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"sync"
	"time"
)

const idTokenLifetime = time.Hour

// IDToken is an ID token (OpenID Connect Core section 2) before it is signed.
type IDToken struct {
	// Header and Claims are its two JSON objects. Header["alg"] decides how it is
	// signed: RS256; none, not at all; HS256, with the public key as secret. With any
	// other name it gets the signature of RS256.
	Header, Claims map[string]any
	ForeignKey     bool // sign with a key that is not in the key set
	Omit           bool // leave it out of the answer
	Instead        any  // not nil: what the answer has in its place
}

// AlterIDToken lets tests of clients break every ID token that is issued from now on;
// nil ends it. No request can do this.
func (s *Server) AlterIDToken(change func(*IDToken)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterIDToken = change
}

// addIDToken puts an ID token into a token answer if openid was granted.
func (s *Server) addIDToken(d *dialect, out issued, answer map[string]any) {
	if !d.openID || !slices.Contains(out.scopes, "openid") {
		return
	}
	s.mu.Lock()
	change := s.alterIDToken
	s.mu.Unlock()
	token := d.newIDToken(out, s.now())
	if change != nil {
		change(&token)
	}
	switch {
	case token.Omit:
	case token.Instead != nil:
		answer["id_token"] = token.Instead
	default:
		answer["id_token"] = token.sign()
	}
}

// newIDToken says about the person what userinfo says. After a refresh there is no
// nonce (section 12.2).
func (d *dialect) newIDToken(out issued, now time.Time) IDToken {
	claims := map[string]any{
		"iss": out.issuer, "aud": out.client, "azp": out.client,
		"iat": now.Unix(), "exp": now.Add(idTokenLifetime).Unix(),
		"at_hash": leftHalf(out.access),
	}
	about, _ := d.userinfo(view{identity: out.who, scopes: out.scopes, now: now, origin: out.issuer}).(map[string]any)
	maps.Copy(claims, about)
	if d.claims != nil {
		maps.Copy(claims, d.claims(out.who))
	}
	if out.nonce != "" {
		claims["nonce"] = out.nonce
	}
	return IDToken{Header: map[string]any{"alg": "RS256", "typ": "JWT", "kid": keyID()}, Claims: claims}
}

// leftHalf is at_hash of an access token (section 3.1.3.6).
func leftHalf(access string) string {
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// sign makes the compact form (RFC 7515 section 7.1).
func (t *IDToken) sign() string {
	text := part(t.Header) + "." + part(t.Claims)
	key := signingKey()
	if t.ForeignKey {
		key = foreignKey()
	}
	switch t.Header["alg"] {
	case "none":
		return text + "."
	case "HS256":
		mac := hmac.New(sha256.New, publicPEM(key))
		mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // a good key and a digest of the right length
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func part(v map[string]any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // what a test put in is no JSON
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// signingKey is made once in a process, and no earlier than it is needed.
var signingKey, foreignKey = sync.OnceValue(newKey), sync.OnceValue(newKey)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// keyID is derived from the key, so that another process has another.
func keyID() string {
	sum := sha256.Sum256(signingKey().N.Bytes())
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

func publicPEM(key *rsa.PrivateKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// keySet is the JWK set of a type that issues ID tokens (RFC 7517, RFC 7518 section
// 6.3.1).
func (s *Server) keySet(w http.ResponseWriter, r *http.Request, d *dialect) {
	if !allowed(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	if !d.openID {
		writeJSON(w, http.StatusNotFound, map[string]string{
			"error": "not_found", "error_description": "This type issues no ID tokens.",
		})
		return
	}
	key := signingKey()
	writeJSON(w, http.StatusOK, map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": keyID(),
		"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
	}}})
}

// metadata is what the type generic says about itself (OpenID Connect Discovery 1.0
// section 3, RFC 8414 section 2, RFC 9207 section 3).
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) {
	at := s.origin(r)
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                         at,
		"authorization_endpoint":                         at + "/generic/authorize",
		"token_endpoint":                                 at + "/generic/token",
		"revocation_endpoint":                            at + "/generic/revoke",
		"userinfo_endpoint":                              at + "/generic/userinfo",
		"jwks_uri":                                       at + "/generic/jwks",
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query", "form_post"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"RS256"},
		"scopes_supported":                               []string{"openid", "profile", "email"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post"},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
	})
}
