"""The same with Celery, one process with a pool of threads: `work_celery.py REDIS SLOTS JOBS`. It enqueues them first."""

import os
import sys
import threading
import time

from celery import Celery

url, slots, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3])
app = Celery("bench", broker=url)
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=4, broker_connection_retry_on_startup=True, worker_redirect_stdouts=False)
lock = threading.Lock()
begun = done = 0.0


@app.task(name="bench")
def bench(args: object) -> None:
    global begun, done
    with lock:
        if done == 0:
            begun = time.monotonic()
        done += 1
        if done == jobs:
            print(time.monotonic() - begun, flush=True)
            threading.Timer(0.2, lambda: os._exit(0)).start()


for _ in range(jobs):
    bench.delay({"to": "ada@example.com", "text": "x" * 150})
quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"]
app.worker_main(["worker", "-P", "threads", "-c", slots, *quiet])
