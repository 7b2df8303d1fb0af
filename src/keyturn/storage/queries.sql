-- Every statement on the credentials. The columns of `SELECT *` are the fields of the record read.
-- PostgreSQL takes them too, but for those that `postgres.sql` has in its words.

-- name: server_keys
SELECT id, verifier, abandoned FROM server_keys ORDER BY created_at

-- name: add_server_key
INSERT INTO server_keys (id, verifier, created_at) VALUES (:id, :verifier, :now)
ON CONFLICT (id) DO NOTHING

-- name: abandon_server_key
UPDATE server_keys SET abandoned = 1 WHERE id = :id AND abandoned = 0

-- name: restore_server_key
UPDATE server_keys SET abandoned = 0 WHERE id = :id AND abandoned = 1

-- name: hold_server_key
-- Until the transaction ends nobody puts anything under it: here nobody can.
SELECT 1

-- name: forget_server_key
DELETE FROM server_keys WHERE id = :id

-- name: server_keys_of_verifier
SELECT
    (SELECT count(*) FROM server_keys WHERE abandoned = 0),
    (SELECT count(*) FROM server_keys WHERE abandoned = 0 AND verifier = :mac)

-- name: count_agents_under_server_key
SELECT count(*) FROM agents WHERE key_server_key = :id OR secret_server_key = :id

-- name: count_tokens_under_server_key
SELECT count(*) FROM tokens WHERE server_key = :id

-- name: count_retired_under_server_key
SELECT count(*) FROM retired
WHERE key_server_key = :id OR secret_server_key = :id OR idempotency_server_key = :id

-- name: count_receipts_under_server_key
SELECT count(*) FROM receipts WHERE server_key = :id

-- name: count_charges_under_server_key
SELECT count(*) FROM charges WHERE server_key = :id

-- name: installation
SELECT id, fenced FROM installation

-- name: set_fenced
UPDATE installation SET fenced = :fenced

-- name: stay
-- A change, so that nobody can begin to move meanwhile.
UPDATE installation SET move = NULL WHERE move IS NULL

-- name: moved_to
SELECT moved_to FROM installation

-- name: leave
UPDATE installation SET move = :move, moved_to = :moved_to

-- name: arrive
UPDATE installation SET move = NULL WHERE move = :move

-- name: agents_to_fence
SELECT id, generation, status FROM agents

-- name: tokens_to_fence
SELECT id, uses FROM tokens

-- name: disabled_developers
SELECT id FROM developers WHERE status = 'disabled'

-- name: active_developers
SELECT id FROM developers WHERE status = 'active'

-- name: overtake_agent
UPDATE agents SET
    generation = :generation, key_mac = :key_mac, key_server_key = :key_server_key,
    key_last4 = :key_last4, secret_mac = :secret_mac, secret_server_key = :secret_server_key,
    key_created_at = :now
WHERE id = :id

-- name: overtake_token
UPDATE tokens SET uses = min(coalesce(max_uses, :uses), :uses) WHERE id = :id

-- name: add_agent
INSERT INTO agents (
    id, developer_id, name, status, generation, key_mac, key_server_key, key_last4,
    secret_mac, secret_server_key, key_created_at, rotation_period_days, on_reuse, metadata,
    credit_balance, self_registered, created_at, last_used_at
) VALUES (
    :id, :developer_id, :name, 'active', 1, :key_mac, :key_server_key, :key_last4,
    :secret_mac, :secret_server_key, :now, :rotation_period_days, 'alert', '{}',
    :credit_balance, :self_registered, :now, NULL
)

-- name: agent_by_key
SELECT * FROM agents WHERE key_mac = :mac

-- name: agent_by_key_or_newest
SELECT * FROM agents
WHERE seq = coalesce((SELECT seq FROM agents WHERE key_mac = :mac), (SELECT max(seq) FROM agents))

-- name: agent_by_id
SELECT * FROM agents WHERE id = :id

-- name: agents_of_everybody
SELECT * FROM agents
WHERE seq < :before
    AND (:status IS NULL OR status = :status)
    AND (:name_pattern IS NULL OR name LIKE :name_pattern ESCAPE '\' OR id LIKE :id_pattern ESCAPE '\')
ORDER BY seq DESC LIMIT :limit

-- name: agents_of_developer
SELECT * FROM agents
WHERE developer_id = :developer_id AND seq < :before
    AND (:status IS NULL OR status = :status)
    AND (:name_pattern IS NULL OR name LIKE :name_pattern ESCAPE '\' OR id LIKE :id_pattern ESCAPE '\')
ORDER BY seq DESC LIMIT :limit

-- part: agent_fits
(
    (CAST(:developer_id AS TEXT) IS NULL OR developer_id = :developer_id)
    AND (CAST(:status AS TEXT) IS NULL OR status = :status)
    AND (CAST(:age AS TEXT) IS NULL OR status <> 'revoked' AND CASE CAST(:age AS TEXT)
        WHEN 'fresh' THEN key_created_at + 69120000 * rotation_period_days > :now
        WHEN 'due' THEN key_created_at + 69120000 * rotation_period_days <= :now
            AND key_created_at + 86400000 * rotation_period_days >= :now
        ELSE key_created_at + 86400000 * rotation_period_days < :now
    END)
    AND (
        CAST(:name_pattern AS TEXT) IS NULL
        OR lower(name) LIKE :name_pattern ESCAPE '\' OR id LIKE :id_pattern ESCAPE '\'
    )
)

-- part: due
key_created_at + 86400000 * rotation_period_days

-- part: used
coalesce(last_used_at, 0)

-- name: agents_newest_first
SELECT * FROM agents
WHERE seq < :after_seq
    AND {agent_fits}
ORDER BY seq DESC LIMIT :limit

-- name: agents_oldest_first
SELECT * FROM agents
WHERE seq > :after_seq
    AND {agent_fits}
ORDER BY seq LIMIT :limit

-- name: agents_by_name
SELECT * FROM agents
WHERE (name, seq) > (:after, :after_seq)
    AND {agent_fits}
ORDER BY name, seq LIMIT :limit

-- name: agents_by_name_backwards
SELECT * FROM agents
WHERE (name, seq) < (:after, :after_seq)
    AND {agent_fits}
ORDER BY name DESC, seq DESC LIMIT :limit

-- name: agents_by_due
-- Only numbers are sorted: of a whole row for each agent it would take four times as long.
SELECT * FROM agents
WHERE seq IN (
    SELECT seq FROM agents
    WHERE ({due}, seq) > (:after, :after_seq)
        AND {agent_fits}
    ORDER BY {due}, seq LIMIT :limit
)
ORDER BY {due}, seq

-- name: agents_by_due_backwards
-- Looked at backwards: each of many equal agents would else be put before the one of before.
SELECT * FROM agents
WHERE seq IN (
    SELECT seq FROM (
        SELECT seq, {due} AS number FROM agents
        WHERE ({due}, seq) < (:after, :after_seq)
            AND {agent_fits}
        ORDER BY seq DESC LIMIT 9223372036854775807
    ) AS found
    ORDER BY number DESC, seq DESC LIMIT :limit
)
ORDER BY {due} DESC, seq DESC

-- name: agents_by_used
SELECT * FROM agents
WHERE seq IN (
    SELECT seq FROM agents
    WHERE ({used}, seq) > (:after, :after_seq)
        AND {agent_fits}
    ORDER BY {used}, seq LIMIT :limit
)
ORDER BY {used}, seq

-- name: agents_by_used_backwards
SELECT * FROM agents
WHERE seq IN (
    SELECT seq FROM agents
    WHERE ({used}, seq) < (:after, :after_seq)
        AND {agent_fits}
    ORDER BY {used} DESC, seq DESC LIMIT :limit
)
ORDER BY {used} DESC, seq DESC

-- name: agents_by_credits
SELECT * FROM agents
WHERE seq IN (
    SELECT seq FROM agents
    WHERE (credit_balance, seq) > (:after, :after_seq)
        AND {agent_fits}
    ORDER BY credit_balance, seq LIMIT :limit
)
ORDER BY credit_balance, seq

-- name: agents_by_credits_backwards
SELECT * FROM agents
WHERE seq IN (
    SELECT seq FROM (
        SELECT seq, credit_balance AS number FROM agents
        WHERE (credit_balance, seq) < (:after, :after_seq)
            AND {agent_fits}
        ORDER BY seq DESC LIMIT 9223372036854775807
    ) AS found
    ORDER BY number DESC, seq DESC LIMIT :limit
)
ORDER BY credit_balance DESC, seq DESC

-- name: agents_overdue
SELECT * FROM agents
WHERE status <> 'revoked' AND key_created_at + 86400000 * rotation_period_days < :now
    AND (CAST(:developer_id AS TEXT) IS NULL OR developer_id = :developer_id)
ORDER BY key_created_at + 86400000 * rotation_period_days, seq LIMIT :limit

-- name: count_agents
SELECT count(*) FROM (
    SELECT 1 FROM agents
    WHERE {agent_fits}
    LIMIT :limit
) AS found

-- name: replace_credentials
UPDATE agents SET
    status = 'active', generation = generation + 1,
    key_mac = :key_mac, key_server_key = :key_server_key, key_last4 = :key_last4,
    secret_mac = :secret_mac, secret_server_key = :secret_server_key,
    key_created_at = :now, last_used_at = coalesce(:used_at, last_used_at),
    last_used_address = coalesce(:used_from, last_used_address)
WHERE id = :id AND generation = :generation AND status = :status

-- name: replace_rotation_secret
UPDATE agents SET
    generation = generation + 1, secret_mac = :secret_mac, secret_server_key = :secret_server_key
WHERE id = :id AND generation = :generation

-- name: retire_credentials
INSERT INTO retired (
    agent_id, generation, key_mac, key_server_key, secret_mac, secret_server_key,
    idempotency_mac, idempotency_server_key, retired_at, by_agent
) VALUES (
    :agent_id, :generation, :key_mac, :key_server_key, :secret_mac, :secret_server_key,
    :idempotency_mac, :idempotency_server_key, :now, :by_agent
)

-- name: retired_by_key_or_newest
SELECT retired.seq, retired.agent_id, retired.generation, retired.key_mac, retired.secret_mac,
    retired.idempotency_mac, retired.retired_at, retired.by_agent,
    agents.developer_id, agents.status, agents.generation, agents.on_reuse
FROM retired JOIN agents ON agents.id = retired.agent_id
WHERE retired.seq = coalesce(
    (SELECT seq FROM retired WHERE key_mac = :mac), (SELECT max(seq) FROM retired)
)

-- name: retired_by_secret_or_newest
SELECT retired.seq, retired.agent_id, retired.generation, retired.key_mac, retired.secret_mac,
    retired.idempotency_mac, retired.retired_at, retired.by_agent,
    agents.developer_id, agents.status, agents.generation, agents.on_reuse
FROM retired JOIN agents ON agents.id = retired.agent_id
WHERE retired.seq = coalesce(
    (SELECT seq FROM retired WHERE secret_mac = :mac), (SELECT max(seq) FROM retired)
)

-- name: idempotency_key_was_used
SELECT EXISTS (SELECT 1 FROM retired WHERE agent_id = :agent_id AND idempotency_mac = :mac)

-- name: developer_changed_since
SELECT EXISTS (
    SELECT 1 FROM retired
    WHERE agent_id = :agent_id AND generation >= :generation AND by_agent = 0
)

-- name: forget_retired_before
DELETE FROM retired WHERE seq IN (
    SELECT seq FROM (SELECT seq, retired_at FROM retired ORDER BY seq LIMIT :limit) AS oldest
    WHERE retired_at < :before
)

-- name: put_receipt
INSERT INTO receipts (agent_id, generation, lookup, server_key, salt, sealed, expires_at)
VALUES (:agent_id, :generation, :lookup, :server_key, :salt, :sealed, :expires_at)

-- name: receipt_or_newest
SELECT * FROM receipts
WHERE rowid = coalesce(
    (SELECT rowid FROM receipts WHERE lookup = :mac), (SELECT max(rowid) FROM receipts)
)

-- name: receipt_stands
SELECT EXISTS (SELECT 1 FROM receipts WHERE agent_id = :agent_id AND generation = :generation)

-- name: end_receipt
DELETE FROM receipts WHERE agent_id = :agent_id AND generation <= :generation

-- name: receipts_expire
SELECT EXISTS (SELECT 1 FROM receipts WHERE expires_at <= :now)

-- name: expire_receipts
DELETE FROM receipts WHERE rowid IN (
    SELECT rowid FROM receipts WHERE expires_at <= :now LIMIT :limit
)

-- name: update_agent
UPDATE agents SET
    name = :name, metadata = :metadata, on_reuse = :on_reuse,
    rotation_period_days = :rotation_period_days
WHERE id = :id

-- name: revoke_agent
UPDATE agents SET status = 'revoked' WHERE id = :id AND status <> 'revoked'

-- name: quarantine_agent
UPDATE agents SET status = 'quarantined' WHERE id = :id AND status = 'active'

-- name: set_credit_balance
UPDATE agents SET credit_balance = :credit_balance WHERE id = :id

-- name: take_credits
UPDATE agents SET credit_balance = credit_balance - :cost
WHERE id = :id AND generation = :generation AND status <> 'revoked' AND credit_balance >= :cost
RETURNING credit_balance

-- name: put_charge
INSERT INTO charges (mac, server_key, agent_id, cost, expires_at)
VALUES (:mac, :server_key, :agent_id, :cost, :expires_at)
ON CONFLICT (mac) DO UPDATE SET
    agent_id = excluded.agent_id, cost = excluded.cost, expires_at = excluded.expires_at

-- name: charge_by_mac
SELECT agent_id, cost FROM charges WHERE mac = :mac AND expires_at > :now

-- name: forget_charges
-- The time is asked twice: a charge may be renewed while its row is waited for.
DELETE FROM charges
WHERE mac IN (SELECT mac FROM charges WHERE expires_at <= :now LIMIT :limit) AND expires_at <= :now

-- name: delete_agent
DELETE FROM agents WHERE id = :id

-- name: agents_never_used
SELECT * FROM agents
WHERE self_registered = 1 AND last_used_at IS NULL AND created_at < :before
ORDER BY created_at LIMIT :limit

-- name: note_agent_used
UPDATE agents SET last_used_at = :at, last_used_address = :address
WHERE id = :id AND generation = :generation AND (last_used_at IS NULL OR last_used_at < :at)

-- name: note_agents_used
UPDATE agents SET last_used_at = used.value ->> 2, last_used_address = used.value ->> 3
FROM json_each(:uses) AS used
WHERE agents.id = used.value ->> 0 AND agents.generation = used.value ->> 1
    AND (agents.last_used_at IS NULL OR agents.last_used_at < used.value ->> 2)

-- name: end_receipts_used
DELETE FROM receipts WHERE rowid IN (
    SELECT receipts.rowid FROM json_each(:uses) AS used JOIN receipts
    ON receipts.agent_id = used.value ->> 0 AND receipts.generation <= used.value ->> 1
)

-- name: move_agent_key
UPDATE agents SET key_mac = :new_mac, key_server_key = :server_key WHERE key_mac = :old_mac

-- name: note_token_used
UPDATE tokens SET last_used_at = :at
WHERE id = :id AND (last_used_at IS NULL OR last_used_at < :at)

-- name: move_token
UPDATE tokens SET mac = :new_mac, server_key = :server_key WHERE mac = :old_mac

-- name: add_developer
INSERT INTO developers (id, email, operator, status, created_at)
VALUES (:id, :email, :operator, 'active', :now)
ON CONFLICT (email) DO NOTHING

-- name: developer_by_id
SELECT * FROM developers WHERE id = :id

-- name: developer_by_email
SELECT * FROM developers WHERE email = :email

-- name: set_password
UPDATE developers SET password = :password WHERE id = :id AND status = 'active'

-- name: developers
SELECT * FROM developers
WHERE seq < :before ORDER BY seq DESC LIMIT :limit

-- name: count_active_operators
SELECT count(*) FROM developers WHERE operator = 1 AND status = 'active'

-- name: disable_developer
UPDATE developers SET status = 'disabled' WHERE id = :id AND status = 'active'

-- name: add_token
INSERT INTO tokens (
    id, kind, developer_id, name, mac, server_key, last4, created_at, expires_at, max_uses,
    created_by
) VALUES (
    :id, :kind, :developer_id, :name, :mac, :server_key, :last4, :now, :expires_at, :max_uses,
    :created_by
)

-- name: token_by_mac
SELECT tokens.*, developers.operator, developers.status
FROM tokens LEFT JOIN developers ON developers.id = tokens.developer_id
WHERE tokens.mac = :mac

-- name: token_by_id
SELECT tokens.*, developers.operator, developers.status
FROM tokens LEFT JOIN developers ON developers.id = tokens.developer_id
WHERE tokens.id = :id

-- name: tokens
SELECT tokens.*, developers.operator, developers.status
FROM tokens LEFT JOIN developers ON developers.id = tokens.developer_id
WHERE tokens.kind = :kind AND tokens.seq < :before
    AND (CAST(:developer_id AS TEXT) IS NULL OR tokens.developer_id = :developer_id)
ORDER BY tokens.seq DESC LIMIT :limit

-- name: spend_token
UPDATE tokens SET uses = uses + 1, last_used_at = :now WHERE id = :id AND uses < max_uses AND expires_at > :now
    AND EXISTS (SELECT 1 FROM developers WHERE id = tokens.developer_id AND status = 'active')
RETURNING uses

-- name: hold_token
-- Until the transaction ends nobody takes it away, nor disables its developer: here nobody can.
SELECT 1

-- name: token_is_live
SELECT count(*) FROM tokens JOIN developers ON developers.id = tokens.developer_id
WHERE tokens.id = :id AND developers.status = 'active'

-- name: tokens_of_kind
SELECT id FROM tokens WHERE developer_id = :developer_id AND kind = :kind

-- name: live_tokens
SELECT kind, COUNT(*) AS live FROM tokens
WHERE developer_id = :developer_id AND (expires_at IS NULL OR expires_at > :now)
    AND (max_uses IS NULL OR uses < max_uses)
GROUP BY kind

-- name: tokens_made_for_others
SELECT id FROM tokens WHERE created_by = :developer_id AND developer_id <> :developer_id

-- name: open_invitations
SELECT tokens.*, developers.operator, developers.status
FROM tokens JOIN developers ON developers.id = tokens.developer_id
WHERE tokens.kind = 'iv' AND tokens.expires_at > :now AND developers.status = 'active'

-- name: expired_tokens
SELECT id FROM tokens WHERE kind IN ('ss', 'iv') AND expires_at <= :now LIMIT :limit

-- name: add_session
INSERT INTO sessions (token_id, address, user_agent, authenticated_at)
VALUES (:id, :address, :user_agent, :now)

-- name: session_by_mac
SELECT tokens.id, tokens.developer_id, developers.email, developers.operator, developers.status,
    tokens.server_key, tokens.created_at, tokens.last_used_at, tokens.expires_at,
    sessions.address, sessions.user_agent, sessions.authenticated_at
FROM tokens JOIN sessions ON sessions.token_id = tokens.id
JOIN developers ON developers.id = tokens.developer_id
WHERE tokens.mac = :mac

-- name: sessions_of_developer
SELECT tokens.id, tokens.developer_id, developers.email, developers.operator, developers.status,
    tokens.server_key, tokens.created_at, tokens.last_used_at, tokens.expires_at,
    sessions.address, sessions.user_agent, sessions.authenticated_at
FROM tokens JOIN sessions ON sessions.token_id = tokens.id
JOIN developers ON developers.id = tokens.developer_id
WHERE tokens.developer_id = :developer_id AND tokens.kind = 'ss'
ORDER BY tokens.seq DESC

-- name: note_authenticated
UPDATE sessions SET authenticated_at = :now WHERE token_id = :id

-- name: setup
SELECT setup_nonce, setup_expires_at FROM installation

-- name: put_setup
UPDATE installation SET setup_nonce = :nonce, setup_expires_at = :expires_at

-- name: delete_token
DELETE FROM tokens WHERE id = :id

-- name: delete_tokens
DELETE FROM tokens WHERE id IN (SELECT value FROM json_each(:ids))

-- name: add_audit_entry
INSERT INTO audit (
    id, at, actor_kind, actor_id, action, outcome, agent_id, developer_id, address, user_agent,
    request_id, details
) VALUES (
    :id, :at, :actor_kind, :actor_id, :action, :outcome, :agent_id, :developer_id, :address,
    :user_agent, :request_id, :details
) ON CONFLICT (id) DO NOTHING

-- name: audit_of_everybody
SELECT * FROM audit
WHERE at >= :since AND (at, seq) < (:before_at, :before_seq)
ORDER BY at DESC, seq DESC LIMIT :limit

-- name: audit_of_developer
SELECT * FROM audit
WHERE developer_id = :developer_id AND at >= :since AND (at, seq) < (:before_at, :before_seq)
ORDER BY at DESC, seq DESC LIMIT :limit

-- name: audit_of_action
SELECT * FROM audit
WHERE action = :action AND at >= :since AND (at, seq) < (:before_at, :before_seq)
ORDER BY at DESC, seq DESC LIMIT :limit

-- name: audit_of_developer_and_action
SELECT * FROM audit
WHERE developer_id = :developer_id AND action = :action
    AND at >= :since AND (at, seq) < (:before_at, :before_seq)
ORDER BY at DESC, seq DESC LIMIT :limit

-- name: audit_of_agent
SELECT * FROM audit
WHERE agent_id = :agent_id AND at >= :since AND (at, seq) < (:before_at, :before_seq)
    AND (CAST(:developer_id AS TEXT) IS NULL OR developer_id = :developer_id)
    AND (CAST(:action AS TEXT) IS NULL OR action = :action)
ORDER BY at DESC, seq DESC LIMIT :limit

-- name: rotations_of_everybody
SELECT count(*), (
    SELECT count(*) FROM audit
    WHERE action = 'credential.rotated' AND actor_kind = 'developer' AND at >= :since AND at < :until
)
FROM audit WHERE action = 'credential.rotated' AND at >= :since AND at < :until

-- name: rotations_of_developer
SELECT count(*), (
    SELECT count(*) FROM audit
    WHERE action = 'credential.rotated' AND actor_kind = 'developer'
        AND developer_id = :developer_id AND at >= :since AND at < :until
)
FROM audit
WHERE developer_id = :developer_id AND action = 'credential.rotated' AND at >= :since AND at < :until

-- name: refusals_by_reason
SELECT reason, sum(times), count(*) FROM (
    SELECT coalesce(details ->> 'reason', action) AS reason,
        coalesce(details ->> 'count', 1) AS times
    FROM audit
    WHERE outcome = 'refused' AND at >= :since
        AND (CAST(:developer_id AS TEXT) IS NULL OR developer_id = :developer_id)
    ORDER BY at DESC LIMIT :limit
) AS refused
GROUP BY reason ORDER BY sum(times) DESC, reason

-- name: agents_by_state
SELECT count(*),
    count(*) FILTER (WHERE status = 'revoked'),
    count(*) FILTER (WHERE status = 'quarantined'),
    count(*) FILTER (
        WHERE status = 'active' AND key_created_at + 86400000 * rotation_period_days < :now
    ),
    count(*) FILTER (
        WHERE status = 'active' AND key_created_at + 69120000 * rotation_period_days <= :now
    )
FROM agents WHERE CAST(:developer_id AS TEXT) IS NULL OR developer_id = :developer_id

-- name: audit_entry
SELECT * FROM audit
WHERE id = :id AND (CAST(:developer_id AS TEXT) IS NULL OR developer_id = :developer_id)

-- name: reuses_of_everybody
SELECT * FROM audit
WHERE action = 'credential.reused' AND details ->> 'severity' = :severity AND at >= :since
ORDER BY at DESC, seq DESC LIMIT :limit

-- name: reuses_of_developer
SELECT * FROM audit
WHERE developer_id = :developer_id
    AND action = 'credential.reused' AND details ->> 'severity' = :severity AND at >= :since
ORDER BY at DESC, seq DESC LIMIT :limit

-- name: names_of_agents
SELECT id, name FROM agents
WHERE id IN (SELECT value FROM json_each(:ids))
    AND (CAST(:developer_id AS TEXT) IS NULL OR developer_id = :developer_id)

-- name: bars_of_everybody
SELECT at / :width, count(*), min(at) FROM (
    SELECT at FROM audit WHERE at >= :since AND at < :until ORDER BY at DESC LIMIT :limit
) AS counted GROUP BY 1

-- name: bars_of_developer
SELECT at / :width, count(*), min(at) FROM (
    SELECT at FROM audit
    WHERE developer_id = :developer_id AND at >= :since AND at < :until
    ORDER BY at DESC LIMIT :limit
) AS counted GROUP BY 1

-- name: bars_of_action
SELECT at / :width, count(*), min(at) FROM (
    SELECT at FROM audit
    WHERE action = :action AND at >= :since AND at < :until
    ORDER BY at DESC LIMIT :limit
) AS counted GROUP BY 1

-- name: bars_of_developer_and_action
SELECT at / :width, count(*), min(at) FROM (
    SELECT at FROM audit
    WHERE developer_id = :developer_id AND action = :action AND at >= :since AND at < :until
    ORDER BY at DESC LIMIT :limit
) AS counted GROUP BY 1

-- name: bars_of_agent
SELECT at / :width, count(*), min(at) FROM (
    SELECT at FROM audit
    WHERE agent_id = :agent_id AND at >= :since AND at < :until
        AND (CAST(:developer_id AS TEXT) IS NULL OR developer_id = :developer_id)
        AND (CAST(:action AS TEXT) IS NULL OR action = :action)
    ORDER BY at DESC LIMIT :limit
) AS counted GROUP BY 1

-- name: forget_audit_before
DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE at < :before LIMIT :limit)

-- name: answers
SELECT count(*) FROM server_keys
