package store

import "context"

const selectKeyChecks = `SELECT id, check_value FROM vault_keys`

type keyCheck struct {
	id     string
	sealed []byte
}

// KeyChecks returns what each key once sealed, by the key's id. A ring that cannot
// open one of them holds another key under that id.
func (s *Store) KeyChecks(ctx context.Context) (map[string][]byte, error) {
	fields := func(k *keyCheck) []any { return []any{&k.id, blobField{&k.sealed}} }
	all, err := list(ctx, s.readers, fields, anyRow, selectKeyChecks)
	if err != nil {
		return nil, s.wrap("read the key checks", err)
	}
	checks := make(map[string][]byte, len(all))
	for _, k := range all {
		checks[k.id] = k.sealed
	}
	return checks, nil
}

const insertKeyCheck = `INSERT INTO vault_keys (id, check_value) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`

// AddKeyCheck keeps a value that the key has sealed. The one that is there already
// stays: of two processes that start at once, the second finds out by reading it.
// Durable.
func (s *Store) AddKeyCheck(ctx context.Context, id string, sealed []byte) error {
	return s.writeAll(ctx, s.durable, "add a key check", func(t tx) error {
		_, err := t.exec(insertKeyCheck, id, sealed)
		return err
	})
}

// selectKeysInUse goes from one key to the next in the index, however many rows there are.
const selectKeysInUse = `WITH RECURSIVE used (id) AS (
		SELECT MIN(key_id) FROM connections WHERE key_id <> ''
		UNION ALL SELECT (SELECT MIN(key_id) FROM connections WHERE key_id > used.id) FROM used WHERE used.id IS NOT NULL)
	SELECT id FROM used WHERE id IS NOT NULL
	UNION SELECT key_id FROM connectors WHERE key_id <> ''
	UNION SELECT key_id FROM apps WHERE key_id <> ''
	ORDER BY 1`

// KeysInUse returns the ids of the keys that sealed what is kept for long: apps,
// connectors and connections. The keys of flows under way are not among them.
func (s *Store) KeysInUse(ctx context.Context) ([]string, error) {
	ids, err := list(ctx, s.readers, func(id *string) []any { return []any{id} }, anyRow, selectKeysInUse)
	return ids, s.wrap("read which keys are in use", err)
}
