package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"patchbay/connect"
	"patchbay/views"
)

// What a frame may ask for while it is open. A page in a frame cannot see what happens
// in the tab that it opened (the provider may cut the two apart, and their storage is
// not the same), so it asks the server: by a stream, else by requests that wait, else
// by requests that do not.
const (
	lookEvery     = 2 * time.Second  // for what another process did
	beatEvery     = 15 * time.Second // a comment, so that nobody on the way hangs up
	streamLife    = 5 * time.Minute  // then the frame connects again
	longestWait   = 25 * time.Second
	streamsPerOne = 8 // open streams and waits of one connect session
)

var (
	errTooManyStreams = &connect.Error{Code: codeRateLimited, Message: "This page is open too often at once. Ask without waiting.", RetryAfter: 5 * time.Second}
	errForeignScript  = &connect.Error{Code: codeOriginRejected, Message: "Only our own page may ask this."}
)

// ownScript lets only a script of ours through, as far as the browser says.
func (s *Server) ownScript(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Request().Header
		for _, origin := range h.Values("Origin") {
			if origin != s.Service.PublicURL {
				return errForeignScript
			}
		}
		for _, site := range h.Values("Sec-Fetch-Site") {
			if site != "same-origin" {
				return errForeignScript
			}
		}
		return next(c)
	}
}

// watched finds the frame page that asks.
func (s *Server) watched(c echo.Context) (*visit, error) {
	auth := c.Request().Header.Values("Authorization")
	if len(auth) != 1 || len(auth[0]) < 7 || !strings.EqualFold(auth[0][:7], "bearer ") {
		c.Response().Header().Set("WWW-Authenticate", "Bearer")
		return nil, errNoLiveToken
	}
	ctx := c.Request().Context()
	f, err := s.Service.LiveView(ctx, param(c, "app"), auth[0][7:])
	if connect.CodeOf(err) == connect.CodeExpired {
		return nil, gone{err}
	}
	if err != nil {
		return nil, err
	}
	app, err := s.Service.App(ctx, f.Session.App)
	if err != nil {
		return nil, err
	}
	return &visit{app: app, user: f.Session.User, returnURL: f.Session.ReturnURL, frame: &f}, nil
}

var errNoLiveToken = &connect.Error{Code: connect.CodeUnauthorized, Message: "The credential is missing, expired or not valid for this app."}

// live tells what changed since an id: as a stream to who accepts one, else at once or
// after a wait.
func (s *Server) live(c echo.Context) error {
	v, err := s.watched(c)
	if err != nil {
		return err
	}
	stream := strings.Contains(c.Request().Header.Get("Accept"), "text/event-stream")
	after, err := lastID(c, stream)
	if err != nil {
		return err
	}
	wait, err := waitTime(c)
	if err != nil {
		return err
	}
	w := &watch{s: s, c: c, v: v, after: after}
	if !stream && wait == 0 {
		return w.answer()
	}
	if !s.streams.open(v.frame.Session.ID) {
		return errTooManyStreams
	}
	defer s.streams.close(v.frame.Session.ID)
	if stream {
		return w.stream()
	}
	return w.answerAfter(wait)
}

// lastID is what the frame has seen: for a stream the header that its format has for
// it, else the query.
func lastID(c echo.Context, stream bool) (int64, error) {
	text := c.QueryParam("after")
	if header := c.Request().Header.Get("Last-Event-ID"); stream && header != "" {
		text = header
	}
	if text == "" {
		text = "0"
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, &connect.Error{Code: connect.CodeInvalidRequest, Message: "after must be the id of a change."}
	}
	return n, nil
}

func waitTime(c echo.Context) (time.Duration, error) {
	text := c.QueryParam("wait")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || time.Duration(n)*time.Second > longestWait {
		return 0, &connect.Error{Code: connect.CodeInvalidRequest, Message: "wait must be a whole number of seconds from 0 to 25."}
	}
	return time.Duration(n) * time.Second, nil
}

// watch is one request of a frame.
type watch struct {
	s     *Server
	c     echo.Context
	v     *visit
	after int64
}

// errSessionOver ends a watch.
var errSessionOver = errors.New("the session is over")

// look returns what is new. The session is looked at each time, so that one that was
// ended tells no more.
func (w *watch) look() ([]map[string]any, error) {
	ctx := w.c.Request().Context()
	live, err := w.s.Service.FrameLive(ctx, w.v.frame)
	if err != nil {
		return nil, err
	}
	if !live {
		return nil, errSessionOver
	}
	changes, after, err := w.s.Service.Changes(ctx, w.v.frame, w.after)
	if err != nil {
		return nil, err
	}
	w.after = after
	told := make([]map[string]any, 0, len(changes))
	for i := range changes {
		told = append(told, changeJSON(&changes[i]))
	}
	return told, nil
}

// changeJSON is a change as the frame passes it on to the app's page: ids, states and
// an account's label; never a token or a code.
func changeJSON(c *connect.Change) map[string]any {
	m := map[string]any{"id": c.ID, "type": c.Kind, "connector": c.Connector}
	switch c.Kind {
	case connect.ChangeStarted:
		m["flow"] = c.Flow
	case connect.ChangeConnected:
		m["flow"] = c.Flow
		m["connection"], m["account"], m["assurance"], m["missing_scopes"] = nil, nil, nil, []string{}
		if conn := c.Connection; conn != nil {
			m["connection"], m["account"] = conn.ID, connect.OrNull(conn.Account.Label())
			m["assurance"], m["missing_scopes"] = conn.Assurance, list(conn.Missing)
		}
	case connect.ChangeDisconnected:
		m["revoked"] = c.Revoked
	case connect.ChangeError:
		words := views.ResultWords(string(c.Code))
		m["flow"], m["code"], m["who"], m["retry"], m["trace"] = c.Flow, c.Code, whoever(words.Who), words.Retry, c.Trace
	}
	return m
}

// whoever names somebody: where nothing has to be mended it is the person's own doing.
func whoever(w views.Who) views.Who {
	if w == "" {
		return views.WhoUser
	}
	return w
}

func (w *watch) answer() error {
	changes, err := w.look()
	if err != nil {
		return over(err)
	}
	return w.c.JSON(http.StatusOK, map[string]any{"last": w.after, "expires_in": w.remaining(), "changes": changes})
}

func over(err error) error {
	if errors.Is(err, errSessionOver) {
		return gone{&connect.Error{Code: connect.CodeExpired, Message: "This session is over. Open the page again from the app."}}
	}
	return err
}

func (w *watch) remaining() int { return int(w.s.Service.Remaining(&w.v.frame.Session).Seconds()) }

// answerAfter answers when there is something to tell, or after the wait.
func (w *watch) answerAfter(wait time.Duration) error {
	ctx, cancel := context.WithTimeout(w.c.Request().Context(), wait)
	defer cancel()
	var changes []map[string]any
	err := w.each(ctx, func(found []map[string]any) error {
		if changes = found; len(found) > 0 {
			return context.Canceled
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		return over(err)
	}
	return w.c.JSON(http.StatusOK, map[string]any{"last": w.after, "expires_in": w.remaining(), "changes": list(changes)})
}

// each calls tell with what is new, now and whenever something may have happened, until
// ctx ends, the program stops, or tell has enough. The error is tell's or look's.
func (w *watch) each(ctx context.Context, tell func([]map[string]any) error) error {
	woken, stop := w.s.Service.Watch(w.v.app.ID, w.v.user.ID)
	defer stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		changes, err := w.look()
		if err != nil {
			return err
		}
		if err := tell(changes); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.s.Stopping:
			return nil
		case <-woken:
		case <-tick.C:
		}
	}
}

// stream tells of changes as they happen, in the format of server-sent events.
func (w *watch) stream() error {
	ctx, cancel := context.WithTimeout(w.c.Request().Context(), streamLife)
	defer cancel()
	streamHeaders(w.c)
	if err := w.event("", "hello", map[string]any{"expires_in": w.remaining()}); err != nil {
		return nil
	}
	written := time.Now()
	err := w.each(ctx, func(changes []map[string]any) error {
		for _, m := range changes {
			id := m["id"]
			delete(m, "id")
			if err := w.event(fmt.Sprint(id), "change", m); err != nil {
				return err
			}
			written = time.Now()
		}
		if time.Since(written) < beatEvery {
			return nil
		}
		written = time.Now()
		return w.write(": here\n\n")
	})
	if errors.Is(err, errSessionOver) {
		_ = w.event("", "end", map[string]any{"reason": "expired"})
	}
	return nil // the headers are out: the frame connects again and is told then
}

// streamHeaders begins the answer of a stream.
func streamHeaders(c echo.Context) {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // asks nginx to pass on what it gets at once
	c.Response().WriteHeader(http.StatusOK)
}

func (w *watch) event(id, name string, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	var b strings.Builder
	if id != "" {
		b.WriteString("id: " + id + "\n")
	}
	b.WriteString("event: " + name + "\ndata: " + string(body) + "\n\n")
	return w.write(b.String())
}

func (w *watch) write(text string) error {
	control := http.NewResponseController(w.c.Response())
	if err := control.SetWriteDeadline(time.Now().Add(2 * beatEvery)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := w.c.Response().Write([]byte(text)); err != nil {
		return err
	}
	return control.Flush()
}

// livePage draws the frame's page anew for its script, with fresh tickets that carry
// what the page at hand carries and no more.
func (s *Server) livePage(c echo.Context) error {
	v, err := s.watched(c)
	if err != nil {
		return err
	}
	var page templ.Component
	switch c.QueryParam("view") {
	case "list":
		p, err := s.list(c, v)
		if err != nil {
			return err
		}
		page = views.List(p)
	case "settings":
		p, err := s.settings(c, v)
		if err != nil {
			return err
		}
		page = views.Settings(p)
	default:
		return &connect.Error{Code: connect.CodeInvalidRequest, Message: `view must be "list" or "settings".`}
	}
	var html bytes.Buffer
	if err := page.Render(c.Request().Context(), &html); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"html": html.String()})
}

// streams counts what is open, by connect session.
type streams struct {
	mu    sync.Mutex
	count map[string]int
}

func (s *streams) open(session string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == nil {
		s.count = map[string]int{}
	}
	if s.count[session] >= streamsPerOne {
		return false
	}
	s.count[session]++
	return true
}

func (s *streams) close(session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count[session]--; s.count[session] <= 0 {
		delete(s.count, session)
	}
}
