//go:build linux

package main

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"

	"patchbay/vault"
)

// seed fills the database with connections, in one transaction, and tells how large it is.
func (b *bench) seed() string {
	ring, err := vault.ParseKeys(vault.NewSecret(keyLine))
	check(err)
	db := b.open()
	defer func() { _ = db.Close() }()
	t, err := db.Begin()
	check(err)
	insert, err := t.Prepare(`INSERT INTO connections (id, app, connector, owner, generation, type, status, reason, account_id, account_name, account_email,
		asked, scopes, missing, config, params, proofs, assurance, sealed, key_id, token_type, obtained_at, expires_at, connected_at, updated_at, last_used_at)
		VALUES ($1, $2, $3, $4, 1, 'box', 'connected', '', '1', 'Dana', 'dana@example.com', '["root_readonly"]', '["root_readonly"]', 'null', 'null', 'null', '["browser","human"]', 'human',
		$5, $6, 'Bearer', $7, $8, $7, $7, $7)`)
	check(err)
	now := time.Now().UnixMilli()
	plain := []byte{1}
	for _, token := range []string{strings.Repeat("t", sealedToken), strings.Repeat("r", 64), ""} {
		plain = append(binary.AppendUvarint(plain, uint64(len(token))), token...)
	}
	sealedBytes := 0
	put := func(app, connector, user string) {
		id := "cn_" + app + connector + user
		sealed, err := ring.Seal(vault.Context{App: app, Connector: connector, User: "u:" + user, Row: id, Purpose: "tokens"}, plain)
		check(err)
		sealedBytes = len(sealed)
		_, err = insert.Exec(id, app, connector, "u:"+user, sealed, ring.NewestID(), now, now+6*3600_000)
		check(err)
	}
	for _, u := range users(*rows) {
		put("acme", "box", u)
	}
	before := int64(*rows)
	for _, u := range users(64) {
		for i := 1; i < 40; i += 2 {
			put("big", fmt.Sprintf("box%d", i), u)
			before++
		}
	}
	check(t.Commit())
	return fmt.Sprintf("%d connections take %d bytes each on the disk, of which %d are sealed.", before, b.size(db)/before, sealedBytes)
}

func (b *bench) open() *sql.DB {
	driver, address := "pgx", b.database
	if path, ok := strings.CutPrefix(b.database, "sqlite:"); ok {
		driver, address = "sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)"
	}
	db, err := sql.Open(driver, address)
	check(err)
	return db
}

func (b *bench) size(db *sql.DB) int64 {
	if path, ok := strings.CutPrefix(b.database, "sqlite:"); ok {
		_, err := db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
		check(err)
		info, err := os.Stat(path)
		check(err)
		return info.Size()
	}
	var n int64
	check(db.QueryRow(`SELECT pg_total_relation_size('connections')`).Scan(&n))
	return n
}

// expire makes a user's access token run out.
func (b *bench) expire(user string) {
	db := b.open()
	defer func() { _ = db.Close() }()
	_, err := db.Exec(`UPDATE connections SET expires_at = 1, obtained_at = 0 WHERE id = $1`, "cn_acmebox"+user)
	check(err)
}
