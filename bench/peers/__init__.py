"""Others that answer whether a credential is good, each by its own code and in its own environment.

What each does for a check, and which page of its documentation says so: README.md in this folder.
Nothing of theirs is imported here. A peer's folder holds what it needs, pinned, and its programs:
one that fills a database and one that serves.
"""

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SOURCES = Path(__file__).parent
SAMPLE = 20_000
PATH = "/check"


@dataclass
class Peer:
    """One of them.

    `install` comes first: the other methods run what it has made, and raise `RuntimeError` before.
    """

    name: str
    header: str
    """The header that carries the credential."""
    scheme: str = ""
    """What stands before the credential there."""
    source: str = ""
    """Its folder, where that is another's: a peer in two configurations is installed once."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Environment of its programs."""
    _home: Path | None = field(default=None, init=False)

    @property
    def sources(self) -> Path:
        """Where its pinned files and programs are."""
        return SOURCES / (self.source or self.name)

    @property
    def pinned(self) -> Path:
        """The file that pins every package it needs, with hashes."""
        node = self.sources / "package-lock.json"
        return node if node.exists() else self.sources / "requirements.txt"

    def install(self, build_folder: Path) -> None:
        """Make its environment in `build_folder/peers/NAME`, unless it is there.

        Raises:
            OSError: a program that it takes is missing.
            RuntimeError: its packages can't be had; the message says why.
        """
        home = build_folder.absolute() / "peers" / self.sources.name
        with _made_once(home, self._pins) as missing:
            shutil.copytree(self.sources, home, dirs_exist_ok=True)
            if missing:
                self._install_packages(home)
        if self.source and not (alias := home.with_name(self.name)).exists():
            alias.symlink_to(home.name)
        self._home = home

    def seed(self, count: int, folder: Path) -> None:
        """Make a database of so many valid credentials in a folder, unless it is there.

        Raises:
            RuntimeError: its program failed; the message has the end of what it said.
        """
        with _made_once(folder, f"{count} {self._pins}") as missing:
            if missing:
                secret = folder / "secret"
                secret.touch(0o600)
                secret.write_text(secrets.token_urlsafe(48), "ascii")
                step = max(1, count // SAMPLE)
                command = self._command("seed", str(count), str(step))
                self._run(command, self._environment(folder))

    def keys(self, folder: Path) -> list[str]:
        """About 20,000 of the credentials, or all where there are fewer."""
        return (folder / "keys").read_text("ascii").split()

    def serve(self, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
        """The command and the environment of a server with one worker, on 127.0.0.1."""
        if self._on_node:
            return self._command("serve", str(port)), self._environment(folder)
        # The default class of workers closes the connection after each answer. Preloaded, it
        # listens when it can answer, not before.
        flags = ["--workers=1", "--worker-class=gthread", "--preload", "--no-control-socket"]
        where = [f"--chdir={self._installed}", f"--bind=127.0.0.1:{port}"]
        command = [str(_python(self._installed)), "-m", "gunicorn", *flags, *where]
        return [*command, "service:application"], self._environment(folder)

    def request(self, credential: str) -> tuple[str, str, dict[str, str], bytes]:
        """Method, path, headers and body that check it: a good one is answered 200."""
        return "GET", PATH, {self.header: f"{self.scheme}{credential}"}, b""

    @property
    def _on_node(self) -> bool:
        return self.pinned.name == "package-lock.json"

    @property
    def _pins(self) -> str:
        return hashlib.sha256(self.pinned.read_bytes()).hexdigest()

    @property
    def _installed(self) -> Path:
        if self._home is None:
            raise RuntimeError(f"{self.name} is not installed yet")
        return self._home

    def _command(self, what: str, *arguments: str) -> list[str]:
        if self._on_node:
            return [_program("node"), str(self._installed / f"{what}.mjs"), *arguments]
        return [str(_python(self._installed)), str(self._installed / f"{what}.py"), *arguments]

    def _environment(self, folder: Path) -> dict[str, str]:
        data = {"PEER_DATA": str(folder.absolute()), "NODE_ENV": "production"}
        return {"PATH": os.environ["PATH"], **data, **self.options}

    def _install_packages(self, home: Path) -> None:
        if self._on_node:
            command = [_program("npm"), "ci", "--no-audit", "--no-fund", f"--prefix={home}"]
            return self._run(command)
        self._run([sys.executable, "-m", "venv", str(home / "venv")])
        pip = [str(_python(home)), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        requirements = str(home / "requirements.txt")
        return self._run([*pip, "install", "--require-hashes", "-r", requirements])

    def _run(self, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        done = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-300:]
            raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {said}")


PEERS = (
    Peer("better-auth", "x-api-key"),
    Peer("better-auth-tuned", "x-api-key", source="better-auth", options={"PEER_TUNED": "1"}),
    Peer("djangorestframework-api-key", "Authorization", "Api-Key "),
    Peer("djangorestframework-simplejwt", "Authorization", "Bearer "),
)


@contextmanager
def _made_once(folder: Path, recipe: str) -> Iterator[bool]:
    """Whether the block has to fill this folder, empty then: nobody has yet by this recipe."""
    stamp = folder / "made-by"
    if stamp.exists() and stamp.read_text("ascii") == recipe:
        yield False
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield True
        stamp.write_text(recipe, "ascii")
    except BaseException:
        shutil.rmtree(folder)
        raise


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed")
    return found


def _python(home: Path) -> Path:
    return home / "venv" / "bin" / "python"
