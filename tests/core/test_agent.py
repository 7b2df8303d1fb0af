"""What an agent's members may be, and what follows from them."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.agent import DAY, Agent, clean_metadata, clean_name, clean_text
from keyturn.core.credential import Credential, Kind
from keyturn.core.errors import InvalidRequest

KEY = Credential.generate(Kind.API_KEY, "acme_test", lambda count: bytes(range(count)))

AGENT = Agent(
    seq=1,
    id="an id",
    developer_id="a developer",
    name="an agent",
    status="active",
    generation=1,
    key_mac=b"",
    key_server_key="k1",
    key_last4="x7Qz",
    secret_mac=None,
    secret_server_key=None,
    key_created_at=1000 * DAY,
    rotation_period_days=7,
    on_reuse="alert",
    metadata="{}",
    credit_balance=100,
    self_registered=True,
    created_at=900 * DAY,
    last_used_at=None,
    last_used_address=None,
)

DECEIVING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

ACCEPTED = {
    "a": "a",
    "  my-research-agent \n": "my-research-agent",
    "x" * 100: "x" * 100,
    " " + "x" * 100 + " ": "x" * 100,
    "two words": "two words",
    "ünïcödé 名前 🤖": "ünïcödé 名前 🤖",
    "👩\u200d💻": "👩\u200d💻",
    "علي": "علي",
    "=1+1": "=1+1",
    "<b>&amp;</b>": "<b>&amp;</b>",
    "sk_live_ak_": "sk_live_ak_",
}

REFUSED = {
    "nothing": "",
    "spaces alone": " \t\n ",
    "101 characters": "x" * 101,
    "NUL": "a\x00b",
    "a line's end": "a\nb",
    "a tab": "a\tb",
    "escape": "a\x1b[31mb",
    "delete": "a\x7fb",
    "a C1 control": "a\x85b",
    "right-to-left override": "a\u202eb",
    "left-to-right isolate": "a\u2066b",
    "an Arabic letter mark": "a\u061cb",
    "a left-to-right mark at the end": "ab\u200e",
    "a line separator": "a\u2028b",
    "a paragraph separator": "a\u2029b",
    "a lone surrogate": "a\ud800b",
    "zero-width characters alone": "\u200b\u200d\ufeff",
    "a soft hyphen alone": "\u00ad",
    "zero-width characters and spaces": "\u200b \u200b",
    "a credential": KEY.reveal(),
    "a credential within": f"my {KEY.reveal()}.",
}


@pytest.mark.parametrize("name", ACCEPTED, ids=ascii)
def test_a_name_is_1_to_100_characters_after_trimming(name: str) -> None:
    assert clean_name(name) == ACCEPTED[name]


@pytest.mark.parametrize("what", REFUSED)
def test_a_name_that_is_none_is_refused_by_its_members_name(what: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^name$") as raised:
        clean_name(REFUSED[what])
    assert raised.value.detail.startswith("name: must ")
    assert (KEY.reveal()[11:] in raised.value.detail) is False


@given(name=st.text(max_size=110))
def test_a_clean_name_is_clean_already(name: str) -> None:
    try:
        cleaned = clean_name(name)
    except InvalidRequest:
        return
    assert clean_name(cleaned) == cleaned == name.strip()
    assert not DECEIVING.search(cleaned)


def test_an_error_names_the_member_that_is_meant() -> None:
    with pytest.raises(InvalidRequest) as raised:
        clean_name("", "tokenName")
    assert raised.value.detail == "tokenName: must have 1 to 100 characters"


@pytest.mark.parametrize(
    ("text", "cleaned"), [("", ""), ("  ", ""), (" why \n", "why"), ("x" * 500, "x" * 500)]
)
def test_free_text_may_be_empty_and_has_500_characters_at_most(text: str, cleaned: str) -> None:
    assert clean_text(text, "reason") == cleaned


@pytest.mark.parametrize("text", ["x" * 501, "a\x00b", "\u202eb", "a\nb", KEY.reveal()], ids=ascii)
def test_free_text_that_cannot_be_shown_or_holds_a_credential_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        clean_text(text, "reason")
    assert raised.value.detail.startswith("reason: must ")


@given(
    metadata=st.dictionaries(
        st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.text(max_size=20)
    )
)
def test_metadata_is_kept_as_compact_json_of_the_same_value(metadata: dict[str, Any]) -> None:
    text = clean_metadata(metadata)
    assert json.loads(text) == metadata
    assert len(text) <= len(json.dumps(metadata, ensure_ascii=False))


@pytest.mark.parametrize(("character", "fitting"), [("x", 4085), ("é", 2042)])
def test_metadata_has_4096_bytes_of_json_at_most(character: str, fitting: int) -> None:
    assert clean_metadata({"note": character * fitting}) == f'{{"note":"{character * fitting}"}}'
    with pytest.raises(InvalidRequest) as raised:
        clean_metadata({"note": character * (fitting + 1)})
    assert raised.value.detail == "metadata: must be at most 4096 bytes of JSON"


@pytest.mark.parametrize(
    "metadata",
    [{"key": KEY.reveal()}, {KEY.reveal(): 1}, {"deep": [{"er": f"my {KEY.reveal()}"}]}],
    ids=["a value", "a name", "deep down"],
)
def test_metadata_with_a_credential_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as raised:
        clean_metadata(metadata)
    assert raised.value.detail == "metadata: must not contain a credential"


@pytest.mark.parametrize("days", [1, 7, 365])
def test_a_key_is_due_for_rotation_after_the_agents_period(days: int) -> None:
    assert AGENT._replace(rotation_period_days=days).rotation_due_at == (1000 + days) * DAY


@pytest.mark.parametrize(
    ("last_used_at", "used"),
    [(None, False), (999 * DAY, False), (1000 * DAY, False), (1000 * DAY + 1, True)],
)
def test_a_key_was_used_once_a_use_is_later_than_its_making(
    last_used_at: int | None, used: bool
) -> None:
    assert AGENT._replace(last_used_at=last_used_at).key_was_used is used


def test_only_a_revoked_agent_is_revoked() -> None:
    assert AGENT._replace(status="revoked").revoked
    assert not AGENT.revoked
    assert not AGENT._replace(status="quarantined").revoked
