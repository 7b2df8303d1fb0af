"""Whoever copies an idempotency key from our documentation is told so, and not served."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from keyturn.core.rotation import DOCUMENTED_IDEMPOTENCY_KEYS, idempotency_key
from keyturn.testing import running_server
from tests.docs.pages import PAGES, ROOT

# After the header's name in a command, a program or a message: what could be sent as it stands.
_SHOWN = re.compile(
    r"""Idempotency-Key["'`]?\s*[:=,]\s*(?:\(string\)\s*)?["'`]*([!#-&(-_a-~]+)""", re.IGNORECASE
)
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


def shown(text: str) -> set[str]:
    """The idempotency keys that a text shows; what a shell would fill in is none."""
    found = {match.strip("\"'`,.;)") for match in _SHOWN.findall(text)}
    return {key for key in found if "$" not in key and 22 <= len(key) <= 255}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_one_that_a_page_shows_is_refused(page: Any) -> None:
    assert shown(page.read_text()) <= DOCUMENTED_IDEMPOTENCY_KEYS


def test_every_one_in_the_openapi_document_is_refused() -> None:
    with running_server() as server:
        document = httpx.get(f"{server.url}/openapi.json").json()
    assert set(_examples(document)) <= DOCUMENTED_IDEMPOTENCY_KEYS


def test_every_one_in_our_own_docstrings_is_refused() -> None:
    for source in (ROOT / "src").rglob("*.py"):
        assert shown(source.read_text()) <= DOCUMENTED_IDEMPOTENCY_KEYS, source


def test_there_is_one_to_copy() -> None:
    assert shown((ROOT / "docs/api.md").read_text()) == DOCUMENTED_IDEMPOTENCY_KEYS


def test_those_that_are_refused_would_be_good_otherwise() -> None:
    for key in DOCUMENTED_IDEMPOTENCY_KEYS:
        assert idempotency_key(key) is None
        assert _UUID.fullmatch(key)


@pytest.mark.parametrize(
    "text",
    [
        "curl -H 'Idempotency-Key: 0b2f5f0e-1111-4d0b-8a51-3f1d2b6e4a90'",
        'curl -H "idempotency-key: 0b2f5f0e-1111-4d0b-8a51-3f1d2b6e4a90"',
        'Idempotency-Key: "0b2f5f0e-1111-4d0b-8a51-3f1d2b6e4a90"',
        "headers={'Idempotency-Key': '0b2f5f0e-1111-4d0b-8a51-3f1d2b6e4a90'}",
        '{"Idempotency-Key": "0b2f5f0e-1111-4d0b-8a51-3f1d2b6e4a90"}',
        "`Idempotency-Key`: `0b2f5f0e-1111-4d0b-8a51-3f1d2b6e4a90`",
    ],
)
def test_the_search_finds_them_however_they_are_written(text: str) -> None:
    assert shown(text) == {"0b2f5f0e-1111-4d0b-8a51-3f1d2b6e4a90"}


def test_the_search_leaves_alone_what_a_shell_fills_in() -> None:
    assert shown('curl -H "Idempotency-Key: $(uuidgen)-and-some-more-text-here"') == set()


def _examples(document: dict[str, Any]) -> Iterator[str]:
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                if parameter["name"].lower() == "idempotency-key":
                    schema = parameter["schema"]
                    yield from [*schema.get("examples", []), *parameter.get("examples", [])]
                    yield from [it["example"] for it in (schema, parameter) if "example" in it]
