"""The queues of the server in memory: their configuration, pauses and counts, and the slots that running jobs take. Rates are told, and
bound nothing there, because no time passes for its jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .rules import MAX_UNITS, Broken, rate_rules, rate_shown, units, waiting_rules

DAY = 86_400.0
#: What a queue keeps unless told otherwise.
RETENTION: dict[str, dict[str, float | None]] = {
    "completed": {"age": DAY, "count": None},
    "failed": {"age": 14 * DAY, "count": None},
    "cancelled": {"age": DAY, "count": None},
}
#: The configuration of a queue of which nothing was said.
CONFIG: dict[str, Any] = {"retention": RETENTION, "fair": False, "slots": None, "rate": None, "max_waiting": None, "on_full": "reject"}


class Queues:
    """The queues of a server's jobs."""

    def __init__(self, jobs: Mapping[str, dict[str, Any]]) -> None:
        self._jobs = jobs
        self._configs: dict[str, dict[str, Any]] = {}
        self._paused: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._configs

    def see(self, name: str) -> None:
        """Makes a queue known."""
        self._configs.setdefault(name, CONFIG)

    def is_paused(self, name: str) -> bool:
        """True where no job of the queue is given to anybody."""
        return name in self._paused

    def pause(self, name: str) -> None:
        """Gives no job of the queue to anybody."""
        self.see(name)
        self._paused.add(name)

    def resume(self, name: str) -> None:
        """Gives jobs of the queue again."""
        self.see(name)
        self._paused.discard(name)

    def config(self, name: str) -> dict[str, Any]:
        """The configuration of a queue."""
        return self._configs.get(name, CONFIG)

    def change(self, name: str, patch: Mapping[str, Any]) -> None:
        """Changes what is given of a configuration. A bound that is null is taken away."""
        before = self.config(name)
        given = {field: patch[field] for field in ("fair", "on_full") if patch.get(field) is not None}
        bound = {field: patch[field] for field in ("slots", "max_waiting") if field in patch}
        bound |= {"rate": rate_shown(patch["rate"])} if "rate" in patch else {}
        kept = before["retention"]
        retention = {**kept, **{state: {**kept[state], **to} for state, to in (patch.get("retention") or {}).items()}}
        self._configs[name] = {**before, **given, **bound, "retention": retention}

    def closed(self, job: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What of its queue's limits keeps a job from being claimed."""
        used, slots = self._used(job["queue"]), self.config(job["queue"])["slots"]
        if slots is None or used == 0 or used + job["cost"]["slots"] <= slots:
            return []
        return [{"rule": "slots_queue", "key": job["queue"], "used": used, "of": slots}]

    def _used(self, name: str) -> int:
        """The slots that the running jobs of a queue take."""
        return sum(job["cost"]["slots"] for job in self._jobs.values() if job["state"] == "running" and job["queue"] == name)

    def shown(self) -> list[dict[str, Any]]:
        """All queues, by name."""
        return [self.get(name) for name in sorted(self._configs)]

    def get(self, name: str) -> dict[str, Any]:
        """A queue as the API has it."""
        states = dict.fromkeys(("blocked", "scheduled", "available", "running", "completed", "failed", "cancelled"), 0)
        for job in self._jobs.values():
            if job["queue"] == name:
                states[job["state"]] += 1
        paused, waiting = self.is_paused(name), states["available"] + states["blocked"]
        counts = {
            "active": states["running"],
            "completed": states["completed"],
            "failed": states["failed"] + states["cancelled"],
            "delayed": states["scheduled"],
            "waiting": 0 if paused else waiting,
            "paused": waiting if paused else 0,
        }
        config = self.config(name)
        limits = {
            "used": None if config["slots"] is None else self._used(name),
            "rate_left": None if config["rate"] is None else config["rate"]["burst"],
            "rate_free_at": None,
        }
        return {"name": name, "paused": paused, "states": states, "counts": counts, "config": config, **limits}


def queue_rules(patch: Mapping[str, Any]) -> list[Broken]:
    """The rules that a change of a queue breaks."""
    return waiting_rules(patch) + units("slots", patch.get("slots"), 1, MAX_UNITS) + rate_rules(patch.get("rate"))
