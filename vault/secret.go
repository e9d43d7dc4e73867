package vault

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"unique"
)

const redacted = "[redacted]"

// Secret is a value that must not be printed: an access token, a refresh token, a
// client secret, an authorization code. Every way of formatting it says
// "[redacted]"; Reveal is the only way to read it, so that each place which needs
// the value can be found by searching for that one word.
//
// The zero Secret is empty and means "none". Secrets of equal value are equal by ==.
//
// The value is held by a handle because fmt cannot call the methods of a Secret in
// another struct's unexported field: there it prints the handle's address.
type Secret struct{ handle unique.Handle[string] }

// NewSecret wraps value.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{unique.Make(value)}
}

// Reveal returns the wrapped value. The caller must neither log it nor put it in
// an error or an address.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.handle.Value()
}

// IsZero reports whether there is no value.
func (s Secret) IsZero() bool { return s == Secret{} }

// String returns "[redacted]", or "" for the zero Secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// GoString keeps %#v from printing the field.
func (s Secret) GoString() string { return "vault.Secret(" + s.String() + ")" }

// Format keeps every verb, %x and %q among them, from printing the field.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalJSON returns the JSON string "[redacted]", or "" for the zero Secret.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalText keeps text encoders (YAML, XML, map keys) from printing the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
