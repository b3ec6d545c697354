"""Calls of jobs of the server in memory, as a worker that collects them would make them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..calls import rest_of
from ..collect import Collect, Collected
from ..context import AsyncContext, Context, Outcome, completed, outcome_of
from .attempt import Attempt


class Call:
    """The jobs of one call. ``end`` ends an attempt with what became of it."""

    def __init__(self, attempts: list[Attempt], end: Callable[[Attempt, Outcome], None], context: type[Context] | type[AsyncContext]) -> None:
        self._attempts, self._end = attempts, end
        self.jobs: list[Collected[Any]] = [self._collected(attempt, context) for attempt in attempts]

    def close(self, error: BaseException | None) -> None:
        """Ends the jobs that were given no end."""
        for attempt in self._attempts:
            self._ended(attempt, rest_of(attempt.run, error))

    def _collected(self, attempt: Attempt, context: type[Context] | type[AsyncContext]) -> Collected[Any]:
        def tell(output: Any, error: BaseException | None) -> None:
            self._ended(attempt, completed(output) if error is None else outcome_of(error, attempt.run.claimed))

        return Collected(context(attempt.server, attempt.run), attempt.args, tell, attempt.run)

    def _ended(self, attempt: Attempt, outcome: Outcome) -> None:
        if not attempt.run.has_ended:
            attempt.run.has_ended = True
            self._end(attempt, outcome)


def grouped(jobs: list[dict[str, Any]], collect: Collect) -> list[list[dict[str, Any]]]:
    """The jobs of each call, oldest first."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for job in jobs:
        groups.setdefault((job["queue"], collect.key(job["args"])), []).append(job)
    return [group[at : at + collect.max] for group in groups.values() for at in range(0, len(group), collect.max)]
