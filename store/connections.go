package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"patchbay/connect"
)

// connectionKey says whose connection it is and how often its tokens were written.
// The columns of the lease and the intent belong to the refresh and are not here.
const (
	connectionKey  = `id, app, connector, owner, generation`
	connectionBody = `type, status, reason, account_id, account_name, account_email, asked, scopes, missing, config,
		params, proofs, assurance, sealed, key_id, token_type, obtained_at, expires_at,
		connected_at, updated_at, last_used_at`
	connectionColumns = connectionKey + `, ` + connectionBody
)

func connectionFields(c *connect.Connection) []any {
	return []any{
		&c.ID, &c.App, &c.Connector, ownerField{&c.Owner}, &c.Generation,
		&c.Type, &c.Status, &c.Reason, &c.Account.ID, &c.Account.Name, &c.Account.Email,
		jsonField{&c.Asked}, jsonField{&c.Scopes}, jsonField{&c.Missing}, jsonField{&c.Config},
		jsonField{&c.Params}, jsonField{&c.Proofs}, &c.Assurance, blobField{&c.Sealed}, &c.KeyID, &c.TokenType,
		timeField{&c.ObtainedAt}, timeField{&c.ExpiresAt},
		timeField{&c.ConnectedAt}, timeField{&c.UpdatedAt}, timeField{&c.LastUsedAt},
	}
}

const selectConnection = `SELECT ` + connectionColumns + ` FROM connections WHERE app = $1 AND connector = $2 AND owner = $3`

// Connection implements connect.Store.
func (s *Store) Connection(ctx context.Context, app, connector string, o connect.Owner) (connect.Connection, error) {
	c, err := one(ctx, s.readers, connectionFields, connectionOf(app, connector, o), selectConnection, app, connector, o.Key())
	return c, s.wrap("read a connection", err)
}

func connectionOf(app, connector string, o connect.Owner) func(*connect.Connection) bool {
	return func(c *connect.Connection) bool { return c.App == app && c.Connector == connector && c.Owner == o }
}

const (
	tokenColumns = `id, app, connector, owner, generation, type, status, reason, account_id, account_name, account_email,
		scopes, missing, config, sealed, token_type, obtained_at, expires_at, connected_at`
	selectToken = `SELECT ` + tokenColumns + ` FROM connections WHERE app = $1 AND connector = $2 AND owner = $3`
)

func tokenFields(c *connect.Connection) []any {
	return []any{
		&c.ID, &c.App, &c.Connector, ownerField{&c.Owner}, &c.Generation, &c.Type, &c.Status, &c.Reason,
		&c.Account.ID, &c.Account.Name, &c.Account.Email, jsonField{&c.Scopes}, jsonField{&c.Missing},
		jsonField{&c.Config}, blobField{&c.Sealed}, &c.TokenType,
		timeField{&c.ObtainedAt}, timeField{&c.ExpiresAt}, timeField{&c.ConnectedAt},
	}
}

// ConnectionToken implements connect.Store.
func (s *Store) ConnectionToken(ctx context.Context, app, connector string, o connect.Owner) (connect.Connection, error) {
	c, err := one(ctx, s.readers, tokenFields, connectionOf(app, connector, o), selectToken, app, connector, o.Key())
	return c, s.wrap("read a token", err)
}

const selectUserConnections = `SELECT ` + connectionColumns + ` FROM connections WHERE app = $1 AND owner = $2
	ORDER BY connector`

// UserConnections implements connect.Store. They are in the order of their connectors.
func (s *Store) UserConnections(ctx context.Context, app, user string) ([]connect.Connection, error) {
	same := func(c *connect.Connection) bool { return c.App == app && c.Owner.User == user }
	all, err := list(ctx, s.readers, connectionFields, same, selectUserConnections, app, userKeyPrefix+user)
	return all, s.wrap("read a user's connections", err)
}

const (
	selectConnectorConnections = `SELECT ` + connectionColumns + ` FROM connections WHERE app = $1 AND connector = $2
		ORDER BY owner`
	countConnections = `SELECT COUNT(*) FROM connections WHERE app = $1 AND connector = $2`
)

// ConnectorConnections implements connect.Store. They are in the order of their owners.
func (s *Store) ConnectorConnections(ctx context.Context, app, connector string) ([]connect.Connection, error) {
	same := func(c *connect.Connection) bool { return c.App == app && c.Connector == connector }
	all, err := list(ctx, s.readers, connectionFields, same, selectConnectorConnections, app, connector)
	return all, s.wrap("read a connector's connections", err)
}

// CountConnections implements connect.Store.
func (s *Store) CountConnections(ctx context.Context, app, connector string) (int, error) {
	n, err := s.readers.number(ctx, countConnections, app, connector)
	return int(n), s.wrap("count connections", err)
}

const selectAccountConnections = `SELECT ` + connectionColumns + ` FROM connections WHERE account_id = $1
	ORDER BY app, connector, owner`

// AccountConnections implements connect.Store. An account that the provider did not
// name has none.
func (s *Store) AccountConnections(ctx context.Context, types []string, account string) ([]connect.Connection, error) {
	if account == "" {
		return nil, nil
	}
	same := func(c *connect.Connection) bool { return c.Account.ID == account }
	all, err := list(ctx, s.readers, connectionFields, same, selectAccountConnections, account)
	all = slices.DeleteFunc(all, func(c connect.Connection) bool { return !slices.Contains(types, c.Type) })
	return all, s.wrap("read an account's connections", err)
}

var (
	finishFlow = updateFlow + ` AND ` + unfinished

	insertConnection = `INSERT INTO connections (` + connectionColumns + `, fingerprint, due_at) VALUES (` + placeholders(1, connectionColumns) + `, $27, $28)
		ON CONFLICT (app, connector, owner) DO NOTHING`

	// The id of the row that is replaced, and its generation, are $29 and $30.
	replaceConnection = `UPDATE connections SET id = $1, generation = $5, (` + connectionBody + `) = (` + placeholders(6, connectionBody) + `),
			fingerprint = $27, due_at = $28, ` + refreshOver + `
		WHERE app = $2 AND connector = $3 AND owner = $4 AND id = $29 AND generation = $30`
)

const (
	supersedeFlows = `UPDATE flows SET status = 'superseded', code = 'superseded', sealed = NULL, result_hash = NULL,
			result_expires = 0, moved_at = $1, finished_at = $1, version = version + 1
		WHERE app = $2 AND connector = $3 AND user_id = $4 AND id <> $5 AND ` + unfinished + `
		RETURNING ` + flowColumns
	endLink = `UPDATE connect_sessions SET ended_at = $1 WHERE app = $2 AND id = $3 AND mode = 'link' AND ended_at = 0`
)

// Connect implements connect.Store.
func (s *Store) Connect(ctx context.Context, c connect.Connecting) (connect.ConnectResult, error) {
	f, conn := &c.Flow, &c.Connection
	switch {
	case !f.Status.Final():
		return connect.ConnectResult{}, fmt.Errorf("store: connect: the flow's status %s is not final", f.Status)
	case conn.App != f.App || conn.Connector != f.Connector || (conn.Owner.User != f.User.ID && conn.Owner != connect.Owner{}):
		return connect.ConnectResult{}, fmt.Errorf("store: connect: connection %s is not of flow %s", conn.ID, f.ID)
	case conn.Generation <= c.ReplacesGen:
		return connect.ConnectResult{}, fmt.Errorf("store: connect: generation %d does not follow %d", conn.Generation, c.ReplacesGen)
	}
	var res connect.ConnectResult
	_, err := s.write(ctx, s.durable, "connect", func(t tx) (bool, error) {
		if err := t.lockUser(f.App, f.User.ID); err != nil {
			return false, err
		}
		n, err := t.exec(finishFlow, flowFields(f)...)
		if err != nil || n == 0 {
			res.FlowMoved = err == nil
			return false, err
		}
		if c.Replaces == "" {
			n, err = t.exec(insertConnection, append(connectionFields(conn), c.Fingerprint, millis(c.DueAt))...)
		} else {
			n, err = t.exec(replaceConnection, append(connectionFields(conn), c.Fingerprint, millis(c.DueAt), c.Replaces, c.ReplacesGen)...)
		}
		if err != nil || n == 0 {
			res.ConnectionMoved = err == nil
			return false, err
		}
		same := func(o *connect.Flow) bool {
			return o.App == f.App && o.Connector == f.Connector && o.User.ID == f.User.ID
		}
		res.Superseded, err = list(t.ctx, t, flowFields, same, supersedeFlows, millis(f.FinishedAt), f.App, f.Connector, f.User.ID, f.ID)
		if err != nil {
			return false, err
		}
		if f.Session != "" {
			if _, err := t.exec(endLink, millis(f.FinishedAt), f.App, f.Session); err != nil {
				return false, err
			}
		}
		if conn.Owner == (connect.Owner{}) {
			if _, err := t.exec(sharedConnected, f.App, f.Connector, f.Session); err != nil {
				return false, err
			}
		}
		if err := t.record(c.Events...); err != nil {
			return false, err
		}
		for i := range res.Superseded {
			if c.Supersede == nil {
				break
			}
			if err := t.record(c.Supersede(&res.Superseded[i])); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	if err != nil {
		return connect.ConnectResult{}, err
	}
	return res, nil
}

const deleteConnection = `DELETE FROM connections WHERE app = $1 AND connector = $2 AND owner = $3 RETURNING ` + connectionColumns

// Disconnect implements connect.Store.
func (s *Store) Disconnect(ctx context.Context, app, connector string, o connect.Owner, event func(*connect.Connection) connect.Event) (connect.Connection, error) {
	var gone connect.Connection
	err := s.writeAll(ctx, s.durable, "disconnect", func(t tx) error {
		if err := t.lockUser(app, o.User); err != nil {
			return err
		}
		c, err := one(t.ctx, t, connectionFields, connectionOf(app, connector, o), deleteConnection, app, connector, o.Key())
		if err != nil {
			return err
		}
		gone = c
		return t.record(event(&gone))
	})
	if err != nil {
		return connect.Connection{}, err
	}
	return gone, nil
}

const (
	touchConnection = `UPDATE connections SET last_used_at = $1 WHERE id = $2 AND last_used_at < $1`
	touchBatch      = 500
)

// TouchConnections implements connect.Store. A use that is older than the one known
// changes nothing, nor does one of a connection that is gone.
func (s *Store) TouchConnections(ctx context.Context, used map[string]time.Time) error {
	ids := make([]string, 0, len(used))
	for id := range used {
		ids = append(ids, id)
	}
	for batch := range slices.Chunk(ids, touchBatch) {
		err := s.writeAll(ctx, s.relaxed, "note last uses", func(t tx) error {
			for _, id := range batch {
				if _, err := t.exec(touchConnection, millis(used[id]), id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
