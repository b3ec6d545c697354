import type { Job } from "./job.js";

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

/** The wait for a job was over before the job. The job goes on. */
export class TimeoutError extends LonghaulError {
  /** The job, where one was waited for. */
  readonly jobId: string | undefined;

  constructor(message: string, jobId?: string) {
    super("TimeoutError", "timeout", message);
    this.jobId = jobId;
  }
}

/** A field of a request that breaks a rule. */
export interface FieldError {
  field: string;
  message: string;
}

/** The server answered with a status that is not a success. */
export class ApiError extends LonghaulError {
  readonly status: number;
  readonly detail: string;
  readonly errors: FieldError[];
  readonly requestId: string | undefined;

  constructor(status: number, problem: Problem, requestId?: string) {
    const { code = "unknown", detail = "the answer has no problem document", errors = [] } = problem;
    const fields = errors.map(({ field, message }) => `${field} ${message}`).join("; ");
    super(NAMES[status] ?? (status >= 500 ? "ServerError" : "ApiError"), code, `${status} ${code}: ${detail}${fields && ` (${fields})`}`);
    this.status = status;
    this.detail = detail;
    this.errors = errors;
    this.requestId = problem.request_id ?? requestId;
  }
}

/** The body of an answer that is not a success (RFC 9457). */
export interface Problem {
  code?: string;
  detail?: string;
  errors?: FieldError[];
  request_id?: string;
}

/** The `name` of an error, by its status. */
const NAMES: Record<number, string> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  409: "Conflict",
  410: "Gone",
  413: "TooLarge",
  422: "Invalid",
  429: "RateLimited",
  503: "Unavailable",
};

/** The job ended as `failed`. */
export class JobFailed extends LonghaulError {
  readonly job: Job;

  constructor(job: Job) {
    super("JobFailed", "job_failed", `job ${job.id} failed: ${job.errors.at(-1)?.message ?? "no reason was given"}`);
    this.job = job;
  }
}

/** The job ended as `cancelled`. */
export class JobCancelled extends LonghaulError {
  readonly job: Job;

  constructor(job: Job) {
    super("JobCancelled", "job_cancelled", `job ${job.id} was cancelled`);
    this.job = job;
  }
}

/** A job with the same id or unique key stands for the one that was asked for, and the caller refused duplicates. */
export class DuplicateJob extends LonghaulError {
  readonly job: Job;

  constructor(job: Job) {
    super("DuplicateJob", "duplicate_job", `job ${job.id} stands for this one already`);
    this.job = job;
  }
}

/** True for an error of this package, also of another copy of it. */
export function isLonghaulError(error: unknown): error is LonghaulError {
  return error instanceof Error && typeof (error as Partial<LonghaulError>).code === "string";
}

/** True for an answer of the server, with `status` if it is given. */
export function isApiError(error: unknown, status?: number): error is ApiError {
  const it = error as Partial<ApiError>;
  return isLonghaulError(error) && typeof it.status === "number" && (status === undefined || it.status === status);
}
