package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"

	"patchbay/connect"
)

// Benchmark measures what happens most: a read of a connection, a step of a flow, and
// the write of refreshed tokens.
func Benchmark(b *testing.B, open func(testing.TB) connect.Store) {
	const users = 1000
	st := open(b)
	acme(b, st)
	conns := make([]connect.Connection, users)
	for i := range conns {
		c := connection("acme", "calendar", fmt.Sprintf("user %d", i))
		c.Sealed, c.Scopes, c.Proofs = random(2000), []string{"read", "write"}, []connect.Proof{connect.ProofBrowser, connect.ProofHuman}
		connected(b, st, ending(begin(b, st, flow("acme", "calendar", c.Owner.User)), c))
		conns[i] = c
	}
	b.Run("Connection", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			must(st.Connection(b.Context(), "acme", "calendar", conns[i%users].Owner))(b)
		}
	})
	b.Run("ConnectionParallel", func(b *testing.B) {
		var n atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := st.Connection(b.Context(), "acme", "calendar", conns[n.Add(1)%users].Owner); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("UpdateFlow", func(b *testing.B) {
		f := begin(b, st, flow("acme", "mail", "dana"))
		for b.Loop() {
			yes(st.UpdateFlow(b.Context(), f))(b)
			f.Version++
		}
	})
	b.Run("SaveRefreshed", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			c := &conns[i%users]
			r := connect.Refreshed{ID: c.ID, Generation: c.Generation, Sealed: c.Sealed, KeyID: c.KeyID, Scopes: c.Scopes}
			yes(st.SaveRefreshed(b.Context(), r))(b)
			c.Generation++
		}
	})
}
