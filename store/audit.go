package store

import (
	"context"
	"time"

	"patchbay/connect"
)

const auditColumns = `at, last_at, times, kind, result, actor, app, user_id, connector, connection, flow, trace, data`

func auditFields(a *connect.AuditEntry) []any {
	return []any{
		timeField{&a.At}, timeField{&a.LastAt}, &a.Times, &a.Kind, &a.Result, &a.Actor, &a.App, &a.User, &a.Connector,
		&a.Connection, &a.Flow, &a.Trace, jsonField{&a.Data},
	}
}

var insertAudit = `INSERT INTO audit (` + auditColumns + `) VALUES (` + placeholders(1, auditColumns) + `)`

const (
	selectAudit = `SELECT ` + auditColumns + ` FROM audit WHERE last_at >= $1 AND at <= $2 ORDER BY seq LIMIT $3`
	sweepAudit  = `DELETE FROM audit WHERE at < $1 AND seq IN (SELECT seq FROM audit WHERE at < $1 LIMIT $2)`
)

// AppendAudit adds entries.
func (s *Store) AppendAudit(ctx context.Context, entries []connect.AuditEntry) error {
	return s.writeAll(ctx, s.relaxed, "write the audit", func(t tx) error {
		insert, err := t.PrepareContext(t.ctx, insertAudit)
		if err != nil {
			return err
		}
		for i := range entries {
			if _, err := insert.ExecContext(t.ctx, auditFields(&entries[i])...); err != nil {
				return err
			}
		}
		return insert.Close()
	})
}

// Audit lists what happened from one time to another.
func (s *Store) Audit(ctx context.Context, from, to time.Time, limit int) ([]connect.AuditEntry, error) {
	all, err := list(ctx, s.readers, auditFields, anyRow, selectAudit, millis(from), millis(to), limit)
	return all, s.wrap("read the audit", err)
}

// SweepAudit removes entries from before a time.
func (s *Store) SweepAudit(ctx context.Context, before time.Time) error {
	return s.sweep(ctx, sweepAudit, before)
}
