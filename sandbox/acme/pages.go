package acme

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"maps"
	"net/http"
)

// pagePolicy allows our own style sheet and pictures and nothing else; a page with the
// frame in it has framePolicy. form-action is
// left out: browsers apply it to the redirect that follows a form, and ours leads to
// Patchbay.
const pagePolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"

//go:embed pages
var files embed.FS

var templates = template.Must(template.ParseFS(files, "pages/*.html"))

// page is what every page is made of; each uses what it needs.
type page struct {
	Title   string
	User    *user // nil: signed out
	Users   []user
	Notice  *notice
	Pending *pending // the flow to go on with after signing in
	Message *message
	Stay    string // the address to come back to after signing in, "" for home
	Frame   *frame
	Board   *board

	header http.Header // replaces what every page has; nil values leave it out

	Linked        []linked
	LinkedProblem string
	Read          *reading
}

// linked is a row of the linked accounts.
type linked struct {
	connection
	Name string
}

// message is a page with one thing to say.
type message struct{ Title, Sentence, Code string }

// home shows the notes and the linked accounts, or whom to sign in as.
func (a *app) home(w http.ResponseWriter, r *http.Request) {
	a.showHome(w, r, http.StatusOK, page{})
}

func (a *app) showHome(w http.ResponseWriter, r *http.Request, status int, p page) {
	p.Title, p.Users = "Acme Notes", users
	u, ok := a.sessions.current(r)
	if !ok {
		a.render(w, status, "signin", p)
		return
	}
	p.User, p.Frame = &u, a.homeFrame()
	p.header = http.Header{"Content-Security-Policy": {a.framePolicy("'self'", a.origin)}}
	a.fillLinked(r.Context(), u, &p)
	a.render(w, status, "home", p)
}

// fillLinked asks Patchbay what the user has linked.
func (a *app) fillLinked(ctx context.Context, u user, p *page) {
	list, err := a.patchbay.connections(ctx, u.ID)
	if err != nil {
		a.log.Warn("listing connections failed", "err", err)
		p.LinkedProblem = patchbayDown
	}
	for _, c := range list {
		p.Linked = append(p.Linked, linked{c, a.typeName(c.Connector)})
	}
}

func (a *app) message(w http.ResponseWriter, r *http.Request, status int, m message) {
	p := page{Title: m.Title, Users: users, Message: &m}
	if u, ok := a.sessions.current(r); ok {
		p.User = &u
	}
	a.render(w, status, "message", p)
}

func (a *app) render(w http.ResponseWriter, status int, name string, p page) {
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, name, p); err != nil {
		a.log.Error("page", "page", name, "err", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	maps.Copy(h, p.header)
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

func asset(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		body, _ := files.ReadFile("pages/" + name) // embedded
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "max-age=300")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(body)
	}
}
