package acme

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config is what the app has to know. Its operator would set it; the demo does.
type Config struct {
	PatchbayURL  string       // where Patchbay answers, for example http://localhost:8080
	SandboxURL   string       // the provider's API, for example http://127.0.0.1:8081
	PublicURL    string       // where browsers reach this app, for example http://127.0.0.1:8082
	AppID        string       // this app's id at Patchbay
	ServiceToken string       // of scopes tokens and sessions
	Types        []Type       // what can be linked; the id is the connector's too
	HTTP         *http.Client // default: ten seconds, no redirects followed
	Log          *slog.Logger // default: discard
}

// Type is an integration type as Acme's pages name it.
type Type struct{ ID, Name string }

// app is the whole of Acme Notes.
type app struct {
	cfg      Config
	origin   string // Patchbay's
	patchbay *patchbay
	provider *provider
	sessions *sessions
	log      *slog.Logger
}

// New makes the app.
func New(cfg Config) http.Handler {
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{
			Timeout:       10 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	a := &app{
		cfg:    cfg,
		origin: originOf(cfg.PatchbayURL),
		patchbay: &patchbay{
			api:   strings.TrimRight(cfg.PatchbayURL, "/") + "/api/apps/" + url.PathEscape(cfg.AppID),
			token: cfg.ServiceToken,
			http:  cfg.HTTP,
		},
		provider: &provider{base: strings.TrimRight(cfg.SandboxURL, "/"), http: cfg.HTTP},
		sessions: newSessions(strings.HasPrefix(cfg.PublicURL, "https://")),
		log:      cfg.Log,
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("POST /logout", a.logout)
	mux.HandleFunc("POST /connectors", a.openConnectors)
	mux.HandleFunc("GET /verify", a.verify)
	mux.HandleFunc("GET /return", a.returned)
	mux.HandleFunc("POST /read", a.read)
	mux.HandleFunc("POST "+sessionPath, a.patchbaySession)
	mux.HandleFunc("GET /patchbay-frame", a.patchbayFrame)
	mux.HandleFunc("GET /linked", a.linkedAccounts)
	mux.HandleFunc("GET /embed", a.showBoard)
	mux.HandleFunc("GET /acme.js", asset("acme.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /acme.css", asset("acme.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /icon.svg", asset("icon.svg", "image/svg+xml"))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		a.message(w, r, http.StatusNotFound, message{Title: "Nothing here", Sentence: "This page does not exist."})
	})

	// A form of another site must not sign anybody in or read anything: POSTs are taken
	// from our own pages only, by Sec-Fetch-Site or Origin.
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.message(w, r, http.StatusForbidden, message{Title: "Not from here", Sentence: "This form was sent from another site, so nothing was done."})
	}))
	return sameOrigin.Handler(http.MaxBytesHandler(mux, 64<<10))
}

// originOf is the scheme and host of an address.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Scheme + "://" + u.Host
}

// typeName is how the pages call a connector.
func (a *app) typeName(id string) string {
	for _, t := range a.cfg.Types {
		if t.ID == id {
			return t.Name
		}
	}
	return id
}
