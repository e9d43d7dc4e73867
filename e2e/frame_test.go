package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// framed is a person at Acme's page, with Patchbay's frame in it, on another site. The
// page of switches puts the frame into the circumstances of a query.
type framed struct {
	tourist
	frame *tab
}

// embed opens Acme's page of switches as dana and finds the frame in it.
func embed(t *testing.T, query string) framed {
	t.Helper()
	b := openDemo(t, startDemo(t), true)
	blockThirdPartyCookies(b.tab)
	b.open(b.demo.app + "/")
	b.click(`[data-user="dana"]`)
	b.seesFrame() // or leaving the page would cross with the frame's coming
	framed{tourist: b}.goes(b.demo.app + "/embed?" + query)
	f := framed{tourist: b}
	f.frame = f.target("iframe", b.demo.patchbay+"/embed/")
	return f
}

// goes leads the tab to a page that holds a frame, and does not wait for the load event:
// it is the frame's to delay.
func (b framed) goes(address string) {
	b.t.Helper()
	command(b.tab, cdppage.Navigate, cdppage.NavigateParams{URL: address})
	awaitFor(b.t, patience, "the frame at "+address, func() bool {
		ctx, cancel := context.WithTimeout(b.ctx, time.Second)
		defer cancel()
		there, _ := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(`location.href == %q && !!document.querySelector("iframe")`, address)))
		return there
	})
}

// target attaches to the newest target of that kind whose address begins so. A page that
// is on its way there is looked at, as a person looks at a window that opens: one in the
// background may take its time.
func (b framed) target(kind, prefix string) *tab {
	b.t.Helper()
	var (
		found  *target.Info
		seen   = map[string]bool{} // addresses, for the report
		shown  = map[target.ID]time.Time{}
		myself = chromedp.FromContext(b.ctx)
	)
	b.t.Cleanup(func() {
		if found == nil {
			b.t.Logf("there were %v", slices.Sorted(maps.Keys(seen)))
			if b.frame != nil {
				b.t.Logf("the frame says %.2000s", b.frame.says("body"))
			}
		}
	})
	awaitFor(b.t, patience, "a target "+kind+" at "+prefix, func() bool {
		all, err := chromedp.Targets(b.ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, i := range all {
			if i.BrowserContextID != myself.BrowserContextID {
				continue
			}
			seen[string(i.Type)+" "+i.URL] = true
			switch {
			case string(i.Type) == kind && strings.HasPrefix(i.URL, prefix):
				found = i
			case kind == "page" && string(i.Type) == kind && strings.HasPrefix(i.URL, b.demo.patchbay+"/start") && time.Since(shown[i.TargetID]) > time.Second:
				shown[i.TargetID] = time.Now()
				command(b.tab, target.ActivateTarget, target.ActivateTargetParams{TargetID: i.TargetID})
			}
		}
		return found != nil
	})
	t := newTab(b.t, b.ctx, true, nil, chromedp.WithTargetID(found.TargetID))
	t.foreign = kind == "iframe"
	return t
}

// blockThirdPartyCookies makes the tab treat cookies in frames of other sites as
// browsers do whose users, or makers, want it so.
func blockThirdPartyCookies(b *tab) {
	b.t.Helper()
	command(b, network.SetCookieControls, network.SetCookieControlsParams{EnableThirdPartyCookieRestriction: true})
}

// at shows a tab.
func (b *tab) front() {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, cdppage.BringToFront, chromedp.Void{}); err != nil {
		b.t.Fatal(err)
	}
}

// wantFrameState waits for the state that the frame shows of a connector.
func (b framed) wantFrameState(connector, state string) {
	b.t.Helper()
	b.frame.sees(fmt.Sprintf(`[data-connector=%q][data-state=%q]`, connector, state))
}

// provider finds the tab in which the provider asks, and answers.
func (b framed) answer(scenario, action string) *tab {
	b.t.Helper()
	p := b.target("page", b.demo.sandbox)
	p.front()
	if scenario != "" {
		p.choose(`select[name="scenario"]`, scenario)
	}
	p.click(fmt.Sprintf(`[data-action=%q]`, action))
	return p
}

// heard lists the messages that Acme's page got.
func (b framed) heard() (types []string, all string) {
	b.t.Helper()
	var list []struct{ Type, Text string }
	text := evaluate[string](b.tab, `JSON.stringify([...document.querySelectorAll("[data-field=messages] li")].map(li => ({Type: li.dataset.type, Text: li.innerText})))`)
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		b.t.Fatal(err)
	}
	for _, m := range list {
		types, all = append(types, m.Type), all+m.Text+"\n"
	}
	return types, all
}

// wantHeard waits until the page heard all of these.
func (b framed) wantHeard(want ...string) {
	b.t.Helper()
	awaitFor(b.t, patience, fmt.Sprint("messages ", want), func() bool {
		types, _ := b.heard()
		return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(types, w) })
	})
}

// What a builder's page may send, and what a provider's may, changes nothing: connect,
// deny, reconnect and disconnect work in the frame, and the page around it hears of it.
func TestFrameInCircumstances(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"plain":                     "csp=none",
		"strict policy":             "",
		"cross-origin isolated":     "coop=same-origin&coep=require-corp",
		"credentialless":            "coep=credentialless",
		"provider that cuts":        "provider=coop",
		"sandbox with all it needs": "sandbox=1&allow=scripts&allow=same-origin&allow=forms&allow=popups&allow=popups-to-escape-sandbox&allow=top-navigation-by-user-activation",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := embed(t, query)
			b.frame.click(card("github", `[data-action="connect"]`))
			tab := func() *tab { return b.target("page", b.demo.patchbay+"/flows/") }
			if query != "provider=coop" {
				b.answer("", "approve")
			}
			done := tab()
			done.sees(`main[data-flow-status="connected"]`)
			if at := done.address(); strings.Contains(at, "code=") || strings.Contains(at, "state=") {
				t.Errorf("the tab ends at %s", at)
			}
			b.front()
			b.wantFrameState("github", "connected")
			b.wantHeard("ready", "flow.started", "flow.waiting", "connected")

			b.frame.click(card("slack", `[data-action="connect"]`))
			b.answer("", "deny")
			b.front()
			b.frame.sees(card("slack", `[data-flow-code="access_denied"]`))
			b.wantHeard("error")

			b.frame.click(card("github", `[data-action="disconnect"]`))
			b.frame.click(`[data-action="confirm"]`)
			b.frame.sees(`main[data-revoked="yes"]`)
			b.wantHeard("disconnected")
			_, all := b.heard()
			for _, secret := range []string{"/embed/", "ticket", "token", "code="} {
				if strings.Contains(all, secret) {
					t.Errorf("a message holds %q:\n%s", secret, all)
				}
			}
		})
	}
}

// A sandbox that lacks something is named on the page where it can be known.
func TestFrameSandboxLacks(t *testing.T) {
	t.Parallel()
	all := []string{"scripts", "same-origin", "forms", "popups", "popups-to-escape-sandbox", "top-navigation-by-user-activation"}
	for lacks, see := range map[string]func(t *testing.T, b framed){
		"same-origin": func(t *testing.T, b framed) {
			b.frame.sees(".needs-origin")
			b.frame.takeFaults() // the style sheet that the missing origin keeps away is how the page knows
		},
		"forms": func(t *testing.T, b framed) {
			b.frame.click(card("github", `[data-action="connect"]`))
			b.frame.sees(`[data-flow-code="window_not_opened"]`)
			if words := b.frame.says(`[data-flow-code="window_not_opened"]`); !strings.Contains(words, "allow-forms") {
				t.Errorf("the page says %q", words)
			}
			b.frame.takeFaults()
			b.wantHeard("window.not_opened")
		},
		"popups": func(t *testing.T, b framed) {
			b.frame.click(card("github", `[data-action="connect"]`))
			b.frame.sees(`[data-flow-code="window_not_opened"]`)
			if words := b.frame.says(`[data-flow-code="window_not_opened"]`); !strings.Contains(words, "allow-popups") {
				t.Errorf("the page says %q", words)
			}
			b.wantHeard("window.not_opened")
			b.frame.takeFaults()
			b.frame.click(card("github", `[data-top]`)) // takes the place of the app's page
			b.sees(`[data-action="approve"]`)
			b.click(`[data-action="approve"]`)
			b.sees(`main[data-flow-status="connected"]`)
			b.sees(`[data-action="return"]`)
		},
		"scripts": func(t *testing.T, b framed) {
			b.frame.click(card("github", `[data-action="connect"]`))
			b.answer("", "approve")
			b.target("page", b.demo.patchbay+"/flows/").sees(`main[data-flow-status="connected"]`)
			b.front()
			b.frame.click(`a[data-action="refresh"].unscripted`)
			b.wantFrameState("github", "connected")
			b.frame.takeFaults() // that script is blocked
		},
		"popups-to-escape-sandbox": func(t *testing.T, b framed) {
			b.frame.click(card("github", `[data-action="connect"]`))
			b.wantHeard("flow.started")
			b.front()
			b.wantFrameState("github", "waiting")
			b.frame.click(card("github", "summary"))
			if words := b.frame.says(card("github", "details.trouble")); !strings.Contains(words, "allow-popups-to-escape-sandbox") {
				t.Errorf("the panel says %q", words)
			}
			b.frame.click(card("github", `[data-action="cancel"]`))
			b.wantHeard("error")
			b.wantFrameState("github", "not_connected")
		},
	} {
		t.Run(lacks, func(t *testing.T) {
			t.Parallel()
			query := "sandbox=1"
			for _, a := range all {
				if a != lacks {
					query += "&allow=" + url.QueryEscape(a)
				}
			}
			b := embed(t, query)
			defer b.takeFaults()
			see(t, b)
		})
	}
}

// The tab is closed before the provider was answered: nothing is locked, nothing lies.
func TestFrameTabClosed(t *testing.T) {
	t.Parallel()
	b := embed(t, "")
	b.frame.click(card("github", `[data-action="connect"]`))
	p := b.target("page", b.demo.sandbox)
	p.sees(`[data-action="approve"]`)
	if _, err := chromedp.Call(p.ctx, cdppage.Close, chromedp.Void{}); err != nil {
		t.Fatal(err)
	}
	b.front()
	b.wantFrameState("github", "waiting")
	b.frame.click(card("github", `[data-action="connect"]`)) // open again
	b.answer("", "approve")
	b.front()
	b.wantFrameState("github", "connected")
}
