"""Whoever was an operator leaves nothing behind by which they come back."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from keyturn.actions.authenticate import authenticate_developer
from keyturn.actions.invite_developer import accept_invitation, invite, invite_again
from keyturn.actions.manage_developers import create_developer, disable_developer, what_would_end
from keyturn.actions.manage_tokens import NewToken, create_token
from keyturn.actions.service import Principal
from keyturn.core.agent import DAY
from keyturn.core.credential import Kind
from keyturn.core.errors import InvalidToken, WrongCode
from keyturn.core.token import Token
from keyturn.storage.postgres_session import PostgresTransaction
from tests.actions import populated
from tests.actions.world import World, call
from tests.postgres import Cluster
from tests.storage.backends import Postgres
from tests.storage.batches import do

MADE = """
INSERT INTO tokens (id, kind, developer_id, name, mac, server_key, last4, created_at, created_by)
SELECT 'x' || i, 'en', 'bob', 'x', CAST('x' || i AS BYTEA), 'k1', '0000', 0, 'ada'
FROM generate_series(1, 1000) AS i
"""


def test_no_code_that_a_disabled_operator_could_have_made_lets_anybody_in(world: World) -> None:
    older = do(invite(world.service, call(), world.operator, "eve@example.com", operator=False))
    world.clock.wait(1)
    _, mallory = world.developer("mallory@example.com", operator=True)
    _, bob = world.developer("bob@example.com")
    for_bob = do(invite_again(world.service, call(), mallory, bob.developer_id))
    for_new = do(invite(world.service, call(), mallory, "new@example.com", operator=True))
    do(disable_developer(world.service, call(), world.operator, mallory.developer_id))
    for invited in (for_bob, for_new):
        with pytest.raises(WrongCode):
            do(accept_invitation(world.service, call(), invited.code.reveal(), "mallory was here"))
    do(accept_invitation(world.service, call(), older.code.reveal(), "eve's password 1"))
    (entry,) = (entry for entry in world.trail() if entry.action == "developer.disabled")
    assert entry.details == {"codes": 2}


def test_codes_outlive_a_developer_who_could_not_make_them(world: World) -> None:
    world.clock.wait(1)
    invited = do(invite(world.service, call(), world.operator, "eve@example.com", operator=False))
    _, bob = world.developer("bob@example.com")
    do(disable_developer(world.service, call(), world.operator, bob.developer_id))
    do(accept_invitation(world.service, call(), invited.code.reveal(), "eve's password 1"))


KINDS = [Kind.DEVELOPER_TOKEN, Kind.SERVICE_TOKEN, Kind.ENROLMENT_TOKEN]


def made(world: World, maker: Principal, owner: Principal, kind: Kind) -> Token:
    new = NewToken(kind, "a token", owner.developer_id, 1, world.clock.now + DAY)
    return do(create_token(world.service, call(), maker, new))[0]


def is_kept(world: World, token: Token) -> bool:
    return world.look(lambda tx: tx.one(Token, "token_by_id", id=token.id)) is not None


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_a_token_that_a_disabled_operator_made_for_somebody_else_is_dead(
    world: World, kind: Kind
) -> None:
    _, mallory = world.developer("mallory@example.com", operator=True)
    _, bob = world.developer("bob@example.com")
    makers = [(mallory, bob), (bob, bob), (world.operator, bob), (world.operator, mallory)]
    given, *others = [made(world, maker, owner, kind) for maker, owner in makers]
    do(disable_developer(world.service, call(), world.operator, mallory.developer_id))
    assert not is_kept(world, given)
    assert all(is_kept(world, token) for token in others)


def test_however_much_a_disabled_operator_made_it_dies_at_once_and_one_entry_says_how_much(
    world: World,
) -> None:
    _, mallory = world.developer("mallory@example.com", operator=True)
    _, bob = world.developer("bob@example.com")
    given = [made(world, mallory, bob, kind) for kind in KINDS]
    do(invite(world.service, call(), mallory, "new@example.com", operator=False))
    do(disable_developer(world.service, call(), world.operator, mallory.developer_id))
    assert not any(is_kept(world, token) for token in given)
    (entry,) = world.trail(action="developer.disabled")
    assert entry.details == {"tokens": 3, "codes": 1}
    assert world.trail(action="token.deleted") == []


def test_the_first_token_of_a_developer_dies_with_the_operator_who_was_shown_it(
    world: World,
) -> None:
    _, mallory = world.developer("mallory@example.com", operator=True)
    email = "new@example.com"
    new = do(create_developer(world.service, call(), mallory, email, operator=True))
    do(disable_developer(world.service, call(), world.operator, mallory.developer_id))
    header = f"Bearer {new.token.reveal()}"
    with pytest.raises(InvalidToken):
        do(authenticate_developer(world.service, call(), header))


def test_nobody_makes_so_many_tokens_that_they_cannot_be_disabled(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed: list[str] = []
    execute = PostgresTransaction.execute

    def counted(tx: PostgresTransaction, query: str, /, **values: Any) -> int:
        executed.append(query)
        return execute(tx, query, **values)

    place = Postgres().new_place(postgres, tmp_path)
    operator = populated.PEOPLE[populated.OPERATOR]
    with (
        populated.opened(place, tmp_path) as people,
        psycopg.connect((tmp_path / "url").read_text(), autocommit=True) as database,
    ):
        database.execute("UPDATE developers SET operator = 1 WHERE id = 'ada'")
        database.execute(MADE)
        assert do(what_would_end(people.service, operator, "ada")).tokens_for_others == 1000
        monkeypatch.setattr(PostgresTransaction, "execute", counted)
        do(disable_developer(people.service, call(), operator, "ada"))
        left = "SELECT count(*) FROM tokens WHERE created_by = 'ada'"
        assert database.execute(left).fetchone() == (0,)
    assert executed and len(executed) < 10, executed[:20]
