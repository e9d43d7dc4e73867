package hostile

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"patchbay/connect"
	"patchbay/e2e/stack"
)

// crowd is a store in which nobody goes on with a flow before so many have read it:
// the worst order of a race, every time.
type crowd struct {
	connect.Store
	readers sync.WaitGroup // those still expected
	mu      sync.Mutex
	left    int
}

func newCrowd(store connect.Store, n int) *crowd {
	c := &crowd{Store: store, left: n}
	c.readers.Add(n)
	return c
}

func (c *crowd) wait() {
	c.mu.Lock()
	expected := c.left > 0
	if expected {
		c.left--
		c.readers.Done()
	}
	c.mu.Unlock()
	if expected {
		c.readers.Wait()
	}
}

func (c *crowd) Flow(ctx context.Context, id string) (connect.Flow, error) {
	f, err := c.Store.Flow(ctx, id)
	c.wait()
	return f, err
}

func (c *crowd) FlowByState(ctx context.Context, hash []byte) (connect.Flow, error) {
	f, err := c.Store.FlowByState(ctx, hash)
	c.wait()
	return f, err
}

// Twenty requests have all seen the flow before any of them moved it.
func TestSecurity09_EverybodySawTheSameFlow(t *testing.T) {
	t.Parallel()
	const crowded = 20
	t.Run("callback", func(t *testing.T) {
		t.Parallel()
		s := stack.New(t)
		dana := s.Browser()
		callback := dana.SignIn(s.Human, "dana").Connect("github").Approve("dana@example.com").Location()
		requests := make([]*stack.Request, crowded)
		for i := range requests {
			requests[i] = dana.NewRequest(nil, true, http.MethodGet, callback, nil)
		}
		s.Service.Store = newCrowd(s.Service.Store, crowded)
		pages := make([]*stack.Page, crowded)
		together(crowded, func(i int) { pages[i], _ = requests[i].TrySend() })
		for i, p := range pages {
			if p == nil || p.Status != http.StatusSeeOther {
				t.Fatalf("load %d: %+v", i, p)
			}
		}
		pages[0].Follow().WantFlow("connected", "connected")
		wantTokenCalls(t, s, 1)
		wantRows(t, s, s.Human, 1)
	})
	t.Run("confirm", func(t *testing.T) {
		t.Parallel()
		s := stack.New(t)
		asked := s.Browser().SignIn(s.Acme, "dana").Connect("github").Approve("dana@example.com").Follow().Query()
		s.Service.Store = newCrowd(s.Service.Store, crowded)
		answers := make([]stack.Answer, crowded)
		together(crowded, func(i int) { answers[i] = s.Acme.Confirm(asked.Get("flow"), asked.Get("result_code"), "dana") })
		good := 0
		for _, a := range answers {
			if a.Status == http.StatusOK {
				good++
			} else if a.Text("code") != "forbidden" && a.Text("code") != "flow_finished" {
				t.Errorf("a confirm answers %d %s", a.Status, a.Body)
			}
		}
		if good != 1 {
			t.Errorf("%d confirms succeeded, want 1", good)
		}
		wantTokenCalls(t, s, 1)
		wantRows(t, s, s.Acme, 1)
	})
}

// Canceled while the code is at the provider: the grant that comes back has no home.
func TestCanceledDuringExchange(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	dana := s.Browser()
	begun := dana.SignIn(s.Human, "dana").Connect("github")
	callback := dana.NewRequest(nil, true, http.MethodGet, begun.Approve("dana@example.com").Location(), nil)
	release := s.Wire.Hold()
	back := make(chan *stack.Page)
	go func() {
		p, _ := callback.TrySend()
		back <- p
	}()
	for end := time.Now().Add(20 * time.Second); s.Flow(begun.FlowID()).Status != connect.StatusExchanging; {
		if time.Now().After(end) {
			t.Fatal("the flow does not get to the exchange")
		}
		time.Sleep(5 * time.Millisecond)
	}
	begun.Submit("cancel").WantResult("canceled", "canceled")
	release()
	if p := <-back; p == nil || p.Status != http.StatusSeeOther {
		t.Fatalf("the callback answers %+v", p)
	}
	begun.Go("/flows/"+begun.FlowID()).WantFlow("canceled", "canceled")
	wantTokenCalls(t, s, 1)
	wantRows(t, s, s.Human, 0)
	if state := s.Human.FlowState(begun.FlowID()); state.Text("status") != "canceled" {
		t.Errorf("the app is told %s", state.Body)
	}
	if alive := s.Sandbox.RevokeAccount("dana@example.com"); alive != 0 {
		t.Errorf("%d grants live on at the provider", alive)
	}
}
