-- By which a fence is known to be this installation's, and to have been there.
CREATE TABLE installation (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id TEXT NOT NULL,
    fenced INTEGER NOT NULL CHECK (fenced IN (0, 1))
) STRICT;

INSERT INTO installation (only, id, fenced) VALUES (1, lower(hex(randomblob(16))), 0);
