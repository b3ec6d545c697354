import { type Collected, type CollectHandler, type Gather } from "./collect.js";
import { completed, type Context, failure, type Outcome, outcomeOf, Waits } from "./context.js";
import type { Run } from "./run.js";
import { now } from "./thread.js";

/** A kind whose jobs are collected. */
export interface Collecting {
  handler: CollectHandler;
  version: number;
  gather: Gather;
}

/** What calls need of a worker's session. */
export interface Slots {
  /** Claims up to so many jobs of a kind, until there are some or the signal is aborted. */
  claim(kind: { kind: string; version: number }, most: number, off: AbortSignal): Promise<void>;
  contextOf(run: Run): Context;
  /** Ends a job when its timeout is over, unless the answer is called before. */
  limit(run: Run, then: () => void): () => void;
  end(run: Run, outcome: Outcome): void;
  release(run: Run): void;
  schedule(): void;
}

/**
 * Gathers jobs and calls handlers. A call takes one slot; where other kinds wait for the same slots, a call and one of their jobs take
 * turns.
 */
export class Calls {
  readonly #slots: Slots;
  readonly #kinds: ReadonlyMap<string, Collecting>;
  readonly #polls = new Map<string, AbortController>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The calls that run. */
  running = 0;
  /** True where a call has had the last slot and other kinds may wait for one: the next is theirs. */
  owesSingle = false;

  constructor(slots: Slots, kinds: ReadonlyMap<string, Collecting>) {
    this.#slots = slots;
    this.#kinds = kinds;
  }

  /** The most jobs of a call; 0 where nothing is collected. */
  get most(): number {
    return Math.max(0, ...[...this.#kinds.values()].map(({ gather }) => gather.max));
  }

  /** True while a claim is under way. */
  get isClaiming(): boolean {
    return this.#polls.size > 0;
  }

  /** True where a call could begin if it had a slot. */
  get isWaiting(): boolean {
    return this.#ready(0) !== undefined;
  }

  /** Takes a job of a collected kind in. */
  add(run: Run): void {
    const gather = this.#kinds.get(run.claimed.kind)?.gather;
    if (gather === undefined) return;
    gather.add(run, now());
    const leftOut = () => {
      if (gather.remove(run)) this.#slots.end(run, { cancelled: { reason: "cancelled while it waited for others of its call" } });
    };
    run.stopping.signal.addEventListener("abort", leftOut, { once: true });
  }

  /** Starts calls that are ready, gives back what has waited for too long, and claims where there is room. */
  dispatch(free: number, makeRoom: () => void): void {
    for (let ready; free > 0 && !this.owesSingle && (ready = this.#ready(free)) !== undefined; free -= 1) {
      makeRoom();
      void this.#call(ready.it, ready.it.gather.take(ready.group));
    }
    for (const [kind, { gather, version }] of this.#kinds) {
      for (const run of gather.giveUp(now())) this.#slots.release(run);
      const [poll, room] = [this.#polls.get(kind), free > 0 ? gather.room(free) : 0];
      if (poll !== undefined && room === 0) poll.abort();
      else if (poll === undefined && room > 0) void this.#claim({ kind, version }, room);
    }
    clearTimeout(this.#timer);
    const due = Math.min(...[...this.#kinds.values()].map(({ gather }) => gather.dueIn(now())));
    if (Number.isFinite(due)) this.#timer = setTimeout(() => this.#slots.schedule(), Math.max(1, due));
  }

  /** Claims no more, and gives back what only waits. */
  close(): void {
    clearTimeout(this.#timer);
    for (const poll of this.#polls.values()) poll.abort();
    for (const { gather } of this.#kinds.values()) for (const run of gather.giveUpAll()) this.#slots.release(run);
  }

  async #claim(kind: { kind: string; version: number }, most: number): Promise<void> {
    const off = new AbortController();
    this.#polls.set(kind.kind, off);
    await this.#slots.claim(kind, most, off.signal);
    this.#polls.delete(kind.kind);
    this.#slots.schedule();
  }

  #ready(free: number): { it: Collecting; group: Parameters<Gather["take"]>[0] } | undefined {
    const ready = [...this.#kinds.values()].flatMap((it) => {
      const found = it.gather.ready(free, now());
      return found === undefined ? [] : [{ it, ...found }];
    });
    return ready.sort((a, b) => a.since - b.since)[0];
  }

  async #call({ handler }: Collecting, runs: Run[]): Promise<void> {
    this.running += 1;
    const answered = new Set<Run>();
    let desert: () => void = () => undefined;
    // What a handler waits for that was cut off may never come, and once no job is left nobody waits for it.
    const deserted = new Promise<void>((resolve) => (desert = resolve));
    const look = () => {
      if (runs.every((run) => run.hasEnded || run.isLost) && runs.some((run) => !answered.has(run))) desert();
    };
    const end = (run: Run, outcome: Outcome) => {
      if (!run.hasEnded) answered.add(run);
      this.#slots.end(run, outcome);
      look();
    };
    const limits = runs.map((run) => this.#slots.limit(run, look));
    const jobs = runs.map((run): Collected => {
      run.stopping.signal.addEventListener("abort", look, { once: true });
      return {
        cx: this.#slots.contextOf(run),
        args: run.claimed.args,
        get hasEnded() {
          return run.hasEnded || run.isLost;
        },
        complete: (output = null) => end(run, completed(output)),
        fail: (error) => end(run, outcomeOf(error, run.claimed)),
      };
    });
    let rest = ({ claimed }: Run): Outcome => failure("its call ended and gave it no end of its own", claimed);
    try {
      await Promise.race([(async () => handler(jobs))(), deserted]);
    } catch (error) {
      rest = (run) => restOf(run, error);
    }
    for (const clear of limits) clear();
    for (const run of runs) this.#slots.end(run, rest(run));
    this.running -= 1;
    this.#slots.schedule();
  }
}

/** The end of a job that its call gave none, and threw `error`. */
function restOf(run: Run, error: unknown): Outcome {
  const wasAsked = run.stopping.signal.aborted && (error as Error | undefined)?.name === "AbortError";
  if (wasAsked) return { cancelled: { reason: "it was asked to stop" } };
  if (error instanceof Waits && error.jobId !== run.claimed.lease.id) return { snoozed: { delay: 0 } };
  return outcomeOf(error, run.claimed);
}
