"""The one-time code of the first operator (section 8): where it is said, and when it is dead."""

import os
import pty
import re
import stat
import subprocess
import sys
import time

import httpx
import pytest

from keyturn.testing import Server, running_server
from tests.sqlite import opened

CODE = re.compile(r"[0-9A-Z]{4}(-[0-9A-Z]{4}){3}")
SENT = {"email": "ada@example.com", "password": "a calm and long sentence"}


def code_of(server: Server) -> str:
    return (server.data_dir / "setup-code").read_text().strip()


def set_up(server: Server, code: str) -> int:
    return httpx.post(f"{server.url}/setup", data={"code": code, **SENT}).status_code


def test_without_a_terminal_it_is_in_a_file_that_only_the_owner_reads() -> None:
    with running_server() as server:
        file = server.data_dir / "setup-code"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert CODE.fullmatch(code_of(server))
        assert code_of(server) not in server.log_path.read_text()
        assert f"{server.port}/setup" in server.log_path.read_text()


def test_on_a_terminal_it_is_printed_and_in_no_file() -> None:
    with running_server() as server:
        server.stop()
        primary, replica = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "keyturn", "serve", "--port", str(server.port)],
            env=server.environment, stdin=replica, stdout=replica, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(replica)
        said = ""
        try:
            until = time.monotonic() + 30
            while "Setup code" not in said and time.monotonic() < until:
                said += os.read(primary, 4096).decode()
        finally:
            process.terminate()
            process.wait(30)
            os.close(primary)
        assert CODE.search(said)
        assert not (server.data_dir / "setup-code").exists()


def test_every_process_of_the_installation_says_the_same_code_for_an_hour() -> None:
    with running_server() as server:
        first = code_of(server)
        server.restart()
        assert code_of(server) == first


def test_it_works_once_and_is_dead_as_soon_as_there_is_an_operator() -> None:
    with running_server() as server:
        code = code_of(server)
        assert set_up(server, "0000-0000-0000-0000") == 403
        assert set_up(server, code.lower().replace("-", " ")) == 303
        assert set_up(server, code) == 409
        server.restart()
        assert not (server.data_dir / "setup-code").exists()


def test_an_operator_from_the_command_line_ends_it_too() -> None:
    with running_server() as server:
        code = code_of(server)
        server.create_developer("eve@example.com", operator=True)
        assert set_up(server, code) == 409


@pytest.mark.sqlite_files
def test_it_ends_after_an_hour_and_a_new_start_makes_another() -> None:
    with running_server() as server:
        code = code_of(server)
        with opened(server.data_dir / "keyturn.db") as database:
            database.execute("UPDATE installation SET setup_expires_at = 1")
        assert set_up(server, code) == 403
        server.restart()
        assert code_of(server) != code
        assert set_up(server, code_of(server)) == 303
