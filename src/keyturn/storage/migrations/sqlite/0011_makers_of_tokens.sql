-- Whose request made it. NULL: the command line, or no request of a developer's.
ALTER TABLE tokens ADD COLUMN created_by TEXT REFERENCES developers (id);

UPDATE tokens SET created_by = made.actor_id
FROM (
    SELECT audit.actor_id, CASE WHEN json_valid(details) THEN details ->> 'tokenId' END AS token_id
    FROM audit JOIN developers ON developers.id = audit.actor_id
    WHERE action = 'token.created' AND outcome = 'success'
) AS made
WHERE made.token_id = tokens.id;
