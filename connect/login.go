package connect

import (
	"encoding/base64"
	"encoding/json"
	"errors"

	"patchbay/oauth"
	"patchbay/vault"
)

// LoginRedirectURI is the address that the builder registers at the app's OpenID
// provider.
func (s *Service) LoginRedirectURI(app string) string {
	return s.PublicURL + "/login/" + app + "/callback"
}

// A sign-in that is under way is kept by the browser and not by us, so that a stranger
// who begins a million of them writes nothing. These are its parts, each sealed for
// itself.
const (
	LoginAttempt = "login"         // between leaving for the provider and coming back
	LoginOutcome = "login-outcome" // of somebody else than is signed in, until the person decides
)

// maxSealedLogin is the longest text that UnsealLogin looks at. A cookie is shorter.
const maxSealedLogin = 16 << 10

// SealLogin makes a text of v that can be neither read nor changed, and that opens for
// the same app and part only.
func (s *Service) SealLogin(app, part string, v any) (string, error) {
	sealed, err := s.sealJSON(loginContext(app, part), v)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// UnsealLogin reads what SealLogin made; false for anything else.
func (s *Service) UnsealLogin(app, part, text string, into any) bool {
	if len(text) > maxSealedLogin {
		return false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return false
	}
	plain, err := s.Sealer.Open(loginContext(app, part), sealed)
	return err == nil && json.Unmarshal(plain, into) == nil
}

func loginContext(app, part string) vault.Context { return vault.Context{App: app, Purpose: part} }

// OutboundRefused reports whether err is that of a call which was not made, because
// its address may not be reached from here.
func OutboundRefused(err error) bool { return errors.Is(err, oauth.ErrBlocked) }
