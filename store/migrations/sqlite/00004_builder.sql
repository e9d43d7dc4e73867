-- Builders who signed in to the builder's page with one of the app's keys. They share the
-- browser's secret with its end users' sessions and are otherwise apart from them.

-- +goose Up

CREATE TABLE builder_sessions (
    hash       BLOB NOT NULL,
    app        TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    key_name   TEXT NOT NULL,
    key_hash   BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (hash, app)
) STRICT;
CREATE INDEX builder_sessions_expiry ON builder_sessions (expires_at);
