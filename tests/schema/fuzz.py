"""Runs schemathesis, all its checks and phases, over the live document of a real server."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from keyturn.testing import Server, running_server

CONFIG = Path(__file__).with_name("schemathesis.toml")
MANY = 1_000_000_000


@dataclass(frozen=True)
class Report:
    """How it went.

    `never_succeeded` has the operations that no request got through to, so that a run which was
    refused everywhere is not taken for one that found nothing. Operations on one thing, named by
    its id, are left out: whether their ids are found is luck.
    """

    passed: bool
    output: str
    never_succeeded: set[str]

    @property
    def cases(self) -> int:
        found = re.search(r"(\d+) generated", self.output)
        return int(found[1]) if found else 0


def fuzz(examples: int, seed: int) -> Report:
    """At most `examples` requests for each operation and phase, the same for the same seed."""
    limits = dict.fromkeys(("rotation_limit", "registration_limit", "registration_total"), MANY)
    with running_server(**limits) as server:
        fuzzer = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"]
        options = ["--checks", "all", "--max-examples", str(examples), "--seed", str(seed)]
        options += ["--continue-on-failure", "--no-color"]
        result = subprocess.run(
            [*fuzzer, *options, f"{server.url}/openapi.json"],
            env={**server.environment, "KEYTURN_FUZZED_URL": server.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        never_succeeded = _operations(server) - _succeeded(server)
    return Report(result.returncode == 0, result.stdout, never_succeeded)


def _operations(server: Server) -> set[str]:
    paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    return {
        f"{method.upper()} {path}" for path in paths if "{" not in path for method in paths[path]
    }


def _succeeded(server: Server) -> set[str]:
    counted = httpx.get(f"{server.url}/metrics").text
    label = 'method="(?P<method>.+?)",route="(?P<route>.+?)",status="2..?"'
    return {
        f"{found['method']} {found['route']}"
        for found in re.finditer(f"^keyturn_requests_total{{{label}}}", counted, re.MULTILINE)
    }
