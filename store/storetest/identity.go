package storetest

import (
	"bytes"
	"errors"
	"testing"

	"patchbay/connect"
)

// lookalikes are different users, however alike some layer may find them: by case, by
// Unicode normalisation or folding, by spaces, as prefixes, as patterns, as the keys
// of other owners, as SQL.
var lookalikes = []string{
	"dana", "Dana", "DANA", "dan", "danaa", "dana ", " dana", "dana\u00a0", "dana\u200b", "dаna" /* Cyrillic а */, "\ufeffdana",
	"d\u00e4na", "da\u0308na", "\ufb01", "fi", "\u00df", "ss", "\u0130", "i", "\u0131", "I", "\u212a", "k", "K",
	"%", "_", "dana%", "d_na", "*", "app", "u:dana", "u:", "u:app", ":", "acme/dana", "null", "NULL", "0", "00", "0x0", "1e0", "1",
	"'", "''", `"`, `\`, `\'`, "`", ";", "--", "/*", "'; DROP TABLE flows; --", "$1", "?", "?1", ":1", "@p1", "{}", "[]", `{"a":1}`,
	"\U0001f4a5", "\u202edana", "\u0000dana"[1:] + "\u2028", string(make255()), string(make255()[:254]),
}

func make255() []byte { return bytes.Repeat([]byte("é1234"), 43)[:255] }

var identityTests = []test{
	{"user ids compare byte for byte", func(t *testing.T, st connect.Store) {
		acme(t, st)
		ids := map[string]bool{}
		for _, user := range lookalikes {
			if !connect.ValidUserID(user) {
				t.Fatalf("%q is not a user id", user)
			}
			ids[user] = true
		}
		type traces struct {
			c connect.Connection
			f connect.Flow
		}
		left := map[string]traces{}
		for user := range ids {
			left[user] = traces{c: link(t, st, "acme", "calendar", user), f: begin(t, st, flow("acme", "mail", user))}
		}
		if n := must(st.CountConnections(t.Context(), "acme", "calendar"))(t); n != len(ids) {
			t.Fatalf("%d connections of %d users", n, len(ids))
		}
		expect := func(user string) {
			t.Helper()
			want := left[user]
			equal(t, must(st.Connection(t.Context(), "acme", "calendar", connect.OwnerOf(user)))(t), want.c)
			got := must(st.UserConnections(t.Context(), "acme", user))(t)
			count(t, "connections", got, 1)
			equal(t, got[0], want.c)
			open := must(st.OpenFlows(t.Context(), "acme", user))(t)
			count(t, "open flows", open, 1)
			equal(t, open[0], want.f)
			count(t, "events", must(st.Events(t.Context(), "acme", user, 10))(t), 1)
		}
		for user := range ids {
			expect(user)
		}
		// One goes, the others stay.
		for user := range ids {
			gone := must(st.Disconnect(t.Context(), "acme", "calendar", connect.OwnerOf(user), entry(event(connect.EventDisconnected, "acme", user))))(t)
			equal(t, gone, left[user].c)
			check(t, st.ForgetUser(t.Context(), "acme", user))
			delete(ids, user)
			for other := range ids {
				expect(other)
				break
			}
		}
		if n := must(st.CountConnections(t.Context(), "acme", "calendar"))(t); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	}},
	{"hostile text is only text", func(t *testing.T, st connect.Store) {
		acme(t, st)
		for _, text := range lookalikes {
			cs := connectSession("acme", text)
			cs.User.Name, cs.User.Email, cs.ReturnURL, cs.Lang, cs.Connectors = text, text, text, text, []string{text, text}
			check(t, st.CreateConnectSession(t.Context(), cs))
			equal(t, must(st.ConnectSession(t.Context(), "acme", cs.ID))(t), cs)
			f := flow("acme", "calendar", text)
			f.Params, f.Scopes, f.Detail.Account, f.Lang = map[string]string{text: text}, []string{text}, text, text
			begin(t, st, f)
			equal(t, must(st.Flow(t.Context(), f.ID))(t), f)
		}
	}},
	{"what cannot be an id finds nobody", func(t *testing.T, st connect.Store) {
		acme(t, st)
		link(t, st, "acme", "calendar", "dana")
		f := begin(t, st, flow("acme", "calendar", "dana"))
		for _, user := range []string{"dana\x00", "dana\x00x", "\x00dana", "dana\n", "dana\xff", "dana\xc0\x80", string(bytes.Repeat([]byte("dana"), 16<<10))} {
			if c, err := st.Connection(t.Context(), "acme", "calendar", connect.OwnerOf(user)); err == nil || c.ID != "" {
				t.Errorf("%.20q found %s, %v", user, c.ID, err)
			}
			if all, _ := st.UserConnections(t.Context(), "acme", user); len(all) != 0 {
				t.Errorf("%.20q has connections", user)
			}
			if all, _ := st.OpenFlows(t.Context(), "acme", user); len(all) != 0 {
				t.Errorf("%.20q has flows", user)
			}
			if _, err := st.Flow(t.Context(), f.ID+user[4:]); err == nil {
				t.Errorf("a flow was found by %.40q", f.ID+user[4:])
			}
			if err := st.ForgetUser(t.Context(), "acme", user); errors.Is(err, connect.ErrUnavailable) {
				t.Errorf("forget %.20q: %v", user, err)
			}
		}
		must(st.Connection(t.Context(), "acme", "calendar", connect.OwnerOf("dana")))(t)
		must(st.Flow(t.Context(), f.ID))(t)
	}},
}
