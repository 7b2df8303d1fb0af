"""Receipts: answers kept so that only a repeat of the same request can read them.

An answer is sealed with AES-256-GCM under a key made by HKDF-SHA-256 (RFC 5869) from a random
salt and everything that the request proved, so the database and its backups open nothing. It is
bound to the agent and the generation that the request made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SALT_LENGTH = 32
ROTATION_LIFETIME = 30 * 86_400_000
"""Milliseconds that the answer to a rotation is kept, unless its key is used sooner."""
REGISTRATION_LIFETIME = 15 * 60_000
"""Milliseconds that the answer to a registration is kept, unless its key is used sooner."""

# Each key seals one answer, because each has a salt of its own.
_NONCE = bytes(12)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A sealed answer as it is kept, with what it is found by: a keyed hash of the request."""

    agent_id: str
    generation: int
    lookup: bytes
    server_key: str
    salt: bytes
    sealed: bytes
    expires_at: int


def seal(
    answer: bytes, proof: Sequence[bytes], salt: bytes, agent_id: str, generation: int
) -> bytes:
    """The answer, sealed under everything in `proof`; the salt must be new."""
    return AESGCM(_key(proof, salt)).encrypt(_NONCE, answer, _bound_to(agent_id, generation))


def unseal(receipt: Receipt, proof: Sequence[bytes]) -> bytes | None:
    """The answer, or None where `proof` is not to the letter what it was sealed under."""
    bound_to = _bound_to(receipt.agent_id, receipt.generation)
    try:
        return AESGCM(_key(proof, receipt.salt)).decrypt(_NONCE, receipt.sealed, bound_to)
    except InvalidTag:
        return None


def length_prefixed(parts: Sequence[bytes]) -> bytes:
    """The parts as one text that no other parts make."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _key(proof: Sequence[bytes], salt: bytes) -> bytes:
    derivation = HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"keyturn receipt")
    return derivation.derive(length_prefixed(proof))


def _bound_to(agent_id: str, generation: int) -> bytes:
    return f"{agent_id} {generation}".encode()
