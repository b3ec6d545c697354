"""The jobs of the server in memory: how they are created, and what moves them from state to state."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from ..job import FINISHED
from ..run import Run
from .attempt import now, waits, written
from .keys import LimitKeys
from .queues import Queues
from .unique import UniqueKeys, read_time, start_of
from .waits import Graphs, ancestors, read_dependencies

Status = Literal["created", "duplicate", "replaced", "rejected", "full"]
#: The fields of a new job that have no value yet.
NOTHING = ("waits_for", "wakes_at", "forked_from", "progress", "position", "eta_seconds", "started_at", "finished_at", "output", "worker", "children")


class Jobs:
    """Jobs with their logs, steps, keys and queues."""

    def __init__(self) -> None:
        self.by_id: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        #: By job, the steps that are done, by name.
        self.steps: dict[str, dict[str, dict[str, Any]]] = {}
        self.gone: set[str] = set()
        self.unique = UniqueKeys()
        self.queues = Queues(self.by_id)
        self.keys = LimitKeys(self.by_id)
        self.graphs = Graphs(self.by_id)
        #: What the live feed tells.
        self.changes: list[dict[str, Any]] = []
        #: By job, the run whose handler is at work.
        self.runs: dict[str, Run] = {}
        #: Called at each change, for requests that wait for one.
        self.waiting: list[Callable[[], object]] = []

    def create(self, body: dict[str, Any], traceparent: str | None = None) -> tuple[Status, dict[str, Any]]:
        """What became of a job, and the one that stands for it."""
        if body.get("id") in self.by_id:
            return "duplicate", self.by_id[body["id"]]
        clash = self.unique.clash(body)
        if clash is not None and clash.fate == "join":
            return "duplicate", clash.holder
        # An ancestor may wait for its children, so that none waits for it.
        is_behind_ancestor = clash is not None and clash.fate == "follow" and clash.holder["id"] in ancestors(body, self.by_id)
        if clash is not None and (clash.fate == "reject" or is_behind_ancestor):
            return "rejected", clash.holder
        if clash is not None and clash.fate == "replace":
            self._replace(clash.holder, body, clash.at)
            return "replaced", clash.holder
        keys = body.get("limit_keys")
        if keys is None:
            keys = [] if body.get("key") is None else [body["key"]]
        full = self._full(body.get("queue", "default"), keys)
        refusing = [name for name, on_full, _ in full if on_full == "reject"]
        if refusing:
            return "full", {"full": refusing[0]}
        is_dropped = any(on_full == "drop_newest" for _, on_full, _ in full)
        behind: dict[str, Any] | None = None
        if not is_dropped:
            for _, _, oldest in full:
                # The oldest of one bound may be that of another, too.
                if waits(oldest):
                    self.cancel(oldest, "dropped")
            clash = self.unique.clash(body)
            if clash is not None and clash.fate == "supersede":
                self.cancel(clash.holder, "superseded")
            if clash is not None and clash.fate == "follow":
                behind = clash.holder
        job = self._new(body, keys, behind)
        if traceparent is not None:
            job["traceparent"] = traceparent
        if not is_dropped:
            self.unique.take(body, job, behind)
        self.by_id[job["id"]] = job
        self.queues.see(job["queue"])
        self.logs[job["id"]], self.steps[job["id"]] = [], {}
        fate = self.graphs.begin(job)
        if is_dropped or fate == "cancelled":
            self.enter(job, "cancelled", reason="dropped" if is_dropped else "dependency")
        elif fate == "blocked":
            self.enter(job, "blocked", waits_for="dependencies")
        else:
            self.enter(job, job["state"])
        return "created", job

    def _new(self, body: dict[str, Any], keys: list[str], behind: dict[str, Any] | None) -> dict[str, Any]:
        starts_at, present = start_of(body), datetime.now(timezone.utc)
        is_later = starts_at > present
        expires_in, deadline = body.get("expires_in"), body.get("deadline")
        if deadline is not None:
            deadline = written(present + timedelta(seconds=deadline) if isinstance(deadline, (int, float)) else read_time(deadline))
        depends_on = read_dependencies(body)
        if behind is not None and all(on["id"] != behind["id"] for on in depends_on):
            depends_on.append({"id": behind["id"], "on_failure": "run"})
        given = {name: units for name, units in (body.get("cost") or {}).items() if units is not None}
        return {
            **dict.fromkeys(NOTHING),
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
            "depends_on": depends_on,
            "on_exhausted": body.get("on_exhausted") or "fail",
            "unique": self.unique.named(body),
            "limit_keys": keys,
            "key": keys[0] if keys else None,
            "cost": {"slots": 1, "rate": 1, **given},
            "prefer": body.get("prefer"),
            "prefer_hard": bool(body.get("prefer_hard")),
            "labels": body.get("labels", {}),
        }

    def _replace(self, holder: dict[str, Any], body: dict[str, Any], at: datetime | None) -> None:
        """Gives a job that waits the args of a newer one, and its time unless it is blocked."""
        holder["args"] = body.get("args")
        self.steps[holder["id"]].clear()
        if at is None:
            self.enter(holder, holder["state"], waits_for=holder["waits_for"])
            return
        holder["run_at"] = written(at)
        self.enter(holder, "scheduled" if at > datetime.now(timezone.utc) else "available")

    def _full(self, queue: str, keys: list[str]) -> list[tuple[str, str, dict[str, Any]]]:
        """The bounds that are reached of a queue and of limit keys: the name, the fate of one more, and the job that waits longest."""
        waiting = [job for job in self.by_id.values() if waits(job)]
        bounds = [(f"queue {queue}", self.queues.config(queue), [job for job in waiting if job["queue"] == queue])]
        bounds += [(f"limit key {key}", self.keys.get(key), [job for job in waiting if key in job["limit_keys"]]) for key in keys]
        reached = [(name, config["on_full"], jobs) for name, config, jobs in bounds if len(jobs) >= (config["max_waiting"] or math.inf)]
        return [(name, on_full, jobs[0]) for name, on_full, jobs in reached]

    def looked_up(self, job: dict[str, Any]) -> dict[str, Any]:
        """A job with what only a look-up of it tells: the holder of its unique key."""
        return job if job["unique"] is None else {**job, "unique": {**job["unique"], **self.unique.holder(job)}}

    def cancel(self, job: dict[str, Any], reason: str) -> None:
        """Cancels a job: at once, or by asking the handler that runs it."""
        if job["id"] not in self.runs:
            self.enter(job, "cancelled", reason=reason)
        elif not job["cancel_requested"]:
            job.update(cancel_requested=True, cancel_reason=reason)
            self.log(job, "state", {"state": job["state"], "error": None, "cancel_requested": True, "cancel_reason": reason})
            self.runs[job["id"]].stop()

    def apply(self, action: str, job: dict[str, Any], to: dict[str, Any]) -> bool:
        """Does something to a job; false where it does not apply."""
        is_done = job["state"] in FINISHED or (action == "retry" and job["waits_for"] == "person")
        if is_done != (action in ("retry", "delete")):
            return False
        if action == "set_priority":
            job["priority"] = to["priority"]
            return True
        if action == "delete":
            del self.by_id[job["id"]]
            self.unique.free(job)
            self.gone.add(job["id"])
            self._change(job, None)
            self._wake()
        elif action == "retry":
            if not self.unique.retake(job):
                return False
            if "args" in to:
                self.steps[job["id"]].clear()
            job.update(attempt=0, output=None, progress=None, expires_at=None, deadline=None, args=to.get("args", job["args"]))
            self.enter(job, "available")
        else:
            self.cancel(job, "asked")
        return True

    def signal(self, job: dict[str, Any], step: str, output: Any) -> bool:
        """Gives a job a signal; false where an earlier one of the name stands."""
        if step in self.steps[job["id"]]:
            return False
        times = {"attempt": job["attempt"], "started_at": now(), "finished_at": now()}
        self.steps[job["id"]][step] = {"name": step, "output": output, **times}
        if job["waits_for"] == step:
            self.enter(job, "available")
        return True

    def enter(self, job: dict[str, Any], state: str, error: dict[str, Any] | None = None, reason: str | None = None, waits_for: str | None = None) -> None:
        """Moves a job to a state, and those that wait for its end on."""
        job.update(state=state, cancel_requested=False, cancel_reason=reason, waits_for=waits_for, finished_at=now() if state in FINISHED else None)
        self.log(job, "state", {"state": state, "error": error, **({"cancel_reason": reason} if reason else {})})
        if state not in FINISHED:
            return
        self.unique.ended(job)
        for of, fate in self.graphs.ended(job):
            if fate == "cancelled":
                self.enter(of, "cancelled", reason="dependency")
            else:
                self.enter(of, "scheduled" if read_time(of["run_at"]) > datetime.now(timezone.utc) else "available")

    def log(self, job: dict[str, Any], event: str, data: dict[str, Any]) -> None:
        """Adds an event to the log of a job."""
        self.logs[job["id"]].append((event, {"attempt": job["attempt"], "at": now(), **data}))
        if event == "state":
            self._change(job, job["state"])
        self._wake()

    def closed(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """What keeps a job from being claimed, in the order in which it is looked at: pauses, the queue's slots, the keys'."""
        closed = [*self.queues.closed(job), *self.keys.closed(job)]
        return sorted(closed, key=lambda reason: reason["rule"] != "paused_key")

    def why(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """The reasons why a job does not run."""
        queue = [{"rule": "paused_queue", "key": job["queue"]}] if self.queues.is_paused(job["queue"]) else []
        closed = self.closed(job)
        if job["state"] == "available":
            return [*queue, *closed, {"rule": "no_worker", "key": job["queue"]}]
        if job["state"] == "blocked":
            return [self.graphs.why(job)]
        if job["state"] != "scheduled":
            return []
        paused = [reason for reason in closed if reason["rule"] == "paused_key"]
        # A run that came to its limit waits as long as its key is paused.
        is_limited = any(reason["until"] == job["run_at"] for reason in paused)
        own = [] if is_limited else [{"rule": "run_at", "until": job["run_at"]}]
        return [*own, *paused, *queue]

    def _change(self, job: dict[str, Any], state: str | None) -> None:
        told = {name: job[name] for name in ("id", "kind", "queue", "attempt")}
        self.changes.append({**told, "state": state, "at": now()})

    def _wake(self) -> None:
        for tell in list(self.waiting):
            tell()
