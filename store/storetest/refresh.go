package storetest

import (
	"fmt"
	"testing"
	"time"

	"patchbay/connect"
)

// linkDue is link for a connection with a refresh token that is due at that time.
func linkDue(t testing.TB, st connect.Store, app, connector, user, fingerprint string, due time.Time) connect.Connection {
	t.Helper()
	c := connection(app, connector, user)
	end := ending(begin(t, st, flow(app, connector, user)), c)
	end.Fingerprint, end.DueAt = fingerprint, due
	connected(t, st, end)
	return c
}

func claimOf(c connect.Connection, owner, intent string) connect.Claim {
	return connect.Claim{ID: c.ID, Generation: c.Generation, Owner: owner, Until: now.Add(time.Minute), Intent: intent, Fingerprint: intent, At: now}
}

func state(t testing.TB, st connect.Store, id string) (connect.Connection, connect.RefreshState) {
	t.Helper()
	c, s, err := st.RefreshRow(t.Context(), id)
	check(t, err)
	return c, s
}

var refreshTests = []test{
	{"a claim is one instance's", func(t *testing.T, st connect.Store) {
		acme(t, st)
		c := linkDue(t, st, "acme", "calendar", "dana", "f1", now)
		yes(st.ClaimRefresh(t.Context(), claimOf(c, "one", "f1")))(t)
		no(st.ClaimRefresh(t.Context(), claimOf(c, "two", "f1")))(t)
		got, s := state(t, st, c.ID)
		if got.Generation != c.Generation+1 || s.LeaseOwner != "one" || s.Intent != "f1" || !s.IntentAt.Equal(now) || !s.LeaseUntil.Equal(now.Add(time.Minute)) {
			t.Errorf("generation %d, %+v", got.Generation, s)
		}
		held, err := st.HeldRefreshes(t.Context(), 10)
		check(t, err)
		count(t, "claims", held, 1)
		c.Generation++
		yes(st.ClaimRefresh(t.Context(), claimOf(c, "two", "f1")))(t) // who finds it over goes by the generation
		yes(st.MarkReconnect(t.Context(), c.ID, c.Generation+1, "because", event(connect.EventReconnectRequired, "acme", "dana")))(t)
		_, s = state(t, st, c.ID)
		if s != (connect.RefreshState{}) {
			t.Errorf("a marked connection keeps %+v", s)
		}
		c.Generation++
		no(st.ClaimRefresh(t.Context(), claimOf(c, "two", "f1")))(t)
	}},
	{"a release ends a claim", func(t *testing.T, st connect.Store) {
		acme(t, st)
		c := linkDue(t, st, "acme", "calendar", "dana", "f1", now)
		yes(st.ClaimRefresh(t.Context(), claimOf(c, "one", "f1")))(t)
		after := connect.RefreshState{Intent: "f1", IntentAt: now, RetryAt: now.Add(time.Second), Failures: 3, SuspectAt: now.Add(2 * time.Second), DueAt: now.Add(3 * time.Second)}
		no(st.ReleaseRefresh(t.Context(), c.ID, c.Generation, after))(t)
		yes(st.ReleaseRefresh(t.Context(), c.ID, c.Generation+1, after))(t)
		if _, s := state(t, st, c.ID); s != after {
			t.Errorf("%+v instead of %+v", s, after)
		}
		missing2(st.RefreshRow(t.Context(), "cn_unknown"))(t)
	}},
	{"an answer counts while its parent is stored", func(t *testing.T, st connect.Store) {
		acme(t, st)
		c := linkDue(t, st, "acme", "calendar", "dana", "f1", now)
		yes(st.ClaimRefresh(t.Context(), claimOf(c, "one", "f1")))(t)
		mine := connect.Refreshed{ID: c.ID, Generation: c.Generation + 1, Sealed: random(9), KeyID: "k", ObtainedAt: now.Add(time.Second), Parent: "f1", Fingerprint: "f2", DueAt: now.Add(time.Hour)}
		c.Generation++
		yes(st.ClaimRefresh(t.Context(), claimOf(c, "two", "f1")))(t) // the lease of one was over
		older := mine
		older.Generation, older.Parent = c.Generation-1, "f0"
		no(st.SaveRefreshed(t.Context(), older))(t)
		yes(st.SaveRefreshed(t.Context(), mine))(t) // what one was answered is the newest there is
		no(st.SaveRefreshed(t.Context(), mine))(t)
		theirs := mine
		theirs.Generation, theirs.Fingerprint, theirs.ObtainedAt = c.Generation+1, "f3", now.Add(2*time.Second)
		no(st.SaveRefreshed(t.Context(), theirs))(t)
		got, s := state(t, st, c.ID)
		if got.Generation != c.Generation+2 || s.LeaseOwner != "" || s.Intent != "" || !s.DueAt.Equal(mine.DueAt) {
			t.Errorf("generation %d, %+v", got.Generation, s)
		}
		equal(t, got.Sealed, mine.Sealed)
	}},
	{"a reconnect leaves nothing of a refresh", func(t *testing.T, st connect.Store) {
		acme(t, st)
		c := linkDue(t, st, "acme", "calendar", "dana", "f1", now)
		yes(st.ClaimRefresh(t.Context(), claimOf(c, "one", "f1")))(t)
		fresh := c
		fresh.Generation = c.Generation + 2
		end := ending(begin(t, st, flow("acme", "calendar", "dana")), fresh)
		end.Replaces, end.ReplacesGen, end.Fingerprint, end.DueAt = c.ID, c.Generation+1, "g1", now.Add(time.Hour)
		connected(t, st, end)
		if _, s := state(t, st, c.ID); s != (connect.RefreshState{DueAt: now.Add(time.Hour)}) {
			t.Errorf("%+v is left", s)
		}
		no(st.SaveRefreshed(t.Context(), connect.Refreshed{ID: c.ID, Generation: c.Generation + 1, Sealed: random(9), ObtainedAt: now, Parent: "f1"}))(t)
	}},
	{"what is due", func(t *testing.T, st connect.Store) {
		acme(t, st)
		a := linkDue(t, st, "acme", "calendar", "dana", "f1", now.Add(-time.Minute))
		b := linkDue(t, st, "acme", "calendar", "sam", "f1", now.Add(-time.Hour))
		linkDue(t, st, "acme", "calendar", "eve", "f1", now.Add(time.Second))
		linkDue(t, st, "acme", "calendar", "ann", "f1", time.Time{})
		m := linkDue(t, st, "acme", "mail", "dana", "f1", now)
		due := must(st.DueConnectors(t.Context(), now))(t)
		count(t, "connectors", due, 2)
		if d := due[0]; d.Connector != "calendar" || d.Count != 2 || !d.Oldest.Equal(now.Add(-time.Hour)) {
			t.Errorf("%+v", d)
		}
		rows := must(st.DueRefreshes(t.Context(), "acme", "calendar", now, 10))(t)
		count(t, "connections", rows, 2)
		if rows[0].ID != b.ID || rows[1].ID != a.ID {
			t.Error("not the oldest first")
		}
		yes(st.ClaimRefresh(t.Context(), claimOf(b, "one", "f1")))(t)
		count(t, "connections", must(st.DueRefreshes(t.Context(), "acme", "calendar", now, 10))(t), 1)
		check(t, st.SetDue(t.Context(), m.ID, m.Generation-1, now.Add(time.Hour)))
		count(t, "connections", must(st.DueRefreshes(t.Context(), "acme", "mail", now, 10))(t), 1)
		check(t, st.SetDue(t.Context(), m.ID, m.Generation, now.Add(time.Hour)))
		count(t, "connections", must(st.DueRefreshes(t.Context(), "acme", "mail", now, 10))(t), 0)
	}},
	{"a connector's health", func(t *testing.T, st connect.Store) {
		acme(t, st)
		h := must(st.Health(t.Context(), "acme", "calendar"))(t)
		equal(t, h, connect.Health{App: "acme", Connector: "calendar"})
		h.ClosedUntil, h.Cause, h.WindowAt, h.Fine, h.Dead, h.BrakedAt = now, "throttled", now.Add(1), 3, 4, now.Add(time.Hour)
		h.WindowAt = now
		yes(st.UpdateHealth(t.Context(), h))(t)
		no(st.UpdateHealth(t.Context(), h))(t)
		h.Version = 1
		equal(t, must(st.Health(t.Context(), "acme", "calendar"))(t), h)
		count(t, "connectors", must(st.Healths(t.Context()))(t), 1)
		yes(st.UpdateHealth(t.Context(), h))(t)
		no(st.UpdateHealth(t.Context(), h))(t)
		acme(t, st) // an apply may have mended what was wrong
		count(t, "connectors", must(st.Healths(t.Context()))(t), 0)
	}},
	{"the epoch grows", func(t *testing.T, st connect.Store) {
		for i, atLeast := range []int64{0, 0, 10, 3} {
			if got, want := must(st.BumpEpoch(t.Context(), atLeast))(t), []int64{1, 2, 11, 12}[i]; got != want {
				t.Errorf("epoch %d instead of %d", got, want)
			}
		}
		if got := must(st.Epoch(t.Context()))(t); got != 12 {
			t.Errorf("epoch %d", got)
		}
	}},
	{"a restored copy is suspected row by row", func(t *testing.T, st connect.Store) {
		acme(t, st)
		var all []connect.Connection
		for i := range 6 {
			all = append(all, linkDue(t, st, "acme", "calendar", fmt.Sprint("u", i), "f1", time.Time{}))
		}
		linkDue(t, st, "acme", "mail", "dana", "", time.Time{})
		if n := must(st.SuspectAll(t.Context(), now, time.Hour))(t); n != 6 {
			t.Errorf("%d instead of 6", n)
		}
		dues := map[time.Time]bool{}
		for _, c := range all {
			got, s := state(t, st, c.ID)
			if !s.Restored || s.Intent != "f1" || s.DueAt.Before(now) || s.DueAt.After(now.Add(time.Hour)) || got.Generation != c.Generation+1 {
				t.Errorf("%+v", s)
			}
			dues[s.DueAt] = true
		}
		if len(dues) != 6 {
			t.Error("they come all at once")
		}
	}},
}

func missing2[A, B any](_ A, _ B, err error) func(testing.TB) { return missing(0, err) }
