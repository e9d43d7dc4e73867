package types

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/oauth"
	"patchbay/vault"
)

// expected is what is known of a type beside the catalogue and the sandbox.
type expected struct {
	refresh string // "" none, "kept" the refresh token stays, "new" every refresh brings another
	lives   time.Duration
	revoke  oauth.Revoked
	config  string // names in connection_config
	noEmail bool   // the provider tells no e-mail address, or not with the default scopes
	noName  bool

	// Refusals that a provider's errors do not tell from others.
	vagueClient, vagueCode, vagueDead bool
}

const (
	never = time.Duration(0)
	hour  = time.Hour
)

// The types of the contract, and what each is known to do (the facts are listed, with
// their sources, in docs/connectors.md).
var table = map[string]expected{
	"airtable":              {refresh: "new", lives: hour, revoke: oauth.RevokedUnsupported, noName: true},
	"asana":                 {refresh: "kept", lives: hour, revoke: oauth.RevokedYes},
	"bamboohr":              {refresh: "new", lives: hour, revoke: oauth.RevokedUnsupported, config: "subdomain", noName: true},
	"box":                   {refresh: "new", lives: hour, revoke: oauth.RevokedYes},
	"calendly":              {refresh: "new", lives: 2 * hour, revoke: oauth.RevokedYes, config: "organization_uri user_uri"},
	"clickup":               {lives: never, revoke: oauth.RevokedUnsupported, vagueCode: true},
	"contentful":            {lives: never, revoke: oauth.RevokedUnsupported},
	"databricks":            {refresh: "kept", lives: hour, revoke: oauth.RevokedUnsupported, config: "host"},
	"discord":               {refresh: "new", lives: 7 * 24 * hour, revoke: oauth.RevokedYes},
	"dropbox":               {refresh: "kept", lives: 4 * hour, revoke: oauth.RevokedYes, config: "account_id"},
	"github":                {lives: never, revoke: oauth.RevokedYes},
	"gitlab":                {refresh: "new", lives: 2 * hour, revoke: oauth.RevokedYes},
	"gmail":                 {refresh: "kept", lives: hour, revoke: oauth.RevokedYes},
	"google_analytics":      {refresh: "kept", lives: hour, revoke: oauth.RevokedYes},
	"google_classroom":      {refresh: "kept", lives: hour, revoke: oauth.RevokedYes},
	"google_search_console": {refresh: "kept", lives: hour, revoke: oauth.RevokedYes},
	"googleads":             {refresh: "kept", lives: hour, revoke: oauth.RevokedYes},
	"googlebigquery":        {refresh: "kept", lives: hour, revoke: oauth.RevokedYes},
	"googlecalendar":        {refresh: "kept", lives: hour, revoke: oauth.RevokedYes},
	"googledocs":            {refresh: "kept", lives: hour, revoke: oauth.RevokedYes},
	"googledrive":           {refresh: "kept", lives: hour, revoke: oauth.RevokedYes},
	"googlemeet":            {refresh: "kept", lives: hour, revoke: oauth.RevokedYes},
	"googlesheets":          {refresh: "kept", lives: hour, revoke: oauth.RevokedYes},
	"googleslides":          {refresh: "kept", lives: hour, revoke: oauth.RevokedYes},
	"googletasks":           {refresh: "kept", lives: hour, revoke: oauth.RevokedYes},
	"hubspot":               {refresh: "kept", lives: hour / 2, revoke: oauth.RevokedYes, config: "hub_id", noEmail: true},
	"hugging_face":          {refresh: "new", lives: 8 * hour, revoke: oauth.RevokedUnknown, noEmail: true},
	"instagram":             {refresh: "new", lives: 59 * 24 * hour, revoke: oauth.RevokedUnsupported, noEmail: true, vagueClient: true, vagueCode: true},
	"jira":                  {refresh: "new", lives: hour, revoke: oauth.RevokedUnknown, config: "cloud_id site_url"},
	"linear":                {refresh: "new", lives: 24 * hour, revoke: oauth.RevokedYes, config: "organization_id"},
	"linkedin":              {lives: 60 * 24 * hour, revoke: oauth.RevokedUnknown},
	"microsoft_teams":       {refresh: "new", lives: hour, revoke: oauth.RevokedUnsupported, config: "tenant_id"},
	"notion":                {refresh: "new", lives: never, revoke: oauth.RevokedYes, config: "bot_id workspace_id", vagueDead: true},
	"one_drive":             {refresh: "new", lives: hour, revoke: oauth.RevokedUnsupported, config: "tenant_id"},
	"outlook":               {refresh: "new", lives: hour, revoke: oauth.RevokedUnsupported, config: "tenant_id"},
	"quickbooks":            {refresh: "kept", lives: hour, revoke: oauth.RevokedYes, config: "realm_id", vagueDead: true},
	"salesforce":            {refresh: "kept", lives: hour / 4, revoke: oauth.RevokedYes, config: "instance_url"},
	"share_point":           {refresh: "new", lives: hour, revoke: oauth.RevokedUnsupported, config: "tenant_id"},
	"slack":                 {lives: never, revoke: oauth.RevokedYes, config: "team_id user_id", noEmail: true},
	"slackbot":              {lives: never, revoke: oauth.RevokedYes, config: "team_id bot_user_id", noEmail: true},
	"snowflake":             {refresh: "kept", lives: 10 * time.Minute, revoke: oauth.RevokedUnsupported, config: "account username", noEmail: true},
	"splitwise":             {lives: never, revoke: oauth.RevokedUnsupported},
	"square":                {refresh: "kept", lives: 30 * 24 * hour, revoke: oauth.RevokedYes, config: "merchant_id", noEmail: true, vagueDead: true},
	"stripe":                {refresh: "kept", lives: never, revoke: oauth.RevokedYes, config: "stripe_user_id livemode", vagueDead: true},
	"supabase":              {refresh: "new", lives: hour, revoke: oauth.RevokedYes, vagueDead: true},
	"tiktok":                {refresh: "new", lives: 2 * hour, revoke: oauth.RevokedYes, config: "open_id", noEmail: true},
	"typeform":              {refresh: "new", lives: 7 * 24 * hour, revoke: oauth.RevokedUnsupported},
	"wix":                   {refresh: "kept", lives: 4 * hour, revoke: oauth.RevokedUnsupported, config: "instance_id"},
	"wrike":                 {refresh: "new", lives: hour, revoke: oauth.RevokedUnsupported, config: "host"},
	"x":                     {refresh: "new", lives: 2 * hour, revoke: oauth.RevokedYes, noEmail: true, vagueCode: true},
	"zoom":                  {refresh: "new", lives: hour, revoke: oauth.RevokedYes, config: "api_url"},
}

// The catalogue, the table and the contract name the same 51 types.
func TestTheTypesOfTheContract(t *testing.T) {
	want := strings.Fields(`airtable box clickup discord dropbox github gmail google_analytics googlebigquery googlecalendar
		google_classroom googledocs googledrive google_search_console googlesheets googleslides hubspot linear linkedin
		microsoft_teams one_drive notion outlook salesforce share_point slack slackbot splitwise tiktok typeform wix wrike
		bamboohr calendly contentful databricks gitlab googleads googlemeet googletasks hugging_face instagram quickbooks
		snowflake square supabase x asana jira stripe zoom`)
	slices.Sort(want)
	if got := catalogue(t).Types(); !slices.Equal(got, want) {
		t.Errorf("the catalogue has %d types %v, the contract %d", len(got), got, len(want))
	}
	if got := slices.Sorted(maps.Keys(table)); !slices.Equal(got, want) {
		t.Errorf("the table has %v", got)
	}
}

// Every type, from the authorization request to its end at the provider.
func TestEveryType(t *testing.T) {
	for _, typ := range catalogue(t).Types() {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			t.Run("links, refreshes, ends", func(t *testing.T) { linksRefreshesEnds(t, typ) })
			t.Run("is denied", func(t *testing.T) { isDenied(t, typ) })
			t.Run("is refused", func(t *testing.T) { isRefused(t, typ) })
			t.Run("fewer scopes", func(t *testing.T) { fewerScopes(t, typ) })
			t.Run("turns away", func(t *testing.T) { turnsAway(t, typ) })
		})
	}
}

// link makes a whole grant, as connect does.
func (w *world) link(t *testing.T, reg oauth.Registration, scenario, account string) (oauth.Tokens, oauth.Account) {
	t.Helper()
	v := w.authorize(t, reg, scenario, account)
	e := reg.Entry
	if err := e.CheckIssuer(reg.Overrides, reg.Endpoints, v.callback["iss"]); err != nil {
		t.Fatal(err)
	}
	tokens, err := w.exchange(v)
	if err != nil {
		t.Fatalf("exchange: %v", err)
	}
	got, err := w.client.Account(ctx, reg, &tokens)
	if err != nil {
		t.Fatalf("account: %v", err)
	}
	if err := w.client.CheckIDToken(ctx, reg, tokens, got, v.asked.Scopes, v.asked.Nonce); err != nil {
		t.Fatalf("ID token: %v", err)
	}
	if tokens.Scopes != nil {
		if missing := e.Missing(v.asked.Scopes, tokens.Scopes); scenario == "approve" && len(missing) > 0 {
			t.Errorf("granted %v, so %v would be missing", tokens.Scopes, missing)
		}
	}
	return tokens, got
}

func linksRefreshesEnds(t *testing.T, typ string) {
	w, e, want := newWorld(t), entry(t, typ), table[typ]
	reg := w.registration(t, e)
	tokens, account := w.link(t, reg, "approve", "dana@sandbox.example")

	if account.ID == "" || (account.Name == "") != want.noName || (account.Email == "") != want.noEmail {
		t.Errorf("account %+v", account)
	}
	for name := range strings.FieldsSeq(want.config) {
		if tokens.ConnectionConfig[name] == "" {
			t.Errorf("connection_config has no %s: %v", name, tokens.ConnectionConfig)
		}
	}
	if got := tokens.ExpiresAt.Sub(w.now()); tokens.ExpiresAt.IsZero() != (want.lives == never) || want.lives != never && (got < want.lives-2*time.Minute || got > want.lives+48*time.Hour && want.lives > 48*time.Hour || got > want.lives+time.Hour && want.lives <= 48*time.Hour) {
		t.Errorf("the token lives %v, want about %v", got, want.lives)
	}
	if got := w.whoami(t, typ, tokens); got != http.StatusOK {
		t.Errorf("the API answers %d to the token", got)
	}
	// The same person is the same account, another person another one.
	if _, again := w.link(t, reg, "approve", "dana@sandbox.example"); again.ID != account.ID {
		t.Errorf("the account's id was %q and is %q", account.ID, again.ID)
	}
	if _, other := w.link(t, reg, "approve", "sam@elsewhere.example"); other.ID == account.ID {
		t.Errorf("two accounts have the id %q", other.ID)
	}

	tokens, _ = w.link(t, reg, "approve", "kim@sandbox.example")
	tokens = refreshes(t, w, reg, tokens, want)
	ends(t, w, reg, tokens, want)
}

func refreshes(t *testing.T, w *world, reg oauth.Registration, tokens oauth.Tokens, want expected) oauth.Tokens {
	t.Helper()
	if (tokens.RefreshToken.IsZero()) != (want.refresh == "") {
		t.Fatalf("there is a refresh token: %v, want %q", !tokens.RefreshToken.IsZero(), want.refresh)
	}
	if want.refresh == "" {
		return tokens
	}
	for range 2 {
		w.later(2 * 24 * time.Hour / 48) // an hour: the token is old, the grant is not
		if typ := reg.Entry.Type; typ == "instagram" {
			w.later(25 * time.Hour)
		}
		next, err := w.client.Refresh(ctx, reg, tokens.RefreshToken, reg.Entry.DefaultScopes())
		if err != nil {
			t.Fatalf("refresh: %v", err)
		}
		if next.AccessToken == tokens.AccessToken {
			t.Error("the refresh brought the same access token")
		}
		changed := !next.RefreshToken.IsZero() && next.RefreshToken != tokens.RefreshToken
		if changed != (want.refresh == "new") {
			t.Errorf("the refresh token changed: %v, want it %s", changed, want.refresh)
		}
		if next.RefreshToken.IsZero() {
			next.RefreshToken = tokens.RefreshToken
		}
		next.ConnectionConfig = tokens.ConnectionConfig
		if got := w.whoami(t, reg.Entry.Type, next); got != http.StatusOK {
			t.Errorf("the API answers %d to the refreshed token", got)
		}
		tokens = next
	}
	return tokens
}

// ends revokes, and sees that the receipt is true.
func ends(t *testing.T, w *world, reg oauth.Registration, tokens oauth.Tokens, want expected) {
	t.Helper()
	got, err := w.client.RevokeDetail(ctx, reg, tokens)
	if got != want.revoke {
		t.Fatalf("revoked %s, %v, want %s", got, err, want.revoke)
	}
	status := w.whoami(t, reg.Entry.Type, tokens)
	if dead := status == http.StatusUnauthorized; dead != (want.revoke != oauth.RevokedUnsupported) {
		t.Errorf("after revoked=%s the API answers %d", got, status)
	}
	if want.refresh != "" && want.revoke == oauth.RevokedYes {
		if _, err := w.client.Refresh(ctx, reg, tokens.RefreshToken, reg.Entry.DefaultScopes()); oauth.ClassOf(err) != oauth.GrantDead {
			t.Errorf("a refresh of the ended grant: %v", err)
		}
	}
	if want.revoke == oauth.RevokedYes && !want.vagueDead {
		if again, err := w.client.RevokeDetail(ctx, reg, tokens); again != oauth.RevokedYes {
			t.Errorf("revoked once more: %s, %v", again, err)
		}
	}
}

// isDenied: the person says no, in the provider's words.
func isDenied(t *testing.T, typ string) {
	w, e := newWorld(t), entry(t, typ)
	reg := w.registration(t, e)
	if typ == "wix" { // nobody is sent back who does not install
		if _, err := w.tryAuthorize(reg, "deny", ""); err == nil {
			t.Error("the provider sent the browser back")
		}
		return
	}
	v := w.authorize(t, reg, "deny", "")
	if got := oauth.CallbackError(e, v.callback.Get("error")); got.Class != oauth.Denied || v.callback.Has(e.Authorize.CodeParam) {
		t.Errorf("the callback %v is %v", v.callback, got)
	}
}

// isRefused: what a provider says no to is understood, and a new client secret beside
// the old one costs neither the code nor the refresh token.
func isRefused(t *testing.T, typ string) {
	w, e := newWorld(t), entry(t, typ)
	reg := w.registration(t, e)

	wrong := reg
	wrong.ClientSecrets = []vault.Secret{vault.NewSecret("wrong")}
	v := w.authorize(t, reg, "approve", "")
	v.reg = wrong
	// Wix is not asked: what the callback brings is not signed with this secret.
	want, vague := oauth.ConnectorFault, typ == "wix" || table[typ].vagueClient
	if vague {
		want = oauth.ProviderFault
	}
	if _, err := w.exchange(v); oauth.ClassOf(err) != want {
		t.Errorf("the wrong secret: %v", err)
	}
	v.reg.ClientSecrets = []vault.Secret{vault.NewSecret("wrong"), vault.NewSecret("sandbox-secret")}
	if table[typ].vagueClient { // so the next secret is not tried
		v.reg = reg
	}
	tokens, err := w.exchange(v)
	if err != nil {
		t.Fatalf("the older secret after the wrong one: %v", err)
	}
	if typ != "wix" { // whose code is a signature, and not used up
		v.reg = reg
		if _, err := w.exchange(v); oauth.ClassOf(err) != deadCode(typ) {
			t.Errorf("the same code once more: %v", err)
		}
	}
	if !tokens.RefreshToken.IsZero() {
		if _, err := w.client.Refresh(ctx, reg, vault.NewSecret("5f8cda49-0000-4000-8000-000000000000"), e.DefaultScopes()); oauth.ClassOf(err) != oauth.GrantDead {
			t.Errorf("an unknown refresh token: %v", err)
		}
		if _, err := w.client.Account(ctx, reg, &oauth.Tokens{AccessToken: vault.NewSecret("unknown"), ConnectionConfig: tokens.ConnectionConfig}); typ != "bamboohr" && oauth.ClassOf(err) != oauth.GrantDead {
			t.Errorf("an unknown access token: %v", err)
		}
	}
	v = w.authorize(t, reg, "token_500_once", "")
	if _, err := w.exchange(v); oauth.ClassOf(err) != oauth.Transient {
		t.Errorf("a provider in trouble: %v", err)
	}
	if _, err := w.exchange(v); err != nil {
		t.Errorf("and once it is well: %v", err)
	}
}

// deadCode is what becomes of an exchange with a code that is no good.
func deadCode(typ string) oauth.Class {
	if table[typ].vagueCode {
		return oauth.ProviderFault
	}
	return oauth.GrantDead
}

// fewerScopes: where the provider names what it granted, what is missing is known.
func fewerScopes(t *testing.T, typ string) {
	w, e := newWorld(t), entry(t, typ)
	reg := w.registration(t, e)
	v := w.authorize(t, reg, "fewer_scopes", "")
	tokens, err := w.exchange(v)
	if err != nil {
		t.Fatal(err)
	}
	silent := tokens.Scopes == nil
	missing := e.Missing(v.asked.Scopes, tokens.Scopes)
	asked := slices.DeleteFunc(slices.Clone(v.asked.Scopes), func(s string) bool { return isIdentity(s) })
	if !silent && len(asked) > 1 && len(missing) != 1 {
		t.Errorf("asked %v, granted %v, missing %v", v.asked.Scopes, tokens.Scopes, missing)
	}
	for _, scope := range v.asked.Scopes {
		if _, known := e.Ability(scope); !known {
			t.Errorf("the scope %s is not said in words", scope)
		}
	}
}

// isIdentity tells scopes that the sandbox never withholds, since they say who it is.
func isIdentity(scope string) bool {
	return slices.Contains([]string{"openid", "email", "profile", "offline_access", "refresh_token", "offline", "offline.access", "User.Read", "identify", "users.read", "tweet.read"}, scope)
}

// turnsAway: the imitation is strict. What every type refuses is refused here.
func turnsAway(t *testing.T, typ string) {
	w, e := newWorld(t), entry(t, typ)
	reg := w.registration(t, e)
	v := w.authorize(t, reg, "approve", "")
	u, err := url.Parse(v.address)
	if err != nil {
		t.Fatal(err)
	}
	if e.Authorize.PKCE.Mode == "required" {
		q := u.Query()
		q.Del("code_challenge")
		q.Del("code_challenge_method")
		if code := w.asked(t, *u, q); code != "" {
			t.Errorf("without a code challenge there came the code %q", code)
		}
	}
	if e.UsesPKCE() && e.Authorize.PKCE.Mode != "ignored" {
		v = w.authorize(t, reg, "approve", "")
		v.asked.Verifier = oauth.NewVerifier()
		if _, err := w.exchange(v); oauth.ClassOf(err) != deadCode(typ) {
			t.Errorf("another verifier: %v", err)
		}
	}
}

// asked opens an authorize address with another query and returns the code it gives.
func (w *world) asked(t *testing.T, u url.URL, q url.Values) string {
	t.Helper()
	if err := w.Next("approve", ""); err != nil {
		t.Fatal(err)
	}
	u.RawQuery = q.Encode()
	answer, err := noRedirect.Get(u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	back, err := answer.Location()
	if err != nil {
		return ""
	}
	return back.Query().Get("code")
}
