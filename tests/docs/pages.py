"""Reads the documentation as its tests need it: pages, code blocks, links and headings."""

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)

_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def blocks(page: str, marker: str) -> list[str]:
    """The code blocks of a page that stand right after the comment `<!-- marker -->`."""
    block = re.compile(
        rf"^( *)<!-- {re.escape(marker)} -->\n\1```\w+\n(.*?)^\1```$", re.MULTILINE | re.DOTALL
    )
    found = [textwrap.dedent(text) for _, text in block.findall((ROOT / page).read_text())]
    assert found, f"{page} has no block marked {marker!r}"
    return found


def links(page: Path) -> list[str]:
    """The targets of a page's links, those in code left out."""
    return _LINK.findall(_FENCED.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """The fragments that lead to a page's headings."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", text).strip().lower().replace(" ", "-") for text in headings}
