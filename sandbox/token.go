package sandbox

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	clientSecret = "sandbox-secret" // of every client
	maxBody      = 64 << 10
)

// token is the token endpoint (RFC 6749 section 3.2): exchange and refresh.
func (s *Server) token(w http.ResponseWriter, r *http.Request, d *dialect) {
	if !allowed(w, r, http.MethodPost) {
		return
	}
	out, sc, f := s.answerToken(w, r, d)
	if f != nil {
		d.refuse(w, r, f)
		return
	}
	if sc.Name == SlowToken {
		// The tokens exist by now: a client that hangs up has used its code or its
		// refresh token and does not know what became of it.
		s.wait(r.Context().Done(), slowTokenDelay)
	}
	shown := out
	shown.scopes = d.listed(out.scopes)
	answer := d.answer(shown)
	s.addIDToken(d, out, answer)
	d.write(w, r, d.status, answer)
}

func (s *Server) answerToken(w http.ResponseWriter, r *http.Request, d *dialect) (issued, scenario, *fault) {
	if f := d.checkCall(r); f != nil {
		return issued{}, scenario{}, f
	}
	form, f := d.readBody(w, r)
	if f != nil {
		return issued{}, scenario{}, f
	}
	for name, value := range d.tokenQuery {
		if r.URL.Query().Get(name) != value {
			return issued{}, scenario{}, &fault{faultRequest, "The query lacks " + name + "=" + value + "."}
		}
	}
	client, f := d.authenticate(r, form)
	if f != nil {
		return issued{}, scenario{}, f
	}
	if d.checkFields != nil {
		if f := d.checkFields(form.Get("grant_type"), form); f != nil {
			return issued{}, scenario{}, f
		}
	}
	if d.installs {
		return s.mint(d, client, form)
	}
	grantType := form.Get("grant_type")
	if grantType == "" && d.grantTypeOptional && form.Has("code") {
		grantType = "authorization_code"
	}
	switch grantType {
	case "authorization_code":
		if form.Get("code") == "" {
			return issued{}, scenario{}, &fault{faultRequest, "The code is missing."}
		}
		return s.grants.exchange(codeRequest{
			dialect: d, client: client,
			code: form.Get("code"), redirect: form.Get("redirect_uri"), verifier: form.Get("code_verifier"),
		})
	case "refresh_token":
		if form.Get("refresh_token") == "" {
			return issued{}, scenario{}, &fault{faultRequest, "The refresh_token is missing."}
		}
		req := refreshRequest{dialect: d, client: client, token: form.Get("refresh_token")}
		if d.scopeNarrowing && form.Get("scope") != "" {
			req.scopes = strings.Fields(form.Get("scope"))
		}
		return s.grants.renew(req)
	case "":
		return issued{}, scenario{}, &fault{faultRequest, "The grant_type is missing."}
	}
	return issued{}, scenario{}, &fault{faultGrantType, "The grant_type is authorization_code or refresh_token."}
}

// listed is what an answer says of the granted scopes.
func (d *dialect) listed(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return slices.Contains(d.scopeHidden, s) })
}

// checkCall finds a header that this provider wants with every call.
func (d *dialect) checkCall(r *http.Request) *fault {
	for name, value := range d.headers {
		if got := r.Header.Get(name); got == "" || value != "" && !strings.Contains(got, value) {
			return &fault{faultRequest, "The header " + name + " is missing, or not what this provider wants."}
		}
	}
	return nil
}

// readBody reads a body in an encoding that this provider takes. Texts of a JSON
// object become fields.
func (d *dialect) readBody(w http.ResponseWriter, r *http.Request) (url.Values, *fault) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if d.body == bodyForm || d.body == bodyEither && media != "application/json" {
		return readForm(w, r)
	}
	if media != "application/json" {
		return nil, &fault{faultMedia, "The body must be application/json."}
	}
	var object map[string]any
	switch err := readJSON(w, r, &object); {
	case errors.Is(err, errTooLarge):
		return nil, &fault{faultTooLarge, "The body is larger than 64 KiB."}
	case err != nil:
		return nil, &fault{faultRequest, "The body is not a JSON object."}
	}
	form := url.Values{}
	for name, value := range object {
		if text, ok := value.(string); ok {
			form.Set(name, text)
		}
	}
	return form, nil
}

// readForm reads a form-encoded body in which no parameter is repeated (RFC 6749
// section 3.2).
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *fault) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, &fault{faultMedia, "The body must be application/x-www-form-urlencoded."}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, &fault{faultTooLarge, "The body is larger than 64 KiB."}
		}
		return nil, &fault{faultRequest, "The body is not a well-formed form."}
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return nil, &fault{faultRequest, "The parameter " + quote(name) + " is there more than once."}
		}
	}
	return r.PostForm, nil
}

// noClient is said where the client did not authenticate at all; some providers answer
// that in other words than a wrong secret.
const noClient = "The client id is missing where this provider looks for it."

// authenticate checks the client in the ways this provider knows, and no two at once
// (RFC 6749 section 2.3). Every client has the same secret.
func (d *dialect) authenticate(r *http.Request, form url.Values) (string, *fault) {
	id, secret := form.Get(d.tokenClientParam), form.Get("client_secret")
	if d.clientless {
		if secret != clientSecret {
			return "", &fault{faultClient, "The client secret is not " + clientSecret + "."}
		}
		return "", nil
	}
	if r.Header.Get("Authorization") != "" && !d.basicAuth && d.basicRefusal != 0 {
		return "", &fault{faultBasic, "HTTP Basic is not understood here."}
	}
	if r.Header.Get("Authorization") != "" && d.basicAuth {
		basicID, basicSecret, ok := basicClient(r)
		switch {
		case !ok:
			return "", &fault{faultClient, "The Authorization header is not HTTP Basic with a client id and secret."}
		case form.Has("client_secret") || id != "" && id != basicID:
			return "", &fault{faultRequest, "The client authenticated in the header and in the body; one of them is enough."}
		}
		id, secret = basicID, basicSecret
	} else if !d.postAuth {
		id, secret = "", ""
	}
	switch {
	case id == "":
		return "", &fault{faultClient, noClient}
	case secret != clientSecret:
		return "", &fault{faultClient, "The client secret is not " + clientSecret + "."}
	}
	return id, nil
}

// basicClient reads HTTP Basic as RFC 6749 section 2.3.1 has it, each half form-encoded.
func basicClient(r *http.Request) (id, secret string, ok bool) {
	id, secret, ok = r.BasicAuth()
	if !ok {
		return "", "", false
	}
	if plain, err := url.QueryUnescape(id); err == nil {
		id = plain
	}
	if plain, err := url.QueryUnescape(secret); err == nil {
		secret = plain
	}
	return id, secret, id != ""
}

// quote shortens what a stranger sent before it is shown.
func quote(s string) string {
	if len(s) > 40 {
		s = strings.ToValidUTF8(s[:40], "") + "…"
	}
	return `"` + s + `"`
}
