"""What a client sees: the same of a real server as of the server in memory, so that a test with the one says something of the other."""

from __future__ import annotations

import asyncio
import threading
import unittest
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import longhaul
from longhaul import JobHandle, Longhaul, Worker
from longhaul.testing import MemoryServer
from server import Server


class Stories:
    """Each is told of both servers."""

    client: Longhaul
    #: One that sends nothing a second time.
    impatient: Longhaul
    #: Runs all jobs of a kind that wait, and answers how many.
    work: Callable[[str, Callable[[Any], Any]], int]

    def test_a_job_has_its_options(self) -> None:
        options: Any = {"id": "a.b:c-1", "priority": 3, "max_attempts": 7, "timeout": 9, "limit_keys": ["provider", "tenant:7"], "labels": {"tenant": "7"}}
        job = self.client.enqueue("k", {"n": [1, None]}, cost={"slots": 2, "rate": 0}, **options).get()
        self.assertEqual({name: getattr(job, name) for name in options}, options)
        self.assertEqual((job.cost, job.key), (longhaul.Cost(slots=2, rate=0), "provider"))
        self.assertEqual((job.kind, job.queue, job.args, job.state, job.attempt), ("k", "default", {"n": [1, None]}, "available", 0))
        self.assertEqual(self.client.enqueue("k", 1, delay=60).get().state, "scheduled")

    def test_a_job_has_every_field_that_the_document_gives_it(self) -> None:
        job = self.client.enqueue("k", 1).get()
        self.assertEqual(set(job.raw), self.schema("Job"))

    def test_an_output_is_waited_for_and_its_events_are_told_once_and_in_order(self) -> None:
        job = self.client.enqueue("double", 21)
        self.assertEqual(self.work("double", lambda n: 2 * n), 1)
        self.assertEqual(job.wait(), 42)
        events = list(job.events())
        self.assertEqual([event.type for event in events][-2:], ["output", "state"])
        self.assertEqual([event.id for event in events], sorted({event.id for event in events}))
        self.assertEqual(list(job.events(after=events[-2].id)), events[-1:])
        self.assertEqual(list(job.events(after=events[-1].id)), [])

    def test_integers_keep_their_digits_there_and_back(self) -> None:
        args = {"id": 12345678901234567890, "huge": -(10**60) - 1, "share": 0.1}
        job = self.client.enqueue("echo", args)
        self.work("echo", lambda args: {**args, "id": args["id"] + 1})
        self.assertEqual(job.wait(), {**args, "id": args["id"] + 1})
        self.assertEqual(job.retry(args=job.get().output).args, {**args, "id": args["id"] + 1})

    def test_a_job_that_failed_runs_again_while_it_has_attempts_left(self) -> None:
        job, calls = self.client.enqueue("frail", 3, max_attempts=3), []

        def frail(n: int) -> str:
            calls.append(n)
            if len(calls) < n:
                raise TypeError(f"broken {len(calls)}")
            return "well"

        self.work("frail", frail)
        self.assertEqual(job.wait(), "well")
        ended = job.get()
        self.assertEqual((ended.attempt, [(e.attempt, e.message, e.kind) for e in ended.errors]), (3, [(1, "TypeError: broken 1", "error"), (2, "TypeError: broken 2", "error")]))
        told = [getattr(e, "state", e.type) for e in job.events() if e.type in ("state", "reset")]
        # Nothing was said, so that nothing is void; and a state is told to those who hear the change.
        self.assertEqual(told, ["completed"])

    def test_a_failure_is_an_error_that_has_the_job_and_a_retry_runs_it_again(self) -> None:
        job = self.client.enqueue("frail", max_attempts=1)

        def broken(args: object) -> None:
            raise ValueError("broken")

        self.work("frail", broken)
        with self.assertRaises(longhaul.JobFailed) as caught:
            job.wait()
        failed = caught.exception.job
        self.assertEqual((failed.state, [(e.attempt, e.message) for e in failed.errors]), ("failed", [(1, "ValueError: broken")]))
        self.assertEqual(job.retry().state, "available")
        self.work("frail", lambda args: "well")
        self.assertEqual(job.wait(), "well")

    def test_a_job_that_is_cancelled_is_an_error_and_what_has_not_ended_is_neither_retried_nor_deleted(self) -> None:
        job = self.client.enqueue("k")
        for refused in (job.retry, job.delete):
            with self.assertRaises(longhaul.Conflict):
                refused()
        self.assertEqual(job.cancel().state, "cancelled")
        with self.assertRaises(longhaul.JobCancelled):
            job.wait()
        job.delete()
        with self.assertRaises(longhaul.Gone):
            job.get()
        with self.assertRaises(longhaul.NotFound) as caught:
            self.client.job("never").get()
        self.assertEqual(caught.exception.code, "no_such_job")

    def test_a_duplicate_is_joined_or_raised(self) -> None:
        first = self.client.enqueue("k", 1, unique={"key": "one"}, id="first")
        self.assertEqual(self.client.enqueue("k", 2, unique={"key": "one"}).id, "first")
        with self.assertRaises(longhaul.DuplicateJob) as caught:
            self.client.enqueue("k", 3, id="first", on_duplicate="raise")
        self.assertEqual(caught.exception.job.id, "first")
        self.assertNotEqual(self.client.enqueue("other", 2, unique={"key": "one"}).id, "first")
        self.work("k", lambda args: None)
        first.wait()
        self.assertNotEqual(self.client.enqueue("k", 2, unique={"key": "one"}).id, "first")

    def test_the_mode_of_a_unique_key_says_what_becomes_of_a_second_job(self) -> None:
        def ask(n: int, on_clash: Any = "join", states: Any = None, **options: Any) -> JobHandle:
            return self.client.enqueue("k", n, unique={"key": "one", "on_clash": on_clash, "states": states}, **options)

        first = ask(1, id="first")
        self.assertEqual((first.status, ask(2).status), ("created", "duplicate"))
        replaced = ask(3, "replace", delay=60)
        assert replaced.last is not None
        self.assertEqual((replaced.id, replaced.status, replaced.last.replaced), ("first", "replaced", True))
        self.assertEqual((first.get().args, first.get().state), (3, "scheduled"))
        with self.assertRaises(longhaul.DuplicateJob) as caught:
            ask(4, "reject")
        self.assertEqual((caught.exception.job.id, caught.exception.job.args), ("first", 3))
        newest = ask(5, "supersede")
        self.assertEqual((newest.status, first.get().cancel_reason), ("created", "superseded"))
        with self.assertRaises(longhaul.Conflict) as held:
            first.retry()
        self.assertEqual(held.exception.code, "unique_key_held")
        newest.cancel()
        self.assertIsNone(first.retry().cancel_reason, "the key is free, and is taken again")
        self.assertEqual(ask(6, "refresh").id, "first")
        self.assertEqual(ask(7, states=["running"]).status, "created", "a holder that only waits gives the key up")

    def test_a_burst_is_one_job_its_last_or_its_first_and_a_throttle_lets_one_through(self) -> None:
        last: Any = {"key": "last", "on_clash": "debounce", "delay": 600, "max_delay": 900}
        one, two = (self.client.enqueue("k", n, unique=last) for n in (1, 2))
        self.assertEqual((two.id, one.status, two.status), (one.id, "created", "replaced"))
        self.assertEqual((one.get().args, one.get().state), (2, "scheduled"))
        leading: Any = {"key": "first", "on_clash": "debounce", "delay": 600, "edge": "leading"}
        begun, later = (self.client.enqueue("k", n, unique=leading) for n in (1, 2))
        self.assertEqual((later.id, later.status, begun.get().args, begun.get().state), (begun.id, "duplicate", 1, "available"))
        throttle: Any = {"key": "through", "on_clash": "throttle", "period": 600}
        through = self.client.enqueue("k", 1, unique=throttle)
        through.cancel()
        self.assertEqual(self.client.enqueue("k", 2, unique=throttle).id, through.id, "whatever became of it")
        orders = [self.client.enqueue("k", {"order": {"id": id, "n": n}}, unique={"on": ["order.id"]}).id for n, id in enumerate((7, 7, 8))]
        self.assertEqual((orders[0] == orders[1], orders[0] == orders[2]), (True, False))
        whole: list[Any] = [{"a": 1, "b": 2}, {"b": 2, "a": 1}]
        self.assertEqual(len({self.client.enqueue("k", args, unique={}).id for args in whole}), 1)

    def test_a_completion_is_the_answer_for_its_period(self) -> None:
        first = self.client.enqueue("quote", 1, unique={"key": "one", "period": 600})
        self.work("quote", lambda args: 12)
        self.assertEqual(first.wait(), 12)
        again = self.client.enqueue("quote", 1, unique={"key": "one", "period": 600})
        self.assertEqual((again.id, again.status, again.wait()), (first.id, "duplicate", 12))

    def test_of_many_each_that_is_refused_or_joined_says_so_itself(self) -> None:
        self.client.enqueue("k", 0, id="holder", unique={"key": "one"}, queue="q")
        self.client.queues.set("q", {"max_waiting": 2})
        held: list[dict[str, Any]] = [
            {"kind": "k", "args": 1, "unique": {"key": "one", "on_clash": mode}} for mode in ("join", "replace", "reject")
        ]
        jobs = self.client.enqueue_many([*held, *({"kind": "k", "args": 1, "queue": "q"} for _ in range(2))])
        self.assertEqual([job.status for job in jobs], ["duplicate", "replaced", "rejected", "created", "full"])
        self.assertEqual([job.id for job in jobs[:3]], ["holder"] * 3)
        with self.assertRaises(longhaul.NotFound):
            jobs[4].get()

    def test_a_job_has_its_ends_by_time_and_says_which_one_came(self) -> None:
        job = self.client.enqueue("k", 1, expires_in=300, deadline="2100-01-01T00:00:00Z")
        seen = job.get()
        assert seen.expires_at is not None and seen.deadline is not None
        left = datetime.fromisoformat(seen.expires_at.replace("Z", "+00:00")) - datetime.now(timezone.utc)
        self.assertTrue(180 < left.total_seconds() <= 300, left)
        self.assertEqual((seen.deadline[:19], seen.cancel_reason, job.why()["ends_at"]), ("2100-01-01T00:00:00", None, seen.expires_at))
        self.assertIsNotNone(self.client.enqueue("k", 1, deadline=600).get().deadline)
        job.cancel()
        self.assertEqual((job.get().state, job.get().cancel_reason, job.why()["cancel_reason"]), ("cancelled", "asked", "asked"))
        again = job.retry()
        self.assertEqual((again.expires_at, again.deadline, again.cancel_reason), (None, None, None), "by hand it has all the time")
        self.work("k", lambda args: "well")
        self.assertEqual(job.wait(), "well")

    def test_no_more_wait_than_a_queue_or_a_key_has_room_for(self) -> None:
        client, impatient = self.client, self.impatient
        impatient.enqueue("k", 1, id="oldest", queue="q")
        config = client.queues.set("q", {"max_waiting": 1})["config"]
        self.assertEqual((config["max_waiting"], config["on_full"]), (1, "reject"))
        with self.assertRaises(longhaul.Invalid):
            client.queues.set("q", {"max_waiting": 0})
        with self.assertRaises(longhaul.QueueFull) as caught:
            impatient.enqueue("k", 1, id="many", queue="q")
        full = caught.exception
        self.assertEqual((full.status, full.code, (full.retry_after or 0) > 0, "queue q" in full.detail), (429, "queue_full", True, True))
        with self.assertRaises(longhaul.NotFound):
            client.job("many").get()
        client.queues.set("q", {"on_full": "drop_newest"})
        dropped = impatient.enqueue("k", 1, id="newest", queue="q").get()
        self.assertEqual((dropped.state, dropped.cancel_reason), ("cancelled", "dropped"))
        client.queues.set("q", {"on_full": "drop_oldest"})
        self.assertEqual(impatient.enqueue("k", 1, id="fresh", queue="q").get().state, "available")
        self.assertEqual(client.job("oldest").get().cancel_reason, "dropped")
        self.assertIsNone(client.queues.set("q", {"max_waiting": None})["config"]["max_waiting"])
        self.assertEqual(impatient.enqueue("k", 1, queue="q").status, "created")

        client.set_key("tenant:*", max_waiting=1)
        self.assertEqual((client.key("tenant:1")["max_waiting"], client.key("tenant:1")["on_full"]), (1, "reject"))
        impatient.enqueue("k", 1, key="tenant:1", queue="here")
        with self.assertRaisesRegex(longhaul.QueueFull, "tenant:1"):
            impatient.enqueue("k", 1, key="tenant:1", queue="there")
        impatient.enqueue("k", 1, key="tenant:2", queue="there")

    def test_a_job_that_would_wait_for_an_unfinished_ancestor_is_refused(self) -> None:
        client = self.client
        client.enqueue("k", 1, id="top")
        client.enqueue("k", 2, id="middle", parent="top")

        def below(*depends_on: str) -> JobHandle:
            return client.enqueue("k", 3, parent="middle", depends_on=depends_on)

        line = [{"kind": "k", "args": 1, "id": "low", "parent": "middle"}, {"kind": "k", "args": 1, "parent": "low", "depends_on": ["top"]}]
        for call, field in (
            (lambda: below("top"), "depends_on[0]"),
            (lambda: below("top", "middle"), "depends_on[1]"),
            (lambda: client.enqueue_many(line), "[1].depends_on[0]"),
        ):
            with self.assertRaises(longhaul.Invalid) as caught:
                call()
            self.assertEqual(caught.exception.errors[0]["field"], field)
            self.assertIn("an ancestor that has not ended", caught.exception.errors[0]["message"])
        self.work("k", lambda args: None)
        self.assertEqual(below("top").get().state, "available", "one that has ended is waited for no more")

    def test_a_job_waits_for_those_that_it_depends_on_and_is_cancelled_with_them_unless_told_otherwise(self) -> None:
        client = self.client
        one, _ = client.enqueue("k", 1, id="one"), client.enqueue("broken", 2, id="two", max_attempts=1)

        def on(n: int, *depends_on: Any) -> JobHandle:
            return client.enqueue("later", n, depends_on=depends_on)

        both, either, cancelled = on(1, "one", {"id": "two", "on_failure": "run"}), on(2, "one"), on(3, "two")
        seen = both.get()
        self.assertEqual((seen.state, seen.waits_for), ("blocked", "dependencies"))
        self.assertEqual(seen.depends_on, [{"id": "one", "on_failure": "cancel"}, {"id": "two", "on_failure": "run"}])
        [reason] = both.why()["reasons"]
        self.assertEqual((reason["rule"], reason["used"], reason["of"], sorted(reason["waits_for"])), ("depends_on", 0, 2, ["one", "two"]))
        graph = one.graph()
        self.assertEqual((len(graph["nodes"]), len(graph["edges"]), graph["complete"]), (5, 4, True))
        self.work("k", lambda args: "well")
        self.assertEqual(both.get().state, "blocked")

        def broken(args: object) -> None:
            raise ValueError("broken")

        self.work("broken", broken)
        with self.assertRaises(longhaul.JobCancelled):
            cancelled.wait()
        self.assertEqual(cancelled.get().cancel_reason, "dependency")
        self.work("later", lambda n: n)
        self.assertEqual((both.wait(), either.wait()), (1, 2))
        self.assertEqual(on(4, "one").get().state, "available", "what has ended counts at once")
        many = client.enqueue_many([{"kind": "k", "args": 1, "id": "a"}, {"kind": "k", "args": 2, "depends_on": ["a"]}])
        self.assertEqual(many[1].get().state, "blocked")
        for call, field in (
            (lambda: on(5, "nobody"), "depends_on[0]"),
            (lambda: client.enqueue_many([{"kind": "k", "args": 1, "depends_on": ["b"]}, {"kind": "k", "args": 1, "id": "b"}]), "[0].depends_on[0]"),
        ):
            with self.assertRaises(longhaul.Invalid) as caught:
                call()
            self.assertEqual(caught.exception.errors[0]["field"], field)

    def test_a_signal_is_kept_and_the_first_of_a_name_stands(self) -> None:
        job = self.client.enqueue("approve", 1)
        self.assertEqual([job.signal("go", {"by": "ada"}), job.signal("go", None)], [True, False])
        made = job.signal_token("stop", expires_in=60)
        self.assertTrue(made["path"].endswith(made["token"]), made)
        self.assertEqual([self.client.redeem_signal_token(made["token"], value) for value in ("now", None)], [True, False])
        with self.assertRaises(longhaul.NotFound) as unknown:
            self.client.redeem_signal_token("of-nobody")
        self.assertEqual(unknown.exception.code, "no_such_token")
        self.assertEqual(sorted(step["name"] for step in job.steps()), ["signal:go", "signal:stop"])
        self.work("approve", lambda args: "well")
        self.assertEqual(job.wait(), "well")
        with self.assertRaises(longhaul.Conflict) as caught:
            job.signal("late")
        self.assertEqual(caught.exception.code, "ended")

    def test_a_job_is_forked_and_waits_for_a_person_where_it_is_told_to(self) -> None:
        job = self.client.enqueue("k", 1, labels={"team": "ops"}, on_exhausted="pause", id="first")
        self.assertEqual(job.get().on_exhausted, "pause")
        fork = job.fork(args=2)
        seen = fork.get()
        self.assertEqual((seen.forked_from, seen.args, seen.labels, seen.on_exhausted, fork.status), ("first", 2, {"team": "ops"}, "pause", "created"))
        job.cancel()
        with self.assertRaises(longhaul.NotFound) as caught:
            job.retry(from_step="cover")
        self.assertEqual(caught.exception.code, "no_such_step")
        self.assertEqual(job.retry(args=3).args, 3)

    def test_an_idempotency_key_is_one_job_and_of_another_request_refused(self) -> None:
        one, two = (self.client.enqueue("k", 1, idempotency_key="a") for _ in range(2))
        self.assertEqual(one.id, two.id)
        with self.assertRaises(longhaul.Invalid):
            self.client.enqueue("k", 2, idempotency_key="a")

    def test_many_are_enqueued_all_or_none(self) -> None:
        jobs = self.client.enqueue_many([{"kind": "k", "args": 1, "id": "x"}, {"kind": "k", "args": 2}])
        self.assertEqual([job.id for job in self.client.jobs.list(kind="k")], [jobs[1].id, "x"])
        with self.assertRaises(longhaul.Invalid):
            self.client.enqueue_many([{"kind": "k", "args": 1, "id": "y"}, {"kind": "k", "args": 1, "max_attempts": 0}])
        with self.assertRaises(longhaul.NotFound):
            self.client.job("y").get()

    def test_a_request_that_breaks_a_rule_names_the_field(self) -> None:
        wrong: list[dict[str, Any]] = [{"max_attempts": 0}, {"attempts": 2}, {"id": "a b"}, {"id": ".."}, {"queue": ""}, {"priority": 101}, {"timeout": 0}]
        for options in wrong:
            with self.assertRaises(longhaul.Invalid) as caught:
                self.client.enqueue("k", 1, **options)
            self.assertEqual([error["field"] for error in caught.exception.errors], list(options))
        limits: list[tuple[dict[str, Any], str]] = [
            ({"limit_keys": ["a", "b", "c", "d", "e"]}, "limit_keys"),
            ({"limit_keys": ["a", "a"]}, "limit_keys"),
            ({"webhook": "ftp://example.com"}, "webhook.url"),
            ({"webhook": {"url": "https://example.com", "events": []}}, "webhook.events"),
            ({"limit_keys": ["a", "b c"]}, "limit_keys[1]"),
            ({"key": "a b"}, "key"),
            ({"key": "a", "limit_keys": ["b"]}, "key"),
            ({"expires_in": 0}, "expires_in"),
            ({"deadline": 0}, "deadline"),
            ({"deadline": "tomorrow"}, "deadline"),
            ({"unique": {"on_clash": "debounce", "delay": 1}, "delay": 1}, "unique.on_clash"),
            ({"unique": {"on_clash": "throttle"}}, "unique.period"),
            ({"unique": {"on_clash": "debounce"}}, "unique.delay"),
            ({"unique": {"delay": 1}}, "unique.delay"),
            ({"unique": {"on_clash": "debounce", "delay": 2, "max_delay": 1}}, "unique.max_delay"),
            ({"unique": {"states": []}}, "unique.states"),
            ({"unique": {"on": []}}, "unique.on"),
            ({"unique": {"on": ["a"]}}, "unique.on"),
            ({"unique": {"on": ["a"], "key": "k"}}, "unique.on"),
            ({"cost": {"slots": 0}}, "cost.slots"),
            ({"cost": {"rate": 1_000_001}}, "cost.rate"),
        ]
        for options, field in limits:
            with self.assertRaises(longhaul.Invalid) as caught:
                self.client.enqueue("k", 1, **options)
            self.assertEqual(caught.exception.errors[0]["field"], field)
        with self.assertRaises(longhaul.Invalid):
            self.client.jobs.cancel(filter={"nope": 1})
        with self.assertRaisesRegex(longhaul.Invalid, "delay: must not be given together with run_at"):
            self.client.enqueue("k", 1, delay=1, run_at="2030-01-01T00:00:00Z")
        with self.assertRaisesRegex(longhaul.Invalid, "args: must be at most 262144 bytes of JSON, and has 262145"):
            self.client.enqueue("k", "x" * 262_143)
        for filter in ({"state": "gone"}, {"limit": 0}, {"limit": 101}, {"cursor": "there"}):
            with self.assertRaises(longhaul.Invalid, msg=str(filter)):
                self.client.jobs.page(**filter)

    def test_lists_are_newest_first_page_by_page_of_what_fits(self) -> None:
        self.client.enqueue_many(
            {"kind": "many" if n < 5 else "few", "args": n, "queue": "odd" if n % 2 else "even", "labels": {"n": str(n)}} for n in range(7)
        )
        asked: list[tuple[dict[str, Any], list[int]]] = [
            ({"limit": 2}, [6, 5, 4, 3, 2, 1, 0]),
            ({"kind": "many", "queue": ["odd"]}, [3, 1]),
            ({"labels": {"n": "6"}}, [6]),
            ({"state": "running"}, []),
            ({"kind": []}, []),
        ]
        for filter, args in asked:
            self.assertEqual([job.args for job in self.client.jobs.list(**filter)], args, filter)
        self.client.enqueue("large", "x" * 1_023)
        [large] = self.client.jobs.list(kind="large")
        self.assertEqual((large.args, large.raw["args_cut"], large.raw["args_bytes"]), (None, True, 1_025), "what is large is left out")
        self.assertEqual([job.args for job in self.client.jobs.list(kind="large", full=True)], ["x" * 1_023])

    def test_a_queue_is_paused_and_resumed_and_a_job_says_why_it_waits(self) -> None:
        job, later = self.client.enqueue("k", 1, queue="q"), self.client.enqueue("k", 1, delay=60)
        self.assertEqual([reason["rule"] for reason in later.why()["reasons"]], ["run_at"])
        self.assertEqual(self.client.enqueue("k", 1, queue="open").why()["reasons"], [{"rule": "no_worker", "key": "open"}])
        kept = self.client.queues.set("q", {"retention": {"failed": {"count": 3}}})["config"]["retention"]
        self.assertEqual((kept["failed"], kept["completed"]), ({"age": 1_209_600, "count": 3}, {"age": 86_400, "count": None}))
        self.assertTrue(self.client.queues.pause("q")["paused"])
        queue = self.client.queues.get("q")
        self.assertEqual((queue["paused"], queue["counts"]["paused"], queue["counts"]["waiting"]), (True, 1, 0))
        self.assertIn("paused_queue", [reason["rule"] for reason in job.why()["reasons"]])
        self.assertFalse(self.client.queues.resume("q")["paused"])
        self.assertIn("q", [queue["name"] for queue in self.client.queues.list()])
        with self.assertRaises(longhaul.NotFound):
            self.client.queues.get("nowhere")
        self.assertEqual(job.steps(), [])

    def test_a_queue_has_slots_and_a_rate_until_they_are_taken_away_and_a_job_tells_the_workers_that_it_prefers(self) -> None:
        client = self.client
        told = client.queues.set("q", {"slots": 2, "rate": {"n": 90, "per": 60}})
        limits = (told["config"]["slots"], told["config"]["rate"], told["used"], told["rate_left"], told["rate_free_at"])
        self.assertEqual(limits, (2, {"n": 90, "per": 60, "burst": 9}, 0, 9, None))
        self.assertEqual(client.queues.set("q", {"fair": True})["config"]["slots"], 2, "what is left out stays")
        for wrong, field in (({"slots": 0}, "slots"), ({"rate": {"n": 0, "per": 1}}, "rate.n"), ({"rate": {"n": 1, "per": 0}}, "rate.per")):
            with self.assertRaises(longhaul.Invalid) as caught:
                client.queues.set("q", wrong)
            self.assertEqual(caught.exception.errors[0]["field"], field)
        told = client.queues.set("q", {"slots": None, "rate": None})
        self.assertEqual((told["config"]["slots"], told["config"]["rate"], told["used"], told["rate_left"]), (None,) * 4)
        job, plain = client.enqueue("k", 1, prefer={"gpu": "a100"}, prefer_hard=True).get(), client.enqueue("k", 1).get()
        self.assertEqual((job.prefer, job.prefer_hard, plain.prefer, plain.prefer_hard), ({"gpu": "a100"}, True, None, False))
        bad: Any = (({"prefer": {}}, "prefer"), ({"prefer": {"gpu": "a 100"}}, "prefer.gpu"), ({"prefer_hard": True}, "prefer_hard"))
        for wrong, field in bad:
            with self.assertRaises(longhaul.Invalid) as caught:
                client.enqueue("k", 1, **wrong)
            self.assertEqual(caught.exception.errors[0]["field"], field)

    def test_the_limits_of_a_key_are_its_own_or_those_of_its_longest_prefix_and_are_taken_away(self) -> None:
        client = self.client
        told = {"waiting": 0, "running": 0, "slots": 2, "rate": {"n": 90, "per": 60, "burst": 9}, "weight": 3, "max_waiting": None, "on_full": "reject", "closed_until": None, "rate_free_at": None}
        self.assertEqual(client.set_key("tenant:*", slots=2, rate={"n": 90, "per": 60}, weight=3), {"key": "tenant:*", "own": True, **told})
        self.assertEqual(client.key("tenant:7"), {"key": "tenant:7", "own": False, **told})
        client.set_key("*", slots=1)
        self.assertEqual((client.key("tenant:7")["slots"], client.key("other")["slots"]), (2, 1))
        self.assertIsNone(client.set_key("tenant:7")["slots"], "all of them at once")
        for key in ("tenant:7", "tenant:*", "*"):
            client.remove_key(key)
        key_ = client.key("tenant:7")
        self.assertEqual((key_["slots"], key_["rate"], key_["weight"], key_["own"], client.keys()), (None, None, 1, False, []))
        refusals: list[tuple[Callable[[], object], str]] = [
            (lambda: client.set_key("a", slots=0), "slots"),
            (lambda: client.set_key("a", weight=1_001), "weight"),
            (lambda: client.set_key("a", max_waiting=0), "max_waiting"),
            (lambda: client.set_key("a", rate={"n": 0, "per": 1}), "rate.n"),
            (lambda: client.set_key("a", rate={"n": 1, "per": 0}), "rate.per"),
            (lambda: client.set_key("a", rate={"n": 1, "per": 1, "burst": 0}), "rate.burst"),
            (lambda: client.set_key("*a", slots=1), "key"),
            (lambda: client.pause_key("a*"), "key"),
            (lambda: client.pause_key("a", -1), "for"),
            (lambda: client.keys_page(limit=0), "limit"),
        ]
        for call, field in refusals:
            with self.assertRaises(longhaul.Invalid) as caught:
                call()
            self.assertEqual(caught.exception.errors[0]["field"], field)

    def test_keys_are_listed_by_prefix_and_queue_page_by_page(self) -> None:
        client = self.client
        client.enqueue_many({"kind": "k", "args": n, "limit_keys": [f"tenant:{n}", "provider"]} for n in range(3))
        client.enqueue("k", 1, queue="mail", limit_keys=["tenant:9"])

        def names(keys: list[dict[str, Any]]) -> list[str]:
            return [key["key"] for key in keys]

        self.assertEqual(names(client.keys()), ["provider", "tenant:0", "tenant:1", "tenant:2", "tenant:9"])
        self.assertEqual(names(client.keys(queue="mail")), ["tenant:9"])
        first = client.keys_page(prefix="tenant:", limit=3)
        self.assertEqual((names(first["keys"]), first["next"]), (["tenant:0", "tenant:1", "tenant:2"], "tenant:2"))
        second = client.keys_page(prefix="tenant:", limit=3, cursor=first["next"])
        self.assertEqual((names(second["keys"]), second["next"]), (["tenant:9"], None))
        self.assertEqual(client.key("provider")["waiting"], 3)
        self.assertEqual(len(list(client.jobs.list(q="key:provider"))), 3, "any of a job's keys")

    def test_a_paused_key_keeps_its_jobs_waiting_until_it_is_resumed(self) -> None:
        client = self.client
        held, other = client.enqueue("k", 1, limit_keys=["tenant:7", "provider"]), client.enqueue("k", 2)
        until = client.pause_key("provider")["closed_until"]
        self.assertEqual(client.pause_key("provider", 60)["closed_until"], until, "a longer pause is not shortened")
        why = held.why()
        self.assertEqual((why["state"], why["reasons"][0]), ("available", {"rule": "paused_key", "key": "provider", "until": until}))
        self.assertEqual([reason["rule"] for reason in other.why()["reasons"]], ["no_worker"])
        self.assertIsNone(client.resume_key("provider")["closed_until"])
        self.assertEqual([reason["rule"] for reason in held.why()["reasons"]], ["no_worker"])
        self.work("k", lambda args: "well")
        self.assertEqual(held.wait(), "well")

    def test_no_more_of_a_key_runs_than_it_has_slots(self) -> None:
        client = self.client
        client.set_key("gpu", slots=3)
        costs = [{"slots": slots} for slots in (2, 2, 1, 1, 9)]
        jobs = client.enqueue_many({"kind": "train", "args": n, "limit_keys": ["gpu"], "cost": cost} for n, cost in enumerate(costs))
        self.work("train", lambda args: client.key("gpu")["running"])
        taken = [job.wait() for job in jobs]
        self.assertTrue(all(1 <= running <= 3 or running == 9 for running in taken), taken)
        self.assertEqual((taken[4], client.key("gpu")["running"]), (9, 0), "what takes more than all slots runs alone")

    def test_a_queue_lets_its_keys_take_turns(self) -> None:
        self.client.enqueue("k", 1, queue="q")
        self.assertFalse(self.client.queues.get("q")["config"]["fair"])
        self.assertTrue(self.client.queues.set("q", {"fair": True})["config"]["fair"])
        self.assertTrue(self.client.queues.set("q", {"retention": {"failed": {"count": 3}}})["config"]["fair"])

    def test_a_job_that_has_ended_runs_again_with_other_args(self) -> None:
        job = self.client.enqueue("double", 1)
        self.work("double", lambda n: 2 * n)
        self.assertEqual(job.retry(args=4).args, 4)
        self.work("double", lambda n: 2 * n)
        self.assertEqual(job.wait(), 8)

    def test_waiting_jobs_get_another_priority(self) -> None:
        jobs = self.client.enqueue_many({"kind": kind, "args": None} for kind in ("k", "k", "other"))
        self.assertEqual(self.client.jobs.set_priority(filter={"kind": "k"}, priority=7), longhaul.Acted(2, 2, True))
        self.assertEqual([job.get().priority for job in jobs], [7, 7, 0])

    def test_a_search_goes_by_words_and_says_how_far_it_has_looked(self) -> None:
        self.client.enqueue_many(
            [
                {"kind": "mail", "args": {"to": "olga@example.com", "n": 1}, "labels": {"tenant": "7"}},
                {"kind": "mail", "args": {"to": "bob@example.com", "n": 2}, "queue": "slow"},
                {"kind": "ocr", "args": {"page": "two words"}, "labels": {"tenant": "8"}},
            ]
        )
        for words, fitting in {
            "kind:mail": ["mail slow", "mail default"],
            "kind:mail -queue:slow": ["mail default"],
            "label.tenant:8": ["ocr default"],
            "args.n:2": ["mail slow"],
            '"two words"': ["ocr default"],
            "OLGA": ["mail default"],
        }.items():
            self.assertEqual([f"{job.kind} {job.queue}" for job in self.client.jobs.list(q=words)], fitting, words)
        page = self.client.jobs.page(q="bob")
        self.assertEqual((len(page.jobs), page.next, page.searched), (1, None, 3))

    def test_many_are_counted_cancelled_retried_and_deleted_by_a_filter(self) -> None:
        self.client.enqueue_many({"kind": "many", "args": n} for n in range(1_100))
        filter = {"kind": "many"}
        self.assertEqual(self.client.jobs.cancel(filter=filter, dry_run=True), longhaul.Acted(1_100, 1_100, True))
        self.assertEqual(self.client.jobs.cancel(filter=filter).done, 1_100)
        self.assertEqual(self.client.jobs.cancel(filter={"kind": []}).done, 0)
        self.assertEqual(self.client.jobs.retry(filter=filter, limit=5).done, 5)
        self.assertEqual(self.client.jobs.delete(filter=filter).done, 1_095)
        self.assertEqual(len(list(self.client.jobs.list(**filter))), 5)

    @staticmethod
    def schema(name: str) -> set[str]:
        """The fields of a schema that are always there, as the document of a server has them."""
        return set(document()["components"]["schemas"][name]["required"])


class OfTheServerInMemory(Stories, unittest.TestCase):
    def setUp(self) -> None:
        server = MemoryServer()
        self.client, self.impatient, self.work = server.client(), server.client(max_retries=0), server.run
        self.addCleanup(self.client.close)
        self.addCleanup(self.impatient.close)


class OfARealServer(Stories, unittest.TestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.close)
        self.client, self.work = Longhaul(self.server.url, max_retries=5), self.work_really
        self.impatient = Longhaul(self.server.url, max_retries=0)
        self.addCleanup(self.client.close)
        self.addCleanup(self.impatient.close)

    def work_really(self, kind: str, work: Callable[[Any], Any]) -> int:
        waiting = [job.id for job in self.client.jobs.list(kind=kind, state=["available", "scheduled"])]
        worker = Worker(self.server.url)
        worker.job(kind)(lambda cx, args: work(args))
        thread = threading.Thread(target=lambda: asyncio.run(worker.run_async()))
        thread.start()
        for id in waiting:
            try:
                self.client.job(id).wait()
            except longhaul.JobFailed:
                pass
        worker.stop()
        thread.join()
        return len(waiting)


class OfTheDocument(unittest.TestCase):
    def test_jobs_and_options_have_the_fields_of_the_document(self) -> None:
        schemas = document()["components"]["schemas"]
        cut = {"args_cut", "args_bytes", "output_cut", "output_bytes"}
        self.assertEqual(set(longhaul.Job.__dataclass_fields__) - {"raw"}, set(schemas["Job"]["properties"]) - cut)
        self.assertEqual({"kind", "args", *longhaul.JobOptions.__annotations__}, set(schemas["NewJob"]["properties"]))


_document: dict[str, Any] = {}


def document() -> dict[str, Any]:
    """The document of a server's API."""
    if not _document:
        server = Server()
        try:
            client = Longhaul(server.url)
            _document.update(client._run(longhaul.flow.request(client._settings, "GET", "/api/openapi.json")).json())
            client.close()
        finally:
            server.close()
    return _document


if __name__ == "__main__":
    unittest.main()
