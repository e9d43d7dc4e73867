-- What builders asked to connect for a whole app: the link that was given out, and the
-- scopes. The scopes of a link stand with its session too, for the flow that it begins.

-- +goose Up

ALTER TABLE connect_sessions ADD COLUMN scopes TEXT NOT NULL DEFAULT 'null';

CREATE TABLE shared_requests (
    id         TEXT NOT NULL PRIMARY KEY,
    app        TEXT NOT NULL,
    connector  TEXT NOT NULL,
    session    TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    connected  INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    FOREIGN KEY (app, connector) REFERENCES connectors (app, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX shared_requests_connector ON shared_requests (app, connector, created_at);
CREATE INDEX shared_requests_session ON shared_requests (app, session);
