// Package hostile attacks Patchbay over HTTP, with the whole stack running: other
// people's browsers, forged requests, stolen addresses, broken databases. A test named
// TestSecurityNN is item NN of the project's security checklist. The others hold the
// program to details of its contract that are easy to get wrong.
//
// The witness of most tests is the provider: its token endpoint was called 0 times, and
// no connection is stored.
package hostile
