package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"patchbay/provider"
)

// idTokenLeeway is how far the provider's clock may be from ours.
const idTokenLeeway = time.Minute

// CheckIDToken judges the ID token that came with t (OpenID Connect Core 3.1.3.7). It
// must be for the flow that asked for scopes and sent nonce, and about the person whom
// account is of (5.3.2). When the flow asked for none, there is nothing to judge,
// whatever the answer holds. [provider.Entry.IDTokens] says whether it may be missing,
// who may have issued it, and with whose keys.
//
// The error is an *Error that does not repeat the token: [ProviderFault] for a token
// that is refused, else the reason why the provider's keys could not be had.
func (c *Client) CheckIDToken(ctx context.Context, r Registration, t Tokens, account Account, scopes []string, nonce string) error {
	if !r.Entry.IDTokenAsked(scopes) {
		return nil
	}
	rules, err := r.Entry.IDTokens(r.Params, r.Overrides)
	if err != nil {
		return &Error{Op: "id_token", Class: ConnectorFault, reason: "a param does not fit", cause: err}
	}
	if !t.hasIDToken {
		if rules.Required {
			return refusedIDToken(errors.New("the scope openid was asked and the answer holds none"))
		}
		return nil
	}
	token, err := parseIDToken(t.idToken.Reveal(), rules.Algs)
	if err != nil {
		return refusedIDToken(err)
	}
	// The signature comes last, so that only a token which is good otherwise makes us
	// fetch keys.
	for _, err := range []error{
		token.checkParties(rules.Issuers, r.ClientID),
		token.checkTimes(c.now()),
		token.checkBinding(nonce, t.AccessToken.Reveal()),
		token.checkSubject(r.Entry, account),
	} {
		if err != nil {
			return refusedIDToken(err)
		}
	}
	return c.checkSignature(ctx, r, rules, token)
}

func refusedIDToken(why error) *Error {
	return &Error{Op: "id_token", Class: ProviderFault, Sent: true, reason: "the ID token is refused", cause: why}
}

// checkParties is items 2 to 5: who issued the token, and to which client.
func (k *idToken) checkParties(issuers []string, clientID string) error {
	iss, audience := k.text("iss"), k.audience()
	azp, hasAZP := k.claims["azp"]
	switch {
	case iss == "" || !slices.ContainsFunc(issuers, func(want string) bool { return k.named(want) == iss }):
		return fmt.Errorf("its iss is not %s", strings.Join(issuers, " or "))
	case clientID == "" || !slices.Contains(audience, clientID):
		return errors.New("its aud does not name this client")
	case len(audience) > 1 && !hasAZP, hasAZP && azp != clientID:
		return errors.New("its azp does not name this client")
	}
	return nil
}

var tenantID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// named is an expected issuer with the tenant that the token names in the place where
// the entry has one; "" when it names none.
func (k *idToken) named(issuer string) string {
	if !strings.Contains(issuer, provider.TenantClaim) {
		return issuer
	}
	tid := k.text("tid")
	if !tenantID.MatchString(tid) {
		return ""
	}
	return strings.ReplaceAll(issuer, provider.TenantClaim, tid)
}

// accountClaims returns the claims of the ID token that came with t, for an entry that
// reads the account from it. It is for this client and alive; where the entry knows
// the issuer, [Client.CheckIDToken] says the rest.
func (c *Client) accountClaims(r Registration, t Tokens) (any, error) {
	if !t.hasIDToken {
		return nil, refusedIDToken(errors.New("the account is read from it and the answer holds none"))
	}
	token, err := parseIDToken(t.idToken.Reveal(), r.Entry.OpenID.Algs)
	if err != nil {
		return nil, refusedIDToken(err)
	}
	if r.ClientID == "" || !slices.Contains(token.audience(), r.ClientID) {
		return nil, refusedIDToken(errors.New("its aud does not name this client"))
	}
	if err := token.checkTimes(c.now()); err != nil {
		return nil, refusedIDToken(err)
	}
	return map[string]any(token.claims), nil
}

// checkTimes is items 9 and 10, and nbf (RFC 7519 4.1.5).
func (k *idToken) checkTimes(now time.Time) error {
	exp, hasExp := instant(k.claims["exp"])
	iat, hasIat := instant(k.claims["iat"])
	switch {
	case !hasExp, !hasIat:
		return errors.New("it does not say when it was issued and when it expires (iat, exp)")
	case !now.Before(exp.Add(idTokenLeeway)):
		return errors.New("it has expired")
	case now.Add(idTokenLeeway).Before(iat):
		return errors.New("its iat lies in the future")
	}
	if value, has := k.claims["nbf"]; has {
		nbf, ok := instant(value)
		if !ok || now.Add(idTokenLeeway).Before(nbf) {
			return errors.New("its nbf lies in the future, or is no time")
		}
	}
	return nil
}

// checkBinding is item 11 and 3.1.3.8: the token is of this flow and goes with this
// access token.
func (k *idToken) checkBinding(nonce, accessToken string) error {
	if nonce == "" || k.text("nonce") != nonce {
		return errors.New("its nonce is not the one of this flow")
	}
	if _, has := k.claims["at_hash"]; has && k.text("at_hash") != k.leftHalf(accessToken) {
		return errors.New("its at_hash does not fit the access token")
	}
	return nil
}

// checkSubject requires a sub and, where the account's id is the sub of the userinfo
// answer, that the two are equal.
func (k *idToken) checkSubject(e *provider.Entry, account Account) error {
	sub := k.text("sub")
	switch {
	case sub == "" || len(sub) > 255:
		return errors.New("it does not say whom it is about (sub)")
	case account.ID != "" && slices.Equal(e.Account.ID, []string{"{sub}"}) && account.ID != sub:
		return errors.New("its sub is another account than the userinfo endpoint names")
	}
	return nil
}

// checkSignature is items 6 to 8. Where no key set is known to be of whoever runs the
// token endpoint, the endpoint's certificate vouches for the token, as item 6 allows
// for one that came from there and not through the browser.
func (c *Client) checkSignature(ctx context.Context, r Registration, rules provider.IDTokens, k *idToken) error {
	if k.alg == jose.HS256 {
		for _, secret := range r.ClientSecrets {
			if !secret.IsZero() && k.signedWith([]byte(secret.Reveal())) {
				return nil
			}
		}
		return refusedIDToken(errors.New("its signature is not made with the client secret"))
	}
	if rules.JWKSURL == "" {
		return nil
	}
	if kept := c.keys.get(rules.JWKSURL, c.now()); k.signedByOne(kept) {
		return nil
	}
	// There is no set yet, it is old, or the provider has changed its keys.
	fresh, err := c.fetchKeys(ctx, r.Entry, rules.JWKSURL)
	if err != nil {
		return err
	}
	c.keys.put(rules.JWKSURL, fresh, c.now())
	if !k.signedByOne(fresh) {
		return refusedIDToken(errors.New("its signature fits no key of the provider"))
	}
	return nil
}

// audience returns the values of aud, nil if it is neither text nor a list of texts.
func (k *idToken) audience() []string {
	switch aud := k.claims["aud"].(type) {
	case string:
		return []string{aud}
	case []any:
		var all []string
		for _, item := range aud {
			name, ok := item.(string)
			if !ok {
				return nil
			}
			all = append(all, name)
		}
		return all
	}
	return nil
}

// instant reads a NumericDate (RFC 7519 2).
func instant(value any) (time.Time, bool) {
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := number.Float64()
	if err != nil || seconds <= 0 || seconds > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}
