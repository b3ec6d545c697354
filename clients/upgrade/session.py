"""A session of the Python client and worker, of whichever release is installed, at a server of whichever release: `session.py URL`.

It does what both releases know. `scripts/upgrade` runs it with the client of each at the server of each.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import uuid
from typing import Any

from longhaul import ApiError, AsyncContext, ChunkEvent, Context, Fatal, JobCancelled, JobFailed, JobHandle, Longhaul, Worker

#: The longest that anything is waited for, in seconds: far more than it takes on a busy machine.
PATIENCE = 240.0

url = sys.argv[1]
# Sessions at servers of one store share neither queue nor ids.
queue = f"session-{uuid.uuid4()}"
is_running = threading.Event()
worker = Worker(url, slots=4, lease=15.0, drain=PATIENCE)


@worker.job("session.story", queue=queue)
async def story(cx: AsyncContext, args: dict[str, Any]) -> dict[str, Any]:
    for number, word in enumerate(args["words"], start=1):
        cx.progress(100 * number / len(args["words"]), f"word {number}")
        cx.emit(word)
    cx.log("told")
    return {"words": len(args["words"]), "attempt": cx.attempt}


@worker.job("session.frail", queue=queue)
def frail(cx: Context, args: dict[str, Any]) -> list[Any]:
    done = cx.step("once", lambda: str(uuid.uuid4()))
    cx.emit(f"{done} in attempt {cx.attempt}")
    if cx.attempt <= args["failures"]:
        raise ValueError(f"broken {cx.attempt}")
    return [done, cx.attempt]


@worker.job("session.fatal", queue=queue)
def fatal(cx: Context, args: dict[str, Any]) -> None:
    raise Fatal("no retry can help")


@worker.job("session.endless", queue=queue)
async def endless(cx: AsyncContext, args: dict[str, Any]) -> None:
    is_running.set()
    await asyncio.Event().wait()


def expect(told: Any, expected: Any) -> None:
    if told != expected:
        raise AssertionError(f"{told!r} is not {expected!r}")


def ends_with(error: type[Exception], job: JobHandle) -> Any:
    try:
        job.wait(PATIENCE)
    except error as raised:
        return raised
    raise AssertionError(f"{job.id} does not end with {error.__name__}")


def use(client: Longhaul) -> None:
    options: dict[str, Any] = {"queue": queue, "labels": {"session": queue}}
    told = client.enqueue("session.story", {"words": ["once ", "there ", "were "]}, **options)
    expect("".join(event.data for event in told.events() if isinstance(event, ChunkEvent)), "once there were ")
    expect(told.wait(PATIENCE), {"words": 3, "attempt": 1})
    seen = told.get()
    expect((seen.state, seen.attempt, seen.labels), ("completed", 1, {"session": queue}))

    retried = client.enqueue("session.frail", {"failures": 1}, max_attempts=2, **options)
    done, attempt = retried.wait(PATIENCE)
    expect(attempt, 2)
    expect([error.message for error in retried.get().errors], ["ValueError: broken 1"])
    expect([event.data for event in retried.events() if isinstance(event, ChunkEvent)][-1], f"{done} in attempt 2")

    failed = client.enqueue("session.fatal", {}, **options)
    ends_with(JobFailed, failed)
    expect(failed.get().errors[0].message, "no retry can help")
    exhausted = client.enqueue("session.frail", {"failures": 1}, max_attempts=1, **options)
    ends_with(JobFailed, exhausted)
    exhausted.retry(args={"failures": 0})
    expect(exhausted.wait(PATIENCE)[1], 1)

    # The worker hears of it by the answer to a heartbeat.
    stopped = client.enqueue("session.endless", {}, **options)
    if not is_running.wait(PATIENCE):
        raise AssertionError("the worker runs no job that does not end")
    stopped.cancel()
    ends_with(JobCancelled, stopped)

    many = client.enqueue_many([{"kind": "session.story", "args": {"words": ["a"] * n}, "queue": queue} for n in range(3)])
    expect([job.wait(PATIENCE)["words"] for job in many], [0, 1, 2])
    first = client.enqueue("session.story", {"words": []}, unique={"key": queue, "period": 3600}, **options)
    first.wait(PATIENCE)
    expect(client.enqueue("session.story", {"words": [""]}, unique={"key": queue, "period": 3600}, **options).id, first.id)
    once = [client.enqueue("session.story", {"words": []}, idempotency_key=queue, **options) for _ in range(2)]
    expect(once[0].id, once[1].id)
    expect(once[0].wait(PATIENCE)["words"], 0)

    later = client.enqueue("session.story", {"words": []}, delay=86_400, **options)
    expect(later.get().state, "scheduled")
    later.cancel()
    ends_with(JobCancelled, later)
    listed = {job.id for job in client.jobs.list(q=f"label.session:{queue}")}
    expect(listed, {job.id for job in [told, retried, failed, exhausted, stopped, first, once[0], later]})
    expect(client.queues.pause(queue)["paused"], True)
    expect(client.queues.resume(queue)["paused"], False)
    told.delete()
    try:
        told.get()
    except ApiError as error:
        expect(error.status, 410)
    else:
        raise AssertionError("a deleted job is there")


def main() -> None:
    working = threading.Thread(target=lambda: asyncio.run(worker.run_async()), daemon=True)
    working.start()
    with Longhaul(url) as client:
        use(client)
    worker.stop()
    working.join(PATIENCE)
    if working.is_alive():
        raise AssertionError("the worker does not stop")
    # What a handler left behind keeps no process alive.
    sys.stdout.flush()
    os._exit(0)


main()
