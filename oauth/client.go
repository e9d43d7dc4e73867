package oauth

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"patchbay/provider"
	"patchbay/vault"
)

// Registration is one connector's registration at a provider.
type Registration struct {
	Entry     *provider.Entry
	Endpoints provider.Endpoints // as resolved by Entry.Resolve
	Overrides provider.Endpoints // as given to it
	ClientID  string
	// ClientSecrets, newest first. When the provider refuses one, which it does before
	// it looks at the grant, the next is tried.
	ClientSecrets []vault.Secret
	RedirectURI   string
	Params        map[string]string // the builder's and the end user's together
}

// Client speaks to providers. It keeps nothing about them but their key sets, for an
// hour, and may be used from several goroutines.
type Client struct {
	HTTP      *http.Client     // from [NewHTTPClient]; required
	API       *http.Client     // from [NewAPIClient], for [Client.Call]; nil: HTTP
	Now       func() time.Time // nil: time.Now
	UserAgent string           // "": patchbay

	keys keySets
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// call is one request to a provider.
type call struct {
	op, method, address string
	header              http.Header
	body                []byte // nil: none
}

// answer is what came back, whatever its status.
type answer struct {
	status     int
	value      any // nil when the body is neither JSON nor a form
	retryAfter time.Duration
}

func (a answer) ok() bool { return a.status >= 200 && a.status <= 299 }

// send makes a call. The error is an *Error; an answer of any status but a redirect
// is not one.
func (c *Client) send(ctx context.Context, k call) (answer, error) {
	var sent atomic.Bool // once there is a connection, something may have gone out
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }})
	fail := func(class Class, reason string, err error) (answer, error) {
		return answer{}, &Error{Op: k.op, Class: class, Sent: sent.Load(), reason: reason, cause: withoutAddress(err)}
	}
	if c.HTTP == nil {
		return fail(Blocked, "there is no HTTP client", nil)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, k.address, bytes.NewReader(k.body))
	if err != nil {
		return fail(Blocked, "the address is not valid", nil)
	}
	req.Header = k.header
	req.Header.Set("User-Agent", c.userAgent())
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return fail(networkClass(err), "no answer", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode <= 399 {
		_, e := fail(ProviderFault, "the answer is a redirect, which is not followed", nil)
		e.(*Error).Status = resp.StatusCode
		return answer{}, e
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		_, e := fail(networkClass(err), "the answer cannot be read", err)
		e.(*Error).Status = resp.StatusCode
		return answer{}, e
	}
	value, _ := parseBody(body, resp.Header.Get("Content-Type"))
	return answer{resp.StatusCode, value, retryAfter(resp.Header.Get("Retry-After"), c.now())}, nil
}

func (c *Client) userAgent() string {
	if c.UserAgent != "" {
		return c.UserAgent
	}
	return "patchbay"
}

// networkClass judges a call that brought no usable answer.
func networkClass(err error) Class {
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, ErrBlocked):
		return Blocked
	case errors.Is(err, ErrTooLarge), errors.As(err, &certificate):
		return ProviderFault
	default:
		return Transient
	}
}

// withoutAddress drops what the HTTP client wraps around an error: the address, which
// may carry a query.
func withoutAddress(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// failed makes the error of an answer that is not a success.
func (a answer) failed(op string, entry *provider.Entry, code string) *Error {
	e := &Error{Op: op, Code: cleanCode(code), Status: a.status, RetryAfter: a.retryAfter, Sent: true}
	e.Class, e.badClient = classify(entry, a.status, e.Code)
	if op == "refresh" && e.Class != Throttled && e.Class != Transient && slices.Contains(entry.Refresh.DeadCodes, e.Code) {
		e.Class, e.badClient = GrantDead, false
	}
	switch {
	case a.ok() && e.Code == "":
		e.reason = "the provider reports an error under a status of success"
	case e.Class == ConnectorFault:
		e.reason = "the provider does not accept this client: check its id, secret and registration"
	case e.Class == GrantDead:
		e.reason = "the provider no longer accepts this grant"
	default:
		e.reason = "the provider refused"
	}
	return e
}

// errorIn finds an error in an answer, also in one with a status of success. An answer
// that says everything the entry expects of a good one is good.
func errorIn(entry *provider.Entry, value any) (code string, bad bool) {
	said := 0
	for path, want := range entry.Errors.Success {
		switch text(lookup(value, path)) {
		case want:
			said++
		case "":
		default:
			bad = true
		}
	}
	if said > 0 && said == len(entry.Errors.Success) {
		return "", false
	}
	for _, path := range entry.Errors.At {
		switch v := lookup(value, path).(type) {
		case nil, bool:
		case string:
			if v != "" {
				return v, true
			}
		default:
			return text(v), true
		}
	}
	return "", bad
}

// secretless reports whether the provider registered this client without a secret.
func (r Registration) secretless() bool { return r.Entry.Client.Public && len(r.ClientSecrets) == 0 }

// clientStyle is how this registration proves itself at the token endpoint.
func clientStyle(r Registration) string {
	if r.secretless() {
		return "none"
	}
	return r.Entry.Client.Auth
}

// withClient calls try with each client secret until one is not refused. Style
// "filled" is a secret that the entry puts into a header or a field itself.
func (c *Client) withClient(op string, r Registration, style string, try func(secret vault.Secret) error) error {
	secrets := r.ClientSecrets
	if style != "basic" && style != "post" && style != "filled" {
		secrets = []vault.Secret{{}}
	}
	if len(secrets) == 0 {
		return &Error{Op: op, Class: ConnectorFault, reason: "the connector has no client secret"}
	}
	var err error
	for _, secret := range secrets {
		var refused *Error
		if err = try(secret); !errors.As(err, &refused) || !refused.badClient {
			break
		}
	}
	return err
}

// authenticate puts the client's credentials where the style wants them.
func authenticate(r Registration, style string, secret vault.Secret, header http.Header, fields map[string]string) {
	switch style {
	case "basic": // RFC 6749 2.3.1: both form-encoded first
		pair := url.QueryEscape(r.ClientID) + ":" + url.QueryEscape(secret.Reveal())
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	case "post":
		fields[r.Entry.Client.IDParam] = r.ClientID
		fields["client_secret"] = secret.Reveal()
	}
}

// encode makes a body of fields and sets its type. Style "none" has no body.
func encode(style string, fields map[string]string, header http.Header) []byte {
	switch style {
	case "json":
		header.Set("Content-Type", "application/json")
		body, err := json.Marshal(fields)
		if err != nil { // a map of strings
			panic(err)
		}
		return body
	case "form":
		header.Set("Content-Type", "application/x-www-form-urlencoded")
		values := url.Values{}
		for name, value := range fields {
			values.Set(name, value)
		}
		return []byte(values.Encode())
	default:
		return nil
	}
}

func headers(from map[string]string) http.Header {
	h := http.Header{}
	for name, value := range from {
		h.Set(name, value)
	}
	return h
}

// fillParams puts the connector's params into parameters of the catalogue. One whose
// param has no value is left out.
func fillParams(r Registration, params map[string]string, into map[string]string) error {
	values, err := r.Entry.ParamValues(r.Params)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if value, whole := provider.FillValue(params[name], values); whole {
			into[name] = value
		}
	}
	return nil
}

// below joins a path, with its query, to a base address.
func below(base, path string) string { return strings.TrimRight(base, "/") + path }
