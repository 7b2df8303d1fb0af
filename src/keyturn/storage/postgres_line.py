"""A connection on the event loop that runs a message of statements at a time.

It does with libpq what psycopg's cursors do. Those begin to watch the connection for each message
and stop again, which is most of what a message costs.
"""

import asyncio

from psycopg import AsyncConnection, Error
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import TupleRow

from keyturn.storage.postgres_session import FAILED, Row, hang_up, rows_of


class Line:
    """The connection; watched until it is closed."""

    def __init__(self, connection: AsyncConnection[TupleRow]) -> None:
        self._connection = connection
        self._libpq = connection.pgconn
        self._socket = connection.fileno()
        self._loop = asyncio.get_running_loop()
        self._results: list[PGresult] = []
        self._answered: asyncio.Future[None] | None = None
        self._watched = True
        self._loop.add_reader(self._socket, self._read)

    @property
    def closed(self) -> bool:
        """Whether the connection is lost or closed."""
        return self._libpq.status != ConnStatus.OK

    async def run(self, text: str, seconds: float) -> list[list[Row]]:
        """Run the statements; the rows of those that select.

        A server that is silent for so many seconds is hung up on.

        Raises:
            psycopg.Error: one has failed, or the connection has.
        """
        self._results, self._answered = [], self._loop.create_future()
        silent = self._loop.call_later(seconds, hang_up, self._connection)
        try:
            self._libpq.send_query(text.encode())
            self._send()
            await self._answered
        finally:
            silent.cancel()
            self._answered = None
        for each in self._results:
            if each.status in FAILED:
                raise error_from_result(each)
        return [rows_of(each) for each in self._results if each.status == ExecStatus.TUPLES_OK]

    def close(self) -> None:
        """Close the connection."""
        if self._watched:
            self._watched = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._libpq.finish()

    def _send(self) -> None:
        """Send what libpq has not sent yet, as far as the connection takes it."""
        if self._libpq.flush():
            self._loop.add_writer(self._socket, self._go_on)
        else:
            self._loop.remove_writer(self._socket)

    def _go_on(self) -> None:
        try:
            self._send()
        except Error as error:
            self._fail(error)

    def _read(self) -> None:
        try:
            self._libpq.consume_input()
            while self._answered is not None and not self._libpq.is_busy():
                result = self._libpq.get_result()
                if result is None:
                    if not self._answered.done():
                        self._answered.set_result(None)
                    return
                self._results.append(result)
        except Error as error:
            self._fail(error)

    def _fail(self, error: Error) -> None:
        self.close()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
