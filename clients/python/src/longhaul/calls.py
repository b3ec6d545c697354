"""The calls of a worker whose kinds are collected: their claims, their slots and their ends, on the event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .collect import Collected, Gather
from .context import AsyncContext, Context, Outcome, completed, failure, outcome_of
from .run import Run
from .waits import Waits

if TYPE_CHECKING:
    from .session import Registered, Session

#: The end of a job that its call gave none.
FORGOTTEN = "its call ended and gave it no end of its own"


class Calls:
    """Gathers jobs and calls handlers. A call takes one slot; where other kinds wait for the same slots, a call and one of their jobs
    take turns."""

    def __init__(self, session: Session, kinds: dict[str, Registered]) -> None:
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._kinds = {kind: it for kind, it in kinds.items() if it.collect is not None}
        self._gathers = {kind: Gather(it.collect, session.now) for kind, it in self._kinds.items() if it.collect is not None}
        self._polls: dict[str, asyncio.Task[None]] = {}
        #: Those that are being called off, which a second cancel would keep from it.
        self._off: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        #: The most jobs of a call.
        self.most = max((gather.collect.max for gather in self._gathers.values()), default=0)
        #: True where a call has had the last slot and other kinds may wait for one: the next is theirs.
        self.owes_single = False

    def gathers(self, kind: str) -> bool:
        """True where jobs of the kind are collected."""
        return kind in self._gathers

    def add(self, run: Run) -> None:
        """Takes a job in."""
        gather = self._gathers[run.claimed["kind"]]
        gather.add(run)

        def left_out() -> None:
            if gather.remove(run):
                self._session.end(run, {"cancelled": {"reason": "cancelled while it waited for others of its call"}})

        run.on_stop = lambda: self._loop.call_soon_threadsafe(left_out)
        if run.stopped.is_set():
            left_out()

    def dispatch(self, free: int, make_room: Callable[[], None]) -> None:
        """Starts calls that are ready, gives back what has waited for too long, and claims where there is room."""
        while free > 0 and not self.owes_single and (ready := self._ready(free)) is not None:
            make_room()
            kind, group = ready
            self._start(kind, self._gathers[kind].take(group))
            free -= 1
        for kind, gather in self._gathers.items():
            for run in gather.give_up(gather.patience):
                self._session.release(run)
            poll, room = self._polls.get(kind), gather.room(free) if free > 0 else 0
            if poll is not None and room == 0:
                self._call_off(poll)
            elif poll is None and room > 0:
                version = self._kinds[kind].version
                poll = self._polls[kind] = self._session.claim([{"kind": kind, "version": version}], room)
                poll.add_done_callback(lambda _, kind=kind: self._polls.pop(kind, None))  # type: ignore[misc]
        self._wake()

    @property
    def is_waiting(self) -> bool:
        """True where a call could begin if it had a slot."""
        return self._ready(0) is not None

    def close(self) -> None:
        """Claims no more, and gives back what only waits."""
        if self._timer is not None:
            self._timer.cancel()
        for poll in self._polls.values():
            self._call_off(poll)
        for gather in self._gathers.values():
            for run in gather.give_up(0.0):
                self._session.release(run)

    def _call_off(self, poll: asyncio.Task[None]) -> None:
        if poll not in self._off:
            self._off.add(poll)
            poll.add_done_callback(self._off.discard)
            poll.cancel()

    def _ready(self, free: int) -> tuple[str, Any] | None:
        ready = [(*found, kind) for kind, gather in self._gathers.items() if (found := gather.ready(free)) is not None]
        _, group, kind = min(ready, key=lambda one: one[0], default=(0.0, None, ""))
        return None if group is None else (kind, group)

    def _wake(self) -> None:
        """Looks again when a group is due."""
        if self._timer is not None:
            self._timer.cancel()
        due = [due for gather in self._gathers.values() if (due := gather.due_in()) is not None]
        self._timer = self._loop.call_later(max(0.001, min(due)), self._session.schedule) if due else None

    def _start(self, kind: str, runs: list[Run]) -> None:
        self._session.begin_call(self._call(self._kinds[kind], runs))

    async def _call(self, it: Registered, runs: list[Run]) -> None:
        session, is_async = self._session, inspect.iscoroutinefunction(it.handler)
        task = asyncio.current_task()
        timers = [session.time_limit(run) for run in runs]
        answered: set[Run] = set()

        def stopped() -> None:
            # One that should stop is told by its context. Where all of them should, nobody waits for the call.
            if is_async and task is not None and any(run not in answered for run in runs) and all(run.stopped.is_set() or run.has_ended for run in runs):
                task.cancel()

        def end(run: Run, output: Any, error: BaseException | None) -> None:
            if not run.has_ended:
                answered.add(run)
            session.end(run, completed(output) if error is None else outcome_of(error, run.claimed))
            stopped()

        def collected(run: Run) -> Collected[Any]:
            cx: Any = session.context(AsyncContext, run) if is_async else session.context(Context, run)

            def tell(output: Any, error: BaseException | None) -> None:
                # What has no JSON form is an error of the handler, where it stands.
                if error is None:
                    completed(output)
                end(run, output, error) if is_async else self._loop.call_soon_threadsafe(end, run, output, error)

            return Collected(cx, run.claimed["args"], tell, run)

        for run in runs:
            run.on_stop = lambda: self._loop.call_soon_threadsafe(stopped)
        rest: BaseException | None = None
        try:
            jobs = [collected(run) for run in runs]
            if is_async:
                await it.handler(jobs)
            else:
                await session.in_thread(runs[0].claimed["kind"], lambda: it.handler(jobs))
        except BaseException as error:  # noqa: BLE001  Whatever a handler raises is the end of its own jobs only.
            if not isinstance(error, (Exception, asyncio.CancelledError, SystemExit, KeyboardInterrupt)):
                raise
            rest = error
        for timer in timers:
            timer()
        for run in runs:
            session.end(run, rest_of(run, rest))


def rest_of(run: Run, error: BaseException | None) -> Outcome:
    """The end of a job that its call gave none, and raised ``error``."""
    if isinstance(error, asyncio.CancelledError) and run.stopped.is_set():
        return {"cancelled": {"reason": "it was asked to stop"}}
    if isinstance(error, Waits) and error.job_id != run.lease["id"]:
        return {"snoozed": {"delay": 0}}
    return failure(FORGOTTEN, run.claimed) if error is None else outcome_of(error, run.claimed)
