//go:build linux

package e2e

import (
	"strings"
	"testing"

	"patchbay/store/pgcluster"
)

// Two instances share one PostgreSQL and nothing else: a flow that one begins may come
// back to the other, and each reads what the other stored.
func TestTwoInstancesOnPostgres(t *testing.T) {
	t.Parallel()
	provider := startSandbox(t)
	database := "PATCHBAY_DATABASE=" + pgcluster.Database(t)
	one := newSettings(t)
	one.sandbox = strings.TrimPrefix(provider.origin, "http://")
	one.apps(t, "https://app.acme.example", "github", "googlecalendar")

	if out, errs, exit := run(t, one.env(database), "apply", "--dry-run", "-f", one.dir+"/apps.yaml"); exit != 0 || !strings.Contains(out, "added app acme") {
		t.Errorf("a plan for an empty database: exit %d\n%s%s", exit, out, errs)
	}
	two := one
	two.dir, two.address = t.TempDir(), freeAddress(t)
	two.public = one.publicHost() // the address in the browser is the first one's
	two.apps(t, "https://app.acme.example", "github", "googlecalendar")
	a := serveWith(t, one, provider, database)
	b := serveWith(t, two, provider, database)
	b.origin = "http://" + two.address

	if out, errs, exit := run(t, one.env(database), "apply", "--dry-run", "-f", one.dir+"/apps.yaml"); exit != 0 || !strings.Contains(out, "unchanged app acme") {
		t.Errorf("a plan: exit %d\n%s%s", exit, out, errs)
	}
	a.follow(t, b.link(t, "dana", "github"), "dana").wantResult("connected", "connected")
	b.followWith(t, a.link(t, "sam", "github"), "sam", "expires_5s").wantResult("connected", "connected")
	for user, v := range map[string]*server{"dana": b, "sam": b} {
		first := v.call(t, "GET", "app-user-auth/connectors/github/token?min_seconds=0", userToken(t, user), "")
		second := a.call(t, "GET", "app-user-auth/connectors/github/token?min_seconds=0", userToken(t, user), "")
		if first.status != 200 || second.status != 200 || first.body["access_token"] != second.body["access_token"] {
			t.Errorf("%s: %v and %v", user, first.body, second.body)
		}
	}
	b.call(t, "DELETE", "users/dana", "", "")
	if got := a.call(t, "GET", "app-user-auth/connectors/github/token", userToken(t, "dana"), ""); got.status != 404 || got.code() != "not_connected" {
		t.Errorf("after the other instance forgot dana: %d %v", got.status, got.body)
	}
	for name, address := range map[string]string{
		"no such database": strings.Replace(database, "postgres@/", "postgres@/nosuch", 1),
		"nobody listens":   "PATCHBAY_DATABASE=postgres://patchbay:canary-password@127.0.0.1:9/patchbay",
	} {
		if _, errs, exit := run(t, one.env(address), "serve"); exit != 1 || !strings.Contains(errs, "PostgreSQL database cannot be opened") || strings.Contains(errs, "canary-password") {
			t.Errorf("%s: exit %d\n%s", name, exit, errs)
		}
	}
}
