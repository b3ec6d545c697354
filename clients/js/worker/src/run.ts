import type { Entry } from "@longhaul/client";
import { plain, units } from "@longhaul/client/json";
import { Reached } from "@longhaul/client/steps";
import { type Claimed, type Context } from "./context.js";
import { type Ask, checkStep, waitsOf } from "./waits.js";

/** An entry as JSON, with whom to tell that it was heard. */
export interface Said {
  text: string;
  bytes: number;
  heard: () => void;
}

/** One job in this worker's hands. */
export class Run {
  readonly claimed: Claimed;
  /** Aborted where the handler should stop. */
  readonly stopping = new AbortController();
  /** Another worker may have the job: nothing more is said of it. */
  isLost = false;
  /** Its end is on its way; what its handler still does is not heard. */
  hasEnded = false;
  /** Called when its end is known. */
  onEnd: () => void = () => undefined;
  /** The units of its rates that it really took, where it has said so. */
  cost: number | undefined;
  /** What it has said and is not yet sent. */
  entries: Said[] = [];
  /** Resolves once the last entry is durable. */
  said: Promise<void> = Promise.resolve();
  /** Resolves once the entries that are on their way are durable. */
  sending: Promise<void> | undefined;

  constructor(claimed: Claimed) {
    this.claimed = claimed;
  }

  /** What the server has answered about the lease. */
  told(status: string | undefined): void {
    if (status === "lost") this.isLost = true;
    if (status === "lost" || status === "cancel_requested") this.stopping.abort();
  }
}

const LEVELS = new Set(["debug", "info", "warn", "error"]);

/**
 * The view of a run for its handler. What is no entry is an error of the handler that said it: in a request, where the entries of
 * many runs are together, it would be theirs, too.
 */
export function contextOf(run: Run, say: (entry: Entry, isAwaited?: boolean) => Promise<void>, ask: Ask): Context {
  const { claimed } = run;
  const reached = new Reached(() => Object.keys(claimed.steps));
  const keep = async (name: string, output: unknown) => {
    await say({ step: { name, output } }, true);
    run.stopping.signal.throwIfAborted();
    claimed.steps[name] = output;
  };
  return {
    ...waitsOf(run, reached, say, keep, ask),
    jobId: claimed.lease.id,
    attempt: claimed.attempt,
    maxAttempts: claimed.max_attempts,
    traceparent: claimed.traceparent ?? undefined,
    version: claimed.version,
    labels: claimed.labels,
    signal: run.stopping.signal,
    progress(percent, message = "", data) {
      if (!Number.isFinite(percent)) throw new TypeError(`the percent of a progress is a number, and not ${percent}`);
      void say({ progress: { percent, message: String(message), ...(data === undefined ? {} : { data: plain(data) }) } });
    },
    log(message, level = "info") {
      if (!LEVELS.has(level)) throw new TypeError(`the level of a log line is debug, info, warn or error, and not ${level}`);
      void say({ log: { level, message: String(message) } });
    },
    emit(data) {
      void say({ chunk: { data: plain(data) } });
    },
    settle(taken) {
      run.cost = units(taken);
    },
    async step<T>(name: string, work: () => T | Promise<T>): Promise<T> {
      checkStep(name);
      reached.reach(name);
      if (Object.hasOwn(claimed.steps, name)) return claimed.steps[name] as T;
      const output = await reached.work(name, work);
      await keep(String(name), output);
      return output as T;
    },
  };
}
