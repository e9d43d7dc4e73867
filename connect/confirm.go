package connect

import (
	"context"
	"crypto/subtle"
)

// Confirm is the app's word that the user in its own browser session is userID. Only
// then is the provider's code exchanged. It returns the flow as it ended, also when
// the provider refused. Errors: not_found; flow_finished; forbidden for a result code
// that is unknown, used, too old or of another flow (nothing changes); user_mismatch
// for another user, which ends the flow and drops the code.
func (s *Service) Confirm(ctx context.Context, app, id, resultCode, userID string) (Flow, error) {
	f, err := s.FlowFor(ctx, app, id)
	if err != nil {
		return Flow{}, err
	}
	if f.Status.Final() {
		return Flow{}, refuse(CodeFlowFinished, "This flow is over. Read how it ended with GET flows/"+f.ID+".")
	}
	if f.Status != StatusVerifying || subtle.ConstantTimeCompare(HashSecret(resultCode), f.ResultHash) != 1 {
		return Flow{}, s.refuseConfirm(ctx, &f, errResultCode)
	}
	if f.User.ID != userID {
		f.Sealed = nil
		moved, err := s.end(ctx, &f, StatusFailed, CodeUserMismatch)
		if err != nil {
			return Flow{}, err
		}
		if !moved {
			return Flow{}, s.refuseConfirm(ctx, &f, errResultCode)
		}
		return Flow{}, s.refuseConfirm(ctx, &f, refuse(CodeUserMismatch, "This flow was begun by another user. Nothing was linked."))
	}
	sec, err := s.flowSecrets(&f)
	if err != nil {
		return Flow{}, err
	}
	f.Status, f.MovedAt, f.ResultHash = StatusExchanging, s.now(), nil
	f.Proofs = append(f.Proofs, ProofApp)
	moved, err := s.Store.UpdateFlow(ctx, f)
	if err != nil {
		return Flow{}, err
	}
	if !moved {
		return Flow{}, s.refuseConfirm(ctx, &f, errResultCode)
	}
	f.Version++
	return s.finish(ctx, f, sec)
}

var errResultCode = refuse(CodeForbidden, "This result code is unknown, used, too old or of another flow.")

func (s *Service) refuseConfirm(ctx context.Context, f *Flow, e *Error) *Error {
	ev := s.flowEvent(ctx, EventConfirmRefused, f)
	ev.Data = map[string]string{"code": string(e.Code)}
	s.emit(ctx, ev)
	return e
}
