// Package session answers one question: who is calling? It reads browser cookies
// (through gorilla/sessions, over rows that connect keeps), the credentials of an
// app's back end and builders, and the end users' tokens. It decides who somebody is,
// never what they may do: that is for handlers and connect.
package session
