"""Links that lead somewhere."""

from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    lost = [target for target in links(page) if not leads_somewhere(page, target)]
    assert not lost


def leads_somewhere(page: Path, target: str) -> bool:
    if target.startswith(("http://", "https://")):
        return True
    path, _, fragment = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    return (
        file.is_relative_to(ROOT) and file.is_file() and (not fragment or fragment in anchors(file))
    )


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in links(page)
    }
    assert [page for page in PAGES if page not in linked and page.name != "README.md"] == []
