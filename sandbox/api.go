package sandbox

import (
	"errors"
	"net/http"
	"slices"
	"strings"
)

// userinfo tells whose account the token belongs to, in the provider's shape.
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request, d *dialect) {
	methods := []string{http.MethodGet, http.MethodPost}
	if d.userinfoPost {
		methods = []string{http.MethodPost}
	}
	if !allowed(w, r, methods...) {
		return
	}
	v, ok := s.admit(w, r, d)
	if !ok {
		return
	}
	if len(d.userinfoNeeds) > 0 && !v.has(d.userinfoNeeds...) {
		status, body := d.forbidden(d.userinfoNeeds, v.scopes)
		writeJSON(w, status, body)
		return
	}
	if d.userinfoCheck != nil {
		if status, body := d.userinfoCheck(r, v); status != 0 {
			writeJSON(w, status, body)
			return
		}
	}
	writeJSON(w, http.StatusOK, d.userinfo(v))
}

// api is the protected API: the dialect's resources, and for every type whoami.
func (s *Server) api(w http.ResponseWriter, r *http.Request, d *dialect) {
	if h := d.open[strings.TrimPrefix(r.PathValue("path"), d.apiPrefix)]; h != nil {
		h(s, w, r, d)
		return
	}
	v, ok := s.admit(w, r, d)
	if !ok {
		return
	}
	path := strings.TrimPrefix(r.PathValue("path"), d.apiPrefix)
	if path == "whoami" {
		if allowed(w, r, http.MethodGet) {
			writeJSON(w, http.StatusOK, whoami{d.id, v.Account, v.Name, v.Email, v.scopes})
		}
		return
	}
	if s.play(w, r, path) {
		return
	}
	i := slices.IndexFunc(d.resources, func(res resource) bool { return res.path == path })
	if i < 0 {
		writeJSON(w, http.StatusNotFound, d.notFound)
		return
	}
	res := d.resources[i]
	methods := []string{http.MethodGet}
	if res.post {
		methods = append(methods, http.MethodPost)
	}
	if !allowed(w, r, methods...) {
		return
	}
	if len(res.needs) > 0 && !v.has(res.needs...) {
		status, body := d.forbidden(res.needs, v.scopes)
		writeJSON(w, status, body)
		return
	}
	writeJSON(w, http.StatusOK, res.data(v))
}

// whoami is the one answer that all types give in the same shape.
type whoami struct {
	Type    string   `json:"type"`
	Account string   `json:"account"`
	Name    string   `json:"name"`
	Email   string   `json:"email"`
	Scopes  []string `json:"scopes"`
}

// admit checks the bearer token and answers 401 itself if it is not alive. Slack would
// answer 200 with its error; the status is 401 for every type, the body the provider's.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, d *dialect) (view, bool) {
	w.Header().Set("Cache-Control", "no-store")
	value := bearer(r)
	of, scopes, state := authorization{}, []string(nil), tokenMissing
	challenge := `Bearer realm="sandbox"` // RFC 6750 section 3.1: no error without a token
	if value != "" {
		of, scopes, state = s.grants.access(d, value)
		challenge += `, error="invalid_token", error_description="The access token is ` + string(state) + `."`
	}
	if state != tokenAlive {
		w.Header().Set("WWW-Authenticate", challenge)
		writeJSON(w, http.StatusUnauthorized, d.unauthorized(state))
		return view{}, false
	}
	if f := d.checkCall(r); f != nil && !strings.HasSuffix(r.URL.Path, "/whoami") {
		d.refuse(w, r, f)
		return view{}, false
	}
	// A provider that takes POST reads its arguments from the form as well.
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](r.ParseForm()); tooLarge {
		d.refuse(w, r, &fault{faultTooLarge, "The body is larger than 64 KiB."})
		return view{}, false
	}
	return view{
		identity: identify(of.account),
		install:  of.install,
		scopes:   scopes,
		now:      s.now(),
		origin:   s.origin(r),
		query:    r.Form,
	}, true
}
