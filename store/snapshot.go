package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"modernc.org/sqlite"
)

// SnapshotSQLite writes a consistent copy of the SQLite database at from to the file
// to, which must not exist, while others may go on writing. It changes nothing at from.
// Without a database there it does nothing and returns false.
func SnapshotSQLite(ctx context.Context, from, to string) (bool, error) {
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("store: %w", err)
	}
	q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(5000)"}}
	connector, err := sqlite.NewConnector((&url.URL{Scheme: "file", Path: from, RawQuery: q.Encode()}).String())
	if err != nil {
		return false, fmt.Errorf("store: %w", err)
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, "VACUUM INTO $1", to); err != nil {
		return false, openError(from, err)
	}
	return true, nil
}
