package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"patchbay/connect"
)

var _ connect.Store = (*Store)(nil)

// Store is a connect.Store in an SQL database. It may be used by any number of
// goroutines, and the same database by several processes.
type Store struct {
	readers *readers
	// durable commits what has to survive a power cut when the call returns; relaxed
	// commits the rest, sooner.
	durable *sql.DB
	relaxed *sql.DB

	// turn is held by whoever writes, where the database lets one write at a time.
	turn     chan struct{}
	queue    queue
	patience time.Duration
	// classify tells what an error of the driver means.
	classify func(error) fault
	// clean removes what deleted rows left behind outside of the database file.
	clean func(context.Context) error
	dirty atomic.Bool // written since clean

	// dialect is what the few statements go by that only one of the databases needs.
	dialect dialect
	// limit is how long a write may take once it has begun; 0: as long as it takes.
	limit time.Duration

	// listen is how a connection for notifications is made; nil without them.
	listen *pgx.ConnConfig

	// schema is the newest version of the schema that this program knows.
	schema int64
}

type dialect int

const (
	sqliteDialect dialect = iota
	postgres
)

// Close waits for what is under way and closes the database.
func (s *Store) Close() error {
	return errors.Join(s.readers.Close(), s.relaxed.Close(), s.durable.Close())
}

const selectHealth = `SELECT (SELECT revision FROM instance), (SELECT MAX(version_id) FROM goose_db_version)`

// Ping reports whether the store can be read and has the schema that this program
// knows. A newer program may have changed it in the meantime.
func (s *Store) Ping(ctx context.Context) error {
	var revision, version int64
	if err := s.readers.QueryRowContext(ctx, selectHealth).Scan(&revision, &version); err != nil {
		return s.wrap("ping", err)
	}
	if version != s.schema {
		return fmt.Errorf("store: ping: the database has schema version %d and this program knows version %d: run one version of Patchbay only", version, s.schema)
	}
	return nil
}

const probeWrite = `UPDATE instance SET written_at = $1`

// Writable tries a tiny write. It finds a full or read-only disk before a user does.
func (s *Store) Writable(ctx context.Context) error {
	_, err := s.write(ctx, s.relaxed, "probe a write", func(t tx) (bool, error) {
		n, err := t.exec(probeWrite, millis(time.Now()))
		return n == 1, err
	})
	return err
}
