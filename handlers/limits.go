package handlers

import (
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"golang.org/x/time/rate"

	"patchbay/connect"
)

// limits are those of PATCHBAY_RATE_LIMIT, counted in this process.
type limits struct {
	pages        limiter // by client address
	starts       limiter // by app and end user
	tokenReads   limiter // by app
	apiCalls     limiter // by app
	refusedCalls limiter // failed authentications, by client address
}

// limiter is nil where the limits are off.
type limiter interface {
	Allow(identifier string) (bool, error)
}

func newLimits(on bool) *limits {
	if !on {
		return &limits{}
	}
	return &limits{
		pages:        newLimiter(50, 200),
		starts:       newPerMinute(60),
		tokenReads:   newLimiter(1000, 1000),
		apiCalls:     newLimiter(200, 200),
		refusedCalls: newPerMinute(60),
	}
}

// newLimiter allows so many a second, and burst at once.
func newLimiter(perSecond float64, burst int) limiter {
	return middleware.NewRateLimiterMemoryStoreWithConfig(middleware.RateLimiterMemoryStoreConfig{
		Rate: rate.Limit(perSecond), Burst: burst, ExpiresIn: 3 * time.Minute,
	})
}

// perMinute allows so many in any minute, counted exactly: a bucket that refills all
// the time would let through twice as many in the first one.
type perMinute struct {
	most int
	now  func() time.Time

	mu    sync.Mutex
	seen  map[string][]time.Time // what was allowed in the last minute, oldest first
	swept time.Time
}

func newPerMinute(most int) *perMinute {
	return &perMinute{most: most, now: time.Now, seen: map[string][]time.Time{}}
}

// Allow implements limiter.
func (p *perMinute) Allow(identifier string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	begun := now.Add(-time.Minute)
	if p.swept.Before(begun) {
		for id, times := range p.seen {
			if !times[len(times)-1].After(begun) {
				delete(p.seen, id)
			}
		}
		p.swept = now
	}
	times := p.seen[identifier]
	for len(times) > 0 && !times[0].After(begun) {
		times = times[1:]
	}
	if len(times) >= p.most {
		p.seen[identifier] = times
		return false, nil
	}
	p.seen[identifier] = append(times, now)
	return true, nil
}

var errRateLimited = &connect.Error{Code: codeRateLimited, Message: "Too many requests. Wait a moment and try again.", RetryAfter: time.Second}

// take counts one and refuses with rate_limited when there are too many.
func take(l limiter, key string) error {
	if l == nil {
		return nil
	}
	if ok, _ := l.Allow(key); !ok {
		return errRateLimited
	}
	return nil
}

func (s *Server) pageLimited(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := take(s.limits.pages, c.RealIP()); err != nil {
			return err
		}
		return next(c)
	}
}
