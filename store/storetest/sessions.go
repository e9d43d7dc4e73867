package storetest

import (
	"testing"
	"time"

	"patchbay/connect"
)

var connectSessionTests = []test{
	{"every field survives, and every way finds it", func(t *testing.T, st connect.Store) {
		acme(t, st)
		want := filled[connect.ConnectSession](0)
		want.App = "acme"
		check(t, st.CreateConnectSession(t.Context(), want))
		equal(t, must(st.ConnectSession(t.Context(), "acme", want.ID))(t), want)
		equal(t, must(st.ConnectSessionByURL(t.Context(), want.URLHash))(t), want)
		equal(t, must(st.ConnectSessionByToken(t.Context(), "acme", want.TokenHash))(t), want)
	}},
	{"what does not match finds nothing", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar"}, "other": {"calendar"}})
		cs := connectSession("acme", "dana")
		check(t, st.CreateConnectSession(t.Context(), cs))
		missing(st.ConnectSession(t.Context(), "other", cs.ID))(t)
		missing(st.ConnectSession(t.Context(), "acme", cs.ID[:len(cs.ID)-1]))(t)
		missing(st.ConnectSession(t.Context(), "acme", ""))(t)
		missing(st.ConnectSessionByToken(t.Context(), "other", cs.TokenHash))(t)
		missing(st.ConnectSessionByToken(t.Context(), "acme", cs.URLHash))(t)
		missing(st.ConnectSessionByToken(t.Context(), "acme", cs.TokenHash[:31]))(t)
		missing(st.ConnectSessionByURL(t.Context(), cs.TokenHash))(t)
		missing(st.ConnectSessionByURL(t.Context(), nil))(t)
	}},
	{"links have no token, and none finds them", func(t *testing.T, st connect.Store) {
		acme(t, st)
		for range 2 {
			cs := connectSession("acme", "dana")
			cs.Mode, cs.TokenHash = connect.ModeLink, nil
			check(t, st.CreateConnectSession(t.Context(), cs))
			equal(t, must(st.ConnectSession(t.Context(), "acme", cs.ID))(t), cs)
		}
		missing(st.ConnectSessionByToken(t.Context(), "acme", nil))(t)
		missing(st.ConnectSessionByToken(t.Context(), "acme", []byte{}))(t)
	}},
	{"all connectors and none differ", func(t *testing.T, st connect.Store) {
		acme(t, st)
		for _, connectors := range [][]string{nil, {}, {"calendar"}} {
			cs := connectSession("acme", "dana")
			cs.Connectors = connectors
			check(t, st.CreateConnectSession(t.Context(), cs))
			equal(t, must(st.ConnectSession(t.Context(), "acme", cs.ID))(t), cs)
		}
	}},
	{"a secret belongs to one", func(t *testing.T, st connect.Store) {
		acme(t, st)
		cs, same := connectSession("acme", "dana"), connectSession("acme", "sam")
		check(t, st.CreateConnectSession(t.Context(), cs))
		same.URLHash = cs.URLHash
		fault(t, st.CreateConnectSession(t.Context(), same))
		same.URLHash, same.TokenHash = random(32), cs.TokenHash
		fault(t, st.CreateConnectSession(t.Context(), same))
		equal(t, must(st.ConnectSessionByURL(t.Context(), cs.URLHash))(t), cs)
	}},
	{"ending one ends its links and its browsers", func(t *testing.T, st connect.Store) {
		acme(t, st)
		cs, b := signIn(t, st, "acme", "dana")
		other, otherBrowser := signIn(t, st, "acme", "dana")
		child, stranger := connectSession("acme", "dana"), connectSession("acme", "dana")
		child.Mode, child.Parent, child.TokenHash = connect.ModeLink, cs.ID, nil
		stranger.Mode, stranger.TokenHash = connect.ModeLink, nil
		check(t, st.CreateConnectSession(t.Context(), child))
		check(t, st.CreateConnectSession(t.Context(), stranger))
		childBrowser := browserSession(&child)
		yes(st.OpenBrowserSession(t.Context(), nil, childBrowser, now))(t)

		later := now.Add(time.Second)
		yes(st.EndConnectSession(t.Context(), "acme", cs.ID, later))(t)
		cs.UsedAt, cs.EndedAt, child.UsedAt, child.EndedAt, other.UsedAt = now, later, now, later, now
		for range 2 {
			equal(t, must(st.ConnectSession(t.Context(), "acme", cs.ID))(t), cs)
			equal(t, must(st.ConnectSession(t.Context(), "acme", child.ID))(t), child)
			equal(t, must(st.ConnectSession(t.Context(), "acme", stranger.ID))(t), stranger)
			equal(t, must(st.ConnectSession(t.Context(), "acme", other.ID))(t), other)
			count(t, "browser sessions", must(st.BrowserSessions(t.Context(), b.Hash, now))(t), 0)
			count(t, "browser sessions of a link", must(st.BrowserSessions(t.Context(), childBrowser.Hash, now))(t), 0)
			count(t, "other browser sessions", must(st.BrowserSessions(t.Context(), otherBrowser.Hash, now))(t), 1)
			// Once more is found, and changes nothing.
			yes(st.EndConnectSession(t.Context(), "acme", cs.ID, later.Add(time.Second)))(t)
		}
	}},
	{"ending what is not there", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar"}, "other": {"calendar"}})
		cs, b := signIn(t, st, "acme", "dana")
		no(st.EndConnectSession(t.Context(), "other", cs.ID, now))(t)
		no(st.EndConnectSession(t.Context(), "acme", "cs_unknown", now))(t)
		no(st.EndConnectSession(t.Context(), "acme", "", now))(t)
		if got := must(st.ConnectSession(t.Context(), "acme", cs.ID))(t); !got.EndedAt.IsZero() {
			t.Error("the session has ended")
		}
		count(t, "browser sessions", must(st.BrowserSessions(t.Context(), b.Hash, now))(t), 1)
	}},
}

var browserSessionTests = []test{
	{"every field survives", func(t *testing.T, st connect.Store) {
		acme(t, st)
		cs := connectSession("acme", "dana")
		check(t, st.CreateConnectSession(t.Context(), cs))
		want := filled[connect.BrowserSession](0)
		want.App, want.Session, want.Login = "acme", cs.ID, false
		yes(st.OpenBrowserSession(t.Context(), nil, want, now))(t)
		got := must(st.BrowserSessions(t.Context(), want.Hash, now))(t)
		count(t, "browser sessions", got, 1)
		equal(t, got[0], want)
		if used := must(st.ConnectSession(t.Context(), "acme", cs.ID))(t).UsedAt; !used.Equal(now) {
			t.Errorf("the ticket was used at %v instead of %v", used, now)
		}
	}},
	{"a sign-in needs no ticket, and its use is noted", func(t *testing.T, st connect.Store) {
		acme(t, st)
		want := filled[connect.BrowserSession](0)
		want.App, want.Session, want.Login = "acme", "", true
		yes(st.OpenBrowserSession(t.Context(), nil, want, now))(t)
		equal(t, must(st.BrowserSessions(t.Context(), want.Hash, now))(t)[0], want)
		want.SeenAt = want.SeenAt.Add(time.Minute)
		check(t, st.TouchBrowserSession(t.Context(), want.Hash, "acme", want.SeenAt))
		check(t, st.TouchBrowserSession(t.Context(), want.Hash, "acme", want.SeenAt.Add(-time.Hour)))
		check(t, st.TouchBrowserSession(t.Context(), want.Hash, "other", want.SeenAt.Add(time.Hour)))
		equal(t, must(st.BrowserSessions(t.Context(), want.Hash, now))(t)[0], want)
	}},
	{"a ticket that is used, ended or over opens nothing", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar"}, "other": {"calendar"}})
		_, old := signIn(t, st, "other", "dana")
		used, _ := signIn(t, st, "acme", "dana")
		ended, over, elsewhere := connectSession("acme", "dana"), connectSession("acme", "dana"), connectSession("acme", "dana")
		over.ExpiresAt = now
		for _, cs := range []connect.ConnectSession{ended, over, elsewhere} {
			check(t, st.CreateConnectSession(t.Context(), cs))
		}
		yes(st.EndConnectSession(t.Context(), "acme", ended.ID, now))(t)
		elsewhere.App = "other"
		unknown := connectSession("acme", "dana")
		for _, cs := range []connect.ConnectSession{used, ended, over, elsewhere, unknown} {
			b := browserSession(&cs)
			no(st.OpenBrowserSession(t.Context(), old.Hash, b, now))(t)
			count(t, "new identities", must(st.BrowserSessions(t.Context(), b.Hash, now))(t), 0)
			got := must(st.BrowserSessions(t.Context(), old.Hash, now))(t)
			count(t, "old identities", got, 1)
			equal(t, got[0], old)
		}
	}},
	{"the other apps move to the new secret", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar"}, "other": {"calendar"}, "third": {"calendar"}})
		old := random(32)
		identity := map[string]connect.BrowserSession{}
		open := func(oldHash, newHash []byte, app, user string) {
			t.Helper()
			cs := connectSession(app, user)
			check(t, st.CreateConnectSession(t.Context(), cs))
			b := browserSession(&cs)
			b.Hash = newHash
			yes(st.OpenBrowserSession(t.Context(), oldHash, b, now))(t)
			identity[app] = b
		}
		expect := func(hash []byte, apps ...string) {
			t.Helper()
			got := must(st.BrowserSessions(t.Context(), hash, now))(t)
			count(t, "identities", got, len(apps))
			for i, app := range apps {
				want := identity[app]
				want.Hash = hash
				equal(t, got[i], want)
			}
		}
		_, stranger := signIn(t, st, "acme", "sam")
		open(nil, old, "acme", "dana")
		open(old, old, "other", "dana") // a caller that keeps the secret loses nothing
		open(nil, old, "third", "dana")
		expect(old, "acme", "other", "third")
		fresh := random(32)
		open(old, fresh, "acme", "sam")
		expect(fresh, "acme", "other", "third")
		expect(old)
		// Where the new secret has identities already, the ones that move win.
		again := random(32)
		open(nil, again, "other", "eve")
		open(nil, again, "acme", "eve")
		identity["other"] = identityOf(t, st, fresh, "other")
		open(fresh, again, "acme", "dana")
		expect(again, "acme", "other", "third")
		expect(fresh)
		got := must(st.BrowserSessions(t.Context(), stranger.Hash, now))(t)
		count(t, "identities of another browser", got, 1)
		equal(t, got[0], stranger)
	}},
	{"only live ones are listed", func(t *testing.T, st connect.Store) {
		acme(t, st)
		_, b := signIn(t, st, "acme", "dana")
		count(t, "a moment before the end", must(st.BrowserSessions(t.Context(), b.Hash, b.ExpiresAt.Add(-time.Millisecond)))(t), 1)
		count(t, "at the end", must(st.BrowserSessions(t.Context(), b.Hash, b.ExpiresAt))(t), 0)
		count(t, "of nobody", must(st.BrowserSessions(t.Context(), nil, now))(t), 0)
		count(t, "of a prefix", must(st.BrowserSessions(t.Context(), b.Hash[:16], now))(t), 0)
	}},
	{"ending one app or all", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar"}, "other": {"calendar"}})
		_, b := signIn(t, st, "acme", "dana")
		cs := connectSession("other", "dana")
		check(t, st.CreateConnectSession(t.Context(), cs))
		second := browserSession(&cs)
		second.Hash = b.Hash
		yes(st.OpenBrowserSession(t.Context(), nil, second, now))(t)
		_, stranger := signIn(t, st, "acme", "sam")

		check(t, st.EndBrowserSession(t.Context(), b.Hash, "acme"))
		got := must(st.BrowserSessions(t.Context(), b.Hash, now))(t)
		count(t, "identities", got, 1)
		equal(t, got[0], second)
		for range 2 {
			check(t, st.EndBrowserSession(t.Context(), b.Hash, ""))
			count(t, "identities", must(st.BrowserSessions(t.Context(), b.Hash, now))(t), 0)
		}
		count(t, "identities of another browser", must(st.BrowserSessions(t.Context(), stranger.Hash, now))(t), 1)
	}},
}

func identityOf(t *testing.T, st connect.Store, hash []byte, app string) connect.BrowserSession {
	t.Helper()
	for _, b := range must(st.BrowserSessions(t.Context(), hash, now))(t) {
		if b.App == app {
			return b
		}
	}
	t.Fatalf("no identity of %s", app)
	return connect.BrowserSession{}
}
