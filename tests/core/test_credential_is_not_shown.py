"""A credential shows nothing of itself but its kind and last 4 characters."""

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.credential import Credential, Kind, contains_credential, mask, redact

CREDENTIAL = Credential.generate(Kind.API_KEY, "sk_live", lambda count: bytes(range(count)))
MASKED = "sk_live_ak_…" + CREDENTIAL.reveal()[-4:]


@dataclass(frozen=True, slots=True)
class Holder:
    """Something that has a credential."""

    credential: Credential


class Disaster(Exception):
    pass


def fail_beside(credential: Credential) -> None:
    """Raise in a function that has the credential in a variable and in the error."""
    held = {"of a request": [Holder(credential)]}
    raise Disaster(held)


def traceback_with_variables() -> str:
    try:
        fail_beside(CREDENTIAL)
    except Disaster as error:
        return "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
    return ""


def log_line() -> str:
    record = logging.LogRecord("test", logging.INFO, "", 0, "%s %r", (CREDENTIAL, CREDENTIAL), None)
    return record.getMessage()


WAYS_TO_SHOW: dict[str, Callable[[], str]] = {
    "repr": lambda: repr(CREDENTIAL),
    "str": lambda: str(CREDENTIAL),
    "format": lambda: format(CREDENTIAL),
    "an f-string": lambda: f"{CREDENTIAL}",
    "the percent sign": lambda: "%s and %r" % (CREDENTIAL, CREDENTIAL),  # noqa: UP031
    "a list's repr": lambda: repr([CREDENTIAL]),
    "a dataclass's repr": lambda: repr(Holder(CREDENTIAL)),
    "an exception's arguments": lambda: str(Disaster(CREDENTIAL)),
    "a log line": log_line,
    "a traceback with its variables": traceback_with_variables,
}


def hides(shown: str) -> bool:
    """Whether no five characters of the secret part can be read, the last four aside."""
    secret = CREDENTIAL.reveal().removeprefix("sk_live_ak_")
    return not any(secret[place : place + 5] in shown for place in range(len(secret) - 4))


def test_these_tests_can_tell_a_shown_credential() -> None:
    assert hides("sk_live_ak_…" + CREDENTIAL.reveal()[-4:]) is True
    assert hides(CREDENTIAL.reveal()) is False
    assert hides(CREDENTIAL.reveal()[20:25]) is False


@pytest.mark.parametrize("way", WAYS_TO_SHOW)
def test_it_shows_itself_masked(way: str) -> None:
    shown = WAYS_TO_SHOW[way]()
    assert hides(shown) is True
    assert MASKED in shown


def test_it_is_masked_as_kind_and_last_four_characters() -> None:
    assert CREDENTIAL.masked == MASKED
    assert CREDENTIAL.last4 == MASKED[-4:]
    assert mask("sk_live_ak_", "x7Qz") == "sk_live_ak_…x7Qz"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="can't be pickled") as raised:
        pickle.dumps(CREDENTIAL, protocol)
    assert hides(str(raised.value)) is True


COPIES: dict[str, Callable[[], object]] = {
    "copy": lambda: copy.copy(CREDENTIAL),
    "deepcopy": lambda: copy.deepcopy(CREDENTIAL),
    "a copy of what holds it": lambda: copy.deepcopy(Holder(CREDENTIAL)),
    "its holder as a dictionary": lambda: asdict(Holder(CREDENTIAL)),
    "json": lambda: json.dumps({"credential": CREDENTIAL}),
    "vars": lambda: vars(CREDENTIAL),
    "padded format": lambda: format(CREDENTIAL, ">80"),
}


@pytest.mark.parametrize("way", COPIES)
def test_what_would_copy_or_unfold_it_fails_and_shows_nothing(way: str) -> None:
    with pytest.raises(TypeError) as raised:
        COPIES[way]()
    assert hides(str(raised.value)) is True


def test_it_has_no_attribute_that_could_be_listed_but_its_kind() -> None:
    public = {name for name in dir(CREDENTIAL) if not name.startswith("_")}
    assert public == {"generate", "parse", "kind", "last4", "masked", "reveal"}
    assert not hasattr(CREDENTIAL, "__dict__")


AROUND = st.text(st.characters(exclude_characters="0123456789", exclude_categories=["L", "N"]))


@given(before=AROUND, after=AROUND, kind=st.sampled_from(Kind), drawn=st.binary(max_size=40))
def test_a_credential_anywhere_in_a_text_is_found_and_masked(
    before: str, after: str, kind: Kind, drawn: bytes
) -> None:
    source = iter([*drawn, *range(100)])
    made = Credential.generate(
        kind, "acme_test", lambda count: bytes(next(source) for _ in range(count))
    )
    text = before + made.reveal() + after
    assert contains_credential(text) is True
    shown = redact(text)
    assert shown == f"{before}acme_test_{kind}_…{made.last4}{after}"
    assert contains_credential(shown) is False


def test_every_credential_of_a_text_is_masked() -> None:
    text = CREDENTIAL.reveal()
    assert redact(f"{text},{text} {text[:-1]}\n{text}") == (
        f"{MASKED},{MASKED} {MASKED[:-4]}{text[-5:-1]}\n{MASKED}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk_live_ak_",
        "sk_live_ak_" + "0" * 42,
        "sk_live_xx_" + "0" * 49,
        "ak_" + "0" * 49,
        "sk_live_AK_" + "0" * 49,
        "an ordinary sentence about sk_live_ak_…x7Qz",
        "_ak_ " + "0" * 49,
    ],
)
def test_what_only_resembles_a_credential_stays_as_it_is(text: str) -> None:
    assert contains_credential(text) is False
    assert redact(text) == text
