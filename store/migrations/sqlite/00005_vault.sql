-- What keeps tokens alive for years: the state of each refresh and of each connector's
-- provider, the epoch, who read what, and what has to be told to the apps.

-- +goose Up

-- fingerprint is of the refresh token that is stored; the intent's is of the one that is
-- about to be sent. due_at is when the refresh in the background comes, 0 for never.
ALTER TABLE connections ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN due_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN retry_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN suspect_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN recoveries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;
CREATE INDEX connections_due ON connections (app, connector, due_at) WHERE due_at > 0;
CREATE INDEX connections_retry ON connections (app) WHERE retry_at > 0;
CREATE INDEX connections_lease ON connections (lease_owner) WHERE lease_owner <> '';

-- How a connector's provider is doing, as all instances see it.
CREATE TABLE connector_health (
    app          TEXT NOT NULL,
    connector    TEXT NOT NULL,
    version      INTEGER NOT NULL,
    closed_until INTEGER NOT NULL,
    cause        TEXT NOT NULL,
    window_at    INTEGER NOT NULL,
    fine         INTEGER NOT NULL,
    dead         INTEGER NOT NULL,
    braked_at    INTEGER NOT NULL,
    PRIMARY KEY (app, connector),
    FOREIGN KEY (app, connector) REFERENCES connectors (app, id) ON DELETE CASCADE
) STRICT;

-- Counted up while tokens are written, and noted outside of the database too.
ALTER TABLE instance ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;

-- Which database this and its copies are.
ALTER TABLE instance ADD COLUMN id TEXT NOT NULL DEFAULT '';

-- What happened to whose tokens, and who did it. It outlives apps and users.
CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    times      INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    result     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    app        TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    connector  TEXT NOT NULL,
    connection TEXT NOT NULL,
    flow       TEXT NOT NULL,
    trace      TEXT NOT NULL,
    data       TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_app ON audit (app, user_id, at);

-- What is sent to the apps' webhooks, and how that went.
CREATE TABLE deliveries (
    id         TEXT NOT NULL PRIMARY KEY,
    app        TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    url        TEXT NOT NULL,
    kind       TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    body       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    state      TEXT NOT NULL,
    answer     TEXT NOT NULL,
    ended_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX deliveries_next ON deliveries (next_at) WHERE state = 'waiting';
CREATE INDEX deliveries_app ON deliveries (app, created_at);
CREATE INDEX deliveries_ended ON deliveries (ended_at);
CREATE INDEX flows_open ON flows (app, user_id, created_at) WHERE finished_at = 0;
ALTER TABLE events ADD COLUMN actor TEXT NOT NULL DEFAULT '';
