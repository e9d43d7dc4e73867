package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600

	smallestDatabase = 512 // one page of the smallest size
)

// prepareFile makes sure that the database file exists and is a file, and returns its
// absolute path. SQLite would make it with the umask's mode; what it makes beside it
// later, the -wal and the -shm, gets the mode of the file.
//
// A file that exists is never opened here: POSIX drops all locks of a process on a
// file when any descriptor of it is closed, SQLite's among them.
func prepareFile(path string) (string, error) {
	if path == "" {
		return "", errors.New("the database needs a path: write sqlite:PATH, such as sqlite:patchbay.db")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := prepareDir(filepath.Dir(path)); err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path, createFile(path)
	case err != nil:
		return "", fmt.Errorf("the database %s cannot be looked at: %w: give its directory to the user that runs Patchbay", path, err)
	case info.IsDir():
		return "", fmt.Errorf("the database %s is a directory: give the path of a file in it, such as %s", path, filepath.Join(path, "patchbay.db"))
	case info.Size() > 0 && info.Size() < smallestDatabase: // SQLite takes it for empty, and overwrites it
		return "", fmt.Errorf("the database %s is not an SQLite database: give the path of a Patchbay database, or of a file that does not exist yet", path)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("the database %s is not a regular file: give the path of one, or of a file that does not exist yet", path)
	}
	return path, nil
}

func prepareDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("the database cannot be in %s, which is not a directory: give another path", dir)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the directory %s of the database cannot be looked at: %w: make it, and give it to the user that runs Patchbay", dir, err)
	}
	err = os.MkdirAll(dir, dirMode)
	if err == nil {
		err = os.Chmod(dir, dirMode) // the umask may have taken from it
	}
	if err != nil {
		return fmt.Errorf("the directory %s of the database cannot be made: %w: make it, and give it to the user that runs Patchbay", dir, err)
	}
	return nil
}

func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if errors.Is(err, fs.ErrExist) { // another process was faster
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("the database %s is a link to a file that does not exist: remove the link, or make the file", path)
		}
		return nil
	}
	if err == nil {
		err = errors.Join(f.Chmod(fileMode), f.Close(), syncDir(filepath.Dir(path)))
	}
	if err != nil {
		return fmt.Errorf("the database %s cannot be made: %w: give its directory to the user that runs Patchbay", path, err)
	}
	return nil
}

// syncDir writes down that the directory has a new file. Without it a power cut could
// lose the whole database, durable commits and all.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// tightenFiles takes from others what an umask or a hand gave them.
func tightenFiles(path string) error {
	for _, name := range []string{path, path + "-wal", path + "-shm", path + "-journal"} {
		if err := tighten(name); err != nil {
			return err
		}
	}
	return nil
}

func tighten(name string) error {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().Perm()&^fileMode != 0 {
		err = os.Chmod(name, info.Mode().Perm()&fileMode)
	}
	if err != nil {
		return fmt.Errorf("others may read %s and that cannot be changed: %w: run chmod 600 on it as its owner", name, err)
	}
	return nil
}
