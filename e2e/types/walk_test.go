package types

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"patchbay/e2e/stack"
	"patchbay/provider"
)

// everyConnector is a stack whose app offers every type of the catalogue.
func everyConnector(t *testing.T) (*stack.Stack, *provider.Catalog) {
	t.Helper()
	s, c := stack.New(t), catalogue(t)
	var extra strings.Builder
	for _, typ := range c.Types() {
		if typ != "github" && typ != "googlecalendar" && typ != "slack" { // every app of the stack has these
			extra.WriteString(s.ConnectorYAML(typ, typ, "client-of-acme"))
		}
	}
	s.Apply(s.AppsYAML(extra.String()))
	return s, c
}

// fill is what a person types into the fields of a connector.
func fill(e *provider.Entry) []string {
	var fields []string
	for _, p := range e.ParamFields(nil) {
		if p.Required {
			fields = append(fields, "param."+p.Name, p.Example)
		}
	}
	return fields
}

// A person walks through all of them: each links in its provider's own shape, shows the
// account and what the app can do in words, hands out a fresh token when the old one has
// run out, and ends with a true receipt.
func TestWalkThroughAllTypes(t *testing.T) {
	t.Parallel()
	s, c := everyConnector(t)
	browser := s.Browser()
	first := map[string]string{}
	for _, typ := range c.Types() {
		e, _ := c.Entry(typ)
		list := browser.AtApp(s.Acme, "dana").SignIn(s.Acme, "dana")
		result := list.In(typ).Submit("connect", fill(e)...).WantStatus(http.StatusOK).Approve("dana@sandbox.example").Rest()
		code := "connected"
		if table[typ].lives != never && table[typ].refresh == "" {
			code = "no_refresh_token" // and the page says what that means
		}
		result.WantFlow("connected", code)
		words := result.Doc.Text()
		for _, scope := range e.DefaultScopes() {
			if scope == "offline_access" {
				continue // not listed by every provider, and then not shown as granted
			}
			if ability, _ := e.Ability(scope); !strings.Contains(words, ability) {
				t.Errorf("%s: the result does not say %q", typ, ability)
			}
		}
		for _, ability := range e.Scopes.Abilities {
			if !strings.Contains(words, ability) {
				t.Errorf("%s: the result does not say %q", typ, ability)
			}
		}
		card := browser.Get(s.URL + "/apps/acme").In(typ)
		if card.State(typ) != "connected" || card.Field("account") == "" {
			t.Errorf("%s: state %s, account %q", typ, card.State(typ), card.Field("account"))
		}
		answer := s.Acme.Token("dana", typ).Want(http.StatusOK, "")
		first[typ] = answer.Text("access_token")
		for name := range strings.FieldsSeq(table[typ].config) {
			if answer.Text("connection_config", name) == "" {
				t.Errorf("%s: connection_config lacks %s: %s", typ, name, answer.Body)
			}
		}
		if status := apiStatus(t, s, typ, first[typ]); status != http.StatusOK {
			t.Errorf("%s: the API answers %d", typ, status)
		}
	}

	// Every token that can run out has run out, but for the one that must be renewed
	// while it lives.
	s.Advance(31 * 24 * time.Hour)
	if err := s.Service.RefreshDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, typ := range c.Types() {
		e, _ := c.Entry(typ)
		want := table[typ]
		if want.lives > 31*24*time.Hour && e.Refresh.Ahead == 0 || want.lives == never || want.refresh == "" {
			continue
		}
		fresh := s.Acme.Token("dana", typ).Want(http.StatusOK, "").Text("access_token")
		if fresh == first[typ] {
			t.Errorf("%s: the old token again", typ)
		}
		if status := apiStatus(t, s, typ, fresh); status != http.StatusOK {
			t.Errorf("%s: the API answers %d to the refreshed token", typ, status)
		}
	}

	for _, typ := range c.Types() {
		browser.AtApp(s.Acme, "dana").SignIn(s.Acme, "dana")
		token := s.Acme.Token("dana", typ).Want(http.StatusOK, "").Text("access_token")
		asking := browser.Get(s.URL + "/apps/acme").In(typ).Click("disconnect")
		receipt := asking.Submit("confirm").Rest()
		want := string(table[typ].revoke)
		if got := receipt.Doc.Find("main").AttrOr("data-revoked", ""); got != want {
			t.Errorf("%s: the receipt says %q, want %q", typ, got, want)
		}
		if dead := apiStatus(t, s, typ, token) != http.StatusOK; dead == (want == "unsupported") {
			t.Errorf("%s: the receipt says %s, and the token is dead: %v", typ, want, dead)
		}
		s.Acme.Token("dana", typ).Want(http.StatusNotFound, "not_connected")
	}
}

func apiStatus(t *testing.T, s *stack.Stack, typ, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Provider+"/"+typ+"/api/whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	answer, err := ownClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}
