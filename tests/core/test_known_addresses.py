"""What a stranger sends as an address is kept only where it can be one."""

from keyturn.core import client_address


def test_what_is_too_long_for_an_address_is_not_kept() -> None:
    before = client_address._parsed.cache_info().currsize
    for number in range(10):
        assert not client_address.is_trusted_peer(f"{number}" * 1000, [])
    assert client_address._parsed.cache_info().currsize == before
