"""The waits of a run, written once for coroutines and for functions: a generator yields what is to be asked or kept, and is sent what came
of it."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Union

from .run import Run

#: The names of steps that are kept for signals, sleeps and waits begin so.
RESERVED = ("signal:", "sleep:", "wait:", "patch:")


class Fatal(Exception):
    """The job fails for good: no retry can help."""


class Steps(dict[str, Any]):
    """The outputs of the steps that are done, and which of them this attempt has come to."""

    def __init__(self, done: Mapping[str, Any]) -> None:
        super().__init__(done)
        self._reached: set[str] = set()

    def reach(self, name: str) -> None:
        """Notes that the attempt has come to a step."""
        if name in self._reached:
            # It would be given the output of the other.
            raise Fatal(
                f"'{name}' stands twice in this attempt: each step, sleep and wait of a job has a name of its own; put a number into the "
                "names of a loop"
            )
        self._reached.add(name)

    @contextmanager
    def working(self, name: str) -> Iterator[None]:
        """Around the work of a step that the attempt has come to. One that fails may be tried again."""
        try:
            yield
        except BaseException:
            self._reached.discard(name)
            raise

    @property
    def is_replaying(self) -> bool:
        """True while a step is done that this attempt has not come to, signals aside: they come when others send them."""
        return any(not name.startswith("signal:") and name not in self._reached for name in self)


class Waits(Exception):
    """Ends the run of a job that waits, and holds no slot meanwhile. ``cx.sleep``, ``cx.wait_for`` and ``cx.wait_for_children`` raise it:
    let it pass. The job runs again once the wait is over, and comes to the same place by its steps."""

    def __init__(self, what: str, outcome: dict[str, Any]) -> None:
        super().__init__(f"waits for {what}")
        self.outcome = outcome
        #: The job that waits, where several are in one call.
        self.job_id = ""


@dataclass(frozen=True)
class Ask:
    """Ask the server."""

    what: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Keep:
    """Keep the output of a step, and go on once it is durable."""

    name: str
    output: Any


@dataclass(frozen=True)
class Say:
    """Keep the output of a step, with the end of the run at the latest."""

    name: str
    output: Any


Waiting = Generator[Union[Ask, Keep, Say], Any, Any]


def sleep(run: Run, steps: Steps, name: str, seconds: float) -> Waiting:
    """Ends the run until so many seconds are over."""
    steps.reach(f"sleep:{name}")
    left = yield from _left(run, steps, f"sleep:{name}", seconds)
    if left > 0:
        raise Waits(f"the end of its sleep '{name}'", {"snoozed": {"delay": left}})


def wait_for(run: Run, steps: Steps, name: str, timeout: float | None) -> Waiting:
    """The value of a signal, or ``None`` where the timeout was over before it came."""
    signal, what = f"signal:{name}", f"the signal '{name}'"
    steps.reach(signal)
    steps.reach(f"wait:{name}")
    if signal in steps:
        return _value(steps[signal])
    if timeout is None:
        raise Waits(what, {"waits": {"on": signal}})
    left = yield from _left(run, steps, f"wait:{name}", timeout)
    if left > 0:
        raise Waits(what, {"waits": {"on": signal, "timeout": left}})
    # The first output of a step stays: where the signal came meanwhile, it is the answer.
    yield Keep(signal, {"timed_out": True})
    answer = yield Ask("steps", {"id": run.lease["id"]})
    kept = [step["output"] for step in answer["steps"] or [] if step["name"] == signal]
    return _value(kept[0]) if kept else None


def wait_token(run: Run, name: str) -> Waiting:
    """A token that gives the job the signal of a name."""
    answer = yield Ask("signal-token", {"id": run.lease["id"], "name": name})
    return answer["token"]


def patched(steps: Steps, name: str) -> Waiting:
    """True where the code after this point is the new one for the job."""
    step = f"patch:{name}"
    steps.reach(step)
    if step in steps:
        return True
    if steps.is_replaying:
        return False
    yield Keep(step, True)
    return True


def enqueue_children(run: Run, steps: Steps, name: str, jobs: Iterable[Mapping[str, Any]]) -> Waiting:
    """Enqueues children once, and answers their ids."""
    check_step(name)
    steps.reach(name)
    if name in steps:
        return steps[name]
    id = run.lease["id"]
    children = [{"id": f"{id}.{name}.{n}", "args": None, **job, "parent": id} for n, job in enumerate(jobs)]
    json.dumps(children, allow_nan=False)
    answer = yield Ask("enqueue", {"jobs": children})
    # Once the step is done, a child that was not created is missing for ever. Those that were are not created again.
    statuses = {enqueued["status"] for enqueued in answer["enqueued"]}
    if "key_reused" in statuses:
        raise ValueError("the idempotency key of a child was used for another request")
    if "full" in statuses:
        raise Waits("room for a child, because its queue or one of its limit keys is full", {"snoozed": {"delay": 1.0}})
    ids = [child["id"] for child in children]
    yield Keep(name, ids)
    return ids


def wait_for_children(run: Run) -> Waiting:
    """The counts of the children, once all of them have ended."""
    answer = yield Ask("get", {"ids": [run.lease["id"]]})
    found = answer["jobs"][0]
    children = (found["found"].get("children") if isinstance(found, dict) else None) or {}
    counts = {name: children.get(name, 0) for name in ("total", "completed", "failed", "cancelled")}
    unfinished = 2 * counts["total"] - sum(counts.values())
    if unfinished > 0:
        raise Waits(f"{unfinished} children", {"waits": {"on": "children"}})
    return counts


def check_step(name: str) -> None:
    """Refuses the name of a step that is kept for something else."""
    for prefix in RESERVED:
        if name.startswith(prefix):
            raise ValueError(f"the name of a step must not begin with '{prefix}', and '{name}' does")


def _left(run: Run, steps: Steps, step: str, seconds: float) -> Generator[Say, Any, float]:
    """The seconds that are left of a wait, whose end is kept where it has just begun."""
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"a wait has a number of seconds, and not {seconds}")
    if step in steps:
        return float(run.left_of(steps[step]["until"]))
    if seconds > 0:
        yield Say(step, {"until": round(1_000 * (time.time() + seconds))})
    return seconds


def _value(kept: Mapping[str, Any]) -> Any:
    return None if kept.get("timed_out") else kept.get("value")
