package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	// ErrUnknownKey means that the record was sealed with a key that the ring does
	// not hold; the error that wraps it names the key's id.
	ErrUnknownKey = errors.New("vault: sealed with an unknown key")
	// ErrIntegrity means that the bytes are not a record, were changed, belong to
	// another Context, or were sealed with another key of the same id.
	ErrIntegrity = errors.New("vault: the sealed record does not open here")
)

// Context says where a sealed value belongs. It is not stored: Open must be given
// the Context that Seal was given, field by field. A field that does not apply is
// empty (User, for an account that a whole app shares); Purpose, which keeps two
// values of one row apart, never is.
type Context struct {
	App, Connector, User, Row, Purpose string
}

const (
	recordVersion = 1
	nonceSize     = 12
	tagSize       = 16
)

// Seal encrypts plain with the newest key and binds it to ctx.
func (r *Ring) Seal(ctx Context, plain []byte) ([]byte, error) {
	if ctx.Purpose == "" {
		return nil, errors.New("vault: Seal needs a purpose")
	}
	k := r.keys[0]
	record := make([]byte, 0, 2+len(k.id)+nonceSize+len(plain)+tagSize)
	record = append(record, recordVersion, byte(len(k.id)))
	record = append(record, k.id...)
	return k.secret().aead.Seal(record, nil, plain, associated(record, ctx)), nil
}

// Open decrypts a record that was sealed for ctx. Its errors are ErrUnknownKey and
// ErrIntegrity. The caller owns the result.
func (r *Ring) Open(ctx Context, sealed []byte) ([]byte, error) {
	id, err := KeyID(sealed)
	if err != nil {
		return nil, err
	}
	k, ok := r.byID[id]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknownKey, id)
	}
	header, text := sealed[:2+len(id)], sealed[2+len(id):]
	plain, err := k.secret().aead.Open(nil, nil, text, associated(header, ctx))
	if err != nil {
		return nil, ErrIntegrity
	}
	return plain, nil
}

// KeyID returns the id of the key that sealed the record, without opening it. It
// returns ErrIntegrity for what cannot be a record.
func KeyID(sealed []byte) (string, error) {
	if len(sealed) < 2 || sealed[0] != recordVersion {
		return "", ErrIntegrity
	}
	n := int(sealed[1])
	if len(sealed) < 2+n+nonceSize+tagSize || !validID(string(sealed[2:2+n])) {
		return "", ErrIntegrity
	}
	return string(sealed[2 : 2+n]), nil
}

// associated encodes what a record is bound to. Every part follows its length, so
// that no two contexts have one encoding.
func associated(header []byte, ctx Context) []byte {
	parts := [...]string{ctx.App, ctx.Connector, ctx.User, ctx.Row, ctx.Purpose}
	size := 8 + len(header)
	for _, part := range parts {
		size += 8 + len(part)
	}
	data := make([]byte, 0, size)
	data = binary.BigEndian.AppendUint64(data, uint64(len(header)))
	data = append(data, header...)
	for _, part := range parts {
		data = binary.BigEndian.AppendUint64(data, uint64(len(part)))
		data = append(data, part...)
	}
	return data
}
