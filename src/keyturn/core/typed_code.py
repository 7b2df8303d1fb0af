"""A code that people type: 80 bits in Crockford's base 32, forgiving of how it is typed."""

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BITS = 80
_GROUP = 4
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": ""})


def typed_code(digest: bytes) -> str:
    """The first 80 bits of the digest, as `XXXX-XXXX-XXXX-XXXX`."""
    number = int.from_bytes(digest[: BITS // 8])
    letters = [ALPHABET[number >> shift & 31] for shift in range(BITS - 5, -1, -5)]
    text = "".join(letters)
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def normal_code(typed: str) -> str:
    """What was typed, without case, spaces, hyphens, and letters that look like digits."""
    return typed.strip().upper().translate(_MISREAD)
