package events

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"patchbay/connect"
)

func TestLogWritesOneLineWithWhatHappened(t *testing.T) {
	var out bytes.Buffer
	emit := Log(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	emit(context.Background(), connect.Event{
		At: time.Now(), Kind: connect.EventNotMe, App: "acme", User: "dana\n\x1b[31m{\"level\":\"ERROR\"}", Connector: "github",
		Flow: "fl_1", Trace: "t1", Data: map[string]string{"code": "canceled"},
	})
	line := out.String()
	if strings.Count(line, "\n") != 1 {
		t.Errorf("a name broke the line:\n%s", line)
	}
	for _, want := range []string{`"level":"WARN"`, `"msg":"security.not_me"`, `"flow":"fl_1"`, `"code":"canceled"`} {
		if !strings.Contains(line, want) {
			t.Errorf("%s is missing in %s", want, line)
		}
	}
	if strings.Contains(line, `"connection"`) {
		t.Errorf("an empty field is written: %s", line)
	}
}

func TestLogLevels(t *testing.T) {
	for kind, want := range map[connect.EventKind]slog.Level{
		connect.EventTokenRead:       slog.LevelDebug,
		connect.EventConnected:       slog.LevelInfo,
		connect.EventCallbackRefused: slog.LevelWarn,
		connect.EventRefreshFailed:   slog.LevelWarn,
	} {
		if got := level(kind); got != want {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
	}
}
