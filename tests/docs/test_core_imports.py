"""The import rule that import-linter can't say: an allow-list instead of a list of culprits."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import keyturn.client
import keyturn.core

FILES = sorted(Path(keyturn.core.__path__[0]).rglob("*.py"))
ALLOWED = sys.stdlib_module_names | {"cryptography"}
CLIENT = sorted(Path(keyturn.client.__path__[0]).rglob("*.py"))
SHARED = {"keyturn", "keyturn.core.credential"}
"""What client and server have in common: the version, the wire (`from keyturn`), the format."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_core_imports_only_the_standard_library_and_cryptography(file: Path) -> None:
    others = {name for name in imports(file) if name.partition(".")[0] not in ALLOWED}
    assert {name for name in others if not name.startswith("keyturn.core")} == set()


@pytest.mark.parametrize("file", CLIENT, ids=lambda file: file.name)
def test_the_client_imports_httpx_and_what_it_shares_with_the_server(file: Path) -> None:
    allowed = sys.stdlib_module_names | {"httpx", "anyio"}
    others = {name for name in imports(file) if name.partition(".")[0] not in allowed}
    assert {name for name in others if not name.startswith("keyturn.client")} <= SHARED


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."
