package session

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/gorilla/sessions"
	"golang.org/x/oauth2"

	"patchbay/connect"
)

// Logins signs in people who come by themselves, at the OpenID provider of their app:
// the code flow of OpenID Connect Core 1.0 section 3.1, with PKCE (RFC 7636), state and
// nonce, and the iss of RFC 9207. The exported fields are its dependencies.
type Logins struct {
	Service *connect.Service
	// HTTP calls the providers. It must refuse addresses inside the network.
	HTTP *http.Client
	// Secure says that the public address is https, as in Browsers.
	Secure bool
	// Now is the clock; time.Now when nil.
	Now func() time.Time

	prepare sync.Once
	keys    keySets
	mu      sync.Mutex
	issuers map[string]*issuer
}

const (
	loginCookie = "patchbay_login"
	loginLife   = 10 * time.Minute // from leaving for the provider to coming back
	outcomeLife = 5 * time.Minute  // for the person to decide in
)

// attempt is one sign-in on its way. The browser keeps it, sealed.
type attempt struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"` // of PKCE
	Next     string    `json:"next"`
	Begun    time.Time `json:"begun"`
}

// Begin sets the cookie of a new attempt and returns the address at the app's provider
// that the browser has to go to. next is the page of ours that Finish names in the end;
// the caller has checked that it is one. Errors: provider_unavailable,
// connector_misconfigured.
func (l *Logins) Begin(w http.ResponseWriter, r *http.Request, app *connect.App, next string) (redirectURL string, err error) {
	op, err := l.provider(r.Context(), app.Login.Issuer)
	if err != nil {
		return "", err
	}
	a := attempt{State: randomSecret(), Nonce: randomSecret(), Verifier: oauth2.GenerateVerifier(), Next: next, Begun: l.now()}
	sealed, err := l.Service.SealLogin(app.ID, connect.LoginAttempt, a)
	if err != nil {
		return "", err
	}
	l.setCookie(w, sealed, int(loginLife.Seconds()))
	return op.client(app, l.Service.LoginRedirectURI(app.ID)).AuthCodeURL(a.State, oidc.Nonce(a.Nonce),
		oauth2.S256ChallengeOption(a.Verifier), oauth2.SetAuthURLParam("response_mode", "query")), nil
}

// Finish takes the provider's answer, once: the attempt's cookie is gone afterwards,
// whatever the outcome. It says who the provider names, signs nobody in, and returns
// next also beside an error where the attempt is known. Errors: cookie_missing,
// browser_mismatch, state_unknown, access_denied, expired (the code was used or is too
// old), provider_error, provider_unavailable, connector_misconfigured.
func (l *Logins) Finish(w http.ResponseWriter, r *http.Request, app *connect.App) (user connect.EndUser, next string, err error) {
	a, err := l.take(w, r, app.ID)
	if err != nil {
		return connect.EndUser{}, "", err
	}
	user, err = l.finish(r, app, a)
	return user, a.Next, err
}

func (l *Logins) finish(r *http.Request, app *connect.App, a attempt) (connect.EndUser, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || !one(q, "state") || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(a.State)) != 1 {
		return connect.EndUser{}, errLoginState
	}
	op, err := l.provider(r.Context(), app.Login.Issuer)
	if err != nil {
		return connect.EndUser{}, err
	}
	if err := op.checkIssuer(q); err != nil {
		return connect.EndUser{}, err
	}
	code, err := codeOf(q)
	if err != nil {
		return connect.EndUser{}, err
	}
	user, err := l.exchange(r.Context(), op, app, code, a)
	if err != nil && connect.CodeOf(err) == connect.CodeConnectorMisconfigured {
		l.doubt(app.Login.Issuer) // its metadata may have changed
	}
	return user, err
}

// take reads the attempt of the browser and clears its cookie.
func (l *Logins) take(w http.ResponseWriter, r *http.Request, app string) (a attempt, err error) {
	found := r.CookiesNamed(cookieName(loginCookie, l.Secure))
	if len(found) == 0 {
		return a, errLoginCookie
	}
	l.setCookie(w, "", -1)
	if len(found) > 1 || !l.Service.UnsealLogin(app, connect.LoginAttempt, found[0].Value, &a) {
		return attempt{}, errLoginBrowser
	}
	if l.now().Sub(a.Begun) >= loginLife {
		return attempt{}, errLoginCookie
	}
	return a, nil
}

func (l *Logins) setCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, sessions.NewCookie(cookieName(loginCookie, l.Secure), value, cookieOptions(maxAge, l.Secure)))
}

var (
	errLoginCookie  = &connect.Error{Code: connect.CodeCookieMissing, Message: "This sign-in was not begun in this browser, or too long ago."}
	errLoginBrowser = &connect.Error{Code: connect.CodeBrowserMismatch, Message: "This browser has begun another sign-in."}
	errLoginState   = &connect.Error{Code: connect.CodeStateUnknown, Message: "This answer belongs to no sign-in that was begun here."}
	errLoginDenied  = &connect.Error{Code: connect.CodeAccessDenied, Message: "Signing in was declined at the provider."}
	errLoginOver    = &connect.Error{Code: connect.CodeExpired, Message: "This sign-in was finished before, or took too long. Sign in again."}
)

// codeOf finds the code in an answer that has exactly one of code and error, neither
// repeated, and no token, which would be an answer of another flow.
func codeOf(q url.Values) (string, error) {
	for _, token := range []string{"access_token", "id_token"} {
		if q.Has(token) {
			return "", oddAnswer("it carries " + token)
		}
	}
	switch {
	case one(q, "error") && !q.Has("code"):
		return "", refusal(q.Get("error"))
	case one(q, "code") && !q.Has("error"):
		return q.Get("code"), nil
	}
	return "", oddAnswer("it has not exactly one of code and error")
}

func one(q url.Values, name string) bool { return len(q[name]) == 1 && q[name][0] != "" }

func oddAnswer(why string) error {
	return &connect.Error{Code: connect.CodeProviderError, Message: "The sign-in provider's answer makes no sense.", Cause: errors.New(why)}
}

// refusal puts an error answer (RFC 6749 section 4.1.2.1, OpenID Connect Core 1.0
// section 3.1.2.6) into our codes.
func refusal(code string) error {
	cause := fmt.Errorf("the provider answers %s", plainCode(code))
	switch code {
	case "access_denied", "login_required", "consent_required", "interaction_required", "account_selection_required":
		return errLoginDenied
	case "server_error", "temporarily_unavailable":
		return unavailable(cause)
	case "invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope", "invalid_client":
		return misconfigured(cause)
	}
	return &connect.Error{Code: connect.CodeProviderError, Message: "The sign-in provider answers with an error.", Cause: cause}
}

var errorCode = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)

// plainCode keeps what a stranger made up out of the log.
func plainCode(code string) string {
	switch {
	case code == "":
		return "no error code"
	case errorCode.MatchString(code):
		return code
	}
	return "an error code of other characters than it may have"
}

func unavailable(cause error) error {
	return &connect.Error{Code: connect.CodeProviderUnavailable, Message: "The sign-in provider does not answer. Try again in a moment.", RetryAfter: 10 * time.Second, Cause: cause}
}

func misconfigured(cause error) error {
	return &connect.Error{Code: connect.CodeConnectorMisconfigured, Message: "The app's sign-in is not set up correctly.", Cause: cause}
}

// outcome is a sign-in that waits for the person to decide, because somebody else is
// signed in to the app in the same browser.
type outcome struct {
	User  connect.EndUser `json:"user"`
	Next  string          `json:"next"`
	Here  []byte          `json:"here"` // the hash of the browser's secret
	Until time.Time       `json:"until"`
}

// Keep puts what Finish found into a text for a form. Kept takes it back in the same
// browser only, and only as long as nothing about who is signed in there changes; here
// is who that is.
func (l *Logins) Keep(app string, user connect.EndUser, next string, here *connect.BrowserSession) (string, error) {
	return l.Service.SealLogin(app, connect.LoginOutcome, outcome{User: user, Next: next, Here: here.Hash, Until: l.now().Add(outcomeLife)})
}

// Kept reads a text of Keep; expired for any other, and after five minutes. here is nil
// for nobody.
func (l *Logins) Kept(app, text string, here *connect.BrowserSession) (user connect.EndUser, next string, err error) {
	var o outcome
	if here == nil || !l.Service.UnsealLogin(app, connect.LoginOutcome, text, &o) ||
		subtle.ConstantTimeCompare(o.Here, here.Hash) != 1 || !l.now().Before(o.Until) {
		return connect.EndUser{}, "", errLoginOver
	}
	return o.User, o.Next, nil
}

func (l *Logins) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}
