"""Every credential that a confused or hostile client might put in either place."""

import secrets
import zlib

from .model import Agent

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KEYS = ("current", "old", "other's", "made up", "damaged", "secret", "operator's", "absent")
SECRETS = ("current", "old", "other's", "made up", "damaged", "key", "null", "empty", "number")


def key_for(choice: str, agent: Agent, other: Agent, operator: str) -> str | None:
    """What goes into the `Authorization` header; None leaves it out."""
    return {
        "current": agent.key,
        "old": (*agent.retired[0], agent.key)[0],
        "other's": other.key,
        "made up": _made_up("ak"),
        "damaged": _damaged(agent.key),
        "secret": agent.secret,
        "operator's": operator,
        "absent": None,
    }[choice]


def secret_for(choice: str, agent: Agent, other: Agent) -> object:
    """What goes into the body as `rotationSecret`."""
    return {
        "current": agent.secret,
        "old": (*agent.retired[1], agent.secret)[0],
        "other's": other.secret,
        "made up": _made_up("rs"),
        "damaged": _damaged(agent.secret or _made_up("rs")),
        "key": agent.key,
        "null": None,
        "empty": "",
        "number": 7,
    }[choice]


def _made_up(kind: str) -> str:
    """A credential that nobody issued, in perfect form."""
    start = f"sk_live_{kind}_" + "".join(secrets.choice(ALPHABET) for _ in range(43))
    number, digits = zlib.crc32(start.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return start + digits.rjust(6, "0")


def _damaged(credential: str) -> str:
    """The credential with a typing error in its last character."""
    return credential[:-1] + ("0" if credential[-1] != "0" else "1")
