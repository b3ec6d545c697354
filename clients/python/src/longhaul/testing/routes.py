"""The routes of the server in memory: requests and their answers."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import httpx

from ..job import FINISHED
from .attempt import now
from .jobs import Jobs
from .keys import key_list_rules, limits_rules, pause_rules
from .queues import queue_rules
from .rules import Broken, broken_rule, page_rule, shown
from .search import fits
from .stream import Stream, Waiting
from .unique import new_job_rules, read_time
from .waits import dependency_rules, signal_of, signal_token


class Routes:
    """Answers requests from what it knows of jobs. Streams wait for news by ``waiting``."""

    def __init__(self, jobs: Jobs, waiting: Waiting) -> None:
        self._jobs, self._waiting = jobs, waiting
        self._replays: dict[str, tuple[tuple[str, bytes], httpx.Response]] = {}

    def answer(self, request: httpx.Request) -> httpx.Response:
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
        parts = parts_of(request)
        body: Any = json.loads(request.content) if request.content else None
        is_new = request.method == "POST" and parts[1:] in (["jobs"], ["jobs", "batch"])
        if is_new:
            asked = [(one, f"[{n}].", body[:n]) for n, one in enumerate(body)] if isinstance(body, list) else [(body, "", [])]
            broken = [rule for one, place, before in asked for rule in new_job_rules(one, place) + dependency_rules(one, place, self._jobs.by_id, before)]
            if broken:
                return _invalid(*broken)
        traceparent = request.headers.get("traceparent")
        match (request.method, parts):
            case ("POST", ["api", "jobs"]):
                status, job = self._jobs.create(body, traceparent)
                if status == "full":
                    detail = f"as many jobs wait in {job['full']} as may; nothing was created"
                    return _problem(429, "queue_full", detail, {"retry-after": "1"})
                place = {"location": f"/api/jobs/{quote(job['id'], safe='')}"}
                if status == "rejected":
                    return _problem(409, "duplicate", f"job {job['id']} holds the unique key; nothing was created", place)
                return httpx.Response(
                    200 if status == "duplicate" else 202, json=self._jobs.looked_up(job) | ({} if status == "created" else {status: True}), headers=place
                )
            case ("POST", ["api", "jobs", "batch"]):
                return _json(202, [_batched(*self._jobs.create(one, traceparent)) for one in body])
            case ("POST", ["api", "jobs", "actions"]):
                return self._act(body)
            case ("GET", ["api", "jobs"]):
                return self._list(parse_qsl(request.url.query.decode(), keep_blank_values=True))
            case ("GET", ["api", "events"]):
                return self._feed(parse_qsl(request.url.query.decode()))
            case (method, ["api", "queues", *rest]):
                return self._queue(method, body, *rest)
            case ("GET", ["api", "keys"]):
                query = dict(parse_qsl(request.url.query.decode(), keep_blank_values=True))
                refused = key_list_rules(query)
                return _invalid(*refused) if refused else _json(200, self._jobs.keys.list(query))
            case (method, ["api", "keys", key, *rest]):
                return self._key(method, key, rest, body or {})
            case ("GET", ["api", "me"]):
                return _json(200, {"role": "admin"})
            case ("GET", ["api", "workers"]):
                return _json(200, {"workers": []})
            case ("POST", ["api", "signals", token]):
                signal = signal_of(token)
                if signal is None or signal[0] not in self._jobs.by_id:
                    return _problem(404, "no_such_token", "the token is not valid here, or no longer")
                return self._one("POST", self._jobs.by_id[signal[0]], ["signals", signal[1]], request)
            case (method, ["api", "jobs", id, *rest]):
                if id in self._jobs.gone:
                    return _problem(410, "gone", "the job was deleted")
                if id not in self._jobs.by_id:
                    return _problem(404, "no_such_job", "no job of this id is known")
                return self._one(method, self._jobs.by_id[id], rest, request)
        return _problem(404, "no_such_route", f"{request.method} {request.url.path} is not served")

    def _one(self, method: str, job: dict[str, Any], rest: list[str], request: httpx.Request) -> httpx.Response:
        match (method, rest):
            case ("GET", []):
                return _json(200, self._jobs.looked_up(job))
            case ("GET", ["events"]):
                after = request.headers.get("last-event-id") or request.url.params.get("after") or "0"
                return self._events(job, int(after))
            case ("GET", ["steps"]):
                steps = self._jobs.steps[job["id"]].values()
                return _json(200, [{name: value for name, value in step.items() if name != "output"} for step in steps])
            case ("GET", ["why"]):
                return _json(200, {"state": job["state"], "position": None, "eta_seconds": None, "reasons": self._jobs.why(job), **_ending(job)})
            case ("GET", ["graph"]):
                return _json(200, self._jobs.graphs.around(job))
            case ("POST", ["signals", _, *_]) if job["state"] in FINISHED:
                return _problem(409, "ended", "the job has ended; no signal changes that")
            case ("POST", ["signals", name]):
                given = self._jobs.signal(job, f"signal:{name}", {"value": json.loads(request.content or b"null")})
                return _json(202, {"accepted": given})
            case ("POST", ["signals", name, "token"]):
                token = signal_token(job["id"], name)
                return _json(201, {"token": token, "path": f"/api/signals/{token}", "expires_at": now()})
            case ("POST", [("fork" | "retry") as what]) if what == "fork" or b"from_step" in request.content:
                return self._from_step(what, job, json.loads(request.content or b"{}"))
            case ("POST", ["token"]):
                return _json(200, {"token": f"read-{job['id']}"})
            case ("POST", [("cancel" | "retry") as action]):
                if not self._jobs.apply(action, job, json.loads(request.content or b"{}")) and action == "retry":
                    if job["state"] in FINISHED:
                        return _problem(409, "unique_key_held", "another job holds the unique key of this one")
                    return _not_finished(job)
                return _json(202, self._jobs.looked_up(job))
            case ("DELETE", []):
                if not self._jobs.apply("delete", job, {}):
                    return _not_finished(job)
                return httpx.Response(204)
        return _problem(404, "no_such_route", "is not served")

    def _from_step(self, what: str, job: dict[str, Any], body: dict[str, Any]) -> httpx.Response:
        """Forks a job, or runs it again from a step on."""
        if what == "retry" and job["state"] not in FINISHED and job["waits_for"] != "person":
            return _not_finished(job)
        steps, name = self._jobs.steps[job["id"]], body.get("from_step")
        names = list(steps)
        kept = [] if "args" in body or job["state"] == "completed" else names
        if name is not None and name not in steps:
            return _problem(404, "no_such_step", f"no step is called {name}; there are {', '.join(names)}")
        if name is not None and job["state"] == "completed":
            return _problem(409, "steps_forgotten", "the job has completed, and the outputs of its steps are kept until then; leave from_step out")
        if name is not None:
            kept = names[: names.index(name)]
        done = {one: steps[one] for one in kept}
        if what == "retry":
            if not self._jobs.apply("retry", job, body):
                return _problem(409, "unique_key_held", "another job holds the unique key of this one")
            self._jobs.steps[job["id"]] = done
            return _json(202, self._jobs.looked_up(job))
        fields = ("kind", "queue", "args", "priority", "max_attempts", "timeout", "limit_keys", "cost", "on_exhausted", "labels")
        status, fork = self._jobs.create({**{field: job[field] for field in fields}, **({"args": body["args"]} if "args" in body else {})})
        if status == "full":
            return _problem(429, "queue_full", f"as many jobs wait in {fork['full']} as may; nothing was created", {"retry-after": "1"})
        fork["forked_from"], self._jobs.steps[fork["id"]] = job["id"], done
        return _json(202, self._jobs.looked_up(fork))

    def _queue(self, method: str, body: Any, name: str | None = None, action: str | None = None) -> httpx.Response:
        if name is None:
            return _json(200, {"queues": self._jobs.queues.shown()})
        if action in ("pause", "resume"):
            (self._jobs.queues.pause if action == "pause" else self._jobs.queues.resume)(name)
        elif method == "PATCH":
            broken = queue_rules(body)
            if broken:
                return _invalid(*broken)
            self._jobs.queues.change(name, body)
        if name not in self._jobs.queues:
            return _problem(404, "no_such_queue", "no queue of this name is known")
        return _json(200, self._jobs.queues.get(name))

    def _key(self, method: str, key: str, rest: list[str], body: dict[str, Any]) -> httpx.Response:
        broken = pause_rules(key, body.get("for")) if rest else limits_rules(key, body)
        if broken:
            return _invalid(*broken)
        match (method, rest):
            case ("POST", ["pause"]) if body.get("for") is not None:
                self._jobs.keys.pause(key, datetime.now(timezone.utc) + timedelta(seconds=body["for"]))
            case ("POST", ["pause"]):
                self._jobs.keys.pause(key)
            case ("POST", ["resume"]):
                self._jobs.keys.resume(key)
            case ("PUT", []):
                self._jobs.keys.set(key, body)
            case ("DELETE", []):
                self._jobs.keys.remove(key)
                return httpx.Response(204)
        return _json(200, self._jobs.keys.get(key))

    def _act(self, body: dict[str, Any]) -> httpx.Response:
        filter = dict(body["filter"])
        fault = broken_rule(filter, "filter.")
        if fault is None and not -100 <= (body.get("priority") or 0) <= 100:
            fault = ("priority", "must be -100 to 100")
        if fault is not None:
            return _invalid(fault)
        pairs = [(name, value) for name, value in filter.items() if name != "labels"]
        fitting = [job for job in self._jobs.by_id.values() if fits(job, pairs, filter.get("labels", {}))]
        meant = [job for job in fitting if (job["state"] in FINISHED) == (body["action"] in ("retry", "delete"))]
        some = meant[: body["limit"]]
        done = len(some) if body.get("dry_run") else sum(self._jobs.apply(body["action"], job, body) for job in some)
        return _json(200, {"matched": len(fitting), "done": done, "complete": len(some) == len(meant)})

    def _list(self, query: list[tuple[str, str]]) -> httpx.Response:
        wanted: dict[str, list[str]] = {}
        for name, value in query:
            if name not in ("label", "cursor", "limit", "full", "created_by"):
                wanted.setdefault(name, []).extend([value] if value else [])
        fault = page_rule(dict(query)) or broken_rule(wanted)
        if fault is not None:
            return _invalid(fault)
        labels = dict(value.split(":", 1) for name, value in query if name == "label")
        # Here are no tokens, so nothing was enqueued with one.
        jobs: list[dict[str, Any]] = [] if "created_by" in dict(query) else list(self._jobs.by_id.values())
        fitting = [job for job in reversed(jobs) if fits(job, list(wanted.items()), labels)]
        start, limit = int(dict(query).get("cursor", 0)), int(dict(query).get("limit", 50))
        end = start + limit
        searched = {"jobs": len(self._jobs.by_id), "complete": end >= len(fitting)}
        return _json(200, {"jobs": [job if dict(query).get("full") == "true" else shown(job) for job in fitting[start:end]], "next": str(end) if end < len(fitting) else None, "searched": searched})

    def _events(self, job: dict[str, Any], after: int) -> httpx.Response:
        log, sent = self._jobs.logs[job["id"]], after
        if sent >= len(log) and job["state"] in FINISHED:
            return httpx.Response(204)

        def news() -> bytes | None:
            nonlocal sent
            if sent >= len(log) and job["state"] in FINISHED:
                return None
            first, sent = sent, len(log)
            # A state is told to those who hear the change; who comes later hears the present one.
            last = max(n for n, (event, _) in enumerate(log) if event == "state")
            told = [n for n in range(first, sent) if n == last or log[n][0] != "state"]
            lines = [f"id: {n + 1}\nevent: {log[n][0]}\ndata: {json.dumps(log[n][1])}\n\n" for n in told]
            return "".join(lines).encode()

        return Stream(self._waiting, b"", news).response()

    def _feed(self, query: list[tuple[str, str]]) -> httpx.Response:
        wanted = {name: [value for one, value in query if one == name] for name in ("queue", "kind")}
        told = len(self._jobs.changes)

        def news() -> bytes:
            nonlocal told
            changes = self._jobs.changes[told:]
            told += len(changes)
            meant = [change for change in changes if all(change[name] in some for name, some in wanted.items() if some)]
            return "".join(f"event: job\ndata: {json.dumps(change)}\n\n" for change in meant).encode()

        return Stream(self._waiting, b": following\n\n", news).response()


def parts_of(request: httpx.Request) -> list[str]:
    # The path as it was sent: an id may hold an escaped slash.
    path = request.url.raw_path.decode().partition("?")[0]
    return [unquote(part) for part in path.strip("/").split("/")]


def _json(status: int, body: Any) -> httpx.Response:
    return httpx.Response(status, json=body)


def _invalid(*broken: Broken) -> httpx.Response:
    detail = "; ".join(f"{field}: {message}" for field, message in broken)
    errors = [{"field": field, "message": message} for field, message in broken]
    body = {"type": "about:blank", "status": 422, "code": "invalid", "detail": detail, "errors": errors}
    return httpx.Response(422, json=body)


def _not_finished(job: dict[str, Any]) -> httpx.Response:
    return _problem(409, "not_finished", f"the job is {job['state']}; this is for finished jobs, cancel it first")


def _problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> httpx.Response:
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail}
    return httpx.Response(status, json=body, headers=headers)


def _batched(status: str, job: dict[str, Any]) -> dict[str, Any]:
    """The answer for one job of many."""
    told: dict[str, Any] = {"id": job.get("id") or uuid.uuid4().hex, "duplicate": status == "duplicate"}
    if status == "replaced":
        told["replaced"] = True
    elif status in ("rejected", "full"):
        told["refused"] = "duplicate" if status == "rejected" else "queue_full"
    return told


def _ending(job: dict[str, Any]) -> dict[str, str]:
    """When a job ends by itself, and what it was cancelled for, where there is such a thing."""
    times = [] if job["state"] in FINISHED else [job["expires_at"] if job["started_at"] is None else None, job["deadline"]]
    first = min((at for at in times if at is not None), key=read_time, default=None)
    told = {"ends_at": first, "cancel_reason": job["cancel_reason"]}
    return {name: value for name, value in told.items() if value is not None}
