package config

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
)

const (
	minRSA = 2048 // bits
	maxRSA = 8192 // beyond it, checking a signature is slow enough to be an attack
)

// parsePublicKey reads one PEM block that holds a key which can check RS256, PS256,
// ES256 or EdDSA. It returns the key, its PUBLIC KEY block, and what is wrong.
func parsePublicKey(text string) (key crypto.PublicKey, block string, problem string) {
	p, rest := pem.Decode([]byte(text))
	var err error
	switch {
	case p == nil:
		return nil, "", "this is not a PEM block: give one that begins with -----BEGIN PUBLIC KEY-----, after a | and indented"
	case strings.Contains(text, "PRIVATE KEY"):
		return nil, "", "this is a private key, which does not belong here: give its public half (openssl pkey -pubout)"
	case strings.TrimSpace(string(rest)) != "":
		return nil, "", "something follows the first PEM block: give one public key; for several use jwks_url"
	case p.Type == "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(p.Bytes)
	case p.Type == "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(p.Bytes)
	case p.Type == "CERTIFICATE":
		return nil, "", "this is a certificate: give its public key (openssl x509 -pubkey -noout)"
	default:
		return nil, "", "this PEM block is not a public key: give one that begins with -----BEGIN PUBLIC KEY-----"
	}
	if err != nil {
		return nil, "", "this public key cannot be read: export it again (openssl pkey -pubout)"
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA || bits > maxRSA {
			return nil, "", "an RSA key must have 2048 to 8192 bits: make another"
		}
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return nil, "", "an EC key must be on the curve P-256: make another"
		}
	case ed25519.PublicKey:
	default:
		return nil, "", "this kind of key is not supported: use RSA, EC on P-256, or Ed25519"
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, "", "this public key cannot be read: export it again (openssl pkey -pubout)"
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), ""
}
