package acme

import (
	"net/url"
	"testing"
)

func TestChoicesAreWrittenInOneWay(t *testing.T) {
	for query, want := range map[string]string{
		"":                               "/embed",
		"script=on&coop=none&csp=strict": "/embed",
		"sandbox=0&allow=forms":          "/embed",
		"sandbox=1":                      "/embed?sandbox=1",
		"allow=forms&allow=scripts&sandbox=1&allow=forms": "/embed?allow=scripts&allow=forms&sandbox=1",
		"sandbox=1&allow=modals":                          "/embed?sandbox=1",
		"script=off&unknown=x":                            "/embed?script=off",
		"script=maybe&coop=unsafe-none":                   "/embed",
		"coop=same-origin&coop=x":                         "/embed?coop=same-origin",
		"accent=%23ABC":                                   "/embed?accent=%23ABC",
		"accent=red":                                      "/embed",
		"accent=%23abcd":                                  "/embed",
		"accent=%23abc%0a":                                "/embed",
		`accent="><script>alert(1)</script>`:              "/embed",
		"provider=coop&scheme=dark":                       "/embed?provider=coop&scheme=dark",
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got := parseChoices(q).address()
		if got != want {
			t.Errorf("%q becomes %s, want %s", query, got, want)
		}
		again, err := url.Parse(got)
		if err != nil || parseChoices(again.Query()).address() != got {
			t.Errorf("%s is read as another choice (%v)", got, err)
		}
	}
}

// Whoever was sent a combination and is not signed in gets to it, and nowhere else.
func TestSignInStays(t *testing.T) {
	g := newRig(t)
	doc := g.page(g.get("/embed?sandbox=1&allow=forms&unknown=x"))
	if got := doc.Find(`form.people [name="stay"]`).AttrOr("value", ""); got != "/embed?allow=forms&sandbox=1" {
		t.Errorf("stays at %q", got)
	}
	if len(g.patchbay.calls) != 0 || doc.Find("iframe, script").Length() != 0 {
		t.Error("a stranger sees the frame")
	}
	for stay, want := range map[string]string{
		"":                               "/",
		"/embed":                         "/embed",
		"/embed?script=off":              "/embed?script=off",
		"/embed?script=off&x=y#z":        "/embed?script=off",
		"/":                              "/",
		"/logout":                        "/",
		"/embed/x":                       "/",
		"//attacker.example/embed":       "/",
		"https://attacker.example/embed": "/",
		"javascript:/embed":              "/",
		`/\attacker.example/embed`:       "/",
		"embed":                          "/",
		"%zz":                            "/",
	} {
		if a := g.post("/login", url.Values{"user": {"dana"}, "stay": {stay}}); a.status != 303 || a.location != want {
			t.Errorf("%q leads to %q, want %q", stay, a.location, want)
		}
	}
	doc = g.page(g.get("/embed?script=off"))
	if got := doc.Find(`header [name="stay"]`).AttrOr("value", ""); got != "/embed?script=off" {
		t.Errorf("switching the user leads to %q", got)
	}
	if g.page(g.get("/")).Find(`[name="stay"]`).Length() != 0 {
		t.Error("home has something to stay at")
	}
}
