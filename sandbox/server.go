package sandbox

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options are what a Server can be told; the zero value is ready for use.
type Options struct {
	Log     *slog.Logger     // default: discard
	Now     func() time.Time // default: time.Now
	BaseURL string           // the origin to call itself by; default: as each request addressed it
}

// Server is the pretend provider. It is safe for concurrent use.
type Server struct {
	log     *slog.Logger
	now     func() time.Time
	baseURL string
	wait    func(done <-chan struct{}, d time.Duration) // sleeping, replaced by tests

	mux      *http.ServeMux
	grants   *grants
	requests requestLog

	mu           sync.Mutex
	next         *decision // what /_sandbox/next set, nil when a person decides
	alterIDToken func(*IDToken)
}

// New makes a server that serves every type of the dialect table.
func New(opts Options) *Server {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Server{
		log:     opts.Log,
		now:     opts.Now,
		baseURL: strings.TrimRight(opts.BaseURL, "/"),
		wait:    sleep,
		mux:     http.NewServeMux(),
		grants:  newGrants(opts.Now),
	}
	s.routes()
	return s
}

func (s *Server) routes() {
	s.mux.HandleFunc("/{$}", only(s.front, http.MethodGet, http.MethodHead))
	s.mux.HandleFunc("/.well-known/openid-configuration", only(s.metadata, http.MethodGet, http.MethodHead))
	s.mux.HandleFunc("/{type}/authorize", s.typed(s.authorize))
	s.mux.HandleFunc("/{type}/token", s.typed(s.token))
	s.mux.HandleFunc("/{type}/revoke", s.typed(s.revoke))
	s.mux.HandleFunc("/{type}/userinfo", s.typed(s.userinfo))
	s.mux.HandleFunc("/{type}/jwks", s.typed(s.keySet))
	s.mux.HandleFunc("/{type}/api/{path...}", s.typed(s.api))

	s.mux.HandleFunc("/_sandbox/next", only(s.controlNext, http.MethodPost))
	s.mux.HandleFunc("/_sandbox/log", only(s.controlLog, http.MethodGet, http.MethodDelete))
	s.mux.HandleFunc("/_sandbox/revoke", only(s.controlRevoke, http.MethodPost))
	for name, contentType := range assets {
		s.mux.HandleFunc("/_sandbox/"+name, only(asset(name, contentType), http.MethodGet, http.MethodHead))
	}

	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusNotFound, map[string]string{
			"error":             "not_found",
			"error_description": "The sandbox serves /{type}/authorize, token, revoke, userinfo, jwks and api; its front page / says more.",
		})
	})
}

// ServeHTTP answers one request and, unless it is about the sandbox itself, notes it
// in the log.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if strings.HasPrefix(r.URL.Path, "/_sandbox/") {
		s.mux.ServeHTTP(w, r)
		return
	}
	entry := s.requests.add(s.now(), r)
	s.mux.ServeHTTP(&loggedWriter{ResponseWriter: w, log: &s.requests, entry: entry}, r)
	s.requests.finish(entry)
	s.log.Debug("sandbox request", "method", entry.Method, "path", entry.Path)
}

// typed finds the dialect named in the path; a type that is not imitated answers 404.
func (s *Server) typed(h func(http.ResponseWriter, *http.Request, *dialect)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d := dialectByID[r.PathValue("type")]
		if d == nil {
			sentence := "The sandbox does not imitate this type. It imitates " + strings.Join(typeIDs(), ", ") + "."
			if strings.HasSuffix(r.URL.Path, "/authorize") {
				s.page(w, http.StatusNotFound, "error", errorPage{Title: "Unknown type", Sentence: sentence})
				return
			}
			writeJSON(w, http.StatusNotFound, map[string]string{"error": "unknown_type", "error_description": sentence})
			return
		}
		h(w, r, d)
	}
}

// origin is the scheme and host that this request was addressed to. It shapes nothing
// but what the sandbox says about itself (iss, picture addresses), never a redirect.
func (s *Server) origin(r *http.Request) string {
	if s.baseURL != "" {
		if u, err := url.Parse(s.baseURL); err == nil && u.Host != "" {
			return u.Scheme + "://" + u.Host
		}
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// only answers 405, with Allow (RFC 9110 section 15.5.6), to other methods.
func only(h http.HandlerFunc, methods ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if allowed(w, r, methods...) {
			h(w, r)
		}
	}
}

// allowed reports whether the method is one of these, and answers 405 if it is not.
func allowed(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	writeJSON(w, http.StatusMethodNotAllowed, map[string]string{
		"error":             "method_not_allowed",
		"error_description": "Use " + strings.Join(methods, " or ") + ".",
	})
	return false
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the caller hung up; there is nobody to tell
}

func sleep(done <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	}
}
