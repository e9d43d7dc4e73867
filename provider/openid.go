package provider

import (
	"fmt"
	"slices"
	"strings"
)

// idTokenAlgs are the algorithms (RFC 7518 3.1, RFC 8037) that an entry may list for ID
// tokens. "none" is no signature, and is not among them.
var idTokenAlgs = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
	"HS256", // with the client secret as key (OpenID Connect Core 10.1)
}

// TenantClaim stands in an issuer for the claim tid of the token at hand.
const TenantClaim = "{claim.tid}"

// IDTokens says how the ID tokens of one connector are judged.
type IDTokens struct {
	Issuers  []string // what iss may be; [TenantClaim] may stand in one
	JWKSURL  string   // the key set of whoever issues them; "": none is known
	Algs     []string // what alg may be
	Required bool     // an answer without an ID token is refused
}

// IDTokenAsked reports whether a request for these scopes asks for an ID token that
// the entry knows how to judge.
func (e *Entry) IDTokenAsked(scopes []string) bool {
	return e.OpenID.Issuer != "" && slices.ContainsFunc(scopes, func(s string) bool { return e.canonical(s) == "openid" })
}

// IDTokens returns how ID tokens are judged under the overrides. An ID token is the
// word of whoever runs the token endpoint, so what counts is where that is
// (docs/decisions/0008 has the reasons).
//
// At the origin of the catalogue: the catalogue's issuers and key set. At another: the
// catalogue's key set is of another provider and judges nothing; with Authorize
// overridden too, the issuer is that address's origin, as for the iss of a callback;
// and an ID token may be missing, since what stands there may speak OAuth 2.0 only.
// Wherever it is, an overridden Issuer is the only one, and demands an ID token.
func (e *Entry) IDTokens(params map[string]string, over Endpoints) (IDTokens, error) {
	values, err := e.ParamValues(params)
	if err != nil {
		return IDTokens{}, err
	}
	own, err := e.own(values)
	if err != nil {
		return IDTokens{}, err
	}
	issuer, err := fillAddress(strings.ReplaceAll(e.OpenID.Issuer, TenantClaim, "tid"), values)
	if err != nil {
		return IDTokens{}, fmt.Errorf("the issuer of %s: %w", e.Type, err)
	}
	if strings.Contains(e.OpenID.Issuer, TenantClaim) {
		issuer = e.OpenID.Issuer
	}
	moved := over.moves(own)
	rules := IDTokens{Algs: e.OpenID.Algs, Required: !moved || over.Issuer != ""}
	switch {
	case over.Issuer != "":
		rules.Issuers = []string{over.Issuer}
	case moved && over.Authorize != "":
		rules.Issuers = []string{origin(over.Authorize)}
	default:
		rules.Issuers = append([]string{issuer}, e.OpenID.Issuers...)
	}
	if e.OpenID.JWKSURL != "" && !moved {
		if rules.JWKSURL, err = fillAddress(e.OpenID.JWKSURL, values); err != nil {
			return IDTokens{}, fmt.Errorf("the jwks_url of %s: %w", e.Type, err)
		}
	}
	return rules, nil
}

func (f *file) checkOpenID() {
	if f.nodes["openid"] == nil {
		return
	}
	o := &f.entry.OpenID
	if f.present("openid.issuer", o.Issuer) {
		f.checkAddress("openid.issuer", strings.ReplaceAll(o.Issuer, TenantClaim, "tid"))
		if strings.Contains(o.Issuer, TenantClaim) && len(placeholders(strings.ReplaceAll(o.Issuer, TenantClaim, ""))) > 0 {
			f.problem("openid.issuer", "%s and a param do not go together", TenantClaim)
		}
	}
	for i, issuer := range o.Issuers {
		f.present(index("openid.issuers", i), issuer)
	}
	f.checkAddress("openid.jwks_url", o.JWKSURL)
	if len(o.Algs) == 0 {
		f.problem("openid.algs", "must not be empty")
	}
	for i, alg := range o.Algs {
		f.require(index("openid.algs", i), alg, idTokenAlgs...)
	}
}

// IDTokenOptional reports whether a grant without an ID token is nothing to complain
// about, because what issues the tokens is not the provider of the catalogue.
func (e *Entry) IDTokenOptional(params map[string]string, over Endpoints) bool {
	rules, err := e.IDTokens(params, over)
	return err == nil && !rules.Required
}
