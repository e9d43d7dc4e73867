package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// sessionPath is where Patchbay's helper asks for the frame's address.
const sessionPath = "/patchbay-session"

// framePolicy is pagePolicy for a page with the frame in it: script of our own and
// Patchbay's helper, which asks us for a session, and frames of Patchbay alone.
func (a *app) framePolicy(frames ...string) string {
	policy := pagePolicy + "; script-src 'self' " + a.origin + "; connect-src 'self'"
	if len(frames) > 0 {
		policy += "; frame-src " + strings.Join(frames, " ")
	}
	return policy
}

// frameAddress makes a session for the frame on our page and returns the frame's
// address, which is good for a quarter of an hour and speaks for the user.
func (a *app) frameAddress(ctx context.Context, u user) (string, error) {
	made, err := a.patchbay.frameSession(ctx, u, a.cfg.PublicURL, a.cfg.PublicURL+"/return")
	if err != nil {
		return "", err
	}
	if at, err := url.Parse(made.URL); err != nil || at.Scheme+"://"+at.Host != a.origin {
		return "", errors.New("patchbay gave a frame address that is not its own")
	}
	return made.URL, nil
}

// patchbaySession answers the helper: a new frame for whoever is signed in here.
func (a *app) patchbaySession(w http.ResponseWriter, r *http.Request) {
	u, ok := a.sessions.current(r)
	if !ok {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"code": "signed_out"})
		return
	}
	address, err := a.frameAddress(r.Context(), u)
	if err != nil {
		a.log.Warn("making a frame failed", "err", err)
		writeJSON(w, http.StatusBadGateway, map[string]string{"code": codeOf(err)})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"url": address})
}

// patchbayFrame is the same for a browser without script, as the address of an iframe
// in noscript: a session is made only where one is shown.
func (a *app) patchbayFrame(w http.ResponseWriter, r *http.Request) {
	for name, want := range map[string]string{"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "same-origin"} {
		if got := r.Header.Get(name); got != "" && got != want {
			http.Error(w, "This address is for a frame in Acme Notes.", http.StatusForbidden)
			return
		}
	}
	u, ok := a.sessions.current(r)
	if !ok {
		http.Error(w, "Sign in to Acme Notes first.", http.StatusUnauthorized)
		return
	}
	address, err := a.frameAddress(r.Context(), u)
	if err != nil {
		a.log.Warn("making a frame failed", "err", err)
		http.Error(w, patchbayDown, http.StatusBadGateway)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// linkedAccounts is the list alone, for the script that brings it up to date.
func (a *app) linkedAccounts(w http.ResponseWriter, r *http.Request) {
	u, ok := a.sessions.current(r)
	if !ok {
		http.Error(w, "Sign in to Acme Notes first.", http.StatusUnauthorized)
		return
	}
	p := page{User: &u}
	a.fillLinked(r.Context(), u, &p)
	a.render(w, http.StatusOK, "linked", p)
}

// frame is how the frame gets into a page.
type frame struct {
	Origin      string // Patchbay's, which messages come from
	SessionPath string
	Lazy        bool // for a browser without script, an iframe that asks for its session

	// With an iframe of our own:
	Own       bool
	Src       string // "" when there is none to show
	Sandboxed bool
	Sandbox   string // the value of the attribute
	Theme     string // JSON for the frame

	// With the helper:
	Helper         string // its address
	Scheme, Accent string

	Problem, Code string // why there is no frame
}

// homeFrame is the recommended way: the helper, and nothing else.
func (a *app) homeFrame() *frame {
	return &frame{Origin: a.origin, SessionPath: sessionPath, Helper: a.origin + "/embed.js", Lazy: true}
}

// board is the switchboard: the frame, embedded as the choices say.
type board struct {
	Situations []situation
	Address    string // the page's own, with the choices
	Expected   []string
	Sent       []string // the headers that matter, one a line
	Sandbox    sandboxSwitch
	Switches   []switchView
	Accent     string
	Script     bool
	Problem    string // the provider could not be told
}

type sandboxSwitch struct {
	On     bool
	Expect string
	Tokens []tokenView
}

type tokenView struct {
	token
	On bool
}

type switchView struct {
	change
	Picked string
}

// AccentExpect is for the template.
func (b board) AccentExpect() string { return accentExpect }

// showBoard is the page for builders: what becomes of the frame in this page and that.
func (a *app) showBoard(w http.ResponseWriter, r *http.Request) {
	c := parseChoices(r.URL.Query())
	p := page{Title: "Ways to embed", Users: users, Stay: c.address()}
	u, ok := a.sessions.current(r)
	if !ok {
		a.render(w, http.StatusOK, "signin", p)
		return
	}
	p.User = &u
	p.Board = newBoard(c)
	p.Frame = a.boardFrame(r.Context(), u, c)
	p.header = a.boardHeader(c)
	p.Board.Sent = sentLines(p.header)
	if c.picked["provider"] == "coop" && r.Method == http.MethodGet && r.Header.Get("Sec-Purpose") == "" {
		if err := a.provider.next(r.Context(), "coop"); err != nil {
			a.log.Warn("deciding the provider's next answer failed", "err", err)
			p.Board.Problem = "The provider could not be told, so its pages are plain."
		}
	}
	a.fillLinked(r.Context(), u, &p)
	a.render(w, http.StatusOK, "board", p)
}

func newBoard(c choices) *board {
	b := &board{
		Situations: situations, Address: c.address(), Expected: c.expected(), Accent: c.accent, Script: c.script(),
		Sandbox: sandboxSwitch{On: c.sandbox, Expect: sandboxExpect},
	}
	for _, t := range sandboxTokens {
		// All are ticked as long as there is no sandbox, so that turning it on begins
		// with one that works.
		on := !c.sandbox && len(c.allow) == 0 || slices.Contains(c.allow, t.Name)
		b.Sandbox.Tokens = append(b.Sandbox.Tokens, tokenView{t, on})
	}
	for _, s := range switches {
		b.Switches = append(b.Switches, switchView{s, c.picked[s.Name]})
	}
	return b
}

func (a *app) boardFrame(ctx context.Context, u user, c choices) *frame {
	f := &frame{Origin: a.origin, SessionPath: sessionPath}
	if c.byHelper() {
		f.Helper, f.Accent = a.origin+"/embed.js", c.accent
		if scheme := c.picked["scheme"]; scheme != "auto" {
			f.Scheme = scheme
		}
		return f
	}
	f.Own, f.Sandboxed, f.Sandbox = true, c.sandbox, c.sandboxAttribute()
	theme := map[string]string{"scheme": c.picked["scheme"]}
	if c.accent != "" {
		theme["accent"] = c.accent
	}
	raw, _ := json.Marshal(theme) // a map of strings
	f.Theme = string(raw)
	address, err := a.frameAddress(ctx, u)
	if err != nil {
		a.log.Warn("making a frame failed", "err", err)
		f.Problem, f.Code = patchbayDown, codeOf(err)
		return f
	}
	f.Src = address
	return f
}

// boardHeader is what the choices make of the page's headers.
func (a *app) boardHeader(c choices) http.Header {
	h := http.Header{}
	switch c.picked["csp"] {
	case "none":
		h["Content-Security-Policy"] = nil
	case "no-frame-src":
		h.Set("Content-Security-Policy", a.framePolicy())
	default:
		h.Set("Content-Security-Policy", a.framePolicy(a.origin))
	}
	for name, header := range map[string]string{"coop": "Cross-Origin-Opener-Policy", "coep": "Cross-Origin-Embedder-Policy"} {
		if v := c.picked[name]; v != "none" {
			h.Set(header, v)
		}
	}
	return h
}

func sentLines(h http.Header) []string {
	var lines []string
	for _, name := range []string{"Content-Security-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy"} {
		if v := h.Get(name); v != "" {
			lines = append(lines, fmt.Sprintf("%s: %s", name, v))
		}
	}
	return lines
}

// codeOf is Patchbay's word for what went wrong with a call.
func codeOf(err error) string {
	if failed, ok := errors.AsType[*apiError](err); ok {
		return failed.Code
	}
	return "unavailable"
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller hung up; there is nobody to tell
}
