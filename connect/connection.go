package connect

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"patchbay/vault"
)

// ConnectionStatus is whether a connection works.
type ConnectionStatus string

// A connection works, or needs its user again.
const (
	ConnectionConnected         ConnectionStatus = "connected"
	ConnectionReconnectRequired ConnectionStatus = "reconnect_required"
)

// Account is a provider account as the provider names it.
type Account struct {
	ID    string
	Name  string
	Email string
}

// Label is how a page names the account: e-mail, else name, else id.
func (a Account) Label() string {
	switch {
	case a.Email != "":
		return a.Email
	case a.Name != "":
		return a.Name
	}
	return a.ID
}

// tellApart labels two accounts so that a person can see which is which, even where
// both go by the same name.
func tellApart(a, b Account) (string, string) {
	first, second := a.Label(), b.Label()
	if first == second {
		first, second = first+" ("+a.ID+")", second+" ("+b.ID+")"
	}
	return first, second
}

// Connection is the link that exists: a connector, its owner, a provider account and
// its tokens.
type Connection struct {
	ID        string
	App       string
	Connector string
	Type      string
	Owner     Owner
	Status    ConnectionStatus
	Reason    string // why reconnect_required
	Account   Account
	Asked     []string
	Scopes    []string // granted
	Missing   []string // asked, not granted
	Config    map[string]string
	Params    map[string]string
	Proofs    []Proof
	Assurance Assurance

	Sealed     []byte // storedTokens
	KeyID      string // of the key that sealed them
	TokenType  string
	ObtainedAt time.Time
	ExpiresAt  time.Time // of the access token; zero: never, or unknown
	Generation int64     // grows with every write of tokens

	ConnectedAt time.Time
	UpdatedAt   time.Time
	LastUsedAt  time.Time
}

// storedTokens are sealed with the connection they belong to. Previous is the refresh
// token before the last rotation.
type storedTokens struct {
	Access   string `json:"access"`
	Refresh  string `json:"refresh,omitempty"`
	Previous string `json:"previous,omitempty"`
}

func connectionContext(c *Connection) vault.Context {
	return vault.Context{App: c.App, Connector: c.Connector, User: c.Owner.Key(), Row: c.ID, Purpose: "tokens"}
}

func (s *Service) openTokens(c *Connection) (storedTokens, error) {
	var t storedTokens
	plain, err := s.Sealer.Open(connectionContext(c), c.Sealed)
	if err == nil {
		t, err = parseTokens(plain)
	}
	if err != nil {
		return t, fmt.Errorf("connection %s: %w", c.ID, err)
	}
	return t, nil
}

// packedTokens begins a plain text that is not JSON: what follows are the three tokens,
// each after its length as a varint. It takes a fiftieth of the time.
const packedTokens = 1

func (t *storedTokens) pack() []byte {
	out := make([]byte, 1, 16+len(t.Access)+len(t.Refresh)+len(t.Previous))
	out[0] = packedTokens
	for _, token := range []string{t.Access, t.Refresh, t.Previous} {
		out = append(binary.AppendUvarint(out, uint64(len(token))), token...)
	}
	return out
}

var errPacked = errors.New("the stored tokens cannot be read")

// parseTokens reads what pack made, or the JSON from before.
func parseTokens(plain []byte) (t storedTokens, err error) {
	if len(plain) == 0 || plain[0] != packedTokens {
		return t, json.Unmarshal(plain, &t)
	}
	rest := plain[1:]
	for _, into := range []*string{&t.Access, &t.Refresh, &t.Previous} {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			return storedTokens{}, errPacked
		}
		*into, rest = string(rest[size:size+int(n)]), rest[size+int(n):]
	}
	if len(rest) != 0 {
		return storedTokens{}, errPacked
	}
	return t, nil
}

func (s *Service) connectionEvent(ctx context.Context, kind EventKind, c *Connection, f *Flow) Event {
	e := s.event(ctx, kind, c.App, c.Owner.User, c.Connector)
	e.Connection = c.ID
	e.Data = map[string]string{"account": c.Account.Label()}
	if f != nil {
		e.Flow = f.ID
		e.Data["code"] = string(f.Code)
		e.Data["assurance"] = string(c.Assurance)
	}
	s.address(ctx, &e, c)
	return e
}

// address adds what is sent to the app's webhooks.
func (s *Service) address(ctx context.Context, e *Event, c *Connection) {
	a, err := s.App(ctx, c.App)
	if err != nil || len(a.Webhooks) == 0 {
		return
	}
	type data struct {
		App        string          `json:"app"`
		User       *string         `json:"user_id"` // null for what the whole app shares
		Connection *ConnectionView `json:"connection"`
	}
	body, err := json.Marshal(struct {
		Type      EventKind `json:"type"`
		Timestamp string    `json:"timestamp"`
		Data      data      `json:"data"`
	}{e.Kind, e.At.Format(time.RFC3339Nano), data{c.App, OrNull(c.Owner.User), c.View()}})
	if err != nil {
		return
	}
	for _, w := range a.Webhooks {
		e.Deliveries = append(e.Deliveries, Delivery{
			ID: newID("msg_"), App: c.App, URL: w.URL, Kind: e.Kind, User: c.Owner.User, Body: string(body),
			CreatedAt: e.At, NextAt: e.At, State: DeliveryWaiting,
		})
	}
}

// UserConnections lists what an end user has linked in the app.
func (s *Service) UserConnections(ctx context.Context, app, user string) ([]Connection, error) {
	all, err := s.Store.UserConnections(ctx, app, user)
	for i := range all {
		s.used.overlay(&all[i])
	}
	return all, err
}

// UserConnection returns the end user's connection of a connector, or not_connected.
func (s *Service) UserConnection(ctx context.Context, app, connector, user string) (Connection, error) {
	return s.OwnerConnection(ctx, app, connector, OwnerOf(user))
}

// FlowConnection returns the connection that a flow made, while it is still that one;
// not_connected otherwise.
func (s *Service) FlowConnection(ctx context.Context, f *Flow) (Connection, error) {
	if f.Connection == "" {
		return Connection{}, errNotConnected
	}
	conn, err := s.OwnerConnection(ctx, f.App, f.Connector, f.Owner())
	if err == nil && conn.ID != f.Connection {
		return Connection{}, errNotConnected
	}
	return conn, err
}

// OwnerConnection returns the connection of a connector and owner, or not_connected.
func (s *Service) OwnerConnection(ctx context.Context, app, connector string, o Owner) (Connection, error) {
	if _, _, err := s.connectorOf(ctx, app, connector, o); err != nil {
		return Connection{}, err
	}
	conn, err := s.Store.Connection(ctx, app, connector, o)
	if isNotFound(err) {
		return Connection{}, errNotConnected
	}
	s.used.overlay(&conn)
	return conn, err
}

var errNotConnected = refuse(CodeNotConnected, "This user has not linked an account with this connector.")

// lastUsed gathers when tokens were read, so that a read of a token writes nothing.
type lastUsed struct {
	mu      sync.Mutex
	pending map[string]time.Time
}

func (u *lastUsed) touch(id string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.pending == nil {
		u.pending = make(map[string]time.Time)
	}
	u.pending[id] = at
}

// overlay shows a use that is not written down yet.
func (u *lastUsed) overlay(c *Connection) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at, ok := u.pending[c.ID]; ok && at.After(c.LastUsedAt) {
		c.LastUsedAt = at
	}
}

func (s *Service) flushLastUsed(ctx context.Context) error {
	s.used.mu.Lock()
	batch := s.used.pending
	s.used.pending = nil
	s.used.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	err := s.Store.TouchConnections(ctx, batch)
	if err != nil { // keep them for the next time
		for id, at := range batch {
			s.used.mu.Lock()
			if s.used.pending == nil {
				s.used.pending = make(map[string]time.Time)
			}
			if _, newer := s.used.pending[id]; !newer {
				s.used.pending[id] = at
			}
			s.used.mu.Unlock()
		}
	}
	return err
}

// Refreshes reports whether the connection can get new access tokens by itself.
func (s *Service) Refreshes(c *Connection) bool {
	t, err := s.openTokens(c)
	return err == nil && t.Refresh != ""
}
