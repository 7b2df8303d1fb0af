"""Look for secrets, in every disguise that software gives them by accident, in every byte."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

BODY = slice(-49, -6)
"""The 43 random characters of a credential: what is left of it when prefix or checksum is cut."""
_TEXT = re.compile(rb"[0-9A-Za-z+/_=%-]{43,}")


def disguises(secret: bytes) -> set[bytes]:
    """The secret as it is, in hexadecimal, percent-encoded, and in base64 at each alignment."""
    found = {secret}
    for digits in (secret.hex(), secret.hex().upper()):
        found |= {digits.encode(), re.sub("(..)", r"%\1", digits).encode()}
    for offset in range(3):
        # The characters at both ends depend on what stands beside the secret.
        start, end = -(-offset * 8 // 6), (offset + len(secret)) * 8 // 6
        padded = bytes(offset) + secret
        found.add(base64.b64encode(padded)[start:end])
        found.add(base64.urlsafe_b64encode(padded)[start:end])
    return found


def credential_needles(credentials: Iterable[str]) -> dict[bytes, str]:
    """What to look for, and a name for each that is safe to print.

    The body is enough: wherever the whole credential stands, in any disguise, its body does too.
    """
    return {
        form: f"{credential[:11]}…{credential[-4:]}"
        for credential in credentials
        for form in disguises(credential[BODY].encode())
    }


def text_findings(wanted: Mapping[bytes, str], places: Mapping[str, bytes]) -> Iterator[str]:
    """Where needles of 43 or more letters and digits stand, in words that are safe to print."""
    for place, content in places.items():
        # Only what could be one is searched: there are thousands of needles.
        candidates = b"\n".join(set(_TEXT.findall(content)))
        for needle, name in wanted.items():
            if needle in candidates:
                yield f"{name} stands in {place}"


def byte_findings(secrets: Mapping[str, bytes], places: Mapping[str, bytes]) -> Iterator[str]:
    """Where secrets of any bytes stand, named by their keys."""
    for name, secret in secrets.items():
        for place, content in places.items():
            if any(form in content for form in disguises(secret)):
                yield f"{name} stands in {place}"


def files(folder: Path, *, but: str) -> dict[str, bytes]:
    """Every file below the folder, whatever it is called, but one."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != but
    }
