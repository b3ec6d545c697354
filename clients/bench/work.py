"""Runs so many jobs with the worker for Python, and prints the seconds from the first to the last: `work.py URL SLOTS JOBS`."""

import sys
import time

from longhaul import AsyncContext, Worker

url, slots, jobs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
worker = Worker(url, slots=slots)
begun = done = 0.0


@worker.job("bench", queue="bench")
async def bench(cx: AsyncContext, args: object) -> None:
    global begun, done
    if done == 0:
        begun = time.monotonic()
    done += 1
    if done == jobs:
        print(time.monotonic() - begun, flush=True)
        worker.stop()


worker.run()
