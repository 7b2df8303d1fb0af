"""Every named statement fits the schema, and every record the columns that it is read from."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib.resources import files
from typing import Any

import apsw
import apsw.ext
import pytest

from keyturn.actions.guard_server_keys import KnownServerKey
from keyturn.core.agent import Agent
from keyturn.core.audit_trail import Entry, Tally
from keyturn.core.developer import Developer
from keyturn.core.recovery import Receipt
from keyturn.core.reuse import Retired
from keyturn.core.session import Session
from keyturn.core.token import Token
from keyturn.storage.queries import load
from keyturn.storage.sqlite_file import connect, prepare
from tests.storage.backends import DATABASES

FILES = {"keyturn.db": "queries.sql", "limits.db": "limits.sql"}
STATEMENTS = [(database, name) for database, file in FILES.items() for name in load(file)]


def columns_of(record: Any) -> list[str]:
    if is_dataclass(record):
        return [field.name for field in fields(record)]
    return list(record._fields)


RECORDS = {
    "agent_by_key": columns_of(Agent),
    "agent_by_key_or_newest": columns_of(Agent),
    "agent_by_id": columns_of(Agent),
    "agents_of_everybody": columns_of(Agent),
    "agents_of_developer": columns_of(Agent),
    "agents_never_used": columns_of(Agent),
    "agents_newest_first": columns_of(Agent),
    "agents_oldest_first": columns_of(Agent),
    "agents_by_name": columns_of(Agent),
    "agents_by_name_backwards": columns_of(Agent),
    "agents_by_due": columns_of(Agent),
    "agents_by_due_backwards": columns_of(Agent),
    "agents_by_used": columns_of(Agent),
    "agents_by_used_backwards": columns_of(Agent),
    "agents_by_credits": columns_of(Agent),
    "agents_by_credits_backwards": columns_of(Agent),
    "agents_overdue": columns_of(Agent),
    "developer_by_id": columns_of(Developer),
    "developers": columns_of(Developer),
    "developer_by_email": columns_of(Developer),
    "session_by_mac": columns_of(Session),
    "sessions_of_developer": columns_of(Session),
    "token_by_mac": columns_of(Token),
    "token_by_id": columns_of(Token),
    "open_invitations": columns_of(Token),
    "tokens": columns_of(Token),
    "server_keys": columns_of(KnownServerKey),
    "live_tokens": ["kind", "live"],
    "audit_of_everybody": ["seq", *columns_of(Entry)],
    "audit_of_developer": ["seq", *columns_of(Entry)],
    "audit_of_agent": ["seq", *columns_of(Entry)],
    "audit_of_action": ["seq", *columns_of(Entry)],
    "audit_of_developer_and_action": ["seq", *columns_of(Entry)],
    "audit_entry": ["seq", *columns_of(Entry)],
    "reuses_of_everybody": ["seq", *columns_of(Entry)],
    "reuses_of_developer": ["seq", *columns_of(Entry)],
    "receipt_or_newest": columns_of(Receipt),
    "retired_by_key_or_newest": columns_of(Retired),
    "retired_by_secret_or_newest": columns_of(Retired),
    "concerned_tallies": columns_of(Tally),
}
"""What reads each statement, where that is a record of several members."""

OTHER_NAMES = {
    "developer_status": "status",
    "agent_status": "status",
    "agent_generation": "generation",
}
"""Members whose column has another name."""


@pytest.fixture(scope="module")
def connections(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, apsw.Connection]]:
    """A connection to each database, freshly made."""
    folder = tmp_path_factory.mktemp("schema")
    with contextlib.ExitStack() as opened:
        found = {}
        for name, describe in DATABASES.items():
            prepare(describe(folder / name))
            found[name] = opened.enter_context(contextlib.closing(connect(describe(folder / name))))
        yield found


def info(connection: apsw.Connection, statement: str) -> apsw.ext.QueryDetails:
    return apsw.ext.query_info(connection, statement, explain_query_plan=True)


@pytest.mark.parametrize(("database", "name"), STATEMENTS)
def test_every_statement_can_be_prepared_and_is_one(
    connections: dict[str, apsw.Connection], database: str, name: str
) -> None:
    details = info(connections[database], load(FILES[database])[name])
    assert details.query_remaining is None
    assert None not in details.bindings_names


@pytest.mark.parametrize("name", RECORDS)
def test_the_columns_of_a_statement_are_the_members_of_its_record(
    connections: dict[str, apsw.Connection], name: str
) -> None:
    database = next(database for database, known in STATEMENTS if known == name)
    details = info(connections[database], load(FILES[database])[name])
    assert [column for column, *_ in details.description_full or []] == [
        OTHER_NAMES.get(member, member) for member in RECORDS[name]
    ]


def test_whatever_takes_all_columns_of_a_table_is_read_by_a_record() -> None:
    statements = {name: text for file in FILES.values() for name, text in load(file).items()}
    everything = {
        name for name, text in statements.items() if re.search(r"(?<!\d)[ .]\*[ ,\n]", text)
    }
    assert len(everything) > 10
    assert everything <= set(RECORDS)


HOT = [
    ("keyturn.db", "agent_by_key"),
    ("keyturn.db", "agent_by_key_or_newest"),
    ("keyturn.db", "agent_by_id"),
    ("keyturn.db", "token_by_mac"),
    ("keyturn.db", "retired_by_key_or_newest"),
    ("keyturn.db", "retired_by_secret_or_newest"),
    ("keyturn.db", "receipt_or_newest"),
    ("keyturn.db", "idempotency_key_was_used"),
    ("keyturn.db", "end_receipt"),
    ("keyturn.db", "receipts_expire"),
    ("keyturn.db", "replace_credentials"),
    ("keyturn.db", "note_agent_used"),
    ("keyturn.db", "note_agents_used"),
    ("keyturn.db", "end_receipts_used"),
    ("keyturn.db", "move_agent_key"),
    ("keyturn.db", "spend_token"),
    ("keyturn.db", "take_credits"),
    ("keyturn.db", "charge_by_mac"),
    ("limits.db", "counted_attempts"),
]


@pytest.mark.parametrize(("database", "name"), HOT)
def test_what_every_request_asks_is_looked_up_and_never_searched_for(
    connections: dict[str, apsw.Connection], database: str, name: str
) -> None:
    details = info(connections[database], load(FILES[database])[name])
    plan = str(details.query_plan)
    assert re.search(r"SEARCH \w+ USING", plan)
    assert "SCAN agents" not in plan
    assert "SCAN tokens" not in plan
    assert "SCAN attempts" not in plan


LOOKED_UP = [
    ("audit_of_everybody", "audit_by_time"),
    ("audit_of_developer", "audit_by_developer"),
    ("audit_of_action", "audit_by_action"),
    ("audit_of_developer_and_action", "audit_by_developer_and_action"),
    ("audit_of_agent", "audit_by_agent"),
    ("reuses_of_everybody", "audit_reused"),
    ("reuses_of_developer", "audit_reused_by_developer"),
]


@pytest.mark.parametrize(("name", "index"), LOOKED_UP)
def test_a_page_of_the_trail_is_looked_up_by_time_and_not_sorted(
    connections: dict[str, apsw.Connection], name: str, index: str
) -> None:
    details = info(connections["keyturn.db"], load("queries.sql")[name])
    plan = str(details.query_plan)
    assert re.search(rf"SEARCH audit USING INDEX {index} \(.*at>\?", plan)
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("whose", ["everybody", "developer"])
def test_rotations_are_counted_without_a_look_at_the_entries(
    connections: dict[str, apsw.Connection], whose: str
) -> None:
    details = info(connections["keyturn.db"], load("queries.sql")[f"rotations_of_{whose}"])
    assert str(details.query_plan).count("USING COVERING INDEX") == 2


@pytest.mark.parametrize("file", FILES.values())
def test_a_file_has_no_name_twice(file: str) -> None:
    text = files("keyturn.storage").joinpath(file).read_text()
    names = re.findall(r"^-- name: (\w+)$", text, re.MULTILINE)
    assert len(names) == len(set(names)) == len(load(file))
