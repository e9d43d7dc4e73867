package storetest

import (
	"testing"
	"time"

	"patchbay/connect"
)

// sharedLink is a request with the session of its link.
func sharedLink(connector string) (connect.SharedRequest, connect.ConnectSession) {
	cs := connectSession("acme", "")
	cs.Mode, cs.Connectors, cs.Scopes, cs.TokenHash = connect.ModeLink, []string{connector}, []string{"read"}, nil
	return connect.SharedRequest{ID: id("sr_"), App: "acme", Connector: connector, Session: cs.ID, Scopes: cs.Scopes, CreatedAt: now}, cs
}

var sharedTests = []test{
	{"a request and its link are kept", func(t *testing.T, st connect.Store) {
		acme(t, st)
		r, cs := sharedLink("calendar")
		yes(st.RequestShared(t.Context(), r, cs, "", now))(t)
		equal(t, must(st.SharedRequests(t.Context(), "acme"))(t), []connect.SharedRequest{r})
		equal(t, must(st.ConnectSession(t.Context(), "acme", cs.ID))(t), cs)
		count(t, "requests of another app", must(st.SharedRequests(t.Context(), "other"))(t), 0)
	}},
	{"the next one ends the link before", func(t *testing.T, st connect.Store) {
		acme(t, st)
		first, cs := sharedLink("calendar")
		yes(st.RequestShared(t.Context(), first, cs, "", now))(t)
		second, next := sharedLink("calendar")
		second.CreatedAt = now.Add(time.Second)
		no(st.RequestShared(t.Context(), second, next, "", now))(t)
		no(st.RequestShared(t.Context(), second, next, "sr_other", now))(t)
		missing(st.ConnectSession(t.Context(), "acme", next.ID))(t)
		yes(st.RequestShared(t.Context(), second, next, first.ID, now))(t)
		equal(t, must(st.SharedRequests(t.Context(), "acme"))(t), []connect.SharedRequest{second, first})
		if ended := must(st.ConnectSession(t.Context(), "acme", cs.ID))(t); ended.Live(now) {
			t.Error("the link before is alive")
		}
		third, last := sharedLink("calendar")
		third.CreatedAt = now.Add(time.Hour)
		yes(st.RequestShared(t.Context(), third, last, second.ID, now.Add(time.Minute)))(t)
		equal(t, must(st.SharedRequests(t.Context(), "acme"))(t), []connect.SharedRequest{third})
	}},
	{"for no connector there is none", func(t *testing.T, st connect.Store) {
		acme(t, st)
		r, cs := sharedLink("nosuch")
		no(st.RequestShared(t.Context(), r, cs, "", now))(t)
	}},
	{"a flow of the link that connects marks it", func(t *testing.T, st connect.Store) {
		acme(t, st)
		r, cs := sharedLink("calendar")
		yes(st.RequestShared(t.Context(), r, cs, "", now))(t)
		other, beside := sharedLink("mail")
		yes(st.RequestShared(t.Context(), other, beside, "", now))(t)
		f := flow("acme", "calendar", "")
		f.Mode, f.Session = connect.ModeLink, cs.ID
		connected(t, st, ending(begin(t, st, f), connection("acme", "calendar", "")))
		for _, got := range must(st.SharedRequests(t.Context(), "acme"))(t) {
			if got.Connected != (got.ID == r.ID) {
				t.Errorf("%+v", got)
			}
		}
	}},
	{"forgotten, the links are dead", func(t *testing.T, st connect.Store) {
		acme(t, st)
		r, cs := sharedLink("calendar")
		yes(st.RequestShared(t.Context(), r, cs, "", now))(t)
		other, beside := sharedLink("mail")
		yes(st.RequestShared(t.Context(), other, beside, "", now))(t)
		check(t, st.ForgetShared(t.Context(), "acme", "calendar", now))
		equal(t, must(st.SharedRequests(t.Context(), "acme"))(t), []connect.SharedRequest{other})
		if ended := must(st.ConnectSession(t.Context(), "acme", cs.ID))(t); ended.Live(now) {
			t.Error("the link is alive")
		}
		if kept := must(st.ConnectSession(t.Context(), "acme", beside.ID))(t); !kept.Live(now) {
			t.Error("the link of another connector is dead")
		}
	}},
}
