-- Times are Unix milliseconds, 0 for none. Lists and maps are JSON, null for none.
-- Text compares byte for byte (BINARY is SQLite's default collation): user ids that
-- look alike stay apart.

-- +goose Up

-- "PBAY": tells a database of this program from any other SQLite file.
PRAGMA application_id = 1346519385;

-- The one row has the revision of the apps; written_at is what a probe writes.
CREATE TABLE instance (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    revision   INTEGER NOT NULL,
    written_at INTEGER NOT NULL
) STRICT;
INSERT INTO instance (one, revision, written_at) VALUES (1, 0, 0);

-- What each key of the ring sealed once, to find out at a start whether it is the same.
CREATE TABLE vault_keys (
    id          TEXT NOT NULL PRIMARY KEY,
    check_value BLOB NOT NULL
) STRICT;

CREATE TABLE apps (
    id       TEXT NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL,
    document TEXT NOT NULL,
    sealed   BLOB,
    key_id   TEXT NOT NULL
) STRICT;

CREATE TABLE connectors (
    app      TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    id       TEXT NOT NULL,
    position INTEGER NOT NULL,
    type     TEXT NOT NULL,
    mode     TEXT NOT NULL,
    document TEXT NOT NULL,
    sealed   BLOB,
    key_id   TEXT NOT NULL,
    PRIMARY KEY (app, id)
) STRICT;
CREATE UNIQUE INDEX connectors_shared ON connectors (app, type) WHERE mode = 'shared';

CREATE TABLE connect_sessions (
    id         TEXT NOT NULL PRIMARY KEY,
    app        TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    mode       TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    user_name  TEXT NOT NULL,
    user_email TEXT NOT NULL,
    connectors TEXT NOT NULL,
    return_url TEXT NOT NULL,
    lang       TEXT NOT NULL,
    parent     TEXT NOT NULL,
    url_hash   BLOB NOT NULL UNIQUE,
    token_hash BLOB UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX connect_sessions_user ON connect_sessions (app, user_id);
CREATE INDEX connect_sessions_parent ON connect_sessions (app, parent);
CREATE INDEX connect_sessions_expiry ON connect_sessions (expires_at);

CREATE TABLE browser_sessions (
    hash       BLOB NOT NULL,
    app        TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user_id    TEXT NOT NULL,
    user_name  TEXT NOT NULL,
    user_email TEXT NOT NULL,
    connectors TEXT NOT NULL,
    session    TEXT NOT NULL,
    return_url TEXT NOT NULL,
    lang       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (hash, app)
) STRICT;
CREATE INDEX browser_sessions_user ON browser_sessions (app, user_id);
CREATE INDEX browser_sessions_session ON browser_sessions (session);
CREATE INDEX browser_sessions_expiry ON browser_sessions (expires_at);

CREATE TABLE flows (
    id             TEXT NOT NULL PRIMARY KEY,
    app            TEXT NOT NULL,
    connector      TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    version        INTEGER NOT NULL,
    mode           TEXT NOT NULL,
    user_name      TEXT NOT NULL,
    user_email     TEXT NOT NULL,
    status         TEXT NOT NULL,
    code           TEXT NOT NULL,
    state_hash     BLOB NOT NULL UNIQUE,
    cookie_hash    BLOB NOT NULL,
    sealed         BLOB,
    need           TEXT NOT NULL,
    proofs         TEXT NOT NULL,
    scopes         TEXT NOT NULL,
    params         TEXT NOT NULL,
    return_url     TEXT NOT NULL,
    lang           TEXT NOT NULL,
    session        TEXT NOT NULL,
    reconnect      INTEGER NOT NULL,
    result_hash    BLOB,
    result_expires INTEGER NOT NULL,
    connection     TEXT NOT NULL,
    detail         TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    moved_at       INTEGER NOT NULL,
    finished_at    INTEGER NOT NULL,
    FOREIGN KEY (app, connector) REFERENCES connectors (app, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX flows_connector ON flows (app, connector, user_id);
CREATE INDEX flows_user ON flows (app, user_id, status);
CREATE INDEX flows_moved ON flows (status, moved_at);
CREATE INDEX flows_finished ON flows (finished_at);

-- Start tickets are authenticated, not stored; only what was used is written down.
CREATE TABLE used_tickets (
    nonce      BLOB NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX used_tickets_expiry ON used_tickets (expires_at);

CREATE TABLE parked (
    id_hash    BLOB NOT NULL PRIMARY KEY,
    sealed     BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX parked_expiry ON parked (expires_at);

-- The lease and the intent are the refresh's: who is at it and until when, and the
-- fingerprint of the refresh token that is about to be sent.
CREATE TABLE connections (
    id                 TEXT NOT NULL PRIMARY KEY,
    app                TEXT NOT NULL,
    connector          TEXT NOT NULL,
    owner              TEXT NOT NULL,
    generation         INTEGER NOT NULL,
    type               TEXT NOT NULL,
    status             TEXT NOT NULL,
    reason             TEXT NOT NULL,
    account_id         TEXT NOT NULL,
    account_name       TEXT NOT NULL,
    account_email      TEXT NOT NULL,
    asked              TEXT NOT NULL,
    scopes             TEXT NOT NULL,
    missing            TEXT NOT NULL,
    config             TEXT NOT NULL,
    params             TEXT NOT NULL,
    proofs             TEXT NOT NULL,
    assurance          TEXT NOT NULL,
    sealed             BLOB,
    key_id             TEXT NOT NULL,
    token_type         TEXT NOT NULL,
    obtained_at        INTEGER NOT NULL,
    expires_at         INTEGER NOT NULL,
    connected_at       INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    last_used_at       INTEGER NOT NULL,
    lease_owner        TEXT NOT NULL DEFAULT '',
    lease_until        INTEGER NOT NULL DEFAULT 0,
    intent_fingerprint TEXT NOT NULL DEFAULT '',
    intent_at          INTEGER NOT NULL DEFAULT 0,
    FOREIGN KEY (app, connector) REFERENCES connectors (app, id) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX connections_owner ON connections (app, connector, owner);
CREATE INDEX connections_user ON connections (app, owner);
CREATE INDEX connections_account ON connections (account_id);
CREATE INDEX connections_key ON connections (key_id);

-- The history that end users see. It outlives connectors and connections, not the app.
CREATE TABLE events (
    seq        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    at         INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    app        TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user_id    TEXT NOT NULL,
    connector  TEXT NOT NULL,
    flow       TEXT NOT NULL,
    connection TEXT NOT NULL,
    trace      TEXT NOT NULL,
    data       TEXT NOT NULL
) STRICT;
CREATE INDEX events_user ON events (app, user_id, at, seq);
