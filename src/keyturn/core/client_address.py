"""Who is calling: the client's address behind trusted proxies, and the bucket it counts in."""

import functools
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

KNOWN_ADDRESSES = 1024
"""Texts that are kept parsed: a proxy's own is in every request."""

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST = 128
"""Characters of an address with brackets, scope and port, generously."""
_IPV4_WITHIN = (ipaddress.IPv6Network("::ffff:0:0/96"), ipaddress.IPv6Network("64:ff9b::/96"))
_IPV4_BITS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """A caller's address as text, and the bucket that all attempts of its network share.

    The bucket is the IPv4 address or the IPv6 /64, because a subscriber of IPv6 commonly has a
    whole /64. IPv4-mapped and NAT64 (RFC 6052) addresses count as the IPv4 address within.
    """

    text: str
    bucket: str
    loopback: bool = False


UNKNOWN = ClientAddress("unknown", "unknown")
"""A peer without a readable address (a Unix socket, a test transport): all share one bucket."""


def parse_network(text: str) -> IPNetwork:
    """The network that is written so; one of addresses that count as IPv4 is one of IPv4.

    Raises:
        ValueError: it is no network.
    """
    network = ipaddress.ip_network(text)
    if isinstance(network, ipaddress.IPv6Network) and any(map(network.subnet_of, _IPV4_WITHIN)):
        first = int(network.network_address) & _IPV4_BITS
        return ipaddress.IPv4Network((first, network.prefixlen - 96))
    return network


def client_address(
    peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[IPNetwork]
) -> ClientAddress:
    """The client's address, given the peer's and the lines of `X-Forwarded-For`.

    The header counts only from a trusted peer. Then its hops are walked from the right: each
    trusted hop vouches for the one before it, and a hop that can't be read ends the walk at the
    last good one.
    """
    address = _parse(peer or "")
    if address is None:
        return UNKNOWN
    for hop in reversed(_hops(forwarded_for)):
        if not is_trusted(address, trusted):
            break
        forwarded = _parse(hop)
        if forwarded is None:
            break
        address = forwarded
    return ClientAddress(str(address), _bucket(address), address.is_loopback)


def is_trusted_peer(peer: str | None, trusted: Sequence[IPNetwork]) -> bool:
    """Whether what this peer says of its client is believed."""
    address = _parse(peer or "")
    return address is not None and is_trusted(address, trusted)


def is_trusted(address: IPAddress, trusted: Iterable[IPNetwork]) -> bool:
    """Whether the address is in one of the trusted networks."""
    return any(address in network for network in trusted)


def _hops(lines: Sequence[str]) -> list[str]:
    return [hop.strip() for line in lines for hop in line.split(",")]


def _parse(text: str) -> IPAddress | None:
    # What is longer is no address, and must not be kept.
    return _parsed(text) if len(text) <= LONGEST else None


@functools.lru_cache(KNOWN_ADDRESSES)
def _parsed(text: str) -> IPAddress | None:
    try:
        address = ipaddress.ip_address(_without_port(text))
    except ValueError:
        return None
    if any(address in network for network in _IPV4_WITHIN):
        return ipaddress.IPv4Address(int(address) & _IPV4_BITS)
    return address


def _without_port(text: str) -> str:
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        return inside if bracket and (not rest or _is_port(rest)) else text
    host, colon, port = text.partition(":")
    return host if colon and _is_port(f":{port}") else text


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6


def _bucket(address: IPAddress) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return f"{ipaddress.IPv6Address(int(address) >> 64 << 64)}/64"
