"""A worker in a process of its own, whose one job says that it has started and does not end."""

import asyncio
import sys

from longhaul import AsyncContext, Worker

worker = Worker(sys.argv[1], lease=2.0, drain=0.2)


@worker.job("endless")
async def endless(cx: AsyncContext, args: object) -> None:
    print("started", flush=True)
    await asyncio.Event().wait()


worker.run()
