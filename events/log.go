// Package events turns what connect tells of into what people read. It owns the
// readers of events, never their meaning: one event, many readers, so that a log line
// and a page cannot disagree.
package events

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"patchbay/connect"
)

// Log returns a reader that writes a line for each event. Reads of tokens are debug
// lines, what smells of an attack or fails at a provider is a warning.
func Log(log *slog.Logger) func(context.Context, connect.Event) {
	return func(ctx context.Context, e connect.Event) {
		if !log.Enabled(ctx, level(e.Kind)) {
			return // token reads come by the thousand
		}
		attrs := []slog.Attr{slog.String("app", e.App), slog.String("connector", e.Connector), slog.String("user", e.User)}
		for _, pair := range [][2]string{{"actor", e.Actor}, {"flow", e.Flow}, {"connection", e.Connection}, {"trace", e.Trace}} {
			if pair[1] != "" {
				attrs = append(attrs, slog.String(pair[0], pair[1]))
			}
		}
		for _, k := range slices.Sorted(maps.Keys(e.Data)) {
			attrs = append(attrs, slog.String(k, e.Data[k]))
		}
		log.LogAttrs(ctx, level(e.Kind), string(e.Kind), attrs...)
	}
}

func level(k connect.EventKind) slog.Level {
	switch {
	case k == connect.EventTokenRead, k == connect.EventTokenRefused, k == connect.EventAPICalled:
		return slog.LevelDebug
	case k == connect.EventBraked, k == connect.EventRestored:
		return slog.LevelError
	case k == connect.EventConnectorClosed, k == connect.EventRefreshRecovered, k == connect.EventSpooled:
		return slog.LevelWarn
	case strings.HasPrefix(string(k), "security."), k == connect.EventRefreshFailed, k == connect.EventExchangeFailed:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}
