package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"patchbay/connect"
	"patchbay/vault"
)

const selectRevision = `SELECT revision FROM instance`

// Revision implements connect.Store.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	revision, err := s.readers.number(ctx, selectRevision)
	return revision, s.wrap("read the revision", err)
}

const (
	selectApps       = `SELECT id, document, sealed FROM apps ORDER BY position, id`
	selectConnectors = `SELECT app, id, type, mode, document, sealed FROM connectors ORDER BY app, position, id`
)

// Apps implements connect.Store. It reads in one transaction: the revision is that of
// the apps it comes with.
func (s *Store) Apps(ctx context.Context) (connect.StoredApps, error) {
	var out connect.StoredApps
	t, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return out, s.wrap("read the apps", err)
	}
	defer func() { _ = t.Rollback() }()
	if err := t.QueryRowContext(ctx, selectRevision).Scan(&out.Revision); err != nil {
		return connect.StoredApps{}, s.wrap("read the revision", err)
	}
	apps, err := list(ctx, t, appFields, anyRow, selectApps)
	if err != nil {
		return connect.StoredApps{}, s.wrap("read the apps", err)
	}
	connectors, err := list(ctx, t, connectorFields, anyRow, selectConnectors)
	if err != nil {
		return connect.StoredApps{}, s.wrap("read the connectors", err)
	}
	of := make(map[string][]connect.ConnectorRecord, len(apps))
	for _, c := range connectors {
		of[c.App] = append(of[c.App], c)
	}
	for i := range apps {
		apps[i].Connectors = of[apps[i].ID]
	}
	out.Apps = apps
	return out, nil
}

func appFields(a *connect.AppRecord) []any {
	return []any{&a.ID, documentField{&a.Document}, blobField{&a.Sealed}}
}

func connectorFields(c *connect.ConnectorRecord) []any {
	return []any{&c.App, &c.ID, &c.Type, &c.Mode, documentField{&c.Document}, blobField{&c.Sealed}}
}

const (
	deleteApp       = `DELETE FROM apps WHERE id = $1`
	deleteConnector = `DELETE FROM connectors WHERE app = $1 AND id = $2`
	bumpRevision    = `UPDATE instance SET revision = revision + 1`
)

// ApplyApps implements connect.Store. What is both removed and put is removed first,
// with everything that belongs to it, and then made anew. A connector that is neither
// put nor removed, or that changes its type or mode without being removed, is an
// error: its connections would belong to nothing, or to something else.
func (s *Store) ApplyApps(ctx context.Context, b connect.ApplyBatch) error {
	return s.writeAll(ctx, s.durable, "apply apps", func(t tx) error {
		if _, err := t.exec(bumpRevision); err != nil { // first: it keeps two applies apart
			return err
		}
		for _, c := range b.RemoveConnectors {
			if _, err := t.exec(deleteConnector, c[0], c[1]); err != nil {
				return err
			}
			if err := t.withdraw(c[0], c[1]); err != nil {
				return err
			}
		}
		for _, id := range b.RemoveApps {
			if _, err := t.exec(deleteApp, id); err != nil {
				return err
			}
		}
		for i := range b.Put {
			if err := t.putApp(&b.Put[i], i); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	upsertApp = `
		INSERT INTO apps (id, document, sealed, position, key_id) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO UPDATE SET document = excluded.document, sealed = excluded.sealed,
			position = excluded.position, key_id = excluded.key_id`
	upsertConnector = `
		INSERT INTO connectors (app, id, type, mode, document, sealed, position, key_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (app, id) DO UPDATE SET document = excluded.document, sealed = excluded.sealed,
			position = excluded.position, key_id = excluded.key_id
		WHERE connectors.type = excluded.type AND connectors.mode = excluded.mode`
	selectConnectorIDs = `SELECT id FROM connectors WHERE app = $1`
)

func (t tx) putApp(a *connect.AppRecord, position int) error {
	if _, err := t.exec(upsertApp, append(appFields(a), position, keyID(a.Sealed))...); err != nil {
		return fmt.Errorf("app %s: %w", a.ID, err)
	}
	if err := t.execAll([]any{a.ID}, forgetHealth, forgetRetries); err != nil { // what was wrong may have been mended by this
		return fmt.Errorf("app %s: %w", a.ID, err)
	}
	put := make(map[string]bool, len(a.Connectors))
	for i := range a.Connectors {
		c := &a.Connectors[i]
		if c.App != a.ID || put[c.ID] {
			return fmt.Errorf("app %s: connector %s/%s is not its own, or is there twice", a.ID, c.App, c.ID)
		}
		put[c.ID] = true
		n, err := t.exec(upsertConnector, append(connectorFields(c), i, keyID(c.Sealed))...)
		if err != nil {
			return fmt.Errorf("connector %s/%s: %w", c.App, c.ID, err)
		}
		if n != 1 {
			return fmt.Errorf("connector %s/%s: another type or mode without a removal", c.App, c.ID)
		}
	}
	stored, err := list(t.ctx, t, func(id *string) []any { return []any{id} }, anyRow, selectConnectorIDs, a.ID)
	if err != nil {
		return err
	}
	for _, id := range stored {
		if !put[id] {
			return fmt.Errorf("connector %s/%s: neither put nor removed", a.ID, id)
		}
	}
	return nil
}

// keyID names the key that sealed a record, "" for what is not a record.
func keyID(sealed []byte) string {
	id, _ := vault.KeyID(sealed)
	return id
}

// A session that is limited to connectors loses one that is removed, and ends with
// the last: a new connector of the same id must not inherit it.
const (
	selectLimitedSessions = `SELECT id, connectors FROM connect_sessions WHERE app = $1 AND connectors <> 'null'`
	limitSession          = `UPDATE connect_sessions SET connectors = $1 WHERE id = $2`
	dropSession           = `DELETE FROM connect_sessions WHERE id = $1`
	selectLimitedBrowsers = `SELECT hash, connectors FROM browser_sessions WHERE app = $1 AND connectors <> 'null'`
	limitBrowser          = `UPDATE browser_sessions SET connectors = $1 WHERE hash = $2 AND app = $3`
	dropBrowser           = `DELETE FROM browser_sessions WHERE hash = $1 AND app = $2`
)

type limited struct {
	id         string
	hash       []byte
	connectors []string
}

func (t tx) withdraw(app, connector string) error {
	sessions, err := list(t.ctx, t, func(l *limited) []any { return []any{&l.id, jsonField{&l.connectors}} }, anyRow, selectLimitedSessions, app)
	if err != nil {
		return err
	}
	for _, l := range sessions {
		if err := t.withdrawFrom(l.connectors, connector, limitSession, dropSession, l.id); err != nil {
			return err
		}
	}
	browsers, err := list(t.ctx, t, func(l *limited) []any { return []any{blobField{&l.hash}, jsonField{&l.connectors}} }, anyRow, selectLimitedBrowsers, app)
	if err != nil {
		return err
	}
	for _, l := range browsers {
		if err := t.withdrawFrom(l.connectors, connector, limitBrowser, dropBrowser, l.hash, app); err != nil {
			return err
		}
	}
	return nil
}

func (t tx) withdrawFrom(connectors []string, gone, limit, drop string, key ...any) error {
	rest := slices.DeleteFunc(slices.Clone(connectors), func(id string) bool { return id == gone })
	if len(rest) == len(connectors) {
		return nil
	}
	if len(rest) == 0 {
		_, err := t.exec(drop, key...)
		return err
	}
	text, err := json.Marshal(rest)
	if err != nil {
		return err
	}
	_, err = t.exec(limit, append([]any{string(text)}, key...)...)
	return err
}
