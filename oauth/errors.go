package oauth

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"patchbay/provider"
)

// Class says what an error means and who can mend it.
type Class string

// The classes.
const (
	Throttled        Class = "throttled"         // too many requests; see RetryAfter
	Transient        Class = "transient"         // time-out, network, 5xx, overload: it may work later
	ConnectorFault   Class = "connector_fault"   // the registration is wrong: the operator's to mend, never a reason to give up a connection
	GrantDead        Class = "grant_dead"        // the code or token is no longer good: the person must link again
	ScopeRejected    Class = "scope_rejected"    // a scope is unknown or not allowed for this client
	RedirectRejected Class = "redirect_rejected" // the redirect URI is not registered
	ProviderFault    Class = "provider_fault"    // an answer that makes no sense
	Blocked          Class = "blocked"           // the guard refused the address; nothing was sent
	Denied           Class = "denied"            // the person said no, in a callback only
)

// Error is what every call to a provider fails with. Neither its text nor its fields
// hold a secret, a body or an address with a query.
type Error struct {
	Op         string // "exchange", "refresh", "account", "id_token", "key_set", "metadata", "revoke", "callback"
	Class      Class
	Code       string        // the provider's error code if it is [a-zA-Z0-9_.-]{1,64}, else ""
	Status     int           // HTTP status; 0 without an answer
	RetryAfter time.Duration // how long the provider asks to wait, at most an hour; 0: it did not say
	Sent       bool          // the request may have reached the provider; false: it provably did not

	reason    string
	cause     error
	badClient bool // client id or secret refused, before the grant was looked at
}

// Error returns one line for the operator's log.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "oauth %s: %s", e.Op, e.Class)
	if e.reason != "" {
		b.WriteString(": " + e.reason)
	}
	if e.Code != "" {
		b.WriteString(": " + e.Code)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	if e.cause != nil {
		b.WriteString(": " + e.cause.Error())
	}
	return b.String()
}

// Unwrap returns the cause: a network error, [ErrBlocked], [ErrTooLarge], or nil.
func (e *Error) Unwrap() error { return e.cause }

// ClassOf returns the class of an error of this package, "" for any other.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ""
}

// CallbackError classifies the error parameter of a callback: [Denied] if it means
// that the person said no, else what the entry and RFC 6749 4.1.2.1 say about it.
func CallbackError(entry *provider.Entry, code string) *Error {
	e := &Error{Op: "callback", Code: cleanCode(code), Sent: true}
	if entry.Denied(code) {
		e.Class = Denied
		return e
	}
	e.Class, e.badClient = classify(entry, 400, e.Code)
	return e
}

var plainCode = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)

func cleanCode(code string) string {
	if plainCode.MatchString(code) {
		return code
	}
	return ""
}

// standardCodes are those of RFC 6749 4.1.2.1 and 5.2 and RFC 8628 3.5 that need no
// mention in the catalogue, and redirect_uri_mismatch, which many use.
var standardCodes = map[string]provider.Fault{
	"invalid_client":          provider.InvalidClient,
	"unauthorized_client":     provider.ConnectorFault,
	"invalid_grant":           provider.GrantDead,
	"invalid_scope":           provider.ScopeRejected,
	"redirect_uri_mismatch":   provider.RedirectRejected,
	"server_error":            provider.Transient,
	"temporarily_unavailable": provider.Transient,
	"slow_down":               provider.Throttled,
}

// classify judges an unsuccessful answer of a token endpoint. A server in trouble is
// not believed about the grant: with 429 and 5xx the status counts, whatever the code.
func classify(entry *provider.Entry, status int, code string) (class Class, badClient bool) {
	fault, known := entry.Errors.Codes[code]
	if !known {
		fault, known = standardCodes[code]
	}
	if !known {
		fault, known = entry.Errors.Statuses[strconv.Itoa(status)]
	}
	switch {
	case status == 429, fault == provider.Throttled:
		return Throttled, false
	case status >= 500:
		return Transient, false
	case fault == provider.InvalidClient:
		return ConnectorFault, true
	case known:
		return Class(fault), false
	case status == 408 || status == 425:
		return Transient, false
	case status == 401: // RFC 6749 5.2: the client was not accepted
		return ConnectorFault, false
	default:
		return ProviderFault, false
	}
}
