"""The server in memory, and the parts of the client that need no server."""

from __future__ import annotations

import asyncio
import doctest
import json
import queue
import unittest
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

import longhaul
import longhaul.testing
from longhaul import Longhaul
from longhaul.sse import Parser
from longhaul.testing import MemoryServer


class Memory(unittest.TestCase):
    def test_its_documentation_is_true(self) -> None:
        self.assertEqual(doctest.testmod(longhaul.testing).failed, 0)

    def test_jobs_end_as_the_test_says(self) -> None:
        server = MemoryServer()
        client = server.client()
        good, bad = client.enqueue("a", 1, id="x:y"), client.enqueue("a", 2)
        server.emit(good.id, "one")
        server.complete(good.id, {"n": 1})
        server.fail(bad.id, "broken")
        self.assertEqual((good.wait(), good.text()), ({"n": 1}, "one"))
        with self.assertRaises(longhaul.JobFailed):
            bad.wait()
        self.assertEqual([job.id for job in client.jobs.list(state="failed")], [bad.id])
        self.assertEqual(client.jobs.retry(filter={"state": "failed"}).done, 1)
        self.assertEqual(bad.get().state, "available")
        self.assertEqual(list(client.jobs.list(kind=[])), [])
        self.assertEqual(list(client.jobs.list(created_by="tok_1")), [], "there are no tokens")

    def test_a_workers_handler_is_given_its_context(self) -> None:
        server = MemoryServer()
        client = server.client()
        place = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        job, reads = client.enqueue("report", {"year": 2026}, labels={"tenant": "7"}, traceparent=place), []

        def report(cx: longhaul.Context, args: dict[str, int]) -> list[object]:
            orders = cx.step("orders", lambda: reads.append(1) or len(reads))
            cx.progress(50, "half", {"orders": orders})
            cx.log("drawing", "warn")
            cx.emit(f"attempt {cx.attempt}")
            args["year"] = 0
            if cx.attempt == 1:
                raise ValueError("no paper")
            return [orders, cx.job_id, cx.max_attempts, cx.labels, cx.traceparent]

        self.assertEqual(server.run("report", report), 1)
        self.assertEqual((job.wait(), job.text()), ([1, job.id, 3, {"tenant": "7"}, place], "attempt 2"))
        ended = job.get()
        assert ended.progress is not None
        self.assertEqual((ended.args, ended.progress.percent, [e.message for e in ended.errors]), ({"year": 2026}, 50, ["ValueError: no paper"]))
        self.assertEqual([(step["name"], step["attempt"]) for step in job.steps()], [("orders", 1)])

    def test_jobs_are_collected_into_calls_and_end_each_by_itself(self) -> None:
        server = MemoryServer()
        client = server.client()
        jobs = [client.enqueue("row", {"tenant": tenant, "n": n}) for n, tenant in enumerate([1, 2, 1, 1])]
        calls: list[list[int]] = []

        def insert(rows: list[longhaul.Collected[longhaul.Context]]) -> None:
            calls.append([row.args["n"] for row in rows])
            rows[0].cx.log("the first")
            rows[0].complete(len(rows))
            if len(rows) > 1:
                rows[1].fail(longhaul.Fatal("never"))
            raise ValueError("broken")

        self.assertEqual(server.collect("row", insert, max=2, by="tenant"), 3)
        self.assertEqual(calls, [[0, 2], [3], [1]])
        self.assertEqual([job.get().state for job in jobs], ["completed", "completed", "failed", "completed"])
        late = client.enqueue("row", {"tenant": 3, "n": 4})

        async def forget(rows: list[longhaul.Collected[longhaul.AsyncContext]]) -> None:
            self.assertFalse(rows[0].has_ended)

        self.assertEqual(asyncio.run(server.collect_async("row", forget)), 1)
        self.assertEqual((late.get().state, late.get().errors[0].message), ("scheduled", "its call ended and gave it no end of its own"))

    def test_fatal_snooze_and_cancel_are_heeded(self) -> None:
        server = MemoryServer()
        client = server.client()

        def raising(error: Exception) -> Callable[[object], None]:
            def work(args: object) -> None:
                raise error

            return work

        fatal, later, stopped = (client.enqueue(kind) for kind in ("fatal", "later", "stopped"))
        server.run("fatal", raising(longhaul.Fatal("never")))
        self.assertEqual([(e.attempt, e.kind) for e in fatal.get().errors], [(1, "fatal")])
        self.assertEqual(server.run("later", raising(longhaul.Snooze(60))), 1)
        self.assertEqual((later.get().state, later.get().attempt), ("scheduled", 0))

        def stubborn(cx: longhaul.Context, args: object) -> None:
            stopped.cancel()
            self.assertTrue(cx.is_cancelled and stopped.get().cancel_requested)
            cx.raise_if_cancelled()

        server.run("stopped", stubborn)
        self.assertEqual((stopped.get().state, stopped.get().errors), ("cancelled", []))
        with self.assertRaisesRegex(ValueError, "has ended: it is failed"):
            server.complete(fatal.id)

    def test_no_more_of_a_queue_runs_than_its_slots(self) -> None:
        server = MemoryServer()
        client = server.client()
        client.queues.set("q", {"slots": 2})
        first, heavy = client.enqueue("k", 1, queue="q"), client.enqueue("k", 2, queue="q", cost={"slots": 2})
        server.start(first.id)
        self.assertEqual(server.run("k", lambda args: args), 0, "the two of the second do not fit beside the first")
        reasons = heavy.why()["reasons"]
        self.assertEqual(reasons[0], {"rule": "slots_queue", "key": "q", "used": 1, "of": 2})
        self.assertEqual(client.queues.get("q")["used"], 1)
        server.complete(first.id)
        self.assertEqual(server.run("k", lambda args: args), 1)

    def test_no_more_of_a_limit_key_runs_than_its_slots_and_nothing_of_a_paused_one(self) -> None:
        server = MemoryServer()
        client = server.client()
        client.set_key("gpu:*", slots=1)
        one, two = (client.enqueue("train", n, limit_keys=["gpu:0"]) for n in range(2))
        server.start(one.id)
        self.assertEqual(server.run("train", lambda args: "well"), 0)
        self.assertEqual(two.why()["reasons"][0], {"rule": "slots_key", "key": "gpu:0", "used": 1, "of": 1})
        server.complete(one.id)
        self.assertEqual(server.run("train", lambda args: "well"), 1)
        self.assertEqual(two.wait(), "well")

        def limited(args: object) -> None:
            raise longhaul.RateLimited(3_600)

        job = client.enqueue("ask", 1, limit_keys=["provider", "tenant:7"])
        client.enqueue("ask", 2, limit_keys=["provider"])
        self.assertEqual(server.run("ask", limited), 1, "the other waits for the provider, too")
        put_off = job.get()
        self.assertEqual((client.key("provider")["closed_until"], put_off.attempt), (put_off.run_at, 0))
        self.assertIsNone(client.key("tenant:7")["closed_until"])
        self.assertEqual(job.why()["reasons"], [{"rule": "paused_key", "key": "provider", "until": put_off.run_at}])
        client.resume_key("provider")
        self.assertEqual(server.run("ask", lambda args: "well"), 2)

    def test_a_job_ends_for_its_time_when_a_test_says_so(self) -> None:
        server = MemoryServer()
        client = server.client()
        waiting = client.enqueue("quote", 1, expires_in=60, deadline=600)
        server.expire(waiting.id)
        with self.assertRaises(longhaul.JobExpired):
            waiting.wait()
        self.assertEqual(waiting.get().cancel_reason, "expired")
        with self.assertRaisesRegex(ValueError, "has ended"):
            server.expire(waiting.id)

        def quote(cx: longhaul.Context, args: int) -> None:
            cx.settle(3)
            with self.assertRaises(ValueError):
                cx.settle(2**32)
            server.expire(cx.job_id)
            cx.raise_if_cancelled()

        running = client.enqueue("quote", 2, expires_in=60, deadline=600)
        self.assertEqual(server.run("quote", quote), 1)
        self.assertEqual((running.get().cancel_reason, running.get().errors), ("deadline", []))

    def test_one_job_waits_behind_the_holder_that_runs_and_is_the_newest(self) -> None:
        server = MemoryServer()
        client = server.client()
        unique: Any = {"key": "page", "on_clash": "follow"}
        seen: list[int] = []

        def render(cx: longhaul.Context, page: int) -> None:
            seen.append(page)
            if page == 1:
                client.enqueue("render", 2, unique=unique, id="next")
                newest = client.enqueue("render", 3, unique=unique)
                self.assertEqual((newest.id, newest.status), ("next", "replaced"))

        first = client.enqueue("render", 0, unique=unique)
        again = client.enqueue("render", 1, unique=unique)
        self.assertEqual((again.id, again.status), (first.id, "replaced"))
        server.start(first.id)
        behind = client.enqueue("render", 2, unique=unique, id="behind")
        told = behind.get()
        self.assertEqual((told.state, told.depends_on), ("blocked", [{"id": first.id, "on_failure": "run"}]))
        self.assertEqual(told.unique, longhaul.UniqueKey("render:page", "behind"))
        self.assertEqual(first.get().unique, longhaul.UniqueKey("render:page", "behind"))
        # One that ends first gives the key back.
        behind.cancel()
        self.assertEqual(first.get().unique, longhaul.UniqueKey("render:page", first.id))
        server.complete(first.id)
        self.assertEqual(first.get().unique, longhaul.UniqueKey("render:page"))
        last = client.enqueue("render", 1, unique=unique)
        self.assertNotEqual(last.id, first.id)
        server.run("render", render)
        self.assertEqual(server.run("render", render), 1)
        self.assertEqual((seen, client.job("next").get().state), ([1, 3], "completed"))
        self.assertEqual([job.unique for job in client.jobs.list(state="completed")], [longhaul.UniqueKey("render:page")] * 3)

    def test_the_events_of_a_job_tell_that_it_is_asked_to_stop(self) -> None:
        server = MemoryServer()
        client = server.client()

        def render(cx: longhaul.Context, args: None) -> None:
            client.job(cx.job_id).cancel()
            told = next(iter(client.job(cx.job_id).events()))
            self.assertIsInstance(told, longhaul.StateEvent)
            self.assertEqual((told.state, told.cancel_reason), ("running", "asked"))  # type: ignore[union-attr]
            cx.raise_if_cancelled()

        job = client.enqueue("render", None)
        server.run("render", render)
        self.assertEqual(job.get().cancel_reason, "asked")

    def test_a_holder_that_runs_is_asked_to_stop_where_a_newer_job_takes_its_key(self) -> None:
        server = MemoryServer()
        client = server.client()
        unique: Any = {"key": "page", "on_clash": "supersede"}
        old = client.enqueue("render", 1, unique=unique)

        def render(cx: longhaul.Context, page: int) -> None:
            client.enqueue("render", page + 1, unique=unique, id="newer")
            cx.raise_if_cancelled()

        server.run("render", render)
        self.assertEqual((old.get().cancel_reason, client.job("newer").get().state), ("superseded", "available"))

        async def awaited() -> tuple[str | None, str | None, bool]:
            async with server.async_client(max_retries=0) as client:
                await client.set_key("tenant:*", max_waiting=1)
                [one, two] = await client.enqueue_many([{"kind": "k", "args": n, "key": "tenant:1"} for n in range(2)])
                try:
                    await client.enqueue("k", 3, key="tenant:1")
                except longhaul.QueueFull:
                    return one.status, two.status, True
                return one.status, two.status, False

        self.assertEqual(asyncio.run(awaited()), ("created", "full", True))

    def test_children_are_enqueued_once_there_is_room_for_each(self) -> None:
        server = MemoryServer()
        client = server.client()
        client.queues.set("pages", {"max_waiting": 1})

        def order(cx: longhaul.Context, args: object) -> int:
            cx.enqueue_children("pages", [{"kind": "page", "queue": "pages", "args": n} for n in range(2)])
            return cx.wait_for_children().completed

        job = client.enqueue("order")
        server.run("order", order)
        self.assertEqual((job.get().state, len(list(client.jobs.list(kind="page")))), ("scheduled", 1))
        server.run("page", lambda n: n)
        server.run("order", order)
        server.run("page", lambda n: n)
        server.run("order", order)
        self.assertEqual(job.wait(), 2)

    def test_a_step_that_stands_twice_fails_the_job_and_a_patched_point_is_new_for_new_jobs(self) -> None:
        server = MemoryServer()
        client = server.client()

        def twice(cx: longhaul.Context, args: None) -> list[int]:
            return [cx.step("same", lambda: n) for n in range(2)]

        job = client.enqueue("twice", max_attempts=5)
        server.run("twice", twice)
        self.assertEqual((job.get().state, job.get().attempt), ("failed", 1))
        self.assertIn("'same' stands twice", job.get().errors[0].message)

        def patched(cx: longhaul.Context, args: None) -> list[bool]:
            before = cx.attempt > 1 and cx.patched("before")
            cx.step("done", lambda: None)
            after = cx.attempt > 1 and cx.patched("after")
            if cx.attempt < 3:
                raise ValueError("again")
            return [before, after]

        old, new = client.enqueue("patched", max_attempts=3), client.enqueue("new")
        server.run("patched", patched)
        self.assertEqual(old.wait(), [False, True])
        server.run("new", lambda cx, args: [cx.patched("point"), cx.wait_token("go")])
        point, token = new.wait()
        self.assertTrue(point)
        with self.assertRaises(longhaul.Conflict) as ended:
            client.redeem_signal_token(token)
        self.assertEqual(ended.exception.code, "ended", "it is this job's")

    def test_handlers_sleep_and_wait_for_signals_children_and_people(self) -> None:
        server = MemoryServer()
        client = server.client()

        def order(cx: longhaul.Context, args: int) -> Any:
            cx.sleep("a while", 3_600)
            answer = cx.wait_for("answer", timeout=60)
            cx.enqueue_children("pages", [{"kind": "page", "args": n} for n in range(args)])
            return [answer, vars(cx.wait_for_children()), cx.attempt]

        one, two = client.enqueue("order", 2), client.enqueue("order", 0)
        self.assertEqual((server.run("order", order), one.get().state), (2, "scheduled"))
        self.assertEqual((server.run("order", order), one.get().waits_for), (2, "signal:answer"))
        self.assertEqual(one.why()["reasons"], [{"rule": "signal", "key": "answer"}])
        one.signal("answer", "yes")
        server.wake(two.id)
        with self.assertRaisesRegex(ValueError, "waits for no signal"):
            server.wake(two.id)
        server.run("order", order)
        self.assertEqual(two.wait(), [None, {"total": 0, "completed": 0, "failed": 0, "cancelled": 0}, 1])
        self.assertEqual((one.get().waits_for, one.why()["reasons"][0]["of"]), ("children", 2))
        server.run("page", lambda n: n)
        server.run("order", order)
        answer, children, attempt = one.wait()
        self.assertEqual((answer, children["completed"], attempt), ("yes", 2, 1))

        done = []

        def frail(cx: longhaul.Context, args: int) -> str:
            for name in ("outline", "draft"):
                cx.step(name, lambda: done.append(name))
            if args == 1:
                raise ValueError("broken")
            return "well"

        job = client.enqueue("frail", 1, max_attempts=1, on_exhausted="pause")
        server.run("frail", frail)
        self.assertEqual((job.get().waits_for, len(job.get().errors)), ("person", 1))
        self.assertEqual(job.retry(from_step="draft", args=2).state, "available")
        server.run("frail", frail)
        self.assertEqual((job.wait(), done), ("well", ["outline", "draft", "draft"]))
        with self.assertRaisesRegex(longhaul.JobFailed, "must not begin with 'signal:'"):
            reserved = client.enqueue("reserved", max_attempts=1)
            server.run("reserved", lambda cx, args: cx.step("signal:go", lambda: 1))
            reserved.wait()

    def test_another_thread_hears_of_what_becomes_of_a_job(self) -> None:
        server = MemoryServer()
        client = server.client(max_retries=0)
        heard: queue.Queue[object] = queue.Queue()
        job = client.enqueue("slow")

        def follow() -> None:
            for change in client.events(kind="slow"):
                heard.put(change)
                if isinstance(change, longhaul.JobChange) and change.state == "completed":
                    return

        with ThreadPoolExecutor() as pool:
            pool.submit(follow)
            self.assertEqual(heard.get(timeout=60), longhaul.ChangesMissed())
            output, events = pool.submit(job.wait), pool.submit(lambda: [event.type for event in job.events()])
            server.start(job.id)
            server.emit(job.id, "one")
            server.complete(job.id, "well")
            self.assertEqual(output.result(60), "well")
            self.assertEqual([type for type in events.result(60) if type != "state"], ["chunk", "output"])
            states = [change.state for change in (heard.get(timeout=60), heard.get(timeout=60)) if isinstance(change, longhaul.JobChange)]
            self.assertEqual(states, ["running", "completed"])

    def test_another_task_hears_of_what_becomes_of_a_job(self) -> None:
        async def story() -> None:
            server = MemoryServer()
            async with server.async_client(max_retries=0) as client:
                job, stopped = await client.enqueue("slow"), await client.enqueue("slow")
                output = asyncio.create_task(job.wait())
                events = job.events()
                self.assertEqual((await anext(events)).type, "state")
                begun = asyncio.create_task(anext(events))

                async def slow(cx: longhaul.AsyncContext, args: object) -> str:
                    if cx.job_id == stopped.id:
                        await stopped.cancel()
                        await asyncio.Event().wait()
                    return await cx.step("write", lambda: said("well"))

                self.assertEqual(await server.run_async("slow", slow), 2)
                self.assertEqual((await begun).type, "state")
                self.assertEqual(await output, "well")
                with self.assertRaises(longhaul.JobCancelled):
                    await stopped.wait()

        asyncio.run(asyncio.wait_for(story(), 60))

    def test_a_step_of_a_coroutine_takes_a_plain_function_too(self) -> None:
        async def story() -> None:
            server = MemoryServer()
            async with server.async_client() as client:
                job = await client.enqueue("count")

                async def count(cx: longhaul.AsyncContext, args: object) -> int:
                    return await cx.step("plain", lambda: 3) + await cx.step("awaited", lambda: twice(2))

                await server.run_async("count", count)
                self.assertEqual(await job.wait(), 7)

        asyncio.run(asyncio.wait_for(story(), 60))

    def test_an_error_says_what_a_job_was_cancelled_for(self) -> None:
        server = MemoryServer()
        with server.client() as client:
            first = client.enqueue("render")
            second = client.enqueue("publish", depends_on=[first.id])
            first.cancel()
            with self.assertRaisesRegex(longhaul.JobCancelled, "a job that it depends on did not complete"):
                second.wait()
            with self.assertRaisesRegex(longhaul.JobCancelled, "was cancelled$"):
                first.wait()

    def test_the_asyncio_client_reads_it_too(self) -> None:
        async def story() -> object:
            server = MemoryServer()
            async with server.async_client() as client:
                await client.set_key("provider", slots=1)
                self.assertEqual([(key["key"], key["slots"]) for key in await client.keys()], [("provider", 1)])
                self.assertIsNotNone((await client.pause_key("provider", 60))["closed_until"])
                await client.resume_key("provider")
                await client.remove_key("provider")
                self.assertEqual((await client.keys_page())["keys"], [])
                self.assertFalse((await client.key("provider"))["own"])
                job = await client.enqueue("a", 1)
                server.run("a", lambda args: args + 1)
                return await job.wait()

        self.assertEqual(asyncio.run(story()), 2)


async def said(words: str) -> str:
    return words


async def twice(number: int) -> int:
    return 2 * number


class Retries(unittest.TestCase):
    def test_a_post_is_sent_again_under_the_same_key(self) -> None:
        keys = []

        def answer(request: httpx.Request) -> httpx.Response:
            keys.append(request.headers["idempotency-key"])
            if len(keys) == 1:
                raise httpx.ConnectError("refused")
            if len(keys) == 2:
                return httpx.Response(503, headers={"retry-after": "0"}, json={"code": "unavailable"})
            return httpx.Response(202, json={"id": "j", "kind": "k", "queue": "q", "state": "available"})

        client = Longhaul("http://memory", transport=httpx.MockTransport(answer))
        self.assertEqual(client.enqueue("k").id, "j")
        self.assertEqual((len(keys), len(set(keys))), (3, 1))

    def test_a_lost_answer_to_a_retry_or_a_removal_is_no_error(self) -> None:
        tries: dict[str, int] = {}

        def answer(request: httpx.Request) -> httpx.Response:
            what = f"{request.method} {request.url.path}"
            tries[what] = tries.get(what, 0) + 1
            if request.method == "GET":
                return httpx.Response(200, json={"id": "j", "kind": "k", "queue": "q", "state": "available"})
            if tries[what] == 1:
                # It was heard, and a proxy answered in the place of a server that had died.
                return httpx.Response(503, headers={"retry-after": "0"}, json={})
            if what.endswith("/retry"):
                return httpx.Response(409, json={"code": "not_finished", "detail": "the job is available"})
            return httpx.Response(404, json={"code": "not_found", "detail": "it is not there"})

        client = Longhaul("http://memory", transport=httpx.MockTransport(answer))
        job = client.job("j")
        self.assertEqual(job.retry().state, "available")
        job.delete()
        client.schedules.delete("s")
        client.tokens.revoke("t")
        # What was not sent before was not heard before.
        with self.assertRaises(longhaul.Conflict):
            job.retry()
        with self.assertRaises(longhaul.NotFound):
            client.schedules.delete("s")

    def test_jobs_that_fail_again_are_not_retried_for_ever(self) -> None:
        told: list[tuple[bool, int]] = []

        def answer(request: httpx.Request) -> httpx.Response:
            body = json.loads(request.content)
            told.append((body["dry_run"], body["limit"]))
            # Three thousand that fail as soon as they are retried.
            done = min(3_000, body["limit"])
            return httpx.Response(200, json={"matched": done, "done": done, "complete": body["dry_run"]})

        client = Longhaul("http://memory", transport=httpx.MockTransport(answer))
        self.assertEqual(client.jobs.retry(filter={"state": "failed"}), longhaul.Acted(4_000, 4_000, False))
        self.assertEqual(told, [(False, 1_000), (True, 10_000), *[(False, 1_000)] * 3])
        told.clear()
        self.assertEqual(client.jobs.retry(filter={"state": "failed"}, limit=1_500).done, 1_500)
        self.assertEqual(told, [(False, 1_000), (False, 500)], "a limit is bound enough")

    def test_what_no_request_can_be_made_with_is_refused_at_once(self) -> None:
        sent: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            sent.append(request)
            return httpx.Response(200, json={"role": "admin"})

        transport = httpx.MockTransport(answer)
        for url in ("", "127.0.0.1:8000", "ftp://jobs", "http://", "http:///jobs", "http://[::1"):
            with self.subTest(url=url), self.assertRaises(ValueError):
                Longhaul(url)
        for token in ("a\nb", "é", "a\0"):
            with self.subTest(token=token), self.assertRaises(ValueError):
                Longhaul("http://memory", token=token)
        client = Longhaul("http://memory", transport=transport)
        for header in ("a\nb", "é", " a"):
            with self.subTest(header=header), self.assertRaises(ValueError):
                client.enqueue("k", idempotency_key=header)
            with self.subTest(header=header), self.assertRaises(ValueError):
                client.enqueue("k", traceparent=header)
        # Each of these would be the URL of something else.
        for name in (".", ".."):
            asks: list[Callable[[], object]] = [lambda: client.job(name), lambda: client.queues.get(name), lambda: client.key(name), lambda: client.tokens.revoke(name)]
            for ask in [*asks, lambda: client.job("j").signal(name), lambda: client.webhook_secrets.delete(name)]:
                with self.subTest(name=name), self.assertRaises(ValueError):
                    ask()
        self.assertEqual(sent, [])
        # A variable that is not set is no token, and a file with one ends in a newline.
        for token, shown in (("", None), (" \n", None), (" secret\n", "Bearer secret")):
            Longhaul("http://memory", token=token, transport=transport).me()
            self.assertEqual(sent.pop().headers.get("authorization"), shown)

    def test_what_no_retry_can_help_is_not_sent_again(self) -> None:
        calls = []

        def answer(request: httpx.Request) -> httpx.Response:
            calls.append(request)
            return httpx.Response(401, json={"code": "unauthorized", "detail": "a token is needed"})

        client = Longhaul("http://memory", transport=httpx.MockTransport(answer))
        with self.assertRaises(longhaul.Unauthorized) as caught:
            client.enqueue("k")
        self.assertEqual((len(calls), caught.exception.code), (1, "unauthorized"))

    def test_after_all_retries_the_error_is_told(self) -> None:
        client = Longhaul(
            "http://memory",
            max_retries=1,
            transport=httpx.MockTransport(lambda _: httpx.Response(503, headers={"retry-after": "0"}, json={})),
        )
        with self.assertRaises(longhaul.Unavailable):
            client.job("j").get()


class Streams(unittest.TestCase):
    STREAM = "id: 1\r\nevent: chunk\r\ndata: {\"a\":\r\ndata: \"ä\"}\r\n\r\n: beat\n\nretry: 1500\n\nid: 2\ndata:x\n\n".encode()

    def test_events_are_read_wherever_the_network_cuts(self) -> None:
        for cut in range(1, len(self.STREAM)):
            parser = Parser()
            messages = parser.feed(self.STREAM[:cut]) + parser.feed(self.STREAM[cut:])
            seen = [(message.id, message.event, message.data) for message in messages]
            self.assertEqual(seen, [("1", "chunk", '{"a":\n"ä"}'), ("2", "message", "x")], f"cut at {cut}")
            self.assertEqual(parser.retry, 1.5)


if __name__ == "__main__":
    unittest.main()
