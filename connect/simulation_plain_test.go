//go:build !race

package connect

const defaultSchedules = 100_000
