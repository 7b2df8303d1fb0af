CREATE TABLE attempts (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX attempts_by_bucket ON attempts (bucket, at);
CREATE INDEX attempts_by_expiry ON attempts (expires_at);

CREATE TABLE refusals (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    -- NULL: names an agent or a developer, and is never only counted.
    bucket TEXT COLLATE "C",
    entry TEXT NOT NULL
);

CREATE TABLE tallies (
    action TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    bucket TEXT COLLATE "C" NOT NULL,
    opened_at BIGINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (action, reason, bucket)
);

CREATE INDEX tallies_by_time ON tallies (opened_at);

CREATE TABLE outbox (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    entry TEXT NOT NULL
);
