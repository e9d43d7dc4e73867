package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay/provider"
	"patchbay/vault"
)

// maxLifetime caps what a provider says about the life of an access token.
const maxLifetime = 90 * 24 * time.Hour

// Tokens is what a provider hands out.
type Tokens struct {
	AccessToken  vault.Secret
	RefreshToken vault.Secret // zero when the answer has none: after a refresh, keep the old one
	TokenType    string       // as answered, "Bearer" spelled so; "" when not named
	ObtainedAt   time.Time
	ExpiresAt    time.Time // zero: does not expire, or unknown
	Scopes       []string  // as granted; nil when the answer names none, which means as asked (RFC 6749 5.1)
	// ConnectionConfig holds what the entry lists under connection_config and the
	// answer or the callback brings; nil when there is nothing.
	ConnectionConfig map[string]string

	// For CheckIDToken, and for nothing after it: an ID token is kept nowhere.
	idToken    vault.Secret
	hasIDToken bool // the answer has the field, whatever is in it
}

// Exchange redeems an authorization code (RFC 6749 4.1.3). callback is the query of
// the callback, for values that some providers send only there. verifier is left out
// where the entry says that PKCE is rejected.
//
// The code is sent once, again only with an older client secret after the provider
// refused the client. The error is an *Error.
func (c *Client) Exchange(ctx context.Context, r Registration, code, verifier vault.Secret, callback url.Values) (Tokens, error) {
	if q, has := quirkOf(r.Entry); has && q.exchange != nil {
		return q.exchange(c, ctx, r, code, callback)
	}
	fields := map[string]string{}
	if err := fillParams(r, r.Entry.Token.Params, fields); err != nil {
		return Tokens{}, &Error{Op: "exchange", Class: ConnectorFault, reason: "a param does not fit", cause: err}
	}
	fields["grant_type"] = "authorization_code"
	fields["code"] = code.Reveal()
	fields["redirect_uri"] = r.RedirectURI
	if r.Entry.UsesPKCE() {
		if verifier.IsZero() {
			return Tokens{}, &Error{Op: "exchange", Class: ProviderFault, reason: "the flow has no PKCE verifier"}
		}
		fields["code_verifier"] = verifier.Reveal()
	}
	if callback == nil {
		callback = url.Values{}
	}
	tokens, err := c.token(ctx, "exchange", r, r.Endpoints.Token, fields, callback)
	if q, has := quirkOf(r.Entry); err == nil && has && q.upgrade != nil {
		return q.upgrade(c, ctx, r, tokens)
	}
	return tokens, err
}

// Refresh trades a refresh token for a new access token (RFC 6749 6). scopes are sent
// only where the entry says so.
//
// An answer without a refresh token leaves RefreshToken zero; the caller keeps the old
// one. After an error with Sent, a provider that rotates may or may not have used the
// refresh token up. The error is an *Error.
func (c *Client) Refresh(ctx context.Context, r Registration, refresh vault.Secret, scopes []string) (Tokens, error) {
	if refresh.IsZero() {
		return Tokens{}, &Error{Op: "refresh", Class: GrantDead, reason: "there is no refresh token"}
	}
	if q, has := quirkOf(r.Entry); has && q.refresh != nil {
		return q.refresh(c, ctx, r, refresh)
	}
	fields := map[string]string{}
	if err := fillParams(r, r.Entry.Token.RefreshParams, fields); err != nil {
		return Tokens{}, &Error{Op: "refresh", Class: ConnectorFault, reason: "a param does not fit", cause: err}
	}
	fields["grant_type"] = "refresh_token"
	fields["refresh_token"] = refresh.Reveal()
	if r.Entry.Token.RefreshRedirect {
		fields["redirect_uri"] = r.RedirectURI
	}
	if r.Entry.Token.RefreshScope && len(scopes) > 0 {
		fields[r.Entry.Scopes.Param] = strings.Join(scopes, r.Entry.Scopes.Separator)
	}
	return c.token(ctx, "refresh", r, r.Endpoints.Refresh, fields, nil)
}

// token posts to the token endpoint and reads the answer. callback is nil when
// refreshing.
func (c *Client) token(ctx context.Context, op string, r Registration, address string, fields map[string]string, callback url.Values) (Tokens, error) {
	if address == "" {
		return Tokens{}, &Error{Op: op, Class: ConnectorFault, reason: "the connector has no address for this; endpoints.refresh can name one"}
	}
	e, style := r.Entry, clientStyle(r)
	address, err := provider.AddQuery(address, e.Token.Query)
	if err != nil {
		return Tokens{}, &Error{Op: op, Class: ConnectorFault, reason: "the token address is not valid"}
	}
	if style == "none" {
		fields[e.Client.IDParam] = r.ClientID
	}
	var tokens Tokens
	err = c.withClient(op, r, style, func(secret vault.Secret) error {
		header := headers(e.Token.Headers)
		authenticate(r, style, secret, header, fields)
		for _, name := range e.Token.Omit {
			if name == "client_id" {
				name = e.Client.IDParam
			}
			delete(fields, name)
		}
		a, err := c.send(ctx, call{op, "POST", address, header, encode(e.Token.Body, fields, header)})
		if err != nil {
			return err
		}
		tokens, err = c.tokensOf(op, r, a, callback)
		return err
	})
	if err != nil {
		return Tokens{}, err
	}
	return tokens, nil
}

// tokensOf reads what a token endpoint answered. callback is nil when refreshing.
func (c *Client) tokensOf(op string, r Registration, a answer, callback url.Values) (Tokens, error) {
	if code, bad := errorIn(r.Entry, a.value); bad || !a.ok() {
		return Tokens{}, a.failed(op, r.Entry, code)
	}
	tokens, reason := readTokens(r.Entry, r.Params, a.value, c.now(), callback)
	if reason != nil {
		return Tokens{}, &Error{Op: op, Class: ProviderFault, Status: a.status, Sent: true, cause: reason}
	}
	return tokens, nil
}

// readTokens reads a token answer (RFC 6749 5.1).
func readTokens(e *provider.Entry, params map[string]string, value any, now time.Time, callback url.Values) (Tokens, error) {
	if value == nil {
		return Tokens{}, errors.New("the answer is neither JSON nor a form, or malformed")
	}
	place := tokenPlace(e, value)
	if place == nil {
		return Tokens{}, errors.New("the answer holds no access token of the expected type")
	}
	t := Tokens{
		AccessToken:  vault.NewSecret(text(place["access_token"])),
		RefreshToken: vault.NewSecret(text(place["refresh_token"])),
		TokenType:    strings.TrimSpace(text(place["token_type"])),
		ObtainedAt:   now,
		Scopes:       readScopes(place[e.Token.ScopeAt]),
	}
	if found := place["id_token"]; found != nil {
		token, _ := found.(string)
		t.idToken, t.hasIDToken = vault.NewSecret(token), true
	}
	if !printable(t.AccessToken.Reveal()) || !printable(t.RefreshToken.Reveal()) {
		return Tokens{}, errors.New("a token in the answer has characters that no token has")
	}
	if strings.EqualFold(t.TokenType, "bearer") {
		t.TokenType = "Bearer"
	}
	lifetime := readLifetime(place["expires_in"], now)
	if at, err := time.Parse(time.RFC3339, text(place[e.Token.ExpiresAt])); err == nil && lifetime == 0 {
		lifetime = min(max(at.Sub(now), time.Second), maxLifetime)
	}
	if lifetime == 0 {
		lifetime = e.Token.Lifetime
	}
	if lifetime > 0 {
		t.ExpiresAt = now.Add(lifetime)
	}
	var err error
	t.ConnectionConfig, err = readConfig(e, callback != nil, func(v *provider.ConfigValue) string {
		switch v.From {
		case "callback":
			if all := callback[v.At]; len(all) == 1 {
				return all[0]
			}
			return ""
		case "param":
			return filled(e, params)[v.At]
		case "id_token":
			token, err := parseIDToken(t.idToken.Reveal(), e.OpenID.Algs)
			if err != nil {
				return ""
			}
			return token.text(v.At)
		default:
			return text(lookup(value, v.At))
		}
	}, "answer", "callback", "param", "id_token")
	return t, err
}

// filled returns the params with their defaults.
func filled(e *provider.Entry, params map[string]string) map[string]string {
	values, err := e.ParamValues(params)
	if err != nil {
		return nil
	}
	return values
}

// tokenPlace returns the first object that may hold the token and does.
func tokenPlace(e *provider.Entry, value any) map[string]any {
	for _, path := range e.Token.At {
		place, ok := lookup(value, path).(map[string]any)
		if !ok {
			continue
		}
		token, _ := place["access_token"].(string)
		kind := strings.ToLower(strings.TrimSpace(text(place["token_type"])))
		if token != "" && (kind == "" || slices.ContainsFunc(e.Token.Types, func(t string) bool { return strings.EqualFold(t, kind) })) {
			return place
		}
	}
	return nil
}

// printable reports whether a token is made of the characters of RFC 6749 A.12 and
// A.17, so that it fits into a header.
func printable(token string) bool {
	return strings.TrimSpace(token) == token && !strings.ContainsFunc(token, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// readScopes reads a scope field: text with spaces or commas, or a list. An empty text
// names no scopes and is different from no text.
func readScopes(value any) []string {
	var names []string
	switch v := value.(type) {
	case string:
		names = strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
	case []any:
		for _, item := range v {
			names = append(names, text(item))
		}
	default:
		return nil
	}
	scopes := []string{}
	for _, name := range names {
		if name != "" && !slices.Contains(scopes, name) {
			scopes = append(scopes, name)
		}
	}
	return scopes
}

// readLifetime reads expires_in, in seconds, as a number or text. What is absent or
// absurd is 0; what is long is cut to 90 days. A number that is no life of any token
// but a point in time after 2001 is one (Typeform has documented it so).
func readLifetime(value any, now time.Time) time.Duration {
	switch value.(type) {
	case string, json.Number:
	default:
		return 0
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(text(value)), 64)
	switch {
	case seconds > 1e9 && seconds < 1e11:
		return min(max(time.Unix(int64(seconds), 0).Sub(now), 0), maxLifetime)
	case math.IsNaN(seconds) || err != nil && !math.IsInf(seconds, 1) || seconds <= 0:
		return 0
	case seconds >= maxLifetime.Seconds():
		return maxLifetime
	}
	return time.Duration(seconds * float64(time.Second))
}

// readConfig collects the values of connection_config that come from one of these
// places. A value that the entry does not accept is as if it were not there; one that
// is required is demanded of a new grant, not of a refresh.
func readConfig(e *provider.Entry, fresh bool, read func(*provider.ConfigValue) string, from ...string) (map[string]string, error) {
	var config map[string]string
	for i := range e.ConnectionConfig {
		v := &e.ConnectionConfig[i]
		if !slices.Contains(from, v.From) {
			continue
		}
		found := read(v)
		if found == "" || len(found) > 4096 || !v.Accepts(found) {
			if v.Required && fresh {
				return nil, errors.New("the answer does not bring a usable " + v.Name)
			}
			if found = v.Default; found == "" || !fresh {
				continue
			}
		}
		if config == nil {
			config = map[string]string{}
		}
		config[v.Name] = found
	}
	return config, nil
}
