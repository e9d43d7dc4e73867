package oauth

import (
	"context"
	"net/url"

	"patchbay/provider"
	"patchbay/vault"
)

// quirk is what one provider does that no field of an entry can say. What is nil goes
// the usual way.
type quirk struct {
	// authorize makes the whole query of the address that the browser is sent to; the
	// entry's own parameters are in it.
	authorize func(r Registration, q AuthorizeRequest, params map[string]string) error
	// exchange stands for the exchange of a code.
	exchange func(c *Client, ctx context.Context, r Registration, code vault.Secret, callback url.Values) (Tokens, error)
	// upgrade follows an exchange.
	upgrade func(c *Client, ctx context.Context, r Registration, t Tokens) (Tokens, error)
	// refresh stands for a refresh.
	refresh func(c *Client, ctx context.Context, r Registration, refresh vault.Secret) (Tokens, error)
	// complete adds to connection_config before the account is read.
	complete func(c *Client, ctx context.Context, r Registration, t *Tokens) error
}

// quirks are the functions behind the names that entries use. A test compares them
// with the names that package provider knows.
var quirks = map[string]quirk{
	provider.QuirkInstagramLongLived: {upgrade: instagramUpgrade, refresh: instagramRefresh},
	provider.QuirkJiraSites:          {complete: jiraSites},
	provider.QuirkWixInstall:         {authorize: wixAuthorize, exchange: wixExchange, refresh: wixRefresh},
}

// quirkOf returns the quirk of an entry. No two of them go together.
func quirkOf(e *provider.Entry) (quirk, bool) {
	if len(e.Quirks) == 0 {
		return quirk{}, false
	}
	q, ok := quirks[e.Quirks[0]]
	return q, ok
}

// apiAddress joins a path to the API's base. It is "" where the connector has moved the
// token endpoint away from the provider and does not say where the API is.
func apiAddress(r Registration, path string) string {
	if r.Endpoints.API == "" {
		return ""
	}
	return below(r.Endpoints.API, path)
}

func noAPI(op string) error {
	return &Error{Op: op, Class: ConnectorFault, reason: "the connector has no address for this; endpoints.api can name one"}
}
