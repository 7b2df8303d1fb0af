"""Reads named statements out of SQL files, so that all SQL is readable in one place."""

import re
from importlib.resources import files

_BEGINNING = re.compile(r"^-- (name|part): (\w+)\n", re.MULTILINE)
_PLACE = re.compile(r"\{(\w+)\}")


def load(file: str) -> dict[str, str]:
    """The statements of a file of this package: each begins with `-- name: NAME`.

    What several of them have in common begins with `-- part: NAME`, and stands in them as `{NAME}`.
    """
    _, *found = _BEGINNING.split(files("keyturn.storage").joinpath(file).read_text("utf-8"))
    kept: dict[str, dict[str, str]] = {"name": {}, "part": {}}
    for kind, name, text in zip(found[::3], found[1::3], found[2::3], strict=True):
        kept[kind][name] = text.strip().rstrip(";")
    parts = kept["part"]
    return {
        name: _PLACE.sub(lambda place: parts[place[1]], text) for name, text in kept["name"].items()
    }
