"""A server in memory, for the tests of an application: the same calls, no process and no port.

>>> from longhaul.testing import MemoryServer
>>> server = MemoryServer()
>>> client = server.client()
>>> job = client.enqueue("welcome", {"name": "Ada"})
>>> server.run("welcome", lambda args: f"hello {args['name']}")
1
>>> job.wait()
'hello Ada'
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx

from .aio import AsyncLonghaul
from .client import Longhaul
from .job import FINISHED, JobOptions


class MemoryServer:
    """Jobs in memory. They stand still until :meth:`run`, :meth:`complete`, :meth:`fail` or a call moves them."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self._logs: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        self._replays: dict[str, tuple[tuple[str, bytes], httpx.Response]] = {}
        #: By job, the unique key that it holds until it has ended.
        self._unique: dict[str, Any] = {}
        self._gone: set[str] = set()
        #: The queues that are known; true for a paused one.
        self._queues: dict[str, bool] = {}

    def client(self, **options: Any) -> Longhaul:
        """A client of this server."""
        return Longhaul("http://memory", transport=httpx.MockTransport(self._answer), **options)

    def async_client(self, **options: Any) -> AsyncLonghaul:
        """An asyncio client of this server."""
        return AsyncLonghaul("http://memory", transport=httpx.MockTransport(self._answer), **options)

    def run(self, kind: str, work: Callable[[Any], Any]) -> int:
        """Runs all jobs of a kind that wait, oldest first, with ``work(args)``; an exception fails the job. Answers how many."""
        waiting = [job for job in self.jobs.values() if job["kind"] == kind and job["state"] in ("available", "scheduled")]
        waiting = [job for job in waiting if not self._queues[job["queue"]]]
        for job in waiting:
            self._begin(job)
            try:
                output = work(job["args"])
            except Exception as error:  # noqa: BLE001  Whatever a handler raises is the end of its own job only.
                self.fail(job["id"], f"{type(error).__name__}: {error}")
            else:
                self.complete(job["id"], output)
        return len(waiting)

    def complete(self, id: str, output: Any = None) -> None:
        """Ends a job as completed."""
        job = self.jobs[id]
        if job["state"] in ("available", "scheduled"):
            self._begin(job)
        job.update(state="completed", output=json.loads(json.dumps(output, allow_nan=False)), finished_at=_now())
        self._log(job, "output", {"output": job["output"]})
        self._log_state(job)

    def fail(self, id: str, message: str) -> None:
        """Ends a job as failed."""
        job = self.jobs[id]
        if job["state"] in ("available", "scheduled"):
            self._begin(job)
        error = {"attempt": job["attempt"], "at": _now(), "message": message, "kind": "error"}
        job.update(state="failed", errors=[*job["errors"], error], finished_at=_now())
        self._log_state(job, error)

    def emit(self, id: str, data: Any) -> None:
        """Adds a chunk to a job's events."""
        self._log(self.jobs[id], "chunk", {"data": data})

    def progress(self, id: str, percent: float, message: str = "", data: Any = None) -> None:
        """Sets a job's progress."""
        progress = {"percent": float(percent), "message": message, "data": data}
        self.jobs[id]["progress"] = progress
        self._log(self.jobs[id], "progress", progress)

    def _begin(self, job: dict[str, Any]) -> None:
        job.update(state="running", attempt=job["attempt"] + 1, started_at=_now())
        self._log_state(job)

    def _log_state(self, job: dict[str, Any], error: dict[str, Any] | None = None) -> None:
        self._log(job, "state", {"state": job["state"], "error": error})

    def _log(self, job: dict[str, Any], event: str, data: dict[str, Any]) -> None:
        self._logs[job["id"]].append((event, {"attempt": job["attempt"], "at": _now(), **data}))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        key = request.headers.get("idempotency-key")
        asked = (str(request.url), request.content)
        if key is not None and key in self._replays:
            before, kept = self._replays[key]
            if asked != before:
                return _problem(422, "idempotency_key_reused", "the key was used for another request")
            return httpx.Response(kept.status_code, content=kept.content, headers={"idempotency-replayed": "true"})
        response = self._route(request)
        if key is not None and response.is_success:
            self._replays[key] = (asked, response)
        return response

    def _route(self, request: httpx.Request) -> httpx.Response:
        # The path as it was sent: an id may hold an escaped slash.
        path = request.url.raw_path.decode().partition("?")[0]
        parts = [unquote(part) for part in path.strip("/").split("/")]
        body: Any = json.loads(request.content) if request.content else None
        is_new = request.method == "POST" and parts[1:] in (["jobs"], ["jobs", "batch"])
        for one in (body if isinstance(body, list) else [body]) if is_new else []:
            refused = _refusal(one)
            if refused is not None:
                return refused
        match (request.method, parts):
            case ("POST", ["api", "jobs"]):
                job, is_new = self._create(body)
                return _json(202 if is_new else 200, job if is_new else {**job, "duplicate": True})
            case ("POST", ["api", "jobs", "batch"]):
                created = [self._create(one) for one in body]
                return _json(202, [{"id": job["id"], "duplicate": not is_new} for job, is_new in created])
            case ("POST", ["api", "jobs", "actions"]):
                return self._act(body)
            case ("GET", ["api", "jobs"]):
                return self._list(parse_qsl(request.url.query.decode(), keep_blank_values=True))
            case (method, ["api", "queues", *rest]):
                return self._queue(method, *rest)
            case (method, ["api", "jobs", id, *rest]):
                if id in self._gone:
                    return _problem(410, "gone", "the job was deleted")
                if id not in self.jobs:
                    return _problem(404, "no_such_job", "no job of this id is known")
                return self._one(method, self.jobs[id], rest, request)
        return _problem(404, "no_such_route", f"{request.method} {path} is not served")

    def _create(self, body: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        key = body.get("unique") or {}
        unique = (body["kind"], json.dumps(key.get("key") or (body.get("args") if "fields" in key else None))) if key else None
        for job in self.jobs.values():
            is_held = unique is not None and self._unique.get(job["id"]) == unique and job["state"] not in FINISHED
            if job["id"] == body.get("id") or is_held:
                return job, False
        waits = body.get("run_at") is not None or body.get("delay", 0) > 0
        nothing = ("progress", "position", "eta_seconds", "started_at", "finished_at", "output", "worker", "children")
        job = {
            **dict.fromkeys(nothing),
            "id": body.get("id") or uuid.uuid4().hex,
            "kind": body["kind"],
            "version": 1,
            "queue": body.get("queue", "default"),
            "args": body.get("args"),
            "state": "scheduled" if waits else "available",
            "attempt": 0,
            "max_attempts": body.get("max_attempts", 3),
            "crashes": 0,
            "interruptions": 0,
            "priority": body.get("priority", 0),
            "timeout": body.get("timeout"),
            "created_at": _now(),
            "run_at": body.get("run_at") or _now(),
            "errors": [],
            "cancel_requested": False,
            "parent": body.get("parent"),
            "key": body.get("key"),
            "labels": body.get("labels", {}),
        }
        if unique is not None:
            self._unique[job["id"]] = unique
        self.jobs[job["id"]] = job
        self._queues.setdefault(job["queue"], False)
        self._logs[job["id"]] = []
        self._log_state(job)
        return job, True

    def _one(self, method: str, job: dict[str, Any], rest: list[str], request: httpx.Request) -> httpx.Response:
        match (method, rest):
            case ("GET", []):
                return _json(200, job)
            case ("GET", ["events"]):
                return self._events(job, int(request.headers.get("last-event-id", "0") or 0))
            case ("GET", ["steps"]):
                return _json(200, [])
            case ("GET", ["why"]):
                return _json(200, {"state": job["state"], "position": None, "eta_seconds": None, "reasons": self._why(job)})
            case ("POST", ["token"]):
                return _json(200, {"token": f"read-{job['id']}"})
            case ("POST", [("cancel" | "retry") as action]):
                if not self._apply(action, job, json.loads(request.content or b"{}")) and action == "retry":
                    return _problem(409, "not_finished", "the job has not ended")
                return _json(202, job)
            case ("DELETE", []):
                if not self._apply("delete", job, {}):
                    return _problem(409, "not_finished", "the job has not ended")
                return httpx.Response(204)
        return _problem(404, "no_such_route", "is not served")

    def _apply(self, action: str, job: dict[str, Any], to: dict[str, Any]) -> bool:
        if (job["state"] in FINISHED) != (action in ("retry", "delete")):
            return False
        if action == "set_priority":
            job["priority"] = to["priority"]
            return True
        if action == "delete":
            del self.jobs[job["id"]]
            self._gone.add(job["id"])
            return True
        if action == "cancel":
            job.update(state="cancelled", finished_at=_now())
        else:
            job.update(state="available", attempt=0, output=None, finished_at=None, args=to.get("args", job["args"]))
        self._log_state(job)
        return True

    def _queue(self, method: str, name: str | None = None, action: str | None = None) -> httpx.Response:
        if name is None:
            return _json(200, {"queues": [self._shown(queue) for queue in sorted(self._queues)]})
        if action in ("pause", "resume"):
            self._queues[name] = action == "pause"
        elif method != "GET":
            return _problem(404, "no_such_route", "the server in memory configures no queue")
        if name not in self._queues:
            return _problem(404, "no_such_queue", "no queue of this name is known")
        return _json(200, self._shown(name))

    def _shown(self, name: str) -> dict[str, Any]:
        states = dict.fromkeys(("blocked", "scheduled", "available", "running", "completed", "failed", "cancelled"), 0)
        for job in self.jobs.values():
            if job["queue"] == name:
                states[job["state"]] += 1
        paused, waiting = self._queues[name], states["available"] + states["blocked"]
        counts = {
            "active": states["running"],
            "completed": states["completed"],
            "failed": states["failed"] + states["cancelled"],
            "delayed": states["scheduled"],
            "waiting": 0 if paused else waiting,
            "paused": waiting if paused else 0,
        }
        config: dict[str, Any] = {"retention": {"completed": {}, "failed": {}, "cancelled": {}}}
        return {"name": name, "paused": paused, "states": states, "counts": counts, "config": config}

    def _why(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        if job["state"] == "scheduled":
            return [{"rule": "run_at", "until": job["run_at"]}]
        if job["state"] != "available":
            return []
        return [{"rule": "paused_queue" if self._queues[job["queue"]] else "no_worker"}]

    def _act(self, body: dict[str, Any]) -> httpx.Response:
        filter = dict(body["filter"])
        for name in filter:
            if name not in ("ids", "state", "kind", "queue", "parent", "labels", "q"):
                return _invalid(f"filter.{name}", "unknown field")
        pairs = [(name, value) for name, value in filter.items() if name != "labels"]
        fitting = [job for job in self.jobs.values() if _fits(job, pairs, filter.get("labels", {}))]
        meant = [job for job in fitting if (job["state"] in FINISHED) == (body["action"] in ("retry", "delete"))]
        some = meant[: body["limit"]]
        done = len(some) if body.get("dry_run") else sum(self._apply(body["action"], job, body) for job in some)
        return _json(200, {"matched": len(fitting), "done": done, "complete": len(some) == len(meant)})

    def _list(self, query: list[tuple[str, str]]) -> httpx.Response:
        wanted: dict[str, list[str]] = {}
        for name, value in query:
            if name not in ("label", "cursor", "limit", "full"):
                wanted.setdefault(name, []).extend([value] if value else [])
        labels = dict(value.split(":", 1) for name, value in query if name == "label")
        fitting = [job for job in reversed(self.jobs.values()) if _fits(job, list(wanted.items()), labels)]
        start, limit = int(dict(query).get("cursor", 0)), int(dict(query).get("limit", 50))
        end = start + limit
        searched = {"jobs": len(self.jobs), "complete": end >= len(fitting)}
        return _json(200, {"jobs": fitting[start:end], "next": str(end) if end < len(fitting) else None, "searched": searched})

    def _events(self, job: dict[str, Any], after: int) -> httpx.Response:
        log = self._logs[job["id"]][after:]
        if not log and job["state"] in FINISHED:
            return httpx.Response(204)
        lines = [
            f"id: {after + n}\nevent: {event}\ndata: {json.dumps(data)}\n\n" for n, (event, data) in enumerate(log, start=1)
        ]
        return httpx.Response(200, content="".join(lines).encode(), headers={"content-type": "text/event-stream"})


def _fits(job: dict[str, Any], wanted: list[tuple[str, Any]], labels: dict[str, str]) -> bool:
    for name, value in wanted:
        values = [value] if isinstance(value, str) else value
        if name == "q":
            words = re.findall(r'(-?)(?:([\w.]+):)?(?:"([^"]*)"|(\S+))', " ".join(values))
            if any((not_ == "-") == _says(job, of, quoted or bare) for not_, of, quoted, bare in words):
                return False
        elif job["id" if name == "ids" else name] not in values:
            return False
    return all(job["labels"].get(label) == value for label, value in labels.items())


def _says(job: dict[str, Any], name: str, value: str) -> bool:
    """True where a job fits one word of a search."""
    last = job["errors"][-1:]
    if name in ("", "error"):
        return value.lower() in json.dumps(last if name else [job["id"], job["kind"], job["args"], last]).lower()
    if name == "id" and value.endswith("*"):
        return bool(job["id"].startswith(value[:-1]))
    if name.startswith("label."):
        return bool(job["labels"].get(name.removeprefix("label.")) == value)
    of: Any = job
    for part in name.split("."):
        of = of.get(part) if isinstance(of, dict) else {}
    return str(of) == value


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(status: int, body: Any) -> httpx.Response:
    return httpx.Response(status, json=body)


def _refusal(body: dict[str, Any]) -> httpx.Response | None:
    """The answer to a job that breaks a rule, where it does. The server knows more of them."""
    for field in body:
        if field not in ("kind", "args", *JobOptions.__annotations__):
            return _invalid(field, "unknown field")
    if not 1 <= body.get("max_attempts", 1) <= 1_000:
        return _invalid("max_attempts", "must be 1 to 1000")
    return None


def _invalid(field: str, message: str) -> httpx.Response:
    body = {"type": "about:blank", "status": 422, "code": "invalid", "detail": f"{field}: {message}"}
    return httpx.Response(422, json={**body, "errors": [{"field": field, "message": message}]})


def _problem(status: int, code: str, detail: str) -> httpx.Response:
    return httpx.Response(status, json={"type": "about:blank", "status": status, "code": code, "detail": detail})
