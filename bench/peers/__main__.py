"""Whether a peer does what it is measured for: 200 for its own keys, a refusal for every other.

python -m bench.peers check NAME…
"""

import argparse
import http.client
import sys
import tempfile
from pathlib import Path

from bench.machine import cores_for, program
from bench.peers import PEERS, Peer
from bench.servers import free_port, wait_for

BUILD = Path(__file__).resolve().parents[2] / "build"
COUNT = 50


def main() -> None:
    """Check the peers named, and exit with the number of those that fail."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers")
    parser.add_argument("what", choices=["check"])
    parser.add_argument("names", nargs="+", choices=[peer.name for peer in PEERS], metavar="NAME")
    names = parser.parse_args().names
    failed = [peer.name for peer in PEERS if peer.name in names and not check(peer)]
    sys.exit(len(failed))


def check(peer: Peer) -> bool:
    """Install it, fill a database, ask for every key and for as many that nobody has."""
    try:
        peer.install(BUILD)
        with tempfile.TemporaryDirectory(prefix="peer-", dir=BUILD) as folder:
            good, bad = answers(peer, Path(folder) / "data")
    except (OSError, RuntimeError) as error:
        print(f"{peer.name}: {' '.join(str(error).split())}")
        return False
    print(f"{peer.name}: {len(good)} keys answered {set(good)}, as many altered ones {set(bad)}")
    return set(good) == {200} and len(good) == COUNT and set(bad) <= {401, 403}


def answers(peer: Peer, data: Path) -> tuple[list[int], list[int]]:
    """The statuses that good keys get, and those of the same keys with one character changed."""
    peer.seed(COUNT, data)
    port = free_port()
    command, environment = peer.serve(data, port)
    with program(*command, on=cores_for(1), environment=environment):
        wait_for(port)
        keys = peer.keys(data)
        good = [ask(peer, port, key) for key in keys]
        return good, [ask(peer, port, altered(key)) for key in keys]


def ask(peer: Peer, port: int, credential: str) -> int:
    """The status of the answer."""
    method, path, headers, body = peer.request(credential)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body or None, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def altered(credential: str) -> str:
    """The same with another character near its end, where all of its bits count."""
    return f"{credential[:-5]}{'a' if credential[-5] != 'a' else 'b'}{credential[-4:]}"


if __name__ == "__main__":
    main()
