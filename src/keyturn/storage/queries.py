"""Reads named statements out of SQL files, so that all SQL is readable in one place."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load(file: str) -> dict[str, str]:
    """The statements of a file of this package: each begins with `-- name: NAME`."""
    _, *parts = _NAME.split(files("keyturn.storage").joinpath(file).read_text("utf-8"))
    return {
        name: text.strip().rstrip(";") for name, text in zip(parts[::2], parts[1::2], strict=True)
    }
