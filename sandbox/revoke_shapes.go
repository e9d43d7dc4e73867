package sandbox

import (
	"errors"
	"net/http"
	"net/url"
)

// revokeForm is a revocation by a form: what stands in it and what it ends.
type revokeForm struct {
	token       string // the field; default "token"
	client      bool   // the client proves itself, as at the token endpoint
	basic       bool   // by HTTP Basic and in no other way
	refreshOnly bool   // access tokens are refused
	accessOnly  bool   // refresh tokens are refused
	whole       bool   // an access token takes its grant along
	deadStatus  int    // of a token that is dead; 0: as a living one (RFC 7009 section 2.2)
	body        map[string]any
}

func (s *Server) revokeForm(w http.ResponseWriter, r *http.Request, d *dialect, how revokeForm) {
	if !allowed(w, r, http.MethodPost) {
		return
	}
	form, f := readForm(w, r)
	if f != nil {
		d.refuse(w, r, f)
		return
	}
	client := ""
	if how.basic && r.Header.Get("Authorization") == "" {
		d.refuse(w, r, &fault{faultClient, "The client authenticates by HTTP Basic here."})
		return
	}
	if how.client || how.basic {
		if client, f = d.authenticate(r, form); f != nil {
			d.refuse(w, r, f)
			return
		}
	}
	field := "token"
	if how.token != "" {
		field = how.token
	}
	s.concludeRevoke(w, r, d, how, client, form.Get(field), field)
}

// revokeBody is a revocation by a JSON body.
type revokeBody struct {
	token       string // the field
	client      bool   // client_id and client_secret stand in the body
	basic       bool   // HTTP Basic
	header      string // Authorization is this and the client secret
	refreshOnly bool
	whole       bool
	status      int // of success; default 200
	body        map[string]any
}

func (s *Server) revokeJSON(w http.ResponseWriter, r *http.Request, d *dialect, how revokeBody) {
	if !allowed(w, r, http.MethodPost) {
		return
	}
	var body map[string]string
	if got := r.Header.Get("Content-Type"); got != "application/json" {
		d.refuse(w, r, &fault{faultMedia, "The body must be application/json."})
		return
	}
	switch err := readJSON(w, r, &body); {
	case errors.Is(err, errTooLarge):
		d.refuse(w, r, &fault{faultTooLarge, "The body is larger than 64 KiB."})
		return
	case err != nil:
		d.refuse(w, r, &fault{faultRequest, "The body is not a JSON object of texts."})
		return
	}
	client, f := how.who(r, d, body)
	if f != nil {
		d.refuse(w, r, f)
		return
	}
	if how.status != 0 && s.aliveFor(d, body[how.token], client) {
		s.grants.revoke(revokeRequest{dialect: d, token: body[how.token], client: client})
		w.WriteHeader(how.status)
		return
	}
	s.concludeRevoke(w, r, d, revokeForm{refreshOnly: how.refreshOnly, whole: how.whole, deadStatus: http.StatusBadRequest, body: how.body}, client, body[how.token], how.token)
}

func (how revokeBody) who(r *http.Request, d *dialect, body map[string]string) (string, *fault) {
	switch {
	case how.basic:
		id, secret, ok := basicClient(r)
		if !ok || secret != clientSecret {
			return "", &fault{faultClient, "The client id and secret do not stand in the Authorization header."}
		}
		return id, nil
	case how.header != "":
		if r.Header.Get("Authorization") != how.header+clientSecret || body["client_id"] == "" {
			return "", &fault{faultClient, "The Authorization header is not " + how.header + "and the secret."}
		}
		return body["client_id"], nil
	}
	return d.authenticate(r, url.Values{d.tokenClientParam: {body["client_id"]}, "client_secret": {body["client_secret"]}})
}

func (s *Server) aliveFor(d *dialect, token, client string) bool {
	return s.grants.revoke(revokeRequest{dialect: d, token: token, client: client, dryRun: true}) == tokenAlive
}

// concludeRevoke ends what is to end and answers.
func (s *Server) concludeRevoke(w http.ResponseWriter, r *http.Request, d *dialect, how revokeForm, client, token, field string) {
	if token == "" {
		d.refuse(w, r, &fault{faultRequest, "The " + field + " is missing."})
		return
	}
	if kind, known := s.grants.kind(d, token); known && (how.refreshOnly && kind == "access" || how.accessOnly && kind == "refresh") {
		d.refuse(w, r, &fault{faultToken, "This kind of token cannot be revoked here: " + kind + "."})
		return
	}
	state := s.grants.revoke(revokeRequest{dialect: d, token: token, client: client, accessOnly: !how.whole})
	if state != tokenAlive && how.deadStatus != 0 {
		d.refuse(w, r, &fault{faultToken, "The token is " + string(state) + "."})
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if how.body == nil {
		w.WriteHeader(http.StatusOK)
		return
	}
	writeJSON(w, http.StatusOK, how.body)
}

// kind tells an access token from a refresh token.
func (g *grants) kind(d *dialect, value string) (string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tokens[value]
	switch {
	case t == nil || t.grant.dialect != d:
		return "", false
	case t.refresh:
		return "refresh", true
	}
	return "access", true
}

// revokeMine ends the grant of the bearer token, whose own word is all that is asked.
func (s *Server) revokeMine(w http.ResponseWriter, r *http.Request, d *dialect, dead int, body any) {
	if !allowed(w, r, http.MethodPost) {
		return
	}
	state := tokenMissing
	if value := bearer(r); value != "" {
		state = s.grants.revoke(revokeRequest{dialect: d, token: value})
	}
	if state != tokenAlive {
		writeJSON(w, dead, d.unauthorized(state))
		return
	}
	writeJSON(w, http.StatusOK, body)
}

// revokeWhere ends every grant at this provider for a client whose account is that one,
// and says how many there were.
func (g *grants) revokeWhere(d *dialect, client string, is func(identity) bool) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, n := g.now(), 0
	for _, gr := range g.list {
		if gr.dialect == d && (client == "" || gr.client == client) && is(identify(gr.account)) && gr.end(now) {
			n++
		}
	}
	return n
}
