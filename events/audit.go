package events

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/connect"
)

// AuditStore keeps the audit. store.Store is one.
type AuditStore interface {
	AppendAudit(ctx context.Context, entries []connect.AuditEntry) error
	SweepAudit(ctx context.Context, before time.Time) error
}

// AuditLife is how long an entry of the audit is kept.
const AuditLife = 90 * 24 * time.Hour

const (
	auditFlush = 2 * time.Second
	auditBatch = 2000
	auditMost  = 100_000 // entries that wait for a database that is away
)

// Audit writes down what happened to whose tokens, and who did it. It gathers entries for
// two seconds, so that a read of a token writes nothing by itself; reads of one token by
// one caller in that time are one entry with their number.
type Audit struct {
	Store AuditStore
	Log   *slog.Logger

	mu      sync.Mutex
	entries []connect.AuditEntry
	reads   map[readKey]int // index into entries
	dropped atomic.Int64
}

type readKey struct {
	kind                         connect.EventKind
	actor, app, user, connection string
}

// Take is a reader of events.
func (a *Audit) Take(_ context.Context, e connect.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := readKey{e.Kind, e.Actor, e.App, e.User, e.Connection}
	gathered := e.Kind == connect.EventTokenRead
	if gathered {
		if i, ok := a.reads[key]; ok {
			a.entries[i].LastAt = e.At
			a.entries[i].Times++
			return
		}
	}
	if len(a.entries) >= auditMost {
		a.dropped.Add(1)
		return
	}
	a.entries = append(a.entries, connect.AuditEntry{Event: e, LastAt: e.At, Times: 1, Result: result(&e)})
	if gathered {
		if a.reads == nil {
			a.reads = map[readKey]int{}
		}
		a.reads[key] = len(a.entries) - 1
	}
}

// result is how it went: the code of what went wrong, or "ok".
func result(e *connect.Event) string {
	switch e.Kind {
	case connect.EventFlowFinished:
		return e.Data["code"]
	case connect.EventTokenRefused, connect.EventRefreshFailed, connect.EventExchangeFailed, connect.EventCallbackRefused,
		connect.EventConfirmRefused, connect.EventCredentialsRefused:
		if code := e.Data["code"]; code != "" {
			return code
		}
		return "refused"
	case connect.EventReconnectRequired:
		return e.Data["reason"]
	case connect.EventDisconnected:
		return "revoked_" + e.Data["revoked"]
	}
	return "ok"
}

// Dropped counts the entries that were lost because the database was away for too long.
func (a *Audit) Dropped() int64 { return a.dropped.Load() }

// Run writes what was gathered until ctx ends, and sweeps what is too old. Flush comes
// after it.
func (a *Audit) Run(ctx context.Context) {
	flush, sweep := time.NewTicker(auditFlush), time.NewTicker(time.Hour)
	defer flush.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
			if err := a.Flush(ctx); err != nil {
				a.Log.Warn("the audit cannot be written and waits", "cause", err)
			}
		case <-sweep.C:
			if err := a.Store.SweepAudit(ctx, time.Now().Add(-AuditLife)); err != nil {
				a.Log.Warn("the audit cannot be swept", "cause", err)
			}
		}
	}
}

// Flush writes what was gathered. What cannot be written waits.
func (a *Audit) Flush(ctx context.Context) error {
	a.mu.Lock()
	entries := a.entries
	a.entries, a.reads = nil, nil
	a.mu.Unlock()
	for len(entries) > 0 {
		n := min(auditBatch, len(entries))
		if err := a.Store.AppendAudit(ctx, entries[:n]); err != nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.reads = nil // their places have moved
			a.entries = append(entries, a.entries...)
			return err
		}
		entries = entries[n:]
	}
	return nil
}
