// Package oauth speaks OAuth 2.0 to providers: it builds the authorization request,
// exchanges a code, checks the ID token that may come with it, refreshes, revokes, and
// asks whose account it is. What differs between providers is read from the catalogue
// (package provider); nothing is guessed and no request is tried in a second form.
//
// It also owns the one HTTP client that may reach addresses which came from
// configuration or from outside, [NewHTTPClient].
//
// It stores nothing and decides nothing about connections: who may finish a flow, when
// to refresh, and what an error means for a connection is package connect.
package oauth
