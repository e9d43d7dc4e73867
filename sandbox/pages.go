package sandbox

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
)

// The pages are plain HTML with one style sheet. Nothing is inline and nothing comes
// from elsewhere, so that the policy below can be strict; form-action is left out
// because browsers apply it to the redirect that follows a form.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"

const iconPath = "/_sandbox/icon.svg"

//go:embed pages
var pageFiles embed.FS

var pageTemplates = template.Must(template.New("").Funcs(template.FuncMap{
	"clock": func(r Request) string { return r.At.Format("15:04:05.000") },
}).ParseFS(pageFiles, "pages/*.html"))

type consentPage struct {
	Type      *dialect
	Client    string
	Host      string
	Scopes    []string
	Chooses   bool // the client wants the person to choose an account
	Form      consentForm
	Accounts  []string
	Scenarios []scenario
}

// consentForm is what the person is shown in the form, at first or once more.
type consentForm struct {
	Account, Scenario string
	Problem           string // what was wrong with the answer before
}

type errorPage struct {
	Type            *dialect // nil when the type is unknown
	Title, Sentence string
}

type formPostPage struct {
	Type   *dialect
	Host   string
	Action string
	Fields url.Values
}

type onwardPage struct {
	Type *dialect
	Host string
	URL  string
}

type frontPage struct {
	Origin    string
	Secret    string
	Types     []*dialect
	Scenarios []scenario
	Log       []Request
}

// ID, Name and Noun are for the templates.
func (d *dialect) ID() string   { return d.id }
func (d *dialect) Name() string { return d.name }
func (d *dialect) Noun() string { return d.noun }

func (s *Server) consent(w http.ResponseWriter, status int, d *dialect, req authorizeRequest, form consentForm) {
	s.page(w, status, "consent", consentPage{
		Type:      d,
		Client:    req.client,
		Host:      req.target.Host,
		Scopes:    req.scopes,
		Chooses:   req.chooses(),
		Form:      form,
		Accounts:  []string{defaultAccount, "sam@" + accountDomain, otherPrefix + defaultAccount},
		Scenarios: scenarios,
	})
}

func (s *Server) page(w http.ResponseWriter, status int, name string, data any) {
	var body bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&body, name, data); err != nil {
		s.log.Error("sandbox page", "page", name, "err", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Frame-Options", "DENY") // as the real ones do
	h.Set("Referrer-Policy", "strict-origin")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// styleSheet is the embedded sheet and a line per dialect with its colour.
var styleSheet = func() []byte {
	sheet, err := pageFiles.ReadFile("pages/sandbox.css")
	if err != nil {
		panic(err) // embedded
	}
	for _, d := range dialects {
		sheet = fmt.Appendf(sheet, "[data-type=%q] { --brand: %s; }\n", d.id, d.brand)
	}
	return sheet
}()

// assets are the files that the pages refer to.
var assets = map[string]string{
	"sandbox.css": "text/css; charset=utf-8",
	"post.js":     "text/javascript; charset=utf-8",
	"icon.svg":    "image/svg+xml",
}

func asset(name, contentType string) http.HandlerFunc {
	body := styleSheet
	if name != "sandbox.css" {
		body, _ = pageFiles.ReadFile("pages/" + name) // embedded
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "max-age=300")
		_, _ = w.Write(body)
	}
}
