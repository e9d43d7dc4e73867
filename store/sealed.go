package store

import (
	"context"
	"fmt"

	"patchbay/connect"
	"patchbay/vault"
)

var _ connect.SealedStore = (*Store)(nil)

// sealedTable is where the sealed values of a kind are. Its key is app and id.
type sealedTable struct {
	columns string // app, connector, owner, id, sealed
	from    string // with the condition for a key other than $1, which is all for ""
	after   string // in which order pages follow each other; $2 and $3 are the last app and id
	update  string // $1 fresh, $2 key id, $3 app, $4 id, $5 as it was read
}

// The statements of one use take the same arguments, hence conditions that are always
// true. A flow's key is not a column: few have secrets, and they end within minutes.
var sealedTables = map[connect.SealedKind]sealedTable{
	connect.SealedApp: {
		`id, '', 'app', id, sealed`, `apps WHERE sealed IS NOT NULL AND key_id <> $1`, `$2 = $2 AND id > $3 ORDER BY id`,
		`UPDATE apps SET sealed = $1, key_id = $2 WHERE id = $3 AND id = $4 AND sealed = $5`,
	},
	connect.SealedConnector: {
		`app, id, 'app', id, sealed`, `connectors WHERE sealed IS NOT NULL AND key_id <> $1`, `(app > $2 OR (app = $2 AND id > $3)) ORDER BY app, id`,
		`UPDATE connectors SET sealed = $1, key_id = $2 WHERE app = $3 AND id = $4 AND sealed = $5`,
	},
	connect.SealedConnection: {
		`app, connector, owner, id, sealed`, `connections WHERE sealed IS NOT NULL AND key_id <> $1`, `$2 = $2 AND id > $3 ORDER BY id`,
		`UPDATE connections SET sealed = $1, key_id = $2 WHERE app = $3 AND id = $4 AND sealed = $5`,
	},
	connect.SealedFlow: {
		`app, connector, CASE WHEN user_id = '' THEN 'app' ELSE 'u:' || user_id END, id, sealed`,
		`flows WHERE sealed IS NOT NULL AND $1 = $1`, `$2 = $2 AND id > $3 ORDER BY id`,
		`UPDATE flows SET sealed = $1 WHERE $2 <> '' AND app = $3 AND id = $4 AND sealed = $5`,
	},
}

// CountSealed implements connect.SealedStore. Of flows it counts all.
func (s *Store) CountSealed(ctx context.Context, kind connect.SealedKind, except string) (int, error) {
	n, err := s.readers.number(ctx, `SELECT COUNT(*) FROM `+sealedTables[kind].from, except)
	return int(n), s.wrap("count what is sealed", err)
}

// SealedRows implements connect.SealedStore.
func (s *Store) SealedRows(ctx context.Context, kind connect.SealedKind, except string, after connect.SealedRow, limit int) ([]connect.SealedRow, error) {
	t := sealedTables[kind]
	fields := func(r *connect.SealedRow) []any {
		return []any{&r.App, &r.Connector, ownerField{&r.Owner}, &r.ID, blobField{&r.Sealed}}
	}
	rows, err := list(ctx, s.readers, fields, anyRow, `SELECT `+t.columns+` FROM `+t.from+` AND `+t.after+` LIMIT $4`,
		except, after.App, after.ID, limit)
	for i := range rows {
		rows[i].Kind = kind
	}
	return rows, s.wrap("read what is sealed", err)
}

// Reseal implements connect.SealedStore. A flow that is sealed so already is left alone.
func (s *Store) Reseal(ctx context.Context, rows []connect.Resealed) (int, error) {
	done := 0
	err := s.writeAll(ctx, s.durable, "seal anew", func(t tx) error {
		done = 0
		for i := range rows {
			r := &rows[i]
			if was, _ := vault.KeyID(r.Sealed); was == r.KeyID {
				continue
			}
			n, err := t.exec(sealedTables[r.Kind].update, blobField{&r.Fresh}, r.KeyID, r.App, r.ID, blobField{&r.Sealed})
			if err != nil {
				return fmt.Errorf("%s %s: %w", r.Kind, r.ID, err)
			}
			done += int(n)
		}
		return nil
	})
	return done, err
}
