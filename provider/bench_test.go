package provider

import "testing"

// What a start waits for, and what the first use of every type would add.
func BenchmarkEmbedded(b *testing.B) {
	for name, all := range map[string]bool{"start": false, "all": true} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c, err := Embedded()
				if err != nil {
					b.Fatal(err)
				}
				if !all {
					continue
				}
				for _, typ := range c.Types() {
					c.Entry(typ)
				}
			}
		})
	}
}
