"""What Prometheus may know. No label ever holds a credential, an id or an address."""

import functools
import os
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where the workers keep their figures, so that any of them can tell all (prometheus_client)."""
CONTENT_TYPE = CONTENT_TYPE_LATEST

METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])

REQUESTS = Counter("keyturn_requests", "Answered requests.", ["method", "route", "status"])
SECONDS = Histogram(
    "keyturn_request_seconds",
    "Time from a request's arrival to the end of its answer.",
    ["route"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)
REFUSALS = Counter("keyturn_refusals", "Refused requests, by their error code.", ["code"])
REUSES = Counter("keyturn_reuses", "Retired credentials that came back.", ["severity"])
UNTRUSTED_FORWARDED = Counter(
    "keyturn_untrusted_forwarded_headers",
    "Requests with a forwarding header from a peer that is not a trusted proxy.",
)


_requests: dict[tuple[str, str, int], int] = {}
_refusals: dict[str, int] = {}


def count_request(method: str, route: str, status: int) -> None:
    """Count an answer of a route whose answers are not timed one by one.

    It is added up here, and told to Prometheus by `flush`: its own counter costs several times
    as much.
    """
    key = _known(method), route, status
    _requests[key] = _requests.get(key, 0) + 1


def count_refusal(code: str) -> None:
    """The same for a refused request, by its error code."""
    _refusals[code] = _refusals.get(code, 0) + 1


def time_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count an answer that took so long."""
    answers, times = _of_request(_known(method), route, status)
    answers.inc()
    times.observe(seconds)


def _known(method: str) -> str:
    """Some servers take any word for a method; a label must not."""
    return method if method in METHODS else "OTHER"


@functools.cache
def _of_request(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, status), SECONDS.labels(route)


def flush() -> None:
    """Tell Prometheus what has been counted here."""
    while _requests:
        (method, route, status), times = _requests.popitem()
        REQUESTS.labels(method, route, status).inc(times)
    while _refusals:
        code, times = _refusals.popitem()
        REFUSALS.labels(code).inc(times)


def reserve() -> None:
    """Give the files that workers share their whole size on the disk.

    They are mapped into memory, where a disk that fills up later would end the process.
    """
    folder = os.environ.get(SHARED_FOLDER)
    if folder is None:
        return
    SECONDS.labels("reserve")
    for path in Path(folder).glob(f"*_{os.getpid()}.db"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def render() -> bytes:
    """All figures of all workers, in Prometheus' text format."""
    flush()
    if SHARED_FOLDER not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
