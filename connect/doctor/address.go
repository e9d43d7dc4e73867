package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	addressSubject = "public address"
	canary         = "b44k_doctor_canary"
	spoofed        = "203.0.113.77" // of TEST-NET-3 (RFC 5737): nobody's
	query          = "?state=a%2Bb&code=4%2F0A%20b"
)

// address asks the public address from outside.
func (d *Doctor) address(ctx context.Context) []Finding {
	d.tell("%s", d.Service.PublicURL)
	a, resp, err := d.ask(ctx, d.Service.PublicURL, CallbackPath+query)
	if err != nil {
		return []Finding{d.unreachable(ctx, err)}
	}
	if a == nil {
		return []Finding{d.somebodyElse(ctx, resp)}
	}
	out := d.judge(a, resp)
	d.tell("frames")
	if f, resp, err := d.ask(ctx, d.Service.PublicURL, FramePath); err == nil && f != nil {
		out = append(out, framing(f, resp)...)
	}
	d.tell("streams")
	return append(out, d.stream(ctx)...)
}

// ask sends a request with a pass. The answer is nil where it is not of our server.
func (d *Doctor) ask(ctx context.Context, base, path string) (*Answer, *http.Response, error) {
	req, err := d.request(ctx, base, path)
	if err != nil {
		return nil, nil, err
	}
	resp, err := d.Client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, nil, err
	}
	var a Answer
	if json.Unmarshal(body, &a) != nil || a.Doctor != 1 {
		return nil, resp, nil
	}
	return &a, resp, nil
}

func (d *Doctor) request(ctx context.Context, base, path string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(Header, Pass(d.Service.Sealer, time.Now()))
	req.Header["api_key"] = []string{canary}
	req.Header.Set("on-behalf-of", "Bearer "+canary)
	req.Header.Set("Authorization", "Bearer "+canary)
	req.Header.Set("X-Forwarded-For", spoofed)
	req.AddCookie(&http.Cookie{Name: d.cookieName(), Value: "doctor"})
	return req, nil
}

func (d *Doctor) cookieName() string {
	if strings.HasPrefix(d.Service.PublicURL, "https:") {
		return "__Host-" + CookieName
	}
	return CookieName
}

func (d *Doctor) unreachable(ctx context.Context, err error) Finding {
	f := Finding{
		Code: "unreachable", Subject: addressSubject,
		What:  "Nothing answers at " + d.Service.PublicURL + ": " + cause(err) + ".",
		Why:   "Every link, redirect URI and cookie uses this address.",
		Paste: "Start patchbay serve and the proxy before it, or mend the address:\n  PATCHBAY_PUBLIC_URL=https://THE-ADDRESS-IN-THE-BROWSER",
	}
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	if errors.As(err, &unknown) || errors.As(err, &invalid) || errors.As(err, &host) {
		f.Code = "tls"
		f.What = "The certificate of " + d.Service.PublicURL + " is not good: " + cause(err) + "."
		f.Why = "Browsers warn instead of showing the page, and providers refuse the address."
		f.Paste = "Renew the certificate for this name with its whole chain, for example:\n  certbot --nginx -d " + hostOf(d.Service.PublicURL)
		return f
	}
	if d.speaksTLS(ctx) {
		return d.schemeFinding()
	}
	return f
}

// somebodyElse: an answer came, and it is not our server's.
func (d *Doctor) somebodyElse(ctx context.Context, resp *http.Response) Finding {
	if to, err := url.Parse(resp.Header.Get("Location")); err == nil && resp.StatusCode/100 == 3 && to.Host != "" {
		return Finding{
			Code: "redirected", Subject: addressSubject,
			What:  fmt.Sprintf("%s redirects to %s://%s.", d.Service.PublicURL, to.Scheme, to.Host),
			Why:   "A cookie set under one address is not sent to another, so flows end as cookie_missing.",
			Paste: "Use the address that people end up at:\n  PATCHBAY_PUBLIC_URL=" + to.Scheme + "://" + to.Host,
		}
	}
	if strings.HasPrefix(d.Service.PublicURL, "http:") && d.speaksTLS(ctx) {
		return d.schemeFinding()
	}
	return Finding{
		Code: "not_this_server", Subject: addressSubject,
		What: fmt.Sprintf("Something else answers at %s (status %d, server %q), or a Patchbay with other keys, or the proxy drops headers it does not know.",
			d.Service.PublicURL, resp.StatusCode, resp.Header.Get("Server")),
		Why:   "Every link, redirect URI and cookie uses this address.",
		Paste: "Set the address that leads to this server,\n  PATCHBAY_PUBLIC_URL=https://THE-ADDRESS-IN-THE-BROWSER\nor let the proxy there lead to it:\n  proxy_pass http://" + d.Listen + ";",
	}
}

// speaksTLS reports whether our server is found under the same host by https.
func (d *Doctor) speaksTLS(ctx context.Context) bool {
	u, err := url.Parse(d.Service.PublicURL)
	if err != nil || u.Scheme != "http" {
		return false
	}
	// Whether the certificate is good is not the question here, and nothing secret is sent
	// but a pass that is good for an hour and opens nothing.
	t := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	c := &http.Client{Transport: t, CheckRedirect: d.Client.CheckRedirect, Timeout: d.Client.Timeout}
	other := &Doctor{Service: d.Service, Listen: d.Listen, Client: c}
	a, _, err := other.ask(ctx, "https://"+u.Host, CallbackPath+query)
	return err == nil && a != nil
}

func (d *Doctor) schemeFinding() Finding {
	return Finding{
		Code: "scheme", Subject: addressSubject,
		What:  "People reach this server by https, and PATCHBAY_PUBLIC_URL says http.",
		Why:   "Forms are refused as of another origin, cookies are set without Secure, and providers are sent a redirect URI that leads nowhere.",
		Paste: "PATCHBAY_PUBLIC_URL=https://" + strings.TrimPrefix(d.Service.PublicURL, "http://"),
	}
}

// judge compares what was sent with what arrived, both ways.
func (d *Doctor) judge(a *Answer, resp *http.Response) []Finding {
	var out []Finding
	add := func(code, what, why, paste string) {
		out = append(out, Finding{code, addressSubject, what, why, paste})
	}
	if a.PublicURL != d.Service.PublicURL {
		add("public_url_differs", "The server that answers has PATCHBAY_PUBLIC_URL="+a.PublicURL+", and here it is "+d.Service.PublicURL+".",
			"Links of one do not work at the other.", "Give all instances and commands the same value.")
	}
	if strings.HasPrefix(d.Service.PublicURL, "http:") && slices.Equal(a.Header["x-forwarded-proto"], []string{"https"}) {
		out = append(out, d.schemeFinding())
	}
	if a.URI != CallbackPath+query {
		add("address_rewritten", "The proxy changes addresses: "+CallbackPath+query+" arrived as "+a.URI+".",
			"Identifiers with an encoded slash and the provider's code and state must arrive as they were sent.",
			"In nginx, write no path after the port, not even a slash:\n  proxy_pass http://"+d.Listen+";")
	}
	if !slices.Contains(a.Cookies, d.cookieName()) {
		add("cookies_dropped", "Cookies do not arrive on the callback's path.",
			"The cookie binds a flow to the browser that began it: every flow ends as cookie_missing.",
			"In the proxy, pass cookies on; in nginx remove:\n  proxy_set_header Cookie \"\";")
	}
	if got, sent := resp.Header.Values("Set-Cookie"), a.Sent["set-cookie"]; !slices.Equal(got, sent) {
		add("set_cookie_changed", fmt.Sprintf("The proxy changes the cookies that are set: %q arrived as %q.", sent, got),
			"Without its attributes a browser refuses a __Host- cookie, and every flow ends as cookie_missing.",
			"In nginx remove proxy_cookie_path, proxy_cookie_flags, proxy_cookie_domain and proxy_hide_header Set-Cookie.")
	}
	if len(a.Header["api_key"]) == 0 {
		add("underscores_dropped", "Headers with an underscore in their name do not arrive.",
			"The base44 command-line tool sends the builder key as api_key and is answered with unauthorized.",
			"In the server block of nginx:\n  underscores_in_headers on;")
	}
	for _, name := range []string{"authorization", "on-behalf-of"} {
		if len(a.Header[name]) == 0 {
			add("header_dropped", "The header "+name+" does not arrive.",
				"The API is called with it.", "In nginx remove:\n  proxy_set_header "+name+" \"\";")
		}
	}
	if peer, _, err := net.SplitHostPort(a.Peer); err == nil {
		forwarded := strings.Join(a.Header["x-forwarded-for"], ", ")
		switch {
		case a.Client == spoofed && forwarded == spoofed: // nothing was appended
			add("client_address_spoofable", "The proxy passes on the X-Forwarded-For that a client made up, and it is believed.",
				"Anybody gets round the limits, and the log names addresses that nobody has.",
				"In nginx:\n  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;")
		case forwarded != "" && forwarded != spoofed && a.Client == peer && forwarded != peer:
			// An address that is the proxy's own may be the doctor's, when both are on one machine.
			add("proxy_not_trusted", "A proxy at "+peer+" tells the client's address, and it is not believed.",
				"All people share one limit of requests, the proxy's.",
				"PATCHBAY_TRUSTED_PROXIES="+asCIDR(peer))
		}
	}
	return append(out, changedHeaders(a, resp, "strict-transport-security", "referrer-policy", "x-content-type-options", "cache-control")...)
}

// framing compares the headers that decide whether the frame may be shown.
func framing(a *Answer, resp *http.Response) []Finding {
	var out []Finding
	for _, f := range changedHeaders(a, resp, "x-frame-options", "content-security-policy", "cross-origin-opener-policy",
		"cross-origin-embedder-policy", "cross-origin-resource-policy") {
		f.Code = "framing_header"
		f.Why = "The app's page shows an empty frame: browsers obey the strictest of all these headers."
		out = append(out, f)
	}
	return out
}

func changedHeaders(a *Answer, resp *http.Response, names ...string) []Finding {
	var out []Finding
	for _, name := range names {
		got, sent := resp.Header.Values(name), a.Sent[name]
		if slices.Equal(got, sent) || (name == "strict-transport-security" && len(sent) == 0) {
			continue // who adds HSTS knows why
		}
		out = append(out, Finding{
			Code: "header_changed", Subject: addressSubject,
			What:  fmt.Sprintf("The proxy changes the header %s: %q arrived as %q.", name, sent, got),
			Why:   "Patchbay sets it for each page as the page needs it.",
			Paste: "In nginx remove the add_header and proxy_hide_header lines for " + name + ".",
		})
	}
	return out
}

// stream reads two lines that are sent one after the other.
func (d *Doctor) stream(ctx context.Context) []Finding {
	req, err := d.request(ctx, d.Service.PublicURL, StreamPath)
	if err != nil {
		return nil
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := d.Client.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	var at []time.Time
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") {
			at = append(at, time.Now())
		}
	}
	if len(at) == 2 && at[1].Sub(at[0]) > StreamPause/2 {
		return nil
	}
	return []Finding{{
		Code: "stream_buffered", Subject: addressSubject,
		What:  "The proxy holds streams back until they end.",
		Why:   "A frame learns of a finished flow only when it asks again, seconds later.",
		Paste: "In the location of nginx:\n  proxy_buffering off;\n  proxy_http_version 1.1;\nand remove proxy_ignore_headers X-Accel-Buffering.",
	}}
}

// cause is the innermost reason, without the address.
func cause(err error) string {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return strings.TrimSuffix(err.Error(), ".")
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Hostname()
}

// hostPort is the host of an origin with its port written out.
func hostPort(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || u.Port() != "" {
		return strings.TrimPrefix(strings.TrimPrefix(origin, "http://"), "https://")
	}
	return net.JoinHostPort(u.Hostname(), map[string]string{"http": "80"}[u.Scheme]+map[string]string{"https": "443"}[u.Scheme])
}

func asCIDR(ip string) string {
	if strings.Contains(ip, ":") {
		return ip + "/128"
	}
	return ip + "/32"
}
