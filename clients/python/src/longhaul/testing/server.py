"""The server in memory."""

from __future__ import annotations

import asyncio
import json
import math
import re
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import httpx

from ..aio import AsyncLonghaul
from ..client import Longhaul
from ..collect import Collect, Collected
from ..context import AsyncContext, Cancel, Context, completed, outcome_of
from ..job import FINISHED
from ..run import Run
from .attempt import Attempt, claimed_as, failed_as, now, plain, waits, written
from .collect import Call, grouped
from .keys import LimitKeys, key_list_rules, limits_rules, pause_rules
from .queues import Queues, queue_rules
from .rules import Broken, broken_rule, page_rule, shown
from .search import fits
from .stream import Stream
from .unique import UniqueKeys, new_job_rules, read_time, start_of
from .waits import Graphs, dependency_rules, read_dependencies


class MemoryServer:
    """Jobs in memory. They stand still until :meth:`run`, :meth:`start`, :meth:`complete`, :meth:`fail` or a call moves them; no time
    passes for them."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self._logs: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        #: By job, the steps that are done, by name.
        self._steps: dict[str, dict[str, dict[str, Any]]] = {}
        self._replays: dict[str, tuple[tuple[str, bytes], httpx.Response]] = {}
        self._unique = UniqueKeys()
        self._gone: set[str] = set()
        self._queues = Queues(self.jobs)
        self._keys = LimitKeys(self.jobs)
        self._graphs = Graphs(self.jobs)
        #: What the live feed tells.
        self._changes: list[dict[str, Any]] = []
        #: By job, the run whose handler is at work.
        self._runs: dict[str, Run] = {}
        #: Called at each change, for requests that wait for one.
        self._waiting: list[Callable[[], object]] = []

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
        self._log(job, "output", {"output": job["output"]})
        self._enter(job, "completed")

    def fail(self, id: str, message: str) -> None:
        """Ends a job as failed, whatever attempts are left."""
        job = self._started(id)
        self._enter(job, "failed", failed_as(job, {"message": message, "kind": "fatal"}))

    def expire(self, id: str) -> None:
        """The time of a job is over: it is cancelled, as ``expired`` where it has not begun and has an ``expires_in``, else for its
        deadline."""
        job = self.jobs[id]
        if job["state"] in FINISHED:
            raise ValueError(f"job {id!r} has ended: it is {job['state']}")
        is_expired = job["started_at"] is None and job["expires_at"] is not None
        self._enter(job, "cancelled", reason="expired" if is_expired else "deadline")
        if id in self._runs:
            self._runs[id].stop()

    def wake(self, id: str) -> None:
        """The wait of a job is over: its signal has not come in time."""
        job = self.jobs[id]
        if job["state"] != "blocked" or not str(job["waits_for"]).startswith("signal:"):
            raise ValueError(f"job {id!r} waits for no signal: it is {job['state']}")
        self._signal(job, job["waits_for"], {"timed_out": True})

    def _signal(self, job: dict[str, Any], step: str, output: Any) -> bool:
        """Gives a job a signal; false where an earlier one of the name stands."""
        if step in self._steps[job["id"]]:
            return False
        times = {"attempt": job["attempt"], "started_at": now(), "finished_at": now()}
        self._steps[job["id"]][step] = {"name": step, "output": output, **times}
        if job["waits_for"] == step:
            self._enter(job, "available")
        return True

    def _asked(self, what: str, body: dict[str, Any]) -> Any:
        """What a handler's context asks a server for."""
        if what == "enqueue":
            return {"enqueued": [self._create(job)[0] for job in body["jobs"]]}
        id = body["id"] if what == "steps" else body["ids"][0]
        if what == "steps":
            return {"steps": list(self._steps[id].values())}
        return {"jobs": [{"found": {"children": self._graphs.counts(id)}}]}

    def emit(self, id: str, data: Any) -> None:
        """Adds a chunk to a job's events."""
        self._log(self._started(id), "chunk", {"data": plain(data)})

    def progress(self, id: str, percent: float, message: str = "", data: Any = None) -> None:
        """Sets a job's progress."""
        job = self._started(id)
        job["progress"] = {"percent": float(percent), "message": message, "data": plain(data)}
        self._log(job, "progress", job["progress"])

    def log(self, id: str, message: str, level: str = "info") -> None:
        """Writes a line to a job's log."""
        self._log(self._started(id), "log", {"level": level, "message": message})

    def _that_wait(self, kind: str) -> list[dict[str, Any]]:
        return [job for job in self.jobs.values() if job["kind"] == kind and waits(job) and not self._queues.is_paused(job["queue"])]

    def _may_run(self, job: dict[str, Any]) -> bool:
        return waits(job) and not self._closed(job)

    def _closed(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """What keeps a job from being claimed, in the order in which it is looked at: pauses, the queue's slots, the keys'."""
        closed = [*self._queues.closed(job), *self._keys.closed(job)]
        return sorted(closed, key=lambda reason: reason["rule"] != "paused_key")

    @contextmanager
    def _attempt(self, job: dict[str, Any]) -> Iterator[Attempt]:
        attempt = self._open(job)
        try:
            yield attempt
            outcome = completed(attempt.output)
        except Exception as error:  # noqa: BLE001  Whatever a handler raises is the end of its own attempt only.
            outcome = outcome_of(error, attempt.run.claimed)
        except BaseException:
            del self._runs[job["id"]]
            raise
        self._close(attempt, outcome)

    def _open(self, job: dict[str, Any]) -> Attempt:
        self._begin(job)
        run = self._runs[job["id"]] = Run(claimed_as(job, self._steps[job["id"]]), 0.0)
        # No time passes here: a sleep that has begun is over with the next attempt.
        run.ask, run.left_of = self._asked, lambda until: 0.0
        return Attempt(run, self, plain(job["args"]))

    def _close(self, attempt: Attempt, outcome: dict[str, Any]) -> None:
        id = attempt.run.lease["id"]
        del self._runs[id]
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
            self._enter(job, "cancelled", reason=job["cancel_reason"] or "asked")
        elif how == "waits":
            error = failed_as(job, what["error"]) if what["on"] == "person" else None
            job["attempt"] -= error is None
            # What it waits for may have come meanwhile.
            is_there = what["on"] in self._steps[job["id"]]
            self._enter(job, "available" if is_there else "blocked", error, waits_for=None if is_there else what["on"])
        elif "error" in what:
            self._enter(job, "failed" if how == "failed" else "scheduled", failed_as(job, what["error"]))
        else:
            run_at = datetime.now(timezone.utc) + timedelta(seconds=what["delay"])
            if how == "rate_limited" and job["limit_keys"]:
                self._keys.pause(job["limit_keys"][0], run_at)
            job.update(attempt=job["attempt"] - 1, run_at=written(run_at))
            self._enter(job, "scheduled")

    def say(self, run: Run, text: str, heard: Future[None] | None = None) -> None:
        """Takes what a handler says of its job. For contexts."""
        [(what, entry)] = json.loads(text).items()
        id: str = run.lease["id"]
        if what == "step":
            times = {"attempt": run.claimed["attempt"], "started_at": now(), "finished_at": now()}
            self._steps[id][entry["name"]] = {**entry, **times}
        else:
            tellers: dict[str, Callable[..., None]] = {"chunk": self.emit, "progress": self.progress, "log": self.log}
            tellers[what](id, **entry)
        if heard is not None:
            heard.set_result(None)

    def _begin(self, job: dict[str, Any]) -> None:
        job.update(attempt=job["attempt"] + 1, started_at=now(), worker="memory")
        # What the attempt before has said is void.
        said = [event for event, _ in self._logs[job["id"]] if event != "state"]
        if said and said[-1] != "reset":
            self._log(job, "reset", {})
        self._enter(job, "running")

    def _started(self, id: str) -> dict[str, Any]:
        """A job that runs; one that waits begins to."""
        job = self.jobs[id]
        if job["state"] in FINISHED:
            raise ValueError(f"job {id!r} has ended: it is {job['state']}")
        if waits(job):
            self._begin(job)
        return job

    def _enter(self, job: dict[str, Any], state: str, error: dict[str, Any] | None = None, reason: str | None = None, waits_for: str | None = None) -> None:
        job.update(state=state, cancel_requested=False, cancel_reason=reason, waits_for=waits_for, finished_at=now() if state in FINISHED else None)
        self._log(job, "state", {"state": state, "error": error})
        for of, fate in self._graphs.ended(job) if state in FINISHED else ():
            if fate == "cancelled":
                self._enter(of, "cancelled", reason="dependency")
            else:
                self._enter(of, "scheduled" if read_time(of["run_at"]) > datetime.now(timezone.utc) else "available")

    def _log(self, job: dict[str, Any], event: str, data: dict[str, Any]) -> None:
        self._logs[job["id"]].append((event, {"attempt": job["attempt"], "at": now(), **data}))
        if event == "state":
            self._change(job, job["state"])
        self._wake()

    def _change(self, job: dict[str, Any], state: str | None) -> None:
        told = {name: job[name] for name in ("id", "kind", "queue", "attempt")}
        self._changes.append({**told, "state": state, "at": now()})

    def _wake(self) -> None:
        for tell in list(self._waiting):
            tell()

    def _answer_held(self, request: httpx.Request) -> httpx.Response:
        seconds = _held_for(request)
        if seconds:
            self.wait_for(lambda: self._has_ended(request), seconds)
        return self._answer(request)

    async def _answer_held_async(self, request: httpx.Request) -> httpx.Response:
        seconds = _held_for(request)
        if seconds:
            await self.wait_for_async(lambda: self._has_ended(request), seconds)
        return self._answer(request)

    def _has_ended(self, request: httpx.Request) -> bool:
        """False for the request of a job that has not ended yet."""
        job = self.jobs.get(_parts(request)[-1])
        return job is None or job["state"] in FINISHED

    def wait_for(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Waits until a change of a job, by another thread, makes something true; false where it is not after ``seconds``."""
        woken, over = threading.Event(), time.monotonic() + seconds
        self._waiting.append(woken.set)
        try:
            while not is_so():
                if not woken.wait(max(0.0, over - time.monotonic())):
                    return False
                woken.clear()
            return True
        finally:
            self._waiting.remove(woken.set)

    async def wait_for_async(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Waits as :meth:`wait_for` does, for another task or thread."""
        woken, loop = asyncio.Event(), asyncio.get_running_loop()
        over = loop.time() + seconds

        def wake() -> None:
            loop.call_soon_threadsafe(woken.set)

        self._waiting.append(wake)
        try:
            while not is_so():
                try:
                    await asyncio.wait_for(woken.wait(), over - loop.time())
                except asyncio.TimeoutError:
                    return False
                woken.clear()
            return True
        finally:
            self._waiting.remove(wake)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        key = request.headers.get("idempotency-key")
        asked = (str(request.url), request.content)
        if key is not None and key in self._replays:
            before, kept = self._replays[key]
            if asked != before:
                return _problem(422, "idempotency_key_reused", "the key was used for another request")
            return httpx.Response(kept.status_code, content=kept.content, headers={"idempotency-replayed": "true"})
        response = self._route(request)
        if key is not None and response.is_success:
            self._replays[key] = (asked, response)
        return response

    def _route(self, request: httpx.Request) -> httpx.Response:
        parts = _parts(request)
        body: Any = json.loads(request.content) if request.content else None
        is_new = request.method == "POST" and parts[1:] in (["jobs"], ["jobs", "batch"])
        if is_new:
            asked = [(one, f"[{n}].", body[:n]) for n, one in enumerate(body)] if isinstance(body, list) else [(body, "", [])]
            broken = [rule for one, place, before in asked for rule in new_job_rules(one, place) + dependency_rules(one, place, self.jobs, before)]
            if broken:
                return _invalid(*broken)
        match (request.method, parts):
            case ("POST", ["api", "jobs"]):
                status, job = self._create(body)
                if status == "full":
                    detail = f"as many jobs wait in {job['full']} as may; nothing was created"
                    return _problem(429, "queue_full", detail, {"retry-after": "1"})
                place = {"location": f"/api/jobs/{quote(job['id'], safe='')}"}
                if status == "rejected":
                    return _problem(409, "duplicate", f"job {job['id']} holds the unique key; nothing was created", place)
                return httpx.Response(
                    200 if status == "duplicate" else 202, json=job if status == "created" else {**job, status: True}, headers=place
                )
            case ("POST", ["api", "jobs", "batch"]):
                return _json(202, [_batched(*self._create(one)) for one in body])
            case ("POST", ["api", "jobs", "actions"]):
                return self._act(body)
            case ("GET", ["api", "jobs"]):
                return self._list(parse_qsl(request.url.query.decode(), keep_blank_values=True))
            case ("GET", ["api", "events"]):
                return self._feed(parse_qsl(request.url.query.decode()))
            case (method, ["api", "queues", *rest]):
                return self._queue(method, body, *rest)
            case ("GET", ["api", "keys"]):
                query = dict(parse_qsl(request.url.query.decode(), keep_blank_values=True))
                refused = key_list_rules(query)
                return _invalid(*refused) if refused else _json(200, self._keys.list(query))
            case (method, ["api", "keys", key, *rest]):
                return self._key(method, key, rest, body or {})
            case ("GET", ["api", "me"]):
                return _json(200, {"role": "admin"})
            case ("GET", ["api", "workers"]):
                return _json(200, {"workers": []})
            case (method, ["api", "jobs", id, *rest]):
                if id in self._gone:
                    return _problem(410, "gone", "the job was deleted")
                if id not in self.jobs:
                    return _problem(404, "no_such_job", "no job of this id is known")
                return self._one(method, self.jobs[id], rest, request)
        return _problem(404, "no_such_route", f"{request.method} {request.url.path} is not served")

    def _create(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """What became of a job, and the one that stands for it."""
        if body.get("id") in self.jobs:
            return "duplicate", self.jobs[body["id"]]
        clash = self._unique.clash(body)
        if clash is not None and clash.fate in ("join", "reject"):
            return "duplicate" if clash.fate == "join" else "rejected", clash.holder
        if clash is not None and clash.at is not None:
            clash.holder.update(args=body.get("args"), run_at=written(clash.at))
            self._steps[clash.holder["id"]].clear()
            self._enter(clash.holder, "scheduled" if clash.at > datetime.now(timezone.utc) else "available")
            return "replaced", clash.holder
        keys, cost = body.get("limit_keys"), {"slots": 1, "rate": 1}
        if keys is None:
            keys = [] if body.get("key") is None else [body["key"]]
        full = self._full(body.get("queue", "default"), keys)
        refusing = [name for name, on_full, _ in full if on_full == "reject"]
        if refusing:
            return "full", {"full": refusing[0]}
        is_dropped = any(on_full == "drop_newest" for _, on_full, _ in full)
        if not is_dropped:
            for _, _, oldest in full:
                # The oldest of one bound may be that of another, too.
                if waits(oldest):
                    self._cancel(oldest, "dropped")
            clash = self._unique.clash(body)
            if clash is not None and clash.fate == "supersede":
                self._cancel(clash.holder, "superseded")
        starts_at, present = start_of(body), datetime.now(timezone.utc)
        is_later = starts_at > present
        expires_in, deadline = body.get("expires_in"), body.get("deadline")
        if deadline is not None:
            deadline = written(present + timedelta(seconds=deadline) if isinstance(deadline, (int, float)) else read_time(deadline))
        nothing = ("waits_for", "wakes_at", "forked_from", "progress", "position", "eta_seconds", "started_at", "finished_at", "output", "worker", "children")
        job = {
            **dict.fromkeys(nothing),
            "id": body.get("id") or uuid.uuid4().hex,
            "kind": body["kind"],
            "version": 1,
            "queue": body.get("queue", "default"),
            "args": body.get("args"),
            "state": "scheduled" if is_later else "available",
            "attempt": 0,
            "max_attempts": body.get("max_attempts", 3),
            "crashes": 0,
            "interruptions": 0,
            "priority": body.get("priority", 0),
            "timeout": body.get("timeout"),
            "created_at": now(),
            "run_at": written(starts_at) if is_later else now(),
            "errors": [],
            "expires_at": None if expires_in is None else written(present + timedelta(seconds=expires_in)),
            "deadline": deadline,
            "cancel_requested": False,
            "cancel_reason": None,
            "parent": body.get("parent"),
            "depends_on": read_dependencies(body),
            "on_exhausted": body.get("on_exhausted") or "fail",
            "limit_keys": keys,
            "key": keys[0] if keys else None,
            "cost": cost | {name: units for name, units in (body.get("cost") or {}).items() if units is not None},
            "prefer": body.get("prefer"),
            "prefer_hard": bool(body.get("prefer_hard")),
            "labels": body.get("labels", {}),
        }
        if not is_dropped:
            self._unique.take(body, job)
        self.jobs[job["id"]] = job
        self._queues.see(job["queue"])
        self._logs[job["id"]], self._steps[job["id"]] = [], {}
        fate = self._graphs.begin(job)
        if is_dropped or fate == "cancelled":
            self._enter(job, "cancelled", reason="dropped" if is_dropped else "dependency")
        elif fate == "blocked":
            self._enter(job, "blocked", waits_for="dependencies")
        else:
            self._enter(job, job["state"])
        return "created", job

    def _full(self, queue: str, keys: list[str]) -> list[tuple[str, str, dict[str, Any]]]:
        """The bounds that are reached of a queue and of limit keys: the name, the fate of one more, and the job that waits longest."""
        waiting = [job for job in self.jobs.values() if waits(job)]
        bounds = [(f"queue {queue}", self._queues.config(queue), [job for job in waiting if job["queue"] == queue])]
        bounds += [(f"limit key {key}", self._keys.get(key), [job for job in waiting if key in job["limit_keys"]]) for key in keys]
        reached = [(name, config["on_full"], jobs) for name, config, jobs in bounds if len(jobs) >= (config["max_waiting"] or math.inf)]
        return [(name, on_full, jobs[0]) for name, on_full, jobs in reached]

    def _cancel(self, job: dict[str, Any], reason: str) -> None:
        """Cancels a job: at once, or by asking the handler that runs it."""
        if job["id"] in self._runs:
            job.update(cancel_requested=True, cancel_reason=reason)
            self._runs[job["id"]].stop()
        else:
            self._enter(job, "cancelled", reason=reason)

    def _one(self, method: str, job: dict[str, Any], rest: list[str], request: httpx.Request) -> httpx.Response:
        match (method, rest):
            case ("GET", []):
                return _json(200, job)
            case ("GET", ["events"]):
                after = request.headers.get("last-event-id") or request.url.params.get("after") or "0"
                return self._events(job, int(after))
            case ("GET", ["steps"]):
                steps = self._steps[job["id"]].values()
                return _json(200, [{name: value for name, value in step.items() if name != "output"} for step in steps])
            case ("GET", ["why"]):
                return _json(200, {"state": job["state"], "position": None, "eta_seconds": None, "reasons": self._why(job), **_ending(job)})
            case ("GET", ["graph"]):
                return _json(200, self._graphs.around(job))
            case ("POST", ["signals", _, *_]) if job["state"] in FINISHED:
                return _problem(409, "ended", "the job has ended; no signal changes that")
            case ("POST", ["signals", name]):
                given = self._signal(job, f"signal:{name}", {"value": json.loads(request.content or b"null")})
                return _json(202, {"accepted": given})
            case ("POST", ["signals", _, "token"]):
                token = f"signal-{job['id']}"
                return _json(201, {"token": token, "path": f"/api/signals/{token}", "expires_at": now()})
            case ("POST", [("fork" | "retry") as what]) if what == "fork" or b"from_step" in request.content:
                return self._from_step(what, job, json.loads(request.content or b"{}"))
            case ("POST", ["token"]):
                return _json(200, {"token": f"read-{job['id']}"})
            case ("POST", [("cancel" | "retry") as action]):
                if not self._apply(action, job, json.loads(request.content or b"{}")) and action == "retry":
                    if job["state"] in FINISHED:
                        return _problem(409, "unique_key_held", "another job holds the unique key of this one")
                    return _not_finished(job)
                return _json(202, job)
            case ("DELETE", []):
                if not self._apply("delete", job, {}):
                    return _not_finished(job)
                return httpx.Response(204)
        return _problem(404, "no_such_route", "is not served")

    def _from_step(self, what: str, job: dict[str, Any], body: dict[str, Any]) -> httpx.Response:
        """Forks a job, or runs it again from a step on."""
        if what == "retry" and job["state"] not in FINISHED and job["waits_for"] != "person":
            return _not_finished(job)
        steps, name = self._steps[job["id"]], body.get("from_step")
        names = list(steps)
        kept = [] if "args" in body or job["state"] == "completed" else names
        if name is not None and name not in steps:
            return _problem(404, "no_such_step", f"no step is called {name}; there are {', '.join(names)}")
        if name is not None and job["state"] == "completed":
            return _problem(409, "steps_forgotten", "the job has completed, and the outputs of its steps are kept until then; leave from_step out")
        if name is not None:
            kept = names[: names.index(name)]
        done = {one: steps[one] for one in kept}
        if what == "retry":
            if not self._apply("retry", job, body):
                return _problem(409, "unique_key_held", "another job holds the unique key of this one")
            self._steps[job["id"]] = done
            return _json(202, job)
        fields = ("kind", "queue", "args", "priority", "max_attempts", "timeout", "limit_keys", "cost", "on_exhausted", "labels")
        status, fork = self._create({**{field: job[field] for field in fields}, **({"args": body["args"]} if "args" in body else {})})
        if status == "full":
            return _problem(429, "queue_full", f"as many jobs wait in {fork['full']} as may; nothing was created", {"retry-after": "1"})
        fork["forked_from"], self._steps[fork["id"]] = job["id"], done
        return _json(202, fork)

    def _apply(self, action: str, job: dict[str, Any], to: dict[str, Any]) -> bool:
        is_done = job["state"] in FINISHED or (action == "retry" and job["waits_for"] == "person")
        if is_done != (action in ("retry", "delete")):
            return False
        if action == "set_priority":
            job["priority"] = to["priority"]
            return True
        if action == "delete":
            del self.jobs[job["id"]]
            self._unique.free(job)
            self._gone.add(job["id"])
            self._change(job, None)
            self._wake()
        elif action == "retry":
            if not self._unique.retake(job):
                return False
            if "args" in to:
                self._steps[job["id"]].clear()
            job.update(attempt=0, output=None, progress=None, expires_at=None, deadline=None, args=to.get("args", job["args"]))
            self._enter(job, "available")
        else:
            self._cancel(job, "asked")
        return True

    def _queue(self, method: str, body: Any, name: str | None = None, action: str | None = None) -> httpx.Response:
        if name is None:
            return _json(200, {"queues": self._queues.shown()})
        if action in ("pause", "resume"):
            (self._queues.pause if action == "pause" else self._queues.resume)(name)
        elif method == "PATCH":
            broken = queue_rules(body)
            if broken:
                return _invalid(*broken)
            self._queues.change(name, body)
        if name not in self._queues:
            return _problem(404, "no_such_queue", "no queue of this name is known")
        return _json(200, self._queues.get(name))

    def _why(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        queue = [{"rule": "paused_queue", "key": job["queue"]}] if self._queues.is_paused(job["queue"]) else []
        closed = self._closed(job)
        if job["state"] == "available":
            return [*queue, *closed, {"rule": "no_worker", "key": job["queue"]}]
        if job["state"] == "blocked":
            return [self._graphs.why(job)]
        if job["state"] != "scheduled":
            return []
        paused = [reason for reason in closed if reason["rule"] == "paused_key"]
        # A run that came to its limit waits as long as its key is paused.
        is_limited = any(reason["until"] == job["run_at"] for reason in paused)
        own = [] if is_limited else [{"rule": "run_at", "until": job["run_at"]}]
        return [*own, *paused, *queue]

    def _key(self, method: str, key: str, rest: list[str], body: dict[str, Any]) -> httpx.Response:
        broken = pause_rules(key, body.get("for")) if rest else limits_rules(key, body)
        if broken:
            return _invalid(*broken)
        match (method, rest):
            case ("POST", ["pause"]) if body.get("for") is not None:
                self._keys.pause(key, datetime.now(timezone.utc) + timedelta(seconds=body["for"]))
            case ("POST", ["pause"]):
                self._keys.pause(key)
            case ("POST", ["resume"]):
                self._keys.resume(key)
            case ("PUT", []):
                self._keys.set(key, body)
            case ("DELETE", []):
                self._keys.remove(key)
                return httpx.Response(204)
        return _json(200, self._keys.get(key))

    def _act(self, body: dict[str, Any]) -> httpx.Response:
        filter = dict(body["filter"])
        fault = broken_rule(filter, "filter.")
        if fault is None and not -100 <= (body.get("priority") or 0) <= 100:
            fault = ("priority", "must be -100 to 100")
        if fault is not None:
            return _invalid(fault)
        pairs = [(name, value) for name, value in filter.items() if name != "labels"]
        fitting = [job for job in self.jobs.values() if fits(job, pairs, filter.get("labels", {}))]
        meant = [job for job in fitting if (job["state"] in FINISHED) == (body["action"] in ("retry", "delete"))]
        some = meant[: body["limit"]]
        done = len(some) if body.get("dry_run") else sum(self._apply(body["action"], job, body) for job in some)
        return _json(200, {"matched": len(fitting), "done": done, "complete": len(some) == len(meant)})

    def _list(self, query: list[tuple[str, str]]) -> httpx.Response:
        wanted: dict[str, list[str]] = {}
        for name, value in query:
            if name not in ("label", "cursor", "limit", "full"):
                wanted.setdefault(name, []).extend([value] if value else [])
        fault = page_rule(dict(query)) or broken_rule(wanted)
        if fault is not None:
            return _invalid(fault)
        labels = dict(value.split(":", 1) for name, value in query if name == "label")
        fitting = [job for job in reversed(self.jobs.values()) if fits(job, list(wanted.items()), labels)]
        start, limit = int(dict(query).get("cursor", 0)), int(dict(query).get("limit", 50))
        end = start + limit
        searched = {"jobs": len(self.jobs), "complete": end >= len(fitting)}
        return _json(200, {"jobs": [job if dict(query).get("full") == "true" else shown(job) for job in fitting[start:end]], "next": str(end) if end < len(fitting) else None, "searched": searched})

    def _events(self, job: dict[str, Any], after: int) -> httpx.Response:
        log, sent = self._logs[job["id"]], after
        if sent >= len(log) and job["state"] in FINISHED:
            return httpx.Response(204)

        def news() -> bytes | None:
            nonlocal sent
            if sent >= len(log) and job["state"] in FINISHED:
                return None
            first, sent = sent, len(log)
            # A state is told to those who hear the change; who comes later hears the present one.
            last = max(n for n, (event, _) in enumerate(log) if event == "state")
            told = [n for n in range(first, sent) if n == last or log[n][0] != "state"]
            lines = [f"id: {n + 1}\nevent: {log[n][0]}\ndata: {json.dumps(log[n][1])}\n\n" for n in told]
            return "".join(lines).encode()

        return Stream(self, b"", news).response()

    def _feed(self, query: list[tuple[str, str]]) -> httpx.Response:
        wanted = {name: [value for one, value in query if one == name] for name in ("queue", "kind")}
        told = len(self._changes)

        def news() -> bytes:
            nonlocal told
            changes = self._changes[told:]
            told += len(changes)
            meant = [change for change in changes if all(change[name] in some for name, some in wanted.items() if some)]
            return "".join(f"event: job\ndata: {json.dumps(change)}\n\n" for change in meant).encode()

        return Stream(self, b": following\n\n", news).response()


def _parts(request: httpx.Request) -> list[str]:
    # The path as it was sent: an id may hold an escaped slash.
    path = request.url.raw_path.decode().partition("?")[0]
    return [unquote(part) for part in path.strip("/").split("/")]


def _held_for(request: httpx.Request) -> float:
    """The seconds for which a request may wait for the end of its job."""
    wait = re.search(r"\bwait=(\d+)", request.headers.get("prefer", ""))
    return float(wait[1]) if wait and request.method == "GET" else 0.0


def _json(status: int, body: Any) -> httpx.Response:
    return httpx.Response(status, json=body)


def _invalid(*broken: Broken) -> httpx.Response:
    detail = "; ".join(f"{field}: {message}" for field, message in broken)
    errors = [{"field": field, "message": message} for field, message in broken]
    body = {"type": "about:blank", "status": 422, "code": "invalid", "detail": detail, "errors": errors}
    return httpx.Response(422, json=body)


def _not_finished(job: dict[str, Any]) -> httpx.Response:
    return _problem(409, "not_finished", f"the job is {job['state']}; this is for finished jobs, cancel it first")


def _problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> httpx.Response:
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail}
    return httpx.Response(status, json=body, headers=headers)


def _batched(status: str, job: dict[str, Any]) -> dict[str, Any]:
    """The answer for one job of many."""
    told: dict[str, Any] = {"id": job.get("id") or uuid.uuid4().hex, "duplicate": status == "duplicate"}
    if status == "replaced":
        told["replaced"] = True
    elif status in ("rejected", "full"):
        told["refused"] = "duplicate" if status == "rejected" else "queue_full"
    return told


def _ending(job: dict[str, Any]) -> dict[str, str]:
    """When a job ends by itself, and what it was cancelled for, where there is such a thing."""
    times = [] if job["state"] in FINISHED else [job["expires_at"] if job["started_at"] is None else None, job["deadline"]]
    first = min((at for at in times if at is not None), key=read_time, default=None)
    told = {"ends_at": first, "cancel_reason": job["cancel_reason"]}
    return {name: value for name, value in told.items() if value is not None}
