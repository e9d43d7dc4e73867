package connect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"sync"
	"time"

	"patchbay/oauth"
)

// StartGrant is a start ticket that was found good: who may begin what. It is not
// used up until Start.
type StartGrant struct {
	App       *App
	Connector *Connector
	User      EndUser
	Mode      Mode
	ReturnURL string
	Lang      string
	// SameWindow: the flow takes the place of the app's page instead of opening a tab.
	SameWindow bool
	// Trial: a builder tries the connector, and nothing is kept.
	Trial bool

	ticket  ticket
	session string   // connect session of the link or frame
	scopes  []string // asked; nil: the connector's own
	has     Proof    // what the start itself proves: frame, login or nothing
}

// AppID is the app that the ticket is of, also where the ticket was refused; "" for
// one that is not ours.
func (g *StartGrant) AppID() string { return g.ticket.app }

// Embedded reports whether the ticket stood on a page of an embed session.
func (g *StartGrant) Embedded() bool {
	return g.ticket.kind == ticketFrame || g.ticket.kind == ticketEmbed
}

// Shared reports whether the start is of an account for the whole app.
func (g *StartGrant) Shared() bool { return g.byBuilder() && !g.Trial }

// byBuilder reports whether a builder and no end user is at it.
func (g *StartGrant) byBuilder() bool { return OwnerOf(g.User.ID) == Owner{} }

// need is the proof, beside browser, that the flow needs. A shared account is linked, and
// a connector tried, by an informed person: min_assurance and verify_url concern end users.
func (g *StartGrant) need() Proof {
	if g.byBuilder() {
		return ProofHuman
	}
	return Required(g.App, g.has)
}

func (g *StartGrant) asked(s *Service) []string {
	if g.scopes != nil {
		return g.scopes
	}
	return s.AskedScopes(g.Connector)
}

// Started is a flow that was begun: where the browser goes next, and the secret that
// it has to bring back.
type Started struct {
	Flow      Flow
	App       *App
	Connector *Connector
	// Cookie is the flow's secret for this browser. Only its hash is stored.
	Cookie string
	// ContinueURL is the provider's authorization address; "" for a flow that is over.
	ContinueURL string
	// Press: the person must be told who began this, and go on by themselves.
	Press bool
}

// CheckTicket finds what a start ticket allows. browser holds the identities of the
// browser that posted it. Errors: expired for a ticket that is dead or not this
// browser's, user_mismatch when somebody else of the app is signed in here. A builder's
// ticket is for [Service.CheckTrialTicket].
func (s *Service) CheckTicket(ctx context.Context, text string, browser []BrowserSession) (StartGrant, error) {
	t, err := s.readTicket(text)
	g := StartGrant{ticket: t}
	if err != nil {
		return g, err
	}
	switch t.kind {
	case ticketSession:
		b := browserOf(browser, t)
		if b == nil {
			return g, errTicketDead
		}
		if !b.Allows(t.connector) {
			return g, errNoConnector
		}
		g.User, g.Mode, g.ReturnURL, g.Lang, g.has = b.User, ModeRedirect, b.ReturnURL, b.Lang, b.proof()
	case ticketLink:
		if err := s.grantOf(ctx, &g, ModeLink); err != nil {
			return g, err
		}
		if g.Shared() {
			break // who is signed in to the app here plays no part
		}
		if other := OtherUser(browser, t.app, g.User.ID); other != nil {
			return g, errOtherUser
		}
		if b := identity(browser, t.app, g.User.ID); b != nil {
			g.has = b.proof()
		}
	case ticketFrame, ticketEmbed:
		// Who else is signed in in this browser plays no part: the frame's page knows
		// no cookie.
		if err := s.grantOf(ctx, &g, ModeEmbed); err != nil {
			return g, err
		}
		if t.kind == ticketFrame {
			g.has = ProofFrame
		}
	default:
		return g, errTicketDead
	}
	g.App, g.Connector, err = s.connectorOf(ctx, t.app, t.connector, OwnerOf(g.User.ID))
	return g, err
}

// grantOf fills in what the connect session of a ticket allows, while it lives.
func (s *Service) grantOf(ctx context.Context, g *StartGrant, mode Mode) error {
	cs, err := s.Store.ConnectSession(ctx, g.ticket.app, sessionID(g.ticket.owner))
	if err != nil && !isNotFound(err) {
		return err
	}
	if err != nil || cs.Mode != mode || !cs.Live(s.now()) || !cs.Allows(g.ticket.connector) {
		return errTicketDead
	}
	if mode == ModeEmbed {
		if live, err := s.embeds(ctx, &cs); err != nil || !live {
			return cmp.Or(err, error(errTicketDead))
		}
	}
	g.User, g.Mode, g.ReturnURL, g.Lang, g.session, g.scopes = cs.User, mode, cs.ReturnURL, cs.Lang, cs.ID, cs.Scopes
	return nil
}

// MustSignIn reports whether a link of the user could reach the app's minimum only after
// signing in: nothing else that this browser can show would be enough.
func MustSignIn(a *App, browser []BrowserSession, user string) bool {
	has := Proof("")
	if b := identity(browser, a.ID, user); b != nil {
		has = b.proof()
	}
	return a.Login != nil && !enough(a, Required(a, has))
}

// proof is what being in this session proves by itself.
func (b *BrowserSession) proof() Proof {
	if b.Login {
		return ProofLogin
	}
	return ""
}

// identity returns the identity of the app in this browser that is that user.
func identity(browser []BrowserSession, app, user string) *BrowserSession {
	for i := range browser {
		if browser[i].App == app && browser[i].User.ID == user {
			return &browser[i]
		}
	}
	return nil
}

var errOtherUser = refuse(CodeUserMismatch, "Somebody else of this app is signed in in this browser.")

// OtherUser returns the identity of the app in this browser that is not that user.
func OtherUser(browser []BrowserSession, app, user string) *BrowserSession {
	for i := range browser {
		if browser[i].App == app && browser[i].User.ID != user {
			return &browser[i]
		}
	}
	return nil
}

func browserOf(browser []BrowserSession, t ticket) *BrowserSession {
	for i := range browser {
		if browser[i].App == t.app && bytes.HasPrefix(browser[i].Hash, t.owner) {
			return &browser[i]
		}
	}
	return nil
}

// Start begins a flow. params are what the connector asks the end user for. A flow
// whose proof could not reach the app's minimum is over at once, with the code
// assurance_too_low, and leads nowhere. Errors: invalid_request for parameters that do
// not fit, expired for a ticket that was used; then nothing was changed.
func (s *Service) Start(ctx context.Context, g StartGrant, params map[string]string) (Started, error) {
	reg, asked, err := s.startRegistration(g.Connector, params)
	if err != nil {
		return Started{}, err
	}
	var existing Connection
	if !g.Trial {
		existing, err = s.Store.Connection(ctx, g.App.ID, g.Connector.ID, OwnerOf(g.User.ID))
		if err != nil && !isNotFound(err) {
			return Started{}, err
		}
	}
	now := s.now()
	f := Flow{
		ID: newID("fl_"), App: g.App.ID, Connector: g.Connector.ID, Mode: g.Mode, User: g.User,
		Status: StatusStarted, Version: 1, Need: g.need(),
		Scopes: g.asked(s), Params: asked, ReturnURL: g.ReturnURL, Lang: g.Lang,
		Session: g.session, Reconnect: existing.ID != "", CreatedAt: now, MovedAt: now,
		Detail: FlowDetail{Account: existing.Account.Label(), Trace: Trace(ctx), SameWindow: g.SameWindow, Trial: g.Trial},
	}
	state, cookie := newSecret(), newSecret()
	f.StateHash, f.CookieHash = HashSecret(state), HashSecret(cookie)
	var sec flowSecrets
	if reg.Entry.UsesPKCE() {
		sec.Verifier = oauth.NewVerifier()
	}
	if reg.Entry.IDTokenAsked(f.Scopes) {
		sec.Nonce = oauth.NewNonce()
	}
	plain, err := json.Marshal(sec)
	if err != nil {
		return Started{}, err
	}
	if f.Sealed, err = s.Sealer.Seal(flowContext(&f), plain); err != nil {
		return Started{}, err
	}
	to, err := s.OAuth.AuthorizeURL(reg, oauth.AuthorizeRequest{
		State: state, Scopes: f.Scopes, Verifier: sec.Verifier, Nonce: sec.Nonce, SelectAccount: f.Reconnect || f.Detail.Trial,
	})
	if err != nil {
		return Started{}, &Error{Code: CodeConnectorMisconfigured, Message: "This connector is not set up correctly.", Cause: err}
	}
	if err := s.roomFor(ctx, g.App.ID); err != nil {
		return Started{}, err
	}
	ev := s.flowEvent(ctx, EventFlowStarted, &f)
	ok, err := s.Store.CreateFlow(ctx, f, g.ticket.nonce, g.ticket.expires, ev)
	if err != nil {
		return Started{}, err
	}
	if !ok {
		return Started{}, errTicketDead
	}
	s.emit(ctx, ev)
	out := Started{Flow: f, App: g.App, Connector: g.Connector, Cookie: cookie, ContinueURL: to, Press: f.Need == ProofHuman}
	if !g.byBuilder() && !enough(g.App, f.Need) {
		out.ContinueURL = ""
		if _, err := s.end(ctx, &out.Flow, StatusFailed, CodeAssuranceTooLow); err != nil {
			return Started{}, err
		}
	}
	return out, nil
}

// How many flows may be under way. Of a user's, the sweep ends the oldest beyond this; an
// app's new ones are refused.
const (
	MaxUserFlows = 100
	maxAppFlows  = 20_000
	pendingFresh = 5 * time.Second // how long a count is believed
)

// pending remembers how many flows of an app are under way.
type pending struct {
	mu   sync.Mutex
	apps map[string]pendingCount
}

type pendingCount struct {
	n  int
	at time.Time
}

// roomFor refuses when too many flows of an app are under way.
func (s *Service) roomFor(ctx context.Context, app string) error {
	s.pending.mu.Lock()
	known := s.pending.apps[app]
	s.pending.mu.Unlock()
	if now := s.now(); now.Sub(known.at).Abs() >= pendingFresh {
		n, err := s.Store.CountOpenFlows(ctx, app)
		if err != nil {
			return err
		}
		known = pendingCount{n, now}
		s.pending.mu.Lock()
		if s.pending.apps == nil {
			s.pending.apps = map[string]pendingCount{}
		}
		s.pending.apps[app] = known
		s.pending.mu.Unlock()
	}
	if known.n >= maxAppFlows {
		return &Error{Code: "rate_limited", Message: "So many people are connecting an account in this app right now that it has to wait. Try again in a minute.", RetryAfter: time.Minute}
	}
	return nil
}

// startRegistration checks what the end user filled in and resolves the provider's
// addresses with it.
func (s *Service) startRegistration(c *Connector, params map[string]string) (oauth.Registration, map[string]string, error) {
	e, err := s.Entry(c)
	if err != nil {
		return oauth.Registration{}, nil, err
	}
	asked := map[string]string{}
	for _, p := range e.ParamFields(c.Params) {
		v, given := params[p.Name]
		delete(params, p.Name)
		if !given || v == "" {
			v = p.Default
		}
		if v == "" {
			if p.Required {
				return oauth.Registration{}, nil, refusef(CodeInvalidRequest, "%s is required.", p.Label)
			}
			continue
		}
		if p.Pattern != nil && !p.Pattern.MatchString(v) {
			return oauth.Registration{}, nil, refusef(CodeInvalidRequest, "%s does not look right. An example: %s", p.Label, p.Example)
		}
		asked[p.Name] = v
	}
	for name := range params {
		return oauth.Registration{}, nil, refusef(CodeInvalidRequest, "This connector does not ask for %q.", name)
	}
	reg, err := s.registration(c, asked)
	if err != nil {
		return oauth.Registration{}, nil, &Error{Code: CodeInvalidRequest, Message: "What was filled in does not lead to an address of this provider.", Cause: err}
	}
	return reg, asked, nil
}

// LinkTicketAgain prints another start ticket for the link that began f, for a result
// page from which one can begin anew. "" when the link is over.
func (s *Service) LinkTicketAgain(ctx context.Context, f *Flow) (string, error) {
	cs, err := s.Store.ConnectSession(ctx, f.App, f.Session)
	if isNotFound(err) || (err == nil && (cs.Mode != ModeLink || !cs.Live(s.now()))) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return s.LinkStartTicket(&cs), nil
}
