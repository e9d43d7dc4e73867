package session

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"

	"github.com/gorilla/sessions"

	"patchbay/connect"
)

// Browsers knows the browsers by their cookie. It is a sessions.Store: the cookie
// holds 256 random bits and nothing else, the rows hold its hash, so a session can be
// ended from our side and a read of the database opens none.
type Browsers struct {
	Service *connect.Service
	// Secure says that the public address is https: cookies are then Secure and
	// their names begin with __Host-.
	Secure bool
}

const (
	sessionCookie = "patchbay_session"
	identitiesKey = "identities"
	secretLen     = 43 // 256 bits in base64url
)

var _ sessions.Store = (*Browsers)(nil)

// CookieName is the full name of one of our cookies: with the __Host- prefix where
// the browser can enforce it (RFC 6265bis section 4.1.3.2).
func (b *Browsers) CookieName(name string) string { return cookieName(name, b.Secure) }

func cookieName(name string, secure bool) string {
	if secure {
		return "__Host-" + name
	}
	return name
}

func (b *Browsers) options(maxAge int) *sessions.Options { return cookieOptions(maxAge, b.Secure) }

// cookieOptions are those of every cookie we set. Lax, because the provider sends the
// browser back to us from its own site.
func cookieOptions(maxAge int, secure bool) *sessions.Options {
	return &sessions.Options{Path: "/", MaxAge: maxAge, Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// Get implements sessions.Store: the browser's session, read once per request.
func (b *Browsers) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(b, name)
}

// New implements sessions.Store. A cookie that is missing, malformed or unknown is
// no error but a session without identities. The error is the database's.
func (b *Browsers) New(r *http.Request, name string) (*sessions.Session, error) {
	s := sessions.NewSession(b, name)
	s.Options = b.options(int(connect.BrowserLife.Seconds()))
	s.IsNew = true
	found := r.CookiesNamed(b.CookieName(name))
	if len(found) != 1 || len(found[0].Value) != secretLen {
		return s, nil
	}
	identities, err := b.Service.BrowserSessions(r.Context(), connect.HashSecret(found[0].Value))
	if err == nil && len(identities) == 0 {
		var builders []connect.BuilderSession
		if builders, err = b.Service.BuilderSessions(r.Context(), connect.HashSecret(found[0].Value)); len(builders) == 0 {
			return s, err
		}
	}
	if err != nil {
		return s, err
	}
	s.ID, s.IsNew = found[0].Value, false
	s.Values[identitiesKey] = identities
	return s, nil
}

// Save implements sessions.Store: it writes the cookie. The rows are written by Open
// and Close, which know what changes.
func (b *Browsers) Save(_ *http.Request, w http.ResponseWriter, s *sessions.Session) error {
	http.SetCookie(w, sessions.NewCookie(b.CookieName(s.Name()), s.ID, s.Options))
	return nil
}

// Identities lists who is signed in in this browser, at most one user for each app.
func (b *Browsers) Identities(r *http.Request) ([]connect.BrowserSession, error) {
	s, err := b.Get(r, sessionCookie)
	if err != nil {
		return nil, err
	}
	identities, _ := s.Values[identitiesKey].([]connect.BrowserSession)
	return identities, nil
}

// Identity returns who is signed in to the app in this browser, nil for nobody.
func (b *Browsers) Identity(r *http.Request, app string) (*connect.BrowserSession, error) {
	identities, err := b.Identities(r)
	if err != nil {
		return nil, err
	}
	for i := range identities {
		if identities[i].App == app {
			return &identities[i], nil
		}
	}
	return nil, nil
}

// Open signs the browser in with the ticket of cs, under a new secret: one that was
// planted before, or seen by somebody, is worth nothing afterwards.
func (b *Browsers) Open(w http.ResponseWriter, r *http.Request, cs connect.ConnectSession) error {
	return b.renew(w, r, func(old, fresh []byte) (connect.BrowserSession, error) {
		return b.Service.OpenBrowser(r.Context(), cs, old, fresh)
	})
}

// OpenLogin signs the browser in as a user whom the app's OpenID provider has named,
// under a new secret as Open does.
func (b *Browsers) OpenLogin(w http.ResponseWriter, r *http.Request, app string, user connect.EndUser) error {
	return b.renew(w, r, func(old, fresh []byte) (connect.BrowserSession, error) {
		return b.Service.OpenLogin(r.Context(), app, user, old, fresh)
	})
}

// renew gives the browser a new secret, under which open puts its identity. The cookie
// lives as long as the identity in it that lives longest.
func (b *Browsers) renew(w http.ResponseWriter, r *http.Request, open func(old, fresh []byte) (connect.BrowserSession, error)) error {
	s, err := b.Get(r, sessionCookie)
	if err != nil {
		return err
	}
	var old []byte
	if s.ID != "" {
		old = connect.HashSecret(s.ID)
	}
	fresh := randomSecret()
	opened, err := open(old, connect.HashSecret(fresh))
	if err != nil {
		return err
	}
	ends := opened.ExpiresAt
	identities, _ := s.Values[identitiesKey].([]connect.BrowserSession)
	for _, other := range identities {
		if other.App != opened.App && other.ExpiresAt.After(ends) {
			ends = other.ExpiresAt
		}
	}
	s.ID, s.Options = fresh, b.options(int(ends.Sub(opened.CreatedAt).Seconds()))
	return s.Save(r, w)
}

// Close signs the browser out of the app, or of all of them for "". The cookie goes
// with the last identity.
func (b *Browsers) Close(w http.ResponseWriter, r *http.Request, app string) error {
	s, err := b.Get(r, sessionCookie)
	if err != nil || s.ID == "" {
		return err
	}
	if err := b.Service.CloseBrowser(r.Context(), connect.HashSecret(s.ID), app); err != nil {
		return err
	}
	return b.forget(w, r, s, app)
}

// forget takes the cookie away when no identity is held under it but those of an app
// that ended, all for "".
func (b *Browsers) forget(w http.ResponseWriter, r *http.Request, s *sessions.Session, ended string) error {
	if ended != "" {
		builders, err := b.Builders(r)
		if err != nil || len(builders) > 0 {
			return err
		}
		identities, _ := s.Values[identitiesKey].([]connect.BrowserSession)
		if slices.ContainsFunc(identities, func(i connect.BrowserSession) bool { return i.App != ended }) {
			return nil
		}
	}
	s.ID, s.Options = "", b.options(-1)
	return s.Save(r, w)
}

// Builders lists the apps whose builder is signed in in this browser.
func (b *Browsers) Builders(r *http.Request) ([]connect.BuilderSession, error) {
	s, err := b.Get(r, sessionCookie)
	if err != nil || s.ID == "" {
		return nil, err
	}
	return b.Service.BuilderSessions(r.Context(), connect.HashSecret(s.ID))
}

// OpenBuilder signs the browser in as a builder of the app, under a new secret as Open
// does. The error is unauthorized for anything but one of the app's builder keys.
func (b *Browsers) OpenBuilder(w http.ResponseWriter, r *http.Request, app, key string) error {
	return b.renew(w, r, func(old, fresh []byte) (connect.BrowserSession, error) {
		opened, err := b.Service.OpenBuilder(r.Context(), app, key, old, fresh)
		// The end user of that app who is signed in here too stays, and so does the cookie.
		return connect.BrowserSession{CreatedAt: opened.CreatedAt, ExpiresAt: opened.ExpiresAt}, err
	})
}

// CloseBuilder signs the browser out of the builder's page of the app. The cookie goes
// when nothing else is held under it.
func (b *Browsers) CloseBuilder(w http.ResponseWriter, r *http.Request, app string) error {
	s, err := b.Get(r, sessionCookie)
	if err != nil || s.ID == "" {
		return err
	}
	if err := b.Service.CloseBuilder(r.Context(), connect.HashSecret(s.ID), app); err != nil {
		return err
	}
	return b.forget(w, r, s, noApp) // the end user of the app stays
}

// noApp is the id of no app.
const noApp = "-"

func randomSecret() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}
