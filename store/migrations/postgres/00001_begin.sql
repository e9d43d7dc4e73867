-- What the migrations of SQLite make together, in PostgreSQL's words. Text has the collation
-- C: it compares byte for byte, whatever the database was made with.

-- +goose Up



-- The one row has the revision of the apps; written_at is what a probe writes.
CREATE TABLE instance (
    one        BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    revision   BIGINT NOT NULL,
    written_at BIGINT NOT NULL
);
INSERT INTO instance (one, revision, written_at) VALUES (1, 0, 0);

-- What each key of the ring sealed once, to find out at a start whether it is the same.
CREATE TABLE vault_keys (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    check_value BYTEA NOT NULL
);

CREATE TABLE apps (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL,
    document TEXT COLLATE "C" NOT NULL,
    sealed   BYTEA,
    key_id   TEXT COLLATE "C" NOT NULL
);

CREATE TABLE connectors (
    app      TEXT COLLATE "C" NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    id       TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    type     TEXT COLLATE "C" NOT NULL,
    mode     TEXT COLLATE "C" NOT NULL,
    document TEXT COLLATE "C" NOT NULL,
    sealed   BYTEA,
    key_id   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (app, id)
);
CREATE UNIQUE INDEX connectors_shared ON connectors (app, type) WHERE mode = 'shared';

CREATE TABLE connect_sessions (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    app        TEXT COLLATE "C" NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    mode       TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    user_name  TEXT COLLATE "C" NOT NULL,
    user_email TEXT COLLATE "C" NOT NULL,
    connectors TEXT COLLATE "C" NOT NULL,
    return_url TEXT COLLATE "C" NOT NULL,
    lang       TEXT COLLATE "C" NOT NULL,
    parent     TEXT COLLATE "C" NOT NULL,
    url_hash   BYTEA NOT NULL UNIQUE,
    token_hash BYTEA UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL
);
CREATE INDEX connect_sessions_user ON connect_sessions (app, user_id);
CREATE INDEX connect_sessions_parent ON connect_sessions (app, parent);
CREATE INDEX connect_sessions_expiry ON connect_sessions (expires_at);

CREATE TABLE browser_sessions (
    hash       BYTEA NOT NULL,
    app        TEXT COLLATE "C" NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user_id    TEXT COLLATE "C" NOT NULL,
    user_name  TEXT COLLATE "C" NOT NULL,
    user_email TEXT COLLATE "C" NOT NULL,
    connectors TEXT COLLATE "C" NOT NULL,
    session    TEXT COLLATE "C" NOT NULL,
    return_url TEXT COLLATE "C" NOT NULL,
    lang       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (hash, app)
);
CREATE INDEX browser_sessions_user ON browser_sessions (app, user_id);
CREATE INDEX browser_sessions_session ON browser_sessions (session);
CREATE INDEX browser_sessions_expiry ON browser_sessions (expires_at);

CREATE TABLE flows (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    app            TEXT COLLATE "C" NOT NULL,
    connector      TEXT COLLATE "C" NOT NULL,
    user_id        TEXT COLLATE "C" NOT NULL,
    version        BIGINT NOT NULL,
    mode           TEXT COLLATE "C" NOT NULL,
    user_name      TEXT COLLATE "C" NOT NULL,
    user_email     TEXT COLLATE "C" NOT NULL,
    status         TEXT COLLATE "C" NOT NULL,
    code           TEXT COLLATE "C" NOT NULL,
    state_hash     BYTEA NOT NULL UNIQUE,
    cookie_hash    BYTEA NOT NULL,
    sealed         BYTEA,
    need           TEXT COLLATE "C" NOT NULL,
    proofs         TEXT COLLATE "C" NOT NULL,
    scopes         TEXT COLLATE "C" NOT NULL,
    params         TEXT COLLATE "C" NOT NULL,
    return_url     TEXT COLLATE "C" NOT NULL,
    lang           TEXT COLLATE "C" NOT NULL,
    session        TEXT COLLATE "C" NOT NULL,
    reconnect      BOOLEAN NOT NULL,
    result_hash    BYTEA,
    result_expires BIGINT NOT NULL,
    connection     TEXT COLLATE "C" NOT NULL,
    detail         TEXT COLLATE "C" NOT NULL,
    created_at     BIGINT NOT NULL,
    moved_at       BIGINT NOT NULL,
    finished_at    BIGINT NOT NULL,
    FOREIGN KEY (app, connector) REFERENCES connectors (app, id) ON DELETE CASCADE
);
CREATE INDEX flows_connector ON flows (app, connector, user_id);
CREATE INDEX flows_user ON flows (app, user_id, status);
CREATE INDEX flows_moved ON flows (status, moved_at);
CREATE INDEX flows_finished ON flows (finished_at);

-- Start tickets are authenticated, not stored; only what was used is written down.
CREATE TABLE used_tickets (
    nonce      BYTEA NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_tickets_expiry ON used_tickets (expires_at);

CREATE TABLE parked (
    id_hash    BYTEA NOT NULL PRIMARY KEY,
    sealed     BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX parked_expiry ON parked (expires_at);

-- The lease and the intent are the refresh's: who is at it and until when, and the
-- fingerprint of the refresh token that is about to be sent.
CREATE TABLE connections (
    id                 TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    app                TEXT COLLATE "C" NOT NULL,
    connector          TEXT COLLATE "C" NOT NULL,
    owner              TEXT COLLATE "C" NOT NULL,
    generation         BIGINT NOT NULL,
    type               TEXT COLLATE "C" NOT NULL,
    status             TEXT COLLATE "C" NOT NULL,
    reason             TEXT COLLATE "C" NOT NULL,
    account_id         TEXT COLLATE "C" NOT NULL,
    account_name       TEXT COLLATE "C" NOT NULL,
    account_email      TEXT COLLATE "C" NOT NULL,
    asked              TEXT COLLATE "C" NOT NULL,
    scopes             TEXT COLLATE "C" NOT NULL,
    missing            TEXT COLLATE "C" NOT NULL,
    config             TEXT COLLATE "C" NOT NULL,
    params             TEXT COLLATE "C" NOT NULL,
    proofs             TEXT COLLATE "C" NOT NULL,
    assurance          TEXT COLLATE "C" NOT NULL,
    sealed             BYTEA,
    key_id             TEXT COLLATE "C" NOT NULL,
    token_type         TEXT COLLATE "C" NOT NULL,
    obtained_at        BIGINT NOT NULL,
    expires_at         BIGINT NOT NULL,
    connected_at       BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL,
    last_used_at       BIGINT NOT NULL,
    lease_owner        TEXT COLLATE "C" NOT NULL DEFAULT '',
    lease_until        BIGINT NOT NULL DEFAULT 0,
    intent_fingerprint TEXT COLLATE "C" NOT NULL DEFAULT '',
    intent_at          BIGINT NOT NULL DEFAULT 0,
    FOREIGN KEY (app, connector) REFERENCES connectors (app, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX connections_owner ON connections (app, connector, owner);
CREATE INDEX connections_user ON connections (app, owner);
CREATE INDEX connections_account ON connections (account_id);
CREATE INDEX connections_key ON connections (key_id);

-- The history that end users see. It outlives connectors and connections, not the app.
CREATE TABLE events (
    seq        BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         TEXT COLLATE "C" NOT NULL UNIQUE,
    at         BIGINT NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    app        TEXT COLLATE "C" NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user_id    TEXT COLLATE "C" NOT NULL,
    connector  TEXT COLLATE "C" NOT NULL,
    flow       TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    trace      TEXT COLLATE "C" NOT NULL,
    data       TEXT COLLATE "C" NOT NULL
);
CREATE INDEX events_user ON events (app, user_id, at, seq);



ALTER TABLE connect_sessions ADD COLUMN origin TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE browser_sessions ADD COLUMN login BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE browser_sessions ADD COLUMN seen_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX flows_session ON flows (app, session);
CREATE INDEX events_after ON events (app, user_id, seq);
CREATE INDEX events_started ON events (at) WHERE kind = 'flow.started';



ALTER TABLE connect_sessions ADD COLUMN scopes TEXT COLLATE "C" NOT NULL DEFAULT 'null';

CREATE TABLE shared_requests (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    app        TEXT COLLATE "C" NOT NULL,
    connector  TEXT COLLATE "C" NOT NULL,
    session    TEXT COLLATE "C" NOT NULL,
    scopes     TEXT COLLATE "C" NOT NULL,
    connected  BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    FOREIGN KEY (app, connector) REFERENCES connectors (app, id) ON DELETE CASCADE
);
CREATE INDEX shared_requests_connector ON shared_requests (app, connector, created_at);
CREATE INDEX shared_requests_session ON shared_requests (app, session);



CREATE TABLE builder_sessions (
    hash       BYTEA NOT NULL,
    app        TEXT COLLATE "C" NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    key_name   TEXT COLLATE "C" NOT NULL,
    key_hash   BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (hash, app)
);
CREATE INDEX builder_sessions_expiry ON builder_sessions (expires_at);
