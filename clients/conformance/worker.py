"""The worker for Python under the conformance tests: `worker.py URL OPTIONS`. See README.md for the kinds."""

import asyncio
import json
import sys
from typing import Any

import httpx

from longhaul import AsyncContext, Cancel, Fatal, RateLimited, Snooze, Worker

options = json.loads(sys.argv[2])
queue = options.pop("queue")
worker = Worker(sys.argv[1], **options)


http = httpx.AsyncClient(timeout=None, verify=False)


async def ask(url: str) -> str:
    return (await http.get(url)).text


@worker.job("echo", queue=queue)
async def echo(cx: AsyncContext, args: Any) -> Any:
    return args


@worker.job("told", queue=queue, version=2)
async def told(cx: AsyncContext, args: Any) -> Any:
    counts = {"attempt": cx.attempt, "max_attempts": cx.max_attempts, "version": cx.version}
    return {"id": cx.job_id, **counts, "labels": cx.labels, "traceparent": cx.traceparent}


@worker.job("gate", queue=queue)
async def gate(cx: AsyncContext, args: Any) -> str:
    cx.emit("started")
    try:
        await ask(args["gate"])
    except asyncio.CancelledError:
        await ask(args["stopped"])
        raise
    return "done"


@worker.job("stubborn", queue=queue)
async def stubborn(cx: AsyncContext, args: Any) -> str:
    cx.emit("started")
    asked = asyncio.ensure_future(ask(args["gate"]))
    while not asked.done():
        try:
            await asyncio.shield(asked)
        except asyncio.CancelledError:
            await ask(args["stopped"])
    cx.emit("went")
    return "done"


@worker.job("block", queue=queue)
async def block(cx: AsyncContext, args: Any) -> str:
    cx.emit("started")
    await cx.step("started", lambda: asyncio.sleep(0))
    httpx.get(args["gate"], timeout=None)
    return "done"


@worker.job("steps", queue=queue)
async def steps(cx: AsyncContext, args: Any) -> Any:
    first = await cx.step("first", lambda: ask(args["hit"]))
    if cx.attempt == 1:
        raise ValueError("broken after the step")
    return [first, cx.attempt]


@worker.job("twice", queue=queue)
async def twice(cx: AsyncContext, args: Any) -> Any:
    def fails() -> None:
        raise ValueError("not yet")

    try:
        await cx.step("same", fails)
    except ValueError:
        first = await cx.step("same", lambda: 1)
    return [first, await cx.step("same", lambda: 2)]


@worker.job("patched", queue=queue)
async def patched(cx: AsyncContext, args: Any) -> Any:
    is_new = cx.attempt > 1 and args["changed"] == "before" and await cx.patched("point")
    await cx.step("done", lambda: 1)
    is_new = is_new or cx.attempt > 1 and args["changed"] == "after" and await cx.patched("point")
    if cx.attempt < 3:
        raise ValueError("again")
    return is_new


@worker.job("end", queue=queue)
async def end(cx: AsyncContext, args: Any) -> Any:
    if args["how"] == "fatal":
        raise Fatal("no retry can help")
    if args["how"] == "cancel":
        raise Cancel("not wanted")
    if args["how"] == "large":
        return "x" * args["bytes"]
    if args["how"] == "no json":
        return object()
    raise ValueError("broken")


@worker.job("wait", queue=queue)
async def wait(cx: AsyncContext, args: Any) -> Any:
    if args["how"] == "signal":
        return [await cx.wait_for("go", timeout=args.get("timeout")), cx.attempt]
    if args["how"] == "sleep":
        await cx.sleep("while", args["seconds"])
        return cx.attempt
    if args["how"] == "token":
        cx.emit(await cx.wait_token("go"))
        return await cx.wait_for("go")
    await cx.enqueue_children("all", args["children"])
    return [vars(await cx.wait_for_children()), cx.attempt]


@worker.job("settle", queue=queue)
async def settle(cx: AsyncContext, args: Any) -> None:
    cx.settle(args["units"] + 1)
    cx.settle(args["units"])


@worker.job("later", queue=queue)
async def later(cx: AsyncContext, args: Any) -> Any:
    if await ask(args["hit"]) == "1":
        raise (RateLimited if args["is_limit"] else Snooze)(args["seconds"])
    return cx.attempt


@worker.job("say", queue=queue)
async def say(cx: AsyncContext, args: Any) -> None:
    cx.progress(10, "begun")
    cx.log("saying", "warn")
    for number in range(args["chunks"]):
        cx.emit(f"{number} " + "x" * args["bytes"])
    cx.progress(90, "said", {"chunks": args["chunks"]})


worker.run()
