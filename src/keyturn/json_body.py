"""Reads JSON as the contract does: duplicate members, lone surrogates, NaN and depth refused."""

import json
import math
from typing import Any, NoReturn

MAX_DEPTH = 32


class MalformedJson(ValueError):
    """The bytes are not the JSON that we accept."""


class DuplicateMember(ValueError):
    """An object names a member twice, so two readers may understand two things."""


def read_json(body: bytes) -> Any:
    """The value of `body`.

    Raises:
        DuplicateMember
        MalformedJson: not UTF-8 or not JSON (RFC 8259), or nested deeper than 32 levels.
    """
    try:
        value = _DECODER.decode(body.decode("utf-8"))
        if b"\\u" in body:
            # Lone surrogates can be written as escapes, and can't be encoded again.
            _ENCODER.encode(value).encode("utf-8")
        if _depth(value) > MAX_DEPTH:
            raise MalformedJson
    except DuplicateMember:
        raise
    except (ValueError, RecursionError) as error:
        raise MalformedJson from error
    return value


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise DuplicateMember
    return members


def _refuse(constant: str) -> NoReturn:
    raise MalformedJson(constant)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((_depth(item) for item in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((_depth(item) for item in value), default=0)
    return 0


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise MalformedJson(digits)
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_members, parse_constant=_refuse, parse_float=_finite
)
_ENCODER = json.JSONEncoder(ensure_ascii=False)
