-- The trail is read newest first by when things happened; an index ends with seq by itself.
DROP INDEX audit_by_agent;
DROP INDEX audit_by_developer;
CREATE INDEX audit_by_agent ON audit (agent_id, at);
CREATE INDEX audit_by_developer ON audit (developer_id, at);
