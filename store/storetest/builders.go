package storetest

import (
	"testing"
	"time"

	"patchbay/connect"
)

func builderSession(app string) connect.BuilderSession {
	return connect.BuilderSession{Hash: random(32), App: app, KeyName: "ci", KeyHash: random(32), CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
}

var builderTests = []test{
	{"every field survives, until its time", func(t *testing.T, st connect.Store) {
		acme(t, st)
		want := filled[connect.BuilderSession](0)
		want.App = "acme"
		check(t, st.OpenBuilderSession(t.Context(), nil, want))
		equal(t, must(st.BuilderSessions(t.Context(), want.Hash, want.ExpiresAt.Add(-time.Second)))(t), []connect.BuilderSession{want})
		count(t, "sessions after their time", must(st.BuilderSessions(t.Context(), want.Hash, want.ExpiresAt))(t), 0)
		count(t, "sessions of another browser", must(st.BuilderSessions(t.Context(), random(32), now))(t), 0)
	}},
	{"a new secret takes along what the browser holds, and the old one is worth nothing", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar"}, "other": {"calendar"}})
		old, other := builderSession("acme"), builderSession("other")
		other.Hash = old.Hash
		check(t, st.OpenBuilderSession(t.Context(), nil, old))
		check(t, st.OpenBuilderSession(t.Context(), old.Hash, other))
		user := connect.BrowserSession{Hash: old.Hash, App: "acme", User: connect.EndUser{ID: "dana"}, CreatedAt: now, ExpiresAt: now.Add(time.Hour), Login: true, SeenAt: now}
		yes(st.OpenBrowserSession(t.Context(), old.Hash, user, now))(t)
		again := builderSession("acme")
		check(t, st.OpenBuilderSession(t.Context(), old.Hash, again))
		other.Hash = again.Hash
		equal(t, must(st.BuilderSessions(t.Context(), again.Hash, now))(t), []connect.BuilderSession{again, other})
		count(t, "sessions under the old secret", must(st.BuilderSessions(t.Context(), old.Hash, now))(t), 0)
		count(t, "end users under the new one", must(st.BrowserSessions(t.Context(), again.Hash, now))(t), 1)
		user.Hash = random(32)
		yes(st.OpenBrowserSession(t.Context(), again.Hash, user, now))(t)
		count(t, "builders that moved with an end user", must(st.BuilderSessions(t.Context(), user.Hash, now))(t), 2)
	}},
	{"it ends by itself, with the browser, or with its time", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar"}, "other": {"calendar"}})
		a, b := builderSession("acme"), builderSession("other")
		b.Hash = a.Hash
		check(t, st.OpenBuilderSession(t.Context(), nil, a))
		check(t, st.OpenBuilderSession(t.Context(), nil, b))
		check(t, st.EndBuilderSession(t.Context(), a.Hash, "acme"))
		equal(t, must(st.BuilderSessions(t.Context(), a.Hash, now))(t), []connect.BuilderSession{b})
		check(t, st.EndBrowserSession(t.Context(), a.Hash, "acme"))
		count(t, "builders left by the sign-out of an end user", must(st.BuilderSessions(t.Context(), a.Hash, now))(t), 1)
		check(t, st.EndBrowserSession(t.Context(), a.Hash, ""))
		count(t, "builders left by the sign-out of everybody", must(st.BuilderSessions(t.Context(), a.Hash, now))(t), 0)
		check(t, st.OpenBuilderSession(t.Context(), nil, a))
		check(t, st.Sweep(t.Context(), now.Add(time.Hour), now))
		count(t, "builders left by a sweep", must(st.BuilderSessions(t.Context(), a.Hash, now))(t), 0)
	}},
	{"failed flows, the last first, of one app", func(t *testing.T, st connect.Store) {
		apply(t, st, map[string][]string{"acme": {"calendar"}, "other": {"calendar"}})
		var want []string
		for i, app := range []string{"acme", "acme", "other", "acme"} {
			f := begin(t, st, flow(app, "calendar", "dana"))
			f.Status, f.Code, f.MovedAt = connect.StatusFailed, connect.CodeProviderError, now.Add(time.Duration(i)*time.Second)
			if i == 3 {
				f.Status, f.Code = connect.StatusDenied, connect.CodeAccessDenied
			}
			f.FinishedAt = f.MovedAt
			yes(st.UpdateFlow(t.Context(), f))(t)
			if app == "acme" && f.Status == connect.StatusFailed {
				want = append([]string{f.ID}, want...)
			}
		}
		var got []string
		for _, f := range must(st.FailedFlows(t.Context(), "acme", 10))(t) {
			got = append(got, f.ID)
		}
		equal(t, got, want)
		count(t, "flows of a limit", must(st.FailedFlows(t.Context(), "acme", 1))(t), 1)
	}},
}
