package provider

import (
	"errors"
	"fmt"
	"net/url"
)

// Endpoints are the addresses of one connector. As overrides (`endpoints` of
// apps.yaml) each may be "", which leaves the catalogue's; as the result of
// [Entry.Resolve], "" means that there is none.
type Endpoints struct {
	Authorize, Token, Refresh, Revoke, Userinfo, API string
	Issuer                                           string // exact iss of the callback
}

// Resolve returns the addresses to use: the placeholders filled with params (the
// builder's and the end user's together), the overrides applied.
//
// An override changes one address. Two rules keep credentials where they belong.
// With Token overridden, the refresh goes there too unless overridden itself: to the
// same address where the catalogue has one address for both, else to its own path on
// that host. And once Token has moved to another origin, the provider in the
// catalogue is not the one that issues the tokens: Revoke, Userinfo and API are then
// empty unless overridden too, so that no token of one provider is sent to another.
//
// Revoke may still hold {client_id}.
func (e *Entry) Resolve(params map[string]string, over Endpoints) (Endpoints, error) {
	values, err := e.ParamValues(params)
	if err != nil {
		return Endpoints{}, err
	}
	own, err := e.own(values)
	if err != nil {
		return Endpoints{}, err
	}
	if err := over.check(); err != nil {
		return Endpoints{}, err
	}

	moved := over.moves(own)
	pick := func(override, catalogue string) string {
		if override != "" {
			return override
		}
		if moved {
			return ""
		}
		return catalogue
	}
	r := Endpoints{
		Authorize: own.Authorize,
		Token:     own.Token,
		Refresh:   pick(over.Refresh, own.Refresh),
		Revoke:    pick(over.Revoke, own.Revoke),
		Userinfo:  pick(over.Userinfo, own.Userinfo),
		API:       pick(over.API, own.API),
		Issuer:    own.Issuer,
	}
	if over.Authorize != "" {
		r.Authorize, r.Issuer = over.Authorize, origin(over.Authorize)
	}
	if over.Issuer != "" {
		r.Issuer = over.Issuer
	}
	if over.Token != "" {
		r.Token = over.Token
		if over.Refresh == "" && (moved || own.Refresh == own.Token) {
			r.Refresh = refreshBeside(over.Token, own)
		}
	}
	if e.Revoke.Style == "none" {
		r.Revoke = ""
	}
	return r, nil
}

// moves reports whether the tokens come from another origin than the catalogue's own.
func (o Endpoints) moves(own Endpoints) bool {
	return o.Token != "" && origin(o.Token) != origin(own.Token)
}

// own returns the catalogue's addresses, filled.
func (e *Entry) own(values map[string]string) (Endpoints, error) {
	var bad error
	fill := func(name, text string) string {
		if text == "" {
			return ""
		}
		filled, err := fillAddress(text, values)
		if err != nil && bad == nil {
			bad = fmt.Errorf("the %s address of %s: %w", name, e.Type, err)
		}
		return filled
	}
	own := Endpoints{
		Authorize: fill("authorize", e.Authorize.URL),
		Token:     fill("token", e.Token.URL),
		Refresh:   fill("refresh", e.Token.RefreshURL),
		Revoke:    fill("revoke", e.Revoke.URL),
		Userinfo:  fill("userinfo", e.Account.URL),
		Issuer:    fill("issuer", e.Authorize.Issuer),
	}
	if own.Refresh == "" {
		own.Refresh = own.Token
	}
	if len(e.API.Hosts) > 0 {
		own.API = fill("api", e.API.Hosts[0].URL)
	}
	return own, bad
}

// refreshBeside returns where refreshes go when only token is overridden. A refresh
// address on a third host has no counterpart: "".
func refreshBeside(token string, own Endpoints) string {
	if own.Refresh == own.Token {
		return token
	}
	if origin(own.Refresh) != origin(own.Token) {
		return ""
	}
	u, err := url.Parse(own.Refresh)
	if err != nil {
		return ""
	}
	return origin(token) + u.RequestURI()
}

// check refuses overrides that are no usable addresses. Whether plain http is allowed
// is not decided here: settings decide it when apps.yaml is read, and the HTTP client
// when it dials.
func (o Endpoints) check() error {
	var problems []error
	for _, p := range []struct{ name, text string }{
		{"authorize", o.Authorize}, {"token", o.Token}, {"refresh", o.Refresh}, {"revoke", o.Revoke},
		{"userinfo", o.Userinfo}, {"api", o.API}, {"issuer", o.Issuer},
	} {
		if p.text == "" {
			continue
		}
		u, err := url.Parse(p.text)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			problems = append(problems, fmt.Errorf("endpoints.%s is not an address like https://host/path", p.name))
		}
	}
	return errors.Join(problems...)
}

// ErrNoHost is the error of APIHost for a name that the entry does not list.
var ErrNoHost = errors.New("there is no API host of this name")

// APIHost returns the base address of a named API host, "" for the first. r and over are
// the addresses that Resolve returned and was given: with api overridden every name
// leads there, and when the tokens come from elsewhere and api does not, no name leads
// anywhere, for no host may be sent another provider's token.
func (e *Entry) APIHost(name string, params map[string]string, r, over Endpoints) (string, error) {
	for i, h := range e.API.Hosts {
		if h.Name != name && (name != "" || i > 0) {
			continue
		}
		if i == 0 || over.API != "" || r.API == "" {
			if r.API == "" {
				return "", errors.New("endpoints.token is overridden and endpoints.api is not")
			}
			return r.API, nil
		}
		values, err := e.ParamValues(params)
		if err != nil {
			return "", err
		}
		return fillAddress(h.URL, values)
	}
	return "", ErrNoHost
}
