package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"patchbay/config"
	"patchbay/connect"
)

func runTypes(ctx context.Context, p *program, args []string) error {
	fs := p.flags("types", "Writes a TypeScript declaration of an app's integration types, so that a wrong name in\ngetConnection('…') of @base44/sdk does not compile.")
	app := fs.String("app", "", "`id` of the app (required)")
	path := fs.String("o", "", "`file` to write; standard output when empty")
	reader := p.settings(fs, config.Requires(config.Keys), config.Takes(config.Database, config.Providers, config.LogLevel, config.LogFormat))
	if err := p.parse(fs, args); err != nil {
		return err
	}
	if *app == "" {
		fs.SetOutput(p.stderr)
		fs.Usage()
		return &usageError{"types needs --app ID"}
	}
	s, err := reader.Read(p.env)
	if err != nil {
		return err
	}
	h, err := build(ctx, s, newLogger(p.stderr, s))
	if err != nil {
		return err
	}
	a, err := h.service.App(ctx, *app)
	if connect.CodeOf(err) == connect.CodeNotFound {
		err = fmt.Errorf("there is no app %q in this database: apply its apps file first", *app)
	}
	if err := errors.Join(err, h.close()); err != nil {
		return err
	}
	text := declaration(a)
	if *path == "" {
		_, err := fmt.Fprint(p.stdout, text)
		return err
	}
	return replaceFile(*path, text)
}

// declaration augments the two registries: the SDK reads the first, the command-line
// tool of the original system writes the second.
func declaration(a *connect.App) string {
	var types []string
	for i := range a.Connectors {
		types = append(types, a.Connectors[i].Type)
	}
	slices.Sort(types)
	types = slices.Compact(types)
	var b strings.Builder
	fmt.Fprintf(&b, "// Written by `patchbay types --app %s`: the integration types of this app.\n// Write it anew when the app's connectors change.\nimport \"@base44/sdk\";\n\ndeclare module \"@base44/sdk\" {\n", a.ID)
	for i, registry := range []string{"ConnectorIntegrationTypeRegistry", "ConnectorTypeRegistry"} {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "  interface %s {\n", registry)
		for _, typ := range types {
			fmt.Fprintf(&b, "    %q: true;\n", typ)
		}
		b.WriteString("  }\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// replaceFile writes a file whole or not at all.
func replaceFile(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".types-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
