"""The process of `birnn serve`: its socket, slow clients, signals and its end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from asyncio import TimerHandle
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from birnn.errors import OutputError, UsageError
from birnn.serving.limits import Limits

HEADER_BYTES = 1 << 15
GRACE = 0.2  # seconds in which requests that are on their way are still taken
LINGER = 1.0  # seconds after which an answer to a late body has been sent
# Python gives the interpreter's lock to another thread after so long: the event loop waits as long
# for the thread that answers, each time.
SWITCH_SECONDS = 0.0005
FILES = 1 << 16  # connections and what else is open


def serve(
    app: FastAPI,
    limits: Limits,
    *,
    host: str,
    port: int,
    started: Callable[[str, int], None],
) -> None:
    """Answer requests until SIGTERM or Ctrl-C, then answer all that was accepted.

    Args:
        app: The app.
        limits: Its limits.
        host: Address or name of the interface.
        port: The port; 0 for any that is free.
        started: Called with the address and the port once requests are answered.

    Raises:
        UsageError: A host that does not exist.
        OutputError: A port that is taken or forbidden.
    """
    listening = _socket(host, port)
    _raise_open_files()
    config = uvicorn.Config(
        app,
        http=_bounded(limits),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=int(limits.idle_seconds) or 1,
    )
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    # Models stay: a collection of garbage that walked through them would hold all requests up.
    gc.collect()
    gc.freeze()
    # Notices about texts are for whoever trains, and would hold texts of others.
    with contextlib.closing(listening), _errors_alone("birnn"), _errors_alone("uvicorn.error"):
        try:
            address, bound = listening.getsockname()[:2]
            _Server(config, app, lambda: started(address, bound)).run(sockets=[listening])
        finally:
            sys.setswitchinterval(before)
            gc.unfreeze()


@contextlib.contextmanager
def _errors_alone(logger: str) -> Iterator[None]:
    """A logger tells errors and nothing less, until the end of the block."""
    log = logging.getLogger(logger)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


class _Server(uvicorn.Server):
    """Ends on the first signal when all is answered, and at once on the second."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._app, self._tell_started = app, started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Whoever is connected may have sent a request that is not read yet. From here on each
        # answer says that the connection closes.
        self._app.state.stopping = True
        await asyncio.sleep(GRACE)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own raises them again at its end, which would be a failure of the command.
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._stop) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: Any) -> None:
        del number, frame
        if self.should_exit:
            self.force_exit = True
            # All that is under way is cancelled, which uvicorn would tell with tracebacks.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self.should_exit = True


def _bounded(limits: Limits) -> type[HttpToolsProtocol]:
    """Uvicorn's protocol with bounds on what comes before an app is asked."""

    class Bounded(HttpToolsProtocol):
        """Closes connections whose header is too long, or whose message takes too long."""

        _late: TimerHandle | None = None
        _header: int | None = 0  # bytes of a header that is not whole yet

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait(limits.header_seconds)

        def connection_lost(self, exc: Exception | None) -> None:
            self._wait(None)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._header is not None:
                self._header += len(data)
            super().data_received(data)
            if self._header is not None and self._header > HEADER_BYTES:
                self.transport.close()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._wait(limits.header_seconds)

        def on_headers_complete(self) -> None:
            self._header = None
            self._wait(limits.body_seconds + LINGER)
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._header = 0
            self._wait(None)
            super().on_message_complete()

        def _wait(self, seconds: float | None) -> None:
            """Close the connection in so many seconds; None: do not."""
            if self._late is not None:
                self._late.cancel()
            self._late = None if seconds is None else self.loop.call_later(seconds, self._give_up)

        def _give_up(self) -> None:
            self.transport.close()

    return Bounded


def _socket(host: str, port: int) -> socket.socket:
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise UsageError(f"--host is {host!r}: {error.strerror}.") from None
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen()  # or another server could bind the same port, until one of them listens
    except OSError as error:
        made.close()
        raise OutputError(
            f"cannot listen on {host} port {port}: {error.strerror}. Choose another with --port."
        ) from None
    return made


def _raise_open_files() -> None:
    """As many open files as this user may have, since each connection is one."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
