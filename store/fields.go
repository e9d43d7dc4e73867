package store

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"patchbay/connect"
)

// Each kind of row has one list of columns and one function that points at the Go
// values in the same order. The list serves for writing and for reading, so a column
// cannot be written and then forgotten when it is read.

// placeholders returns "$from, …", one for each of the columns.
func placeholders(from int, columns string) string {
	var b strings.Builder
	for i := range strings.Count(columns, ",") + 1 {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(from+i))
	}
	return b.String()
}

// millis is how a time is stored.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// timeField is a time as a column.
type timeField struct{ t *time.Time }

func (f timeField) Value() (driver.Value, error) { return millis(*f.t), nil }

func (f timeField) Scan(v any) error {
	ms, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time stored as %T", v)
	}
	*f.t = time.Time{}
	if ms != 0 {
		*f.t = time.UnixMilli(ms).UTC()
	}
	return nil
}

// blobField is a byte string as a column; an empty one is NULL, so that it can be
// missing from a unique index.
type blobField struct{ b *[]byte }

func (f blobField) Value() (driver.Value, error) {
	if len(*f.b) == 0 {
		return nil, nil
	}
	return *f.b, nil
}

func (f blobField) Scan(v any) error {
	switch b := v.(type) {
	case nil:
		*f.b = nil
	case []byte:
		*f.b = append([]byte(nil), b...)
	default:
		return fmt.Errorf("a byte string stored as %T", v)
	}
	return nil
}

// documentField is a JSON document that the store does not look into.
type documentField struct{ b *[]byte }

func (f documentField) Value() (driver.Value, error) { return string(*f.b), nil }

func (f documentField) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("a document stored as %T", v)
	}
	*f.b = []byte(s)
	return nil
}

// jsonField is a list, a map or a struct as a column of JSON. Nil and empty differ.
type jsonField struct{ v any }

func (f jsonField) Value() (driver.Value, error) {
	b, err := json.Marshal(f.v)
	return string(b), err
}

func (f jsonField) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("JSON stored as %T", v)
	}
	if s == "null" { // what is scanned into is new
		return nil
	}
	return json.Unmarshal([]byte(s), f.v)
}

// ownerField is an owner as a column: its key.
type ownerField struct{ o *connect.Owner }

func (f ownerField) Value() (driver.Value, error) { return f.o.Key(), nil }

func (f ownerField) Scan(v any) error {
	key, ok := v.(string)
	if !ok {
		return fmt.Errorf("an owner stored as %T", v)
	}
	*f.o = connect.Owner{}
	if user, ok := strings.CutPrefix(key, userKeyPrefix); ok {
		*f.o = connect.OwnerOf(user)
	}
	if f.o.Key() != key {
		return fmt.Errorf("an owner stored as %q", key)
	}
	return nil
}

// userKeyPrefix begins the keys of owners that are end users.
const userKeyPrefix = "u:"
