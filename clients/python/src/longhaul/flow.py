"""What is sent to the server, and what its answers mean, written once for blocking and asyncio clients.

A flow is a generator: it yields a :class:`Send` or a :class:`Pause`, and is sent the :class:`Answer`, or thrown the
:class:`Unreachable`, that came of it. ``client.py`` and ``aio.py`` only do what a flow asks for.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlencode, urlsplit

from .errors import ApiError, Conflict, ConnectionError, DuplicateJob, Gone, JobCancelled, JobExpired, JobFailed, NotFound, TimeoutError, api_error
from .job import FINISHED, ChangesMissed, ChunkEvent, EnqueueStatus, Event, Job, JobChange, OnFull, ResetEvent, StateEvent
from .sse import Message, Parser, event_of

T = TypeVar("T")

#: The longest that one request asks the server to hold its answer, in seconds; the server's own bound is 60.
HELD_FOR = 25.0
#: Args that are to stay as they are.
KEEP: Any = object()
#: The longest pause between two tries, in seconds, where the server names none.
LONGEST_PAUSE = 8.0


@dataclass(frozen=True)
class Send:
    """A request. ``held_for`` is how long the server may hold the answer, on top of the client's timeout."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    held_for: float = 0.0


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """The server's answer. The names of ``headers`` are lowercase."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; ``None`` where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Unreachable(Exception):
    """No answer came: the connection was refused, broke, or took longer than the timeout."""


Flow = Generator["Send | Pause", "Answer | None", T]


@dataclass(frozen=True)
class Settings:
    """How requests are made: the bearer token, and how often one is sent again."""

    token: str | None
    #: ``None``: as often as it takes.
    max_retries: int | None
    #: The path of the server's address, which may be a proxy's.
    base: str = ""

    @classmethod
    def of(cls, url: str, token: str | None, max_retries: int | None) -> Settings:
        """How requests are made to a server. A token of white space alone is none, as that of a variable that is not set. Raises
        ``ValueError`` for what no request can be made with, and a worker would try without end."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"the url must be http://HOST:PORT or https://HOST, and is {url!r}")
        token = (token or "").strip() or None
        check_header("authorization", token or "")
        return cls(token, max_retries, unquote(parts.path).rstrip("/"))

    def below(self, link: str) -> str:
        """The path below the client's own address of a link that the server has given."""
        parts = urlsplit(link)
        path = parts.path.removeprefix(self.base) if parts.path.startswith(f"{self.base}/") else parts.path
        return path + (f"?{parts.query}" if parts.query else "")


def check_header(name: str, value: str) -> None:
    """Refuses what no header can carry: a request with it would fail however often it is sent."""
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise ValueError(f"the {name} must be printable ASCII without blanks around it")


def segment(name: str) -> str:
    """A name as a part of a path. ``.`` and ``..`` are resolved away in a URL, which would be that of something else."""
    if name in (".", ".."):
        raise ValueError(f"{name!r} is no name of anything over HTTP")
    return quote(name, safe="")


def request(
    settings: Settings,
    method: str,
    path: str,
    *,
    query: Sequence[tuple[str, str]] = (),
    body: Any = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    held_for: float = 0.0,
    on_try: Callable[[], None] = lambda: None,
    on_retry: Callable[[Exception], None] = lambda error: None,
) -> Flow[Answer]:
    """Sends a request until it is answered: again after 408, 429, 5xx and broken connections, at most ``max_retries`` times.

    A POST carries an ``Idempotency-Key``, the same each time, so that one which was heard is not done twice. ``content`` is a
    body that is JSON already. ``on_try`` is called before each try, ``on_retry`` before a request is sent again.
    """
    sent = {"accept": "application/json", **(headers or {})}
    if settings.token is not None:
        sent["authorization"] = f"Bearer {settings.token}"
    if method == "POST":
        sent.setdefault("idempotency-key", str(uuid.uuid4()))
    for name, value in sent.items():
        check_header(name, value)
    if body is not None:
        # NaN is no JSON; the server would refuse it with less to say.
        content = json.dumps(body, allow_nan=False).encode()
    if content is not None:
        sent["content-type"] = "application/json"
    target = path + ("?" + urlencode(query) if query else "")
    send = Send(method, target, sent, content, held_for)
    tries = 0
    while True:
        told: float | None = None
        on_try()
        try:
            answer = yield send
            assert answer is not None
            if answer.status < 400:
                return answer
            told = retry_after(answer.headers.get("retry-after"))
            error: Exception = api_error(answer.status, answer.json(), answer.headers, told)
            in_use = answer.status == 409 and getattr(error, "code", "") == "idempotency_key_in_use"
            if answer.status not in (408, 429) and answer.status < 500 and not in_use:
                raise error
        except Unreachable as unreachable:
            error = ConnectionError(str(unreachable))
        if settings.max_retries is not None and tries >= settings.max_retries:
            raise error
        on_retry(error)
        yield Pause(pause(tries, told))
        tries += 1


def pause(tries: int, told: float | None) -> float:
    """The seconds before the next try. Jitter keeps many clients of one server from coming back at once."""
    if told is not None:
        return told + random.uniform(0, min(1.0, told / 4))
    return float(min(LONGEST_PAUSE, 0.25 * 2 ** min(tries, 10)) * random.uniform(0.5, 1.0))


def retry_after(value: str | None) -> float | None:
    """The seconds of a ``Retry-After``, which are a number or a date."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(timezone.utc)).total_seconds())
    except (TypeError, ValueError):
        return None


def job_path(id: str) -> str:
    """The path of a job for which the server has given no link."""
    return f"/api/jobs/{segment(id)}"


def body_of(kind: str, args: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a job. Options that are ``None`` are left out."""
    return {"kind": kind, "args": args, **{name: value for name, value in options.items() if value is not None}}


def traced(traceparent: str | None) -> dict[str, str]:
    """The headers of a request that stands in a trace."""
    return {} if traceparent is None else {"traceparent": traceparent}


def enqueue(
    settings: Settings,
    kind: str,
    args: Any,
    options: Mapping[str, Any],
    on_duplicate: str,
    idempotency_key: str | None,
    traceparent: str | None,
) -> Flow[tuple[Job, str | None]]:
    """Enqueues one job, and answers its path where the server has given one."""
    headers = traced(traceparent)
    if idempotency_key is not None:
        headers["idempotency-key"] = idempotency_key
    if options.get("cancel_on_disconnect"):
        # The server watches the connection of a request that it holds.
        headers["prefer"] = "wait=1"
    body = body_of(kind, args, options)
    try:
        answer = yield from request(settings, "POST", "/api/jobs", body=body, headers=headers, held_for=1.0)
    except Conflict as refusal:
        if refusal.code != "duplicate" or refusal.location is None:
            raise
        try:
            holder = yield from get(settings, settings.below(refusal.location))
        except ApiError:
            # It has been deleted since; that it held the key is all that is known.
            raise refusal from None
        raise DuplicateJob(holder) from refusal
    job = Job.read(answer.json())
    if job.duplicate and on_duplicate == "raise":
        raise DuplicateJob(job)
    location = answer.headers.get("location")
    return job, None if location is None else settings.below(location)


def enqueue_many(
    settings: Settings, jobs: Iterable[Mapping[str, Any]], traceparent: str | None
) -> Flow[list[tuple[str, EnqueueStatus]]]:
    """Enqueues all jobs or none, and answers their ids and what became of them, in order."""
    answer = yield from request(settings, "POST", "/api/jobs/batch", body=list(jobs), headers=traced(traceparent))
    return [(job["id"], _status_of(job)) for job in answer.json()]


def _status_of(batched: Mapping[str, Any]) -> EnqueueStatus:
    if batched.get("refused") is not None:
        return "full" if batched["refused"] == "queue_full" else "rejected"
    return "duplicate" if batched["duplicate"] else "replaced" if batched.get("replaced") else "created"


def status_of(job: Job) -> EnqueueStatus:
    """What became of a job that was enqueued alone."""
    return "duplicate" if job.duplicate else "replaced" if job.replaced else "created"


def get(settings: Settings, path: str) -> Flow[Job]:
    """Reads a job."""
    answer = yield from request(settings, "GET", path)
    return Job.read(answer.json())


def retry(settings: Settings, path: str, body: dict[str, Any] | None) -> Flow[Any]:
    """Runs a job again, and answers it."""
    tries: list[Exception] = []
    try:
        answer = yield from request(settings, "POST", f"{path}/retry", body=body, on_retry=tries.append)
    except Conflict as refusal:
        # The first request was heard, and its answer lost: the job runs again.
        if not tries or refusal.code != "not_finished":
            raise
        answer = yield from request(settings, "GET", path)
    return answer.json()


def remove(settings: Settings, path: str) -> Flow[None]:
    """Removes what is at a path."""
    tries: list[Exception] = []
    try:
        yield from request(settings, "DELETE", path, on_retry=tries.append)
    except (NotFound, Gone):
        # The first request was heard, and its answer lost.
        if not tries:
            raise


def wait(settings: Settings, path: str, handle: Any, timeout: float | None, clock: Callable[[], float]) -> Flow[Job]:
    """Waits until a job has ended. The server holds each answer, so that nothing polls."""
    deadline = None if timeout is None else clock() + timeout
    while True:
        left = HELD_FOR if deadline is None else min(HELD_FOR, deadline - clock())
        held = max(0, int(left))
        headers = {"prefer": f"wait={held}"} if held else {}
        answer = yield from request(settings, "GET", path, headers=headers, held_for=held)
        job = Job.read(answer.json())
        if job.is_finished:
            return job
        if deadline is not None:
            rest = deadline - clock()
            if rest <= 0:
                raise TimeoutError(f"job {job.id} is still {job.state} after {timeout} s", handle)
            if held == 0:
                yield Pause(min(rest, 0.2))


def outcome(job: Job) -> Any:
    """The output of a job that has completed; an error for one that has ended otherwise."""
    if job.state == "failed":
        raise JobFailed(job)
    if job.state == "cancelled":
        raise (JobExpired if job.cancel_reason in ("expired", "deadline") else JobCancelled)(job)
    return job.output


def read(settings: Settings, path: str, query: Mapping[str, Any] | None = None) -> Flow[Any]:
    """The body of an answer."""
    answer = yield from request(settings, "GET", path, query=filter_query(query or {}))
    return answer.json()


def change(settings: Settings, method: str, path: str, body: Any = None) -> Flow[Any]:
    """The body of the answer to a change."""
    answer = yield from request(settings, method, path, body=body)
    return answer.json()


def again(args: Any, from_step: str | None) -> dict[str, Any] | None:
    """The body of a retry or a fork."""
    body = {} if args is KEEP else {"args": args}
    return {**body, **({} if from_step is None else {"from_step": from_step})} or None


def signal_path(path: str, name: str, rest: str = "") -> str:
    """The path of a signal of a job."""
    return f"{path}/signals/{segment(name)}{rest}"


def signal(settings: Settings, path: str, name: str, value: Any) -> Flow[bool]:
    """Gives a job a signal; false where an earlier one of the name stands."""
    content = json.dumps(value, allow_nan=False).encode()
    answer = yield from request(settings, "POST", signal_path(path, name), content=content)
    return bool(answer.json()["accepted"])


def redeem(settings: Settings, token: str, value: Any) -> Flow[bool]:
    """Gives the signal that a token is for; false where an earlier one of the name stands."""
    content = json.dumps(value, allow_nan=False).encode()
    answer = yield from request(settings, "POST", f"/api/signals/{segment(token)}", content=content)
    return bool(answer.json()["accepted"])


def queue_path(queue: str, rest: str = "") -> str:
    """The path of a queue."""
    return f"/api/queues/{segment(queue)}{rest}"


def key_path(key: str, rest: str = "") -> str:
    """The path of a limit key."""
    return f"/api/keys/{segment(key)}{rest}"


def keys(settings: Settings, prefix: str | None, queue: str | None) -> Flow[list[dict[str, Any]]]:
    """All limit keys that fit, page by page."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        query = {"prefix": prefix, "queue": queue, "limit": 1_000, "cursor": cursor}
        page = yield from read(settings, "/api/keys", query)
        found += page["keys"]
        cursor = page["next"]
        if cursor is None:
            return found


def limits(
    slots: int | None, rate: Mapping[str, Any] | None, weight: int | None, max_waiting: int | None, on_full: OnFull | None
) -> dict[str, Any]:
    """The body of a key's limits. Those that are ``None`` are left out."""
    given = {"slots": slots, "rate": None if rate is None else dict(rate), "weight": weight, "max_waiting": max_waiting, "on_full": on_full}
    return {name: value for name, value in given.items() if value is not None}


def schedule_path(name: str, rest: str = "") -> str:
    """The path of a schedule."""
    return f"/api/schedules/{segment(name)}{rest}"


def token_path(id: str) -> str:
    """The path of a token."""
    return f"/api/tokens/{segment(id)}"


def token(name: str, scopes: Sequence[str], rate: Mapping[str, Any] | None, expires_in: float | None) -> dict[str, Any]:
    """The body of a new token. What is ``None`` is left out."""
    given = {"rate": None if rate is None else dict(rate), "expires_in": expires_in}
    return {"name": name, "scopes": list(scopes), **{name: value for name, value in given.items() if value is not None}}


@dataclass(frozen=True)
class JobPage:
    """A page of a list. ``next`` is the cursor of the following one, ``searched`` how many jobs were looked at for this one."""

    jobs: list[Job]
    next: str | None
    searched: int


def page(settings: Settings, filter: Mapping[str, Any], limit: int, cursor: str | None) -> Flow[JobPage]:
    """One page of a list."""
    query = filter_query({**filter, "limit": limit, "cursor": cursor})
    body = (yield from request(settings, "GET", "/api/jobs", query=query)).json()
    return JobPage([Job.read(job) for job in body["jobs"]], body["next"], body["searched"]["jobs"])


def filter_query(filter: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The parameters of a list: ``state``, ``kind``, ``queue`` and ``parent`` may be lists, ``labels`` is a mapping."""
    query: list[tuple[str, str]] = []
    for name, value in filter.items():
        if value is None:
            continue
        if name == "labels":
            query += [("label", f"{label}:{wanted}") for label, wanted in value.items()]
        elif isinstance(value, bool):
            query.append((name, "true" if value else "false"))
        elif isinstance(value, str) or not isinstance(value, (list, tuple, set, frozenset)):
            query.append((name, str(value)))
        else:
            # A list without a member fits no job: the server reads a parameter without a value so.
            query += [(name, str(one)) for one in value] or [(name, "")]
    return query


@dataclass(frozen=True)
class Acted:
    """The result of a bulk action."""

    matched: int
    done: int
    complete: bool


def act(settings: Settings, action: str, filter: Mapping[str, Any], limit: int | None, dry_run: bool) -> Flow[Acted]:
    """Does something to all jobs that fit a filter, as many requests as it takes; to at most ``limit`` where it is given."""
    matched = done = 0
    bound: int | None = None
    while True:
        # A dry run counts all that it can at once, because nothing moves on between two requests.
        most = 10_000 if dry_run else 1_000
        size = min(most, limit - done) if limit is not None else most
        body = {"action": action, "filter": dict(filter), "limit": size, "dry_run": dry_run}
        answer = yield from request(settings, "POST", "/api/jobs/actions", body=body)
        result = answer.json()
        matched, done = matched + result["matched"], done + result["done"]
        if result["complete"] or dry_run or result["done"] == 0 or any(done >= most for most in (limit, bound) if most is not None):
            return Acted(matched, done, result["complete"])
        if action == "retry" and limit is None and bound is None:
            # A job that is retried may fail again while this goes on, and is not to be retried for ever.
            left = yield from act(settings, action, filter, None, True)
            bound = done + left.done if left.complete else None


def set_priority(settings: Settings, filter: Mapping[str, Any], priority: int, limit: int, dry_run: bool) -> Flow[Acted]:
    """Gives unfinished jobs that fit a filter another priority."""
    body = {"action": "set_priority", "filter": dict(filter), "priority": priority, "limit": limit, "dry_run": dry_run}
    result = (yield from request(settings, "POST", "/api/jobs/actions", body=body)).json()
    return Acted(result["matched"], result["done"], result["complete"])


class Stream:
    """One reader of server-sent events, across the connections that it takes. ``last`` is the id after which a new one goes on."""

    #: A heartbeat comes every 15 seconds, so that a silence of three is a connection that is gone.
    SILENCE = 45.0

    def __init__(self, settings: Settings, path: str, what: str, last: str | None = None) -> None:
        self.path = path
        self.last = last
        self.has_ended = False
        self._settings, self._what, self._tries = settings, what, 0
        self._parser = Parser()
        self._told: float | None = None
        self._pieces = 0
        self._error: Exception = ConnectionError(f"{what} were cut off")

    def headers(self) -> dict[str, str]:
        """The headers of the next connection."""
        self._parser, self._told, self._pieces = Parser(), None, 0
        headers = {"accept": "text/event-stream"}
        if self.last is not None:
            headers["last-event-id"] = self.last
        if self._settings.token is not None:
            headers["authorization"] = f"Bearer {self._settings.token}"
        return headers

    def messages(self, piece: bytes) -> Generator[Message, None, None]:
        """The messages that end within a piece of the stream."""
        self._pieces += bool(piece)
        # A stream may be quiet for hours, and a proxy cut it now and then: a heartbeat is enough to have brought.
        if self._pieces > 1:
            self._tries = 0
        for message in self._parser.feed(piece):
            self._tries = 0
            yield message

    def refused(self, answer: Answer) -> None:
        """Notes an answer that is no stream. Raises where trying again cannot help."""
        self._told = retry_after(answer.headers.get("retry-after"))
        error = api_error(answer.status, answer.json(), answer.headers, self._told)
        if answer.status < 500 and answer.status not in (408, 429):
            raise error
        self._error = error

    def broken(self, error: Exception) -> None:
        """Notes a connection that broke."""
        self._error = ConnectionError(f"{self._what} were cut off: {error or type(error).__name__}")

    def pause(self) -> float:
        """The seconds before the next connection. Raises after as many tries without an event as are allowed."""
        if self._settings.max_retries is not None and self._tries > self._settings.max_retries:
            raise self._error
        self._tries += 1
        return pause(self._tries - 1, self._told if self._told is not None else self._parser.retry)


class Following(Stream):
    """The events of a job, after number ``after``."""

    def __init__(self, settings: Settings, id: str, path: str, after: int) -> None:
        super().__init__(settings, f"{path}/events", f"the events of job {id}", str(after))

    def take(self, piece: bytes) -> Generator[Event, None, None]:
        """The events that end within a piece of the stream."""
        for message in self.messages(piece):
            event = event_of(message)
            if event is None:
                continue
            self.last = str(event.id)
            self.has_ended = isinstance(event, StateEvent) and event.state in FINISHED
            yield event


class Changes(Stream):
    """The changes of all jobs, or of those of some queues and kinds, from now on. There is nothing to resume."""

    def __init__(self, settings: Settings, filter: Mapping[str, Any]) -> None:
        query = urlencode(filter_query(filter))
        super().__init__(settings, "/api/events" + (f"?{query}" if query else ""), "the changes of jobs")

    def take(self, piece: bytes) -> Generator[JobChange | ChangesMissed, None, None]:
        """The changes that end within a piece of the stream."""
        for message in self.messages(piece):
            if message.event == "job":
                yield JobChange.read(json.loads(message.data))
            elif message.event == "gap":
                yield ChangesMissed()


class Text:
    """Joins a job's chunks: those of the attempt that completes, because a reset drops the ones before it."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def take(self, event: Event) -> None:
        """Adds what an event says."""
        if isinstance(event, ResetEvent):
            self._parts.clear()
        elif isinstance(event, ChunkEvent):
            self._parts.append(event.data if isinstance(event.data, str) else json.dumps(event.data))

    def __str__(self) -> str:
        return "".join(self._parts)
