// Command mutate takes each binding defence away in turn and shows that the hostile
// suite turns red: a test that still passes then tests nothing.
//
//	go run ./e2e/mutate               every mutation; writes docs/mutations.md
//	go run ./e2e/mutate -only cookie  those whose name holds the text; writes nothing
//
// A mutation is a textual change that must match exactly once. It is made in a
// temporary copy of the tree, never in the checkout. The command fails when a mutation
// survives, does not match, or does not compile, and when the suite is red before any
// change.
package main
