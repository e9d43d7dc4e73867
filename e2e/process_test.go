package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that is not meant to take long.
const patience = 40 * time.Second

// process is a running command of the program.
type process struct {
	name           string
	cmd            *exec.Cmd
	stdout, stderr *transcript
	ended          chan struct{}
	endedErr       error
	stopped        bool
}

// start starts a command that runs until it is told to stop. The end of the test stops
// it, requires exit code 0 and a log without panics.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return startCommand(t, env, patchbay, args...)
}

func startCommand(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{
		name: strings.Join(args, " "), cmd: exec.Command(name, args...),
		stdout: &transcript{}, stderr: &transcript{}, ended: make(chan struct{}),
	}
	p.cmd.Dir, p.cmd.Env = t.TempDir(), bareEnv(env)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.endedErr = p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("%s:\n%s%s", p.name, p.stdout, p.stderr)
		}
	})
	return p
}

// bareEnv is an environment in which no setting of the caller's shell counts.
func bareEnv(env []string) []string {
	kept := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()}
	return append(kept, env...)
}

// signalStop asks the process to end, and does not wait for it.
func (p *process) signalStop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("%s: %v", p.name, err)
	}
}

// stop ends the process as an operator does. It must end well and in time.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if p.stopped {
		return
	}
	p.stopped = true
	select {
	case <-p.ended:
		t.Errorf("%s ended by itself: %v\n%s", p.name, p.endedErr, p.stderr)
	default:
		p.signalStop(t)
	}
	p.awaitEnd(t)
	if p.endedErr != nil {
		t.Errorf("%s: stopped, it ended with %v", p.name, p.endedErr)
	}
	p.stderr.mustBeCalm(t, p.name)
}

func (p *process) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(40 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
		t.Errorf("%s did not stop", p.name)
	}
}

// kill ends the process as a power failure does.
func (p *process) kill() {
	p.stopped = true
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// printed waits for a line of the output and returns what the expression's groups hold.
func (p *process) printed(t *testing.T, where *transcript, expression string) []string {
	t.Helper()
	line := regexp.MustCompile(expression)
	var found []string
	await(t, p.name+" prints "+expression, func() bool {
		found = line.FindStringSubmatch(where.String())
		if found == nil {
			select {
			case <-p.ended:
				t.Fatalf("%s ended with %v\n%s%s", p.name, p.endedErr, p.stdout, p.stderr)
			default:
			}
		}
		return found != nil
	})
	return found[1:]
}

// await polls until what it waits for is there.
func await(t *testing.T, what string, there func() bool) {
	t.Helper()
	awaitFor(t, patience, what, there)
}

func awaitFor(t *testing.T, limit time.Duration, what string, there func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !there(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// transcript is what a process wrote.
type transcript struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

var alarming = regexp.MustCompile(`(?i)panic|fatal error|data race|goroutine \d+ \[`)

// secretsInUse are never written by any command, except the demo's service token, which
// the demo tells on standard output.
var secretsInUse = []string{"demo-service-token-acme", "b44k_demo_acme", "sandbox-secret", serviceToken, userTokenSecret}

// mustBeCalm fails the test when the process had a panic or told a secret.
func (o *transcript) mustBeCalm(t *testing.T, name string) {
	t.Helper()
	for line := range strings.Lines(o.String()) {
		if alarming.MatchString(line) {
			t.Errorf("%s wrote: %s", name, line)
		}
		for _, secret := range secretsInUse {
			if strings.Contains(line, secret) {
				t.Errorf("%s told a secret: %s", name, line)
			}
		}
	}
}
