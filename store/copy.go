package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Table is one table, and how much of it a copy has done.
type Table struct {
	Name  string
	Rows  int64
	Done  int64
	Equal bool // read back and found the same
}

// tables are all of them, those first that others refer to, with their keys.
var tables = [][2]string{
	{"instance", "one"}, {"vault_keys", "id"}, {"apps", "id"}, {"connectors", "app, id"}, {"connect_sessions", "id"},
	{"browser_sessions", "hash, app"}, {"flows", "id"}, {"used_tickets", "nonce"}, {"parked", "id_hash"}, {"connections", "id"},
	{"events", "seq"}, {"shared_requests", "id"}, {"builder_sessions", "hash, app"}, {"connector_health", "app, connector"},
	{"audit", "seq"}, {"deliveries", "id"},
}

// ErrNotEmpty is the answer of CopyTo for a database that holds something already.
var ErrNotEmpty = errors.New("store: the database to copy to is not empty")

// CopyTo copies everything in an SQLite store to a PostgreSQL one that is empty, in one
// transaction: either all of it is there afterwards, or nothing. Then it reads both and
// compares them, value by value. progress is told what has been done of a table.
func (s *Store) CopyTo(ctx context.Context, to *Store, progress func(Table)) ([]Table, error) {
	if s.dialect != sqliteDialect || to.dialect != postgres {
		return nil, errors.New("store: a copy goes from SQLite to PostgreSQL")
	}
	for _, name := range []string{"apps", "connections", "events", "audit", "vault_keys"} {
		n, err := to.readers.number(ctx, `SELECT COUNT(*) FROM `+name)
		if err != nil {
			return nil, to.wrap("look at "+name, err)
		}
		if n > 0 {
			return nil, fmt.Errorf("%w: there are %d rows in %s", ErrNotEmpty, n, name)
		}
	}
	out := make([]Table, len(tables))
	t, err := to.durable.BeginTx(ctx, nil)
	if err != nil {
		return nil, to.wrap("copy", err)
	}
	defer func() { _ = t.Rollback() }()
	if _, err := t.ExecContext(ctx, `SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; DELETE FROM instance`); err != nil {
		return nil, to.wrap("copy", err)
	}
	for i, table := range tables {
		if out[i], err = s.copyTable(ctx, t, table[0], table[1], progress); err != nil {
			return out, fmt.Errorf("copy the table %s: %w", table[0], err)
		}
	}
	for _, name := range []string{"events", "audit"} {
		if _, err := t.ExecContext(ctx, `SELECT setval(pg_get_serial_sequence('`+name+`', 'seq'), GREATEST(1, (SELECT MAX(seq) FROM `+name+`)))`); err != nil {
			return out, to.wrap("copy", err)
		}
	}
	for i, table := range tables {
		if err := s.compareTable(ctx, t, table[0], table[1]); err != nil {
			return out, fmt.Errorf("compare the table %s: %w", table[0], err)
		}
		out[i].Equal = true
		progress(out[i])
	}
	return out, to.wrap("copy", t.Commit())
}

const copyBatch = 200

func (s *Store) copyTable(ctx context.Context, t *sql.Tx, name, key string, progress func(Table)) (Table, error) {
	out := Table{Name: name}
	if err := s.readers.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+name).Scan(&out.Rows); err != nil {
		return out, err
	}
	rows, err := s.readers.DB.QueryContext(ctx, `SELECT * FROM `+name+` ORDER BY `+key)
	if err != nil {
		return out, err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return out, err
	}
	bools, err := boolColumns(ctx, t, name)
	if err != nil {
		return out, err
	}
	var batch []any
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		n := len(batch) / len(columns)
		_, err := t.ExecContext(ctx, insertRows(name, columns, n), batch...)
		batch, out.Done = batch[:0], out.Done+int64(n)
		progress(out)
		return err
	}
	for rows.Next() {
		values, err := scanAny(rows, len(columns))
		if err != nil {
			return out, err
		}
		for i, column := range columns {
			if n, ok := values[i].(int64); ok && bools[column] {
				values[i] = n != 0
			}
		}
		if batch = append(batch, values...); len(batch) >= copyBatch*len(columns) {
			if err := flush(); err != nil {
				return out, err
			}
		}
	}
	return out, errors.Join(rows.Err(), flush())
}

func scanAny(rows *sql.Rows, n int) ([]any, error) {
	values, into := make([]any, n), make([]any, n)
	for i := range values {
		into[i] = &values[i]
	}
	return values, rows.Scan(into...)
}

func insertRows(name string, columns []string, n int) string {
	var b strings.Builder
	b.WriteString(`INSERT INTO ` + name + ` (` + strings.Join(columns, ", ") + `) OVERRIDING SYSTEM VALUE VALUES `)
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("(" + placeholders(1+i*len(columns), strings.Join(columns, ",")) + ")")
	}
	return b.String()
}

func boolColumns(ctx context.Context, t *sql.Tx, name string) (map[string]bool, error) {
	names, err := list(ctx, t, func(s *string) []any { return []any{s} }, anyRow,
		`SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1 AND data_type = 'boolean'`, name)
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out, err
}

// compareTable reads both tables in the order of their key.
func (s *Store) compareTable(ctx context.Context, t *sql.Tx, name, key string) error {
	from, err := s.readers.DB.QueryContext(ctx, `SELECT * FROM `+name+` ORDER BY `+key)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	columns, err := from.Columns()
	if err != nil {
		return err
	}
	to, err := t.QueryContext(ctx, `SELECT `+strings.Join(columns, ", ")+` FROM `+name+` ORDER BY `+key)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	for n := 1; from.Next(); n++ {
		if !to.Next() {
			return fmt.Errorf("row %d did not arrive: %w", n, errors.Join(to.Err(), errDiffers))
		}
		a, err := scanAny(from, len(columns))
		if err != nil {
			return err
		}
		b, err := scanAny(to, len(columns))
		if err != nil {
			return err
		}
		for i := range a {
			if !sameValue(a[i], b[i]) {
				return fmt.Errorf("row %d, column %s: %w", n, columns[i], errDiffers)
			}
		}
	}
	if to.Next() {
		return fmt.Errorf("there are more rows: %w", errDiffers)
	}
	return errors.Join(from.Err(), to.Err())
}

var errDiffers = errors.New("the copy differs from what was copied")

func sameValue(a, b any) bool {
	if truth, ok := b.(bool); ok {
		n, isNumber := a.(int64)
		return isNumber && truth == (n != 0)
	}
	switch a := a.(type) {
	case []byte:
		other, ok := b.([]byte)
		return ok && bytes.Equal(a, other)
	default:
		return a == b
	}
}
