"""How credentials are kept: keyed hashes, and the server keys they are under."""

import base64
import hashlib
import hmac
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.credential import Credential, Kind
from keyturn.core.keyed_hash import InvalidServerKey, Keyring, ServerKey, parse_server_keys

FIRST = ServerKey("k1", b"1" * 32)
SECOND = ServerKey("k2", b"2" * 32)
SECRET_TEXT = base64.urlsafe_b64encode(bytes(range(200, 232))).decode().rstrip("=")
"""A server key of 32 bytes as people write it; it has both - and _ or neither by chance."""

KEY = Credential.generate(Kind.API_KEY, "sk_live", lambda count: bytes(range(count)))
OTHER = Credential.generate(Kind.API_KEY, "sk_live", lambda count: bytes(range(1, count + 1)))


def test_a_credential_is_kept_as_its_hmac_sha_256_under_the_current_server_key() -> None:
    mac = Keyring([FIRST, SECOND]).mac(KEY)
    expected = hmac.new(b"1" * 32, KEY.reveal().encode(), hashlib.sha256).digest()
    assert mac.server_key == "k1"
    assert (mac.digest == expected) is True


def test_a_credential_is_looked_for_under_every_server_key_the_current_one_first() -> None:
    ring = Keyring([FIRST, SECOND])
    assert ring.candidates(KEY) == [Keyring([FIRST]).mac(KEY), Keyring([SECOND]).mac(KEY)]
    assert ring.candidates(KEY)[0] == ring.mac(KEY)


@pytest.mark.parametrize(
    ("kept_under", "ring", "found"),
    [
        (FIRST, [FIRST], True),
        (FIRST, [SECOND, FIRST], True),
        (SECOND, [FIRST, SECOND], True),
        (FIRST, [SECOND], False),
        (FIRST, [ServerKey("k1", b"another secret of the same id..."), SECOND], False),
    ],
)
def test_a_credential_matches_while_its_server_key_is_there(
    kept_under: ServerKey, ring: list[ServerKey], found: bool
) -> None:
    mac = Keyring([kept_under]).mac(KEY)
    assert Keyring(ring).matches(KEY, mac.server_key, mac.digest) is found


def test_another_credential_does_not_match() -> None:
    ring = Keyring([FIRST])
    mac = ring.mac(KEY)
    assert ring.matches(OTHER, mac.server_key, mac.digest) is False
    assert ring.matches(KEY, mac.server_key, b"") is False
    assert ring.matches(KEY, mac.server_key, mac.digest[:-1]) is False


def test_bytes_are_kept_as_their_hmac_sha_256_too() -> None:
    keyring = Keyring([FIRST, SECOND])
    expected = hmac.digest(FIRST.secret, b"some bytes", hashlib.sha256)
    assert keyring.mac(b"some bytes").digest == expected
    assert [mac.server_key for mac in keyring.candidates(b"some bytes")] == ["k1", "k2"]


def test_the_verifier_tells_keys_of_one_id_apart_and_tells_no_key() -> None:
    same, other = ServerKey("k1", b"1" * 32), ServerKey("k1", b"x" * 32)
    assert FIRST.verifier == same.verifier != other.verifier
    assert FIRST.secret not in FIRST.verifier


@pytest.mark.parametrize(
    ("keys", "why"),
    [([], "no server key"), ([FIRST, ServerKey("k1", b"3" * 32)], "same id")],
)
def test_a_keyring_needs_keys_and_each_id_once(keys: list[ServerKey], why: str) -> None:
    with pytest.raises(InvalidServerKey, match=why):
        Keyring(keys)


SHOWN: dict[str, Callable[[], str]] = {
    "a server key": lambda: repr(FIRST) + str(FIRST) + f"{FIRST}",
    "a keyring": lambda: repr(Keyring([FIRST, SECOND])) + str(Keyring([FIRST])),
}


@pytest.mark.parametrize("what", SHOWN)
def test_what_is_shown_has_the_ids_and_no_key(what: str) -> None:
    shown = SHOWN[what]()
    assert "k1" in shown
    assert "1111" not in shown
    assert "2222" not in shown


key_ids = st.text("abcXYZ019_.-", min_size=1, max_size=64)
server_keys = st.builds(ServerKey, key_ids, st.binary(min_size=32, max_size=48))


@given(
    keys=st.lists(server_keys, max_size=4), separator=st.sampled_from([",", "\n", " , ", "\n\n"])
)
def test_keys_that_are_written_are_read_back_in_their_order(
    keys: list[ServerKey], separator: str
) -> None:
    text = separator.join(key.encode() for key in keys)
    assert parse_server_keys(text) == keys


@pytest.mark.parametrize("text", ["", " ", "\n", ",", " ,\n, "])
def test_a_text_without_entries_has_no_keys(text: str) -> None:
    assert parse_server_keys(text) == []


@pytest.mark.parametrize("padding", ["", "="])
def test_padding_may_be_written_or_left_out(padding: str) -> None:
    [key] = parse_server_keys(f"k1:{SECRET_TEXT}{padding}")
    assert (key.id, len(key.secret)) == ("k1", 32)


MALFORMED = {
    "no id": f":{SECRET_TEXT}",
    "an id with a space": f"my key:{SECRET_TEXT}",
    "an id that is too long": f"{'k' * 65}:{SECRET_TEXT}",
    "a character outside the alphabet": f"k1:{SECRET_TEXT[:-1]}!",
    "a letter outside ASCII": f"k1:{SECRET_TEXT[:-1]}é",
    "padding in the middle": f"k1:{SECRET_TEXT[:20]}=={SECRET_TEXT[20:]}",
    "a length that no base64 has": f"k1:{SECRET_TEXT[:-2]}",
    "half a key": f"k1:{SECRET_TEXT[:22]}",
    "no key": "k1:",
    "one good and one bad": f"k1:{SECRET_TEXT},k2:{SECRET_TEXT[:22]}",
    "a space within": f"k1:{SECRET_TEXT[:20]} {SECRET_TEXT[20:]}",
    "the id forgotten": SECRET_TEXT,
    "the id after the key": f"{SECRET_TEXT}:k1",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_entry_is_refused_without_showing_any_of_the_key(text: str) -> None:
    with pytest.raises(InvalidServerKey) as raised:
        parse_server_keys(text)
    shown = "".join(traceback.format_exception(raised.value))
    parts = (SECRET_TEXT[place : place + 8] for place in range(len(SECRET_TEXT) - 7))
    assert any(part in shown for part in parts) is False


def test_a_server_key_is_found_by_its_id_to_derive_others_from() -> None:
    keyring = Keyring([FIRST, SECOND])
    assert (keyring.secret("k2") == b"2" * 32) is True
    assert keyring.secret("k3") is None
