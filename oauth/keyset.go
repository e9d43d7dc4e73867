package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"patchbay/provider"
)

const (
	keySetLife = time.Hour
	maxKeySets = 256 // addresses with an end user's param in them are without number
	maxKeys    = 100
)

// keySets keeps the key sets (RFC 7517) of providers. One is fetched when an ID token
// needs it, so as often as people connect at most. The zero value is empty.
type keySets struct {
	mu   sync.Mutex
	sets map[string]keySet
}

type keySet struct {
	keys []jose.JSONWebKey
	got  time.Time
}

// get returns the keys that were got within the hour.
func (s *keySets) get(address string, now time.Time) []jose.JSONWebKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.sets[address]
	if now.Sub(set.got) >= keySetLife {
		return nil
	}
	return set.keys
}

func (s *keySets) put(address string, keys []jose.JSONWebKey, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sets == nil || len(s.sets) >= maxKeySets {
		s.sets = map[string]keySet{}
	}
	s.sets[address] = keySet{keys, now}
}

// fetchKeys asks a provider for its public keys for signatures. What it cannot read in
// the set it leaves out: there may be kinds of keys that we do not know.
func (c *Client) fetchKeys(ctx context.Context, e *provider.Entry, address string) ([]jose.JSONWebKey, error) {
	a, err := c.send(ctx, call{"key_set", http.MethodGet, address, http.Header{}, nil})
	if err != nil {
		return nil, err
	}
	if !a.ok() {
		failure := a.failed("key_set", e, "")
		if failure.Class == ConnectorFault { // no client is named here that could be refused
			failure.Class, failure.reason = ProviderFault, "the provider does not hand out its key set"
		}
		return nil, failure
	}
	list, _ := lookup(a.value, "keys").([]any)
	var keys []jose.JSONWebKey
	for _, item := range list[:min(len(list), maxKeys)] {
		raw, err := json.Marshal(item)
		if err != nil {
			continue
		}
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.Valid() && key.IsPublic() && (key.Use == "" || key.Use == "sig") {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, &Error{Op: "key_set", Class: ProviderFault, Status: a.status, Sent: true, reason: "the answer holds no public key for signatures"}
	}
	return keys, nil
}
