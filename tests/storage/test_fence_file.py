"""The fence's file: several add to it, power is cut, and it is written anew."""

import contextlib
import os
import random
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keyturn.core.fence import DamagedFence, Marks, Record, agent_record, collect, end_record
from keyturn.storage import fence_file
from keyturn.storage.fence_file import FenceFile
from tests.faults.disk import Image, lay_out, power_cuts
from tests.faults.disk import Record as DiskRecord
from tests.faults.recorded_os import recorded_os

OURS = "0123456789abcdef" * 2
SAMPLES = 8


def agent(number: int, generation: int = 2) -> Record:
    return agent_record(f"00000000-0000-4000-8000-{number:012d}", generation, "active")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[FenceFile]:
    with contextlib.closing(FenceFile(path)) as fence:
        if not fence.exists():
            fence.create(OURS)
        fence.read(OURS)
        yield fence


def marks(path: Path) -> Marks:
    with contextlib.closing(FenceFile(path)) as fence:
        return fence.read(OURS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fence"


def test_a_new_fence_is_a_private_file_without_marks(path: Path) -> None:
    with opened(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert marks(path) == {}
    assert os.listdir(path.parent) == ["fence"]  # noqa: PTH208


def test_a_fence_that_another_process_made_meanwhile_is_kept(path: Path) -> None:
    with opened(path) as fence:
        fence.append([agent(1)])
        fence.create(OURS)
    assert marks(path) == dict([agent(1)])


def test_several_add_in_turn_and_nobody_loses_anything(path: Path) -> None:
    with opened(path) as one, opened(path) as other:
        for number in range(10):
            (one, other)[number % 2].append([agent(number), agent(number + 100)])
    assert set(marks(path)) == {agent(n + more)[0] for n in range(10) for more in (0, 100)}


ADDER = """
import sys
from pathlib import Path
from keyturn.core.fence import agent_record
from keyturn.storage.fence_file import FenceFile
path, installation, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
fence = FenceFile(path)
for number in range(first, first + 100):
    fence.read(installation)
    fence.append([agent_record(f"00000000-0000-4000-8000-{number:012d}", 2, "active")])
"""


def test_processes_that_add_while_it_is_written_anew_lose_nothing(path: Path) -> None:
    with opened(path):
        pass
    program = f"from keyturn.storage import fence_file\nfence_file.SPARED = -1000\n{ADDER}"
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(path), OURS, str(first)])
        for first in (0, 1000, 2000)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(marks(path)) == 300


def test_what_is_mostly_older_marks_is_written_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fence_file, "SPARED", 10)
    with opened(path) as fence:
        for generation in range(2, 30):
            fence.append([agent(1, generation), agent(2, generation)])
        fence.append([end_record("agent", agent(3)[0].id)])
        before = path.stat().st_size
        kept = marks(path)
        assert path.stat().st_size < before / 5
        fence.append([agent(4)])
    assert marks(path) == kept | dict([agent(4)])
    assert kept == collect([agent(1, 29), agent(2, 29), end_record("agent", agent(3)[0].id)])


def test_many_marks_are_written_anew_as_they_were(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fence_file, "SPARED", -1000)
    with opened(path) as fence:
        fence.append([agent(number) for number in range(300)])
    assert marks(path) == marks(path) == dict(agent(number) for number in range(300))


def test_a_torn_last_line_is_cut_off_and_what_comes_next_stands(path: Path) -> None:
    with opened(path) as fence:
        fence.append([agent(1)])
        with path.open("ab") as file:
            file.write(b"agent 0000")
        fence.append([agent(2)])
    assert marks(path) == dict([agent(1), agent(2)])


def _replaced_by_another(path: Path) -> None:
    path.unlink()
    with contextlib.closing(FenceFile(path)) as other:
        other.create("f" * 32)


UNUSABLE: dict[str, tuple[Callable[[Path], None], type[Exception]]] = {
    "gone": (lambda path: path.unlink(), FileNotFoundError),
    "shorter than it was": (lambda path: os.truncate(path, 60), DamagedFence),
    "another installation's": (_replaced_by_another, DamagedFence),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_nothing_is_added_to_a_fence_that_is_not_as_it_was(path: Path, what: str) -> None:
    spoil, error = UNUSABLE[what]
    with opened(path) as fence:
        fence.append([agent(1)])
        spoil(path)
        with pytest.raises(error):
            fence.append([agent(2)])


def _lived(folder: Path, agents: range) -> list[tuple[Image, list[Record]]]:
    """What power cuts may leave of a folder in which these are added, and what was told."""
    choice = random.Random(1)
    record = DiskRecord(folder)
    with recorded_os(record), opened(folder / "fence") as fence:
        record.acknowledge([])
        for number in agents:
            unit = [agent(more) for more in range(number * 20, number * 20 + 1 + number % 3 * 15)]
            fence.append(unit)
            record.acknowledge(unit)
    record.check()
    return [
        (cut.image, [told for unit in cut.acknowledged for told in unit])
        for cut in power_cuts(record.operations, set(record.moments), choice, SAMPLES)
    ]


def _assert_kept(image: Image, told: list[Record], was_made: bool, folder: Path) -> None:
    lay_out(image, folder)
    if "fence" not in image:
        assert not was_made
    else:
        assert marks(folder / "fence").items() >= dict(told).items()


@pytest.mark.parametrize("spared", [10_000, -1000])
def test_a_power_cut_loses_no_mark_that_was_answered_and_leaves_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spared: int
) -> None:
    monkeypatch.setattr(fence_file, "SPARED", spared)
    (tmp_path / "first").mkdir()
    images = _lived(tmp_path / "first", range(6))
    torn: list[tuple[Image, list[Record]]] = []
    for number, (image, told) in enumerate(images):
        folder = tmp_path / f"cut-{number}"
        folder.mkdir()
        _assert_kept(image, told, bool(told), folder)
        if "fence" in image and not image["fence"].endswith(b"\n"):
            torn.append((image, told))
    assert torn
    for number, (image, told) in enumerate(random.Random(2).sample(torn, min(len(torn), 8))):
        again = tmp_path / f"again-{number}"
        again.mkdir()
        lay_out(image, again)
        for second, (left, told_then) in enumerate(_lived(again, range(10, 12))):
            folder = tmp_path / f"cut-{number}-{second}"
            folder.mkdir()
            _assert_kept(left, told + told_then, True, folder)
