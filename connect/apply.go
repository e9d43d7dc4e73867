package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verb is what an apply does with an app or a connector.
type Verb string

// The words that begin a line of a plan.
const (
	Added     Verb = "added"
	Changed   Verb = "changed"
	Removed   Verb = "removed"
	Unchanged Verb = "unchanged"
)

// Step is one line of a plan.
type Step struct {
	Verb      Verb
	App       string
	Connector string // "" for the app itself
	// What names the settings that change, never their values.
	What []string
	// Connections is how many a removal takes with it.
	Connections int
}

// String is the line, beginning with the verb.
func (st Step) String() string {
	line := string(st.Verb) + " app " + st.App
	if st.Connector != "" {
		line = string(st.Verb) + " connector " + st.App + "/" + st.Connector
	}
	if len(st.What) > 0 {
		line += ": " + strings.Join(st.What, ", ")
	}
	if st.Connections > 0 {
		line += " (with " + describeConnections(st.Connections) + ")"
	}
	return line
}

// Plan compares the stored apps with those wanted. It changes nothing.
func (s *Service) Plan(ctx context.Context, want []App) ([]Step, error) {
	have, err := s.Apps(ctx)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for i := range want {
		var old *App
		if j := slices.IndexFunc(have, func(a *App) bool { return a.ID == want[i].ID }); j >= 0 {
			old = have[j]
		}
		st, err := s.planApp(ctx, old, &want[i])
		if err != nil {
			return nil, err
		}
		steps = append(steps, st...)
	}
	for _, old := range have {
		if slices.ContainsFunc(want, func(a App) bool { return a.ID == old.ID }) {
			continue
		}
		steps = append(steps, Step{Verb: Removed, App: old.ID})
		for i := range old.Connectors {
			st, err := s.planRemoval(ctx, &old.Connectors[i])
			if err != nil {
				return nil, err
			}
			steps = append(steps, st)
		}
	}
	return steps, nil
}

func (s *Service) planRemoval(ctx context.Context, c *Connector) (Step, error) {
	n, err := s.Store.CountConnections(ctx, c.App, c.ID)
	return Step{Verb: Removed, App: c.App, Connector: c.ID, Connections: n}, err
}

func (s *Service) planApp(ctx context.Context, old, want *App) ([]Step, error) {
	if old == nil {
		steps := []Step{{Verb: Added, App: want.ID}}
		for _, c := range want.Connectors {
			steps = append(steps, Step{Verb: Added, App: want.ID, Connector: c.ID})
		}
		return steps, nil
	}
	what := changes(old, want)
	if old.UserTokens.HS256Secret != want.UserTokens.HS256Secret && !slices.Contains(what, "user_tokens") {
		what = append(what, "user_tokens")
	}
	if loginSecret(old) != loginSecret(want) && !slices.Contains(what, "login") {
		what = append(what, "login")
	}
	if !slices.Equal(old.Webhooks, want.Webhooks) && !slices.Contains(what, "webhooks") { // their secrets
		what = append(what, "webhooks")
	}
	steps := []Step{{Verb: verb(what), App: want.ID, What: what}}
	for i := range want.Connectors {
		c := &want.Connectors[i]
		was, ok := old.Connector(c.ID)
		if ok && (was.Type != c.Type || was.Mode != c.Mode) {
			// Another type or mode is another connector under the same id.
			st, err := s.planRemoval(ctx, was)
			if err != nil {
				return nil, err
			}
			steps, ok = append(steps, st), false
		}
		if !ok {
			steps = append(steps, Step{Verb: Added, App: want.ID, Connector: c.ID})
			continue
		}
		what := changes(was, c)
		if !slices.Equal(was.ClientSecrets, c.ClientSecrets) {
			what = append(what, "client_secrets")
		}
		steps = append(steps, Step{Verb: verb(what), App: want.ID, Connector: c.ID, What: what})
	}
	for i := range old.Connectors {
		if _, kept := want.Connector(old.Connectors[i].ID); !kept {
			st, err := s.planRemoval(ctx, &old.Connectors[i])
			if err != nil {
				return nil, err
			}
			steps = append(steps, st)
		}
	}
	if order := connectorOrder(old); what == nil && !slices.Equal(order, connectorOrder(want)) && sameSet(order, connectorOrder(want)) {
		steps[0].Verb, steps[0].What = Changed, []string{"order of connectors"}
	}
	return steps, nil
}

func verb(what []string) Verb {
	if len(what) == 0 {
		return Unchanged
	}
	return Changed
}

func connectorOrder(a *App) []string {
	ids := make([]string, len(a.Connectors))
	for i, c := range a.Connectors {
		ids[i] = c.ID
	}
	return ids
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// changes names the fields of the stored document that differ.
func changes(old, want any) []string {
	a, b := fields(old), fields(want)
	var what []string
	for k := range b {
		if !bytes.Equal(a[k], b[k]) {
			what = append(what, k)
		}
	}
	for k := range a {
		if _, ok := b[k]; !ok {
			what = append(what, k)
		}
	}
	slices.Sort(what)
	return what
}

func fields(v any) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	b, err := json.Marshal(v)
	if err != nil || json.Unmarshal(b, &m) != nil {
		return nil
	}
	return m
}

// Apply makes the stored apps equal to those wanted, in one step, and returns what it
// did. A removal that takes connections along needs prune, or nothing is changed;
// with prune those connections are revoked at their providers first, each reported to
// progress.
func (s *Service) Apply(ctx context.Context, want []App, prune bool, progress func(string)) ([]Step, error) {
	steps, err := s.Plan(ctx, want)
	if err != nil {
		return nil, err
	}
	var blocked []string
	changed := false
	b := ApplyBatch{}
	for _, st := range steps {
		changed = changed || st.Verb != Unchanged
		if st.Connections > 0 && !prune {
			blocked = append(blocked, fmt.Sprintf("connector %s/%s has %s: removing it needs apply --prune, which ends and revokes them", st.App, st.Connector, describeConnections(st.Connections)))
		}
		switch {
		case st.Verb == Removed && st.Connector == "":
			b.RemoveApps = append(b.RemoveApps, st.App)
		case st.Verb == Removed:
			b.RemoveConnectors = append(b.RemoveConnectors, [2]string{st.App, st.Connector})
		}
	}
	if len(blocked) > 0 {
		return nil, &PruneNeeded{Lines: blocked}
	}
	if !changed {
		return steps, nil
	}
	for _, st := range steps {
		if st.Connections > 0 {
			if err := s.prune(ctx, st, progress); err != nil {
				return nil, err
			}
		}
	}
	for _, a := range want {
		rec, err := s.sealApp(a)
		if err != nil {
			return nil, err
		}
		b.Put = append(b.Put, rec)
	}
	err = s.Store.ApplyApps(ctx, b)
	s.apps.mu.Lock()
	s.apps.looked = time.Time{}
	s.apps.mu.Unlock()
	return steps, err
}

// PruneNeeded says which removals would take connections along.
type PruneNeeded struct{ Lines []string }

func (e *PruneNeeded) Error() string { return strings.Join(e.Lines, "\n") }

func (s *Service) prune(ctx context.Context, st Step, progress func(string)) error {
	a, err := s.App(ctx, st.App)
	if err != nil {
		return err
	}
	conns, err := s.Store.ConnectorConnections(ctx, st.App, st.Connector)
	if err != nil {
		return err
	}
	for i := range conns {
		if progress != nil {
			progress(fmt.Sprintf("connector %s/%s: revoking connection %d of %d", st.App, st.Connector, i+1, len(conns)))
		}
		if err := s.disconnectAll(ctx, a, conns[i:i+1], nil); err != nil {
			return err
		}
	}
	return nil
}
