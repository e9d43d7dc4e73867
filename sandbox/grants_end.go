package sandbox

import (
	"slices"
	"time"
)

// revokeRequest says what one revocation ends.
type revokeRequest struct {
	dialect    *dialect
	token      string
	client     string // "" when the provider does not ask whose token it is
	accessOnly bool   // an access token is revoked alone, and leaves the grant
	dryRun     bool
}

// revoke ends a token, its grant, or every grant of the account and client, and
// returns the state the token was in.
func (g *grants) revoke(r revokeRequest) tokenState {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	t := g.tokens[r.token]
	if t == nil || t.grant.dialect != r.dialect || r.client != "" && t.grant.client != r.client {
		return tokenUnknown
	}
	if state := t.state(now); state != tokenAlive || r.dryRun {
		return state
	}
	switch {
	case r.dialect.revokeGrant:
		for _, gr := range g.list {
			if gr.dialect.kin(r.dialect) && gr.account == t.grant.account && gr.client == t.grant.client {
				gr.end(now)
			}
		}
	case r.accessOnly && !t.refresh:
		t.ended = true
	default:
		t.grant.end(now)
	}
	return tokenAlive
}

// revokeAccount ends every grant of the account, codes not yet exchanged included, and
// returns how many grants it ended.
func (g *grants) revokeAccount(account string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, n := g.now(), 0
	for _, gr := range g.list {
		if gr.account == account && gr.end(now) {
			n++
		}
	}
	for _, c := range g.queue {
		if c.account == account {
			delete(g.codes, c.value)
		}
	}
	return n
}

// sweep forgets what has been dead for long enough. The caller holds the lock.
func (g *grants) sweep(now time.Time) {
	if now.Sub(g.swept) < sweepEvery {
		return
	}
	g.swept = now
	for len(g.queue) > 0 && now.Sub(g.queue[0].expires) > keepUsedCode {
		g.dropOldestCode()
	}
	g.list = slices.DeleteFunc(g.list, func(gr *grant) bool {
		if !g.forgettable(gr, now) {
			return false
		}
		g.dropGrant(gr)
		return true
	})
}

// forgettable reports whether no token of the grant can be used any more, and has not
// been for a while. What cannot be refreshed is over with its last access token.
func (g *grants) forgettable(gr *grant, now time.Time) bool {
	long := now.Add(-keepDead)
	if gr.over(long) {
		return true
	}
	if gr.install != "" {
		return false // an app stays installed, whether it asks for tokens or not
	}
	gr.access = slices.DeleteFunc(gr.access, func(t *token) bool {
		dead := t.state(long) == tokenExpired
		if dead {
			delete(g.tokens, t.value)
		}
		return dead
	})
	return len(gr.access) == 0 && len(gr.refresh) == 0
}

func (g *grants) dropGrant(gr *grant) {
	for _, t := range slices.Concat(gr.access, gr.refresh) {
		delete(g.tokens, t.value)
	}
}

func (g *grants) dropOldestCode() {
	delete(g.codes, g.queue[0].value)
	g.queue = g.queue[1:]
}
