package provider

import (
	"slices"
	"strings"
)

// DefaultScopes returns what is asked for when the connector names no scopes.
func (e *Entry) DefaultScopes() []string { return slices.Clone(e.Scopes.Default) }

// Ability returns what a scope lets an app do, in a sentence that an end user
// understands. For a scope that the catalogue does not know it returns the scope
// itself and false.
func (e *Entry) Ability(scope string) (sentence string, known bool) {
	if s := e.scope(scope); s != nil {
		rest := strings.TrimPrefix(e.bare(scope), s.Scope)
		return strings.ReplaceAll(s.Ability, "{rest}", rest), true
	}
	return scope, false
}

// Missing returns those of asked that granted does not cover, in the order asked,
// each once. Both are sets; a scope is covered by itself, by another name for it, and
// by a granted scope that includes it.
//
// A token answer that names no scopes means "as asked" (RFC 6749 5.1): do not ask
// then. With the arguments exchanged, the result is what was granted beyond what was
// asked.
func (e *Entry) Missing(asked, granted []string) []string {
	covered := map[string]bool{}
	for _, scope := range granted {
		e.cover(scope, covered)
	}
	var missing []string
	for _, scope := range asked {
		name := e.canonical(scope)
		if s := e.scope(scope); s != nil && s.Silent {
			continue
		}
		if scope != "" && !covered[name] {
			missing = append(missing, scope)
			covered[name] = true
		}
	}
	return missing
}

// Extra returns those of granted that go beyond what was asked. Where the registration
// decides on the scopes, nothing was asked and nothing is too much.
func (e *Entry) Extra(asked, granted []string) []string {
	if e.Scopes.Fixed || len(asked) == 0 {
		return nil
	}
	return e.Missing(granted, asked)
}

// Granted reports whether a scope, or one that includes it, is among granted.
func (e *Entry) Granted(scope string, granted []string) bool {
	covered := map[string]bool{}
	for _, g := range granted {
		e.cover(g, covered)
	}
	return covered[e.canonical(scope)]
}

// cover adds a scope and all that it includes.
func (e *Entry) cover(scope string, covered map[string]bool) {
	name := e.canonical(scope)
	if covered[name] {
		return
	}
	covered[name] = true
	if s := e.scope(name); s != nil {
		for _, implied := range s.Implies {
			e.cover(implied, covered)
		}
	}
}

func (e *Entry) canonical(scope string) string {
	if s := e.scope(scope); s != nil && !s.Open {
		return s.Scope
	}
	return e.bare(scope)
}

// bare is a scope without the prefix that means nothing.
func (e *Entry) bare(scope string) string { return strings.TrimPrefix(scope, e.Scopes.Prefix) }

func (e *Entry) scope(name string) *Scope {
	name = e.bare(name)
	for i := range e.Scopes.Known {
		s := &e.Scopes.Known[i]
		if s.Scope == name || slices.Contains(s.Aliases, name) || s.Open && len(name) > len(s.Scope) && strings.HasPrefix(name, s.Scope) {
			return s
		}
	}
	return nil
}

// UsesPKCE reports whether a code challenge is sent: always, unless the provider
// rejects it.
func (e *Entry) UsesPKCE() bool { return e.Authorize.PKCE.Mode != "rejected" }

// Denied reports whether a callback's error code means that the person said no:
// access_denied (RFC 6749 4.1.2.1), or what the provider uses instead.
func (e *Entry) Denied(code string) bool {
	return code == "access_denied" || slices.Contains(e.Errors.Denied, code)
}

// OfflineScope is the scope without which the provider gives no refresh token, "" where
// none decides that.
func (e *Entry) OfflineScope() string {
	for i := range e.Scopes.Known {
		if e.Scopes.Known[i].Offline {
			return e.Scopes.Known[i].Scope
		}
	}
	return ""
}

// KnownScopes lists the scopes that the catalogue has sentences for.
func (e *Entry) KnownScopes() []string {
	var out []string
	for i := range e.Scopes.Known {
		out = append(out, e.Scopes.Known[i].Scope)
	}
	return out
}
