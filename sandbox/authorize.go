package sandbox

import (
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// authorizeRequest is a checked authorization request (RFC 6749 section 4.1.1).
type authorizeRequest struct {
	client    string
	redirect  string   // exactly as sent
	target    *url.URL // the same, parsed
	state     string
	scopes    []string // as asked
	challenge string
	nonce     string
	prompts   []string
	offline   bool
	hint      string // the account that the client suggests

	verifiable bool // the challenge is looked at
	quiet      bool // no iss in the answer
}

// authorize is the authorization endpoint: a page on GET, or what Next has decided;
// the person's answer on POST, which carries the request in its query once more.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request, d *dialect) {
	if !allowed(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		s.refuseOnPage(w, d, "The address is not a well-formed authorization request.")
		return
	}
	req, refusal := d.parseAuthorize(q)
	if refusal != "" {
		s.refuseOnPage(w, d, refusal)
		return
	}
	if name, sentence := d.checkAuthorize(q, req); name != "" {
		s.sendBack(w, r, req, url.Values{"error": {name}, "error_description": {sentence}})
		return
	}
	if r.Method == http.MethodPost {
		s.decide(w, r, d, req)
		return
	}
	if next := s.takeNext(); next != nil {
		account := next.account
		if account == "" {
			account = req.suggestion()
		}
		s.conclude(w, r, d, req, next.scenario, account)
		return
	}
	if d.silentPrompt && slices.Contains(req.prompts, "none") {
		// OpenID Connect Core section 3.1.2.6. Nobody is ever signed in here.
		s.sendBack(w, r, req, url.Values{"error": {"login_required"}, "error_description": {"Nobody is signed in."}})
		return
	}
	s.consent(w, http.StatusOK, d, req, consentForm{Account: req.suggestion(), Scenario: Approve})
}

// parseAuthorize reads the request. What is wrong with the client or the redirect URI
// is a sentence for a page, since nobody may be sent to such an address (section 4.1.2.1).
func (d *dialect) parseAuthorize(q url.Values) (authorizeRequest, string) {
	for name, values := range q {
		if len(values) > 1 {
			return authorizeRequest{}, "The parameter " + quote(name) + " is there more than once."
		}
	}
	req := authorizeRequest{
		client:    q.Get(d.clientParam),
		redirect:  q.Get("redirect_uri"),
		state:     q.Get("state"),
		scopes:    d.requested(q),
		challenge: q.Get("code_challenge"),
		nonce:     q.Get("nonce"),
		prompts:   strings.Fields(q.Get("prompt")),
	}
	req.offline = d.wantsOffline(q, req)
	req.quiet = d.noIssuer
	req.verifiable = d.pkce == pkceSupported || d.pkce == pkceRequired
	hintParam := "login_hint"
	if d.hintParam != "" {
		hintParam = d.hintParam
	}
	req.hint = q.Get(hintParam)
	if req.client == "" {
		return req, "The " + d.clientParam + " is missing."
	}
	if d.installs {
		return req, req.readInstall(q)
	}
	target, refusal := loopback(req.redirect)
	req.target = target
	return req, refusal
}

// wantsOffline reports whether the request asks for a refresh token in the way that
// this provider wants it.
func (d *dialect) wantsOffline(q url.Values, req authorizeRequest) bool {
	switch {
	case d.offlineParam:
		return q.Get("access_type") == "offline" && slices.Contains(req.prompts, "consent")
	case d.offlineScope != "":
		return slices.Contains(req.scopes, d.offlineScope)
	case d.offlineWant[0] != "":
		return q.Get(d.offlineWant[0]) == d.offlineWant[1]
	}
	return true
}

// loopback accepts a redirect URI on this machine, and says why it refuses another.
func loopback(raw string) (*url.URL, string) {
	if raw == "" {
		return nil, "The redirect_uri is missing."
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.User != nil:
		return nil, "The redirect_uri is not an http or https address."
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return nil, "The redirect_uri has a fragment (RFC 6749 section 3.1.2)."
	}
	host := strings.ToLower(u.Hostname())
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return u, ""
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() && !ip.Is4In6() && ip.Zone() == "" {
		return u, ""
	}
	return nil, "The redirect_uri does not lead to this machine. The sandbox sends people to localhost, *.localhost, 127.0.0.0/8 and [::1] only."
}

var challengeForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`) // 256 bits, RFC 7636 section 4.2

// checkAuthorize finds what may be told to the client at its redirect URI.
func (d *dialect) checkAuthorize(q url.Values, req authorizeRequest) (name, sentence string) {
	if d.installs {
		return "", ""
	}
	if name, sentence := d.checkWanted(q, req); name != "" {
		return name, sentence
	}
	switch responseType := q.Get("response_type"); {
	case responseType == "" && d.responseType:
		return "invalid_request", "The response_type is missing."
	case responseType != "" && responseType != "code":
		return "unsupported_response_type", "The response_type is code."
	}
	switch {
	case !req.verifiable:
		return "", ""
	case req.challenge == "" && d.pkce == pkceRequired:
		return "invalid_request", "The code_challenge is missing, and this provider requires one."
	case req.challenge == "" && q.Get("code_challenge_method") != "":
		return "invalid_request", "The code_challenge is missing."
	case req.challenge != "" && q.Get("code_challenge_method") != "S256":
		return "invalid_request", "The code_challenge_method is S256."
	case req.challenge != "" && !challengeForm.MatchString(req.challenge):
		return "invalid_request", "The code_challenge is 43 characters of base64url."
	}
	return "", ""
}

// checkWanted finds what this provider wants and others do not.
func (d *dialect) checkWanted(q url.Values, req authorizeRequest) (name, sentence string) {
	for _, param := range slices.Sorted(maps.Keys(d.wants)) {
		if got := q.Get(param); got == "" || d.wants[param] != "" && got != d.wants[param] {
			return "invalid_request", "The parameter " + quote(param) + " is missing, or not what this provider wants."
		}
	}
	if d.stateForm != nil && !d.stateForm.MatchString(req.state) {
		return "invalid_request", "The state is missing, or has characters or a length that this provider refuses."
	}
	if d.scopeless {
		return "", ""
	}
	param := "scope"
	if d.scopeParam != "" {
		param = d.scopeParam
	}
	if d.scopeNeeded && len(req.scopes) == 0 {
		return "invalid_scope", "The " + param + " is missing."
	}
	for _, s := range req.scopes {
		if d.scopeForm != nil && !d.scopeForm.MatchString(s) {
			return "invalid_scope", "There is no scope " + quote(s) + "."
		}
	}
	return "", ""
}

// suggestion is the account to begin with: whom the client hints at, unless it wants
// the person to choose.
func (req authorizeRequest) suggestion() string {
	if req.chooses() {
		return defaultAccount
	}
	account, err := parseAccount(req.hint, defaultAccount)
	if err != nil {
		return defaultAccount
	}
	return account
}

func (req authorizeRequest) chooses() bool { return slices.Contains(req.prompts, "select_account") }

// decide takes the answer of the consent page.
func (s *Server) decide(w http.ResponseWriter, r *http.Request, d *dialect, req authorizeRequest) {
	form, f := readForm(w, r)
	if f != nil {
		status := http.StatusBadRequest
		if f.key == faultTooLarge {
			status = http.StatusRequestEntityTooLarge
		}
		s.page(w, status, "error", errorPage{Type: d, Title: "This answer cannot be read", Sentence: f.sentence})
		return
	}
	name := form.Get("scenario")
	if name == "" {
		name = Approve
	}
	again := consentForm{Account: form.Get("account"), Scenario: Approve}
	sc, ok := scenarioByName(name)
	if !ok {
		again.Problem = "There is no scenario " + quote(name) + "."
		s.consent(w, http.StatusBadRequest, d, req, again)
		return
	}
	again.Scenario = name
	account, err := parseAccount(form.Get("account"), defaultAccount)
	if err != nil {
		again.Account, again.Problem = defaultAccount, "The account must be 1 to 200 bytes of text without control characters."
		s.consent(w, http.StatusBadRequest, d, req, again)
		return
	}
	switch form.Get("decision") {
	case "approve":
		s.conclude(w, r, d, req, sc, account)
	case "deny":
		deny, _ := scenarioByName(Deny)
		s.conclude(w, r, d, req, deny, account)
	default:
		again.Problem = "Press Approve or Deny."
		s.consent(w, http.StatusBadRequest, d, req, again)
	}
}

// conclude ends the authorization as the scenario says.
func (s *Server) conclude(w http.ResponseWriter, r *http.Request, d *dialect, req authorizeRequest, sc scenario, account string) {
	switch sc.Name {
	case Deny:
		if d.installs {
			s.page(w, http.StatusOK, "error", errorPage{Type: d, Title: "Not installed", Sentence: "Who does not install the app stays on this page; nothing leads back."})
			return
		}
		denial := url.Values{"error": {"access_denied"}, "error_description": {"The person pressed Deny."}}
		if d.denial != nil {
			denial = maps.Clone(d.denial)
		}
		s.sendBack(w, r, req, denial)
		return
	case ErrorPage:
		s.page(w, http.StatusBadRequest, "error", errorPage{
			Type:     d,
			Title:    "Something went wrong",
			Sentence: "The pretend " + d.noun + " shows this page because the scenario says so. It does not lead back to the app.",
		})
		return
	}

	scopes := req.scopes
	if sc.Name == FewerScopes {
		scopes = fewer(scopes)
	}
	if sc.Name == OtherAccount {
		account = otherPrefix + account
	}
	scopes = d.granted(scopes)
	params := url.Values{}
	if d.installs {
		s.installed(w, r, d, req, sc, account)
		return
	}
	if d.callback != nil {
		params = d.callback(scopes)
	}
	if d.callbackMore != nil {
		params = d.callbackMore(req, identify(account), scopes)
	}
	challenge := req.challenge
	if !req.verifiable {
		challenge = ""
	}
	params.Set("code", s.grants.authorize(authorization{
		dialect: d, scenario: sc, client: req.client, redirect: req.redirect,
		account: account, scopes: scopes, challenge: challenge, offline: req.offline,
		nonce: req.nonce, issuer: s.origin(r),
	}))
	if sc.Name == WrongIss {
		params.Set("iss", wrongIssuer)
	}
	switch sc.Name {
	case FormPost:
		s.page(w, http.StatusOK, "formpost", formPostPage{
			Type: d, Host: req.target.Host, Action: req.redirect, Fields: s.callback(r, req, params),
		})
	case Coop:
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		s.page(w, http.StatusOK, "onward", onwardPage{
			Type: d, Host: req.target.Host, URL: withQuery(req.target, s.callback(r, req, params)),
		})
	default:
		s.sendBack(w, r, req, params)
	}
}

// callback adds what every answer to the client has: its state, and iss (RFC 9207)
// unless the scenario has forged one.
func (s *Server) callback(r *http.Request, req authorizeRequest, params url.Values) url.Values {
	if req.state != "" {
		params.Set("state", req.state)
	}
	if !params.Has("iss") && !req.quiet {
		params.Set("iss", s.origin(r))
	}
	return params
}

// sendBack redirects to the client. After a POST it is 303, so that no browser posts
// the answer of the page once more (RFC 9700 section 4.12).
func (s *Server) sendBack(w http.ResponseWriter, r *http.Request, req authorizeRequest, params url.Values) {
	status := http.StatusFound
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", withQuery(req.target, s.callback(r, req, params)))
	w.WriteHeader(status)
}

// withQuery keeps the query that the redirect URI has (RFC 6749 section 3.1.2).
func withQuery(target *url.URL, params url.Values) string {
	u := *target
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += params.Encode()
	return u.String()
}

func (s *Server) refuseOnPage(w http.ResponseWriter, d *dialect, sentence string) {
	s.page(w, http.StatusBadRequest, "error", errorPage{Type: d, Title: "This request is refused", Sentence: sentence})
}
