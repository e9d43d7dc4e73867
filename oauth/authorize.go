package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// AuthorizeRequest is what differs from one authorization request to the next.
type AuthorizeRequest struct {
	State  string
	Scopes []string
	// Verifier is from [NewVerifier]; its S256 challenge is sent (RFC 7636). Required
	// unless the entry says that the provider rejects PKCE, and ignored then.
	Verifier string
	// Nonce is from [NewNonce]; the ID token has to repeat it (OpenID Connect Core
	// 3.1.2.1). Required where the scopes ask for one, and ignored elsewhere.
	Nonce         string
	SelectAccount bool // bring up the provider's account chooser
}

// NewVerifier returns a PKCE verifier: 256 random bits as 43 characters (RFC 7636 4.1).
func NewVerifier() string { return random256() }

// NewNonce returns a nonce for an ID token: 256 random bits as 43 characters.
func NewNonce() string { return random256() }

func random256() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// AuthorizeURL returns the address that the browser is sent to (RFC 6749 4.1.1). It
// never holds a secret. The error means that something the request needs is missing;
// there is no request without state, none without PKCE unless the entry says so, and
// none for an ID token without a nonce.
func (c *Client) AuthorizeURL(r Registration, q AuthorizeRequest) (string, error) {
	u, err := url.Parse(r.Endpoints.Authorize)
	if err != nil || u.Host == "" {
		return "", errors.New("the connector has no valid authorize address")
	}
	if r.ClientID == "" || r.RedirectURI == "" || q.State == "" {
		return "", errors.New("an authorization request needs a client id, a redirect URI and a state")
	}
	e := r.Entry
	params := map[string]string{}
	if err := fillParams(r, e.Authorize.Params, params); err != nil {
		return "", err
	}
	if q.SelectAccount {
		if err := fillParams(r, e.Authorize.SelectAccountParams, params); err != nil {
			return "", err
		}
	}
	if quirk, has := quirkOf(e); has && quirk.authorize != nil {
		if err := quirk.authorize(r, q, params); err != nil {
			return "", err
		}
		return withParams(u, params), nil
	}
	params["response_type"] = "code"
	params[e.Client.IDParam] = r.ClientID
	params["redirect_uri"] = r.RedirectURI
	params["state"] = q.State
	if len(q.Scopes) > 0 && !e.Scopes.Fixed {
		params[e.Scopes.Param] = strings.Join(q.Scopes, e.Scopes.Separator)
	}
	if e.UsesPKCE() {
		if len(q.Verifier) < 43 || len(q.Verifier) > 128 {
			return "", fmt.Errorf("%s needs a PKCE verifier of 43 to 128 characters", e.Type)
		}
		digest := sha256.Sum256([]byte(q.Verifier))
		params["code_challenge"] = base64.RawURLEncoding.EncodeToString(digest[:])
		params["code_challenge_method"] = "S256"
	}
	if e.IDTokenAsked(q.Scopes) {
		if len(q.Nonce) < 43 {
			return "", fmt.Errorf("%s needs a nonce of 43 characters for its ID token", e.Type)
		}
		params["nonce"] = q.Nonce
	}
	return withParams(u, params), nil
}

// withParams adds parameters to an address, which may have some by an override.
func withParams(u *url.URL, params map[string]string) string {
	query := u.Query()
	for name, value := range params {
		query.Set(name, value)
	}
	// %20 is understood by everyone, + for a space is not.
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	return u.String()
}
