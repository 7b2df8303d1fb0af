"""Section 8: what makes the service refuse to start, with one line that says why."""

import base64
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from keyturn.testing import Server, running_server

from .conftest import service_of

pytestmark = pytest.mark.sqlite_files


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a service that ran and holds an agent."""
    server = Server(tmp_path_factory.mktemp("template") / "data")
    try:
        server.start()
        service_of(server).register()
        server.stop()
    finally:
        server.kill()
    return server.data_dir


@pytest.fixture
def data_dir(template: Path, tmp_path: Path) -> Path:
    """A copy of it that the test may spoil."""
    return Path(shutil.copytree(template, tmp_path / "data"))


def _started(data_dir: Path, *flags: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    server = Server(data_dir, **settings)
    return server.run("serve", "--port", str(server.port), *flags)


def _assert_one_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """It refused, with one line that has the words and no traceback."""
    output = result.stdout + result.stderr
    assert result.returncode != 0
    assert "Traceback" not in output
    lines = [line for line in output.splitlines() if line.strip()]
    assert len(lines) == 1, output
    for word in words:
        assert word.lower() in lines[0].lower(), output


def _key(name: str, size: int = 32) -> str:
    return f"{name}:{base64.urlsafe_b64encode(os.urandom(size)).decode().rstrip('=')}"


BAD_SETTINGS = [
    ("port", "abc"), ("port", "99999"), ("workers", "0"), ("workers", "-1"), ("workers", "two"),
    ("prefix", "bad prefix!"), ("prefix", ""), ("registration", "perhaps"),
    ("trusted_proxies", "garbage"), ("trusted_proxies", "10.0.0.0/99"),
    ("rotation_limit", "0"), ("rotation_limit", "many"), ("rotation_window", "0"),
    ("rotation_window", "-900"), ("registration_limit", "x"), ("registration_total", "-1"),
    ("database", "mysql://x"), ("database", "nonsense"), ("public_url", "nonsense"),
    ("log_level", "loud"), ("audit_retention_days", "-1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD_SETTINGS)
def test_a_bad_setting_is_named(tmp_path: Path, name: str, value: str) -> None:
    server = Server(tmp_path / "data")
    flags = {"port": str(server.port), name.replace("_", "-"): value}
    command = [part for flag, text in flags.items() for part in (f"--{flag}", text)]
    result = server.run("serve", *command)
    output = (result.stdout + result.stderr).lower()
    assert result.returncode != 0
    assert "traceback" not in output
    assert name in output or name.replace("_", "-") in output
    lines = [line for line in output.splitlines() if line.strip()]
    assert len(lines) == 1, output


BAD_SERVER_KEYS: dict[str, Callable[[], str]] = {
    "a key without an id": lambda: _key("a").removeprefix("a:"),
    "no id": lambda: _key(""),
    "no key": lambda: "a:",
    "a short key": lambda: _key("a", 8),
    "not base64url": lambda: "a:" + "!" * 43,
    "one id twice": lambda: f"{_key('a')},{_key('a')}",
    "a good one and a bad one": lambda: f"{_key('a')},{_key('b')[2:]}",
}


@pytest.mark.parametrize("case", BAD_SERVER_KEYS)
def test_a_bad_server_key_is_refused_and_not_shown(tmp_path: Path, case: str) -> None:
    given = BAD_SERVER_KEYS[case]()
    result = _started(tmp_path / "data", server_key=given)
    _assert_one_line(result, "server key")
    secrets = [part.rpartition(":")[2] for part in given.split(",")]
    assert not any(s and s in result.stdout + result.stderr for s in secrets)


def test_a_missing_server_key_is_named(data_dir: Path) -> None:
    needed = (data_dir / "server-key").read_text().partition(":")[0]
    _assert_one_line(_started(data_dir, server_key=_key("another")), needed)


def test_a_key_of_a_known_id_with_other_bytes_is_refused(data_dir: Path) -> None:
    needed = (data_dir / "server-key").read_text().partition(":")[0]
    _assert_one_line(_started(data_dir, server_key=_key(needed)), needed)


def test_no_new_key_is_made_beside_a_database_that_needs_one(data_dir: Path) -> None:
    (data_dir / "server-key").unlink()
    _assert_one_line(_started(data_dir), "server")
    assert not (data_dir / "server-key").exists()


def _spoil_mode(data_dir: Path) -> None:
    (data_dir / "server-key").chmod(0o644)


def _spoil_mode_for_group(data_dir: Path) -> None:
    (data_dir / "server-key").chmod(0o640)


def _spoil_key_file(data_dir: Path) -> None:
    (data_dir / "server-key").write_text("nonsense!\n")


def _empty_key_file(data_dir: Path) -> None:
    (data_dir / "server-key").write_text("")


def _spoil_database(data_dir: Path) -> None:
    _overwrite(data_dir, "keyturn.db")


def _spoil_limits(data_dir: Path) -> None:
    _overwrite(data_dir, "limits.db")


def _overwrite(data_dir: Path, name: str) -> None:
    for left in data_dir.glob(f"{name}-*"):
        left.unlink()
    (data_dir / name).write_bytes(b"this is no database " * 500)


def _truncate_database(data_dir: Path) -> None:
    for left in data_dir.glob("keyturn.db-*"):
        left.unlink()
    whole = (data_dir / "keyturn.db").read_bytes()
    (data_dir / "keyturn.db").write_bytes(whole[: len(whole) // 2])


def _directory_for_database(data_dir: Path) -> None:
    for left in data_dir.glob("keyturn.db*"):
        left.unlink()
    (data_dir / "keyturn.db").mkdir()


def _directory_for_key(data_dir: Path) -> None:
    (data_dir / "server-key").unlink()
    (data_dir / "server-key").mkdir()


def _file_for_directory(data_dir: Path) -> None:
    shutil.rmtree(data_dir)
    data_dir.write_text("a file")


SPOILED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a server-key file that others may read": (_spoil_mode, "server-key"),
    "a server-key file that its group may read": (_spoil_mode_for_group, "server-key"),
    "a server-key file with nonsense": (_spoil_key_file, "server"),
    "an empty server-key file": (_empty_key_file, "server-key"),
    "a directory for the server-key file": (_directory_for_key, "server-key"),
    "a database that is none": (_spoil_database, "keyturn.db"),
    "half a database": (_truncate_database, "keyturn.db"),
    "a directory for the database": (_directory_for_database, "keyturn.db"),
    "a limiter's database that is none": (_spoil_limits, "limits.db"),
    "a file for the data directory": (_file_for_directory, "data"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_spoiled_data_directory_is_refused(data_dir: Path, case: str) -> None:
    spoil, word = SPOILED[case]
    spoil(data_dir)
    _assert_one_line(_started(data_dir), word)


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    _assert_one_line(_started(tmp_path / "file" / "data"), "data")


def test_a_newer_schema_is_refused_and_left_alone(data_dir: Path) -> None:
    connection = apsw.Connection(str(data_dir / "keyturn.db"))
    version = connection.pragma("user_version")
    assert isinstance(version, int) and version >= 1
    connection.pragma("user_version", version + 1)
    connection.close()
    _assert_one_line(_started(data_dir), "schema")
    assert Server(data_dir).run("migrate").returncode != 0
    connection = apsw.Connection(str(data_dir / "keyturn.db"))
    assert connection.pragma("user_version") == version + 1
    connection.close()


def test_a_port_in_use_is_refused(data_dir: Path) -> None:
    with running_server() as other:
        result = Server(data_dir).run("serve", "--port", str(other.port))
        output = result.stdout + result.stderr
        assert result.returncode != 0
        assert "Traceback" not in output
        assert str(other.port) in output


def test_an_unspoiled_copy_starts(data_dir: Path) -> None:
    server = Server(data_dir)
    try:
        server.start()
        assert server.stop() == 0
    finally:
        server.kill()
