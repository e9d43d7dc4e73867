package oauth

import (
	"context"
	"errors"
	"strings"
	"time"

	"patchbay/provider"
)

// metadataTimeout is how long the description of a provider may take to come.
const metadataTimeout = 15 * time.Second

// Metadata fetches the description that an OpenID provider gives of itself (OpenID
// Connect Discovery 1.0 section 4). What it says is not judged here. The error is an
// *Error.
func (c *Client) Metadata(ctx context.Context, issuer string) (map[string]any, error) {
	ctx, done := context.WithTimeout(ctx, metadataTimeout)
	defer done()
	a, err := c.send(ctx, call{"metadata", "GET", strings.TrimRight(issuer, "/") + "/.well-known/openid-configuration", headers(nil), nil})
	if err != nil {
		return nil, err
	}
	doc, ok := a.value.(map[string]any)
	if !a.ok() {
		return nil, a.failed("metadata", &provider.Entry{}, "")
	}
	if !ok {
		return nil, &Error{Op: "metadata", Class: ProviderFault, Status: a.status, Sent: true, cause: errors.New("the answer is not a JSON object")}
	}
	return doc, nil
}
