package connect

import (
	"context"
	"errors"
	"sync"
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

	apps      appCache
	watchers  watchers
	refreshes singleflight.Group
	used      lastUsed
	inFlight  sync.WaitGroup
}

// now is the clock in whole milliseconds, as the Store keeps times.
func (s *Service) now() time.Time {
	if s.Now != nil {
		return s.Now().UTC().Truncate(time.Millisecond)
	}
	return time.Now().UTC().Truncate(time.Millisecond)
}

// Run does what has to be done from time to time, until ctx ends: it writes down
// when tokens were last read, and sweeps what is over. It returns after a last write.
func (s *Service) Run(ctx context.Context) {
	flush := time.NewTicker(2 * time.Second)
	defer flush.Stop()
	sweep := time.NewTicker(time.Minute)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			_ = s.flushLastUsed(last)
			cancel()
			return
		case <-flush.C:
			_ = s.flushLastUsed(ctx)
		case <-sweep.C:
			_ = s.Sweep(ctx)
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

// Drain waits until no exchange, refresh or revocation is under way, or ctx ends.
func (s *Service) Drain(ctx context.Context) error {
	done := make(chan struct{})
	go func() { s.inFlight.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// detached is a context for calls to a provider: a caller that hangs up must not
// abort an exchange or a rotation half-way.
func (s *Service) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	s.inFlight.Add(1)
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), providerTimeout)
	return c, func() { cancel(); s.inFlight.Done() }
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }
