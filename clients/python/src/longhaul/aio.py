"""The asyncio client: the same names as :class:`longhaul.Longhaul`, awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import httpx

from . import flow, webhooks
from .flow import Acted, Answer, Flow, JobPage, Pause, Send, Settings, Unreachable
from .job import ChangesMissed, EnqueueStatus, Event, Job, JobChange, JobOptions, OnFull
from .webhooks import Delivery, SecretRows, WebhookSecret

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")
#: Objects of an answer.
Rows = list[dict[str, Any]]


class AsyncLonghaul:
    """A client of a Longhaul server for asyncio. See :class:`longhaul.Longhaul` for each method."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 2,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = Settings.of(url, token, max_retries)
        self._timeout = timeout
        self._http = httpx.AsyncClient(base_url=url.rstrip("/"), transport=transport, follow_redirects=False)
        self.jobs = AsyncJobs(self)
        self.queues = AsyncQueues(self)
        self.schedules = AsyncSchedules(self)
        self.tokens = AsyncTokens(self)
        self.webhook_secrets = AsyncWebhookSecrets(self)

    async def __aenter__(self) -> AsyncLonghaul:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections. Jobs are not concerned."""
        await self._http.aclose()

    async def enqueue(
        self,
        kind: str,
        args: Any = None,
        *,
        on_duplicate: Literal["join", "raise"] = "join",
        idempotency_key: str | None = None,
        traceparent: str | None = None,
        **options: Unpack[JobOptions],
    ) -> AsyncJobHandle:
        """Enqueues a job and answers as soon as it is durable."""
        job, path = await self._run(flow.enqueue(self._settings, kind, args, options, on_duplicate, idempotency_key, traceparent))
        return AsyncJobHandle(self, job.id, job, path, flow.status_of(job))

    async def enqueue_many(self, jobs: Iterable[Mapping[str, Any]], *, traceparent: str | None = None) -> list[AsyncJobHandle]:
        """Enqueues up to 10,000 jobs, all or none. Each is a mapping with ``kind``, ``args`` and the options. Where the unique key of one
        is held, or a queue is full, that concerns it alone, and the ``status`` of its handle says so."""
        created = await self._run(flow.enqueue_many(self._settings, jobs, traceparent))
        return [AsyncJobHandle(self, id, status=status) for id, status in created]

    async def run(self, kind: str, args: Any = None, *, wait_timeout: float | None = None, **options: Unpack[JobOptions]) -> Any:
        """Enqueues a job, waits for its end and answers its output."""
        return await (await self.enqueue(kind, args, **options)).wait(wait_timeout)

    def job(self, id: str) -> AsyncJobHandle:
        """A handle on a job that exists already, without asking the server."""
        return AsyncJobHandle(self, id)

    async def stats(
        self, *, window: float | None = None, step: float | None = None, queue: str | None = None, kind: str | None = None
    ) -> dict[str, Any]:
        """What became of jobs in the last ``window`` seconds, in pieces of ``step``: counts, and how long they waited and ran."""
        query = {"window": window, "step": step, "queue": queue, "kind": kind}
        return dict(await self._run(flow.read(self._settings, "/api/stats", query)))

    async def errors(
        self, *, window: float | None = None, queue: str | None = None, kind: str | None = None
    ) -> Rows:
        """The failures of the last ``window`` seconds, those that differ in numbers, ids and quoted words only as one group."""
        query = {"window": window, "queue": queue, "kind": kind}
        return list((await self._run(flow.read(self._settings, "/api/errors", query)))["groups"])

    async def kinds(self) -> Rows:
        """The kinds of jobs, with who runs them and the versions that wait."""
        return list((await self._run(flow.read(self._settings, "/api/kinds")))["kinds"])

    async def workers(self) -> Rows:
        """The workers that were heard of within the last minute."""
        return list((await self._run(flow.read(self._settings, "/api/workers")))["workers"])

    async def keys(self, *, prefix: str | None = None, queue: str | None = None) -> Rows:
        """The limit keys that have limits, are paused, or of which jobs wait or run, by name: those that begin with ``prefix``, those of
        which jobs wait in ``queue``."""
        return await self._run(flow.keys(self._settings, prefix, queue))

    async def keys_page(
        self, *, prefix: str | None = None, queue: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> dict[str, Any]:
        """One page of them, ``keys`` and the cursor ``next``: where each tenant is a key, there may be very many."""
        query = {"prefix": prefix, "queue": queue, "limit": limit, "cursor": cursor}
        return dict(await self._run(flow.read(self._settings, "/api/keys", query)))

    async def key(self, key: str) -> dict[str, Any]:
        """A limit key; one that nothing is known of with the limits that its first job would meet."""
        return dict(await self._run(flow.read(self._settings, flow.key_path(key))))

    async def set_key(
        self,
        key: str,
        *,
        slots: int | None = None,
        rate: Mapping[str, Any] | None = None,
        weight: int | None = None,
        max_waiting: int | None = None,
        on_full: OnFull | None = None,
    ) -> dict[str, Any]:
        """Sets all limits of a key at once, or of all keys that begin alike: ``tenant:*``. What is left out is no limit; ``rate`` is
        ``{"n": 100, "per": 60}``, with a ``burst`` where it is to be another than a tenth. ``max_waiting`` bounds the jobs that wait."""
        steps = flow.change(self._settings, "PUT", flow.key_path(key), flow.limits(slots, rate, weight, max_waiting, on_full))
        return dict(await self._run(steps))

    async def remove_key(self, key: str) -> None:
        """Takes the limits of a key away; those of its longest prefix hold then."""
        await self._run(flow.request(self._settings, "DELETE", flow.key_path(key)))

    async def pause_key(self, key: str, seconds: float | None = None) -> dict[str, Any]:
        """No job of the key is given to a worker for so many seconds, or until it is resumed; those that run go on."""
        body = {} if seconds is None else {"for": seconds}
        return dict(await self._run(flow.change(self._settings, "POST", flow.key_path(key, "/pause"), body)))

    async def resume_key(self, key: str) -> dict[str, Any]:
        """Jobs of the key are given to workers again, as far as its limits admit them."""
        return dict(await self._run(flow.change(self._settings, "POST", flow.key_path(key, "/resume"))))

    async def redeliver(self, delivery: str) -> Delivery:
        """Sends the message of a delivery that has ended once more, with the same ``webhook-id`` and body: the new delivery. Deliveries are
        told by :meth:`AsyncJobHandle.deliveries`."""
        return await self._run(webhooks.redeliver(self._settings, delivery))

    async def redeem_signal_token(self, token: str, value: Any = None) -> bool:
        """Gives the signal that a token of :meth:`AsyncJobHandle.signal_token` is for. The first of a name wins: false where an earlier one
        stands. No other token is needed."""
        return await self._run(flow.redeem(self._settings, token, value))

    async def audit(self, *, cursor: str | None = None, limit: int = 50) -> dict[str, Any]:
        """Who has changed what, newest first: ``entries``, 1 to 500 of them, and the cursor of the ``next`` page."""
        query = {"cursor": cursor, "limit": limit}
        return dict(await self._run(flow.read(self._settings, "/api/audit", query)))

    async def me(self) -> dict[str, Any]:
        """What the client's token may do."""
        return dict(await self._run(flow.read(self._settings, "/api/me")))

    async def events(
        self, *, queue: str | Sequence[str] | None = None, kind: str | Sequence[str] | None = None
    ) -> AsyncIterator[JobChange | ChangesMissed]:
        """Follows all jobs, or those of some queues and kinds: a :class:`JobChange` for each change of state, and
        :class:`ChangesMissed` at the beginning and where some may have been missed: then what is shown is to be read anew."""
        changes = flow.Changes(self._settings, {"queue": queue, "kind": kind})
        async for piece in self._pieces(changes):
            if piece is None:
                yield ChangesMissed()
                continue
            for change in changes.take(piece):
                yield change

    async def _pieces(self, stream: flow.Stream) -> AsyncIterator[bytes | None]:
        """The pieces of a stream, across connections that break; ``None`` at the beginning of each."""
        while not stream.has_ended:
            timeout = httpx.Timeout(self._timeout, read=flow.Stream.SILENCE)
            try:
                async with self._http.stream("GET", stream.path, headers=stream.headers(), timeout=timeout) as response:
                    if response.status_code == 204:
                        return
                    if response.status_code >= 400:
                        await response.aread()
                        stream.refused(_answer(response))
                    else:
                        yield None
                        async for piece in response.aiter_bytes():
                            yield piece
                            if stream.has_ended:
                                return
            except httpx.TransportError as error:
                stream.broken(error)
            await asyncio.sleep(stream.pause())

    async def _run(self, steps: Flow[T]) -> T:
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = steps.send(None)
                    continue
                try:
                    answer = await self._send(step)
                except Unreachable as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def _send(self, send: Send) -> Answer:
        try:
            response = await self._http.request(
                send.method,
                send.path,
                headers=dict(send.headers),
                content=send.body,
                timeout=self._timeout + send.held_for,
            )
        except httpx.TransportError as error:
            raise Unreachable(f"failed to reach {self._http.base_url}: {error or type(error).__name__}") from error
        return _answer(response)


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, response.content)


class AsyncJobHandle:
    """A job on the server. ``last`` is the job as it stood when it was last read, where it was."""

    def __init__(self, client: AsyncLonghaul, id: str, last: Job | None = None, path: str | None = None, status: EnqueueStatus | None = None) -> None:
        self._client = client
        self._path = path or flow.job_path(id)
        self.id = id
        self.last = last
        #: What became of it when it was enqueued, for a handle that came of that. Where nothing was created (of ``enqueue_many`` alone:
        #: ``enqueue`` raises), the handle is on the job that holds the key, or on none where it is ``full``.
        self.status = status

    def __repr__(self) -> str:
        return f"AsyncJobHandle({self.id!r})"

    async def get(self) -> Job:
        """Reads the job."""
        self.last = await self._client._run(flow.get(self._client._settings, self._path))
        return self.last

    async def wait(self, timeout: float | None = None) -> Any:
        """Waits for the end and answers the output."""
        self.last = await self._client._run(flow.wait(self._client._settings, self._path, self, timeout, time.monotonic))
        return flow.outcome(self.last)

    async def events(self, *, after: int = 0) -> AsyncIterator[Event]:
        """Follows the job's events until it has ended, across connections that break."""
        following = flow.Following(self._client._settings, self.id, self._path, after)
        async for piece in self._client._pieces(following):
            for event in following.take(piece or b""):
                yield event

    async def text(self) -> str:
        """Follows the job to its end and joins its chunks, those of the attempt that completed."""
        text = flow.Text()
        async for event in self.events():
            text.take(event)
        flow.outcome(await self.get())
        return str(text)

    async def cancel(self) -> Job:
        """Cancels the job: at once where it waits, else it is asked to stop."""
        return await self._post("/cancel")

    async def retry(self, *, args: Any = flow.KEEP, from_step: str | None = None) -> Job:
        """Runs a job that has ended, or waits for a person, again, with other ``args`` where they are given. What it has done stays done:
        with ``from_step`` only what came before that step."""
        body = flow.again(args, from_step)
        self.last = Job.read(await self._client._run(flow.retry(self._client._settings, self._path, body)))
        return self.last

    async def fork(self, *, args: Any = flow.KEEP, from_step: str | None = None) -> AsyncJobHandle:
        """Makes a new job of this one, with the outputs of its steps: with ``from_step`` of those before that one. This one stays as it
        is."""
        body = flow.again(args, from_step) or {}
        job = Job.read(await self._client._run(flow.change(self._client._settings, "POST", self._path + "/fork", body)))
        return AsyncJobHandle(self._client, job.id, job, status="created")

    async def signal(self, name: str, value: Any = None) -> bool:
        """Gives the job a signal that its code waits for, now or later. The first of a name wins: false where an earlier one stands.
        Raises ``Conflict`` with the code ``ended`` once the job has ended."""
        return await self._client._run(flow.signal(self._client._settings, self._path, name, value))

    async def signal_token(self, name: str, *, expires_in: float | None = None) -> dict[str, Any]:
        """A token that gives the job this signal, once, for whoever has no token of the server: a POST of the value to its ``path``."""
        body = {} if expires_in is None else {"expires_in": expires_in}
        path = flow.signal_path(self._path, name, "/token")
        return dict(await self._client._run(flow.change(self._client._settings, "POST", path, body)))

    async def graph(self) -> dict[str, Any]:
        """The jobs that are connected with this one, by what they wait for."""
        return dict(await self._client._run(flow.read(self._client._settings, self._path + "/graph")))

    async def why(self) -> dict[str, Any]:
        """The reasons for which the job waits."""
        return dict(await self._client._run(flow.read(self._client._settings, self._path + "/why")))

    async def deliveries(self) -> list[Delivery]:
        """What was told by the job's webhook, or is to be: the newest 100, oldest first. None for a job without one."""
        return await self._client._run(webhooks.deliveries(self._client._settings, self._path))

    async def steps(self) -> Rows:
        """The steps that are done, with their times."""
        return list(await self._client._run(flow.read(self._client._settings, self._path + "/steps")))

    async def delete(self) -> None:
        """Removes a job that has ended."""
        await self._client._run(flow.remove(self._client._settings, self._path))

    async def read_token(self, *, expires_in: float | None = None) -> str:
        """A token that lets a browser follow this job, and nothing else: for an hour, or ``expires_in`` seconds, a day at most."""
        body = {} if expires_in is None else {"expires_in": expires_in}
        steps = flow.change(self._client._settings, "POST", self._path + "/token", body)
        return str((await self._client._run(steps))["token"])

    async def _post(self, rest: str, body: Any = None) -> Job:
        self.last = Job.read(await self._client._run(flow.change(self._client._settings, "POST", self._path + rest, body)))
        return self.last


class AsyncJobs:
    """All jobs: lists, and actions on many."""

    def __init__(self, client: AsyncLonghaul) -> None:
        self._client = client

    async def list(self, *, limit: int = 50, **filter: Any) -> AsyncIterator[Job]:
        """The jobs that fit, newest first, page by page as they are asked for."""
        cursor: str | None = None
        while True:
            page = await self.page(limit=limit, cursor=cursor, **filter)
            for job in page.jobs:
                yield job
            cursor = page.next
            if cursor is None:
                return

    async def page(self, *, limit: int = 50, cursor: str | None = None, **filter: Any) -> JobPage:
        """One page of a list."""
        return await self._client._run(flow.page(self._client._settings, filter, limit, cursor))

    async def cancel(self, *, filter: Mapping[str, Any], limit: int | None = None, dry_run: bool = False) -> Acted:
        """Cancels the jobs that fit. An empty list in the filter fits none."""
        return await self._act("cancel", filter, limit, dry_run)

    async def retry(self, *, filter: Mapping[str, Any], limit: int | None = None, dry_run: bool = False) -> Acted:
        """Runs the finished jobs that fit again."""
        return await self._act("retry", filter, limit, dry_run)

    async def delete(self, *, filter: Mapping[str, Any], limit: int | None = None, dry_run: bool = False) -> Acted:
        """Removes the finished jobs that fit."""
        return await self._act("delete", filter, limit, dry_run)

    async def set_priority(
        self, *, filter: Mapping[str, Any], priority: int, limit: int = 10_000, dry_run: bool = False
    ) -> Acted:
        """Gives unfinished jobs that fit another priority, -100 to 100: 10,000 at once, the newest first; ``complete`` says if that
        was all."""
        return await self._client._run(flow.set_priority(self._client._settings, filter, priority, limit, dry_run))

    async def _act(self, action: str, filter: Mapping[str, Any], limit: int | None, dry_run: bool) -> Acted:
        return await self._client._run(flow.act(self._client._settings, action, filter, limit, dry_run))


class AsyncQueues:
    """The queues. A queue is the server's answer, a mapping with ``name``, ``paused``, ``counts``, ``states`` and ``config``."""

    def __init__(self, client: AsyncLonghaul) -> None:
        self._client = client

    async def list(self) -> Rows:
        """All queues, by name."""
        return list((await self._client._run(flow.read(self._client._settings, "/api/queues")))["queues"])

    async def get(self, queue: str) -> dict[str, Any]:
        """One queue."""
        return dict(await self._client._run(flow.read(self._client._settings, flow.queue_path(queue))))

    async def set(self, queue: str, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Changes what is given of a queue's configuration."""
        return await self._change("PATCH", flow.queue_path(queue), dict(patch))

    async def pause(self, queue: str) -> dict[str, Any]:
        """No job of the queue is given to a worker any more; those that run go on."""
        return await self._change("POST", flow.queue_path(queue, "/pause"))

    async def resume(self, queue: str) -> dict[str, Any]:
        """Jobs of the queue are given to workers again."""
        return await self._change("POST", flow.queue_path(queue, "/resume"))

    async def _change(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        return dict(await self._client._run(flow.change(self._client._settings, method, path, body)))


class AsyncSchedules:
    """The schedules: jobs that are enqueued again and again. A schedule is the server's answer, a mapping with ``name``, ``cron`` or
    ``every``, ``timezone``, ``paused``, ``job``, ``last_at``, ``last_job``, ``recent`` and ``next``."""

    def __init__(self, client: AsyncLonghaul) -> None:
        self._client = client

    async def list(self) -> Rows:
        """All schedules, by name."""
        return list((await self._client._run(flow.read(self._client._settings, "/api/schedules")))["schedules"])

    async def get(self, name: str) -> dict[str, Any]:
        """One schedule."""
        return dict(await self._client._run(flow.read(self._client._settings, flow.schedule_path(name))))

    async def set(self, name: str, **schedule: Any) -> dict[str, Any]:
        """Keeps a schedule, in the place of the one that has its name: ``cron`` or ``every``, and the ``job`` of each tick. One that is
        paused stays paused, unless ``paused`` is given."""
        return await self._change("PUT", flow.schedule_path(name), schedule)

    async def pause(self, name: str) -> dict[str, Any]:
        """Leaves ticks out, on every server, until the schedule is resumed."""
        return await self._change("POST", flow.schedule_path(name, "/pause"))

    async def resume(self, name: str) -> dict[str, Any]:
        """Ticks are fired again, from now on."""
        return await self._change("POST", flow.schedule_path(name, "/resume"))

    async def run(self, name: str) -> AsyncJobHandle:
        """Enqueues the schedule's job now, beside its ticks."""
        job = Job.read(await self._change("POST", flow.schedule_path(name, "/run")))
        return AsyncJobHandle(self._client, job.id, job)

    async def delete(self, name: str) -> None:
        """Deletes a schedule; jobs that it has enqueued stay."""
        await self._client._run(flow.remove(self._client._settings, flow.schedule_path(name)))

    async def _change(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        return dict(await self._client._run(flow.change(self._client._settings, method, path, body)))


class AsyncTokens:
    """Tokens with scopes, for applications, workers and people that are to do some things and no others. A token is the server's
    answer, a mapping with ``id``, ``name``, ``scopes``, ``rate``, ``created_at`` and ``expires_at``."""

    def __init__(self, client: AsyncLonghaul) -> None:
        self._client = client

    async def list(self) -> Rows:
        """All tokens, oldest first."""
        return list((await self._client._run(flow.read(self._client._settings, "/api/tokens")))["tokens"])

    async def create(
        self, name: str, scopes: Sequence[str], *, rate: Mapping[str, Any] | None = None, expires_in: float | None = None
    ) -> dict[str, Any]:
        """Makes a token, which the answer has as ``token``, this once. ``rate`` is ``{"n": requests, "per": seconds}``."""
        body = flow.token(name, scopes, rate, expires_in)
        return dict(await self._client._run(flow.change(self._client._settings, "POST", "/api/tokens", body)))

    async def revoke(self, id: str) -> None:
        """Revokes a token: no server takes it a second from now."""
        await self._client._run(flow.remove(self._client._settings, flow.token_path(id)))


class AsyncWebhookSecrets:
    """The secrets that messages of webhooks are signed with: with each that there is, two at most. To change over, create a second one,
    give it to the receivers, and delete the first."""

    def __init__(self, client: AsyncLonghaul) -> None:
        self._client = client

    async def list(self) -> SecretRows:
        """The secrets by their names, oldest first."""
        return await self._client._run(webhooks.secrets(self._client._settings))

    async def create(self) -> WebhookSecret:
        """Makes a secret, which the answer has as ``secret``, this once. Raises ``Conflict`` with the code ``too_many_secrets`` where there
        are two."""
        return await self._client._run(webhooks.create_secret(self._client._settings))

    async def delete(self, id: str) -> None:
        """Deletes a secret: nothing is signed with it any more."""
        await self._client._run(flow.remove(self._client._settings, webhooks.secret_path(id)))
