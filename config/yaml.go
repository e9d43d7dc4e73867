package config

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

const emptyAdvice = "the file is empty: write `apps: []` for no apps"

// parse returns the root of the one document in data. It returns nil for what is
// not YAML, after it reported that.
func (d *decoder) parse(data []byte) *yaml.Node {
	if !d.isText(data) {
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		d.report(&yaml.Node{}, syntaxAdvice)
		return nil
	}
	var document, second yaml.Node
	err = loader.Load(&document)
	if err == nil {
		err = loader.Load(&second)
		if err == nil {
			d.report(&second, "a second document begins here: put everything into one")
			return nil
		}
	} else if errors.Is(err, io.EOF) {
		d.report(&yaml.Node{}, emptyAdvice)
		return nil
	}
	if !errors.Is(err, io.EOF) {
		d.reportSyntax(err)
		return nil
	}
	if len(document.Content) != 1 || document.Content[0].ShortTag() == "!!null" {
		d.report(&document, emptyAdvice)
		return nil
	}
	return document.Content[0]
}

// isText refuses what is not UTF-8 and control characters. The parser does too, but
// does not say where.
func (d *decoder) isText(data []byte) bool {
	at := yaml.Node{Line: 1, Column: 1}
	for len(data) > 0 {
		c, size := utf8.DecodeRune(data)
		switch {
		case c == utf8.RuneError && size == 1:
			d.report(&at, "the text is not UTF-8: save the file as UTF-8")
			return false
		case unicode.IsControl(c) && c != '\t' && c != '\n' && c != '\r', c == 0xFFFE, c == 0xFFFF:
			d.report(&at, "the text contains a control character: remove it")
			return false
		case c == '\n':
			at.Line, at.Column = at.Line+1, 0
		}
		at.Column++
		data = data[size:]
	}
	return true
}

const syntaxAdvice = "this is not YAML: check the indentation, quotes and brackets here and just before"

// syntaxSentences replaces the parser's own sentences, which may quote the text.
var syntaxSentences = []struct{ contains, sentence string }{
	{"anchor", "a value begins with * or &, which have a meaning in YAML: put it in quotes"},
	{"mapping values are not allowed", "a colon stands where none may: check the indentation, and put values that contain a colon and a space in quotes"},
	{"cannot start any token", "a value begins with a character that has a meaning in YAML: put it in quotes; indent with spaces, not tabs"},
	{"unexpected end of stream", "the text ends within quotes: close them"},
}

func (d *decoder) reportSyntax(err error) {
	at := &yaml.Node{}
	sentence := syntaxAdvice
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		at.Line, at.Column = e.Mark.Line, e.Mark.Column
		for _, s := range syntaxSentences {
			if strings.Contains(e.Message, s.contains) {
				sentence = s.sentence
				break
			}
		}
	}
	d.report(at, sentence)
}
