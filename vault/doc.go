// Package vault keeps secrets: it seals them for storage and keeps them out of
// print. It owns the record format, the key ring and the Secret type; it does not
// know what is sealed, where it is stored, or who may read it.
package vault
