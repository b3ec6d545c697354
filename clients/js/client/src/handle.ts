import { isApiError, JobCancelled, JobExpired, JobFailed, TimeoutError } from "./errors.js";
import { remove, request, segment, type Settings, sleep } from "./http.js";
import { isFinished, type Job, type JobEvent } from "./job.js";
import { plain, read, stringify } from "./json.js";
import type { Schemas } from "./openapi.js";
import { eventOf } from "./sse.js";
import { messages } from "./stream.js";
import type { Delivery } from "./webhooks.js";

export interface WaitOptions {
  /** In milliseconds; without it the wait is as long as the job. */
  timeout?: number;
  /** Ends the waiting. The job goes on, unless `cancelOnAbort` is set. */
  signal?: AbortSignal;
  cancelOnAbort?: boolean;
}

/** The longest that one request asks the server to hold its answer, in seconds; the server's own bound is 60. */
const HELD_FOR = 25;

/**
 * What became of a job that was enqueued: it was created; an earlier one stands for it (`duplicate`) or has taken on its args and time
 * (`replaced`); or nothing was created, because its unique key is held (`rejected`) or as many jobs wait as may (`full`).
 */
export type EnqueueStatus = "created" | "duplicate" | "replaced" | "rejected" | "full";

/** How a job is to run again: with other args, or from a step on. */
export interface Again {
  args?: unknown;
  from_step?: string;
}

/** A job on the server. */
export class JobHandle<Output = unknown> {
  readonly id: string;
  /** The job as it stood when it was last read, where it was. */
  last: Job<Output> | undefined;
  /**
   * What became of it when it was enqueued, for a handle that came of that. Where nothing was created (of `enqueueMany` alone: `enqueue`
   * throws), the handle is on the job that holds the key, or on none where it is `full`.
   */
  readonly status: EnqueueStatus | undefined;
  readonly #settings: Settings;
  readonly #path: string;

  /** `path` is the link that the server has given, if it has. */
  constructor(settings: Settings, id: string, { last, path, status }: { last?: Job<Output>; path?: string | undefined; status?: EnqueueStatus } = {}) {
    this.#settings = settings;
    this.#path = path ?? `/api/jobs/${segment(id)}`;
    this.id = id;
    this.last = last;
    this.status = status;
  }

  /** Reads the job. */
  async get({ signal }: { signal?: AbortSignal } = {}): Promise<Job<Output>> {
    return this.#read(await request(this.#settings, { path: this.#path, signal }));
  }

  /** Waits for the end and answers the output. Throws `JobFailed`, `JobCancelled`, `JobExpired`, or `TimeoutError`. */
  async wait({ timeout, signal, cancelOnAbort = false }: WaitOptions = {}): Promise<Output> {
    const deadline = timeout === undefined ? Infinity : performance.now() + timeout;
    try {
      for (;;) {
        const held = Math.max(0, Math.min(HELD_FOR, Math.floor((deadline - performance.now()) / 1_000)));
        const headers: Record<string, string> = held > 0 ? { prefer: `wait=${held}` } : {};
        const job = await this.#read(await request(this.#settings, { path: this.#path, headers, heldFor: held * 1_000, signal }));
        if (isFinished(job.state)) return outcome(job);
        const left = deadline - performance.now();
        if (left <= 0) throw new TimeoutError<JobHandle<Output>>(`job ${this.id} is still ${job.state} after ${timeout} ms`, this);
        if (held === 0) await sleep(Math.min(left, 200), signal);
      }
    } catch (error) {
      if (cancelOnAbort && signal?.aborted) await this.cancel();
      throw error;
    }
  }

  /**
   * Follows the job's events from the first, or from the one after number `after`, until the job has ended. A connection that
   * breaks is made anew, and goes on after the last event: none is lost, none comes twice. A page that keeps the `id` of the last
   * event it has used goes on from there after it was loaded again.
   */
  async *events({ after = 0, signal }: { after?: number; signal?: AbortSignal } = {}): AsyncGenerator<JobEvent, void, void> {
    const stream = { path: `${this.#path}/events`, what: `the events of job ${this.id}`, last: String(after), signal };
    for await (const message of messages(this.#settings, stream)) {
      const event = message === "open" ? undefined : eventOf(message);
      if (event === undefined) continue;
      stream.last = String(event.id);
      yield event;
      if (event.type === "state" && isFinished(event.state)) return;
    }
  }

  /** Follows the job to its end and joins its chunks, those of the attempt that completed. Throws as `wait` does. */
  async text({ signal }: { signal?: AbortSignal } = {}): Promise<string> {
    let parts: string[] = [];
    for await (const event of this.events(signal ? { signal } : {})) {
      if (event.type === "reset") parts = [];
      else if (event.type === "chunk") parts.push(typeof event.data === "string" ? event.data : (stringify(event.data) ?? ""));
    }
    outcome(await this.get(signal ? { signal } : {}));
    return parts.join("");
  }

  /** Cancels the job: at once where it waits, else it is asked to stop. */
  async cancel(): Promise<Job<Output>> {
    return this.#read(await request(this.#settings, { method: "POST", path: `${this.#path}/cancel` }));
  }

  /**
   * Runs a job that has ended, or waits for a person, again, with other `args` where they are given. What it has done stays done: with
   * `from_step` only what came before that step.
   */
  async retry(options: Again = {}): Promise<Job<Output>> {
    let isAgain = false;
    const call = { method: "POST", path: `${this.#path}/retry`, body: again(options), onRetry: () => (isAgain = true) };
    try {
      return await this.#read(await request(this.#settings, call));
    } catch (error) {
      // The first request was heard, and its answer lost: the job runs again.
      if (!isAgain || !isApiError(error, 409) || error.code !== "not_finished") throw error;
      return this.get();
    }
  }

  /** Makes a new job of this one, with the outputs of its steps: with `from_step` of those before that one. This one stays as it is. */
  async fork(options: Again = {}): Promise<JobHandle<Output>> {
    const body = again(options) ?? {};
    const job = await read<Job<Output>>(await request(this.#settings, { method: "POST", path: `${this.#path}/fork`, body }));
    return new JobHandle(this.#settings, job.id, { last: job, status: "created" });
  }

  /**
   * Gives the job a signal that its code waits for, now or later. The first of a name wins: false where an earlier one stands.
   * Throws `Conflict` with the code `ended` once the job has ended.
   */
  async signal(name: string, value: unknown = null): Promise<boolean> {
    return giveSignal(this.#settings, `${this.#path}/signals/${segment(name)}`, value);
  }

  /** A token that gives the job this signal, once, for whoever has no token of the server: a `POST` of the value to its `path`. */
  async signalToken(name: string, options: Schemas["SignalTokenRequest"] = {}): Promise<Schemas["SignalToken"]> {
    const path = `${this.#path}/signals/${segment(name)}/token`;
    return read(await request(this.#settings, { method: "POST", path, body: options }));
  }

  /** The jobs that are connected with this one, by what they wait for. */
  async graph(): Promise<Schemas["Graph"]> {
    return read(await request(this.#settings, { path: `${this.#path}/graph` }));
  }

  /** The reasons for which a job waits. */
  async why(): Promise<Schemas["Why"]> {
    return read(await request(this.#settings, { path: `${this.#path}/why` }));
  }

  /** What was told by the job's webhook, or is to be: the newest 100, oldest first. None for a job without one. */
  async deliveries(): Promise<Delivery[]> {
    return read(await request(this.#settings, { path: `${this.#path}/deliveries` }));
  }

  /** The steps that are done, with their times. */
  async steps(): Promise<Schemas["Step"][]> {
    return read(await request(this.#settings, { path: `${this.#path}/steps` }));
  }

  /** Removes a job that has ended. */
  async delete(): Promise<void> {
    await remove(this.#settings, this.#path);
  }

  /** A token that lets a browser follow this job, and nothing else: for an hour, or `expires_in` seconds, a day at most. */
  async readToken(options: Schemas["ReadTokenRequest"] = {}): Promise<string> {
    const response = await request(this.#settings, { method: "POST", path: `${this.#path}/token`, body: options });
    return (await read<{ token: string }>(response)).token;
  }

  async #read(response: Response): Promise<Job<Output>> {
    this.last = await read<Job<Output>>(response);
    return this.last;
  }
}

/** Posts the value of a signal to its path; false where an earlier one of the name stands. */
export async function giveSignal(settings: Settings, path: string, value: unknown): Promise<boolean> {
  const response = await request(settings, { method: "POST", path, text: stringify(plain(value)) ?? "null" });
  return (await read<Schemas["Signalled"]>(response)).accepted;
}

function again({ args, from_step }: Again): Partial<Schemas["Retry"]> | undefined {
  if (args === undefined && from_step === undefined) return undefined;
  return { ...(args !== undefined && { args }), ...(from_step !== undefined && { from_step }) };
}

/** The output of a job that has completed; an error for one that has ended otherwise. */
function outcome<Output>(job: Job<Output>): Output {
  if (job.state === "failed") throw new JobFailed(job);
  if (job.state === "cancelled") {
    const { cancel_reason } = job;
    throw cancel_reason === "expired" || cancel_reason === "deadline" ? new JobExpired(job) : new JobCancelled(job);
  }
  return job.output as Output;
}
