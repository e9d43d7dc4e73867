package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"patchbay/oauth"
	"patchbay/vault"
)

// Local is a directory of this process beside the database. What it says it has kept
// is on the disk.
type Local interface {
	// Keep keeps data under a name of letters, digits, - and _.
	Keep(name string, data []byte) error
	// Drop removes it; it is no error when it is gone.
	Drop(name string) error
	// Kept returns everything that is kept.
	Kept() (map[string][]byte, error)
	// Epoch returns the number that was set last, 0 for none.
	Epoch() (int64, error)
	SetEpoch(int64) error
}

// spooled is an answer of a provider that the database has not taken yet. The tokens in
// it are sealed.
type spooled struct {
	App, Connector, Owner string
	Params                map[string]string
	Account               Account
	ConnectedAt           time.Time
	Refreshed             Refreshed
}

func spoolName(r Refreshed) string { return r.ID + "-" + strconv.FormatInt(r.Generation, 10) }

// spool keeps r beside the database that cannot take it.
func (s *Service) spool(ctx context.Context, conn *Connection, r Refreshed) {
	err := errors.New("there is no state directory")
	if s.Local != nil {
		var data []byte
		if data, err = json.Marshal(spooled{conn.App, conn.Connector, conn.Owner.User, conn.Params, conn.Account, conn.ConnectedAt, r}); err == nil {
			err = s.Local.Keep(spoolName(r), data)
		}
	}
	ev := s.refreshEvent(ctx, EventSpooled, conn)
	if err != nil { // it is still in memory
		ev.Data = map[string]string{"failed": err.Error()}
	}
	s.emit(ctx, ev)
}

func (s *Service) unspool(r Refreshed) {
	if s.Local != nil {
		_ = s.Local.Drop(spoolName(r)) // once more at the next start, where it changes nothing
	}
}

// Recover is what comes before anything is served: it stores what a process before this
// one could not, and finds out whether the database is an old copy.
func (s *Service) Recover(ctx context.Context) error {
	if s.Local == nil {
		return nil
	}
	kept, err := s.Local.Kept()
	if err != nil {
		return err
	}
	for name, data := range kept {
		if err := s.replay(ctx, name, data); err != nil {
			return fmt.Errorf("the refresh kept as %s: %w", name, err)
		}
	}
	return s.checkEpoch(ctx)
}

// replay stores what was spooled. A pair without a home any more is revoked.
func (s *Service) replay(ctx context.Context, name string, data []byte) error {
	var sp spooled
	if err := json.Unmarshal(data, &sp); err != nil {
		return err
	}
	conn := Connection{ID: sp.Refreshed.ID, App: sp.App, Connector: sp.Connector, Owner: OwnerOf(sp.Owner), Account: sp.Account,
		Params: sp.Params, ConnectedAt: sp.ConnectedAt, Sealed: sp.Refreshed.Sealed}
	tokens, err := s.openTokens(&conn)
	if err != nil {
		return err
	}
	stored, err := s.Store.SaveRefreshed(ctx, sp.Refreshed)
	if err != nil {
		return err
	}
	ev := s.refreshEvent(ctx, EventReplayed, &conn)
	ev.Data = map[string]string{"stored": strconv.FormatBool(stored)}
	s.emit(ctx, ev)
	if !stored {
		if _, c, err := s.connectorOf(ctx, sp.App, sp.Connector, conn.Owner); err == nil {
			if reg, err := s.registration(c, sp.Params); err == nil {
				_, _ = s.lateRefresh(ctx, c, reg, conn, oauth.Tokens{
					AccessToken: vault.NewSecret(tokens.Access), RefreshToken: vault.NewSecret(tokens.Refresh),
					TokenType: sp.Refreshed.TokenType, ConnectionConfig: sp.Refreshed.Config,
				})
			}
		}
	}
	return s.Local.Drop(name)
}

// restoredOver is how long the probing of a restored database takes.
const restoredOver = time.Hour

// checkEpoch compares the epoch in the database with the one that was noted outside of
// it. A smaller one in the database means that somebody put back an old copy, whose
// refresh tokens may have been used since: each is tried slowly, once.
func (s *Service) checkEpoch(ctx context.Context) error {
	noted, err := s.Local.Epoch()
	if err != nil {
		return err
	}
	there, err := s.Store.Epoch(ctx)
	if err != nil {
		return err
	}
	if there < noted {
		if err := s.restored(ctx, there, noted); err != nil {
			return err
		}
		if there, err = s.Store.BumpEpoch(ctx, noted); err != nil {
			return err
		}
	}
	return s.bumpEpoch(ctx, there)
}

func (s *Service) restored(ctx context.Context, there, noted int64) error {
	n, err := s.Store.SuspectAll(ctx, s.now(), restoredOver)
	if err != nil {
		return err
	}
	ev := s.event(ctx, EventRestored, "", "", "")
	ev.Data = map[string]string{"epoch": strconv.FormatInt(there, 10), "noted": strconv.FormatInt(noted, 10), "connections": strconv.Itoa(n)}
	s.emit(ctx, ev)
	return nil
}

// bumpEpoch counts the epoch up here and there.
func (s *Service) bumpEpoch(ctx context.Context, known int64) error {
	epoch, err := s.Store.BumpEpoch(ctx, 0)
	if err != nil {
		return err
	}
	if epoch <= known { // it went back while we were looking
		if err := s.restored(ctx, epoch, known); err != nil {
			return err
		}
		if epoch, err = s.Store.BumpEpoch(ctx, known); err != nil {
			return err
		}
	}
	s.epoch.Store(epoch)
	return s.Local.SetEpoch(epoch)
}

// noteEpoch counts the epoch up if tokens were written since the last time.
func (s *Service) noteEpoch(ctx context.Context) error {
	n := s.rotated.Swap(0)
	if s.Local == nil || n == 0 {
		return nil
	}
	err := s.bumpEpoch(ctx, s.epoch.Load())
	if err != nil {
		s.rotated.Add(n)
	}
	return err
}
