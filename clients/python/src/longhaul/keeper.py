"""Keeps the leases of a worker's jobs in threads of its own.

A handler may hold the event loop or the interpreter's other threads for long; a heartbeat that waited for it would come too
late, and the job would be given to another worker while it still runs here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from .client import Longhaul
from .flow import request
from .run import Run

log = logging.getLogger("longhaul.worker")


class Keeper:
    """Beats every tenth of a lease, and gives up runs whose leases are about to end because no heartbeat got through."""

    def __init__(self, client: Longhaul, presentation: dict[str, Any], lease: float, unheard: Callable[[Run], None]) -> None:
        self._client, self._presentation, self._lease, self._unheard = client, presentation, lease, unheard
        self._lock = threading.Lock()
        self._runs: dict[int, Run] = {}
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(what, every), name="longhaul-keeper", daemon=True)
            for what, every in ((self._beat, lease / 10), (self._look, lease / 20))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the threads."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=self._lease)

    @staticmethod
    def now() -> float:
        """A clock that no setting of the wall clock moves."""
        return time.monotonic()

    def add(self, runs: Iterable[Run]) -> None:
        """Keeps leases from now on."""
        with self._lock:
            self._runs.update((id(run), run) for run in runs)

    def remove(self, runs: Iterable[Run]) -> None:
        """Keeps leases no longer: their jobs have ended."""
        with self._lock:
            for run in runs:
                self._runs.pop(id(run), None)

    def _repeat(self, what: Callable[[], None], every: float) -> None:
        what()
        while not self._stopping.wait(every):
            what()

    def _held(self) -> list[Run]:
        with self._lock:
            return list(self._runs.values())

    def _beat(self) -> None:
        runs, sent_at = self._held(), self.now()
        body = {"worker": self._presentation, "leases": [run.lease for run in runs], "lease_for": self._lease}
        try:
            statuses = self._client._run(request(self._client._settings, "POST", "/api/worker/heartbeat", body=body)).json()["statuses"]
        except Exception as error:  # noqa: BLE001  Whatever answers so, the next beat may be heard.
            log.warning("failed to send a heartbeat: %s", error)
            return
        for run, status in zip(runs, statuses):
            run.kept_at = sent_at
            if status == "lost":
                self.remove([run])
            run.told(status)

    def _look(self) -> None:
        for run in self._held():
            # Two heartbeats before the lease ends, also while one is on its way: after that another worker may have the job.
            if self.now() - run.kept_at >= 0.8 * self._lease:
                self.remove([run])
                self._unheard(run)
