// Package e2e drives the built program from outside, as its users do: people with a
// browser, apps with the published SDK, operators with a shell and a container image.
//
// It owns no code of the product and imports none: what a test knows, it read on a page,
// in an answer or on standard error. The one exception is the addresses, which it gives
// or which the program prints. Each test has servers and data of its own.
//
// What a test needs and the machine lacks (Chromium, Node, the npm packages of
// package.json) is a loud skip, and a failure where CI=true; `make tools` installs it.
package e2e
