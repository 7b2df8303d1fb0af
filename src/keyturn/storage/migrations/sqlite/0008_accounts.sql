ALTER TABLE developers ADD COLUMN password TEXT;

-- A session ('ss') and an invitation ('iv') are tokens too. SQLite can't change a CHECK.
CREATE TABLE new_tokens (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('dt', 'sv', 'en', 'ss', 'iv')),
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

INSERT INTO new_tokens SELECT * FROM tokens;
DELETE FROM sqlite_sequence WHERE name = 'new_tokens';
INSERT INTO sqlite_sequence (name, seq)
SELECT 'new_tokens', seq FROM sqlite_sequence WHERE name = 'tokens';
DROP TABLE tokens;
ALTER TABLE new_tokens RENAME TO tokens;
CREATE INDEX tokens_by_developer ON tokens (developer_id, kind, seq);

CREATE TABLE sessions (
    token_id TEXT PRIMARY KEY REFERENCES tokens (id) ON DELETE CASCADE,
    address TEXT,
    user_agent TEXT,
    -- When the password was last given.
    authenticated_at INTEGER NOT NULL
) STRICT;

-- From which the setup code is made, with a server key.
ALTER TABLE installation ADD COLUMN setup_nonce TEXT;
ALTER TABLE installation ADD COLUMN setup_expires_at INTEGER;
