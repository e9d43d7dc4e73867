package static

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// logo is one file of logos/: a drawing in one colour on a square.
type logo struct {
	viewBox string
	color   string // the brand's, #rrggbb
	body    []byte // what is inside the root element
}

// HasLogo tells whether there is a logo of this name.
func HasLogo(name string) bool {
	_, ok := site.logos[name]
	return ok
}

// Logos lists the names of all logos, sorted.
func Logos() []string { return slices.Sorted(maps.Keys(site.logos)) }

// Sprite returns the address of one SVG file with a symbol per name, for
// <use href="ADDRESS#NAME">. Unknown names are left out, order and repetition
// do not matter, and the same set always has the same address. Without any
// known name it returns "".
//
// Symbols are drawn in currentColor; app.css has a class logo-NAME for each
// that gives them the brand's colour, made readable on light and on dark.
//
// Every distinct set stays in memory: ask for the configured set, not for one
// set per visitor. Safe for concurrent use.
func Sprite(names ...string) string {
	known := make([]string, 0, len(names))
	for _, name := range names {
		if HasLogo(name) {
			known = append(known, name)
		}
	}
	if len(known) == 0 {
		return ""
	}
	slices.Sort(known)
	known = slices.Compact(known)
	key := strings.Join(known, " ")

	site.mu.RLock()
	f, ok := site.sprites[key]
	site.mu.RUnlock()
	if ok {
		return f.url
	}
	site.mu.Lock()
	defer site.mu.Unlock()
	if f, ok = site.sprites[key]; !ok {
		f = site.add("sprite.svg", drawSprite(site.logos, known))
		site.sprites[key] = f
	}
	return f.url
}

func drawSprite(logos map[string]logo, names []string) []byte {
	var b bytes.Buffer
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg">`)
	for _, name := range names {
		l := logos[name]
		fmt.Fprintf(&b, `<symbol id="%s" viewBox="%s" fill="currentColor">%s</symbol>`, name, l.viewBox, l.body)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// logoColors is the part of app.css that knows the brands. The style sheet
// turns --brand into a colour that can be read on the page's background.
func logoColors(logos map[string]logo) []byte {
	var b bytes.Buffer
	b.WriteString("@layer logos{")
	for _, name := range slices.Sorted(maps.Keys(logos)) {
		fmt.Fprintf(&b, ".logo-%s{--brand:%s}", name, logos[name].color)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// readLogos reads the embedded files. One that does not have the expected
// shape stops the program: it is a mistake in this package.
func readLogos() map[string]logo {
	entries, err := embedded.ReadDir("logos")
	if err != nil {
		panic(err)
	}
	logos := map[string]logo{}
	for _, e := range entries {
		content, err := embedded.ReadFile("logos/" + e.Name())
		if err != nil {
			panic(err)
		}
		var root struct {
			XMLName xml.Name `xml:"svg"`
			ViewBox string   `xml:"viewBox,attr"`
			Fill    string   `xml:"fill,attr"`
			Body    []byte   `xml:",innerxml"`
		}
		if err := xml.Unmarshal(content, &root); err != nil {
			panic("static: logos/" + e.Name() + ": " + err.Error())
		}
		if root.ViewBox == "" || len(root.Fill) != 7 {
			panic("static: logos/" + e.Name() + " needs a viewBox and a fill of #rrggbb")
		}
		logos[strings.TrimSuffix(e.Name(), path.Ext(e.Name()))] = logo{root.ViewBox, root.Fill, root.Body}
	}
	return logos
}
