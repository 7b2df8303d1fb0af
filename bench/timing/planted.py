"""The product with a difference planted in it: the comparison must find it.

    KEYTURN_PORT=… python -m bench.timing.planted

`keyturn serve` as it is, but a request with the header `X-Planted: 1` is held up for 20 µs. It
takes the place of a leak, to show that the method would have seen one.
"""

import time

from starlette.types import ASGIApp, Receive, Scope, Send

from keyturn.cli import main, serve
from keyturn.settings import Settings

DELAY_NANOSECONDS = 20_000
MARK = (b"x-planted", b"1")


class Planted:
    """An application that holds up the marked requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if MARK in scope.get("headers", ()):
            end = time.perf_counter_ns() + DELAY_NANOSECONDS
            while time.perf_counter_ns() < end:
                pass
        await self._app(scope, receive, send)


def plant() -> None:
    """Serve the product, held up."""
    product = serve.application

    def application(settings: Settings) -> ASGIApp:
        return Planted(product(settings))

    serve.application = application
    main(["serve"])


if __name__ == "__main__":
    plant()
