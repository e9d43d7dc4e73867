package statedir

import (
	"os"
	"path/filepath"
	"testing"
)

func TestKeepsAndDrops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Keep("cn_a-1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := d.Keep("cn_a-1", []byte("two")); err != nil {
		t.Fatal(err)
	}
	if err := d.Keep("../escape", nil); err == nil {
		t.Error("a name may climb")
	}
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := again.Kept()
	if err != nil || len(kept) != 1 || string(kept["cn_a-1"]) != "two" {
		t.Errorf("%q, %v", kept, err)
	}
	info, err := os.Stat(filepath.Join(path, spool, "cn_a-1.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for range 2 {
		if err := again.Drop("cn_a-1"); err != nil {
			t.Error(err)
		}
	}
	if kept, _ := again.Kept(); len(kept) != 0 {
		t.Errorf("%q", kept)
	}
}

func TestEpoch(t *testing.T) {
	path := t.TempDir()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.Epoch(); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := d.SetEpoch(41); err != nil {
		t.Fatal(err)
	}
	if n, err := d.Epoch(); n != 41 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := os.WriteFile(filepath.Join(path, epochFile), []byte("what"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Epoch(); err == nil {
		t.Error("a file that holds no number was read")
	}
}

func TestOpenSaysWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "state")); err == nil {
		t.Error("a file is no directory")
	}
}
