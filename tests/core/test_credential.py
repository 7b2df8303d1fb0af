"""What a credential looks like, how it is made and how it is recognised."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.credential import ALPHABET, PREFIX, Credential, Kind, RandomBytes, checksum

PREFIXES = ["sk_live", "acme_test", "k", "a1_b2_c3"]
STRANGERS = st.characters().filter(lambda character: character not in ALPHABET)

kinds = st.sampled_from(Kind)
prefixes = st.sampled_from(PREFIXES)


def bytes_of(values: Iterator[int]) -> RandomBytes:
    """A source that gives these values, one after another."""
    return lambda count: bytes(next(values) for _ in range(count))


def endless(drawn: bytes) -> RandomBytes:
    """A source that gives these bytes first, and the letters of the alphabet in turn after them."""

    def values() -> Iterator[int]:
        yield from drawn
        while True:
            yield from range(62)

    return bytes_of(values())


@st.composite
def credentials(draw: st.DrawFn) -> Credential:
    """A credential of any kind, made from any bytes; its prefix is `sk_live`."""
    return Credential.generate(draw(kinds), "sk_live", endless(draw(st.binary(max_size=60))))


def read(text: str, kind: Kind, prefix: str = "sk_live") -> bool:
    """Whether the text is taken for such a credential. Keeps texts out of assertions' output."""
    return Credential.parse(text, kind, prefix) is not None


@given(kind=kinds, prefix=prefixes, drawn=st.binary(max_size=60))
def test_what_is_made_is_read_back_as_the_same(kind: Kind, prefix: str, drawn: bytes) -> None:
    made = Credential.generate(kind, prefix, endless(drawn))
    found = Credential.parse(made.reveal(), kind, prefix)
    assert found is not None
    assert found.kind == kind
    assert (found.reveal() == made.reveal()) is True


@pytest.mark.parametrize("kind", Kind)
def test_it_is_prefix_kind_43_random_and_6_checksum_characters(kind: Kind) -> None:
    text = Credential.generate(kind, "acme_test", endless(b"")).reveal()
    shaped = re.fullmatch(rf"acme_test_{kind}_[0-9A-Za-z]{{43}}[0-9A-Za-z]{{6}}", text)
    assert shaped is not None
    assert text[-6:] == checksum(text[:-6])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # CRC-32's published check value, 0xCBF43926.
        ("123456789", "3jZRME"),
        # The CRC-32 of nothing is 0: all padding.
        ("", "000000"),
        # A small one, 312 = 5 × 62 + 2, which has to be padded.
        ("body 1265305", "000052"),
    ],
)
def test_the_checksum_is_crc_32_in_base62_padded_to_six(body: str, expected: str) -> None:
    assert checksum(body) == expected


@given(made=credentials(), data=st.data())
def test_every_single_character_change_is_detected(made: Credential, data: st.DataObject) -> None:
    text = made.reveal()
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(
        (st.sampled_from(ALPHABET) | STRANGERS).filter(lambda new: new != text[place])
    )
    assert read(text[:place] + other + text[place + 1 :], made.kind) is False


def test_in_one_credential_every_change_to_every_character_is_detected() -> None:
    text = Credential.generate(Kind.API_KEY, "sk_live", endless(b"any bytes")).reveal()
    accepted = [
        (place, other)
        for place in range(len(text))
        for other in ALPHABET
        if other != text[place] and read(text[:place] + other + text[place + 1 :], Kind.API_KEY)
    ]
    assert accepted == []


@given(made=credentials(), data=st.data())
def test_two_neighbours_swapped_are_detected(made: Credential, data: st.DataObject) -> None:
    text = made.reveal()
    place = data.draw(
        st.integers(0, len(text) - 2).filter(lambda place: text[place] != text[place + 1])
    )
    swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    assert read(swapped, made.kind) is False


@given(made=credentials(), data=st.data())
def test_a_character_more_or_fewer_is_detected(made: Credential, data: st.DataObject) -> None:
    text = made.reveal()
    place = data.draw(st.integers(0, len(text)))
    added = data.draw(st.characters())
    assert read(text[:place] + added + text[place:], made.kind) is False
    assert read(text[:place] + text[place + 1 :], made.kind) is (place == len(text))


@given(made=credentials())
def test_of_all_kinds_only_its_own_reads_it(made: Credential) -> None:
    assert [kind for kind in Kind if read(made.reveal(), kind)] == [made.kind]


@given(kind=kinds, prefix=prefixes, drawn=st.binary(max_size=60))
def test_of_all_prefixes_only_its_own_reads_it(kind: Kind, prefix: str, drawn: bytes) -> None:
    text = Credential.generate(kind, prefix, endless(drawn)).reveal()
    assert [other for other in PREFIXES if read(text, kind, other)] == [prefix]


@given(kind=kinds, other=kinds, drawn=st.binary(max_size=60))
def test_the_random_part_of_one_kind_signed_as_another_is_that_other_alone(
    kind: Kind, other: Kind, drawn: bytes
) -> None:
    text = Credential.generate(kind, "sk_live", endless(drawn)).reveal()
    body = f"sk_live_{other}_{text[11:-6]}"
    resigned = body + checksum(body)
    assert [kind for kind in Kind if read(resigned, kind)] == [other]


@pytest.mark.parametrize(
    "text",
    ["", " ", "sk_live_ak_", "sk_live_ak_" + "0" * 49, "Bearer", "é" * 60, "\ud800" * 60, "٣" * 60],
)
def test_what_was_never_a_credential_is_none(text: str) -> None:
    assert not any(read(text, kind) for kind in Kind)


@pytest.mark.parametrize("digit", ["٣", "²", "é", "-", "_", " ", "\n", "\x00", "\ud800"])
def test_a_character_outside_the_alphabet_is_refused_even_under_a_right_checksum(
    digit: str,
) -> None:
    body = "sk_live_ak_" + digit + "0" * 42
    signed = body + (checksum(body) if digit != "\ud800" else "000000")
    assert read(signed, Kind.API_KEY) is False


def test_every_character_stands_for_as_many_byte_values_as_any_other() -> None:
    characters = Counter(first_character(value) for value in range(248))
    assert characters == dict.fromkeys(ALPHABET, 4)


@pytest.mark.parametrize("value", range(248, 256))
def test_a_byte_that_would_favour_some_characters_is_thrown_away(value: int) -> None:
    assert first_character(value) == "9"


def first_character(value: int) -> str:
    """The first random character made from a byte of this value, followed by nines."""
    source = bytes_of(iter([value, *[ALPHABET.index("9")] * 200]))
    text = Credential.generate(Kind.API_KEY, "k", source).reveal()
    return text[len("k_ak_")]


@given(drawn=st.binary(min_size=43, max_size=43))
def test_the_random_part_is_the_usable_bytes_in_their_order(drawn: bytes) -> None:
    text = Credential.generate(Kind.API_KEY, "k", endless(drawn)).reveal()
    expected = "".join(ALPHABET[value % 62] for value in drawn if value < 248)
    assert (text[len("k_ak_") :].startswith(expected)) is True


def test_a_source_that_gives_only_unusable_bytes_at_first_is_asked_again() -> None:
    text = Credential.generate(Kind.API_KEY, "k", endless(b"\xff" * 100)).reveal()
    assert read(text, Kind.API_KEY, "k") is True


@pytest.mark.parametrize("prefix", [*PREFIXES, "x9", "a_1"])
def test_lower_case_words_joined_by_underscores_may_be_a_prefix(prefix: str) -> None:
    assert PREFIX.fullmatch(prefix)


@pytest.mark.parametrize(
    "prefix", ["", "_", "sk_", "_sk", "sk__live", "SK", "sk-live", "9sk", "sk live", "sk\n", "ſk"]
)
def test_nothing_else_may_be_a_prefix(prefix: str) -> None:
    assert not PREFIX.fullmatch(prefix)
