package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// maxDepth is deeper than any body of ours.
const maxDepth = 32

// checkFields refuses what encoding/json would let pass: a field whose name differs
// from ours in case, and one that is named twice. Two readers of such a body could see
// two different users in it.
func checkFields(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	return checkValue(d, reflect.TypeOf(into), 0)
}

func checkValue(d *json.Decoder, t reflect.Type, depth int) error {
	if depth > maxDepth {
		return errors.New("nests too deep")
	}
	tok, err := d.Token()
	if err != nil {
		return err
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch tok {
	case json.Delim('{'):
		return checkObject(d, t, depth)
	case json.Delim('['):
		for d.More() {
			if err := checkValue(d, nil, depth+1); err != nil {
				return err
			}
		}
		_, err = d.Token()
	}
	return err
}

func checkObject(d *json.Decoder, t reflect.Type, depth int) error {
	seen := map[string]bool{}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := tok.(string)
		if seen[name] {
			return fmt.Errorf("names the field %q twice", name)
		}
		seen[name] = true
		var value reflect.Type
		if t != nil && t.Kind() == reflect.Struct {
			field, ok := fieldNamed(t, name)
			if !ok {
				return fmt.Errorf("has a field that does not exist: %q", name)
			}
			value = field.Type
		}
		if err := checkValue(d, value, depth+1); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if tag == name {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}
