// Package doctor looks for what keeps a Patchbay from working that runs: a public address
// that leads elsewhere, a proxy that changes what passes through it, a client that the
// provider refuses. Each finding says what is wrong, why it matters, and what to paste
// where.
//
// It looks from outside: it asks the public address as a browser would. A request that
// carries a Pass, which only the holder of the keys can make, is answered by the server
// with what arrived there (see [Answer]); what differs was changed on the way.
package doctor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"patchbay/connect"
)

// Finding is one thing that is wrong.
type Finding struct {
	Code    string // stable, [a-z_]
	Subject string // "public address", or app/connector
	What    string // one sentence
	Why     string // one sentence
	Paste   string // what to do, with the text to paste; lines
}

// Doctor examines a service. The exported fields are its dependencies.
type Doctor struct {
	Service *connect.Service
	// Listen is where the server listens, for what there is to paste.
	Listen string
	// Client asks the public address. It must follow no redirect.
	Client *http.Client
	// Progress is told what is looked at next; nil tells nobody.
	Progress func(string)
}

// NewClient makes a client for [Doctor].Client: no redirects, no proxy of the environment.
func NewClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true, TLSHandshakeTimeout: 10 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       15 * time.Second,
	}
}

// Examine looks at everything: the public address, then the connectors of the apps named,
// or of all.
func (d *Doctor) Examine(ctx context.Context, apps ...string) ([]Finding, error) {
	findings := d.address(ctx)
	all, err := d.Service.Apps(ctx)
	if err != nil {
		return findings, err
	}
	var connectors []*connect.Connector
	for _, a := range all {
		if len(apps) > 0 && !slices.Contains(apps, a.ID) {
			continue
		}
		for i := range a.Connectors {
			connectors = append(connectors, &a.Connectors[i])
		}
	}
	reached, clock := d.providers(ctx, connectors)
	findings = append(findings, clock...)
	for _, c := range connectors {
		found, err := d.connector(ctx, c, reached[d.Service.ProviderOrigin(c)])
		if err != nil {
			return findings, err
		}
		findings = append(findings, found...)
	}
	return findings, nil
}

func (d *Doctor) tell(format string, args ...any) {
	if d.Progress != nil {
		d.Progress(fmt.Sprintf(format, args...))
	}
}

// mostSkew is how far our clock may be from a provider's: the leeway of signed tokens.
const mostSkew = time.Minute

// providers asks each provider once for the time. reached says of each origin whether it
// answered.
func (d *Doctor) providers(ctx context.Context, connectors []*connect.Connector) (reached map[string]bool, findings []Finding) {
	reached = map[string]bool{"": true}
	for _, c := range connectors {
		origin := d.Service.ProviderOrigin(c)
		if _, asked := reached[origin]; asked {
			continue
		}
		d.tell("%s", origin)
		begun := time.Now()
		there, err := d.Service.ProviderTime(ctx, origin)
		reached[origin] = err == nil
		switch {
		case connect.IsBlocked(err):
			findings = append(findings, Finding{
				Code: "provider_blocked", Subject: origin,
				What:  "Patchbay does not let itself call this provider: the address is loopback, private or plain http.",
				Why:   "No code can be exchanged there and no token refreshed.",
				Paste: "If it is yours, allow it:\n  PATCHBAY_OUTBOUND_ALLOW=" + hostPort(origin),
			})
		case err != nil:
			findings = append(findings, Finding{
				Code: "provider_unreachable", Subject: origin,
				What:  "This provider could not be reached from here: " + cause(err) + ".",
				Why:   "No code can be exchanged there and no token refreshed.",
				Paste: "Let this machine call out to " + hostPort(origin) + " (firewall, DNS), and look at the provider's status page.",
			})
		case !there.IsZero():
			// Date has whole seconds, and the answer took its time.
			took := time.Since(begun)
			if skew := begun.Add(took / 2).Sub(there.Add(500 * time.Millisecond)); skew.Abs() > mostSkew+took {
				findings = append(findings, clockFinding(origin, skew))
			}
		}
	}
	return reached, findings
}

func clockFinding(origin string, skew time.Duration) Finding {
	how := "behind"
	if skew > 0 {
		how = "ahead of"
	}
	return Finding{
		Code: "clock_skew", Subject: origin,
		What:  fmt.Sprintf("This machine's clock is %s %s the provider's.", skew.Abs().Round(time.Second), how),
		Why:   "Signed tokens are refused as not yet or no longer valid, and tokens are refreshed too late.",
		Paste: "Set the clock by the network:\n  timedatectl set-ntp true",
	}
}

func (d *Doctor) connector(ctx context.Context, c *connect.Connector, reached bool) ([]Finding, error) {
	subject := c.App + "/" + c.ID
	d.tell("%s", subject)
	e, err := d.Service.Entry(c)
	if err != nil {
		return []Finding{{
			Code: "type_unknown", Subject: subject,
			What:  "The catalogue has no integration type " + c.Type + ".",
			Why:   "Nothing can be connected, and no token of it refreshed.",
			Paste: "Bring back the provider file that describes it (PATCHBAY_PROVIDERS), or take the connector out of the apps file.",
		}}, nil
	}
	var out []Finding
	uri := d.Service.RedirectURI(c.App, c.ID)
	if problem := e.RedirectURI.Problem(uri); problem != "" && c.Endpoints.Authorize == "" {
		out = append(out, Finding{
			Code: "redirect_uri", Subject: subject,
			What:  problem,
			Why:   "The provider refuses the redirect URI " + uri + ", and nobody can connect.",
			Paste: "Serve Patchbay under an https address and register there exactly:\n  PATCHBAY_PUBLIC_URL=https://YOUR-HOST\n  https://YOUR-HOST/oauth/callback/" + subject,
		})
	}
	asked := d.Service.AskedScopes(c)
	for _, scope := range asked {
		if _, known := e.Ability(scope); !known {
			out = append(out, Finding{
				Code: "scope_unknown", Subject: subject,
				What:  "The scope " + scope + " is not in the catalogue's list for " + e.Name + ".",
				Why:   "A provider refuses the whole request for a scope that it does not know, and your users see the bare name.",
				Paste: "Compare it letter by letter with " + e.Docs + ", and mend it under scopes of the connector in the apps file. Scopes that are known:\n  " + strings.Join(e.KnownScopes(), " "),
			})
		}
	}
	if offline := e.OfflineScope(); offline != "" && !e.Granted(offline, asked) {
		out = append(out, Finding{
			Code: "offline_scope_missing", Subject: subject,
			What:  "The connector does not ask for " + offline + ".",
			Why:   e.Name + " then gives no refresh token: each connection ends with its first access token.",
			Paste: "Under the connector in the apps file:\n  scopes: [" + strings.Join(append([]string{offline}, asked...), ", ") + "]\nand let the users connect again.",
		})
	} else if n, err := d.Service.Unrefreshable(ctx, c); err != nil {
		return out, err
	} else if n > 0 {
		out = append(out, Finding{
			Code: "never_refreshes", Subject: subject,
			What:  fmt.Sprintf("%d of its connections have a token that ends and no refresh token.", n),
			Why:   "They end with their access token.",
			Paste: "Look at the client in the provider's console (" + or(e.Console, e.Docs) + "): whether it may have refresh tokens. Then let the users connect again.",
		})
	}
	if reached {
		out = append(out, d.client(ctx, c, subject, uri, or(e.Console, e.Docs))...)
	}
	return out, nil
}

// client shows each of the connector's secrets to the provider.
func (d *Doctor) client(ctx context.Context, c *connect.Connector, subject, uri, console string) []Finding {
	verdicts := make([]connect.ClientVerdict, max(1, len(c.ClientSecrets)))
	for i := range verdicts {
		v, err := d.Service.ProbeClient(ctx, c, i)
		if err != nil {
			return []Finding{{
				Code: "provider_unreachable", Subject: subject,
				What:  "The token endpoint gave no answer: " + cause(err) + ".",
				Why:   "No code can be exchanged there and no token refreshed.",
				Paste: "Let this machine call out to it, or mend endpoints.token in the apps file.",
			}}
		}
		verdicts[i] = v
	}
	if slices.Contains(verdicts, connect.RedirectRefused) {
		return []Finding{{
			Code: "redirect_uri", Subject: subject,
			What:  "The provider does not know the redirect URI.",
			Why:   "Nobody can connect.",
			Paste: "Register exactly this at " + console + ":\n  " + uri,
		}}
	}
	refused := 0
	for _, v := range verdicts {
		if v == connect.ClientRefused {
			refused++
		}
	}
	switch {
	case refused == 0:
		return nil
	case refused == len(verdicts):
		return []Finding{{
			Code: "client_refused", Subject: subject,
			What:  "The provider refuses the client id with its secret.",
			Why:   "Nobody can connect, and no token is refreshed.",
			Paste: "Copy both once more from " + console + " into the apps file, then apply it:\n  client_id: " + c.ClientID + "\n  client_secret: \"${…}\"\n  patchbay apply -f apps.yaml",
		}}
	}
	return []Finding{{
		Code: "secret_refused", Subject: subject,
		What:  fmt.Sprintf("The provider refuses %d of %d client secrets.", refused, len(verdicts)),
		Why:   "Each exchange and refresh that tries a refused one first takes a call more, and some providers block a client for it.",
		Paste: "When the change of the secret is over, leave only the one that works under client_secrets in the apps file.",
	}}
}

func or(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}
