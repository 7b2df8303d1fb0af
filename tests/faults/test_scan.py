"""The search for secrets finds them in every disguise: one that can't find proves nothing."""

import base64
import random
from pathlib import Path

import pytest

from .misplaced import made_up
from .scan import BODY, byte_findings, credential_needles, files, text_findings

CREDENTIAL = made_up("ak", random.Random(1)).encode()
DISGUISES = {
    "itself": CREDENTIAL,
    "its body": CREDENTIAL[BODY],
    "hexadecimal": CREDENTIAL.hex().encode(),
    "capital hexadecimal": CREDENTIAL.hex().upper().encode(),
    "percent-encoding": "".join(f"%{byte:02X}" for byte in CREDENTIAL).encode(),
    "base64": base64.b64encode(CREDENTIAL),
    "base64 after one byte": base64.b64encode(b":" + CREDENTIAL),
    "base64 after two bytes": base64.urlsafe_b64encode(b"u:" + CREDENTIAL + b"\n"),
    "base64 of its body": base64.b64encode(CREDENTIAL[BODY]),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_credential_is_found_in_a_file_in_every_disguise(disguise: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"\x00before " + DISGUISES[disguise] + b'"after')
    found = text_findings(credential_needles([CREDENTIAL.decode()]), files(tmp_path, but="key"))
    assert [finding.endswith("stands in deep/file") for finding in found] == [True]


@pytest.mark.parametrize("prefix", [b"", b"1", b"12"])
def test_a_key_of_any_bytes_is_found(prefix: bytes, tmp_path: Path) -> None:
    key = random.Random(2).randbytes(32)
    for content in (prefix + key, base64.urlsafe_b64encode(prefix + key), key.hex().encode()):
        (tmp_path / "file").write_bytes(content)
        found = byte_findings({"the key": key}, files(tmp_path, but="key"))
        assert list(found) == ["the key stands in file"]


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    other = made_up("ak", random.Random(3))
    (tmp_path / "file").write_bytes(CREDENTIAL)
    (tmp_path / "key").write_text(other)
    assert not list(text_findings(credential_needles([other]), files(tmp_path, but="key")))


def test_what_is_found_is_named_without_being_shown() -> None:
    wanted = credential_needles([CREDENTIAL.decode()])
    (found,) = text_findings(wanted, {"a place": CREDENTIAL})
    assert CREDENTIAL[BODY].decode() not in found
