package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	keySetFresh   = 10 * time.Minute // asked for again after this
	keySetUsable  = 24 * time.Hour   // known keys go on working this long while the address does not answer
	keySetAtMost  = 30 * time.Second // between two fetches, whatever the tokens say
	maxKeySetSize = 1 << 20
	maxKeys       = 100
)

// keySets keeps key sets (RFC 7517) by their address. A token with an unknown key id
// makes a set be fetched again, but at most once in 30 s: else anybody could have us
// hammer the app's server with tokens that name random keys.
type keySets struct {
	client *http.Client
	now    func() time.Time

	mu   sync.Mutex
	sets map[string]*keySet
}

type keySet struct {
	mu      sync.Mutex
	keys    []jose.JSONWebKey
	got     time.Time // of keys
	tried   time.Time // to load it, or because it was old
	problem error     // of the last try

	refetched time.Time  // because of a missing key
	fetching  sync.Mutex // held by a caller who waits for a fetch
}

// find returns the keys of the set that may have signed a token with that header. A
// set that is getting old is fetched beside the request; a token whose key is not there
// waits for a fetch, its own or the one that is under way.
func (k *keySets) find(ctx context.Context, url string, h header) ([]any, error) {
	set := k.set(url)
	found := set.look(h, k.now())
	if len(found) > 0 {
		if set.claim(k.now(), false) {
			go k.renew(context.WithoutCancel(ctx), url, set)
		}
		return found, nil
	}
	set.fetching.Lock()
	defer set.fetching.Unlock()
	if found = set.look(h, k.now()); len(found) > 0 {
		return found, nil
	}
	if set.claim(k.now(), true) {
		k.renew(ctx, url, set)
		found = set.look(h, k.now())
	}
	if len(found) == 0 {
		set.mu.Lock()
		defer set.mu.Unlock()
		return nil, errors.Join(fmt.Errorf("the key set has no key %q for algorithm %q", h.Kid, h.Alg), set.problem)
	}
	return found, nil
}

// look returns the fitting keys.
func (s *keySet) look(h header, now time.Time) []any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.got) >= keySetUsable {
		return nil
	}
	return s.matching(h)
}

// claim reports whether the caller has to fetch the set: it is old, or a key is
// missing in it. Each of the two is a reason at most once in 30 s, and a set that was
// just loaded may be fetched again for a missing key: the app may have changed its key.
func (s *keySet) claim(now time.Time, missing bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := &s.tried
	if missing && !s.got.IsZero() {
		last = &s.refetched
	} else if now.Sub(s.got) < keySetFresh {
		return false
	}
	if now.Sub(*last) < keySetAtMost {
		return false
	}
	*last = now
	return true
}

func (k *keySets) renew(ctx context.Context, url string, s *keySet) {
	keys, err := k.fetch(ctx, url)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = err
	if err == nil {
		s.keys, s.got = keys, k.now()
	}
}

func (k *keySets) set(url string) *keySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sets == nil {
		k.sets = make(map[string]*keySet)
	}
	if k.sets[url] == nil {
		k.sets[url] = &keySet{}
	}
	return k.sets[url]
}

func (s *keySet) matching(h header) []any {
	var found []any
	for _, key := range s.keys {
		if (h.Kid == "" || key.KeyID == h.Kid) && (key.Algorithm == "" || key.Algorithm == string(h.Alg)) &&
			(key.Use == "" || key.Use == "sig") && fits(key.Key, h.Alg) {
			found = append(found, key.Key)
		}
	}
	return found
}

func (k *keySets) fetch(ctx context.Context, url string) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &statusError{resp.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySetSize+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxKeySetSize {
		return nil, errors.New("the key set is larger than 1 MiB")
	}
	// Keys one by one: a set may hold kinds that we do not know.
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, errors.New("the key set is not JSON")
	}
	if len(raw.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has more than %d keys", maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, one := range raw.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(one, &key) == nil && key.Valid() && key.IsPublic() {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no public key that can be used")
	}
	return keys, nil
}

// statusError is an answer that is not 200. Its body stays unread: nobody should find
// it in a log.
type statusError struct{ status int }

func (e *statusError) Error() string { return fmt.Sprintf("an answer of status %d", e.status) }
