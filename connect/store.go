package connect

import (
	"context"
	"time"
)

// Store keeps the rows. Every method either does all it says or nothing. Errors are
// ErrNotFound for a missing row, wrap ErrUnavailable when trying later can help, and
// are anything else for a fault of the program. What a method returns belongs to the
// caller. Methods marked durable have survived a power cut when they return; the
// others may be undone by one, which costs a user a new try and nothing more.
type Store interface {
	// Revision grows with every ApplyApps.
	Revision(ctx context.Context) (int64, error)
	// Apps returns all apps with their connectors in the order they were given.
	Apps(ctx context.Context) (StoredApps, error)
	// ApplyApps writes and removes apps and connectors at once. Removing one removes
	// everything that belongs to it. Durable.
	ApplyApps(ctx context.Context, b ApplyBatch) error
	// CountConnections counts the connections of a connector.
	CountConnections(ctx context.Context, app, connector string) (int, error)
	// ConnectorConnections lists the connections of a connector.
	ConnectorConnections(ctx context.Context, app, connector string) ([]Connection, error)

	// CreateConnectSession adds a connect session.
	CreateConnectSession(ctx context.Context, cs ConnectSession) error
	// ConnectSession finds one by its id, ended or not.
	ConnectSession(ctx context.Context, app, id string) (ConnectSession, error)
	// ConnectSessionByURL finds one by the hash of the secret in its address.
	ConnectSessionByURL(ctx context.Context, urlHash []byte) (ConnectSession, error)
	// ConnectSessionByToken finds one by the hash of its user token.
	ConnectSessionByToken(ctx context.Context, app string, tokenHash []byte) (ConnectSession, error)
	// EndConnectSession ends a connect session, the links made with its token and the
	// browser sessions made from it. False: there is none of that id. Durable.
	EndConnectSession(ctx context.Context, app, id string, now time.Time) (bool, error)

	// BrowserSessions lists the live identities of a browser.
	BrowserSessions(ctx context.Context, hash []byte, now time.Time) ([]BrowserSession, error)
	// OpenBrowserSession uses up the connect session's ticket, ends the identity of
	// that app under the old hash, moves the other apps' identities to the new one,
	// and adds s. A sign-in has no ticket to use up. False: the ticket was used or
	// ended in the meantime, nothing changed.
	OpenBrowserSession(ctx context.Context, oldHash []byte, s BrowserSession, now time.Time) (bool, error)
	// TouchBrowserSession notes that the identity of an app in a browser was used.
	TouchBrowserSession(ctx context.Context, hash []byte, app string, seen time.Time) error
	// EndBrowserSession ends the identity of one app in a browser, or of all for "",
	// builders' sessions among them.
	// Durable.
	EndBrowserSession(ctx context.Context, hash []byte, app string) error

	// BuilderSessions lists the apps whose builder this browser is signed in as.
	BuilderSessions(ctx context.Context, hash []byte, now time.Time) ([]BuilderSession, error)
	// OpenBuilderSession adds b and moves what the browser holds under the old hash to
	// the new one; a former session of that app under either is replaced.
	OpenBuilderSession(ctx context.Context, oldHash []byte, b BuilderSession) error
	// EndBuilderSession ends the builder's session of an app in a browser. Durable.
	EndBuilderSession(ctx context.Context, hash []byte, app string) error

	// CreateFlow uses up a start ticket and adds the flow. False: the ticket was used.
	CreateFlow(ctx context.Context, f Flow, nonce []byte, nonceExpires time.Time, ev Event) (bool, error)
	// CountOpenFlows counts the app's flows without a final status.
	CountOpenFlows(ctx context.Context, app string) (int, error)
	// Flow finds a flow by its id.
	Flow(ctx context.Context, id string) (Flow, error)
	// FlowByState finds a flow by the hash of its state.
	FlowByState(ctx context.Context, stateHash []byte) (Flow, error)
	// UpdateFlow writes f if its Version is still the stored one, which then grows by
	// one, and adds the events. False: somebody else wrote it first, nothing changed.
	UpdateFlow(ctx context.Context, f Flow, events ...Event) (bool, error)
	// OpenFlows lists the user's flows of the app that have no final status.
	OpenFlows(ctx context.Context, app, user string) ([]Flow, error)
	// SessionFlows lists the flows that a connect session began, oldest first.
	SessionFlows(ctx context.Context, app, session string) ([]Flow, error)
	// FailedFlows lists the flows of the app that failed, the last one first.
	FailedFlows(ctx context.Context, app string, limit int) ([]Flow, error)
	// StaleFlows lists flows without a final status that were last moved before t.
	StaleFlows(ctx context.Context, t time.Time, limit int) ([]Flow, error)

	// Park keeps the sealed fields of a posted callback until expires.
	Park(ctx context.Context, idHash, sealed []byte, expires time.Time) error
	// Parked returns them.
	Parked(ctx context.Context, idHash []byte, now time.Time) ([]byte, error)
	// Unpark removes them; it is no error when they are gone.
	Unpark(ctx context.Context, idHash []byte) error

	// RequestShared adds a builder's request with the session of its link, and ends the
	// link of the request before it, whose id is after, "" for none; requests from before
	// forgetBefore are dropped. False: another request came first, or the connector is
	// gone; nothing changed. Durable.
	RequestShared(ctx context.Context, r SharedRequest, cs ConnectSession, after string, forgetBefore time.Time) (bool, error)
	// SharedRequests lists the requests of an app, newest first.
	SharedRequests(ctx context.Context, app string) ([]SharedRequest, error)
	// ForgetShared removes the requests for a connector and ends their links. Durable.
	ForgetShared(ctx context.Context, app, connector string, now time.Time) error

	// Connect makes or replaces a connection and ends its flow. Durable.
	Connect(ctx context.Context, c Connecting) (ConnectResult, error)
	// Connection finds the connection of a connector and owner.
	Connection(ctx context.Context, app, connector string, o Owner) (Connection, error)
	// ConnectionToken is Connection with only what a read of its token shows: without what
	// was asked, proofs, params and the times of its use.
	ConnectionToken(ctx context.Context, app, connector string, o Owner) (Connection, error)
	// UserConnections lists a user's connections of the app.
	UserConnections(ctx context.Context, app, user string) ([]Connection, error)
	// AccountConnections lists all connections to a provider account, of any app.
	AccountConnections(ctx context.Context, typ []string, account string) ([]Connection, error)
	// RefreshRow reads a connection by its id with the state of its refresh.
	RefreshRow(ctx context.Context, id string) (Connection, RefreshState, error)
	// ClaimRefresh notes who is about to send which refresh token, if the row is still at
	// that generation, which then grows by one. Durable.
	ClaimRefresh(ctx context.Context, c Claim) (bool, error)
	// SaveRefreshed writes fresh tokens if the row is still at that generation, or at a
	// later one with the refresh token that these were traded for. The generation grows by
	// one and the claim is over. Durable.
	SaveRefreshed(ctx context.Context, r Refreshed) (bool, error)
	// ReleaseRefresh ends a claim without fresh tokens and writes what st says of the
	// intent, the retry and the failures, if the row is still at that generation.
	ReleaseRefresh(ctx context.Context, id string, generation int64, st RefreshState) (bool, error)
	// SetDue sets when the refresh in the background comes, if the row is still at that
	// generation.
	SetDue(ctx context.Context, id string, generation int64, due time.Time) error
	// MarkReconnect sets reconnect_required if the row is still at that generation.
	MarkReconnect(ctx context.Context, id string, generation int64, reason string, ev Event) (bool, error)
	// HeldRefreshes lists connections that somebody claimed.
	HeldRefreshes(ctx context.Context, limit int) ([]Refreshing, error)
	// DueConnectors counts the refreshes that are due, the connector of the oldest first.
	DueConnectors(ctx context.Context, now time.Time) ([]DueConnector, error)
	// DueRefreshes lists a connector's refreshes that are due and unclaimed, oldest first.
	DueRefreshes(ctx context.Context, app, connector string, now time.Time, limit int) ([]Refreshing, error)
	// Health returns what is known about a connector's provider, with Version 0 when that
	// is nothing.
	Health(ctx context.Context, app, connector string) (Health, error)
	// Healths lists what is known about all of them.
	Healths(ctx context.Context) ([]Health, error)
	// UpdateHealth writes h if its Version is still the stored one, which then grows by one.
	UpdateHealth(ctx context.Context, h Health) (bool, error)
	// Epoch returns the number that BumpEpoch counts up.
	Epoch(ctx context.Context) (int64, error)
	// BumpEpoch makes the epoch one more than the larger of it and atLeast. Durable.
	BumpEpoch(ctx context.Context, atLeast int64) (int64, error)
	// SuspectAll notes of every refresh token that nobody knows whether it was used, and
	// makes them due one after the other over that time. It returns how many there are.
	SuspectAll(ctx context.Context, now time.Time, over time.Duration) (int, error)
	// Disconnect removes the connection and returns what it was; event makes the entry in
	// the history. Durable.
	Disconnect(ctx context.Context, app, connector string, o Owner, event func(*Connection) Event) (Connection, error)
	// TouchConnections sets when connections were last used.
	TouchConnections(ctx context.Context, used map[string]time.Time) error
	// ForgetUser removes the user's sessions, flows and history; connections are
	// removed one by one before. Durable.
	ForgetUser(ctx context.Context, app, user string) error

	// Events lists the history of a user, newest first, without starts of flows.
	Events(ctx context.Context, app, user string, limit int) ([]Event, error)
	// EventsAfter lists what was noted of a user after the entry of that Seq, oldest
	// first, starts of flows included.
	EventsAfter(ctx context.Context, app, user string, seq int64, limit int) ([]Event, error)
	// LastEvent is the Seq of the newest entry of a user, 0 for none.
	LastEvent(ctx context.Context, app, user string) (int64, error)
	// Event finds one entry of a user's history.
	Event(ctx context.Context, app, user, id string) (Event, error)
	// SetEventData replaces the data of an entry.
	SetEventData(ctx context.Context, id string, data map[string]string) error

	// Deliveries lists what was sent to the app's webhooks, the newest first.
	Deliveries(ctx context.Context, app string, limit int) ([]Delivery, error)
	// DeliverAgain makes a delivery that arrived or was given up wait again. False: there is
	// none such.
	DeliverAgain(ctx context.Context, app, id string, now time.Time) (bool, error)

	// Sweep removes what is over: sessions, tickets and parked fields expired by now,
	// and flows that ended before finishedBefore, with the entries of their starts; those
	// that expired go after an hour. Of a user's flows under way, those beyond the newest
	// MaxUserFlows expire.
	Sweep(ctx context.Context, now, finishedBefore time.Time) error
}

// ApplyBatch is what one apply changes.
type ApplyBatch struct {
	Put              []AppRecord // apps and their whole list of connectors, in order
	RemoveApps       []string
	RemoveConnectors [][2]string // app, connector
}

// Connecting is the end of a flow that worked.
type Connecting struct {
	Flow       Flow // with its final status; Version as it was read
	Connection Connection
	// Replaces is the id and generation of the connection that is there already; an
	// empty id expects none. A mismatch changes nothing.
	Replaces    string
	ReplacesGen int64
	Events      []Event
	// Fingerprint is of the connection's refresh token, "" without one; DueAt is when it is
	// refreshed in the background, zero for never.
	Fingerprint string
	DueAt       time.Time
	// Supersede makes the entry for a flow that is ended by this one; nil for none.
	Supersede func(*Flow) Event
}

// ConnectResult tells how Connect ended.
type ConnectResult struct {
	// FlowMoved: the flow was changed by somebody else first; nothing was stored.
	FlowMoved bool
	// ConnectionMoved: the connection was changed by somebody else; nothing was stored.
	ConnectionMoved bool
	// Superseded are the user's other unfinished flows of the connector, now ended.
	Superseded []Flow
}

// Refreshed is a fresh set of tokens for a connection.
type Refreshed struct {
	ID         string
	Generation int64 // as it was read
	Sealed     []byte
	KeyID      string
	TokenType  string
	Scopes     []string
	Missing    []string
	Config     map[string]string
	ObtainedAt time.Time
	ExpiresAt  time.Time

	Fingerprint string // of the refresh token in Sealed
	Parent      string // of the one that it was traded for
	DueAt       time.Time
}
