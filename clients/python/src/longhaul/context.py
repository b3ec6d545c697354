"""What a handler is given, and what its end says to the server."""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Literal, Protocol, TypeVar

from . import waits
from .job import Children
from .run import Run, to_be_heard
from .waits import Ask, Fatal, Keep, Steps, Waiting, Waits, check_step

T = TypeVar("T")
Outcome = dict[str, Any]


class Cancel(Exception):
    """The job ends as cancelled."""


class Snooze(Exception):
    """The job is to run again after ``seconds``, at no cost of an attempt."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


class RateLimited(Snooze):
    """A limit was reached: all jobs with the job's limit key pause for ``seconds``, at no cost of an attempt."""


class Hearing(Protocol):
    """Takes what handlers say of their jobs: the recorder of a worker, or the server in memory."""

    def say(self, run: Run, text: str, heard: Future[None] | None = None) -> None:
        """Takes an entry as JSON, and tells ``heard`` once it is durable."""


class _Speaking:
    def __init__(self, recorder: Hearing, run: Run) -> None:
        self._recorder, self._run = recorder, run
        claimed = run.claimed
        self._steps = Steps(claimed["steps"])
        #: The job's id.
        self.job_id: str = claimed["lease"]["id"]
        #: The number of this attempt, from 1, and of all attempts.
        self.attempt: int = claimed["attempt"]
        self.max_attempts: int = claimed["max_attempts"]
        #: The version of the args.
        self.version: int = claimed["version"]
        self.labels: dict[str, str] = dict(claimed["labels"])
        #: The place in a trace that the job was enqueued at, as the W3C's header ``traceparent``: what the handler does belongs below it.
        self.traceparent: str | None = claimed.get("traceparent")

    @property
    def is_cancelled(self) -> bool:
        """True once the handler should stop: the job was cancelled, its time or deadline is over, or its lease is lost."""
        return self._run.stopped.is_set()

    def raise_if_cancelled(self) -> None:
        """Raises ``Cancel`` once the handler should stop."""
        if self.is_cancelled:
            raise Cancel("it was asked to stop")

    # What is no entry is an error of the handler that said it: in a request, where the entries of many runs are together, it would
    # be theirs, too.

    def progress(self, percent: float, message: str = "", data: Any = None) -> None:
        """Tells how far the job is, 0 to 100."""
        entry = {"percent": float(percent), "message": str(message)}
        self._say({"progress": entry if data is None else {**entry, "data": data}})

    def log(self, message: str, level: Literal["debug", "info", "warn", "error"] = "info") -> None:
        """Writes a line to the job's log."""
        if level not in ("debug", "info", "warn", "error"):
            raise ValueError(f"the level of a log line is debug, info, warn or error, and not {level}")
        self._say({"log": {"level": level, "message": str(message)}})

    def emit(self, data: Any) -> None:
        """Sends a piece of the output to whoever follows the job, at most 64 KiB of JSON."""
        self._say({"chunk": {"data": data}})

    def settle(self, units: int) -> None:
        """Says how many units of its limits' rates the run really took, in place of those that were set aside for it: tokens, say, once
        the answer tells them. It is heard at the end of the run, whatever that is; of several the last one counts."""
        if not (isinstance(units, int) and 0 <= units < 2**32):
            raise ValueError(f"the units that a run took are a whole number from 0 to {2**32 - 1}, and not {units}")
        self._run.cost = int(units)

    def _say(self, entry: dict[str, Any], heard: Future[None] | None = None) -> None:
        self._recorder.say(self._run, json.dumps(entry, allow_nan=False), heard)

    def _done(self, name: str, output: Any) -> Future[None]:
        heard = to_be_heard()
        self._say({"step": {"name": str(name), "output": output}}, heard)
        return heard


class Context(_Speaking):
    """The context of a handler that blocks. All of it may be called from its thread."""

    def step(self, name: str, work: Callable[[], T]) -> T:
        """Does something once for the job, whatever becomes of this attempt: its output is durable before this returns,
        and a later attempt is given it instead of doing it again. The same name twice in one attempt raises ``Fatal``."""
        check_step(name)
        self._steps.reach(name)
        if name in self._steps:
            return self._steps[name]  # type: ignore[no-any-return]
        with self._steps.working(name):
            output = work()
        self._done(name, output).result()
        self.raise_if_cancelled()
        self._steps[name] = output
        return output

    def sleep(self, name: str, seconds: float) -> None:
        """Sleeps for so many seconds, at no cost of an attempt and without a slot, through every crash and restart."""
        self._wait(waits.sleep(self._run, self._steps, name, seconds))

    def wait_for(self, name: str, *, timeout: float | None = None) -> Any:
        """Waits for the signal of a name, without a slot: the value of the first one, also one that came early; ``None`` where none has
        come within ``timeout`` seconds. Whichever came first stays the answer."""
        return self._wait(waits.wait_for(self._run, self._steps, name, timeout))

    def wait_token(self, name: str) -> str:
        """A token whose bearer may send this job the signal of a name, once, and has no other right: the last part of ``POST
        /api/signals/{token}``, for a link in a mail or a page. Each call makes another one."""
        return str(self._wait(waits.wait_token(self._run, name)))

    def patched(self, name: str) -> bool:
        """True where the code after this point is the new one for this job; false where the job had passed the point before the code
        was changed. It stays so for the job. Take it out once no job of the old code is left."""
        return bool(self._wait(waits.patched(self._steps, name)))

    def enqueue_children(self, name: str, jobs: Iterable[Mapping[str, Any]]) -> list[str]:
        """Enqueues children of this job, once, as a step of the name, and answers their ids. Each is a mapping with ``kind``, ``args`` and
        options. Those without an id are given this job's, the name and their number."""
        return list(self._wait(waits.enqueue_children(self._run, self._steps, name, jobs)))

    def wait_for_children(self) -> Children:
        """Waits, without a slot, until each child of this job has ended, however it has."""
        return Children(**self._wait(waits.wait_for_children(self._run)))

    def _wait(self, steps: Waiting) -> Any:
        try:
            step = next(steps)
            while True:
                if isinstance(step, Ask):
                    step = steps.send(self._run.ask(step.what, step.body))
                    continue
                heard = self._done(step.name, step.output)
                if isinstance(step, Keep):
                    heard.result()
                    self.raise_if_cancelled()
                self._steps[step.name] = step.output
                step = steps.send(None)
        except StopIteration as end:
            return end.value
        except Waits as wait:
            wait.job_id = self.job_id
            raise


class AsyncContext(_Speaking):
    """The context of a coroutine. It is cancelled where the job should stop."""

    async def step(self, name: str, work: Callable[[], Awaitable[T] | T]) -> T:
        """Does something once for the job: ``work`` is a coroutine function, or a plain one that is done soon. See
        :meth:`Context.step`."""
        check_step(name)
        self._steps.reach(name)
        if name in self._steps:
            return self._steps[name]  # type: ignore[no-any-return]
        with self._steps.working(name):
            done = work()
            output = await done if inspect.isawaitable(done) else done
        await asyncio.wrap_future(self._done(name, output))
        self._steps[name] = output
        return output

    async def sleep(self, name: str, seconds: float) -> None:
        """Sleeps without a slot. See :meth:`Context.sleep`."""
        await self._wait(waits.sleep(self._run, self._steps, name, seconds))

    async def wait_for(self, name: str, *, timeout: float | None = None) -> Any:
        """Waits for a signal without a slot. See :meth:`Context.wait_for`."""
        return await self._wait(waits.wait_for(self._run, self._steps, name, timeout))

    async def wait_token(self, name: str) -> str:
        """A token that gives this job a signal. See :meth:`Context.wait_token`."""
        return str(await self._wait(waits.wait_token(self._run, name)))

    async def patched(self, name: str) -> bool:
        """True where the code after this point is the new one for this job. See :meth:`Context.patched`."""
        return bool(await self._wait(waits.patched(self._steps, name)))

    async def enqueue_children(self, name: str, jobs: Iterable[Mapping[str, Any]]) -> list[str]:
        """Enqueues children of this job, once. See :meth:`Context.enqueue_children`."""
        return list(await self._wait(waits.enqueue_children(self._run, self._steps, name, jobs)))

    async def wait_for_children(self) -> Children:
        """Waits for the children without a slot. See :meth:`Context.wait_for_children`."""
        return Children(**await self._wait(waits.wait_for_children(self._run)))

    async def _wait(self, steps: Waiting) -> Any:
        try:
            step = next(steps)
            while True:
                if isinstance(step, Ask):
                    step = steps.send(await asyncio.to_thread(self._run.ask, step.what, step.body))
                    continue
                heard = self._done(step.name, step.output)
                if isinstance(step, Keep):
                    await asyncio.wrap_future(heard)
                self._steps[step.name] = step.output
                step = steps.send(None)
        except StopIteration as end:
            return end.value
        except Waits as wait:
            wait.job_id = self.job_id
            raise


def completed(output: Any) -> Outcome:
    """The end of a job that returned ``output``, which has to have a JSON form: an error in the handler that made it, and not in the
    request of many jobs."""
    json.dumps(output, allow_nan=False)
    return {"completed": {"output": output}}


def outcome_of(error: BaseException, claimed: Mapping[str, Any]) -> Outcome:
    """The end that an exception of a handler stands for."""
    if isinstance(error, Waits):
        return error.outcome
    if isinstance(error, Snooze):
        if not (isinstance(error.seconds, (int, float)) and 0 <= error.seconds < math.inf):
            return failure(f"a {type(error).__name__} has a number of seconds, and not {error.seconds}", claimed)
        return {"rate_limited" if isinstance(error, RateLimited) else "snoozed": {"delay": error.seconds}}
    if isinstance(error, Cancel):
        return {"cancelled": {"reason": str(error)}}
    if isinstance(error, Fatal):
        return {"failed": {"error": {"message": str(error), "kind": "fatal"}}}
    return failure("".join(traceback.format_exception_only(type(error), error)).strip(), claimed)


def failure(message: str, claimed: Mapping[str, Any], kind: Literal["error", "timeout"] = "error") -> Outcome:
    """A failed attempt: the job runs again where it has attempts left."""
    error = {"message": message, "kind": kind}
    if claimed["retry_in"] is not None:
        return {"retry": {"error": error, "delay": claimed["retry_in"]}}
    return {"waits": {"on": "person", "error": error}} if claimed.get("on_exhausted") == "pause" else {"failed": {"error": error}}
