package session

import (
	"context"
	"net/http"
	"net/textproto"
	"strings"

	"patchbay/connect"
)

// Kind tells the credentials of the API apart.
type Kind string

// Who calls the API.
const (
	ServiceToken Kind = "service token"
	BuilderKey   Kind = "builder key"
	UserToken    Kind = "user token"
)

// Caller is who a credential belongs to.
type Caller struct {
	Kind       Kind
	Credential connect.Credential // of a service token or builder key
	User       connect.EndUser    // of a user token
	// Session is the connect session that the user token belongs to, and which
	// limits it; nil for the app's own JWT.
	Session *connect.ConnectSession
}

// Name is how the audit names the caller: the kind of its credential, and which.
func (c *Caller) Name() string {
	switch c.Kind {
	case ServiceToken:
		return "service:" + c.Credential.Name
	case BuilderKey:
		return "builder:" + c.Credential.Name
	}
	return "user:" + c.User.ID
}

// Allows reports whether the caller's session may see the connector.
func (c *Caller) Allows(connector string) bool {
	return c.Session == nil || c.Session.Allows(connector)
}

// Callers finds out who calls the API.
type Callers struct {
	Service *connect.Service
	Tokens  *UserTokens
}

var errUnauthorized = &connect.Error{Code: connect.CodeUnauthorized, Message: "The credential is missing, expired or not valid for this app."}

// builderKeyPrefix begins every builder key, by the rules of the apps file.
const builderKeyPrefix = "b44k_"

// Caller looks the request's credential up among those of the app in its path. For an
// app that does not exist app is nil, and the answer is the same as for a wrong
// credential: unauthorized, with one sentence for every reason.
func (c *Callers) Caller(r *http.Request, app *connect.App) (Caller, error) {
	token, ok := bearer(r.Header, "Authorization")
	if !ok && len(r.Header.Values("Authorization")) == 0 {
		token, ok = single(r.Header, "api_key")
		ok = ok && strings.HasPrefix(token, builderKeyPrefix)
	}
	if !ok {
		return Caller{}, errUnauthorized
	}
	return c.lookUp(r.Context(), app, token)
}

// OnBehalfOf reads the user token beside a service token. It answers invalid_request
// when the header came twice, or is named in Connection, which would let a proxy drop
// it; unauthorized when it is missing or not a user token.
func (c *Callers) OnBehalfOf(r *http.Request, app *connect.App) (Caller, error) {
	if len(r.Header.Values("on-behalf-of")) > 1 || connectionNames(r.Header, "on-behalf-of") {
		return Caller{}, &connect.Error{Code: connect.CodeInvalidRequest, Message: "Send the on-behalf-of header once, and do not name it in Connection."}
	}
	token, ok := bearer(r.Header, "on-behalf-of")
	if !ok {
		return Caller{}, errUnauthorized
	}
	who, err := c.lookUp(r.Context(), app, token)
	if err == nil && who.Kind != UserToken {
		return Caller{}, errUnauthorized
	}
	return who, err
}

func (c *Callers) lookUp(ctx context.Context, app *connect.App, token string) (Caller, error) {
	if app == nil {
		app = &connect.App{}
	}
	if cred, ok := app.Credential(token); ok {
		kind := ServiceToken
		if cred.Kind == connect.BuilderKey {
			kind = BuilderKey
		}
		return Caller{Kind: kind, Credential: cred}, nil
	}
	if strings.HasPrefix(token, connect.UserTokenPrefix) {
		cs, err := c.Service.SessionByToken(ctx, app.ID, token)
		if err != nil {
			return Caller{}, err
		}
		return Caller{Kind: UserToken, User: cs.User, Session: &cs}, nil
	}
	user, err := c.Tokens.Verify(ctx, app, token)
	if err != nil {
		return Caller{}, &connect.Error{Code: errUnauthorized.Code, Message: errUnauthorized.Message, Cause: err}
	}
	return Caller{Kind: UserToken, User: user}, nil
}

// bearer reads a header of the form "Bearer token" (RFC 6750 section 2.1).
func bearer(h http.Header, name string) (string, bool) {
	v, ok := single(h, name)
	if !ok || len(v) < 7 || !strings.EqualFold(v[:7], "bearer ") {
		return "", false
	}
	token := strings.TrimLeft(v[7:], " ")
	return token, token != ""
}

func single(h http.Header, name string) (string, bool) {
	v := h.Values(name)
	if len(v) != 1 || v[0] == "" {
		return "", false
	}
	return v[0], true
}

func connectionNames(h http.Header, name string) bool {
	for _, v := range h.Values("Connection") {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(textproto.TrimString(part), name) {
				return true
			}
		}
	}
	return false
}
