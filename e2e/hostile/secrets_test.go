package hostile

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"patchbay/connect"
	"patchbay/e2e/stack"
)

// canaries are values that may be found nowhere, by kind.
type canaries map[string][]string

func (c canaries) add(kind string, values ...string) {
	for _, v := range values {
		if len(v) >= 8 {
			c[kind] = append(c[kind], v)
		}
	}
}

// forms are the ways in which a value can be written.
func forms(value string) map[string][]byte {
	all := map[string][]byte{"plain": []byte(value), "hex": []byte(hex.EncodeToString([]byte(value))), "HEX": []byte(strings.ToUpper(hex.EncodeToString([]byte(value)))), "query": []byte(url.QueryEscape(value))}
	for shift := range 3 { // base64 of a text that holds the value, wherever it begins
		padded := append(make([]byte, shift), value...)
		usable := len(padded) / 3 * 3
		skip := map[int]int{0: 0, 1: 2, 2: 3}[shift]
		all[fmt.Sprint("base64 ", shift)] = []byte(base64.StdEncoding.EncodeToString(padded[:usable])[skip:])
		all[fmt.Sprint("base64url ", shift)] = []byte(base64.URLEncoding.EncodeToString(padded[:usable])[skip:])
	}
	return all
}

// headLen is how much of a needle the first look compares.
const headLen = 8

// search looks for every form of every canary in one pass over each place.
func (c canaries) search(t *testing.T, places map[string][]byte) {
	t.Helper()
	type needle struct {
		text []byte
		what string
	}
	byHead := map[[headLen]byte][]needle{}
	for kind, values := range c {
		for _, value := range values {
			for form, text := range forms(value) {
				if len(text) >= headLen {
					head := [headLen]byte(text)
					byHead[head] = append(byHead[head], needle{text, kind + ", " + form})
				}
			}
		}
	}
	for place, content := range places {
		for i := 0; i+headLen <= len(content); i++ {
			for _, n := range byHead[[headLen]byte(content[i:])] {
				if bytes.HasPrefix(content[i:], n.text) {
					t.Errorf("%s: %s", place, n.what)
				}
			}
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tail is the last part of an address's path.
func tail(address string) string { return address[strings.LastIndex(address, "/")+1:] }

func TestSecurity77_NoSecretIsWrittenDown(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	secret, unlogged := canaries{}, canaries{}
	for _, a := range s.Apps() {
		for kind, value := range a.SecretsInUse() {
			secret.add("credential "+kind, value)
		}
	}
	secret.add("client secret", stack.ClientSecret)
	runs := 0
	for _, a := range []*stack.App{s.Acme, s.Human} {
		for _, connector := range []string{"github", "googlecalendar", "slack"} {
			for _, scenario := range []string{"approve", "deny", "fewer_scopes", "other_account", "token_500_once", "wrong_iss", "no_refresh_token", "rotating", "reuse_revokes_family", "revoked_later", "expires_5s", "coop", "form_post", "error_page"} {
				runs++
				user := fmt.Sprintf("user %d", runs)
				b := s.Browser()
				cs := a.Session(user)
				secret.add("session token", cs.Token)
				unlogged.add("session ticket", tail(cs.URL))
				list := b.AtApp(a, user).Enter(cs)
				_, form := list.In(connector).Form("connect")
				unlogged.add("start ticket", form.Get("ticket"))
				begun := list.Connect(connector)
				unlogged.add("state", query(t, begun.Href("continue"), "state"))
				at := begun.Choose(scenario, user+"@example.com")
				switch scenario {
				case "form_post":
					_, fields := at.Form("continue")
					secret.add("code", fields.Get("code"))
					at = at.Submit("continue")
				case "coop":
					at = at.Go(at.Doc.Find("main a").AttrOr("href", ""))
				}
				for at.Location() != "" {
					secret.add("code", at.Query().Get("code"))
					unlogged.add("result code", at.Query().Get("result_code"))
					at = at.Follow()
				}
				for _, c := range b.Cookies() {
					_, value, flow := strings.Cut(c.Value, ".")
					if !flow {
						value = c.Value
					}
					secret.add("cookie", value)
				}
				jwt := a.JWT(user)
				secret.add("user token", jwt)
				for range 2 {
					a.Call(http.MethodGet, "app-user-auth/connectors/"+connector+"/token", nil, stack.Bearer(a.Tokens), stack.OnBehalfOf(jwt))
					s.Advance(6 * time.Second)
				}
				link := a.Call(http.MethodPost, "app-user-auth/connectors/"+connector+"/initiate", nil, stack.Bearer(jwt))
				unlogged.add("link ticket", tail(link.Text("redirect_url")))
				b.Get("/apps/" + a.ID + "/settings")
				b.Come(link.Text("redirect_url"))
				if runs%3 == 0 {
					a.Disconnect(user, connector)
				}
				// Failures, with what they were called with.
				b.Get("/link/" + tail(link.Text("redirect_url")) + "x")
				b.Get("/session/" + tail(cs.URL))
				s.Call(http.MethodGet, "/api/apps/"+a.ID+"/no/such/"+jwt, nil, stack.Bearer(jwt))
				a.Call(http.MethodGet, "users/x/connections", nil, stack.Bearer(a.All+"x"))
				a.Call(http.MethodGet, "users/x/connections", nil, stack.Bearer(jwt))
			}
		}
	}
	if runs < 60 {
		t.Fatalf("%d runs", runs)
	}
	for kind, values := range s.Wire.Secrets() {
		secret.add(kind, values...)
	}
	for _, kind := range []string{"access token", "refresh token", "code", "verifier", "client secret"} {
		if len(secret[kind]) == 0 {
			t.Fatalf("no %s was seen: the search would prove nothing", kind)
		}
	}
	places := map[string][]byte{"the log": s.Log.Bytes()}
	unlogged.search(t, places)
	files, err := filepath.Glob(s.Database + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("database files %v: %v", files, err)
	}
	for _, name := range files {
		if places[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	for kind := range unlogged {
		if kind != "start ticket" {
			secret.add(kind, unlogged[kind]...) // stored as hashes only
		}
	}
	secret.search(t, places)

	shown := canaries{}
	for _, kind := range []string{"access token", "refresh token", "code", "verifier", "client secret", "cookie", "user token", "session token", "result code"} {
		shown[kind] = secret[kind]
	}
	shown.search(t, map[string][]byte{"a page": s.Seen.Bytes()})
	if !bytes.Contains(s.Log.Bytes(), []byte("flow.finished")) || !bytes.Contains(s.Seen.Bytes(), []byte("Connected accounts")) {
		t.Error("the log or the pages were not recorded")
	}
}

// tamper runs SQL on the store's file behind the program's back.
func tamper(t *testing.T, s *stack.Stack, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", s.Database+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	done, err := db.ExecContext(t.Context(), statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s: %d rows, %v", statement, n, err)
	}
}

func TestSecurity78_TamperedRows(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	// Slack's tokens expire here, so that a read would also refresh.
	link := func(user, connector string) connect.Connection {
		t.Helper()
		s.Browser().SignIn(s.Human, user).Connect(connector).Choose("rotating", user+"@example.com").Rest().WantFlow("connected", "connected")
		c, err := s.Service.Store.Connection(t.Context(), "human", connector, connect.OwnerOf(user))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	dana, sam, other := link("dana", "googlecalendar"), link("sam", "googlecalendar"), link("dana", "slack")
	set := func(c connect.Connection, sealed []byte) {
		t.Helper()
		tamper(t, s, `UPDATE connections SET sealed = $1 WHERE id = $2`, sealed, c.ID)
	}
	wantBroken := func(name string) {
		t.Helper()
		for _, later := range []time.Duration{0, 24 * time.Hour} {
			s.Advance(later)
			before := len(s.Sandbox.Log())
			r := s.Human.Token("dana", "googlecalendar").Want(http.StatusInternalServerError, "internal")
			if strings.Contains(string(r.Body), "vault") || strings.Contains(string(r.Body), "sealed") {
				t.Errorf("%s: the cause is told: %s", name, r.Body)
			}
			if n := len(s.Sandbox.Log()) - before; n != 0 {
				t.Errorf("%s: %d calls of the provider", name, n)
			}
			if state := s.Browser().SignIn(s.Human, "dana").State("googlecalendar"); state != "connected" {
				t.Errorf("%s: the user is told %s", name, state)
			}
		}
	}
	set(dana, sam.Sealed)
	set(sam, dana.Sealed)
	wantBroken("swapped with another user's")
	set(dana, other.Sealed)
	wantBroken("of another connector")
	for i := range dana.Sealed {
		if i > 1 && i < len(dana.Sealed)-40 && i%7 != 0 {
			continue
		}
		flipped := bytes.Clone(dana.Sealed)
		flipped[i] ^= 1
		set(dana, flipped)
		s.Human.Token("dana", "googlecalendar").Want(http.StatusInternalServerError, "internal")
	}
	set(dana, dana.Sealed[:len(dana.Sealed)-1])
	wantBroken("cut")
	set(dana, []byte{})
	s.Human.Token("dana", "googlecalendar").Want(http.StatusInternalServerError, "internal")
	// The row of another user, whole: the owner is part of what is authenticated.
	set(dana, dana.Sealed)
	set(sam, sam.Sealed)
	tamper(t, s, `UPDATE connections SET owner = 'u:mallory' WHERE id = $1`, sam.ID)
	s.Human.Token("mallory", "googlecalendar").Want(http.StatusInternalServerError, "internal")
	s.Human.Token("dana", "googlecalendar").Want(http.StatusOK, "") // put back, it opens

	t.Run("flows", func(t *testing.T) {
		a := s.Browser().SignIn(s.Acme, "a").Connect("github").Approve("a@example.com").Follow().Query()
		b := s.Browser().SignIn(s.Acme, "b").Connect("github").Approve("b@example.com").Follow().Query()
		tamper(t, s, `UPDATE flows SET sealed = (SELECT sealed FROM flows WHERE id = $1) WHERE id = $2`, b.Get("flow"), a.Get("flow"))
		calls := s.TokenCalls()
		s.Acme.Confirm(a.Get("flow"), a.Get("result_code"), "a").Want(http.StatusInternalServerError, "internal")
		wantTokenCalls(t, s, calls)
		wantRows(t, s, s.Acme, 0)
	})
	t.Run("client secrets", func(t *testing.T) {
		tamper(t, s, `UPDATE connectors SET sealed = (SELECT sealed FROM connectors WHERE app = 'other' AND id = 'github') WHERE app = 'acme' AND id = 'github'`)
		tamper(t, s, `UPDATE instance SET revision = revision + 1`)
		before := len(s.Sandbox.Log())
		s.Acme.Token("dana", "github").Want(http.StatusInternalServerError, "internal")
		if n := len(s.Sandbox.Log()) - before; n != 0 {
			t.Errorf("%d calls of the provider", n)
		}
	})
}

// program is the built binary, made once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "patchbay-hostile-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "patchbay")
	build := exec.Command("go", "build", "-trimpath", "-o", path, ".")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func built(t *testing.T) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// output is what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// launch starts a command of the program and waits for a line of its output.
func launch(t *testing.T, cmd *exec.Cmd, line string) (*output, []string) {
	t.Helper()
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the program ended with %v\n%s", err, out)
			}
		case <-time.After(60 * time.Second):
			_ = cmd.Process.Kill()
			t.Error("the program does not stop")
		}
	})
	want := regexp.MustCompile(line)
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if found := want.FindStringSubmatch(out.String()); found != nil {
			return out, found
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the program ended with %v\n%s", err, out)
		default:
		}
	}
	t.Fatalf("the program does not print %s\n%s", line, out)
	return nil, nil
}

func TestSecurity77_NoCoreDumps(t *testing.T) {
	t.Parallel()
	path := built(t)
	dir, err := os.MkdirTemp("", "patchbay-demo-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cmd := exec.Command(path, "demo", "--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0", "--app-listen", "127.0.0.1:0", "--file", filepath.Join(dir, "demo.db"))
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	if os.Getuid() == 0 { // as somebody else: what root owns tells nothing to root
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	launch(t, cmd, `demo is running`)
	proc := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	limits, err := os.ReadFile(proc + "limits")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(limits) {
		t.Errorf("core dumps are not off:\n%s", limits)
	}
	// proc(5): the files of a process that is not dumpable belong to root.
	info, err := os.Stat(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 {
		t.Errorf("the process is dumpable: its files belong to %d", owner)
	}
}

func TestSecurity78_StartAndFiles(t *testing.T) {
	t.Parallel()
	path := built(t)
	key := func() string {
		t.Helper()
		line, err := exec.Command(path, "keys", "new").Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(line))
	}
	dir := filepath.Join(t.TempDir(), "state")
	apps := filepath.Join(t.TempDir(), "apps.yaml") // so that something is sealed
	must(t, os.WriteFile(apps, []byte("apps:\n  - id: acme\n    connectors:\n      - {id: github, type: github, client_id: x, client_secret: canary-client-secret}\n"), 0o600))
	env := func(keys string) []string {
		e := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PATCHBAY_LISTEN=127.0.0.1:0", "PATCHBAY_PUBLIC_URL=https://patchbay.example", "PATCHBAY_DATABASE=sqlite:" + filepath.Join(dir, "patchbay.db"), "PATCHBAY_STATE_DIR=" + dir, "PATCHBAY_APPS=" + apps}
		if keys != "" {
			e = append(e, "PATCHBAY_KEYS="+keys)
		}
		return e
	}
	refused := func(name, keys string, change ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, path, "serve")
		cmd.Env = append(env(keys), change...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("%s: %v, want exit code 1\n%s", name, err, out)
		}
		if _, secret, ok := strings.Cut(keys, ":"); ok && len(secret) > 20 && strings.Contains(string(out), secret) {
			t.Errorf("%s: the key is printed: %s", name, out)
		}
		if !strings.Contains(string(out), "PATCHBAY_") {
			t.Errorf("%s: the setting is not named: %s", name, out)
		}
	}
	refused("no key", "")
	refused("not base64", "k1:nonsense!")
	refused("16 bytes", "k1:"+base64.StdEncoding.EncodeToString(make([]byte, 16)))
	refused("zeros", "k1:"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	refused("one byte repeated", "k1:"+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("A"), 32)))
	refused("counting", "k1:"+base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef")))
	if _, err := os.Stat(filepath.Join(dir, "patchbay.db")); err == nil {
		t.Error("a refused start left a database behind")
	}
	good := key()
	t.Run("umask 0", func(t *testing.T) {
		cmd := exec.Command("sh", "-c", `umask 0; exec "$0" serve`, path)
		cmd.Env = env(good)
		launch(t, cmd, `listen"?[=:]"?127\.0\.0\.1:[0-9]+`)
		err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has the mode %v", filepath.Base(name), info.Mode())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	id, _, _ := strings.Cut(good, ":")
	_, another, _ := strings.Cut(key(), ":")
	refused("wrong key of the same id", id+":"+another)
	refused("wrong key of another id", "k-other:"+another)
	refused("http off loopback", good, "PATCHBAY_PUBLIC_URL=http://patchbay.example")
	refused("address with a path", good, "PATCHBAY_PUBLIC_URL=https://patchbay.example/x")
}
