"""The conformance tests of remote workers: a test for each sentence of docs/remote-workers.md, against a real server.

`LONGHAUL_BIN` names the server's binary, `LONGHAUL_WORKER` the command of the worker under test. See README.md.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any

import httpx
from longhaul import (
    AttemptError,
    ChunkEvent,
    JobCancelled,
    JobExpired,
    JobFailed,
    JobHandle,
    LogEvent,
    Longhaul,
    OutputEvent,
    StateEvent,
)
from longhaul.flow import request
from proxy import PATIENCE, Exchange, Proxy

#: Leases of the tests in which one is to end, in seconds. The others are too long to end while a test runs.
BRIEF = 8.0

#: Leases of the tests in which one is to be kept for longer than it is long: four fifths of one without a heartbeat end its run, and a
#: busy machine may stand still for some seconds.
KEPT = 20.0


class Server:
    """A server in a folder of its own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [os.environ["LONGHAUL_BIN"], "serve", "--listen", "127.0.0.1:0", "--data", self._folder.name, "--accept-unknown-kinds"],
            env={**os.environ, "LONGHAUL_LOG_FORMAT": "json", "RUST_LOG": "info"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        seen = b""
        for line in self._process.stdout:
            seen += line
            address = re.search(rb"listening on (http://127\.0\.0\.1:\d+)", line)
            if address is not None:
                self.url = address[1].decode()
                break
        else:
            raise AssertionError(f"the server did not start: {seen.decode()}")
        threading.Thread(target=self._process.stdout.read, daemon=True).start()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


server: Server


def setUpModule() -> None:
    global server
    server = Server()
    unittest.addModuleCleanup(server.close)


class Case(unittest.TestCase):
    """Each test has a queue of its own, a proxy, and the workers that it starts."""

    def setUp(self) -> None:
        self.queue = self.id().rsplit(".", 1)[1][:60]
        self.proxy = Proxy(server.url)
        self.addCleanup(self.proxy.close)
        self.client = Longhaul(server.url)
        self.addCleanup(self.client.close)

    def worker(self, **options: Any) -> subprocess.Popen[bytes]:
        """A worker in a process of its own, behind the proxy."""
        command = shlex.split(os.environ["LONGHAUL_WORKER"])
        options = {"queue": self.queue, "slots": 4, "lease": 60, "drain": 60, **options}
        process = subprocess.Popen([*command, self.proxy.url, json.dumps(options)], stderr=subprocess.PIPE)
        said: list[bytes] = []
        assert process.stderr is not None
        reading = threading.Thread(target=lambda: said.extend(process.stderr or []))
        reading.start()

        def end() -> None:
            process.kill()
            process.wait()
            reading.join()
            assert process.stderr is not None
            process.stderr.close()
            if self._has_failed():
                print(b"".join(said).decode())

        self.addCleanup(end)
        return process

    def _has_failed(self) -> bool:
        outcome = getattr(self, "_outcome", None)
        return outcome is not None and not outcome.success

    def enqueue(self, kind: str, args: Any = None, **options: Any) -> JobHandle:
        return self.client.enqueue(kind, args, **{"queue": self.queue, **options})

    def waiting(self, kind: str, name: str = "", **options: Any) -> JobHandle:
        """A job that has begun, and waits at a gate of its name."""
        name = name or kind
        args = {"gate": self.proxy.gate(name), "stopped": self.proxy.hit(f"stopped-{name}")}
        job = self.enqueue(kind, args, **options)
        self.begun(job)
        return job

    def begun(self, job: JobHandle) -> None:
        """Returns once the job's handler has said something."""
        self.assertTrue(any(isinstance(event, ChunkEvent) for event in self.until_chunk(job)))

    def until_chunk(self, job: JobHandle) -> Any:
        for event in job.events():
            yield event
            if isinstance(event, ChunkEvent):
                return

    def call(self, name: str, body: dict[str, Any]) -> Any:
        """A call of another worker, without the proxy."""
        return self.client._run(request(self.client._settings, "POST", f"/api/worker/{name}", body=body, held_for=30)).json()

    def taken_by_another(self, worker: subprocess.Popen[bytes], job: JobHandle) -> dict[str, Any]:
        """Stops a worker until its lease has ended and another has claimed its job, and lets it go on."""
        worker.send_signal(signal.SIGSTOP)
        claim = {
            "worker": {"id": f"another-{os.getpid()}"},
            "queues": [{"queue": self.queue, "slots": 1}],
            "kinds": [{"kind": job.get().kind}],
            "lease_for": 120,
            "wait": 20,
        }
        claimed: list[dict[str, Any]] = []
        while not claimed:
            claimed = self.call("claim", claim)["claimed"]
        worker.send_signal(signal.SIGCONT)
        self.assertEqual(claimed[0]["lease"]["id"], job.id)
        return dict(claimed[0]["lease"])

    def finish(self, lease: dict[str, Any], output: Any) -> None:
        """The end that the other worker sends."""
        answer = self.call("finish", {"finishes": [{"lease": lease, "outcome": {"completed": {"output": output}}}]})
        self.assertEqual(answer["statuses"], ["held"])

    def counts(self, job: JobHandle) -> tuple[str, int, int, int]:
        """The state of a job, and its three counters."""
        seen = job.get()
        return seen.state, seen.attempt, seen.raw["crashes"], seen.raw["interruptions"]

    def errors(self, job: JobHandle) -> list[AttemptError]:
        """The errors of a job that fails."""
        with self.assertRaises(JobFailed):
            job.wait(PATIENCE)
        return job.get().errors


def claims(exchange: Exchange) -> bool:
    return exchange.call in ("claim", "turn")


def of(call: str) -> Any:
    return lambda exchange: exchange.call == call


class Claims(Case):
    def test_a_claim_takes_no_more_than_the_slots_of_each_queue(self) -> None:
        self.worker(slots=2)
        running = [self.waiting("gate", str(number)) for number in range(2)]
        waiting = self.enqueue("gate", {"gate": self.proxy.gate("2"), "stopped": ""})
        self.proxy.seen(lambda one: one.call == "heartbeat" and len(one.body["leases"]) == 2)
        self.assertEqual([self.counts(job)[0] for job in [*running, waiting]], ["running", "running", "available"])
        for number in range(3):
            self.proxy.open(str(number))
        self.assertEqual([job.wait(PATIENCE) for job in [*running, waiting]], ["done"] * 3)

    def test_a_claim_takes_only_the_queues_it_names(self) -> None:
        other = self.enqueue("echo", 1, queue=f"{self.queue}-x")
        own = self.enqueue("echo", 2)
        self.worker()
        self.assertEqual(own.wait(PATIENCE), 2)
        self.assertEqual(self.counts(other)[0], "available")

    def test_a_claim_takes_only_the_kinds_it_names(self) -> None:
        unknown, known = self.enqueue("nobody-knows"), self.enqueue("echo", 2)
        self.worker()
        self.assertEqual(known.wait(PATIENCE), 2)
        self.assertEqual(self.counts(unknown)[0], "available")

    def test_a_claim_takes_no_version_above_the_one_it_knows(self) -> None:
        jobs = [{"kind": "told", "queue": self.queue, "id": f"{self.queue}-{v}", "version": v, "args": None} for v in (3, 2)]
        self.call("enqueue", {"jobs": jobs})
        self.worker()
        self.assertEqual(self.client.job(f"{self.queue}-2").wait(PATIENCE)["version"], 2)
        self.assertEqual(self.counts(self.client.job(f"{self.queue}-3"))[0], "available")

    def test_a_claim_brings_the_outputs_of_the_steps_that_are_done(self) -> None:
        self.worker()
        job = self.enqueue("steps", {"hit": self.proxy.hit("step")}, max_attempts=2)
        self.assertEqual(job.wait(PATIENCE), ["1", 2])
        self.assertEqual(self.proxy.hits("step"), 1)

    def test_a_waiting_claim_answers_when_a_job_arrives(self) -> None:
        self.worker()
        self.proxy.seen(lambda one: claims(one) and one.answer is None)
        job = self.enqueue("echo", 1)
        # One of these brings it. The first may have been empty: its wait is over where the machine stood still before the enqueue.
        sent = list(self.proxy.seen(claims))
        self.assertEqual(job.wait(PATIENCE), 1)
        bringing = self.proxy.seen(lambda one: one.call == "claim" and one.answer and one.answer["claimed"])[0]
        self.assertEqual([one["lease"]["id"] for one in bringing.answer["claimed"]], [job.id])
        self.assertIn(bringing, sent)

    def test_a_dropped_claim_takes_nothing(self) -> None:
        worker = self.worker()
        self.proxy.seen(claims)
        worker.terminate()
        self.assertEqual(worker.wait(PATIENCE), 0)
        self.proxy.seen(lambda one: claims(one) and one.is_dropped)
        job = self.enqueue("echo", 1)
        self.worker()
        self.assertEqual(job.wait(PATIENCE), 1)
        self.assertEqual(self.counts(job), ("completed", 1, 0, 0))

    def test_a_run_is_told_its_attempt_its_labels_and_its_place_in_a_trace(self) -> None:
        self.worker()
        place = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        job = self.enqueue("told", None, max_attempts=7, labels={"tenant": "7"}, traceparent=place)
        told = {"id": job.id, "attempt": 1, "max_attempts": 7, "version": job.get().raw["version"], "labels": {"tenant": "7"}, "traceparent": place}
        self.assertEqual(job.wait(PATIENCE), told)


class Leases(Case):
    def test_a_heartbeat_extends_the_lease(self) -> None:
        self.worker(lease=KEPT)
        job = self.waiting("gate")
        # Ten are sent in a lease.
        self.proxy.seen(lambda one: one.call == "heartbeat" and one.answer and one.body["leases"], 12)
        self.proxy.open("gate")
        self.assertEqual(job.wait(PATIENCE), "done")
        self.assertEqual(self.counts(job), ("completed", 1, 0, 0))

    def test_a_claim_waits_for_a_quarter_of_a_lease_at_most(self) -> None:
        # A lease counts from when its claim was sent: a run of a claim that waited for most of it would be stopped at once.
        self.worker(lease=BRIEF)
        first, second = self.proxy.seen(lambda one: one.call == "claim" and one.answer, 2)[:2]
        self.assertEqual([one.body["wait"] for one in (first, second)], [BRIEF / 4] * 2)
        self.assertEqual([one.answer["claimed"] for one in (first, second)], [[], []])
        self.assertEqual(self.enqueue("echo", 1).wait(PATIENCE), 1)

    def test_a_handler_that_blocks_keeps_its_lease(self) -> None:
        self.worker(lease=KEPT)
        job = self.waiting("block")
        # The worker's own thread is held, and not one of its claims or ends can be sent.
        self.proxy.seen(lambda one: one.call == "heartbeat" and one.answer and one.body["leases"], 12)
        self.proxy.open("block")
        self.assertEqual(job.wait(PATIENCE), "done")
        self.assertEqual(self.counts(job), ("completed", 1, 0, 0))

    def test_a_heartbeat_with_an_old_token_is_lost(self) -> None:
        worker = self.worker(lease=BRIEF)
        job = self.waiting("gate")
        lease = self.taken_by_another(worker, job)
        self.proxy.hits("stopped-gate", at_least=1)
        self.finish(lease, "by another")
        self.assertEqual(job.wait(PATIENCE), "by another")

    def test_a_record_and_a_finish_with_an_old_token_change_nothing(self) -> None:
        worker = self.worker(lease=BRIEF, drain=5)
        job = self.waiting("stubborn")
        lease = self.taken_by_another(worker, job)
        self.proxy.hits("stopped-stubborn", at_least=1)
        self.proxy.open("stubborn")
        worker.terminate()
        self.assertEqual(worker.wait(PATIENCE), 0)
        self.assertEqual(self.counts(job)[0], "running")
        self.finish(lease, "by another")
        self.assertEqual(job.wait(PATIENCE), "by another")
        chunks = [event.data for event in job.events() if isinstance(event, ChunkEvent)]
        self.assertEqual(chunks, ["started"])

    def test_a_heartbeat_tells_of_a_requested_cancel(self) -> None:
        self.worker(lease=BRIEF)
        job = self.waiting("gate")
        job.cancel()
        self.proxy.hits("stopped-gate", at_least=1)
        with self.assertRaises(JobCancelled):
            job.wait(PATIENCE)

    def test_a_completion_of_a_job_asked_to_cancel_stands(self) -> None:
        self.worker()
        job = self.waiting("stubborn")
        # Not `job.cancel()`: that gives it ten seconds, which a busy machine may need.
        cancel = {"action": "cancel", "grace": {"secs": 600, "nanos": 0}}
        every: dict[str, Any] = {"states": [], "kinds": [], "queues": [], "labels": [], "text": None}
        self.call("act", {"filter": {**every, "ids": [job.id]}, "action": cancel, "limit": 1})
        self.proxy.hits("stopped-stubborn", at_least=1)
        self.proxy.open("stubborn")
        self.assertEqual(job.wait(PATIENCE), "done")

    def test_a_heartbeat_makes_the_worker_known(self) -> None:
        self.worker(slots=3)
        [heartbeat] = self.proxy.seen(lambda one: one.call == "heartbeat" and one.answer)[:1]
        [known] = [one for one in self.client.workers() if one["id"] == heartbeat.body["worker"]["id"]]
        self.assertEqual(known["queues"], [{"queue": self.queue, "slots": 3}])
        self.assertIn({"kind": "told", "version": 2}, known["kinds"])
        self.assertRegex(known["version"], r"^\S+ \d+\.\d+")
        self.assertLessEqual(known["started_at"], known["seen_at"])

    def test_a_worker_that_is_not_heard_stops_its_runs_within_their_leases_and_hands_them_back(self) -> None:
        # Not BRIEF: from where it gives up, four fifths of the lease, to the lease's end there is time for all that follows.
        self.worker()
        job = self.waiting("gate")
        self.proxy.fault("*", "refuse")
        self.proxy.hits("stopped-gate", at_least=1)
        self.assertEqual(self.counts(job), ("running", 1, 0, 0))
        self.proxy.mend()
        self.proxy.open("gate")
        self.assertEqual(job.wait(PATIENCE), "done")
        self.assertEqual(self.counts(job), ("completed", 1, 0, 1))


class Records(Case):
    def said(self, bytes: int, chunks: int) -> list[Any]:
        self.worker()
        job = self.enqueue("say", {"chunks": chunks, "bytes": bytes})
        job.wait(PATIENCE)
        events = list(job.events())
        said = [event.data.split(" ")[0] for event in events if isinstance(event, ChunkEvent)]
        self.assertEqual(said, [str(number) for number in range(chunks)])
        return events

    def test_recorded_entries_are_read_back_in_order(self) -> None:
        events = self.said(bytes=10, chunks=3_000)
        self.assertEqual([(event.level, event.message) for event in events if isinstance(event, LogEvent)], [("warn", "saying")])

    def test_the_last_progress_is_the_jobs_progress(self) -> None:
        self.worker()
        job = self.enqueue("say", {"chunks": 2, "bytes": 1})
        job.wait(PATIENCE)
        progress = job.get().progress
        assert progress is not None
        self.assertEqual((progress.percent, progress.message, progress.data), (90, "said", {"chunks": 2}))

    def test_entries_that_together_are_more_than_a_body_may_have_are_sent_in_pieces(self) -> None:
        # Of these the log keeps the newest 16 MiB, so that fewer than a whole body are looked at.
        self.said(bytes=60_000, chunks=250)
        self.worker()
        job = self.enqueue("say", {"chunks": 600, "bytes": 60_000})
        job.wait(PATIENCE)
        chunks = [event.data.split(" ")[0] for event in job.events() if isinstance(event, ChunkEvent)]
        self.assertEqual(chunks, [str(number) for number in range(600 - len(chunks), 600)])

    def test_an_entry_that_cannot_be_kept_ends_its_own_run_as_failed(self) -> None:
        self.worker()
        bad, good = self.enqueue("say", {"chunks": 1, "bytes": 70_000}, max_attempts=1), self.enqueue("say", {"chunks": 1, "bytes": 1})
        self.assertIn("chunk", self.errors(bad)[0].message)
        good.wait(PATIENCE)

    def test_a_record_whose_answer_is_lost_adds_nothing_a_second_time(self) -> None:
        self.proxy.fault("record", "lose", times=1)
        self.worker()
        job = self.waiting("gate")
        self.proxy.open("gate")
        job.wait(PATIENCE)
        self.assertEqual([event.data for event in job.events() if isinstance(event, ChunkEvent)], ["started"])
        first, second = self.proxy.seen(lambda one: one.call == "record" and one.body["records"], 2)[:2]
        self.assertEqual((first.key, first.body), (second.key, second.body))

    def test_a_step_that_the_server_refuses_fails_its_job(self) -> None:
        self.proxy.fault("record", "forbid")
        self.worker()
        job = self.enqueue("steps", {"hit": self.proxy.hit("step")}, max_attempts=2)
        self.assertEqual([error.kind for error in self.errors(job)], ["fatal"])
        self.assertEqual(self.proxy.hits("step"), 1)

    def test_a_run_that_is_stopped_while_its_step_is_recorded_keeps_no_other_from_its_steps(self) -> None:
        self.proxy.fault("record", "refuse")
        self.worker(lease=KEPT)
        job = self.enqueue("steps", {"hit": self.proxy.hit("step")})
        self.proxy.seen(lambda one: one.call == "record")
        job.cancel()
        self.proxy.seen(lambda one: one.call == "heartbeat" and one.answer and "cancel_requested" in one.answer["statuses"])
        self.proxy.mend()
        with self.assertRaises(JobCancelled):
            job.wait(PATIENCE)
        other = self.enqueue("steps", {"hit": self.proxy.hit("other")}, max_attempts=2)
        self.assertEqual(other.wait(PATIENCE), ["1", 2])

    def test_the_entries_of_a_finish_come_before_its_outcome(self) -> None:
        events = self.said(bytes=1, chunks=3)
        last = [type(event) for event in events][-2:]
        self.assertEqual(last, [OutputEvent, StateEvent])


class Finishes(Case):
    def test_a_completed_job_keeps_its_output(self) -> None:
        self.worker()
        output = {"text": "ä 漢 😀 \u2028", "numbers": [0, -1.5, 9007199254740991], "nothing": None, "deep": [[[{}]]], "yes": True}
        self.assertEqual(self.enqueue("echo", output).wait(PATIENCE), output)

    def test_a_retry_waits_for_its_delay_and_keeps_its_error(self) -> None:
        self.worker()
        job = self.enqueue("steps", {"hit": self.proxy.hit("step")}, max_attempts=2)
        job.wait(PATIENCE)
        self.assertEqual([(error.attempt, error.kind) for error in job.get().errors], [(1, "error")])
        self.assertIn("broken after the step", job.get().errors[0].message)
        ends = [end for one in self.proxy.seen(lambda one: "finishes" in one.body) for end in one.body["finishes"]]
        claimed = [job for one in self.proxy.seen(lambda one: claims(one) and one.answer) for job in one.answer["claimed"]]
        self.assertEqual(ends[0]["outcome"]["retry"]["delay"], claimed[0]["retry_in"])

    def test_a_failed_job_keeps_its_error(self) -> None:
        self.worker()
        last, fatal = self.enqueue("end", {"how": "error"}, max_attempts=1), self.enqueue("end", {"how": "fatal"}, max_attempts=9)
        self.assertIn("broken", self.errors(last)[0].message)
        self.assertEqual([(error.attempt, error.kind, error.message) for error in self.errors(fatal)], [(1, "fatal", "no retry can help")])

    def test_an_attempt_beyond_its_timeout_fails(self) -> None:
        self.worker()
        job = self.waiting("gate", timeout=1, max_attempts=1)
        self.assertEqual([error.kind for error in self.errors(job)], ["timeout"])
        self.proxy.hits("stopped-gate", at_least=1)

    def test_a_run_that_was_cut_off_at_its_deadline_says_so(self) -> None:
        self.worker()
        # A deadline counts from the enqueue: the worker's own start must not use it up.
        self.proxy.seen(claims)
        job = self.waiting("gate", deadline=20, max_attempts=3)
        with self.assertRaises(JobExpired):
            job.wait(PATIENCE)
        self.proxy.hits("stopped-gate", at_least=1)
        self.assertEqual((self.counts(job), job.get().cancel_reason), (("cancelled", 1, 0, 0), "deadline"))
        [end] = [end for one in self.proxy.seen(lambda one: "finishes" in one.body) for end in one.body["finishes"]]
        self.assertEqual(end["outcome"]["cancelled"]["cancel_reason"], "deadline")

    def test_a_run_that_settles_its_cost_moves_the_rates_of_its_keys_by_the_difference(self) -> None:
        self.worker()

        def is_free(units: int, set_aside: int) -> bool:
            key = f"{self.queue}-{units}"
            self.client.set_key(key, rate={"n": 10, "per": 3_600, "burst": 10})
            self.enqueue("settle", {"units": units}, key=key, cost={"rate": set_aside}).wait(PATIENCE)
            return self.client.key(key)["rate_free_at"] is None

        self.assertEqual((is_free(20, 1), is_free(0, 10)), (False, True))

    def test_a_cancelled_outcome_ends_the_job(self) -> None:
        self.worker()
        job = self.enqueue("end", {"how": "cancel"})
        with self.assertRaises(JobCancelled):
            job.wait(PATIENCE)

    def test_a_snooze_costs_no_attempt(self) -> None:
        self.worker()
        job = self.enqueue("later", {"hit": self.proxy.hit("run"), "is_limit": False, "seconds": 0.1})
        self.assertEqual(job.wait(PATIENCE), 1)
        self.assertEqual((self.counts(job)[:3], job.get().errors), (("completed", 1, 0), []))

    def test_a_rate_limited_run_costs_no_attempt_and_pauses_its_limit_key(self) -> None:
        first = self.enqueue("later", {"hit": self.proxy.hit("run"), "is_limit": True, "seconds": 1}, key=self.queue)
        second = self.enqueue("echo", 2, key=self.queue)
        other = self.enqueue("echo", 3)
        self.worker(slots=1)
        self.assertEqual([first.wait(PATIENCE), second.wait(PATIENCE), other.wait(PATIENCE)], [1, 2, 3])
        # What has no key has not waited.
        self.assertLess(other.get().raw["finished_at"], second.get().raw["started_at"])
        self.assertEqual(self.counts(first)[:3], ("completed", 1, 0))

    def test_a_run_that_waits_for_a_signal_gives_its_slot_back_and_costs_no_attempt(self) -> None:
        self.worker(slots=1)
        job = self.enqueue("wait", {"how": "signal"}, max_attempts=1)
        self.proxy.seen(lambda one: "waits" in str(one.body.get("finishes")) and one.answer)
        self.assertEqual((self.enqueue("echo", 1).wait(PATIENCE), job.get().waits_for), (1, "signal:go"))
        self.assertTrue(job.signal("go", {"by": "ada"}))
        self.assertEqual(job.wait(PATIENCE), [{"by": "ada"}, 1])
        # Signals that come before the run asks for them; the queue is paused, so that they do.
        self.client.queues.pause(self.queue)
        early = self.enqueue("wait", {"how": "signal"})
        self.assertEqual([early.signal("go", n) for n in range(2)], [True, False])
        self.client.queues.resume(self.queue)
        self.assertEqual(early.wait(PATIENCE), [0, 1])

    def test_a_wait_token_gives_its_job_one_signal(self) -> None:
        self.worker()
        job = self.enqueue("wait", {"how": "token"}, max_attempts=1)
        token = next(event.data for event in job.events() if isinstance(event, ChunkEvent))
        path = f"{server.url}/api/signals/{token}"
        self.assertEqual(httpx.post(path, json=7).json(), {"accepted": True})
        # The second comes too late either way: for the signal, or for the job.
        self.assertIn(httpx.post(path, json=8).status_code, (202, 409))
        self.assertEqual(job.wait(PATIENCE), 7)

    def test_a_step_that_stands_twice_in_an_attempt_fails_the_job(self) -> None:
        self.worker()
        job = self.enqueue("twice", None, max_attempts=5)
        with self.assertRaisesRegex(JobFailed, "'same' stands twice in this attempt"):
            job.wait(PATIENCE)
        self.assertEqual((self.counts(job)[:2], job.steps()[0]["output"]), (("failed", 1), 1))

    def test_a_patched_point_is_the_old_code_for_a_job_that_had_passed_it(self) -> None:
        self.worker()
        jobs = [self.enqueue("patched", {"changed": changed}, max_attempts=3) for changed in ("before", "after")]
        self.assertEqual([job.wait(PATIENCE) for job in jobs], [False, True])

    def test_a_wait_for_a_signal_ends_after_its_timeout(self) -> None:
        self.worker()
        job = self.enqueue("wait", {"how": "signal", "timeout": 0.5}, max_attempts=1)
        self.assertEqual(job.wait(PATIENCE), [None, 1])

    def test_a_run_that_waits_for_its_children_gives_its_slot_back_and_costs_no_attempt(self) -> None:
        self.worker(slots=1)
        children = [{"kind": "echo", "queue": self.queue, "args": n} for n in range(5)]
        bad = {"kind": "end", "queue": self.queue, "args": {"how": "fatal"}}
        job = self.enqueue("wait", {"how": "children", "children": [*children, bad]}, max_attempts=1)
        counts = {"total": 6, "completed": 5, "failed": 1, "cancelled": 0}
        counted, attempt = job.wait(PATIENCE)
        self.assertEqual(({name: counted[name] for name in counts}, attempt), (counts, 1))
        self.assertEqual(self.client.job(f"{job.id}.all.4").wait(PATIENCE), 4)

    def test_a_job_that_waits_for_a_person_keeps_its_attempts_and_its_error(self) -> None:
        self.worker()
        job = self.enqueue("end", {"how": "error"}, max_attempts=1, on_exhausted="pause")
        self.proxy.seen(lambda one: "waits" in str(one.body.get("finishes")) and one.answer)
        seen = job.get()
        self.assertEqual((seen.state, seen.waits_for, seen.attempt), ("blocked", "person", 1))
        self.assertIn("broken", seen.errors[0].message)
        job.cancel()

    def test_a_sleep_costs_no_attempt_and_holds_no_slot(self) -> None:
        self.worker(slots=1)
        job = self.enqueue("wait", {"how": "sleep", "seconds": 1}, max_attempts=1)
        self.proxy.seen(lambda one: "snoozed" in str(one.body.get("finishes")) and one.answer)
        self.assertEqual((self.enqueue("echo", 1).wait(PATIENCE), job.wait(PATIENCE)), (1, 1))
        self.assertEqual(self.counts(job)[:3], ("completed", 1, 0))

    def test_a_finish_has_its_effect_once(self) -> None:
        for call in ("turn", "finish"):
            self.proxy.fault(call, "lose", times=1)
        self.worker()
        job = self.enqueue("later", {"hit": self.proxy.hit("run"), "is_limit": False, "seconds": 0.1})
        self.assertEqual(job.wait(PATIENCE), 1)
        self.assertEqual((self.proxy.hits("run"), self.counts(job)[1:3]), (2, (1, 0)))

    def test_an_output_that_cannot_be_kept_fails_its_own_job(self) -> None:
        bad = [
            self.enqueue("end", {"how": "large", "bytes": 1_200_000}, max_attempts=1),
            self.enqueue("end", {"how": "no json"}, max_attempts=1),
        ]
        good = self.enqueue("echo", 1)
        self.worker()
        self.assertEqual(good.wait(PATIENCE), 1)
        for job in bad:
            self.errors(job)

    def test_outputs_that_together_are_more_than_a_body_may_have_are_kept(self) -> None:
        jobs = [self.enqueue("end", {"how": "large", "bytes": 1_000_000}) for _ in range(20)]
        self.worker(slots=20)
        self.assertEqual([len(job.wait(PATIENCE)) for job in jobs], [1_000_000] * 20)


class Shutdowns(Case):
    def test_sigterm_lets_running_jobs_end_and_claims_no_more(self) -> None:
        worker = self.worker()
        job = self.waiting("gate")
        self.proxy.seen(lambda one: claims(one) and one.answer is None)
        worker.terminate()
        self.proxy.seen(lambda one: claims(one) and one.is_dropped)
        after = self.enqueue("echo", 1)
        self.proxy.open("gate")
        self.assertEqual(worker.wait(PATIENCE), 0)
        self.assertEqual((job.get().output, self.counts(after)), ("done", ("available", 0, 0, 0)))

    def test_a_release_costs_no_attempt_and_counts_as_an_interruption(self) -> None:
        worker = self.worker(drain=0)
        job = self.waiting("gate")
        worker.terminate()
        self.assertEqual(worker.wait(PATIENCE), 0)
        self.assertEqual(self.counts(job), ("available", 0, 0, 1))
        self.proxy.hits("stopped-gate", at_least=1)

    def test_a_second_signal_hands_running_jobs_back_at_once(self) -> None:
        worker = self.worker(drain=100_000)
        job = self.waiting("gate")
        self.proxy.seen(lambda one: claims(one) and one.answer is None)
        worker.terminate()
        self.proxy.seen(lambda one: claims(one) and one.is_dropped)
        worker.terminate()
        self.assertEqual(worker.wait(PATIENCE), 0)
        self.assertEqual(self.counts(job), ("available", 0, 0, 1))

    def test_a_handler_that_does_not_stop_keeps_no_process_alive(self) -> None:
        worker = self.worker(drain=0)
        job = self.waiting("stubborn")
        worker.terminate()
        self.assertEqual(worker.wait(PATIENCE), 0)
        self.assertEqual(self.counts(job), ("available", 0, 0, 1))

    def test_a_rescue_costs_no_attempt_and_counts_as_a_crash(self) -> None:
        worker = self.worker(lease=BRIEF)
        job = self.waiting("gate")
        worker.kill()
        self.proxy.open("gate")
        self.worker()
        self.assertEqual(job.wait(PATIENCE), "done")
        self.assertEqual(self.counts(job), ("completed", 1, 1, 0))


class Outages(Case):
    def test_ends_of_an_outage_are_told_after_it(self) -> None:
        self.worker()
        job = self.waiting("gate")
        self.proxy.fault("*", "refuse")
        self.proxy.open("gate")
        self.proxy.seen(lambda one: one.is_refused and "finishes" in (one.body or {}), 2)
        self.proxy.mend()
        self.assertEqual(job.wait(PATIENCE), "done")
        self.assertEqual(self.counts(job), ("completed", 1, 0, 0))

    def test_a_server_whose_store_is_away_is_asked_again(self) -> None:
        self.proxy.fault("*", "unavailable", times=6)
        self.worker()
        self.assertEqual(self.enqueue("echo", 1).wait(PATIENCE), 1)
        self.proxy.seen(lambda one: claims(one) and one.is_refused)


class Sentences(unittest.TestCase):
    def test_the_sentences_of_the_page_are_the_names_of_the_tests(self) -> None:
        sentences = self.sentences("docs/remote-workers.md", r"^- (.+)\.$")
        names = {re.sub(r"\W+", "_", sentence.lower().replace("'", "")) for sentence in sentences}
        cases = (Claims, Leases, Records, Finishes, Shutdowns, Outages)
        tests = {name.removeprefix("test_") for case in cases for name in vars(case) if name.startswith("test_")}
        self.assertEqual(names, tests)

    def test_the_first_sentences_of_the_page_are_the_stores(self) -> None:
        sentences = self.sentences("docs/remote-workers.md", r"^- (.+)\.$", "And those of a worker alone")
        store = self.sentences("crates/longhaul/src/store/mod.rs", r"^    /// - (.+)\.$")
        self.assertEqual([sentence for sentence in sentences if sentence not in store], [])

    def sentences(self, file: str, form: str, until: str = "\n## In ") -> list[str]:
        text = (Path(__file__).parents[2] / file).read_text()
        return re.findall(form, text.rpartition("## What a worker keeps")[2].partition(until)[0], re.MULTILINE)


if __name__ == "__main__":
    unittest.main()
