ALTER TABLE developers ADD COLUMN password TEXT;

-- A session ('ss') and an invitation ('iv') are tokens too.
ALTER TABLE tokens DROP CONSTRAINT tokens_kind_check;
ALTER TABLE tokens ADD CONSTRAINT tokens_kind_check
CHECK (kind IN ('dt', 'sv', 'en', 'ss', 'iv'));

CREATE TABLE sessions (
    token_id TEXT COLLATE "C" PRIMARY KEY REFERENCES tokens (id) ON DELETE CASCADE,
    address TEXT,
    user_agent TEXT,
    -- When the password was last given.
    authenticated_at BIGINT NOT NULL
);

-- From which the setup code is made, with a server key.
ALTER TABLE installation ADD COLUMN setup_nonce TEXT;
ALTER TABLE installation ADD COLUMN setup_expires_at BIGINT;
