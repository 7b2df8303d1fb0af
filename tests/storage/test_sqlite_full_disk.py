"""A full disk under a store on SQLite, whose files are this process's own."""

import multiprocessing
from collections.abc import Callable
from typing import Any

from tests.storage import processes as others
from tests.storage.backends import Place
from tests.storage.batches import PATIENCE, do

SPAWN = multiprocessing.get_context("spawn")


def told_by(work: Callable[..., None], place: Place) -> Any:
    """What a process of its own sends: its limits end with it."""
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=work, args=(place, theirs))
    process.start()
    theirs.close()
    told = ours.recv()
    process.join(PATIENCE)
    assert process.exitcode == 0
    return told


def test_a_full_disk_is_unavailable_and_leaves_nothing_half_done(place: Place) -> None:
    kept, refused, lost = told_by(others.fill_the_disk, place)
    assert len(kept) > 1
    assert len(refused) >= 1
    assert lost <= 1
    with place.opened() as store:
        for number in kept:
            assert do(store.read(place.get(others.first_of(number)))) == number
            assert do(store.read(place.get(others.second_of(number)))) == number
        for number in refused:
            first = do(store.read(place.get(others.first_of(number))))
            assert do(store.read(place.get(others.second_of(number)))) == first
        assert do(store.write(place.put("afterwards", 1))) == 1


def test_a_scrub_that_finds_no_room_stays_owed_and_is_done_later(place: Place) -> None:
    after_the_first, after_the_second = told_by(others.scrub_a_full_disk, place)
    assert after_the_first == [f"{place.database}-wal"]
    assert after_the_second == []
