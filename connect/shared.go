package connect

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// SharedRequest is a builder's wish to connect one account for the whole app. Its ID is
// what the wire protocol calls connection_id.
type SharedRequest struct {
	ID        string
	App       string
	Connector string
	Session   string   // of the link that was given out
	Scopes    []string // asked
	Connected bool     // a flow of the link connected
	CreatedAt time.Time
}

// RequestState is how a SharedRequest stands, in the words of the wire protocol.
type RequestState string

// A request was granted, came to nothing, or waits for somebody to open its link.
const (
	RequestActive  RequestState = "ACTIVE"
	RequestFailed  RequestState = "FAILED"
	RequestPending RequestState = "PENDING"
)

// SharedLink is the answer to a request.
type SharedLink struct {
	Authorized bool   // nothing needs to be done: the connection has these scopes
	URL        string // where somebody consents; "" when Authorized
	Request    string // id of the request; "" when Authorized
}

const (
	sharedLinkLife   = 24 * time.Hour     // of a link that a builder asked for
	keepSharedFailed = 7 * 24 * time.Hour // how long a request that a later one followed can be asked about
)

// sharedConnector finds the app's shared connector of an integration type; there is at
// most one. A user connector answers as if it did not exist.
func (s *Service) sharedConnector(ctx context.Context, app, typ string) (*Connector, error) {
	a, err := s.App(ctx, app)
	if err != nil {
		return nil, err
	}
	for i := range a.Connectors {
		if c := &a.Connectors[i]; c.Mode == ModeShared && c.Type == typ {
			return c, nil
		}
	}
	return nil, refuse(CodeNotFound, "This app has no shared connector of this integration type.")
}

var errNoShared = refuse(CodeNotConnected, "Nobody has connected an account with this shared connector yet.")

// SharedConnection returns a token of the connection that the whole app uses, found by
// the integration type. margin and errors are those of AppUserConnection.
func (s *Service) SharedConnection(ctx context.Context, app, typ string, margin time.Duration) (Token, error) {
	c, err := s.sharedConnector(ctx, app, typ)
	if err != nil {
		return Token{}, err
	}
	return s.readShared(ctx, c, margin)
}

// WorkspaceConnection is SharedConnection by the id of the connector.
func (s *Service) WorkspaceConnection(ctx context.Context, app, connector string, margin time.Duration) (Token, error) {
	_, c, err := s.connectorOf(ctx, app, connector, Owner{})
	if err != nil {
		return Token{}, err
	}
	return s.readShared(ctx, c, margin)
}

func (s *Service) readShared(ctx context.Context, c *Connector, margin time.Duration) (Token, error) {
	conn, err := s.Store.Connection(ctx, c.App, c.ID, Owner{})
	if isNotFound(err) {
		return Token{}, errNoShared
	}
	if err != nil {
		return Token{}, err
	}
	return s.readToken(ctx, c, conn, margin)
}

// RequestShared asks that an account be connected for the app, with these scopes or,
// for none, the connector's own. While a request for the same scopes is open its link
// comes again; when the scopes grow, consent is asked for anew.
func (s *Service) RequestShared(ctx context.Context, app, typ string, scopes []string) (SharedLink, error) {
	c, err := s.sharedConnector(ctx, app, typ)
	if err != nil {
		return SharedLink{}, err
	}
	if len(scopes) == 0 {
		scopes = s.AskedScopes(c)
	}
	if err := checkScopes(scopes); err != nil {
		return SharedLink{}, err
	}
	authorized, err := s.sharedCovers(ctx, c, scopes)
	if err != nil || authorized {
		return SharedLink{Authorized: authorized}, err
	}
	for {
		newest, err := s.newestRequest(ctx, c)
		if err != nil {
			return SharedLink{}, err
		}
		if newest.ID != "" && sameSet(newest.Scopes, scopes) {
			link, open, err := s.openLink(ctx, &newest)
			if err != nil || open {
				return link, err
			}
		}
		link, made, err := s.makeRequest(ctx, c, scopes, newest.ID)
		if err != nil || made {
			return link, err
		}
		// Somebody asked at the same time: theirs is looked at first.
		if err := ctx.Err(); err != nil {
			return SharedLink{}, err
		}
	}
}

// checkScopes accepts scope-tokens of RFC 6749 section 3.3, as the apps file does.
func checkScopes(scopes []string) error {
	if len(scopes) > 200 {
		return refuse(CodeInvalidRequest, "scopes has more than 200 items.")
	}
	for _, scope := range scopes {
		bad := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
		if scope == "" || len(scope) > 500 || strings.ContainsFunc(scope, bad) {
			return refuse(CodeInvalidRequest, "A scope is up to 500 printable ASCII characters without spaces, quotes and backslashes. Send one scope an item.")
		}
	}
	return nil
}

// sharedCovers reports whether the connection works and was asked for all the scopes.
func (s *Service) sharedCovers(ctx context.Context, c *Connector, scopes []string) (bool, error) {
	conn, err := s.Store.Connection(ctx, c.App, c.ID, Owner{})
	if isNotFound(err) || (err == nil && conn.Status != ConnectionConnected) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(conn.Asked, scope) }), nil
}

// newestRequest is the connector's last request, the zero one for none.
func (s *Service) newestRequest(ctx context.Context, c *Connector) (SharedRequest, error) {
	all, err := s.Store.SharedRequests(ctx, c.App)
	for _, r := range all {
		if r.Connector == c.ID {
			return r, err
		}
	}
	return SharedRequest{}, err
}

// openLink is the link of a request that waits. False: the request is over.
func (s *Service) openLink(ctx context.Context, r *SharedRequest) (SharedLink, bool, error) {
	state, err := s.requestState(ctx, r)
	if err != nil || state != RequestPending {
		return SharedLink{}, false, err
	}
	cs, err := s.Store.ConnectSession(ctx, r.App, r.Session)
	if isNotFound(err) {
		return SharedLink{}, false, nil
	}
	secret := s.linkSecret(r.ID)
	// A link that was made under a key that is no longer the newest cannot be told again.
	if err != nil || !cs.Live(s.now()) || !slices.Equal(cs.URLHash, HashSecret(secret)) {
		return SharedLink{}, false, err
	}
	return SharedLink{URL: s.PublicURL + entrances[ModeLink] + secret, Request: r.ID}, true, nil
}

// linkSecret is the secret of a request's link. It is computed and not stored, so that
// the same request can be told again; only its hash is kept, as of any other link.
func (s *Service) linkSecret(request string) string {
	return base64.RawURLEncoding.EncodeToString(s.Sealer.MAC("shared-link", []byte(request)))
}

func (s *Service) makeRequest(ctx context.Context, c *Connector, scopes []string, after string) (SharedLink, bool, error) {
	now := s.now()
	r := SharedRequest{ID: newID("sr_"), App: c.App, Connector: c.ID, Scopes: scopes, CreatedAt: now}
	secret := s.linkSecret(r.ID)
	cs := ConnectSession{
		ID: newID(connectSessionPrefix), App: c.App, Mode: ModeLink, Connectors: []string{c.ID}, Scopes: scopes,
		URLHash: HashSecret(secret), CreatedAt: now, ExpiresAt: now.Add(sharedLinkLife),
	}
	r.Session = cs.ID
	made, err := s.Store.RequestShared(ctx, r, cs, after, now.Add(-keepSharedFailed))
	return SharedLink{URL: s.PublicURL + entrances[ModeLink] + secret, Request: r.ID}, made, err
}

// requestState works out how a request stands, from the flows that its link began.
func (s *Service) requestState(ctx context.Context, r *SharedRequest) (RequestState, error) {
	if r.Connected {
		return RequestActive, nil
	}
	cs, err := s.Store.ConnectSession(ctx, r.App, r.Session)
	if isNotFound(err) {
		return RequestFailed, nil
	}
	if err != nil {
		return "", err
	}
	flows, err := s.SessionFlows(ctx, &cs)
	if err != nil {
		return "", err
	}
	state := RequestPending
	for i := range flows {
		switch {
		case flows[i].Status == StatusConnected:
			return RequestActive, nil
		case flows[i].Status.Final():
			state = RequestFailed
		default:
			state = RequestPending
		}
	}
	open := len(flows) > 0 && state == RequestPending // a flow outlives its link
	if !open && !cs.Live(s.now()) {
		return RequestFailed, nil
	}
	return state, nil
}

// SharedStatus tells how a request for an integration type stands, or not_found.
func (s *Service) SharedStatus(ctx context.Context, app, typ, request string) (RequestState, error) {
	c, err := s.sharedConnector(ctx, app, typ)
	if err != nil {
		return "", err
	}
	all, err := s.Store.SharedRequests(ctx, app)
	if err != nil {
		return "", err
	}
	for i := range all {
		if all[i].ID == request && all[i].Connector == c.ID {
			return s.requestState(ctx, &all[i])
		}
	}
	return "", refuse(CodeNotFound, "There is no such request for this integration type.")
}

// Shared is a shared connector that was asked for or connected.
type Shared struct {
	Connector  *Connector
	Connection *Connection // nil: asked for, not connected
	Scopes     []string    // asked
}

// SharedList lists the shared connectors of the app that were requested or connected and
// not removed since, in the app's order.
func (s *Service) SharedList(ctx context.Context, app string) ([]Shared, error) {
	a, err := s.App(ctx, app)
	if err != nil {
		return nil, err
	}
	requests, err := s.Store.SharedRequests(ctx, app)
	if err != nil {
		return nil, err
	}
	var out []Shared
	for i := range a.Connectors {
		c := &a.Connectors[i]
		if c.Mode != ModeShared {
			continue
		}
		conn, err := s.Store.Connection(ctx, app, c.ID, Owner{})
		if err != nil && !isNotFound(err) {
			return nil, err
		}
		asked := slices.IndexFunc(requests, func(r SharedRequest) bool { return r.Connector == c.ID })
		switch {
		case err == nil:
			s.used.overlay(&conn)
			out = append(out, Shared{Connector: c, Connection: &conn, Scopes: conn.Asked})
		case asked >= 0:
			out = append(out, Shared{Connector: c, Scopes: requests[asked].Scopes})
		}
	}
	return out, nil
}

// RemoveShared disconnects the account that the app shares and ends what was asked for.
// The connector stays. Nothing connected is not an error.
func (s *Service) RemoveShared(ctx context.Context, app, typ string) (Disconnected, error) {
	c, err := s.sharedConnector(ctx, app, typ)
	if err != nil {
		return Disconnected{}, err
	}
	if err := s.Store.ForgetShared(ctx, app, c.ID, s.now()); err != nil {
		return Disconnected{}, err
	}
	if err := s.CancelUserFlows(ctx, app, "", c.ID); err != nil {
		return Disconnected{}, err
	}
	return s.disconnect(ctx, c, Owner{})
}
