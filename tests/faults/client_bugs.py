"""Bugs for the client library, each put into a process that is asked for it."""

from collections.abc import Callable

CLIENT_BUGS: dict[str, Callable[[], None]] = {}
