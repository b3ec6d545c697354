"""One job in a worker's hands."""

from __future__ import annotations

import threading
import time
from asyncio import TimerHandle
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any


def to_be_heard() -> Future[None]:
    """A future for whoever waits until something was heard. A coroutine that waits for it may be cancelled, and must not cancel it: who
    tells it then would fail, and tell no others."""
    heard: Future[None] = Future()
    heard.set_running_or_notify_cancel()
    return heard


@dataclass
class Said:
    """An entry as JSON, with whom to tell that it was heard."""

    text: str
    heard: list[Future[None]] = field(default_factory=list)
    #: The handler goes on once it is kept.
    is_step: bool = False

    def tell(self) -> None:
        """Tells that it was heard."""
        for one in self.heard:
            one.set_result(None)


class Run:
    """A claim of a job, until its end was heard. All threads of the worker have it in common."""

    def __init__(self, claimed: dict[str, Any], since: float) -> None:
        self.claimed = claimed
        self.lease: dict[str, Any] = claimed["lease"]
        #: The time at which the last heartbeat that got through was sent.
        self.kept_at = since
        #: Another worker may have the job: nothing more is said of it.
        self.is_lost = False
        #: Its end is on its way; what its handler still does is not heard.
        self.has_ended = False
        #: Set where the handler should stop.
        self.stopped = threading.Event()
        self.on_stop: Callable[[], Any] = lambda: None
        #: Ends it at its deadline.
        self.deadline: TimerHandle | None = None
        #: The units of its rates that it really took, where it has said so.
        self.cost: int | None = None
        #: Asks the server for something that no entry says; blocks.
        self.ask: Callable[[str, dict[str, Any]], Any] = lambda what, body: {}
        #: The seconds that are left until a time, which is in milliseconds.
        self.left_of: Callable[[int], float] = lambda until: until / 1_000 - time.time()
        #: What it has said and is not yet sent; the recorder's to change.
        self.entries: list[Said] = []

    def stop(self) -> None:
        """Asks the handler to stop, once."""
        if not self.stopped.is_set():
            self.stopped.set()
            self.on_stop()

    def told(self, status: str) -> None:
        """Heeds what the server has answered about the lease."""
        if status == "lost":
            self.is_lost = True
        if status in ("lost", "cancel_requested"):
            self.stop()
