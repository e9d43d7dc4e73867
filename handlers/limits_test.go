package handlers

import (
	"fmt"
	"testing"
	"time"
)

func TestPerMinuteIsExact(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	p := newPerMinute(60)
	p.now = func() time.Time { return now }
	allowed := func(id string, tries int) (n int) {
		for range tries {
			if ok, _ := p.Allow(id); ok {
				n++
			}
		}
		return n
	}
	if n := allowed("a", 100); n != 60 {
		t.Errorf("%d at once, want 60", n)
	}
	now = now.Add(59 * time.Second)
	if n := allowed("a", 10); n != 0 {
		t.Errorf("%d more within the minute", n)
	}
	if n := allowed("b", 30); n != 30 {
		t.Errorf("another's are counted too: %d", n)
	}
	now = now.Add(time.Second)
	if n := allowed("a", 100); n != 60 {
		t.Errorf("%d in the next minute, want 60", n)
	}
	if n := allowed("b", 100); n != 30 {
		t.Errorf("%d beside 30 of the last minute, want 30", n)
	}
	for i := range 1000 {
		allowed(fmt.Sprint("once ", i), 1)
	}
	now = now.Add(2 * time.Minute)
	allowed("c", 1)
	if len(p.seen) != 1 {
		t.Errorf("%d are remembered that nobody asks for", len(p.seen)-1)
	}
}
