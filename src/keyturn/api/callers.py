"""Who calls: the client's address behind proxies that the operator trusts."""

import random
from collections.abc import Sequence
from functools import lru_cache

import structlog

from keyturn import metrics
from keyturn.actions.service import Call
from keyturn.api.first_refusals import Headers
from keyturn.core.client_address import (
    ClientAddress,
    IPNetwork,
    client_address,
    is_trusted_peer,
)

FORWARDING_HEADERS = frozenset({b"x-forwarded-for", b"forwarded", b"x-real-ip"})
KNOWN_ADDRESSES = 4096
"""Addresses that are kept parsed."""

_log = structlog.get_logger()


class Callers:
    """Makes the `Call` of each request."""

    def __init__(self, trusted: Sequence[IPNetwork]) -> None:
        self._trusted = trusted
        self._warned = False
        self._address = lru_cache(KNOWN_ADDRESSES)(self._of_peer)

    def call(
        self, client: tuple[str, int] | None, headers: Headers, named: dict[bytes, bytes]
    ) -> Call:
        """The call of a request that came from this peer with these headers, `named` once."""
        peer = client[0] if client else None
        agent = named.get(b"user-agent")
        user_agent = agent.decode("latin-1") if agent is not None else None
        # Not secret, and of no use to anybody who guesses it.
        request_id = f"{random.getrandbits(128):032x}"
        if named.keys().isdisjoint(FORWARDING_HEADERS):
            return Call(self._address(peer), request_id, user_agent)
        if not is_trusted_peer(peer, self._trusted):
            call = Call(self._address(peer), request_id, user_agent, hidden=True)
            self._warn(call.address)
            return call
        lines = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
        return Call(client_address(peer, lines, self._trusted), request_id, user_agent)

    def _of_peer(self, peer: str | None) -> ClientAddress:
        return client_address(peer, (), self._trusted)

    def _warn(self, peer: ClientAddress) -> None:
        metrics.UNTRUSTED_FORWARDED.inc()
        if not self._warned:
            self._warned = True
            _log.warning(
                "a peer that is not in KEYTURN_TRUSTED_PROXIES sends a forwarding header; "
                "it is ignored",
                peer=peer.text,
            )
