package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"patchbay/connect"
)

// verify does what OpenID Connect Core 1.0 section 3.1.3.7 asks for.
func (l *Logins) verify(ctx context.Context, op *openID, app *connect.App, raw, nonce string) (*oidc.IDToken, claimSet, error) {
	signed := &signatures{keys: l.keySets(), address: op.keySet, algorithms: op.algorithms}
	token, err := oidc.NewVerifier(op.issuer, signed, &oidc.Config{
		ClientID: app.Login.ClientID, SupportedSigningAlgs: op.algorithms, Now: l.now,
	}).Verify(ctx, raw)
	switch {
	case signed.noKey != nil:
		return nil, nil, fault("key set", signed.noKey)
	case err != nil:
		return nil, nil, misconfigured(err)
	}
	all, err := readClaims(token)
	if err != nil {
		return nil, nil, misconfigured(err)
	}
	azp, present := all.text("azp")
	switch {
	case token.Nonce != nonce:
		return nil, nil, misconfigured(errors.New("the ID token has another nonce: it was made for another sign-in"))
	case token.Subject == "":
		return nil, nil, misconfigured(errors.New("the ID token has no sub"))
	case len(token.Audience) > 1 && !present, present && azp != app.Login.ClientID:
		return nil, nil, misconfigured(fmt.Errorf("the ID token was issued to another client than %q (azp)", app.Login.ClientID))
	}
	return token, all, nil
}

// signatures checks those of ID tokens with the key sets of this package, which cannot
// be made to fetch one again and again by tokens that name strange keys.
type signatures struct {
	keys       *keySets
	address    string
	algorithms []string
	noKey      error // why there was no key to check with
}

// VerifySignature implements oidc.KeySet.
func (s *signatures) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	var algorithms []jose.SignatureAlgorithm
	for _, alg := range s.algorithms {
		algorithms = append(algorithms, jose.SignatureAlgorithm(alg))
	}
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, err
	}
	head := jws.Signatures[0].Header
	keys, err := s.keys.find(ctx, s.address, header{Alg: jose.SignatureAlgorithm(head.Algorithm), Kid: head.KeyID})
	if err != nil {
		s.noKey = err
		return nil, err
	}
	for _, key := range keys {
		var payload []byte
		if payload, err = jws.Verify(key); err == nil {
			return payload, nil
		}
	}
	return nil, fmt.Errorf("no key of the provider verifies the signature: %w", err)
}

func (l *Logins) keySets() *keySets {
	l.prepare.Do(func() { l.keys.client, l.keys.now = l.HTTP, l.now })
	return &l.keys
}

// claimSet is what an ID token or a userinfo answer says.
type claimSet map[string]json.RawMessage

// readClaims reads what the library has verified. A claim that stands there twice, or in
// bytes that are no text, would be read in two ways.
func readClaims(from interface{ Claims(any) error }) (claimSet, error) {
	var text json.RawMessage
	if err := from.Claims(&text); err != nil {
		return nil, err
	}
	if err := noDuplicates(text); err != nil {
		return nil, err
	}
	if !connect.ValidJSONText(text) {
		return nil, errors.New("the claims are not valid UTF-8")
	}
	var all claimSet
	err := json.Unmarshal(text, &all)
	return all, err
}

// text returns a claim that is a JSON string, and whether the claim is there at all.
func (c claimSet) text(name string) (value string, present bool) {
	raw, present := c[name]
	_ = json.Unmarshal(raw, &value)
	return value, present
}

// user reads who it is. The id must be a text: a number would be written in more than
// one way.
func (c claimSet) user(claim string) (connect.EndUser, error) {
	id, present := c.text(claim)
	switch {
	case !present:
		return connect.EndUser{}, fmt.Errorf("the provider sends no claim %q: set user_claim to one that it sends", claim)
	case !bytes.HasPrefix(c[claim], []byte(`"`)):
		return connect.EndUser{}, fmt.Errorf("the claim %q is no text: set user_claim to one that is", claim)
	case !connect.ValidUserID(id):
		return connect.EndUser{}, fmt.Errorf("the claim %q cannot be a user id: 1 to 255 bytes of UTF-8 without control characters", claim)
	case claim == "email" && !c.emailVerified():
		return connect.EndUser{}, errors.New("the provider has not verified the e-mail address, which user_claim makes the user id")
	}
	user := connect.EndUser{ID: id}
	if name, _ := c.text("name"); (connect.EndUser{ID: id, Name: name}).Validate() == nil {
		user.Name = name
	}
	if email, _ := c.text("email"); c.emailVerified() && (connect.EndUser{ID: id, Email: email}).Validate() == nil {
		user.Email = email
	}
	return user, nil
}

// emailVerified is false where the provider says anything but true. Many leave the
// claim out, and some send it as a text.
func (c claimSet) emailVerified() bool {
	switch string(c["email_verified"]) {
	case "", "true", `"true"`:
		return true
	}
	return false
}

// userInfo adds to the claims what the provider tells at its userinfo endpoint alone,
// as OpenID Connect Core 1.0 section 5.4 has it for the code flow. What the ID token
// says stands. Only a missing user id makes a failure here one of the sign-in.
func (l *Logins) userInfo(ctx context.Context, op *openID, tokens *oauth2.Token, subject, userClaim string, known claimSet) (claimSet, error) {
	missing := false
	for _, name := range []string{userClaim, "name", "email"} {
		_, present := known[name]
		missing = missing || !present
	}
	if !missing || op.UserInfoEndpoint() == "" {
		return known, nil
	}
	_, enough := known[userClaim]
	info, err := op.UserInfo(oidc.ClientContext(ctx, l.caller(true)), oauth2.StaticTokenSource(tokens))
	var told claimSet
	switch {
	case err == nil && info.Subject != subject: // OpenID Connect Core 1.0 section 5.3.2
		return nil, misconfigured(errors.New("the userinfo endpoint tells of another subject than the ID token"))
	case err == nil:
		told, err = readClaims(info)
	}
	if err != nil {
		if enough {
			return known, nil
		}
		return nil, fault("userinfo endpoint", err)
	}
	if _, present := known["email"]; present {
		delete(told, "email_verified") // which would be about the other address
	}
	maps.Copy(told, known)
	return told, nil
}
