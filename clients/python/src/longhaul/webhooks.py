"""What was told of a job by its webhook, and the secrets that messages are signed with."""

from __future__ import annotations

from typing import TypedDict

from .flow import Flow, Settings, request, segment
from .job import State, WebhookEvent


class DeliveryFailure(TypedDict):
    """An attempt of a delivery that has failed."""

    attempt: int
    at: str
    #: What the receiver answered; ``None`` where no answer came.
    status: int | None
    error: str


class _Told(TypedDict):
    #: Its id, which is that of its job.
    id: str
    url: str
    #: The ends that are told, and the one that this delivery tells; ``None`` until it is there.
    events: list[WebhookEvent]
    event: WebhookEvent | None
    #: The ``webhook-id`` of its message: a delivery that sends it again has the same.
    message_id: str | None
    #: ``blocked`` until the job has ended, ``completed`` once the receiver has taken it, ``failed`` where it has not.
    state: State
    attempt: int
    max_attempts: int
    #: What the receiver answered last; ``None`` where no answer came.
    status: int | None
    #: When the last attempt began, and when the next one is due.
    at: str | None
    next_at: str | None
    #: The attempts that have failed, oldest first.
    failures: list[DeliveryFailure]


class Delivery(_Told, total=False):
    """A delivery of a job's webhook, which is a job of its own."""

    #: Why the last attempt failed.
    error: str
    #: Why there was nothing to tell.
    skipped: str


class _Secret(TypedDict):
    id: str
    created_at: str


class WebhookSecret(_Secret, total=False):
    """A secret that messages of webhooks are signed with. It has ``secret``, the secret itself, in the answer that makes it, and nowhere else."""

    secret: str


#: The answer of a class's own ``list``.
SecretRows = list[WebhookSecret]
SECRETS = "/api/webhook-secrets"


def secret_path(id: str) -> str:
    """The path of a secret."""
    return f"{SECRETS}/{segment(id)}"


def deliveries(settings: Settings, path: str) -> Flow[list[Delivery]]:
    """The deliveries of the job at a path."""
    told: list[Delivery] = (yield from request(settings, "GET", f"{path}/deliveries")).json()
    return told


def redeliver(settings: Settings, delivery: str) -> Flow[Delivery]:
    """Sends the message of a delivery again."""
    made: Delivery = (yield from request(settings, "POST", f"/api/deliveries/{segment(delivery)}/redeliver")).json()
    return made


def secrets(settings: Settings) -> Flow[list[WebhookSecret]]:
    """All secrets, by their names."""
    kept: list[WebhookSecret] = (yield from request(settings, "GET", SECRETS)).json()["secrets"]
    return kept


def create_secret(settings: Settings) -> Flow[WebhookSecret]:
    """A new secret."""
    made: WebhookSecret = (yield from request(settings, "POST", SECRETS)).json()
    return made
