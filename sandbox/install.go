package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Some providers have no authorization request: the owner of a site installs the app,
// the browser comes back with a signed instance, and the app mints tokens for it with
// its own credentials.
//
// https://dev.wix.com/docs/build-apps/launch-your-app/app-distribution/install-your-app/about-the-external-install-flow
// https://dev.wix.com/docs/build-apps/develop-your-app/access/app-instances/parse-the-app-instance-query-parameter

// readInstall finds the way back, which carries the client's state, and says why it
// refuses it.
func (req *authorizeRequest) readInstall(q url.Values) string {
	for _, never := range []string{"response_type", "redirect_uri", "scope", "code_challenge", "state"} {
		if q.Has(never) {
			return "The installer has no parameter " + never + "."
		}
	}
	req.redirect = q.Get("postInstallationUrl")
	target, refusal := loopback(req.redirect)
	req.target = target
	if refusal == "" {
		req.state = "" // it stands in the query of the address, and comes back with it
	}
	return refusal
}

// installed ends an installation: a grant that is there at once, and a callback that
// names the instance.
func (s *Server) installed(w http.ResponseWriter, r *http.Request, d *dialect, req authorizeRequest, sc scenario, account string) {
	instance := guid(account, "instance/"+req.client)
	s.grants.install(authorization{dialect: d, scenario: sc, client: req.client, account: account, install: instance})
	params := url.Values{
		"appId":          {req.client},
		"tenantId":       {guid(account, "site")},
		"instanceId":     {instance},
		"signedInstance": {signInstance(instance, req.client, s.now())},
	}
	if sc.Name == WrongIss {
		params.Set("iss", wrongIssuer)
	}
	switch sc.Name {
	case FormPost:
		s.page(w, http.StatusOK, "formpost", formPostPage{Type: d, Host: req.target.Host, Action: req.redirect, Fields: s.callback(r, req, params)})
	case Coop:
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		s.page(w, http.StatusOK, "onward", onwardPage{Type: d, Host: req.target.Host, URL: withQuery(req.target, s.callback(r, req, params))})
	default:
		s.sendBack(w, r, req, params)
	}
}

// signInstance is signature.payload: an HMAC-SHA256 with the app's secret over the
// encoded payload.
func signInstance(instance, client string, now time.Time) string {
	raw, err := json.Marshal(map[string]any{
		"instanceId": instance, "appDefId": client, "signDate": now.UTC().Format(time.RFC3339), "permissions": "OWNER",
	})
	if err != nil {
		panic(err) // texts
	}
	payload := base64.RawURLEncoding.EncodeToString(raw)
	mac := hmac.New(sha256.New, []byte(clientSecret))
	mac.Write([]byte(payload))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) + "." + payload
}

// mint gives a token to an app that is installed.
func (s *Server) mint(d *dialect, client string, form url.Values) (issued, scenario, *fault) {
	if form.Get("grant_type") != "client_credentials" {
		return issued{}, scenario{}, &fault{faultGrantType, "The grant_type is client_credentials."}
	}
	if form.Get("instance_id") == "" {
		return issued{}, scenario{}, &fault{faultRequest, "The instance_id is missing."}
	}
	return s.grants.mint(d, client, form.Get("instance_id"))
}

// install makes a grant without a code. One that is there already goes on.
func (g *grants) install(a authorization) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	g.sweep(now)
	for _, gr := range g.list {
		if gr.install == a.install && gr.dialect == a.dialect {
			gr.end(now)
		}
	}
	gr := &grant{authorization: a}
	if a.scenario.Name == RevokedLater {
		gr.endsAt = now.Add(revokedLaterAfter)
	}
	g.list = append(g.list, gr)
	if len(g.list) > maxGrants {
		g.dropGrant(g.list[0])
		g.list = g.list[1:]
	}
}

func (g *grants) mint(d *dialect, client, instance string) (issued, scenario, *fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	for i := len(g.list) - 1; i >= 0; i-- {
		gr := g.list[i]
		if gr.install != instance || gr.dialect != d || gr.client != client || gr.over(now) {
			continue
		}
		if gr.scenario.Name == Token500Once && !gr.failed {
			gr.failed = true
			return issued{}, scenario{}, &fault{faultServer, "This request fails because the scenario says so; the next one works."}
		}
		return g.issue(gr, nil, now, true), gr.scenario, nil
	}
	return issued{}, scenario{}, &fault{faultRefresh, "The app is not installed there."}
}

// guid is an id in the form of RFC 9562, derived from a name.
func guid(account, salt string) string {
	sum := who(account).hash("guid/" + salt)
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 36)
	for i, b := range sum[:16] {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, digits[b>>4], digits[b&15])
	}
	return string(out)
}
