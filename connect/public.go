package connect

import "time"

// AccountView is a provider account as apps see it; what the provider did not say is null.
type AccountView struct {
	ID    *string `json:"id"`
	Name  *string `json:"name"`
	Email *string `json:"email"`
}

// View returns the account as apps see it.
func (a Account) View() AccountView {
	return AccountView{ID: OrNull(a.ID), Name: OrNull(a.Name), Email: OrNull(a.Email)}
}

// ConnectionView is a connection as apps see it, in the API and in webhooks.
type ConnectionView struct {
	ID            string           `json:"id"`
	Connector     string           `json:"connector"`
	Type          string           `json:"type"`
	Status        ConnectionStatus `json:"status"`
	Account       AccountView      `json:"account"`
	Scopes        []string         `json:"scopes"`
	MissingScopes []string         `json:"missing_scopes"`
	Proofs        []Proof          `json:"proofs"`
	Assurance     Assurance        `json:"assurance"`
	ConnectedAt   *string          `json:"connected_at"`
	LastUsedAt    *string          `json:"last_used_at"`
	ExpiresAt     *string          `json:"expires_at"`
}

// View returns the connection as apps see it, nil for none.
func (c *Connection) View() *ConnectionView {
	if c == nil || c.ID == "" {
		return nil
	}
	return &ConnectionView{
		ID: c.ID, Connector: c.Connector, Type: c.Type, Status: c.Status, Account: c.Account.View(),
		Scopes: listed(c.Scopes), MissingScopes: listed(c.Missing), Proofs: listed(c.Proofs), Assurance: c.Assurance,
		ConnectedAt: Timestamp(c.ConnectedAt), LastUsedAt: Timestamp(c.LastUsedAt), ExpiresAt: Timestamp(c.ExpiresAt),
	}
}

// OrNull makes JSON say null for what is not known.
func OrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// listed makes JSON say [] and not null.
func listed[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

// Timestamp is RFC 3339 in UTC, nil for no time.
func Timestamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format(time.RFC3339Nano)
	return &text
}
