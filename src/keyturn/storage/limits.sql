-- Every statement on the limits. Values are :named. For PostgreSQL see `queries.sql`.

-- name: counted_attempts
SELECT count(*), min(at) FROM (
    SELECT at FROM attempts WHERE bucket = :bucket AND at > :after AND at <= :now
    ORDER BY at DESC LIMIT :quota
) AS counted

-- name: add_attempt
INSERT INTO attempts (bucket, at, expires_at) VALUES (:bucket, :now, :expires_at)

-- name: forget_newest_attempt
DELETE FROM attempts WHERE rowid = (
    SELECT rowid FROM attempts WHERE bucket = :bucket AND at <= :now ORDER BY at DESC LIMIT 1
)

-- name: forget_attempts
DELETE FROM attempts WHERE rowid IN (
    SELECT rowid FROM attempts WHERE expires_at <= :now LIMIT :limit
)

-- name: refusals_wait
SELECT EXISTS (SELECT 1 FROM refusals) OR EXISTS (SELECT 1 FROM outbox)
    OR EXISTS (SELECT 1 FROM tallies WHERE opened_at <= :opened_by OR opened_at > :now)

-- name: add_refusal
INSERT INTO refusals (action, reason, bucket, entry, times)
VALUES (:action, :reason, :bucket, :entry, :times)

-- name: refusals
SELECT seq, reason, bucket, entry, times FROM refusals ORDER BY seq LIMIT :limit

-- name: forget_refusals
DELETE FROM refusals WHERE seq IN (SELECT value FROM json_each(:seqs))

-- name: concerned_tallies
SELECT action, reason, bucket, opened_at, count FROM tallies
WHERE bucket = '*' OR opened_at <= :opened_by OR opened_at > :now
    OR (action, reason, bucket) IN (SELECT action, reason, bucket FROM refusals)

-- name: put_tally
INSERT INTO tallies (action, reason, bucket, opened_at, count)
VALUES (:action, :reason, :bucket, :opened_at, :count)
ON CONFLICT (action, reason, bucket) DO UPDATE SET opened_at = excluded.opened_at, count = excluded.count

-- name: delete_tally
DELETE FROM tallies WHERE action = :action AND reason = :reason AND bucket = :bucket

-- name: add_to_outbox
INSERT INTO outbox (id, entry) VALUES (:id, :entry) ON CONFLICT (id) DO NOTHING

-- name: outbox
SELECT seq, entry FROM outbox ORDER BY seq LIMIT :limit

-- name: delete_from_outbox
DELETE FROM outbox WHERE seq = :seq

-- name: answers
SELECT count(*) FROM tallies WHERE bucket = '*'
