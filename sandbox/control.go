package sandbox

import (
	"errors"
	"fmt"
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
	var body struct {
		Scenario string `json:"scenario"`
		Account  string `json:"account"`
	}
	if !readControl(w, r, &body) {
		return
	}
	if err := s.Next(body.Scenario, body.Account); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]any{
			"error":             "invalid_request",
			"error_description": err.Error(),
			"scenarios":         scenarioNames(),
		})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"scenario": body.Scenario, "account": body.Account})
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
	var body struct {
		Account string `json:"account"`
	}
	if !readControl(w, r, &body) {
		return
	}
	if strings.TrimSpace(body.Account) == "" {
		writeJSON(w, http.StatusBadRequest, map[string]string{
			"error": "invalid_request", "error_description": "Name the account whose grants are revoked.",
		})
		return
	}
	writeJSON(w, http.StatusOK, map[string]int{"revoked": s.RevokeAccount(body.Account)})
}

func readControl(w http.ResponseWriter, r *http.Request, v any) bool {
	err := readJSON(w, r, v)
	if err == nil {
		return true
	}
	status, sentence := http.StatusBadRequest, "The body is not the JSON object that is expected here."
	if errors.Is(err, errTooLarge) {
		status, sentence = http.StatusRequestEntityTooLarge, "The body is larger than 64 KiB."
	}
	writeJSON(w, status, map[string]string{"error": "invalid_request", "error_description": sentence})
	return false
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
