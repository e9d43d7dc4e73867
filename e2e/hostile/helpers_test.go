package hostile

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"patchbay/e2e/stack"
)

// way is one way to begin a flow: of an app with or without verify_url, from a browser
// session or from a link.
type way struct {
	name  string
	app   func(*stack.Stack) *stack.App
	begin func(b *stack.Browser, a *stack.App, user string) *stack.Page // the interstitial
}

func acme(s *stack.Stack) *stack.App  { return s.Acme }
func human(s *stack.Stack) *stack.App { return s.Human }

func bySession(b *stack.Browser, a *stack.App, user string) *stack.Page {
	return b.SignIn(a, user).Connect("github")
}

func byLink(b *stack.Browser, a *stack.App, user string) *stack.Page {
	return b.AtApp(a, user).Come(a.Link(user, "github").URL).Connect("github")
}

func byInitiate(b *stack.Browser, a *stack.App, user string) *stack.Page {
	return b.AtApp(a, user).Come(a.Initiate(user, "github").Text("redirect_url")).Connect("github")
}

var ways = []way{
	{"app proof, session", acme, bySession},
	{"app proof, link", acme, byLink},
	{"app proof, initiate", acme, byInitiate},
	{"human proof, session", human, bySession},
	{"human proof, link", human, byLink},
	{"human proof, initiate", human, byInitiate},
}

// everyWay runs a test once for each way to begin, on a stack of its own.
func everyWay(t *testing.T, test func(t *testing.T, s *stack.Stack, a *stack.App, begin func(b *stack.Browser, user string) *stack.Page)) {
	t.Parallel()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			s := stack.New(t)
			a := w.app(s)
			test(t, s, a, func(b *stack.Browser, user string) *stack.Page { return w.begin(b, a, user) })
		})
	}
}

// bothProofs is everyWay from a session only.
func bothProofs(t *testing.T, test func(t *testing.T, s *stack.Stack, a *stack.App)) {
	t.Parallel()
	for name, app := range map[string]func(*stack.Stack) *stack.App{"app proof": acme, "human proof": human} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stack.New(t)
			test(t, s, app(s))
		})
	}
}

// edit changes the query of an address.
func edit(t *testing.T, address string, change func(q url.Values)) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	change(q)
	u.RawQuery = q.Encode()
	return u.String()
}

// query is one parameter of an address.
func query(t *testing.T, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get(name)
}

// wantSilent requires that a page names nothing of what it must not tell.
func wantSilent(t *testing.T, p *stack.Page, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(p.Body, secret) {
			t.Errorf("%s tells %q\n%s", p.URL.Path, secret, p.Body)
		}
	}
}

// wantNoCookie requires that an answer sets none.
func wantNoCookie(t *testing.T, h http.Header) {
	t.Helper()
	if set := h.Values("Set-Cookie"); len(set) > 0 {
		t.Errorf("a cookie is set: %q", set)
	}
}

// wantTokenCalls requires how often the provider's token endpoint was called.
func wantTokenCalls(t *testing.T, s *stack.Stack, want int) {
	t.Helper()
	if got := s.TokenCalls(); got != want {
		t.Errorf("the token endpoint was called %d times, want %d", got, want)
	}
}

// wantRows requires how many connections an app has.
func wantRows(t *testing.T, s *stack.Stack, a *stack.App, want int) {
	t.Helper()
	if got := len(s.Rows(a)); got != want {
		t.Errorf("app %s has %d connections, want %d", a.ID, got, want)
	}
}
