package connect_test

import (
	"sync"
	"testing"
	"time"

	"patchbay/connect"
	"patchbay/vault"
)

func TestTokenIsRefreshedWhenLittleIsLeft(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "googlecalendar"))
	f.connect("acme", "googlecalendar", "dana", "approve")
	first, err := f.token("acme", "googlecalendar", "dana")
	must(t, err)

	f.advance(50 * time.Minute)
	same, err := f.token("acme", "googlecalendar", "dana")
	must(t, err)
	if same.AccessToken != first.AccessToken {
		t.Error("refreshed with ten minutes left")
	}
	f.advance(9*time.Minute + 30*time.Second)
	fresh, err := f.token("acme", "googlecalendar", "dana")
	must(t, err)
	if fresh.AccessToken == first.AccessToken || !fresh.Connection.ExpiresAt.After(f.now().Add(50*time.Minute)) {
		t.Errorf("not refreshed: %v", fresh.Connection.ExpiresAt)
	}
}

func TestManyReadersShareOneRefresh(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "slack"))
	f.connect("acme", "slack", "dana", "rotating")
	f.advance(24 * time.Hour)
	before := f.sandbox.Calls("slack", "/token")
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := f.token("acme", "slack", "dana"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.sandbox.Calls("slack", "/token") - before; n != 1 {
		t.Errorf("%d refreshes", n)
	}
}

func TestRotatedRefreshTokensGoOnWorking(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "github"))
	f.connect("acme", "github", "dana", "reuse_revokes_family")
	for range 5 {
		f.advance(24 * time.Hour)
		_, err := f.token("acme", "github", "dana")
		must(t, err)
	}
}

func TestShortLivedTokenIsNotRefreshedOnEveryRead(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "googlecalendar"))
	f.connect("acme", "googlecalendar", "dana", "expires_5s")
	before := f.sandbox.Calls("googlecalendar", "/token")
	for range 5 {
		_, err := f.token("acme", "googlecalendar", "dana")
		must(t, err)
	}
	if n := f.sandbox.Calls("googlecalendar", "/token") - before; n != 0 {
		t.Errorf("%d refreshes of a token with its whole life left", n)
	}
	f.advance(4900 * time.Millisecond)
	_, err := f.token("acme", "googlecalendar", "dana")
	must(t, err)
	if n := f.sandbox.Calls("googlecalendar", "/token") - before; n != 1 {
		t.Errorf("%d refreshes with a fiftieth of its life left", n)
	}
}

func TestRevokedGrantNeedsTheUser(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "googlecalendar"))
	f.connect("acme", "googlecalendar", "dana", "approve")
	f.sandbox.RevokeAccount("dana@sandbox.example")
	f.advance(2 * time.Hour)
	_, err := f.token("acme", "googlecalendar", "dana")
	wantCode(t, err, connect.CodeReconnectRequired)
	if f.saw(connect.EventReconnectRequired) != 1 {
		t.Error("nobody was told")
	}
	flow := f.connect("acme", "googlecalendar", "dana", "approve")
	if flow.Status != connect.StatusConnected {
		t.Fatalf("reconnect ended %s", flow.Code)
	}
	_, err = f.token("acme", "googlecalendar", "dana")
	must(t, err)
}

func TestWrongClientSecretMarksNothing(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "googlecalendar"))
	f.connect("acme", "googlecalendar", "dana", "approve")
	wrong := f.app("acme", "googlecalendar")
	wrong.Connectors[0].ClientSecrets = []vault.Secret{vault.NewSecret("not-the-secret")}
	f.apply(wrong)
	f.advance(59*time.Minute + 30*time.Second)
	if _, err := f.token("acme", "googlecalendar", "dana"); err != nil {
		t.Errorf("a token that still lives was withheld: %v", err)
	}
	f.advance(time.Hour)
	_, err := f.token("acme", "googlecalendar", "dana")
	wantCode(t, err, connect.CodeConnectorMisconfigured)
	f.apply(f.app("acme", "googlecalendar"))
	_, err = f.token("acme", "googlecalendar", "dana")
	must(t, err)
}

func TestNoRefreshTokenAtTheEndOfItsLife(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "googlecalendar"))
	f.connect("acme", "googlecalendar", "dana", "no_refresh_token")
	f.advance(59*time.Minute + 30*time.Second)
	got, err := f.token("acme", "googlecalendar", "dana")
	must(t, err)
	if left := got.Connection.ExpiresAt.Sub(f.now()); left > time.Minute || left <= 0 {
		t.Errorf("%v left", left)
	}
	f.advance(time.Minute)
	_, err = f.token("acme", "googlecalendar", "dana")
	wantCode(t, err, connect.CodeReconnectRequired)
}

func TestDisconnect(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "github"))
	f.connect("acme", "github", "dana", "approve")
	f.connect("acme", "github", "sam", "approve")
	done, err := f.DisconnectAppUser(t.Context(), "acme", "github", "dana")
	must(t, err)
	if !done.Removed || done.Revoked != "yes" {
		t.Errorf("%+v", done)
	}
	_, err = f.token("acme", "github", "dana")
	wantCode(t, err, connect.CodeNotConnected)
	_, err = f.token("acme", "github", "sam")
	must(t, err)
	receipt, err := f.Receipt(t.Context(), "acme", "dana", done.Receipt)
	must(t, err)
	if receipt.Data["revoked"] != "yes" || receipt.Data["account"] != "dana@sandbox.example" {
		t.Errorf("receipt %+v", receipt.Data)
	}
	_, err = f.Receipt(t.Context(), "acme", "sam", done.Receipt)
	wantCode(t, err, connect.CodeNotFound)
	again, err := f.DisconnectAppUser(t.Context(), "acme", "github", "dana")
	must(t, err)
	if again.Removed || again.Revoked != "unsupported" {
		t.Errorf("the second time: %+v", again)
	}
}

func TestDeleteUserLeavesNothing(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "github", "slack"))
	f.connect("acme", "github", "dana", "approve")
	f.connect("acme", "slack", "dana", "approve")
	n, err := f.DeleteUser(t.Context(), "acme", "dana")
	must(t, err)
	if n != 2 {
		t.Errorf("removed %d", n)
	}
	left, err := f.History(t.Context(), "acme", "dana", 10)
	must(t, err)
	if len(left) != 0 {
		t.Errorf("history is left: %+v", left)
	}
	n, err = f.DeleteUser(t.Context(), "acme", "nobody")
	must(t, err)
	if n != 0 {
		t.Errorf("removed %d of nobody", n)
	}
}

func TestLastUseIsShownAtOnceAndWrittenLater(t *testing.T) {
	f := newFixture(t)
	f.apply(f.app("acme", "github"))
	f.connect("acme", "github", "dana", "approve")
	f.advance(time.Minute)
	_, err := f.token("acme", "github", "dana")
	must(t, err)
	conns, err := f.UserConnections(t.Context(), "acme", "dana")
	must(t, err)
	if len(conns) != 1 || !conns[0].LastUsedAt.Equal(f.now()) {
		t.Errorf("%+v", conns)
	}
}

// GitHub and Slack take the access token only: one that ran out is no handle on the grant.
func TestDisconnectAfterTheAccessTokenRanOut(t *testing.T) {
	for _, typ := range []string{"github", "slack"} {
		t.Run(typ, func(t *testing.T) {
			f := newFixture(t)
			f.apply(f.app("acme", typ))
			f.connect("acme", typ, "dana", "expires_5s")
			f.advance(time.Hour)
			done, err := f.DisconnectAppUser(t.Context(), "acme", typ, "dana")
			must(t, err)
			if done.Revoked != "yes" {
				t.Errorf("revoked %s", done.Revoked)
			}
			if n := f.sandbox.Calls(typ, "/revoke"); n != 1 {
				t.Errorf("%d calls of the revocation endpoint", n)
			}
			if n := f.sandbox.Calls(typ, "/token"); n != 2 {
				t.Errorf("%d calls of the token endpoint, want the exchange and a refresh", n)
			}
		})
	}
}
