package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"runtime"
	"time"

	"github.com/pressly/goose/v3"
	"golang.org/x/sync/semaphore"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Options are the settings of a Store. The zero value is good for production.
type Options struct {
	// BusyTimeout is how long a write waits for others, of this process or of another
	// on the same database, before it gives up as unavailable; 0: 5 seconds.
	BusyTimeout time.Duration
	// Readers is how many reads run at once; 0: twice the processors, at least 4.
	Readers int
	// Plan: the database is only looked at, and is not upgraded. For PostgreSQL; of an
	// SQLite file a copy is made instead, see [SnapshotSQLite].
	Plan bool
}

//go:embed migrations/sqlite/*.sql
var sqliteMigrations embed.FS

// OpenSQLite opens the SQLite database at path, making or upgrading it first. The file
// is readable by its owner only. Several processes may have it open, all of the same
// version. Its error is one sentence that says what to do.
func OpenSQLite(ctx context.Context, path string, opts Options) (*Store, error) {
	if opts.BusyTimeout == 0 {
		opts.BusyTimeout = 5 * time.Second
	}
	if opts.Readers == 0 {
		opts.Readers = max(4, 2*runtime.GOMAXPROCS(0))
	}
	path, err := prepareFile(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := checkOwn(ctx, path, opts); err != nil {
		return nil, err
	}
	if err := tightenFiles(path); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &Store{turn: make(chan struct{}, 1), patience: opts.BusyTimeout, classify: classifySQLite}
	s.clean = s.truncateWAL
	// A power cut after a commit: with FULL, SQLite has synced the write-ahead log before
	// COMMIT returned and nothing is lost; with NORMAL it syncs at checkpoints only, the
	// database stays whole but the last commits may be undone. A rotated refresh token
	// that is undone is a lost connection, so what holds tokens pays for FULL (0.4 ms
	// instead of 0.04). The setting belongs to a connection, and changing it between
	// transactions is one statement that can be forgotten: hence two handles, of one
	// connection each. A FULL commit syncs the whole log, what the other wrote included.
	s.durable = openSQLite(path, opts, 1, "synchronous(FULL)")
	s.relaxed = openSQLite(path, opts, 1, "synchronous(NORMAL)")
	s.readers = &readers{DB: openSQLite(path, opts, opts.Readers, "query_only(1)"), line: semaphore.NewWeighted(int64(opts.Readers))}
	if err := s.prepare(ctx, path); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func openSQLite(path string, opts Options, connections int, pragma string) *sql.DB {
	return sqliteDB(path, opts, connections,
		"journal_mode(WAL)",
		"foreign_keys(1)",
		"secure_delete(1)",    // deleted ciphertext is overwritten
		"temp_store(MEMORY)",  // and never in a temporary file
		"trusted_schema(OFF)", // the schema calls no functions
		// A checkpoint syncs the log and the file. SQLite's own 1,000 pages are 60 flows.
		"wal_autocheckpoint(4000)",
		pragma)
}

// sqliteDB is a pool of connections with these pragmas. A transaction of it takes the
// lock for writing when it begins, not half-way, where it could no longer wait for it;
// one that is begun for reading takes none.
func sqliteDB(path string, opts Options, connections int, pragmas ...string) *sql.DB {
	q := url.Values{
		"mode":    {"rw"}, // never makes a file: its mode would be the umask's
		"_txlock": {"immediate"},
		"_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", opts.BusyTimeout.Milliseconds())}, pragmas...),
	}
	connector, err := sqlite.NewConnector((&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil { // only for a query that is none
		panic("store: " + err.Error())
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db
}

// prepare brings the schema to the version that this program knows.
func (s *Store) prepare(ctx context.Context, path string) error {
	dir, err := fs.Sub(sqliteMigrations, "migrations/sqlite")
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.durable, dir, goose.WithVerbose(false), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	sources := provider.ListSources()
	s.schema = sources[len(sources)-1].Version
	version, err := schemaVersion(ctx, s.durable)
	if err != nil {
		return openError(path, err)
	}
	if version > s.schema {
		return fmt.Errorf("store: the database %s was made by a newer version of Patchbay (schema %d, this one knows %d): run that version, or restore the backup from before the upgrade", path, version, s.schema)
	}
	if err := s.migrate(ctx, provider); err != nil {
		return openError(path, err)
	}
	return openError(path, checkWritable(ctx, s.durable))
}

// migrate applies what is missing. Processes that start together on a new database
// get in each other's way: the one that finds a table made already looks again.
func (s *Store) migrate(ctx context.Context, provider *goose.Provider) error {
	const tries = 5
	for try := 1; ; try++ {
		version, err := schemaVersion(ctx, s.durable)
		if err != nil || version == s.schema {
			return err
		}
		if _, err = provider.Up(ctx); err == nil || try == tries || ctx.Err() != nil {
			return err
		}
	}
}

// checkOwn refuses what is no SQLite database, or not one of Patchbay's, and leaves it
// as it was: the connections for use would already change its journal.
func checkOwn(ctx context.Context, path string, opts Options) error {
	db := sqliteDB(path, opts, 1, "query_only(1)")
	defer func() { _ = db.Close() }()
	var id, tables int64
	err := db.QueryRowContext(ctx, `SELECT application_id, (SELECT COUNT(*) FROM sqlite_schema) FROM pragma_application_id`).Scan(&id, &tables)
	if err != nil {
		return openError(path, err)
	}
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return openError(path, err)
	}
	ours := id == applicationID
	begun := id == 0 && version == 0 // another process is making it, or was stopped in it
	if empty := id == 0 && tables == 0; !ours && !begun && !empty {
		return fmt.Errorf("store: the database %s belongs to another program: give the path of a Patchbay database, or of a file that does not exist yet", path)
	}
	return nil
}

// applicationID is "PBAY"; the first migration writes it.
const applicationID = 0x50424159

// checkWritable tries a write and takes it back. SQLite opens a file that must not be
// written for reading, and says so with the first write only. Nothing reaches the
// disk: on a full one, reads are worth a start.
func checkWritable(ctx context.Context, db *sql.DB) error {
	t, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, probeWrite, 0)
	return errors.Join(err, t.Rollback())
}

const noSchema = -1

// schemaVersion returns 0 for a schema that has only been begun, and noSchema before.
func schemaVersion(ctx context.Context, db *sql.DB) (int64, error) {
	var has int64
	if err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_schema WHERE name = 'goose_db_version'`).Scan(&has); err != nil || has == 0 {
		return noSchema, err
	}
	var version int64
	err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version`).Scan(&version)
	return version, err
}

// openError says what to do about a database that cannot be opened.
func openError(path string, err error) error {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		if err != nil {
			err = fmt.Errorf("store: the database %s cannot be opened: %w", path, err)
		}
		return err
	}
	advice := "look at the cause, and restore a backup if the file is damaged"
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB:
		advice = "it is not an SQLite database: give the path of a Patchbay database, or of a file that does not exist yet"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		advice = "give the file and its directory to the user that runs Patchbay, who must be able to write both"
	case sqlite3.SQLITE_BUSY:
		advice = "another program keeps it locked: end that one first"
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
		advice = "look whether the disk is full or broken"
	}
	return fmt.Errorf("store: the database %s cannot be opened: %s: %w", path, advice, err)
}

func classifySQLite(err error) fault {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return faultOther
	}
	if se.Code() == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY {
		return faultNoParent
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL:
		return faultUnavailable
	}
	return faultOther
}

// truncateWAL empties the write-ahead log, where old versions of rows stay readable
// after the table has lost them. A reader that is in the way makes it wait no longer
// than a moment: the next sweep tries again.
func (s *Store) truncateWAL(ctx context.Context) error {
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	defer s.endTurn()
	ctx = context.WithoutCancel(ctx)
	conn, err := s.relaxed.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, `PRAGMA busy_timeout = 100`); err != nil {
		return err
	}
	var busy, frames, moved int64
	err = conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &moved)
	if busy != 0 {
		s.dirty.Store(true)
	}
	_, reset := conn.ExecContext(ctx, fmt.Sprintf(`PRAGMA busy_timeout = %d`, s.patience.Milliseconds()))
	return errors.Join(err, reset)
}
