-- Where more than one index would do, SQLite takes the one that was made first.
DROP INDEX audit_by_action;

-- What the overview counts, and shows first. Few entries are like that.
CREATE INDEX audit_rotated ON audit (actor_kind, at)
    WHERE action = 'credential.rotated' AND actor_kind = 'developer';
CREATE INDEX audit_rotated_by_developer ON audit (developer_id, actor_kind, at)
    WHERE action = 'credential.rotated' AND actor_kind = 'developer';
CREATE INDEX audit_reused ON audit (details ->> 'severity', at)
    WHERE action = 'credential.reused';
CREATE INDEX audit_reused_by_developer ON audit (developer_id, action, details ->> 'severity', at)
    WHERE action = 'credential.reused';

-- Of a developer with few entries, those of one action are found as fast as those of everybody.
CREATE INDEX audit_by_developer_and_action ON audit (developer_id, action, at);
CREATE INDEX audit_by_action ON audit (action, at);
