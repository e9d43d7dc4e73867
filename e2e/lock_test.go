package e2e

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // so that a test can age a token
	_ "modernc.org/sqlite"             // the lock is a transaction of another program
)

// databaseLock keeps everybody from writing to an SQLite database.
type databaseLock struct {
	t    *testing.T
	db   *sql.DB
	conn *sql.Conn
}

func lockDatabase(t *testing.T, f *fleet) *databaseLock {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+f.settings.database()+"?_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &databaseLock{t: t, db: db}
}

func (l *databaseLock) lock() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := l.db.Conn(ctx)
	if err == nil {
		_, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	}
	if err != nil {
		l.t.Error(err)
		return
	}
	l.conn = conn
}

func (l *databaseLock) unlock() {
	if _, err := l.conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		l.t.Error(err)
	}
	_ = l.conn.Close()
}

// expire makes a user's access token run out.
func expire(t *testing.T, f *fleet, user string) {
	t.Helper()
	driver, address := "sqlite", "file:"+f.settings.database()+"?_pragma=busy_timeout(20000)"
	if database := strings.TrimPrefix(f.database, "PATCHBAY_DATABASE="); strings.HasPrefix(database, "postgres") {
		driver, address = "pgx", database
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), `UPDATE connections SET expires_at = 1, obtained_at = 0 WHERE id = $1`, "cn_"+user); err != nil {
		t.Fatal(err)
	}
}
