-- By which a fence would be known to be this installation's.
CREATE TABLE installation (
    one SMALLINT PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL,
    fenced SMALLINT NOT NULL CHECK (fenced IN (0, 1))
);

INSERT INTO installation (one, id, fenced)
VALUES (1, replace(CAST(gen_random_uuid() AS TEXT), '-', ''), 0);
