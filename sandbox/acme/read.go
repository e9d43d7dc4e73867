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
	"regexp"
	"time"
)

// reading is what the page shows after a token was read and used.
type reading struct {
	Connector, Name string

	// What went wrong, as a sentence, and its code; the rest may be there all the same.
	Problem, Code string
	ConnectURL    string // where the user can mend it, if anywhere

	Account, Person, Email string
	Scopes                 []string
	Heading                string
	Items                  []item
}

// item is one thing from the account.
type item struct{ Title, Detail string }

var connectorID = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// read shows what is in a linked account: the back end reads a token for the signed-in
// user and calls the provider with it. The token never reaches the page.
func (a *app) read(w http.ResponseWriter, r *http.Request) {
	u, ok := a.sessions.current(r)
	if !ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	connector := r.PostFormValue("connector")
	if !connectorID.MatchString(connector) {
		a.message(w, r, http.StatusBadRequest, message{Title: "Which account?", Sentence: "This is not a connector of Acme Notes.", Code: "invalid_request"})
		return
	}
	got := a.readAccount(r.Context(), u, connector)
	a.showHome(w, r, http.StatusOK, page{Read: &got})
}

func (a *app) readAccount(ctx context.Context, u user, connector string) reading {
	got := reading{Connector: connector, Name: a.typeName(connector)}
	token, err := a.patchbay.accessToken(ctx, u, connector)
	if err != nil {
		a.log.Warn("reading a token failed", "connector", connector, "err", err)
		got.explain(err)
		return got
	}
	if err := a.provider.fill(ctx, token, &got); err != nil {
		a.log.Warn("calling the provider failed", "connector", connector, "err", err)
		got.explain(err)
	}
	return got
}

// explain turns an error into the sentence that the user sees.
func (got *reading) explain(err error) {
	got.Code = "unavailable"
	if failed, ok := errors.AsType[*apiError](err); ok {
		got.Code, got.ConnectURL = failed.Code, failed.ConnectURL
	}
	if failed, ok := errors.AsType[*providerError](err); ok {
		got.Code = failed.code
	}
	switch got.Code {
	case "not_connected":
		got.Problem = "No " + got.Name + " account is linked yet."
	case "reconnect_required":
		got.Problem = got.Name + " does not accept the link any more. Link the account again to go on."
	case "connection_changed":
		got.Problem = "The account was just changed. Please try again."
	case "not_found":
		got.Problem = "Acme Notes cannot link " + got.Name + "."
	case "rate_limited":
		got.Problem = "That was a lot at once. Please wait a moment and try again."
	case "connector_misconfigured", "unauthorized", "forbidden", "assurance_too_low", "invalid_request":
		got.Problem = "Acme Notes is not set up correctly for " + got.Name + ". The people who run it have to look into it."
	case "provider_error", "provider_unavailable":
		got.Problem = got.Name + " does not answer as it should. Please try again later."
	case "token_rejected":
		got.Problem = got.Name + " turned the token down. If access was taken away there, link the account again."
	case "permission_missing":
		got.Problem = "The account is known, but it was not allowed to read more of it."
	case "unavailable":
		got.Problem = patchbayDown
	default:
		got.Problem = "The account could not be read. Please try again later."
	}
}

// provider calls the API that the token is for; here the sandbox's.
type provider struct {
	base string
	http *http.Client
}

// providerError is an answer of the provider that is not what was asked for.
type providerError struct{ code string }

func (e *providerError) Error() string { return "provider: " + e.code }

// source is what is nicest to read at a provider.
type source struct {
	heading, path string
	parse         func([]byte) ([]item, error)
}

var sources = map[string]source{
	"googlecalendar": {"Next meetings", "calendars/primary/events", parseMeetings},
	"github":         {"Repositories", "user/repos", parseRepositories},
	"slack":          {"Channels", "conversations.list", parseChannels},
	"generic":        {"Items", "items", parseItems},
}

// fill asks who the account is and, where Acme knows the type, for what is in it.
func (p *provider) fill(ctx context.Context, token accessToken, got *reading) error {
	raw, err := p.get(ctx, token, "whoami")
	if err != nil {
		return err
	}
	var who struct {
		Account, Name, Email string
		Scopes               []string
	}
	if err := json.Unmarshal(raw, &who); err != nil {
		return &providerError{"provider_error"}
	}
	got.Account, got.Person, got.Email, got.Scopes = who.Account, who.Name, who.Email, who.Scopes

	src, ok := sources[token.Type]
	if !ok {
		return nil
	}
	if raw, err = p.get(ctx, token, src.path); err != nil {
		return err
	}
	if got.Items, err = src.parse(raw); err != nil {
		return err
	}
	got.Heading = src.heading
	return nil
}

// next has the provider answer the next authorization so, without asking anybody. No
// real provider has such a switch; the sandbox has.
func (p *provider) next(ctx context.Context, scenario string) error {
	raw, err := json.Marshal(map[string]string{"scenario": scenario})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+"/_sandbox/next", bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the sandbox answered %d", resp.StatusCode)
	}
	return nil
}

func (p *provider) get(ctx context.Context, token accessToken, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+"/"+url.PathEscape(token.Type)+"/api/"+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token.Value)
	req.Header.Set("Accept", "application/json")
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", &providerError{"provider_unavailable"}, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", &providerError{"provider_unavailable"}, err)
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, &providerError{"token_rejected"}
	case resp.StatusCode == http.StatusForbidden:
		return nil, &providerError{"permission_missing"}
	case resp.StatusCode != http.StatusOK:
		return nil, &providerError{"provider_error"}
	}
	return raw, nil
}

func parseMeetings(raw []byte) ([]item, error) {
	var answer struct {
		Items []struct {
			Summary, Location string
			Start             struct{ DateTime time.Time }
		}
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, &providerError{"provider_error"}
	}
	var items []item
	for _, e := range answer.Items {
		items = append(items, item{e.Summary, e.Start.DateTime.UTC().Format("Mon 2 Jan, 15:04 UTC") + ", " + e.Location})
	}
	return items, nil
}

func parseRepositories(raw []byte) ([]item, error) {
	var answer []struct {
		FullName    string `json:"full_name"`
		Description string
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, &providerError{"provider_error"}
	}
	var items []item
	for _, r := range answer {
		items = append(items, item{r.FullName, r.Description})
	}
	return items, nil
}

// parseChannels minds that Slack says "no" under status 200.
func parseChannels(raw []byte) ([]item, error) {
	var answer struct {
		OK       bool
		Error    string
		Channels []struct {
			Name  string
			Topic struct{ Value string }
		}
	}
	switch err := json.Unmarshal(raw, &answer); {
	case err != nil:
		return nil, &providerError{"provider_error"}
	case answer.Error == "missing_scope":
		return nil, &providerError{"permission_missing"}
	case !answer.OK:
		return nil, &providerError{"provider_error"}
	}
	var items []item
	for _, c := range answer.Channels {
		items = append(items, item{"#" + c.Name, c.Topic.Value})
	}
	return items, nil
}

func parseItems(raw []byte) ([]item, error) {
	var answer struct{ Items []item }
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, &providerError{"provider_error"}
	}
	return answer.Items, nil
}
