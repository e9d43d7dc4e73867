-- The frame's one origin; sessions that were made by signing in, and when they were
-- last used.

-- +goose Up

ALTER TABLE connect_sessions ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE browser_sessions ADD COLUMN login INTEGER NOT NULL DEFAULT 0;
ALTER TABLE browser_sessions ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX flows_session ON flows (app, session);
CREATE INDEX events_after ON events (app, user_id, seq);
CREATE INDEX events_started ON events (at) WHERE kind = 'flow.started';
