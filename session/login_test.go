package session

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"patchbay/connect"
	"patchbay/e2e/stack/openid"
	"patchbay/store"
	"patchbay/vault"
)

// signIn is an app with a sign-in, its provider, and one browser.
type signIn struct {
	*Logins
	t   *testing.T
	op  *openid.Provider
	app *connect.App
	now time.Time
	jar []*http.Cookie
}

func newSignIn(t *testing.T) *signIn {
	t.Helper()
	s := &signIn{t: t, op: openid.New(t), now: clock}
	now := func() time.Time { return s.now }
	s.op.Now = now
	line, err := vault.NewKeyLine(clock)
	must(t, err)
	ring, err := vault.ParseKeys(vault.NewSecret(line))
	must(t, err)
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "patchbay.db"), store.Options{})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	service := &connect.Service{Store: db, Sealer: ring, PublicURL: "https://patchbay.example", Now: now}
	s.app = &connect.App{ID: "acme", Name: "Acme Notes", Login: &connect.Login{
		Issuer: s.op.URL, ClientID: s.op.ClientID, ClientSecret: vault.NewSecret(s.op.ClientSecret), UserClaim: "sub",
	}}
	s.op.RedirectURI = "https://patchbay.example/login/acme/callback"
	s.Logins = &Logins{Service: service, HTTP: &http.Client{CheckRedirect: noRedirect}, Secure: true, Now: now}
	return s
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begin returns the provider's address for the browser.
func (s *signIn) begin() (string, error) {
	w := httptest.NewRecorder()
	to, err := s.Begin(w, httptest.NewRequest(http.MethodGet, "/login/acme", nil), s.app, "/apps/acme/settings")
	if err == nil {
		s.jar = w.Result().Cookies()
	} else if len(w.Result().Cookies()) > 0 {
		s.t.Error("a sign-in that does not begin sets a cookie")
	}
	return to, err
}

// leave goes to the provider and returns the query with which the browser comes back.
func (s *signIn) leave(to string) url.Values {
	s.t.Helper()
	resp, err := s.HTTP.Get(to)
	must(s.t, err)
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		s.t.Fatalf("the provider answers %s", resp.Status)
	}
	return back.Query()
}

func (s *signIn) back(q url.Values) (connect.EndUser, string, error) {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/login/acme/callback?"+q.Encode(), nil)
	for _, c := range s.jar {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	user, next, err := s.Finish(w, r, s.app)
	if len(s.jar) > 0 {
		cleared := w.Result().Cookies()
		if len(cleared) != 1 || cleared[0].Name != "__Host-patchbay_login" || cleared[0].MaxAge >= 0 || cleared[0].Value != "" {
			s.t.Errorf("the attempt's cookie is not cleared: %v", cleared)
		}
	}
	s.jar = nil
	return user, next, err
}

// round signs in all the way.
func (s *signIn) round() (connect.EndUser, error) {
	s.t.Helper()
	to, err := s.begin()
	if err != nil {
		return connect.EndUser{}, err
	}
	user, _, err := s.back(s.leave(to))
	return user, err
}

func wantCode(t *testing.T, what string, err error, want connect.Code) {
	t.Helper()
	if err == nil || connect.CodeOf(err) != want {
		t.Errorf("%s: got %v, want %s", what, err, want)
	}
	if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "eyJ")) {
		t.Errorf("%s: the error holds a secret or a body: %v", what, err)
	}
}

func TestSignIn(t *testing.T) {
	s := newSignIn(t)
	to, err := s.begin()
	must(t, err)
	c := s.jar[0]
	if len(s.jar) != 1 || c.Name != "__Host-patchbay_login" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 600 {
		t.Errorf("%+v", c)
	}
	asked, err := url.Parse(to)
	must(t, err)
	for name, want := range map[string]string{
		"response_type": "code", "response_mode": "query", "client_id": "patchbay", "scope": "openid profile email",
		"redirect_uri": "https://patchbay.example/login/acme/callback", "code_challenge_method": "S256",
	} {
		if got := asked.Query().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"state", "nonce"} {
		value := asked.Query().Get(name)
		if raw, _ := base64.RawURLEncoding.DecodeString(value); len(raw) != 32 {
			t.Errorf("%s is %q, want 256 bits in base64url", name, value)
		}
		if raw, _ := base64.RawURLEncoding.DecodeString(c.Value); strings.Contains(string(raw), value) || strings.Contains(c.Value, value) {
			t.Errorf("%s can be read from the cookie", name)
		}
	}
	user, next, err := s.back(s.leave(to))
	must(t, err)
	if want := (connect.EndUser{ID: "dana", Name: "Dana Smith", Email: "dana@acme.example"}); user != want || next != "/apps/acme/settings" {
		t.Errorf("%+v, next %q", user, next)
	}
	if calls := s.op.Calls("/token"); len(calls) != 1 || !strings.HasPrefix(calls[0].Authorization, "Basic ") || calls[0].Form.Has("client_secret") || len(calls[0].Form.Get("code_verifier")) < 43 {
		t.Errorf("token calls: %d", len(calls))
	}
	if _, err := s.round(); err != nil {
		t.Error(err)
	}
	if discoveries, sets := len(s.op.Calls("/.well-known/openid-configuration")), len(s.op.Calls("/jwks")); discoveries != 1 || sets != 1 {
		t.Errorf("metadata was fetched %d times and keys %d times for two sign-ins", discoveries, sets)
	}
}

func TestSignInAuthenticatesTheClientAsTheProviderSays(t *testing.T) {
	for name, test := range map[string]struct {
		methods any
		secret  bool
		basic   bool
	}{
		"both":                    {[]string{"client_secret_post", "client_secret_basic"}, true, true},
		"nothing said":            {nil, true, true},
		"post only":               {[]string{"client_secret_post", "private_key_jwt"}, true, false},
		"public client":           {[]string{"client_secret_basic", "none"}, false, false},
		"public, nothing is said": {nil, false, false},
	} {
		s := newSignIn(t)
		if !test.secret {
			s.op.ClientSecret, s.app.Login.ClientSecret = "", vault.Secret{}
		}
		s.op.Change(func(r *openid.Rules) {
			r.Metadata = func(m map[string]any) {
				m["token_endpoint_auth_methods_supported"] = test.methods
				if test.methods == nil {
					delete(m, "token_endpoint_auth_methods_supported")
				}
			}
		})
		if _, err := s.round(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if calls := s.op.Calls("/token"); len(calls) != 1 || (calls[0].Authorization != "") != test.basic {
			t.Errorf("%s: %d calls of the token endpoint, basic wanted: %v", name, len(calls), test.basic)
		}
	}
}

func TestSignInRefusesIDTokens(t *testing.T) {
	claims := func(change func(c map[string]any)) func(*signIn, *openid.Rules) {
		return func(_ *signIn, r *openid.Rules) { r.Claims = change }
	}
	set := func(name string, value any) func(*signIn, *openid.Rules) {
		return claims(func(c map[string]any) { c[name] = value })
	}
	without := func(name string) func(*signIn, *openid.Rules) {
		return claims(func(c map[string]any) { delete(c, name) })
	}
	signed := func(sign func(s *signIn, c map[string]any) string) func(*signIn, *openid.Rules) {
		return func(s *signIn, r *openid.Rules) {
			r.Sign = func(c map[string]any) string { return sign(s, c) }
		}
	}
	answer := func(change func(m map[string]any)) func(*signIn, *openid.Rules) {
		return func(_ *signIn, r *openid.Rules) { r.Answer = change }
	}
	for name, breaks := range map[string]func(*signIn, *openid.Rules){
		"other nonce":                  set("nonce", "another"),
		"no nonce":                     without("nonce"),
		"other audience":               set("aud", "another"),
		"no audience":                  without("aud"),
		"audiences without us":         set("aud", []string{"one", "two"}),
		"several audiences, no azp":    set("aud", []string{"patchbay", "two"}),
		"azp of another client":        set("azp", "another"),
		"azp is a number":              set("azp", 7),
		"other issuer":                 set("iss", "https://evil.example"),
		"issuer with a slash":          claims(func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" }),
		"no issuer":                    without("iss"),
		"expired":                      set("exp", clock.Add(-time.Second).Unix()),
		"no exp":                       without("exp"),
		"not yet":                      set("nbf", clock.Add(time.Hour).Unix()),
		"no sub":                       without("sub"),
		"sub is a number":              set("sub", 42),
		"sub is a list":                set("sub", []string{"dana"}),
		"empty sub":                    set("sub", ""),
		"sub too long":                 set("sub", strings.Repeat("x", 256)),
		"control character":            set("sub", "da\nna"),
		"hash of another access token": set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"),
		"alg none":                     signed(func(_ *signIn, c map[string]any) string { return openid.Unsigned(c) }),
		"HS256 with the client secret": signed(func(s *signIn, c map[string]any) string {
			return openid.Sign(jose.HS256, []byte(s.op.ClientSecret + strings.Repeat("x", 32))[:32], "rsa", c)
		}),
		"HS256 with the public key": signed(func(_ *signIn, c map[string]any) string {
			return openid.Sign(jose.HS256, []byte(pemOf(t, openid.Key().Public())), "rsa", c)
		}),
		"RS512":            signed(func(_ *signIn, c map[string]any) string { return openid.Sign(jose.RS512, openid.Key(), "rsa", c) }),
		"key of another":   signed(func(_ *signIn, c map[string]any) string { return openid.Sign(jose.ES256, otherKey(t), "ec", c) }),
		"unknown key id":   signed(func(_ *signIn, c map[string]any) string { return openid.Sign(jose.ES256, otherKey(t), "new", c) }),
		"key of other alg": signed(func(_ *signIn, c map[string]any) string { return openid.Sign(jose.PS256, openid.Key(), "rsa", c) }),
		"signature gone": signed(func(_ *signIn, c map[string]any) string {
			token := openid.Sign(jose.RS256, openid.Key(), "rsa", c)
			return token[:strings.LastIndex(token, ".")+1]
		}),
		"payload swapped": signed(func(_ *signIn, c map[string]any) string {
			parts := strings.Split(openid.Sign(jose.RS256, openid.Key(), "rsa", c), ".")
			c["sub"] = "victor"
			parts[1] = strings.Split(openid.Unsigned(c), ".")[1]
			return strings.Join(parts, ".")
		}),
		"JSON form": signed(func(_ *signIn, c map[string]any) string {
			parts := strings.Split(openid.Sign(jose.RS256, openid.Key(), "rsa", c), ".")
			return `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`
		}),
		"sub twice": signed(func(_ *signIn, c map[string]any) string {
			text, _ := json.Marshal(c)
			return openid.SignText(jose.RS256, openid.Key(), "rsa", append([]byte(`{"sub":"victor",`), text[1:]...))
		}),
		"invalid UTF-8": signed(func(_ *signIn, c map[string]any) string {
			c["sub"] = "da@na"
			text, _ := json.Marshal(c)
			return openid.SignText(jose.RS256, openid.Key(), "rsa", bytes.Replace(text, []byte("@na"), []byte("\xff"), 1))
		}),
		"very long":      set("x", strings.Repeat("x", 20<<10)),
		"no ID token":    answer(func(m map[string]any) { delete(m, "id_token") }),
		"ID token twice": answer(func(m map[string]any) { m["id_token"] = []any{m["id_token"], m["id_token"]} }),
		"no JSON object": answer(func(m map[string]any) { clear(m) }),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSignIn(t)
			s.op.Change(func(r *openid.Rules) { breaks(s, r) })
			user, err := s.round()
			wantCode(t, name, err, connect.CodeConnectorMisconfigured)
			if user != (connect.EndUser{}) {
				t.Errorf("%+v comes with the error", user)
			}
		})
	}
}

func otherKey(t *testing.T) any {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func TestSignInTakesWhatTheStandardAllows(t *testing.T) {
	for name, breaks := range map[string]func(r *openid.Rules){
		"ES256": func(r *openid.Rules) {
			r.Sign = func(c map[string]any) string { return openid.Sign(jose.ES256, openid.EllipticKey(), "ec", c) }
		},
		"no key id": func(r *openid.Rules) {
			r.Sign = func(c map[string]any) string { return openid.Sign(jose.RS256, openid.Key(), "", c) }
		},
		"audiences and azp": func(r *openid.Rules) {
			r.Claims = func(c map[string]any) { c["aud"], c["azp"] = []string{"other", "patchbay"}, "patchbay" }
		},
		"one audience in a list, no at_hash": func(r *openid.Rules) {
			r.Claims = func(c map[string]any) { c["aud"] = []string{"patchbay"}; delete(c, "at_hash") }
		},
		"iss neither promised nor sent": func(r *openid.Rules) {
			r.Metadata = func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") }
			r.Back = func(q url.Values) { q.Del("iss") }
		},
		"algorithms not listed": func(r *openid.Rules) {
			r.Metadata = func(m map[string]any) { delete(m, "id_token_signing_alg_values_supported") }
		},
		"unknown parameters": func(r *openid.Rules) { r.Back = func(q url.Values) { q.Set("session_state", "x") } },
	} {
		s := newSignIn(t)
		s.op.Change(breaks)
		if user, err := s.round(); err != nil || user.ID != "dana" {
			t.Errorf("%s: %+v, %v", name, user, err)
		}
	}
}

func TestSignInReadsTheClaims(t *testing.T) {
	for name, test := range map[string]struct {
		claim   string
		person  map[string]any
		told    map[string]any // at the userinfo endpoint
		want    connect.EndUser
		refused bool
	}{
		"nothing but sub":        {"sub", map[string]any{"sub": "dana"}, nil, connect.EndUser{ID: "dana"}, false},
		"another claim":          {"preferred_username", map[string]any{"sub": "7", "preferred_username": "dana"}, nil, connect.EndUser{ID: "dana"}, false},
		"a namespaced claim":     {"https://acme.example/id", map[string]any{"sub": "7", "https://acme.example/id": "dana"}, nil, connect.EndUser{ID: "dana"}, false},
		"claim missing":          {"preferred_username", map[string]any{"sub": "7"}, nil, connect.EndUser{}, true},
		"claim is a number":      {"uid", map[string]any{"sub": "7", "uid": 1000}, nil, connect.EndUser{}, true},
		"claim is null":          {"uid", map[string]any{"sub": "7", "uid": nil}, nil, connect.EndUser{}, true},
		"names differ in case":   {"uid", map[string]any{"sub": "7", "UID": "dana"}, nil, connect.EndUser{}, true},
		"email said unverified":  {"sub", map[string]any{"sub": "dana", "email": "victor@acme.example", "email_verified": false}, nil, connect.EndUser{ID: "dana"}, false},
		"unverified, as a text":  {"sub", map[string]any{"sub": "dana", "email": "victor@acme.example", "email_verified": "false"}, nil, connect.EndUser{ID: "dana"}, false},
		"verified, as a text":    {"sub", map[string]any{"sub": "dana", "email": "d@acme.example", "email_verified": "true"}, nil, connect.EndUser{ID: "dana", Email: "d@acme.example"}, false},
		"nothing about verified": {"sub", map[string]any{"sub": "dana", "email": "d@acme.example"}, nil, connect.EndUser{ID: "dana", Email: "d@acme.example"}, false},
		"email as the id":        {"email", map[string]any{"sub": "7", "email": "d@acme.example", "email_verified": true}, nil, connect.EndUser{ID: "d@acme.example", Email: "d@acme.example"}, false},
		"unverified as the id":   {"email", map[string]any{"sub": "7", "email": "d@acme.example", "email_verified": false}, nil, connect.EndUser{}, true},
		"name with a line end":   {"sub", map[string]any{"sub": "dana", "name": "Dana\nVictor", "email": strings.Repeat("x", 300)}, nil, connect.EndUser{ID: "dana"}, false},
		"the rest from userinfo": {"sub", map[string]any{"sub": "dana"}, map[string]any{"sub": "dana", "name": "Dana", "email": "d@acme.example", "email_verified": true}, connect.EndUser{ID: "dana", Name: "Dana", Email: "d@acme.example"}, false},
		"the id from userinfo":   {"login", map[string]any{"sub": "7"}, map[string]any{"sub": "7", "login": "dana"}, connect.EndUser{ID: "dana"}, false},
		"userinfo of another":    {"sub", map[string]any{"sub": "dana"}, map[string]any{"sub": "victor", "email": "v@acme.example"}, connect.EndUser{}, true},
		"the ID token wins":      {"sub", map[string]any{"sub": "dana", "email": "d@acme.example", "email_verified": false}, map[string]any{"sub": "dana", "email": "v@acme.example", "email_verified": true, "name": "Dana"}, connect.EndUser{ID: "dana", Name: "Dana"}, false},
	} {
		s := newSignIn(t)
		s.app.Login.UserClaim = test.claim
		s.op.Change(func(r *openid.Rules) { r.Person, r.UserInfo = test.person, test.told })
		user, err := s.round()
		if test.refused {
			wantCode(t, name, err, connect.CodeConnectorMisconfigured)
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if user != test.want {
			t.Errorf("%s: %+v, want %+v", name, user, test.want)
		}
	}
	t.Run("userinfo is away", func(t *testing.T) {
		s := newSignIn(t)
		s.op.Change(func(r *openid.Rules) {
			r.Person, r.UserInfo = map[string]any{"sub": "dana"}, map[string]any{}
			r.Status = map[string]int{"/userinfo": http.StatusBadGateway}
		})
		if user, err := s.round(); err != nil || user != (connect.EndUser{ID: "dana"}) {
			t.Errorf("%+v, %v", user, err)
		}
		s.app.Login.UserClaim = "login"
		_, err := s.round()
		wantCode(t, "the id is there only", err, connect.CodeProviderUnavailable)
	})
}

func TestSignInAnswersThatAreNone(t *testing.T) {
	for name, test := range map[string]struct {
		change func(q url.Values)
		want   connect.Code
	}{
		"no state":          {func(q url.Values) { q.Del("state") }, connect.CodeStateUnknown},
		"other state":       {func(q url.Values) { q.Set("state", randomSecret()) }, connect.CodeStateUnknown},
		"state twice":       {func(q url.Values) { q.Add("state", q.Get("state")) }, connect.CodeStateUnknown},
		"empty state":       {func(q url.Values) { q.Set("state", "") }, connect.CodeStateUnknown},
		"code twice":        {func(q url.Values) { q.Add("code", "x") }, connect.CodeProviderError},
		"code and error":    {func(q url.Values) { q.Set("error", "access_denied") }, connect.CodeProviderError},
		"neither":           {func(q url.Values) { q.Del("code") }, connect.CodeProviderError},
		"a token":           {func(q url.Values) { q.Set("id_token", "x") }, connect.CodeProviderError},
		"other issuer":      {func(q url.Values) { q.Set("iss", "https://evil.example") }, connect.CodeConnectorMisconfigured},
		"issuer twice":      {func(q url.Values) { q.Add("iss", q.Get("iss")) }, connect.CodeConnectorMisconfigured},
		"promised, missing": {func(q url.Values) { q.Del("iss") }, connect.CodeConnectorMisconfigured},
		"made-up code":      {func(q url.Values) { q.Set("code", "x") }, connect.CodeExpired},
	} {
		s := newSignIn(t)
		s.op.Change(func(r *openid.Rules) { r.Back = test.change })
		_, err := s.round()
		wantCode(t, name, err, test.want)
		if n := len(s.op.Calls("/token")); n > 0 && test.want != connect.CodeExpired {
			t.Errorf("%s: the token endpoint was called %d times", name, n)
		}
	}
	for code, want := range map[string]connect.Code{
		"access_denied": connect.CodeAccessDenied, "login_required": connect.CodeAccessDenied, "server_error": connect.CodeProviderUnavailable,
		"temporarily_unavailable": connect.CodeProviderUnavailable, "invalid_scope": connect.CodeConnectorMisconfigured,
		"unauthorized_client": connect.CodeConnectorMisconfigured, "something_else": connect.CodeProviderError,
		"canary <script>": connect.CodeProviderError,
	} {
		s := newSignIn(t)
		s.op.Change(func(r *openid.Rules) { r.Error = code })
		_, err := s.round()
		wantCode(t, code, err, want)
	}
}

func TestSignInCookieIsBound(t *testing.T) {
	t.Run("none", func(t *testing.T) {
		s := newSignIn(t)
		to, err := s.begin()
		must(t, err)
		q := s.leave(to)
		s.jar = nil
		_, _, err = s.back(q)
		wantCode(t, "no cookie", err, connect.CodeCookieMissing)
	})
	t.Run("of another attempt", func(t *testing.T) {
		s := newSignIn(t)
		mallory, err := s.begin()
		must(t, err)
		q := s.leave(mallory)
		_, err = s.begin()
		must(t, err)
		_, _, err = s.back(q)
		wantCode(t, "another's answer", err, connect.CodeStateUnknown)
		if n := len(s.op.Calls("/token")); n != 0 {
			t.Errorf("the token endpoint was called %d times", n)
		}
	})
	t.Run("of another app", func(t *testing.T) {
		s := newSignIn(t)
		to, err := s.begin()
		must(t, err)
		q := s.leave(to)
		other := *s.app
		other.ID = "other"
		s.app = &other
		_, _, err = s.back(q)
		wantCode(t, "another app", err, connect.CodeBrowserMismatch)
	})
	t.Run("forged, doubled, late, replayed", func(t *testing.T) {
		s := newSignIn(t)
		for name, test := range map[string]struct {
			jar  func(good *http.Cookie) []*http.Cookie
			want connect.Code
		}{
			"forged": {func(good *http.Cookie) []*http.Cookie {
				return []*http.Cookie{{Name: good.Name, Value: base64.RawURLEncoding.EncodeToString([]byte(`{"state":"x"}`))}}
			}, connect.CodeBrowserMismatch},
			"cut": {func(good *http.Cookie) []*http.Cookie {
				return []*http.Cookie{{Name: good.Name, Value: good.Value[:len(good.Value)-1]}}
			}, connect.CodeBrowserMismatch},
			"doubled": {func(good *http.Cookie) []*http.Cookie { return []*http.Cookie{good, good} }, connect.CodeBrowserMismatch},
			"without the prefix": {func(good *http.Cookie) []*http.Cookie {
				return []*http.Cookie{{Name: "patchbay_login", Value: good.Value}}
			}, connect.CodeCookieMissing},
			"late": {func(good *http.Cookie) []*http.Cookie {
				s.now = s.now.Add(10 * time.Minute)
				return []*http.Cookie{good}
			}, connect.CodeCookieMissing},
		} {
			to, err := s.begin()
			must(t, err)
			q := s.leave(to)
			jar := test.jar(s.jar[0])
			r := httptest.NewRequest(http.MethodGet, "/login/acme/callback?"+q.Encode(), nil)
			for _, c := range jar {
				r.AddCookie(c)
			}
			_, _, err = s.Finish(httptest.NewRecorder(), r, s.app)
			wantCode(t, name, err, test.want)
		}
		to, err := s.begin()
		must(t, err)
		q, jar := s.leave(to), s.jar
		_, _, err = s.back(q)
		must(t, err)
		s.jar = jar // a thief who kept it
		_, _, err = s.back(q)
		wantCode(t, "replayed", err, connect.CodeExpired)
	})
}

func TestSignInProviderInTrouble(t *testing.T) {
	metadata := func(change func(m map[string]any)) func(*signIn) {
		return func(s *signIn) { s.op.Change(func(r *openid.Rules) { r.Metadata = change }) }
	}
	status := func(path string, code int) func(*signIn) {
		return func(s *signIn) { s.op.Change(func(r *openid.Rules) { r.Status = map[string]int{path: code} }) }
	}
	for name, test := range map[string]struct {
		breaks func(*signIn)
		want   connect.Code
	}{
		"away":                    {func(s *signIn) { s.op.Close() }, connect.CodeProviderUnavailable},
		"discovery 502":           {status("/.well-known/openid-configuration", 502), connect.CodeProviderUnavailable},
		"discovery 404":           {status("/.well-known/openid-configuration", 404), connect.CodeConnectorMisconfigured},
		"discovery redirects":     {status("/.well-known/openid-configuration", 302), connect.CodeConnectorMisconfigured},
		"other issuer":            {metadata(func(m map[string]any) { m["issuer"] = "https://evil.example" }), connect.CodeConnectorMisconfigured},
		"no token endpoint":       {metadata(func(m map[string]any) { delete(m, "token_endpoint") }), connect.CodeConnectorMisconfigured},
		"authorize is a script":   {metadata(func(m map[string]any) { m["authorization_endpoint"] = "javascript:alert(1)" }), connect.CodeConnectorMisconfigured},
		"a script with a host":    {metadata(func(m map[string]any) { m["authorization_endpoint"] = "javascript://id.example/%0aalert(1)" }), connect.CodeConnectorMisconfigured},
		"authorize is a path":     {metadata(func(m map[string]any) { m["authorization_endpoint"] = "/authorize" }), connect.CodeConnectorMisconfigured},
		"only HS256":              {metadata(func(m map[string]any) { m["id_token_signing_alg_values_supported"] = []string{"HS256", "none"} }), connect.CodeConnectorMisconfigured},
		"metadata of wrong types": {metadata(func(m map[string]any) { m["jwks_uri"] = 7 }), connect.CodeConnectorMisconfigured},
		"token endpoint 500":      {status("/token", 500), connect.CodeProviderUnavailable},
		"token endpoint 429":      {status("/token", 429), connect.CodeProviderUnavailable},
		"token endpoint 400":      {status("/token", 400), connect.CodeConnectorMisconfigured},
		"key set 503":             {status("/jwks", 503), connect.CodeProviderUnavailable},
		"key set 404":             {status("/jwks", 404), connect.CodeConnectorMisconfigured},
		"secret refused":          {func(s *signIn) { s.app.Login.ClientSecret = vault.NewSecret("canary-wrong") }, connect.CodeConnectorMisconfigured},
	} {
		s := newSignIn(t)
		test.breaks(s)
		_, err := s.round()
		wantCode(t, name, err, test.want)
	}
}

func TestSignInMetadataIsRemembered(t *testing.T) {
	s := newSignIn(t)
	fetched := func() int { return len(s.op.Calls("/.well-known/openid-configuration")) }
	down := func(is bool) {
		s.op.Change(func(r *openid.Rules) {
			r.Status = nil
			if is {
				r.Status = map[string]int{"/.well-known/openid-configuration": 503}
			}
		})
	}
	down(true)
	for range 5 {
		_, err := s.begin()
		wantCode(t, "down", err, connect.CodeProviderUnavailable)
	}
	if n := fetched(); n != 1 {
		t.Errorf("%d fetches at once of a provider that is down, want 1", n)
	}
	down(false)
	s.now = s.now.Add(10 * time.Second)
	if _, err := s.round(); err != nil || fetched() != 2 {
		t.Errorf("10 s later: %v after %d fetches", err, fetched())
	}
	s.now = s.now.Add(59 * time.Minute)
	if _, err := s.begin(); err != nil || fetched() != 2 {
		t.Errorf("within the hour: %v after %d fetches", err, fetched())
	}
	down(true)
	s.now = s.now.Add(time.Minute)
	if _, err := s.begin(); err != nil || fetched() != 3 {
		t.Errorf("after the hour, down: %v after %d fetches", err, fetched())
	}
	s.now = s.now.Add(24 * time.Hour)
	_, err := s.begin()
	wantCode(t, "a day later", err, connect.CodeProviderUnavailable)

	down(false)
	s.now = s.now.Add(10 * time.Second)
	before := fetched()
	s.app.Login.ClientSecret = vault.NewSecret("canary-wrong")
	_, err = s.round()
	wantCode(t, "secret refused", err, connect.CodeConnectorMisconfigured)
	s.now = s.now.Add(10 * time.Second)
	if _, err := s.begin(); err != nil || fetched() != before+2 {
		t.Errorf("after a failure that stale metadata would explain: %v, %d fetches", err, fetched()-before)
	}
}

func TestKeptOutcomeIsBoundToTheBrowser(t *testing.T) {
	s := newSignIn(t)
	here := &connect.BrowserSession{Hash: connect.HashSecret("here")}
	user := connect.EndUser{ID: "sam", Email: "sam@acme.example"}
	text, err := s.Keep("acme", user, "/apps/acme", here)
	must(t, err)
	if raw, _ := base64.RawURLEncoding.DecodeString(text); strings.Contains(string(raw), "sam") {
		t.Error("the text can be read")
	}
	if got, next, err := s.Kept("acme", text, here); err != nil || got != user || next != "/apps/acme" {
		t.Errorf("%+v, %q, %v", got, next, err)
	}
	_, err = s.begin()
	must(t, err)
	for name, test := range map[string]struct {
		app, text string
		here      *connect.BrowserSession
	}{
		"another browser":     {"acme", text, &connect.BrowserSession{Hash: connect.HashSecret("there")}},
		"nobody here":         {"acme", text, nil},
		"another app":         {"other", text, here},
		"an attempt's cookie": {"acme", s.jar[0].Value, here},
		"nothing":             {"acme", "", here},
	} {
		_, _, err := s.Kept(test.app, test.text, test.here)
		wantCode(t, name, err, connect.CodeExpired)
	}
	s.now = s.now.Add(5 * time.Minute)
	_, _, err = s.Kept("acme", text, here)
	wantCode(t, "five minutes later", err, connect.CodeExpired)
}

func TestOpenLoginRenewsTheCookie(t *testing.T) {
	s := newSignIn(t)
	b := &Browsers{Service: s.Service, Secure: true}
	_, err := s.Service.Apply(t.Context(), []connect.App{{ID: "acme", Name: "acme"}, {ID: "other", Name: "other"}}, false, nil)
	must(t, err)
	request := func(c *http.Cookie) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if c != nil {
			r.AddCookie(c)
		}
		return r
	}
	enter := func(r *http.Request, user string) *http.Cookie {
		w := httptest.NewRecorder()
		must(t, b.OpenLogin(w, r, "acme", connect.EndUser{ID: user}))
		return w.Result().Cookies()[0]
	}
	planted := &http.Cookie{Name: "__Host-patchbay_session", Value: randomSecret()}
	first := enter(request(planted), "dana")
	if first.Value == planted.Value || first.Name != planted.Name || first.MaxAge != 12*3600 || !first.HttpOnly || !first.Secure || first.SameSite != http.SameSiteLaxMode {
		t.Errorf("%+v", first)
	}
	if who, err := b.Identity(request(first), "acme"); err != nil || who == nil || who.User.ID != "dana" || !who.Login {
		t.Errorf("%+v, %v", who, err)
	}
	second := enter(request(first), "sam")
	if who, _ := b.Identity(request(first), "acme"); who != nil || second.Value == first.Value {
		t.Error("the old secret is good after a new sign-in")
	}
	if who, _ := b.Identity(request(planted), "acme"); who != nil {
		t.Error("a planted secret is good after a sign-in")
	}
	// A ticket of another app beside it leaves the cookie as long as the sign-in has.
	cs, err := s.Service.CreateSession(t.Context(), "other", connect.SessionRequest{Mode: connect.ModeRedirect, User: connect.EndUser{ID: "dana"}})
	must(t, err)
	s.now = s.now.Add(30 * time.Minute)
	if cs, err = s.Service.CreateSession(t.Context(), "other", connect.SessionRequest{Mode: connect.ModeRedirect, User: connect.EndUser{ID: "dana"}}); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	must(t, b.Open(w, request(second), cs.Session))
	third := w.Result().Cookies()[0]
	if third.MaxAge != 11*3600+30*60 {
		t.Errorf("the cookie lives %d s", third.MaxAge)
	}
	if who, _ := b.Identities(request(third)); len(who) != 2 {
		t.Errorf("%d identities, want those of both apps", len(who))
	}
}
