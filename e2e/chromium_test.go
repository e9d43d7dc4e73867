package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// chromium is one browser for all tests; each test has a browser context of its own,
// with its own cookies.
var chromium struct {
	once  sync.Once
	ctx   context.Context
	close func()
	err   error
}

func openChromium(path string) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
	allocated, closeAllocated := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeBrowser := chromedp.NewContext(allocated)
	chromium.ctx, chromium.close = ctx, func() { closeBrowser(); closeAllocated() }
	chromium.err = chromedp.Do(ctx)
}

func closeChromium() {
	if chromium.close != nil {
		chromium.close()
	}
}

// tab is a tab of Chromium. It notes what no page of ours may do: an error on the
// console, a violation of its own content security policy, a request to a foreign origin.
type tab struct {
	t       *testing.T
	ctx     context.Context
	origins []string // where requests may go
	foreign bool     // a frame that another process draws

	mu     sync.Mutex
	faults []string
}

// takeFaults returns what was noted and forgets it.
func (b *tab) takeFaults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.faults
	b.faults = nil
	return taken
}

// openTab opens a tab in a fresh browser context. script false turns script off.
func openTab(t *testing.T, script bool, origins ...string) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		missing(t, "chromium")
	}
	chromium.once.Do(func() { openChromium(path) })
	if chromium.err != nil {
		t.Fatalf("Chromium does not start: %v", chromium.err)
	}
	return newTab(t, chromium.ctx, script, origins, chromedp.WithNewBrowserContext())
}

// another opens a second tab beside this one, with the same cookies.
func (b *tab) another() *tab {
	b.t.Helper()
	return newTab(b.t, b.ctx, true, b.origins)
}

func newTab(t *testing.T, parent context.Context, script bool, origins []string, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, options...)
	b := &tab{t: t, ctx: ctx, origins: origins}
	t.Cleanup(cancel)
	t.Cleanup(func() {
		for _, fault := range b.takeFaults() {
			t.Error(fault)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, b.watch); err != nil {
		t.Fatal(err)
	}
	if !script {
		command(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	}
	return b
}

func (b *tab) watch(event any) {
	fault := ""
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		to, err := url.Parse(e.Request.URL)
		if err == nil && to.Scheme != "data" && len(b.origins) > 0 && !slices.Contains(b.origins, to.Scheme+"://"+to.Host) {
			fault = "a request went to " + e.Request.URL
		}
	case *log.EventEntryAdded:
		status := e.Entry.Source == log.EntrySourceNetwork && strings.Contains(e.Entry.Text, "responded with a status of")
		if e.Entry.Level != log.EntryLevelVerbose && e.Entry.Level != log.EntryLevelInfo && !status {
			fault = fmt.Sprintf("Chromium logs (%s, %s): %s", e.Entry.Source, e.Entry.URL, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		fault = "a script failed: " + e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		fault = fmt.Sprintf("a script wrote to the console: %s", e.Type)
	}
	if fault != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.faults = append(b.faults, fault)
	}
}

// do runs steps within patience.
func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v: at %s: %s", what, err, b.address(), b.says("body"))
	}
}

func command[P, R any](b *tab, c cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, c, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

// evaluate computes an expression in the page; the test's own, so it works without script.
func evaluate[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.80s: %v", expression, err)
	}
	return value
}

func (b *tab) open(address string) {
	b.t.Helper()
	b.do("opening "+address, chromedp.Navigate(address))
}

// sees waits until something is visible.
func (b *tab) sees(selector string) {
	b.t.Helper()
	b.do("waiting for "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

// click clicks with the mouse, and in a frame of another process by a gesture.
func (b *tab) click(selector string) {
	b.t.Helper()
	if b.foreign {
		b.gesture(selector)
		return
	}
	for end := time.Now().Add(patience); ; {
		b.settles(selector)
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
		cancel()
		if err == nil {
			return
		}
		// The page was replaced between looking and clicking: nothing was clicked.
		if gone := strings.Contains(err.Error(), "Could not find node"); !gone || time.Now().After(end) {
			b.t.Fatalf("clicking %s: %v: at %s: %s", selector, err, b.address(), b.says("body"))
		}
	}
}

// gesture presses an element that can be seen and that nothing covers, as the user's own
// act. A mouse event that the tools send into a frame of another process goes by way of
// Chromium's compositor, which under load loses it or never answers; this does not.
func (b *tab) gesture(selector string) {
	b.t.Helper()
	awaitFor(b.t, patience, "a press on "+selector, func() bool {
		b.settles(selector)
		ctx, cancel := context.WithTimeout(b.ctx, time.Second)
		defer cancel()
		pressed, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(`(() => {
			const e = document.querySelector(%q)
			if (!e) return false
			e.scrollIntoView({block: "center", inline: "center", behavior: "instant"})
			const r = e.getBoundingClientRect(), top = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2)
			if (!top || !e.contains(top)) return false
			e.click()
			return true
		})()`, selector), func(p *runtime.EvaluateParams) { p.UserGesture = new(true) }))
		return pressed || err != nil // an answer that was lost is of a page that the press replaced
	})
}

// settles waits until an element is there and has come to rest: a click is aimed at where
// it was a moment before.
func (b *tab) settles(selector string) {
	b.t.Helper()
	before := ""
	awaitFor(b.t, patience, selector+" comes to rest", func() bool {
		ctx, cancel := context.WithTimeout(b.ctx, time.Second)
		defer cancel()
		now, _ := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(
			`(r => r ? document.readyState + [r.x, r.y, r.width, r.height] : "")(document.querySelector(%q)?.getBoundingClientRect())`, selector)))
		still := now != "" && now == before && strings.HasPrefix(now, "complete")
		before = now
		return still
	})
}

// choose picks an option of a select.
func (b *tab) choose(selector, value string) {
	b.t.Helper()
	b.do("choosing "+value, chromedp.SetValue(chromedp.CSS(selector), value))
}

func (b *tab) address() string {
	ctx, cancel := context.WithTimeout(b.ctx, time.Second)
	defer cancel()
	at, _ := chromedp.Run(ctx, chromedp.Location())
	return at
}

// says is the visible text of an element, or "" when there is none.
func (b *tab) says(selector string) string {
	ctx, cancel := context.WithTimeout(b.ctx, time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector)))
	return text
}

// keyTo presses Tab until the control has the focus, then Enter.
func (b *tab) keyTo(selector string) {
	b.t.Helper()
	b.sees(selector)
	for range 200 {
		b.do("Tab", chromedp.KeyEvent(kb.Tab))
		if evaluate[bool](b, fmt.Sprintf("!!document.activeElement?.matches(%q)", selector)) {
			b.do("Enter", chromedp.KeyEvent(kb.Enter))
			return
		}
	}
	b.t.Fatalf("Tab never reaches %s at %s", selector, b.address())
}
