-- The trail is read newest first by when things happened.
DROP INDEX audit_by_agent;
DROP INDEX audit_by_developer;
CREATE INDEX audit_by_agent ON audit (agent_id, at, seq);
CREATE INDEX audit_by_developer ON audit (developer_id, at, seq);
