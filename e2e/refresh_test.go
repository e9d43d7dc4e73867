//go:build linux

package e2e

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"patchbay/store/pgcluster"
)

// A thousand readers of one expired token, over three instances: one refresh.
func TestOneRefreshForAThousandReaders(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, pgcluster.Database(t))
	const latency = 300 * time.Millisecond
	f.rotator.set(func(r *rotator) { r.latency = latency })
	token := userToken(t, "warm")
	f.seed(t, time.Now().Add(time.Hour), time.Time{}, "warm")
	for _, v := range f.servers { // connections, statements and user tokens are known
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { f.read(t.Context(), v, token) })
		}
		all.Wait()
	}
	f.seed(t, time.Now().Add(-time.Minute), time.Time{}, "dana")
	token = userToken(t, "dana")
	reads := make([]read, 999)
	var all sync.WaitGroup
	for i := range reads {
		all.Go(func() { reads[i] = f.read(t.Context(), f.servers[i%3], token) })
	}
	all.Wait()
	access := reads[0].access
	slowest := time.Duration(0)
	for _, r := range reads {
		if r.status != http.StatusOK || r.access != access {
			t.Fatalf("a read failed: %+v", r)
		}
		slowest = max(slowest, r.took)
	}
	f.rotator.set(func(r *rotator) {
		if r.calls != 1 {
			t.Errorf("%d refreshes", r.calls)
		}
	})
	t.Logf("slowest of %d: %v with a provider that takes %v", len(reads), slowest, latency)
}

// kill -9 at random points. A provider that takes a used refresh token for 30 s loses no
// connection; a strict one loses those whose answer died with the process, and each is
// flagged.
func TestKillsDuringRefresh(t *testing.T) {
	for name, grace := range map[string]time.Duration{"grace": 30 * time.Second, "strict": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 1, "")
			f.rotator.set(func(r *rotator) { r.grace, r.life, r.latency = grace, time.Second, 20*time.Millisecond })
			users := names("u", 40)
			f.seed(t, time.Now().Add(-time.Minute), time.Time{}, users...)
			tokens := map[string]string{}
			for _, u := range users {
				tokens[u] = userToken(t, u)
			}
			v := f.servers[0]
			kills := *killTimes
			if kills == 0 {
				kills = size(12, 1000)
			}
			for range kills {
				ctx, stop := context.WithCancel(t.Context())
				var all sync.WaitGroup
				for range 8 {
					all.Go(func() {
						for ctx.Err() == nil {
							f.read(ctx, v, tokens[users[rand.IntN(len(users))]])
						}
					})
				}
				time.Sleep(300*time.Millisecond + rand.N(900*time.Millisecond))
				v.kill()
				stop()
				all.Wait()
				v = serveWith(t, f.settings, sandbox{}, f.database)
				v.origin = "http://" + f.address
			}
			begun := time.Now()
			flagged := 0
			f.rotator.set(func(r *rotator) { r.life = time.Hour })
			for _, u := range users {
				awaitFor(t, time.Minute, u+" is fresh or flagged", func() bool {
					r := f.read(t.Context(), v, tokens[u])
					switch {
					case r.code == "reconnect_required":
						flagged++
						return true
					case r.status == http.StatusOK:
						if !f.rotator.works(r.access) {
							t.Errorf("%s: a token that the provider does not know", u)
						}
						return true
					}
					return false
				})
			}
			if grace > 0 && flagged > 0 {
				t.Errorf("%d connections were lost", flagged)
			}
			t.Logf("%d kills, %d refreshes, %d of %d connections flagged, verdict after %v", kills, f.rotator.calls, flagged, len(users), time.Since(begun).Round(time.Second))
		})
	}
}

// A client secret that is refused marks nothing, is asked about seldom, and when it is
// mended all is well again by itself.
func TestWrongSecretMarksNobody(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, "")
	f.rotator.set(func(r *rotator) {
		r.refuse = func() (int, string) { return http.StatusUnauthorized, `{"error":"invalid_client"}` }
	})
	users := names("u", size(60, 500))
	f.seed(t, time.Now().Add(-time.Minute), time.Now(), users...)
	for range 3 {
		for _, u := range users {
			if r := f.read(t.Context(), f.servers[0], userToken(t, u)); r.code != "connector_misconfigured" && r.code != "provider_unavailable" {
				t.Fatalf("%+v", r)
			}
		}
	}
	f.rotator.set(func(r *rotator) {
		if r.calls > 60 { // in flight when the breaker opened, and a probe now and then
			t.Errorf("%d calls of a provider that refuses the client", r.calls)
		}
		r.refuse = nil
	})
	for _, u := range users {
		awaitFor(t, 2*time.Minute, u+" recovers", func() bool { return f.read(t.Context(), f.servers[0], userToken(t, u)).status == http.StatusOK })
	}
}

// A provider that calls every grant dead at once is not believed.
func TestBrake(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, pgcluster.Database(t))
	f.rotator.set(func(r *rotator) {
		r.refuse = func() (int, string) { return http.StatusBadRequest, `{"error":"invalid_grant"}` }
	})
	users := names("u", size(120, 2000))
	f.seed(t, time.Now().Add(-time.Minute), time.Time{}, users...)
	var marked atomic.Int64
	var all sync.WaitGroup
	for half := range slices.Chunk(users, len(users)/8) {
		all.Go(func() {
			for i, u := range half {
				switch r := f.read(t.Context(), f.servers[i%2], userToken(t, u)); r.code {
				case "reconnect_required":
					marked.Add(1)
				case "provider_unavailable":
				default:
					t.Errorf("%s: %+v", u, r)
				}
			}
		})
	}
	all.Wait()
	if n := marked.Load(); n == 0 || n > 20 {
		t.Errorf("%d connections were marked", n)
	}
	if !strings.Contains(f.servers[0].stderr.String()+f.servers[1].stderr.String(), "connector.braked") {
		t.Error("nobody was told")
	}
}

// Many tokens that end in the same second: all are fresh before, and the provider never
// sees more at once than the cap.
func TestHerdKeepsTheCap(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, "")
	f.rotator.set(func(r *rotator) { r.latency = 50 * time.Millisecond })
	n := size(600, 10_000)
	users := names("u", n)
	begun := time.Now().Add(time.Duration(size(10, 120)) * time.Second) // when all are there
	f.seed(t, time.Now().Add(time.Hour), begun, users...)
	awaitFor(t, 5*time.Minute, "all are fresh", func() bool {
		fresh := 0
		f.rotator.set(func(r *rotator) { fresh = r.issued - n })
		return fresh >= n
	})
	f.rotator.set(func(r *rotator) {
		if r.peak > 50 || r.calls != n {
			t.Errorf("%d at once, %d calls for %d tokens", r.peak, r.calls, n)
		}
		t.Logf("%d tokens in %v, at most %d at once", n, time.Since(begun).Round(100*time.Millisecond), r.peak)
	})
}

// A disconnect while a refresh is under way: no row comes back, and no grant stays behind
// at the provider.
func TestDisconnectsRaceRefreshes(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, pgcluster.Database(t))
	f.rotator.set(func(r *rotator) { r.latency = 10 * time.Millisecond })
	users := names("u", size(120, 10_000))
	f.seed(t, time.Now().Add(-time.Minute), time.Time{}, users...)
	for group := range slices.Chunk(users, 20) {
		var all sync.WaitGroup
		for _, u := range group {
			token := userToken(t, u)
			all.Go(func() { f.read(t.Context(), f.servers[0], token) })
			all.Go(func() {
				time.Sleep(rand.N(25 * time.Millisecond))
				f.servers[1].call(t, http.MethodDelete, "users/"+u, "", "")
			})
		}
		all.Wait()
		for _, u := range group {
			if r := f.read(t.Context(), f.servers[0], userToken(t, u)); r.code != "not_connected" {
				t.Errorf("%s: %+v", u, r)
			}
		}
	}
	await(t, "no grant stays behind", func() bool { return f.rotator.alive() == 0 })
}

// The database is away in the worst moment: the provider has answered and the answer
// cannot be stored. It is stored when the database is back, by the process that got it, or
// by the next one with the same state directory.
func TestDatabaseAwayAfterTheAnswer(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(map[bool]string{false: "it comes back", true: "the process ends first"}[killed], func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 1, "")
			v := f.servers[0]
			f.seed(t, time.Now().Add(-time.Minute), time.Time{}, "dana")
			locked, release := make(chan struct{}), lockDatabase(t, f)
			f.rotator.set(func(r *rotator) {
				r.before = func(string) {
					release.lock()
					close(locked)
				}
			})
			first := make(chan read, 1)
			go func() { first <- f.read(t.Context(), v, userToken(t, "dana")) }()
			<-locked
			f.rotator.set(func(r *rotator) { r.before = nil })
			await(t, "the answer is spooled", func() bool { return strings.Contains(v.stderr.String(), "token.refresh_spooled") })
			if killed {
				v.kill()
				release.unlock()
				<-first
				dir := ""
				for _, e := range v.cmd.Env {
					if d, ok := strings.CutPrefix(e, "PATCHBAY_STATE_DIR="); ok {
						dir = d
					}
				}
				v = serveWith(t, f.settings, sandbox{}, f.database, "PATCHBAY_STATE_DIR="+dir)
				v.origin = "http://" + f.address
			} else {
				release.unlock()
				if r := <-first; r.status != http.StatusOK || !f.rotator.works(r.access) {
					t.Errorf("the first reader got %+v", r)
				}
			}
			if r := f.read(t.Context(), v, userToken(t, "dana")); r.status != http.StatusOK || !f.rotator.works(r.access) {
				t.Errorf("afterwards: %+v", r)
			}
			f.rotator.set(func(r *rotator) {
				if r.calls != 1 {
					t.Errorf("%d refreshes", r.calls)
				}
			})
		})
	}
}

// On a full disk nothing is sent that could not be stored, and what lives is served.
func TestFullDiskSendsNoRefresh(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, "")
	v := f.servers[0]
	f.seed(t, time.Now().Add(-time.Minute), time.Time{}, "dead")
	f.seed(t, time.Now().Add(time.Hour), time.Time{}, "alive")
	v.settings = f.settings
	v.fillDisk(t)
	await(t, "the disk is full", func() bool {
		return v.call(t, http.MethodPost, "connect-sessions", "", `{"mode":"redirect","user":{"id":"x"}}`).status == http.StatusServiceUnavailable
	})
	if r := f.read(t.Context(), v, userToken(t, "dead")); r.status != http.StatusServiceUnavailable {
		t.Errorf("%+v", r)
	}
	if r := f.read(t.Context(), v, userToken(t, "alive")); r.status != http.StatusOK {
		t.Errorf("%+v", r)
	}
	f.rotator.set(func(r *rotator) {
		if r.calls != 0 {
			t.Errorf("%d refreshes whose answer could not be stored", r.calls)
		}
	})
	v.emptyDisk(t)
	await(t, "there is room again", func() bool { return f.read(t.Context(), v, userToken(t, "dead")).status == http.StatusOK })
}

// SIGTERM lets a refresh finish, and what it brought is stored.
func TestStopDuringARefresh(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, "")
	v := f.servers[0]
	f.seed(t, time.Now().Add(-time.Minute), time.Time{}, "dana")
	arrived := make(chan struct{})
	f.rotator.set(func(r *rotator) {
		r.before = func(string) { close(arrived); time.Sleep(2 * time.Second) }
	})
	answered := make(chan read, 1)
	go func() { answered <- f.read(t.Context(), v, userToken(t, "dana")) }()
	<-arrived
	f.rotator.set(func(r *rotator) { r.before = nil })
	v.stop(t)
	if r := <-answered; r.status != http.StatusOK {
		t.Errorf("%+v", r)
	}
	again := serveWith(t, f.settings, sandbox{}, f.database)
	again.origin = "http://" + f.address
	if r := f.read(t.Context(), again, userToken(t, "dana")); r.status != http.StatusOK {
		t.Errorf("%+v", r)
	}
	f.rotator.set(func(r *rotator) {
		if r.calls != 1 {
			t.Errorf("%d refreshes", r.calls)
		}
	})
}

// A process that stands still and comes back writes nothing over what others did.
func TestFrozenInstance(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, pgcluster.Database(t))
	f.rotator.set(func(r *rotator) { r.grace = time.Minute })
	f.seed(t, time.Now().Add(-time.Minute), time.Time{}, "dana")
	frozen, well := f.servers[0], f.servers[1]
	arrived := make(chan struct{})
	var once sync.Once
	f.rotator.set(func(r *rotator) {
		r.before = func(string) {
			once.Do(func() {
				if err := unix.Kill(frozen.cmd.Process.Pid, unix.SIGSTOP); err != nil {
					t.Error(err)
				}
				close(arrived)
			})
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go f.read(ctx, frozen, userToken(t, "dana"))
	<-arrived
	var fresh read
	awaitFor(t, time.Minute, "the other instance takes over", func() bool {
		fresh = f.read(t.Context(), well, userToken(t, "dana"))
		return fresh.status == http.StatusOK
	})
	if err := unix.Kill(frozen.cmd.Process.Pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	for _, v := range f.servers {
		if r := f.read(t.Context(), v, userToken(t, "dana")); r.access != fresh.access {
			t.Errorf("%+v instead of %+v", r, fresh)
		}
	}
}

// Three instances are restarted one after the other under load, and nobody notices who
// tries again when a connection is refused.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, pgcluster.Database(t))
	f.rotator.set(func(r *rotator) { r.life, r.latency = 2*time.Second, 30*time.Millisecond })
	users := names("u", 30)
	f.seed(t, time.Now().Add(-time.Minute), time.Time{}, users...)
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.RWMutex
	var reads, failed atomic.Int64
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				token := userToken(t, users[rand.IntN(len(users))])
				r := read{err: context.Canceled}
				for try := 0; r.err != nil && try < 200 && ctx.Err() == nil; try++ {
					mu.RLock()
					v := f.servers[(n+try)%3]
					mu.RUnlock()
					if r = f.read(ctx, v, token); r.err != nil {
						time.Sleep(10 * time.Millisecond)
					}
				}
				if ctx.Err() != nil {
					return
				}
				reads.Add(1)
				if r.status != http.StatusOK {
					failed.Add(1)
					t.Errorf("a read failed: %+v", r)
				}
			}
		})
	}
	for round := range size(1, 5) {
		for i := range f.servers {
			old := f.servers[i]
			old.stop(t)
			v := serveWith(t, old.settings, sandbox{}, f.database, "PATCHBAY_STATE_DIR="+t.TempDir())
			v.origin = "http://" + old.settings.address
			mu.Lock()
			f.servers[i] = v
			mu.Unlock()
			time.Sleep(500 * time.Millisecond)
		}
		_ = round
	}
	stop()
	all.Wait()
	t.Logf("%d reads, %d failed, %d refreshes", reads.Load(), failed.Load(), f.rotator.calls)
}
