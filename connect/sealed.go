package connect

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"patchbay/vault"
)

// SealedKind is a kind of row that holds a sealed value.
type SealedKind string

// What is kept sealed. The fields of a posted callback are too, for a minute.
const (
	SealedApp        SealedKind = "app"
	SealedConnector  SealedKind = "connector"
	SealedConnection SealedKind = "connection"
	SealedFlow       SealedKind = "flow"
)

var sealedKinds = []SealedKind{SealedApp, SealedConnector, SealedConnection, SealedFlow}

// SealedRow is a sealed value and the row that it is bound to.
type SealedRow struct {
	Kind      SealedKind
	App       string
	Connector string // of a connection or flow
	Owner     Owner  // of a connection or flow
	ID        string
	Sealed    []byte
}

func (r *SealedRow) context() vault.Context {
	switch r.Kind {
	case SealedApp:
		return appContext(r.ID)
	case SealedConnector:
		return connectorContext(r.App, r.ID)
	case SealedConnection:
		return connectionContext(&Connection{ID: r.ID, App: r.App, Connector: r.Connector, Owner: r.Owner})
	default:
		return vault.Context{App: r.App, Connector: r.Connector, User: r.Owner.Key(), Row: r.ID, Purpose: "flow"}
	}
}

func (r *SealedRow) name() string {
	switch r.Kind {
	case SealedConnector:
		return fmt.Sprintf("connector %s/%s", r.App, r.ID)
	default:
		return fmt.Sprintf("%s %s", r.Kind, r.ID)
	}
}

// Resealed is a row with its value sealed anew.
type Resealed struct {
	SealedRow
	Fresh []byte
	KeyID string
}

// SealedStore is what a Store can do with its sealed values, whatever they are.
type SealedStore interface {
	// CountSealed counts the sealed values of a kind, those under that key left out.
	CountSealed(ctx context.Context, kind SealedKind, except string) (int, error)
	// SealedRows lists them in the order of their keys, those after the one given.
	SealedRows(ctx context.Context, kind SealedKind, except string, after SealedRow, limit int) ([]SealedRow, error)
	// Reseal writes those that have not changed since they were read, and returns how many
	// that were. Durable.
	Reseal(ctx context.Context, rows []Resealed) (int, error)
}

const sealedBatch = 200

// Reseal seals everything in st with the newest key of sealer, newest by its id, while
// others read and write. What is sealed so already is left alone, so whatever stops it,
// a second call goes on. progress is told how many of how many are done. The error joins
// the rows that cannot be opened; they stay as they are.
func Reseal(ctx context.Context, st SealedStore, sealer Sealer, newest string, progress func(done, total int)) (int, error) {
	var problems []error
	done, total, err := 0, 0, error(nil)
	for _, kind := range sealedKinds {
		n, err := st.CountSealed(ctx, kind, newest)
		if err != nil {
			return 0, err
		}
		total += n
	}
	progress(0, total)
	for _, kind := range sealedKinds {
		var after SealedRow
		for {
			if err := ctx.Err(); err != nil {
				return done, errors.Join(append(problems, err)...)
			}
			rows, err := st.SealedRows(ctx, kind, newest, after, sealedBatch)
			if err != nil {
				return done, errors.Join(append(problems, err)...)
			}
			if len(rows) == 0 {
				break
			}
			after = rows[len(rows)-1]
			fresh := make([]Resealed, 0, len(rows))
			for _, r := range rows {
				again, err := reseal(sealer, r)
				if err != nil {
					problems = append(problems, err)
					continue
				}
				fresh = append(fresh, again)
			}
			n, err := st.Reseal(ctx, fresh)
			if err != nil {
				return done, errors.Join(append(problems, err)...)
			}
			done += n
			progress(done, max(total, done))
		}
	}
	return done, errors.Join(append(problems, err)...)
}

func reseal(sealer Sealer, r SealedRow) (Resealed, error) {
	plain, err := sealer.Open(r.context(), r.Sealed)
	if err != nil {
		return Resealed{}, fmt.Errorf("%s: %w", r.name(), err)
	}
	defer clear(plain)
	fresh, err := sealer.Seal(r.context(), plain)
	if err != nil {
		return Resealed{}, fmt.Errorf("%s: %w", r.name(), err)
	}
	id, err := vault.KeyID(fresh)
	return Resealed{r, bytes.Clone(fresh), id}, err
}

// VerifySealed opens every sealed value in st and returns how many of each kind there
// are. The error joins those that cannot be opened.
func VerifySealed(ctx context.Context, st SealedStore, sealer Sealer, progress func(done, total int)) (map[SealedKind]int, error) {
	var problems []error
	counts, done, total := map[SealedKind]int{}, 0, 0
	for _, kind := range sealedKinds {
		n, err := st.CountSealed(ctx, kind, "")
		if err != nil {
			return nil, err
		}
		total += n
	}
	for _, kind := range sealedKinds {
		var after SealedRow
		for {
			rows, err := st.SealedRows(ctx, kind, "", after, sealedBatch)
			if err != nil {
				return counts, errors.Join(append(problems, err)...)
			}
			if len(rows) == 0 {
				break
			}
			for i := range rows {
				plain, err := sealer.Open(rows[i].context(), rows[i].Sealed)
				if err != nil {
					problems = append(problems, fmt.Errorf("%s: %w", rows[i].name(), err))
				}
				clear(plain)
			}
			after = rows[len(rows)-1]
			counts[kind] += len(rows)
			done += len(rows)
			progress(done, max(total, done))
		}
	}
	return counts, errors.Join(problems...)
}
