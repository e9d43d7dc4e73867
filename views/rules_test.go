package views

import (
	"regexp"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
)

// What holds for every page in every state.
func TestEveryPageKeepsTheRules(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range Previews() {
		t.Run(p.Name, func(t *testing.T) {
			if seen[p.Name] {
				t.Fatal("two previews of one name")
			}
			seen[p.Name] = true
			html, doc := render(t, p.Component), parse(t, p.Component)

			one(t, doc, "h1")
			one(t, doc, "main#main")
			one(t, doc, "footer")
			one(t, doc, "html[lang]")
			one(t, doc, `meta[name="viewport"]`)
			one(t, doc, `a.skip[href="#main"]`)
			if strings.TrimSpace(doc.Find("title").Text()) == "" {
				t.Error("no title")
			}
			if n := doc.Find(`[data-field="user"]`).Length(); n > 1 {
				t.Errorf("%d elements say whose session it is", n)
			}
			if n := doc.Find(`[data-action="logout"]`).Length(); n > 1 {
				t.Errorf("%d ways to sign out", n)
			}
			if left := regexp.MustCompile(`\{[a-z]+\}|%!`).FindString(doc.Text()); left != "" {
				t.Errorf("%q is left in the text", left)
			}

			nothingInline(t, html, doc)
			uniqueIDs(t, doc)
			controlsAreNamed(t, doc)
			controlsWork(t, doc)
		})
	}
}

func one(t *testing.T, doc *goquery.Document, selector string) {
	t.Helper()
	if n := doc.Find(selector).Length(); n != 1 {
		t.Errorf("%d of %s, want 1", n, selector)
	}
}

// nothingInline: the Content-Security-Policy allows our own files only.
func nothingInline(t *testing.T, html string, doc *goquery.Document) {
	t.Helper()
	if n := doc.Find("style, [style], script:not([src]), base, object, iframe:not([data-preview]), [autofocus], [onclick]").Length(); n != 0 {
		t.Errorf("%d elements that do not belong", n)
	}
	if found := regexp.MustCompile(`(?i)\son[a-z]+=|javascript:|data:`).FindString(html); found != "" {
		t.Errorf("page contains %q", found)
	}
	doc.Find("script, link, img, use").Each(func(_ int, s *goquery.Selection) {
		address := s.AttrOr("src", s.AttrOr("href", ""))
		if !strings.HasPrefix(address, "/static/") {
			t.Errorf("%s loads %q", goquery.NodeName(s), address)
		}
	})
}

func uniqueIDs(t *testing.T, doc *goquery.Document) {
	t.Helper()
	ids := map[string]bool{}
	doc.Find("[id]").Each(func(_ int, s *goquery.Selection) {
		id := s.AttrOr("id", "")
		if ids[id] {
			t.Errorf("id %q twice", id)
		}
		ids[id] = true
	})
	doc.Find("[for], [aria-describedby]").Each(func(_ int, s *goquery.Selection) {
		for _, id := range strings.Fields(s.AttrOr("for", "") + " " + s.AttrOr("aria-describedby", "")) {
			if !ids[id] {
				t.Errorf("%q is referred to, but no such id", id)
			}
		}
	})
}

// controlsAreNamed: each has a text of its own, and no two that do different
// things to different connectors share one.
func controlsAreNamed(t *testing.T, doc *goquery.Document) {
	t.Helper()
	doc.Find("a, button, summary").Each(func(_ int, s *goquery.Selection) {
		if strings.TrimSpace(s.Text()) == "" {
			t.Errorf("%s without a name", goquery.NodeName(s))
		}
	})
	doc.Find(`input:not([type="hidden"])`).Each(func(_ int, s *goquery.Selection) {
		if n := doc.Find(`label[for="` + s.AttrOr("id", "") + `"]`).Length(); n != 1 {
			t.Errorf("input %s has %d labels", s.AttrOr("name", ""), n)
		}
	})
	names := map[string]bool{}
	doc.Find("[data-connector] [data-action]").Each(func(_ int, s *goquery.Selection) {
		name := s.Text()
		if names[name] {
			t.Errorf("two controls are called %q", name)
		}
		names[name] = true
	})
	doc.Find("svg, .tile").Each(func(_ int, s *goquery.Selection) {
		if s.Closest(`[aria-hidden="true"]`).Length() == 0 && s.AttrOr("alt", "-") != "" {
			t.Error("a drawing is read aloud")
		}
	})
}

var actions = strings.Fields("connect reconnect disconnect confirm cancel continue not_me switch refresh return logout done close sign_in share preview check find deliver_again")

// controlsWork: a control is a link, or a button in a form that posts here.
func controlsWork(t *testing.T, doc *goquery.Document) {
	t.Helper()
	doc.Find("[data-action]").Each(func(_ int, s *goquery.Selection) {
		action := s.AttrOr("data-action", "")
		known := false
		for _, a := range actions {
			known = known || a == action
		}
		if !known {
			t.Errorf("data-action %q is not one of the contract", action)
		}
		switch goquery.NodeName(s) {
		case "a":
			if s.AttrOr("href", "") == "" {
				t.Errorf("%s leads nowhere", action)
			}
		case "button":
			if action == "done" || action == "close" { // for the script alone, which shows it
				if s.AttrOr("type", "") != "button" || s.Closest("form").Length() != 0 {
					t.Errorf("%s submits a form", action)
				}
				return
			}
			form := s.Closest("form")
			if form.AttrOr("method", "") != map[bool]string{true: "get", false: "post"}[action == "find"] || !strings.HasPrefix(form.AttrOr("action", ""), "/") {
				t.Errorf("%s posts to %q by %q", action, form.AttrOr("action", ""), form.AttrOr("method", ""))
			}
			// In a frame the same form can also take the place of the whole window.
			if n := form.Find("button:not([data-top])").Length(); n != 1 || form.Find("button").Length() > 2 {
				t.Errorf("the form of %s has more than one button", action)
			}
			form.Find("button[data-top]").Each(func(_ int, top *goquery.Selection) {
				if form.AttrOr("target", "") != "_blank" || top.AttrOr("formtarget", "") != "_top" || top.AttrOr("name", "") != "window" {
					t.Errorf("the other button of %s is not the way for a frame", action)
				}
			})
			if form.AttrOr("enctype", "") != "" {
				t.Errorf("the form of %s has an encoding of its own", action)
			}
		default:
			t.Errorf("%s is a %s", action, goquery.NodeName(s))
		}
	})
	if n := doc.Find("form button:not([data-action]):not([data-top])").Length(); n != 0 {
		t.Errorf("%d buttons without data-action", n)
	}
}
