package views

import (
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"patchbay/static"
)

// Label is how a user is named: the e-mail address if the app gave one, else
// the id. The name is only ever shown beside it.
func (u User) Label() string { return or(u.Email, u.ID) }

// zero tells a page without an app.
func (a App) zero() bool { return a == App{} }

// label is the app's name, or its id where it has none.
func (a App) label() string { return or(a.Name, a.ID) }

func (c Connector) label() string { return or(c.Name, or(c.Type, c.ID)) }

// reconnects tells which of the two controls the connector has.
func (c Connector) reconnects() bool {
	switch c.State {
	case Connected, ReconnectRequired:
		return true
	case Waiting:
		return c.Connected
	}
	return false
}

// begins is the data-action of the control that begins a flow.
func (c Connector) begins() string {
	if c.reconnects() {
		return "reconnect"
	}
	return "connect"
}

// beginLabel is what that control is called. In a frame a flow under way has
// a tab of its own, which may have been closed.
func (c Connector) beginLabel(p Page) string {
	switch {
	case p.Frame && c.State == Waiting:
		return "Open again"
	case c.State == Connected && len(c.Missing) > 0:
		return "Grant the rest"
	case c.reconnects():
		return "Reconnect"
	}
	return "Connect"
}

// exists tells whether there is a connection, whatever its state.
func (c Connector) exists() bool { return c.reconnects() }

func (c Connector) names(p Page) names {
	return names{App: p.App.label(), Provider: c.label(), Account: c.Account, Kept: c.exists()}
}

func (p Page) sprite() string {
	if p.Sprite != "" {
		return p.Sprite
	}
	return static.Sprite(static.Logos()...)
}

// isolate keeps a name written from right to left from rearranging the
// sentence around it.
func isolate(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool {
		return unicode.In(r, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko) ||
			unicode.Is(unicode.Bidi_Control, r)
	}) {
		return "\u2068" + name + "\u2069"
	}
	return name
}

// initial is the letter of a letter tile.
func initial(name string) string {
	for _, r := range name {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "·"
}

// hue is the class that tints a letter tile: twelve steps round the wheel, or
// none for a colour that is grey or no colour.
func hue(color string) string {
	if len(color) != 7 || color[0] != '#' {
		return ""
	}
	rgb, err := strconv.ParseUint(color[1:], 16, 32)
	if err != nil {
		return ""
	}
	r, g, b := float64(rgb>>16), float64(rgb>>8&255), float64(rgb&255)
	high, low := max(r, g, b), min(r, g, b)
	spread := high - low
	if spread < 24 {
		return ""
	}
	var h float64 // in sixths of the wheel
	switch high {
	case r:
		h = (g - b) / spread
	case g:
		h = 2 + (b-r)/spread
	default:
		h = 4 + (r-g)/spread
	}
	step := int(h*2+12.5) % 12
	return "hue-" + strconv.Itoa(step)
}

// webURL lets through absolute http and https addresses only.
func webURL(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return address
}

// forward is the content of a meta refresh. An address with a quote, a space
// or a control character is not one that we built, and gets none.
func forward(address string) string {
	address = webURL(address)
	if address == "" || strings.ContainsFunc(address, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == utf8.RuneError || strings.ContainsRune("\"'`<>\\", r)
	}) {
		return ""
	}
	return "0;url=" + address
}

// reload is the content of the meta refresh of an unfinished flow.
func reload(address string) string {
	if address == "" || strings.ContainsAny(address, "\"' ") {
		return "2"
	}
	return "2;url=" + address
}

func machineTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func humanTime(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// fieldID names the input of a connector's parameter within the page.
func fieldID(c Connector, p Param) string { return "param-" + c.ID + "-" + p.Name }

// describedBy lists what explains an input.
func describedBy(c Connector, p Param) string {
	var ids []string
	if p.Description != "" || p.Example != "" {
		ids = append(ids, fieldID(c, p)+"-hint")
	}
	if p.Error != "" {
		ids = append(ids, fieldID(c, p)+"-error")
	}
	return strings.Join(ids, " ")
}
