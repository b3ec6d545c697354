"""A job as the server shows it, and the events of its log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, Union

State = Literal["scheduled", "blocked", "available", "running", "completed", "failed", "cancelled"]
#: What a job was cancelled for.
CancelReason = Literal["asked", "expired", "deadline", "superseded", "dependency", "dropped", "parent"]
#: What became of a job that was enqueued: it was created; an earlier one stands for it (``duplicate``) or has taken on its args and time
#: (``replaced``); or nothing was created, because its unique key is held (``rejected``) or as many jobs wait as may (``full``).
EnqueueStatus = Literal["created", "duplicate", "replaced", "rejected", "full"]
#: The fate of a job that is enqueued while as many wait as may.
OnFull = Literal["reject", "drop_oldest", "drop_newest"]
FINISHED = frozenset(("completed", "failed", "cancelled"))


@dataclass(frozen=True)
class Progress:
    """The progress of a job: ``percent`` from 0 to 100, a message for people, data for programs."""

    percent: float
    message: str = ""
    data: Any = None


@dataclass(frozen=True)
class AttemptError:
    """One failed attempt."""

    attempt: int
    at: str
    message: str
    kind: str


@dataclass(frozen=True)
class Children:
    """The counts of a job's children, where it closes a batch."""

    total: int
    completed: int
    failed: int
    cancelled: int


class Dependency(TypedDict, total=False):
    """Another job that must end first. ``on_failure`` is ``cancel`` unless given: then the job that waits is cancelled with it."""

    id: str
    on_failure: Literal["cancel", "run"]


@dataclass(frozen=True)
class Cost:
    """The units of its limit keys' limits that a run takes."""

    slots: int = 1
    rate: int = 1


@dataclass(frozen=True)
class UniqueKey:
    """A job's unique key. ``holder`` is the job that holds it now; none where it is free, and in lists."""

    key: str
    holder: str | None = None


@dataclass(frozen=True)
class Job:
    """A job as it stood when the server answered. Times are RFC 3339, durations seconds. ``raw`` has every field of the answer."""

    id: str
    kind: str
    version: int
    queue: str
    args: Any
    state: State
    progress: Progress | None
    attempt: int
    max_attempts: int
    crashes: int
    interruptions: int
    priority: int
    timeout: float | None
    position: int | None
    eta_seconds: int | None
    created_at: str
    run_at: str
    started_at: str | None
    finished_at: str | None
    output: Any
    errors: list[AttemptError]
    #: When it is cancelled unless it has been started.
    expires_at: str | None
    #: When it is cancelled unless it has ended.
    deadline: str | None
    cancel_requested: bool
    #: What it was cancelled for, or is asked to stop for.
    cancel_reason: CancelReason | None
    worker: str | None
    parent: str | None
    children: Children | None
    #: The jobs that it waits, or waited, for.
    depends_on: list[Dependency]
    #: What it waits for while it is blocked: ``dependencies``, ``children``, ``signal:NAME``, or ``person`` where its attempts are used up.
    waits_for: str | None
    #: When it goes on though what it waits for has not come.
    wakes_at: str | None
    #: What becomes of it when its last attempt fails: ``fail`` or ``pause``.
    on_exhausted: str
    #: The job that it is a fork of.
    forked_from: str | None
    unique: UniqueKey | None
    #: The names of limits that it shares with others.
    limit_keys: list[str]
    #: The first of its limit keys.
    key: str | None
    cost: Cost
    #: The labels of the workers that it prefers, and whether no other is given it.
    prefer: dict[str, str] | None
    prefer_hard: bool
    labels: dict[str, str]
    #: The place in a trace that it was enqueued at, as the W3C's header ``traceparent``.
    traceparent: str | None
    #: The id of the token that it was enqueued with, where that is one with scopes.
    created_by: str | None
    #: True in an answer to a request that created nothing.
    duplicate: bool
    #: True in an answer to a request whose args and time this job has taken on.
    replaced: bool
    raw: dict[str, Any] = field(repr=False, compare=False)

    @property
    def is_finished(self) -> bool:
        """True once the job has completed, failed or been cancelled."""
        return self.state in FINISHED

    @classmethod
    def read(cls, body: dict[str, Any]) -> Job:
        """The job of an answer's body. Fields that this release does not know stay in ``raw``."""
        known = {name: body.get(name) for name in cls.__dataclass_fields__ if name not in ("raw", "progress", "children", "cost", "errors", "unique")}
        known["depends_on"] = body.get("depends_on", [])
        known["on_exhausted"] = body.get("on_exhausted", "fail")
        known |= {name: body.get(name, False) for name in ("duplicate", "replaced", "prefer_hard")}
        # A server of an earlier release has one key at most.
        known["limit_keys"] = body.get("limit_keys", [body["key"]] if body.get("key") else [])
        progress, children, cost = body.get("progress"), body.get("children"), body.get("cost") or {}
        unique = body.get("unique")
        return cls(
            **known,  # type: ignore[arg-type]
            progress=Progress(progress["percent"], progress["message"], progress.get("data")) if progress else None,
            children=Children(**{name: children[name] for name in Children.__dataclass_fields__}) if children else None,
            unique=UniqueKey(unique["key"], unique.get("holder")) if unique else None,
            cost=Cost(cost.get("slots", 1), cost.get("rate", 1)),
            errors=[AttemptError(e["attempt"], e["at"], e["message"], e["kind"]) for e in body.get("errors", [])],
            raw=body,
        )


class Unique(TypedDict, total=False):
    """The jobs of a kind that count as one: those with the same ``key``, or the same args at the paths ``on``, or all the same args."""

    key: str | None
    on: Sequence[str] | None
    #: Another name of ``on``.
    fields: Sequence[str] | None
    #: The key outlives a completion by so many seconds; a throttle holds it for so many from its creation.
    period: float | None
    #: The states in which the first keeps others out; all but ``failed`` and ``cancelled`` unless given.
    states: Sequence[State] | None
    #: What becomes of a second one; ``join`` unless given.
    on_clash: Literal["join", "refresh", "reject", "replace", "debounce", "throttle", "supersede", "follow"]
    #: For a debounce: the seconds without another that end a burst, the most that it may last, and which of its jobs runs.
    delay: float | None
    max_delay: float | None
    edge: Literal["trailing", "leading"] | None


#: An end of a job that a webhook tells.
WebhookEvent = Literal["completed", "failed", "cancelled"]


class _WebhookUrl(TypedDict):
    #: An ``http`` or ``https`` URL without a user or password.
    url: str


class Webhook(_WebhookUrl, total=False):
    """What is told how a job ends."""

    #: The ends that are told; all of them unless given.
    events: Sequence[WebhookEvent] | None


class JobOptions(TypedDict, total=False):
    """The options of a job: the fields of ``POST /api/jobs`` by their names there. Durations are in seconds."""

    queue: str | None
    #: 1–128 characters of ``A–Z a–z 0–9 . _ : -``. An id that exists creates nothing.
    id: str | None
    unique: Unique | None
    run_at: str | None
    delay: float | None
    priority: int | None
    max_attempts: int | None
    timeout: float | None
    #: The longest that it may wait for its first start.
    expires_in: float | None
    #: When it must have ended, with all its attempts: seconds from now, or a time in RFC 3339.
    deadline: float | str | None
    #: The names of limits that it shares with others, at most 4: ``provider:openai``, say, and ``tenant:42``. ``key`` is one alone.
    limit_keys: Sequence[str] | None
    key: str | None
    #: What a run takes of their limits: ``{"slots": 1, "rate": 1}`` unless given.
    cost: Mapping[str, int] | None
    #: The labels of the workers that it prefers, ``{"gpu": "a100"}``: others are given it once it has been due for a second, and with
    #: ``prefer_hard`` never.
    prefer: Mapping[str, str] | None
    prefer_hard: bool | None
    parent: str | None
    #: The jobs that must end before it may run: their ids, or a :class:`Dependency` each.
    depends_on: Sequence[str | Dependency] | None
    #: ``pause``: when its last attempt fails, it waits for a person to retry or cancel it.
    on_exhausted: Literal["fail", "pause"] | None
    labels: Mapping[str, str] | None
    cancel_on_disconnect: bool | None
    #: A URL that is told how it ends, or a :class:`Webhook`. Receivers verify with the package ``standardwebhooks``.
    webhook: str | Webhook | None


@dataclass(frozen=True)
class _Place:
    """What every event has: its number, the attempt that it belongs to, and its time in RFC 3339."""

    id: int
    attempt: int
    at: str


@dataclass(frozen=True)
class StateEvent(_Place):
    """The job is in this state now. While it runs, a ``cancel_reason`` is why it is asked to stop."""

    state: State
    error: AttemptError | None = None
    cancel_reason: CancelReason | None = None
    type: Literal["state"] = "state"


@dataclass(frozen=True)
class ProgressEvent(_Place):
    """The job got this far."""

    percent: float
    message: str
    data: Any
    type: Literal["progress"] = "progress"


@dataclass(frozen=True)
class LogEvent(_Place):
    """The job said this."""

    level: str
    message: str
    type: Literal["log"] = "log"


@dataclass(frozen=True)
class ChunkEvent(_Place):
    """A piece of the job's output, as it is made."""

    data: Any
    type: Literal["chunk"] = "chunk"


@dataclass(frozen=True)
class OutputEvent(_Place):
    """The whole output, once the job has completed."""

    output: Any
    type: Literal["output"] = "output"


@dataclass(frozen=True)
class ResetEvent(_Place):
    """The attempt failed, or the log begins anew: drop the chunks so far."""

    type: Literal["reset"] = "reset"


@dataclass(frozen=True)
class GapEvent(_Place):
    """The log is bounded, and events between the last one seen and the next one are gone."""

    type: Literal["gap"] = "gap"


Event = Union[StateEvent, ProgressEvent, LogEvent, ChunkEvent, OutputEvent, ResetEvent, GapEvent]


@dataclass(frozen=True)
class JobChange:
    """A job that has changed its state; ``state`` is ``None`` once it was deleted or pruned."""

    id: str
    kind: str
    queue: str
    state: State | None
    attempt: int
    at: str
    type: Literal["job"] = "job"

    @classmethod
    def read(cls, body: dict[str, Any]) -> JobChange:
        """The change of a message."""
        return cls(body["id"], body["kind"], body["queue"], body["state"], body["attempt"], body["at"])


@dataclass(frozen=True)
class ChangesMissed:
    """Changes before this may have been missed: at the beginning, after a connection that broke, and where the server has left some out.
    Who reads what is shown at each of them misses nothing, because later changes are told."""

    type: Literal["gap"] = "gap"


def read_event(name: str, id: int, data: dict[str, Any]) -> Event | None:
    """The event of a message; ``None`` for one that this release does not know."""
    place = {"id": id, "attempt": data.get("attempt", 0), "at": data.get("at", "")}
    if name == "state":
        error = data.get("error")
        read = AttemptError(error["attempt"], error["at"], error["message"], error["kind"]) if error else None
        return StateEvent(**place, state=data["state"], error=read, cancel_reason=data.get("cancel_reason"))
    if name == "progress":
        return ProgressEvent(**place, percent=data["percent"], message=data["message"], data=data.get("data"))
    if name == "log":
        return LogEvent(**place, level=data["level"], message=data["message"])
    if name == "chunk":
        return ChunkEvent(**place, data=data["data"])
    if name == "output":
        return OutputEvent(**place, output=data["output"])
    if name == "reset":
        return ResetEvent(**place)
    if name == "gap":
        return GapEvent(**place)
    return None
