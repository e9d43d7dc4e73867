//go:build linux

package store

import (
	"testing"

	"patchbay/connect"
	"patchbay/store/pgcluster"
	"patchbay/store/storetest"
)

func TestPostgres(t *testing.T) {
	storetest.Run(t, func(t *testing.T) connect.Store { return openPostgresTest(t, pgcluster.Database(t)) })
}

func openPostgresTest(t testing.TB, address string) *Store {
	t.Helper()
	s, err := OpenPostgres(t.Context(), address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n := s.durable.Stats().InUse + s.relaxed.Stats().InUse; n != 0 {
			t.Errorf("%d transactions are still open", n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
