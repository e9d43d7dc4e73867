package store

import (
	"bytes"
	"context"
	"time"

	"patchbay/connect"
)

const builderSessionColumns = `hash, app, key_name, key_hash, created_at, expires_at`

func builderSessionFields(b *connect.BuilderSession) []any {
	return []any{blobField{&b.Hash}, &b.App, &b.KeyName, blobField{&b.KeyHash}, timeField{&b.CreatedAt}, timeField{&b.ExpiresAt}}
}

const (
	selectBuilderSessions = `SELECT ` + builderSessionColumns + ` FROM builder_sessions
		WHERE hash = $1 AND expires_at > $2 ORDER BY app`
	clearBuilder = `DELETE FROM builder_sessions WHERE hash = $2
		AND app IN (SELECT app FROM builder_sessions WHERE hash = $1)`
	moveBuilder      = `UPDATE builder_sessions SET hash = $2 WHERE hash = $1`
	dropBuilder      = `DELETE FROM builder_sessions WHERE hash = $1 AND app = $2`
	dropBuilderWhole = `DELETE FROM builder_sessions WHERE hash = $1`
)

var insertBuilderSession = `INSERT INTO builder_sessions (` + builderSessionColumns + `)
	VALUES (` + placeholders(1, builderSessionColumns) + `)`

// BuilderSessions implements connect.Store. They are in the order of their apps.
func (s *Store) BuilderSessions(ctx context.Context, hash []byte, now time.Time) ([]connect.BuilderSession, error) {
	same := func(b *connect.BuilderSession) bool { return bytes.Equal(b.Hash, hash) }
	all, err := list(ctx, s.readers, builderSessionFields, same, selectBuilderSessions, hash, millis(now))
	return all, s.wrap("read builder sessions", err)
}

// OpenBuilderSession implements connect.Store.
func (s *Store) OpenBuilderSession(ctx context.Context, oldHash []byte, b connect.BuilderSession) error {
	return s.writeAll(ctx, s.relaxed, "open a builder session", func(t tx) error {
		if err := t.moveBrowser(oldHash, b.Hash); err != nil {
			return err
		}
		if _, err := t.exec(dropBuilder, b.Hash, b.App); err != nil {
			return err
		}
		_, err := t.exec(insertBuilderSession, builderSessionFields(&b)...)
		return err
	})
}

// EndBuilderSession implements connect.Store.
func (s *Store) EndBuilderSession(ctx context.Context, hash []byte, app string) error {
	return s.writeAll(ctx, s.durable, "end a builder session", func(t tx) error {
		_, err := t.exec(dropBuilder, hash, app)
		return err
	})
}

// moveBrowser puts everything that a browser is signed in to under its new secret.
func (t tx) moveBrowser(oldHash, newHash []byte) error {
	if len(oldHash) == 0 || bytes.Equal(oldHash, newHash) {
		return nil
	}
	return t.execAll([]any{oldHash, newHash}, clearBrowser, moveBrowser, clearBuilder, moveBuilder)
}

const selectFailedFlows = `SELECT ` + flowColumns + ` FROM flows WHERE app = $1 AND status = 'failed'
	ORDER BY moved_at DESC, id DESC LIMIT $2`

// FailedFlows implements connect.Store.
func (s *Store) FailedFlows(ctx context.Context, app string, limit int) ([]connect.Flow, error) {
	same := func(f *connect.Flow) bool { return f.App == app && f.Status == connect.StatusFailed }
	all, err := list(ctx, s.readers, flowFields, same, selectFailedFlows, app, limit)
	return all, s.wrap("read the failed flows", err)
}
