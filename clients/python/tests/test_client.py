"""The client and the worker against a real server. `LONGHAUL_BIN` names its binary."""

from __future__ import annotations

import asyncio
import queue
import signal
import subprocess
import sys
import threading
import unittest
from pathlib import Path

import httpx

import longhaul
from longhaul import AsyncLonghaul, Longhaul, Worker
from server import Server


class Counting(httpx.HTTPTransport):
    """Tells of each heartbeat that was answered."""

    def __init__(self, beats: threading.Semaphore) -> None:
        super().__init__()
        self.beats = beats

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if request.url.path.endswith("/heartbeat"):
            self.beats.release()
        return response


class Case(unittest.TestCase):
    """Each test has a server of its own, and a worker where it starts one."""

    def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.close)
        self.client = Longhaul(self.server.url, max_retries=5)
        self.addCleanup(self.client.close)

    def work(self, worker: Worker) -> threading.Thread:
        thread = threading.Thread(target=lambda: asyncio.run(worker.run_async()))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(worker.stop)
        return thread

    def process(self, lease: float) -> subprocess.Popen[bytes]:
        """A worker in a process of its own. Four fifths of its lease without a heartbeat end a run, also on a busy machine."""
        program = Path(__file__).with_name("worker_process.py")
        process = subprocess.Popen([sys.executable, str(program), self.server.url, str(lease)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def worker(self, **options: object) -> Worker:
        return Worker(self.server.url, **{"lease": 5.0, "drain": 5.0, **options})  # type: ignore[arg-type]


class Jobs(Case):
    def test_a_job_runs_and_its_output_is_answered(self) -> None:
        worker = self.worker()

        @worker.job("add")
        def add(cx: longhaul.Context, args: dict[str, int]) -> int:
            return args["a"] + args["b"]

        self.work(worker)
        self.assertEqual(self.client.run("add", {"a": 1, "b": 2}, wait_timeout=60), 3)

    def test_a_token_is_made_used_and_revoked_and_the_log_tells_it(self) -> None:
        made = self.client.tokens.create("shop", ["enqueue:add", "read:own"], rate={"n": 100, "per": 60}, expires_in=3_600)
        self.assertEqual([token["id"] for token in self.client.tokens.list()], [made["id"]])
        self.client.enqueue("add", {"a": 0, "b": 0})
        with Longhaul(self.server.url, token=made["token"]) as shop:
            self.assertEqual(shop.me()["scopes"], ["enqueue:add", "read:own"])
            job = shop.enqueue("add", {"a": 1, "b": 2})
            self.assertEqual([found.id for found in shop.jobs.list()], [job.id])
            self.assertEqual([found.id for found in self.client.jobs.list(created_by=made["id"])], [job.id])
            self.assertTrue(self.client.job(job.id).read_token(expires_in=60))
            with self.assertRaises(longhaul.Invalid):
                self.client.job(job.id).read_token(expires_in=100_000)
            with self.assertRaises(longhaul.ApiError):
                shop.enqueue("other")
        self.client.tokens.revoke(made["id"])
        self.assertEqual(self.client.tokens.list(), [])
        self.client.queues.pause("default")
        actions = [entry["action"] for entry in self.client.audit(limit=2)["entries"]]
        self.assertEqual(actions, ["queue.pause", "token.delete"])

        async def awaited() -> list[str]:
            async with AsyncLonghaul(self.server.url) as client:
                wall = await client.tokens.create("wall", ["viewer"])
                names = [token["name"] for token in await client.tokens.list()]
                await client.tokens.revoke(wall["id"])
                return names + [(await client.audit())["entries"][0]["action"]]

        self.assertEqual(asyncio.run(awaited()), ["wall", "token.delete"])

    def test_what_a_webhook_told_is_listed_and_sent_again(self) -> None:
        url = "http://127.0.0.1:1/hook"
        job = self.client.enqueue("add", webhook={"url": url, "events": ["cancelled"]})
        [waiting] = job.deliveries()
        self.assertEqual((waiting["url"], waiting["events"], waiting["event"], waiting["state"]), (url, ["cancelled"], None, "blocked"))
        with self.assertRaises(longhaul.Conflict) as early:
            self.client.redeliver(waiting["id"])
        self.assertEqual(early.exception.code, "not_finished")
        job.cancel()
        # The server was not told that it may call its own machine.
        with self.assertRaises(longhaul.JobFailed):
            self.client.job(waiting["id"]).wait(120)
        [failed] = job.deliveries()
        self.assertEqual((failed["state"], failed["event"], failed["status"]), ("failed", "cancelled", None))
        self.assertIn("127.0.0.1 is a loopback address", failed["failures"][0]["error"])
        again = self.client.redeliver(failed["id"])
        self.assertEqual(again["message_id"], failed["message_id"])
        self.assertEqual([told["id"] for told in job.deliveries()], [failed["id"], again["id"]])
        with self.assertRaises(longhaul.NotFound):
            self.client.redeliver(job.id)

        async def awaited() -> list[str]:
            async with AsyncLonghaul(self.server.url) as client:
                with self.assertRaises(longhaul.JobFailed):
                    await client.job(again["id"]).wait(120)
                made = await client.redeliver(again["id"])
                return [told["id"] for told in await client.job(job.id).deliveries() if told["id"] != made["id"]]

        self.assertEqual(asyncio.run(awaited()), [failed["id"], again["id"]])

    def test_webhooks_are_signed_with_two_secrets_at_most(self) -> None:
        made = [self.client.webhook_secrets.create() for _ in range(2)]
        self.assertEqual([secret["secret"][:6] for secret in made], ["whsec_", "whsec_"])
        with self.assertRaises(longhaul.Conflict) as third:
            self.client.webhook_secrets.create()
        self.assertEqual(third.exception.code, "too_many_secrets")
        listed = self.client.webhook_secrets.list()
        self.assertEqual([secret["id"] for secret in listed], [secret["id"] for secret in made])
        self.assertNotIn("secret", listed[0], "it is told once")
        self.client.webhook_secrets.delete(made[0]["id"])
        with self.assertRaises(longhaul.NotFound):
            self.client.webhook_secrets.delete(made[0]["id"])

        async def awaited() -> list[str]:
            async with AsyncLonghaul(self.server.url) as client:
                third = await client.webhook_secrets.create()
                await client.webhook_secrets.delete(made[1]["id"])
                kept = [secret["id"] for secret in await client.webhook_secrets.list()]
                self.assertEqual(kept, [third["id"]])
                return kept

        self.assertEqual(len(asyncio.run(awaited())), 1)

    def test_a_schedule_is_kept_run_by_hand_paused_and_deleted(self) -> None:
        job = {"kind": "add", "args": {"a": 1, "b": 2}, "labels": {"team": "ops"}}
        made = self.client.schedules.set("nightly", cron="0 3 * * *", timezone="Europe/Berlin", job=job)
        self.assertEqual((made["description"], len(made["next"]), made["last_at"]), ("At 03:00 (Europe/Berlin)", 5, None))
        self.assertEqual([schedule["name"] for schedule in self.client.schedules.list()], ["nightly"])
        run = self.client.schedules.run("nightly")
        self.assertEqual((run.get().args, run.get().labels["schedule"]), ({"a": 1, "b": 2}, "nightly"))
        self.assertTrue(self.client.schedules.pause("nightly")["paused"])
        self.assertFalse(self.client.schedules.resume("nightly")["paused"])
        self.client.schedules.delete("nightly")
        with self.assertRaises(longhaul.NotFound):
            self.client.schedules.get("nightly")
        with self.assertRaises(longhaul.Invalid):
            self.client.schedules.set("s", cron="0 3 * *", job=job)

        async def awaited() -> list[str]:
            async with AsyncLonghaul(self.server.url) as client:
                await client.schedules.set("often", every=900, job=job)
                await (await client.schedules.run("often")).get()
                names = [schedule["name"] for schedule in await client.schedules.list()]
                await client.schedules.delete("often")
                return names

        self.assertEqual(asyncio.run(awaited()), ["often"])

    def test_chunks_progress_and_logs_are_followed_to_the_end(self) -> None:
        worker = self.worker()

        @worker.job("write")
        async def write(cx: longhaul.AsyncContext, args: dict[str, str]) -> str:
            cx.progress(50, "half", {"page": 1})
            cx.log("writing", "warn")
            for word in ("slow ", "work ", "done"):
                cx.emit(word)
            return "whole"

        job = self.client.enqueue("write", {})
        self.work(worker)
        events = list(job.events())
        self.assertEqual([event.data for event in events if isinstance(event, longhaul.ChunkEvent)], ["slow ", "work ", "done"])
        self.assertTrue(any(isinstance(event, longhaul.LogEvent) and event.level == "warn" for event in events))
        self.assertEqual([event.output for event in events if isinstance(event, longhaul.OutputEvent)], ["whole"])
        last = events[-1]
        self.assertIsInstance(last, longhaul.StateEvent)
        self.assertEqual(last.state, "completed")  # type: ignore[union-attr]
        self.assertEqual(job.text(), "slow work done")
        self.assertEqual(job.get().progress, longhaul.Progress(50, "half", {"page": 1}))
        self.assertEqual(list(job.events(after=last.id)), [], "nothing is told twice")

    def test_a_failed_attempt_is_reset_and_its_steps_are_not_done_again(self) -> None:
        worker, done = self.worker(), []

        @worker.job("steps")
        def steps(cx: longhaul.Context, args: None) -> list[int]:
            cx.emit(f"attempt {cx.attempt}")
            first = cx.step("first", lambda: done.append("first") or 7)
            if cx.attempt == 1:
                raise ValueError("broken")
            return [first, cx.attempt]

        self.work(worker)
        job = self.client.enqueue("steps")
        self.assertEqual(job.text(), "attempt 2")
        self.assertEqual((job.get().output, done), ([7, 2], ["first"]))
        self.assertIn("ValueError: broken", job.get().errors[0].message)

    def test_a_deadline_cuts_a_handler_off_and_is_no_failure_of_an_attempt(self) -> None:
        worker, stopped = self.worker(), {kind: threading.Event() for kind in ("coroutine", "function")}

        @worker.job("coroutine")
        async def coroutine(cx: longhaul.AsyncContext, args: None) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                stopped["coroutine"].set()

        @worker.job("function")
        def function(cx: longhaul.Context, args: None) -> str:
            cx._run.stopped.wait(60)
            stopped["function"].set()
            return "too late"

        @worker.job("brief")
        async def brief(cx: longhaul.AsyncContext, args: int) -> int:
            return args

        self.work(worker)
        # A deadline counts from the enqueue: the worker's own start must not use it up.
        self.assertEqual(self.client.run("brief", 0, wait_timeout=60), 0)
        jobs = {kind: self.client.enqueue(kind, deadline=15) for kind in stopped}
        for kind, job in jobs.items():
            with self.assertRaises(longhaul.JobExpired):
                job.wait(60)
            self.assertTrue(stopped[kind].wait(60), kind)
            seen = job.get()
            self.assertEqual((seen.attempt, seen.cancel_reason), (1, "deadline"))
            self.assertEqual([error.message for error in seen.errors], ["stopped, because its deadline has passed"])

    def test_jobs_of_a_collected_kind_come_in_one_call_and_end_each_by_itself(self) -> None:
        worker, calls = self.worker(), []

        @worker.collect("row", max=3, wait=3_600, by="tenant.id")
        async def rows(jobs: list[longhaul.Collected[longhaul.AsyncContext]]) -> None:
            calls.append([job.args["n"] for job in jobs])
            for job in jobs:
                job.cx.progress(50, f"row {job.args['n']}")
            first, second, third = jobs
            first.complete({"n": first.args["n"]})
            second.fail(longhaul.Fatal("no such row"))
            self.assertTrue(first.has_ended and second.has_ended and not third.has_ended)
            with self.assertRaises(TypeError):
                third.complete(object())
            await asyncio.to_thread(lambda: None)
            raise ValueError("the rest")

        self.work(worker)
        asked = [{"tenant": {"id": tenant}, "n": n} for n, tenant in enumerate([1, 2, 1, 2, 1, 2])]
        jobs = self.client.enqueue_many([{"kind": "row", "args": args, "max_attempts": 1} for args in asked])
        ended = []
        for job in jobs:
            try:
                job.wait(60)
            except longhaul.JobFailed:
                pass
            ended.append(job.get())
        self.assertEqual(sorted(calls), [[0, 2, 4], [1, 3, 5]])
        self.assertEqual([job.state for job in ended], ["completed", "completed", "failed", "failed", "failed", "failed"])
        self.assertEqual((ended[1].output, ended[2].errors[0].message, ended[4].errors[0].message), ({"n": 1}, "no such row", "ValueError: the rest"))
        self.assertEqual([job.progress.message for job in ended if job.progress], [f"row {n}" for n in range(6)])

    def test_a_call_of_a_function_begins_when_its_first_job_has_waited_and_what_it_forgets_has_failed(self) -> None:
        worker = self.worker()

        @worker.collect("row", max=100, wait=0.05)
        def rows(jobs: list[longhaul.Collected[longhaul.Context]]) -> None:
            for job in jobs:
                if job.args != "forget":
                    job.complete(job.args)

        self.work(worker)
        kept, forgotten = self.client.enqueue("row", 1), self.client.enqueue("row", "forget", max_attempts=1)
        self.assertEqual(kept.wait(60), 1)
        with self.assertRaisesRegex(longhaul.JobFailed, "gave it no end of its own"):
            forgotten.wait(60)

    def test_a_job_whose_time_is_over_leaves_its_call_which_goes_on_for_the_others(self) -> None:
        worker, go_on = self.worker(), threading.Event()

        @worker.collect("row", max=2, wait=3_600)
        def rows(jobs: list[longhaul.Collected[longhaul.Context]]) -> None:
            go_on.wait(60)
            for job in jobs:
                job.complete(job.has_ended)

        self.work(worker)
        brief, other = self.client.enqueue("row", 0, timeout=0.2, max_attempts=1), self.client.enqueue("row", 1)
        with self.assertRaisesRegex(longhaul.JobFailed, "took longer than 0.2 s"):
            brief.wait(60)
        go_on.set()
        self.assertIs(other.wait(60), False)

    def test_a_job_that_is_cancelled_while_it_waits_for_others_is_left_out_and_a_shutdown_gives_the_rest_back(self) -> None:
        worker = self.worker(slots=1, lease=2.0)

        @worker.collect("row", max=9, wait=3_600)
        async def rows(jobs: list[longhaul.Collected[longhaul.AsyncContext]]) -> None:
            raise AssertionError("no call is due")

        thread = self.work(worker)
        cancelled, other = self.client.enqueue("row", 0), self.client.enqueue("row", 1)
        for job in (cancelled, other):
            next(event for event in job.events() if getattr(event, "state", "") == "running")
        cancelled.cancel()
        with self.assertRaises(longhaul.JobCancelled):
            cancelled.wait(60)
        worker.stop()
        thread.join()
        back = other.get()
        self.assertEqual((back.state, back.attempt), ("available", 0))

    def test_a_call_takes_one_slot_in_turn_with_jobs_of_other_kinds(self) -> None:
        worker, order = self.worker(slots=1), []

        @worker.collect("row", max=2, wait=3_600)
        async def rows(jobs: list[longhaul.Collected[longhaul.AsyncContext]]) -> None:
            order.append("call")
            for job in jobs:
                job.complete()

        @worker.job("single")
        async def single(cx: longhaul.AsyncContext, args: None) -> None:
            order.append("single")

        jobs = self.client.enqueue_many([{"kind": kind, "args": None} for kind in ["row"] * 4 + ["single"] * 2])
        self.work(worker)
        for job in jobs:
            job.wait(60)
        self.assertEqual(sorted(order), ["call", "call", "single", "single"])

    def test_a_collect_out_of_bounds_is_refused(self) -> None:
        worker = self.worker()
        for wrong, message in (({"max": 0}, "max is a whole number from 1 to 1000"), ({"wait": 3_601.0}, "wait is 0 to 3600 s"), ({"by": "a..b"}, "by is a path")):
            with self.assertRaisesRegex(ValueError, message):
                worker.collect("row", **wrong)  # type: ignore[arg-type]

    def test_a_run_settles_what_it_took_and_later_ones_wait_for_it_or_not(self) -> None:
        worker = self.worker()

        @worker.job("ask")
        def ask(cx: longhaul.Context, taken: int | None) -> None:
            if taken is None:
                with self.assertRaises(ValueError):
                    cx.settle(-1)
            else:
                cx.settle(taken)

        self.work(worker)
        self.client.set_key("tokens:*", rate={"n": 10, "per": 3_600, "burst": 10})

        def is_free(key: str, taken: int | None, rate: int) -> bool:
            self.client.run("ask", taken, key=key, cost={"rate": rate}, wait_timeout=60)
            return self.client.key(key)["rate_free_at"] is None

        self.assertEqual((is_free("tokens:a", 20, 1), is_free("tokens:b", 0, 10)), (False, True), "more, and less, than was set aside")
        self.assertEqual((is_free("tokens:c", None, 1), is_free("tokens:d", None, 10)), (True, False), "what is not settled stays")

    def test_a_fatal_error_fails_at_once_and_is_raised_where_it_is_waited_for(self) -> None:
        worker = self.worker()

        @worker.job("fatal")
        async def fatal(cx: longhaul.AsyncContext, args: None) -> None:
            raise longhaul.Fatal("no retry can help")

        self.work(worker)
        with self.assertRaises(longhaul.JobFailed) as caught:
            self.client.run("fatal", wait_timeout=60)
        self.assertEqual(caught.exception.job.attempt, 1)
        self.assertIn("no retry can help", str(caught.exception))

    def test_an_output_that_is_no_json_fails_its_own_job_only(self) -> None:
        worker = self.worker()

        @worker.job("odd")
        async def odd(cx: longhaul.AsyncContext, args: object) -> object:
            return object() if args == "bad" else args

        self.work(worker)
        bad, good = self.client.enqueue_many([{"kind": "odd", "args": "bad", "max_attempts": 1}, {"kind": "odd", "args": 1}])
        with self.assertRaises(longhaul.JobFailed):
            bad.wait(60)
        self.assertEqual(good.wait(60), 1)

    def test_a_snooze_costs_no_attempt(self) -> None:
        worker, calls = self.worker(), []

        @worker.job("later")
        async def later(cx: longhaul.AsyncContext, args: None) -> int:
            calls.append(cx.attempt)
            if len(calls) == 1:
                raise longhaul.Snooze(0)
            return cx.attempt

        self.work(worker)
        self.assertEqual(self.client.run("later", wait_timeout=60), 1)
        self.assertEqual(calls, [1, 1])

    def test_a_cancelled_job_stops_its_handler(self) -> None:
        worker, started, stopped = self.worker(lease=30.0), threading.Event(), threading.Event()

        @worker.job("long")
        def long(cx: longhaul.Context, args: None) -> None:
            started.set()
            cx._run.stopped.wait()
            stopped.set()
            cx.raise_if_cancelled()

        self.work(worker)
        job = self.client.enqueue("long")
        self.assertTrue(started.wait(60))
        job.cancel()
        with self.assertRaises(longhaul.JobCancelled):
            job.wait(60)
        # The job is cancelled without the handler, too, where that is late.
        self.assertTrue(stopped.wait(60))

    def test_a_wait_that_is_over_leaves_the_job_alone(self) -> None:
        job = self.client.enqueue("nobody")
        with self.assertRaises(longhaul.TimeoutError) as caught:
            job.wait(0.1)
        self.assertEqual((caught.exception.handle.id, job.get().state), (job.id, "available"))


class Lists(Case):
    def test_pages_are_read_as_they_are_needed(self) -> None:
        self.client.enqueue_many([{"kind": "many", "args": n, "labels": {"even": str(n % 2 == 0)}} for n in range(120)])
        self.assertEqual([job.args for job in self.client.jobs.list(kind="many", limit=50)], list(range(119, -1, -1)))
        self.assertEqual(len(list(self.client.jobs.list(labels={"even": "True"}))), 60)
        self.assertEqual(list(self.client.jobs.list(kind=[])), [], "an empty list fits no job")

    def test_many_are_cancelled_retried_and_deleted_by_a_filter(self) -> None:
        self.client.enqueue_many([{"kind": "many", "args": n} for n in range(2_500)])
        filter = {"kind": "many"}
        self.assertEqual(self.client.jobs.cancel(filter=filter, dry_run=True, limit=10).done, 10)
        self.assertEqual(self.client.jobs.cancel(filter=filter, dry_run=True).done, 2_500)
        self.assertEqual(self.client.jobs.cancel(filter=filter).done, 2_500)
        self.assertEqual(self.client.jobs.retry(filter=filter, limit=5).done, 5)
        self.assertEqual(self.client.jobs.delete(filter={"kind": "many", "state": "cancelled"}).done, 2_495)

    def test_a_refusal_names_the_field(self) -> None:
        with self.assertRaises(longhaul.Invalid) as caught:
            self.client.enqueue("x", {}, max_attempts=0)
        self.assertEqual(caught.exception.errors[0]["field"], "max_attempts")
        with self.assertRaises(longhaul.NotFound):
            self.client.job("unknown").get()

    def test_a_duplicate_is_joined_or_raised(self) -> None:
        first = self.client.enqueue("x", {}, unique={"key": "k"})
        self.assertEqual(self.client.enqueue("x", {}, unique={"key": "k"}).id, first.id)
        with self.assertRaises(longhaul.DuplicateJob):
            self.client.enqueue("x", {}, unique={"key": "k"}, on_duplicate="raise")


class Feed(Case):
    def test_the_live_feed_tells_of_each_change_and_of_a_gap_and_failures_are_grouped_and_counted(self) -> None:
        worker = self.worker()

        @worker.job("frail")
        def frail(cx: longhaul.Context, args: object) -> None:
            raise ValueError("no page 7")

        self.work(worker)
        client = Longhaul(self.server.url, max_retries=10)
        self.addCleanup(client.close)
        heard: queue.Queue[object] = queue.Queue()

        def follow() -> None:
            for change in client.events(kind="frail"):
                heard.put(change)
                if isinstance(change, longhaul.JobChange) and change.state is None:
                    return

        reader = threading.Thread(target=follow)
        reader.start()
        self.addCleanup(reader.join)
        self.assertEqual(heard.get(timeout=60), longhaul.ChangesMissed(), "from here on changes are told")
        job = client.enqueue("frail", max_attempts=1)
        seen = [heard.get(timeout=60) for _ in range(3)]
        told = [(change.type, change.id, change.state) for change in seen if isinstance(change, longhaul.JobChange)]
        self.assertEqual(told, [("job", job.id, state) for state in ("available", "running", "failed")])
        [group] = client.errors(kind="frail")
        self.assertEqual((group["kind"], group["count"], group["job"]), ("frail", 1, job.id))
        series = client.stats(window=600, kind="frail")["series"]
        self.assertEqual((sum(at["failed"] for at in series), sum(at["enqueued"] for at in series)), (1, 1))
        # The worker's first heartbeat may be on its way yet.
        while ("frail", True, 1) not in [(kind["kind"], kind["known"], kind["workers"]) for kind in client.kinds()]:
            pass
        self.assertIn(worker.id, [known["id"] for known in client.workers() if known["version"].startswith("longhaul-py ")])
        self.assertEqual((client.keys(), client.me()["role"]), ([], "admin"))
        self.server.restart()
        self.assertEqual(heard.get(timeout=60), longhaul.ChangesMissed())
        client.jobs.delete(filter={"ids": [job.id]})
        last = heard.get(timeout=60)
        assert isinstance(last, longhaul.JobChange)
        self.assertEqual((last.id, last.state), (job.id, None))


class Faults(Case):
    def test_a_reader_and_a_worker_live_through_a_server_that_is_killed(self) -> None:
        worker, said, go = self.worker(lease=30.0), threading.Event(), threading.Event()

        @worker.job("story")
        def story(cx: longhaul.Context, args: None) -> str:
            cx.emit("before ")
            # Once the server has answered: what it has kept and not answered is sent to the next one again.
            cx.step("said", lambda: True)
            said.set()
            go.wait()
            cx.emit("after")
            return "told"

        self.work(worker)
        job = self.client.enqueue("story")
        chunks: list[object] = []
        for event in job.events():
            if isinstance(event, longhaul.ChunkEvent):
                chunks.append(event.data)
                if not go.is_set():
                    said.wait()
                    self.server.restart()
                    go.set()
        self.assertEqual(chunks, ["before ", "after"])
        self.assertEqual(job.wait(60), "told")
        self.assertEqual(job.get().attempt, 1)

    def test_a_handler_that_holds_the_event_loop_keeps_its_lease(self) -> None:
        beats = threading.Semaphore(0)
        worker = self.worker(lease=20.0, transport=Counting(beats))

        @worker.job("rude")
        async def rude(cx: longhaul.AsyncContext, args: None) -> int:
            # Nothing else of the loop runs meanwhile. There are ten heartbeats in a lease, of which some in a row may be late.
            for _ in range(12):
                beats.acquire()
            return cx.attempt

        self.work(worker)
        job = self.client.enqueue("rude")
        self.assertEqual(job.wait(120), 1)
        self.assertEqual(job.get().raw["crashes"], 0)

    def test_sigterm_lets_jobs_end_or_hands_them_back_at_no_cost(self) -> None:
        process = self.process(lease=60)
        assert process.stdout is not None
        job = self.client.enqueue("endless")
        self.assertEqual(process.stdout.readline(), b"started\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 0)
        left = job.get()
        self.assertEqual((left.state, left.attempt, left.raw["crashes"]), ("available", 0, 0))

    def test_a_worker_that_is_killed_loses_no_job(self) -> None:
        process = self.process(lease=10)
        assert process.stdout is not None
        job = self.client.enqueue("endless", {"once": True})
        self.assertEqual(process.stdout.readline(), b"started\n")
        process.kill()
        process.wait()
        worker = self.worker()

        @worker.job("endless")
        async def endless(cx: longhaul.AsyncContext, args: object) -> str:
            return "by another"

        self.work(worker)
        self.assertEqual(job.wait(120), "by another")
        self.assertEqual(job.get().raw["crashes"], 1)

    def test_jobs_of_a_call_whose_worker_is_killed_come_back_but_for_those_that_have_ended(self) -> None:
        process = self.process(lease=10)
        first, *others = self.client.enqueue_many([{"kind": "rows", "args": n} for n in range(3)])
        self.assertEqual(first.wait(120), "before the end")
        process.kill()
        process.wait()
        worker, calls = self.worker(), []

        @worker.collect("rows", max=2, wait=3_600)
        async def rows(jobs: list[longhaul.Collected[longhaul.AsyncContext]]) -> None:
            calls.append(sorted(job.args for job in jobs))
            for job in jobs:
                job.complete("by another")

        self.work(worker)
        self.assertEqual([job.wait(120) for job in others], ["by another"] * 2)
        self.assertEqual((calls, [job.get().raw["crashes"] for job in (first, *others)]), ([[1, 2]], [0, 1, 1]))


class Asyncio(Case):
    def test_the_asyncio_client_does_the_same(self) -> None:
        worker = self.worker()

        @worker.job("echo")
        async def echo(cx: longhaul.AsyncContext, args: object) -> object:
            cx.emit("said")
            return args

        async def story() -> None:
            async with AsyncLonghaul(self.server.url) as client:
                self.assertEqual(await client.run("echo", [1], wait_timeout=60), [1])
                job = await client.enqueue("echo", 2)
                self.assertEqual(await job.text(), "said")
                self.assertEqual([job.args async for job in client.jobs.list(kind="echo")], [2, [1]])
                await job.delete()
                with self.assertRaises(longhaul.Gone):
                    await job.get()

        self.work(worker)
        asyncio.run(story())


if __name__ == "__main__":
    unittest.main()
