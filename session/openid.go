package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"patchbay/connect"
)

const (
	metadataFresh   = time.Hour        // asked for again after this
	metadataUsable  = 24 * time.Hour   // goes on working this long while the address does not answer
	metadataAtMost  = 10 * time.Second // between two fetches, however many people sign in
	metadataTimeout = 10 * time.Second
)

// idTokenAlgorithms are those that an ID token may be signed with. HS256 is not among
// them: its key is the client secret, which more people know than the provider's.
var idTokenAlgorithms = []string{oidc.RS256, oidc.PS256, oidc.ES256, oidc.EdDSA}

// issuer remembers what an OpenID provider says of itself.
type issuer struct {
	mu       sync.Mutex // held while it is fetched
	op       *openID    // nil before the first success
	got      time.Time
	tried    time.Time
	doubtful bool  // something failed that stale metadata explains
	problem  error // of the last try
}

// openID is an OpenID provider, by its metadata (OpenID Connect Discovery 1.0
// section 3).
type openID struct {
	*oidc.Provider
	issuer      string
	keySet      string
	algorithms  []string
	authMethods []string
	promisesIss bool
}

// provider returns the provider of that issuer, as it described itself within the last
// hour where it can be reached.
func (l *Logins) provider(ctx context.Context, address string) (*openID, error) {
	is := l.remembered(address)
	is.mu.Lock()
	defer is.mu.Unlock()
	now := l.now()
	fresh := is.op != nil && !is.doubtful && now.Sub(is.got) < metadataFresh
	if !fresh && now.Sub(is.tried) >= metadataAtMost {
		is.tried = now
		op, err := l.discover(ctx, address)
		is.problem = err
		if err == nil {
			is.op, is.got, is.doubtful = op, now, false
		}
	}
	if is.op == nil || now.Sub(is.got) >= metadataUsable {
		return nil, is.problem
	}
	return is.op, nil
}

// doubt has the metadata of the issuer fetched again before its time.
func (l *Logins) doubt(address string) {
	is := l.remembered(address)
	is.mu.Lock()
	defer is.mu.Unlock()
	is.doubtful = true
}

func (l *Logins) remembered(address string) *issuer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.issuers == nil {
		l.issuers = make(map[string]*issuer)
	}
	if l.issuers[address] == nil {
		l.issuers[address] = &issuer{}
	}
	return l.issuers[address]
}

// discover fetches the metadata. A browser that hangs up does not stop it: others wait.
func (l *Logins) discover(ctx context.Context, address string) (*openID, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), metadataTimeout)
	defer cancel()
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, l.caller(true)), address)
	if err != nil {
		return nil, fault("metadata", err)
	}
	var more struct {
		KeySet      string   `json:"jwks_uri"`
		Algorithms  []string `json:"id_token_signing_alg_values_supported"`
		AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
		PromisesIss bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207 section 3
	}
	if err := p.Claims(&more); err != nil {
		return nil, misconfigured(fmt.Errorf("metadata: %w", err))
	}
	op := &openID{Provider: p, issuer: address, keySet: more.KeySet, authMethods: more.AuthMethods, promisesIss: more.PromisesIss}
	for _, alg := range idTokenAlgorithms {
		if slices.Contains(more.Algorithms, alg) || (len(more.Algorithms) == 0 && alg == oidc.RS256) {
			op.algorithms = append(op.algorithms, alg)
		}
	}
	if err := op.check(); err != nil {
		return nil, misconfigured(fmt.Errorf("metadata: %w", err))
	}
	return op, nil
}

func (op *openID) check() error {
	if len(op.algorithms) == 0 {
		return fmt.Errorf("the provider signs ID tokens with none of %v", idTokenAlgorithms)
	}
	from, err := url.Parse(op.issuer)
	if err != nil {
		return errors.New("the issuer is no address")
	}
	for name, address := range map[string]string{
		"authorization_endpoint": op.Endpoint().AuthURL, "token_endpoint": op.Endpoint().TokenURL, "jwks_uri": op.keySet,
	} {
		// Plain http is good for what runs beside us, and then for the whole provider.
		to, err := url.Parse(address)
		if err != nil || to.Host == "" || to.User != nil || to.Fragment != "" || (to.Scheme != "https" && to.Scheme != from.Scheme) {
			return fmt.Errorf("%s is missing or no https address", name)
		}
	}
	return nil
}

// client is the app's registration at the provider.
func (op *openID) client(app *connect.App, redirectURI string) *oauth2.Config {
	endpoint := op.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader // the default of OpenID Connect Core 1.0 section 9
	post := slices.Contains(op.authMethods, "client_secret_post") && !slices.Contains(op.authMethods, "client_secret_basic")
	if post || app.Login.ClientSecret.IsZero() {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID: app.Login.ClientID, ClientSecret: app.Login.ClientSecret.Reveal(), Endpoint: endpoint,
		RedirectURL: redirectURI, Scopes: []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail},
	}
}

// checkIssuer compares the iss parameter of an answer (RFC 9207 section 2.4), so that
// the answer of one provider is not taken for another's.
func (op *openID) checkIssuer(q url.Values) error {
	switch iss := q["iss"]; {
	case len(iss) == 0 && !op.promisesIss:
		return nil
	case len(iss) == 1 && iss[0] == op.issuer:
		return nil
	case len(iss) == 0:
		return misconfigured(errors.New("the answer lacks iss, which the provider's metadata promises"))
	}
	return misconfigured(fmt.Errorf("the answer names another issuer than %q", op.issuer))
}

// exchange redeems the code and returns whom the ID token names.
func (l *Logins) exchange(ctx context.Context, op *openID, app *connect.App, code string, a attempt) (connect.EndUser, error) {
	config := op.client(app, l.Service.LoginRedirectURI(app.ID))
	tokens, err := config.Exchange(oidc.ClientContext(ctx, l.caller(false)), code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return connect.EndUser{}, fault("token endpoint", err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	if raw == "" || len(raw) > maxTokenLen {
		return connect.EndUser{}, misconfigured(errors.New("the token endpoint gives no ID token, or one of more than 16 KB"))
	}
	token, claims, err := l.verify(ctx, op, app, raw, a.Nonce)
	if err != nil {
		return connect.EndUser{}, err
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(tokens.AccessToken); err != nil {
			return connect.EndUser{}, misconfigured(err)
		}
	}
	told, err := l.userInfo(ctx, op, tokens, token.Subject, app.Login.UserClaim, claims)
	if err != nil {
		return connect.EndUser{}, err
	}
	user, err := told.user(app.Login.UserClaim)
	if err != nil {
		return connect.EndUser{}, misconfigured(err)
	}
	return user, nil
}

// caller is the client for a call of the library. The answer's body is read as part of
// the call, so that a connection which breaks half-way is an error of the network; and
// with okOnly an answer that is not 200 is an error which does not hold it.
func (l *Logins) caller(okOnly bool) *http.Client {
	c := *l.HTTP
	c.Transport = wholeAnswers{next: c.Transport, okOnly: okOnly}
	return &c
}

type wholeAnswers struct {
	next   http.RoundTripper
	okOnly bool
}

// RoundTrip implements http.RoundTripper.
func (t wholeAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if t.okOnly && resp.StatusCode != http.StatusOK {
		return nil, &statusError{resp.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, errors.New("the answer is larger than 1 MiB")
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

const maxAnswer = 1 << 20

// fault says whose fault a failed call is: the network's and the provider's may pass,
// anything else is for the operator to mend. The cause goes to the log, so it holds no
// body and no description.
func fault(what string, err error) error {
	var status *statusError
	var answer *oauth2.RetrieveError
	var network *url.Error
	passing := func(status int) bool { return status == http.StatusTooManyRequests || status >= 500 }
	switch {
	case errors.As(err, &answer):
		code := answer.Response.StatusCode
		cause := fmt.Errorf("%s: status %d, %s", what, code, plainCode(answer.ErrorCode))
		switch {
		case passing(code):
			return unavailable(cause)
		case answer.ErrorCode == "invalid_grant":
			return &connect.Error{Code: errLoginOver.Code, Message: errLoginOver.Message, Cause: cause}
		}
		return misconfigured(cause)
	case connect.OutboundRefused(err), errors.As(err, &status) && !passing(status.status):
		return misconfigured(fmt.Errorf("%s: %w", what, err))
	case errors.As(err, &status), errors.As(err, &network):
		return unavailable(fmt.Errorf("%s: %w", what, err))
	}
	return misconfigured(fmt.Errorf("%s: %w", what, err))
}
