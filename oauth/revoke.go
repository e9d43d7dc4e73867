package oauth

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"patchbay/provider"
	"patchbay/vault"
)

// Revoked is what became of a grant at the provider.
type Revoked string

// The outcomes.
const (
	RevokedYes         Revoked = "yes"         // the provider said so, or that it was dead already
	RevokedNo          Revoked = "no"          // it refused
	RevokedUnsupported Revoked = "unsupported" // it has no way, or there is nothing to revoke
	RevokedUnknown     Revoked = "unknown"     // no clear answer
)

// Revoke ends a grant at the provider, in the way that the entry describes.
// Where entry.Revoke.TakesSiblings, more than this grant dies with it.
func (c *Client) Revoke(ctx context.Context, r Registration, t Tokens) Revoked {
	outcome, _ := c.RevokeDetail(ctx, r, t)
	return outcome
}

// RevokeDetail is Revoke with the cause of "no" and "unknown", an *Error for the log.
func (c *Client) RevokeDetail(ctx context.Context, r Registration, t Tokens) (Revoked, error) {
	how := &r.Entry.Revoke
	token := t.AccessToken
	if how.Token == "refresh" && !t.RefreshToken.IsZero() {
		token = t.RefreshToken
	}
	if how.Style == "none" || r.Endpoints.Revoke == "" || token.IsZero() {
		return RevokedUnsupported, nil
	}
	outcome := RevokedUnknown
	style := revokeStyle(r)
	err := c.withClient("revoke", r, style, func(secret vault.Secret) error {
		var err error
		outcome, err = c.revokeOnce(ctx, r, t, token, secret, style)
		return err
	})
	if outcome == RevokedYes && how.Unproven {
		outcome = RevokedUnknown
	}
	return outcome, err
}

// revokeStyle is how the client proves itself: as Auth says, "filled" when the secret
// stands in a header or a field, "none" for a client that has no secret.
func revokeStyle(r Registration) string {
	how := &r.Entry.Revoke
	if r.secretless() {
		return "none"
	}
	for _, values := range []map[string]string{how.Fields, how.Headers} {
		for _, value := range values {
			if strings.Contains(value, "{client_secret}") {
				return "filled"
			}
		}
	}
	return how.Auth
}

func (c *Client) revokeOnce(ctx context.Context, r Registration, t Tokens, token, secret vault.Secret, style string) (Revoked, error) {
	how := &r.Entry.Revoke
	fill := []string{"{token}", token.Reveal(), "{client_id}", r.ClientID, "{client_secret}", secret.Reveal()}
	for name, value := range t.ConnectionConfig {
		fill = append(fill, "{config."+name+"}", value)
	}
	filler := strings.NewReplacer(fill...)
	header, fields := http.Header{}, map[string]string{}
	for name, value := range how.Headers {
		header.Set(name, filler.Replace(value))
	}
	for name, value := range how.Fields {
		if fields[name] = filler.Replace(value); strings.Contains(fields[name], "{config.") {
			return RevokedUnknown, &Error{Op: "revoke", Class: ProviderFault, reason: "the connection lacks what the provider wants to know it by"}
		}
	}
	if r.secretless() && (how.Auth == "basic" || how.Auth == "post") {
		fields[r.Entry.Client.IDParam] = r.ClientID
	} else {
		authenticate(r, how.Auth, secret, header, fields)
	}
	if how.Auth == "bearer" {
		header.Set("Authorization", "Bearer "+token.Reveal())
	}
	address, err := provider.FillConfig(strings.ReplaceAll(r.Endpoints.Revoke, "{client_id}", url.PathEscape(r.ClientID)), t.ConnectionConfig)
	if err != nil {
		return RevokedUnknown, &Error{Op: "revoke", Class: ProviderFault, cause: err}
	}
	a, err := c.send(ctx, call{"revoke", how.Method, address, header, encode(how.Body, fields, header)})
	if err != nil {
		return RevokedUnknown, err
	}
	code, bad := errorIn(r.Entry, a.value)
	failure := a.failed("revoke", r.Entry, code)
	outcome := judgeRevoke(how, a, bad, code, failure.Class)
	if outcome == RevokedYes {
		return outcome, nil
	}
	failure.badClient = failure.badClient || a.status == 401 && slices.Contains([]string{"basic", "post", "filled"}, style)
	return outcome, failure
}

// judgeRevoke reads the answer to a revocation (RFC 7009 2.2 where the entry does not
// say otherwise). class is what the answer means if it is a failure.
func judgeRevoke(how *provider.Revoke, a answer, bad bool, code string, class Class) Revoked {
	switch {
	case how.Auth == "bearer" && a.status == 401: // RFC 6750 3.1: the token itself is no longer good
		return RevokedYes
	case slices.Contains(how.DeadStatuses, a.status), code != "" && slices.Contains(how.DeadCodes, code):
		return RevokedYes
	case a.status == 404, a.status == 405: // nobody there who could refuse
		return RevokedUnknown
	case !a.ok(), bad:
		if class == Throttled || class == Transient {
			return RevokedUnknown
		}
		return RevokedNo
	case len(how.Success) > 0 && a.value == nil:
		return RevokedUnknown
	}
	for path, want := range how.Success {
		if text(lookup(a.value, path)) != want {
			return RevokedNo
		}
	}
	return RevokedYes
}
