package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"patchbay/config"
	"patchbay/connect/doctor"
)

func runDoctor(ctx context.Context, p *program, args []string) error {
	fs := p.flags("doctor", "Looks for what is set up wrongly: the public address and the proxy before it, the keys and the\n"+
		"database, each connector's client. Says what to paste where. Run it with the settings of serve, while\n"+
		"serve runs. Exit code 0: nothing found, 1: findings.")
	app := fs.String("app", "", "look at the connectors of this `app` only")
	reader := p.settings(fs,
		config.Requires(config.PublicURL, config.Keys),
		config.Takes(config.Listen, config.Database, config.Providers, config.OutboundAllow, config.LogLevel, config.LogFormat))
	if err := p.parse(fs, args); err != nil {
		return err
	}
	s, err := reader.Read(p.env)
	if err != nil {
		return err
	}
	h, err := build(ctx, s, newLogger(p.stderr, s))
	if err != nil {
		return err
	}
	return errors.Join(h.doctor(ctx, s, p, *app), h.close())
}

func (h *house) doctor(ctx context.Context, s *config.Settings, p *program, app string) error {
	var only []string
	if app != "" {
		if _, err := h.service.App(ctx, app); err != nil {
			return fmt.Errorf("--app: there is no app %q: apply the apps file first", app)
		}
		only = []string{app}
	}
	if err := h.printRedirectURIs(ctx, p.stdout, app); err != nil {
		return err
	}
	d := &doctor.Doctor{
		Service: h.service, Listen: reachable(s.Listen), Client: doctor.NewClient(),
		Progress: func(what string) { fmt.Fprintln(p.stderr, "looking at "+what) },
	}
	found, err := d.Examine(ctx, only...)
	for i := range found {
		printFinding(p.stdout, &found[i])
	}
	if err != nil {
		return err
	}
	if len(found) == 0 {
		fmt.Fprintln(p.stdout, "Nothing was found.")
		return nil
	}
	return fmt.Errorf("%d found: each says above what to paste where", len(found))
}

// printRedirectURIs lists what is to be pasted at the providers.
func (h *house) printRedirectURIs(ctx context.Context, w io.Writer, app string) error {
	apps, err := h.service.Apps(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "Redirect URIs, exactly as to be pasted at the providers:")
	for _, a := range apps {
		if app != "" && a.ID != app {
			continue
		}
		for i := range a.Connectors {
			fmt.Fprintf(w, "  %s/%s  %s\n", a.ID, a.Connectors[i].ID, h.service.RedirectURI(a.ID, a.Connectors[i].ID))
		}
	}
	fmt.Fprintln(w)
	return nil
}

func printFinding(w io.Writer, f *doctor.Finding) {
	fmt.Fprintf(w, "%s: %s\n  What: %s\n  Why:  %s\n  Do:   %s\n\n", f.Subject, f.Code, f.What, f.Why, strings.ReplaceAll(f.Paste, "\n", "\n        "))
}
