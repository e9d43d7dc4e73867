package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

const (
	keySize = 32 // AES-256
	macSize = sha256.Size
	// MinMAC is the shortest tag that CheckMAC accepts.
	MinMAC = 16
)

// Ring is a set of keys, newest first. It does not change and may be used by any
// number of goroutines. The only way to get one is ParseKeys; it is never empty.
type Ring struct {
	keys []key
	byID map[string]key
}

// key is one key of a Ring. Its secret parts are behind a function because fmt, for
// a verb that does not fit, prints what pointers in unexported fields point to.
type key struct {
	id     string
	secret func() *material
}

type material struct {
	root []byte      // what HKDF derives from
	aead cipher.AEAD // of the subkey for sealing
}

func newKey(id string, raw []byte) (key, error) {
	m := &material{root: bytes.Clone(raw)}
	k := key{id, func() *material { return m }}
	block, err := aes.NewCipher(k.subkey("seal"))
	if err != nil {
		return key{}, fmt.Errorf("vault: %w", err)
	}
	if m.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return key{}, fmt.Errorf("vault: %w", err)
	}
	return k, nil
}

// subkey derives the key for one use. The uses are "seal" and "mac:" with a purpose.
func (k key) subkey(use string) []byte {
	sub, err := hkdf.Key(sha256.New, k.secret().root, nil, "patchbay vault v1 "+use, keySize)
	if err != nil { // only for a length that HKDF cannot make
		panic("vault: " + err.Error())
	}
	return sub
}

func newRing(keys []key) *Ring {
	r := &Ring{keys: keys, byID: make(map[string]key, len(keys))}
	for _, k := range keys {
		r.byID[k.id] = k
	}
	return r
}

// NewestID returns the id of the key that seals.
func (r *Ring) NewestID() string { return r.keys[0].id }

// Has reports whether the ring can open records of the key id.
func (r *Ring) Has(id string) bool {
	_, ok := r.byID[id]
	return ok
}

// IDs returns the ids of all keys, newest first.
func (r *Ring) IDs() []string {
	ids := make([]string, len(r.keys))
	for i, k := range r.keys {
		ids[i] = k.id
	}
	return ids
}

// String names the keys and shows none.
func (r *Ring) String() string { return fmt.Sprintf("vault.Ring%q", r.IDs()) }

// MAC returns the 32-byte HMAC-SHA-256 of data under the newest key. Tags of
// different purposes have nothing in common.
func (r *Ring) MAC(purpose string, data []byte) []byte {
	return r.keys[0].mac(purpose, data)
}

// CheckMAC reports whether mac is the tag of data for purpose under any key of the
// ring, in a time that does not depend on where they differ. A tag may have been
// cut to its first MinMAC bytes or more; a shorter one is never right.
func (r *Ring) CheckMAC(purpose string, data, mac []byte) bool {
	if len(mac) < MinMAC || len(mac) > macSize {
		return false
	}
	ok := false
	for _, k := range r.keys {
		if hmac.Equal(k.mac(purpose, data)[:len(mac)], mac) {
			ok = true
		}
	}
	return ok
}

func (k key) mac(purpose string, data []byte) []byte {
	h := hmac.New(sha256.New, k.subkey("mac:"+purpose))
	h.Write(data)
	return h.Sum(nil)
}
