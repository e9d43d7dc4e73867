package session

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"patchbay/connect"
)

const (
	maxTokenLen = 16 << 10
	leeway      = time.Minute
)

// UserTokens checks the JWTs (RFC 7519, RFC 8725) that an app gives its own users.
type UserTokens struct {
	keys keySets
	now  func() time.Time

	mu       sync.Mutex
	verified map[[sha256.Size]byte]verified
}

// verified is a token that was found good. The same one comes with every call of a back
// end for a user, and its signature does not change.
type verified struct {
	app     *connect.App // as it was applied: another apply is another value
	user    connect.EndUser
	expires time.Time
	until   time.Time // then it is looked at again, with the keys of that time
}

const (
	verifiedFor  = 30 * time.Second
	verifiedMost = 10_000
)

// known returns the user of a token that was verified a moment ago.
func (u *UserTokens) known(app *connect.App, hash [sha256.Size]byte) (connect.EndUser, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	v, ok := u.verified[hash]
	now := u.now()
	return v.user, ok && v.app == app && now.Before(v.until) && now.Before(v.expires)
}

func (u *UserTokens) remember(hash [sha256.Size]byte, v verified) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.verified == nil || len(u.verified) >= verifiedMost {
		u.verified = make(map[[sha256.Size]byte]verified)
	}
	u.verified[hash] = v
}

// NewUserTokens returns a checker that fetches key sets with client, which must
// refuse addresses inside the network. now is the clock; nil is time.Now.
func NewUserTokens(client *http.Client, now func() time.Time) *UserTokens {
	if now == nil {
		now = time.Now
	}
	return &UserTokens{keys: keySets{client: client, now: now}, now: now}
}

type userClaims struct {
	jwt.Claims
	Name   string          `json:"name"`
	Email  string          `json:"email"`
	Nonce  json.RawMessage `json:"nonce"`
	AtHash json.RawMessage `json:"at_hash"`
}

// Verify returns the user that the token names. Its errors are for the log: a caller
// learns only that the token is not good.
func (u *UserTokens) Verify(ctx context.Context, app *connect.App, token string) (connect.EndUser, error) {
	if len(token) > maxTokenLen {
		return connect.EndUser{}, errors.New("the token is longer than 16 KB")
	}
	hash := sha256.Sum256([]byte(token))
	if user, ok := u.known(app, hash); ok {
		return user, nil
	}
	head, err := readHeader(token)
	if err != nil {
		return connect.EndUser{}, err
	}
	keys, err := u.candidates(ctx, app, head)
	if err != nil {
		return connect.EndUser{}, err
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{head.Alg})
	if err != nil {
		return connect.EndUser{}, fmt.Errorf("the token is not a signed JWT: %w", err)
	}
	for _, key := range keys {
		var c userClaims
		var raw json.RawMessage
		if err = parsed.Claims(key, &raw, &c); err == nil {
			user, err := u.check(app, &c, raw)
			if err == nil {
				u.remember(hash, verified{app, user, c.Expiry.Time(), u.now().Add(verifiedFor)})
			}
			return user, err
		}
	}
	return connect.EndUser{}, errors.Join(errors.New("no key of the app verifies the signature"), err)
}

func (u *UserTokens) check(app *connect.App, c *userClaims, raw []byte) (connect.EndUser, error) {
	audience := app.UserTokens.Audience
	if audience == "" {
		audience = app.ID
	}
	want := jwt.Expected{Issuer: app.UserTokens.Issuer, AnyAudience: jwt.Audience{audience}, Time: u.now()}
	switch {
	case c.Expiry == nil:
		return connect.EndUser{}, errors.New("the token has no exp")
	case c.Nonce != nil || c.AtHash != nil:
		return connect.EndUser{}, errors.New("the token is an ID token (nonce, at_hash), which is for the client it was issued to")
	}
	if err := noDuplicates(raw); err != nil {
		return connect.EndUser{}, err
	}
	if !connect.ValidJSONText(raw) {
		return connect.EndUser{}, errors.New("the token's claims are not valid UTF-8")
	}
	if err := c.ValidateWithLeeway(want, leeway); err != nil {
		return connect.EndUser{}, err
	}
	user := connect.EndUser{ID: c.Subject, Name: c.Name, Email: c.Email}
	return user, user.Validate()
}

// header is the part of a JOSE header that a user token may have.
type header struct {
	Alg jose.SignatureAlgorithm `json:"alg"`
	Kid string                  `json:"kid"`
}

// readHeader refuses what would let a token bring its own key or rules: jku, x5u,
// jwk, x5c, crit (RFC 8725 section 3.10).
func readHeader(token string) (header, error) {
	var h header
	first, rest, _ := strings.Cut(token, ".")
	if strings.Count(rest, ".") != 1 {
		return h, errors.New("the token is not a compact JWS")
	}
	raw, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		return h, errors.New("the token's header is not base64url")
	}
	if err := noDuplicates(raw); err != nil {
		return h, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return h, errors.New("the token's header is not a JSON object")
	}
	for _, name := range []string{"jku", "x5u", "jwk", "x5c", "crit", "b64", "zip", "enc"} {
		if _, ok := all[name]; ok {
			return h, fmt.Errorf("the token's header has %s", name)
		}
	}
	return h, json.Unmarshal(raw, &h)
}

// candidates are the keys that may have signed the token, each of a kind that its
// algorithm fits: a key decides what may be verified with it, never the token.
func (u *UserTokens) candidates(ctx context.Context, app *connect.App, h header) ([]any, error) {
	t := app.UserTokens
	switch {
	case !t.HS256Secret.IsZero():
		if h.Alg != jose.HS256 {
			return nil, fmt.Errorf("algorithm %q: this app's tokens are HS256", h.Alg)
		}
		return []any{[]byte(t.HS256Secret.Reveal())}, nil
	case t.PublicKey != "":
		key, err := publicKey(t.PublicKey)
		if err != nil {
			return nil, err
		}
		if !fits(key, h.Alg) {
			return nil, fmt.Errorf("algorithm %q does not fit the app's key", h.Alg)
		}
		return []any{key}, nil
	case t.JWKSURL != "":
		return u.keys.find(ctx, t.JWKSURL, h)
	}
	return nil, errors.New("the app has no key for user tokens")
}

func fits(key crypto.PublicKey, alg jose.SignatureAlgorithm) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return (alg == jose.RS256 || alg == jose.PS256) && k.N.BitLen() >= 2048
	case *ecdsa.PublicKey:
		return alg == jose.ES256 && k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return alg == jose.EdDSA
	}
	return false
}

func publicKey(text string) (crypto.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the app's public_key is not PEM")
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}

// noDuplicates refuses a JSON text in which an object names a field twice: two readers
// of it could see two different users.
func noDuplicates(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	type object struct {
		names map[string]bool // nil: an array
		value bool            // the next token is a value
	}
	var open []*object
	for {
		tok, err := d.Token()
		if err != nil {
			if len(open) == 0 && d.InputOffset() > 0 {
				return nil
			}
			return errors.New("the token is not JSON")
		}
		var in *object
		if len(open) > 0 {
			in = open[len(open)-1]
		}
		if in != nil && in.names != nil && !in.value {
			if name, ok := tok.(string); ok {
				if in.names[name] {
					return fmt.Errorf("the token names the field %q twice", name)
				}
				in.names[name], in.value = true, true
				continue
			}
		}
		if in != nil {
			in.value = false
		}
		switch tok {
		case json.Delim('{'):
			open = append(open, &object{names: map[string]bool{}})
		case json.Delim('['):
			open = append(open, &object{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
		if len(open) > 32 {
			return errors.New("the token nests too deep")
		}
	}
}
