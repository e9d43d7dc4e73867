// Package views draws every page an end user sees, as templ components.
//
// A page is a props struct from props.go and the component of the same name:
// ListPage is drawn by List, ResultPage by Result, and so on. The structs hold
// what is true; the package owns how it is said. All copy that depends on a
// code lives in words.go, so a handler hands over a code and never a sentence.
//
// What a page promises to people and to tests is one set of attributes:
// data-connector, data-state, data-field, data-action, data-flow-*,
// data-revoked, data-trace. Pages are complete without script, hold nothing
// inline (the Content-Security-Policy allows only our own files), and take
// their colours from the classes of static/app.css.
//
// It knows no HTTP, no session and no database, and imports only static.
package views
