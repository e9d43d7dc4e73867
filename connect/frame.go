package connect

import (
	"context"
	"strings"
	"sync"
	"time"
)

// FrameView is a page of an embed session as it was served: the session, and whether
// the browser said that it puts the page into an iframe. Only then do its start tickets
// carry the frame proof.
type FrameView struct {
	Session ConnectSession
	Token   string // the embed token of its address
	Framed  bool
}

// LiveToken lets the script of a served frame page ask what changed and draw the page
// again. It is the embed token, which the script knows from its address, behind a
// ticket that tells how the page was served, so that what is drawn again carries no
// more proof than what was served. Like a start ticket it is authenticated and not
// stored, and it ends with its session.
func (s *Service) LiveToken(v *FrameView) string {
	kind := ticketLiveNot
	if v.Framed {
		kind = ticketLive
	}
	return s.printTicket(kind, rawID(v.Session.ID), v.Session.ExpiresAt, v.Session.App, "-") + "." + v.Token
}

// LiveView returns the frame page that a live token was printed on. Errors:
// unauthorized for what is no live token of the app, expired when the session is over.
func (s *Service) LiveView(ctx context.Context, app, live string) (FrameView, error) {
	text, token, _ := strings.Cut(live, ".")
	t, err := s.readTicket(text)
	if t.app != app || (t.kind != ticketLive && t.kind != ticketLiveNot) {
		return FrameView{}, refuse(CodeUnauthorized, "The credential is missing, expired or not valid for this app.")
	}
	if err != nil {
		return FrameView{}, errGone
	}
	cs, err := s.Embed(ctx, token)
	if err != nil {
		return FrameView{}, err
	}
	if cs.ID != sessionID(t.owner) {
		return FrameView{}, refuse(CodeUnauthorized, "The credential is missing, expired or not valid for this app.")
	}
	return FrameView{Session: cs, Token: token, Framed: t.kind == ticketLive}, nil
}

// FrameLive reports whether an embed session can still be used.
func (s *Service) FrameLive(ctx context.Context, v *FrameView) (bool, error) {
	cs, err := s.Store.ConnectSession(ctx, v.Session.App, v.Session.ID)
	if isNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return s.embeds(ctx, &cs)
}

// embeds reports whether an embed session can still be used: it lives, and the app
// still lists the origin that it is for.
func (s *Service) embeds(ctx context.Context, cs *ConnectSession) (bool, error) {
	if cs.Mode != ModeEmbed || !cs.Live(s.now()) {
		return false, nil
	}
	a, err := s.App(ctx, cs.App)
	if CodeOf(err) == CodeNotFound {
		return false, nil
	}
	return err == nil && s.MayFrame(a, cs.Origin), err
}

// Remaining is how long the connect session lives on.
func (s *Service) Remaining(cs *ConnectSession) time.Duration {
	return max(0, cs.ExpiresAt.Sub(s.now()))
}

// ChangeKind says what a frame is told of.
type ChangeKind string

// What a frame is told of. The names are those of the messages to the host page, but
// for the last, which only changes what the frame shows.
const (
	ChangeStarted      ChangeKind = "flow.started"
	ChangeConnected    ChangeKind = "connected"
	ChangeDisconnected ChangeKind = "disconnected"
	ChangeError        ChangeKind = "error"
	ChangeReconnect    ChangeKind = "reconnect_required"
)

// Change is one thing that happened to the connectors of an embed session.
type Change struct {
	ID         int64
	Kind       ChangeKind
	Flow       string
	Connector  string
	Connection *Connection // ChangeConnected: as it is now; nil when it is gone again
	Status     Status      // ChangeError: how the flow ended
	Code       Code        // ChangeError
	Revoked    string      // ChangeDisconnected
	Trace      string
}

// Changes lists what happened after the change of that id, oldest first, and the id
// up to which it looked.
func (s *Service) Changes(ctx context.Context, v *FrameView, after int64) ([]Change, int64, error) {
	cs := &v.Session
	events, err := s.Store.EventsAfter(ctx, cs.App, cs.User.ID, after, 100)
	if err != nil {
		return nil, after, err
	}
	var changes []Change
	for i := range events {
		e := &events[i]
		if s.beingRevoked(e) {
			break // what the provider said is not known yet
		}
		after = e.Seq
		if !cs.Allows(e.Connector) {
			continue
		}
		c, ok := changeOf(e)
		if !ok {
			continue
		}
		if c.Kind == ChangeConnected {
			conn, err := s.Store.Connection(ctx, cs.App, e.Connector, OwnerOf(cs.User.ID))
			if err != nil && !isNotFound(err) {
				return nil, after, err
			}
			if err == nil && conn.ID == e.Connection {
				c.Connection = &conn
			}
		}
		changes = append(changes, c)
	}
	return changes, after, nil
}

// revokeNoted is how long a removal may go without word of the provider.
const revokeNoted = providerTimeout + 5*time.Second

// beingRevoked: the record of a disconnect is written first and amended when the
// provider has answered.
func (s *Service) beingRevoked(e *Event) bool {
	_, amended := e.Data["account"]
	return e.Kind == EventDisconnected && !amended && s.now().Before(e.At.Add(revokeNoted))
}

func changeOf(e *Event) (Change, bool) {
	c := Change{ID: e.Seq, Flow: e.Flow, Connector: e.Connector, Trace: e.Trace}
	switch e.Kind {
	case EventFlowStarted:
		c.Kind = ChangeStarted
	case EventConnected, EventReconnected:
		c.Kind = ChangeConnected
	case EventDisconnected:
		c.Kind, c.Revoked = ChangeDisconnected, e.Data["revoked"]
	case EventReconnectRequired:
		c.Kind = ChangeReconnect
	case EventFlowFinished:
		c.Kind, c.Status, c.Code = ChangeError, Status(e.Data["status"]), Code(e.Data["code"])
		return c, c.Status != StatusConnected // that is told with its connection
	default:
		return c, false
	}
	return c, true
}

// LastChange is the id of the newest change of the session's user.
func (s *Service) LastChange(ctx context.Context, cs *ConnectSession) (int64, error) {
	return s.Store.LastEvent(ctx, cs.App, cs.User.ID)
}

// SessionFlows lists the flows that an embed session began, oldest first, those whose
// time is over ended.
func (s *Service) SessionFlows(ctx context.Context, cs *ConnectSession) ([]Flow, error) {
	flows, err := s.Store.SessionFlows(ctx, cs.App, cs.ID)
	if err != nil {
		return nil, err
	}
	for i := range flows {
		if flows[i], err = s.settle(ctx, &flows[i]); err != nil {
			return nil, err
		}
	}
	return flows, nil
}

// Watch returns a channel that gets a value soon after something happened to the user,
// in this process. Another process's doings are seen only by looking, so a waiter looks
// from time to time as well. stop ends it.
func (s *Service) Watch(app, user string) (woken <-chan struct{}, stop func()) {
	return s.watchers.add(app, user)
}

// watchers wakes those who wait for news of a user.
type watchers struct {
	mu  sync.Mutex
	all map[[2]string]map[chan struct{}]bool
}

func (w *watchers) add(app, user string) (<-chan struct{}, func()) {
	key, ch := [2]string{app, user}, make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[[2]string]map[chan struct{}]bool{}
	}
	if w.all[key] == nil {
		w.all[key] = map[chan struct{}]bool{}
	}
	w.all[key][ch] = true
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.all[key], ch)
		if len(w.all[key]) == 0 {
			delete(w.all, key)
		}
	}
}

// Wake wakes those who wait for news of a user, or everybody for "" and "".
func (s *Service) Wake(app, user string) { s.watchers.wake(app, user) }

func (w *watchers) wake(app, user string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if app == "" && user == "" {
		for _, waiting := range w.all {
			for ch := range waiting {
				select {
				case ch <- struct{}{}:
				default:
				}
			}
		}
	}
	for ch := range w.all[[2]string{app, user}] {
		select {
		case ch <- struct{}{}:
		default: // it has been woken and did not look yet
		}
	}
}
