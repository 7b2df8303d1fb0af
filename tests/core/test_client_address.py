"""Whose request it is behind proxies, and which bucket it counts in."""

import ipaddress
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.client_address import (
    UNKNOWN,
    IPNetwork,
    client_address,
    is_trusted_peer,
    parse_network,
)

TRUSTED: list[IPNetwork] = [
    ipaddress.ip_network("10.0.0.0/8"),
    ipaddress.ip_network("fd00::/8"),
    ipaddress.ip_network("192.0.2.7/32"),
]

READABLE = {
    "10.0.0.1": "10.0.0.1",
    "10.0.0.2:8080": "10.0.0.2",
    "::ffff:10.0.0.3": "10.0.0.3",
    "[::ffff:10.0.0.4]:443": "10.0.0.4",
    "64:ff9b::a00:5": "10.0.0.5",
    "fd00::1": "fd00::1",
    "[fd00::2]": "fd00::2",
    "[fd00::3]:65535": "fd00::3",
    "192.0.2.7": "192.0.2.7",
    "192.0.2.8:1": "192.0.2.8",
    "203.0.113.9": "203.0.113.9",
    "2001:db8::1": "2001:db8::1",
    "[2001:DB8:0::2]:1": "2001:db8::2",
    "64:ff9b::cb00:710a": "203.0.113.10",
}
"""What a hop can look like, and the address that it is."""

UNREADABLE = [
    "",
    "unknown",
    "_hidden",
    "localhost",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4:",
    "1.2.3.4:http",
    "1.2.3.4:123456",
    "1.2.3.4:٨",
    "[2001:db8::1",
    "[2001:db8::1]x",
    "[2001:db8::1]:",
    "[]",
    "2001:db8::1::2",
    "10.0.0.1/8",
    '"10.0.0.1"',
    "for=10.0.0.1",
    "10.0.0.1 10.0.0.2",
    "\x00",
]

hops = st.sampled_from([*READABLE, *UNREADABLE])

NETWORKS = {
    "10.0.0.0/8": "10.0.0.0/8",
    "192.0.2.7": "192.0.2.7/32",
    "fd00::/8": "fd00::/8",
    "::ffff:10.0.0.0/104": "10.0.0.0/8",
    "::ffff:192.0.2.7": "192.0.2.7/32",
    "::ffff:0:0/96": "0.0.0.0/0",
    "64:ff9b::10.0.0.0/104": "10.0.0.0/8",
    "64:ff9b::/96": "0.0.0.0/0",
    "::fffe:0:0/95": "::fffe:0:0/95",
    "::/0": "::/0",
}
"""What a network can look like, and the network of addresses that it is."""


def text_of(peer: str | None, *lines: str) -> str:
    return client_address(peer, lines, TRUSTED).text


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.2, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.2, 10.0.0.9"], "198.51.100.2"),
        ("10.0.0.1", ["198.51.100.2", "10.0.0.9"], "198.51.100.2"),
        ("10.0.0.1", ["198.51.100.2,\t10.0.0.9 ,10.0.0.8"], "198.51.100.2"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.2, nonsense, 10.0.0.9"], "10.0.0.9"),
        ("10.0.0.1", ["198.51.100.2, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["", "198.51.100.2"], "198.51.100.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("192.0.2.8", ["198.51.100.1"], "192.0.2.8"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
    ],
)
def test_the_client_is_the_first_from_the_right_that_is_no_trusted_hop(
    peer: str, lines: list[str], client: str
) -> None:
    assert text_of(peer, *lines) == client


@pytest.mark.parametrize("text", NETWORKS)
def test_a_network_of_addresses_that_count_as_ipv4_is_one_of_ipv4(text: str) -> None:
    assert str(parse_network(text)) == NETWORKS[text]


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "10.0.0.0/33", "localhost", "::ffff:1/96"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|has host bits"):
        parse_network(text)


@pytest.mark.parametrize("network", ["::ffff:10.0.0.0/104", "64:ff9b::10.0.0.0/104", "10.0.0.0/8"])
@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1"])
def test_a_peer_is_trusted_however_it_and_its_network_are_written(peer: str, network: str) -> None:
    assert is_trusted_peer(peer, [parse_network(network)])


@given(peer=st.sampled_from([*READABLE]), chain=st.lists(hops, max_size=6), data=st.data())
def test_the_walk_agrees_with_a_naive_one(peer: str, chain: list[str], data: st.DataObject) -> None:
    line_ends = data.draw(st.sets(st.integers(1, 5)))
    lines, line = list[str](), list[str]()
    for place, hop in enumerate(chain):
        if place in line_ends and line:
            lines, line = [*lines, ", ".join(line)], []
        line.append(hop)
    if line:
        lines.append(", ".join(line))
    readable = list(takewhile(lambda hop: hop in READABLE, [peer, *reversed(chain)]))
    vouched = [READABLE[hop] for hop in readable]
    strangers = [
        address
        for address in vouched
        if not any(ipaddress.ip_address(address) in network for network in TRUSTED)
    ]
    assert text_of(peer, *lines) == [*strangers, vouched[-1]][0]


@given(peer=st.sampled_from([*READABLE]), chain=st.lists(hops, max_size=6))
def test_without_trusted_proxies_no_header_changes_anything(peer: str, chain: list[str]) -> None:
    assert client_address(peer, chain, []) == client_address(peer, [], [])


@pytest.mark.parametrize("hop", UNREADABLE)
def test_an_unreadable_hop_ends_the_walk(hop: str) -> None:
    assert text_of("10.0.0.1", f"198.51.100.1, {hop}") == "10.0.0.1"


@pytest.mark.parametrize(("hop", "address"), READABLE.items())
def test_ports_and_ways_to_write_an_address_make_no_difference(hop: str, address: str) -> None:
    assert text_of("10.0.0.1", hop) == address
    assert text_of(hop) == address


@pytest.mark.parametrize("peer", [None, "", "/run/keyturn.sock", "testclient", *UNREADABLE])
def test_peers_without_a_readable_address_share_one_bucket(peer: str | None) -> None:
    assert client_address(peer, ["198.51.100.1"], TRUSTED) == UNKNOWN


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("64:ff9b::203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("64:ff9b:0:1::203.0.113.9", "64:ff9b:0:1::/64"),
        ("64:ff9b:1::203.0.113.9", "64:ff9b:1::/64"),
        ("::1", "::/64"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_the_bucket_is_the_ipv4_address_or_the_ipv6_64(address: str, bucket: str) -> None:
    assert client_address(address, [], []).bucket == bucket


lows = st.integers(0, 2**64 - 1)
highs = st.integers(1, 2**64 - 1).filter(lambda high: high != 0x64_FF9B << 32)
"""First halves of IPv6 addresses, none of which stand for an IPv4 address."""


@given(first=highs, second=highs, lows=st.tuples(lows, lows))
def test_ipv6_addresses_share_a_bucket_exactly_when_they_share_a_64(
    first: int, second: int, lows: tuple[int, int]
) -> None:
    def bucket(high: int, low: int) -> str:
        return client_address(str(ipaddress.IPv6Address(high << 64 | low)), [], []).bucket

    assert bucket(first, lows[0]) == bucket(first, lows[1])
    assert (bucket(first, lows[0]) == bucket(second, lows[1])) is (first == second)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("128.0.0.1", False),
        ("::2", False),
        (None, False),
        ("unknown", False),
    ],
)
def test_a_loopback_client_is_known_as_one(address: str | None, loopback: bool) -> None:
    assert client_address(address, [], []).loopback is loopback


def test_a_client_behind_a_loopback_proxy_is_no_loopback_client() -> None:
    proxy = [ipaddress.ip_network("127.0.0.1/32")]
    assert client_address("127.0.0.1", ["203.0.113.9"], proxy).loopback is False


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("fd12::1", True),
        ("192.0.2.7", True),
        ("192.0.2.6", False),
        ("2001:db8::1", False),
        ("nonsense", False),
        (None, False),
    ],
)
def test_a_peer_is_believed_when_it_is_in_a_trusted_network(
    peer: str | None, trusted: bool
) -> None:
    assert is_trusted_peer(peer, TRUSTED) is trusted
