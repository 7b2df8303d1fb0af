-- The statements of queries.sql and limits.sql that PostgreSQL has to be told in its own words.

-- name: schema_version
SELECT version FROM keyturn_schema WHERE name = :name

-- name: hold_schema
SELECT version FROM keyturn_schema WHERE name = :name FOR UPDATE

-- name: hold_server_key
SELECT 1 FROM server_keys WHERE id = :id FOR UPDATE

-- name: hold_token
WITH held_developer AS (
    SELECT id FROM developers WHERE id = (SELECT developer_id FROM tokens WHERE id = :id) FOR SHARE
), held AS (SELECT id FROM tokens WHERE id = :id FOR KEY SHARE)
SELECT (SELECT count(*) FROM held_developer) + (SELECT count(*) FROM held)

-- name: agents_never_used
SELECT * FROM agents
WHERE self_registered = 1 AND last_used_at IS NULL AND created_at < :before
ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED

-- name: agents_of_everybody
SELECT * FROM agents
WHERE seq < :before
    AND (CAST(:status AS TEXT) IS NULL OR status = :status)
    AND (
        CAST(:name_pattern AS TEXT) IS NULL
        OR name ILIKE :name_pattern ESCAPE '\' OR id ILIKE :id_pattern ESCAPE '\'
    )
ORDER BY seq DESC LIMIT :limit

-- name: agents_of_developer
SELECT * FROM agents
WHERE developer_id = :developer_id AND seq < :before
    AND (CAST(:status AS TEXT) IS NULL OR status = :status)
    AND (
        CAST(:name_pattern AS TEXT) IS NULL
        OR name ILIKE :name_pattern ESCAPE '\' OR id ILIKE :id_pattern ESCAPE '\'
    )
ORDER BY seq DESC LIMIT :limit

-- name: overtake_token
UPDATE tokens SET uses = least(coalesce(max_uses, :uses), :uses) WHERE id = :id

-- name: receipt_or_newest
SELECT * FROM receipts
WHERE agent_id = coalesce(
    (SELECT agent_id FROM receipts WHERE lookup = :mac),
    (SELECT agent_id FROM receipts ORDER BY expires_at DESC LIMIT 1)
)

-- name: expire_receipts
DELETE FROM receipts WHERE agent_id IN (
    SELECT agent_id FROM receipts WHERE expires_at <= :now LIMIT :limit
) AND expires_at <= :now

-- name: note_agents_used
UPDATE agents SET last_used_at = used.at, last_used_address = used.address
FROM (
    SELECT
        CAST(use ->> 0 AS TEXT) AS id, CAST(use ->> 1 AS BIGINT) AS generation,
        CAST(use ->> 2 AS BIGINT) AS at, CAST(use ->> 3 AS TEXT) AS address
    FROM json_array_elements(CAST(:uses AS JSON)) AS uses (use)
) AS used
WHERE agents.id = used.id AND agents.generation = used.generation
    AND (agents.last_used_at IS NULL OR agents.last_used_at < used.at)

-- name: end_receipts_used
DELETE FROM receipts
USING json_array_elements(CAST(:uses AS JSON)) AS uses (use)
WHERE agent_id = use ->> 0 AND generation <= CAST(use ->> 1 AS BIGINT)

-- name: counted_attempts
-- The clocks of several machines differ: what another has counted must not seem to be to come.
SELECT count(*), min(at) FROM (
    SELECT at FROM attempts WHERE bucket = :bucket AND at > :after AND at <= :now + 1000
    ORDER BY at DESC LIMIT :quota
) AS counted

-- name: forget_newest_attempt
DELETE FROM attempts WHERE seq = (
    SELECT seq FROM attempts WHERE bucket = :bucket AND at <= :now + 1000
    ORDER BY at DESC LIMIT 1
)

-- name: forget_refusals
DELETE FROM refusals WHERE seq IN (
    SELECT CAST(seq AS BIGINT) FROM json_array_elements_text(CAST(:seqs AS JSON)) AS gone (seq)
)

-- name: forget_attempts
DELETE FROM attempts WHERE seq IN (
    SELECT seq FROM attempts WHERE expires_at <= :now LIMIT :limit
)

-- name: refusals_by_reason
SELECT reason, CAST(sum(times) AS BIGINT), count(*) FROM (
    SELECT coalesce(CAST(details AS JSON) ->> 'reason', action) AS reason,
        CAST(coalesce(CAST(details AS JSON) ->> 'count', '1') AS BIGINT) AS times
    FROM audit
    WHERE outcome = 'refused' AND at >= :since
        AND (CAST(:developer_id AS TEXT) IS NULL OR developer_id = :developer_id)
    ORDER BY at DESC LIMIT :limit
) AS refused
GROUP BY reason ORDER BY sum(times) DESC, reason

-- name: reuses_of_everybody
SELECT * FROM audit
WHERE action = 'credential.reused' AND CAST(details AS JSON) ->> 'severity' = :severity
    AND at >= :since
ORDER BY at DESC, seq DESC LIMIT :limit

-- name: reuses_of_developer
SELECT * FROM audit
WHERE developer_id = :developer_id AND action = 'credential.reused'
    AND CAST(details AS JSON) ->> 'severity' = :severity AND at >= :since
ORDER BY at DESC, seq DESC LIMIT :limit

-- name: delete_tokens
DELETE FROM tokens WHERE id IN (SELECT json_array_elements_text(CAST(:ids AS JSON)))

-- name: names_of_agents
SELECT id, name FROM agents
WHERE id IN (SELECT json_array_elements_text(CAST(:ids AS JSON)))
    AND (CAST(:developer_id AS TEXT) IS NULL OR developer_id = :developer_id)
