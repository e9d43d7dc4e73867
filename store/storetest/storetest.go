// Package storetest says in tests what connect.Store promises in words. It is written
// once; every implementation runs it against the real database. It knows connect's
// types and nothing of SQL.
package storetest

import (
	"errors"
	"testing"

	"patchbay/connect"
)

// Run tests the stores that open makes. Each call of open gives an empty one and sees
// to its end; what the two stores of one test do does not matter to each other.
func Run(t *testing.T, open func(t *testing.T) connect.Store) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"Apps", appTests},
		{"ConnectSessions", connectSessionTests},
		{"BrowserSessions", browserSessionTests},
		{"Flows", flowTests},
		{"Parked", parkedTests},
		{"Connect", connectTests},
		{"Connections", connectionTests},
		{"Refresh", refreshTests},
		{"Records", recordTests},
		{"Shared", sharedTests},
		{"Builders", builderTests},
		{"Events", eventTests},
		{"Forget", forgetTests},
		{"Sweep", sweepTests},
		{"Identity", identityTests},
		{"Races", raceTests},
		{"Cancel", cancelTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, tc := range group.tests {
				t.Run(tc.name, func(t *testing.T) { tc.run(t, open(t)) })
			}
		})
	}
}

type test struct {
	name string
	run  func(*testing.T, connect.Store)
}

// must returns what a call returned, and ends the test if that was an error:
// must(st.Flow(ctx, id))(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// missing expects ErrNotFound: missing(st.Flow(ctx, id))(t).
func missing[T any](_ T, err error) func(testing.TB) {
	return func(t testing.TB) {
		t.Helper()
		if !errors.Is(err, connect.ErrNotFound) {
			t.Errorf("error %v instead of ErrNotFound", err)
		}
	}
}

// yes and no expect what a call that can be too late returned.
func yes(ok bool, err error) func(testing.TB) {
	return func(t testing.TB) {
		t.Helper()
		if err != nil || !ok {
			t.Fatalf("%v, %v instead of true", ok, err)
		}
	}
}

func no(ok bool, err error) func(testing.TB) {
	return func(t testing.TB) {
		t.Helper()
		if err != nil || ok {
			t.Fatalf("%v, %v instead of false", ok, err)
		}
	}
}

// fault expects an error that is neither of the two with a meaning.
func fault(t testing.TB, err error) {
	t.Helper()
	if err == nil || errors.Is(err, connect.ErrNotFound) || errors.Is(err, connect.ErrUnavailable) {
		t.Errorf("error %v instead of a fault of the program", err)
	}
}

func count[T any](t testing.TB, what string, got []T, want int) {
	t.Helper()
	if len(got) != want {
		t.Errorf("%d %s instead of %d", len(got), what, want)
	}
}
