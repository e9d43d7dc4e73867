package views

import (
	"reflect"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/a-h/templ"
	"golang.org/x/net/html"
)

var hostile = []string{
	`"><script>alert(1)</script>`,
	`' onmouseover=alert(1) x='`,
	`</title></noscript></textarea><img src=x onerror=alert(1)>`,
	`javascript:alert(1)//https://a.example/`,
	"java\tscript:alert(1)",
	`0;url=https://evil.example/`,
	`<!--`,
	`]]><svg onload=alert(1)>`,
	`&lt;script&gt;&#34;><b>`,
	"\u202e\u2066\x00\x1b[31m",
}

// Every string of every page is filled with hostile text in turn. The page
// must have exactly the elements and attributes that it has with harmless
// text: nothing was let in, nothing was closed early.
func TestHostileTextStaysText(t *testing.T) {
	for name, draw := range map[string]func(fill string) templ.Component{
		"list":         func(f string) templ.Component { return List(filled[ListPage](f)) },
		"settings":     func(f string) templ.Component { return Settings(filled[SettingsPage](f)) },
		"disconnect":   func(f string) templ.Component { return Disconnect(filled[DisconnectPage](f)) },
		"receipt":      func(f string) templ.Component { return Receipt(filled[ReceiptPage](f)) },
		"switch":       func(f string) templ.Component { return Switch(filled[SwitchPage](f)) },
		"link":         func(f string) templ.Component { return Link(filled[LinkPage](f)) },
		"interstitial": func(f string) templ.Component { return Interstitial(filled[InterstitialPage](f)) },
		"result":       func(f string) templ.Component { return Result(filled[ResultPage](f)) },
		"unfinished": func(f string) templ.Component {
			p := filled[ResultPage](f)
			p.Code = ""
			return Result(p)
		},
		"error":      func(f string) templ.Component { return Error(filled[ErrorPage](f)) },
		"signed out": func(f string) templ.Component { return SignedOut(filled[SignedOutPage](f)) },
		"list of states": func(f string) templ.Component {
			p := filled[ListPage](f)
			p.Connectors = nil
			for _, state := range []string{NotConnected, Waiting, Connected, ReconnectRequired} {
				c := filled[Connector](f)
				c.State = state
				p.Connectors = append(p.Connectors, c)
			}
			return List(p)
		},
	} {
		want := skeleton(parse(t, draw("harmless")))
		for _, text := range hostile {
			doc := parse(t, draw(text))
			if got := skeleton(doc); got != want {
				t.Errorf("%s: %q changed the page:\n%s", name, text, difference(want, got))
			}
			doc.Find("[href], [src], [action]").Each(func(_ int, s *goquery.Selection) {
				for _, attr := range []string{"href", "src", "action"} {
					address := strings.ToLower(strings.TrimSpace(s.AttrOr(attr, "")))
					if strings.HasPrefix(strings.NewReplacer("\t", "", "\n", "").Replace(address), "javascript:") {
						t.Errorf("%s: %s leads to %q", name, goquery.NodeName(s), address)
					}
				}
			})
		}
	}
}

// filled makes a T with every string in it set, every list of one element,
// every flag raised.
func filled[T any](text string) T {
	var v T
	fill(reflect.ValueOf(&v).Elem(), text)
	return v
}

func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(sampleTime))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), text)
		}
	}
}

// skeleton is a page without its texts: elements and the names of attributes,
// and where text stands.
func skeleton(doc *goquery.Document) string {
	var b strings.Builder
	var walk func(n *html.Node, depth int)
	walk = func(n *html.Node, depth int) {
		switch n.Type {
		case html.ElementNode:
			var attrs []string
			for _, a := range n.Attr {
				attrs = append(attrs, a.Key)
			}
			sort.Strings(attrs)
			b.WriteString(strings.Repeat(" ", depth) + n.Data + " " + strings.Join(attrs, " ") + "\n")
		case html.CommentNode:
			b.WriteString("comment\n")
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, depth+1)
		}
	}
	walk(doc.Nodes[0], 0)
	return b.String()
}

func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "want " + w[i] + "\ngot  " + g[i]
		}
	}
	return "one is longer"
}
