-- What was replaced together. Where only the rotation secret was, there is no key.
CREATE TABLE retired (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    key_mac BLOB UNIQUE,
    key_server_key TEXT REFERENCES server_keys (id),
    secret_mac BLOB UNIQUE,
    secret_server_key TEXT REFERENCES server_keys (id),
    -- Of the rotation that retired them; NULL where it had none.
    idempotency_mac BLOB,
    idempotency_server_key TEXT REFERENCES server_keys (id),
    retired_at INTEGER NOT NULL,
    by_agent INTEGER NOT NULL CHECK (by_agent IN (0, 1))
) STRICT;

CREATE INDEX retired_by_agent ON retired (agent_id, idempotency_mac);

-- The sealed answer to an agent's last rotation, or to its registration.
CREATE TABLE receipts (
    agent_id TEXT PRIMARY KEY REFERENCES agents (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    lookup BLOB NOT NULL UNIQUE,
    server_key TEXT NOT NULL REFERENCES server_keys (id),
    salt BLOB NOT NULL,
    sealed BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX receipts_by_expiry ON receipts (expires_at);
