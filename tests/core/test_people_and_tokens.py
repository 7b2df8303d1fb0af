"""Developers' emails, the life of tokens, and how instants are written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.credential import Kind
from keyturn.core.developer import clean_email
from keyturn.core.errors import InvalidRequest
from keyturn.core.instant import from_datetime, rfc3339
from keyturn.core.token import Token

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("email", "cleaned"),
    [
        ("ada@example.com", "ada@example.com"),
        (" Ada.Lovelace+k@Example.COM\n", "ada.lovelace+k@example.com"),
        ("ada@localhost", "ada@localhost"),
        ("o'hara/x=y@[192.0.2.1]", "o'hara/x=y@[192.0.2.1]"),
        ("a" * 64 + "@" + "b" * 189, "a" * 64 + "@" + "b" * 189),
    ],
)
def test_an_email_is_kept_in_lower_case(email: str, cleaned: str) -> None:
    assert clean_email(email) == cleaned


@pytest.mark.parametrize(
    "email",
    [
        "",
        " ",
        "ada",
        "@example.com",
        "ada@",
        "ada@exa mple.com",
        "ada lovelace@example.com",
        "ada@one@two",
        "a\x00da@example.com",
        "\u202eada@example.com",
        "a" * 65 + "@example.com",
        "a@" + "b" * 190,
        "ädä@example.com",
        "ada@exämple.com",
        "ada@ex\x7fample.com",
    ],
    ids=ascii,
)
def test_what_is_no_email_is_refused(email: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        clean_email(email)
    assert raised.value.detail.startswith("email: must ")


def token(
    expires_at: int | None = None,
    max_uses: int | None = None,
    uses: int = 0,
    developer_status: str | None = "active",
) -> Token:
    return Token(
        seq=1,
        id="an id",
        kind=Kind.ENROLMENT_TOKEN,
        developer_id="a developer",
        name="a token",
        mac=b"",
        server_key="k1",
        last4="x7Qz",
        created_at=NOW,
        last_used_at=None,
        expires_at=expires_at,
        max_uses=max_uses,
        uses=uses,
        created_by=None,
        operator=False,
        developer_status=developer_status,
    )


@pytest.mark.parametrize(
    ("kept", "live"),
    [
        (token(), True),
        (token(expires_at=NOW + 1), True),
        (token(expires_at=NOW), False),
        (token(expires_at=NOW - 1), False),
        (token(developer_status="disabled"), False),
        (token(developer_status="disabled", expires_at=NOW + 1), False),
        (token(developer_status=None), True),
        (token(developer_status=None, expires_at=NOW), False),
    ],
)
def test_a_token_lives_until_it_expires_or_its_developer_is_disabled(
    kept: Token, live: bool
) -> None:
    assert kept.is_live(NOW) is live


@pytest.mark.parametrize(
    ("maker", "operator", "developer", "seen"),
    [
        ("ada", False, "ada", True),
        ("ada", False, "bob", False),
        ("ada", True, "bob", True),
        (None, False, "bob", True),
        (None, None, "bob", True),
    ],
)
def test_a_service_sees_its_developers_agents_or_an_operators_or_the_installations_all(
    maker: str | None, operator: bool | None, developer: str, seen: bool
) -> None:
    assert token()._replace(developer_id=maker, operator=operator).sees(developer) is seen


@pytest.mark.parametrize(
    ("max_uses", "uses", "used_up"),
    [(None, 0, False), (None, 99, False), (1, 0, False), (1, 1, True), (3, 2, False), (3, 3, True)],
)
def test_a_token_is_used_up_after_as_many_uses_as_it_has(
    max_uses: int | None, uses: int, used_up: bool
) -> None:
    assert token(max_uses=max_uses, uses=uses).used_up is used_up


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_769_851_800_250, "2026-01-31T09:30:00.250Z"),
        (951_782_400_007, "2000-02-29T00:00:00.007Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_instants_are_written_in_utc_with_milliseconds(instant: int, text: str) -> None:
    assert rfc3339(instant) == text


@given(instant=st.integers(0, 253_402_300_799_999))
def test_what_is_written_is_the_same_instant_when_read(instant: int) -> None:
    assert from_datetime(datetime.fromisoformat(rfc3339(instant))) == instant


@given(first=st.integers(0, 10**14), second=st.integers(0, 10**14))
def test_written_instants_sort_as_they_happened(first: int, second: int) -> None:
    assert (rfc3339(first) < rfc3339(second)) is (first < second)


def test_a_datetimes_offset_is_taken_into_account() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    later_in_cairo = noon.astimezone(timezone(timedelta(hours=2)))
    assert from_datetime(noon) == from_datetime(later_in_cairo)


@given(bound=st.datetimes(timezones=st.just(UTC)), near=st.integers(-3, 3))
def test_an_instant_is_before_a_datetime_exactly_when_it_is_before_its_instant(
    bound: datetime, near: int
) -> None:
    instant = from_datetime(bound) + near
    since_1970 = bound - datetime(1970, 1, 1, tzinfo=UTC)
    assert (timedelta(milliseconds=instant) < since_1970) is (instant < from_datetime(bound))


@pytest.mark.parametrize(
    ("digits", "milliseconds"),
    [("250", 250), ("2500", 250), ("2501", 251), ("2505", 251), ("250999", 251), ("999001", 1000)],
)
def test_what_is_finer_than_a_millisecond_counts_as_the_next(
    digits: str, milliseconds: int
) -> None:
    read = datetime.fromisoformat(f"2026-01-31T09:30:00.{digits.ljust(6, '0')}+00:00")
    assert from_datetime(read) == 1_769_851_800_000 + milliseconds
