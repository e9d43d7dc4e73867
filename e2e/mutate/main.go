package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	only := flag.String("only", "", "run the mutations whose name holds this `text`, and write no table")
	from := flag.Int("from", 1, "begin with that `number`, to go on after an interrupted run, and write no table")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only, *from); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, from int) error {
	chosen := slices.DeleteFunc(slices.Clone(mutations), func(m mutation) bool { return !strings.Contains(m.name, only) })
	if from < 1 || from > len(chosen) {
		return fmt.Errorf("%d mutations have a name with %q: none to begin with number %d", len(chosen), only, from)
	}
	chosen = chosen[from-1:]
	if _, err := os.Stat("go.mod"); err != nil {
		return errors.New("run it at the root of the module: go run ./e2e/mutate")
	}
	tree, err := copyTree(".")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tree) }()
	if err := checkAll(tree, chosen); err != nil {
		return err
	}
	if err := wantGreen(ctx, tree, chosen); err != nil {
		return err
	}
	var rows, problems []string
	for i, m := range chosen {
		red, err := m.try(ctx, tree)
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf("%s: %v", m.name, err))
		case red == "":
			problems = append(problems, fmt.Sprintf("%s: SURVIVED, no test of -run %s turned red", m.name, m.tests))
		default:
			rows = append(rows, fmt.Sprintf("| %s | %s | %s |", m.name, m.files(), red))
		}
		fmt.Printf("%d of %d: %s: %s\n", i+1, len(chosen), m.name, outcome(red, err))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "\n"))
	}
	if only != "" || from > 1 {
		return nil
	}
	return os.WriteFile(filepath.Join("docs", "mutations.md"), []byte(table(rows)), 0o644)
}

func outcome(red string, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case red == "":
		return "SURVIVED"
	}
	return "red: " + red
}

func table(rows []string) string {
	return `# What happens when a defence is taken away

` + "`go run ./e2e/mutate`" + ` (or ` + "`make mutate`" + `) writes this page. It removes each defence in turn, in a copy
of the tree, and runs the hostile suite against what is left. Every row turned a test red;
the run fails if one does not.

| taken away | in | a test that turned red |
|---|---|---|
` + strings.Join(rows, "\n") + "\n"
}

// copyTree copies what the suite is made of.
func copyTree(from string) (string, error) {
	to, err := os.MkdirTemp("", "patchbay-mutate-")
	if err != nil {
		return "", err
	}
	return to, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != from && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "tmp" || name == "bin") {
			return filepath.SkipDir
		}
		target := filepath.Join(to, path)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		if !d.Type().IsRegular() || strings.Contains(name, ".db") {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
}

// checkAll finds changes that do not match before anything is run.
func checkAll(tree string, chosen []mutation) error {
	var problems []error
	for _, m := range chosen {
		for _, e := range m.edits {
			content, err := os.ReadFile(filepath.Join(tree, e.file))
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", m.name, err))
			} else if n := strings.Count(string(content), e.old); n != 1 {
				problems = append(problems, fmt.Errorf("%s: %s holds %q %d times, want once", m.name, e.file, e.old, n))
			}
		}
	}
	return errors.Join(problems...)
}

// wantGreen runs every test that a mutation relies on, unchanged.
func wantGreen(ctx context.Context, tree string, chosen []mutation) error {
	var tests []string
	for _, m := range chosen {
		if !slices.Contains(tests, m.tests) {
			tests = append(tests, m.tests)
		}
	}
	out, failed := suite(ctx, tree, strings.Join(tests, "|"))
	if failed {
		return fmt.Errorf("the suite is red before any change:\n%s", out)
	}
	return nil
}

// try makes the change, runs the tests and takes it back. It returns the first test
// that turned red, "" for none.
func (m mutation) try(ctx context.Context, tree string) (string, error) {
	for _, e := range m.edits {
		path := filepath.Join(tree, e.file)
		content, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		changed := strings.Replace(string(content), e.old, e.new, 1)
		if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
			return "", err
		}
		defer func() { _ = os.WriteFile(path, content, 0o644) }()
	}
	out, failed := suite(ctx, tree, m.tests)
	if !failed {
		return "", nil
	}
	if strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]") {
		return "", fmt.Errorf("does not compile:\n%s", out)
	}
	// Tests run beside each other; the first by name is the same in every run.
	var red []string
	for _, m := range failedTest.FindAllStringSubmatch(out, -1) {
		red = append(red, m[1])
	}
	if len(red) > 0 {
		return slices.Min(red), nil
	}
	if panicked := panickedTest.FindStringSubmatch(out); panicked != nil {
		return panicked[1], nil
	}
	return "", fmt.Errorf("failed without a red test:\n%s", out)
}

var (
	failedTest   = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)
	panickedTest = regexp.MustCompile(`(?m)^panic: test timed out(?s:.*?)\b(Test\w+)`)
)

func suite(ctx context.Context, tree, tests string) (output string, failed bool) {
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=5m", "-run", tests, "./connect", "./oauth", "./store", "./e2e/hostile", "./e2e/types")
	cmd.Dir = tree
	out, err := cmd.CombinedOutput()
	return string(out), err != nil
}

func (m mutation) files() string {
	var files []string
	for _, e := range m.edits {
		if name := "`" + e.file + "`"; !slices.Contains(files, name) {
			files = append(files, name)
		}
	}
	return strings.Join(files, ", ")
}
