// Package statedir keeps what a process must not lose while its database is away, in
// files of its own: answers of providers that are not stored yet, and the epoch by which
// an old copy of the database is noticed. It knows nothing of what is in them.
package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Dir is such a directory. It belongs to one process; of two with the same one, each
// would take the other's files for its own.
type Dir struct{ path string }

const (
	spool     = "refresh-spool"
	epochFile = "epoch"
)

// Open makes the directory where it is missing, readable by its owner only. Its error
// says what to do.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(filepath.Join(path, spool), 0o700); err != nil {
		return nil, fmt.Errorf("the state directory %s cannot be made: give its parent to the user that runs Patchbay: %w", path, err)
	}
	d := &Dir{path}
	probe := filepath.Join(path, spool, ".probe")
	if err := writeSynced(probe, nil); err != nil {
		return nil, fmt.Errorf("the state directory %s cannot be written: give it to the user that runs Patchbay: %w", path, err)
	}
	return d, os.Remove(probe)
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,200}$`)

// Keep keeps data under a name of letters, digits, - and _. When it returns, the data is
// on the disk.
func (d *Dir) Keep(name string, data []byte) error {
	if !plainName.MatchString(name) {
		return fmt.Errorf("statedir: %q is no name", name)
	}
	return writeSynced(filepath.Join(d.path, spool, name+".json"), data)
}

// Drop removes what is kept under a name; it is no error when there is nothing.
func (d *Dir) Drop(name string) error {
	err := os.Remove(filepath.Join(d.path, spool, name+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Kept returns everything that is kept, by its name.
func (d *Dir) Kept() (map[string][]byte, error) {
	entries, err := os.ReadDir(filepath.Join(d.path, spool))
	if err != nil {
		return nil, err
	}
	kept := map[string][]byte{}
	for _, e := range entries {
		name, ours := strings.CutSuffix(e.Name(), ".json")
		if !ours {
			continue
		}
		if kept[name], err = os.ReadFile(filepath.Join(d.path, spool, e.Name())); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// Epoch returns the number that SetEpoch wrote last, 0 for none.
func (d *Dir) Epoch() (int64, error) {
	path := filepath.Join(d.path, epochFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("the file %s does not hold a number: remove it if you know that the database is not an old copy", path)
	}
	return n, nil
}

// SetEpoch writes the epoch. When it returns, it is on the disk.
func (d *Dir) SetEpoch(n int64) error {
	return writeSynced(filepath.Join(d.path, epochFile), []byte(strconv.FormatInt(n, 10)+"\n"))
}

// writeSynced replaces a file in one step and waits until the disk has it.
func writeSynced(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
