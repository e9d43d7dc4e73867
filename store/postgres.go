package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"golang.org/x/sync/semaphore"
)

//go:embed migrations/postgres/*.sql
var postgresMigrations embed.FS

// ErrEmpty is the answer of OpenPostgres, opened for a plan, for a database without our
// tables.
var ErrEmpty = errors.New("store: the database has no tables yet")

// OpenPostgres opens the PostgreSQL database at address (postgres://…), making or
// upgrading the schema first, under a lock, so that several instances may start at once.
// The tables are in the first schema of the user's search path. Its error is one sentence
// that says what to do, and does not hold the address, in which there may be a password.
func OpenPostgres(ctx context.Context, address string, opts Options) (*Store, error) {
	if opts.BusyTimeout == 0 {
		opts.BusyTimeout = 5 * time.Second
	}
	if opts.Readers == 0 {
		opts.Readers = 8
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errors.New("store: the address of the database cannot be read: give postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = opts.BusyTimeout
	}
	s := &Store{patience: opts.BusyTimeout, classify: classifyPostgres, dialect: postgres, limit: postgresLimit, listen: config}
	// A commit with synchronous_commit off may be undone by a crash of the database, and
	// never leaves it torn: what relaxed allows.
	s.durable = openPostgres(config, opts, writersOf(opts), map[string]string{"synchronous_commit": "on"})
	s.relaxed = openPostgres(config, opts, writersOf(opts), map[string]string{"synchronous_commit": "off"})
	s.readers = &readers{DB: openPostgres(config, opts, opts.Readers, map[string]string{"default_transaction_read_only": "on"}), line: semaphore.NewWeighted(int64(opts.Readers)), limit: postgresLimit}
	if err := s.preparePostgres(ctx, opts); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func writersOf(opts Options) int { return max(2, opts.Readers/2) }

// postgresLimit is how long a write may take once it has begun, whatever the network does.
const postgresLimit = 15 * time.Second

func openPostgres(config *pgx.ConnConfig, opts Options, connections int, params map[string]string) *sql.DB {
	c := config.Copy()
	c.RuntimeParams["application_name"] = "patchbay"
	c.RuntimeParams["timezone"] = "UTC"
	wait := strconv.FormatInt(opts.BusyTimeout.Milliseconds(), 10)
	c.RuntimeParams["lock_timeout"] = wait
	c.RuntimeParams["statement_timeout"] = strconv.FormatInt(2*opts.BusyTimeout.Milliseconds(), 10)
	c.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(postgresLimit.Milliseconds(), 10)
	for name, value := range params {
		c.RuntimeParams[name] = value
	}
	db := stdlib.OpenDB(*c)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

// Listen calls wake for each user whose history grows, until ctx ends. What another
// instance wrote while the connection was down is told by wake("", ""), for everybody. It
// keeps a connection of its own; where that cannot be had, nothing is lost but time: who
// waits for news looks for them now and then. With SQLite there is nobody to listen to.
func (s *Store) Listen(ctx context.Context, wake func(app, user string)) {
	for wait := time.Second; s.listen != nil && ctx.Err() == nil; wait = min(2*wait, time.Minute) {
		if err := s.listenOnce(ctx, wake); err == nil {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (s *Store) listenOnce(ctx context.Context, wake func(app, user string)) error {
	conn, err := pgx.ConnectConfig(ctx, s.listen.Copy())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, `LISTEN patchbay`); err != nil {
		return err
	}
	wake("", "")
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return nil // it did listen
		}
		app, user, _ := strings.Cut(n.Payload, "\n")
		wake(app, user)
	}
}

// preparePostgres brings the schema to the version that this program knows.
func (s *Store) preparePostgres(ctx context.Context, opts Options) error {
	dir, err := fs.Sub(postgresMigrations, "migrations/postgres")
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, s.durable, dir, goose.WithVerbose(false), goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	sources := provider.ListSources()
	s.schema = sources[len(sources)-1].Version
	version, err := postgresVersion(ctx, s.durable)
	if err != nil {
		return postgresOpenError(err)
	}
	if version > s.schema {
		return fmt.Errorf("store: the database was made by a newer version of Patchbay (schema %d, this one knows %d): run that version, or restore the backup from before the upgrade", version, s.schema)
	}
	if opts.Plan {
		if version <= 0 {
			return ErrEmpty
		}
		return nil // of an older schema the apps can be read, and that is all a plan does
	}
	if version < s.schema {
		if _, err := provider.Up(ctx); err != nil {
			return postgresOpenError(err)
		}
	}
	return postgresOpenError(checkWritable(ctx, s.durable))
}

// postgresVersion returns noSchema for a database without our tables.
func postgresVersion(ctx context.Context, db *sql.DB) (int64, error) {
	var has bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&has); err != nil || !has {
		return noSchema, err
	}
	var version int64
	err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version`).Scan(&version)
	return version, err
}

// postgresOpenError says what to do about a database that cannot be used.
func postgresOpenError(err error) error {
	if err == nil {
		return nil
	}
	var pe *pgconn.PgError
	advice := "look whether PostgreSQL runs there, and whether this machine may connect to it"
	if errors.As(err, &pe) {
		switch {
		case strings.HasPrefix(pe.Code, "28"):
			advice = "the user or the password is wrong, or pg_hba.conf does not let this machine in"
		case pe.Code == "3D000":
			advice = "there is no database of that name: make it with createdb"
		case pe.Code == "42501":
			advice = "the user may not make tables: grant CREATE on the schema, or make the user its owner"
		case pe.Code == "25006":
			advice = "it is read-only: give the address of the primary"
		default:
			advice = "look at the cause"
		}
		return fmt.Errorf("store: the PostgreSQL database cannot be opened: %s: %s (SQLSTATE %s)", advice, pe.Message, pe.Code)
	}
	var ce *pgconn.ConnectError
	if errors.As(err, &ce) { // its text holds host, user and database, and no password
		return fmt.Errorf("store: the PostgreSQL database cannot be opened: %s: %w", advice, errors.Unwrap(ce))
	}
	return fmt.Errorf("store: the PostgreSQL database cannot be opened: %s: %w", advice, err)
}

// classifyPostgres goes by the SQLSTATE (PostgreSQL, appendix A).
func classifyPostgres(err error) fault {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		var ce *pgconn.ConnectError
		var ne net.Error
		if errors.As(err, &ce) || errors.As(err, &ne) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err) {
			return faultUnavailable
		}
		return faultOther
	}
	switch {
	case pe.Code == "23503": // foreign key
		return faultNoParent
	case pe.Code == "40001", pe.Code == "40P01": // serialization failure, deadlock
		return faultConflict
	case strings.HasPrefix(pe.Code, "08"), // connection
		strings.HasPrefix(pe.Code, "53"),       // out of disk, memory, connections
		strings.HasPrefix(pe.Code, "57P"),      // shut down
		strings.HasPrefix(pe.Code, "58"),       // input and output
		pe.Code == "55P03", pe.Code == "57014", // waited too long
		pe.Code == "25006", pe.Code == "25P03", pe.Code == "25P02": // read-only, timed out
		return faultUnavailable
	}
	return faultOther
}
