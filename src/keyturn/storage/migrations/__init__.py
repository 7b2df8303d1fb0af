"""Schema changes, numbered, in order, for each database. A file once released never changes."""

import re
from importlib.resources import files


def scripts(folder: str) -> list[str]:
    """The schema changes of one database, from the first on."""
    found = files("keyturn.storage.migrations").joinpath(folder).iterdir()
    numbered = [file for file in found if re.match(r"\d{4}_\w+\.sql$", file.name)]
    return [file.read_text("utf-8") for file in sorted(numbered, key=lambda file: file.name)]
