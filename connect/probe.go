package connect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"patchbay/oauth"
	"patchbay/vault"
)

// ClientVerdict is what a provider makes of a connector's client.
type ClientVerdict string

// Verdicts of ProbeClient. Unclear: the provider's answer says nothing about the client.
const (
	ClientAccepted  ClientVerdict = "accepted"
	ClientRefused   ClientVerdict = "refused"
	RedirectRefused ClientVerdict = "redirect_refused"
	ClientUnclear   ClientVerdict = "unclear"
)

// ProbeClient shows the connector's client to the provider with its secret number i and a
// code that nobody was given. Nothing comes of it: a provider that checks the client first
// says so, one that checks the code first says that it is unknown. A connector whose
// addresses depend on what the end user fills in is unclear. An error means that there
// was no answer.
func (s *Service) ProbeClient(ctx context.Context, c *Connector, i int) (ClientVerdict, error) {
	reg, err := s.registration(c, nil)
	if err != nil {
		return ClientUnclear, nil
	}
	if i < len(reg.ClientSecrets) {
		reg.ClientSecrets = reg.ClientSecrets[i : i+1]
	}
	_, err = s.OAuth.Exchange(ctx, reg, vault.NewSecret("patchbay-doctor"), vault.NewSecret(oauth.NewVerifier()), url.Values{})
	switch oauth.ClassOf(err) {
	case oauth.ConnectorFault:
		return ClientRefused, nil
	case oauth.GrantDead:
		return ClientAccepted, nil
	case oauth.RedirectRejected:
		return RedirectRefused, nil
	}
	var oe *oauth.Error
	// A made-up code that is no code at all by a type's own rules (Wix signs it) is not sent.
	if errors.As(err, &oe) && oe.Status == 0 && oe.Class != oauth.ProviderFault {
		return ClientUnclear, err
	}
	return ClientUnclear, nil
}

// ProviderOrigin is the origin of the connector's token endpoint; "" where it depends on
// what the end user fills in.
func (s *Service) ProviderOrigin(c *Connector) string {
	reg, err := s.registration(c, nil)
	if err != nil {
		return ""
	}
	u, err := url.Parse(reg.Endpoints.Token)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// ProviderTime asks an origin of ProviderOrigin what time it is there. Zero: it did not
// say.
func (s *Service) ProviderTime(ctx context.Context, origin string) (time.Time, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/", nil)
	if err != nil {
		return time.Time{}, err
	}
	resp, err := s.OAuth.HTTP.Do(req)
	if errors.Is(err, oauth.ErrBlocked) {
		return time.Time{}, fmt.Errorf("%w: %s", errBlocked, strings.TrimPrefix(strings.TrimPrefix(origin, "http://"), "https://"))
	}
	if err != nil {
		return time.Time{}, err
	}
	defer resp.Body.Close()
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return time.Time{}, nil
	}
	return at, nil
}

var errBlocked = errors.New("outbound calls may not go there")

// IsBlocked reports whether the guard of outbound calls refused an address.
func IsBlocked(err error) bool { return errors.Is(err, errBlocked) || errors.Is(err, oauth.ErrBlocked) }

// Unrefreshable counts the connector's connections whose access token ends and that hold
// nothing to get another with.
func (s *Service) Unrefreshable(ctx context.Context, c *Connector) (int, error) {
	all, err := s.Store.ConnectorConnections(ctx, c.App, c.ID)
	n := 0
	for i := range all {
		if all[i].Status == ConnectionConnected && !all[i].ExpiresAt.IsZero() && !s.Refreshes(&all[i]) {
			n++
		}
	}
	return n, err
}
