package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed are the arrows of the house: which of our packages each may import. vault
// is there for its Secret type, see docs/decisions.
var allowed = map[string][]string{
	"config":         {"vault"},
	"provider":       nil,
	"sandbox":        nil,
	"sandbox/acme":   nil,
	"static":         nil,
	"statedir":       nil,
	"vault":          nil,
	"views":          {"static"},
	"oauth":          {"provider", "vault"},
	"connect":        {"oauth", "provider", "vault"},
	"store":          {"connect", "vault", "provider", "oauth"},
	"session":        {"connect"},
	"events":         {"connect", "vault"},
	"connect/doctor": {"connect"},
	"handlers":       {"connect", "connect/doctor", "provider", "session", "static", "views"},
	"bench/vault":    {"store/pgcluster", "vault", "views"},
}

// homes are the packages in which an outside library may be imported.
var homes = map[string][]string{
	"github.com/labstack/echo":   {"handlers"},
	"github.com/gorilla/":        {"session"},
	"database/sql":               {"store", "bench"},
	"modernc.org/sqlite":         {"store", "bench"},
	"github.com/jackc/pgx":       {"store", "bench"},
	"github.com/pressly/goose":   {"store"},
	"github.com/a-h/templ":       {"views", "handlers"},
	"github.com/go-jose/":        {"session", "oauth"},
	"github.com/coreos/go-oidc/": {"session"},
	"go.yaml.in/yaml":            {"config", "provider"},
	"golang.org/x/oauth2":        {"session"},
	"github.com/prometheus/":     {"events"},
	"github.com/PuerkitoBio/":    {},
	"github.com/chromedp/":       {},
	"golang.org/x/sync/errgroup": {"."},
}

// The files are parsed rather than listed by the go command, because the test cache
// does not see what the go command reads.
func TestImportsFollowTheHouse(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || path == "e2e" || path == "tmp") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		seen[pkg] = true
		for _, imported := range importsOf(t, path) {
			checkImport(t, path, pkg, imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range allowed {
		if !seen[pkg] {
			t.Errorf("package %s is in the table and not in the tree", pkg)
		}
	}
}

func importsOf(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, spec := range file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

func checkImport(t *testing.T, path, pkg, imported string) {
	t.Helper()
	if ours, ok := strings.CutPrefix(imported, "patchbay/"); ok && pkg != "." {
		arrows, known := allowed[pkg]
		if !known && !strings.HasPrefix(pkg, "store/") {
			t.Errorf("%s: package %s has no place in the house: add it to the table and say why in docs/decisions", path, pkg)
		} else if known && !slices.Contains(arrows, ours) {
			t.Errorf("%s imports %s, which is no arrow of the house", path, imported)
		}
	}
	for library, where := range homes {
		if (imported == strings.TrimSuffix(library, "/") || strings.HasPrefix(imported, library)) && !slices.Contains(where, strings.Split(pkg, "/")[0]) {
			t.Errorf("%s imports %s, whose home is %v", path, imported, where)
		}
	}
}
