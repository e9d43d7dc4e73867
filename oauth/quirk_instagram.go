package oauth

import (
	"context"
	"net/url"

	"patchbay/vault"
)

// instagramUpgrade trades the token of an hour, which the exchange of a code gives, for
// one of 60 days. There is no refresh token: the long one renews itself, so it is kept
// as its own.
//
// Client secret and token stand in the query, as the provider wants it
// (https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login).
// Errors here never hold an address.
func instagramUpgrade(c *Client, ctx context.Context, r Registration, short Tokens) (Tokens, error) {
	var long Tokens
	err := c.withClient("exchange", r, "filled", func(secret vault.Secret) error {
		var err error
		long, err = c.instagramGet(ctx, "exchange", r, "/access_token", url.Values{
			"grant_type":    {"ig_exchange_token"},
			"client_secret": {secret.Reveal()},
			"access_token":  {short.AccessToken.Reveal()},
		})
		return err
	})
	if err != nil {
		return Tokens{}, err
	}
	long.addConfig(short.ConnectionConfig)
	if long.Scopes == nil {
		long.Scopes = short.Scopes
	}
	return long, nil
}

// instagramRefresh renews a long token. The provider wants it to be a day old and
// still alive; the entry's refresh.ahead sees to both.
func instagramRefresh(c *Client, ctx context.Context, r Registration, refresh vault.Secret) (Tokens, error) {
	return c.instagramGet(ctx, "refresh", r, "/refresh_access_token", url.Values{
		"grant_type":   {"ig_refresh_token"},
		"access_token": {refresh.Reveal()},
	})
}

func (c *Client) instagramGet(ctx context.Context, op string, r Registration, path string, query url.Values) (Tokens, error) {
	address := apiAddress(r, path)
	if address == "" {
		return Tokens{}, noAPI(op)
	}
	a, err := c.send(ctx, call{op, "GET", address + "?" + query.Encode(), headers(nil), nil})
	if err != nil {
		return Tokens{}, err
	}
	t, err := c.tokensOf(op, r, a, nil)
	t.RefreshToken = t.AccessToken
	return t, err
}
