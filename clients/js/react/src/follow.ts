import { type AttemptError, isFinished, type Job, type JobHandle, type Progress, type State } from "@longhaul/client";
import { sleep } from "@longhaul/client/http";
import { places } from "./places.js";

/** A job as it is followed. */
export interface Followed<Output = unknown> {
  state: State | undefined;
  progress: Progress | undefined;
  /** The chunks so far, of the attempt that runs or has completed. */
  chunks: unknown[];
  /** The chunks that are text, joined. */
  text: string;
  output: Output | undefined;
  /** The last failed attempt. */
  error: AttemptError | undefined;
  /** The reason for which the job cannot be followed. */
  failure: Error | undefined;
  isFinished: boolean;
}

const NOTHING: Followed<never> = {
  state: undefined,
  progress: undefined,
  chunks: [],
  text: "",
  output: undefined,
  error: undefined,
  failure: undefined,
  isFinished: false,
};

/** What is known of a job before anything was heard. */
export function nothing<Output>(): Followed<Output> {
  return NOTHING;
}

/** A job that has no stream yet is read so often, in milliseconds. */
const LOOK = 2_000;

/**
 * Follows one job for all components of a page that show it: the first to ask opens the connection, the last to leave closes it.
 * What was heard stays, so that one who comes back goes on after it.
 */
export class Follower<Output = unknown> {
  #seen: Followed<Output> = NOTHING;
  #listeners = new Set<() => void>();
  #after = 0;
  #stop: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #job: JobHandle<Output>;
  readonly #throttle: number;
  readonly #idle: () => void;

  constructor(job: JobHandle<Output>, throttle: number, idle: () => void) {
    this.#job = job;
    this.#throttle = throttle;
    this.#idle = idle;
  }

  readonly snapshot = (): Followed<Output> => this.#seen;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#stop === undefined && !this.#seen.isFinished) void this.#follow();
    return () => {
      this.#listeners.delete(listener);
      // StrictMode leaves and comes back at once: a connection is closed only where nobody has come by then.
      setTimeout(() => {
        if (this.#listeners.size > 0) return;
        this.#stop?.abort();
        this.#stop = undefined;
        this.#idle();
      }, 0);
    };
  };

  async #follow(): Promise<void> {
    const stop = new AbortController();
    this.#stop = stop;
    let next: Followed<Output> = { ...this.#seen, failure: undefined };
    const show = () => {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#seen = next;
      for (const listener of this.#listeners) listener();
    };
    let leave: (() => void) | void = undefined;
    try {
      const place = places.take(stop.signal);
      while ((leave = await Promise.race([place, sleep(LOOK, stop.signal)])) === undefined) {
        next = { ...seen(await this.#job.get({ signal: stop.signal })), chunks: next.chunks, text: next.text, isFinished: false };
        show();
      }
      for await (const event of this.#job.events({ after: this.#after, signal: stop.signal })) {
        this.#after = event.id;
        switch (event.type) {
          case "state":
            next = { ...next, state: event.state, error: event.error ?? next.error, isFinished: isFinished(event.state) };
            break;
          case "progress":
            next = { ...next, progress: { percent: event.percent, message: event.message, data: event.data } };
            break;
          case "chunk":
            next = {
              ...next,
              chunks: [...next.chunks, event.data],
              text: next.text + (typeof event.data === "string" ? event.data : ""),
            };
            break;
          case "reset":
            next = { ...next, chunks: [], text: "" };
            break;
          case "output":
            next = { ...next, output: event.output as Output };
            break;
        }
        // Words that stream in are shown a few times a second, an end at once.
        if (next.isFinished) show();
        else this.#timer ??= setTimeout(show, this.#throttle);
      }
    } catch (error) {
      if (!stop.signal.aborted) {
        next = { ...next, failure: error as Error };
        show();
      }
    } finally {
      leave?.();
      if (this.#stop === stop) this.#stop = undefined;
    }
  }
}

/** A job that was read, as it would be seen by one who had followed it. */
function seen<Output>(job: Job<Output>): Followed<Output> {
  return {
    ...NOTHING,
    state: job.state,
    progress: job.progress ?? undefined,
    output: job.output ?? undefined,
    error: job.errors.at(-1),
    isFinished: isFinished(job.state),
  };
}
