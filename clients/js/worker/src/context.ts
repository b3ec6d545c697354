import type { Schemas } from "@longhaul/client";
import { plain } from "@longhaul/client/json";

/** The job fails for good: no retry can help. */
export class Fatal extends Error {
  override name = "Fatal";
}

/** The job ends as cancelled. */
export class Cancel extends Error {
  override name = "Cancel";
}

/** The job is to run again after some seconds, at no cost of an attempt. */
export class Snooze extends Error {
  override name = "Snooze";
  readonly seconds: number;

  constructor(seconds: number) {
    super(`again in ${seconds} s`);
    this.seconds = seconds;
  }
}

/** A limit was reached: all jobs with the job's limit key pause for some seconds, at no cost of an attempt. */
export class RateLimited extends Error {
  override name = "RateLimited";
  readonly seconds: number;

  constructor(seconds: number) {
    super(`limited for ${seconds} s`);
    this.seconds = seconds;
  }
}

/**
 * Ends the run of a job that waits, and holds no slot meanwhile. `cx.sleep`, `cx.waitFor` and `cx.waitForChildren` throw it: let it
 * pass. The job runs again once the wait is over, and comes to the same place by its steps.
 */
export class Waits extends Error {
  override name = "Waits";
  readonly outcome: Outcome;
  /** The job that waits, where several are in one call. */
  readonly jobId: string;

  constructor(what: string, outcome: Outcome, jobId: string) {
    super(`waits for ${what}`);
    this.outcome = outcome;
    this.jobId = jobId;
  }
}

/** A job in this worker's hands, for the function that runs it. */
export interface Context {
  readonly jobId: string;
  /** The number of this attempt, from 1. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** The version of the args. */
  readonly version: number;
  readonly labels: Readonly<Record<string, string>>;
  /**
   * The place in a trace that the job was enqueued at, in the form of the W3C's header `traceparent`: what the handler does belongs
   * below it.
   */
  readonly traceparent: string | undefined;
  /** Aborted where the handler should stop: the job was cancelled, its time or deadline is over, or its lease is lost. */
  readonly signal: AbortSignal;
  /** Tells how far the job is, 0 to 100. */
  progress(percent: number, message?: string, data?: unknown): void;
  /** Writes a line to the job's log. */
  log(message: string, level?: "debug" | "info" | "warn" | "error"): void;
  /** Sends a piece of the output to whoever follows the job, at most 64 KiB of JSON. */
  emit(data: unknown): void;
  /**
   * Says how many units of its limits' rates the run really took, in place of those that were set aside for it: tokens, say, once the
   * answer tells them. It is heard at the end of the run, whatever that is; of several the last one counts.
   */
  settle(units: number): void;
  /**
   * Does something once for the job, whatever becomes of this attempt: its output is durable before this resolves, and a later
   * attempt is given it instead of doing it again. The same name twice in one attempt is a `Fatal` error.
   */
  step<T>(name: string, work: () => T | Promise<T>): Promise<T>;
  /** Sleeps for so many seconds, at no cost of an attempt and without a slot, through every crash and restart. */
  sleep(name: string, seconds: number): Promise<void>;
  /**
   * Waits for the signal of a name, without a slot: the value of the first one, also one that came early; `undefined` where none has come
   * within `timeout` seconds. Whichever came first stays the answer.
   */
  waitFor<T = unknown>(name: string, options?: { timeout?: number }): Promise<T | undefined>;
  /**
   * A token whose bearer may send this job the signal of a name, once, and has no other right: the last part of `POST
   * /api/signals/{token}`, for a link in a mail or a page. Each call makes another one.
   */
  waitToken(name: string): Promise<string>;
  /**
   * True where the code after this point is the new one for this job; false where the job had passed the point before the code was
   * changed. It stays so for the job. Take it out once no job of the old code is left.
   */
  patched(name: string): Promise<boolean>;
  /**
   * Enqueues children of this job, once, as a step of the name, and answers their ids. Those without an id are given this job's, the name
   * and their number.
   */
  enqueueChildren(name: string, jobs: Child[]): Promise<string[]>;
  /** Waits, without a slot, until each child of this job has ended, however it has. */
  waitForChildren(): Promise<Schemas["Children"]>;
}

/** A job that is enqueued as a child. */
export type Child = Omit<Schemas["FollowUp"], "parent" | "args"> & { args?: unknown };

/** The end of a run, as the server reads it. */
export type Outcome = Schemas["Outcome"];
/** A job as the server hands it out. */
export type Claimed = Schemas["ClaimedJob"];

/** The end of a job that returned `output`. */
export function completed(output: unknown): Outcome {
  return { completed: { output: plain(output) } };
}

/** The end that an error of a handler stands for. */
export function outcomeOf(error: unknown, claimed: Claimed): Outcome {
  if (!(error instanceof Error)) return failure(String(error), claimed);
  if (error instanceof Waits) return error.outcome;
  const { name, message, seconds } = error as Error & { seconds?: unknown };
  if (name === "RateLimited" || name === "Snooze") {
    const isDelay = typeof seconds === "number" && seconds >= 0 && seconds < Infinity;
    if (!isDelay) return failure(`a ${name} has a number of seconds, and not ${String(seconds)}`, claimed);
    return name === "Snooze" ? { snoozed: { delay: seconds } } : { rate_limited: { delay: seconds } };
  }
  if (name === "Cancel") return { cancelled: { reason: message } };
  if (name === "Fatal") return { failed: { error: { message, kind: "fatal" } } };
  return failure(name === "Error" ? message : `${name}: ${message}`, claimed);
}

/** A failed attempt: the job runs again where it has attempts left. */
export function failure(message: string, claimed: Claimed, kind: Schemas["ErrorKind"] = "error"): Outcome {
  const error = { message, kind };
  if (claimed.retry_in !== null) return { retry: { error, delay: claimed.retry_in } };
  return claimed.on_exhausted === "pause" ? { waits: { on: "person", error } } : { failed: { error } };
}
