// Package vault keeps secrets: it seals them for storage and keeps them out of
// print. It owns the record format, the key ring and the Secret type; it does not
// know what is sealed, where it is stored, or who may read it.
//
// # Records
//
// A sealed record is
//
//	version  1 byte, 1
//	length   1 byte, of the key id
//	key id   1 to 32 bytes of [A-Za-z0-9_-]
//	nonce    12 random bytes
//	text     AES-256-GCM ciphertext with its 16-byte tag
//
// so it is 30 bytes and a key id longer than what it hides. The id is in the clear
// so that a rotation can find what is stale without opening it.
//
// # What is bound
//
// The first three fields and the Context are the associated data: a record opens
// only for the app, connector, end user, row and purpose it was sealed for. Whoever
// can write to the database but has no key cannot hand one user's token to another
// by moving, swapping or copying rows, and a driver that returns the wrong row
// produces an error instead of somebody else's secret. An old record of the same
// row still opens: the vault does not know which write was the last.
//
// # Keys
//
// A Ring holds one or more 256-bit keys, newest first. The newest seals, all open.
// No key is used as it is: HKDF-SHA-256 derives one subkey for sealing and one for
// every purpose of MAC, so neither use says anything about the other. Random nonces
// keep their margin for 2^32 records under one key (a million tokens refreshed
// every hour take half a year to reach it): rotate well before that.
package vault
