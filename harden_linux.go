package main

import "golang.org/x/sys/unix"

// harden keeps tokens out of core dumps, and other processes of the same user from
// reading this one's memory. Where the system refuses, nothing is lost but that.
func harden() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}
