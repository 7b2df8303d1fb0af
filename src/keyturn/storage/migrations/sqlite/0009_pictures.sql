-- What the overview counts, without a look at the entries themselves.
CREATE INDEX audit_by_action ON audit (action, at, developer_id, actor_kind);
CREATE INDEX audit_refused ON audit (at) WHERE outcome = 'refused';
