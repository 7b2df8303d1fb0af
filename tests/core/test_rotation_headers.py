"""What of the two headers of a rotation is usable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.rotation import DOCUMENTED_IDEMPOTENCY_KEYS, bearer_token, idempotency_key

B64TOKEN = "ABCXYZabcxyz0189-._~+/"
VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F))
KEY = "0123456789abcdef012345"
"""An idempotency key of 22 characters, the shortest."""


@given(
    scheme=st.sampled_from(["Bearer", "bearer", "BEARER", "bEaReR"]),
    spaces=st.integers(1, 5),
    token=st.text(B64TOKEN, min_size=1),
    padding=st.sampled_from(["", "=", "=="]),
)
def test_a_bearer_token_is_read_whatever_the_schemes_case_and_the_spaces(
    scheme: str, spaces: int, token: str, padding: str
) -> None:
    assert bearer_token(scheme + " " * spaces + token + padding) == token + padding


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearertoken",
        "Bearer\ttoken",
        " Bearer token",
        "Bearer token ",
        "Bearer token\n",
        "Bearer two tokens",
        "Bearer one,two",
        "Bearer =token",
        "Bearer to=ken",
        "Bearer tökén",
        "Bearer ١٢٣",
        "Bearer 'token'",
        "Bearer a\x00b",
        "Basic dXNlcjpwYXNz",
        "Token token",
        "token",
        "Bearer: token",
        "ſearer token",
    ],
)
def test_nothing_else_is_a_usable_authorization(header: str | None) -> None:
    assert bearer_token(header) is None


@given(key=st.text(VISIBLE.replace('"', ""), min_size=22, max_size=255))
def test_bare_text_of_22_to_255_visible_characters_is_an_idempotency_key(key: str) -> None:
    assert idempotency_key(key) == key


@given(key=st.text(VISIBLE, min_size=22, max_size=255))
def test_a_structured_field_string_is_the_same_key_as_the_text_it_quotes(key: str) -> None:
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    assert idempotency_key(f'"{quoted}"') == key


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("", "empty"),
        ('""', "empty, quoted"),
        (KEY[:-1], "21 characters"),
        (f'"{KEY[:-1]}"', "21 characters, quoted: the quotes don't count"),
        ("k" * 256, "256 characters"),
        (f'"{"k" * 256}"', "256 characters, quoted"),
        (f"{KEY} {KEY}", "a space"),
        (f'"{KEY} {KEY}"', "a space, quoted"),
        (f"{KEY}\t", "a tab"),
        (f"{KEY}\n", "a line's end"),
        (f"{KEY}\x7f", "a control character"),
        (f"{KEY}é", "not ASCII"),
        (f'"{KEY}é"', "not ASCII, quoted"),
        ('"' + "\\\\" * 21 + '"', "21 characters, written as 42"),
    ],
)
def test_anything_else_is_no_idempotency_key(header: str, why: str) -> None:
    assert idempotency_key(header) is None, why


def test_the_shortest_and_the_longest_idempotency_key_are_accepted_in_both_forms() -> None:
    for key in (KEY, "k" * 255):
        assert idempotency_key(key) == idempotency_key(f'"{key}"') == key


@pytest.mark.parametrize("key", sorted(DOCUMENTED_IDEMPOTENCY_KEYS))
def test_a_key_that_stands_in_our_documentation_is_none_in_either_form(key: str) -> None:
    assert idempotency_key(key) is None
    assert idempotency_key(f'"{key}"') is None
    assert idempotency_key(key[:-1] + "1") == key[:-1] + "1"
