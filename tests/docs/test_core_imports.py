"""The import rule that import-linter can't say: an allow-list instead of a list of culprits."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import keyturn.core

FILES = sorted(Path(keyturn.core.__path__[0]).rglob("*.py"))
ALLOWED = sys.stdlib_module_names | {"cryptography"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_core_imports_only_the_standard_library_and_cryptography(file: Path) -> None:
    others = {name for name in imports(file) if name.partition(".")[0] not in ALLOWED}
    assert {name for name in others if not name.startswith("keyturn.core")} == set()


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."
