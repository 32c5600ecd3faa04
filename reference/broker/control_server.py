"""The control channel: lines of JSON over TCP on 127.0.0.1, for whoever has the token.

A client sends ``{"op": "hello", "token": TOKEN}`` first, then one request per line, each answered by one line before
the next is read (see ``control_requests``).  The token is there because a port on loopback is open to every user of the
machine, and to every page in a browser on it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, NoReturn, Self

from celeriac.reference.broker.control_fields import Refused
from celeriac.reference.broker.control_requests import answer
from celeriac.reference.broker.readable import to_json
from celeriac.reference.broker.tcp import BrokerServer

__all__ = ["LINE_LIMIT", "ControlServer"]

#: The longest line that is read, in bytes.
LINE_LIMIT = 1 << 16
#: Seconds in which a client that is turned away may read why.
GRACE = 5.0


class ControlServer:
    """Lets clients control the broker of a server, which must keep its record.

    Args:
        server: the server, on the running loop.
        port: where to listen on 127.0.0.1; 0 lets the kernel choose.

    Attributes:
        token: what a client has to know.
    """

    def __init__(self, server: BrokerServer, port: int = 0) -> None:
        self.token = secrets.token_urlsafe(16)
        self._server = server
        self._wanted = port
        self._clients: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listening.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", self._wanted, limit=LINE_LIMIT)

    async def stop(self) -> None:
        """Stop listening and end every conversation, whoever waits for whatever."""
        self._listening.close()
        clients = tuple(self._clients)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.CancelledError):  # the client has gone, or the server stops
            writer.transport.abort()
        finally:
            self._clients.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        known = False
        try:
            while line := await _next_line(reader):
                writer.write(await self._answer(line, known=known))
                await writer.drain()
                known = True
        except Refused as refused:
            writer.write(_line(_error(refused)))
            await _let_read(reader, writer)

    async def _answer(self, line: bytes, *, known: bool) -> bytes:
        """Answer a line, or refuse the line of somebody who is not known and has not said the right hello."""
        request: Mapping[str, Any] = {}
        try:
            request = _parsed(line)
            if not known:
                self._check_hello(request)
            reply = {"ok": await answer(self._server, request)}
        except Refused as refused:
            if not known:
                raise
            reply = _error(refused)
        return _line({**({"id": request["id"]} if "id" in request else {}), **reply})

    def _check_hello(self, request: Mapping[str, Any]) -> None:
        token = str(request.get("token")).encode("utf-8", "replace")
        if request.get("op") != "hello" or not hmac.compare_digest(token, self.token.encode()):
            raise Refused(
                "token",
                'the first line has to be {"op": "hello", "token": TOKEN}, with the token that the broker printed '
                "when it started",
            )


async def _next_line(reader: asyncio.StreamReader) -> bytes:
    """Answer the next line that is not blank, or nothing at the end.

    Raises:
        Refused: it is too long.
    """
    try:
        while line := await reader.readline():
            if line.strip():
                return line
    except ValueError:
        raise Refused("request", f"a line may have {LINE_LIMIT} bytes; this one is longer, goodbye") from None
    return b""


async def _let_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say no more, and take what still comes: closing at once would destroy what the client has not read yet."""
    writer.write_eof()
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            while await reader.read(LINE_LIMIT):
                pass


def _parsed(line: bytes) -> Mapping[str, Any]:
    try:
        request = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused("request", f"a line has to be one JSON object in UTF-8: {error}") from None
    if not isinstance(request, dict):
        raise Refused(
            "request", f'a line has to be a JSON object such as {{"op": "now"}}, not {to_json(request)[:80]}'
        )
    return request


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _error(refused: Refused) -> dict[str, Any]:
    return {"error": refused.kind, "text": str(refused)}


def _line(value: object) -> bytes:
    return to_json(value).encode() + b"\n"
