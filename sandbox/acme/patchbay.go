package acme

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// patchbay calls the HTTP API with the app's service token. Only the back end has it.
type patchbay struct {
	api   string // {PatchbayURL}/api/apps/{app}
	token string
	http  *http.Client
}

// connectSession is a short-lived permission for one user to link accounts.
type connectSession struct {
	ID    string `json:"id"`
	URL   string `json:"url"`   // where the user's browser goes
	Token string `json:"token"` // speaks for the user, see accessToken
}

// connection is one linked account.
type connection struct {
	Connector string `json:"connector"`
	Type      string `json:"type"`
	Status    string `json:"status"`
	Account   struct {
		ID, Name, Email string
	} `json:"account"`
	MissingScopes []string `json:"missing_scopes"`
}

// Label is how a person recognises the account.
func (c connection) Label() string {
	for _, s := range []string{c.Account.Email, c.Account.Name, c.Account.ID} {
		if s != "" {
			return s
		}
	}
	return "an account"
}

// accessToken is a provider's token, good for at least a minute.
type accessToken struct {
	Value     string     `json:"access_token"`
	Type      string     `json:"integration_type"`
	ExpiresAt *time.Time `json:"expires_at"`
	Scopes    []string   `json:"scopes"`
}

// confirmation is the outcome of a flow that the app has vouched for.
type confirmation struct {
	Flow      string `json:"flow"`
	Status    string `json:"status"`
	ResultURL string `json:"result_url"`
}

// apiError is an error that Patchbay answered with.
type apiError struct {
	Status     int
	Code       string `json:"code"`
	Message    string `json:"message"` // for developers: logged, not shown
	Trace      string `json:"trace"`
	ConnectURL string `json:"connect_url"` // with reconnect_required
}

func (e *apiError) Error() string {
	return fmt.Sprintf("patchbay answered %d %s: %s (trace %s)", e.Status, e.Code, e.Message, e.Trace)
}

// sessionRequest is what a connect session is made from.
type sessionRequest struct {
	Mode       string   `json:"mode"`
	User       person   `json:"user"`
	Connectors []string `json:"connectors,omitempty"`
	Origin     string   `json:"origin,omitempty"`
	ReturnURL  string   `json:"return_url,omitempty"`
}

type person struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

// session makes a connect session for a user. With connectors it is good for those
// only; returnURL may be empty.
func (p *patchbay) session(ctx context.Context, u user, returnURL string, connectors ...string) (connectSession, error) {
	return p.makeSession(ctx, sessionRequest{
		Mode: "redirect", User: person{u.ID, u.Name, u.Email}, Connectors: connectors, ReturnURL: returnURL,
	})
}

// frameSession makes one whose address is shown in a frame, on pages of this origin
// only.
func (p *patchbay) frameSession(ctx context.Context, u user, origin, returnURL string) (connectSession, error) {
	return p.makeSession(ctx, sessionRequest{
		Mode: "embed", User: person{u.ID, u.Name, u.Email}, Origin: origin, ReturnURL: returnURL,
	})
}

func (p *patchbay) makeSession(ctx context.Context, req sessionRequest) (connectSession, error) {
	var made connectSession
	err := p.call(ctx, http.MethodPost, "/connect-sessions", nil, req, &made)
	return made, err
}

// endSession makes a session's address and token worthless at once.
func (p *patchbay) endSession(ctx context.Context, id string) error {
	return p.call(ctx, http.MethodDelete, "/connect-sessions/"+url.PathEscape(id), nil, nil, nil)
}

// confirm says that the flow was finished by this user, whom the app knows by its own
// session. Patchbay exchanges the provider's code only after that.
func (p *patchbay) confirm(ctx context.Context, flow, resultCode, userID string) (confirmation, error) {
	var done confirmation
	err := p.call(ctx, http.MethodPost, "/flows/"+url.PathEscape(flow)+"/confirm", nil, struct {
		ResultCode string `json:"result_code"`
		UserID     string `json:"user_id"`
	}{resultCode, userID}, &done)
	return done, err
}

// connections lists what a user has linked.
func (p *patchbay) connections(ctx context.Context, userID string) ([]connection, error) {
	var list struct {
		Connections []connection `json:"connections"`
	}
	err := p.call(ctx, http.MethodGet, "/users/"+url.PathEscape(userID)+"/connections", nil, nil, &list)
	return list.Connections, err
}

// accessToken reads a fresh token of a user's connection. Two credentials are needed:
// the service token says which app asks, a user token for whom. An app that issues
// JWTs to its users sends one of those. Acme has none, so it makes a connect session
// for this user and this one connector, uses its token once and ends it: should the
// token leak from a log, it is worth nothing.
func (p *patchbay) accessToken(ctx context.Context, u user, connector string) (accessToken, error) {
	made, err := p.session(ctx, u, "", connector)
	if err != nil {
		return accessToken{}, err
	}
	// The caller may have gone by then; the session must end all the same.
	defer func() { _ = p.endSession(context.WithoutCancel(ctx), made.ID) }()

	var token accessToken
	err = p.call(ctx, http.MethodGet, "/app-user-auth/connectors/"+url.PathEscape(connector)+"/token",
		http.Header{"On-Behalf-Of": {"Bearer " + made.Token}}, nil, &token)
	return token, err
}

// maxAnswer bounds what is read of any answer.
const maxAnswer = 1 << 20

var errNotJSON = errors.New("the answer is not the JSON that was expected")

// call sends one request. An answer that is not 2xx is an *apiError, anything else
// that goes wrong an error of its own.
func (p *patchbay) call(ctx context.Context, method, path string, header http.Header, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.api+path, body)
	if err != nil {
		return err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		failed := &apiError{}
		if json.Unmarshal(raw, failed) != nil || failed.Code == "" {
			return fmt.Errorf("status %d: %w", resp.StatusCode, errNotJSON)
		}
		failed.Status = resp.StatusCode
		return failed
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%w: %w", errNotJSON, err)
	}
	return nil
}
