"""Keeps the leases of a worker's jobs, and sends what they say, in a thread of its own.

A handler may hold the event loop or the interpreter's other threads for long; a heartbeat that waited for it would come too
late, and the job would be given to another worker while it still runs here.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import httpx

from .flow import pause, retry_after

log = logging.getLogger("longhaul.worker")

#: The most entries of one request.
AT_ONCE = 500


class Run:
    """One job in this worker's hands."""

    def __init__(self, id: str, token: int, since: float) -> None:
        self.id, self.token = id, token
        #: The time at which the last heartbeat that got through was sent.
        self.kept_at = since
        self.is_lost = False
        self.is_released = False
        self.stopped = threading.Event()
        self.on_stop: Callable[[], Any] = lambda: None

    @property
    def lease(self) -> dict[str, Any]:
        """The proof that the job is this worker's."""
        return {"id": self.id, "token": self.token}

    def stop(self) -> None:
        """Asks the handler to stop, once."""
        if not self.stopped.is_set():
            self.stopped.set()
            self.on_stop()

    def lose(self) -> None:
        """Another worker may have the job: its end is not sent any more."""
        self.is_lost = True
        self.stop()

    def finish(self, outcome: dict[str, Any]) -> dict[str, Any]:
        """The end of this run, for the server."""
        return {"lease": self.lease, "outcome": outcome}


class Keeper:
    """The thread that beats and records."""

    def __init__(self, http: httpx.Client, presentation: dict[str, Any], lease: float) -> None:
        self._http, self._presentation, self._lease = http, presentation, lease
        self._lock = threading.Condition()
        self._runs: dict[tuple[str, int], Run] = {}
        self._entries: list[tuple[Run, dict[str, Any], Future[None] | None]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="longhaul-keeper", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after what it has to send."""
        with self._lock:
            self._stopping = True
            self._lock.notify()
        self._thread.join(timeout=5.0)
        self._http.close()

    @staticmethod
    def now() -> float:
        """A clock that no setting of the wall clock moves."""
        return time.monotonic()

    def add(self, run: Run) -> None:
        """Keeps a lease from now on."""
        with self._lock:
            self._runs[(run.id, run.token)] = run

    def remove(self, run: Run) -> None:
        """Keeps a lease no longer: its job has ended."""
        with self._lock:
            self._runs.pop((run.id, run.token), None)

    def say(self, run: Run, entry: dict[str, Any], *, and_tell: bool = False) -> Future[None] | None:
        """Sends an entry soon, in order. With ``and_tell`` a future answers once it is durable."""
        done: Future[None] | None = Future() if and_tell else None
        with self._lock:
            self._entries.append((run, entry, done))
            self._lock.notify()
        return done

    def said(self, run: Run) -> Future[None]:
        """A future that answers once all that a run has said so far is durable, or the run is lost."""
        done: Future[None] = Future()
        with self._lock:
            if any(one is run for one, _, _ in self._entries):
                self._entries.append((run, {}, done))
                self._lock.notify()
            else:
                done.set_result(None)
        return done

    def _serve(self) -> None:
        beat_at = self.now()
        while True:
            with self._lock:
                if not self._entries and not self._stopping:
                    self._lock.wait(max(0.0, beat_at - self.now()))
                entries = self._entries[:AT_ONCE]
                if self._stopping and not entries:
                    return
            if self.now() >= beat_at:
                self._beat()
                beat_at = self.now() + self._lease / 10
            if entries:
                self._record(entries)

    def _beat(self) -> None:
        with self._lock:
            runs = list(self._runs.values())
        sent_at = self.now()
        body = {
            "worker": self._presentation,
            "leases": [run.lease for run in runs],
            "lease_for": self._lease,
        }
        try:
            answer = self._http.post("/api/worker/heartbeat", json=body, timeout=max(1.0, self._lease / 3))
            if answer.status_code == 200:
                for run, status in zip(runs, answer.json()["statuses"]):
                    run.kept_at = sent_at
                    self._told(run, status)
                return
            reason = f"{answer.status_code} {answer.text[:500]}"
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
        log.warning("failed to send a heartbeat: %s", reason)
        for run in runs:
            # Its lease may have ended: from now on another worker may have it.
            if self.now() - run.kept_at >= self._lease:
                self._drop(run)

    def _told(self, run: Run, status: str) -> None:
        if status == "lost":
            self._drop(run)
        elif status == "cancel_requested":
            run.stop()

    def _drop(self, run: Run) -> None:
        self.remove(run)
        run.lose()

    def _record(self, entries: list[tuple[Run, dict[str, Any], Future[None] | None]]) -> None:
        records: dict[Run, list[dict[str, Any]]] = {}
        for run, entry, _ in entries:
            if entry and not run.is_lost:
                records.setdefault(run, []).append(entry)
        if records and not self._send(records):
            return
        with self._lock:
            del self._entries[: len(entries)]
        for run, _, done in entries:
            if done is not None:
                done.set_result(None)

    def _send(self, records: dict[Run, list[dict[str, Any]]]) -> bool:
        """False where it was not heard, and is to be sent again after the next heartbeat is due."""
        body = {"records": [{"lease": run.lease, "entries": entries} for run, entries in records.items()]}
        key, tries = uuid.uuid4().hex, 0
        while True:
            told = None
            try:
                answer = self._http.post(
                    "/api/worker/record", json=body, headers={"idempotency-key": key}, timeout=max(1.0, self._lease / 3)
                )
                if answer.status_code == 200:
                    for run, status in zip(records, answer.json()["statuses"]):
                        self._told(run, status)
                    return True
                reason = f"{answer.status_code} {answer.text[:500]}"
                if answer.status_code < 500 and answer.status_code not in (408, 429):
                    log.error("the server refused what jobs said: %s", reason)
                    return True
                told = retry_after(answer.headers.get("retry-after"))
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
            log.warning("failed to send what jobs said, will try again: %s", reason)
            # A heartbeat that waited for this would come too late.
            time.sleep(min(pause(min(tries, 5), told), self._lease / 10))
            self._beat()
            tries += 1
            if all(run.is_lost for run in records) or self._stopping:
                return True
