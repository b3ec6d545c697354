"""Server-sent events of the server in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

import httpx


class Waiting(Protocol):
    """Waits for changes, which other threads and tasks make."""

    def wait_for(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Waits until a change makes something true; false where it is not after ``seconds``."""

    async def wait_for_async(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Waits as :meth:`wait_for` does."""


class Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Server-sent events as they come; ``news`` answers those that are new, and ``None`` at the end."""

    #: The longest silence, in seconds. It is a fault of the test that waits, because nobody else is there to end it.
    SILENCE = 15.0

    def __init__(self, server: Waiting, first: bytes, news: Callable[[], bytes | None]) -> None:
        self._server, self._news = server, news
        self._piece: bytes | None = first

    def response(self) -> httpx.Response:
        return httpx.Response(200, stream=self, headers={"content-type": "text/event-stream"})

    def _has_news(self) -> bool:
        self._piece = self._news()
        return self._piece != b""

    def __iter__(self) -> Iterator[bytes]:
        while self._piece is not None:
            if self._piece:
                yield self._piece
            if not self._server.wait_for(self._has_news, self.SILENCE):
                raise httpx.ReadTimeout(SILENT)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._piece is not None:
            if self._piece:
                yield self._piece
            if not await self._server.wait_for_async(self._has_news, self.SILENCE):
                raise httpx.ReadTimeout(SILENT)


SILENT = "the server in memory has nothing to tell: no other thread or task moves its jobs"
