"""One attempt of a job of the server in memory, as a worker would run it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from inspect import signature
from typing import Any, TypeVar

from ..context import AsyncContext, Context, Hearing
from ..run import Run

T = TypeVar("T")


@dataclass
class Attempt:
    """One call of a handler."""

    run: Run
    server: Hearing
    args: Any
    output: Any = None
    #: True where the job is to run again later, which is not now.
    is_put_off: bool = False

    def call(self, work: Callable[..., T], context: type[Context] | type[AsyncContext]) -> T:
        """Calls ``work`` with the args, and with a context where it takes two."""
        try:
            takes = [one for one in signature(work).parameters.values() if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
        except ValueError:
            takes = []
        return work(context(self.server, self.run), self.args) if len(takes) > 1 else work(self.args)


def waits(job: dict[str, Any]) -> bool:
    return job["state"] in ("available", "scheduled")


def claimed_as(job: dict[str, Any], steps: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A job as a worker is given it."""
    claimed = {name: job[name] for name in ("attempt", "max_attempts", "version", "labels", "on_exhausted")}
    claimed["traceparent"] = job.get("traceparent")
    done = {name: step["output"] for name, step in steps.items()}
    is_last = job["attempt"] >= job["max_attempts"]
    return {**claimed, "lease": {"id": job["id"], "token": 1}, "steps": done, "retry_in": None if is_last else 0.0}


def failed_as(job: dict[str, Any], error: dict[str, Any]) -> dict[str, Any]:
    """Notes a failed attempt."""
    noted = {"attempt": job["attempt"], "at": now(), **error}
    job["errors"] = [*job["errors"], noted]
    return noted


def plain(value: Any) -> Any:
    """A value as it comes back from a server."""
    return json.loads(json.dumps(value, allow_nan=False))


def now() -> str:
    return written(datetime.now(timezone.utc))


def written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
