package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"
)

func TestMemoryIsBounded(t *testing.T) {
	c := &clock{t: time.Unix(1_800_000_000, 0)}
	g := newGrants(c.Now)
	a := authorization{offline: true, dialect: dialectByID["generic"], scenario: scenario{Name: Approve}, client: "c", redirect: redirectURI, account: "kim"}
	link := func() issued {
		out, _, f := g.exchange(codeRequest{dialect: a.dialect, client: "c", redirect: redirectURI, code: g.authorize(a)})
		if f != nil {
			t.Fatal(f.sentence)
		}
		return out
	}

	t.Run("codes", func(t *testing.T) {
		for range maxCodes + 100 {
			g.authorize(a)
		}
		if len(g.codes) != maxCodes || len(g.queue) != maxCodes {
			t.Errorf("%d codes, %d queued", len(g.codes), len(g.queue))
		}
		c.Advance(keepUsedCode + codeLifetime + time.Second)
		g.authorize(a)
		if len(g.codes) != 1 {
			t.Errorf("%d codes after they expired", len(g.codes))
		}
	})
	t.Run("tokens of one grant", func(t *testing.T) {
		first := link()
		for range 3 * maxTokensPerGrant {
			if _, _, f := g.renew(refreshRequest{dialect: a.dialect, client: "c", token: first.refresh}); f != nil {
				t.Fatal(f.sentence)
			}
		}
		if len(g.tokens) != maxTokensPerGrant+1 {
			t.Errorf("%d tokens", len(g.tokens))
		}
		c.Advance(time.Hour + keepDead + sweepEvery)
		g.authorize(a)
		if len(g.tokens) != 1 {
			t.Errorf("%d tokens after the access tokens expired", len(g.tokens))
		}
		if _, _, f := g.renew(refreshRequest{dialect: a.dialect, client: "c", token: first.refresh}); f != nil {
			t.Errorf("the refresh token was forgotten: %s", f.sentence)
		}
	})
	t.Run("revoked grants", func(t *testing.T) {
		link()
		g.revokeAccount("kim")
		c.Advance(keepDead + sweepEvery + time.Second)
		g.authorize(a)
		if len(g.tokens) != 0 || len(g.list) != 0 {
			t.Errorf("%d tokens of %d grants", len(g.tokens), len(g.list))
		}
	})
	t.Run("grants", func(t *testing.T) {
		first := link()
		for range maxGrants {
			link()
		}
		if len(g.list) != maxGrants || len(g.tokens) != 2*maxGrants {
			t.Errorf("%d grants, %d tokens", len(g.list), len(g.tokens))
		}
		if _, _, state := g.access(a.dialect, first.access); state != tokenUnknown {
			t.Errorf("the oldest is %q", state)
		}
	})
}

// Of many simultaneous uses of one code or one rotating refresh token, one wins.
func TestSingleUseUnderConcurrency(t *testing.T) {
	g := newRig(t)
	race := func(n int, f func() reply) (won int) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if a := f(); a.status == http.StatusOK {
					mu.Lock()
					won++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		return won
	}
	code := g.code("generic", Rotating, "")
	if won := race(20, func() reply { return g.postForm("/generic/token", exchangeForm(code)) }); won != 1 {
		t.Errorf("a code was exchanged %d times", won)
	}
	token := g.link("generic", Rotating, "").refresh
	if won := race(20, func() reply { return g.refresh("generic", token) }); won != 1 {
		t.Errorf("a refresh token was used %d times", won)
	}
	if err := g.Next(Approve, ""); err != nil {
		t.Fatal(err)
	}
	if won := race(20, func() reply { return g.get(ask("generic")) }); won != 19 {
		t.Errorf("%d of 20 saw the page, one decision was set", won)
	}
}

func TestEverythingAtOnce(t *testing.T) {
	g := newRig(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			typ, account := allTypes[i%len(allTypes)], fmt.Sprint("worker-", i)
			for range 15 {
				back := g.callback(g.postForm(ask(typ), url.Values{"decision": {"approve"}, "scenario": {Rotating}, "account": {account}}))
				got := g.tokens(g.postForm("/"+typ+"/token", exchangeForm(back.Get("code"))))
				g.refresh(typ, got.refresh)
				g.api("/"+typ+"/userinfo", got.access)
				g.discard(typ, got.access)
				g.get("/_sandbox/log")
				g.get("/")
				g.clock.Advance(time.Second)
				g.RevokeAccount(account)
			}
		})
	}
	wg.Wait()
}

func TestSleepEndsWithTheRequest(t *testing.T) {
	done := make(chan struct{})
	close(done)
	start := time.Now()
	sleep(done, time.Minute)
	if time.Since(start) > 10*time.Second {
		t.Error("slept on after the caller had gone")
	}
	sleep(nil, time.Millisecond)
}
