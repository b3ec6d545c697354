"""The limit keys of the server in memory: their limits and pauses, and the slots that running jobs take. Rates are told, and bound nothing
there, because no time passes for its jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from .attempt import written
from .rules import MAX_UNITS, NAME_RULE, Broken, is_name, rate_rules, rate_shown, units, waiting_rules

LONGEST = 315_360_000
#: Waiting jobs of a key that are counted.
MOST_COUNTED = 1_000
#: The last moment that has a form in RFC 3339: a pause until it is resumed.
FOR_EVER = datetime(9999, 12, 30, 22, 0, 0, 999_000, timezone.utc)


class LimitKeys:
    """The limit keys of a server's jobs."""

    def __init__(self, jobs: Mapping[str, dict[str, Any]]) -> None:
        self._jobs = jobs
        self._limits: dict[str, dict[str, Any]] = {}
        self._closed_until: dict[str, datetime] = {}

    def closed(self, job: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What keeps a job from being claimed, in the order in which it is looked at: pauses, then slots."""
        paused, full = [], []
        for key in job["limit_keys"]:
            until, used, slots = self._pause(key), self._used(key), self._limits_of(key).get("slots")
            if until is not None:
                paused.append({"rule": "paused_key", "key": key, "until": until})
            elif slots is not None and used > 0 and used + job["cost"]["slots"] > slots:
                full.append({"rule": "slots_key", "key": key, "used": used, "of": slots})
        return paused + full

    def pause(self, key: str, until: datetime = FOR_EVER) -> None:
        """Pauses a key until a moment, or until it is resumed. A longer pause is not shortened."""
        self._closed_until[key] = max(until, self._closed_until.get(key, until))

    def resume(self, key: str) -> None:
        self._closed_until.pop(key, None)

    def set(self, key: str, limits: dict[str, Any]) -> None:
        self._limits[key] = limits

    def remove(self, key: str) -> None:
        self._limits.pop(key, None)

    def list(self, query: Mapping[str, str]) -> dict[str, Any]:
        """A page of keys, by name."""
        prefix, queue, after, limit = query.get("prefix", ""), query.get("queue"), query.get("cursor", ""), int(query.get("limit", 100))
        of_jobs = {key for job in self._jobs.values() if job["state"] in ("available", "running") for key in job["limit_keys"]}
        names = of_jobs | {*self._limits} | {key for key in self._closed_until if self._pause(key) is not None}
        if queue is not None:
            names &= {key for job in self._jobs.values() if job["state"] == "available" and job["queue"] == queue for key in job["limit_keys"]}
        page = sorted(key for key in names if key.startswith(prefix) and key > after)[:limit]
        return {"keys": [self.get(key) for key in page], "next": page[-1] if len(page) == limit else None}

    def get(self, key: str) -> dict[str, Any]:
        limits = self._limits_of(key)
        waiting = sum(job["state"] == "available" and key in job["limit_keys"] for job in self._jobs.values())
        running, slots, closed_until = self._used(key), limits.get("slots"), self._pause(key)
        why = "paused_key" if closed_until is not None else "slots_key" if slots is not None and running >= slots else None
        return {
            "key": key,
            "waiting": min(waiting, MOST_COUNTED),
            "running": running,
            "slots": slots,
            "rate": rate_shown(limits.get("rate")),
            "weight": limits.get("weight") or 1,
            "max_waiting": limits.get("max_waiting"),
            "on_full": limits.get("on_full") or "reject",
            "own": key in self._limits,
            "closed_until": closed_until,
            "rate_free_at": None,
            **({"why": why} if why else {}),
        }

    def _used(self, key: str) -> int:
        """The slots that the running jobs of a key take."""
        return sum(job["cost"]["slots"] for job in self._jobs.values() if job["state"] == "running" and key in job["limit_keys"])

    def _pause(self, key: str) -> str | None:
        """The end of a key's pause, where it is later than now."""
        until = self._closed_until.get(key)
        return written(until) if until is not None and until > datetime.now(timezone.utc) else None

    def _limits_of(self, key: str) -> dict[str, Any]:
        """A key's own limits, or those of its longest prefix."""
        names = [key, *(f"{key[:end]}*" for end in range(len(key), -1, -1))]
        return next((self._limits[name] for name in names if name in self._limits), {})


def limits_rules(key: str, limits: Mapping[str, Any]) -> list[Broken]:
    """The rules that the limits of a key break."""
    broken: list[Broken] = [] if key == "*" or is_name(key.removesuffix("*")) else [("key", NAME_RULE)]
    broken += [(field, "unknown field") for field in limits if field not in ("slots", "rate", "weight", "max_waiting", "on_full")]
    broken += units("slots", limits.get("slots"), 1, MAX_UNITS) + units("weight", limits.get("weight"), 1, 1_000)
    broken += waiting_rules(limits)
    return broken + rate_rules(limits.get("rate"))


def pause_rules(key: str, seconds: float | None) -> list[Broken]:
    """The rules that a pause breaks: it concerns one key, and no prefix."""
    broken: list[Broken] = [] if is_name(key) else [("key", NAME_RULE)]
    if seconds is not None and not 0 <= seconds <= LONGEST:
        broken.append(("for", f"must be from 0 to {LONGEST} seconds"))
    return broken


def key_list_rules(query: Mapping[str, str]) -> list[Broken]:
    """The rules that the parameters of a list of keys break."""
    known = ("prefix", "queue", "limit", "cursor")
    broken = [(name, "is not a parameter; use prefix, queue, limit, cursor") for name in query if name not in known]
    limit = query.get("limit", "100")
    if re.fullmatch(r"[0-9]+", limit) is None or not 1 <= int(limit) <= 1_000:
        broken.append(("limit", "must be a whole number from 1 to 1000"))
    return broken
