package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"patchbay/connect"
)

// fault is what an error of a driver means to a caller.
type fault int

const (
	faultOther       fault = iota
	faultUnavailable       // trying later can help
	faultConflict          // two transactions were in each other's way: doing it again can help at once
	faultNoParent          // the app or connector that the row belongs to is not there
)

// tx is a transaction that writes.
type tx struct {
	ctx     context.Context
	dialect dialect
	*sql.Tx
}

// write runs f in one transaction on db and commits it if f returns true. Neither the
// caller's going away nor an error leaves a transaction open: the first counts until
// the transaction begins and not after, the second rolls it back.
func (s *Store) write(ctx context.Context, db *sql.DB, op string, f func(tx) (bool, error)) (bool, error) {
	if s.turn != nil {
		return s.writeTogether(ctx, db == s.durable, op, f)
	}
	if err := ctx.Err(); err != nil {
		return false, s.wrap(op, err)
	}
	ctx = context.WithoutCancel(ctx)
	if s.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.limit, errTookTooLong)
		defer cancel()
	}
	const tries = 10
	for try := 1; ; try++ {
		done, err := s.writeOnce(ctx, db, f)
		if err != nil && s.classify(err) == faultConflict && try < tries {
			continue
		}
		if err != nil && context.Cause(ctx) == errTookTooLong {
			err = fmt.Errorf("%w: %w", connect.ErrUnavailable, err)
		}
		return done, s.wrap(op, err)
	}
}

var errTookTooLong = errors.New("the database took too long")

func (s *Store) writeOnce(ctx context.Context, db *sql.DB, f func(tx) (bool, error)) (bool, error) {
	t, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = t.Rollback() }() // also when f panics; after a commit it does nothing
	done, err := f(tx{ctx, s.dialect, t})
	if err != nil || !done {
		return false, err
	}
	if err := t.Commit(); err != nil {
		return false, err
	}
	s.dirty.Store(true)
	return true, nil
}

// writeAll is write for an f that either works or fails.
func (s *Store) writeAll(ctx context.Context, db *sql.DB, op string, f func(tx) error) error {
	_, err := s.write(ctx, db, op, func(t tx) (bool, error) {
		err := f(t)
		return err == nil, err
	})
	return err
}

func (s *Store) takeTurn(ctx context.Context) error {
	if err := ctx.Err(); err != nil || s.turn == nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(s.patience)
	defer timer.Stop()
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("%w: waited %s for other writes", connect.ErrUnavailable, s.patience)
	}
}

func (s *Store) endTurn() {
	if s.turn != nil {
		<-s.turn
	}
}

// exec runs a statement and returns how many rows it changed.
func (t tx) exec(query string, args ...any) (int64, error) {
	res, err := t.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// execAll runs statements that take the same arguments.
func (t tx) execAll(args []any, queries ...string) error {
	for _, q := range queries {
		if _, err := t.exec(q, args...); err != nil {
			return err
		}
	}
	return nil
}

// readers is the pool of connections that only read. It keeps its statements prepared:
// reading a connection takes half the time so.
type readers struct {
	*sql.DB
	line     *semaphore.Weighted // as wide as the pool
	limit    time.Duration       // how long a database beyond a network may take; 0: as long as it takes
	prepared sync.Map            // of query to *sql.Stmt
}

// QueryContext shadows the one of sql.DB.
func (r *readers) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	known, ok := r.prepared.Load(query)
	if !ok {
		fresh, err := r.PrepareContext(ctx, query)
		if err != nil {
			return nil, err
		}
		if known, ok = r.prepared.LoadOrStore(query, fresh); ok {
			_ = fresh.Close() // another goroutine was faster
		}
	}
	for try := 1; ; try++ {
		rows, err := known.(*sql.Stmt).QueryContext(ctx, args...)
		// A read that was given up takes its connection with it. Others may be handed several
		// of them in a row, more than database/sql tries.
		if err == nil || !errors.Is(err, driver.ErrBadConn) || ctx.Err() != nil || try == 3 {
			return rows, err
		}
	}
}

// number reads the one integer that query finds.
func (r *readers) number(ctx context.Context, query string, args ...any) (int64, error) {
	return one(ctx, r, func(n *int64) []any { return []any{n} }, anyRow, query, args...)
}

// querier is what both a transaction and the pool of readers can do.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// one reads the row that query finds, sql.ErrNoRows for none. fields are where the
// columns of a row go, same says whether the row is the one that was asked for.
func one[T any](ctx context.Context, q querier, fields func(*T) []any, same func(*T) bool, query string, args ...any) (T, error) {
	var zero T
	rows, err := list(ctx, q, fields, same, query, args...)
	if err != nil {
		return zero, err
	}
	switch len(rows) {
	case 0:
		return zero, sql.ErrNoRows
	case 1:
		return rows[0], nil
	}
	return zero, fmt.Errorf("%d rows where one was asked for", len(rows))
}

// list reads all rows that query finds. A caller who goes away counts before the query
// begins and not after: to break one off costs more than to end it, with PostgreSQL a whole
// connection, and a client who hangs up again and again would make all others wait.
func list[T any](ctx context.Context, q querier, fields func(*T) []any, same func(*T) bool, query string, args ...any) ([]T, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r, ok := q.(*readers); ok {
		// First come, first served: database/sql hands a free connection to anybody, and
		// under load some would wait for very long.
		if err := r.line.Acquire(ctx, 1); err != nil {
			return nil, err
		}
		defer r.line.Release(1)
	}
	ctx = context.WithoutCancel(ctx)
	if r, ok := q.(*readers); ok && r.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.limit)
		defer cancel()
	}
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, givenUp(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	var out []T
	for rows.Next() {
		var v T
		if err := rows.Scan(fields(&v)...); err != nil {
			return nil, givenUp(ctx, err)
		}
		if !same(&v) {
			return nil, errOtherRow
		}
		out = append(out, v)
	}
	return out, givenUp(ctx, rows.Err())
}

// givenUp says of an error whether it came because the caller went away: a driver may then
// only know that the connection is gone.
func givenUp(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// anyRow is for queries that ask for no particular row.
func anyRow[T any](*T) bool { return true }

// errOtherRow guards against a driver, or a database/sql, that answers one query with
// the rows of another (CVE-2025-47907). It must never be seen.
var errOtherRow = errors.New("the database returned another row than was asked for")

// wrap adds what was being done, and what connect needs to know of the error. The
// cause stays in the chain, for the log.
func (s *Store) wrap(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("store: %s: %w", op, connect.ErrNotFound)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, connect.ErrUnavailable):
		return fmt.Errorf("store: %s: %w", op, err)
	}
	switch s.classify(err) {
	case faultUnavailable, faultConflict:
		return fmt.Errorf("store: %s: %w: %w", op, connect.ErrUnavailable, err)
	case faultNoParent:
		return fmt.Errorf("store: %s: its app or connector: %w: %w", op, connect.ErrNotFound, err)
	}
	return fmt.Errorf("store: %s: %w", op, err)
}
