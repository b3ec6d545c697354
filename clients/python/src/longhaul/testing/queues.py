"""The queues of the server in memory: their configuration, pauses and counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DAY = 86_400.0
#: What a queue keeps unless told otherwise.
RETENTION: dict[str, dict[str, float | None]] = {
    "completed": {"age": DAY, "count": None},
    "failed": {"age": 14 * DAY, "count": None},
    "cancelled": {"age": DAY, "count": None},
}
#: The configuration of a queue of which nothing was said.
CONFIG: dict[str, Any] = {"retention": RETENTION, "fair": False, "max_waiting": None, "on_full": "reject"}


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
        bound = {"max_waiting": patch["max_waiting"]} if "max_waiting" in patch else {}
        kept = before["retention"]
        retention = {**kept, **{state: {**kept[state], **to} for state, to in (patch.get("retention") or {}).items()}}
        self._configs[name] = {**before, **given, **bound, "retention": retention}

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
        return {"name": name, "paused": paused, "states": states, "counts": counts, "config": self.config(name)}
