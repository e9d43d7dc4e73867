// Package provider owns the catalogue of integration types: what is known about
// Google Calendar, Slack, GitHub and the rest, as data. One small YAML file
// describes one type; the files under catalog/ are embedded, and an operator's own
// files have the same format.
//
// The package reads and checks those files, and answers questions that need nothing
// but them: what a scope lets an app do, which scopes are missing, what must be
// asked before a flow, where the endpoints are for given parameters, which issuer a
// callback may name. It makes no network call, holds no secret, and knows neither
// apps nor connections; speaking to a provider is package oauth.
//
// The fields of [Entry] are the documentation of the format.
package provider
