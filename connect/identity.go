package connect

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"unicode"
	"unicode/utf8"
)

// EndUser is a user of an app. ID is the app's own string, compared byte for byte;
// Name and Email are what the app said of the user, for showing only.
type EndUser struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
}

// Label is how a page names the user: the e-mail address if the app gave one, else
// the id. Never the name alone, which anybody may choose.
func (u EndUser) Label() string {
	if u.Email != "" {
		return u.Email
	}
	return u.ID
}

// ValidUserID reports whether id can be a user id: 1 to 255 bytes of UTF-8 without
// control characters.
func ValidUserID(id string) bool { return id != "" && validText(id, 255) }

// Validate returns an invalid_request error that says which part of u is not usable.
func (u EndUser) Validate() error {
	switch {
	case u.ID == "":
		return refuse(CodeInvalidRequest, "user.id is required.")
	case !ValidUserID(u.ID):
		return refuse(CodeInvalidRequest, "user.id must be 1 to 255 bytes of UTF-8 without control characters.")
	case !validText(u.Name, 255):
		return refuse(CodeInvalidRequest, "user.name must be at most 255 bytes of UTF-8 without control characters.")
	case !validText(u.Email, 255):
		return refuse(CodeInvalidRequest, "user.email must be at most 255 bytes of UTF-8 without control characters.")
	}
	return nil
}

func validText(s string, limit int) bool {
	if len(s) > limit || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// Owner is whose a connection is: an end user of the app, or the app itself for a
// shared connector. The zero Owner is the app.
type Owner struct {
	User string
}

// Key is an injective text for the owner, for unique indexes: "u:" and the user id,
// or "app".
func (o Owner) Key() string {
	if o.User == "" {
		return "app"
	}
	return "u:" + o.User
}

// OwnerOf is the owner for an end user's id.
func OwnerOf(userID string) Owner { return Owner{User: userID} }

// newID makes an unguessable identifier: a prefix and 128 random bits in base64url.
func newID(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// newSecret makes 256 random bits in base64url (43 characters).
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// HashSecret is how every token, ticket and cookie value is stored and looked up.
// The values are random or at least 20 characters long by rule, so a plain SHA-256
// is enough.
func HashSecret(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}
