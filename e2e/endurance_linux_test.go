package e2e

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// SIGTERM lets a token exchange finish: the provider's code is good once, so what it
// gave would be lost otherwise.
func TestStopDuringAnExchange(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "github")
	dana := newVisitor(t)
	consent := dana.open(v.link(t, "dana", "github")).press(`main [data-action="connect"]`).press(`[data-action="continue"]`).wantStatus(200)
	dana.halt = "/oauth/callback/"
	callback := consent.approve("slow_token", "")

	answered := make(chan int, 1)
	request := dana.request(consent.url, http.MethodGet, callback.url, "cross-site", nil)
	go func() {
		resp, err := dana.http.Do(request)
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	await(t, "the token endpoint is called", func() bool { return v.provider.calls("/github/token") == 1 })
	v.stop(t)
	if status := <-answered; status != http.StatusSeeOther {
		t.Errorf("the callback was answered %d", status)
	}

	again := serve(t, v.settings, v.provider)
	token := again.call(t, http.MethodGet, "app-user-auth/connectors/github/token", userToken(t, "dana"), "")
	if token.status != http.StatusOK {
		t.Errorf("after the stop: %v", token.body)
	}
	v.provider.wantCalls("/github/token", 1)
}

// What was acknowledged is there after a crash.
func TestPowerFailure(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "github")
	v.follow(t, v.link(t, "dana", "github"), "dana").wantResult("connected", "connected")
	v.kill()
	again := serve(t, v.settings, v.provider)
	if token := again.call(t, http.MethodGet, "app-user-auth/connectors/github/token", userToken(t, "dana"), ""); token.status != http.StatusOK {
		t.Errorf("after the crash: %v", token.body)
	}
}

// A full disk is said in a clear sentence, and when there is room again nothing is lost.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	v := startServer(t, "https://app.acme.example", "github", "slack")
	v.follow(t, v.link(t, "dana", "github"), "dana").wantResult("connected", "connected")
	start := newVisitor(t).open(v.link(t, "dana", "slack")).wantStatus(200)

	v.fillDisk(t)
	const session = `{"mode":"redirect","user":{"id":"dana"}}`
	var refused answer
	await(t, "the disk is full", func() bool {
		refused = v.call(t, http.MethodPost, "connect-sessions", "", session)
		return refused.status != http.StatusCreated
	})
	if refused.status != http.StatusServiceUnavailable || refused.code() != "unavailable" || refused.header.Get("Retry-After") == "" {
		t.Errorf("the API answers %d %v", refused.status, refused.body)
	}
	if sentence, _ := refused.body["message"].(string); !strings.Contains(sentence, "again") || strings.Contains(sentence, "disk I/O") {
		t.Errorf("the API says %q", sentence)
	}
	page := start.press(`main [data-action="connect"]`).wantError(503, "unavailable")
	if page.header.Get("Retry-After") == "" || strings.Contains(page.text("body"), "disk I/O") {
		t.Errorf("the page says %s", page.text("main"))
	}

	v.emptyDisk(t)
	await(t, "there is room again", func() bool {
		return v.call(t, http.MethodPost, "connect-sessions", "", session).status == http.StatusCreated
	})
	if token := v.call(t, http.MethodGet, "app-user-auth/connectors/github/token", userToken(t, "dana"), ""); token.status != http.StatusOK {
		t.Errorf("the connection from before: %v", token.body)
	}
	v.provider.next("approve", "")
	start.reload().press(`main [data-action="connect"]`).press(`[data-action="continue"]`).wantResult("connected", "connected")
}

// fillDisk lets no file of the server grow: writes fail as they do on a full disk.
func (v *server) fillDisk(t *testing.T) {
	t.Helper()
	log, err := os.Stat(v.settings.database() + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	v.limitFiles(t, uint64(log.Size()))
}

func (v *server) emptyDisk(t *testing.T) { t.Helper(); v.limitFiles(t, unix.RLIM_INFINITY) }

func (v *server) limitFiles(t *testing.T, size uint64) {
	t.Helper()
	limit := unix.Rlimit{Cur: size, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(v.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
}
