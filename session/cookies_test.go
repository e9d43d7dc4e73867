package session

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestFlowCookieIsBoundAndNarrow(t *testing.T) {
	for _, secure := range []bool{false, true} {
		b := &Browsers{Secure: secure}
		w := httptest.NewRecorder()
		b.SetFlow(w, httptest.NewRequest(http.MethodPost, "/start", nil), "fl_1", "secret", time.Unix(1000, 0))
		c := w.Result().Cookies()[0]
		name := "patchbay_flow_fl_1"
		if secure {
			name = "__Host-" + name
		}
		if c.Name != name || !c.HttpOnly || c.Secure != secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 3600 {
			t.Errorf("%+v", c)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.AddCookie(c)
		if got := b.Flow(r, "fl_1"); got != "secret" {
			t.Errorf("read back %q", got)
		}
		if got := b.Flow(r, "fl_2"); got != "" {
			t.Errorf("another flow reads %q", got)
		}
		r.AddCookie(&http.Cookie{Name: c.Name, Value: "x.other"})
		if got := b.Flow(r, "fl_1"); got != "" {
			t.Errorf("two cookies of one name read %q", got)
		}
	}
}

func TestOldestOfEightFlowCookiesIsDropped(t *testing.T) {
	b := &Browsers{}
	r := httptest.NewRequest(http.MethodPost, "/start", nil)
	for i := range 8 {
		w := httptest.NewRecorder()
		b.SetFlow(w, httptest.NewRequest(http.MethodPost, "/start", nil), fmt.Sprint(i), "s", time.Unix(int64(1000-i), 0))
		r.AddCookie(w.Result().Cookies()[0])
	}
	w := httptest.NewRecorder()
	b.SetFlow(w, r, "new", "s", time.Unix(2000, 0))
	var dropped []string
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			dropped = append(dropped, c.Name)
		}
	}
	if got := strings.Join(dropped, " "); got != "patchbay_flow_7" {
		t.Errorf("dropped %q, want the one set first", got)
	}
}

func TestBearer(t *testing.T) {
	for value, want := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "BEARER  abc": "abc", "Basic abc": "", "Bearer": "", "Bearer ": "", "abc": "",
	} {
		got, ok := bearer(http.Header{"Authorization": {value}}, "Authorization")
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", value, got, ok)
		}
	}
	if _, ok := bearer(http.Header{"Authorization": {"Bearer a", "Bearer b"}}, "Authorization"); ok {
		t.Error("two headers are read as one")
	}
}
