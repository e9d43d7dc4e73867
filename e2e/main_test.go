package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// patchbay is the built program.
var patchbay string

func TestMain(m *testing.M) {
	flag.Parse()
	limitParallel()
	http.DefaultTransport = unclosed{http.DefaultTransport}
	dir, err := os.MkdirTemp("", "patchbay-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	patchbay = filepath.Join(dir, "patchbay")
	code := 1
	if err := buildProgram("..", patchbay); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	closeChromium()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// unclosed hides that a transport can close its idle connections. Every test server that
// ends does that to the default one, also to the connection that another test is about to
// use.
type unclosed struct{ http.RoundTripper }

// limitParallel: a test is several processes, so more than two at once only make each
// other slow.
func limitParallel() {
	f := flag.Lookup("test.parallel")
	if n, err := strconv.Atoi(f.Value.String()); err != nil || n > 2 {
		_ = f.Value.Set("2")
	}
}

func buildProgram(source, into string) error {
	build := exec.Command("go", "build", "-trimpath", "-o", into, ".")
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("the program does not build: %w\n%s", err, out)
	}
	return nil
}

// missing skips a test whose tools are not installed, and fails it in CI.
func missing(t *testing.T, what string) {
	t.Helper()
	sentence := "NOT TESTED: " + what + " is missing: install it with `make tools`"
	if os.Getenv("CI") == "true" {
		t.Fatal(sentence)
	}
	t.Skip(sentence)
}

// needTool returns the path of a program that the test runs.
func needTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name)
	}
	return path
}

// needPackage returns a file of an installed npm package.
func needPackage(t *testing.T, file string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("node_modules", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		missing(t, "the npm package with "+file)
	} else if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs the program to its end.
func run(t *testing.T, env []string, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, patchbay, args...)
	cmd.Dir, cmd.Env = t.TempDir(), bareEnv(env)
	out, errs := &transcript{}, &transcript{}
	cmd.Stdout, cmd.Stderr = out, errs
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatalf("patchbay %v: %v", args, err)
	}
	out.mustBeCalm(t, "patchbay "+strings.Join(args, " "))
	errs.mustBeCalm(t, "patchbay "+strings.Join(args, " "))
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
