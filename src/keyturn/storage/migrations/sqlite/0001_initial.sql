CREATE TABLE server_keys (
    id TEXT PRIMARY KEY,
    verifier BLOB NOT NULL,
    abandoned INTEGER NOT NULL DEFAULT 0 CHECK (abandoned IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE developers (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    email TEXT UNIQUE,
    operator INTEGER NOT NULL CHECK (operator IN (0, 1)),
    status TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
    created_at INTEGER NOT NULL
) STRICT;

INSERT INTO developers (id, email, operator, status, created_at)
VALUES ('00000000-0000-4000-8000-000000000001', NULL, 0, 'active', unixepoch() * 1000);

CREATE TABLE agents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    developer_id TEXT NOT NULL REFERENCES developers (id),
    name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'quarantined', 'revoked')),
    generation INTEGER NOT NULL CHECK (generation >= 1),
    key_mac BLOB NOT NULL UNIQUE,
    key_server_key TEXT NOT NULL REFERENCES server_keys (id),
    key_last4 TEXT NOT NULL,
    secret_mac BLOB,
    secret_server_key TEXT REFERENCES server_keys (id),
    key_created_at INTEGER NOT NULL,
    rotation_period_days INTEGER NOT NULL,
    on_reuse TEXT NOT NULL CHECK (on_reuse IN ('alert', 'quarantine', 'revoke')),
    metadata TEXT NOT NULL,
    credit_balance INTEGER NOT NULL CHECK (credit_balance >= 0),
    self_registered INTEGER NOT NULL CHECK (self_registered IN (0, 1)),
    created_at INTEGER NOT NULL,
    last_used_at INTEGER,
    CHECK ((secret_mac IS NULL) = (secret_server_key IS NULL))
) STRICT;

CREATE INDEX agents_by_developer ON agents (developer_id, seq);
CREATE INDEX agents_never_used ON agents (created_at)
    WHERE self_registered = 1 AND last_used_at IS NULL;

CREATE TABLE tokens (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('dt', 'sv', 'en')),
    -- NULL: made on the command line, for the whole installation.
    developer_id TEXT REFERENCES developers (id),
    name TEXT NOT NULL,
    mac BLOB NOT NULL UNIQUE,
    server_key TEXT NOT NULL REFERENCES server_keys (id),
    last4 TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER,
    expires_at INTEGER,
    max_uses INTEGER,
    uses INTEGER NOT NULL DEFAULT 0,
    CHECK (max_uses IS NULL OR uses <= max_uses)
) STRICT;

CREATE INDEX tokens_by_developer ON tokens (developer_id, kind, seq);

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('success', 'refused')),
    agent_id TEXT,
    developer_id TEXT,
    address TEXT,
    user_agent TEXT,
    request_id TEXT,
    details TEXT NOT NULL
) STRICT;

CREATE INDEX audit_by_agent ON audit (agent_id, seq);
CREATE INDEX audit_by_developer ON audit (developer_id, seq);
CREATE INDEX audit_by_time ON audit (at);

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit entries are never changed');
END;
