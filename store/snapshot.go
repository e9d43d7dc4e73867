package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
)

// SnapshotSQLite writes a consistent copy of the SQLite database at from to the file
// to, which must not exist, while others may go on writing. It changes nothing at from.
// Without a database there it does nothing and returns false. Nobody but the owner may read
// the copy.
func SnapshotSQLite(ctx context.Context, from, to string) (bool, error) {
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("store: %w", err)
	}
	from, err := filepath.Abs(from) // in an address, the first part of a relative path is a host
	if err != nil {
		return false, fmt.Errorf("store: %w", err)
	}
	q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(5000)"}}
	connector, err := sqlite.NewConnector((&url.URL{Scheme: "file", Path: from, RawQuery: q.Encode()}).String())
	if err != nil {
		return false, fmt.Errorf("store: %w", err)
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode) // SQLite takes an empty file
	if err != nil {
		return false, fmt.Errorf("store: %w", err)
	}
	if err := f.Close(); err != nil {
		return false, fmt.Errorf("store: %w", err)
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, "VACUUM INTO $1", to); err != nil {
		return false, openError(from, err)
	}
	return true, nil
}

// CheckSQLite reads the whole file and reports what is damaged in it. It changes nothing.
func CheckSQLite(ctx context.Context, path string) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	q := url.Values{"mode": {"ro"}, "immutable": {"1"}, "_pragma": {"query_only(1)"}}
	connector, err := sqlite.NewConnector((&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	rows, err := list(ctx, db, func(s *string) []any { return []any{s} }, anyRow, `PRAGMA integrity_check`)
	if err != nil {
		return openError(path, err)
	}
	if len(rows) != 1 || rows[0] != "ok" {
		return fmt.Errorf("store: the database %s is damaged: %s", path, strings.Join(rows, "; "))
	}
	return nil
}
