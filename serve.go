package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"patchbay/config"
	"patchbay/connect"
)

// shutdownTime is how long requests in flight get to finish.
const shutdownTime = 30 * time.Second

func runServe(ctx context.Context, p *program, args []string) error {
	fs := p.flags("serve", "Runs the server. It speaks plain HTTP: put a proxy with TLS in front of it.")
	reader := p.settings(fs,
		config.Requires(config.PublicURL, config.Keys),
		config.Takes(config.Listen, config.Database, config.AppsFile, config.Providers, config.StateDir, config.TrustedProxies,
			config.OutboundAllow, config.RateLimit, config.MetricsListen, config.LogLevel, config.LogFormat))
	if err := p.parse(fs, args); err != nil {
		return err
	}
	s, err := reader.Read(p.env)
	if err != nil {
		return err
	}
	log := newLogger(p.stderr, s)
	h, err := build(ctx, s, log)
	if err != nil {
		return err
	}
	if s.AppsFile != "" {
		if err := h.applyAtStart(ctx, s.AppsFile, p.env); err != nil {
			return errors.Join(err, h.close())
		}
	}
	if _, err := h.service.Apps(ctx); err != nil {
		return errors.Join(err, h.close())
	}
	if err := h.recover(ctx, s.StateDir); err != nil {
		return errors.Join(err, h.close())
	}
	l, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("PATCHBAY_LISTEN: %w", err), h.close())
	}
	if s.MetricsListen != "" {
		stop, err := h.serveMetrics(ctx, s.MetricsListen)
		if err != nil {
			return errors.Join(err, l.Close(), h.close())
		}
		defer stop()
	}
	log.Info("serving", "listen", l.Addr().String(), "public_url", h.service.PublicURL, "version", version())
	err = h.serve(ctx, l, h.site(ctx, s).Handler())
	return errors.Join(err, h.close())
}

// serveMetrics answers /metrics on an address of its own until ctx ends.
func (h *house) serveMetrics(ctx context.Context, address string) (stop func(), err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.MetricsListen.Env(), err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := serveHTTP(ctx, l, h.metrics.Handler(), h.log); err != nil {
			h.log.Warn("the metrics ended", "cause", err)
		}
	}()
	return func() { cancel(); <-ended }, nil
}

func (h *house) applyAtStart(ctx context.Context, path string, env func(string) (string, bool)) error {
	file, err := config.LoadApps(path, env, checker{h.catalog})
	if err != nil {
		return err
	}
	steps, err := h.service.Apply(ctx, wanted(file), false, nil)
	if err != nil {
		return err
	}
	for _, st := range steps {
		if st.Verb != connect.Unchanged {
			h.log.Info("apply", "step", st.String())
		}
	}
	return nil
}

// serve answers requests until ctx ends, then finishes what is in flight: requests
// first, then exchanges and refreshes, then what is written from time to time.
func (h *house) serve(ctx context.Context, l net.Listener, site http.Handler) error {
	stopBackground := h.background(context.WithoutCancel(ctx))
	err := serveHTTP(ctx, l, site, h.log)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	stopBackground()
	err = errors.Join(err, h.service.Drain(drain))
	if err == nil {
		h.log.Info("stopped")
	}
	return err
}

// serveHTTP serves until ctx ends and then lets the requests in flight finish.
func serveHTTP(ctx context.Context, l net.Listener, site http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler: site, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 90 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	return server.Shutdown(stopping)
}
