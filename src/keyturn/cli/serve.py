"""`keyturn serve`."""

import asyncio
import functools
import gc
import ipaddress
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import click
from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from keyturn import __version__, metrics
from keyturn.actions.guard_server_keys import UnknownServerKey, abandon_server_key, dependents_of
from keyturn.actions.set_up import setup_code
from keyturn.asgi import create_app
from keyturn.check_protocol import CheckProtocol
from keyturn.cli.local import run_locally
from keyturn.cli.options import settings_options
from keyturn.core.keyed_hash import InvalidServerKey
from keyturn.installation import (
    LOST_COMMIT_EXIT,
    UnusableInstallation,
    configured_server_keys,
    open_stores,
)
from keyturn.logs import configure_logs
from keyturn.settings import Settings
from keyturn.storage.durable import write_private
from keyturn.unreliable import InvalidShares, Shares, UnreliableAnswers, UnreliableProtocol

GRACE_SECONDS = 30
BACKLOG = 2048
GARBAGE_THRESHOLD = 10_000
"""New containers, less those that have gone again, after which the collector looks at them."""


class Supervisor(Multiprocess):
    """uvicorn's, which would go on listening while its workers finish."""

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


@click.command()
@click.option("--abandon-key", metavar="ID", help="Go on without a server key that is lost.")
@click.option(
    "--unreliable",
    metavar="PERCENT",
    help="Lose so many committed answers, for tests of clients; also lose=,cut=,delay=,duplicate=.",
)
@settings_options(serving=True)
def serve(settings: Settings, abandon_key: str | None, unreliable: str | None) -> None:
    """Start the service."""
    _exit_as_asked()
    configure_logs(settings.log_level)
    shares = None if unreliable is None else _shares(settings, unreliable)
    if abandon_key is not None:
        _abandon(settings, abandon_key)
    code = run_locally(settings, setup_code)
    listener = _listen(settings)
    port = listener.getsockname()[1]
    if "public_url" not in settings.model_fields_set:
        settings = settings.model_copy(update={"public_url": f"http://localhost:{port}"})
    _greet(settings, shares)
    _tell_setup_code(settings, code)
    config = _config(settings)
    if shares:
        config.app = functools.partial(unreliable_application, settings, shares)
        config.http = UnreliableProtocol
    if settings.workers == 1:
        _run_alone(config, listener)
    else:
        _run_workers(config, listener, settings.data_dir)


def application(settings: Settings) -> ASGIApp:
    """The application of one process; workers call this after they have been started."""
    configure_logs(settings.log_level)
    metrics.reserve()
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    app = create_app(settings)
    collect_seldom()
    return app


def collect_seldom() -> None:
    """Spare the garbage collector what is there from the start, and rounds over a few objects.

    Requests leave hardly any cycles; to look for them took a tenth of a rotation's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


def unreliable_application(settings: Settings, shares: Shares) -> ASGIApp:
    """The application of one process, with answers that are broken on purpose."""
    return UnreliableAnswers(application(settings), shares)


def _shares(settings: Settings, unreliable: str) -> Shares:
    if not _is_loopback(settings.host):
        raise click.ClickException(
            f"--unreliable is for tests: it needs a loopback address, and {settings.host} is none."
        )
    try:
        return Shares.parse(unreliable)
    except InvalidShares as error:
        raise click.ClickException(f"--unreliable: {error}.") from None


def _config(settings: Settings) -> Config:
    return Config(
        functools.partial(application, settings),
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http=CheckProtocol,
        lifespan="on",
        ws="none",
        # Keyturn decides itself whom it believes about a client's address.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
        # A worker that starts on a busy machine is slow, and not dead.
        timeout_worker_healthcheck=GRACE_SECONDS,
    )


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        raise click.ClickException(f"{place} can't be listened on: {error.strerror}.") from None


def _exit_as_asked() -> None:
    """Being asked to stop is no failure, neither before uvicorn listens to signals nor after.

    When it has stopped it raises the signal again.
    """
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: sys.exit(0))


def _run_alone(config: Config, listener: socket.socket) -> None:
    server = Server(config)
    server.run([listener])
    sys.exit(0 if server.started else 1)


def _run_workers(config: Config, listener: socket.socket, data_dir: Path) -> None:
    # In the data directory: what cleans /tmp must not reach it, nor a full /tmp stop the service.
    with tempfile.TemporaryDirectory(prefix="metrics-", dir=data_dir) as shared:
        os.environ[metrics.SHARED_FOLDER] = shared
        supervisor = Supervisor(config, [listener])
        supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        sys.exit(1)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    """A worker that outlived its supervisor would keep the port and never be stopped."""
    multiprocessing.connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def _abandon(settings: Settings, key_id: str) -> None:
    try:
        configured = {key.id for key in configured_server_keys(settings)}
    except InvalidServerKey as error:
        raise click.ClickException(str(error)) from None
    if key_id in configured:
        raise click.ClickException(f"The server key {key_id!r} is not missing: it is configured.")
    try:
        with open_stores(settings, lambda: os._exit(LOST_COMMIT_EXIT)) as (store, *_):
            dependents = asyncio.run(dependents_of(store, key_id))
            click.echo(f"Giving up server key {key_id!r}: {dependents} die with it.")
            now, entry_id = time.time_ns() // 1_000_000, str(uuid.uuid4())
            asyncio.run(abandon_server_key(store, key_id, now=now, entry_id=entry_id))
    except (UnusableInstallation, UnknownServerKey) as error:
        raise click.ClickException(str(error)) from None


def _tell_setup_code(settings: Settings, code: str | None) -> None:
    """Say the code on a terminal; elsewhere output is often kept, so it goes into a file."""
    file = settings.data_dir / "setup-code"
    if code is None or sys.stdout.isatty():
        file.unlink(missing_ok=True)
    if code is None:
        return
    click.echo(f"  No operator yet  {settings.public_url}/setup")
    if sys.stdout.isatty():
        click.echo(f"  Setup code       {code} (for an hour)")
    else:
        write_private(file, code + "\n")
        click.echo(f"  Setup code       in {file} (for an hour)")


def _greet(settings: Settings, shares: Shares | None) -> None:
    url = settings.public_url
    click.echo(f"Keyturn {__version__} serves {url}")
    click.echo(f"  Dashboard        {url}/dashboard")
    click.echo(f"  API reference    {url}/docs")
    if shares:
        click.echo(
            f"Warning: committed answers are broken on purpose ({shares} percent), for tests only.",
            err=True,
        )
    if not _is_loopback(settings.host) and not url.startswith("https://"):
        click.echo(
            f"Warning: {settings.host} can be reached from other machines without TLS, and keys "
            "would cross the network readable. Put a TLS proxy in front and set "
            "KEYTURN_PUBLIC_URL=https://…",
            err=True,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
