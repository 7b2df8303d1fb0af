"""Section 3: whose attempts are counted together."""

from collections.abc import Iterator

import pytest

from keyturn.testing import Server, running_server

from .client import HTTP, Service, forged, ipv4, ipv6
from .conftest import service_of

Lines = list[tuple[str, str]]


def _forwarded(*lines: str) -> Lines:
    return [("X-Forwarded-For", line) for line in lines]


def _left(service: Service, lines: Lines) -> int:
    """Make an attempt with the header lines; how many are left in its bucket."""
    answer = HTTP.post(
        f"{service.url}/v1/agents/self/rotate-key",
        headers=[("Authorization", f"Bearer {forged('ak')}"), *lines],
        json={"rotationSecret": forged("rs")},
    )
    return int(answer.headers["ratelimit"].split(";")[1].removeprefix("r="))


def _prefix(address: str) -> str:
    return address.removesuffix("::1")


# In each case {4} is an IPv4 address, {64} an IPv6 /64, {hex} the IPv4 address in hexadecimal.
SAME_BUCKET = {
    "a port": ("{4}", "{4}:4711"),
    "space around it": ("{4}", "192.0.2.1 ,\t {4}"),
    "brackets": ("{64}::1", "[{64}::1]"),
    "brackets and a port": ("{64}::1", "[{64}::1]:443"),
    "the same /64": ("{64}::1", "{64}:ffff:ffff:ffff:ffff"),
    "other spelling": ("{64}::1", "{64}:0:0:0:0001"),
    "IPv4-mapped": ("{4}", "::ffff:{4}"),
    "IPv4-mapped in hexadecimal": ("{4}", "::ffff:{hex}"),
    "IPv4-mapped with a port": ("{4}", "[::ffff:{4}]:80"),
    "NAT64": ("{4}", "64:ff9b::{4}"),
    "NAT64 in hexadecimal": ("{4}", "64:ff9b::{hex}"),
    "what the client wrote to the left": ("{4}", "192.0.2.1, {4}"),
    "much that the client wrote": ("{4}", "192.0.2.1, 192.0.2.2,192.0.2.3, {4}"),
    "a trusted hop to the right": ("{4}", "{4}, 10.1.2.3"),
    "two trusted hops": ("{4}", "192.0.2.1, {4}, 10.1.2.3, 127.0.0.1"),
    "a trusted hop with a port": ("{4}", "{4}, 10.1.2.3:8080"),
    "a trusted hop, IPv4-mapped": ("{4}", "{4}, ::ffff:10.1.2.3"),
    "garbage to the left of it": ("{4}", "garbage, {4}"),
}
OTHER_BUCKET = {
    "another /64": ("2001:db8:1:{a}::1", "2001:db8:2:{a}::1"),
    "another IPv4 address": ("203.0.113.{a}", "203.0.114.{a}"),
    "an untrusted hop to the right": ("198.51.100.{a}", "198.51.100.{a}, 198.51.101.{a}"),
    "a prefix that is not NAT64": ("198.18.0.{a}", "64:ff9c::198.18.0.{a}"),
}


@pytest.mark.parametrize("case", SAME_BUCKET)
def test_these_are_one_bucket(service: Service, case: str) -> None:
    four, six = ipv4(), ipv6()
    octets = [int(part) for part in four.split(".")]
    hexadecimal = "{:02x}{:02x}:{:02x}{:02x}".format(*octets)
    names = {"4": four, "64": _prefix(six), "hex": hexadecimal}
    one, other = (_fill(text, names) for text in SAME_BUCKET[case])
    assert [_left(service, _forwarded(one)), _left(service, _forwarded(other))] == [2, 1]


def _fill(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


@pytest.mark.parametrize("case", OTHER_BUCKET)
def test_these_are_two_buckets(service: Service, case: str) -> None:
    number = {"a": ipv4().rsplit(".", 1)[1]}
    lefts = [_left(service, _forwarded(_fill(text, number))) for text in OTHER_BUCKET[case]]
    assert lefts == [2, 2]


def test_several_lines_are_one_list(service: Service) -> None:
    address = ipv4()
    lefts = [
        _left(service, _forwarded(address)),
        _left(service, _forwarded("192.0.2.1", address)),
        _left(service, _forwarded("192.0.2.1", f"{address}, 10.0.0.9", "10.0.0.8")),
    ]
    assert lefts == [2, 1, 0]


@pytest.mark.parametrize("garbage", ["garbage", "unknown", "_hidden", "300.1.1.1", "1.2.3", "[::1"])
def test_an_unreadable_hop_ends_the_walk_at_the_last_good_one(
    service: Service, garbage: str
) -> None:
    hop = "10." + ipv4().split(".", 1)[1]
    lefts = [
        _left(service, _forwarded(f"{ipv4()}, {garbage}, {hop}")),
        _left(service, _forwarded(hop)),
        _left(service, _forwarded(f"{ipv4()}, {garbage}", f"{hop}")),
    ]
    assert lefts == [2, 1, 0]


def test_if_all_hops_are_trusted_it_is_the_first(service: Service) -> None:
    hop = "10." + ipv4().split(".", 1)[1]
    lefts = [_left(service, _forwarded(hop)), _left(service, _forwarded(f"{hop}, 10.0.0.7"))]
    assert lefts == [2, 1]


OTHER_HEADERS = [
    ("Forwarded", "for={}"),
    ("X-Real-IP", "{}"),
    ("CF-Connecting-IP", "{}"),
    ("True-Client-IP", "{}"),
    ("X-Client-IP", "{}"),
    ("X-Cluster-Client-IP", "{}"),
    ("X-Forwarded", "{}"),
    ("X-Original-Forwarded-For", "{}"),
    ("Fastly-Client-IP", "{}"),
]


@pytest.mark.parametrize(("name", "value"), OTHER_HEADERS)
def test_even_a_trusted_proxys_other_headers_count_for_nothing(
    service: Service, name: str, value: str
) -> None:
    address = ipv4()
    lines = _forwarded(address)
    lefts = [
        _left(service, lines),
        _left(service, [*lines, (name, value.format(ipv4()))]),
        _left(service, [(name, value.format(ipv4())), *lines]),
    ]
    assert lefts == [2, 1, 0]


@pytest.fixture(scope="module")
def exposed() -> Iterator[Server]:
    """A server without trusted proxies, that allows many attempts."""
    with running_server(rotation_limit=1000) as server:
        yield server


@pytest.fixture(scope="module")
def direct(exposed: Server) -> Service:
    """A client of it that sends no forwarding header by itself."""
    return service_of(exposed, proxied=False)


UNTRUSTED = [("X-Forwarded-For", "{}"), ("X-Forwarded-For", "{}, 127.0.0.1"), *OTHER_HEADERS]


@pytest.mark.parametrize(("name", "value"), UNTRUSTED)
def test_without_trusted_proxies_no_header_moves_the_bucket(
    direct: Service, name: str, value: str
) -> None:
    before = _left(direct, [])
    lines = [(name, value.format(address)) for address in (ipv4(), ipv6(), "127.0.0.2")]
    assert [_left(direct, [line]) for line in lines] == [before - 1, before - 2, before - 3]


def test_without_trusted_proxies_no_header_moves_the_registration(direct: Service) -> None:
    agent = direct.register()
    headers = {"X-Forwarded-For": "192.0.2.77", "X-Real-IP": "192.0.2.77"}
    direct.rotate(agent.key, agent.secret, headers=headers)
    assert {entry["address"] for entry in direct.audit(agentId=agent.id)} == {"127.0.0.1"}


def test_a_header_from_a_peer_that_is_not_trusted_raises_a_warning_and_a_metric(
    direct: Service, exposed: Server
) -> None:
    def raised() -> float:
        lines = direct.get("/metrics").text.splitlines()
        found = [line for line in lines if "forward" in line and not line.startswith("#")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    before = raised()
    _left(direct, _forwarded(ipv4()))
    log = exposed.log_path.read_text().lower()
    assert any("warn" in line and "forward" in line for line in log.splitlines())
    assert raised() > before


def test_the_trail_has_the_clients_address(service: Service) -> None:
    agent, address = service.register(), ipv4()
    lines = f"192.0.2.1, {address}:9, 10.0.0.1"
    service.rotate(agent.key, agent.secret, address=lines).raise_for_status()
    entry = service.audit(agentId=agent.id, action="credential.rotated")[0]
    assert entry["address"] == address
