"""The errors of the client. Each has a stable ``code``, so that a program need not read messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .job import Job


class LonghaulError(Exception):
    """The parent of every error of this package."""

    code = "longhaul_error"


class ConnectionError(LonghaulError):
    """The server could not be reached, or the connection broke, after all retries."""

    code = "connection_error"


class TimeoutError(LonghaulError):
    """The wait for a job was over before the job. The job goes on, and ``handle`` is for waiting again."""

    code = "timeout"

    def __init__(self, message: str, handle: Any) -> None:
        super().__init__(message)
        self.handle = handle


class ApiError(LonghaulError):
    """The server answered with a status that is not a success."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: list[dict[str, str]],
        request_id: str | None,
        retry_after: float | None = None,
        location: str | None = None,
    ) -> None:
        fields = "; ".join(f"{error.get('field')} {error.get('message')}" for error in errors)
        super().__init__(f"{status} {code}: {detail}" + (f" ({fields})" if fields else ""))
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.request_id = request_id
        #: After so many seconds the server may answer otherwise.
        self.retry_after = retry_after
        #: The link that the answer has, as to the job that holds a unique key.
        self.location = location


class BadRequest(ApiError):
    """400: the request has no form that the server reads."""


class Unauthorized(ApiError):
    """401: no token, or one that is not known or has expired."""


class Forbidden(ApiError):
    """403: not allowed; ``code`` is ``forbidden`` where the token lacks a right, ``cross_site`` where a page of another site asks."""


class NotFound(ApiError):
    """404: nothing of this name is known."""


class Conflict(ApiError):
    """409: the state of the job does not allow it, or its unique key is held."""


class Gone(ApiError):
    """410: the job was pruned or deleted within the last 24 hours, or what the same request had made before is gone."""


class TooLarge(ApiError):
    """413: the body is larger than the server takes."""


class Invalid(ApiError):
    """422: fields of the request break a rule; ``errors`` names them."""


class TooManyRequests(ApiError):
    """429: too much for now, after all retries."""


class QueueFull(TooManyRequests):
    """429 ``queue_full``: as many jobs wait in the queue, or of a limit key, as may. ``retry_after`` says when there may be room."""


class ServerError(ApiError):
    """5xx, after all retries."""


class Unavailable(ServerError):
    """503: the store of the server is away or full, after all retries."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: TooLarge,
    422: Invalid,
    429: TooManyRequests,
    503: Unavailable,
}


class JobFailed(LonghaulError):
    """The job ended as ``failed``. ``job`` is the whole job with its errors."""

    code = "job_failed"

    def __init__(self, job: Job) -> None:
        last = job.errors[-1].message if job.errors else "no reason was given"
        super().__init__(f"job {job.id} failed: {last}")
        self.job = job


_ENDS: dict[str, str] = {
    "expired": "expired before its first start",
    "deadline": "was cancelled: its deadline has passed",
    "superseded": "was cancelled: a newer job took its place",
    "dependency": "was cancelled: a job that it depends on did not complete",
    "dropped": "was cancelled: its queue or limit key was full",
    "parent": "was cancelled with its parent",
}


class JobCancelled(LonghaulError):
    """The job ended as ``cancelled``. ``job`` is the whole job; its ``cancel_reason`` is in the message."""

    code = "job_cancelled"

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.id} {_ENDS.get(job.cancel_reason or '', 'was cancelled')}")
        self.job = job


class JobExpired(JobCancelled):
    """The job was cancelled because its time was over before it had ended."""

    code = "job_expired"


class DuplicateJob(LonghaulError):
    """A job with the same id or unique key stands for the one that was asked for, and the caller, or the key's ``on_clash``, refused that."""

    code = "duplicate_job"

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.id} stands for this one already")
        self.job = job


def api_error(status: int, body: Any, headers: Mapping[str, str], retry_after: float | None = None) -> ApiError:
    """The error of an answer, by its status."""
    problem = body if isinstance(body, dict) else {}
    request_id = headers.get("x-request-id")
    kind = QueueFull if problem.get("code") == "queue_full" else _BY_STATUS.get(status) or (ServerError if status >= 500 else ApiError)
    return kind(
        status,
        str(problem.get("code", "unknown")),
        str(problem.get("detail", "the answer has no problem document")),
        list(problem.get("errors", [])),
        problem.get("request_id") or request_id,
        retry_after,
        headers.get("location"),
    )
