// Package handlers speaks HTTP: the route table, the pages, the JSON API, and one
// table that turns errors into answers. It decides who may call what; what happens
// then is for connect, and how it looks is for views. Addresses in links, redirects
// and cookies come from the configured public URL, never from a request.
package handlers
