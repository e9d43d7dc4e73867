package session

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/sessions"

	"patchbay/connect"
)

// Each flow has a cookie of its own, named after the flow, so that two tabs do not
// disturb each other. Its value is the time it was set, a dot, and the secret.
const (
	flowCookie     = "patchbay_flow_"
	maxFlowCookies = 8
)

// SetFlow gives the browser the secret of a flow. Of more than eight flows the oldest
// are dropped.
func (b *Browsers) SetFlow(w http.ResponseWriter, r *http.Request, flowID, secret string, now time.Time) {
	held := b.flowCookies(r)
	slices.SortStableFunc(held, func(a, c *http.Cookie) int { return cmp.Compare(setAt(a), setAt(c)) })
	for len(held) >= maxFlowCookies {
		http.SetCookie(w, sessions.NewCookie(held[0].Name, "", b.options(-1)))
		held = held[1:]
	}
	value := strconv.FormatInt(now.Unix(), 36) + "." + secret
	http.SetCookie(w, sessions.NewCookie(b.flowCookieName(flowID), value, b.options(int(connect.FlowCookieLife.Seconds()))))
}

// Flow returns the secret that this browser holds for the flow, "" for none.
func (b *Browsers) Flow(r *http.Request, flowID string) string {
	found := r.CookiesNamed(b.flowCookieName(flowID))
	if len(found) != 1 {
		return ""
	}
	_, secret, ok := strings.Cut(found[0].Value, ".")
	if !ok || secret == "" {
		return "?" // a cookie of that name, but not ours: held, and wrong
	}
	return secret
}

// SetProbe sets a cookie like those of flows that binds nothing, for the doctor to see
// whether it arrives. It lives for a minute.
func (b *Browsers) SetProbe(w http.ResponseWriter, name string) {
	http.SetCookie(w, sessions.NewCookie(b.CookieName(name), "doctor", b.options(60)))
}

// HoldsFlows reports whether the browser holds the secret of any flow.
func (b *Browsers) HoldsFlows(r *http.Request) bool { return len(b.flowCookies(r)) > 0 }

func (b *Browsers) flowCookieName(flowID string) string { return b.CookieName(flowCookie) + flowID }

func (b *Browsers) flowCookies(r *http.Request) []*http.Cookie {
	var held []*http.Cookie
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, b.CookieName(flowCookie)) {
			held = append(held, c)
		}
	}
	return held
}

func setAt(c *http.Cookie) int64 {
	at, _, _ := strings.Cut(c.Value, ".")
	n, _ := strconv.ParseInt(at, 36, 64)
	return n
}
