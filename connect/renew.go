package connect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"patchbay/oauth"
	"patchbay/provider"
	"patchbay/vault"
)

// How long the steps of a refresh may take. A lease is over when somebody has seen it
// unchanged for all of LeaseLife on a clock that nobody sets; whoever holds it stops
// waiting for the provider SendLimit after the claim. So no two instances ever wait for
// one refresh token at once, whatever their clocks say.
const (
	LeaseLife   = 15 * time.Second
	SendLimit   = 10 * time.Second
	claimedWait = 20 * time.Second      // for the refresh of another instance
	claimedPoll = 50 * time.Millisecond // between two looks at it
	fickleWait  = 30 * time.Second      // before an invalid_grant of a fickle provider is believed
	firstRetry  = time.Second           // after a failure; doubles up to lastRetry
	lastRetry   = 5 * time.Minute
)

// RefreshState is what a refresh notes beside a connection.
type RefreshState struct {
	LeaseOwner string    // the instance at it, "" for none
	LeaseUntil time.Time // for people; see LeaseLife
	// Intent is the fingerprint of the refresh token that was about to be sent at IntentAt.
	// It stays until the outcome is known.
	Intent    string
	IntentAt  time.Time
	RetryAt   time.Time // nothing is sent before
	Failures  int       // in a row
	SuspectAt time.Time // when a fickle provider first called the grant dead
	Restored  bool      // the row came from a backup: what happened since is not known
	DueAt     time.Time // when it is refreshed in the background; zero: never
}

// Claim is one attempt at a refresh, written down before anything is sent.
type Claim struct {
	ID          string
	Generation  int64 // as it was read
	Owner       string
	Until       time.Time
	Intent      string // fingerprint of the token that will be sent
	Fingerprint string // of the one that is stored
	At          time.Time
	// Recovery: the token was sent before, and what came of that is not known.
	Recovery bool
}

// Refreshing is a connection with the state of its refresh.
type Refreshing struct {
	Connection
	State RefreshState
}

// fingerprint tells refresh tokens of a connection apart, "" for none. Refresh tokens
// are random; what is kept of one cannot be turned back.
func fingerprint(connection, refresh string) string {
	if refresh == "" {
		return ""
	}
	h := sha256.Sum256([]byte(connection + "\n" + refresh))
	return hex.EncodeToString(h[:16])
}

// renewShared lets the callers of this process that need the same connection fresh
// share one refresh. The key is the connection's random id, so no two connections
// can meet in it. It goes on when a caller hangs up.
func (s *Service) renewShared(ctx context.Context, c *Connector, seen Connection) (Connection, error) {
	s.inFlight.Add(1)
	result := s.refreshes.DoChan(seen.ID, func() (any, error) { return s.renew(context.WithoutCancel(ctx), c, seen) })
	gone := func() { <-result; s.inFlight.Done() }
	patience := time.NewTimer(claimedWait + SendLimit) // a database that is away may make it longer
	defer patience.Stop()
	select {
	case <-ctx.Done():
		go gone()
		return Connection{}, ctx.Err()
	case <-patience.C:
		go gone()
		return Connection{}, errBusy
	case r := <-result:
		s.inFlight.Done()
		fresh, _ := r.Val.(Connection)
		return fresh, r.Err
	}
}

// renew sees to it that the connection has newer tokens than seen, by a refresh of its
// own or by waiting for somebody else's.
func (s *Service) renew(ctx context.Context, c *Connector, seen Connection) (Connection, error) {
	patience := time.Now().Add(claimedWait)
	for {
		conn, st, err := s.Store.RefreshRow(ctx, seen.ID)
		switch {
		case isNotFound(err):
			return Connection{}, errChanged
		case err != nil:
			return Connection{}, err
		case conn.Status != ConnectionConnected, conn.ObtainedAt.After(seen.ObtainedAt), conn.ConnectedAt.After(seen.ConnectedAt):
			return s.asItIsNow(&conn)
		}
		if st.LeaseOwner != "" && !s.leases.over(&conn, st, s.instance()) {
			if time.Now().After(patience) {
				return Connection{}, errBusy
			}
			time.Sleep(claimedPoll)
			continue
		}
		if wait := st.RetryAt.Sub(s.now()); wait > 0 {
			return Connection{}, unavailable(wait, "the last refresh failed a moment ago")
		}
		fresh, err := s.attempt(ctx, c, conn, st)
		if errors.Is(err, errClaimLost) {
			continue
		}
		return fresh, err
	}
}

var (
	errClaimLost = errors.New("somebody else claimed the refresh")
	errBusy      = &Error{Code: CodeProviderUnavailable, Message: "The token is being refreshed and the provider is slow. Try again.", RetryAfter: time.Second}
)

func unavailable(wait time.Duration, cause string) *Error {
	return &Error{Code: CodeProviderUnavailable, Message: "The provider cannot refresh the token right now. Try again later.",
		RetryAfter: max(wait, time.Second), Cause: errors.New(cause)}
}

// attempt is one claim, one call and what follows from the answer.
func (s *Service) attempt(ctx context.Context, c *Connector, conn Connection, st RefreshState) (Connection, error) {
	tokens, err := s.openTokens(&conn)
	if err != nil {
		return Connection{}, err
	}
	if tokens.Refresh == "" {
		if s.alive(&conn) {
			return Connection{}, errCannotRefresh
		}
		return s.needsUser(ctx, &conn, "no_refresh_token")
	}
	reg, err := s.registration(c, conn.Params)
	if err != nil {
		return Connection{}, &Error{Code: CodeConnectorMisconfigured, Message: "This connector is not set up correctly.", Cause: err}
	}
	release, err := s.slots.take(ctx, c.App, c.ID)
	if err != nil {
		return Connection{}, err
	}
	defer release()
	if err := s.mayCall(ctx, c); err != nil {
		return Connection{}, err
	}
	return s.send(ctx, c, reg, conn, st, tokens, tokens.Refresh)
}

// send claims the refresh, sends the refresh token and deals with the outcome. refresh
// is the stored one, or the one before it.
func (s *Service) send(ctx context.Context, c *Connector, reg oauth.Registration, conn Connection, st RefreshState, tokens storedTokens, refresh string) (Connection, error) {
	begun := time.Now()
	ctx, cancel := context.WithDeadline(ctx, begun.Add(SendLimit))
	defer cancel()
	intent := fingerprint(conn.ID, refresh)
	claim := Claim{
		ID: conn.ID, Generation: conn.Generation, Owner: s.instance(), At: s.now(), Until: s.now().Add(LeaseLife),
		Intent: intent, Fingerprint: fingerprint(conn.ID, tokens.Refresh),
		Recovery: st.Intent == intent || refresh != tokens.Refresh,
	}
	claimed, err := s.Store.ClaimRefresh(ctx, claim)
	if err != nil {
		return Connection{}, err
	}
	if !claimed {
		return Connection{}, errClaimLost
	}
	conn.Generation++
	if claim.Recovery {
		ev := s.refreshEvent(ctx, EventRefreshRecovered, &conn)
		ev.Data = map[string]string{"sent_before": st.IntentAt.UTC().Format(time.RFC3339)}
		s.emit(ctx, ev)
	}
	if err := ctx.Err(); err != nil { // the claim took so long that the lease may be over
		s.release(ctx, &conn, st, st.Intent == intent, 0)
		return Connection{}, errBusy
	}
	answer, err := s.OAuth.Refresh(ctx, reg, vault.NewSecret(refresh), conn.Scopes)
	after := context.WithoutCancel(ctx)
	if err != nil {
		return s.refreshFailed(after, c, reg, conn, st, tokens, claim, err)
	}
	s.provedWell(after, c)
	return s.storeRefreshed(after, c, reg, conn, tokens, refresh, answer)
}

func (s *Service) refreshEvent(ctx context.Context, kind EventKind, conn *Connection) Event {
	ev := s.event(ctx, kind, conn.App, conn.Owner.User, conn.Connector)
	ev.Connection = conn.ID
	return ev
}

// storeRefreshed stores what the provider answered. The answer exists nowhere else: it
// is kept until the database takes it, and in the spool for the case that this process
// ends before.
func (s *Service) storeRefreshed(ctx context.Context, c *Connector, reg oauth.Registration, conn Connection, old storedTokens, sent string, t oauth.Tokens) (Connection, error) {
	fresh := storedTokens{Access: t.AccessToken.Reveal(), Refresh: sent} // without a new one, the one that worked stays
	if next := t.RefreshToken.Reveal(); next != "" && next != sent {
		fresh.Refresh, fresh.Previous = next, sent
	}
	r := Refreshed{ID: conn.ID, Generation: conn.Generation, Parent: fingerprint(conn.ID, old.Refresh)}
	if t.Scopes != nil {
		conn.Scopes, conn.Missing = t.Scopes, reg.Entry.Missing(conn.Asked, t.Scopes)
	}
	for k, v := range t.ConnectionConfig {
		if conn.Config == nil {
			conn.Config = map[string]string{}
		}
		conn.Config[k] = v
	}
	conn.TokenType, conn.ObtainedAt, conn.ExpiresAt = t.TokenType, t.ObtainedAt.UTC().Truncate(time.Millisecond), t.ExpiresAt
	if err := s.sealTokens(&conn, fresh); err != nil {
		return Connection{}, err
	}
	r.Sealed, r.KeyID, r.TokenType = conn.Sealed, conn.KeyID, conn.TokenType
	r.Scopes, r.Missing, r.Config = conn.Scopes, conn.Missing, conn.Config
	r.ObtainedAt, r.ExpiresAt = conn.ObtainedAt, conn.ExpiresAt
	r.Fingerprint, r.DueAt = fingerprint(conn.ID, fresh.Refresh), dueAt(reg.Entry, &conn, true)

	stored, err := s.keep(ctx, &conn, r)
	if err != nil {
		return Connection{}, fmt.Errorf("store the refreshed tokens of connection %s: %w", conn.ID, err)
	}
	s.rotated.Add(1)
	if stored {
		conn.Generation++
		ev := s.refreshEvent(ctx, EventTokenRefreshed, &conn)
		s.emit(ctx, ev)
		return conn, nil
	}
	return s.lateRefresh(ctx, c, reg, conn, t)
}

// keep writes r to the database, however long that takes.
func (s *Service) keep(ctx context.Context, conn *Connection, r Refreshed) (bool, error) {
	wait, spooled := 100*time.Millisecond, false
	for {
		stored, err := s.Store.SaveRefreshed(ctx, r)
		if !errors.Is(err, ErrUnavailable) {
			if spooled && err == nil {
				s.unspool(r)
			}
			return stored, err
		}
		if !spooled {
			spooled = true
			s.spool(ctx, conn, r)
		}
		time.Sleep(wait)
		wait = min(2*wait, time.Second)
	}
}

// lateRefresh deals with an answer that came after the connection had been ended,
// replaced or refreshed by somebody else. A fresh pair without a home is revoked.
func (s *Service) lateRefresh(ctx context.Context, c *Connector, reg oauth.Registration, conn Connection, t oauth.Tokens) (Connection, error) {
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	now, err := s.Store.Connection(ctx, conn.App, conn.Connector, conn.Owner)
	if err != nil && !isNotFound(err) {
		return Connection{}, err
	}
	if err == nil && now.ID == conn.ID && now.Account.ID == conn.Account.ID && now.ConnectedAt.Equal(conn.ConnectedAt) && s.alive(&now) {
		return s.asItIsNow(&now)
	}
	s.revokeFresh(ctx, c, reg, t, conn.Account, now)
	return Connection{}, errChanged
}

// refreshFailed tells a passing failure, the operator's mistake and the end of the
// grant apart. Only the last one needs the user.
func (s *Service) refreshFailed(ctx context.Context, c *Connector, reg oauth.Registration, conn Connection, st RefreshState, tokens storedTokens, claim Claim, cause error) (Connection, error) {
	out := &Error{Code: CodeProviderError, Message: "The provider answered the refresh with something that is not a token.", Cause: cause}
	var oe *oauth.Error
	class, unknown := oauth.Class(""), true
	if errors.As(cause, &oe) {
		class = oe.Class
		unknown = oe.Sent && (class == oauth.Transient || class == oauth.ProviderFault)
	}
	retry := backoff(st.Failures)
	switch class {
	case oauth.Throttled, oauth.Transient:
		out = unavailable(retry, "")
		out.Cause = cause
		if class == oauth.Throttled && oe.RetryAfter > 0 {
			retry = s.throttled(ctx, c, oe.RetryAfter)
			out.RetryAfter = retry
		} else {
			s.troubled(ctx, c)
		}
	case oauth.ConnectorFault, oauth.Blocked:
		out.Code, out.Message = CodeConnectorMisconfigured, "The provider does not accept this connector's client. The app's builder has to check its client id and secret."
		s.misconfigured(ctx, c)
	case oauth.GrantDead:
		return s.grantDead(ctx, c, reg, conn, st, tokens, claim, cause)
	}
	s.release(ctx, &conn, st, unknown || claim.Recovery, retry)
	s.tellFailure(ctx, &conn, string(out.Code), string(class), cause)
	return Connection{}, out
}

func (s *Service) tellFailure(ctx context.Context, conn *Connection, code, class string, cause error) {
	ev := s.refreshEvent(ctx, EventRefreshFailed, conn)
	ev.Data = map[string]string{"code": code, "class": class, "cause": cause.Error()}
	s.emit(ctx, ev)
}

// grantDead deals with a provider that says that the grant is over.
func (s *Service) grantDead(ctx context.Context, c *Connector, reg oauth.Registration, conn Connection, st RefreshState, tokens storedTokens, claim Claim, cause error) (Connection, error) {
	how := &reg.Entry.Refresh
	if claim.Intent == claim.Fingerprint && previousWorks(how, &conn, tokens, s.now()) {
		// The provider may have lost what it told us last; for a while it takes the token
		// from before.
		st.Intent = claim.Intent
		return s.send(ctx, c, reg, conn, st, tokens, tokens.Previous)
	}
	if how.TransientInvalidGrant && (st.SuspectAt.IsZero() || s.now().Sub(st.SuspectAt) < fickleWait) {
		if st.SuspectAt.IsZero() {
			st.SuspectAt = s.now()
		}
		s.release(ctx, &conn, st, claim.Recovery, fickleWait)
		s.tellFailure(ctx, &conn, string(CodeProviderUnavailable), "grant_suspect", cause)
		return Connection{}, unavailable(fickleWait, "the provider called the grant dead, which it is known to take back")
	}
	if !st.Restored {
		braked, err := s.brake(ctx, c)
		if err != nil {
			return Connection{}, err
		}
		if braked {
			s.release(ctx, &conn, st, claim.Recovery, brakeWindow)
			s.tellFailure(ctx, &conn, string(CodeProviderUnavailable), "braked", cause)
			return Connection{}, unavailable(brakeWindow, "the provider calls so many grants dead that it is not believed")
		}
	}
	reason := "grant_ended"
	if claim.Recovery && how.Rotation != "none" && how.Rotation != "" {
		reason = "rotation_outcome_lost"
	}
	return s.needsUser(ctx, &conn, reason)
}

// previousWorks reports whether the refresh token before the stored one may still be good.
func previousWorks(how *provider.Refresh, conn *Connection, tokens storedTokens, now time.Time) bool {
	return tokens.Previous != "" && how.Rotation == "grace" && now.Before(conn.ObtainedAt.Add(how.Grace))
}

// release ends a claim without fresh tokens. unknown keeps the intent: the token may have
// been used up. Nothing is sent for the time of retry, half of it at random.
func (s *Service) release(ctx context.Context, conn *Connection, st RefreshState, unknown bool, retry time.Duration) {
	st.Failures++
	if !unknown {
		st.Intent, st.IntentAt = "", time.Time{}
	} else {
		st.Intent, st.IntentAt = s.intentOf(conn), s.now()
	}
	st.RetryAt = time.Time{}
	if retry > 0 {
		st.RetryAt = s.now().Add(retry)
	}
	if !st.DueAt.IsZero() {
		st.DueAt = s.now().Add(max(retry, backoff(st.Failures)))
	}
	if _, err := s.Store.ReleaseRefresh(context.WithoutCancel(ctx), conn.ID, conn.Generation, st); err != nil {
		s.tellFailure(ctx, conn, string(CodeUnavailable), "not_released", err) // the lease runs out
	}
}

func (s *Service) intentOf(conn *Connection) string {
	t, err := s.openTokens(conn)
	if err != nil {
		return ""
	}
	return fingerprint(conn.ID, t.Refresh)
}

// backoff is how long to wait after so many failures in a row before this one: nothing the
// first time, then doubling, half of it at random, so that many that failed together do
// not come back together.
func backoff(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	wait := lastRetry
	if failures < 9 {
		wait = min(lastRetry, firstRetry<<failures)
	}
	return wait/2 + rand.N(wait/2)
}

// needsUser marks the connection, unless somebody else has written it since it was
// read: then what they wrote counts.
func (s *Service) needsUser(ctx context.Context, conn *Connection, reason string) (Connection, error) {
	marked := *conn
	marked.Status, marked.Reason = ConnectionReconnectRequired, reason
	ev := s.connectionEvent(ctx, EventReconnectRequired, &marked, nil)
	ev.Data["reason"] = reason
	done, err := s.Store.MarkReconnect(ctx, conn.ID, conn.Generation, reason, ev)
	if err != nil {
		return Connection{}, err
	}
	if !done {
		now, err := s.Store.Connection(ctx, conn.App, conn.Connector, conn.Owner)
		if isNotFound(err) || (err == nil && now.ID != conn.ID) {
			return Connection{}, errChanged
		}
		if err != nil {
			return Connection{}, err
		}
		return s.asItIsNow(&now)
	}
	s.emit(ctx, ev)
	return Connection{}, errReconnect(&marked)
}
