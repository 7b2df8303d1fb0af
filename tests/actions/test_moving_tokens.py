"""A token that moves to another server key is good before, while and after it moves."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from keyturn.actions.authenticate import authenticate_developer
from keyturn.storage.store import Shape, Store
from tests.actions.world import FIRST_KEY, SECOND_KEY, Around, World, call
from tests.storage.batches import do


class MovesAfterFirstRead(Around):
    """Another process moves the token as soon as this one has read once."""

    def __init__(self, store: Store, move: Callable[[], None]) -> None:
        super().__init__(store)
        self._moves = [move]

    async def look_up(
        self, shape: Callable[..., Shape], query: str, macs: Sequence[bytes]
    ) -> list[Shape]:
        result = await super().look_up(shape, query, macs)
        while self._moves:
            self._moves.pop()()
        return result


def test_a_token_is_good_while_another_process_moves_it(world: World) -> None:
    made, _ = world.developer()
    service = world.process(SECOND_KEY, FIRST_KEY)
    old, new = world.service.keyring.mac(made.token), service.keyring.mac(made.token)

    def move() -> None:
        world.edit(
            f"UPDATE tokens SET mac = x'{new.digest.hex()}', server_key = '{new.server_key}' "
            f"WHERE mac = x'{old.digest.hex()}'"
        )

    moving = replace(service, store=MovesAfterFirstRead(service.store, move))
    header = f"Bearer {made.token.reveal()}"
    for _ in range(2):
        principal = do(authenticate_developer(moving, call(), header))
        assert principal.developer_id == made.developer.id
