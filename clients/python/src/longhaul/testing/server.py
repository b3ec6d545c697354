"""The server in memory."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx

from ..aio import AsyncLonghaul
from ..client import Longhaul
from ..collect import Collect, Collected
from ..context import AsyncContext, Cancel, Context, completed, outcome_of
from ..job import FINISHED
from ..run import Run
from .attempt import Attempt, claimed_as, failed_as, now, plain, waits, written
from .collect import Call, grouped
from .jobs import Jobs
from .routes import Routes, parts_of
from .waits import signal_token


class MemoryServer:
    """Jobs in memory. They stand still until :meth:`run`, :meth:`start`, :meth:`complete`, :meth:`fail` or a call moves them; no time
    passes for them."""

    def __init__(self) -> None:
        self._jobs = Jobs()
        self._routes = Routes(self._jobs, self)

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """All jobs, by id, as the API has them."""
        return self._jobs.by_id

    def client(self, **options: Any) -> Longhaul:
        """A client of this server."""
        return Longhaul("http://memory", transport=httpx.MockTransport(self._answer_held), **options)

    def async_client(self, **options: Any) -> AsyncLonghaul:
        """An asyncio client of this server."""
        return AsyncLonghaul("http://memory", transport=httpx.MockTransport(self._answer_held_async), **options)

    def run(self, kind: str, work: Callable[..., Any]) -> int:
        """Runs all jobs of a kind that wait, oldest first, also those whose time has not come, with ``work(args)`` or a worker's
        handler, ``work(cx, args)``. Those whose queue or limit key is paused, or whose limit key has no slot free, go on waiting. Answers
        how many were run.

        An exception is a failed attempt, and the job runs again at once where it has attempts left. ``Fatal``, ``Cancel``, ``Snooze``
        and ``RateLimited`` are heeded as by a worker.
        """
        ran = 0
        for job in self._that_wait(kind):
            ran += self._may_run(job)
            while self._may_run(job):
                with self._attempt(job) as attempt:
                    attempt.output = attempt.call(work, Context)
                if attempt.is_put_off:
                    break
        return ran

    async def run_async(self, kind: str, work: Callable[..., Awaitable[Any]]) -> int:
        """Runs jobs as :meth:`run` does, with a coroutine function."""
        ran = 0
        for job in self._that_wait(kind):
            ran += self._may_run(job)
            while self._may_run(job):
                with self._attempt(job) as attempt:
                    task = asyncio.ensure_future(attempt.call(work, AsyncContext))
                    attempt.run.on_stop = task.cancel
                    try:
                        attempt.output = await task
                    except asyncio.CancelledError:
                        if not attempt.run.stopped.is_set():
                            raise
                        raise Cancel("it was asked to stop") from None
                if attempt.is_put_off:
                    break
        return ran

    def collect(self, kind: str, work: Callable[[list[Collected[Context]]], Any], *, max: int = 100, by: str | None = None) -> int:
        """Hands all jobs of a kind that wait to a worker's collecting handler, ``work(jobs)``, in calls of up to ``max`` that have the value at
        ``by`` in common. Answers how many calls that were. A job whose attempt has failed waits for the next ``collect``."""
        calls = 0
        for jobs in self._calls(kind, Collect(max, 0.0, by)):
            call, error = Call([self._open(job) for job in jobs], self._close, Context), None
            try:
                work(call.jobs)
            except Exception as raised:  # noqa: BLE001  Whatever a handler raises is the end of its own jobs only.
                error = raised
            call.close(error)
            calls += 1
        return calls

    async def collect_async(
        self, kind: str, work: Callable[[list[Collected[AsyncContext]]], Awaitable[Any]], *, max: int = 100, by: str | None = None
    ) -> int:
        """Hands jobs to a handler as :meth:`collect` does, with a coroutine function."""
        calls = 0
        for jobs in self._calls(kind, Collect(max, 0.0, by)):
            call, error = Call([self._open(job) for job in jobs], self._close, AsyncContext), None
            try:
                await work(call.jobs)
            except Exception as raised:  # noqa: BLE001  Whatever a handler raises is the end of its own jobs only.
                error = raised
            call.close(error)
            calls += 1
        return calls

    def _calls(self, kind: str, collect: Collect) -> Iterator[list[dict[str, Any]]]:
        for jobs in grouped(self._that_wait(kind), collect):
            # A key may have no slot for all of them.
            if may_run := [job for job in jobs if self._may_run(job)]:
                yield may_run

    def start(self, id: str) -> None:
        """Begins an attempt of a job, as if a worker had taken it."""
        self._started(id)

    def complete(self, id: str, output: Any = None) -> None:
        """Ends a job as completed."""
        job = self._started(id)
        job["output"] = plain(output)
        self._jobs.log(job, "output", {"output": job["output"]})
        self._jobs.enter(job, "completed")

    def fail(self, id: str, message: str) -> None:
        """Ends a job as failed, whatever attempts are left."""
        job = self._started(id)
        self._jobs.enter(job, "failed", failed_as(job, {"message": message, "kind": "fatal"}))

    def expire(self, id: str) -> None:
        """The time of a job is over: it is cancelled, as ``expired`` where it has not begun and has an ``expires_in``, else for its
        deadline."""
        job = self.jobs[id]
        if job["state"] in FINISHED:
            raise ValueError(f"job {id!r} has ended: it is {job['state']}")
        is_expired = job["started_at"] is None and job["expires_at"] is not None
        self._jobs.enter(job, "cancelled", reason="expired" if is_expired else "deadline")
        if id in self._jobs.runs:
            self._jobs.runs[id].stop()

    def wake(self, id: str) -> None:
        """The wait of a job is over: its signal has not come in time."""
        job = self.jobs[id]
        if job["state"] != "blocked" or not str(job["waits_for"]).startswith("signal:"):
            raise ValueError(f"job {id!r} waits for no signal: it is {job['state']}")
        self._jobs.signal(job, job["waits_for"], {"timed_out": True})

    def _asked(self, what: str, body: dict[str, Any]) -> Any:
        """What a handler's context asks a server for."""
        if what == "enqueue":
            return {"enqueued": [{"status": self._jobs.create(job)[0]} for job in body["jobs"]]}
        if what == "signal-token":
            return {"token": signal_token(body["id"], body["name"])}
        id = body["id"] if what == "steps" else body["ids"][0]
        if what == "steps":
            return {"steps": list(self._jobs.steps[id].values())}
        return {"jobs": [{"found": {"children": self._jobs.graphs.counts(id)}}]}

    def emit(self, id: str, data: Any) -> None:
        """Adds a chunk to a job's events."""
        self._jobs.log(self._started(id), "chunk", {"data": plain(data)})

    def progress(self, id: str, percent: float, message: str = "", data: Any = None) -> None:
        """Sets a job's progress."""
        job = self._started(id)
        job["progress"] = {"percent": float(percent), "message": message, "data": plain(data)}
        self._jobs.log(job, "progress", job["progress"])

    def log(self, id: str, message: str, level: str = "info") -> None:
        """Writes a line to a job's log."""
        self._jobs.log(self._started(id), "log", {"level": level, "message": message})

    def _that_wait(self, kind: str) -> list[dict[str, Any]]:
        return [job for job in self.jobs.values() if job["kind"] == kind and waits(job) and not self._jobs.queues.is_paused(job["queue"])]

    def _may_run(self, job: dict[str, Any]) -> bool:
        return waits(job) and not self._jobs.closed(job)

    @contextmanager
    def _attempt(self, job: dict[str, Any]) -> Iterator[Attempt]:
        attempt = self._open(job)
        try:
            yield attempt
            outcome = completed(attempt.output)
        except Exception as error:  # noqa: BLE001  Whatever a handler raises is the end of its own attempt only.
            outcome = outcome_of(error, attempt.run.claimed)
        except BaseException:
            del self._jobs.runs[job["id"]]
            raise
        self._close(attempt, outcome)

    def _open(self, job: dict[str, Any]) -> Attempt:
        self._begin(job)
        run = self._jobs.runs[job["id"]] = Run(claimed_as(job, self._jobs.steps[job["id"]]), 0.0)
        # No time passes here: a sleep that has begun is over with the next attempt.
        run.ask, run.left_of = self._asked, lambda until: 0.0
        return Attempt(run, self, plain(job["args"]))

    def _close(self, attempt: Attempt, outcome: dict[str, Any]) -> None:
        id = attempt.run.lease["id"]
        del self._jobs.runs[id]
        job = self.jobs.get(id)
        attempt.is_put_off = not {"snoozed", "rate_limited", "waits"}.isdisjoint(outcome)
        # The test may have ended the job meanwhile.
        if job is not None and job["state"] == "running":
            self._end(job, outcome)

    def _end(self, job: dict[str, Any], outcome: dict[str, Any]) -> None:
        [(how, what)] = outcome.items()
        if how == "completed":
            self.complete(job["id"], what["output"])
        elif how == "cancelled" or job["cancel_requested"]:
            self._jobs.enter(job, "cancelled", reason=job["cancel_reason"] or "asked")
        elif how == "waits":
            error = failed_as(job, what["error"]) if what["on"] == "person" else None
            job["attempt"] -= error is None
            # What it waits for may have come meanwhile.
            is_there = what["on"] in self._jobs.steps[job["id"]]
            self._jobs.enter(job, "available" if is_there else "blocked", error, waits_for=None if is_there else what["on"])
        elif "error" in what:
            self._jobs.enter(job, "failed" if how == "failed" else "scheduled", failed_as(job, what["error"]))
        else:
            run_at = datetime.now(timezone.utc) + timedelta(seconds=what["delay"])
            if how == "rate_limited" and job["limit_keys"]:
                self._jobs.keys.pause(job["limit_keys"][0], run_at)
            job.update(attempt=job["attempt"] - 1, run_at=written(run_at))
            self._jobs.enter(job, "scheduled")

    def say(self, run: Run, text: str, heard: Future[None] | None = None) -> None:
        """Takes what a handler says of its job. For contexts."""
        [(what, entry)] = json.loads(text).items()
        id: str = run.lease["id"]
        if what == "step":
            times = {"attempt": run.claimed["attempt"], "started_at": now(), "finished_at": now()}
            self._jobs.steps[id][entry["name"]] = {**entry, **times}
        else:
            tellers: dict[str, Callable[..., None]] = {"chunk": self.emit, "progress": self.progress, "log": self.log}
            tellers[what](id, **entry)
        if heard is not None:
            heard.set_result(None)

    def _begin(self, job: dict[str, Any]) -> None:
        job.update(attempt=job["attempt"] + 1, started_at=now(), worker="memory")
        # What the attempt before has said is void.
        said = [event for event, _ in self._jobs.logs[job["id"]] if event != "state"]
        if said and said[-1] != "reset":
            self._jobs.log(job, "reset", {})
        self._jobs.enter(job, "running")

    def _started(self, id: str) -> dict[str, Any]:
        """A job that runs; one that waits begins to."""
        job = self.jobs[id]
        if job["state"] in FINISHED:
            raise ValueError(f"job {id!r} has ended: it is {job['state']}")
        if waits(job):
            self._begin(job)
        return job

    def _answer_held(self, request: httpx.Request) -> httpx.Response:
        seconds = _held_for(request)
        if seconds:
            self.wait_for(lambda: self._has_ended(request), seconds)
        return self._routes.answer(request)

    async def _answer_held_async(self, request: httpx.Request) -> httpx.Response:
        seconds = _held_for(request)
        if seconds:
            await self.wait_for_async(lambda: self._has_ended(request), seconds)
        return self._routes.answer(request)

    def _has_ended(self, request: httpx.Request) -> bool:
        """False for the request of a job that has not ended yet."""
        job = self.jobs.get(parts_of(request)[-1])
        return job is None or job["state"] in FINISHED

    def wait_for(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Waits until a change of a job, by another thread, makes something true; false where it is not after ``seconds``."""
        woken, over = threading.Event(), time.monotonic() + seconds
        self._jobs.waiting.append(woken.set)
        try:
            while not is_so():
                if not woken.wait(max(0.0, over - time.monotonic())):
                    return False
                woken.clear()
            return True
        finally:
            self._jobs.waiting.remove(woken.set)

    async def wait_for_async(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Waits as :meth:`wait_for` does, for another task or thread."""
        woken, loop = asyncio.Event(), asyncio.get_running_loop()
        over = loop.time() + seconds

        def wake() -> None:
            loop.call_soon_threadsafe(woken.set)

        self._jobs.waiting.append(wake)
        try:
            while not is_so():
                try:
                    await asyncio.wait_for(woken.wait(), over - loop.time())
                except asyncio.TimeoutError:
                    return False
                woken.clear()
            return True
        finally:
            self._jobs.waiting.remove(wake)



def _held_for(request: httpx.Request) -> float:
    """The seconds for which a request may wait for the end of its job."""
    wait = re.search(r"\bwait=(\d+)", request.headers.get("prefer", ""))
    return float(wait[1]) if wait and request.method == "GET" else 0.0
