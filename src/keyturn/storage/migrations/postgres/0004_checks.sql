ALTER TABLE agents ADD COLUMN last_used_address TEXT;

-- Costs taken under an idempotency key, so that a repeat takes nothing. They end by themselves.
CREATE TABLE charges (
    mac BYTEA PRIMARY KEY,
    agent_id TEXT NOT NULL,
    cost BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX charges_by_expiry ON charges (expires_at);
