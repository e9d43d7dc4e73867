//go:build linux

// Package pgcluster starts a throw-away PostgreSQL from the system's binaries, for tests.
package pgcluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Cluster is a PostgreSQL that listens on a socket in a directory of its own and syncs
// nothing to the disk.
type Cluster struct {
	dir  string
	bin  string
	cred *syscall.Credential
}

var errNoBinaries = errors.New("PostgreSQL's binaries are not installed: apt-get install postgresql")

// one cluster serves a test binary; it ends with the process.
var one = sync.OnceValues(start)

var count atomic.Int64

// Database makes an empty database and returns its address. Without PostgreSQL on the
// machine the test is skipped, which in CI is a failure.
func Database(t testing.TB) string {
	t.Helper()
	c, err := one()
	if errors.Is(err, errNoBinaries) {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	name, address, err := c.create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.run("dropdb", "-h", c.dir, "-U", "postgres", "--force", name) })
	return address
}

// Address makes an empty database for a program that is no test and returns its address.
// It goes with the process.
func Address() (string, error) {
	c, err := one()
	if err != nil {
		return "", err
	}
	_, address, err := c.create()
	return address, err
}

func (c *Cluster) create() (name, address string, err error) {
	name = fmt.Sprintf("t%d_%d", os.Getpid(), count.Add(1))
	err = c.run("createdb", "-h", c.dir, "-U", "postgres", name)
	return name, fmt.Sprintf("postgres://postgres@/%s?host=%s", name, c.dir), err
}

func (c *Cluster) run(program string, args ...string) error {
	out, err := c.command(program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}

func (c *Cluster) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, program), args...)
	cmd.Dir = c.dir
	if c.cred != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred}
	}
	return cmd
}

func binaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		slices.Sort(found)
		return filepath.Dir(found[len(found)-1]), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errNoBinaries
}

func start() (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "pb-pg-") // the path of a socket is short
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, bin: bin}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		if c.cred, err = credentialOf("postgres"); err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(c.cred.Uid), int(c.cred.Gid)); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(dir, "data")
	if err := c.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C.UTF-8"); err != nil {
		return nil, err
	}
	server := c.command("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=400")
	if server.SysProcAttr == nil {
		server.SysProcAttr = &syscall.SysProcAttr{}
	}
	server.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	failed := make(chan error, 1)
	go func() {
		// The signal comes when the thread ends that started it, so it never does.
		runtime.LockOSThread()
		failed <- server.Start()
		_ = server.Wait()
		_ = os.RemoveAll(dir)
		select {}
	}()
	if err := <-failed; err != nil {
		return nil, err
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if raw, err := os.ReadFile(filepath.Join(data, "postmaster.pid")); err == nil && strings.Contains(string(raw), "ready") {
			return c, nil
		}
	}
	return nil, errors.New("PostgreSQL did not start within 30 s")
}

func credentialOf(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
