"""What of the peers can be checked without them: their pins, and what their table says.

That each does what it is measured for takes its packages: python -m bench.peers check NAME.
"""

import json
import re
from pathlib import Path

import pytest

from bench.peers import PEERS, SOURCES, Peer

by_name = pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
PYTHON_PINS = [*SOURCES.glob("*/requirements.txt")]
NODE_PINS = [*SOURCES.glob("*/package-lock.json")]
REQUIREMENT = re.compile(r"[a-z-]+==[\w.]+( ; .+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


@pytest.mark.parametrize("pins", PYTHON_PINS, ids=lambda pins: pins.parent.name)
def test_a_python_package_has_one_version_and_its_hashes(pins: Path) -> None:
    lines = pins.read_text().splitlines()
    assert all(REQUIREMENT.fullmatch(line) or HASH.fullmatch(line) for line in lines)


@pytest.mark.parametrize("lock", NODE_PINS, ids=lambda lock: lock.parent.name)
def test_a_node_package_has_one_version_its_hash_and_no_address(lock: Path) -> None:
    packages = json.loads(lock.read_text())["packages"]
    wanted = json.loads(lock.with_name("package.json").read_text())["dependencies"]
    assert packages.pop("")["dependencies"] == wanted
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name
    assert all(packages[f"node_modules/{name}"]["version"] == wanted[name] for name in wanted)


@by_name
def test_a_peer_brings_its_pins_and_both_its_programs(peer: Peer) -> None:
    assert peer.pinned.is_file()
    programs = {path.stem for path in peer.sources.iterdir()}
    assert "seed" in programs and programs & {"serve", "service"}


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("better-auth", {"x-api-key": "abc"}),
        ("better-auth-tuned", {"x-api-key": "abc"}),
        ("djangorestframework-api-key", {"Authorization": "Api-Key abc"}),
        ("djangorestframework-simplejwt", {"Authorization": "Bearer abc"}),
    ],
)
def test_a_request_carries_the_credential_as_the_peer_expects_it(
    name: str, headers: dict[str, str]
) -> None:
    (peer,) = (peer for peer in PEERS if peer.name == name)
    assert peer.request("abc") == ("GET", "/check", headers, b"")


@by_name
def test_a_peer_that_is_not_installed_says_so(peer: Peer, tmp_path: Path) -> None:
    fresh = Peer(peer.name, peer.header, source=peer.source)
    with pytest.raises(RuntimeError, match=f"{peer.name} is not installed yet"):
        fresh.serve(tmp_path, 1)


def test_what_cannot_be_installed_is_named_and_not_taken_for_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match="npm is not installed"):
            Peer("better-auth", "x-api-key").install(tmp_path)
        assert not (tmp_path / "peers" / "better-auth").exists()


@by_name
def test_the_readme_tells_of_every_peer(peer: Peer) -> None:
    assert f"## {peer.name}\n" in (SOURCES / "README.md").read_text()
