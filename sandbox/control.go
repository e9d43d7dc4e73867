package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// decision is what the next authorization ends with, set before anyone asks.
type decision struct {
	scenario scenario
	account  string // "" for the default, or the hint of the request
}

// Next decides the next authorization, of whatever type and client, without a page:
// the browser is sent back at once. An empty account is dana@sandbox.example, or whom
// the request hints at. A later Next replaces an earlier one that was not used.
func (s *Server) Next(scenarioName, account string) error {
	sc, ok := scenarioByName(scenarioName)
	if !ok {
		return fmt.Errorf("unknown scenario %s; there are %s", quote(scenarioName), strings.Join(scenarioNames(), ", "))
	}
	if account != "" {
		checked, err := parseAccount(account, "")
		if err != nil {
			return err
		}
		account = checked
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = &decision{scenario: sc, account: account}
	return nil
}

// takeNext returns the decision that was set, once, or nil.
func (s *Server) takeNext() *decision {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.next
	s.next = nil
	return d
}

// RevokeAccount revokes all grants of an account at the provider, of every type, as
// its owner could on the provider's site, and returns how many there were.
func (s *Server) RevokeAccount(account string) int {
	return s.grants.revokeAccount(strings.TrimSpace(account))
}

func (s *Server) controlNext(w http.ResponseWriter, r *http.Request) {
	var name, account string
	if !readControl(w, r, map[string]*string{"scenario": &name, "account": &account}) {
		return
	}
	if err := s.Next(name, account); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]any{
			"error":             "invalid_request",
			"error_description": err.Error(),
			"scenarios":         scenarioNames(),
		})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"scenario": name, "account": account})
}

func (s *Server) controlLog(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodDelete {
		s.ClearLog()
		w.WriteHeader(http.StatusNoContent)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"requests": s.Log()})
}

func (s *Server) controlRevoke(w http.ResponseWriter, r *http.Request) {
	var account string
	if !readControl(w, r, map[string]*string{"account": &account}) {
		return
	}
	if strings.TrimSpace(account) == "" {
		refuseControl(w, http.StatusBadRequest, "Name the account whose grants are revoked.")
		return
	}
	writeJSON(w, http.StatusOK, map[string]int{"revoked": s.RevokeAccount(account)})
}

// readControl reads the fields of a JSON object. A field that it does not know is
// refused by its name, exactly as written: a test that misspells one would otherwise
// see what it did not ask for.
func readControl(w http.ResponseWriter, r *http.Request, fields map[string]*string) bool {
	var body map[string]json.RawMessage
	err := readJSON(w, r, &body)
	if errors.Is(err, errTooLarge) {
		refuseControl(w, http.StatusRequestEntityTooLarge, "The body is larger than 64 KiB.")
		return false
	}
	if err != nil {
		refuseControl(w, http.StatusBadRequest, "The body is not the JSON object that is expected here.")
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(body)) {
		into, known := fields[name]
		if !known {
			refuseControl(w, http.StatusBadRequest, "There is no field "+quote(name)+" here; known: "+strings.Join(slices.Sorted(maps.Keys(fields)), ", ")+".")
			return false
		}
		if json.Unmarshal(body[name], into) != nil {
			refuseControl(w, http.StatusBadRequest, "The field "+name+" is a string.")
			return false
		}
	}
	return true
}

func refuseControl(w http.ResponseWriter, status int, sentence string) {
	writeJSON(w, status, map[string]string{"error": "invalid_request", "error_description": sentence})
}

// front says what this is, and shows the end of the log, newest first.
func (s *Server) front(w http.ResponseWriter, r *http.Request) {
	log := s.Log()
	slices.Reverse(log)
	s.page(w, http.StatusOK, "front", frontPage{
		Origin:    s.origin(r),
		Types:     dialects,
		Scenarios: scenarios,
		Secret:    clientSecret,
		Log:       log[:min(len(log), 20)],
	})
}
