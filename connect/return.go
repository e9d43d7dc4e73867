package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"time"
	"unicode/utf8"

	"patchbay/oauth"
	"patchbay/provider"
	"patchbay/vault"
)

// ReturnRequest is the provider sending the browser back.
type ReturnRequest struct {
	App, Connector string
	Query          url.Values
	// Cookie looks up the secret that this browser holds for a flow, "" for none.
	Cookie func(flowID string) string
	// OtherCookies: this browser holds the secret of some other flow.
	OtherCookies bool
	// TopLevel is false when the browser says that it loads the callback into
	// anything but a top-level page; its cookie then counts as none.
	TopLevel bool
}

// Returned is where the browser goes next.
type Returned struct {
	Flow     Flow
	Location string // the result page, or the app's verify_url
}

// maxStateLen bounds what is hashed; our own states have 43 characters.
const maxStateLen = 128

// Return takes the provider's answer, in the order that the contract fixes: the state
// must be ours and of this connector (state_unknown), the browser must hold the flow's
// secret (cookie_missing, browser_mismatch); up to here nothing changes. Every later
// outcome is the flow's, and Return then gives the address of its result.
func (s *Service) Return(ctx context.Context, q ReturnRequest) (Returned, error) {
	f, err := s.flowByState(ctx, q.App, q.Connector, q.Query["state"])
	if err != nil {
		return Returned{}, err
	}
	if err := s.checkBrowser(ctx, &f, q); err != nil {
		return Returned{}, err
	}
	for {
		if f, err = s.settle(ctx, &f); err != nil {
			return Returned{}, err
		}
		switch f.Status {
		case StatusStarted, StatusCreated:
			out, moved, err := s.takeAnswer(ctx, &f, q.Query)
			if err != nil || moved {
				return out, err
			}
		case StatusVerifying:
			out, moved, err := s.askAppAgain(ctx, &f)
			if err != nil || moved {
				return out, err
			}
		case StatusReturned, StatusExchanging:
			f, err = s.awaitExchange(ctx, &f)
			return s.toResult(f), err
		default:
			return s.toResult(f), nil
		}
		// Another request moved the flow first: look at it again.
		if f, err = s.Store.Flow(ctx, f.ID); err != nil {
			return Returned{}, err
		}
	}
}

// ResultPath is the address of a flow's result page.
func ResultPath(flowID string) string { return "/flows/" + flowID }

func (s *Service) toResult(f Flow) Returned {
	return Returned{Flow: f, Location: s.PublicURL + ResultPath(f.ID)}
}

var errStateUnknown = refuse(CodeStateUnknown, "This answer of the provider belongs to nothing that was begun here.")

// flowByState is step a: the state is there once, known, and its flow is of the app
// and connector whose redirect URI was called.
func (s *Service) flowByState(ctx context.Context, app, connector string, state []string) (Flow, error) {
	if len(state) != 1 || state[0] == "" || len(state[0]) > maxStateLen || !utf8.ValidString(state[0]) {
		return Flow{}, errStateUnknown
	}
	f, err := s.Store.FlowByState(ctx, HashSecret(state[0]))
	if isNotFound(err) {
		return Flow{}, errStateUnknown
	}
	if err != nil {
		return Flow{}, err
	}
	if f.App != app || f.Connector != connector {
		return Flow{}, errStateUnknown
	}
	return f, nil
}

// checkBrowser is step b: the browser that returns holds what start gave it.
func (s *Service) checkBrowser(ctx context.Context, f *Flow, q ReturnRequest) error {
	cookie := ""
	if q.TopLevel {
		cookie = q.Cookie(f.ID)
	}
	if f.heldBy(cookie) {
		return nil
	}
	e := &Error{Code: CodeCookieMissing, Message: "This browser did not bring back what it was given at the start.",
		FlowOver: f.Status.Final() || s.overdue(f) != ""}
	if q.TopLevel && (cookie != "" || q.OtherCookies) {
		e.Code, e.Message = CodeBrowserMismatch, "This was started in another browser."
	}
	ev := s.flowEvent(ctx, EventCallbackRefused, f)
	ev.Data = map[string]string{"code": string(e.Code)}
	s.emit(ctx, ev)
	return e
}

// takeAnswer is steps e and f, and what follows them. False: the flow was moved by
// another request first.
func (s *Service) takeAnswer(ctx context.Context, f *Flow, query url.Values) (Returned, bool, error) {
	a, c, err := s.connectorIn(ctx, f)
	if err != nil {
		return Returned{}, false, err
	}
	reg, err := s.registration(c, f.Params)
	if err != nil {
		return Returned{}, false, err
	}
	query = answerIn(reg.Entry, query)
	status, code := StatusFailed, Code("")
	switch {
	case reg.Entry.CheckIssuer(c.Endpoints, reg.Endpoints, query["iss"]) != nil:
		code = CodeIssuerMismatch
	case !wellFormed(query):
		code = CodeProviderError
	case query.Has("error"):
		status, code = answerOutcome(reg.Entry, query.Get("error"))
		f.Detail.ProviderError = oauth.CallbackError(reg.Entry, query.Get("error")).Code
	case !sufficient(a, f):
		code = CodeAssuranceTooLow
	}
	if code != "" {
		moved, err := s.end(ctx, f, status, code)
		return s.toResult(*f), moved, err
	}
	f.Proofs = []Proof{ProofBrowser}
	if f.Need == ProofApp {
		return s.askApp(ctx, f, a, query)
	}
	f.Proofs = append(f.Proofs, f.Need)
	return s.exchangeNow(ctx, f, query)
}

// sufficient reports whether the proofs that this flow can still get are what the app
// demands now; its settings may have changed since the start.
func sufficient(a *App, f *Flow) bool {
	if f.byBuilder() {
		return f.Need == ProofHuman
	}
	switch f.Need {
	case ProofApp:
		return a.VerifyURL != ""
	case ProofFrame, ProofLogin, ProofHuman:
		return enough(a, f.Need)
	}
	return false
}

// wellFormed is step f: exactly one of code and error, nothing of ours repeated, and
// no token, which only the implicit grant would put there (RFC 9700 section 2.1.2).
func wellFormed(q url.Values) bool {
	for _, name := range []string{"code", "error", "error_description", "error_uri", "state", "iss"} {
		if len(q[name]) > 1 {
			return false
		}
	}
	for _, name := range []string{"access_token", "id_token", "refresh_token", "token"} {
		if q.Has(name) {
			return false
		}
	}
	code, err := q.Get("code"), q.Get("error")
	if q.Has("code") == q.Has("error") || (code == "" && err == "") {
		return false
	}
	return utf8.ValidString(code)
}

// answerIn is a callback in which "code" is what this provider has exchanged, whatever
// it calls it.
func answerIn(e *provider.Entry, q url.Values) url.Values {
	if e.Authorize.CodeParam == "code" {
		return q
	}
	q = maps.Clone(q)
	delete(q, "code")
	if found, has := q[e.Authorize.CodeParam]; has {
		q["code"] = found
		delete(q, e.Authorize.CodeParam)
	}
	return q
}

// answerOutcome says what an error at the callback means (RFC 6749 section 4.1.2.1,
// OpenID Connect Core section 3.1.2.6, and the catalogue's own words for "no").
func answerOutcome(e *provider.Entry, code string) (Status, Code) {
	switch code {
	case "consent_required", "interaction_required", "login_required", "account_selection_required":
		return StatusDenied, CodeAccessDenied
	}
	switch oauth.CallbackError(e, code).Class {
	case oauth.Denied:
		return StatusDenied, CodeAccessDenied
	case oauth.ScopeRejected:
		return StatusFailed, CodeScopeRejected
	case oauth.ConnectorFault:
		return StatusFailed, CodeClientRejected
	case oauth.RedirectRejected:
		return StatusFailed, CodeRedirectURIRejected
	case oauth.Transient, oauth.Throttled:
		return StatusFailed, CodeProviderUnavailable
	}
	return StatusFailed, CodeProviderError
}

// askApp begins step 4: the code is kept sealed, and the browser is sent to the app,
// which knows from its own session who is there.
func (s *Service) askApp(ctx context.Context, f *Flow, a *App, query url.Values) (Returned, bool, error) {
	sec, err := s.flowSecrets(f)
	if err != nil {
		return Returned{}, false, err
	}
	sec.Code, sec.Callback = query.Get("code"), callbackFields(query)
	plain, err := json.Marshal(sec)
	if err != nil {
		return Returned{}, false, err
	}
	if f.Sealed, err = s.Sealer.Seal(flowContext(f), plain); err != nil {
		return Returned{}, false, err
	}
	f.Status, f.MovedAt = StatusVerifying, s.now()
	return s.sendToApp(ctx, f, a)
}

// askAppAgain serves a callback that is loaded again while the app is asked: a new
// result code, which voids the old one.
func (s *Service) askAppAgain(ctx context.Context, f *Flow) (Returned, bool, error) {
	a, err := s.App(ctx, f.App)
	if err != nil {
		return Returned{}, false, err
	}
	if a.VerifyURL == "" {
		moved, err := s.end(ctx, f, StatusFailed, CodeAssuranceTooLow)
		return s.toResult(*f), moved, err
	}
	return s.sendToApp(ctx, f, a)
}

func (s *Service) sendToApp(ctx context.Context, f *Flow, a *App) (Returned, bool, error) {
	to, err := url.Parse(a.VerifyURL)
	if err != nil {
		return Returned{}, false, fmt.Errorf("app %s: verify_url: %w", a.ID, err)
	}
	code := newSecret()
	f.ResultHash, f.ResultExpires = HashSecret(code), s.now().Add(VerifyWindow)
	moved, err := s.Store.UpdateFlow(ctx, *f)
	if err != nil || !moved {
		return Returned{}, false, err
	}
	f.Version++
	q := to.Query()
	q.Set("flow", f.ID)
	q.Set("result_code", code)
	to.RawQuery = q.Encode()
	return Returned{Flow: *f, Location: to.String()}, true, nil
}

// callbackFields are the callback's fields beyond the protocol's own; some providers
// put facts of the connection there.
func callbackFields(q url.Values) map[string][]string {
	extra := map[string][]string{}
	for k, v := range q {
		if k != "code" && k != "state" && len(v) == 1 && len(v[0]) <= 2048 && len(extra) < 20 {
			extra[k] = v
		}
	}
	return extra
}

// exchangeNow claims the flow and makes the connection. The claim is one statement on
// the row's version, so that of many loads of one address exactly one gets here.
func (s *Service) exchangeNow(ctx context.Context, f *Flow, query url.Values) (Returned, bool, error) {
	sec, err := s.flowSecrets(f)
	if err != nil {
		return Returned{}, false, err
	}
	f.Status, f.MovedAt = StatusExchanging, s.now()
	moved, err := s.Store.UpdateFlow(ctx, *f)
	if err != nil || !moved {
		return Returned{}, false, err
	}
	f.Version++
	sec.Code, sec.Callback = query.Get("code"), callbackFields(query)
	done, err := s.finish(ctx, *f, sec)
	return s.toResult(done), true, err
}

// awaitExchange gives the request that is exchanging the code a moment, so that a
// callback loaded twice shows the outcome both times.
func (s *Service) awaitExchange(ctx context.Context, f *Flow) (Flow, error) {
	until := time.Now().Add(5 * time.Second)
	for !f.Status.Final() && time.Now().Before(until) {
		select {
		case <-ctx.Done():
			return *f, nil
		case <-time.After(50 * time.Millisecond):
		}
		again, err := s.flow(ctx, f.ID)
		if err != nil {
			return Flow{}, err
		}
		*f = again
	}
	return *f, nil
}

const parkLife = time.Minute

func parkContext(id string) vault.Context { return vault.Context{Row: id, Purpose: "form_post"} }

// Park keeps the fields that a provider posted (OAuth 2.0 Form Post Response Mode)
// for a minute, because the browser sends no cookie of ours with such a post. It
// returns a one-time id that the browser then brings in a GET. A state that is not
// known for this app and connector is refused with state_unknown.
func (s *Service) Park(ctx context.Context, app, connector string, fields url.Values) (string, error) {
	if _, err := s.flowByState(ctx, app, connector, fields["state"]); err != nil {
		return "", err
	}
	id := newSecret()
	sealed, err := s.sealJSON(parkContext(id), fields)
	if err != nil {
		return "", err
	}
	return id, s.Store.Park(ctx, HashSecret(id), sealed, s.now().Add(parkLife))
}

// Parked returns the fields kept under a one-time id.
func (s *Service) Parked(ctx context.Context, id string) (url.Values, error) {
	sealed, err := s.Store.Parked(ctx, HashSecret(id), s.now())
	if errors.Is(err, ErrNotFound) {
		return nil, errStateUnknown
	}
	if err != nil {
		return nil, err
	}
	plain, err := s.Sealer.Open(parkContext(id), sealed)
	if err != nil {
		return nil, err
	}
	var fields url.Values
	return fields, json.Unmarshal(plain, &fields)
}

// Unpark forgets the fields kept under a one-time id.
func (s *Service) Unpark(ctx context.Context, id string) error {
	return s.Store.Unpark(ctx, HashSecret(id))
}
