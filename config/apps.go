package config

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"patchbay/vault"
)

// maxAppsFile is the largest apps file that is read, in bytes.
const maxAppsFile = 4 << 20

// Checker answers what only the catalogue of integration types knows.
type Checker interface {
	// KnownType reports whether the catalogue has the type; for one that it does
	// not have, suggestion lists similar names, "googlecalendar, googlesheets", or
	// is empty.
	KnownType(typ string) (suggestion string, ok bool)
	// CheckParams checks the params of a connector of a known type. Each of the
	// errors it joins is reported as one problem.
	CheckParams(typ string, params map[string]string) error
	// NeedsSecret reports whether the provider of a known type registers no clients
	// without a secret.
	NeedsSecret(typ string) bool
}

// Apps is the content of an apps file.
type Apps struct {
	File string // as it was named
	Apps []App
}

// Pos is a place in an apps file.
type Pos struct {
	File      string
	Line, Col int
}

// String returns file:line:column.
func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col) }

// App is one app. Everything is checked, addresses are normalised, and what has a
// default of the file format's own is filled in.
type App struct {
	Pos           Pos
	ID            string
	Name          string // the id, where none is given
	ServiceTokens []ServiceToken
	BuilderKeys   []BuilderKey
	UserTokens    *UserTokens // nil: the app's own tokens are not accepted
	Login         *Login      // nil: nobody signs in by themselves
	Origins       []string    // scheme://host[:port]
	ReturnURLs    []string    // the first is the default
	VerifyURL     string      // "" for none
	MinAssurance  string      // "human" or "app"
	Webhooks      []Webhook
	Theme         Theme
	Connectors    []Connector
}

// Webhook is where an app is told of its connections. Secret is as it is written, with
// whsec_ or without.
type Webhook struct {
	URL    string
	Secret vault.Secret
}

// ServiceToken is a credential of the app's back end.
type ServiceToken struct {
	Name   string // unique among the app's service tokens
	Token  vault.Secret
	Scopes []string // of "tokens", "sessions", "proxy"
}

// BuilderKey is a credential of a builder or of CI.
type BuilderKey struct {
	Name  string // unique among the app's builder keys
	Token vault.Secret
}

// UserTokens says how the JWTs of end users are checked. Exactly one of JWKSURL,
// HS256Secret and PublicKey is set.
type UserTokens struct {
	Issuer       string // "" for any
	Audience     string // the app's id, where none is given
	JWKSURL      string
	HS256Secret  vault.Secret
	PublicKey    crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey on P-256, ed25519.PublicKey
	PublicKeyPEM string           // PublicKey as a PUBLIC KEY block
}

// Login is the OpenID provider at which people sign in who come by themselves.
type Login struct {
	Issuer       string // as written: it is compared byte by byte
	ClientID     string
	ClientSecret vault.Secret // zero for a public client
	UserClaim    string       // the claim of the ID token that holds the user id
}

// Theme is how the app's pages look.
type Theme struct {
	Accent string // #rgb or #rrggbb in lower case, "" for the default
	Logo   *Logo  // nil for none
}

// Logo is the content of a picture. It came from a builder: serve it so that a
// browser runs nothing in it.
type Logo struct {
	Data      []byte
	MediaType string // by what is in it: image/png, image/webp, image/svg+xml
}

// Connector is one integration of an app. An empty Name, nil Scopes and an empty
// endpoint mean what the catalogue says; Scopes that are empty but not nil mean none.
type Connector struct {
	Pos           Pos
	ID            string
	Type          string
	Mode          string // "user" or "shared"
	Name          string
	Description   string
	ClientID      string
	ClientSecrets []vault.Secret // newest first, at least one
	Scopes        []string
	Params        map[string]string
	Endpoints     Endpoints
}

// Endpoints replace addresses of the catalogue. They are kept as written, because
// an issuer is compared byte by byte.
type Endpoints struct {
	Authorize, Token, Refresh, Revoke, Userinfo, API, Issuer string
}

// LoadApps reads and checks an apps file. Its error, a Problems, lists everything
// that is wrong with the file, in its order. env answers ${NAME} and is
// os.LookupEnv in a program.
func LoadApps(path string, env func(string) (string, bool), check Checker) (*Apps, error) {
	data, err := readAppsBytes(path)
	if err != nil {
		return nil, Problems{{path, fmt.Sprintf("cannot be read (%v): name an apps file that this process may read", reason(err))}}
	}
	var files fs.FS
	if root, err := os.OpenRoot(filepath.Dir(path)); err == nil {
		defer func() { _ = root.Close() }()
		files = root.FS()
	}
	return LoadAppsBytes(path, data, files, env, check)
}

// LoadAppsBytes is LoadApps for content that is at hand. The name stands in
// errors; files is the folder of the apps file, nil for none.
func LoadAppsBytes(name string, data []byte, files fs.FS, env func(string) (string, bool), check Checker) (*Apps, error) {
	if len(data) > maxAppsFile {
		return nil, Problems{{name, "is larger than 4 MiB: name an apps file"}}
	}
	d := newDecoder(name, files, env, check)
	apps := &Apps{File: name}
	if root := d.parse(data); root != nil {
		apps.Apps = d.apps(root)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return apps, nil
}

// readAppsBytes reads a file or a pipe, at most one byte too much.
func readAppsBytes(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxAppsFile+1))
}

// reason drops the path from an error about a file that is named anyway.
func reason(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}
