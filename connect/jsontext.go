package connect

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// ValidJSONText reports whether every string in a JSON text is Unicode. The decoder of
// the standard library reads broken UTF-8 and half surrogate pairs as U+FFFD, so that
// different user ids would become one.
func ValidJSONText(raw []byte) bool {
	if !utf8.Valid(raw) {
		return false
	}
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 || i+1 >= len(raw) {
			return true
		}
		raw = raw[i:]
		unit, ok := escapedUnit(raw)
		switch {
		case !ok:
			raw = raw[2:] // another escape; the decoder judges it
		case !utf16.IsSurrogate(unit):
			raw = raw[6:]
		default:
			low, ok := escapedUnit(raw[6:])
			if !ok || utf16.DecodeRune(unit, low) == utf8.RuneError {
				return false
			}
			raw = raw[12:]
		}
	}
}

// escapedUnit reads a \uXXXX at the beginning of raw.
func escapedUnit(raw []byte) (rune, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw[2:6]), 16, 16)
	return rune(n), err == nil
}
