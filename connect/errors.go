package connect

import (
	"errors"
	"fmt"
	"time"
)

// Code names what went wrong, or how a flow ended, to people and programs. The
// values are part of the product's interface and never change.
type Code string

// How a flow can end.
const (
	CodeConnected           Code = "connected"
	CodeScopesMissing       Code = "scopes_missing"
	CodeNoRefreshToken      Code = "no_refresh_token"
	CodeAccessDenied        Code = "access_denied"
	CodeExpired             Code = "expired"
	CodeSuperseded          Code = "superseded"
	CodeCanceled            Code = "canceled"
	CodeAccountMismatch     Code = "account_mismatch"
	CodeUserMismatch        Code = "user_mismatch"
	CodeAssuranceTooLow     Code = "assurance_too_low"
	CodeIssuerMismatch      Code = "issuer_mismatch"
	CodeClientRejected      Code = "client_rejected"
	CodeScopeRejected       Code = "scope_rejected"
	CodeRedirectURIRejected Code = "redirect_uri_rejected"
	CodeProviderError       Code = "provider_error"
	CodeProviderUnavailable Code = "provider_unavailable"
)

// What a request can be refused with.
const (
	CodeStateUnknown           Code = "state_unknown"
	CodeCookieMissing          Code = "cookie_missing"
	CodeBrowserMismatch        Code = "browser_mismatch"
	CodeInvalidRequest         Code = "invalid_request"
	CodeUnauthorized           Code = "unauthorized"
	CodeForbidden              Code = "forbidden"
	CodeNotFound               Code = "not_found"
	CodeNotConnected           Code = "not_connected"
	CodeOriginNotAllowed       Code = "origin_not_allowed"
	CodeReconnectRequired      Code = "reconnect_required"
	CodeFlowFinished           Code = "flow_finished"
	CodeConnectionChanged      Code = "connection_changed"
	CodeConnectorMisconfigured Code = "connector_misconfigured"
	CodeUnavailable            Code = "unavailable"
	CodeInternal               Code = "internal"
)

// Error is a refusal: a code, one sentence that its reader can act on, and a cause
// that goes to the log and never to the caller.
type Error struct {
	Code    Code
	Message string
	Cause   error
	// RetryAfter is set where trying again later can help.
	RetryAfter time.Duration
	// ConnectURL is where the end user can mend a reconnect_required.
	ConnectURL string
	// FlowOver tells, for a refused callback, that its flow had already ended.
	FlowOver bool
}

// Error implements error. It holds the cause, so it belongs in logs only.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf returns the code of err, or CodeInternal for an error that carries none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// ErrUnavailable is wrapped by a Store when it cannot work for now: a full disk, a
// lock that was not released, a database that is away. Nothing was changed.
var ErrUnavailable = errors.New("the database cannot be used right now")

// ErrNotFound is returned by a Store for a row that does not exist.
var ErrNotFound = errors.New("no such row")

func refuse(code Code, message string) *Error { return &Error{Code: code, Message: message} }

func refusef(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

var (
	errNoConnector = refuse(CodeNotFound, "There is no such connector in this app.")
	errTicketDead  = refuse(CodeExpired, "This button was used before or is too old. Open the page again and press it once more.")
)
