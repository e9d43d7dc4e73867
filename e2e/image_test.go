package e2e

import (
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instruction is a line of the Dockerfile; continued lines are one.
type instruction struct{ name, rest string }

// readDockerfile returns the instructions of each stage.
func readDockerfile(t *testing.T) (stages [][]instruction) {
	t.Helper()
	raw, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.ReplaceAll(string(raw), "\\\n", " ")) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		name = strings.ToUpper(name)
		if name == "FROM" {
			stages = append(stages, nil)
		}
		if len(stages) == 0 {
			continue // ARG before the first FROM
		}
		last := len(stages) - 1
		stages[last] = append(stages[last], instruction{name, strings.TrimSpace(rest)})
	}
	return stages
}

func find(stage []instruction, name string) (rest []string) {
	for _, i := range stage {
		if i.name == name {
			rest = append(rest, i.rest)
		}
	}
	return rest
}

// What the image promises can be read from the last stage of the Dockerfile.
func TestImage(t *testing.T) {
	t.Parallel()
	stages := readDockerfile(t)
	if len(stages) < 2 {
		t.Fatalf("%d stages: the image holds the compiler", len(stages))
	}
	image := stages[len(stages)-1]
	users := find(image, "USER")
	if len(users) != 1 || regexp.MustCompile(`^(root|0)(:|$)`).MatchString(users[0]) {
		t.Errorf("the image runs as %v", users)
	}
	if health := find(image, "HEALTHCHECK"); len(health) != 1 || !regexp.MustCompile(`"/?\S*patchbay", "healthcheck"\]$`).MatchString(health[0]) {
		t.Errorf("the health check is %v", health)
	}
	if run := find(image, "RUN"); len(run) > 0 {
		t.Errorf("the last stage runs %v", run)
	}
	for _, i := range image {
		if i.name == "ENV" && regexp.MustCompile(`(?i)KEYS|SECRET|TOKEN`).MatchString(i.rest) {
			t.Errorf("the image holds a secret: %s", i.rest)
		}
	}
	if entry := find(image, "ENTRYPOINT"); len(entry) != 1 || !strings.HasPrefix(entry[0], "[") {
		t.Errorf("the entry point is %v: a shell would keep SIGTERM for itself", entry)
	}
}

// The build steps, run without an engine, in a copy of what the build is given.
func TestImageBuild(t *testing.T) {
	t.Parallel()
	build := readDockerfile(t)[0]
	workdir, out := filepath.Join(t.TempDir(), "src"), filepath.Join(t.TempDir(), "out")
	copyContext(t, workdir)
	ran := false
	for _, command := range find(build, "RUN") {
		if strings.HasPrefix(command, "go mod download") {
			continue // the modules are in the cache of whoever runs the tests
		}
		shell := exec.CommandContext(t.Context(), "sh", "-ec", strings.ReplaceAll(command, "/out", out))
		shell.Dir, shell.Env = workdir, append(os.Environ(), "RELEASE=v0.0.1-e2e")
		if output, err := shell.CombinedOutput(); err != nil {
			t.Fatalf("RUN %s: %v\n%s", command, err, output)
		}
		ran = true
	}
	if !ran {
		t.Fatal("the build stage runs nothing")
	}

	binary := filepath.Join(out, "patchbay")
	wantStatic(t, binary)
	version, err := exec.CommandContext(t.Context(), binary, "version").Output()
	if err != nil || strings.TrimSpace(string(version)) != "v0.0.1-e2e" {
		t.Errorf("the version is %q, %v", version, err)
	}
	raw, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), workdir) {
		t.Error("the binary holds the path that it was built in")
	}
}

// copyContext copies the source, without what no build is given.
func copyContext(t *testing.T, into string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		name, relErr := filepath.Rel("..", path)
		switch {
		case err != nil || relErr != nil:
			return errors.Join(err, relErr)
		case entry.IsDir() && name != "." && (strings.HasPrefix(name, ".") || slices.Contains([]string{"e2e", "tmp", "bin"}, name)):
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(into, name), 0o755)
		case !slices.Contains([]string{".go", ".mod", ".sum", ".templ", ".yaml", ".css", ".js", ".svg", ".html", ".sql", ""}, filepath.Ext(name)):
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(into, name), raw, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantStatic requires a program that needs no loader and no library.
func wantStatic(t *testing.T, path string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dynamic := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC })
	if libraries, err := f.ImportedLibraries(); dynamic || len(libraries) > 0 {
		t.Errorf("the program is linked dynamically: %v, %v", libraries, err)
	}
}

// What npm installs is pinned, and from wherever npm is told to: the lock file names no
// registry.
func TestPackageLock(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"package.json", "package-lock.json"} {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), `"resolved"`) || regexp.MustCompile(`\.tgz|registry\.`).Match(raw) {
			t.Errorf("%s names a registry", name)
		}
	}
}
