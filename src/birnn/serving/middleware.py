"""Around the app: who may ask, headers of all answers, faults, counting; and bodies, bounded."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from birnn.serving.limits import Limits
from birnn.serving.schemas import as_json

# Scripts and styles of our own files alone, and nothing from anywhere else.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
CLOSE = (b"connection", b"close")

_log = logging.getLogger("birnn.serving")


class RequestMiddleware:
    """ASGI middleware: what is the same for all requests.

    Args:
        app: The app.
        paths: The paths that are counted by their names.
        hosts: Names in ``Host`` that are answered for; None for all.
        count: Called with path, status and seconds of each request.
    """

    def __init__(
        self,
        app: ASGIApp,
        paths: Collection[str],
        hosts: Collection[str] | None,
        count: Callable[[str, int, float], None],
    ) -> None:
        self._app, self._paths, self._hosts, self._count = app, paths, hosts, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # as GET; the server sends no body
            scope = {**scope, "method": "GET"}
        begun, status = time.perf_counter(), 500
        begins = True

        async def sending(message: Message) -> None:
            nonlocal status, begins
            if message["type"] == "http.response.start":
                begins, status = False, message["status"]
                message["headers"] = [*message["headers"], *HEADERS]
                if scope["app"].state.stopping:
                    message["headers"].append(CLOSE)
            await send(message)

        try:
            if self._hosts is None or _host(scope) in self._hosts:
                await self._app(scope, receive, sending)
            else:
                detail = "this server does not answer for that host. See --allow-host."
                await _refuse(sending, 400, detail)
        except ClientDisconnect:
            status = 499  # as servers count it: nobody is there to be told
        except asyncio.CancelledError:  # by the second signal
            if not scope["app"].state.stopping:
                raise
            if begins:
                await _refuse(sending, 503, "the server stops at once.")
        except Exception:
            _log.exception("a request failed")
            if begins:
                await _refuse(sending, 500, "the server failed.")
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._count(path, status, time.perf_counter() - begun)


def _host(scope: Scope) -> str:
    """The name in ``Host``, without its port."""
    for name, value in scope["headers"]:
        if name == b"host":
            host: str = value.decode("latin-1").lower()
            return host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    return ""


async def _refuse(send: Callable[[Message], Awaitable[None]], status: int, detail: str) -> None:
    body = as_json({"detail": detail})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class RequestBodies:
    """Reads bodies of requests, and bounds how much of them is held.

    Args:
        limits: How long a body may be and take, and how many bytes all of them may have.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held = 0
        """Bytes of the bodies of all requests under way."""

    async def read(self, request: Request) -> bytes:
        """The body of a request; `release` it when it is answered.

        Raises:
            HTTPException: 408, 413, 415 or 429.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HTTPException(415, "the body is not JSON: send it as application/json.")
        if request.headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "the body is compressed: send it as it is.")
        announced = request.headers.get("content-length", "0")
        self._check(int(announced) if announced.isdigit() else 0)
        body = bytearray()
        held = 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for piece in request.stream():
                    self._check(len(body) + len(piece))
                    self._hold(len(piece))
                    held += len(piece)
                    body += piece
        except BaseException as error:
            self.held -= held
            if isinstance(error, TimeoutError):
                seconds = self._limits.body_seconds
                detail = f"the body did not come within {seconds:g} s."
                raise HTTPException(408, detail, headers={"Connection": "close"}) from None
            raise
        return bytes(body)

    def release(self, body: bytes) -> None:
        """Give back the room that a body took."""
        self.held -= len(body)

    def _check(self, size: int) -> None:
        if size > self._limits.body_bytes:
            raise HTTPException(
                413, f"the body has more than {self._limits.body_bytes:,} bytes: send less at once."
            )

    def _hold(self, size: int) -> None:
        if self.held + size > self._limits.held_bytes:
            raise HTTPException(429, BUSY, headers=RETRY)
        self.held += size


BUSY = "too many requests wait to be answered. Try again."
RETRY = {"Retry-After": "1"}
