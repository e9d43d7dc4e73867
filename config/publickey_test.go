package config

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
)

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicPEM(t testing.TB, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func indent(text string) string {
	return "        " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n        ") + "\n"
}

func TestParsePublicKey(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	smallKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ec := newECKey(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(edPrivate)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	good := publicPEM(t, ec.Public())

	for name, test := range map[string]struct{ text, want string }{
		"RSA":              {publicPEM(t, rsaKey.Public()), ""},
		"RSA, PKCS #1":     {block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)), ""},
		"EC":               {good, ""},
		"Ed25519":          {publicPEM(t, ed), ""},
		"text before":      {"exported today\n" + good, ""},
		"empty":            {"", "not a PEM block"},
		"cut short":        {good[:60], "not a PEM block"},
		"two":              {good + good, "something follows"},
		"RSA 1024":         {publicPEM(t, smallKey.Public()), "2048 to 8192"},
		"P-384":            {publicPEM(t, p384.Public()), "P-256"},
		"X25519":           {publicPEM(t, x25519.Public()), "not supported"},
		"private":          {block("PRIVATE KEY", private), "is a private key"},
		"private, PKCS #1": {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), "is a private key"},
		"private, second":  {good + block("EC PRIVATE KEY", private), "is a private key"},
		"certificate":      {block("CERTIFICATE", private), "is a certificate"},
		"another block":    {block("CANARY", private), "not a public key"},
		"garbage":          {block("PUBLIC KEY", []byte("CANARY")), "cannot be read"},
	} {
		key, text, problem := parsePublicKey(test.text)
		if test.want == "" && (problem != "" || key == nil || publicPEM(t, key) != text) {
			t.Errorf("%s: %s", name, problem)
		}
		if test.want != "" && (key != nil || !strings.Contains(problem, test.want) || strings.Contains(problem, "CANARY")) {
			t.Errorf("%s: %q, want %q", name, problem, test.want)
		}
	}
}
