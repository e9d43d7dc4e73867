package handlers

import "testing"

func TestHTMLPatternClasses(t *testing.T) {
	for expr, want := range map[string]string{
		`^(?:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$`: `[a-z0-9]([a-z0-9\-]{0,61}[a-z0-9])?`,
		`^(?:[-a])$`:            `[\-a]`,
		`^(?:[^-a])$`:           `[^\-a]`,
		`^(?:[a\-])$`:           `[a\-]`,
		`^(?:a-b)$`:             `a-b`,
		`^(?:\[a-)$`:            `\[a-`,
		`^(?:[a-z]+\.com)$`:     `[a-z]+\.com`,
		`^(?:[^]-]x-)$`:         `[^]\-]x-`,
		`\A(?:[0-9a-fA-F-]+)\z`: `[0-9a-fA-F\-]+`,
	} {
		if got := htmlPattern(expr); got != want {
			t.Errorf("%s became %s, want %s", expr, got, want)
		}
	}
}
