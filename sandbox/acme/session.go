package acme

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	cookieName  = "acme_session"
	sessionLife = 12 * time.Hour
	maxSessions = 10_000
)

// user is one of the people who use Acme Notes. The id is what Patchbay knows them by.
type user struct {
	ID, Name, Email string
	Notes           []note
}

type note struct{ Title, Text string }

// Given is the first name.
func (u user) Given() string {
	for i, r := range u.Name {
		if r == ' ' {
			return u.Name[:i]
		}
	}
	return u.Name
}

var users = []user{
	{"dana", "Dana Reyes", "dana@acme.example", []note{
		{"Bread, second try", "Less water, longer rest. Fold every half hour until it holds."},
		{"Questions for Thursday", "Who owns the rollout? What do we tell the bakery?"},
		{"Harbour walk", "Start at the old crane; the café on the pier closes at four."},
	}},
	{"sam", "Sam Okafor", "sam@acme.example", []note{
		{"Choir", "Second tenor, page 12: breathe before the long note."},
		{"Bike", "Rear brake pads. Ask about the click in third gear."},
	}},
}

func userByID(id string) (user, bool) {
	for _, u := range users {
		if u.ID == id {
			return u, true
		}
	}
	return user{}, false
}

// sessions remembers who is signed in. The cookie is a random name for a row of this
// map and says nothing by itself.
type sessions struct {
	secure bool

	mu    sync.Mutex
	rows  map[string]sessionRow
	order []string // oldest first
}

type sessionRow struct {
	userID string
	ends   time.Time
}

func newSessions(secure bool) *sessions {
	return &sessions{secure: secure, rows: map[string]sessionRow{}}
}

// current returns who is signed in to Acme in this browser.
func (s *sessions) current(r *http.Request) (user, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return user{}, false
	}
	s.mu.Lock()
	row, ok := s.rows[cookie.Value]
	s.mu.Unlock()
	if !ok || time.Now().After(row.ends) {
		return user{}, false
	}
	return userByID(row.userID)
}

// begin signs a user in under a new id, and ends what was there.
func (s *sessions) begin(w http.ResponseWriter, r *http.Request, u user) {
	s.end(w, r)
	id := rand.Text()
	s.mu.Lock()
	s.rows[id] = sessionRow{u.ID, time.Now().Add(sessionLife)}
	s.order = append(s.order, id)
	if len(s.order) > maxSessions {
		delete(s.rows, s.order[0])
		s.order = s.order[1:]
	}
	s.mu.Unlock()
	w.Header().Del("Set-Cookie") // the one that end has set
	http.SetCookie(w, s.cookie(id, int(sessionLife/time.Second)))
}

// end signs out.
func (s *sessions) end(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		delete(s.rows, cookie.Value)
		s.mu.Unlock()
	}
	http.SetCookie(w, s.cookie("", -1))
}

// cookie is Lax and not Strict: the user comes back from Patchbay, another site, by a
// link to /verify, and has to be known there.
func (s *sessions) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.secure,
	}
}

// staying is where a sign-in leads: to the switchboard, if it began there. Of what the
// form says no more is taken than the choices.
func staying(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Path != "/embed" {
		return "/"
	}
	return parseChoices(u.Query()).address()
}

// login signs one of the two users in. There is no password: they are pretend. Who was
// on the way to /verify goes on there.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	u, ok := userByID(r.PostFormValue("user"))
	if !ok {
		a.message(w, r, http.StatusBadRequest, message{Title: "Who?", Sentence: "Acme Notes does not know this user."})
		return
	}
	a.sessions.begin(w, r, u)
	next := staying(r.PostFormValue("stay"))
	if p, ok := parsePending(r.PostForm); ok {
		next = "/verify?" + url.Values{"flow": {p.Flow}, "result_code": {p.ResultCode}}.Encode()
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	a.sessions.end(w, r)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
