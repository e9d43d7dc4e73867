// Patchbay lets the users of any app link their accounts, and lets the app's back end
// read a fresh OAuth token for as long as the user allows it.
//
// This file is the program's front door: it finds the command, and turns its error
// into lines on standard error and an exit code. Each command is a function in a file
// of its own; wiring.go makes the parts that they share.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"patchbay/config"
)

// command is one of the program's verbs.
type command struct {
	name  string
	brief string
	run   func(ctx context.Context, p *program, args []string) error
}

var commands = []command{
	{"demo", "everything in one process, with a pretend provider and a pretend app", runDemo},
	{"serve", "the real server", runServe},
	{"apply", "make the stored apps and connectors equal a file", runApply},
	{"keys", "make a new encryption key: keys new; use it for everything: keys rotate", runKeys},
	{"types", "write the TypeScript declaration of an app's integration types", runTypes},
	{"backup", "copy an SQLite database while it serves", runBackup},
	{"verify", "look whether a backup opens, down to every sealed value", runVerify},
	{"copy", "move everything from SQLite to PostgreSQL", runCopy},
	{"sandbox", "the pretend provider alone", runSandbox},
	{"doctor", "looks for what is set up wrongly, and says what to paste where", runDoctor},
	{"healthcheck", "ask a running server whether it is ready", runHealthcheck},
	{"version", "print the version", runVersion},
}

// program is what a command may touch of its surroundings.
type program struct {
	stdout, stderr io.Writer
	env            func(string) (string, bool)
}

func main() {
	harden()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	p := &program{stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv}
	os.Exit(p.main(ctx, os.Args[1:]))
}

// main runs a command and returns the exit code: 0, 1 for a failure, 2 for a command
// or flag that does not exist.
func (p *program) main(ctx context.Context, args []string) int {
	if len(args) == 0 {
		p.usage(p.stderr)
		return 2
	}
	name := args[0]
	if name == "help" || name == "-h" || name == "-help" || name == "--help" {
		p.usage(p.stdout)
		return 0
	}
	for _, c := range commands {
		if c.name == name {
			return p.exit(c.run(ctx, p, args[1:]))
		}
	}
	fmt.Fprintf(p.stderr, "patchbay: there is no command %q\n\n", name)
	p.usage(p.stderr)
	return 2
}

// usageError is a call that does not fit the command; its usage was printed already.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func (p *program) exit(err error) int {
	var use *usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &use):
		if use.text != "" {
			fmt.Fprintln(p.stderr, "patchbay: "+use.text)
		}
		return 2
	}
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintln(p.stderr, "patchbay: "+line)
		}
	}
	return 1
}

func (p *program) usage(w io.Writer) {
	fmt.Fprint(w, "Patchbay links the accounts of an app's users and keeps their tokens fresh.\n\nUsage: patchbay COMMAND [flags]\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-12s %s\n", c.name, c.brief)
	}
	fmt.Fprint(w, "\npatchbay COMMAND --help lists a command's flags and the environment variables behind them.\n")
}

// flags makes the flag set of a command; about says what the command does.
func (p *program) flags(name, about string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {
		out := fs.Output()
		fmt.Fprintf(out, "Usage: patchbay %s [flags]\n\n%s\n", name, about)
		listed := false
		fs.VisitAll(func(*flag.Flag) { listed = true })
		if listed {
			fmt.Fprint(out, "\nFlags:\n")
			fs.PrintDefaults()
		}
	}
	return fs
}

// settings registers the settings that a command takes, and lists in its usage those
// that have no flag.
func (p *program) settings(fs *flag.FlagSet, options ...config.Option) *config.Reader {
	reader := config.Flags(fs, options...)
	usage := fs.Usage
	fs.Usage = func() {
		usage()
		for i, line := range reader.Environment() {
			if i == 0 {
				fmt.Fprint(fs.Output(), "\nEnvironment only:\n")
			}
			fmt.Fprintln(fs.Output(), "  "+line)
		}
	}
	return reader
}

// parse reads the flags. --help prints the usage on standard output; a mistake prints
// it on standard error. Words that are no flags are a mistake too.
func (p *program) parse(fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(p.stdout)
		fs.Usage()
		return err
	case err == nil && fs.NArg() > 0:
		err = fmt.Errorf("%s takes no %q", fs.Name(), fs.Arg(0))
	case err == nil:
		return nil
	}
	fs.SetOutput(p.stderr)
	fs.Usage()
	fmt.Fprintln(p.stderr)
	return &usageError{err.Error()}
}
