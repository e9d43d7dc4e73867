package hostile

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"patchbay/connect"
	"patchbay/e2e/stack"
)

// apiCalls are one of each call of the API, with the credential it takes.
type apiCall struct {
	name, method, path string
	body               any
	good               func(a *stack.App) string
	user               bool // takes a user token
	scope              string
}

func apiCalls(a *stack.App, flow, session string) []apiCall {
	return []apiCall{
		{"token read", "GET", "app-user-auth/connectors/github/token", nil, func(a *stack.App) string { return a.Tokens }, false, "tokens"},
		{"connections", "GET", "users/dana/connections", nil, func(a *stack.App) string { return a.Tokens }, false, "tokens"},
		{"connect session", "POST", "connect-sessions", stack.SessionFields("redirect", "dana"), func(a *stack.App) string { return a.Sessions }, false, "sessions"},
		{"flow", "GET", "flows/" + flow, nil, func(a *stack.App) string { return a.Sessions }, false, "sessions"},
		{"confirm", "POST", "flows/" + flow + "/confirm", map[string]string{"result_code": "x", "user_id": "dana"}, func(a *stack.App) string { return a.Sessions }, false, "sessions"},
		{"list", "GET", "app-user-auth/connectors", nil, func(a *stack.App) string { return a.JWT("dana") }, true, ""},
		{"initiate", "POST", "app-user-auth/connectors/slack/initiate", nil, func(a *stack.App) string { return a.JWT("dana") }, true, ""},
		{"disconnect", "DELETE", "app-user-auth/connectors/slack", nil, func(a *stack.App) string { return a.JWT("dana") }, true, ""},
		{"delete session", "DELETE", "connect-sessions/" + session, nil, func(a *stack.App) string { return a.Sessions }, false, "sessions"},
		{"delete user", "DELETE", "users/nobody", nil, func(a *stack.App) string { return a.Sessions }, false, "sessions"},
	}
}

// withoutTrace is an error's body without what differs each time.
func withoutTrace(t *testing.T, r stack.Answer) string {
	t.Helper()
	if r.Text("trace") == "" || r.Text("trace") != r.Header.Get("X-Request-Id") {
		t.Errorf("trace %q, X-Request-ID %q", r.Text("trace"), r.Header.Get("X-Request-Id"))
	}
	fields := maps.Clone(r.JSON)
	delete(fields, "trace")
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	h := r.Header.Clone()
	for _, name := range []string{"Date", "X-Request-Id"} {
		h.Del(name)
	}
	return fmt.Sprint(r.Status, string(body), h)
}

func TestSecurity53_BadCredentials(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	result := s.Browser().Flow(s.Acme, "dana", "github", "dana@example.com")
	session := s.Acme.Session("dana")
	ended := s.Acme.Session("dana")
	s.Acme.Call(http.MethodDelete, "connect-sessions/"+ended.ID, nil, stack.Bearer(s.Acme.Sessions)).Want(http.StatusNoContent, "")
	revoked := s.Acme.Proxy + "-revoked"
	s.Apply(strings.Replace(s.AppsYAML(""), `      - {name: proxy, token: "${ACME_PROXY}"`, `      - {name: old, token: "`+revoked+`", scopes: [tokens, sessions]}`+"\n"+`      - {name: proxy, token: "${ACME_PROXY}"`, 1))
	s.Acme.Call(http.MethodGet, "users/dana/connections", nil, stack.Bearer(revoked)).Want(http.StatusOK, "")
	s.Apply(s.AppsYAML(""))

	expired := s.Acme.Claims("dana")
	expired["exp"] = s.Clock.Now().Add(-time.Hour).Unix()
	bad := map[string][]stack.Header{
		"none":                nil,
		"empty":               {{Name: "Authorization", Value: ""}},
		"Basic":               {{Name: "Authorization", Value: "Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+s.Acme.All))}},
		"no scheme":           {{Name: "Authorization", Value: s.Acme.All}},
		"empty Bearer":        {{Name: "Authorization", Value: "Bearer "}},
		"unknown":             {stack.Bearer("canary-acme-all-000000000000000000000000")},
		"one character wrong": {stack.Bearer(s.Acme.All[:len(s.Acme.All)-1] + "g")},
		"prefix":              {stack.Bearer(s.Acme.All[:len(s.Acme.All)-1])},
		"longer":              {stack.Bearer(s.Acme.All + "a")},
		"other case":          {stack.Bearer(strings.ToUpper(s.Acme.All))},
		"twice":               {stack.Bearer(s.Acme.All), stack.Bearer(s.Acme.All)},
		"in the query":        nil,
		"revoked":             {stack.Bearer(revoked)},
		"another app's":       {stack.Bearer(s.Other.All)},
		"another app's user":  {stack.Bearer(s.Other.JWT("dana"))},
		"another app's key":   {{Name: "api_key", Value: s.Other.Builder}},
		"wrong key":           {{Name: "api_key", Value: s.Acme.Builder + "x"}},
		"expired JWT":         {stack.Bearer(s.Acme.Sign(expired, nil))},
		"ended session":       {stack.Bearer(ended.Token)},
		"unknown session":     {stack.Bearer("pbu_" + strings.Repeat("A", 43))},
		"hash of a token":     {stack.Bearer(fmt.Sprintf("%x", connect.HashSecret(s.Acme.All)))},
		"session's ticket":    {stack.Bearer(session.URL[strings.LastIndex(session.URL, "/")+1:])},
	}
	want := map[string]string{}
	for _, c := range apiCalls(s.Acme, result.FlowID(), session.ID) {
		for name, headers := range bad {
			path := c.path
			if name == "in the query" {
				path += "?access_token=" + s.Acme.All + "&token=" + s.Acme.All + "&api_key=" + s.Acme.Builder
			}
			got := withoutTrace(t, s.Acme.Call(c.method, path, c.body, headers...).Want(http.StatusUnauthorized, "unauthorized"))
			if want[c.name] == "" {
				want[c.name] = got
			}
			if got != want[c.name] {
				t.Errorf("%s, %s:\n%s\nelsewhere:\n%s", c.name, name, got, want[c.name])
			}
		}
		nowhere := s.Call(c.method, "/api/apps/no-such-app/"+c.path, nil, stack.Bearer(s.Acme.All), stack.Header{Name: "Content-Type", Value: "application/json"})
		if got := withoutTrace(t, nowhere); got != want[c.name] {
			t.Errorf("%s of an unknown app:\n%s\nof a known one:\n%s", c.name, got, want[c.name])
		}
	}
}

func TestSecurity54_NoOnBehalfOf(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	s.Browser().Flow(s.Acme, "dana", "github", "dana@example.com").WantFlow("connected", "connected")
	for _, headers := range [][]stack.Header{
		{stack.Bearer(s.Acme.Tokens)},
		{stack.Bearer(s.Acme.All)},
		{stack.Bearer(s.Acme.All), {Name: "X-On-Behalf-Of", Value: "dana"}},
		{stack.Bearer(s.Acme.All), {Name: "on-behalf-of", Value: ""}},
		{stack.Bearer(s.Acme.All), stack.OnBehalfOf(s.Other.JWT("dana"))},
	} {
		r := s.Acme.Call(http.MethodGet, "app-user-auth/connectors/github/token?user=dana&user_id=dana", nil, headers...).Want(http.StatusUnauthorized, "unauthorized")
		if bytes.Contains(r.Body, []byte("gho_")) {
			t.Errorf("a token is handed out: %s", r.Body)
		}
	}
	// Elsewhere the header is ignored, good or bad.
	s.Acme.Call(http.MethodGet, "users/dana/connections", nil, stack.Bearer(s.Acme.Tokens), stack.OnBehalfOf("nonsense")).Want(http.StatusOK, "")
	s.Acme.Call(http.MethodPost, "connect-sessions", stack.SessionFields("redirect", "dana"), stack.Bearer(s.Acme.Sessions), stack.OnBehalfOf("nonsense")).Want(http.StatusCreated, "")
	// A user token alone reads no provider token.
	s.Acme.Call(http.MethodGet, "app-user-auth/connectors/github/token", nil, stack.Bearer(s.Acme.JWT("dana")), stack.OnBehalfOf(s.Acme.JWT("dana"))).Want(http.StatusForbidden, "forbidden")
}

// The things of another app answer as if they did not exist.
func TestSecurity55_OtherTenants(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	theirs := s.Browser().Flow(s.Other, "dana", "github", "other-dana@example.com").WantFlow("connected", "connected")
	session := s.Other.Session("dana")
	unfinished := s.Browser().SignIn(s.Other, "dana").Connect("slack")
	absent := map[string][2]string{ // ours asked for theirs, and for what is nowhere
		"flow":           {"flows/" + theirs.FlowID(), "flows/fl_" + strings.Repeat("A", 22)},
		"open flow":      {"flows/" + unfinished.FlowID(), "flows/fl_" + strings.Repeat("B", 22)},
		"their own user": {"users/dana/connections", "users/nobody/connections"},
	}
	for name, paths := range absent {
		a := s.Acme.Call(http.MethodGet, paths[0], nil, stack.Bearer(s.Acme.All))
		b := s.Acme.Call(http.MethodGet, paths[1], nil, stack.Bearer(s.Acme.All))
		delete(a.JSON, "trace")
		delete(b.JSON, "trace")
		if a.Status != b.Status || fmt.Sprint(a.JSON) != fmt.Sprint(b.JSON) {
			t.Errorf("%s: %d %v and %d %v", name, a.Status, a.JSON, b.Status, b.JSON)
		}
	}
	s.Acme.Call(http.MethodDelete, "connect-sessions/"+session.ID, nil, stack.Bearer(s.Acme.All)).Want(http.StatusNotFound, "not_found")
	s.Acme.Call(http.MethodDelete, "users/dana", nil, stack.Bearer(s.Acme.All)).Want(http.StatusOK, "")
	s.Acme.Token("dana", "github").Want(http.StatusNotFound, "not_connected")
	s.Acme.Token("dana", "no-such-connector").Want(http.StatusNotFound, "not_found")
	s.Acme.Token("dana", "team").Want(http.StatusNotFound, "not_found") // shared: as if it did not exist
	for _, path := range []string{"users/dana/connections", "flows/" + theirs.FlowID()} {
		s.Other.Call(http.MethodGet, path, nil, stack.Bearer(s.Acme.All)).Want(http.StatusUnauthorized, "unauthorized")
	}
	// All of it lives: the same names of users and connectors are no bridge.
	s.Other.Token("dana", "github").Want(http.StatusOK, "")
	s.Browser().Come(session.URL).WantStatus(http.StatusSeeOther)
	unfinished.Approve("dana@example.com").Rest().WantFlow("connected", "connected")

	// A browser signed in to one app is nobody in the other.
	b := s.Browser()
	b.SignIn(s.Acme, "dana")
	b.Get("/apps/other").WantStatus(http.StatusUnauthorized)
	b.Get("/apps/other/connectors/github/disconnect").WantStatus(http.StatusUnauthorized)
	b.Get("/flows/" + theirs.FlowID()).WantStatus(http.StatusNotFound)
}

func part(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func hs256(header, payload, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(header + "." + payload))
	return header + "." + payload + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestSecurity56_UserTokens(t *testing.T) {
	t.Parallel()
	hits := new(atomic.Int32)
	bait := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(bait.Close)
	s := stack.New(t, stack.Reachable(strings.TrimPrefix(bait.URL, "http://")))
	a, now := s.Acme, s.Clock.Now()
	good := a.Claims("dana")
	with := func(change func(c map[string]any)) map[string]any {
		c := maps.Clone(good)
		change(c)
		return c
	}
	raw := func(header, payload string) string {
		return hs256(base64.RawURLEncoding.EncodeToString([]byte(header)), base64.RawURLEncoding.EncodeToString([]byte(payload)), a.UserSecret)
	}
	claims, _ := json.Marshal(good)
	plain := string(claims)
	der := block(stack.PublicKeyPEM())
	otherClaims := part(s.Other.Claims("dana"))
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(alg jose.SignatureAlgorithm, key any, header map[string]any, embed bool) string {
		o := (&jose.SignerOptions{EmbedJWK: embed}).WithType("JWT")
		for k, v := range header {
			o.WithHeader(jose.HeaderKey(k), v)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
		if err != nil {
			t.Fatal(err)
		}
		c, _ := json.Marshal(s.Other.Claims("dana"))
		sig, err := signer.Sign(c)
		if err != nil {
			t.Fatal(err)
		}
		text, err := sig.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	acme := map[string]string{
		"alg none":             part(map[string]any{"alg": "none"}) + "." + part(good) + ".",
		"alg None":             part(map[string]any{"alg": "None"}) + "." + part(good) + ".",
		"alg none, signed":     raw(`{"alg":"none"}`, plain),
		"no alg":               raw(`{"typ":"JWT"}`, plain),
		"empty alg":            raw(`{"alg":""}`, plain),
		"alg is a number":      raw(`{"alg":5}`, plain),
		"alg hs256":            raw(`{"alg":"hs256"}`, plain),
		"alg HS512":            raw(`{"alg":"HS512"}`, plain),
		"alg RS256, HMAC":      raw(`{"alg":"RS256"}`, plain),
		"alg twice":            raw(`{"alg":"HS256","alg":"none"}`, plain),
		"wrong secret":         hs256(part(map[string]any{"alg": "HS256"}), part(good), "another secret of thirty-two bytes"),
		"empty secret":         hs256(part(map[string]any{"alg": "HS256"}), part(good), ""),
		"another app's secret": hs256(part(map[string]any{"alg": "HS256"}), part(good), s.Human.UserSecret),
		"no signature":         strings.TrimRight(a.JWT("dana"), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
		"cut signature":        a.JWT("dana")[:len(a.JWT("dana"))-2],
		"payload swapped":      strings.Replace(a.JWT("dana"), part(good), part(with(func(c map[string]any) { c["sub"] = "root" })), 1),
		"four parts":           a.JWT("dana") + ".x",
		"five parts":           a.JWT("dana") + ".x.y",
		"JSON serialisation":   `{"payload":"` + part(good) + `","signatures":[]}`,
		"not base64":           "a.b.c",
		"dots":                 "..",
		"jku":                  a.Sign(good, map[string]any{"jku": bait.URL}),
		"x5u":                  a.Sign(good, map[string]any{"x5u": bait.URL}),
		"jwk":                  a.Sign(good, map[string]any{"jwk": map[string]string{"kty": "oct", "k": "AAAA"}}),
		"x5c":                  a.Sign(good, map[string]any{"x5c": []string{"AAAA"}}),
		"unknown crit":         raw(`{"alg":"HS256","crit":["exp"],"exp":1}`, plain),
		"empty crit":           raw(`{"alg":"HS256","crit":[]}`, plain),
		"b64":                  raw(`{"alg":"HS256","b64":false}`, plain),
		"zip":                  raw(`{"alg":"HS256","zip":"DEF"}`, plain),
		"no exp":               a.Sign(with(func(c map[string]any) { delete(c, "exp") }), nil),
		"exp null":             a.Sign(with(func(c map[string]any) { c["exp"] = nil }), nil),
		"exp text":             raw(`{"alg":"HS256"}`, strings.Replace(plain, `"exp":`, `"exp":"x`, 1)+`"}`),
		"exp is zero":          a.Sign(with(func(c map[string]any) { c["exp"] = 0 }), nil),
		"expired":              a.Sign(with(func(c map[string]any) { c["exp"] = now.Add(-61 * time.Second).Unix() }), nil),
		"exp 5 minutes ago":    a.Sign(with(func(c map[string]any) { c["exp"] = now.Add(-5 * time.Minute).Unix() }), nil),
		"nbf ahead":            a.Sign(with(func(c map[string]any) { c["nbf"] = now.Add(61 * time.Second).Unix() }), nil),
		"iat ahead":            a.Sign(with(func(c map[string]any) { c["iat"] = now.Add(5 * time.Minute).Unix() }), nil),
		"no aud":               a.Sign(with(func(c map[string]any) { delete(c, "aud") }), nil),
		"wrong aud":            a.Sign(with(func(c map[string]any) { c["aud"] = "other" }), nil),
		"aud prefix":           a.Sign(with(func(c map[string]any) { c["aud"] = "acme2" }), nil),
		"empty aud list":       a.Sign(with(func(c map[string]any) { c["aud"] = []string{} }), nil),
		"no iss":               a.Sign(with(func(c map[string]any) { delete(c, "iss") }), nil),
		"wrong iss":            a.Sign(with(func(c map[string]any) { c["iss"] = s.Other.Origin }), nil),
		"iss with a slash":     a.Sign(with(func(c map[string]any) { c["iss"] = s.Acme.Origin + "/" }), nil),
		"no sub":               a.Sign(with(func(c map[string]any) { delete(c, "sub") }), nil),
		"empty sub":            a.Sign(with(func(c map[string]any) { c["sub"] = "" }), nil),
		"sub is a number":      a.Sign(with(func(c map[string]any) { c["sub"] = 1 }), nil),
		"sub is a list":        a.Sign(with(func(c map[string]any) { c["sub"] = []string{"dana"} }), nil),
		"sub with NUL":         a.Sign(with(func(c map[string]any) { c["sub"] = "dana\x00" }), nil),
		"sub of 64 KB":         a.Sign(with(func(c map[string]any) { c["sub"] = strings.Repeat("d", 64<<10) }), nil),
		"sub of 256 bytes":     a.Sign(with(func(c map[string]any) { c["sub"] = strings.Repeat("d", 256) }), nil),
		"nonce: an ID token":   a.Sign(with(func(c map[string]any) { c["nonce"] = "n" }), nil),
		"at_hash: an ID token": a.Sign(with(func(c map[string]any) { c["at_hash"] = "h" }), nil),
		"nonce null":           raw(`{"alg":"HS256"}`, plain[:len(plain)-1]+`,"nonce":null}`),
		"sub twice":            raw(`{"alg":"HS256"}`, plain[:len(plain)-1]+`,"sub":"root"}`),
		"aud twice":            raw(`{"alg":"HS256"}`, plain[:len(plain)-1]+`,"aud":"acme"}`),
		"claim twice, deep":    raw(`{"alg":"HS256"}`, plain[:len(plain)-1]+`,"x":{"a":1,"a":2}}`),
		"deep":                 raw(`{"alg":"HS256"}`, plain[:len(plain)-1]+`,"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`}`),
		"not an object":        raw(`{"alg":"HS256"}`, `["dana"]`),
		"1 MB":                 a.Sign(with(func(c map[string]any) { c["x"] = strings.Repeat("x", 700<<10) }), nil),
		"JWE bomb":             bomb(t),
		"another app's":        s.Human.JWT("dana"),
		"two tokens":           a.JWT("dana") + " " + a.JWT("dana"),
	}
	for i, kid := range []string{"../../../../dev/null", "/dev/null", "x' OR '1'='1", "'; DROP TABLE apps; --", "http://127.0.0.1/", "\x00", strings.Repeat("k", 4096)} {
		acme[fmt.Sprintf("kid %d with the empty key", i)] = hs256(part(map[string]any{"alg": "HS256", "kid": kid}), part(good), "")
	}
	other := map[string]string{
		"HS256 with the public key":       hs256(part(map[string]any{"alg": "HS256"}), otherClaims, stack.PublicKeyPEM()),
		"HS256 with the trimmed PEM":      hs256(part(map[string]any{"alg": "HS256"}), otherClaims, strings.TrimSpace(stack.PublicKeyPEM())),
		"HS256 with the DER":              hs256(part(map[string]any{"alg": "HS256"}), otherClaims, string(der)),
		"alg none":                        part(map[string]any{"alg": "none"}) + "." + otherClaims + ".",
		"another key":                     signed(jose.RS256, foreign, nil, false),
		"another key, embedded":           signed(jose.RS256, foreign, nil, true),
		"another kind of key":             signed(jose.ES256, curve, nil, false),
		"another kind of key, embedded":   signed(jose.ES256, curve, nil, true),
		"RS384":                           signed(jose.RS384, foreign, nil, false),
		"HS256 of the app that has a key": hs256(part(map[string]any{"alg": "HS256"}), otherClaims, ""),
	}
	for app, attacks := range map[*stack.App]map[string]string{a: acme, s.Other: other} {
		for name, token := range attacks {
			status := []int{http.StatusUnauthorized}
			if len(token) > 900<<10 {
				status = append(status, http.StatusRequestHeaderFieldsTooLarge)
			}
			for where, r := range map[string]stack.Answer{
				"Authorization": app.Call(http.MethodGet, "app-user-auth/connectors", nil, stack.Bearer(clean(token))),
				"on-behalf-of":  app.Call(http.MethodGet, "app-user-auth/connectors/github/token", nil, stack.Bearer(app.Tokens), stack.OnBehalfOf(clean(token))),
			} {
				if !slices.Contains(status, r.Status) {
					t.Errorf("%s in %s: %d %s", name, where, r.Status, r.Body)
				}
			}
		}
	}
	if hits.Load() != 0 {
		t.Error("a token made us fetch an address")
	}
	s.Other.Call(http.MethodGet, "app-user-auth/connectors", nil, stack.Bearer(s.Other.JWT("dana"))).Want(http.StatusOK, "")

	// A claim whose name differs in case is another claim (RFC 7519 section 10.1.1).
	s.Browser().Flow(a, "dana", "github", "dana@example.com").WantFlow("connected", "connected")
	for name, c := range map[string]string{"after": plain[:len(plain)-1] + `,"SUB":"root"}`, "before": `{"Sub":"root",` + plain[1:]} {
		r := a.Call(http.MethodGet, "app-user-auth/connectors/github/token", nil, stack.Bearer(a.Tokens), stack.OnBehalfOf(raw(`{"alg":"HS256"}`, c)))
		if r.Status != http.StatusOK && r.Status != http.StatusUnauthorized {
			t.Errorf("SUB %s sub: %d %s, want dana's token or 401", name, r.Status, r.Body)
		}
	}
}

// A minute of skew is fine, to the second, in both directions.
func TestSecurity58_ClockSkew(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	now := s.Clock.Now()
	for _, c := range []struct {
		claim string
		off   time.Duration
		want  int
	}{
		{"exp", -59 * time.Second, 200}, {"exp", -61 * time.Second, 401}, {"exp", -5 * time.Minute, 401}, {"exp", time.Second, 200},
		{"nbf", 59 * time.Second, 200}, {"nbf", 61 * time.Second, 401}, {"nbf", 5 * time.Minute, 401}, {"nbf", -time.Hour, 200},
		{"iat", 59 * time.Second, 200}, {"iat", 5 * time.Minute, 401}, {"iat", -time.Hour, 200},
	} {
		claims := s.Acme.Claims("dana")
		claims[c.claim] = now.Add(c.off).Unix()
		if r := s.Acme.Call(http.MethodGet, "app-user-auth/connectors", nil, stack.Bearer(s.Acme.Sign(claims, nil))); r.Status != c.want {
			t.Errorf("%s %v from now: %d, want %d", c.claim, c.off, r.Status, c.want)
		}
	}
	for name, more := range map[string]map[string]any{"list of aud": {"aud": []string{"x", "acme"}}, "name and e-mail": {"name": "Dana", "email": "dana@example.com"}} {
		claims := s.Acme.Claims("dana")
		maps.Copy(claims, more)
		if r := s.Acme.Call(http.MethodGet, "app-user-auth/connectors", nil, stack.Bearer(s.Acme.Sign(claims, nil))); r.Status != http.StatusOK {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
}

// clean takes out what cannot be in a header.
func clean(token string) string { return strings.ReplaceAll(token, "\x00", "%00") }

func block(text string) []byte {
	b, _ := pem.Decode([]byte(text))
	if _, err := x509.ParsePKIXPublicKey(b.Bytes); err != nil {
		panic(err)
	}
	return b.Bytes
}

// bomb is a JWE whose compressed text is far larger than the token.
func bomb(t *testing.T) string {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	enc := base64.RawURLEncoding.EncodeToString
	return part(map[string]any{"alg": "dir", "enc": "A256GCM", "zip": "DEF"}) + ".." + enc(make([]byte, 12)) + "." + enc(packed.Bytes()) + "." + enc(make([]byte, 16))
}

// User ids that meet under some folding, joining or cutting stay apart.
func TestSecurity59_CollidingUsers(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	users := []string{
		"a", "A", "a ", " a", "a\u200b", "á", "a\u0301", "ａ", "K", "\u212a", "ß", "ss", "SS", "i", "İ", "ı", "app", "u:a", "u:", "u", "a:b", "a/b", "a%2Fb", "a%2fb", "a\\b", "a|b", "a,b",
		"github", "acme", "a.b", "..", ".", "null", "0", "00", "1e3", "1000", "true", "[]", "{}", "'", `"`, "%", "_", "%00", "*", "?", "#", "a?b=c", "a#b", "a;b", "a&b", "\U0001F600", strings.Repeat("x", 255), strings.Repeat("x", 254),
	}
	tokens := map[string]string{}
	for i, user := range users {
		account := fmt.Sprintf("account-%d@example.com", i)
		s.Browser().Flow(s.Human, user, "github", account).WantFlow("connected", "connected")
	}
	wantRows(t, s, s.Human, len(users))
	for i, user := range users {
		r := s.Human.Token(user, "github").Want(http.StatusOK, "")
		if email := r.Text("account", "email"); email != fmt.Sprintf("account-%d@example.com", i) {
			t.Errorf("user %q reads the token of %s", user, email)
		}
		token := r.Text("access_token")
		if other, taken := tokens[token]; taken {
			t.Errorf("users %q and %q share a token", user, other)
		}
		tokens[token] = user
		list := s.Human.Connections(user).Want(http.StatusOK, "")
		if conns, _ := list.Value("connections").([]any); len(conns) != 1 {
			t.Errorf("user %q has %d connections", user, len(conns))
		}
		if state := s.Browser().SignIn(s.Human, user).State("github"); state != "connected" {
			t.Errorf("user %q sees %s", user, state)
		}
	}
	// Across apps and connectors: the same parts in another order.
	s.Browser().Flow(s.Acme, "a", "github", "acme-a@example.com").WantFlow("connected", "connected")
	if got := s.Human.Token("a", "github").Text("account", "email"); got != "account-0@example.com" {
		t.Errorf("another app's user %q came between: %s", "a", got)
	}
	// Ending one ends no other.
	s.Human.Call(http.MethodDelete, "users/"+url.PathEscape("a"), nil, stack.Bearer(s.Human.All)).Want(http.StatusOK, "")
	wantRows(t, s, s.Human, len(users)-1)
	wantRows(t, s, s.Acme, 1)
	for _, bad := range []string{"", "\x00", "a\x00", "a\n", "\u0085", strings.Repeat("x", 256), strings.Repeat("x", 64<<10)} {
		s.Human.Call(http.MethodPost, "connect-sessions", stack.SessionFields("redirect", bad), stack.Bearer(s.Human.All)).Want(http.StatusBadRequest, "invalid_request")
	}
}

// Texts that a JSON reader quietly repairs would make one user of two.
func TestSecurity59_RepairedUsers(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	post := func(path, body string) stack.Answer {
		return s.Call(http.MethodPost, "/api/apps/acme/"+path, strings.NewReader(body), stack.Bearer(s.Acme.All), stack.Header{Name: "Content-Type", Value: "application/json"})
	}
	bad := map[string]string{"an invalid byte": "a\xff", "half a character": "a\xc3", "a surrogate in UTF-8": "a\xed\xa0\x80", "overlong": "a\xc0\xaf", "half a pair": `a\ud800`, "the other half": `a\udfff`, "halves swapped": `a\udc00\ud800`}
	for name, id := range bad {
		if r := post("connect-sessions", `{"mode":"redirect","user":{"id":"`+id+`"}}`); r.Status != http.StatusBadRequest {
			t.Errorf("a user id with %s: %d %s, want 400", name, r.Status, r.Body)
		}
	}
	// Confirmed as somebody whose id is broken: not the user whose id is the repair.
	dana := s.Browser()
	asked := dana.SignIn(s.Acme, "a\ufffd").Connect("github").Approve("dana@example.com").Follow().Query()
	for name, id := range bad {
		if r := post("flows/"+asked.Get("flow")+"/confirm", `{"result_code":"`+asked.Get("result_code")+`","user_id":"`+id+`"}`); r.Status == http.StatusOK {
			t.Fatalf("confirmed by a user id with %s: %s", name, r.Body)
		}
	}
	s.WantNothingLinked(t)
	// The same in a user token.
	encode := base64.RawURLEncoding.EncodeToString
	claims, err := json.Marshal(s.Acme.Claims("dana"))
	if err != nil {
		t.Fatal(err)
	}
	for name, id := range bad {
		token := hs256(encode([]byte(`{"alg":"HS256"}`)), encode([]byte(strings.Replace(string(claims), `"dana"`, `"`+id+`"`, 1))), s.Acme.UserSecret)
		if r := s.Acme.Call(http.MethodGet, "app-user-auth/connectors", nil, stack.Bearer(token)); r.Status != http.StatusUnauthorized {
			t.Errorf("a user token whose sub has %s: %d, want 401", name, r.Status)
		}
	}
}

// A body is read as it is written: no field twice, no field by another case.
func TestStrictBodies(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	for name, body := range map[string]string{
		"unknown field":              `{"mode":"redirect","user":{"id":"dana"},"role":"admin"}`,
		"unknown field of the user":  `{"mode":"redirect","user":{"id":"dana","admin":true}}`,
		"app_id":                     `{"mode":"redirect","user":{"id":"dana"},"app_id":"other"}`,
		"user twice":                 `{"mode":"redirect","user":{"id":"dana"},"user":{"id":"mallory"}}`,
		"id twice":                   `{"mode":"redirect","user":{"id":"dana","id":"mallory"}}`,
		"id by another case":         `{"mode":"redirect","user":{"id":"dana","ID":"mallory"}}`,
		"another case alone":         `{"Mode":"redirect","user":{"id":"dana"}}`,
		"two objects":                `{"mode":"redirect","user":{"id":"dana"}}{}`,
		"garbage after":              `{"mode":"redirect","user":{"id":"dana"}}x`,
		"array":                      `[{"mode":"redirect","user":{"id":"dana"}}]`,
		"null":                       `null`,
		"empty":                      ``,
		"id is a number":             `{"mode":"redirect","user":{"id":1}}`,
		"id is null":                 `{"mode":"redirect","user":{"id":null}}`,
		"no user":                    `{"mode":"redirect"}`,
		"no id":                      `{"mode":"redirect","user":{"name":"Dana"}}`,
		"unknown mode":               `{"mode":"popup","user":{"id":"dana"}}`,
		"no mode":                    `{"user":{"id":"dana"}}`,
		"link without connector":     `{"mode":"link","user":{"id":"dana"}}`,
		"link with two":              `{"mode":"link","user":{"id":"dana"},"connectors":["github","slack"]}`,
		"expires_in 0":               `{"mode":"link","user":{"id":"dana"},"connectors":["github"],"expires_in":0}`,
		"expires_in negative":        `{"mode":"link","user":{"id":"dana"},"connectors":["github"],"expires_in":-1}`,
		"expires_in over 7 days":     `{"mode":"link","user":{"id":"dana"},"connectors":["github"],"expires_in":604801}`,
		"expires_in text":            `{"mode":"link","user":{"id":"dana"},"connectors":["github"],"expires_in":"60"}`,
		"expires_in of 1e18 seconds": `{"mode":"link","user":{"id":"dana"},"connectors":["github"],"expires_in":1000000000000000000}`,
		"deep":                       `{"mode":"redirect","user":` + strings.Repeat(`{"id":`, 20000) + strings.Repeat("}", 20000) + `}`,
	} {
		r := s.Call(http.MethodPost, "/api/apps/acme/connect-sessions", strings.NewReader(body), stack.Bearer(s.Acme.All), stack.Header{Name: "Content-Type", Value: "application/json"})
		if r.Status != http.StatusBadRequest || r.Text("code") != "invalid_request" {
			t.Errorf("%s: %d %s, want 400 invalid_request", name, r.Status, r.Body)
		}
	}
	json := stack.Header{Name: "Content-Type", Value: "application/json; charset=utf-8"}
	s.Call(http.MethodPost, "/api/apps/acme/connect-sessions", strings.NewReader(`{"mode":"redirect","user":{"id":"dana"}}`), stack.Bearer(s.Acme.All), json).Want(http.StatusCreated, "")
	s.Call(http.MethodPost, "/api/apps/acme/connect-sessions", strings.NewReader(`{"mode":"redirect","user":{"id":"dana"}}`), stack.Bearer(s.Acme.All), stack.Header{Name: "Content-Type", Value: "text/plain"}).Want(http.StatusUnsupportedMediaType, "unsupported_media_type")
	s.Call(http.MethodPost, "/api/apps/acme/connect-sessions", strings.NewReader(`{"mode":"`+strings.Repeat("x", 1<<20)+`"}`), stack.Bearer(s.Acme.All), json).Want(http.StatusRequestEntityTooLarge, "too_large")
	s.Call(http.MethodPut, "/api/apps/acme/connect-sessions", nil, stack.Bearer(s.Acme.All)).Want(http.StatusMethodNotAllowed, "method_not_allowed")
	s.Call(http.MethodPatch, "/api/apps/acme/app-user-auth/connectors/github/token", nil, stack.Bearer(s.Acme.All)).Want(http.StatusMethodNotAllowed, "method_not_allowed")
	s.Acme.Call(http.MethodPost, "connect-sessions", stack.SessionFields("redirect", "dana", map[string]any{"origin": "https://evil.example"}), stack.Bearer(s.Acme.All)).Want(http.StatusForbidden, "origin_not_allowed")
}

func TestSecurity60_GuessedIdentifiers(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	result := s.Browser().Flow(s.Acme, "dana", "github", "dana@example.com")
	flow, conn := result.FlowID(), s.Rows(s.Acme)[0].ID
	for _, id := range []string{flow, conn, s.Acme.Session("dana").ID} {
		if _, random, ok := strings.Cut(id, "_"); !ok || len(random) != 22 {
			t.Errorf("the identifier %s has no 128 random bits", id)
		}
	}
	b := s.Browser()
	b.SignIn(s.Acme, "mallory")
	last := flow[len(flow)-1:]
	for _, guess := range []string{"fl_" + strings.Repeat("A", 22), flow[:len(flow)-1], flow + "A", flow[:len(flow)-1] + map[bool]string{true: "B", false: "A"}[last == "A"], strings.ToUpper(flow), conn, "1", "0", "-1", "%", "' OR 1=1 --", "%00", flow + "%00", "..%2f" + flow} {
		path := url.PathEscape(guess)
		s.Acme.Call(http.MethodGet, "flows/"+path, nil, stack.Bearer(s.Acme.All)).Want(http.StatusNotFound, "not_found")
		s.Acme.Call(http.MethodPost, "flows/"+path+"/confirm", map[string]string{"result_code": "x", "user_id": "dana"}, stack.Bearer(s.Acme.All)).Want(http.StatusNotFound, "not_found")
		s.Acme.Call(http.MethodDelete, "connect-sessions/"+path, nil, stack.Bearer(s.Acme.All)).Want(http.StatusNotFound, "not_found")
		b.Get("/flows/" + path).WantStatus(http.StatusNotFound)
		b.Get("/apps/acme/receipts/" + path).WantStatus(http.StatusNotFound)
		b.Get("/apps/acme/connectors/" + path + "/disconnect").WantStatus(http.StatusNotFound)
	}
	// A receipt is its user's alone.
	dana := s.Browser()
	dana.SignIn(s.Acme, "dana")
	receipt := dana.Get("/apps/acme/connectors/github/disconnect").Submit("confirm").Location()
	dana.Get(receipt).WantStatus(http.StatusOK)
	b.Get(receipt).WantStatus(http.StatusNotFound)
}

func TestSecurity61_LeastPrivilege(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	result := s.Browser().Flow(s.Acme, "dana", "github", "dana@example.com")
	session := s.Acme.Session("dana")
	for _, c := range apiCalls(s.Acme, result.FlowID(), session.ID) {
		for name, token := range map[string]string{
			"tokens": s.Acme.Tokens, "sessions": s.Acme.Sessions, "proxy": s.Acme.Proxy, "builder": s.Acme.Builder, "user": s.Acme.JWT("dana"), "session's user": session.Token,
		} {
			mayBe := name == c.scope || (c.user && (name == "user" || name == "session's user"))
			if mayBe {
				continue
			}
			s.Acme.Call(c.method, c.path, c.body, stack.Bearer(token), stack.OnBehalfOf(s.Acme.JWT("dana"))).Want(http.StatusForbidden, "forbidden")
		}
		s.Acme.Call(c.method, c.path, c.body, stack.Header{Name: "api_key", Value: s.Acme.Builder}).Want(http.StatusForbidden, "forbidden")
	}
	wantRows(t, s, s.Acme, 1)
	s.Browser().Come(session.URL).WantStatus(http.StatusSeeOther)
	for _, c := range apiCalls(s.Acme, result.FlowID(), session.ID) {
		headers := []stack.Header{stack.Bearer(c.good(s.Acme))}
		if c.name == "token read" {
			headers = append(headers, stack.OnBehalfOf(s.Acme.JWT("dana")))
		}
		if r := s.Acme.Call(c.method, c.path, c.body, headers...); r.Status/100 != 2 && r.Text("code") != "flow_finished" {
			t.Errorf("%s with the credential it takes: %d %s", c.name, r.Status, r.Body)
		}
	}
}

// A connect session that is limited to connectors neither lists nor begins others, in
// the browser and with its token.
func TestLimitedSession(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	s.Browser().Flow(s.Acme, "dana", "slack", "dana@example.com").WantFlow("connected", "connected")
	limited := s.Acme.Session("dana", map[string]any{"connectors": []string{"github"}})
	user := stack.Bearer(limited.Token)
	list := s.Acme.Call(http.MethodGet, "app-user-auth/connectors", nil, user).Want(http.StatusOK, "")
	if conns, _ := list.Value("connectors").([]any); len(conns) != 1 {
		t.Errorf("the token lists %s", list.Body)
	}
	s.Acme.Call(http.MethodPost, "app-user-auth/connectors/slack/initiate", nil, user).Want(http.StatusNotFound, "not_found")
	s.Acme.Call(http.MethodDelete, "app-user-auth/connectors/slack", nil, user).Want(http.StatusNotFound, "not_found")
	s.Acme.Call(http.MethodGet, "app-user-auth/connectors/slack/token", nil, stack.Bearer(s.Acme.Tokens), stack.OnBehalfOf(limited.Token)).Want(http.StatusNotFound, "not_found")
	dana := s.Browser()
	page := dana.Enter(limited)
	if page.Doc.Find("[data-connector]").Length() != 1 {
		t.Error("the list shows other connectors")
	}
	dana.Get("/apps/acme/connectors/slack/disconnect").WantStatus(http.StatusNotFound)
	wantSilent(t, dana.Get("/apps/acme/settings").WantStatus(http.StatusOK), "Slack", "slack")
	wantRows(t, s, s.Acme, 1)
	for _, bad := range []any{[]string{}, []string{"nothing"}, []string{"team"}, []string{"github", "nothing"}} {
		r := s.Acme.Call(http.MethodPost, "connect-sessions", stack.SessionFields("redirect", "dana", map[string]any{"connectors": bad}), stack.Bearer(s.Acme.Sessions))
		if r.Status != http.StatusNotFound && r.Status != http.StatusBadRequest {
			t.Errorf("connectors %v: %d %s", bad, r.Status, r.Body)
		}
	}
}

func TestSecurity65_TokenAnswer(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	for _, connector := range []string{"github", "googlecalendar", "slack"} {
		s.Browser().SignIn(s.Human, "dana").Connect(connector).Choose("rotating", "dana@example.com").Rest().WantFlow("connected", "connected")
		r := s.Human.Token("dana", connector).Want(http.StatusOK, "")
		want := []string{"access_token", "account", "connection_config", "expires_at", "integration_type", "missing_scopes", "scopes", "token_type"}
		if got := slices.Sorted(maps.Keys(r.JSON)); !slices.Equal(got, want) {
			t.Errorf("%s: fields %v, want %v", connector, got, want)
		}
		if r.Text("token_type") != "Bearer" || r.Text("integration_type") != connector {
			t.Errorf("%s: %s", connector, r.Body)
		}
		for kind, secrets := range s.Wire.Secrets() {
			for _, secret := range secrets {
				if kind != "access token" && bytes.Contains(r.Body, []byte(secret)) {
					t.Errorf("%s: the answer holds the %s", connector, kind)
				}
			}
		}
		config, _ := r.Value("connection_config").(map[string]any)
		for name, value := range config {
			if _, text := value.(string); !text {
				t.Errorf("%s: connection_config.%s is no text", connector, name)
			}
		}
	}
}
