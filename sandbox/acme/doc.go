// Package acme is Acme Notes, the pretend app of the demo: what a builder's own app
// does to let its users link accounts, small enough to read in one sitting.
//
// It owns its two pretend users, its own sessions and its pages. It knows Patchbay
// only as any builder's back end does: over the HTTP API, with a service token. It
// never sees a client secret or a refresh token, and keeps no access token either: it
// asks for a fresh one whenever it is about to use it.
//
// The steps, each with the file that has it:
//
//	patchbay.go   the calls of the back end: make a session, confirm, list, read a token
//	embed.go      show Patchbay's frame in a page, with the policy that this takes
//	connect.go    send the user to the page, confirm as verify_url, take the user back
//	read.go       read a token, and show what the provider's API answers with it
//	session.go    who is signed in to Acme, which Patchbay never decides
//
// The page /embed is for builders: it embeds the frame in every way that their own page
// might, by choice (switches.go), to see what becomes of it.
//
// The provider's API is the sandbox's, so that the demo needs no account anywhere.
package acme
