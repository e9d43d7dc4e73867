package connect

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"patchbay/oauth"
	"patchbay/vault"
)

// finish is step 5: it exchanges the code, reads the account, compares it and the
// scopes, and stores the connection. It is the only caller of the token endpoint for
// a new grant, and it expects a flow in exchanging whose proofs are complete. It goes
// on when the caller hangs up. The flow it returns is final; an error means that our
// own side failed, and then the clock ends the flow.
func (s *Service) finish(ctx context.Context, f Flow, sec flowSecrets) (Flow, error) {
	if f.Status != StatusExchanging || !proven(&f) {
		return f, fmt.Errorf("flow %s: exchange without its proofs: status %s, proofs %v", f.ID, f.Status, f.Proofs)
	}
	ctx, done := s.detached(ctx)
	defer done()
	_, c, err := s.connectorIn(ctx, &f)
	if err != nil {
		return f, err
	}
	reg, err := s.registration(c, f.Params)
	if err != nil {
		return f, err
	}
	tokens, err := s.OAuth.Exchange(ctx, reg, vault.NewSecret(sec.Code), vault.NewSecret(sec.Verifier), url.Values(sec.Callback))
	if err != nil {
		return s.failed(ctx, f, err)
	}
	account, err := s.OAuth.Account(ctx, reg, &tokens)
	if err != nil {
		s.drop(ctx, &f, c, reg, tokens, Account{})
		return s.failed(ctx, f, err)
	}
	if err := s.OAuth.CheckIDToken(ctx, reg, tokens, account, f.Scopes, sec.Nonce); err != nil {
		s.drop(ctx, &f, c, reg, tokens, Account(account))
		return s.failed(ctx, f, err)
	}
	if f.Detail.Trial {
		return s.tried(ctx, f, c, reg, tokens, Account(account))
	}
	return s.store(ctx, f, c, reg, tokens, Account(account))
}

// proven is the last look before the token endpoint: browser, and what the start
// decided on.
func proven(f *Flow) bool {
	return slices.Contains(f.Proofs, ProofBrowser) && f.Need != "" && f.Need != ProofBrowser && slices.Contains(f.Proofs, f.Need)
}

// failed ends the flow with the code that an OAuth client error means.
func (s *Service) failed(ctx context.Context, f Flow, cause error) (Flow, error) {
	code := CodeProviderError
	var oe *oauth.Error
	if errors.As(cause, &oe) {
		f.Detail.ProviderError = oe.Code
		switch oe.Class {
		case oauth.Throttled, oauth.Transient:
			code = CodeProviderUnavailable
		case oauth.ConnectorFault:
			code = CodeClientRejected
		case oauth.ScopeRejected:
			code = CodeScopeRejected
		case oauth.RedirectRejected:
			code = CodeRedirectURIRejected
		}
	}
	f.Detail.Trace = Trace(ctx)
	ev := s.flowEvent(ctx, EventExchangeFailed, &f)
	ev.Data = map[string]string{"code": string(code), "cause": cause.Error()}
	s.emit(ctx, ev)
	moved, err := s.end(ctx, &f, StatusFailed, code)
	if err != nil {
		return f, err
	}
	if !moved {
		return s.flow(ctx, f.ID)
	}
	return f, nil
}

// store compares and keeps what the provider granted.
func (s *Service) store(ctx context.Context, f Flow, c *Connector, reg oauth.Registration, t oauth.Tokens, account Account) (Flow, error) {
	for {
		old, err := s.Store.Connection(ctx, f.App, f.Connector, f.Owner())
		if err != nil && !isNotFound(err) {
			s.revokeFresh(ctx, c, reg, t, account, old)
			return f, err
		}
		if old.ID != "" && differs(old.Account, account) {
			f.Detail.Account, f.Detail.OtherAccount = tellApart(old.Account, account)
			f.Detail.FreshGrant = string(s.revokeFresh(ctx, c, reg, t, account, old))
			moved, err := s.end(ctx, &f, StatusFailed, CodeAccountMismatch)
			if err != nil || moved {
				return f, err
			}
			return s.flow(ctx, f.ID)
		}
		conn, err := s.newConnection(&f, c, reg, t, account, old)
		if err != nil {
			return f, err
		}
		final := f
		s.close(ctx, &final, StatusConnected, outcome(&conn, t))
		final.Connection = conn.ID
		final.Detail = FlowDetail{Account: account.Label(), Scopes: conn.Scopes, Missing: conn.Missing, Trace: Trace(ctx), SameWindow: f.Detail.SameWindow}
		kind := EventConnected
		if old.ID != "" {
			kind = EventReconnected
		}
		connected := s.connectionEvent(ctx, kind, &conn, &final)
		if extra := reg.Entry.Extra(conn.Asked, conn.Scopes); len(extra) > 0 {
			connected.Data["extra_scopes"] = strings.Join(extra, " ")
		}
		events := []Event{connected, s.flowEvent(ctx, EventFlowFinished, &final)}
		var superseded []Event
		res, err := s.Store.Connect(ctx, Connecting{
			Flow: final, Connection: conn, Replaces: old.ID, ReplacesGen: old.Generation, Events: events,
			Fingerprint: fingerprint(conn.ID, t.RefreshToken.Reveal()), DueAt: dueAt(reg.Entry, &conn, !t.RefreshToken.IsZero()),
			Supersede: func(f *Flow) Event {
				superseded = append(superseded, s.flowEvent(ctx, EventFlowFinished, f))
				return superseded[len(superseded)-1]
			},
		})
		if err != nil {
			s.revokeFresh(ctx, c, reg, t, account, old)
			return f, err
		}
		if res.FlowMoved {
			// Another tab connected first, or the person canceled: this grant has no home.
			s.revokeFresh(ctx, c, reg, t, account, old)
			return s.flow(ctx, f.ID)
		}
		if res.ConnectionMoved {
			continue
		}
		s.emit(ctx, append(events, superseded...)...)
		final.Version++
		return final, nil
	}
}

// differs compares provider accounts. An account that the provider did not name can
// not be told from another, so it differs from every named one.
func differs(old, fresh Account) bool { return old.ID != fresh.ID }

// outcome is the code of a flow that connected.
func outcome(c *Connection, t oauth.Tokens) Code {
	switch {
	case len(c.Missing) > 0:
		return CodeScopesMissing
	case t.RefreshToken.IsZero() && !t.ExpiresAt.IsZero():
		return CodeNoRefreshToken
	}
	return CodeConnected
}

// drop takes back a grant that cannot be kept, beside a connection that may be there.
func (s *Service) drop(ctx context.Context, f *Flow, c *Connector, reg oauth.Registration, t oauth.Tokens, account Account) {
	old, err := s.Store.Connection(ctx, f.App, f.Connector, f.Owner())
	if err == nil || isNotFound(err) {
		s.revokeFresh(ctx, c, reg, t, account, old)
	}
}

// revokeFresh takes back a grant that finds no home, where that touches nothing else:
// at a provider whose revocation ends every grant of the account, only if no
// connection to that account is left.
func (s *Service) revokeFresh(ctx context.Context, c *Connector, reg oauth.Registration, t oauth.Tokens, account Account, old Connection) oauth.Revoked {
	if old.Sealed != nil {
		if kept, err := s.openTokens(&old); err == nil && kept.Access == t.AccessToken.Reveal() {
			return "" // some providers hand out the same token again
		}
	}
	if reg.Entry.Revoke.TakesSiblings {
		if account.ID == "" {
			return "" // whose others it would end is not known
		}
		siblings, err := s.siblings(ctx, c, account, "")
		if err != nil || len(siblings) > 0 {
			return ""
		}
	}
	return s.OAuth.Revoke(ctx, reg, t)
}

// Siblings are the other connections that a revocation of this one ends with it,
// because the provider revokes whole grants.
func (s *Service) Siblings(ctx context.Context, conn *Connection) ([]Connection, error) {
	_, c, err := s.connectorOf(ctx, conn.App, conn.Connector, conn.Owner)
	if err != nil {
		return nil, err
	}
	e, err := s.Entry(c)
	if err != nil || !e.Revoke.TakesSiblings {
		return nil, err
	}
	return s.siblings(ctx, c, conn.Account, conn.ID)
}

func (s *Service) siblings(ctx context.Context, c *Connector, account Account, except string) ([]Connection, error) {
	if account.ID == "" {
		return nil, nil
	}
	e, err := s.Entry(c)
	if err != nil {
		return nil, err
	}
	var family []string // types whose grants are one at the provider: they share its token endpoint
	for _, typ := range s.Catalog.Types() {
		if other, ok := s.Catalog.Entry(typ); ok && other.Token.URL == e.Token.URL {
			family = append(family, typ)
		}
	}
	all, err := s.Store.AccountConnections(ctx, family, account.ID)
	if err != nil {
		return nil, err
	}
	apps, err := s.loadApps(ctx)
	if err != nil {
		return nil, err
	}
	var out []Connection
	for _, conn := range all {
		a := apps[conn.App]
		if conn.ID == except || a == nil {
			continue
		}
		if other, ok := a.Connector(conn.Connector); ok && other.ClientID == c.ClientID {
			out = append(out, conn)
		}
	}
	return out, nil
}

func (s *Service) newConnection(f *Flow, c *Connector, reg oauth.Registration, t oauth.Tokens, account Account, old Connection) (Connection, error) {
	now := s.now()
	granted := t.Scopes
	if granted == nil {
		granted = f.Scopes // RFC 6749 section 5.1: not named means as asked
	}
	conn := Connection{
		ID: old.ID, App: f.App, Connector: f.Connector, Type: c.Type, Owner: f.Owner(),
		Status: ConnectionConnected, Account: account,
		Asked: f.Scopes, Scopes: granted, Missing: reg.Entry.Missing(f.Scopes, granted),
		Config: t.ConnectionConfig, Params: f.Params, Proofs: f.Proofs, Assurance: AssuranceOf(f.Proofs),
		TokenType: t.TokenType, ObtainedAt: t.ObtainedAt, ExpiresAt: t.ExpiresAt,
		Generation: old.Generation + 1, ConnectedAt: now, UpdatedAt: now, LastUsedAt: old.LastUsedAt,
	}
	if conn.ID == "" {
		conn.ID = newID("cn_")
	}
	return conn, s.sealTokens(&conn, storedTokens{Access: t.AccessToken.Reveal(), Refresh: t.RefreshToken.Reveal()})
}

func (s *Service) sealTokens(conn *Connection, t storedTokens) error {
	var err error
	if conn.Sealed, err = s.Sealer.Seal(connectionContext(conn), t.pack()); err != nil {
		return err
	}
	conn.KeyID, err = vault.KeyID(conn.Sealed)
	return err
}
