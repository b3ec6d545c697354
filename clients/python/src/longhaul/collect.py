"""Kinds whose jobs a worker hands to one call, many at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .context import AsyncContext, Context
from .run import Run

C = TypeVar("C", Context, AsyncContext)

#: The most jobs of a call, and the longest that the first of them waits for others, in seconds.
MAX_JOBS, MAX_WAIT = 1_000, 3_600.0
#: A call that waits for a slot does so for as long again as it has waited for jobs, and at least so many seconds.
LONGEST_WAIT = 0.02
#: Where jobs are told apart by a key, so many calls' worth are held for each free slot, so that their calls become large.
CALLS_AHEAD = 8


@dataclass(frozen=True)
class Collect:
    """How jobs of a kind are gathered."""

    max: int
    wait: float
    by: str | None

    def __post_init__(self) -> None:
        if not (isinstance(self.max, int) and 1 <= self.max <= MAX_JOBS):
            raise ValueError(f"max is a whole number from 1 to {MAX_JOBS}, and not {self.max}")
        if not 0 <= self.wait <= MAX_WAIT:
            raise ValueError(f"wait is 0 to {MAX_WAIT:g} s, and not {self.wait}")
        if self.by is not None and not all(self.by.split(".")):
            raise ValueError(f"by is a path in the args, as 'tenant.id', and not '{self.by}'")

    def key(self, args: Any) -> str:
        """The value that a job has in common with those that it goes together with."""
        for name in self.by.split(".") if self.by is not None else ():
            args = args.get(name) if isinstance(args, dict) else None
        return "" if self.by is None else json.dumps(args, sort_keys=True)


class Collected(Generic[C]):
    """One job of a call. It ends by :meth:`complete` or :meth:`fail`, each at its own time; one that is given no end ends as the call
    does: by the exception that it raised, and as a failed attempt where it returned."""

    def __init__(self, cx: C, args: Any, end: Callable[[Any, BaseException | None], None], run: Run) -> None:
        #: The context of this job: progress, log, steps and so on.
        self.cx: C = cx
        self.args = args
        self._end, self._run = end, run

    def complete(self, output: Any = None) -> None:
        """Ends this job as completed. Its end is on its way to the server while the call goes on."""
        self._end(output, None)

    def fail(self, error: BaseException) -> None:
        """Ends this job as if its handler had raised ``error``: a failed attempt, or what ``Fatal``, ``Cancel``, ``Snooze`` and
        ``RateLimited`` say."""
        self._end(None, error)

    @property
    def has_ended(self) -> bool:
        """True where this job has ended: by the call, its timeout or deadline, or because its lease is lost. What the call still does
        for it comes to nothing."""
        return self._run.has_ended or self._run.is_lost


@dataclass
class Group:
    """Jobs of one queue and key, oldest first, with the times at which they came."""

    queue: str
    key: str
    jobs: list[tuple[Run, float]] = field(default_factory=list)


class Gather:
    """Jobs of one kind that wait for others of their queue and key."""

    def __init__(self, collect: Collect, now: Callable[[], float]) -> None:
        self.collect, self._now = collect, now
        self._groups: list[Group] = []
        #: A call that waits for a slot longer gives its jobs back.
        self.patience = collect.wait + max(collect.wait, LONGEST_WAIT)

    def add(self, run: Run) -> None:
        """Takes a job in."""
        queue, key = run.claimed["queue"], self.collect.key(run.claimed["args"])
        group = next((group for group in self._groups if (group.queue, group.key) == (queue, key)), None)
        if group is None:
            group = Group(queue, key)
            self._groups.append(group)
        group.jobs.append((run, self._now()))

    def remove(self, run: Run) -> bool:
        """Takes a job out; false where it is not there."""
        for group in self._groups:
            for place, (one, _) in enumerate(group.jobs):
                if one is run:
                    del group.jobs[place]
                    self._tidy()
                    return True
        return False

    def room(self, free: int) -> int:
        """How many jobs to claim where so many slots are free."""
        calls = self.collect.max * free
        most = calls if self.collect.by is None else max(calls, min(CALLS_AHEAD * calls, MAX_JOBS))
        return min(MAX_JOBS, max(0, most - sum(len(group.jobs) for group in self._groups)))

    def ready(self, free: int) -> tuple[float, Group] | None:
        """The group that is full or has waited long enough, with its age. Where no more may be claimed the fullest need not wait
        longer."""
        for group in self._groups:
            since = group.jobs[0][1]
            if len(group.jobs) >= self.collect.max or self._now() - since >= self.collect.wait:
                return since, group
        if free > 0 and self._groups and self.room(free) == 0:
            fullest = max(self._groups, key=lambda group: len(group.jobs))
            return fullest.jobs[0][1], fullest
        return None

    def take(self, group: Group) -> list[Run]:
        """Takes the jobs of a call out of a group."""
        taken, group.jobs = group.jobs[: self.collect.max], group.jobs[self.collect.max :]
        self._tidy()
        return [run for run, _ in taken]

    def give_up(self, patience: float) -> list[Run]:
        """Takes out what has waited for so long."""
        now, given_up = self._now(), []
        for group in self._groups:
            given_up += [run for run, since in group.jobs if now - since >= patience]
            group.jobs = [(run, since) for run, since in group.jobs if now - since < patience]
        self._tidy()
        return given_up

    def due_in(self) -> float | None:
        """The seconds until a group has waited long enough, or for too long."""
        ages = [self._now() - group.jobs[0][1] for group in self._groups]
        wait = self.collect.wait
        return min(((wait if age < wait else self.patience) - age for age in ages), default=None)

    def _tidy(self) -> None:
        self._groups = sorted((group for group in self._groups if group.jobs), key=lambda group: group.jobs[0][1])
