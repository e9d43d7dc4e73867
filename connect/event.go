package connect

import (
	"context"
	"time"
)

// EventKind names what happened.
type EventKind string

// What a Service tells of. The ones with a connection prefix and flow.finished are
// also kept as the history that the end user sees.
const (
	EventFlowStarted        EventKind = "flow.started"
	EventFlowFinished       EventKind = "flow.finished"
	EventExchangeFailed     EventKind = "flow.exchange_failed"
	EventConnected          EventKind = "connection.created"
	EventReconnected        EventKind = "connection.updated"
	EventDisconnected       EventKind = "connection.deleted"
	EventReconnectRequired  EventKind = "connection.reconnect_required"
	EventTokenRead          EventKind = "token.read"
	EventTokenRefused       EventKind = "token.read_failed"
	EventAPICalled          EventKind = "api.called"
	EventTokenRefreshed     EventKind = "token.refreshed"
	EventRefreshFailed      EventKind = "token.refresh_failed"
	EventRefreshRecovered   EventKind = "token.refresh_recovered" // a refresh token is sent again: what came of it is not known
	EventSpooled            EventKind = "token.refresh_spooled"   // the database is away; the answer is kept beside it
	EventReplayed           EventKind = "token.refresh_replayed"  // and was stored now
	EventConnectorClosed    EventKind = "connector.closed"        // the provider is in trouble, or refuses the client
	EventBraked             EventKind = "connector.braked"        // the provider calls too many grants dead to be believed
	EventRestored           EventKind = "store.restored"          // the database is an old copy
	EventNotMe              EventKind = "security.not_me"
	EventCallbackRefused    EventKind = "security.callback_refused"
	EventConfirmRefused     EventKind = "security.confirm_refused"
	EventCredentialsRefused EventKind = "security.credentials_refused"
)

// Event is one thing that happened. Log lines, the history a user sees and whatever
// else tells of it are made from the same value, so that they cannot disagree. Data
// never holds a token, a code or a secret.
type Event struct {
	ID         string
	Seq        int64 // its place in the history, given by the Store
	At         time.Time
	Kind       EventKind
	App        string
	User       string
	Connector  string
	Flow       string
	Connection string
	Trace      string
	Actor      string // who did it: a credential by its name, a user, a builder; see WithActor
	Data       map[string]string
	// Deliveries are for the app's webhooks; they are stored with the event.
	Deliveries []Delivery `json:"-"`
}

// Delivery is a message for one of an app's webhooks.
type Delivery struct {
	ID        string // of the message, the same for every try
	App       string
	URL       string
	Kind      EventKind
	User      string
	Body      string
	CreatedAt time.Time
	NextAt    time.Time // of the next try
	Attempts  int
	State     DeliveryState
	Answer    string // what the last try brought, in a few words
	EndedAt   time.Time
}

// DeliveryState is how a delivery stands.
type DeliveryState string

// A delivery waits, arrived, or was given up.
const (
	DeliveryWaiting DeliveryState = "waiting"
	DeliveryArrived DeliveryState = "arrived"
	DeliveryGivenUp DeliveryState = "given_up"
)

// AuditEntry is what the audit keeps of an event. Reads of the same token by the same
// caller within moments are one entry, with their number and the last of them.
type AuditEntry struct {
	Event
	LastAt time.Time
	Times  int
	Result string // "ok", or the code of what went wrong
}

type traceKey struct{}

// WithTrace puts the trace id of the request at hand into ctx; events and errors
// carry it.
func WithTrace(ctx context.Context, trace string) context.Context {
	return context.WithValue(ctx, traceKey{}, trace)
}

// Trace returns the trace id in ctx, or "".
func Trace(ctx context.Context) string {
	t, _ := ctx.Value(traceKey{}).(string)
	return t
}

type actorKey struct{}

// WithActor puts who acts into ctx, as the audit names it: "service:NAME", "builder:NAME",
// "user:ID", "browser:ID", "link", "patchbay".
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// Actor returns who acts in ctx, or "".
func Actor(ctx context.Context) string {
	a, _ := ctx.Value(actorKey{}).(string)
	return a
}

func (s *Service) event(ctx context.Context, kind EventKind, app, user, connector string) Event {
	e := Event{ID: newID("ev_"), At: s.now(), Kind: kind, App: app, User: user, Connector: connector, Trace: Trace(ctx), Actor: Actor(ctx)}
	if e.Actor == "" && user != "" {
		e.Actor = "user:" + user
	}
	return e
}

func (s *Service) flowEvent(ctx context.Context, kind EventKind, f *Flow) Event {
	e := s.event(ctx, kind, f.App, f.User.ID, f.Connector)
	e.Flow, e.Connection = f.ID, f.Connection
	if f.Code != "" {
		e.Data = map[string]string{"status": string(f.Status), "code": string(f.Code)}
	}
	return e
}

func (s *Service) emit(ctx context.Context, events ...Event) {
	for _, e := range events {
		s.watchers.wake(e.App, e.User)
	}
	if s.Emit == nil {
		return
	}
	for _, e := range events {
		s.Emit(ctx, e)
	}
}

// History returns what happened to the user's connections of the app, newest first,
// at most limit entries.
func (s *Service) History(ctx context.Context, app, user string, limit int) ([]Event, error) {
	return s.Store.Events(ctx, app, user, limit)
}

// Receipt returns the record of a disconnect of this user, or not_found.
func (s *Service) Receipt(ctx context.Context, app, user, id string) (Event, error) {
	e, err := s.Store.Event(ctx, app, user, id)
	if err == nil && e.Kind == EventDisconnected {
		return e, nil
	}
	if err == nil || isNotFound(err) {
		return Event{}, refuse(CodeNotFound, "There is no such receipt.")
	}
	return Event{}, err
}

// Deliveries lists what was sent to the app's webhooks, newest first.
func (s *Service) Deliveries(ctx context.Context, app string, limit int) ([]Delivery, error) {
	return s.Store.Deliveries(ctx, app, limit)
}

// DeliverAgain sends a message once more that arrived or was given up, with the id that it
// had: whoever got it already can tell. Errors: not_found.
func (s *Service) DeliverAgain(ctx context.Context, app, id string) error {
	found, err := s.Store.DeliverAgain(ctx, app, id, s.now())
	if err == nil && !found {
		return refuse(CodeNotFound, "There is no such message, or it is being sent right now.")
	}
	return err
}
