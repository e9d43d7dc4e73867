package connect

import (
	"bytes"
	"context"
	"encoding/json"

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

	ticket  ticket
	session string // connect session of the link
}

// AppID is the app that the ticket is of, also where the ticket was refused.
func (g *StartGrant) AppID() string { return g.ticket.app }

// Started is a flow that was begun: where the browser goes next, and the secret that
// it has to bring back.
type Started struct {
	Flow      Flow
	App       *App
	Connector *Connector
	// Cookie is the flow's secret for this browser. Only its hash is stored.
	Cookie string
	// ContinueURL is the provider's authorization address.
	ContinueURL string
	// Press: the person must be told who began this, and go on by themselves.
	Press bool
}

// CheckTicket finds what a start ticket allows. browser holds the identities of the
// browser that posted it. Errors: expired for a ticket that is dead or not this
// browser's, user_mismatch when somebody else of the app is signed in here.
func (s *Service) CheckTicket(ctx context.Context, text string, browser []BrowserSession) (StartGrant, error) {
	t, err := s.readTicket(text)
	if err != nil {
		return StartGrant{}, err
	}
	g := StartGrant{ticket: t}
	switch t.kind {
	case ticketSession:
		b := browserOf(browser, t)
		if b == nil {
			return StartGrant{}, errTicketDead
		}
		if !b.Allows(t.connector) {
			return StartGrant{}, errNoConnector
		}
		g.User, g.Mode, g.ReturnURL, g.Lang = b.User, ModeRedirect, b.ReturnURL, b.Lang
	case ticketLink:
		cs, err := s.Store.ConnectSession(ctx, t.app, sessionID(t.owner))
		if err != nil && !isNotFound(err) {
			return StartGrant{}, err
		}
		if err != nil || cs.Mode != ModeLink || !cs.Live(s.now()) || !cs.Allows(t.connector) {
			return StartGrant{}, errTicketDead
		}
		if other := OtherUser(browser, cs.App, cs.User.ID); other != nil {
			return g, errOtherUser
		}
		g.User, g.Mode, g.ReturnURL, g.Lang, g.session = cs.User, ModeLink, cs.ReturnURL, cs.Lang, cs.ID
	default:
		return g, errTicketDead
	}
	g.App, g.Connector, err = s.userConnector(ctx, t.app, t.connector)
	return g, err
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

// Start begins a flow. params are what the connector asks the end user for. Errors:
// invalid_request for parameters that do not fit, assurance_too_low, expired for a
// ticket that was used; then nothing was changed.
func (s *Service) Start(ctx context.Context, g StartGrant, params map[string]string) (Started, error) {
	if !reachable(g.App, false) {
		return Started{}, refuse(CodeAssuranceTooLow, "This app asks for a stronger proof of who you are than this way of linking gives.")
	}
	reg, asked, err := s.startRegistration(g.Connector, params)
	if err != nil {
		return Started{}, err
	}
	existing, err := s.Store.Connection(ctx, g.App.ID, g.Connector.ID, OwnerOf(g.User.ID))
	if err != nil && !isNotFound(err) {
		return Started{}, err
	}
	now := s.now()
	f := Flow{
		ID: newID("fl_"), App: g.App.ID, Connector: g.Connector.ID, Mode: g.Mode, User: g.User,
		Status: StatusStarted, Version: 1, Need: Required(g.App),
		Scopes: s.AskedScopes(g.Connector), Params: asked, ReturnURL: g.ReturnURL, Lang: g.Lang,
		Session: g.session, Reconnect: existing.ID != "", CreatedAt: now, MovedAt: now,
		Detail: FlowDetail{Account: existing.Account.Label(), Trace: Trace(ctx)},
	}
	state, cookie := newSecret(), newSecret()
	f.StateHash, f.CookieHash = HashSecret(state), HashSecret(cookie)
	var sec flowSecrets
	if reg.Entry.UsesPKCE() {
		sec.Verifier = oauth.NewVerifier()
	}
	plain, err := json.Marshal(sec)
	if err != nil {
		return Started{}, err
	}
	if f.Sealed, err = s.Sealer.Seal(flowContext(&f), plain); err != nil {
		return Started{}, err
	}
	to, err := s.OAuth.AuthorizeURL(reg, oauth.AuthorizeRequest{
		State: state, Scopes: f.Scopes, Verifier: sec.Verifier, SelectAccount: f.Reconnect,
	})
	if err != nil {
		return Started{}, &Error{Code: CodeConnectorMisconfigured, Message: "This connector is not set up correctly.", Cause: err}
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
	return Started{Flow: f, App: g.App, Connector: g.Connector, Cookie: cookie, ContinueURL: to, Press: f.Need == ProofHuman}, nil
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
