package connect

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Mode is how the end user comes to the flow.
type Mode string

// The page in the app's iframe; the page in full, from /session/{ticket} or by signing
// in; or an address that may be sent.
const (
	ModeEmbed    Mode = "embed"
	ModeRedirect Mode = "redirect"
	ModeLink     Mode = "link"
)

// ConnectSession is what an app's back end makes for one end user: an address to
// send the browser to, and a user token for the app's own front end.
type ConnectSession struct {
	ID         string
	App        string
	Mode       Mode
	User       EndUser  // zero for the link of a shared connector
	Connectors []string // nil: all of the app's
	Origin     string   // of an embed session: the one page that may frame it
	ReturnURL  string
	Lang       string
	Parent     string   // the connect session whose token made this link
	Scopes     []string // of a shared connector's link: what is asked; nil: the connector's own
	URLHash    []byte   // of the secret in the address
	TokenHash  []byte   // of the user token; nil for a link
	CreatedAt  time.Time
	ExpiresAt  time.Time
	UsedAt     time.Time // when the ticket of a redirect was used
	EndedAt    time.Time // deleted by the app, or the link's flow connected
}

// Live reports whether the session can be used at now.
func (cs *ConnectSession) Live(now time.Time) bool {
	return cs.EndedAt.IsZero() && now.Before(cs.ExpiresAt)
}

// Allows reports whether the session may see and begin the connector.
func (cs *ConnectSession) Allows(connector string) bool {
	return cs.Connectors == nil || slices.Contains(cs.Connectors, connector)
}

// SessionRequest asks for a connect session.
type SessionRequest struct {
	Mode       Mode
	User       EndUser
	Connectors []string
	Origin     string // embed: the page that will frame it
	ReturnURL  string
	Lang       string
	ExpiresIn  time.Duration // for links; 0: SessionLife
	Parent     string
}

// NewSession is a connect session with its secrets, which are shown this once.
type NewSession struct {
	Session ConnectSession
	URL     string
	Token   string // "" for a link
}

// CreateSession makes a connect session. Errors: invalid_request, origin_not_allowed,
// not_found for an unknown connector, assurance_too_low when a flow of it could never
// reach the app's minimum.
func (s *Service) CreateSession(ctx context.Context, appID string, q SessionRequest) (NewSession, error) {
	a, err := s.App(ctx, appID)
	if err != nil {
		return NewSession{}, err
	}
	if err := s.checkSession(a, &q); err != nil {
		return NewSession{}, err
	}
	return s.newSession(ctx, a, q)
}

// newSession makes a connect session whose request was checked.
func (s *Service) newSession(ctx context.Context, a *App, q SessionRequest) (NewSession, error) {
	now := s.now()
	secret := newSecret()
	cs := ConnectSession{
		ID: newID(connectSessionPrefix), App: a.ID, Mode: q.Mode, User: q.User, Connectors: q.Connectors,
		Origin: q.Origin, ReturnURL: q.ReturnURL, Lang: q.Lang, Parent: q.Parent,
		URLHash: HashSecret(secret), CreatedAt: now, ExpiresAt: now.Add(SessionLife),
	}
	out := NewSession{URL: s.PublicURL + entrances[q.Mode] + secret}
	if q.Mode == ModeLink {
		if q.ExpiresIn > 0 {
			cs.ExpiresAt = now.Add(q.ExpiresIn)
		}
	} else {
		out.Token = UserTokenPrefix + newSecret()
		cs.TokenHash = HashSecret(out.Token)
	}
	if err := s.Store.CreateConnectSession(ctx, cs); err != nil {
		return NewSession{}, err
	}
	out.Session = cs
	return out, nil
}

// entrances are the addresses of a session, without its secret.
var entrances = map[Mode]string{ModeEmbed: "/embed/", ModeRedirect: "/session/", ModeLink: "/link/"}

// UserTokenPrefix begins the user tokens of connect sessions, so that they are told
// from an app's own JWTs and found in a leak.
const UserTokenPrefix = "pbu_"

func (s *Service) checkSession(a *App, q *SessionRequest) error {
	if err := q.User.Validate(); err != nil {
		return err
	}
	if q.Connectors != nil && len(q.Connectors) == 0 {
		return refuse(CodeInvalidRequest, "connectors must name at least one connector, or be left out for all.")
	}
	for _, id := range q.Connectors {
		if c, ok := a.Connector(id); !ok || c.Mode != ModeUser {
			return errNoConnector
		}
	}
	if q.Origin != "" && !slices.Contains(a.Origins, q.Origin) {
		return refuse(CodeOriginNotAllowed, "origin is not among the app's origins.")
	}
	switch q.Mode {
	case ModeEmbed, ModeRedirect:
		if q.Mode == ModeEmbed && q.Origin == "" {
			return refuse(CodeInvalidRequest, "Mode embed needs origin: that of the page which will hold the frame.")
		}
		if q.ExpiresIn != 0 {
			return refuse(CodeInvalidRequest, "expires_in is for mode link only.")
		}
	case ModeLink:
		if len(q.Connectors) != 1 {
			return refuse(CodeInvalidRequest, "Mode link needs exactly one connector.")
		}
		if q.ExpiresIn < 0 || q.ExpiresIn > MaxLinkLife {
			return refuse(CodeInvalidRequest, "expires_in must be between 1 and 604800 seconds.")
		}
	default:
		return refuse(CodeInvalidRequest, `mode must be "embed", "redirect" or "link".`)
	}
	if q.ReturnURL != "" && !slices.Contains(a.ReturnURLs, q.ReturnURL) {
		return refuse(CodeInvalidRequest, "return_url must equal one of the app's return_urls exactly.")
	}
	if q.Lang != "" && !validLang(q.Lang) {
		return refuse(CodeInvalidRequest, `lang must be a language tag such as "en" or "pt-BR".`)
	}
	if !reachable(a, q.Mode) {
		return refuse(CodeAssuranceTooLow, "This app asks for assurance app, which this mode reaches only with a verify_url. Set verify_url in the apps file, or use mode embed.")
	}
	return nil
}

// validLang accepts the shape of a BCP 47 language tag.
func validLang(tag string) bool {
	if len(tag) > 35 {
		return false
	}
	for i, part := range strings.Split(tag, "-") {
		if part == "" || len(part) > 8 || (i == 0 && len(part) < 2) {
			return false
		}
		for _, r := range part {
			if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
				return false
			}
		}
	}
	return true
}

// EndSession ends a connect session: its address and its token are dead at once, and
// so are the browser sessions that were opened with it. Flows go on.
func (s *Service) EndSession(ctx context.Context, app, id string) error {
	ok, err := s.Store.EndConnectSession(ctx, app, id, s.now())
	if err != nil {
		return err
	}
	if !ok {
		return refuse(CodeNotFound, "There is no such connect session.")
	}
	return nil
}

// SessionByToken finds the live connect session that a user token belongs to, or
// answers with unauthorized.
func (s *Service) SessionByToken(ctx context.Context, app, token string) (ConnectSession, error) {
	cs, err := s.Store.ConnectSessionByToken(ctx, app, HashSecret(token))
	if err == nil && cs.Live(s.now()) {
		return cs, nil
	}
	if err == nil || isNotFound(err) {
		return ConnectSession{}, refuse(CodeUnauthorized, "The credential is missing, expired or not valid for this app.")
	}
	return ConnectSession{}, err
}

var errGone = refuse(CodeExpired, "This address was used before, or its time is over. Open the page again from the app.")

// SessionTicket finds the connect session of a /session/{ticket} address that can
// still be opened; expired otherwise. It changes nothing.
func (s *Service) SessionTicket(ctx context.Context, ticket string) (ConnectSession, error) {
	cs, err := s.sessionByURL(ctx, ticket, ModeRedirect)
	if err != nil {
		return cs, err
	}
	if !cs.UsedAt.IsZero() || !s.now().Before(cs.CreatedAt.Add(TicketWindow)) {
		return ConnectSession{}, errGone
	}
	return cs, nil
}

// Link finds the connect session of a live /link/{ticket} address; expired otherwise.
func (s *Service) Link(ctx context.Context, ticket string) (ConnectSession, error) {
	return s.sessionByURL(ctx, ticket, ModeLink)
}

// Embed finds the connect session of an embed token. For one that is over the error is
// expired, and the session comes along so that the frame which shows it can be told; of
// an unknown token nothing comes along.
func (s *Service) Embed(ctx context.Context, token string) (ConnectSession, error) {
	cs, err := s.Store.ConnectSessionByURL(ctx, HashSecret(token))
	if err != nil && !isNotFound(err) {
		return ConnectSession{}, err
	}
	if err != nil || cs.Mode != ModeEmbed {
		return ConnectSession{}, errGone
	}
	live, err := s.embeds(ctx, &cs)
	if err == nil && !live {
		err = errGone
	}
	return cs, err
}

func (s *Service) sessionByURL(ctx context.Context, secret string, mode Mode) (ConnectSession, error) {
	cs, err := s.Store.ConnectSessionByURL(ctx, HashSecret(secret))
	if err != nil && !isNotFound(err) {
		return ConnectSession{}, err
	}
	if err != nil || cs.Mode != mode || !cs.Live(s.now()) {
		return ConnectSession{}, errGone
	}
	return cs, nil
}

// BrowserSession is one app's end user in one browser. A browser holds one secret,
// under which it may be signed in to several apps, once each.
type BrowserSession struct {
	Hash       []byte // of the browser's secret
	App        string
	User       EndUser
	Connectors []string
	Session    string // the connect session that opened it, "" for a sign-in
	ReturnURL  string
	Lang       string
	CreatedAt  time.Time
	ExpiresAt  time.Time

	// Login: the person signed in to us through the app's OpenID provider. Such a
	// session also ends when it is not used for LoginIdle.
	Login  bool
	SeenAt time.Time
}

// Live reports whether the session can be used at now.
func (b *BrowserSession) Live(now time.Time) bool {
	return now.Before(b.ExpiresAt) && (!b.Login || now.Before(b.SeenAt.Add(LoginIdle)))
}

// Allows reports whether the session may see and begin the connector.
func (b *BrowserSession) Allows(connector string) bool {
	return b.Connectors == nil || slices.Contains(b.Connectors, connector)
}

// OpenBrowser uses up the ticket of cs and signs the browser in under the hash of a
// new secret. oldHash is that of the secret it held before, nil for none; the other
// apps' identities move along and the old secret is worth nothing afterwards.
func (s *Service) OpenBrowser(ctx context.Context, cs ConnectSession, oldHash, newHash []byte) (BrowserSession, error) {
	now := s.now()
	b := BrowserSession{
		Hash: newHash, App: cs.App, User: cs.User, Connectors: cs.Connectors, Session: cs.ID,
		ReturnURL: cs.ReturnURL, Lang: cs.Lang, CreatedAt: now, ExpiresAt: now.Add(BrowserLife), SeenAt: now,
	}
	ok, err := s.Store.OpenBrowserSession(ctx, oldHash, b, now)
	if err != nil {
		return BrowserSession{}, err
	}
	if !ok {
		return BrowserSession{}, errGone
	}
	return b, nil
}

// OpenLogin signs the browser in as a user whom the app's OpenID provider has named,
// under the hash of a new secret; oldHash as for OpenBrowser.
func (s *Service) OpenLogin(ctx context.Context, app string, user EndUser, oldHash, newHash []byte) (BrowserSession, error) {
	now := s.now()
	b := BrowserSession{
		Hash: newHash, App: app, User: user, CreatedAt: now, ExpiresAt: now.Add(LoginLife), Login: true, SeenAt: now,
	}
	_, err := s.Store.OpenBrowserSession(ctx, oldHash, b, now)
	return b, err
}

// seenEvery is how exactly the use of a sign-in is noted.
const seenEvery = time.Minute

// BrowserSessions lists who is signed in under a browser's secret.
func (s *Service) BrowserSessions(ctx context.Context, hash []byte) ([]BrowserSession, error) {
	now := s.now()
	all, err := s.Store.BrowserSessions(ctx, hash, now)
	if err != nil {
		return nil, err
	}
	live := all[:0]
	for _, b := range all {
		if !b.Live(now) {
			continue
		}
		if b.Login && !now.Before(b.SeenAt.Add(seenEvery)) {
			if err := s.Store.TouchBrowserSession(ctx, hash, b.App, now); err != nil {
				return nil, err
			}
			b.SeenAt = now
		}
		live = append(live, b)
	}
	return live, nil
}

// CloseBrowser signs the browser out of one app, or of all for "".
func (s *Service) CloseBrowser(ctx context.Context, hash []byte, app string) error {
	return s.Store.EndBrowserSession(ctx, hash, app)
}
