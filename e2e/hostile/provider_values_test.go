package hostile

import (
	"net/http"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"patchbay/e2e/stack"
)

// What a provider says of an account is text on our pages and nothing else: it reaches
// no address, script, style or refresh, and no picture of it is fetched, by us or by the
// browser.
func TestSecurity43And44_ProviderValuesAreText(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	dana := s.Browser()
	const canary = "canary-of-the-provider"
	result := dana.Flow(s.Acme, "dana", "github", canary+"@example.com").WantFlow("connected", "connected")
	between := dana.Get("/apps/acme").In("github").Submit("reconnect").WantStatus(http.StatusOK)
	ask := dana.Get("/apps/acme/connectors/github/disconnect").WantStatus(http.StatusOK)
	pages := map[string]*stack.Page{
		"result": result, "interstitial": between, "list": dana.Get("/apps/acme"), "settings": dana.Get("/apps/acme/settings"), "disconnect": ask,
		"frame": dana.Frame(s.Acme.Embed("dana")), "receipt": ask.Submit("confirm").Rest().WantStatus(http.StatusOK),
	}
	shown := 0
	for name, p := range pages {
		if strings.Contains(p.Doc.Text(), canary) {
			shown++
		}
		p.Doc.Find("*").Each(func(_ int, el *goquery.Selection) {
			for _, a := range el.Nodes[0].Attr {
				if strings.Contains(a.Val, canary) {
					t.Errorf("%s: the attribute %s of %s holds what the provider said", name, a.Key, goquery.NodeName(el))
				}
			}
		})
		if n := p.Doc.Find("script:not([src]), style, [style], object, embed, iframe, video, audio").Length(); n != 0 {
			t.Errorf("%s: %d elements that could hold something active", name, n)
		}
		p.Doc.Find("img").Each(func(_ int, img *goquery.Selection) {
			if src := img.AttrOr("src", ""); !strings.HasPrefix(src, "/") || strings.HasPrefix(src, "//") {
				t.Errorf("%s: a picture from %s", name, src)
			}
		})
	}
	if shown < 5 {
		t.Errorf("only %d pages show the account: the test looks at the wrong ones", shown)
	}
	for _, c := range s.Wire.Calls("") {
		if !strings.HasPrefix(c.URL, s.Provider+"/") || strings.Contains(c.URL, "avatar") || strings.Contains(c.URL, "picture") {
			t.Errorf("we called %s", c.URL)
		}
	}
}
