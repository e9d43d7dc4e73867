package provider

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"
)

//go:embed catalog/*.yaml
var embedded embed.FS

// Catalog is a checked set of entries. It does not change once loaded and may be used
// from several goroutines.
type Catalog struct{ entries map[string]func() *Entry }

// Embedded returns the catalogue that is part of the program.
func Embedded() (*Catalog, error) { return WithOwn(nil, nil) }

// WithOwn returns the catalogue that is part of the program, and with it the types that
// an operator describes in own, which may be nil. Files that want it are completed
// through discover. The error is as with [Load].
//
// Our own files are read when they are first asked for: a server that offers five
// types does not wait for fifty. Tests read them all.
func WithOwn(own fs.FS, discover Discover) (*Catalog, error) {
	names, err := fs.Glob(embedded, "catalog/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("embedded catalogue: %w", err)
	}
	ours := map[string]string{}
	all := map[string]func() *Entry{}
	for _, name := range names {
		typ := strings.TrimSuffix(path.Base(name), ".yaml")
		ours[typ] = path.Base(name) + ":1:7"
		all[typ] = sync.OnceValue(func() *Entry { return ownEntry(name) })
	}
	if own != nil {
		more, err := loadAll(discover, ours, own)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, more.entries)
	}
	return &Catalog{all}, nil
}

// ownEntry reads one embedded file. A mistake in one is a mistake in this package.
func ownEntry(name string) *Entry {
	text, err := embedded.ReadFile(name)
	if err != nil {
		panic("provider: " + err.Error())
	}
	f := parseFile(path.Base(name), text, nil)
	if len(f.problems) > 0 {
		panic("provider: " + f.problems.Error())
	}
	return &f.entry
}

// Load reads every *.yaml and *.yml file at the top of each of the file systems. The
// error holds all problems of all files; it is a [Problems] unless a file cannot be
// read. A type that is described twice is a problem, also across file systems.
func Load(files ...fs.FS) (*Catalog, error) { return loadAll(nil, nil, files...) }

// loadAll is Load with types that are taken, each with its place.
func loadAll(discover Discover, taken map[string]string, files ...fs.FS) (*Catalog, error) {
	var (
		problems Problems
		entries  = map[string]func() *Entry{}
		where    = map[string]string{}
	)
	maps.Copy(where, taken)
	for _, fsys := range files {
		names, err := fs.Glob(fsys, "*.y*ml")
		if err != nil {
			return nil, fmt.Errorf("provider files: %w", err)
		}
		names = slices.DeleteFunc(names, func(n string) bool { return path.Ext(n) != ".yaml" && path.Ext(n) != ".yml" })
		for _, name := range names {
			text, err := fs.ReadFile(fsys, name)
			if err != nil {
				return nil, fmt.Errorf("provider file: %w", err)
			}
			f := parseFile(path.Base(name), text, discover)
			if first, taken := where[f.entry.Type]; taken && f.entry.Type != "" {
				f.problem("type", "the type %q is already described at %s", f.entry.Type, first)
			} else {
				where[f.entry.Type] = f.position("type")
			}
			problems = append(problems, f.problems...)
			entries[f.entry.Type] = func() *Entry { return &f.entry }
		}
	}
	if len(problems) > 0 {
		sort.SliceStable(problems, func(i, j int) bool { return problems[i].before(problems[j]) })
		return nil, problems
	}
	return &Catalog{entries}, nil
}

// Entry returns the entry of a type.
func (c *Catalog) Entry(typ string) (*Entry, bool) {
	e, ok := c.entries[typ]
	if !ok {
		return nil, false
	}
	return e(), true
}

// Types returns the types, sorted.
func (c *Catalog) Types() []string { return slices.Sorted(maps.Keys(c.entries)) }

// Problem is one mistake in a provider file.
type Problem struct {
	File         string
	Line, Column int // counted from 1
	Reason       string
}

func (p Problem) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Reason)
}

func (p Problem) before(q Problem) bool {
	switch {
	case p.File != q.File:
		return p.File < q.File
	case p.Line != q.Line:
		return p.Line < q.Line
	default:
		return p.Column < q.Column
	}
}

// Problems are all the mistakes found, in the order of the files.
type Problems []Problem

// Error returns one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}
