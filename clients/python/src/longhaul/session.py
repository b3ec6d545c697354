"""One run of a worker: its claims, its jobs and their ends, on the event loop."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from . import flow
from .aio import AsyncLonghaul
from .calls import Calls
from .client import Longhaul
from .collect import Collect
from .context import AsyncContext, Context, Outcome, completed, failure, outcome_of
from .errors import LonghaulError
from .keeper import Keeper
from .recorder import BODY_BYTES, Recorder
from .run import Run, Said

log = logging.getLogger("longhaul.worker")
C = TypeVar("C", Context, AsyncContext)

#: How long the server holds a claim while there is nothing to take, in seconds. A run's lease counts from when its claim was sent, so
#: a claim is held for a quarter of the lease at most: a run of one that was held for longer would begin with a lease about to end.
WAIT, WAIT_OF_LEASE = 20.0, 1 / 4
#: So many turns are under way at once: while one is written by the store, the other's jobs run.
TURNS = 2


@dataclass(frozen=True)
class Registered:
    """A kind that a worker runs."""

    handler: Callable[..., Any]
    version: int
    #: Where its jobs are handed to one call, many at a time.
    collect: Collect | None = None


@dataclass(frozen=True)
class Plan:
    """What a worker is made of."""

    kinds: dict[str, Registered]
    queues: list[str]
    slots: int
    lease: float
    presentation: dict[str, Any]


@dataclass
class _End:
    run: Run
    text: str
    said: list[Said]


class Session:
    """``beats`` is the client of the heartbeats, ``records`` that of what jobs say, ``client`` that of the event loop."""

    def __init__(self, plan: Plan, client: AsyncLonghaul, beats: Longhaul, records: Longhaul) -> None:
        self._plan, self._client, self._records = plan, client, records
        self._loop = asyncio.get_running_loop()
        #: The kinds whose jobs run one by one.
        self._kinds = [{"kind": kind, "version": it.version} for kind, it in plan.kinds.items() if it.collect is None]
        #: Jobs whose ends were not heard yet.
        self._runs: dict[Run, None] = {}
        self._ends: list[_End] = []
        #: The tasks of jobs whose handlers have not ended, and of requests.
        self.handlers: set[asyncio.Task[None]] = set()
        self._requests: set[asyncio.Task[None]] = set()
        self._poll: asyncio.Task[None] | None = None
        self._is_off = False
        #: Slots that claims which are under way ask for.
        self._asked = 0
        #: Those of them that the open claim asks for, which waits for jobs.
        self._polled = 0
        self._turns = 0
        self._first = 0
        self._is_scheduled = False
        self._stopping = False
        #: Set where the server is away for longer than leases hold: then there is nobody to tell of them.
        self._has_given_up = threading.Event()
        self._over = asyncio.Event()
        self._keeper = Keeper(beats, plan.presentation, plan.lease, self._unheard)
        self._recorder = Recorder(self._send_blocking, self._refuse_step)
        self._calls = Calls(self, plan.kinds)
        self.schedule()

    def now(self) -> float:
        """A clock that no setting of the wall clock moves."""
        return self._keeper.now()

    async def drain(self, seconds: float, hand_back: asyncio.Event) -> None:
        """Claims no more, waits for running jobs for so long or until told not to, and hands back those that are left."""
        self._stopping = True
        self._call_off()
        self._calls.close()
        self.schedule()
        over = asyncio.ensure_future(self._over.wait())
        await asyncio.wait({over, asyncio.ensure_future(hand_back.wait())}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        give_up = self._loop.call_later(self._plan.lease, self._give_up)
        for run in list(self._runs):
            self.release(run)
        await over
        give_up.cancel()
        self._recorder.stop()
        self._keeper.stop()

    def _give_up(self) -> None:
        self._has_given_up.set()
        for task in self._requests:
            task.cancel()

    def schedule(self) -> None:
        """What is to be done next is looked at once for all that has happened since."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._is_scheduled = False
        if not self._stopping:
            self._calls.dispatch(self._plan.slots - len(self.handlers) - self._asked + self._polled, self._make_room)
        while self._ends and self._turns < TURNS:
            ends = self._take()
            slots = 0 if self._stopping or not self._kinds else self._free()
            self._turns += 1
            self._asked += slots
            self._request(self._turn(ends, slots))
        if self._stopping:
            if not self._runs and not self._requests:
                self._over.set()
        elif self._kinds and self._poll is None and self._turns == 0 and (free := self._free()) > 0:
            self._asked += free
            self._polled = free
            # A call that leaves its slot to other kinds must soon know that none of their jobs wait.
            wait = 0.0 if self._calls.owes_single and self._calls.is_waiting else WAIT
            self._poll = self._request(self._poll_once(free, wait))

    def _make_room(self) -> None:
        """Makes room for a call, which takes a slot that the open claim may ask for: that has found nobody who waits."""
        if self._poll is None:
            self._calls.owes_single = bool(self._kinds)
        elif len(self.handlers) + self._asked >= self._plan.slots:
            self._call_off()

    def _call_off(self) -> None:
        # A second cancel would keep the first from giving back what the claim may have taken.
        if self._poll is not None and not self._is_off:
            self._is_off = True
            self._poll.cancel()

    def _request(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._requests.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._requests.discard(task)
            self.schedule()

        task.add_done_callback(done)
        return task

    def _free(self) -> int:
        # The ends of a call have one slot together, which is free by then.
        ends = 0 if self._calls.most else len(self._ends)
        return max(0, self._plan.slots - len(self.handlers) - ends - self._asked)

    async def _poll_once(self, slots: int, wait: float) -> None:
        try:
            if await self._claim_waiting(self._kinds, slots, wait) < slots:
                self._calls.owes_single = False
        finally:
            self._asked -= slots
            self._polled, self._poll, self._is_off = 0, None, False

    def claim(self, kinds: list[dict[str, Any]], most: int) -> asyncio.Task[None]:
        """Claims jobs that are collected, until there are some."""

        async def claim() -> None:
            await self._claim_waiting(kinds, most, WAIT)

        return self._request(claim())

    async def _claim_waiting(self, kinds: list[dict[str, Any]], slots: int, wait: float) -> int:
        """Claims up to so many jobs, and answers how many came."""
        key = uuid.uuid4().hex
        try:
            wait = min(wait, self._plan.lease * WAIT_OF_LEASE)
            # Where not every queue can be asked for, the others are asked for soon.
            wait = wait if slots >= len(self._plan.queues) else min(wait, 1.0)
            tries: list[float] = []
            body = json.dumps(self._claim(kinds, slots, wait)).encode()
            answer = await self._send("claim", body, key, held_for=WAIT, on_try=lambda: tries.append(self._keeper.now()))
            self._begin(answer["claimed"], tries[-1])
            return len(answer["claimed"])
        except asyncio.CancelledError:
            # It may have taken jobs whose names are on their way here.
            settings = self._client._settings
            abandon = flow.request(settings, "POST", "/api/worker/abandon", body={"key": key})
            try:
                await self._client._run(abandon)
            except LonghaulError as error:
                log.warning("failed to abandon a claim: %s", error)
        except LonghaulError as error:
            log.error("the server refused a claim: %s", error)
            await asyncio.sleep(1.0)
        return 0

    async def _turn(self, ends: list[_End], slots: int) -> None:
        """Sends ends that have come together, and claims for the slots that are free by them."""
        text = f'{{"finishes":[{",".join(map(_finish, ends))}]'
        if slots:
            text += f',"claim":{json.dumps(self._claim(self._kinds, slots, 0))}'
        tries: list[float] = []
        try:
            body = (text + "}").encode()
            answer = await self._send("turn" if slots else "finish", body, uuid.uuid4().hex, on_try=lambda: tries.append(self._keeper.now()))
            self._begin(answer.get("claimed", []), tries[-1])
            if len(answer.get("claimed", [])) < slots:
                self._calls.owes_single = False
        except LonghaulError as error:
            self._calls.owes_single = False
            for end in ends:
                await self._finish_alone(end, error)
        finally:
            self._asked -= slots
            self._turns -= 1
            self._keeper.remove(end.run for end in ends)
            for end in ends:
                self._runs.pop(end.run, None)
                for said in end.said:
                    said.tell()

    def _take(self) -> list[_End]:
        """Half of the slots at most: then their jobs run while the other half's ends are written. And those of a call together."""
        most, count, size = max(-(-self._plan.slots // TURNS), self._calls.most), 0, 0
        for end in self._ends:
            size += len(end.text) + sum(len(said.text) for said in end.said)
            if count and (count >= most or size > BODY_BYTES):
                break
            count += 1
        taken, self._ends = self._ends[:count], self._ends[count:]
        return taken

    async def _finish_alone(self, end: _End, refusal: LonghaulError) -> None:
        """What the server refuses of many ends concerns one of them only."""
        log.error("the server refused ends of jobs: %s", refusal)
        failed = {"failed": {"error": {"message": f"the server refused its end: {refusal}"}}}
        for text in (_finish(end), json.dumps({"lease": end.run.lease, "outcome": failed})):
            try:
                await self._send("finish", f'{{"finishes":[{text}]}}'.encode(), uuid.uuid4().hex)
                return
            except LonghaulError as error:
                log.error("the server refused the end of job %s: %s", end.run.lease["id"], error)

    async def _send(
        self, what: str, body: bytes, key: str, *, held_for: float = 0.0, on_try: Callable[[], None] = lambda: None
    ) -> Any:
        """Sends a request under one key until it is answered, however long the server is away."""
        return (await self._client._run(self._insist(self._client, what, body, key, held_for, on_try))).json()

    def _send_blocking(self, what: str, body: bytes) -> Any:
        return self._records._run(self._insist(self._records, what, body, uuid.uuid4().hex, 0.0, lambda: None)).json()

    def _insist(
        self, client: AsyncLonghaul | Longhaul, what: str, body: bytes, key: str, held_for: float, on_try: Callable[[], None]
    ) -> flow.Flow[flow.Answer]:
        def on_retry(error: Exception) -> None:
            if self._has_given_up.is_set():
                raise error
            log.warning("failed to send a %s, will try again: %s", what, error)

        settings = replace(client._settings, max_retries=None)
        headers = {"idempotency-key": key}
        path = f"/api/worker/{what}"
        return flow.request(
            settings, "POST", path, content=body, headers=headers, held_for=held_for, on_try=on_try, on_retry=on_retry
        )

    def _claim(self, kinds: list[dict[str, Any]], slots: int, wait: float) -> dict[str, Any]:
        # The free slots are shared out among the queues, beginning with another each time.
        plan = self._plan
        self._first = (self._first + 1) % len(plan.queues)
        queues = (plan.queues[self._first :] + plan.queues[: self._first])[:slots]
        share = slots // len(queues)
        return {
            "worker": plan.presentation,
            "queues": [{"queue": queue, "slots": share} for queue in queues],
            "kinds": kinds,
            "lease_for": plan.lease,
            "wait": wait,
        }

    def _begin(self, claimed: list[dict[str, Any]], since: float) -> None:
        runs = [Run(one, since) for one in claimed]
        self._keeper.add(runs)
        for run in runs:
            run.ask = lambda what, body: self._send_blocking(what, json.dumps(body, allow_nan=False).encode())
            self._runs[run] = None
            # A server of an earlier release tells none.
            if run.claimed.get("deadline_in") is not None:
                run.deadline = self._loop.call_later(run.claimed["deadline_in"], self._cut_off, run)
            if self._calls.gathers(run.claimed["kind"]):
                self._calls.add(run)
                continue
            self._calls.owes_single = False
            task = self.begin_call(self._work(run))
            run.on_stop = lambda task=task: self._loop.call_soon_threadsafe(task.cancel)  # type: ignore[misc]
        # A worker that stops while a claim is on its way hands back what only waits.
        if self._stopping:
            self._calls.close()

    def begin_call(self, work: Any) -> asyncio.Task[None]:
        """Gives a slot to a handler."""
        task: asyncio.Task[None] = self._loop.create_task(work)
        self.handlers.add(task)
        task.add_done_callback(self._handled)
        return task

    def _handled(self, task: asyncio.Task[None]) -> None:
        self.handlers.discard(task)
        self.schedule()

    async def _work(self, run: Run) -> None:
        claimed, handler = run.claimed, self._plan.kinds[run.claimed["kind"]].handler
        over = self.time_limit(run)
        try:
            if inspect.iscoroutinefunction(handler):
                output = await handler(self.context(AsyncContext, run), claimed["args"])
            else:
                # A thread cannot be cancelled; the function looks at its context.
                run.on_stop = lambda: None
                output = await self.in_thread(claimed["kind"], lambda: handler(self.context(Context, run), claimed["args"]))
            outcome = completed(output)
        except asyncio.CancelledError as error:
            asked: Outcome = {"cancelled": {"reason": "it was asked to stop"}}
            outcome = asked if run.stopped.is_set() else outcome_of(error, claimed)
        except BaseException as error:  # noqa: BLE001  Whatever a handler raises is the end of its own job only.
            if not isinstance(error, Exception) and not isinstance(error, (SystemExit, KeyboardInterrupt)):
                raise
            outcome = outcome_of(error, claimed)
        over()
        self.end(run, outcome)

    def context(self, of: type[C], run: Run) -> C:
        """What a handler is given for a job."""
        return of(self._recorder, run)

    def time_limit(self, run: Run) -> Callable[[], object]:
        """Ends a job when its timeout is over, which begins now, unless the answer is called before."""
        if run.claimed["timeout"] is None:
            return lambda: None
        return self._loop.call_later(run.claimed["timeout"], self._time_out, run).cancel

    async def in_thread(self, kind: str, handler: Callable[[], Any]) -> Any:
        """Runs a function that blocks. Its thread keeps no process alive: at a shutdown its job was handed back."""
        done: asyncio.Future[Any] = self._loop.create_future()

        def work() -> None:
            tell: Callable[[], None]
            try:
                output = handler()
                tell = lambda: done.set_result(output)  # noqa: E731
            except BaseException as raised:  # noqa: BLE001
                error = raised if not isinstance(raised, StopIteration) else RuntimeError(f"StopIteration: {raised}")
                tell = lambda: done.set_exception(error)  # noqa: E731
            try:
                self._loop.call_soon_threadsafe(tell)
            except RuntimeError:
                pass  # The loop has ended, and the job was handed back before.

        threading.Thread(target=work, name=f"longhaul-{kind}", daemon=True).start()
        return await done

    def _time_out(self, run: Run) -> None:
        self.end(run, failure(f"the attempt took longer than {run.claimed['timeout']} s", run.claimed, "timeout"))
        run.stop()

    def _cut_off(self, run: Run) -> None:
        self.end(run, {"cancelled": {"reason": "stopped, because its deadline has passed", "cancel_reason": "deadline"}})
        run.stop()

    def release(self, run: Run) -> None:
        """Hands a job back. What its handler still says of this run is not heard: the job goes to another worker."""
        self.end(run, {"released": {}})
        run.stop()

    def _refuse_step(self, run: Run, reason: str) -> None:
        # What comes after the step must not be done on the strength of it.
        failed = {"failed": {"error": {"message": f"the server refused to keep a step: {reason}", "kind": "fatal"}}}
        self._loop.call_soon_threadsafe(self.end, run, failed)
        run.stop()

    def _unheard(self, run: Run) -> None:
        self._loop.call_soon_threadsafe(self.release, run)

    def end(self, run: Run, outcome: Outcome) -> None:
        """Sends the end of a job soon; the first one counts."""
        if run.has_ended:
            return
        run.has_ended = True
        if run.deadline is not None:
            run.deadline.cancel()
        said = self._recorder.last(run)
        if isinstance(said, list):
            self._ended(run, outcome, said)
        else:
            self._request(self._end_later(run, outcome, said))

    async def _end_later(self, run: Run, outcome: Outcome, said: Any) -> None:
        # What is on its way goes before the end: after that nobody may speak for the job.
        while not isinstance(said, list):
            await asyncio.wrap_future(said)
            said = self._recorder.last(run)
        self._ended(run, outcome, said)

    def _ended(self, run: Run, outcome: Outcome, said: list[Said]) -> None:
        if run.is_lost:
            self._runs.pop(run, None)
            self._keeper.remove([run])
            for one in said:
                one.tell()
        else:
            cost = "" if run.cost is None else f',"cost":{run.cost}'
            self._ends.append(_End(run, f'{{"lease":{json.dumps(run.lease)},"outcome":{json.dumps(outcome)}{cost}', said))
        self.schedule()


def _finish(end: _End) -> str:
    entries = f',"entries":[{",".join(said.text for said in end.said)}]' if end.said else ""
    return f"{end.text}{entries}}}"
