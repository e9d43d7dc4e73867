package connect

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"time"

	"patchbay/oauth"
)

// BuilderLife is how long a builder stays signed in to the builder's page.
const BuilderLife = time.Hour

// BuilderSession is a browser that is signed in as a builder of an app, with one of the
// app's builder keys. It ends with the key.
type BuilderSession struct {
	Hash      []byte // of the browser's secret
	App       string
	KeyName   string
	KeyHash   []byte
	CreatedAt time.Time
	ExpiresAt time.Time
}

// BuilderSessions lists the apps whose builder is signed in under a browser's secret,
// with a key that is still one of the app's.
func (s *Service) BuilderSessions(ctx context.Context, hash []byte) ([]BuilderSession, error) {
	all, err := s.Store.BuilderSessions(ctx, hash, s.now())
	if err != nil || len(all) == 0 {
		return nil, err
	}
	apps, err := s.loadApps(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(b BuilderSession) bool {
		a := apps[b.App]
		return a == nil || !slices.ContainsFunc(a.Credentials, func(c Credential) bool {
			return c.Kind == BuilderKey && slices.Equal(c.Hash, b.KeyHash)
		})
	}), nil
}

// OpenBuilder signs the browser in as a builder of the app with a builder key, under the
// hash of a new secret; oldHash as for OpenBrowser. Anything but one of the app's builder
// keys is unauthorized.
func (s *Service) OpenBuilder(ctx context.Context, app, key string, oldHash, newHash []byte) (BuilderSession, error) {
	a, err := s.App(ctx, app)
	if err != nil && CodeOf(err) != CodeNotFound {
		return BuilderSession{}, err
	}
	var cred Credential
	if a != nil {
		cred, _ = a.Credential(key)
	}
	if cred.Kind != BuilderKey {
		return BuilderSession{}, refuse(CodeUnauthorized, "This is not a builder key of this app.")
	}
	now := s.now()
	b := BuilderSession{Hash: newHash, App: app, KeyName: cred.Name, KeyHash: cred.Hash, CreatedAt: now, ExpiresAt: now.Add(BuilderLife)}
	return b, s.Store.OpenBuilderSession(ctx, oldHash, b)
}

// CloseBuilder signs the browser out of the builder's page of an app.
func (s *Service) CloseBuilder(ctx context.Context, hash []byte, app string) error {
	return s.Store.EndBuilderSession(ctx, hash, app)
}

// FailedFlows lists the app's flows that failed, the last one first; they are kept for a
// week.
func (s *Service) FailedFlows(ctx context.Context, app string, limit int) ([]Flow, error) {
	return s.Store.FailedFlows(ctx, app, limit)
}

// previewUser is the end user whose page a builder's preview shows. What is connected in
// it is kept for this user like any other's. Nobody can sign up to the app under this
// id, because nobody without the keys knows it.
func (s *Service) previewUser(app string) EndUser {
	mac := s.Sealer.MAC("preview-user", []byte(app))
	return EndUser{ID: "builder-preview-" + hex.EncodeToString(mac[:12]), Name: "Preview"}
}

// PreviewSession makes an embed session that our own builder's page may frame.
func (s *Service) PreviewSession(ctx context.Context, app string) (NewSession, error) {
	a, err := s.App(ctx, app)
	if err != nil {
		return NewSession{}, err
	}
	return s.newSession(ctx, a, SessionRequest{
		Mode: ModeEmbed, User: s.previewUser(a.ID), Origin: s.PublicURL,
	})
}

// MayFrame reports whether a page of that origin may hold the app's frame: the app's own
// pages, and our builder's page for a preview.
func (s *Service) MayFrame(a *App, origin string) bool {
	return slices.Contains(a.Origins, origin) || origin == s.PublicURL
}

// TrialTicket prints a start ticket for a try of a connector on a builder's page.
func (s *Service) TrialTicket(b *BuilderSession, connector string) string {
	return s.printTicket(ticketTrial, b.Hash, b.ExpiresAt, b.App, connector)
}

// IsTrialTicket reports whether a start ticket says of itself that it is for a try. Whether
// it is good is another question.
func IsTrialTicket(text string) bool {
	head, err := base64.RawURLEncoding.DecodeString(text[:min(4, len(text))])
	return err == nil && len(head) > 0 && head[0] == ticketTrial
}

// CheckTrialTicket finds what a ticket of a builder's page allows. builders are the apps
// whose builder the browser is that posted it. The error is expired for a ticket that is
// dead or not this browser's.
func (s *Service) CheckTrialTicket(ctx context.Context, text string, builders []BuilderSession) (StartGrant, error) {
	t, err := s.readTicket(text)
	g := StartGrant{ticket: t, Mode: ModeRedirect, Trial: true}
	if err != nil {
		return g, err
	}
	ours := func(b BuilderSession) bool { return b.App == t.app && bytes.Equal(b.Hash[:16], t.owner) }
	if t.kind != ticketTrial || !slices.ContainsFunc(builders, ours) {
		return g, errTicketDead
	}
	g.App, g.Connector, err = s.connector(ctx, t.app, t.connector, "")
	return g, err
}

// tried ends a builder's try: what was learned goes into the result, the grant is given
// back where that touches nothing else, and nothing is kept.
func (s *Service) tried(ctx context.Context, f Flow, c *Connector, reg oauth.Registration, t oauth.Tokens, account Account) (Flow, error) {
	granted := t.Scopes
	if granted == nil {
		granted = f.Scopes // RFC 6749 section 5.1: not named means as asked
	}
	missing := reg.Entry.Missing(f.Scopes, granted)
	f.Detail.Account, f.Detail.Scopes, f.Detail.Missing = account.Label(), granted, missing
	f.Detail.FreshGrant = string(s.giveBack(ctx, c, reg, t, account))
	moved, err := s.end(ctx, &f, StatusConnected, outcome(&Connection{Missing: missing}, t))
	if err != nil || moved {
		return f, err
	}
	return s.flow(ctx, f.ID)
}

// giveBack revokes the grant of a try, unless the same account is linked with this client
// already: some providers hand out the same token again, or end every grant at once.
func (s *Service) giveBack(ctx context.Context, c *Connector, reg oauth.Registration, t oauth.Tokens, account Account) oauth.Revoked {
	others, err := s.siblings(ctx, c, account, "")
	if err != nil || len(others) > 0 {
		return ""
	}
	return s.revokeFresh(ctx, c, reg, t, account, Connection{})
}
