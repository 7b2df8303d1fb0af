-- Text that is looked up has the collation "C": no change of the system's locales can spoil an
-- index of it. Truth is a number, as on SQLite, so that both take the same statements.
CREATE TABLE server_keys (
    id TEXT COLLATE "C" PRIMARY KEY,
    verifier BYTEA NOT NULL,
    abandoned SMALLINT NOT NULL DEFAULT 0 CHECK (abandoned IN (0, 1)),
    created_at BIGINT NOT NULL
);

CREATE TABLE developers (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    email TEXT COLLATE "C" UNIQUE,
    operator SMALLINT NOT NULL CHECK (operator IN (0, 1)),
    status TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
    created_at BIGINT NOT NULL
);

INSERT INTO developers (id, email, operator, status, created_at)
VALUES (
    '00000000-0000-4000-8000-000000000001', NULL, 0, 'active',
    CAST(extract(epoch FROM now()) AS BIGINT) * 1000
);

CREATE TABLE agents (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    developer_id TEXT COLLATE "C" NOT NULL REFERENCES developers (id),
    name TEXT COLLATE "C" NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'quarantined', 'revoked')),
    generation BIGINT NOT NULL CHECK (generation >= 1),
    key_mac BYTEA NOT NULL UNIQUE,
    key_server_key TEXT COLLATE "C" NOT NULL REFERENCES server_keys (id),
    key_last4 TEXT NOT NULL,
    secret_mac BYTEA,
    secret_server_key TEXT COLLATE "C" REFERENCES server_keys (id),
    key_created_at BIGINT NOT NULL,
    rotation_period_days BIGINT NOT NULL,
    on_reuse TEXT NOT NULL CHECK (on_reuse IN ('alert', 'quarantine', 'revoke')),
    metadata TEXT NOT NULL,
    credit_balance BIGINT NOT NULL CHECK (credit_balance >= 0),
    self_registered SMALLINT NOT NULL CHECK (self_registered IN (0, 1)),
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    CHECK ((secret_mac IS NULL) = (secret_server_key IS NULL))
);

CREATE INDEX agents_by_developer ON agents (developer_id, seq);
CREATE INDEX agents_never_used ON agents (created_at)
    WHERE self_registered = 1 AND last_used_at IS NULL;

CREATE TABLE tokens (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('dt', 'sv', 'en')),
    -- NULL: made on the command line, for the whole installation.
    developer_id TEXT COLLATE "C" REFERENCES developers (id),
    name TEXT NOT NULL,
    mac BYTEA NOT NULL UNIQUE,
    server_key TEXT COLLATE "C" NOT NULL REFERENCES server_keys (id),
    last4 TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    expires_at BIGINT,
    max_uses BIGINT,
    uses BIGINT NOT NULL DEFAULT 0,
    CHECK (max_uses IS NULL OR uses <= max_uses)
);

CREATE INDEX tokens_by_developer ON tokens (developer_id, kind, seq);

CREATE TABLE audit (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('success', 'refused')),
    agent_id TEXT COLLATE "C",
    developer_id TEXT COLLATE "C",
    address TEXT,
    user_agent TEXT,
    request_id TEXT,
    details TEXT NOT NULL
);

CREATE INDEX audit_by_agent ON audit (agent_id, seq);
CREATE INDEX audit_by_developer ON audit (developer_id, seq);
CREATE INDEX audit_by_time ON audit (at, seq);

CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit entries are never changed';
END
$$;

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit();
