package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"patchbay/config"
	"patchbay/sandbox"
	"patchbay/vault"
)

func runKeys(ctx context.Context, p *program, args []string) error {
	if len(args) > 0 && args[0] == "rotate" {
		return runKeysRotate(ctx, p, args[1:])
	}
	fs := p.flags("keys new", "Prints one id:base64 line: a new key for PATCHBAY_KEYS, which goes in front of the older ones. keys rotate seals\neverything with it.")
	if len(args) == 0 || args[0] != "new" {
		out, err := p.stderr, error(&usageError{"keys needs what to do: keys new or keys rotate"})
		if len(args) > 0 && slices.Contains([]string{"-h", "-help", "--help", "help"}, args[0]) {
			out, err = p.stdout, nil
		}
		fs.SetOutput(out)
		fs.Usage()
		return err
	}
	if err := p.parse(fs, args[1:]); err != nil {
		return err
	}
	line, err := vault.NewKeyLine(time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, line)
	return nil
}

func runSandbox(ctx context.Context, p *program, args []string) error {
	fs := p.flags("sandbox", "Runs the pretend provider alone, for tests and for trying things out. It protects nothing.")
	listen := fs.String("listen", "127.0.0.1:8081", "`address` to serve")
	reader := p.settings(fs, config.Takes(config.LogLevel, config.LogFormat))
	if err := p.parse(fs, args); err != nil {
		return err
	}
	s, err := reader.Read(p.env)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	log := newLogger(p.stderr, s)
	fmt.Fprintf(p.stdout, "The sandbox provider is at http://%s\n", l.Addr())
	return serveHTTP(ctx, l, sandbox.New(sandbox.Options{Log: log}), log)
}

func runHealthcheck(ctx context.Context, p *program, args []string) error {
	fs := p.flags("healthcheck", "Asks /readyz of the configured address. Exit code 0: ready, 1: not.")
	reader := p.settings(fs, config.Takes(config.Listen))
	if err := p.parse(fs, args); err != nil {
		return err
	}
	s, err := reader.Read(p.env)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(s.Listen)+"/readyz", nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{}} // no proxy: the server is on this machine
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no answer from %s: is the server running there?", s.Listen)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return errors.New("the server answers: " + strings.TrimSpace(string(body)))
	}
	fmt.Fprintln(p.stdout, "ready")
	return nil
}

// reachable is the address under which a server that listens everywhere is found.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// release is set when a release is built, with -ldflags "-X main.release=v1.2.3".
var release = ""

func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

func runVersion(_ context.Context, p *program, args []string) error {
	if err := p.parse(p.flags("version", "Prints the version."), args); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, version())
	return nil
}
