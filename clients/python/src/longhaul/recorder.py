"""Sends what runs say, in order, in a thread of its own."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from .run import Run, Said, to_be_heard

log = logging.getLogger("longhaul.worker")

#: The most bytes of one request's entries or ends; a body may have 16 MiB.
BODY_BYTES = 8_000_000
#: The most bytes of entries that go with the end of a run.
AT_THE_END = 1_000_000


class Recorder:
    """``send`` sends a request of ``/api/worker/``, and returns its answer, however long the server is away. ``refused`` is told of a run
    that has done a step which the server does not keep, with the reason."""

    def __init__(self, send: Callable[[str, bytes], Any], refused: Callable[[Run, str], None]) -> None:
        self._send, self._refused = send, refused
        self._lock = threading.Condition()
        #: Runs with entries that are not yet sent, in the order in which they began to speak.
        self._speaking: dict[Run, None] = {}
        self._sending: dict[Run, list[Said]] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="longhaul-recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after what it is sending."""
        with self._lock:
            self._stopping = True
            self._lock.notify()
        self._thread.join(timeout=5.0)

    def say(self, run: Run, text: str, heard: Future[None] | None = None) -> None:
        """Sends an entry soon. ``heard`` is told once it is durable, or the run is lost."""
        with self._lock:
            run.entries.append(Said(text, [heard] if heard is not None else [], heard is not None))
            self._speaking[run] = None
            self._lock.notify()

    def last(self, run: Run) -> Future[None] | list[Said]:
        """What a run has said and is not yet sent, to be sent with its end; a future to wait for before that, where more is on its way."""
        with self._lock:
            if run not in self._sending and sum(len(said.text) for said in run.entries) <= AT_THE_END:
                self._speaking.pop(run, None)
                said, run.entries = run.entries, []
                return said
            heard = to_be_heard()
            (run.entries or self._sending[run])[-1].heard.append(heard)
            return heard

    def _serve(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._speaking or self._stopping)
                if self._stopping and not self._speaking:
                    return
                sending = self._sending = self._take()
            self._record({run: said for run, said in sending.items() if not run.is_lost})
            with self._lock:
                self._sending = {}
            for said in sending.values():
                for one in said:
                    one.tell()

    def _take(self) -> dict[Run, list[Said]]:
        """As much of what was said as one request may have, and one entry at least."""
        taken: dict[Run, list[Said]] = {}
        room = BODY_BYTES
        for run in list(self._speaking):
            count = 0
            for said in run.entries:
                # What a lost run has said is nobody's any more.
                if len(said.text) > room and (count or taken) and not run.is_lost:
                    break
                room -= 0 if run.is_lost else len(said.text)
                count += 1
            if count:
                taken[run] = run.entries[:count]
                del run.entries[:count]
            if run.entries:
                break
            del self._speaking[run]
        return taken

    def _record(self, said: dict[Run, list[Said]]) -> None:
        if not said:
            return
        records = ",".join(
            f'{{"lease":{json.dumps(run.lease)},"entries":[{",".join(one.text for one in entries)}]}}' for run, entries in said.items()
        )
        try:
            statuses = self._send("record", f'{{"records":[{records}]}}'.encode())["statuses"]
        except Exception as error:  # noqa: BLE001  A refusal, or the end of an outage's patience.
            # What the server refuses of many runs concerns one of them only.
            for run, entries in said.items():
                if len(said) > 1:
                    self._record({run: entries})
                    continue
                log.error("the server refused what job %s said: %s", run.lease["id"], error)
                if any(one.is_step for one in entries):
                    self._refused(run, str(error))
            return
        for run, status in zip(said, statuses):
            run.told(status)
