package store

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"patchbay/connect"
)

// SQLite lets one transaction write at a time, and each commit costs the same however
// much is in it. So the writes that wait for their turn go into one transaction: whoever
// gets the turn does the work of all who wait. Each write is inside a savepoint; one that
// changes nothing is undone alone, and after one that fails each is done by itself.

// waiting is a write that has not been done yet.
type waiting struct {
	f       func(tx) (bool, error)
	durable bool

	ended    chan struct{}
	done     bool
	err      error
	panicked any
}

// queue holds the writes that wait.
type queue struct {
	mu  sync.Mutex
	all []*waiting
}

// mostTogether bounds how long a write waits for those that share its transaction.
const mostTogether = 64

func (q *queue) add(w *waiting) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = append(q.all, w)
}

func (q *queue) take() []*waiting {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.all), mostTogether)
	batch := slices.Clone(q.all[:n])
	q.all = slices.Delete(q.all, 0, n)
	return batch
}

// remove takes a write back. False: somebody is at it.
func (q *queue) remove(w *waiting) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.all, w)
	if i < 0 {
		return false
	}
	q.all = slices.Delete(q.all, i, i+1)
	return true
}

// writeTogether is write for SQLite.
func (s *Store) writeTogether(ctx context.Context, durable bool, op string, f func(tx) (bool, error)) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, s.wrap(op, err)
	}
	w := &waiting{f: f, durable: durable, ended: make(chan struct{})}
	s.queue.add(w)
	if err := s.awaitTurn(ctx, w); err != nil {
		return false, s.wrap(op, err)
	}
	if w.panicked != nil {
		panic(w.panicked)
	}
	return w.done, s.wrap(op, w.err)
}

// awaitTurn returns when w has been done, by this goroutine or by another.
func (s *Store) awaitTurn(ctx context.Context, w *waiting) error {
	patience := time.NewTimer(s.patience)
	defer patience.Stop()
	for {
		var late error
		select {
		case <-w.ended:
			return nil
		case s.turn <- struct{}{}:
			s.work()
			s.endTurn()
			continue
		case <-ctx.Done():
			late = ctx.Err()
		case <-patience.C:
			late = fmt.Errorf("%w: waited %s for other writes", connect.ErrUnavailable, s.patience)
		}
		if s.queue.remove(w) {
			return late
		}
		<-w.ended // it has begun, and then it counts
		return nil
	}
}

// work does what waits, as far as it fits into one transaction. The caller has the turn.
func (s *Store) work() {
	runtime.Gosched() // whoever is about to write comes along
	batch := s.queue.take()
	defer func() {
		for _, w := range batch {
			close(w.ended)
		}
	}()
	if len(batch) > 1 && s.together(batch) {
		return
	}
	for _, w := range batch {
		s.alone(w)
	}
}

func (s *Store) handle(durable bool) *sql.DB {
	if durable {
		return s.durable
	}
	return s.relaxed
}

func (s *Store) alone(w *waiting) {
	defer func() {
		if p := recover(); p != nil {
			w.panicked = p
		}
	}()
	w.done, w.err = s.writeOnce(context.Background(), s.handle(w.durable), w.f)
}

// together does all of batch in one transaction. False: it did nothing, and each has to be
// done alone.
func (s *Store) together(batch []*waiting) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false // whose it is shows when they are done alone
		}
	}()
	ctx := context.Background()
	durable := slices.ContainsFunc(batch, func(w *waiting) bool { return w.durable })
	t, err := s.handle(durable).BeginTx(ctx, nil)
	if err != nil {
		return false
	}
	defer func() { _ = t.Rollback() }()
	inside := tx{ctx, s.dialect, t}
	changed := false
	for _, w := range batch {
		if _, err := inside.exec("SAVEPOINT one"); err != nil {
			return false
		}
		done, err := w.f(inside)
		if err != nil {
			return false
		}
		if !done {
			if _, err := inside.exec("ROLLBACK TO one"); err != nil {
				return false
			}
		}
		if _, err := inside.exec("RELEASE one"); err != nil {
			return false
		}
		w.done = done
		changed = changed || done
	}
	if !changed {
		return true
	}
	if err := t.Commit(); err != nil {
		for _, w := range batch {
			w.done = false
		}
		return false
	}
	s.dirty.Store(true)
	return true
}
