-- The statements of a rotation with an idempotency key, for pgbench: the attempt in a transaction of
-- its own, the agent's record, then the swap with all that belongs to it. Every client has 16 agents of its own, as over
-- HTTP, after the `checked` ones.
\set agent :checked + 1 + :client_id * 16 + random(0, 15)
\set place random(1, 9000000000000000000)
BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE;
SELECT count(*), min(at) FROM (SELECT at FROM attempts WHERE bucket = 'rotation ' || CAST(:place AS TEXT) AND at > 0 AND at <= CAST(extract(epoch FROM now()) * 1000 AS BIGINT) ORDER BY at DESC LIMIT 3) AS counted;
INSERT INTO attempts (bucket, at, expires_at) VALUES ('rotation ' || CAST(:place AS TEXT), CAST(extract(epoch FROM now()) * 1000 AS BIGINT), CAST(extract(epoch FROM now()) * 1000 AS BIGINT) + 10000);
INSERT INTO attempts (bucket, at, expires_at) VALUES ('twin ' || encode(sha256(int8send(CAST(:place AS BIGINT))), 'hex'), CAST(extract(epoch FROM now()) * 1000 AS BIGINT), CAST(extract(epoch FROM now()) * 1000 AS BIGINT) + 1000);
COMMIT;
SELECT id, developer_id, generation, key_mac, secret_mac, key_server_key FROM agents WHERE seq = :agent \gset
BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE;
UPDATE agents SET generation = generation + 1, key_mac = sha256(int8send(CAST(:place AS BIGINT))), key_last4 = '0000', secret_mac = sha256(int8send(- CAST(:place AS BIGINT))), key_created_at = CAST(extract(epoch FROM now()) * 1000 AS BIGINT), last_used_at = CAST(extract(epoch FROM now()) * 1000 AS BIGINT), last_used_address = '203.0.113.77' WHERE id = :id AND generation = :generation AND status = 'active';
DELETE FROM receipts WHERE agent_id = :id AND generation <= :generation;
INSERT INTO retired (agent_id, generation, key_mac, key_server_key, secret_mac, secret_server_key, idempotency_mac, idempotency_server_key, retired_at, by_agent) VALUES (:id, :generation, :key_mac, :key_server_key, :secret_mac, :key_server_key, sha256(CAST(:key_mac AS BYTEA)), :key_server_key, CAST(extract(epoch FROM now()) * 1000 AS BIGINT), 1);
INSERT INTO receipts (agent_id, generation, lookup, server_key, salt, sealed, expires_at) VALUES (:id, :generation, :key_mac, :key_server_key, :secret_mac, decode(repeat('00', 190), 'hex'), CAST(extract(epoch FROM now()) * 1000 AS BIGINT) + 2592000000);
INSERT INTO audit (id, at, actor_kind, actor_id, action, outcome, agent_id, developer_id, address, user_agent, request_id, details) VALUES (CAST(gen_random_uuid() AS TEXT), CAST(extract(epoch FROM now()) * 1000 AS BIGINT), 'agent', :id, 'credential.rotated', 'success', :id, :developer_id, '203.0.113.77', NULL, md5(CAST(:place AS TEXT)), json_build_object('generation', CAST(:generation AS BIGINT) + 1)) ON CONFLICT (id) DO NOTHING;
COMMIT;
