CREATE TABLE attempts (
    bucket TEXT NOT NULL,
    at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX attempts_by_bucket ON attempts (bucket, at);
CREATE INDEX attempts_by_expiry ON attempts (expires_at);

CREATE TABLE refusals (
    seq INTEGER PRIMARY KEY,
    action TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- NULL: names an agent or a developer, and is never only counted.
    bucket TEXT,
    entry TEXT NOT NULL
) STRICT;

CREATE TABLE tallies (
    action TEXT NOT NULL,
    reason TEXT NOT NULL,
    bucket TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (action, reason, bucket)
) STRICT, WITHOUT ROWID;

CREATE INDEX tallies_by_time ON tallies (opened_at);

CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    entry TEXT NOT NULL
) STRICT;
