"""Workers: functions that run jobs for a Longhaul server, over HTTP.

Several threads share the work. The event loop claims jobs, runs coroutines and sends ends (`session.py`). A function that blocks
has a thread of its own. So have the heartbeats (`keeper.py`) and what jobs say (`recorder.py`), so that no handler can keep
them waiting.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any, TypeVar

import httpx

from .aio import AsyncLonghaul
from .client import Longhaul
from .collect import Collect
from .session import Plan, Registered, Session

Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)

#: A handler that does not stop after its job was handed back has so many seconds more.
GRACE = 5.0


class Worker:
    """Runs jobs.

    >>> worker = Worker("http://127.0.0.1:8000", slots=8)
    >>> @worker.job("ocr", queue="gpu")
    ... async def ocr(cx, args):
    ...     cx.progress(50, "half of it")
    ...     return {"text": "…"}
    >>> worker.run()  # until SIGTERM or SIGINT, which let running jobs end
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        slots: int = 10,
        lease: float = 30.0,
        drain: float = 25.0,
        labels: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        async_transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``slots`` is how many jobs run at once, of all queues together. A job whose worker is silent for ``lease`` seconds
        goes to another. At a shutdown running jobs have ``drain`` seconds; then they are handed back at no cost. Jobs that ``prefer``
        one of its ``labels``, ``{"gpu": "a100"}``, come to it first, or to it alone."""
        self._url, self._token = url, token
        self._slots, self._lease, self._drain = slots, lease, drain
        self._labels = dict(labels or {})
        self._transports = (transport, async_transport)
        self._kinds: dict[str, Registered] = {}
        self._queues: set[str] = set()
        self._stopping = threading.Event()
        self._stop_now: Callable[[], object] = lambda: None
        self._hand_back: Callable[[], object] = lambda: None
        # A new id each time that it starts: a lease of an earlier life is nobody's.
        self.id = f"{socket.gethostname()[:60]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"

    def job(self, kind: str, *, queue: str = "default", version: int = 1) -> Callable[[H], H]:
        """Registers a function for a kind: ``async def`` runs on the event loop, ``def`` in a thread.

        It is called with a context and the job's args. What it returns is the output. An exception is a failed attempt;
        ``Fatal``, ``Cancel``, ``Snooze`` and ``RateLimited`` say more than that.
        """

        return self._register(kind, queue, version, None)

    def collect(
        self, kind: str, *, max: int = 100, wait: float = 1.0, by: str | None = None, queue: str = "default", version: int = 1
    ) -> Callable[[H], H]:
        """Registers a function that is handed jobs of a kind many at a time: up to ``max``, or as many as there are when the first has
        waited for ``wait`` seconds. Where ``by`` names a path in the args, as ``"tenant.id"``, they have that value in common.

        It is called with a list of :class:`Collected`, each of which has its own ``cx`` and ``args`` and ends by itself:

        >>> worker = Worker("http://127.0.0.1:8000")
        >>> @worker.collect("row", max=500, by="tenant")
        ... async def insert(rows):
        ...     ids = await database.insert([row.args for row in rows])  # an exception here fails the attempt of each
        ...     for row, id in zip(rows, ids):
        ...         row.complete(id)

        A call takes one slot. A job that was given no end ends as the call does. Each keeps its lease, its timeout (which begins with
        the call), its deadline and its cancel: where one is cut off, the call goes on for the others. Once all of them should stop, a
        coroutine is cancelled.
        """
        return self._register(kind, queue, version, Collect(max, wait, by))

    def _register(self, kind: str, queue: str, version: int, collect: Collect | None) -> Callable[[H], H]:
        def register(handler: H) -> H:
            if kind in self._kinds:
                raise ValueError(f"kind '{kind}' is registered already")
            self._kinds[kind] = Registered(handler, version, collect)
            self._queues.add(queue)
            return handler

        return register

    def run(self) -> None:
        """Runs jobs until SIGTERM or SIGINT, which let running jobs end for ``drain`` seconds. A second signal hands them back at
        once. A handler that goes on after its job was handed back keeps no process alive."""
        asyncio.run(self._run_with_signals())

    def stop(self) -> None:
        """Asks the worker to stop, from any thread."""
        self._stopping.set()
        self._stop_now()

    async def _run_with_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._signalled)
        if await self._run():
            # The job runs elsewhere by now, and would be done twice.
            threading.Thread(target=_end_process, daemon=True).start()

    def _signalled(self) -> None:
        if self._stopping.is_set():
            self._hand_back()
        self.stop()

    async def run_async(self) -> None:
        """Runs jobs until :meth:`stop`, on the caller's event loop."""
        await self._run()

    async def _run(self) -> bool:
        """True where a handler goes on."""
        if not self._kinds:
            raise ValueError("no job is registered: decorate a function with @worker.job(kind)")
        loop = asyncio.get_running_loop()
        stopped, hand_back = asyncio.Event(), asyncio.Event()
        self._stop_now = lambda: loop.call_soon_threadsafe(stopped.set)
        self._hand_back = lambda: loop.call_soon_threadsafe(hand_back.set)
        if self._stopping.is_set():
            stopped.set()
        sync, asynchronous = self._transports
        plan = Plan(self._kinds, sorted(self._queues), self._slots, self._lease, self._presentation())
        # A beat that is late is sent anew with the next one, and not again by itself.
        beats = Longhaul(self._url, token=self._token, timeout=max(1.0, self._lease / 3), max_retries=0, transport=sync)
        records = Longhaul(self._url, token=self._token, transport=sync)
        async with AsyncLonghaul(self._url, token=self._token, transport=asynchronous) as client:
            session = Session(plan, client, beats, records)
            await stopped.wait()
            await session.drain(self._drain, hand_back)
        # Its loop may be gone when somebody asks again.
        self._stop_now = self._hand_back = lambda: None
        beats.close()
        records.close()
        return bool(session.handlers)

    def _presentation(self) -> dict[str, Any]:
        queues = [{"queue": queue, "slots": self._slots} for queue in sorted(self._queues)]
        return {
            "id": self.id,
            "process": str(os.getpid()),
            "host": socket.gethostname(),
            "queues": queues,
            "kinds": [{"kind": kind, "version": it.version} for kind, it in self._kinds.items()],
            "version": f"longhaul-py {version('longhaul')}",
            **({"labels": self._labels} if self._labels else {}),
            "started_at": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }


def _end_process() -> None:
    time.sleep(GRACE)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
