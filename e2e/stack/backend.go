package stack

import (
	"bytes"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// App is a builder's app: what it is known by, and its back end.
type App struct {
	ID                           string
	All, Tokens, Sessions, Proxy string // service tokens, named after their scopes
	Builder                      string // builder key
	UserSecret                   string // of its HS256 user tokens
	Origin                       string
	ReturnURLs                   []string
	VerifyURL                    string

	stack *Stack
	key   *rsa.PrivateKey // of its RS256 user tokens, nil for HS256
}

// Answer is what the API answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	JSON   map[string]any

	t     testing.TB
	title string
}

// Header is one header of a request.
type Header struct{ Name, Value string }

// Bearer authenticates a call.
func Bearer(token string) Header { return Header{"Authorization", "Bearer " + token} }

// OnBehalfOf names the end user of a token read.
func OnBehalfOf(token string) Header { return Header{"on-behalf-of", "Bearer " + token} }

// Call makes a request below /api/apps/{app}/. body is sent as JSON; nil sends none.
func (a *App) Call(method, path string, body any, headers ...Header) Answer {
	a.stack.t.Helper()
	var text io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		must(a.stack.t, err)
		text = bytes.NewReader(raw)
		headers = append([]Header{{"Content-Type", "application/json"}}, headers...)
	}
	return a.stack.Call(method, "/api/apps/"+a.ID+"/"+path, text, headers...)
}

// Call makes a request of a program, not of a browser.
func (s *Stack) Call(method, path string, body io.Reader, headers ...Header) Answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.Address+path, body)
	must(s.t, err)
	for _, h := range headers {
		if h.Name == "Host" {
			req.Host = h.Value
			continue
		}
		req.Header.Add(h.Name, h.Value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	must(s.t, err)
	defer resp.Body.Close()
	out := Answer{Status: resp.StatusCode, Header: resp.Header, t: s.t, title: method + " " + path}
	out.Body, err = io.ReadAll(resp.Body)
	must(s.t, err)
	_ = json.Unmarshal(out.Body, &out.JSON)
	return out
}

// Want requires a status and, unless it is "", a code.
func (r Answer) Want(status int, code string) Answer {
	r.t.Helper()
	if r.Status != status || (code != "" && r.Text("code") != code) {
		r.t.Errorf("%s: got %d %s, want %d %s", r.title, r.Status, r.Body, status, code)
	}
	return r
}

// Text returns a string of the answer, found by its path of names.
func (r Answer) Text(path ...string) string {
	text, _ := r.Value(path...).(string)
	return text
}

// Value returns a value of the answer, found by its path of names.
func (r Answer) Value(path ...string) any {
	var v any = r.JSON
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

// Session is a connect session as its maker sees it.
type Session struct{ ID, URL, Token string }

// SessionFields are those of POST connect-sessions for a user.
func SessionFields(mode, user string, more ...map[string]any) map[string]any {
	fields := map[string]any{"mode": mode, "user": map[string]any{"id": user}}
	for _, m := range more {
		maps.Copy(fields, m)
	}
	return fields
}

// Session makes a connect session of mode redirect.
func (a *App) Session(user string, more ...map[string]any) Session {
	a.stack.t.Helper()
	return a.made(SessionFields("redirect", user, more...))
}

// Embed makes a connect session of mode embed, for the app's own page.
func (a *App) Embed(user string, more ...map[string]any) Session {
	a.stack.t.Helper()
	fields := SessionFields("embed", user, more...)
	if _, given := fields["origin"]; !given {
		fields["origin"] = a.Origin
	}
	return a.made(fields)
}

// Link makes a connect session of mode link.
func (a *App) Link(user, connector string, more ...map[string]any) Session {
	a.stack.t.Helper()
	fields := SessionFields("link", user, more...)
	fields["connectors"] = []string{connector}
	return a.made(fields)
}

func (a *App) made(fields map[string]any) Session {
	a.stack.t.Helper()
	r := a.Call(http.MethodPost, "connect-sessions", fields, Bearer(a.All)).Want(http.StatusCreated, "")
	return Session{ID: r.Text("id"), URL: r.Text("url"), Token: r.Text("token")}
}

// Confirm is the app's word about whose browser came back.
func (a *App) Confirm(flow, resultCode, user string) Answer {
	a.stack.t.Helper()
	return a.Call(http.MethodPost, "flows/"+url.PathEscape(flow)+"/confirm",
		map[string]string{"result_code": resultCode, "user_id": user}, Bearer(a.All))
}

// FlowState reads a flow.
func (a *App) FlowState(flow string) Answer {
	a.stack.t.Helper()
	return a.Call(http.MethodGet, "flows/"+url.PathEscape(flow), nil, Bearer(a.All))
}

// Token reads the user's token of a connector, with the user's JWT.
func (a *App) Token(user, connector string, query ...string) Answer {
	a.stack.t.Helper()
	path := "app-user-auth/connectors/" + url.PathEscape(connector) + "/token"
	if len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	return a.Call(http.MethodGet, path, nil, Bearer(a.Tokens), OnBehalfOf(a.JWT(user)))
}

// Connections lists what a user has linked.
func (a *App) Connections(user string) Answer {
	a.stack.t.Helper()
	return a.Call(http.MethodGet, "users/"+url.PathEscape(user)+"/connections", nil, Bearer(a.Tokens))
}

// Initiate is the SDK's connectAppUser, with the user's JWT.
func (a *App) Initiate(user, connector string) Answer {
	a.stack.t.Helper()
	return a.Call(http.MethodPost, "app-user-auth/connectors/"+url.PathEscape(connector)+"/initiate", nil, Bearer(a.JWT(user)))
}

// Disconnect is the SDK's disconnectAppUser, with the user's JWT.
func (a *App) Disconnect(user, connector string) Answer {
	a.stack.t.Helper()
	return a.Call(http.MethodDelete, "app-user-auth/connectors/"+url.PathEscape(connector), nil, Bearer(a.JWT(user)))
}

// Claims are those of a good user token.
func (a *App) Claims(user string) map[string]any {
	return map[string]any{"iss": a.Origin, "aud": a.ID, "sub": user, "exp": a.stack.Clock.Now().Add(time.Hour).Unix()}
}

// JWT is a user token as the app would give it to its user's browser.
func (a *App) JWT(user string) string {
	a.stack.t.Helper()
	return a.Sign(a.Claims(user), nil)
}

// Sign signs claims with the app's key. header adds to the JOSE header.
func (a *App) Sign(claims map[string]any, header map[string]any) string {
	a.stack.t.Helper()
	key := jose.SigningKey{Algorithm: jose.HS256, Key: []byte(a.UserSecret)}
	if a.key != nil {
		key = jose.SigningKey{Algorithm: jose.RS256, Key: a.key}
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(key, options)
	must(a.stack.t, err)
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	must(a.stack.t, err)
	return token
}

// SecretsInUse lists the app's credentials by kind.
func (a *App) SecretsInUse() map[string]string {
	return map[string]string{"all": a.All, "tokens": a.Tokens, "sessions": a.Sessions, "proxy": a.Proxy, "builder": a.Builder, "user secret": a.UserSecret}
}

// siteCookie holds the user of an app's own browser session.
const siteCookie = "app_user_"

// serveSite is the apps' own site. Its /{app}/verify is a verify_url: the user comes
// from the app's own session, the app confirms, and the browser goes on to the result.
func (s *Stack) serveSite(w http.ResponseWriter, r *http.Request) {
	id, page, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if page != "verify" {
		fmt.Fprintln(w, "the app's own page")
		return
	}
	cookie, err := r.Cookie(siteCookie + id)
	if err != nil {
		http.Error(w, "sign in to the app first", http.StatusUnauthorized)
		return
	}
	user, _ := url.QueryUnescape(cookie.Value)
	for _, a := range s.Apps() {
		if a.ID == id {
			answer := a.Confirm(r.URL.Query().Get("flow"), r.URL.Query().Get("result_code"), user)
			if to := answer.Text("result_url"); to != "" {
				http.Redirect(w, r, to, http.StatusSeeOther)
				return
			}
			http.Error(w, answer.Text("code"), answer.Status)
			return
		}
	}
}
