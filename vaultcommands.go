package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"patchbay/config"
	"patchbay/connect"
	"patchbay/store"
	"patchbay/vault"
)

// counter prints how far something has come, at most twice a second and at the end.
type counter struct {
	out  io.Writer
	what string
	last time.Time
}

func (c *counter) tell(done, total int) {
	if done != total && time.Since(c.last) < 500*time.Millisecond {
		return
	}
	c.last = time.Now()
	fmt.Fprintf(c.out, "%s %d of %d\n", c.what, done, total)
}

func runKeysRotate(ctx context.Context, p *program, args []string) error {
	fs := p.flags("keys rotate", "Seals everything in the database with the newest key of PATCHBAY_KEYS, while the server runs. Give every server the\nnew key first, and restart it. Stopped half-way, it goes on where it was.")
	reader := p.settings(fs, config.Requires(config.Keys), config.Takes(config.Database))
	if err := p.parse(fs, args); err != nil {
		return err
	}
	s, err := reader.Read(p.env)
	if err != nil {
		return err
	}
	ring, db, err := openVault(ctx, s)
	if err != nil {
		return err
	}
	progress := &counter{out: p.stderr, what: "sealed anew"}
	n, err := connect.Reseal(ctx, db, ring, ring.NewestID(), progress.tell)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	used, err := db.KeysInUse(ctx)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%d values were sealed anew with the key %s.\n", n, ring.NewestID())
	var over []string
	for _, id := range ring.IDs() {
		if !slices.Contains(used, id) && id != ring.NewestID() {
			over = append(over, id)
		}
	}
	if len(over) > 0 {
		fmt.Fprintf(p.stdout, "In PATCHBAY_KEYS nothing in the database needs any more: %s.\nKeep it 15 minutes for what users are in the middle of, and for as long as you keep backups from before.\n", strings.Join(over, ", "))
	}
	return nil
}

// openVault opens the database and the keys that open what is in it.
func openVault(ctx context.Context, s *config.Settings) (*vault.Ring, *store.Store, error) {
	ring, err := vault.ParseKeys(s.Keys)
	if err != nil {
		return nil, nil, err
	}
	db, err := openStore(ctx, s, false)
	if err != nil {
		return nil, nil, err
	}
	if err := checkKeys(ctx, db, ring, false); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return ring, db, nil
}

func runBackup(ctx context.Context, p *program, args []string) error {
	fs := p.flags("backup FILE", "Writes a consistent copy of an SQLite database to FILE, while the server runs. The tokens in it stay sealed: keep the keys\nas well, and somewhere else.")
	reader := p.settings(fs, config.Takes(config.Database))
	file, err := p.parseFile(fs, args)
	if err != nil {
		return err
	}
	s, err := reader.Read(p.env)
	if err != nil {
		return err
	}
	if !s.Postgres.IsZero() {
		return errors.New("backup copies SQLite databases: of PostgreSQL, make one with pg_dump or your provider's snapshots (docs/production.md)")
	}
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s is there already: give a name that is free", file)
	}
	info, err := os.Stat(s.Database)
	if err != nil {
		return fmt.Errorf("there is no database at %s: give the one to copy with --database sqlite:PATH", s.Database)
	}
	partial := file + ".partial"
	if err := os.Remove(partial); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	stop := watchFile(p.stderr, partial, info.Size())
	_, err = store.SnapshotSQLite(ctx, s.Database, partial)
	stop()
	if err == nil {
		err = store.CheckSQLite(ctx, partial)
	}
	if err == nil {
		err = syncFile(partial)
	}
	if err != nil {
		_ = os.Remove(partial)
		return err
	}
	if err := os.Rename(partial, file); err != nil {
		return err
	}
	size, err := os.Stat(file)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: %d bytes. Try it with: patchbay verify %s\n", file, size.Size(), file)
	return nil
}

// watchFile tells twice a second how far a file has grown.
func watchFile(out io.Writer, path string, full int64) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if info, err := os.Stat(path); err == nil {
					fmt.Fprintf(out, "copied %d of about %d bytes\n", info.Size(), full)
				}
			}
		}
	}()
	return func() { close(done); <-ended }
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func runVerify(ctx context.Context, p *program, args []string) error {
	fs := p.flags("verify FILE", "Looks whether FILE, a backup, is whole, and whether every sealed value in it can be opened. It does not change the file.")
	reader := p.settings(fs, config.Requires(config.Keys))
	file, err := p.parseFile(fs, args)
	if err != nil {
		return err
	}
	s, err := reader.Read(p.env)
	if err != nil {
		return err
	}
	if err := store.CheckSQLite(ctx, file); err != nil {
		return err
	}
	// A backup may be of an older version, and to open it would upgrade it.
	db, remove, err := openCopy(ctx, file)
	if err != nil {
		return err
	}
	ring, err := vault.ParseKeys(s.Keys)
	if err == nil {
		err = checkKeys(ctx, db, ring, true)
	}
	var counts map[connect.SealedKind]int
	if err == nil {
		progress := &counter{out: p.stderr, what: "opened"}
		counts, err = connect.VerifySealed(ctx, db, ring, progress.tell)
	}
	if err = errors.Join(err, db.Close(), remove()); err != nil {
		return err
	}
	printCounts(p.stdout, file+" is whole, and everything in it opens", counts)
	return nil
}

func printCounts(out io.Writer, what string, counts map[connect.SealedKind]int) {
	fmt.Fprintf(out, "%s: %d apps, %d connectors, %d connections, %d flows.\n", what,
		counts[connect.SealedApp], counts[connect.SealedConnector], counts[connect.SealedConnection], counts[connect.SealedFlow])
}

// openCopy opens a copy of an SQLite database in a directory of its own.
func openCopy(ctx context.Context, path string) (*store.Store, func() error, error) {
	dir, err := os.MkdirTemp("", "patchbay-copy-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	file := filepath.Join(dir, "copy.db")
	there, err := store.SnapshotSQLite(ctx, path, file)
	if err == nil && !there {
		err = fmt.Errorf("there is no database at %s", path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	db, err := store.OpenSQLite(ctx, file, store.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	return db, remove, nil
}

func runCopy(ctx context.Context, p *program, args []string) error {
	fs := p.flags("copy", "Copies everything from an SQLite database to an empty PostgreSQL database, compares the two, and opens every sealed value.\nStop the server first: what is written after the copy began is not in it.")
	from := fs.String("from", "", "`URL` of the SQLite database, sqlite:PATH")
	to := fs.String("to", "", "`URL` of the PostgreSQL database, postgres://… (default: PATCHBAY_DATABASE, where a password is not seen by others)")
	reader := p.settings(fs, config.Requires(config.Keys))
	if err := p.parse(fs, args); err != nil {
		return err
	}
	s, err := reader.Read(p.env)
	if err != nil {
		return err
	}
	if *to == "" {
		*to, _ = p.env(config.Database.Env())
	}
	source, err := config.ParseDatabase("--from", *from)
	if err != nil {
		return err
	}
	target, err := config.ParseDatabase("--to", *to)
	if err != nil {
		return err
	}
	if !source.Postgres.IsZero() || target.Postgres.IsZero() {
		return errors.New("copy goes from sqlite:PATH to postgres://…")
	}
	ring, err := vault.ParseKeys(s.Keys)
	if err != nil {
		return err
	}
	if _, err := os.Stat(source.Database); err != nil {
		return fmt.Errorf("there is no database at %s: give the one to copy with --from sqlite:PATH", source.Database)
	}
	old, remove, err := openCopy(ctx, source.Database)
	if err != nil {
		return err
	}
	defer func() { _ = remove() }()
	defer func() { _ = old.Close() }()
	if err := checkKeys(ctx, old, ring, true); err != nil {
		return err
	}
	fresh, err := openStore(ctx, target, false)
	if err != nil {
		return err
	}
	defer func() { _ = fresh.Close() }()
	var last time.Time
	copied, err := old.CopyTo(ctx, fresh, func(t store.Table) {
		if t.Done == t.Rows || time.Since(last) > 500*time.Millisecond {
			last = time.Now()
			fmt.Fprintf(p.stderr, "%s: copied %d of %d rows\n", t.Name, t.Done, t.Rows)
		}
	})
	if err != nil {
		return err
	}
	progress := &counter{out: p.stderr, what: "opened"}
	counts, err := connect.VerifySealed(ctx, fresh, ring, progress.tell)
	if err != nil {
		return err
	}
	rows := int64(0)
	for _, t := range copied {
		rows += t.Rows
	}
	printCounts(p.stdout, fmt.Sprintf("%d rows were copied and are the same there, and everything sealed opens", rows), counts)
	fmt.Fprintln(p.stdout, "Start the servers with PATCHBAY_DATABASE set to the new address. The old database was not changed.")
	return nil
}

// parseFile reads flags and the one word that is none, before or after them.
func (p *program) parseFile(fs *flag.FlagSet, args []string) (string, error) {
	file := ""
	if err := fs.Parse(args); err == nil && fs.NArg() > 0 {
		file, args = fs.Arg(0), fs.Args()[1:]
	}
	if err := p.parse(fs, args); err != nil {
		return "", err
	}
	if file == "" {
		fs.SetOutput(p.stderr)
		fs.Usage()
		return "", &usageError{strings.TrimSuffix(fs.Name(), " FILE") + " needs a FILE"}
	}
	return file, nil
}
