package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"patchbay/config"
	"patchbay/connect"
	"patchbay/store"
	"patchbay/vault"
)

func runApply(ctx context.Context, p *program, args []string) error {
	fs := p.flags("apply", "Makes the stored apps and connectors equal the file, and prints what changes.")
	path := fs.String("f", "", "apps `file` (PATCHBAY_APPS)")
	dryRun := fs.Bool("dry-run", false, "print the plan and change nothing")
	prune := fs.Bool("prune", false, "also remove connectors that have connections; these are ended and revoked")
	reader := p.settings(fs, config.Requires(config.Keys),
		config.Takes(config.Database, config.Providers, config.OutboundAllow, config.LogLevel, config.LogFormat))
	if err := p.parse(fs, args); err != nil {
		return err
	}
	if *path == "" {
		*path, _ = p.env(config.AppsFile.Env())
	}
	if *path == "" {
		fs.SetOutput(p.stderr)
		fs.Usage()
		return &usageError{"apply needs -f FILE"}
	}
	s, err := reader.Read(p.env)
	if err != nil {
		return err
	}
	h, err := openForApply(ctx, p, s, *dryRun)
	if err != nil {
		return err
	}
	return errors.Join(h.apply(ctx, p, *path, *dryRun, *prune), h.close())
}

// openForApply opens the database, for a dry run so that nothing in it can change: to
// open one may upgrade it and note a new key in it, so a plan is made on a copy, or in
// PostgreSQL read where it is.
func openForApply(ctx context.Context, p *program, s *config.Settings, dryRun bool) (*house, error) {
	log := newLogger(p.stderr, s)
	if !dryRun {
		return buildOn(ctx, s, log, false)
	}
	if !s.Postgres.IsZero() {
		h, err := buildOn(ctx, s, log, true)
		if !errors.Is(err, store.ErrEmpty) {
			return h, err
		}
		empty := *s // as empty as that one
		empty.Postgres, empty.Database = vault.Secret{}, ""
		s = &empty
	}
	dir, err := os.MkdirTemp("", "patchbay-plan-")
	if err != nil {
		return nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	plan := filepath.Join(dir, "plan.db")
	if s.Database != "" {
		if _, err := store.SnapshotSQLite(ctx, s.Database, plan); err != nil {
			return nil, errors.Join(err, remove())
		}
	}
	copied := *s
	copied.Database = plan
	h, err := buildOn(ctx, &copied, log, false)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	h.closers = append(h.closers, remove)
	return h, nil
}

func (h *house) apply(ctx context.Context, p *program, path string, dryRun, prune bool) error {
	file, err := config.LoadApps(path, p.env, checker{h.catalog})
	if err != nil {
		return err
	}
	var steps []connect.Step
	if dryRun {
		steps, err = h.service.Plan(ctx, wanted(file))
	} else {
		steps, err = h.service.Apply(ctx, wanted(file), prune, func(line string) { fmt.Fprintln(p.stderr, line) })
	}
	for _, st := range steps {
		fmt.Fprintln(p.stdout, st)
	}
	return err
}
