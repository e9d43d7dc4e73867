package sandbox

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"sync"
	"time"
)

const (
	codeLifetime = 60 * time.Second
	keepUsedCode = 10 * time.Minute // so that a replay is known for one
	keepDead     = time.Hour        // so that "revoked" and "expired" are told from "unknown"

	maxCodes          = 10_000
	maxGrants         = 50_000
	maxTokensPerGrant = 100
	sweepEvery        = 30 * time.Second
)

// authorization is what one consent gave, before any token request. It does not change.
type authorization struct {
	dialect   *dialect
	scenario  scenario
	client    string
	redirect  string // exactly as sent
	account   string
	scopes    []string // as the provider calls them
	challenge string   // S256, "" when the client sent none
	nonce     string   // for the ID token
	issuer    string   // what the browser knew this provider by
	install   string   // the instance, where there is an installation and no code
	offline   bool     // a refresh token was asked for in the way the provider wants it
}

// code is one authorization code.
type code struct {
	authorization
	value   string
	expires time.Time
	used    bool
	failed  bool   // its first exchange was answered with 500 (token_500_once)
	grant   *grant // what it gave, nil until then
}

// grant is what the provider remembers of one authorization. Its tokens are listed
// oldest first.
type grant struct {
	authorization
	endsAt  time.Time // zero: never; revoked from then on
	failed  bool      // of an installation: the first token request was answered with 500
	access  []*token
	refresh []*token
}

// token is an access or a refresh token.
type token struct {
	grant   *grant
	value   string
	scopes  []string
	refresh bool
	made    time.Time
	expires time.Time // zero: never
	ended   bool      // by rotation, or revoked by itself
}

// tokenState says whether a token is alive, and why not.
type tokenState string

const (
	tokenAlive   tokenState = ""
	tokenMissing tokenState = "missing"
	tokenUnknown tokenState = "unknown"
	tokenExpired tokenState = "expired"
	tokenRevoked tokenState = "revoked"
)

func (g *grant) over(now time.Time) bool { return !g.endsAt.IsZero() && !now.Before(g.endsAt) }

// end revokes the grant, unless it is over already, and reports whether it did.
func (g *grant) end(now time.Time) bool {
	if g.over(now) {
		return false
	}
	g.endsAt = now
	return true
}

func (t *token) state(now time.Time) tokenState {
	switch {
	case t.ended, t.grant.over(now):
		return tokenRevoked
	case !t.expires.IsZero() && !now.Before(t.expires):
		return tokenExpired
	}
	return tokenAlive
}

// grants keeps codes, grants and tokens in memory: what is dead is swept, and beyond
// the bounds the oldest goes first.
type grants struct {
	now func() time.Time

	mu     sync.Mutex
	codes  map[string]*code
	queue  []*code // by age
	tokens map[string]*token
	list   []*grant // by age
	swept  time.Time
}

func newGrants(now func() time.Time) *grants {
	return &grants{now: now, codes: map[string]*code{}, tokens: map[string]*token{}, swept: now()}
}

// authorize makes a code.
func (g *grants) authorize(a authorization) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	g.sweep(now)
	c := &code{authorization: a, value: a.dialect.codePrefix + rand.Text(), expires: now.Add(codeLifetime)}
	g.codes[c.value] = c
	g.queue = append(g.queue, c)
	if len(g.queue) > maxCodes {
		g.dropOldestCode()
	}
	return c.value
}

// codeRequest is an exchange as the authenticated client asked for it.
type codeRequest struct {
	dialect                          *dialect
	client, code, redirect, verifier string
}

// exchange turns a code into a grant. Every attempt of the code's own client uses the
// code up, a wrong verifier or redirect URI included; a second attempt also revokes
// what the first one gave (RFC 6749 section 4.1.2). It returns the grant's scenario
// for the caller, who decides how slow to be.
func (g *grants) exchange(r codeRequest) (issued, scenario, *fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	g.sweep(now)
	c := g.codes[r.code]
	if c == nil || c.dialect != r.dialect || c.client != r.client && !r.dialect.clientless {
		return issued{}, scenario{}, &fault{faultCode, "The code is unknown, or was given to another client."}
	}
	if c.used {
		if c.grant != nil {
			c.grant.end(now)
		}
		return issued{}, scenario{}, &fault{faultReplay, "The code was used before; what it gave is revoked."}
	}
	if !now.Before(c.expires) {
		return issued{}, scenario{}, &fault{faultCode, "The code lived for 60 seconds and is over."}
	}
	if c.scenario.Name == Token500Once && !c.failed {
		c.failed = true
		return issued{}, scenario{}, &fault{faultServer, "This request fails because the scenario says so; the next one works."}
	}
	c.used = true
	if f := c.check(r); f != nil {
		return issued{}, scenario{}, f
	}

	gr := &grant{authorization: c.authorization}
	if c.scenario.Name == RevokedLater {
		gr.endsAt = now.Add(revokedLaterAfter)
	}
	c.grant = gr
	g.list = append(g.list, gr)
	if len(g.list) > maxGrants {
		g.dropGrant(g.list[0])
		g.list = g.list[1:]
	}
	return g.issue(gr, gr.scopes, now, false), gr.scenario, nil
}

// check compares the exchange with the authorization it belongs to.
func (c *code) check(r codeRequest) *fault {
	switch {
	case c.dialect.pkce == pkceRefused && r.verifier != "":
		return &fault{faultCode, "This provider has no PKCE here: the code_verifier does not match the authorization code."}
	case c.dialect.redirectless && r.redirect != "":
		return &fault{faultRequest, "The redirect_uri is no part of this request."}
	case !c.dialect.redirectless && r.redirect != c.redirect:
		return &fault{faultRedirect, "The redirect_uri is not the one of the authorization request."}
	case c.dialect.pkce == pkceIgnored:
		return nil
	case c.challenge == "" && r.verifier != "":
		// RFC 9700 section 2.1.1: a verifier without a challenge is a downgrade.
		return &fault{faultCode, "A code_verifier was sent, but the authorization request had no code_challenge."}
	case c.challenge != "" && s256(r.verifier) != c.challenge:
		return &fault{faultCode, "The code_verifier does not match the code_challenge."}
	}
	return nil
}

// s256 is the code challenge of RFC 7636 section 4.2.
func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// refreshRequest is a refresh as the authenticated client asked for it.
type refreshRequest struct {
	dialect       *dialect
	client, token string
	scopes        []string // nil: those of the grant
}

// renew answers a refresh. Using a refresh token that rotation has ended revokes the
// whole grant in the scenario that asks for it (RFC 9700 section 4.14.2).
func (g *grants) renew(r refreshRequest) (issued, scenario, *fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	g.sweep(now)
	t := g.tokens[r.token]
	if t == nil || !t.refresh || t.grant.dialect != r.dialect || t.grant.client != r.client && !r.dialect.clientless {
		return issued{}, scenario{}, &fault{faultRefresh, "The refresh token is unknown, or was given to another client."}
	}
	gr := t.grant
	if t.state(now) != tokenAlive {
		if t.ended && gr.scenario.Name == ReuseRevokes {
			gr.end(now)
		}
		return issued{}, scenario{}, &fault{faultRefresh, "The refresh token was revoked, or replaced by a newer one."}
	}
	scopes := gr.scopes
	if r.scopes != nil {
		if slices.ContainsFunc(r.scopes, func(s string) bool { return !slices.Contains(gr.scopes, s) }) {
			return issued{}, scenario{}, &fault{faultScope, "A refresh cannot ask for more than was granted."}
		}
		scopes = r.scopes
	}
	if gr.dialect.refreshEndsAccess {
		for _, a := range gr.access {
			a.ended = true
		}
	}
	if gr.scenario.rotates || gr.dialect.rotates {
		t.ended = true
	}
	out := g.issue(gr, scopes, now, true)
	if out.refresh == "" && gr.dialect.repeats {
		out.refresh = t.value
	}
	return out, gr.scenario, nil
}

// issue makes the tokens of one answer.
func (g *grants) issue(gr *grant, scopes []string, now time.Time, refreshed bool) issued {
	d, sc := gr.dialect, gr.scenario
	expiring := d.expires || sc.expiring
	out := issued{at: now, who: identify(gr.account), client: gr.client, scopes: scopes, refreshed: refreshed, issuer: gr.issuer}
	if !refreshed {
		out.nonce = gr.nonce
	}
	if expiring {
		out.lifetime = d.lifetime
		if sc.lifetime > 0 {
			out.lifetime = sc.lifetime
		}
	}
	access := &token{grant: gr, value: d.accessPrefix + newToken(), scopes: scopes, made: now}
	if out.lifetime > 0 {
		access.expires = now.Add(out.lifetime)
	}
	gr.access = g.keep(gr.access, access)
	out.access = access.value

	first := !refreshed && gr.offline
	again := refreshed && (sc.rotates || d.rotates || d.rotatesSoftly)
	renewable := expiring && (!d.refreshless || sc.expiring) || d.alwaysRefresh
	if renewable && gr.install == "" && !sc.withhold && (first || again) {
		refresh := &token{grant: gr, value: d.refreshPrefix + newToken(), scopes: gr.scopes, refresh: true}
		gr.refresh = g.keep(gr.refresh, refresh)
		out.refresh = refresh.value
	}
	return out
}

func newToken() string { return rand.Text() }

func (g *grants) keep(list []*token, t *token) []*token {
	g.tokens[t.value] = t
	list = append(list, t)
	if len(list) > maxTokensPerGrant {
		delete(g.tokens, list[0].value)
		list = list[1:]
	}
	return list
}

// access finds a living access token of this provider.
func (g *grants) access(d *dialect, value string) (of authorization, scopes []string, state tokenState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tokens[value]
	if t == nil || t.refresh || t.grant.dialect != d {
		return authorization{}, nil, tokenUnknown
	}
	if state := t.state(g.now()); state != tokenAlive {
		return authorization{}, nil, state
	}
	return t.grant.authorization, t.scopes, tokenAlive
}
