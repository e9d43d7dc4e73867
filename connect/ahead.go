package connect

import (
	"context"
	"fmt"
	"hash/fnv"
	"runtime/debug"
	"sync"
	"time"

	"patchbay/provider"
)

const (
	aheadTick   = time.Second
	aheadBatch  = 200
	aheadLeast  = time.Minute    // a token of a shorter life is refreshed when it is needed
	unusedAfter = 24 * time.Hour // a token that nobody reads is kept alive, and not kept fresh
)

// dueAt is when the tokens of conn are refreshed in the background, zero for never: at
// three quarters to nine tenths of the access token's life, and before the refresh token
// would die of idleness. Where a refresh ends the access token that a back end is using,
// only the latter.
func dueAt(e *provider.Entry, conn *Connection, refreshable bool) time.Time {
	if !refreshable || e == nil {
		return time.Time{}
	}
	due := keepAliveAt(e, conn)
	if life := conn.ExpiresAt.Sub(conn.ObtainedAt); !conn.ExpiresAt.IsZero() && !e.Refresh.AccessDiesOnRefresh && life >= aheadLeast {
		at := conn.ObtainedAt.Add(life*3/4 + time.Duration(float64(life)*0.15*spread(conn)))
		if latest := conn.ExpiresAt.Add(-e.Refresh.Ahead); e.Refresh.Ahead > 0 && latest.Before(at) {
			at = latest
		}
		if due.IsZero() || at.Before(due) {
			due = at
		}
	}
	return due.Truncate(time.Millisecond)
}

// keepAliveAt is when the refresh token has to be used so that it does not die unused.
func keepAliveAt(e *provider.Entry, conn *Connection) time.Time {
	if e.Refresh.IdleLimit <= 0 {
		return time.Time{}
	}
	limit := float64(e.Refresh.IdleLimit)
	return conn.ObtainedAt.Add(time.Duration(limit * (0.6 + 0.2*spread(conn)))).Truncate(time.Millisecond)
}

// spread is a number from 0 to 1 that differs from connection to connection and from one
// refresh to the next, so that what was linked together is not refreshed together.
func spread(conn *Connection) float64 {
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%s/%d", conn.ID, conn.ObtainedAt.UnixMilli())
	return float64(h.Sum32()%1000) / 1000
}

// aheadWorkers are the connectors whose due refreshes are being worked off.
type aheadWorkers struct {
	mu   sync.Mutex
	busy map[[2]string]bool
	wg   sync.WaitGroup
}

// RefreshDue does what is due in the background, and returns when it is done.
func (s *Service) RefreshDue(ctx context.Context) error {
	err := s.RefreshAhead(ctx)
	s.ahead.wg.Wait()
	return err
}

// RefreshAhead looks once for refreshes that are due and for claims whose holder is
// gone, and starts to work them off.
func (s *Service) RefreshAhead(ctx context.Context) error {
	held, err := s.Store.HeldRefreshes(ctx, 1000)
	if err != nil {
		return err
	}
	for _, r := range s.leases.observe(held) {
		s.ahead.wg.Go(func() { s.refreshOne(ctx, r) })
	}
	due, err := s.Store.DueConnectors(ctx, s.now())
	if err != nil {
		return err
	}
	s.oldestDue(due)
	for _, d := range due {
		key := [2]string{d.App, d.Connector}
		s.ahead.mu.Lock()
		if s.ahead.busy == nil {
			s.ahead.busy = map[[2]string]bool{}
		}
		busy := s.ahead.busy[key]
		s.ahead.busy[key] = true
		s.ahead.mu.Unlock()
		if busy {
			continue
		}
		s.ahead.wg.Go(func() {
			defer func() {
				s.ahead.mu.Lock()
				delete(s.ahead.busy, key)
				s.ahead.mu.Unlock()
			}()
			s.refreshConnector(ctx, d.App, d.Connector)
		})
	}
	return nil
}

// DueConnector counts what is due of one connector.
type DueConnector struct {
	App, Connector string
	Count          int64
	Oldest         time.Time
}

// refreshConnector works off what is due of one connector, InFlight at a time.
func (s *Service) refreshConnector(ctx context.Context, app, connector string) {
	work := make(chan Refreshing)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer close(work)
	started := 0
	for ctx.Err() == nil {
		if h, err := s.Store.Health(ctx, app, connector); err != nil || h.Cause != "" && h.ClosedUntil.After(s.now()) {
			return
		}
		batch, err := s.Store.DueRefreshes(ctx, app, connector, s.now(), aheadBatch)
		if err != nil || len(batch) == 0 {
			return
		}
		for _, r := range batch {
			if started < min(InFlight, len(batch)) {
				started++
				workers.Go(func() {
					for r := range work {
						s.refreshOne(ctx, r)
					}
				})
			}
			select {
			case work <- r:
			case <-ctx.Done():
				return
			}
		}
		if len(batch) < aheadBatch {
			return // the rest of it comes with the next tick
		}
	}
}

// refreshOne refreshes one connection in the background. A row that cannot be dealt with
// is put off, so that it is in nobody's way.
func (s *Service) refreshOne(ctx context.Context, r Refreshing) {
	defer func() {
		if p := recover(); p != nil {
			s.quarantine(ctx, &r, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	if ctx.Err() != nil {
		return // stopping: what has not begun does not begin
	}
	ctx = WithActor(ctx, "patchbay")
	_, c, err := s.connectorOf(ctx, r.App, r.Connector, r.Owner)
	if err != nil {
		s.quarantine(ctx, &r, err)
		return
	}
	e, err := s.Entry(c)
	if err != nil {
		s.quarantine(ctx, &r, err)
		return
	}
	if later, ok := s.unused(e, &r); ok {
		if err := s.Store.SetDue(ctx, r.ID, r.Generation, later); err != nil {
			return
		}
		return
	}
	if _, err := s.renewShared(ctx, c, r.Connection); err != nil && ctx.Err() == nil && CodeOf(err) == CodeInternal {
		s.quarantine(ctx, &r, err)
	}
}

// unused reports whether the tokens may rest because nobody reads them, and until when.
func (s *Service) unused(e *provider.Entry, r *Refreshing) (time.Time, bool) {
	if r.State.Intent != "" || r.State.Restored || e.Refresh.Ahead > 0 {
		return time.Time{}, false
	}
	s.used.overlay(&r.Connection)
	last := r.LastUsedAt
	if last.Before(r.ConnectedAt) {
		last = r.ConnectedAt
	}
	if s.now().Sub(last) < max(unusedAfter, 3*r.ExpiresAt.Sub(r.ObtainedAt)) {
		return time.Time{}, false
	}
	alive := keepAliveAt(e, &r.Connection)
	return alive, alive.IsZero() || alive.After(s.now())
}

// quarantine puts off what cannot be dealt with, longer each time.
func (s *Service) quarantine(ctx context.Context, r *Refreshing, cause error) {
	s.tellFailure(ctx, &r.Connection, string(CodeInternal), "quarantined", cause)
	st := r.State
	st.Failures++
	st.DueAt = s.now().Add(max(time.Minute, backoff(st.Failures)))
	st.RetryAt = st.DueAt
	_, _ = s.Store.ReleaseRefresh(context.WithoutCancel(ctx), r.ID, r.Generation, st)
}

// leases remembers since when this process has seen somebody's claim unchanged.
type leases struct {
	mu   sync.Mutex
	seen map[string]seenLease
}

type seenLease struct {
	generation int64
	since      time.Time // with the monotonic clock
}

// over reports whether the holder of a claim is gone. A claim of this process that is
// met here is left over from a release that failed: two refreshes of one connection do
// not run in one process.
func (l *leases) over(conn *Connection, st RefreshState, self string) bool {
	return st.LeaseOwner == self || l.unchanged(conn)
}

// unchanged reports whether the claim was seen as it is for as long as a lease lasts.
func (l *leases) unchanged(conn *Connection) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[string]seenLease{}
	}
	known, ok := l.seen[conn.ID]
	if !ok || known.generation != conn.Generation {
		l.seen[conn.ID] = seenLease{conn.Generation, time.Now()}
		return false
	}
	return time.Since(known.since) >= LeaseLife
}

// observe looks at all claims there are and returns those whose holder is gone.
func (l *leases) observe(held []Refreshing) []Refreshing {
	var out []Refreshing
	keep := make(map[string]bool, len(held))
	for _, r := range held {
		keep[r.ID] = true
		if l.unchanged(&r.Connection) {
			out = append(out, r)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.seen {
		if !keep[id] && time.Since(l.seen[id].since) > 2*LeaseLife {
			delete(l.seen, id)
		}
	}
	return out
}
