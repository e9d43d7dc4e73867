package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Every page as people see it: a phone and a desktop, light and dark. The pictures stay
// in screenshots/ to be looked at; what a machine can judge is judged here.
func TestScreens(t *testing.T) {
	t.Parallel()
	axe, err := os.ReadFile(needPackage(t, "axe-core/axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	b := openDemo(t, startDemo(t), true)
	s := screens{b.tab, string(axe)}
	provider := b.demo.provider()

	b.open(b.demo.patchbay + "/apps/acme")
	s.take("error-401")
	b.open(b.demo.patchbay + "/nothing")
	s.take("error-404")
	b.open(b.demo.patchbay + "/session/unknown")
	s.take("error-410")
	b.open(b.demo.app + "/")
	s.take("acme-sign-in")
	b.click(`[data-user="dana"]`)
	b.seesFrame()
	s.take("acme-home-empty")
	b.click(`[data-action="open-connectors"]`)
	b.sees("main.list")
	s.take("list-not-connected")
	b.open(b.demo.patchbay + "/apps/acme/settings")
	s.take("settings-empty")

	b.list()
	b.approve("googlecalendar", "connect", "revoked_later")
	s.take("result-connected")
	b.list()
	b.click(card("github", `[data-action="connect"]`))
	b.sees(`[data-action="approve"]`)
	s.take("sandbox-consent")
	b.list()
	s.take("list-waiting")
	b.open(b.demo.patchbay + "/flows/" + b.newestFlow())
	s.take("result-waiting")
	b.click(`[data-action="cancel"]`)
	s.take("result-canceled")
	for _, scenario := range []string{"deny", "token_500_once", "wrong_iss", "fewer_scopes"} {
		b.list()
		b.approve("github", "connect", scenario)
		s.take("result-" + strings.ReplaceAll(scenario, "_", "-"))
	}
	b.list()
	s.take("list-scopes-missing")
	b.approve("github", "reconnect", "other_account")
	s.take("result-account-mismatch")
	b.list()
	b.approve("slack", "connect", "no_refresh_token")
	s.take("result-no-refresh-token")
	b.open(b.demo.app + "/")
	b.click(`[data-action="read"][data-connector="github"]`)
	b.sees(`[data-field="read"]`)
	b.seesFrame()
	s.take("acme-home-read")
	b.open(b.demo.patchbay + "/apps/acme/settings")
	s.take("settings")
	b.do("unfolding", chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("details").forEach(d => d.open = true)`))
	s.take("settings-unfolded")
	b.click(card("github", `[data-action="disconnect"]`))
	s.take("disconnect")
	b.click(`[data-action="confirm"]`)
	s.take("receipt")

	awaitFor(t, 25*time.Second, "reconnect_required", func() bool {
		b.open(b.demo.app + "/")
		b.click(`[data-action="read"][data-connector="googlecalendar"]`)
		b.sees(`[data-field="read"]`)
		return evaluate[bool](b.tab, `document.querySelector("[data-field=read]").dataset.code == "reconnect_required"`)
	})
	b.seesFrame()
	s.take("acme-home-reconnect")
	b.click(`[data-field="read"] [data-action="reconnect"]`)
	b.sees("main.panel")
	s.take("link-reconnect")
	link := b.address()
	b.list()
	s.take("list-reconnect-required")
	b.open(b.demo.patchbay + "/apps/acme/settings")
	s.take("settings-reconnect-required")
	b.open(b.demo.app + "/")
	b.click(`[data-user="sam"]`)
	b.sees(`[data-user="sam"][aria-current="true"]`) // Acme's page is Sam's now
	b.click(`[data-action="open-connectors"]`)
	b.sees(`[data-action="switch"]`)
	s.take("switch")
	b.click(`[data-action="switch"]`)
	b.sees("main.list")
	b.open(link)
	s.take("error-link-of-another-user")
	b.list()
	provider.next("approve", "")
	b.click(`[data-action="logout"]`)
	s.take("signed-out")
}

// The pages that stand between a start and the provider.
func TestScreensBeforeTheProvider(t *testing.T) {
	t.Parallel()
	axe, err := os.ReadFile(needPackage(t, "axe-core/axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	// A provider that answers 204: the browser stays where it is.
	absent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(absent.Close)
	for name, verify := range map[string]string{"human": "", "app": "https://app.acme.example/verify"} {
		set := newSettings(t)
		set.sandbox, set.verify = strings.TrimPrefix(absent.URL, "http://"), verify
		set.apps(t, "https://app.acme.example", "github")
		v := serve(t, set, sandbox{})
		made := v.call(t, http.MethodPost, "connect-sessions", "", `{"mode":"link","user":{"id":"dana","name":"Dana Reyes","email":"dana@acme.example"},"connectors":["github"]}`)
		s := screens{openTab(t, true, v.origin, absent.URL), string(axe)}
		s.open(made.body["url"].(string))
		s.take("link-" + name)
		s.click(`[data-action="connect"]`)
		s.sees(`[data-action="continue"]`)
		s.take("interstitial-" + name)
		if verify == "" {
			s.click(`[data-action="not_me"]`)
			s.sees(`main[data-flow-status="canceled"]`)
			s.take("result-not-me")
		}
	}
}

// screens takes pictures of what a tab shows.
type screens struct {
	*tab
	axe string
}

func (s screens) take(name string) {
	s.t.Helper()
	s.sees("main")
	for _, width := range []int64{320, 1280} {
		command(s.tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: width, Height: 720, DeviceScaleFactor: 1, Mobile: width == 320,
		})
		for _, scheme := range []string{"light", "dark"} {
			command(s.tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
			})
			if wide := evaluate[int64](s.tab, "document.documentElement.scrollWidth"); wide > width {
				s.t.Errorf("%s is %d px wide on a screen of %d", name, wide, width)
			}
			s.save(fmt.Sprintf("%s-%d-%s.png", name, width, scheme))
			if (width == 320) == (scheme == "light") { // each width and each scheme once
				s.judge(fmt.Sprintf("%s at %d px, %s", name, width, scheme))
			}
		}
	}
	command(s.tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}, {Name: "prefers-color-scheme", Value: "dark"}},
	})
	s.save(name + "-1280-forced.png")
	command(s.tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{})
}

func (s screens) save(name string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil && strings.Contains(err.Error(), "too large") {
		// The list of all types on a narrow screen is taller than Chromium photographs:
		// what fits on the screen has to do.
		picture, err = chromedp.Run(ctx, chromedp.CaptureScreenshot())
	}
	if err == nil {
		err = os.MkdirAll("screenshots", 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join("screenshots", name), picture, 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// judge asks axe for violations of accessibility rules.
func (s screens) judge(name string) {
	s.t.Helper()
	if !evaluate[bool](s.tab, `typeof axe == "object"`) {
		s.do("loading axe", chromedp.Evaluate[chromedp.Void](s.axe))
	}
	found := evaluate[[]string](s.tab, `axe.run(document, {resultTypes: ["violations"]}).then(r =>
		r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + v.help + ": " + n.html + " " + n.failureSummary)))`)
	for _, violation := range found {
		s.t.Errorf("%s: axe: %s", name, violation)
	}
}

// seesFrame waits until Patchbay's frame in Acme's page has told its height.
func (b tourist) seesFrame() {
	b.t.Helper()
	b.sees("iframe")
	awaitFor(b.t, patience, "the frame", func() bool {
		return evaluate[bool](b.tab, `document.querySelector("iframe")?.offsetHeight > 300`)
	})
}

// newestFlow is the flow of the newest flow cookie.
func (b tourist) newestFlow() string {
	b.t.Helper()
	const prefix = "patchbay_flow_"
	cookies := command(b.tab, network.GetCookies, network.GetCookiesParams{URLs: []string{b.demo.patchbay}}).Cookies
	newest := ""
	ends := 0.0
	for _, c := range cookies {
		if flow, ok := strings.CutPrefix(c.Name, prefix); ok && c.Expires >= ends {
			newest, ends = flow, c.Expires
		}
	}
	if newest == "" {
		b.t.Fatal("no flow cookie")
	}
	return newest
}
