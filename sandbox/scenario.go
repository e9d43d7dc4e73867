package sandbox

import (
	"slices"
	"time"
)

// The scenarios: what a person or a test can ask the provider to do with one
// authorization.
const (
	Approve        = "approve"
	Deny           = "deny"
	FewerScopes    = "fewer_scopes"
	OtherAccount   = "other_account"
	SlowToken      = "slow_token"
	Token500Once   = "token_500_once"
	WrongIss       = "wrong_iss"
	NoRefreshToken = "no_refresh_token"
	Rotating       = "rotating"
	ReuseRevokes   = "reuse_revokes_family"
	RevokedLater   = "revoked_later"
	Expires5s      = "expires_5s"
	Coop           = "coop"
	FormPost       = "form_post"
	ErrorPage      = "error_page"
)

const (
	wrongIssuer       = "https://attacker.example"
	slowTokenDelay    = 3 * time.Second
	expires5sLifetime = 5 * time.Second
	revokedLaterAfter = 5 * time.Second

	// A grant that is revoked after 5 s is given an access token of 10 s, so that a
	// client which refreshes in time learns of it at once and not hours later.
	revokedLaterLifetime = 2 * revokedLaterAfter
)

// scenario is one row of the choice on the consent page.
type scenario struct {
	Name, Means string

	// expiring: the provider's tokens expire for this grant, and are refreshed, even
	// where they by default do not.
	expiring bool
	lifetime time.Duration // of the access token; 0: the provider's own
	rotates  bool          // a refresh ends the refresh token it used
	withhold bool          // no refresh token is given
}

// scenarios has them in the order of the page.
var scenarios = []scenario{
	{Name: Approve, Means: "grant everything that was asked"},
	{Name: Deny, Means: "refuse, as the Deny button does"},
	{Name: FewerScopes, Means: "leave out the last permission"},
	{Name: OtherAccount, Means: "approve as another account"},
	{Name: SlowToken, Means: "the token endpoint takes 3 seconds", expiring: true},
	{Name: Token500Once, Means: "the first token request fails with 500", expiring: true},
	{Name: WrongIss, Means: "come back with a foreign iss"},
	{Name: NoRefreshToken, Means: "the token expires, nothing to refresh it", expiring: true, withhold: true},
	{Name: Rotating, Means: "each refresh ends the old refresh token", expiring: true, rotates: true},
	{Name: ReuseRevokes, Means: "rotating; reusing an old one ends all", expiring: true, rotates: true},
	{Name: RevokedLater, Means: "works, and is revoked here after 5 seconds", expiring: true, lifetime: revokedLaterLifetime},
	{Name: Expires5s, Means: "the access token lives 5 seconds", expiring: true, lifetime: expires5sLifetime},
	{Name: Coop, Means: "pages that cut off the window that opened them"},
	{Name: FormPost, Means: "come back by a form that posts itself"},
	{Name: ErrorPage, Means: "show an error, never come back"},
}

func scenarioByName(name string) (scenario, bool) {
	i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.Name == name })
	if i < 0 {
		return scenario{}, false
	}
	return scenarios[i], true
}

func scenarioNames() []string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.Name
	}
	return names
}
