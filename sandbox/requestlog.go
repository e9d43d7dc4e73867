package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	maxRequests = 10_000
	maxLogPath  = 256
)

// Request is one line of the request log. It has the path only, never the query, a
// header or a body, so that no code and no token can be in it.
type Request struct {
	At     time.Time
	Method string
	Path   string
	Type   string // "" when the path names no known type
	Status int    // 0 while the request is being answered
}

// MarshalJSON writes the time with milliseconds.
func (r Request) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		At     string `json:"at"`
		Method string `json:"method"`
		Path   string `json:"path"`
		Type   string `json:"type"`
		Status int    `json:"status"`
	}{r.At.UTC().Format("2006-01-02T15:04:05.000Z07:00"), r.Method, r.Path, r.Type, r.Status})
}

// Log returns what was requested since the start or the last ClearLog, oldest first,
// at most the last 10,000.
func (s *Server) Log() []Request { return s.requests.all() }

// ClearLog empties the log.
func (s *Server) ClearLog() { s.requests.clear() }

// Calls counts the logged requests for this type ("" for any) whose path ends in
// suffix: Calls("github", "/token") is 0 as long as no code was exchanged. A request
// counts from its arrival, not from its answer.
func (s *Server) Calls(typ, suffix string) int {
	n := 0
	for _, r := range s.requests.all() {
		if (typ == "" || r.Type == typ) && strings.HasSuffix(r.Path, suffix) {
			n++
		}
	}
	return n
}

// requestLog keeps the last requests. Entries are changed only under its lock.
type requestLog struct {
	mu      sync.Mutex
	entries []*Request
}

func (l *requestLog) add(at time.Time, r *http.Request) *Request {
	typ, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if dialectByID[typ] == nil {
		typ = ""
	}
	path := r.URL.Path
	if len(path) > maxLogPath {
		path = strings.ToValidUTF8(path[:maxLogPath], "") + "…"
	}
	entry := &Request{At: at, Method: r.Method, Path: path, Type: typ}

	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) >= maxRequests {
		l.entries = l.entries[len(l.entries)-maxRequests+1:]
	}
	l.entries = append(l.entries, entry)
	return entry
}

// answered notes the status; the first one stands.
func (l *requestLog) answered(entry *Request, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if entry.Status == 0 {
		entry.Status = status
	}
}

// finish is for a handler that wrote nothing, which net/http answers with 200.
func (l *requestLog) finish(entry *Request) { l.answered(entry, http.StatusOK) }

func (l *requestLog) all() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Request, len(l.entries))
	for i, e := range l.entries {
		out[i] = *e
	}
	return out
}

func (l *requestLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}

// loggedWriter notes the status before the first byte leaves, so that a client which
// has its answer finds it in the log.
type loggedWriter struct {
	http.ResponseWriter
	log   *requestLog
	entry *Request
}

func (w *loggedWriter) WriteHeader(status int) {
	if status >= 200 {
		w.log.answered(w.entry, status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *loggedWriter) Write(b []byte) (int, error) {
	w.log.answered(w.entry, http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *loggedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
