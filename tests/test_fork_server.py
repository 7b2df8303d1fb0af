"""What is forked is what it would be if it were started."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from keyturn.testing import Server
from tests.fork_server import Forked, ForkServer

Program = Forked | subprocess.Popen[bytes]


def started(
    fork: ForkServer,
    how: str,
    told: str,
    output: IO[Any],
    module: str = "tests.forked_program",
    **options: Any,
) -> Program:
    """The program, forked or started."""
    start: Callable[..., Program] = fork.fork if how == "forked" else subprocess.Popen
    return start(
        [sys.executable, "-m", module, told],
        env={**{k: v for k, v in os.environ.items() if k != "PATH"}, "GIVEN": "é"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        **options,
    )


@pytest.fixture
def on_one_processor() -> Iterator[None]:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [max(allowed)])
    yield
    os.sched_setaffinity(0, allowed)


@pytest.mark.usefixtures("on_one_processor")
@pytest.mark.parametrize("new_session", [False, True])
def test_it_finds_around_itself_what_a_started_one_finds(
    fork_server: ForkServer, tmp_path: Path, new_session: bool
) -> None:
    seen = {}
    for how in ("started", "forked"):
        with (tmp_path / how).open("w+b") as output:
            program = started(fork_server, how, "0", output, start_new_session=new_session)
            assert program.wait(30) == 0
        seen[how] = json.loads((tmp_path / how).read_text())
    assert seen["forked"] == seen["started"]


def test_it_is_where_whoever_starts_it_is(
    fork_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.py").write_text("import os; print(os.getcwd())")
    for how in ("started", "forked"):
        with (tmp_path / how).open("w+b") as output:
            assert started(fork_server, how, "", output, module="here").wait(30) == 0
        assert (tmp_path / how).read_text() == f"{tmp_path}\n"


@pytest.mark.parametrize(
    ("told", "code"), [("0", 0), ("7", 7), ("fail", 1), ("die", -signal.SIGKILL)]
)
def test_it_ends_as_a_started_one_ends(
    fork_server: ForkServer, tmp_path: Path, told: str, code: int
) -> None:
    for how in ("started", "forked"):
        with (tmp_path / how).open("w+b") as output:
            assert started(fork_server, how, told, output).wait(30) == code
        error = (tmp_path / how).read_text().splitlines()[1:]
        assert error[:1] + error[-1:] == (
            ["Traceback (most recent call last):", "RuntimeError: as it was told"]
            if told == "fail"
            else []
        )


def test_it_can_be_waited_for_and_asked_to_end(fork_server: ForkServer, tmp_path: Path) -> None:
    with (tmp_path / "output").open("w+b") as output:
        program = started(fork_server, "forked", "wait", output)
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.01)
    assert program.poll() is None
    program.send_signal(signal.SIGTERM)
    assert program.wait(30) == -signal.SIGTERM
    assert program.poll() == -signal.SIGTERM
    program.send_signal(signal.SIGTERM)


def _child_of_ours(server: Server) -> bool:
    stat = Path(f"/proc/{server.pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1]) == os.getpid()


def test_servers_are_forked(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    server.start(wait=False)
    assert not _child_of_ours(server)
    server.kill()


@pytest.mark.usefixtures("not_forked")
def test_those_of_tests_that_ask_for_it_are_started(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    server.start(wait=False)
    assert _child_of_ours(server)
    server.kill()
