-- What keeps tokens alive for years: the state of each refresh and of each connector's
-- provider, the epoch, who read what, and what has to be told to the apps.

-- +goose Up

-- fingerprint is of the refresh token that is stored; the intent's is of the one that is
-- about to be sent. due_at is when the refresh in the background comes, 0 for never.
ALTER TABLE connections ADD COLUMN fingerprint TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN retry_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN suspect_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN recoveries BIGINT NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN restored BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX connections_due ON connections (app, connector, due_at) WHERE due_at > 0;
CREATE INDEX connections_retry ON connections (app) WHERE retry_at > 0;
CREATE INDEX connections_lease ON connections (lease_owner) WHERE lease_owner <> '';

-- How a connector's provider is doing, as all instances see it.
CREATE TABLE connector_health (
    app          TEXT COLLATE "C" NOT NULL,
    connector    TEXT COLLATE "C" NOT NULL,
    version      BIGINT NOT NULL,
    closed_until BIGINT NOT NULL,
    cause        TEXT COLLATE "C" NOT NULL,
    window_at    BIGINT NOT NULL,
    fine         BIGINT NOT NULL,
    dead         BIGINT NOT NULL,
    braked_at    BIGINT NOT NULL,
    PRIMARY KEY (app, connector),
    FOREIGN KEY (app, connector) REFERENCES connectors (app, id) ON DELETE CASCADE
);

-- Counted up while tokens are written, and noted outside of the database too.
ALTER TABLE instance ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;

-- Which database this and its copies are.
ALTER TABLE instance ADD COLUMN id TEXT COLLATE "C" NOT NULL DEFAULT '';

-- What happened to whose tokens, and who did it. It outlives apps and users.
CREATE TABLE audit (
    seq        BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         BIGINT NOT NULL,
    last_at    BIGINT NOT NULL,
    times      BIGINT NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    result     TEXT COLLATE "C" NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL,
    app        TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    connector  TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    flow       TEXT COLLATE "C" NOT NULL,
    trace      TEXT COLLATE "C" NOT NULL,
    data       TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_app ON audit (app, user_id, at);

-- What is sent to the apps' webhooks, and how that went.
CREATE TABLE deliveries (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    app        TEXT COLLATE "C" NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    url        TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    body       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    state      TEXT COLLATE "C" NOT NULL,
    answer     TEXT COLLATE "C" NOT NULL,
    ended_at   BIGINT NOT NULL
);
CREATE INDEX deliveries_next ON deliveries (next_at) WHERE state = 'waiting';
CREATE INDEX deliveries_app ON deliveries (app, created_at);
CREATE INDEX deliveries_ended ON deliveries (ended_at);
CREATE INDEX flows_open ON flows (app, user_id, created_at) WHERE finished_at = 0;
ALTER TABLE events ADD COLUMN actor TEXT COLLATE "C" NOT NULL DEFAULT '';
