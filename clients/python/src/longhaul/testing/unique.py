"""The unique keys of the server in memory: who holds one, and what becomes of a second job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from typing import Any, Literal

from ..job import FINISHED
from .rules import STATES, Broken, job_rules

MODES = ("join", "refresh", "reject", "replace", "debounce", "throttle", "supersede", "follow")
FIELDS = ("key", "on", "fields", "period", "states", "on_clash", "delay", "max_delay", "edge")
#: A path that args do not have.
NOTHING: Any = object()


@dataclass
class Hold:
    """A key in a job's hands."""

    job: dict[str, Any]
    #: Seconds after its completion.
    period: float | None
    #: The ends that keep the key.
    ends: list[str]
    #: It is held until then, whatever becomes of the job.
    until: datetime | None
    #: The hold of the job that this one follows, and was given the key by.
    behind: Hold | None = None

    @property
    def is_over(self) -> bool:
        """True once the job keeps its key from nobody."""
        if self.until is not None:
            return self.until <= _now()
        if self.job["state"] not in FINISHED:
            return False
        is_named = self.job["state"] in self.ends
        if self.period is None:
            return not is_named
        ended_at = read_time(self.job["finished_at"])
        return not (is_named or self.job["state"] == "completed") or ended_at + timedelta(seconds=self.period) <= _now()


@dataclass
class Clash:
    """What becomes of a second job: it takes the key, its args replace those of the holder, or nothing of it is created."""

    fate: Literal["join", "reject", "take", "supersede", "follow", "replace"]
    holder: dict[str, Any]
    #: When the holder whose args are replaced may run, unless it is blocked.
    at: datetime | None = None


class UniqueKeys:
    """The holders of unique keys."""

    def __init__(self) -> None:
        self._holds: dict[str, Hold] = {}
        #: By job, the key that it was created with.
        self._keys: dict[str, tuple[str, Hold]] = {}

    def clash(self, body: Mapping[str, Any]) -> Clash | None:
        """What becomes of a job; ``None`` where it has no key, or a free one."""
        unique = body.get("unique")
        hold = None if unique is None else self._holds.get(_name(body, unique))
        if unique is None or hold is None or hold.is_over:
            return None
        holder, mode = hold.job, unique.get("on_clash", "join")
        states = unique.get("states") or [state for state in STATES if state not in ("failed", "cancelled")]
        has_ended, waits = holder["state"] in FINISHED, holder["state"] in ("available", "scheduled")
        quiet = _now() + timedelta(seconds=unique.get("delay") or 0)
        if unique.get("max_delay") is not None:
            quiet = min(quiet, read_time(holder["created_at"]) + timedelta(seconds=unique["max_delay"]))
        if hold.until is None and holder["state"] not in states:
            return Clash("take", holder)
        if mode == "reject":
            return Clash("reject", holder)
        if mode in ("refresh", "supersede", "follow") and has_ended:
            return Clash("take", holder)
        if mode == "supersede":
            return Clash("supersede", holder)
        is_blocked = holder["state"] == "blocked"
        if mode == "follow" and (holder["state"] == "running" or is_blocked and holder["started_at"] is not None):
            return Clash("follow", holder)
        if mode in ("replace", "follow") and (waits or is_blocked):
            return Clash("replace", holder, None if is_blocked else start_of(body))
        if mode == "debounce" and unique.get("edge") == "leading":
            hold.until = None if hold.until is None else max(hold.until, quiet)
        elif mode == "debounce":
            # One that is due begins no succession anew.
            is_pending = holder["state"] == "scheduled" and holder["attempt"] == 0 and read_time(holder["run_at"]) > _now()
            return Clash("replace", holder, quiet) if is_pending else Clash("take", holder)
        return Clash("join", holder)

    def take(self, body: Mapping[str, Any], job: dict[str, Any], behind: Mapping[str, Any] | None = None) -> None:
        """Gives a new job its key, which it may follow another one by."""
        unique = body.get("unique")
        if unique is None:
            return
        mode, time = unique.get("on_clash"), None
        if mode == "throttle":
            time = unique["period"]
        elif mode == "debounce" and unique.get("edge") == "leading":
            time = unique["delay"]
        until = None if time is None else _now() + timedelta(seconds=time)
        ends = [state for state in unique.get("states") or [] if state in FINISHED and time is None]
        followed = None if behind is None else self._keys[behind["id"]][1]
        hold = Hold(job, unique.get("period") if time is None else None, ends, until, followed)
        name = _name(body, unique)
        self._holds[name] = hold
        self._keys[job["id"]] = (name, hold)

    def ended(self, job: Mapping[str, Any]) -> None:
        """Gives the key of a job that has ended back to the unfinished job that it follows."""
        name, own = self._keys.get(job["id"], (None, None))
        if name is not None and own is not None and self._holds.get(name) is own:
            followed = own.behind
            if followed is not None and followed.job["state"] not in FINISHED:
                self._holds[name] = followed

    @staticmethod
    def named(body: Mapping[str, Any]) -> dict[str, str] | None:
        """The key of a new job, as the API tells it: behind its kind, and as a digest where it is made of args."""
        unique = body.get("unique")
        if unique is None:
            return None
        key = unique.get("key")
        return {"key": f"{body['kind']}:{sha256(_name(body, unique).encode()).hexdigest() if key is None else key}"}

    def holder(self, job: Mapping[str, Any]) -> dict[str, str]:
        """The job that holds the key of a job, as the API tells it; nothing where the key is free."""
        hold = self._holds.get(self._keys[job["id"]][0]) if job["id"] in self._keys else None
        return {} if hold is None or hold.is_over else {"holder": hold.job["id"]}

    def retake(self, job: Mapping[str, Any]) -> bool:
        """Gives a job that is to run again its key; false where another one holds it."""
        if job["id"] not in self._keys:
            return True
        name, own = self._keys[job["id"]]
        hold = self._holds.get(name)
        if hold is not None and hold.job["id"] != job["id"] and not hold.is_over:
            return False
        self._holds[name] = own
        return True

    def free(self, job: Mapping[str, Any]) -> None:
        """Frees the key of a job that is removed."""
        name, own = self._keys.pop(job["id"], (None, None))
        if name is not None and self._holds.get(name) is own:
            del self._holds[name]


def start_of(body: Mapping[str, Any]) -> datetime:
    """When a new job may first run."""
    unique = body.get("unique") or {}
    if unique.get("on_clash") == "debounce" and unique.get("edge") != "leading":
        return _now() + timedelta(seconds=unique["delay"])
    if body.get("run_at") is not None:
        return read_time(body["run_at"])
    return _now() + timedelta(seconds=body.get("delay") or 0)


def new_job_rules(body: Mapping[str, Any], place: str = "") -> list[Broken]:
    """The rules that a new job breaks."""
    broken = job_rules(body) + _time_rules(body) + _unique_rules(body)
    return [(place + field, message) for field, message in broken]


def _time_rules(body: Mapping[str, Any]) -> list[Broken]:
    """The rules that the ends of a job by time break."""
    broken: list[Broken] = []
    expires_in, deadline = body.get("expires_in"), body.get("deadline")
    if expires_in is not None and expires_in <= 0:
        broken.append(("expires_in", "must be more than zero"))
    if isinstance(deadline, (int, float)) and deadline <= 0:
        broken.append(("deadline", "must be more than zero"))
    if isinstance(deadline, str):
        try:
            read_time(deadline)
        except ValueError:
            broken.append(("deadline", "must be a time in RFC 3339: 2026-01-01T00:00:00Z"))
    return broken


def _unique_rules(body: Mapping[str, Any]) -> list[Broken]:
    """The rules that a unique key breaks."""
    unique = body.get("unique")
    if unique is None:
        return []
    mode, period, delay, states = (unique.get(name) for name in ("on_clash", "period", "delay", "states"))
    broken: list[Broken] = [(field, "unknown field") for field in unique if field not in FIELDS]
    if mode is not None and mode not in MODES:
        broken.append(("on_clash", f"unknown variant `{mode}`, expected one of {', '.join(f'`{one}`' for one in MODES)}"))
    if states == []:
        broken.append(("states", "must name a state, or be left out for all unfinished ones"))
    broken += [(f"states[{n}]", f"unknown variant `{state}`") for n, state in enumerate(states or []) if state not in STATES]
    if mode == "throttle" and not period:
        broken.append(("period", "must be more than zero for a throttle: one job is created in each period"))
    if mode != "debounce":
        broken += [(name, "is for on_clash 'debounce' alone") for name in ("delay", "max_delay", "edge") if unique.get(name) is not None]
    elif delay is None:
        broken.append(("delay", "must be given for on_clash 'debounce'"))
    elif delay <= 0:
        broken.append(("delay", "must be more than zero for a debounce"))
    elif unique.get("max_delay") is not None and unique["max_delay"] < delay:
        broken.append(("max_delay", "must not be less than the delay"))
    elif unique.get("edge") != "leading" and (body.get("delay") is not None or body.get("run_at") is not None):
        broken.append(("on_clash", "must not be debounce where the job has a start of its own: its delay is one"))
    field = "fields" if unique.get("on") is None else "on"
    paths = unique.get(field)
    if paths is not None and unique.get("key") is not None:
        broken.append((field, "must not be given together with unique.key"))
    if paths is not None and len(paths) == 0:
        broken.append((field, "must name at least one path; leave it out where all of the args count"))
    missing = [path for path in paths or [] if _at(body.get("args"), path) is NOTHING]
    broken += [(field, f"names '{path}', which args do not have") for path in missing]
    return [(f"unique.{field}", message) for field, message in broken]


def read_time(text: str) -> datetime:
    """A time in RFC 3339."""
    at = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in "zZ" else text)
    if at.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return at


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _name(body: Mapping[str, Any], unique: Mapping[str, Any]) -> str:
    """A key is its kind's own. Without a key and paths, jobs with the same args have the same one."""
    paths = unique.get("on") if unique.get("on") is not None else unique.get("fields")
    of: Any = unique.get("key")
    if of is None:
        args = body.get("args")
        of = [args] if paths is None else {path: _at(args, path) for path in paths}
    return json.dumps([body["kind"], of], sort_keys=True)


def _at(value: Any, path: str) -> Any:
    """The value at a path, with dots between members."""
    if not isinstance(value, dict):
        return NOTHING
    if path in value:
        return value[path]
    dots = [n for n, char in enumerate(path) if char == "."]
    found = (_at(value.get(path[:dot]), path[dot + 1 :]) for dot in dots)
    return next((one for one in found if one is not NOTHING), NOTHING)
