package connect

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// What is done about a provider in trouble, per connector: one connector's client
// secret or quota says nothing about another's.
const (
	InFlight     = 50               // refreshes of one connector at once, in one process
	troubleLimit = 5                // failures in a row before the breaker opens
	troubleWait  = 10 * time.Second // between two probes of a provider that does not answer
	faultLimit   = 3                // clients refused in a row
	faultWait    = 20 * time.Second // between two probes of a client that is refused
	throttleMax  = time.Hour        // whatever it says
	brakeWindow  = 5 * time.Minute  // in which dead grants are counted
	brakeLeast   = 20               // dead grants in a window that look like the provider's mistake
	brakeShare   = 5                // and if they are more than one in so many
	brakeLongest = 24 * time.Hour   // after which even such a provider is believed
)

// Why no refresh is sent for a connector.
const (
	ClosedThrottled = "throttled"
	ClosedTrouble   = "unavailable"
	ClosedClient    = "misconfigured"
)

// Health is how a connector's provider is doing, as all instances see it.
type Health struct {
	App, Connector string
	Version        int64
	ClosedUntil    time.Time // no refresh is sent before; then one instance probes
	Cause          string    // one of the Closed constants; "": open
	// The brake: since WindowAt, Fine refreshes worked and Dead grants were called dead.
	WindowAt   time.Time
	Fine, Dead int64
	BrakedAt   time.Time // since when dead grants are not believed; zero: they are
}

// localHealth is what one process counts by itself.
type localHealth struct {
	mu         sync.Mutex
	connectors map[[2]string]*localCount
}

type localCount struct {
	failures atomic.Int64 // in a row
	fine     atomic.Int64 // since the last dead grant
	closed   atomic.Bool  // this process has seen the breaker closed
}

func (l *localHealth) of(c *Connector) *localCount {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.connectors == nil {
		l.connectors = map[[2]string]*localCount{}
	}
	key := [2]string{c.App, c.ID}
	if l.connectors[key] == nil {
		l.connectors[key] = &localCount{}
	}
	return l.connectors[key]
}

// mayCall asks the breaker. Of all instances, the one that moves ClosedUntil on may
// probe.
func (s *Service) mayCall(ctx context.Context, c *Connector) error {
	h, err := s.Store.Health(ctx, c.App, c.ID)
	if err != nil || h.Cause == "" {
		return err
	}
	s.health.of(c).closed.Store(true)
	if wait := h.ClosedUntil.Sub(s.now()); wait > 0 {
		return closedError(h.Cause, wait)
	}
	h.ClosedUntil = s.now().Add(troubleWait)
	probing, err := s.Store.UpdateHealth(ctx, h)
	if err != nil {
		return err
	}
	if !probing {
		return closedError(h.Cause, troubleWait)
	}
	return nil
}

func closedError(cause string, wait time.Duration) error {
	if cause == ClosedClient {
		return &Error{Code: CodeConnectorMisconfigured, RetryAfter: wait, Cause: errors.New("the provider refused the client a moment ago"),
			Message: "The provider does not accept this connector's client. The app's builder has to check its client id and secret."}
	}
	return unavailable(wait, "refreshes of this connector pause: "+cause)
}

// provedWell notes a refresh that worked.
func (s *Service) provedWell(ctx context.Context, c *Connector) {
	l := s.health.of(c)
	l.failures.Store(0)
	l.fine.Add(1)
	if !l.closed.Swap(false) {
		return
	}
	s.changeHealth(ctx, c, func(h *Health) bool {
		if h.Cause == "" {
			return false
		}
		h.Cause, h.ClosedUntil = "", time.Time{}
		return true
	})
}

// throttled closes the connector for as long as the provider asks, at most an hour, and
// returns how long that is.
func (s *Service) throttled(ctx context.Context, c *Connector, asked time.Duration) time.Duration {
	wait := min(asked, throttleMax)
	wait += rand.N(wait/10 + 1)
	s.closeFor(ctx, c, ClosedThrottled, wait)
	return wait
}

// troubled counts a failure that says nothing about the connection.
func (s *Service) troubled(ctx context.Context, c *Connector) {
	l := s.health.of(c)
	if l.failures.Add(1) >= troubleLimit || l.closed.Load() {
		s.closeFor(ctx, c, ClosedTrouble, troubleWait)
	}
}

// misconfigured counts a client that is refused: every try will be refused alike.
func (s *Service) misconfigured(ctx context.Context, c *Connector) {
	l := s.health.of(c)
	if l.failures.Add(1) >= faultLimit || l.closed.Load() {
		s.closeFor(ctx, c, ClosedClient, faultWait)
	}
}

func (s *Service) closeFor(ctx context.Context, c *Connector, cause string, wait time.Duration) {
	s.health.of(c).closed.Store(true)
	until, opened := s.now().Add(wait), false
	s.changeHealth(ctx, c, func(h *Health) bool {
		opened = h.Cause == ""
		if h.Cause != "" && !h.ClosedUntil.Before(until) {
			return false
		}
		h.Cause, h.ClosedUntil = cause, until
		return true
	})
	if opened {
		ev := s.event(ctx, EventConnectorClosed, c.App, "", c.ID)
		ev.Data = map[string]string{"cause": cause}
		s.emit(ctx, ev)
	}
}

// changeHealth writes what change makes of the connector's health; false changes
// nothing. It does without when the database is away: health is advice.
func (s *Service) changeHealth(ctx context.Context, c *Connector, change func(*Health) bool) {
	for range 10 {
		h, err := s.Store.Health(ctx, c.App, c.ID)
		if err != nil || !change(&h) {
			return
		}
		if done, err := s.Store.UpdateHealth(ctx, h); err != nil || done {
			return
		}
	}
}

// brake counts a grant that the provider calls dead, and reports whether that is not to
// be believed: too many at once are the provider's mistake and not the users' doing.
func (s *Service) brake(ctx context.Context, c *Connector) (bool, error) {
	l := s.health.of(c)
	for {
		h, err := s.Store.Health(ctx, c.App, c.ID)
		if err != nil {
			return false, err
		}
		now := s.now()
		if now.Sub(h.WindowAt) >= brakeWindow {
			if !h.BrakedAt.IsZero() && !suspicious(&h) {
				h.BrakedAt = time.Time{}
			}
			h.WindowAt, h.Fine, h.Dead = now, 0, 0
		}
		h.Fine += l.fine.Load()
		h.Dead++
		began := h.BrakedAt.IsZero() && suspicious(&h)
		if began {
			h.BrakedAt = now
		}
		fine := l.fine.Load()
		done, err := s.Store.UpdateHealth(ctx, h)
		if err != nil {
			return false, err
		}
		if !done {
			continue
		}
		l.fine.Add(-fine)
		if began {
			ev := s.event(ctx, EventBraked, c.App, "", c.ID)
			s.emit(ctx, ev)
		}
		return !h.BrakedAt.IsZero() && now.Sub(h.BrakedAt) < brakeLongest, nil
	}
}

func suspicious(h *Health) bool {
	return h.Dead >= brakeLeast && h.Dead*brakeShare > h.Dead+h.Fine
}

// slots bounds the refreshes in flight, per connector.
type slots struct {
	mu         sync.Mutex
	connectors map[[2]string]*semaphore.Weighted
}

// take waits for a slot; release gives it back.
func (s *slots) take(ctx context.Context, app, connector string) (release func(), err error) {
	s.mu.Lock()
	if s.connectors == nil {
		s.connectors = map[[2]string]*semaphore.Weighted{}
	}
	key := [2]string{app, connector}
	w := s.connectors[key]
	if w == nil {
		w = semaphore.NewWeighted(InFlight)
		s.connectors[key] = w
	}
	s.mu.Unlock()
	if err := w.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return func() { w.Release(1) }, nil
}
