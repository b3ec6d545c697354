"""A worker in a process of its own, whose one job says that it has started and does not end. A call of its rows ends the first of them."""

import asyncio
import sys

from longhaul import AsyncContext, Collected, Worker

worker = Worker(sys.argv[1], lease=float(sys.argv[2]), drain=0.2)


@worker.job("endless")
async def endless(cx: AsyncContext, args: object) -> None:
    print("started", flush=True)
    await asyncio.Event().wait()


@worker.collect("rows", max=3, wait=3_600)
async def rows(jobs: list[Collected[AsyncContext]]) -> None:
    jobs[0].complete("before the end")
    await asyncio.Event().wait()


worker.run()
