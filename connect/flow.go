package connect

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"time"

	"patchbay/vault"
)

// Status is where a flow stands; the package comment has the table.
type Status string

// The statuses of a flow. The last six are final.
const (
	StatusCreated    Status = "created"
	StatusStarted    Status = "started"
	StatusReturned   Status = "returned"
	StatusVerifying  Status = "verifying"
	StatusExchanging Status = "exchanging"
	StatusConnected  Status = "connected"
	StatusFailed     Status = "failed"
	StatusDenied     Status = "denied"
	StatusExpired    Status = "expired"
	StatusSuperseded Status = "superseded"
	StatusCanceled   Status = "canceled"
)

// Final reports whether nothing moves the flow any more.
func (st Status) Final() bool {
	switch st {
	case StatusCreated, StatusStarted, StatusReturned, StatusVerifying, StatusExchanging:
		return false
	}
	return true
}

// Proof is one reason to believe that who finished a flow is who began it.
type Proof string

// The proofs that exist in these modes.
const (
	ProofBrowser Proof = "browser" // the browser that returned holds the secret that start gave it
	ProofFrame   Proof = "frame"   // start was posted from our frame, inside the one page that may hold it
	ProofLogin   Proof = "login"   // the person signed in to us through the app's OpenID provider
	ProofApp     Proof = "app"     // the app's own session named the same user before the exchange
	ProofHuman   Proof = "human"   // the person was told who began this, and went on
)

// Assurance sums the proofs up.
type Assurance string

// App is proof; human is the consent of an informed person.
const (
	AssuranceApp   Assurance = "app"
	AssuranceHuman Assurance = "human"
)

// Required is the proof, beside browser, that a flow needs. has is what its start
// brought along: frame, login, or "" for nothing, and then the app is asked where it
// can be asked, else the person.
func Required(a *App, has Proof) Proof {
	switch {
	case has == ProofFrame, has == ProofLogin:
		return has
	case a.VerifyURL != "":
		return ProofApp
	}
	return ProofHuman
}

// AssuranceOf is the assurance that the proofs give together.
func AssuranceOf(proofs []Proof) Assurance {
	for _, p := range proofs {
		if assures(p) {
			return AssuranceApp
		}
	}
	return AssuranceHuman
}

// assures reports whether the proof is one, and not the consent of an informed person.
func assures(p Proof) bool { return p == ProofFrame || p == ProofLogin || p == ProofApp }

// enough reports whether a flow with that proof reaches the app's minimum.
func enough(a *App, p Proof) bool { return a.MinAssurance != AssuranceApp || assures(p) }

// reachable reports whether a flow of a new connect session can reach the app's
// minimum: a frame can prove itself, and who opens a link can sign in.
func reachable(a *App, mode Mode) bool {
	return mode == ModeEmbed || enough(a, Required(a, "")) || (mode == ModeLink && a.Login != nil)
}

// Flow is one attempt to make a connection.
type Flow struct {
	ID        string
	App       string
	Connector string
	Mode      Mode
	User      EndUser // zero: an account for the whole app
	Status    Status
	Code      Code // "" until the end
	Version   int64

	StateHash  []byte
	CookieHash []byte
	Sealed     []byte // flowSecrets
	Need       Proof  // beside browser
	Proofs     []Proof
	Scopes     []string // asked
	Params     map[string]string
	ReturnURL  string
	Lang       string
	Session    string // the connect session of the link or frame that began it
	Reconnect  bool   // a connection existed at start

	ResultHash    []byte    // of the one-time result code
	ResultExpires time.Time // also the end of verifying

	Connection string // id, when connected
	Detail     FlowDetail

	CreatedAt  time.Time
	MovedAt    time.Time // when the status last changed
	FinishedAt time.Time
}

// Owner is whose connection the flow makes.
func (f *Flow) Owner() Owner { return OwnerOf(f.User.ID) }

// Shared reports whether the flow connects an account for the whole app.
func (f *Flow) Shared() bool { return f.byBuilder() && !f.Detail.Trial }

// byBuilder reports whether a builder and no end user is at it.
func (f *Flow) byBuilder() bool { return f.Owner() == Owner{} }

// FlowDetail is what the result page tells beyond the code.
type FlowDetail struct {
	Account       string   `json:"account,omitempty"`       // label of the linked account
	OtherAccount  string   `json:"other_account,omitempty"` // account_mismatch: the one that was chosen
	Scopes        []string `json:"scopes,omitempty"`        // granted
	Missing       []string `json:"missing,omitempty"`
	ProviderError string   `json:"provider_error,omitempty"` // the provider's error code
	FreshGrant    string   `json:"fresh_grant,omitempty"`    // account_mismatch, and a try: how its revocation went; "" for none
	Trial         bool     `json:"trial,omitempty"`          // a builder's try: nothing is kept
	Trace         string   `json:"trace,omitempty"`
	SameWindow    bool     `json:"same_window,omitempty"` // embed: begun in place of the app's page, not in a tab
}

// flowSecrets are what a flow must not show: sealed, bound to its row.
type flowSecrets struct {
	Verifier string              `json:"verifier,omitempty"`
	Nonce    string              `json:"nonce,omitempty"`    // for the ID token
	Code     string              `json:"code,omitempty"`     // the provider's, while the app is asked
	Callback map[string][]string `json:"callback,omitempty"` // the callback's other fields
}

func flowContext(f *Flow) vault.Context {
	return vault.Context{App: f.App, Connector: f.Connector, User: f.Owner().Key(), Row: f.ID, Purpose: "flow"}
}

func (s *Service) flowSecrets(f *Flow) (flowSecrets, error) {
	var sec flowSecrets
	plain, err := s.Sealer.Open(flowContext(f), f.Sealed)
	if err != nil {
		return sec, fmt.Errorf("flow %s: %w", f.ID, err)
	}
	return sec, json.Unmarshal(plain, &sec)
}

// FlowFor returns a flow of the app for its back end, or not_found.
func (s *Service) FlowFor(ctx context.Context, app, id string) (Flow, error) {
	f, err := s.flow(ctx, id)
	if err == nil && f.App != app {
		return Flow{}, errNoFlow
	}
	return f, err
}

// FlowOf returns a flow to whom it concerns: the browser that holds its secret, or a
// session or frame of its end user. Others are told that there is none.
func (s *Service) FlowOf(ctx context.Context, id, cookie string, sessions []BrowserSession) (Flow, error) {
	f, err := s.flow(ctx, id)
	if err != nil {
		return Flow{}, err
	}
	if f.heldBy(cookie) {
		return f, nil
	}
	if SignedInAs(sessions, &f) {
		return f, nil
	}
	return Flow{}, errNoFlow
}

// SignedInAs reports whether one of the browser's identities is the flow's end user and
// may see its connector.
func SignedInAs(sessions []BrowserSession, f *Flow) bool {
	for i := range sessions {
		b := &sessions[i]
		if b.App == f.App && b.User.ID == f.User.ID && b.Allows(f.Connector) {
			return true
		}
	}
	return false
}

// CancelFlow ends a flow that the browser holding cookie began. notMe says that the
// person is not the one named on the page, which is a security event. A flow that
// is over stays as it is.
func (s *Service) CancelFlow(ctx context.Context, id, cookie string, notMe bool) (Flow, error) {
	for {
		f, err := s.flow(ctx, id)
		if err != nil {
			return Flow{}, err
		}
		if !f.heldBy(cookie) {
			return Flow{}, errNoFlow
		}
		if f.Status.Final() {
			return f, nil
		}
		var more []Event
		if notMe {
			more = append(more, s.flowEvent(ctx, EventNotMe, &f))
		}
		if moved, err := s.end(ctx, &f, StatusCanceled, CodeCanceled, more...); err != nil || moved {
			return f, err
		}
	}
}

// CancelUserFlows ends the user's unfinished flows of a connector.
func (s *Service) CancelUserFlows(ctx context.Context, app, user, connector string) error {
	open, err := s.OpenFlows(ctx, app, user)
	if err != nil {
		return err
	}
	for i := range open {
		if open[i].Connector != connector {
			continue
		}
		if _, err := s.end(ctx, &open[i], StatusCanceled, CodeCanceled); err != nil {
			return err
		}
	}
	return nil
}

// OpenFlows lists the user's flows of the app that are under way.
func (s *Service) OpenFlows(ctx context.Context, app, user string) ([]Flow, error) {
	flows, err := s.Store.OpenFlows(ctx, app, user)
	if err != nil {
		return nil, err
	}
	open := flows[:0]
	for _, f := range flows {
		if s.overdue(&f) == "" {
			open = append(open, f)
		}
	}
	return open, nil
}

var errNoFlow = refuse(CodeNotFound, "There is no such flow.")

// flow reads a flow and ends it first if its time is over.
func (s *Service) flow(ctx context.Context, id string) (Flow, error) {
	f, err := s.Store.Flow(ctx, id)
	if isNotFound(err) {
		return Flow{}, errNoFlow
	}
	if err != nil {
		return Flow{}, err
	}
	return s.settle(ctx, &f)
}

// overdue returns the code with which the clock ends the flow, or "".
func (s *Service) overdue(f *Flow) Code {
	now := s.now()
	switch f.Status {
	case StatusCreated, StatusStarted:
		if !now.Before(f.CreatedAt.Add(FlowLife)) {
			return CodeExpired
		}
	case StatusVerifying:
		if !now.Before(f.ResultExpires) {
			return CodeExpired
		}
	case StatusReturned, StatusExchanging:
		// The process that was at it is gone, or it would have ended the flow.
		if !now.Before(f.MovedAt.Add(exchangeWindow)) {
			return CodeProviderUnavailable
		}
	}
	return ""
}

// settle ends a flow whose time is over, and returns it as it is then.
func (s *Service) settle(ctx context.Context, f *Flow) (Flow, error) {
	for {
		code := s.overdue(f)
		if code == "" {
			return *f, nil
		}
		status := StatusExpired
		if code != CodeExpired {
			status = StatusFailed
		}
		moved, err := s.end(ctx, f, status, code)
		if err != nil || moved {
			return *f, err
		}
		again, err := s.Store.Flow(ctx, f.ID)
		if err != nil {
			return Flow{}, err
		}
		*f = again
	}
}

// end gives the flow its final status and drops its secrets. False: somebody else
// moved the flow first; then f is not to be used any more.
func (s *Service) end(ctx context.Context, f *Flow, status Status, code Code, more ...Event) (bool, error) {
	s.close(ctx, f, status, code)
	events := append(more, s.flowEvent(ctx, EventFlowFinished, f))
	moved, err := s.Store.UpdateFlow(ctx, *f, events...)
	if err != nil || !moved {
		return false, err
	}
	f.Version++
	s.emit(ctx, events...)
	return true, nil
}

func (s *Service) close(ctx context.Context, f *Flow, status Status, code Code) {
	f.Status, f.Code = status, code
	f.MovedAt = s.now()
	f.FinishedAt = f.MovedAt
	f.Sealed, f.ResultHash, f.ResultExpires = nil, nil, time.Time{}
	if t := Trace(ctx); t != "" {
		f.Detail.Trace = t
	}
}

// heldBy reports whether cookie is the secret that start gave the browser.
func (f *Flow) heldBy(cookie string) bool {
	return cookie != "" && len(f.CookieHash) > 0 && subtle.ConstantTimeCompare(HashSecret(cookie), f.CookieHash) == 1
}
