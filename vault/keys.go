package vault

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// SampleKeys returns the keys that documentation and tests may print, as lines that
// ParseKeys reads the form of and refuses: everybody knows them.
func SampleKeys() []string {
	return []string{
		"sample:cGF0Y2hiYXkgc2FtcGxlIGtleTogbm90IGZvciB1c2U=", // "patchbay sample key: not for use"
		"sample:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", // "0123456789abcdef" twice
	}
}

// ParseKeys reads a comma-separated list of `id:base64-of-32-bytes`, newest first.
// An id is 1 to 32 of A-Z, a-z, 0-9, _ and -; the base64 may use either alphabet,
// padded or not. Its error joins every problem found, each about one entry by its
// number, and contains no key material.
func ParseKeys(s Secret) (*Ring, error) {
	if strings.TrimSpace(s.Reveal()) == "" {
		return nil, errors.New("there is no key: make one with `patchbay keys new`")
	}
	var (
		keys     []key
		raws     [][]byte // of keys, by index
		problems []error
	)
	for i, entry := range strings.Split(s.Reveal(), ",") {
		id, raw, err := parseKey(strings.TrimSpace(entry))
		for j := range keys {
			switch {
			case err != nil:
			case keys[j].id == id:
				err = fmt.Errorf("the id %q is used twice: give every key an id of its own", id)
			case subtle.ConstantTimeCompare(raws[j], raw) == 1:
				err = fmt.Errorf("is the same key as %q under another id: remove one of them", keys[j].id)
			}
		}
		var k key
		if err == nil {
			k, err = newKey(id, raw)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("entry %d: %w", i+1, err))
			continue
		}
		keys, raws = append(keys, k), append(raws, raw)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return newRing(keys), nil
}

// NewKeyLine makes a key and returns the line to put first in the list. The id
// holds the day of now and four random digits, like k20261123-a1b2.
func NewKeyLine(now time.Time) (string, error) {
	var b [2 + keySize]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("vault: %w", err)
	}
	id := "k" + now.UTC().Format("20060102") + "-" + hex.EncodeToString(b[:2])
	return id + ":" + base64.StdEncoding.EncodeToString(b[2:]), nil
}

// parseKey reads one entry. It names the id in an error only once it is known to
// be one: what stands there may be a key in the wrong place.
func parseKey(entry string) (id string, raw []byte, err error) {
	if entry == "" {
		return "", nil, errors.New("is empty: remove the comma that is too many")
	}
	id, text, found := strings.Cut(entry, ":")
	if !found {
		return "", nil, errors.New("has no colon: write `id:base64`, as `patchbay keys new` prints it")
	}
	if !validID(id) {
		return "", nil, errors.New("its id is not 1 to 32 letters, digits, _ and -: write `id:base64`, as `patchbay keys new` prints it")
	}
	raw, ok := decodeBase64(text)
	switch {
	case !ok:
		return "", nil, fmt.Errorf("key %q is not base64: copy the whole line that `patchbay keys new` printed", id)
	case len(raw) != keySize:
		return "", nil, fmt.Errorf("key %q has %d bytes instead of 32: copy the whole line that `patchbay keys new` printed", id, len(raw))
	case isGuessable(raw):
		return "", nil, fmt.Errorf("key %q is a sample that everybody knows: make one with `patchbay keys new`", id)
	}
	return id, raw, nil
}

func validID(id string) bool {
	if len(id) < 1 || len(id) > 32 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

func decodeBase64(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") { // the decoder would skip them
		return nil, false
	}
	for _, enc := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		if raw, err := enc.Strict().DecodeString(text); err == nil {
			return raw, true
		}
	}
	return nil, false
}

func isGuessable(raw []byte) bool {
	if bytes.Count(raw, raw[:1]) == len(raw) {
		return true
	}
	for _, line := range SampleKeys() {
		_, text, _ := strings.Cut(line, ":")
		if sample, ok := decodeBase64(text); ok && bytes.Equal(sample, raw) {
			return true
		}
	}
	return false
}
