"""An installation with a fence does not start on an older state, nor without its fence."""

import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keyturn.testing import Server

from .client import Service, after_rotation
from .conftest import service_of

pytestmark = pytest.mark.sqlite_files


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running server with a fence, and an operator."""
    made = Server(tmp_path / "data", rotation_limit=1000, fence=tmp_path / "fence")
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture
def service(server: Server) -> Service:
    return service_of(server, proxied=False)


def fence_of(server: Server) -> Path:
    return server.data_dir.with_name("fence")


def refused(server: Server, *words: str, command: tuple[str, ...] = ("serve",)) -> None:
    """The start, or another command, is refused in one line that has these words."""
    result = server.run(*command, *(("--port", str(server.port)) if command[0] == "serve" else ()))
    output = result.stdout + result.stderr
    assert result.returncode == 1
    assert "Traceback" not in output
    assert len(output.splitlines()) == 1, output
    assert all(word in output for word in words), output


def done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


def older_state(server: Server, service: Service) -> Path:
    """A copy of the database, whose only agent has rotated three times since."""
    agent = service.register()
    copy = server.data_dir.with_name("copy.db")
    done(server.run("backup", str(copy)))
    for _ in range(3):
        agent = after_rotation(agent, service.rotate(agent.key, agent.secret))
    server.stop()
    for path in server.data_dir.glob("keyturn.db*"):
        path.unlink()
    shutil.copyfile(copy, server.data_dir / "keyturn.db")
    return copy


def test_the_first_start_makes_a_private_fence_without_credentials(
    server: Server, service: Service
) -> None:
    agent = service.register()
    after_rotation(agent, service.rotate(agent.key, agent.secret))
    assert stat.S_IMODE(fence_of(server).stat().st_mode) == 0o600
    held = fence_of(server).read_text()
    assert f"agent {agent.id} 0 2 0" in held
    assert agent.key not in held and agent.secret not in held


def test_a_restart_and_another_command_go_on_with_the_fence(
    server: Server, service: Service
) -> None:
    agent = service.register()
    agent = after_rotation(agent, service.rotate(agent.key, agent.secret))
    done(server.run("service", "create", "--name", "another"))
    server.restart()
    assert service.rotate(agent.key, agent.secret).status_code == 200


def test_an_older_database_is_refused_and_says_how_far_it_is_behind(
    server: Server, service: Service
) -> None:
    older_state(server, service)
    refused(server, "1 agents (by up to 3 generations)", "keyturn restore --repair")
    refused(server, "older", command=("service", "create", "--name", "another"))


def test_what_a_repair_has_retired_is_in_the_trail_and_a_developer_mends_it(
    server: Server, service: Service
) -> None:
    copy = older_state(server, service)
    assert "1." in done(server.run("restore", str(copy)))
    server.start()
    [entry] = service.audit(action="credential.fenced")
    assert entry["details"] == {"reason": "fence", "generation": 4}
    assert entry["actor"]["kind"] == "command_line"
    [restored] = service.audit(action="store.restored")
    assert restored["details"] == {"retiredAgain": 1}
    path = f"/v1/agents/{entry['agentId']}"
    assert service.get(path, service.operator).json()["generation"] == 4
    given = service.post(f"{path}/rotate-key", service.operator).json()
    assert given["rotationSecret"] is not None
    assert service.whoami(given["apiKey"]).json()["generation"] == 5


def test_a_database_is_repaired_where_it_is(server: Server, service: Service) -> None:
    older_state(server, service)
    done(server.run("restore", "--repair"))
    server.start()
    assert len(service.audit(action="credential.fenced")) == 1


def test_a_restore_of_the_present_state_retires_nothing(server: Server, service: Service) -> None:
    agent = service.register()
    agent = after_rotation(agent, service.rotate(agent.key, agent.secret))
    copy = server.data_dir.with_name("copy.db")
    done(server.run("backup", str(copy)))
    server.stop()
    done(server.run("restore", str(copy)))
    server.start()
    assert service.audit(action="credential.fenced") == []
    assert service.rotate(agent.key, agent.secret).status_code == 200


def _unlink(fence: Path) -> None:
    fence.unlink()


def _damage(fence: Path) -> None:
    fence.write_bytes(fence.read_bytes().replace(b"fence 1", b"fence 2"))


def _directory(fence: Path) -> None:
    fence.unlink()
    fence.mkdir()


SPOILED: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (_unlink, "is missing"),
    "damaged": (_damage, "damaged"),
    "a directory": (_directory, "can't be used"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_fence_that_can_not_be_used_refuses_the_start_and_a_restore(
    server: Server, what: str
) -> None:
    copy = server.data_dir.with_name("copy.db")
    done(server.run("backup", str(copy)))
    server.stop()
    spoil, word = SPOILED[what]
    spoil(fence_of(server))
    refused(server, str(fence_of(server)), word)
    refused(server, str(fence_of(server)), word, command=("restore", str(copy)))


def test_a_fence_that_is_not_named_any_more_refuses_the_start(
    server: Server,
) -> None:
    server.stop()
    fence = server.settings.pop("fence")
    refused(server, "KEYTURN_FENCE", "--abandon-fence")
    server.settings["fence"] = fence
    server.start()


def test_a_lost_fence_can_be_given_up_and_a_new_one_begins(
    server: Server, service: Service
) -> None:
    agent = service.register()
    agent = after_rotation(agent, service.rotate(agent.key, agent.secret))
    server.stop()
    fence_of(server).unlink()
    done(server.run("restore", "--repair", "--abandon-fence"))
    server.start()
    assert f"agent {agent.id} 0 2 0" in fence_of(server).read_text()
    [entry] = service.audit(action="store.restored")
    assert entry["details"]["abandonedFence"] is True
    server.stop()
    fence_of(server).unlink()
    refused(server, "is missing")


def test_an_installation_gets_a_fence_later_with_what_it_has_retired_so_far(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path / "data")
    try:
        server.start()
        service = service_of(server, proxied=False)
        agent = service.register()
        after_rotation(agent, service.rotate(agent.key, agent.secret))
        server.stop()
        server.settings["fence"] = fence_of(server)
        server.start()
        assert f"agent {agent.id} 0 2 0" in fence_of(server).read_text()
    finally:
        server.kill()


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "in the data directory": (lambda folder: folder / "data" / "fence", "outside the data dir"),
    "in a folder that is not there": (lambda folder: folder / "no" / "fence", "can't be used"),
    "a directory": (lambda folder: folder, "can't be used"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_place_for_a_fence_is_refused(tmp_path: Path, what: str) -> None:
    place, word = BAD[what]
    refused(Server(tmp_path / "data", fence=place(tmp_path)), word)


@pytest.mark.parametrize("arguments", [(), ("copy.db", "--repair")])
def test_a_restore_is_of_a_file_or_of_what_is_there(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    refused(Server(tmp_path / "data"), "--repair", command=("restore", *arguments))


def test_a_fence_that_can_not_be_written_ends_the_process_without_an_answer(
    server: Server, service: Service
) -> None:
    agent = service.register()
    fence_of(server).unlink()
    assert service.rotate(agent.key, agent.secret).status_code == 503
