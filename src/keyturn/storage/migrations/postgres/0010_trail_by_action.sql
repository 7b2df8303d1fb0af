DROP INDEX audit_by_action;

-- What the overview counts, and shows first. Few entries are like that.
CREATE INDEX audit_rotated ON audit (at)
    WHERE action = 'credential.rotated' AND actor_kind = 'developer';
CREATE INDEX audit_rotated_by_developer ON audit (developer_id, at)
    WHERE action = 'credential.rotated' AND actor_kind = 'developer';
CREATE INDEX audit_reused ON audit ((CAST(details AS JSON) ->> 'severity'), at, seq)
    WHERE action = 'credential.reused';
CREATE INDEX audit_reused_by_developer
    ON audit (developer_id, (CAST(details AS JSON) ->> 'severity'), at, seq)
    WHERE action = 'credential.reused';

-- Of a developer with few entries, those of one action are found as fast as those of everybody.
CREATE INDEX audit_by_developer_and_action ON audit (developer_id, action, at, seq);
CREATE INDEX audit_by_action ON audit (action, at, seq);
