//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/store"
	"patchbay/store/pgcluster"
)

// Keys are rotated while tokens are read and refreshed, and the rotation is killed again
// and again: no read fails, and in the end nothing needs the old key (SECURITY 79).
func TestSecurity79_KeyRotationUnderLoad(t *testing.T) {
	for name, database := range map[string]func(*testing.T) string{"sqlite": func(*testing.T) string { return "" }, "postgres": func(t *testing.T) string { return pgcluster.Database(t) }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 1, database(t))
			f.rotator.set(func(r *rotator) { r.life = 3 * time.Second })
			users := names("u", size(300, 20_000))
			f.seed(t, time.Now().Add(time.Hour), time.Time{}, users[20:]...)
			f.seed(t, time.Now().Add(-time.Minute), time.Time{}, users[:20]...)
			backup := filepath.Join(t.TempDir(), "before.db")
			if name == "sqlite" {
				f.wantRun(t, 0, "patchbay verify", "backup", backup)
			}
			old := f.key
			fresh, _, _ := run(t, nil, "keys", "new")
			f.key = strings.TrimSpace(fresh) + "," + old
			f.servers[0].stop(t)
			f.servers[0] = serveWith(t, f.settings, sandbox{}, f.database)
			v := f.servers[0]
			v.origin = "http://" + f.address

			ctx, stop := context.WithCancel(t.Context())
			var reads, failed atomic.Int64
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for ctx.Err() == nil {
						r := f.read(ctx, v, userToken(t, users[rand.IntN(len(users))]))
						if ctx.Err() == nil {
							reads.Add(1)
							if r.status != http.StatusOK {
								failed.Add(1)
								t.Errorf("a read failed: %+v", r)
							}
						}
					}
				})
			}
			env := f.env(f.database)
			for range size(8, 50) {
				p := startCommand(t, env, patchbay, "keys", "rotate")
				time.Sleep(rand.N(30 * time.Millisecond))
				p.kill()
			}
			out, errs, exit := run(t, env, "keys", "rotate")
			if exit != 0 || !strings.Contains(out, "nothing in the database needs any more") {
				t.Errorf("exit %d\n%s%s", exit, out, errs)
			}
			stop()
			all.Wait()
			t.Logf("%d reads, %d failed", reads.Load(), failed.Load())

			v.stop(t)
			f.key = strings.TrimSpace(fresh)
			v = serveWith(t, f.settings, sandbox{}, f.database)
			v.origin = "http://" + f.address
			for _, u := range users {
				if r := f.read(t.Context(), v, userToken(t, u)); r.status != http.StatusOK {
					t.Errorf("%s with the new key alone: %+v", u, r)
				}
			}
			if name == "sqlite" {
				if _, errs, exit := run(t, f.env(), "verify", backup); exit != 1 || !strings.Contains(errs, "lacks the key") {
					t.Errorf("a backup from before without its key: exit %d\n%s", exit, errs)
				}
				f.key = strings.TrimSpace(fresh) + "," + old
				if out, errs, exit := run(t, f.env(), "verify", backup); exit != 0 || !strings.Contains(out, "everything in it opens") {
					t.Errorf("a backup from before: exit %d\n%s%s", exit, out, errs)
				}
			}
		})
	}
}

// wantRun runs a command on the fleet's settings and looks for a text in what it says.
func (f *fleet) wantRun(t *testing.T, exit int, text string, args ...string) {
	t.Helper()
	out, errs, got := run(t, f.env(f.database), args...)
	if got != exit || !strings.Contains(out+errs, text) {
		t.Errorf("%v: exit %d instead of %d\n%s%s", args, got, exit, out, errs)
	}
}

// A key that is missing or wrong is named, and the server does not start.
func TestSecurity78_WrongKey(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, "")
	f.seed(t, time.Now().Add(time.Hour), time.Time{}, "dana")
	f.servers[0].stop(t)
	id, _, _ := strings.Cut(f.key, ":")
	right := f.key
	other, _, _ := run(t, nil, "keys", "new")
	f.key = strings.TrimSpace(other)
	begun := time.Now()
	f.wantRun(t, 1, `"`+id+`"`, "serve")
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the refusal took %v", took)
	}
	_, raw, _ := strings.Cut(f.key, ":")
	f.key = id + ":" + raw
	f.wantRun(t, 1, `"`+id+`"`, "serve")
	f.wantRun(t, 1, `"`+id+`"`, "keys", "rotate")
	f.key = right
	v := serveWith(t, f.settings, sandbox{}, f.database)
	v.origin = "http://" + f.address
	if r := f.read(t.Context(), v, userToken(t, "dana")); r.status != http.StatusOK {
		t.Errorf("%+v", r)
	}
}

// A backup is made while the server works, verified, damaged, and refused.
func TestBackupAndVerify(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, "")
	users := names("u", 50)
	f.seed(t, time.Now().Add(time.Hour), time.Time{}, users...)
	dir := t.TempDir()
	file := filepath.Join(dir, "backup.db")
	f.wantRun(t, 0, "patchbay verify "+file, "backup", file)
	f.wantRun(t, 0, "50 connections", "verify", file)
	f.wantRun(t, 1, "is there already", "backup", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	f.wantRun(t, 2, "needs a FILE", "backup")
	f.wantRun(t, 2, "needs a FILE", "verify")
	f.wantRun(t, 1, "", "verify", filepath.Join(dir, "nothing.db"))
	f.wantRun(t, 1, "pg_dump", "backup", filepath.Join(dir, "pg.db"), "--database", "postgres://x@127.0.0.1:9/x")

	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	db, _ := f.open(t)
	rows, err := db.ConnectorConnections(t.Context(), "acme", f.typ)
	if err != nil {
		t.Fatal(err)
	}
	bent := bytes.Clone(rows[7].Sealed)
	bent[len(bent)-3] ^= 1
	flipped := bytes.ReplaceAll(whole, rows[7].Sealed, bent) // a page may hold what it held before, too
	if bytes.Equal(flipped, whole) {
		t.Fatal("the sealed value is not in the backup")
	}
	broken := filepath.Join(dir, "flipped.db")
	if err := os.WriteFile(broken, flipped, 0o600); err != nil {
		t.Fatal(err)
	}
	f.wantRun(t, 1, "connection "+rows[7].ID, "verify", broken)
	short := filepath.Join(dir, "short.db")
	if err := os.WriteFile(short, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	f.wantRun(t, 1, "", "verify", short)
	if left, err := os.ReadFile(file); err != nil || !bytes.Equal(left, whole) {
		t.Error("verify changed the file")
	}
}

// An old copy that is put back is noticed: its refresh tokens are tried once each, slowly,
// and those that were used since are flagged; nobody is counted for a bad day of the
// provider.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, "")
	users := names("u", 30)
	stateDir := "PATCHBAY_STATE_DIR=" + t.TempDir()
	f.servers[0].stop(t)
	v := serveWith(t, f.settings, sandbox{}, f.database, stateDir)
	v.origin = "http://" + f.address
	f.seed(t, time.Now().Add(-time.Minute), time.Time{}, users...)
	for _, u := range users { // fingerprints are known from the first refresh on
		if r := f.read(t.Context(), v, userToken(t, u)); r.status != http.StatusOK {
			t.Fatalf("%+v", r)
		}
	}
	backup := filepath.Join(t.TempDir(), "old.db")
	f.wantRun(t, 0, "", "backup", backup)
	v.stop(t) // notes the epoch
	db, _ := f.open(t)
	rows, err := db.ConnectorConnections(t.Context(), "acme", f.typ)
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	f.rotator.set(func(r *rotator) { // 25 of them are used after the backup was made
		for _, c := range rows[:25] {
			for _, p := range r.pairs {
				if p.user == c.Owner.User && p.newest != "" {
					r.pairs[p.newest].usedAt = time.Now().Add(-time.Hour)
				}
			}
		}
		r.calls = 0
		r.sent = map[string]int{}
	})
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(f.settings.database() + suffix)
	}
	old, err := os.ReadFile(backup)
	if err == nil {
		err = os.WriteFile(f.settings.database(), old, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	v = serveWith(t, f.settings, sandbox{}, f.database, stateDir)
	v.origin = "http://" + f.address
	if log := v.stderr.String(); !strings.Contains(log, "store.restored") {
		t.Fatalf("nobody noticed\n%s", log)
	}
	time.Sleep(5 * time.Second)
	f.rotator.set(func(r *rotator) {
		if r.calls > 8 {
			t.Errorf("%d tries in five seconds of an hour", r.calls)
		}
	})
	// Whoever asks is told at once: the tokens have run out in the meantime.
	flagged := 0
	for _, c := range rows {
		r := f.readAgain(t, v, c.Owner.User)
		switch {
		case r.code == "reconnect_required":
			flagged++
		case r.status != http.StatusOK:
			t.Errorf("%s: %+v", c.Owner.User, r)
		}
	}
	if flagged != 25 {
		t.Errorf("%d were flagged instead of 25", flagged)
	}
	f.rotator.set(func(r *rotator) {
		for refresh, n := range r.sent {
			if n > 2 {
				t.Errorf("%s was tried %d times", refresh, n)
			}
		}
	})
}

// readAgain reads a token that has to be refreshed: with almost its whole life left.
func (f *fleet) readAgain(t *testing.T, v *server, user string) read {
	t.Helper()
	expire(t, f, user)
	return f.read(t.Context(), v, userToken(t, user))
}

// Everything moves from SQLite to PostgreSQL and is the same there.
func TestCopyToPostgres(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, "")
	users := names("u", size(150, 20_000))
	f.seed(t, time.Now().Add(time.Hour), time.Time{}, users[1:]...)
	f.seed(t, time.Now().Add(-time.Minute), time.Time{}, users[0])
	if r := f.read(t.Context(), f.servers[0], userToken(t, users[0])); r.status != http.StatusOK {
		t.Fatalf("%+v", r)
	}
	session := f.servers[0].call(t, http.MethodPost, "connect-sessions", "", `{"mode":"redirect","user":{"id":"dana"}}`)
	if session.status != http.StatusCreated {
		t.Fatal(session)
	}
	f.servers[0].stop(t)
	target := pgcluster.Database(t)
	from := "sqlite:" + f.settings.database()
	f.wantRun(t, 1, "postgres://", "copy", "--from", from, "--to", from)
	f.wantRun(t, 1, "--from", "copy", "--to", target)
	f.wantRun(t, 1, "there is no database", "copy", "--from", from+"x", "--to", target)
	f.wantRun(t, 0, "are the same there", "copy", "--from", from, "--to", target)
	f.wantRun(t, 1, "not empty", "copy", "--from", from, "--to", target)
	f.database = "PATCHBAY_DATABASE=" + target
	v := serveWith(t, f.settings, sandbox{}, f.database)
	v.origin = "http://" + f.address
	for _, u := range users {
		if r := f.read(t.Context(), v, userToken(t, u)); r.status != http.StatusOK {
			t.Errorf("%s: %+v", u, r)
		}
	}
	// What is written from now on is numbered after what was copied.
	f.seed(t, time.Now().Add(time.Hour), time.Time{}, "later")
	if r := f.read(t.Context(), v, userToken(t, "later")); r.status != http.StatusOK {
		t.Errorf("%+v", r)
	}
}

// hookReceiver takes webhooks and checks their signatures.
type hookReceiver struct {
	*httptest.Server
	mu     sync.Mutex
	answer int
	got    []received
}

type received struct {
	id, kind string
	body     map[string]any
	good     bool
}

var hookKey = []byte("e2e-webhook-key-of-24-bytes-or-more")

func startHookReceiver(t *testing.T) *hookReceiver {
	t.Helper()
	h := &hookReceiver{answer: http.StatusNoContent}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, hookKey)
		mac.Write([]byte(r.Header.Get("webhook-id") + "." + r.Header.Get("webhook-timestamp") + "."))
		mac.Write(raw)
		one := received{id: r.Header.Get("webhook-id"), good: r.Header.Get("webhook-signature") == "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))}
		_ = json.Unmarshal(raw, &one.body)
		one.kind, _ = one.body["type"].(string)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, one)
		w.WriteHeader(h.answer)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hookReceiver) all() []received {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]received(nil), h.got...)
}

// An app's back end is told of its connections: signed, again after a failure with the
// same id, and once more when a builder asks for it.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	hooks := startHookReceiver(t)
	provider := startSandbox(t)
	s := newSettings(t)
	s.sandbox = strings.TrimPrefix(provider.origin, "http://") + "," + strings.TrimPrefix(hooks.URL, "http://")
	s.apps(t, "https://app.acme.example", "github")
	path := filepath.Join(s.dir, "apps.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	only := strings.TrimPrefix(provider.origin, "http://")
	fixed := strings.ReplaceAll(string(text), s.sandbox, only)
	fixed = strings.Replace(fixed, "    connectors:", "    webhooks: [{url: "+hooks.URL+"/hooks, secret: whsec_"+base64.StdEncoding.EncodeToString(hookKey)+"}]\n    connectors:", 1)
	s.write(t, "apps.yaml", fixed)
	v := serve(t, s, provider)
	hooks.mu.Lock()
	hooks.answer = http.StatusInternalServerError
	hooks.mu.Unlock()
	v.follow(t, v.link(t, "dana", "github"), "dana").wantResult("connected", "connected")
	await(t, "the first try", func() bool { return len(hooks.all()) == 1 })
	hooks.mu.Lock()
	hooks.answer = http.StatusNoContent
	hooks.mu.Unlock()
	await(t, "the second try", func() bool { return len(hooks.all()) == 2 })
	v.follow(t, v.link(t, "dana", "github"), "dana").wantResult("connected", "connected")
	v.call(t, http.MethodDelete, "users/dana", "", "")
	await(t, "all four", func() bool { return len(hooks.all()) == 4 })
	got := hooks.all()
	for i, want := range []string{"connection.created", "connection.created", "connection.updated", "connection.deleted"} {
		g := got[i]
		data, _ := g.body["data"].(map[string]any)
		conn, _ := data["connection"].(map[string]any)
		stamp, _ := g.body["timestamp"].(string)
		if _, err := time.Parse(time.RFC3339, stamp); err != nil {
			t.Errorf("%d: timestamp %q", i, stamp)
		}
		if g.kind != want || !g.good || data["app"] != "acme" || data["user_id"] != "dana" || conn["connector"] != "github" || conn["id"] == "" {
			t.Errorf("%d: %+v instead of a good %s", i, g, want)
		}
	}
	if got[0].id == "" || got[0].id != got[1].id || got[1].id == got[2].id {
		t.Errorf("ids %s, %s, %s", got[0].id, got[1].id, got[2].id)
	}
	raw, _ := json.Marshal(got)
	if strings.Contains(string(raw), "gho_") || strings.Contains(string(raw), "access_token") {
		t.Errorf("a token is in %s", raw)
	}
	page := newVisitor(t).open(v.origin+"/builder/acme").press(`[data-action="sign_in"]`, "key", builderKey).wantStatus(200)
	page.press(`[data-delivery="` + got[1].id + `"] [data-action="deliver_again"]`).wantStatus(200)
	await(t, "it comes again", func() bool { return len(hooks.all()) == 5 })
	if last := hooks.all()[4]; last.id != got[1].id || !last.good {
		t.Errorf("%+v", last)
	}
}

// The audit answers who read which token when (SECURITY 80); the metrics count and name
// no user; and no secret is anywhere: database, log, metrics, backup, audit (SECURITY 77).
func TestSecurity77_80_AuditMetricsAndCanaries(t *testing.T) {
	for name, database := range map[string]func(*testing.T) string{"sqlite": func(*testing.T) string { return "" }, "postgres": func(t *testing.T) string { return pgcluster.Database(t) }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 0, database(t))
			metrics := freeAddress(t)
			v := serveWith(t, f.settings, sandbox{}, f.database, "PATCHBAY_METRICS_LISTEN="+metrics, "PATCHBAY_LOG_LEVEL=debug")
			v.origin = "http://" + f.address
			f.servers = append(f.servers, v)
			const user = "dana\u001b[31m\"level\":\"ERROR"
			f.seed(t, time.Now().Add(-time.Minute), time.Time{}, "eve", "sam")
			begun := time.Now()
			for range 5 {
				if r := f.read(t.Context(), v, userToken(t, "eve")); r.status != http.StatusOK {
					t.Fatalf("%+v", r)
				}
			}
			f.read(t.Context(), v, userToken(t, "sam"))
			if r := f.read(t.Context(), v, userToken(t, user)); r.status == http.StatusOK {
				t.Errorf("%+v", r)
			}
			f.rotator.set(func(r *rotator) {
				for _, fam := range r.families {
					fam.revoked = fam.user == "sam" || fam.revoked
				}
			})
			expire(t, f, "sam")
			f.read(t.Context(), v, userToken(t, "sam"))
			v.call(t, http.MethodDelete, "users/eve", "", "")
			ended := time.Now()

			resp, err := http.Get("http://" + metrics + "/metrics")
			if err != nil {
				t.Fatal(err)
			}
			counted, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			for _, line := range []string{
				`patchbay_token_reads_total{app="acme",connector="box"} 6`, `patchbay_refreshes_total{app="acme",class="ok",connector="box"} 2`,
				`patchbay_connections_ended_total{app="acme",connector="box",how="disconnected"} 1`, `patchbay_oldest_due_refresh_seconds 0`,
				`patchbay_connections_ended_total{app="acme",connector="box",how="grant_ended"} 1`,
			} {
				if !bytes.Contains(counted, []byte(line)) {
					t.Errorf("the metrics lack %s", line)
				}
			}
			if bytes.Contains(counted, []byte(`"eve"`)) || bytes.Contains(counted, []byte("dana")) {
				t.Error("a user is in the metrics")
			}
			if name == "sqlite" {
				f.wantRun(t, 0, "", "backup", filepath.Join(f.dir, "backup.db"))
			}
			v.stop(t)

			db, _ := f.open(t)
			entries, err := db.Audit(t.Context(), begun.Add(-time.Second), ended.Add(time.Second), 1000)
			if err != nil {
				t.Fatal(err)
			}
			reads, kinds := 0, map[string]int{}
			for _, e := range entries {
				kinds[string(e.Kind)+" "+e.Result]++
				if e.Actor == "" {
					t.Errorf("nobody did %+v", e)
				}
				if e.Kind == "token.read" && e.User == "eve" {
					reads += e.Times
					if e.Actor != "service:backend" || e.Connection != "cn_eve" || e.App != "acme" || e.Connector != f.typ {
						t.Errorf("%+v", e)
					}
				}
			}
			if reads != 5 {
				t.Errorf("%d reads of eve's token instead of 5", reads)
			}
			for _, want := range []string{"token.refreshed ok", "connection.deleted revoked_yes", "connection.reconnect_required grant_ended", "token.read_failed reconnect_required"} {
				if kinds[want] == 0 {
					t.Errorf("no entry %q in %v", want, kinds)
				}
			}
			log := v.stdout.String() + v.stderr.String()
			for line := range strings.Lines(log) {
				if !strings.HasPrefix(line, "{") || strings.Contains(line, "\x1b") {
					t.Errorf("a name broke the log: %q", line)
				}
			}
			hidden := append([]byte(log), counted...)
			for _, e := range entries {
				raw, _ := json.Marshal(e)
				hidden = append(hidden, raw...)
			}
			hidden = append(hidden, everyFile(t, f.dir)...)
			if name == "postgres" {
				hidden = append(hidden, dump(t, db)...)
			}
			wantNoCanary(t, hidden)
		})
	}
}

// everyFile reads all files below a directory but the settings that the tests wrote.
func everyFile(t *testing.T, dir string) []byte {
	t.Helper()
	var all []byte
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".yaml") {
			return err
		}
		raw, err := os.ReadFile(path)
		all = append(all, raw...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// dump is what an SQL dump of the tables with secrets would hold.
func dump(t *testing.T, db *store.Store) []byte {
	t.Helper()
	var all []byte
	apps, err := db.Apps(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(apps)
	all = append(all, raw...)
	conns, err := db.ConnectorConnections(t.Context(), "acme", fleetType)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ = json.Marshal(conns)
	return append(all, raw...)
}

var canary = regexp.MustCompile(`canary-(at|rt)-\d+`)

func wantNoCanary(t *testing.T, hidden []byte) {
	t.Helper()
	if found := canary.Find(hidden); found != nil {
		t.Errorf("%s is somewhere", found)
	}
	for _, secret := range []string{serviceToken, builderKey, userTokenSecret, "canary-rt-", "canary-at-"} {
		for form, text := range map[string]string{"plain": secret, "hex": hex.EncodeToString([]byte(secret)), "base64": strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(secret)), "=")} {
			if bytes.Contains(hidden, []byte(text)) {
				t.Errorf("%s is somewhere, %s", secret, form)
			}
		}
	}
}
