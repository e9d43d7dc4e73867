//go:build race

package connect

// The race detector makes a schedule ten times as slow; run-tests runs them all without.
const defaultSchedules = 3000
