package connect

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"patchbay/oauth"
	"patchbay/provider"
	"patchbay/vault"
)

// How long things live.
const (
	FlowLife          = 15 * time.Minute // from start to the provider's answer
	VerifyWindow      = time.Minute      // from a result code to the app's confirm
	exchangeWindow    = time.Minute      // after it, an exchange that nobody ended is taken for dead
	SessionLife       = 15 * time.Minute // of a connect session, and of the token it hands out
	MaxLinkLife       = 7 * 24 * time.Hour
	TicketWindow      = 5 * time.Minute // to open /session/{ticket}
	BrowserLife       = time.Hour       // of a browser session that a ticket opened
	LoginLife         = 12 * time.Hour  // of a browser session made by signing in
	LoginIdle         = time.Hour       // such a session, unused, ends after this
	FlowCookieLife    = time.Hour       // of the secret that binds a flow to its browser
	keepFinishedFlows = 7 * 24 * time.Hour
	providerTimeout   = 30 * time.Second // for all calls of one exchange or refresh
)

// Sealer keeps secrets for storage, bound to the row they belong to, and
// authenticates what Patchbay gives out and takes back.
type Sealer interface {
	Seal(vault.Context, []byte) ([]byte, error)
	Open(vault.Context, []byte) ([]byte, error)
	MAC(purpose string, data []byte) []byte
	CheckMAC(purpose string, data, mac []byte) bool
}

// Service is the whole of Patchbay without its pages. The exported fields are its
// dependencies; main and the tests make it the same way, with a literal.
type Service struct {
	Store     Store
	Sealer    Sealer
	Catalog   *provider.Catalog
	OAuth     *oauth.Client
	PublicURL string // the origin, without a slash at its end
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Emit is told of every event after it is stored; nil tells nobody.
	Emit func(context.Context, Event)
	// Local is the state directory; nil: a refresh that the database cannot take is kept in
	// memory only, and an old copy of the database is not noticed.
	Local Local

	apps      appCache
	watchers  watchers
	pending   pending
	refreshes singleflight.Group
	used      lastUsed
	inFlight  sync.WaitGroup

	name    sync.Once
	self    string // of this process, in claims
	leases  leases
	slots   slots
	health  localHealth
	ahead   aheadWorkers
	oldest  atomic.Int64 // since when the oldest refresh is due, in Unix milliseconds; 0: none is
	epoch   atomic.Int64
	rotated atomic.Int64 // tokens written since the epoch was counted up
}

// instance names this process in claims.
func (s *Service) instance() string {
	s.name.Do(func() { s.self = newID("in_") })
	return s.self
}

func (s *Service) oldestDue(due []DueConnector) {
	oldest := int64(0)
	for _, d := range due {
		if at := d.Oldest.UnixMilli(); oldest == 0 || at < oldest {
			oldest = at
		}
	}
	s.oldest.Store(oldest)
}

// OldestDue is how long the oldest refresh has been due, as of the last look.
func (s *Service) OldestDue() time.Duration {
	at := s.oldest.Load()
	if at == 0 {
		return 0
	}
	return max(0, s.now().Sub(time.UnixMilli(at)))
}

// now is the clock in whole milliseconds, as the Store keeps times.
func (s *Service) now() time.Time {
	if s.Now != nil {
		return s.Now().UTC().Truncate(time.Millisecond)
	}
	return time.Now().UTC().Truncate(time.Millisecond)
}

// Run does what has to be done from time to time, until ctx ends: it writes down
// when tokens were last read, refreshes ahead, and sweeps what is over. After ctx nothing
// new begins; what is under way is Drain's.
func (s *Service) Run(ctx context.Context) {
	ahead := time.NewTicker(aheadTick)
	defer ahead.Stop()
	flush := time.NewTicker(2 * time.Second)
	defer flush.Stop()
	sweep := time.NewTicker(time.Minute)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			s.ahead.wg.Wait()
			return
		case <-ahead.C:
			_ = s.RefreshAhead(ctx)
		case <-flush.C:
			_ = s.flushLastUsed(ctx)
		case <-sweep.C:
			_ = s.Sweep(ctx)
			_ = s.noteEpoch(ctx)
		}
	}
}

// Sweep ends the flows whose time is over and removes what nobody can use any more.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.now()
	stale, err := s.Store.StaleFlows(ctx, now.Add(-VerifyWindow), 500)
	if err != nil {
		return err
	}
	for i := range stale {
		if _, err := s.settle(ctx, &stale[i]); err != nil {
			return err
		}
	}
	return s.Store.Sweep(ctx, now, now.Add(-keepFinishedFlows))
}

// Drain waits until no exchange, refresh or revocation is under way, and writes down what
// is written from time to time. It comes after Run has returned.
func (s *Service) Drain(ctx context.Context) error {
	done := make(chan struct{})
	go func() { s.inFlight.Wait(); close(done) }()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, s.flushLastUsed(last), s.noteEpoch(last))
}

// detached is a context for calls to a provider: a caller that hangs up must not
// abort an exchange or a rotation half-way.
func (s *Service) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	s.inFlight.Add(1)
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), providerTimeout)
	return c, func() { cancel(); s.inFlight.Done() }
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }
