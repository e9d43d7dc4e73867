package stack_test

import (
	"testing"

	"patchbay/e2e/stack"
)

// The stack itself: each app's way to connect, each type, both schemes.
func TestConnect(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]stack.Option{"http": nil, "https": {stack.HTTPS()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stack.New(t, opts...)
			for _, app := range []*stack.App{s.Acme, s.Human, s.Other} {
				for _, connector := range []string{"github", "googlecalendar", "slack"} {
					s.Browser().Flow(app, "dana", connector, "dana@example.com").WantFlow("connected", "connected")
					app.Token("dana", connector).Want(200, "")
				}
				if n := len(s.Rows(app)); n != 3 {
					t.Errorf("%s has %d connections, want 3", app.ID, n)
				}
			}
		})
	}
}
