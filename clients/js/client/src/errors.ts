import type { Job } from "./job.js";
import type { Schemas } from "./openapi.js";

/** The parent of every error of this package. Branch on `name` or `code`, which hold across copies of the package. */
export class LonghaulError extends Error {
  /** A stable name, for programs. */
  readonly code: string;

  constructor(name: string, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = name;
    this.code = code;
  }
}

/** The server could not be reached, or the connection broke, after all retries. */
export class ConnectionError extends LonghaulError {
  constructor(message: string, cause?: unknown) {
    super("ConnectionError", "connection_error", message, { cause });
  }
}

/** The wait for a job was over before the job. The job goes on, and `handle` is for waiting again. */
export class TimeoutError<Handle extends { id: string } = { id: string }> extends LonghaulError {
  readonly handle: Handle;

  constructor(message: string, handle: Handle) {
    super("TimeoutError", "timeout", message);
    this.handle = handle;
  }
}

/** The body of an answer that is not a success (RFC 9457). A proxy may have answered with another one. */
export type Problem = Partial<Schemas["Problem"]>;

/** What the headers of an answer tell. */
interface Told {
  requestId?: string | undefined;
  retryAfter?: number | undefined;
  location?: string | undefined;
}

/** The server answered with a status that is not a success. */
export class ApiError extends LonghaulError {
  readonly status: number;
  readonly detail: string;
  /** The fields of the request that break a rule. */
  readonly errors: Schemas["FieldError"][];
  readonly requestId: string | undefined;
  /** After so many milliseconds the server may answer otherwise. */
  readonly retryAfter: number | undefined;
  /** The link that the answer has, as to the job that holds a unique key. */
  readonly location: string | undefined;

  constructor(name: string, status: number, problem: Problem, { requestId, retryAfter, location }: Told = {}) {
    const { code = "unknown", detail = "the answer has no problem document", errors = [] } = problem;
    const fields = errors.map(({ field, message }) => `${field} ${message}`).join("; ");
    super(name, code, `${status} ${code}: ${detail}${fields && ` (${fields})`}`);
    this.status = status;
    this.detail = detail;
    this.errors = errors;
    this.requestId = problem.request_id ?? requestId;
    this.retryAfter = retryAfter;
    this.location = location;
  }

  /** The error of a status, of a class of its own. */
  static of(status: number, problem: Problem, told: Told = {}): ApiError {
    if (problem.code === "queue_full") return new QueueFull("QueueFull", status, problem, told);
    const [name, Class] = BY_STATUS[status] ?? (status >= 500 ? (["ServerError", ServerError] as const) : (["ApiError", ApiError] as const));
    return new Class(name, status, problem, told);
  }
}

/** 400: the request has no form that the server reads. */
export class BadRequest extends ApiError {}
/** 401: no token, or one that is not known or has expired. */
export class Unauthorized extends ApiError {}
/** 403: not allowed; `code` is `forbidden` where the token lacks a right, `cross_site` where a page of another site asks. */
export class Forbidden extends ApiError {}
/** 404: nothing of this name is known. */
export class NotFound extends ApiError {}
/** 409: the state of the job does not allow it, or its unique key is held. */
export class Conflict extends ApiError {}
/** 410: the job was pruned or deleted within the last 24 hours, or what the same request had made before is gone. */
export class Gone extends ApiError {}
/** 413: the body is larger than the server takes. */
export class TooLarge extends ApiError {}
/** 422: fields of the request break a rule; `errors` names them. */
export class Invalid extends ApiError {}
/** 429: too much for now, after all retries. */
export class TooManyRequests extends ApiError {}
/** 429 `queue_full`: as many jobs wait in the queue, or of a limit key, as may. `retryAfter` says when there may be room. */
export class QueueFull extends TooManyRequests {}
/** 5xx, after all retries. */
export class ServerError extends ApiError {}
/** 503: the store of the server is away or full, after all retries. */
export class Unavailable extends ServerError {}

// The names are written out, because what makes a page small may rename the classes.
const BY_STATUS: Record<number, readonly [string, typeof ApiError]> = {
  400: ["BadRequest", BadRequest],
  401: ["Unauthorized", Unauthorized],
  403: ["Forbidden", Forbidden],
  404: ["NotFound", NotFound],
  409: ["Conflict", Conflict],
  410: ["Gone", Gone],
  413: ["TooLarge", TooLarge],
  422: ["Invalid", Invalid],
  429: ["TooManyRequests", TooManyRequests],
  503: ["Unavailable", Unavailable],
};

/** The job ended as `failed`. */
export class JobFailed extends LonghaulError {
  readonly job: Job;

  constructor(job: Job) {
    super("JobFailed", "job_failed", `job ${job.id} failed: ${job.errors.at(-1)?.message ?? "no reason was given"}`);
    this.job = job;
  }
}

const ends: Partial<Record<string, string>> = {
  expired: "expired before its first start",
  deadline: "was cancelled: its deadline has passed",
  superseded: "was cancelled: a newer job took its place",
  dependency: "was cancelled: a job that it depends on did not complete",
  dropped: "was cancelled: its queue or limit key was full",
  parent: "was cancelled with its parent",
};

/** The job ended as `cancelled`. Its `cancel_reason` is in the message. */
export class JobCancelled extends LonghaulError {
  readonly job: Job;

  constructor(job: Job, name = "JobCancelled", code = "job_cancelled") {
    super(name, code, `job ${job.id} ${ends[job.cancel_reason ?? ""] ?? "was cancelled"}`);
    this.job = job;
  }
}

/** The job was cancelled because its time was over before it had ended. */
export class JobExpired extends JobCancelled {
  constructor(job: Job) {
    super(job, "JobExpired", "job_expired");
  }
}

/** A job with the same id or unique key stands for the one that was asked for, and the caller, or the key's `on_clash`, refused that. */
export class DuplicateJob extends LonghaulError {
  readonly job: Job;

  constructor(job: Job) {
    super("DuplicateJob", "duplicate_job", `job ${job.id} stands for this one already`);
    this.job = job;
  }
}

/** The classes by the names of their errors. */
interface Named {
  ConnectionError: ConnectionError;
  TimeoutError: TimeoutError;
  ApiError: ApiError;
  JobFailed: JobFailed;
  JobCancelled: JobCancelled;
  JobExpired: JobExpired;
  DuplicateJob: DuplicateJob;
}
const NAMES = new Set(["ApiError", "QueueFull", "ServerError", "ConnectionError", "TimeoutError", "JobFailed", "JobCancelled", "JobExpired", "DuplicateJob"]);
for (const [name] of Object.values(BY_STATUS)) NAMES.add(name);

/** True for an error of this package, also of another copy of it; with `name` for one of that name. */
export function isLonghaulError<N extends keyof Named>(error: unknown, name: N): error is Named[N];
export function isLonghaulError(error: unknown, name?: string): error is LonghaulError;
export function isLonghaulError(error: unknown, name?: string): boolean {
  // Other errors have a name and a `code` of these, too, so that both are looked at: a DOMException's code is a number.
  if (!(error instanceof Error) || !NAMES.has(error.name) || typeof (error as Partial<LonghaulError>).code !== "string") return false;
  const { name: its } = error;
  return name === undefined || its === name || (name === "ApiError" && isApiError(error)) || (name === "JobCancelled" && its === "JobExpired");
}

/** True for an answer of the server, with `status` if it is given. */
export function isApiError(error: unknown, status?: number): error is ApiError {
  const its = (error as Partial<ApiError> | undefined)?.status;
  return isLonghaulError(error) && typeof its === "number" && (status === undefined || its === status);
}
