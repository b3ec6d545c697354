"""Workers: functions that run jobs for a Longhaul server, over HTTP.

Three parties share the work. The event loop claims jobs, runs coroutines and sends ends. A pool of threads runs functions
that block. A thread of its own keeps the leases (`keeper.py`), so that no handler can keep a heartbeat waiting.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import signal
import socket
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from .context import AsyncContext, Context, Outcome, completed, failure, outcome_of
from .flow import pause, retry_after
from .keeper import Keeper, Run

log = logging.getLogger("longhaul.worker")

Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True)
class Registered:
    """A kind that this worker runs."""

    handler: Handler
    version: int


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
        transport: httpx.BaseTransport | None = None,
        async_transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``slots`` is how many jobs run at once, of all queues together. A job whose worker is silent for ``lease`` seconds
        goes to another. At a shutdown running jobs have ``drain`` seconds; then they are handed back at no cost."""
        headers = {"authorization": f"Bearer {token}"} if token is not None else {}
        self._url, self._headers = url.rstrip("/"), headers
        self._slots, self._lease, self._drain = slots, lease, drain
        self._transports = (transport, async_transport)
        self._kinds: dict[str, Registered] = {}
        self._queues: set[str] = set()
        self._stopping = threading.Event()
        self._wake: Callable[[], object] = lambda: None
        # A new id each time that it starts: a lease of an earlier life is nobody's.
        self.id = f"{socket.gethostname()[:60]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"

    def job(self, kind: str, *, queue: str = "default", version: int = 1) -> Callable[[H], H]:
        """Registers a function for a kind: ``async def`` runs on the event loop, ``def`` in a thread.

        It is called with a context and the job's args. What it returns is the output. An exception is a failed attempt;
        ``Fatal``, ``Cancel``, ``Snooze`` and ``RateLimited`` say more than that.
        """

        def register(handler: H) -> H:
            if kind in self._kinds:
                raise ValueError(f"kind '{kind}' is registered already")
            self._kinds[kind] = Registered(handler, version)
            self._queues.add(queue)
            return handler

        return register

    def run(self) -> None:
        """Runs jobs until SIGTERM or SIGINT. A second signal hands running jobs back at once."""
        asyncio.run(self._run_with_signals())

    def stop(self) -> None:
        """Asks the worker to stop, from any thread."""
        self._stopping.set()
        self._wake()

    async def _run_with_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._signalled)
        await self.run_async()

    def _signalled(self) -> None:
        if self._stopping.is_set():
            self._drain = 0.0
        self.stop()

    async def run_async(self) -> None:
        """Runs jobs until :meth:`stop`, on the caller's event loop."""
        if not self._kinds:
            raise ValueError("no job is registered: decorate a function with @worker.job(kind)")
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(woken.set)
        sync, asynchronous = self._transports
        limits = httpx.Limits(max_connections=4)
        http = httpx.AsyncClient(base_url=self._url, headers=self._headers, transport=asynchronous, limits=limits)
        blocking = httpx.Client(base_url=self._url, headers=self._headers, transport=sync)
        keeper = Keeper(blocking, self._presentation(), self._lease)
        pool = ThreadPoolExecutor(max_workers=self._slots, thread_name_prefix="longhaul-job")
        session = _Session(self, http, keeper, pool, woken)
        keeper.start()
        try:
            await session.serve()
        finally:
            keeper.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            await http.aclose()

    def _presentation(self) -> dict[str, Any]:
        queues = [{"queue": queue, "slots": self._slots} for queue in sorted(self._queues)]
        return {"id": self.id, "process": str(os.getpid()), "host": socket.gethostname(), "queues": queues}


class _Session:
    """One run of a worker: its claims, its jobs and their ends."""

    def __init__(
        self, worker: Worker, http: httpx.AsyncClient, keeper: Keeper, pool: ThreadPoolExecutor, woken: asyncio.Event
    ) -> None:
        self._worker, self._http, self._keeper, self._pool, self._woken = worker, http, keeper, pool, woken
        self._tasks: dict[asyncio.Task[None], Run] = {}
        self._ends: asyncio.Queue[tuple[Run, Outcome]] = asyncio.Queue()
        self._turn = 0

    async def serve(self) -> None:
        finisher = asyncio.create_task(self._send_ends())
        try:
            await self._claim_until_stopped()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=self._worker._drain)
            for task, run in list(self._tasks.items()):
                # What the handler still says of this run is not heard: the job goes to another worker.
                run.is_released = True
                task.cancel()
                self._end(run, {"released": {}})
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=1.0)
        finally:
            await self._ends.join()
            finisher.cancel()

    async def _claim_until_stopped(self) -> None:
        tries = 0
        while not self._worker._stopping.is_set():
            free = self._worker._slots - len(self._tasks)
            if free <= 0:
                await self._next_wake()
                continue
            claim = asyncio.create_task(self._claim(free))
            stop = asyncio.create_task(self._stop_signal())
            await asyncio.wait({claim, stop}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if not claim.done():
                # The server takes back what a claim of a broken connection has taken.
                claim.cancel()
                continue
            told = claim.result()
            if told is None:
                tries = 0
            else:
                log.warning("failed to claim jobs: %s", told.reason)
                await asyncio.sleep(pause(tries, told.after))
                tries += 1

    async def _stop_signal(self) -> None:
        while not self._worker._stopping.is_set():
            await self._next_wake()

    async def _next_wake(self) -> None:
        self._woken.clear()
        if not self._worker._stopping.is_set():
            await self._woken.wait()

    async def _claim(self, free: int) -> _Refused | None:
        worker = self._worker
        # The free slots are shared out among the queues, beginning with another each time.
        queues = sorted(worker._queues)
        self._turn = (self._turn + 1) % len(queues)
        queues = (queues[self._turn :] + queues[: self._turn])[:free]
        share = free // len(queues)
        body = {
            "worker": worker._presentation(),
            "queues": [{"queue": queue, "slots": share} for queue in queues],
            "kinds": [{"kind": kind, "version": it.version} for kind, it in worker._kinds.items()],
            "lease_for": worker._lease,
            "wait": 20,
        }
        started = self._keeper.now()
        try:
            response = await self._http.post(
                "/api/worker/claim", json=body, headers={"idempotency-key": uuid.uuid4().hex}, timeout=55.0
            )
        except httpx.TransportError as error:
            return _Refused(str(error) or type(error).__name__, None)
        if response.status_code != 200:
            return _Refused(f"{response.status_code} {response.text[:500]}", retry_after(response.headers.get("retry-after")))
        for claimed in response.json()["claimed"]:
            run = Run(claimed["lease"]["id"], claimed["lease"]["token"], started)
            self._keeper.add(run)
            task = asyncio.create_task(self._work(run, claimed))
            self._tasks[task] = run
            task.add_done_callback(self._forget)
        return None

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._woken.set()

    async def _work(self, run: Run, claimed: Mapping[str, Any]) -> None:
        registered = self._worker._kinds[claimed["kind"]]
        loop = asyncio.get_running_loop()
        try:
            if inspect.iscoroutinefunction(registered.handler):
                cx = AsyncContext(self._keeper, run, claimed)
                handler = asyncio.ensure_future(registered.handler(cx, claimed["args"]))
                run.on_stop = lambda: loop.call_soon_threadsafe(handler.cancel)
                work: Awaitable[Any] = handler
            else:
                work = loop.run_in_executor(
                    self._pool, registered.handler, Context(self._keeper, run, claimed), claimed["args"]
                )
            output = await asyncio.wait_for(work, claimed["timeout"])
            outcome = completed(output)
        except asyncio.CancelledError:
            if run.is_released:
                return
            outcome = {"cancelled": {"reason": "it was asked to stop"}}
        except asyncio.TimeoutError:
            run.stop()
            outcome = failure(f"the attempt took longer than {claimed['timeout']} s", claimed)
        except BaseException as error:  # noqa: BLE001  Whatever a handler raises is the end of its own job only.
            if not isinstance(error, Exception) and not isinstance(error, (SystemExit, KeyboardInterrupt)):
                raise
            outcome = outcome_of(error, claimed)
        if not run.is_released:
            self._end(run, outcome)

    def _end(self, run: Run, outcome: Outcome) -> None:
        self._ends.put_nowait((run, outcome))

    async def _send_ends(self) -> None:
        """Sends all ends that have come together as one request, until each was heard."""
        while True:
            ends = [await self._ends.get()]
            while not self._ends.empty():
                ends.append(self._ends.get_nowait())
            finishes = []
            for run, outcome in ends:
                # What the job has said goes before its end: after that nobody may speak for it.
                await asyncio.wrap_future(self._keeper.said(run))
                if not run.is_lost:
                    finishes.append(run.finish(outcome))
            if finishes:
                await self._finish(finishes)
            for run, _ in ends:
                self._keeper.remove(run)
                self._ends.task_done()

    async def _finish(self, finishes: list[dict[str, Any]]) -> None:
        key, tries = uuid.uuid4().hex, 0
        while True:
            told: float | None = None
            try:
                response = await self._http.post(
                    "/api/worker/finish", json={"finishes": finishes}, headers={"idempotency-key": key}, timeout=30.0
                )
                if response.status_code == 200:
                    return
                reason = f"{response.status_code} {response.text[:500]}"
                told = retry_after(response.headers.get("retry-after"))
                if response.status_code == 413 and len(finishes) > 1:
                    # Together they are more than a body may have.
                    for finish in finishes:
                        await self._finish([finish])
                    return
                if response.status_code < 500 and response.status_code not in (408, 429):
                    log.error("the server refused the ends of %d jobs: %s", len(finishes), reason)
                    return
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
            log.warning("failed to send the ends of %d jobs, will try again: %s", len(finishes), reason)
            await asyncio.sleep(pause(min(tries, 6), told))
            tries += 1


@dataclass(frozen=True)
class _Refused:
    reason: str
    after: float | None
