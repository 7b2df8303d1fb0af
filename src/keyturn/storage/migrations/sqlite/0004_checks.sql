ALTER TABLE agents ADD COLUMN last_used_address TEXT;

-- Costs taken under an idempotency key, so that a repeat takes nothing. They end by themselves.
CREATE TABLE charges (
    mac BLOB PRIMARY KEY,
    agent_id TEXT NOT NULL,
    cost INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX charges_by_expiry ON charges (expires_at);
