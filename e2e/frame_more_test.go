package e2e

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/input"
)

// The frame tests mean what they say: with the blocking that they turn on, a frame of
// another site gets no cookie of its own back, and one of the same site does.
func TestThirdPartyCookiesAreBlocked(t *testing.T) {
	t.Parallel()
	var sameSite atomic.Int32
	inner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "probe=1; Path=/; Secure; SameSite=None")
		_, err := r.Cookie("probe")
		if err == nil && r.Header.Get("Sec-Fetch-Site") == "same-site" {
			sameSite.Add(1)
		}
		fmt.Fprintf(w, "<p id=had>%v</p>", err == nil)
	}))
	t.Cleanup(inner.Close)
	at := strings.Replace(inner.URL, "127.0.0.1", "localhost", 1)
	outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `<iframe src="%s/"></iframe>`, at)
	}))
	t.Cleanup(outer.Close)
	b := framed{tourist: tourist{tab: openTab(t, true)}}
	blockThirdPartyCookies(b.tab)
	for range 2 { // the second load could bring what the first one set
		b.open(outer.URL + "/")
		b.frame = b.target("iframe", at)
		b.frame.sees("#had")
	}
	if had := b.frame.says("#had"); had != "false" {
		t.Errorf("a frame of another site had its cookie: %s", had)
	}
	for range 2 {
		b.open(strings.Replace(outer.URL, "127.0.0.1", "localhost", 1) + "/")
		b.sees("iframe")
	}
	if had := evaluate[string](b.tab, `document.querySelector("iframe").contentDocument?.querySelector("#had")?.innerText ?? "another origin"`); had != "another origin" {
		t.Errorf("the frame is of the page's own origin: %s", had)
	}
	if n := sameSite.Load(); n == 0 {
		t.Error("a frame of the same site had no cookie either")
	}
	b.takeFaults()
	b.frame.takeFaults()
}

// The whole way in the frame by the keyboard alone.
func TestFrameByKeyboard(t *testing.T) {
	t.Parallel()
	b := embed(t, "")
	b.frame.keyTo(card("github", `[data-action="connect"]`))
	p := b.target("page", b.demo.sandbox)
	p.front()
	p.keyTo(`[data-action="approve"]`)
	b.target("page", b.demo.patchbay+"/flows/").sees(`main[data-flow-status="connected"]`)
	b.front()
	b.wantFrameState("github", "connected")
	b.frame.keyTo(card("github", `[data-action="disconnect"]`))
	b.frame.keyTo(`[data-action="confirm"]`)
	b.frame.sees(`main[data-revoked="yes"]`)
}

// A page over the frame that gets one blind double click cannot have it open and confirm
// Disconnect: the second click meets nothing, wherever it falls.
func TestSecurity37_DoubleClick(t *testing.T) {
	t.Parallel()
	b := embed(t, "")
	b.frame.click(card("github", `[data-action="connect"]`))
	b.answer("", "approve")
	b.front()
	b.wantFrameState("github", "connected")
	at := evaluate[[]float64](b.frame, fmt.Sprintf(`(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector(%q).getBoundingClientRect())`,
		card("github", `[data-action="disconnect"]`)))
	for n := range int64(2) {
		for _, kind := range []input.DispatchMouseEventType{input.DispatchMouseEventTypeMousePressed, input.DispatchMouseEventTypeMouseReleased} {
			command(b.frame, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: kind, X: at[0], Y: at[1], Button: "left", ClickCount: n + 1})
		}
	}
	b.frame.sees(`[data-action="confirm"]`)
	style := evaluate[string](b.frame, `(s => [s.animationName, s.animationDelay, s.animationFillMode].join(" "))(getComputedStyle(document.querySelector("[data-action=confirm]")))`)
	if style != "arrive 0.7s both" {
		t.Errorf("the control comes by %q", style)
	}
	b.demo.provider().wantCalls("/github/revoke", 0)
	b.frame.click(`[data-action="cancel"]`)
	b.frame.sees(card("github", `[data-action="disconnect"]`))
}

// Something on the way keeps a stream to itself until it ends: the frame notices that
// nothing comes, and asks in ways that are answered.
func TestFrameBehindABufferingProxy(t *testing.T) {
	t.Parallel()
	provider := startSandbox(t)
	s := newSettings(t)
	s.sandbox = strings.TrimPrefix(provider.origin, "http://")
	server, err := url.Parse("http://" + s.address)
	if err != nil {
		t.Fatal(err)
	}
	var passed, asked atomic.Int32
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(server); r.Out.Host = r.In.Host },
		ModifyResponse: func(r *http.Response) error {
			body, err := io.ReadAll(r.Body) // all of it, however long it takes
			if err != nil {
				return err
			}
			if strings.HasSuffix(r.Request.URL.Path, "/live") {
				if r.Header.Get("Content-Type") == "text/event-stream" {
					passed.Add(1)
				} else {
					asked.Add(1)
				}
			}
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	t.Cleanup(proxy.Close)
	s.public = strings.Replace(strings.TrimPrefix(proxy.URL, "http://"), "127.0.0.1", "localhost", 1)

	var frame string
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_ = hostPage.Execute(w, frame)
	}))
	t.Cleanup(host.Close)
	s.apps(t, host.URL, "github")
	patchbay := serve(t, s, provider)
	made := patchbay.call(t, http.MethodPost, "connect-sessions", "", `{"mode":"embed","origin":"`+host.URL+`","user":{"id":"dana"}}`)
	frame, _ = made.body["url"].(string)

	b := framed{tourist: tourist{tab: openTab(t, true), demo: &demo{sandbox: provider.origin, patchbay: "http://" + s.public}}}
	b.open(host.URL + "/")
	b.frame = b.target("iframe", "http://"+s.public+"/embed/")
	b.frame.click(card("github", `[data-action="connect"]`))
	b.answer("", "approve")
	b.target("page", "http://"+s.public+"/flows/").sees(`main[data-flow-status="connected"]`)
	b.front()
	b.wantFrameState("github", "connected")
	awaitFor(t, patience, "the message", func() bool {
		return evaluate[bool](b.tab, fmt.Sprintf(`heard.some(m => m.origin === %q && m.type === "connected" && m.data.connector === "github")`, "http://"+s.public))
	})
	if passed.Load() != 0 || asked.Load() == 0 {
		t.Errorf("%d streams came through and %d other answers", passed.Load(), asked.Load())
	}
	b.takeFaults()
	b.frame.takeFaults()
}

// hostPage holds a frame and notes what it hears.
var hostPage = template.Must(template.New("").Parse(`<!doctype html><title>host</title>
<script>const heard = []; addEventListener("message", e => heard.push({...e.data, origin: e.origin}));</script>
<iframe src="{{.}}" width="600" height="500"></iframe>
`))
