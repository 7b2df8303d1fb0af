"""Which process of a server holds which connection, read from the kernel.

Answers don't name the worker that gave them, and an idle server may give every connection to
the same one. So a campaign that claims "all workers" asks Linux (`/proc`) who accepted.
"""

import contextlib
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from keyturn.testing import Server

from .connection import Connection

PATIENCE = 30.0


def processes(server: Server) -> list[int]:
    """The server's processes: the one that was started and everything that came from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The command's name stands in parentheses and may hold spaces.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [server.pid]
    for pid in found:
        found += children.get(pid, [])
    return found


def holder(server: Server, connection: Connection) -> int | None:
    """The process that holds the server's end of the connection, once it is accepted."""
    target = f"socket:[{_inode(server.port, connection.local_port)}]"
    for pid in processes(server):
        with contextlib.suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) == target:
                        return pid
    return None


@contextlib.contextmanager
def spread(server: Server, count: int) -> Iterator[dict[int, list[Connection]]]:
    """Hold `count` connections, shared between the server's workers, by process id.

    Raises:
        RuntimeError: the workers did not all accept their share within 30 seconds.
    """
    held: dict[int, list[Connection]] = {}
    share = -(-count // server.workers)
    deadline = time.monotonic() + PATIENCE
    with contextlib.ExitStack() as opened:
        while sum(map(len, held.values())) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"Only {len(held)} of {server.workers} workers took part.")
            full = [pid for pid, theirs in held.items() if len(theirs) >= share]
            with _paused(full):
                connection = opened.enter_context(Connection(server.port))
                connection.call("GET", "/healthz")
            pid = holder(server, connection)
            if pid is not None and pid not in full:
                held.setdefault(pid, []).append(connection)
        yield held


@contextlib.contextmanager
def _paused(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _inode(server_port: int, client_port: int) -> str | None:
    loopback = struct.unpack("=I", socket.inet_aton("127.0.0.1"))[0]
    ours = [f"{loopback:08X}:{server_port:04X}", f"{loopback:08X}:{client_port:04X}"]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1:3] == ours:
            return fields[9]
    return None
