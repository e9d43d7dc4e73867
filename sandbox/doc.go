// Package sandbox is a pretend provider: an OAuth 2.0 server in memory that
// imitates GitHub, Google Calendar, Slack and a plain RFC 6749 server, so that the
// demo, the tests and anyone trying Patchbay need no account anywhere. It is a
// third party on purpose: it imports nothing of ours, and the rest of the program
// reaches it over HTTP exactly as it reaches a real provider.
//
// It owns the authorization and token endpoints, revocation, userinfo, a small
// protected API per type, the consent page on which a person or a test picks what
// happens (a scenario), and a log of the requests it saw. It keeps nothing on disk,
// sets no cookie, authenticates nobody, and protects nothing of value: whoever can
// reach it may approve as any account.
//
// How one type differs from another is data, in a dialect; what the server does with
// it is the same for all:
//
//	GET  /{type}/authorize   authorize.go   consent page, or the decision set beforehand
//	POST /{type}/authorize   authorize.go   the person's decision, back to the redirect URI
//	POST /{type}/token       token.go       exchange of a code, refresh
//	     /{type}/revoke      revoke.go      in the provider's own style
//	     /{type}/userinfo    api.go         who linked the account
//	GET  /{type}/jwks        idtoken.go     the key that signs ID tokens, where there are any
//	     /{type}/api/…       api.go         a protected API whose data depend on the account
//	     /_sandbox/…         control.go     next decision, request log, revocation at the provider
//
// The same account name is always the same person, also after a restart: every id is
// derived from it (account.go). Codes, grants and tokens live in grants.go.
package sandbox
