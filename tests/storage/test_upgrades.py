"""What was kept under an earlier schema is understood under this one, on both databases."""

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from keyturn.storage import migrations, postgres_server, sqlite_file
from tests.postgres import Cluster

TRAIL = """
    INSERT INTO audit (id, at, actor_kind, actor_id, action, outcome, developer_id, details)
    VALUES
        ('1', 1, 'command_line', NULL, 'token.created', 'success', 'ada', '{"tokenId": "first"}'),
        ('2', 2, 'developer', 'ada', 'token.created', 'success', 'bob', '{"tokenId": "given"}'),
        ('3', 3, 'developer', 'bob', 'token.created', 'success', 'bob', '{"tokenId": "own"}'),
        ('4', 4, 'developer', 'bob', 'token.created', 'refused', 'bob', '{"reason": "no"}'),
        ('5', 5, 'developer', 'ada', 'token.deleted', 'success', 'bob', '{"tokenId": "own"}')
"""


@dataclass(frozen=True)
class Databases:
    """One database, of one of the two kinds."""

    described: sqlite_file.Database | postgres_server.Database
    folder: Path

    def upgrade(self, number: int | None = None) -> None:
        """To the schema of this number, or the newest."""
        found = migrations.scripts(self.described.migrations)[:number]
        folder = self.folder / f"until-{len(found)}"
        folder.mkdir()
        for place, script in enumerate(found, 1):
            (folder / f"{place:04}_script.sql").write_text(script)
        described = replace(self.described, migrations=str(folder))
        if isinstance(described, sqlite_file.Database):
            assert sqlite_file.prepare(described) == len(found)
        else:
            assert postgres_server.prepare(described) == len(found)

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        if isinstance(self.described, sqlite_file.Database):
            with contextlib.closing(apsw.Connection(str(self.described.path))) as connection:
                return list(connection.execute(statement))
        with psycopg.connect(self.described.url, autocommit=True) as connected:
            cursor = connected.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    """One that is not there yet."""
    if request.param == "sqlite":
        return Databases(sqlite_file.credentials_database(tmp_path / "keyturn.db"), tmp_path)
    cluster: Cluster = request.getfixturevalue("postgres")
    return Databases(postgres_server.credentials_database(cluster.new_database()), tmp_path)


def test_who_made_a_token_of_before_is_known_from_the_trail(database: Databases) -> None:
    database.upgrade(10)
    blob = "BLOB" if isinstance(database.described, sqlite_file.Database) else "BYTEA"
    database.run(f"INSERT INTO server_keys VALUES ('k', CAST('' AS {blob}), 0, 0)")
    for name in ("ada", "bob"):
        database.run(
            "INSERT INTO developers (id, email, operator, status, created_at) "
            f"VALUES ('{name}', '{name}@example.com', 0, 'active', 0)"
        )
    for name, owner in (("first", "ada"), ("given", "bob"), ("own", "bob"), ("untold", "bob")):
        database.run(
            "INSERT INTO tokens (id, kind, developer_id, name, mac, server_key, last4, created_at) "
            f"VALUES ('{name}', 'dt', '{owner}', '', CAST('{name}' AS {blob}), 'k', '0000', 0)"
        )
    database.run(TRAIL)
    database.upgrade()
    assert database.run("SELECT id, created_by FROM tokens ORDER BY seq") == [
        ("first", None),
        ("given", "ada"),
        ("own", "bob"),
        ("untold", None),
    ]
