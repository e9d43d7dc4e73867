//go:build unix

package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"patchbay/connect"
)

// TestMain also lets tests run a part of themselves in another process.
func TestMain(m *testing.M) {
	if name := os.Getenv("STORE_TEST_CHILD"); name != "" {
		if err := children[name](os.Getenv("STORE_TEST_PATH")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var children = map[string]func(path string) error{
	"write": writeInChild,
	"open": func(path string) error {
		s, err := OpenSQLite(context.Background(), path, Options{})
		if err != nil {
			return err
		}
		return s.Close()
	},
}

func child(t *testing.T, name, path string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "STORE_TEST_CHILD="+name, "STORE_TEST_PATH="+path)
	return cmd
}

func TestModes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o777} {
		t.Run(fmt.Sprintf("umask %03o", umask), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "made", "with spaces, %41, ? and #")
			if umask != 0o777 { // which keeps all but root from making nested ones
				dir = filepath.Join(dir, "nested")
			} else if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
				t.Fatal(err)
			}
			old := syscall.Umask(umask)
			defer syscall.Umask(old)
			path := filepath.Join(dir, "patchbay.db")
			s := openAt(t, path, Options{})
			putApp(t, s, "acme")
			expectMode(t, dir, 0o700)
			for _, suffix := range []string{"", "-wal", "-shm"} {
				expectMode(t, path+suffix, 0o600)
			}
		})
	}
	t.Run("looser before", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "patchbay.db")
		s := openAt(t, path, Options{})
		putApp(t, s, "acme")
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Chmod(path+suffix, 0o664); err != nil {
				t.Fatal(err)
			}
		}
		openAt(t, path, Options{})
		for _, suffix := range []string{"", "-wal", "-shm"} {
			expectMode(t, path+suffix, 0o600)
		}
	})
}

func expectMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Error(err)
	} else if info.Mode().Perm() != want {
		t.Errorf("%s has mode %03o instead of %03o", filepath.Base(path), info.Mode().Perm(), want)
	}
}

// What is wrong with a path is said in one sentence, with the path and what to do.
func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.Repeat("this is not a database. ", 1000)
	write("text.db", text)
	write("short.db", "x")
	foreign(t, in("foreign.db"), `CREATE TABLE shopping (item TEXT)`)
	if err := os.Chmod(in("foreign.db"), 0o644); err != nil {
		t.Fatal(err)
	}
	shopping, err := os.ReadFile(in("foreign.db"))
	if err != nil {
		t.Fatal(err)
	}
	foreign(t, in("goose.db"), `CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY, version_id INTEGER, is_applied INTEGER)`, `INSERT INTO goose_db_version VALUES (1, 5, 1)`)
	foreign(t, in("marked.db"), `PRAGMA application_id = 4711`)
	newer := openAt(t, in("newer.db"), Options{})
	if _, err := newer.durable.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := newer.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "schema version 9999") {
		t.Errorf("ping after an upgrade by another process: %v", err)
	}
	if err := os.Symlink(in("nowhere"), in("link.db")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(in("fifo.db"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"":                "give the path of a file in it",
		"text.db":         "give the path of a Patchbay database",
		"short.db":        "give the path of a Patchbay database",
		"foreign.db":      "belongs to another program",
		"goose.db":        "belongs to another program",
		"marked.db":       "belongs to another program",
		"newer.db":        "newer version of Patchbay",
		"link.db":         "remove the link",
		"fifo.db":         "not a regular file",
		"text.db/x.db":    "not a directory",
		"text.db/y/z.db":  "cannot be looked at",
		"newer.db/sub.db": "not a directory",
	} {
		expectOpenError(t, in(name), want, func() error {
			s, err := OpenSQLite(t.Context(), in(name), Options{})
			if err == nil {
				_ = s.Close()
			}
			return err
		})
	}
	if after, err := os.ReadFile(in("text.db")); err != nil || string(after) != text {
		t.Errorf("text.db was changed, %v", err)
	}
	if after, err := os.ReadFile(in("foreign.db")); err != nil || !bytes.Equal(after, shopping) {
		t.Errorf("foreign.db was changed, %v", err)
	}
	expectMode(t, in("foreign.db"), 0o644)
	if _, err := OpenSQLite(t.Context(), "", Options{}); err == nil || !strings.Contains(err.Error(), "needs a path") {
		t.Error(err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := OpenSQLite(canceled, in("fresh.db"), Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	openAt(t, in("fresh.db"), Options{}) // an empty file is a new database
}

func foreign(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func expectOpenError(t *testing.T, path, want string, open func() error) {
	t.Helper()
	err := open()
	if err == nil {
		t.Errorf("%s could be opened", path)
		return
	}
	text := err.Error()
	dir := filepath.Dir(path)
	if !strings.Contains(text, want) || strings.Contains(text, "\n") || (!strings.Contains(text, path) && !strings.Contains(text, dir)) {
		t.Errorf("%s: %s", path, text)
	}
}

// A file or directory that must not be written. Root may write everything, so the
// attempt is made by somebody else.
func TestOpenUnwritable(t *testing.T) {
	root, err := os.MkdirTemp("", "patchbay-store") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(root) }()
	mode := func(path string, mode fs.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	mode(root, 0o755)
	nobody := func(path string) error {
		cmd := child(t, "open", path)
		cmd.Dir = root
		if os.Getuid() == 0 {
			exe := filepath.Join(root, "test")
			if err := exec.Command("cp", cmd.Path, exe).Run(); err != nil {
				return err
			}
			cmd.Path, cmd.Args[0] = exe, exe
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		out, err := cmd.Output()
		if err != nil {
			return errors.New(strings.TrimSpace(string(out)))
		}
		return nil
	}
	own := func(path string) {
		t.Helper()
		if os.Getuid() == 0 {
			if err := os.Chown(path, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := func(name string, m fs.FileMode) string {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		own(path)
		mode(path, m)
		return path
	}
	made := func(dir string, m fs.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, "patchbay.db")
		mode(dir, 0o755)
		s, err := OpenSQLite(t.Context(), path, Options{})
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		own(path)
		mode(path, m)
		return path
	}

	closed := dir("closed", 0o555)
	path := filepath.Join(closed, "patchbay.db")
	expectOpenError(t, path, "give its directory to the user", func() error { return nobody(path) })
	path = filepath.Join(closed, "sub", "patchbay.db")
	expectOpenError(t, path, "make it, and give it to the user", func() error { return nobody(path) })
	path = filepath.Join(dir("locked", 0), "patchbay.db")
	expectOpenError(t, path, "give its directory to the user", func() error { return nobody(path) })
	file := made(dir("file", 0o755), 0o400)
	expectOpenError(t, file, "must be able to write both", func() error { return nobody(file) })
	beside := made(dir("beside", 0o755), 0o600)
	mode(filepath.Dir(beside), 0o555)
	expectOpenError(t, beside, "must be able to write both", func() error { return nobody(beside) })
	if os.Getuid() == 0 { // owned by somebody else
		strange := made(dir("strange", 0o777), 0o666)
		if err := os.Chown(strange, 0, 0); err != nil {
			t.Fatal(err)
		}
		expectOpenError(t, strange, "run chmod 600 on it as its owner", func() error { return nobody(strange) })
	}
	fine := made(dir("fine", 0o755), 0o600)
	if err := nobody(fine); err != nil {
		t.Errorf("the owner cannot open it: %v", err)
	}
}

// Several processes may use one database: apply beside serve.
func TestProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchbay.db")
	const processes = 4
	cmds := make([]*exec.Cmd, processes)
	for i := range cmds {
		cmds[i] = child(t, "write", path)
		cmds[i].Env = append(cmds[i].Env, fmt.Sprintf("STORE_TEST_NUMBER=%d", i))
		cmds[i].Stderr = os.Stderr
		var out bytes.Buffer
		cmds[i].Stdout = &out
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v: %s", i, err, cmd.Stdout)
		}
	}
	s := openAt(t, path, Options{})
	if revision, err := s.Revision(t.Context()); err != nil || revision != processes*writesInChild {
		t.Errorf("revision %d, %v", revision, err)
	}
	if apps, err := s.Apps(t.Context()); err != nil || len(apps.Apps) != processes {
		t.Errorf("%d apps, %v", len(apps.Apps), err)
	}
}

const writesInChild = 25

func writeInChild(path string) error {
	ctx := context.Background()
	s, err := OpenSQLite(ctx, path, Options{BusyTimeout: 30 * time.Second})
	if err != nil {
		return err
	}
	app := "app" + os.Getenv("STORE_TEST_NUMBER")
	for range writesInChild {
		if err := s.ApplyApps(ctx, connect.ApplyBatch{Put: []connect.AppRecord{{ID: app, Document: []byte(`{}`)}}}); err != nil {
			return err
		}
		if err := s.Writable(ctx); err != nil {
			return err
		}
	}
	return s.Close()
}

// The operating system refuses to let files grow: what a full disk looks like.
func TestNoSpace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchbay.db")
	s := openAt(t, path, Options{})
	c := putApp(t, s, "acme")
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old) }()
	low := old
	low.Cur = 600 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &low); err != nil {
		t.Fatal(err)
	}
	fillUp(t, s)
	if _, err := s.Connection(t.Context(), "acme", "calendar", c.Owner); err != nil {
		t.Error(err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	worksAgain(t, s, c)
}

// What was deleted or overwritten is in none of the database's files after a sweep.
func TestDeletedIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchbay.db")
	s := openAt(t, path, Options{})
	ctx := t.Context()
	canary := func(name string, size int) []byte {
		return bytes.Repeat([]byte("CANARY-"+name+"-"), size/(8+len(name)))
	}
	expect := func(want bool, names ...string) {
		t.Helper()
		var all []byte
		for _, suffix := range []string{"", "-wal", "-shm"} {
			b, err := os.ReadFile(path + suffix)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
		for _, name := range names {
			if bytes.Contains(all, []byte("CANARY-"+name+"-")) != want {
				t.Errorf("%s in the files: %v", name, !want)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, app := range []string{"acme", "other"} {
		putApp(t, s, app)
	}
	names := []string{"refreshed", "disconnected", "flow", "parked", "app", "document", "neighbour"}
	putConnection(t, s, "acme", "refreshed", canary("refreshed", 300))
	putConnection(t, s, "acme", "disconnected", canary("disconnected", 20_000)) // overflow pages
	putConnection(t, s, "acme", "neighbour", canary("neighbour", 300))
	putConnection(t, s, "other", "app", canary("app", 3000))
	putFlow(t, s, "acme", "dana", canary("flow", 300))
	must(s.Park(ctx, []byte("parked"), canary("parked", 300), time.Now().Add(time.Hour)))
	document, err := json.Marshal(string(canary("document", 5000)))
	must(err)
	must(s.ApplyApps(ctx, connect.ApplyBatch{Put: []connect.AppRecord{{ID: "third", Document: document}}}))
	must(s.Sweep(ctx, time.Now(), time.Now()))
	expect(true, names...)

	_, err = s.SaveRefreshed(ctx, connect.Refreshed{ID: "cn_acmerefreshed", Generation: 1, Sealed: []byte("fresh")})
	must(err)
	_, err = s.Disconnect(ctx, "acme", "calendar", connect.OwnerOf("disconnected"), func(*connect.Connection) connect.Event { return connect.Event{} })
	must(err)
	must(s.ForgetUser(ctx, "acme", "dana"))
	must(s.Unpark(ctx, []byte("parked")))
	must(s.ApplyApps(ctx, connect.ApplyBatch{RemoveApps: []string{"other", "third"}}))
	must(s.Sweep(ctx, time.Now(), time.Now()))
	expect(false, names[:6]...)
	expect(true, "neighbour")
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() != 0 {
		t.Errorf("the log is not empty: %v", err)
	}
}

// A reader that stays keeps the log, and then the next sweep empties it.
func TestSweepBesideAReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchbay.db")
	s := openAt(t, path, Options{})
	putApp(t, s, "acme")
	reader, err := s.readers.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.QueryRow(selectRevision).Scan(new(int64)); err != nil {
		t.Fatal(err)
	}
	size := func() int64 {
		t.Helper()
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	begun := time.Now()
	if err := s.Sweep(t.Context(), time.Now(), time.Now()); err != nil {
		t.Error(err)
	}
	if waited := time.Since(begun); waited > 2*time.Second {
		t.Errorf("writes stood still for %s", waited)
	}
	if size() == 0 {
		t.Error("the log was emptied under a reader")
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context(), time.Now(), time.Now()); err != nil {
		t.Error(err)
	}
	if size() != 0 {
		t.Error("the log was not emptied afterwards")
	}
	var timeout int
	if err := s.relaxed.QueryRow(`PRAGMA busy_timeout`).Scan(&timeout); err != nil || timeout != 5000 {
		t.Errorf("writes wait for %d ms, %v", timeout, err)
	}
}
