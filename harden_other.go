//go:build !linux

package main

// harden does nothing here: the calls it makes on Linux do not exist.
func harden() {}
