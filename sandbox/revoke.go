package sandbox

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// revocation is a style of revoking: how the token is sent, and what a dead one is
// answered with.
type revocation int

const (
	revokeRFC7009  revocation = iota // POST form with client authentication; a dead token is 200
	revokeByForm                     // POST form without it; a dead token is 400 invalid_token
	revokeByDelete                   // DELETE, HTTP Basic, JSON body; 204, a dead token is 404
	revokeNone                       // there is no such address
	revokeByBearer                   // the token revokes itself; "revoked": true
)

// revoke ends a token at the provider, in the provider's style.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request, d *dialect) {
	if f := d.checkCall(r); f != nil {
		d.refuse(w, r, f)
		return
	}
	if d.revokeWith != nil {
		d.revokeWith(s, w, r, d)
		return
	}
	switch d.revocation {
	case revokeNone:
		writeJSON(w, http.StatusNotFound, d.notFound)
	case revokeRFC7009:
		// A refresh token takes its access tokens along (section 2.1), and an unknown
		// token is a success (section 2.2).
		s.revokeForm(w, r, d, revokeForm{client: true})
	case revokeByForm:
		s.revokeForm(w, r, d, revokeForm{whole: true, deadStatus: http.StatusBadRequest, body: map[string]any{}})
	case revokeByDelete:
		s.revokeByDelete(w, r, d)
	case revokeByBearer:
		s.revokeByBearer(w, r, d)
	}
}

func (s *Server) revokeByDelete(w http.ResponseWriter, r *http.Request, d *dialect) {
	if !allowed(w, r, http.MethodDelete) {
		return
	}
	id, secret, ok := r.BasicAuth()
	if !ok || id == "" || secret != clientSecret {
		w.Header().Set("WWW-Authenticate", `Basic realm="sandbox"`)
		writeJSON(w, http.StatusUnauthorized, d.unauthorized(tokenMissing))
		return
	}
	var body struct {
		AccessToken string `json:"access_token"`
	}
	switch err := readJSON(w, r, &body); {
	case errors.Is(err, errTooLarge):
		d.refuse(w, r, &fault{faultTooLarge, "The body is larger than 64 KiB."})
		return
	case err != nil || body.AccessToken == "":
		writeJSON(w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed: access_token is required."})
		return
	}
	if s.grants.revoke(revokeRequest{dialect: d, token: body.AccessToken, client: id}) != tokenAlive {
		writeJSON(w, http.StatusNotFound, d.notFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) revokeByBearer(w http.ResponseWriter, r *http.Request, d *dialect) {
	if !allowed(w, r, http.MethodPost, http.MethodGet) {
		return
	}
	value := bearer(r)
	state := tokenMissing
	dryRun := r.URL.Query().Get("test") == "1"
	if value != "" {
		state = s.grants.revoke(revokeRequest{dialect: d, token: value, dryRun: dryRun})
	}
	if state != tokenAlive {
		writeJSON(w, http.StatusOK, d.unauthorized(state))
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"ok": true, "revoked": !dryRun})
}

// bearer is the token of the Authorization header (RFC 6750 section 2.1), "" if none.
func bearer(r *http.Request) string {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(value)
}

var errTooLarge = errors.New("body too large")

// readJSON reads one small JSON value, whatever content type was declared.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	err := json.NewDecoder(r.Body).Decode(v)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return errTooLarge
	}
	return err
}
