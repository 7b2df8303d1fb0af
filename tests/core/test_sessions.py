"""Sessions, passwords, typed codes and the age of keys, as plain values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.developer import MAX_PASSWORD, MIN_PASSWORD, clean_password
from keyturn.core.errors import InvalidRequest
from keyturn.core.key_age import key_age, period_gone
from keyturn.core.session import MAX_AGE, MAX_IDLE, RECENT, Session
from keyturn.core.typed_code import normal_code, typed_code

NOW = 1_800_000_000_000
EMAIL = "ada@example.com"


def session(
    *,
    created: int = NOW,
    used: int | None = None,
    status: str = "active",
    authenticated: int = NOW,
) -> Session:
    return Session(
        "id", "developer", EMAIL, False, status, "k1", created, used, created + MAX_AGE, None,
        None, authenticated,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("case", "kept", "alive"),
    [
        ("just begun", session(), True),
        ("not used for almost too long", session(created=NOW - MAX_IDLE + 1), True),
        ("never used for too long", session(created=NOW - MAX_IDLE), False),
        ("used lately, though old", session(created=NOW - 2 * MAX_IDLE, used=NOW - 1), True),
        ("used long ago", session(created=NOW - 3 * MAX_IDLE, used=NOW - MAX_IDLE), False),
        ("too old, though used", session(created=NOW - MAX_AGE, used=NOW - 1), False),
        ("of a disabled developer", session(status="disabled"), False),
    ],
)
def test_a_session_is_alive_while_it_is_used_and_young(
    case: str, kept: Session, alive: bool
) -> None:
    assert kept.is_live(NOW) is alive, case


@pytest.mark.parametrize(
    ("case", "authenticated", "recent"),
    [
        ("just now", NOW, True),
        ("almost too long ago", NOW - RECENT + 1, True),
        ("too long ago", NOW - RECENT, False),
        ("in the future, by a wrong clock", NOW + 1, False),
    ],
)
def test_the_password_counts_for_some_minutes(case: str, authenticated: int, recent: bool) -> None:
    assert session(authenticated=authenticated).is_recent(NOW) is recent, case


@pytest.mark.parametrize(
    ("case", "password"),
    [
        ("too short", "x" * (MIN_PASSWORD - 1)),
        ("too long", "x" * (MAX_PASSWORD + 1)),
        ("the email", EMAIL),
        ("the email in capitals, with spaces", f"  {EMAIL.upper()} "),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused_and_not_shown(
    case: str, password: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        clean_password(password, EMAIL)
    assert refused.value.detail.startswith("password: "), case
    assert password not in refused.value.detail


def test_a_password_is_the_same_however_its_letters_were_composed() -> None:
    assert clean_password("cafe\u0301 au lait, please", EMAIL) == "café au lait, please"


@pytest.mark.parametrize("length", [MIN_PASSWORD, MAX_PASSWORD])
def test_a_password_of_any_characters_is_taken(length: int) -> None:
    assert clean_password(" " * length, EMAIL) == " " * length


def test_a_code_is_80_bits_in_four_groups() -> None:
    assert typed_code(bytes(32)) == "0000-0000-0000-0000"
    assert typed_code(b"\xff" * 32) == "ZZZZ-ZZZZ-ZZZZ-ZZZZ"
    assert typed_code(bytes(9) + b"\x01" + bytes(22)) == "0000-0000-0000-0001"


@given(st.binary(min_size=32, max_size=32))
def test_a_code_is_known_however_it_is_typed(digest: bytes) -> None:
    code = typed_code(digest)
    typed = f" {code.lower().replace('-', ' ').replace('0', 'o').replace('1', 'l')} "
    assert normal_code(typed) == normal_code(code)


@given(st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_codes_of_different_bits_differ(first: bytes, second: bytes) -> None:
    assert (typed_code(first) == typed_code(second)) == (first == second)


@pytest.mark.parametrize(
    ("gone", "told"),
    [(0.0, "fresh"), (0.79, "fresh"), (0.8, "due"), (1.0, "due"), (1.01, "overdue")],
)
def test_a_key_is_fresh_then_due_then_overdue(gone: float, told: str) -> None:
    assert key_age(gone) == told


@pytest.mark.parametrize(
    ("now", "gone"), [(NOW - 1, 0.0), (NOW, 0.0), (NOW + 50, 0.5), (NOW + 200, 2.0)]
)
def test_a_key_is_so_far_through_its_period(now: int, gone: float) -> None:
    assert period_gone(NOW, NOW + 100, now) == gone
