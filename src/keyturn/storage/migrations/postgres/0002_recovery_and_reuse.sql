-- What was replaced together. Where only the rotation secret was, there is no key.
CREATE TABLE retired (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL,
    key_mac BYTEA UNIQUE,
    key_server_key TEXT COLLATE "C" REFERENCES server_keys (id),
    secret_mac BYTEA UNIQUE,
    secret_server_key TEXT COLLATE "C" REFERENCES server_keys (id),
    -- Of the rotation that retired them; NULL where it had none.
    idempotency_mac BYTEA,
    idempotency_server_key TEXT COLLATE "C" REFERENCES server_keys (id),
    retired_at BIGINT NOT NULL,
    by_agent SMALLINT NOT NULL CHECK (by_agent IN (0, 1))
);

CREATE INDEX retired_by_agent ON retired (agent_id, idempotency_mac);

-- The sealed answer to an agent's last rotation, or to its registration.
CREATE TABLE receipts (
    agent_id TEXT COLLATE "C" PRIMARY KEY REFERENCES agents (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL,
    lookup BYTEA NOT NULL UNIQUE,
    server_key TEXT COLLATE "C" NOT NULL REFERENCES server_keys (id),
    salt BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX receipts_by_expiry ON receipts (expires_at);
