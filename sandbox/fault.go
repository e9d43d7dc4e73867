package sandbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// faultKey is a reason for refusing a request, before a provider gives it its name.
type faultKey int

const (
	faultRequest   faultKey = iota // malformed: missing, repeated or contradicting parameters
	faultMedia                     // not a form
	faultClient                    // client authentication failed
	faultGrantType                 // not a grant type we know
	faultCode                      // code unknown, expired, of another client or with a wrong verifier
	faultReplay                    // code used before
	faultRedirect                  // another redirect URI than at authorization
	faultRefresh                   // refresh token unknown, ended, revoked or of another client
	faultScope                     // more scopes than were granted
	faultToken                     // revocation of a token that is not alive
	faultTooLarge
	faultServer // what token_500_once asks for
	faultBasic  // HTTP Basic where it is not understood
)

// fault is a refusal: a reason and a sentence for the developer who reads it.
type fault struct {
	key      faultKey
	sentence string
}

// plainFaults are the names and statuses of RFC 6749 section 5.2 and RFC 7009.
var plainFaults = map[faultKey]struct {
	name   string
	status int
}{
	faultRequest:   {"invalid_request", http.StatusBadRequest},
	faultMedia:     {"invalid_request", http.StatusBadRequest},
	faultClient:    {"invalid_client", http.StatusUnauthorized},
	faultGrantType: {"unsupported_grant_type", http.StatusBadRequest},
	faultCode:      {"invalid_grant", http.StatusBadRequest},
	faultReplay:    {"invalid_grant", http.StatusBadRequest},
	faultRedirect:  {"invalid_grant", http.StatusBadRequest},
	faultRefresh:   {"invalid_grant", http.StatusBadRequest},
	faultScope:     {"invalid_scope", http.StatusBadRequest},
	faultToken:     {"invalid_token", http.StatusBadRequest},
	faultTooLarge:  {"request_too_large", http.StatusRequestEntityTooLarge},
	faultServer:    {"server_error", http.StatusInternalServerError},
	faultBasic:     {"invalid_client", http.StatusUnauthorized},
}

// refuse answers with a fault in the provider's own words.
func (d *dialect) refuse(w http.ResponseWriter, r *http.Request, f *fault) {
	plain := plainFaults[f.key]
	name, status := plain.name, plain.status
	if own, ok := d.faults[f.key]; ok {
		name = own
	}
	if f.key == faultBasic {
		status = d.basicRefusal
	}
	if d.faultStatus != 0 && f.key != faultServer && f.key != faultTooLarge {
		status = d.faultStatus
	}
	if d.fault != nil && f.key != faultTooLarge {
		own, body := d.fault(f.key, f.sentence)
		if f.key == faultServer {
			own = status
		}
		d.write(w, r, own, body)
		return
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="sandbox"`) // RFC 6749 section 5.2
	}
	body := map[string]any{"error": name, "error_description": f.sentence}
	if d.faultBody != nil {
		body = d.faultBody(name, f.sentence)
	}
	d.write(w, r, status, body)
}

// write sends an answer of the token or revocation endpoint: JSON, or for a provider
// that prefers forms the encoding that Accept asks for.
func (d *dialect) write(w http.ResponseWriter, r *http.Request, status int, body map[string]any) {
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	if !d.formAnswers || strings.Contains(r.Header.Get("Accept"), "json") {
		writeJSON(w, status, body)
		return
	}
	form := url.Values{}
	for k, v := range body {
		text, ok := v.(string)
		if !ok {
			raw, _ := json.Marshal(v) // numbers and booleans of our own tables
			text = string(raw)
		}
		form.Set(k, text)
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(form.Encode()))
}
