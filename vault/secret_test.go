package vault

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"
)

const canary = "canary-4711"

// hidden holds secrets where fmt cannot call their methods.
type hidden struct {
	secret  Secret
	list    []Secret
	byName  map[string]Secret
	pointer *Secret
}

func TestSecretIsNotPrinted(t *testing.T) {
	s := NewSecret(canary)
	h := hidden{s, []Secret{s}, map[string]Secret{"a": s}, &s}
	values := []any{s, &s, []Secret{s}, map[string]Secret{"a": s}, map[Secret]int{s: 1}, struct{ S Secret }{s}, h, &h,
		fmt.Errorf("with %v", s), errors.Join(fmt.Errorf("%+v", h))}
	var out bytes.Buffer
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t", "%10.3s"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		_ = json.NewEncoder(&out).Encode(v)
		_ = xml.NewEncoder(&out).Encode(v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "v", v)
		_ = template.Must(template.New("").Parse("{{.}}{{printf `%s` .}}")).Execute(&out, v)
	}
	for _, leak := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), "99 97 110"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q is printed", leak)
		}
	}
	if !strings.Contains(out.String(), "[redacted]") {
		t.Error("nothing says [redacted]")
	}
}

func TestSecretFormats(t *testing.T) {
	s := NewSecret(canary)
	encoded, err := json.Marshal(map[string]Secret{"some": s, "none": {}})
	if err != nil || string(encoded) != `{"none":"","some":"[redacted]"}` {
		t.Errorf("json: %s, %v", encoded, err)
	}
	if got := fmt.Sprintf("%v|%#v|%v", s, s, Secret{}); got != "[redacted]|[redacted]|" {
		t.Errorf("fmt: %s", got)
	}
	if s.GoString() != "vault.Secret([redacted])" {
		t.Errorf("GoString: %s", s.GoString())
	}
	if text, err := s.MarshalText(); string(text) != "[redacted]" || err != nil {
		t.Errorf("MarshalText: %s, %v", text, err)
	}
}

func TestSecretReveals(t *testing.T) {
	s := NewSecret(canary)
	if s.Reveal() != canary || s.IsZero() {
		t.Error("the value is lost")
	}
	if s != NewSecret(canary) || s == NewSecret("other") {
		t.Error("equality is not that of the values")
	}
	if empty := NewSecret(""); !empty.IsZero() || empty != (Secret{}) || empty.Reveal() != "" || empty.String() != "" {
		t.Error("the empty secret is not the zero one")
	}
}
