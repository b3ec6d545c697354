"""What a handler is given, and what its end says to the server."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from .keeper import Keeper, Run

T = TypeVar("T")
Outcome = dict[str, Any]


class Fatal(Exception):
    """The job fails for good: no retry can help."""


class Cancel(Exception):
    """The job ends as cancelled."""


class Snooze(Exception):
    """The job is to run again after ``seconds``, at no cost of an attempt."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


class RateLimited(Snooze):
    """A limit was reached: all jobs with the job's limit key pause for ``seconds``, at no cost of an attempt."""


class _Speaking:
    def __init__(self, keeper: Keeper, run: Run, claimed: Mapping[str, Any]) -> None:
        self._keeper, self._run = keeper, run
        self._steps: dict[str, Any] = dict(claimed["steps"])
        #: The job's id.
        self.job_id: str = claimed["lease"]["id"]
        #: The number of this attempt, from 1, and of all attempts.
        self.attempt: int = claimed["attempt"]
        self.max_attempts: int = claimed["max_attempts"]
        #: The version of the args.
        self.version: int = claimed["version"]
        self.labels: dict[str, str] = dict(claimed["labels"])

    @property
    def is_cancelled(self) -> bool:
        """True once the handler should stop: somebody cancelled the job, or its lease is lost."""
        return self._run.stopped.is_set()

    def raise_if_cancelled(self) -> None:
        """Raises ``Cancel`` once the handler should stop."""
        if self.is_cancelled:
            raise Cancel("it was asked to stop")

    def progress(self, percent: float, message: str = "", data: Any = None) -> None:
        """Tells how far the job is, 0 to 100."""
        entry = {"percent": percent, "message": message}
        self._keeper.say(self._run, {"progress": entry if data is None else {**entry, "data": _json(data)}})

    def log(self, message: str, level: str = "info") -> None:
        """Writes a line to the job's log; ``level`` is debug, info, warn or error."""
        self._keeper.say(self._run, {"log": {"level": level, "message": message}})

    def emit(self, data: Any) -> None:
        """Sends a piece of the output to whoever follows the job, at most 64 KiB of JSON."""
        self._keeper.say(self._run, {"chunk": {"data": _json(data)}})


class Context(_Speaking):
    """The context of a handler that blocks. All of it may be called from its thread."""

    def step(self, name: str, work: Callable[[], T]) -> T:
        """Does something once for the job, whatever becomes of this attempt: its output is durable before this returns,
        and a later attempt is given it instead of doing it again."""
        if name in self._steps:
            return self._steps[name]  # type: ignore[no-any-return]
        output = work()
        done = self._keeper.say(self._run, {"step": {"name": name, "output": _json(output)}}, and_tell=True)
        assert done is not None
        done.result()
        self.raise_if_cancelled()
        self._steps[name] = output
        return output


class AsyncContext(_Speaking):
    """The context of a coroutine. It is cancelled where the job should stop."""

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Does something once for the job. See :meth:`Context.step`."""
        if name in self._steps:
            return self._steps[name]  # type: ignore[no-any-return]
        output = await work()
        done = self._keeper.say(self._run, {"step": {"name": name, "output": _json(output)}}, and_tell=True)
        assert done is not None
        await asyncio.wrap_future(done)
        self._steps[name] = output
        return output


def completed(output: Any) -> Outcome:
    """The end of a job that returned ``output``, which has to have a JSON form."""
    return {"completed": {"output": _json(output)}}


def _json(value: Any) -> Any:
    """The value, where it has a JSON form; an error in the handler that made it, and not in the request of many jobs."""
    json.dumps(value, allow_nan=False)
    return value


def outcome_of(error: BaseException, claimed: Mapping[str, Any]) -> Outcome:
    """The end that an exception of a handler stands for."""
    if isinstance(error, RateLimited):
        return {"rate_limited": {"delay": error.seconds}}
    if isinstance(error, Snooze):
        return {"snoozed": {"delay": error.seconds}}
    if isinstance(error, Cancel):
        return {"cancelled": {"reason": str(error)}}
    message = "".join(traceback.format_exception_only(type(error), error)).strip()
    if isinstance(error, Fatal):
        return {"failed": {"error": {"message": str(error)}}}
    return failure(message, claimed)


def failure(message: str, claimed: Mapping[str, Any]) -> Outcome:
    """A failed attempt: the job runs again where it has attempts left."""
    if claimed["retry_in"] is None:
        return {"failed": {"error": {"message": message}}}
    return {"retry": {"error": {"message": message}, "delay": claimed["retry_in"]}}
