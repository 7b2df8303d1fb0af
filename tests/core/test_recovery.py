"""Sealed answers: what was sealed opens for the same proof, and for nothing that differs."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.recovery import (
    REGISTRATION_LIFETIME,
    ROTATION_LIFETIME,
    SALT_LENGTH,
    Receipt,
    length_prefixed,
    seal,
    unseal,
)

PROOF = [b"old key", b"old secret", b"idempotency key", b"server key"]
ANSWER = b'["an agent", "a key", "a secret"]'
SALT = bytes(range(SALT_LENGTH))

proofs = st.lists(st.binary(max_size=60), min_size=1, max_size=6)


def sealed(answer: bytes = ANSWER, proof: list[bytes] = PROOF, **changes: Any) -> Receipt:
    receipt = Receipt("an agent", 2, b"lookup", "k1", SALT, b"", 0)
    body = seal(answer, proof, SALT, receipt.agent_id, receipt.generation)
    return replace(receipt, sealed=body, **changes)


def opens(receipt: Receipt, proof: list[bytes]) -> bool:
    return unseal(receipt, proof) is not None


@given(answer=st.binary(max_size=500), proof=proofs)
def test_what_was_sealed_opens_for_the_same_proof(answer: bytes, proof: list[bytes]) -> None:
    assert unseal(sealed(answer, proof), proof) == answer


@given(proof=proofs, other=proofs)
def test_no_other_proof_opens_it(proof: list[bytes], other: list[bytes]) -> None:
    assert opens(sealed(proof=proof), other) is (proof == other)


@given(proof=proofs, data=st.data())
def test_one_bit_in_one_part_of_the_proof_is_another_proof(
    proof: list[bytes], data: st.DataObject
) -> None:
    receipt = sealed(proof=proof)
    part = data.draw(st.integers(0, len(proof) - 1))
    changed = bytearray(proof[part] or b"\0")
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert opens(receipt, [*proof[:part], bytes(changed), *proof[part + 1 :]]) is False


@pytest.mark.parametrize("part", range(len(PROOF)))
@pytest.mark.parametrize("wrong", [b"", b"another", None], ids=["empty", "another", "left out"])
def test_a_part_that_is_empty_or_another_or_left_out_opens_nothing(
    part: int, wrong: bytes | None
) -> None:
    proof = [*PROOF[:part], *([] if wrong is None else [wrong]), *PROOF[part + 1 :]]
    assert opens(sealed(), proof) is False


@pytest.mark.parametrize("part", range(len(PROOF)))
def test_a_part_with_one_byte_more_or_less_opens_nothing(part: int) -> None:
    for changed in (PROOF[part] + b"x", b"x" + PROOF[part], PROOF[part][:-1], PROOF[part][1:]):
        assert opens(sealed(), [*PROOF[:part], changed, *PROOF[part + 1 :]]) is False


@pytest.mark.parametrize("part", range(len(PROOF) - 1))
def test_a_byte_that_moves_to_the_next_part_makes_another_proof(part: int) -> None:
    moved = [PROOF[part][:-1], PROOF[part][-1:] + PROOF[part + 1]]
    assert opens(sealed(), [*PROOF[:part], *moved, *PROOF[part + 2 :]]) is False
    joined = PROOF[part] + PROOF[part + 1]
    assert opens(sealed(), [*PROOF[:part], joined, *PROOF[part + 2 :]]) is False


def test_two_parts_that_change_places_make_another_proof() -> None:
    assert opens(sealed(), [PROOF[1], PROOF[0], *PROOF[2:]]) is False


@pytest.mark.parametrize(
    "change",
    [
        {"agent_id": "another agent"},
        {"agent_id": "an agent "},
        {"generation": 1},
        {"generation": 3},
        {"salt": SALT[:-1] + b"\0"},
        {"salt": SALT[1:]},
        {"salt": bytes(SALT_LENGTH)},
    ],
    ids=str,
)
def test_it_is_bound_to_its_agent_its_generation_and_its_salt(change: dict[str, Any]) -> None:
    assert opens(sealed(), PROOF) is True
    assert opens(sealed(**change), PROOF) is False


@given(data=st.data())
def test_a_sealed_answer_that_was_changed_opens_for_nobody(data: st.DataObject) -> None:
    receipt = sealed()
    changed = bytearray(receipt.sealed)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert opens(replace(receipt, sealed=bytes(changed)), PROOF) is False


@pytest.mark.parametrize("length", [0, 1, 15, 16, len(ANSWER)])
def test_a_sealed_answer_that_was_cut_opens_for_nobody(length: int) -> None:
    receipt = sealed()
    assert opens(replace(receipt, sealed=receipt.sealed[:length]), PROOF) is False


def test_another_salt_seals_the_same_answer_to_other_bytes() -> None:
    bodies = {seal(ANSWER, PROOF, bytes([salt] * 32), "an agent", 2) for salt in range(20)}
    assert len(bodies) == 20
    assert all(ANSWER[:8] not in body for body in bodies)


@given(one=proofs, other=proofs)
def test_different_parts_never_make_the_same_text(one: list[bytes], other: list[bytes]) -> None:
    assert (length_prefixed(one) == length_prefixed(other)) is (one == other)


@given(parts=proofs, cuts=st.lists(st.integers(0, 60), max_size=5))
def test_the_same_bytes_cut_elsewhere_make_another_text(
    parts: list[bytes], cuts: list[int]
) -> None:
    whole, ends = b"".join(parts), sorted(cuts)
    starts = [0, *ends]
    cut = [whole[start:end] for start, end in zip(starts, [*ends, len(whole)], strict=True)]
    assert (length_prefixed(cut) == length_prefixed(parts)) is (cut == parts)


def test_the_lifetimes_are_those_of_the_contract() -> None:
    day = 24 * 60 * 60 * 1000
    assert ROTATION_LIFETIME / day == 30
    assert REGISTRATION_LIFETIME / day == 15 / (24 * 60)
