package acme

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
)

// openConnectors sends the signed-in user to Patchbay's page, full width. The address
// works once and within minutes, so it is made on the press and not printed before.
func (a *app) openConnectors(w http.ResponseWriter, r *http.Request) {
	u, ok := a.sessions.current(r)
	if !ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	made, err := a.patchbay.session(r.Context(), u, a.cfg.PublicURL+"/return")
	if err != nil {
		a.failed(w, r, err)
		return
	}
	a.sendTo(w, r, made.URL)
}

// pending is a flow that waits for the app's word.
type pending struct{ Flow, ResultCode string }

// parsePending takes the two values from a query or a form.
func parsePending(v url.Values) (pending, bool) {
	p := pending{v.Get("flow"), v.Get("result_code")}
	return p, p.Flow != "" && p.ResultCode != "" && len(p.Flow) <= 200 && len(p.ResultCode) <= 200
}

// verify is the app's verify_url: Patchbay asks here whether the person who came back
// from the provider is the one who began. The answer is the user of Acme's own session
// and nothing that the address says; otherwise somebody could finish a flow that
// another user began, and end up with an account linked to the wrong person.
func (a *app) verify(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet { // HEAD comes along with GET; it must not use the result code up
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	p, ok := parsePending(r.URL.Query())
	if !ok {
		a.message(w, r, http.StatusBadRequest, message{
			Title: "This link is incomplete", Sentence: "Start again from your linked accounts.", Code: "invalid_request",
		})
		return
	}
	u, ok := a.sessions.current(r)
	if !ok {
		a.render(w, http.StatusOK, "signin", page{Title: "Sign in to finish", Users: users, Pending: &p})
		return
	}
	done, err := a.patchbay.confirm(r.Context(), p.Flow, p.ResultCode, u.ID)
	if err != nil {
		a.failed(w, r, err)
		return
	}
	a.sendTo(w, r, done.ResultURL)
}

// returned is the app's return_url. What the address says is only a hint for one
// sentence; what is linked is what the list below it shows, which Patchbay tells the
// back end.
func (a *app) returned(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	a.showHome(w, r, http.StatusOK, page{Notice: outcome(q.Get("status"), q.Get("code"))})
}

// notice is the sentence after a flow.
type notice struct {
	Status, Code, Sentence string
	Good                   bool
}

// outcome makes the sentence of known words, and none of others.
func outcome(status, code string) *notice {
	sentences := map[string]string{
		"connected":  "The account is linked.",
		"denied":     "Nothing was linked: access was refused at the provider.",
		"failed":     "The account could not be linked.",
		"expired":    "Linking took too long and was ended. Please start again.",
		"superseded": "A later attempt has taken the place of this one.",
		"canceled":   "Linking was canceled.",
	}
	sentence, ok := sentences[status]
	if !ok {
		return nil
	}
	n := &notice{Status: status, Sentence: sentence, Good: status == "connected"}
	if slices.Contains(flowCodes, code) {
		n.Code = code
	}
	switch n.Code {
	case "scopes_missing":
		n.Sentence = "The account is linked, but some permissions were left out."
	case "no_refresh_token":
		n.Sentence = "The account is linked, but only for a while."
	case "account_mismatch":
		n.Sentence = "Nothing was changed: that was another account than the linked one."
	case "user_mismatch":
		n.Sentence = "Nothing was linked: somebody else had begun."
	}
	return n
}

// flowCodes are the words that Patchbay may put into code.
var flowCodes = []string{
	"connected", "scopes_missing", "no_refresh_token",
	"access_denied", "expired", "superseded", "canceled",
	"account_mismatch", "user_mismatch", "assurance_too_low", "issuer_mismatch", "client_rejected",
	"scope_rejected", "redirect_uri_rejected", "provider_error", "provider_unavailable",
}

// sendTo goes on to an address that Patchbay gave.
func (a *app) sendTo(w http.ResponseWriter, r *http.Request, address string) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		a.failed(w, r, errors.New("patchbay gave no address to go to"))
		return
	}
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// failed shows what went wrong with a call of Patchbay: one sentence for the user, the
// cause for the log.
func (a *app) failed(w http.ResponseWriter, r *http.Request, err error) {
	a.log.Warn("patchbay call failed", "path", r.URL.Path, "err", err)
	code, m := "unavailable", message{Title: "Accounts are out of reach", Sentence: patchbayDown}
	status := http.StatusBadGateway
	if failed, ok := errors.AsType[*apiError](err); ok {
		code = failed.Code
		if failed.Status < 500 && failed.Status != http.StatusUnauthorized {
			status = failed.Status // 401 is about our service token, not about the user
		}
		m = message{Title: "That did not work", Sentence: "Accounts cannot be linked right now. The people who run Acme Notes have to look into it."}
	}
	switch code {
	case "user_mismatch":
		m = message{
			Title:    "This link was started by someone else",
			Sentence: "You are signed in to Acme Notes as another user than the one who began to link this account, so nothing was linked. If it was you, sign in as that user and start again.",
		}
	case "forbidden":
		if r.URL.Path == "/verify" {
			m = message{Title: "This link is no longer good", Sentence: "It was used before, or it took too long. Nothing was linked by it; start again from your linked accounts."}
		}
	case "flow_finished":
		m = message{Title: "This is over already", Sentence: "Linking has ended, one way or the other. Your linked accounts show how."}
	case "not_found":
		m = message{Title: "This is gone", Sentence: "What you were looking for is not there any more. Start again from your linked accounts."}
	case "assurance_too_low":
		m = message{Title: "Not in this way", Sentence: "Acme Notes asks for a safer way of linking than this one."}
	case "rate_limited":
		m = message{Title: "One moment", Sentence: "That was a lot at once. Please wait a minute and try again."}
	case "provider_unavailable", "unavailable":
		m = message{Title: "Accounts are out of reach", Sentence: patchbayDown}
	}
	m.Code = code
	a.message(w, r, status, m)
}

const patchbayDown = "The service that keeps your linked accounts does not answer. Please try again in a minute."
