package sandbox

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"math/big"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	defaultAccount = "dana@sandbox.example"
	otherPrefix    = "other-"
	accountDomain  = "sandbox.example"
	maxAccount     = 200
)

var errAccount = errors.New("the account must be 1 to 200 bytes of text without control characters")

// identity is the person behind an account name. All of it follows from the name, so
// the same name is the same person in every process.
type identity struct {
	Account string // as typed, trimmed
	Name    string // "Dana Reyes" for dana.reyes@…
	Email   string
	Login   string // as GitHub has them: lower case, letters, digits and hyphens
	Domain  string // of the e-mail address: the pretend organisation
}

// parseAccount checks what was typed. Empty stands for fallback.
func parseAccount(typed, fallback string) (string, error) {
	typed = strings.TrimSpace(typed)
	if typed == "" {
		typed = fallback
	}
	if len(typed) > maxAccount || !utf8.ValidString(typed) || strings.ContainsFunc(typed, unicode.IsControl) {
		return "", errAccount
	}
	return typed, nil
}

// identify derives the person from a checked account name. A name that is no e-mail
// address gets one of the sandbox's own.
func identify(account string) identity {
	local, domain, isEmail := strings.Cut(account, "@")
	isEmail = isEmail && local != "" && domain != "" && !strings.ContainsFunc(account, unicode.IsSpace)
	if !isEmail {
		local, domain = account, accountDomain
	}
	login := slug(local)
	if login == "" {
		login = "user-" + who(account).digits("login", 6)
	}
	email := account
	if !isEmail {
		email = login + "@" + accountDomain
	}
	return identity{Account: account, Name: displayName(local, login), Email: email, Login: login, Domain: strings.ToLower(domain)}
}

// who derives ids from a name. The salt keeps one provider's id from being another's.
type who string

func (w who) hash(salt string) [sha256.Size]byte {
	return sha256.Sum256([]byte("sandbox/" + salt + "/" + string(w)))
}

// digits is a decimal id of exactly n digits that does not begin with 0.
func (w who) digits(salt string, n int64) string {
	sum := w.hash(salt)
	low := new(big.Int).Exp(big.NewInt(10), big.NewInt(n-1), nil)
	span := new(big.Int).Mul(low, big.NewInt(9))
	id := new(big.Int).SetBytes(sum[:])
	return id.Mod(id, span).Add(id, low).String()
}

// number is an id of nine digits, as GitHub's are.
func (w who) number(salt string) int64 {
	sum := w.hash(salt)
	return 100_000_000 + int64(binary.BigEndian.Uint64(sum[:8])%900_000_000)
}

// letters is an id of n capitals and digits, as Slack's are.
func (w who) letters(salt string, n int) string {
	sum := w.hash(salt)
	return base32.StdEncoding.EncodeToString(sum[:])[:n]
}

// slug keeps letters and digits of the ASCII range and joins the rest with a hyphen.
func slug(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-")
}

// displayName turns dana.reyes into Dana Reyes.
func displayName(local, fallback string) string {
	words := strings.FieldsFunc(local, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune("._-+", r)
	})
	for i, word := range words {
		first, size := utf8.DecodeRuneInString(word)
		words[i] = string(unicode.ToUpper(first)) + word[size:]
	}
	if len(words) == 0 {
		return fallback
	}
	return strings.Join(words, " ")
}
