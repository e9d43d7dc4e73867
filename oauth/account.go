package oauth

import (
	"context"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"patchbay/provider"
)

// Account is whose account a grant is for. Every text is the provider's word: fit to
// be shown, never to decide who somebody is here.
type Account struct {
	ID    string // never changes; "" when the connector has no way to ask
	Name  string // "" when unknown
	Email string // "" when unknown
}

// Account asks the provider whose account it is, and adds to t.ConnectionConfig what
// only that answer tells. Further calls that the entry lists may fail without
// consequence. A connector without a way to ask (see [provider.Entry.Resolve]) has an
// empty Account and no error. The error is an *Error; a refused token is [GrantDead].
func (c *Client) Account(ctx context.Context, r Registration, t *Tokens) (Account, error) {
	e := r.Entry
	if q, has := quirkOf(e); has && q.complete != nil {
		if err := q.complete(c, ctx, r, t); err != nil {
			return Account{}, err
		}
	}
	value, asked, err := c.accountAnswer(ctx, r, *t)
	if err != nil || !asked {
		return Account{}, err
	}
	config, err := readConfig(e, true, func(v *provider.ConfigValue) string { return text(lookup(value, v.At)) }, "account")
	if err != nil {
		return Account{}, &Error{Op: "account", Class: ProviderFault, Status: 200, Sent: true, cause: err}
	}
	t.addConfig(config)
	account := Account{
		ID:    expand(e.Account.ID, value, t.ConnectionConfig),
		Name:  cleanName(expand(e.Account.Name, value, t.ConnectionConfig)),
		Email: cleanEmail(expand(e.Account.Email, value, t.ConnectionConfig)),
	}
	if account.ID == "" || len(account.ID) > 255 || strings.ContainsFunc(account.ID, unicode.IsControl) {
		return Account{}, &Error{Op: "account", Class: ProviderFault, Status: 200, Sent: true, reason: "the answer does not say whose account it is"}
	}
	for _, more := range e.Account.More {
		c.improve(ctx, r, *t, more, value, &account)
	}
	return account, nil
}

// addConfig adds values to those of the token answer.
func (t *Tokens) addConfig(config map[string]string) {
	if t.ConnectionConfig == nil && len(config) > 0 {
		t.ConnectionConfig = map[string]string{}
	}
	maps.Copy(t.ConnectionConfig, config)
}

// accountAnswer gets what says whose account it is; false: there is no way to ask.
func (c *Client) accountAnswer(ctx context.Context, r Registration, t Tokens) (any, bool, error) {
	how := &r.Entry.Account
	if t.Scopes != nil && len(how.Scopes) > 0 && !slices.ContainsFunc(how.Scopes, func(s string) bool { return r.Entry.Granted(s, t.Scopes) }) {
		return nil, false, nil
	}
	if how.From == "id_token" && r.Endpoints.Userinfo == "" {
		if !t.hasIDToken && r.Entry.IDTokenOptional(r.Params, r.Overrides) {
			return nil, false, nil
		}
		claims, err := c.accountClaims(r, t)
		return claims, err == nil, err
	}
	if r.Endpoints.Userinfo == "" {
		return nil, false, nil
	}
	address, err := provider.FillConfig(r.Endpoints.Userinfo, t.ConnectionConfig)
	if err == nil {
		address, err = provider.AddQuery(address, how.Query)
	}
	if err != nil {
		return nil, false, &Error{Op: "account", Class: ProviderFault, Sent: true, cause: err}
	}
	var body []byte
	if how.Body != "" {
		body = []byte(how.Body)
	}
	value, err := c.ask(ctx, r, t, how.Method, address, body)
	return value, err == nil, err
}

// improve makes one further call. It goes below the API's address only; where who-am-I
// was moved and the API was not, the API belongs to somebody else.
func (c *Client) improve(ctx context.Context, r Registration, t Tokens, more provider.AccountCall, first any, account *Account) {
	if r.Endpoints.API == "" || r.Overrides.Userinfo != "" && r.Overrides.API == "" {
		return
	}
	granted := func(scope string) bool { return r.Entry.Granted(scope, t.Scopes) }
	if t.Scopes != nil && len(more.Scopes) > 0 && !slices.ContainsFunc(more.Scopes, granted) {
		return
	}
	path, ok := expandPath(more.Path, first)
	if !ok {
		return
	}
	base, err := provider.FillConfig(r.Endpoints.API, t.ConnectionConfig)
	if err != nil {
		return
	}
	value, err := c.ask(ctx, r, t, "GET", below(base, path), nil)
	if err != nil {
		return
	}
	if len(more.Where) > 0 {
		value = pick(value, more.Where)
	}
	if name := cleanName(expand(more.Name, value, t.ConnectionConfig)); name != "" {
		account.Name = name
	}
	if email := cleanEmail(expand(more.Email, value, t.ConnectionConfig)); email != "" {
		account.Email = email
	}
}

func (c *Client) ask(ctx context.Context, r Registration, t Tokens, method, address string, body []byte) (any, error) {
	header := headers(r.Entry.Account.Headers)
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	header.Set("Authorization", "Bearer "+t.AccessToken.Reveal())
	a, err := c.send(ctx, call{"account", method, address, header, body})
	if err != nil {
		return nil, err
	}
	code, bad := errorIn(r.Entry, a.value)
	if a.ok() && !bad {
		return a.value, nil
	}
	failure := a.failed("account", r.Entry, code)
	if a.status == 401 {
		failure.Class, failure.reason = GrantDead, "the provider does not accept the access token"
	}
	return nil, failure
}

var part = regexp.MustCompile(`\{([^{}]+)\}`)

// expand returns the first template of which every {path} has a value.
func expand(templates []string, value any, config map[string]string) string {
	for _, template := range templates {
		whole := true
		filled := part.ReplaceAllStringFunc(template, func(m string) string {
			path := m[1 : len(m)-1]
			v := strings.TrimSpace(text(lookup(value, path)))
			if name, is := strings.CutPrefix(path, "config."); is {
				v = config[name]
			}
			whole = whole && v != ""
			return v
		})
		if whole {
			return filled
		}
	}
	return ""
}

// expandPath fills a path whose values are escaped.
func expandPath(path string, value any) (string, bool) {
	before, query, hasQuery := strings.Cut(path, "?")
	whole := true
	fill := func(in string, escape func(string) string) string {
		return part.ReplaceAllStringFunc(in, func(m string) string {
			v := text(lookup(value, m[1:len(m)-1]))
			whole = whole && v != "" && v != "." && v != ".."
			return escape(v)
		})
	}
	filled := fill(before, url.PathEscape)
	if hasQuery {
		filled += "?" + fill(query, url.QueryEscape)
	}
	return filled, whole
}

// pick returns the first element of a list that says what where asks for.
func pick(value any, where map[string]string) any {
	list, _ := value.([]any)
	for _, item := range list {
		fits := true
		for path, want := range where {
			fits = fits && text(lookup(item, path)) == want
		}
		if fits {
			return item
		}
	}
	return nil
}

// cleanName makes a name fit to be shown: one line, without the characters that turn
// the direction of writing around, at most 200 characters.
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > 200 {
		name = string(runes[:200])
	}
	return strings.TrimSpace(name)
}

// cleanEmail drops what is no e-mail address.
func cleanEmail(email string) string {
	if len(email) > 320 || strings.Count(email, "@") != 1 || strings.HasPrefix(email, "@") || strings.HasSuffix(email, "@") ||
		strings.ContainsFunc(email, func(r rune) bool {
			return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
		}) {
		return ""
	}
	return email
}
