"""A worker in Python, beside a server in Rust: it needs no database, only the server's address.

    longhaul serve --accept-unknown-kinds
    python python_worker.py http://127.0.0.1:8000
    longhaul run count_words '{"text": "so it goes"}' --wait
"""

import asyncio
import sys

from longhaul import AsyncContext, Fatal, Worker

worker = Worker(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000", slots=8)


@worker.job("count_words")
async def count_words(cx: AsyncContext, args: dict[str, str]) -> dict[str, int]:
    if "text" not in args:
        raise Fatal("args.text is missing")  # trying again would not help
    lines = args["text"].splitlines()
    words = 0
    for number, line in enumerate(lines, start=1):
        words += len(line.split())
        cx.progress(100 * number / len(lines), f"line {number} of {len(lines)}")
        await asyncio.sleep(0)  # the event loop stays free for the other jobs
    return {"words": words}


worker.run()  # until SIGTERM, which lets running jobs end
