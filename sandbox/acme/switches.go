package acme

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// choices say how the switchboard embeds the frame. They live in the query of its
// address and nowhere else, so that each combination can be bookmarked, sent, and
// asked for by a test.
type choices struct {
	sandbox bool
	allow   []string          // tokens of the sandbox attribute, without "allow-"
	picked  map[string]string // a value for each of the switches
	accent  string            // "" for Patchbay's own
}

// change is a switch of several positions; the first is the default.
type change struct {
	Name, Label, Expect string
	Positions           []position
}

type position struct{ Value, Label string }

var switches = []change{
	{"script", "Script in the app’s page", "Off: Acme’s server makes the session and prints the iframe. Nothing is heard from the frame, its height stays, and a reload updates the linked accounts.", []position{
		{"on", "on"}, {"off", "off"},
	}},
	{"csp", "Content-Security-Policy", "The strict policy names Patchbay under script-src and frame-src, and that is enough. Where frame-src is forgotten the browser leaves the frame empty, and the helper says what to add.", []position{
		{"strict", "strict, allows the frame"}, {"no-frame-src", "strict, forgets frame-src"}, {"none", "none"},
	}},
	{"coop", "Cross-Origin-Opener-Policy", "Whatever the app’s page sends, nothing changes: the frame hears of the outcome from the server and never from the tab that it opened.", []position{
		{"none", "none"}, {"same-origin", "same-origin"}, {"same-origin-allow-popups", "same-origin-allow-popups"},
	}},
	{"coep", "Cross-Origin-Embedder-Policy", "Whatever the app’s page demands, nothing changes: the frame and the helper send the headers that such a page asks for.", []position{
		{"none", "none"}, {"require-corp", "require-corp"}, {"credentialless", "credentialless"},
	}},
	{"provider", "The provider’s pages", "With the policy, the provider’s next page cuts off the window that opened it, and leads on by itself. The outcome arrives all the same. Each load of this page sets it for one sign-in.", []position{
		{"plain", "plain"}, {"coop", "with Cross-Origin-Opener-Policy"},
	}},
	{"scheme", "Theme: scheme", "The frame is light or dark as chosen, and not as the system is. It needs script in both pages.", []position{
		{"auto", "auto"}, {"light", "light"}, {"dark", "dark"},
	}},
}

// token is a word that the sandbox attribute may carry.
type token struct{ Name, Expect string }

var sandboxTokens = []token{
	{"scripts", "Without it the frame works by forms and links. It has a Refresh link, tells this page nothing and keeps its height."},
	{"same-origin", "Without it the frame has no origin. It names the missing word and offers nothing."},
	{"forms", "Without it no button in the frame does anything. Where it may run script, the frame says why."},
	{"popups", "Without it the browser blocks the tab that Connect opens, as a popup blocker would. The frame notices within 3 seconds and offers this window instead."},
	{"popups-to-escape-sandbox", "Without it the new tab is as confined as the frame, and the browser refuses Patchbay’s and most providers’ pages in it. The frame goes on waiting, and says whose part it is to mend that."},
	{"top-navigation-by-user-activation", "Without it the frame cannot lead this window anywhere, so its second way, in this window, does nothing."},
}

const (
	sandboxExpect = "Patchbay needs no sandbox attribute. With one, the frame is denied whatever is not ticked below."
	accentExpect  = "A colour for the frame’s buttons, such as #6d28d9. What is no colour has no effect."
)

var accentForm = regexp.MustCompile(`^#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})$`)

// parseChoices reads a query. What it does not know counts as the default.
func parseChoices(q url.Values) choices {
	c := choices{sandbox: q.Get("sandbox") == "1", picked: map[string]string{}}
	for _, t := range sandboxTokens {
		if slices.Contains(q["allow"], t.Name) {
			c.allow = append(c.allow, t.Name)
		}
	}
	for _, s := range switches {
		c.picked[s.Name] = s.Positions[0].Value
		if s.has(q.Get(s.Name)) {
			c.picked[s.Name] = q.Get(s.Name)
		}
	}
	if accent := q.Get("accent"); accentForm.MatchString(accent) {
		c.accent = accent
	}
	return c
}

func (s change) has(value string) bool {
	return slices.ContainsFunc(s.Positions, func(p position) bool { return p.Value == value })
}

// address is the switchboard with these choices, always written in the same way.
func (c choices) address() string {
	q := url.Values{}
	if c.sandbox {
		q.Set("sandbox", "1")
		q["allow"] = c.allow
	}
	for _, s := range switches {
		if v := c.picked[s.Name]; v != s.Positions[0].Value {
			q.Set(s.Name, v)
		}
	}
	if c.accent != "" {
		q.Set("accent", c.accent)
	}
	if len(q) == 0 {
		return "/embed"
	}
	return "/embed?" + q.Encode()
}

// script reports whether the app's page runs any.
func (c choices) script() bool { return c.picked["script"] == "on" }

// byHelper reports whether Patchbay's helper makes the iframe. It makes one without a
// sandbox attribute, so where there has to be one, Acme makes its own.
func (c choices) byHelper() bool { return c.script() && !c.sandbox }

// sandboxAttribute is its value; an empty one denies everything.
func (c choices) sandboxAttribute() string {
	words := make([]string, len(c.allow))
	for i, name := range c.allow {
		words[i] = "allow-" + name
	}
	return strings.Join(words, " ")
}

// expected lists what to expect of every switch that is not at its default.
func (c choices) expected() []string {
	var sentences []string
	if c.sandbox {
		sentences = append(sentences, sandboxExpect)
		for _, t := range sandboxTokens {
			if !slices.Contains(c.allow, t.Name) {
				sentences = append(sentences, "allow-"+t.Name+": "+t.Expect)
			}
		}
	}
	for _, s := range switches {
		if c.picked[s.Name] != s.Positions[0].Value {
			sentences = append(sentences, s.Label+": "+s.Expect)
		}
	}
	if c.accent != "" {
		sentences = append(sentences, accentExpect)
	}
	return sentences
}

// situation is a combination that builders meet, ready made.
type situation struct{ Label, Address string }

var situations = func() []situation {
	list := []situation{
		{"As recommended", ""},
		{"No script in the app’s page", "script=off"},
		{"A policy that forgets frame-src", "csp=no-frame-src"},
		{"A cross-origin isolated page", "coop=same-origin&coep=require-corp"},
		{"A provider that cuts its tab off", "provider=coop"},
		{"A sandbox that allows what is needed", sandboxWithout("")},
		{"No script in the frame", sandboxWithout("scripts")},
		{"A frame without an origin", sandboxWithout("same-origin")},
		{"A frame without forms", sandboxWithout("forms")},
		{"Popups blocked", sandboxWithout("popups")},
		{"A new tab that stays in the sandbox", sandboxWithout("popups-to-escape-sandbox")},
		{"Popups blocked, and no way out", sandboxWithout("popups", "popups-to-escape-sandbox", "top-navigation-by-user-activation")},
	}
	for i, s := range list {
		q, _ := url.ParseQuery(s.Address) // written above
		list[i].Address = parseChoices(q).address()
	}
	return list
}()

func sandboxWithout(missing ...string) string {
	query := "sandbox=1"
	for _, t := range sandboxTokens {
		if !slices.Contains(missing, t.Name) {
			query += "&allow=" + t.Name
		}
	}
	return query
}
