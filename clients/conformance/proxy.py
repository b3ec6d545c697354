"""A proxy between a worker and its server, which notes what passes, breaks it on demand, and keeps handlers waiting at gates."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

#: No test waits for longer; on a busy machine all take their time.
PATIENCE = 120.0

#: What is done to a request: it is not heard, or it is heard and the answer is lost, or the proxy answers that the store is away, or that
#: nobody may ask for this.
Fault = Literal["refuse", "lose", "unavailable", "forbid"]


@dataclass
class Exchange:
    """A request of the worker, with the answer where there was one. ``is_dropped``: the worker has closed the connection."""

    call: str
    key: str | None
    body: Any
    answer: Any = None
    is_refused: bool = False
    is_dropped: bool = False


class Proxy:
    """Serves ``/gate/NAME``, held until :meth:`open`, and ``/hit/NAME``, which answers how often it was asked for; all else is the server's."""

    def __init__(self, server: str) -> None:
        self._server = urlsplit(server)
        self._changed = threading.Condition()
        self._exchanges: list[Exchange] = []
        self._hits: dict[str, int] = {}
        self._gates: dict[str, asyncio.Event] = {}
        self._faults: dict[str, tuple[Fault, int]] = {}
        self._loop = asyncio.new_event_loop()
        self._listener = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def close(self) -> None:
        """Breaks all connections and ends the thread."""

        async def end() -> None:
            self._listener.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            self._loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self._loop)
        self._thread.join()
        self._loop.close()

    def gate(self, name: str) -> str:
        """The address of a gate."""
        return f"{self.url}/gate/{name}"

    def hit(self, name: str) -> str:
        """The address of a count."""
        return f"{self.url}/hit/{name}"

    def open(self, name: str) -> None:
        """Lets all through who wait at a gate or come to it later."""
        self._loop.call_soon_threadsafe(lambda: self._gates.setdefault(name, asyncio.Event()).set())

    def fault(self, call: str, fault: Fault, times: int = 1_000_000) -> None:
        """Does something to the next requests of a call of ``/api/worker/``, or of all with ``*``."""
        with self._changed:
            self._faults[call] = (fault, times)

    def mend(self) -> None:
        """Ends all faults."""
        with self._changed:
            self._faults.clear()

    def hits(self, name: str, at_least: int = 0) -> int:
        """How often an address was asked for, once it was so often."""
        return self._wait(lambda: self._hits.get(name, 0) >= at_least and (self._hits.get(name, 0),))[0]

    def seen(self, fits: Callable[[Exchange], Any], count: int = 1) -> list[Exchange]:
        """The exchanges that fit, once there are so many."""
        return self._wait(lambda: len(found := [one for one in self._exchanges if fits(one)]) >= count and found)

    def _wait(self, look: Callable[[], Any]) -> Any:
        with self._changed:
            found = self._changed.wait_for(look, PATIENCE)
            if found is False:
                raise AssertionError(f"what the test waits for did not come; seen were {self._exchanges[-20:]}")
            return found

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            path = lines[0].split(" ")[1]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            answer = await self._answer(reader, path, lines, headers, body)
            if answer is not None:
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, path: str, lines: list[str], headers: dict[str, str], body: bytes
    ) -> bytes | None:
        _, place, name = path.split("/", 2)
        if place == "gate":
            await self._gates.setdefault(name, asyncio.Event()).wait()
            return _plain("200 OK", b"open")
        if place == "hit":
            with self._changed:
                self._hits[name] = self._hits.get(name, 0) + 1
                self._changed.notify_all()
                return _plain("200 OK", str(self._hits[name]).encode())
        call = path.rsplit("/", 1)[1]
        exchange = Exchange(call, headers.get("idempotency-key"), json.loads(body) if body else None)
        fault = self._begin(exchange)
        if fault == "refuse":
            return None
        if fault == "unavailable":
            return _plain("503 Service Unavailable", b'{"code":"unavailable"}', "retry-after: 0\r\n")
        if fault == "forbid":
            return _plain("403 Forbidden", b'{"code":"forbidden"}')
        forwarded = asyncio.create_task(self._forward(lines, body))
        # A worker that closes the connection closes the server's, too.
        closed = asyncio.create_task(reader.read(1))
        await asyncio.wait({forwarded, closed}, return_when=asyncio.FIRST_COMPLETED)
        closed.cancel()
        with self._changed:
            if forwarded.done():
                _, _, text = forwarded.result().partition(b"\r\n\r\n")
                exchange.answer = json.loads(text) if text.startswith((b"{", b"[")) else None
            else:
                exchange.is_dropped = forwarded.cancel()
            self._changed.notify_all()
        return forwarded.result() if forwarded.done() and fault != "lose" else None

    def _begin(self, exchange: Exchange) -> Fault | None:
        with self._changed:
            self._exchanges.append(exchange)
            name = exchange.call if exchange.call in self._faults else "*"
            fault, times = self._faults.get(name, (None, 0))
            if fault is not None:
                if times == 1:
                    del self._faults[name]
                else:
                    self._faults[name] = (fault, times - 1)
            exchange.is_refused = fault is not None
            self._changed.notify_all()
            return fault

    async def _forward(self, lines: list[str], body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._server.hostname, self._server.port)
        try:
            kept = [line for line in lines if line and not line.lower().startswith(("connection:", "host:"))]
            head = "\r\n".join([*kept, f"host: {self._server.netloc}", "connection: close", "", ""])
            writer.write(head.encode() + body)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()


def _plain(status: str, body: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body
