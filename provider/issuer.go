package provider

import "errors"

// What CheckIssuer can object to.
var (
	ErrIssuerMissing  = errors.New("the provider promises to name itself (iss) and did not")
	ErrIssuerRepeated = errors.New("the provider named itself (iss) more than once")
	ErrIssuerMismatch = errors.New("the answer comes from another provider than the one asked (iss)")
)

// CheckIssuer judges the iss parameter of a callback (RFC 9207); iss are all its
// values, resolved is what [Entry.Resolve] made of over.
//
//   - over.Issuer set: exactly that value, and it must be there.
//   - over.Authorize set without it: none is promised; a value must be the origin of
//     that address.
//   - The entry knows its issuer: a value must equal it; it must be there if the
//     entry says that it is promised.
//   - Nothing is known: a value must be the origin of the authorize address. RFC 9207
//     2.4 leaves undeclared values to local policy. Providers have begun to send iss
//     unannounced (Google and GitHub in 2026), so refusing every one would break on
//     the day of the next; and accepting any would undo the protection, because the
//     iss of another provider is exactly what a mix-up attack shows. Whatever names
//     itself by its own origin is let in, everything else is refused.
//
// Values are compared byte for byte (RFC 9207 2.4, RFC 3986 6.2.1). The errors are
// [ErrIssuerMissing], [ErrIssuerRepeated], [ErrIssuerMismatch].
func (e *Entry) CheckIssuer(over, resolved Endpoints, iss []string) error {
	if len(iss) > 1 {
		return ErrIssuerRepeated
	}
	promised := over.Issuer != "" || over.Authorize == "" && e.Authorize.IssuerPromised
	if len(iss) == 0 {
		if promised {
			return ErrIssuerMissing
		}
		return nil
	}
	want := resolved.Issuer
	if want == "" {
		want = origin(resolved.Authorize)
	}
	if want == "" || iss[0] != want {
		return ErrIssuerMismatch
	}
	return nil
}
