"""What jobs of the server in memory wait for: each other, children, signals and people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from ..job import FINISHED
from .rules import Broken

Fate = Literal["blocked", "cancelled", "ready"]
#: The most ancestors of a new job that are looked at.
LOOKED_AT = 100


def signal_token(id: str, name: str) -> str:
    """The token of a signal of a job: no id and no name has a ``~``."""
    return f"signal~{id}~{name}"


def signal_of(token: str) -> tuple[str, str] | None:
    """The id of the job and the name of the signal that a token is for."""
    match token.split("~"):
        case ["signal", id, name]:
            return id, name
    return None


class Graphs:
    """The jobs that wait for others."""

    def __init__(self, jobs: Mapping[str, dict[str, Any]]) -> None:
        self._jobs = jobs
        #: By job, those whose end it still waits for. An end counts once, whatever becomes of the job later.
        self._left: dict[str, set[str]] = {}

    def begin(self, job: Mapping[str, Any]) -> Fate:
        """What becomes of a new job because of those that it depends on."""
        left = set()
        for on in job["depends_on"]:
            other = self._jobs.get(on["id"])
            if other is not None and _is_failure(other) and on["on_failure"] == "cancel":
                return "cancelled"
            if other is not None and other["state"] not in FINISHED:
                left.add(on["id"])
        if left:
            self._left[job["id"]] = left
        return "blocked" if left else "ready"

    def ended(self, job: Mapping[str, Any]) -> list[tuple[dict[str, Any], Fate]]:
        """Those that go on, or are cancelled, because a job has ended."""
        freed: list[tuple[dict[str, Any], Fate]] = []
        parent = self._jobs.get(job["parent"] or "")
        if parent is not None and parent["waits_for"] == "children" and all(child["state"] in FINISHED for child in self.children(parent["id"])):
            freed.append((parent, "ready"))
        for id, left in self._left.items():
            of = self._jobs.get(id)
            if job["id"] not in left:
                continue
            left.discard(job["id"])
            if of is None or of["waits_for"] != "dependencies":
                continue
            is_cancelling = any(on["id"] == job["id"] and on["on_failure"] == "cancel" for on in of["depends_on"])
            if _is_failure(job) and is_cancelling:
                freed.append((of, "cancelled"))
            elif not left:
                freed.append((of, "ready"))
        return freed

    def children(self, id: str) -> list[dict[str, Any]]:
        """The jobs that belong to one."""
        return [job for job in self._jobs.values() if job["parent"] == id]

    def counts(self, id: str) -> dict[str, int]:
        """How many children there are of a job, and how they have ended."""
        states = [child["state"] for child in self.children(id)]
        return {"total": len(states), **{state: states.count(state) for state in ("completed", "failed", "cancelled")}}

    def why(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """What a blocked job waits for."""
        waits_for = str(job["waits_for"])
        if waits_for.startswith("signal:"):
            return {"rule": "signal", "key": waits_for.removeprefix("signal:")}
        if waits_for == "person":
            return {"rule": "exhausted"}
        is_parent = waits_for == "children"
        every = [child["id"] for child in self.children(job["id"])] if is_parent else [on["id"] for on in job["depends_on"]]
        left = [id for id in every if id in self._jobs and self._jobs[id]["state"] not in FINISHED]
        return {"rule": "children" if is_parent else "depends_on", "used": len(every) - len(left), "of": len(every), "waits_for": left}

    def around(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The jobs that are connected with one, and what waits for what."""
        edges = [{"from": on["id"], "to": to["id"], "on_failure": on["on_failure"]} for to in self._jobs.values() for on in to["depends_on"]]
        ids, before = {job["id"]}, 0
        while before < len(ids):
            before = len(ids)
            for edge in edges:
                if edge["from"] in ids or edge["to"] in ids:
                    ids |= {edge["from"], edge["to"]}
        nodes = [{name: self._jobs[id][name] for name in ("id", "kind", "state")} for id in ids if id in self._jobs]
        return {"nodes": nodes, "edges": [edge for edge in edges if edge["from"] in ids], "complete": True}


def read_dependencies(body: Mapping[str, Any]) -> list[dict[str, str]]:
    """The jobs that a new one depends on."""
    given = body.get("depends_on") or []
    return [{"id": on, "on_failure": "cancel"} if isinstance(on, str) else {"on_failure": "cancel", **on} for on in given]


def ancestors(body: Mapping[str, Any], jobs: Mapping[str, Any], before: Sequence[Mapping[str, Any]] = ()) -> Iterator[str]:
    """The parent of a new job, the parent of that, and so on, as many as the server looks at. `before` stand before it in its call."""
    parents = {one["id"]: one.get("parent") for one in reversed(before) if one.get("id") is not None}
    parents.update((id, job["parent"]) for id, job in jobs.items())
    ancestor = body.get("parent")
    for _ in range(LOOKED_AT):
        if ancestor is None:
            return
        yield ancestor
        ancestor = parents.get(ancestor)


def dependency_rules(body: Mapping[str, Any], place: str, jobs: Mapping[str, Any], before: Sequence[Mapping[str, Any]] = ()) -> list[Broken]:
    """The dependencies of a job that are not there, and do not stand before it in its call, or the unfinished ancestor among them."""
    there, given = {one.get("id") for one in before}, [on["id"] for on in read_dependencies(body)]
    message = "must be a job that is there or stands before in the call, and '{}' is neither"
    missing = [(f"{place}depends_on[{n}]", message.format(id)) for n, id in enumerate(given) if id not in jobs and id not in there]
    unfinished = [id for id in given if id not in jobs or jobs[id]["state"] not in FINISHED]
    nearest = next((id for id in ancestors(body, jobs, before) if id in unfinished), None)
    if missing or nearest is None:
        return missing
    return [(f"{place}depends_on[{given.index(nearest)}]", f"must not be an ancestor that has not ended, and '{nearest}' is one")]


def _is_failure(job: Mapping[str, Any]) -> bool:
    return job["state"] in ("failed", "cancelled")
