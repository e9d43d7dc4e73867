package oauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits of every outbound call.
const (
	callTimeout    = 10 * time.Second // from dialling to the last byte of the body
	apiTimeout     = 30 * time.Second // the same of a call for a builder
	maxBody        = 1 << 20          // bytes, after decompression
	maxHeader      = 64 << 10         // bytes of response headers
	connectTimeout = 5 * time.Second
)

var (
	// ErrBlocked is the cause when the guard refused an address. Nothing was sent.
	ErrBlocked = errors.New("the address is not allowed")
	// ErrTooLarge is what reading a body fails with at 1 MiB. The part that was read
	// must not be used.
	ErrTooLarge = errors.New("the answer is larger than 1 MiB")
)

// NewHTTPClient returns the guarded client that every outbound call uses.
//
// It reaches https addresses on the public internet only; the IP address is judged
// when it is dialled, so that neither a name that points inside nor one that changes
// its mind gets through. allow lists host:port pairs, as they stand in the addresses
// (the port always written out), that may be reached although loopback, private or
// plain http; they may resolve to anything.
//
// No redirect is followed: the 3xx answer itself is returned, without its Location, and
// a caller that wants an answer must refuse it. No proxy is taken from the environment. A call ends after
// 10 s; a body fails with [ErrTooLarge] after 1 MiB; TLS is 1.2 or newer.
//
// The error names every entry of allow that is not host:port.
func NewHTTPClient(allow []string) (*http.Client, error) {
	return newClient(allow, callTimeout, true)
}

// NewAPIClient is NewHTTPClient for calls in the name of a builder: they may take 30 s,
// and no connection is used again. A request that fails on a used connection is sent
// once more by net/http where it thinks that this does no harm, and what a call does
// at the provider it cannot know.
func NewAPIClient(allow []string) (*http.Client, error) {
	return newClient(allow, apiTimeout, false)
}

func newClient(allow []string, timeout time.Duration, reuse bool) (*http.Client, error) {
	allowed, err := parseAllow(allow)
	if err != nil {
		return nil, err
	}
	inside := &net.Dialer{Timeout: connectTimeout}
	outside := &net.Dialer{Timeout: connectTimeout, ControlContext: publicOnly}
	transport := &http.Transport{
		Proxy: nil,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if allowed[strings.ToLower(address)] {
				return inside.DialContext(ctx, network, address)
			}
			return outside.DialContext(ctx, network, address)
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connectTimeout,
		ForceAttemptHTTP2:      reuse,
		DisableKeepAlives:      !reuse,
		MaxIdleConnsPerHost:    16,
		MaxIdleConns:           256,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
	}
	return &http.Client{
		Transport:     &guard{next: transport, allowed: allowed},
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// publicOnly runs after the name was resolved and before the connection is made, for
// each address that is tried.
func publicOnly(_ context.Context, network, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || !strings.HasPrefix(network, "tcp") || !isPublic(target.Addr()) {
		return fmt.Errorf("%w: it leads to a host that is not on the public internet", ErrBlocked)
	}
	return nil
}

// guard checks what stands in the address, before any name is looked up, and limits
// the body.
type guard struct {
	next    http.RoundTripper
	allowed map[string]bool
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.check(req.URL); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 && resp.StatusCode <= 399 {
		// Where it leads is nobody's business: it is not followed, and an unreadable
		// one would be quoted in an error.
		resp.Header.Del("Location")
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: maxBody}
	return resp, nil
}

func (g *guard) check(u *url.URL) error {
	host, port := u.Hostname(), u.Port()
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%w: it is neither https nor http", ErrBlocked)
	case u.User != nil:
		return fmt.Errorf("%w: it holds a user name", ErrBlocked)
	case !plainHost(host):
		return fmt.Errorf("%w: its host is malformed", ErrBlocked)
	}
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	if g.allowed[strings.ToLower(net.JoinHostPort(host, port))] {
		return nil
	}
	if u.Scheme != "https" {
		return fmt.Errorf("%w: it is plain http (PATCHBAY_OUTBOUND_ALLOW lists the exceptions)", ErrBlocked)
	}
	if ip, err := netip.ParseAddr(host); err == nil && !isPublic(ip) {
		return fmt.Errorf("%w: its host is not on the public internet (PATCHBAY_OUTBOUND_ALLOW lists the exceptions)", ErrBlocked)
	}
	return nil
}

// plainHost accepts an IP address, or labels of ASCII letters, digits, - and _ with a
// dot between them. Other spellings (Unicode dots, a dot at the end) are different
// names for a host that has a plain one.
func plainHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Zone() == ""
	}
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notHostCharacter) {
			return false
		}
	}
	return true
}

func notHostCharacter(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}

func parseAllow(allow []string) (map[string]bool, error) {
	allowed := map[string]bool{}
	var problems []error
	for _, entry := range allow {
		host, port, err := net.SplitHostPort(entry)
		number, portErr := strconv.ParseUint(port, 10, 16)
		if err != nil || portErr != nil || number == 0 || !plainHost(host) {
			problems = append(problems, fmt.Errorf("%q is not host:port", entry))
			continue
		}
		allowed[strings.ToLower(net.JoinHostPort(host, strconv.FormatUint(number, 10)))] = true
	}
	return allowed, errors.Join(problems...)
}

// limitedBody fails instead of ending when the limit is passed.
type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}
