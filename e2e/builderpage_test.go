package e2e

import (
	"os"
	"strings"
	"testing"
)

// The builder's page in Chromium: signed in, checked, tried, previewed; the pictures stay
// in screenshots/. Without script it does the same.
func TestBuilderPageInChromium(t *testing.T) {
	t.Parallel()
	axe, err := os.ReadFile(needPackage(t, "axe-core/axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]bool{"with script": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := startServer(t, "https://app.acme.example", "github", "typeform", "shared:slack")
			b := openTab(t, script, v.origin, v.provider.origin)
			take := func(string) {}
			if script {
				take = screens{b, string(axe)}.take
			}
			v.visitBuilder(t, b, take)
		})
	}
}

func (v *server) visitBuilder(t *testing.T, b *tab, take func(name string)) {
	signIn := func(key string) {
		b.choose("#key", key)
		b.click(`[data-action="sign_in"]`)
	}
	b.open(v.origin + "/builder/acme")
	b.sees("#key")
	take("builder-sign-in")
	signIn("b44k_wrong")
	b.sees("#key-error")
	signIn(builderKey)
	b.sees(`[data-connector="github"]`)
	take("builder")
	if got := b.says(`[data-connector="github"] [data-field="redirect_uri"]`); got != v.origin+"/oauth/callback/acme/github" {
		t.Errorf("redirect URI %q", got)
	}

	b.click(`[data-action="check"]`)
	b.sees(`#check .notice.is-ok`)

	v.provider.next("approve", "dana@sandbox.example")
	b.click(`[data-connector="github"] [data-action="connect"]`)
	b.sees(`[data-action="continue"]`)
	take("builder-try")
	b.click(`[data-action="continue"]`)
	b.sees(`[data-flow-status="connected"]`)
	if text := b.says("main"); !strings.Contains(text, "GitHub works") || !strings.Contains(text, "dana@sandbox.example") || !strings.Contains(text, "has ended the access again") {
		t.Errorf("the try says %q", text)
	}
	take("builder-try-worked")

	b.open(v.origin + "/builder/acme")
	v.provider.next("approve", "team@sandbox.example")
	b.click(`[data-connector="team-slack"] [data-action="share"]`)
	b.click(`main [data-action="connect"]`)
	b.click(`[data-action="continue"]`)
	b.sees(`[data-flow-status="connected"]`)

	b.open(v.origin + "/builder/acme?user=nobody")
	if text := b.says("#shared"); !strings.Contains(text, "Connected") {
		t.Errorf("shared: %q", text)
	}
	b.click(`[data-action="preview"]`)
	b.sees(`iframe.preview`)
	awaitFor(t, patience, "the list in the preview", func() bool {
		return evaluate[bool](b, `!!document.querySelector("iframe.preview").contentDocument?.querySelector('[data-connector="github"] [data-action="connect"]')`)
	})
	take("builder-preview")
	b.open(v.origin + "/builder/acme")
	b.click(`[data-action="logout"]`)
	b.sees("#key")
}
