"""An older state of the database comes back, in every way: what was retired stays retired."""

import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from keyturn.testing import Server
from tests.contract.client import Service, unique

from .ledger import UNLIMITED, check_database
from .outcome import Outcome
from .retirements import Retirement, key_is_dead, refused, retirements

RUNS = 100
PROXIES = "127.0.0.1/32,10.0.0.0/8"


@dataclass
class Scene:
    """An installation with a fence, and one of somebody else."""

    folder: Path
    server: Server
    service: Service
    choice: random.Random
    outcome: Outcome

    @property
    def database(self) -> Path:
        return self.server.data_dir / "keyturn.db"

    @property
    def fence(self) -> Path:
        return self.folder / "fence"

    @property
    def copy(self) -> Path:
        return self.folder / "copy.db"

    def refuses(self, why: str, *words: str) -> None:
        """A start is refused, and says why."""
        result = self.server.run("serve", "--port", str(self.server.port))
        output = result.stdout + result.stderr
        said = "Traceback" not in output and all(word in output for word in words)
        self.outcome.check(result.returncode == 1, f"{why}: a silent start")
        self.outcome.check(said, f"{why}: it only said {output[-200:]!r}")

    def restore(self, *arguments: str) -> None:
        result = self.server.run("restore", *arguments)
        self.outcome.check(result.returncode == 0, f"restore {arguments}: {result.stderr}")


def run(runs: int, seed: int, *, ways: Sequence[str] = ()) -> Outcome:
    """Bring back an older state `runs` times, in all ways or in these."""
    ways = ways or list(WAYS)
    choice = random.Random(seed)
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="keyturn-restores-") as folder:
        fence = Path(folder) / "fence"
        server = Server(Path(folder) / "data", fence=fence, trusted_proxies=PROXIES, **UNLIMITED)
        try:
            server.start()
            made = server.create_developer(f"{unique('o')}@example.com", operator=True)
            service = Service(server.url, made.token)
            scene = Scene(Path(folder), server, service, choice, outcome)
            _make_another(scene)
            for number in range(runs):
                _bring_back(scene, ways[number % len(ways)])
                outcome.runs += 1
        finally:
            server.kill()
        outcome.include(check_database(server.data_dir / "keyturn.db"))
    return outcome


def _bring_back(scene: Scene, way: str) -> None:
    service, server = scene.service, scene.server
    bystander = service.register()
    chosen = list(retirements(service))
    chosen = scene.choice.sample(chosen, scene.choice.randint(1, len(chosen)))
    if way == "a missing log":
        # To delete an agent copies the log into the database.
        chosen = [made for made in chosen if made.name != "deleted"] or [*retirements(service)][:1]
    _copy(scene, settled=way == "a missing log" or scene.choice.random() < 0.5)
    for retirement in chosen:
        retirement.retire()
    server.kill()
    spoiled = WAYS[way](scene)
    if spoiled:
        scene.refuses(way, *spoiled)
        _put_back_fence(scene)
    scene.refuses(way, "older than its fence", "keyturn restore --repair")
    if scene.choice.random() < 0.5:
        scene.restore("--repair")
    else:
        scene.restore(str(scene.copy))
    server.start()
    _look(scene, way, chosen)
    alive = not key_is_dead(service, bystander)()
    scene.outcome.check(alive, f"{way}: an agent that changed nothing is locked out")
    for path in (*scene.folder.glob("copy.db*"), *server.data_dir.glob("*.before-*")):
        path.unlink()


def _look(scene: Scene, way: str, chosen: list[Retirement]) -> None:
    service = scene.service
    for retirement in chosen:
        for number, dead in enumerate(retirement.dead):
            what = f"{way}: {retirement.name}: credential {number} is accepted"
            scene.outcome.check(dead(), what)
        for agent_id in retirement.agents:
            answer = service.post(f"/v1/agents/{agent_id}/rotate-key", service.operator)
            mended = answer.status_code == 200 and not refused(
                service.whoami(answer.json()["apiKey"])
            )
            scene.outcome.check(mended, f"{way}: {retirement.name}: a developer can't mend it")
        scene.outcome.note(retirement.name)


def _copy(scene: Scene, *, settled: bool) -> None:
    """A backup; where it is settled, everything is in the database itself and not in its log."""
    if settled:
        scene.server.restart()
    result = scene.server.run("backup", str(scene.copy))
    scene.outcome.check(result.returncode == 0, f"no backup: {result.stderr}")


def _stale_file(scene: Scene) -> tuple[str, ...]:
    _remove(scene)
    shutil.copyfile(scene.copy, scene.database)
    return ()


def _missing_log(scene: Scene) -> tuple[str, ...]:
    """What came after the copy is in the log alone, and that gets lost."""
    for suffix in ("-wal", "-shm"):
        scene.database.with_name(f"keyturn.db{suffix}").unlink()
    return ()


def _old_dump(scene: Scene) -> tuple[str, ...]:
    """Somebody has read everything into a database of their own, row by row."""
    with closing(apsw.Connection(str(scene.copy))) as old:
        version, kind = old.pragma("user_version"), old.pragma("application_id")
        dump = "".join(_dumped(old))
    _remove(scene)
    with closing(apsw.Connection(str(scene.database))) as new:
        new.execute(dump)
        new.pragma("user_version", version)
        new.pragma("application_id", kind)
    return ()


def _dumped(old: apsw.Connection) -> list[str]:
    lines: list[str] = ["BEGIN;"]
    schema = list(
        old.execute(
            "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL "
            "AND name NOT LIKE 'sqlite_%' ORDER BY type <> 'table'"
        )
    )
    for kind, name, sql in schema:
        lines.append(f"{sql};")
        if kind == "table":
            lines += [_insertion(name, row) for row in old.execute(f"SELECT * FROM {name}")]
    return [*lines, "COMMIT;"]


def _insertion(table: object, row: tuple[Any, ...]) -> str:
    return f"INSERT INTO {table} VALUES ({','.join(map(apsw.format_sql_value, row))});"


def _torn_fence(scene: Scene) -> tuple[str, ...]:
    """A crash has left half a line: that is passed over, the rest counts."""
    _stale_file(scene)
    with scene.fence.open("ab") as fence:
        fence.write(
            b"agent 5f2b1f0e-6f0c-4a53-9d6e-0b7f3a1c9d24 0 7"[: scene.choice.randint(1, 46)]
        )
    return ()


def _damaged_fence(scene: Scene) -> tuple[str, ...]:
    content = bytearray(_keep_fence(scene))
    content[scene.choice.randrange(content.rindex(b"\n", 0, -1))] ^= 1 << scene.choice.randrange(8)
    scene.fence.write_bytes(content)
    return ("fence", "can't be used")


def _missing_fence(scene: Scene) -> tuple[str, ...]:
    _keep_fence(scene)
    scene.fence.unlink()
    return ("fence", "is missing")


def _foreign_fence(scene: Scene) -> tuple[str, ...]:
    _keep_fence(scene)
    shutil.copyfile(scene.folder / "another-fence", scene.fence)
    return ("fence", "another installation")


WAYS: dict[str, Callable[[Scene], tuple[str, ...]]] = {
    "a stale file": _stale_file,
    "a missing log": _missing_log,
    "an old dump": _old_dump,
    "a torn fence": _torn_fence,
    "a damaged fence": _damaged_fence,
    "a missing fence": _missing_fence,
    "another installation's fence": _foreign_fence,
}
"""What befalls the files; what a start that finds the fence spoiled has to say."""


def _keep_fence(scene: Scene) -> bytes:
    _stale_file(scene)
    shutil.copyfile(scene.fence, scene.folder / "kept-fence")
    return scene.fence.read_bytes()


def _put_back_fence(scene: Scene) -> None:
    (scene.folder / "kept-fence").replace(scene.fence)


def _make_another(scene: Scene) -> None:
    other = Server(scene.folder / "other", fence=scene.folder / "another-fence")
    result = other.run("developer", "create", "--email", "other@example.com")
    scene.outcome.check(result.returncode == 0, f"another installation: {result.stderr}")


def _remove(scene: Scene) -> None:
    for path in scene.server.data_dir.glob("keyturn.db*"):
        path.unlink()
