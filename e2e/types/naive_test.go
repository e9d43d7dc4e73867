package types

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"patchbay/oauth"
)

// naive does what a generic OAuth client does that is told two addresses and a list of
// scopes: golang.org/x/oauth2 as it comes, with PKCE, who-am-I by a GET, the refresh
// token kept if none comes, and a revocation by RFC 7009. It returns the first thing
// that does not work, "" if all does.
func naive(w *world, typ string, reg oauth.Registration) (step string, err error) {
	endpoints := reg.Overrides
	config := oauth2.Config{
		ClientID: reg.ClientID, ClientSecret: "sandbox-secret", RedirectURL: reg.RedirectURI, Scopes: reg.Entry.DefaultScopes(),
		Endpoint: oauth2.Endpoint{AuthURL: endpoints.Authorize, TokenURL: endpoints.Token},
	}
	if err := w.Next("approve", ""); err != nil {
		return "sandbox", err
	}
	verifier := oauth2.GenerateVerifier()
	state := oauth.NewNonce()
	answer, err := noRedirect.Get(config.AuthCodeURL(state, oauth2.AccessTypeOffline, oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		return "authorize", err
	}
	answer.Body.Close()
	back, err := answer.Location()
	if err != nil {
		return "authorize", errors.New("the provider shows an error page")
	}
	code := back.Query().Get("code")
	if code == "" {
		return "authorize", errors.New("the callback brings no code: " + back.Query().Get("error"))
	}
	ctx := context.Background()
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return "exchange", err
	}
	me, err := config.Client(ctx, token).Get(endpoints.Userinfo)
	if err != nil {
		return "account", err
	}
	defer me.Body.Close()
	var claims map[string]any
	if err := json.NewDecoder(me.Body).Decode(&claims); err != nil || me.StatusCode != http.StatusOK {
		return "account", fmt.Errorf("status %d, %v", me.StatusCode, err)
	}
	if claims["sub"] == nil && claims["id"] == nil {
		return "account", errors.New("neither sub nor id says whose account it is")
	}
	if got := w.status(typ, token.AccessToken); got != http.StatusOK {
		return "call", fmt.Errorf("the API answers %d to the token", got)
	}
	if token.RefreshToken != "" {
		fresh, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
		if err != nil {
			return "refresh", err
		}
		token = fresh
	} else if !token.Expiry.IsZero() {
		return "refresh", errors.New("the token expires and there is no refresh token")
	}
	revoked, err := http.PostForm(endpoints.Revoke, url.Values{
		"token": {token.AccessToken}, "client_id": {reg.ClientID}, "client_secret": {"sandbox-secret"},
	})
	if err != nil {
		return "revoke", err
	}
	revoked.Body.Close()
	if w.status(typ, token.AccessToken) == http.StatusOK && table[typ].revoke != oauth.RevokedUnsupported {
		return "revoke", fmt.Errorf("status %d, and the token lives on", revoked.StatusCode)
	}
	return "", nil
}

func (w *world) status(typ, token string) int {
	req, err := http.NewRequest(http.MethodGet, w.web.URL+"/"+typ+"/api/whoami", nil)
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+token)
	answer, err := ownClient.Do(req)
	if err != nil {
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

// The reason why there is a catalogue: how far a generic client comes with each type.
// The outcome is written down in testdata/naive.txt, from where docs/connectors.md takes
// it; UPDATE=1 writes it anew.
func TestNaiveClient(t *testing.T) {
	outcome := map[string]string{}
	fails := 0
	for _, typ := range catalogue(t).Types() {
		w := newWorld(t)
		step, err := naive(w, typ, w.registration(t, entry(t, typ)))
		outcome[typ] = "all"
		if step != "" {
			fails++
			outcome[typ] = step
			t.Logf("%-22s %-10s %v", typ, step, firstLine(err))
		}
	}
	var b strings.Builder
	for _, typ := range slices.Sorted(maps.Keys(outcome)) {
		fmt.Fprintf(&b, "%s %s\n", typ, outcome[typ])
	}
	t.Logf("a generic client fails with %d of %d types", fails, len(outcome))
	const file = "testdata/naive.txt"
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("the outcome is not what %s says (UPDATE=1 go test ./e2e/types -run TestNaiveClient writes it):\n%s", file, b.String())
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
	return line
}
