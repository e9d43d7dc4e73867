package config

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"patchbay/vault"
)

// scalar is a single value.
type scalar struct {
	node *yaml.Node
	text string // with environment variables filled in
	ok   bool   // false: absent, or wrong and reported
}

// shown is the value as it may stand in an error: as it is written in the file, and
// only if it can be no secret.
func (s scalar) shown() string {
	if !isShowable(strings.Trim(s.node.Value, "${}")) {
		return "this"
	}
	return strconv.Quote(s.node.Value)
}

// isShowable reports whether text is a word shorter than any token.
func isShowable(text string) bool {
	const word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-. "
	return text != "" && len(text) < minToken && strings.Trim(text, word) == ""
}

// scalar reads a single value. Numbers and booleans are taken as they are written.
func (d *decoder) scalar(n *yaml.Node) scalar {
	if n == nil {
		return scalar{}
	}
	if n = d.resolve(n); n == nil {
		return scalar{}
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		d.report(n, "this must be a single value: put it in quotes if it begins with [ or {")
		return scalar{}
	case n.ShortTag() == "!!null", n.Value == "":
		d.report(n, "this has no value: give one, or remove the field; a value that begins with # must be in quotes")
		return scalar{}
	}
	text, problem := expand(n.Value, d.env)
	if problem != "" {
		d.report(n, problem)
		return scalar{}
	}
	return scalar{n, text, true}
}

// oneOf reads one of the words.
func (d *decoder) oneOf(n *yaml.Node, words ...string) string {
	s := d.scalar(n)
	if !s.ok {
		return ""
	}
	if !slices.Contains(words, s.text) {
		d.reportf(s.node, "%s is not one of %s", s.shown(), strings.Join(words, ", "))
		return ""
	}
	return s.text
}

// id reads the id of an app or a connector.
func (d *decoder) id(n *yaml.Node) string {
	s := d.scalar(n)
	if !s.ok {
		return ""
	}
	if !isID(s.text) {
		d.reportf(s.node, "%s is not an id: use 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit", s.shown())
		return ""
	}
	return s.text
}

func isID(text string) bool {
	const first = "abcdefghijklmnopqrstuvwxyz0123456789"
	return text != "" && len(text) <= 63 && strings.Trim(text, first+"_-") == "" && strings.IndexByte(first, text[0]) >= 0
}

// label reads a text that people see, of at most limit characters in one line.
func (d *decoder) label(n *yaml.Node, limit int) string {
	s := d.scalar(n)
	text := strings.TrimSpace(s.text)
	switch {
	case !s.ok:
	case text == "":
		d.report(s.node, "this is blank: give a text, or remove the field")
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		d.report(s.node, "this contains a line end or another control character: write it in one line")
	case utf8.RuneCountInString(text) > limit:
		d.reportf(s.node, "this has %d characters: shorten it to %d", utf8.RuneCountInString(text), limit)
	default:
		return text
	}
	return ""
}

// plain reads a text that machines compare, of at most limit bytes.
func (d *decoder) plain(n *yaml.Node, limit int) string {
	s := d.scalar(n)
	switch {
	case !s.ok:
	case !utf8.ValidString(s.text) || strings.ContainsFunc(s.text, unicode.IsControl):
		d.report(s.node, "this contains a line end or another control character: remove it")
	case s.text == "" || strings.TrimSpace(s.text) != s.text:
		d.report(s.node, "this is empty or begins or ends with a space: check it")
	case len(s.text) > limit:
		d.reportf(s.node, "this has %d bytes: at most %d are allowed", len(s.text), limit)
	default:
		return s.text
	}
	return ""
}

// address reads an https address, normalised.
func (d *decoder) address(n *yaml.Node) string {
	s := d.scalar(n)
	if !s.ok {
		return ""
	}
	_, problem := parseAddress(s.text)
	if problem != "" {
		d.report(s.node, problem)
		return ""
	}
	return s.text // as written: a return_url is compared byte for byte
}

// isPrintable reports whether text is ASCII without spaces and control characters.
func isPrintable(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

// unique remembers where a value stood first.
type unique map[string]*yaml.Node

// check reports a value, what, that was there before. Empty values are no values.
func (u unique) check(d *decoder, what, value string, n *yaml.Node) {
	if value == "" {
		return
	}
	if first := u[value]; first != nil {
		d.reportf(n, "this %s is used twice: choose another (the first is in line %d)", what, first.Line)
		return
	}
	u[value] = n
}

// secret wraps a value that may be there once, without showing it.
func (u unique) secret(d *decoder, s scalar) vault.Secret {
	if first := u[s.text]; first != nil {
		d.reportf(s.node, "this token is used twice in the app: choose another (the first is in line %d)", first.Line)
		return vault.Secret{}
	}
	u[s.text] = s.node
	return vault.NewSecret(s.text)
}
