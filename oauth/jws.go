package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // for signatureHash
	_ "crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
)

// maxIDToken is the longest ID token that is read, in bytes.
const maxIDToken = 64 << 10

// idToken is an ID token as it was read. Nothing in it is to be believed before
// CheckIDToken is through.
type idToken struct {
	compact string // the JWS (RFC 7515 7.1)
	alg     jose.SignatureAlgorithm
	kid     string // "" when the header names no key
	claims  map[string]any
}

// parseIDToken reads a token whose algorithm is one of algs. It refuses a header that
// brings its own key, or rules that we do not know (RFC 8725 3.10, RFC 7515 4.1.11).
// The errors do not repeat the token.
func parseIDToken(compact string, algs []string) (*idToken, error) {
	if len(compact) > maxIDToken || !printable(compact) {
		return nil, errors.New("it is too long, or has characters that no token has")
	}
	parts := strings.Split(compact, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return nil, errors.New("it is not a signed JWT in three parts")
	}
	header, err := objectIn(parts[0])
	if err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	for _, name := range []string{"crit", "b64", "jku", "jwk", "x5u", "x5c"} {
		if _, has := header[name]; has {
			return nil, errors.New("its header has " + name)
		}
	}
	alg, _ := header["alg"].(string)
	if _, known := signatureHash[jose.SignatureAlgorithm(alg)]; !known || !slices.Contains(algs, alg) {
		return nil, fmt.Errorf("its algorithm is not %s", strings.Join(algs, " or "))
	}
	kid, isText := header["kid"].(string)
	if header["kid"] != nil && !isText {
		return nil, errors.New("its kid is not text")
	}
	claims, err := objectIn(parts[1])
	if err != nil {
		return nil, fmt.Errorf("its claims: %w", err)
	}
	return &idToken{compact, jose.SignatureAlgorithm(alg), kid, claims}, nil
}

// objectIn decodes one part of a JWS. A name that is there twice is an error, for two
// readers may take different values.
func objectIn(part string) (map[string]any, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || !utf8.Valid(raw) {
		return nil, errors.New("not base64url of UTF-8")
	}
	value, err := parseJSON(raw)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	return object, nil
}

// text returns a claim that is text, else "".
func (k *idToken) text(claim string) string {
	value, _ := k.claims[claim].(string)
	return value
}

// signatureHash is the hash inside each algorithm that is understood (RFC 7518 3.1,
// RFC 8032 5.1). No other one is accepted, whatever a list says.
var signatureHash = map[jose.SignatureAlgorithm]crypto.Hash{
	jose.RS256: crypto.SHA256, jose.RS384: crypto.SHA384, jose.RS512: crypto.SHA512,
	jose.PS256: crypto.SHA256, jose.PS384: crypto.SHA384, jose.PS512: crypto.SHA512,
	jose.ES256: crypto.SHA256, jose.ES384: crypto.SHA384, jose.ES512: crypto.SHA512,
	jose.EdDSA: crypto.SHA512, jose.HS256: crypto.SHA256,
}

// leftHalf hashes a value with the token's own hash and keeps the left half
// (OpenID Connect Core 3.1.3.6).
func (k *idToken) leftHalf(value string) string {
	h := signatureHash[k.alg].New()
	h.Write([]byte(value))
	sum := h.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// signedByOne reports whether a key of the set verifies the token: the one that its
// header names, or any if it names none.
func (k *idToken) signedByOne(keys []jose.JSONWebKey) bool {
	return slices.ContainsFunc(keys, func(key jose.JSONWebKey) bool {
		return (k.kid == "" || key.KeyID == k.kid) && (key.Algorithm == "" || key.Algorithm == string(k.alg)) &&
			fits(key.Key, k.alg) && k.signedWith(key.Key)
	})
}

func (k *idToken) signedWith(key any) bool {
	jws, err := jose.ParseSignedCompact(k.compact, []jose.SignatureAlgorithm{k.alg})
	if err != nil {
		return false
	}
	_, err = jws.Verify(key)
	return err == nil
}

// fits reports whether a public key is of the kind that an algorithm is for. The key
// decides what is verified with it, never the token.
func fits(key any, alg jose.SignatureAlgorithm) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return (strings.HasPrefix(string(alg), "RS") || strings.HasPrefix(string(alg), "PS")) && key.N.BitLen() >= 2048
	case *ecdsa.PublicKey:
		bits := map[jose.SignatureAlgorithm]int{jose.ES256: 256, jose.ES384: 384, jose.ES512: 521}
		return key.Params().BitSize == bits[alg]
	case ed25519.PublicKey:
		return alg == jose.EdDSA
	}
	return false
}
