import { randomUUID } from "node:crypto";
import { Worker as Thread } from "node:worker_threads";
import type { Schemas } from "@longhaul/client";
import { type Call, request, type Settings } from "@longhaul/client/http";
import { read, stringify } from "@longhaul/client/json";
import { Calls, type Collecting } from "./calls.js";
import { type Claimed, completed, type Context, failure, type Outcome, outcomeOf } from "./context.js";
import { BODY_BYTES, type Entries, Recorder } from "./recorder.js";
import { contextOf, Run, type Said } from "./run.js";
import { type FromKeeper, key, type KeeperData, type Lease, now, type ToKeeper } from "./thread.js";

/** Runs a job: called with a context and the job's args; what it returns is the output. */
export type Handler = (cx: Context, args: any) => unknown;

/** A kind that a worker runs. */
export interface Registered {
  handler: Handler;
  queue: string;
  version: number;
}

/** A kind whose jobs are handed to one call, many at a time. */
export interface RegisteredCollect extends Collecting {
  queue: string;
}

/** What a worker is made of. */
export interface Plan {
  settings: Settings;
  /** The worker as it presents itself. */
  worker: Schemas["WorkerName"];
  kinds: ReadonlyMap<string, Registered>;
  collects: ReadonlyMap<string, RegisteredCollect>;
  slots: number;
  /** In seconds. */
  lease: number;
  warn: (message: string) => void;
}

interface End {
  run: Run;
  /** The finish without its closing brace, as JSON. */
  text: string;
  entries: Said[];
}

/**
 * How long the server holds a claim while there is nothing to take, in seconds. A run's lease counts from when its claim was sent, so a
 * claim is held for a quarter of the lease at most: a run of one that was held for longer would begin with a lease that is about to end.
 */
const [WAIT, WAIT_OF_LEASE] = [20, 1 / 4];
/** So many turns are under way at once: while one is written by the store, the other's jobs run. */
const TURNS = 2;

/** One run of a worker: its claims, its jobs and their ends. */
export class Session {
  readonly #plan: Plan;
  readonly #queues: string[];
  readonly #kinds: Schemas["SupportedKind"][];
  readonly #keeper: Thread;
  readonly #calls: Calls;
  readonly #recorder = new Recorder((entries) => this.#record(entries));
  /** Jobs whose ends were not heard yet, by lease. */
  readonly #runs = new Map<string, Run>();
  #ends: End[] = [];
  /** Jobs whose handlers have not ended. */
  #running = 0;
  /** Slots that claims which are under way ask for. */
  #asked = 0;
  /** Those of them that the open claim asks for, which waits for jobs. */
  #polled = 0;
  #turns = 0;
  /** Calls off the claim that is open. */
  #poll: AbortController | undefined;
  #isScheduled = false;
  #first = 0;
  readonly #stopping = new AbortController();
  /** Aborted where the server is away for longer than leases hold: then there is nobody to tell of them. */
  readonly #givenUp = new AbortController();
  #over: () => void = () => undefined;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#queues = [...new Set([...plan.kinds.values(), ...plan.collects.values()].map(({ queue }) => queue))].sort();
    this.#kinds = [...plan.kinds].map(([kind, { version }]) => ({ kind, version }));
    const slots = {
      claim: async (kind: Schemas["SupportedKind"], most: number, off: AbortSignal) => void (await this.#claimWaiting([kind], most, WAIT, off)),
      contextOf: (run: Run) => this.#contextOf(run),
      limit: (run: Run, then: () => void) => this.#limit(run, then),
      end: (run: Run, outcome: Outcome) => void this.#end(run, outcome).then(() => this.#schedule()),
      release: (run: Run) => this.#release(run),
      schedule: () => this.#schedule(),
    };
    this.#calls = new Calls(slots, plan.collects);
    const { fetch: _, ...settings } = plan.settings;
    const workerData: KeeperData = { settings, worker: plan.worker, lease: plan.lease };
    this.#keeper = new Thread(new URL("./keeper.js", import.meta.url), { workerData });
    this.#keeper.on("message", (message: FromKeeper) => {
      if ("warning" in message) return plan.warn(message.warning);
      const run = this.#runs.get(key(message.lease));
      if (run === undefined) return;
      if (message.status === "unheard") this.#release(run);
      else run.told(message.status);
    });
    this.#schedule();
  }

  /** True while a handler has not ended, also of a job that was handed back. */
  get isBusy(): boolean {
    return this.#busy > 0;
  }

  /** Claims no more, and resolves once all jobs have ended or `over` does; then those that are left are handed back. */
  async drain(over: Promise<unknown>): Promise<void> {
    this.#stopping.abort();
    this.#calls.close();
    const ended = new Promise<void>((resolve) => (this.#over = resolve));
    this.#schedule();
    await Promise.race([ended, over]);
    const giveUp = setTimeout(() => this.#givenUp.abort(), this.#plan.lease * 1_000);
    for (const run of this.#runs.values()) this.#release(run);
    await ended;
    clearTimeout(giveUp);
    this.#tell({ stop: true });
  }

  /** What is to be done next is looked at once for all that has happened since. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (!this.#stopping.signal.aborted) {
        const free = this.#plan.slots - this.#busy - this.#asked + this.#polled;
        this.#calls.dispatch(free, () => this.#makeRoom());
      }
      while (this.#ends.length > 0 && this.#turns < TURNS) void this.#turn();
      if (this.#stopping.signal.aborted) {
        if (this.#runs.size === 0 && this.#poll === undefined && !this.#calls.isClaiming) this.#over();
      } else if (this.#poll === undefined && this.#turns === 0 && this.#free() > 0) void this.#pollOnce();
    });
  }

  /** The slots that are taken. */
  get #busy(): number {
    return this.#running + this.#calls.running;
  }

  /** The slots that jobs may be claimed for that run one by one. */
  #free(): number {
    if (this.#kinds.length === 0) return 0;
    // The ends of a call have one slot together, which is free by then.
    const ends = this.#calls.most > 0 ? 0 : this.#ends.length;
    return Math.max(0, this.#plan.slots - this.#busy - ends - this.#asked);
  }

  /** Makes room for a call, which takes a slot that the open claim may ask for: that has found nobody who waits. */
  #makeRoom(): void {
    if (this.#poll === undefined) this.#calls.owesSingle = this.#kinds.length > 0;
    else if (this.#busy + this.#asked >= this.#plan.slots) this.#poll.abort();
  }

  /** Waits for jobs that run one by one. */
  async #pollOnce(): Promise<void> {
    const slots = this.#free();
    this.#poll = new AbortController();
    this.#asked += slots;
    this.#polled = slots;
    // A call that leaves its slot to other kinds must soon know that none of their jobs wait.
    const wait = this.#calls.owesSingle && this.#calls.isWaiting ? 0 : WAIT;
    if ((await this.#claimWaiting(this.#kinds, slots, wait, this.#poll.signal)) < slots) this.#calls.owesSingle = false;
    this.#asked -= slots;
    this.#polled = 0;
    this.#poll = undefined;
    this.#schedule();
  }

  /** Claims up to so many jobs, and resolves to how many came. */
  async #claimWaiting(kinds: Schemas["SupportedKind"][], slots: number, wait: number, off: AbortSignal): Promise<number> {
    const idempotencyKey = randomUUID();
    const signal = AbortSignal.any([this.#stopping.signal, off]);
    let at = 0;
    try {
      const held = Math.min(wait, this.#plan.lease * WAIT_OF_LEASE);
      // Where not every queue can be asked for, the others are asked for soon.
      const claim = this.#claim(kinds, slots, slots < this.#queues.length ? Math.min(1, held) : held);
      const { claimed } = await this.#send<{ claimed: Claimed[] }>("claim", JSON.stringify(claim), idempotencyKey, {
        heldFor: WAIT * 1_000,
        signal,
        onTry: () => (at = now()),
      });
      this.#begin(claimed, at);
      return claimed.length;
    } catch (error) {
      if (signal.aborted) {
        // It may have taken jobs whose names are on their way here.
        const body = JSON.stringify({ key: idempotencyKey });
        await this.#send("abandon", body, randomUUID(), { maxRetries: 2 }).catch(() => undefined);
      } else {
        this.#plan.warn(`the server refused a claim: ${(error as Error).message}`);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    }
    return 0;
  }

  /** Sends ends that have come together, and claims for the slots that are free by them. */
  async #turn(): Promise<void> {
    const ends = this.#take();
    const slots = this.#stopping.signal.aborted ? 0 : this.#free();
    let at = 0;
    this.#turns += 1;
    this.#asked += slots;
    const finishes = `"finishes":[${ends.map(finish).join(",")}]`;
    try {
      const claim = slots > 0 ? `,"claim":${JSON.stringify(this.#claim(this.#kinds, slots, 0))}` : "";
      const onTry = () => (at = now());
      const answer = await this.#send<{ claimed?: Claimed[] }>(slots > 0 ? "turn" : "finish", `{${finishes}${claim}}`, randomUUID(), { onTry });
      this.#begin(answer.claimed ?? [], at);
      if ((answer.claimed?.length ?? 0) < slots) this.#calls.owesSingle = false;
    } catch (error) {
      this.#calls.owesSingle = false;
      if (!this.#givenUp.signal.aborted) for (const end of ends) await this.#finishAlone(end, error as Error);
    }
    this.#asked -= slots;
    this.#turns -= 1;
    for (const { run, entries } of ends) {
      this.#runs.delete(key(run.claimed.lease));
      for (const { heard } of entries) heard();
    }
    this.#tell({ remove: ends.map(({ run }) => run.claimed.lease as Lease) });
    this.#schedule();
  }

  /** Half of the slots at most: then their jobs run while the other half's ends are written. And those of a call together. */
  #take(): End[] {
    const most = Math.max(Math.ceil(this.#plan.slots / TURNS), this.#calls.most);
    let [count, bytes] = [0, 0];
    for (const { text, entries } of this.#ends) {
      bytes += Buffer.byteLength(text) + entries.reduce((sum, { bytes }) => sum + bytes, 0);
      if (count > 0 && (count >= most || bytes > BODY_BYTES)) break;
      count += 1;
    }
    return this.#ends.splice(0, count);
  }

  /** What the server refuses of many ends concerns one of them only. */
  async #finishAlone(end: End, refusal: Error): Promise<void> {
    this.#plan.warn(`the server refused ends of jobs: ${refusal.message}`);
    const lease = end.run.claimed.lease;
    const failed: Outcome = { failed: { error: { message: `the server refused its end: ${refusal.message}`, kind: "error" } } };
    for (const text of [finish(end), `{"lease":${stringify(lease)},"outcome":${stringify(failed)}}`]) {
      try {
        await this.#send("finish", `{"finishes":[${text}]}`, randomUUID());
        return;
      } catch (error) {
        this.#plan.warn(`the server refused the end of job ${lease.id}: ${(error as Error).message}`);
      }
    }
  }

  async #record(entries: Entries[]): Promise<void> {
    const one = ({ run, texts }: Entries) => `{"lease":${stringify(run.claimed.lease)},"entries":[${texts.join(",")}]}`;
    try {
      const body = `{"records":[${entries.map(one).join(",")}]}`;
      const { statuses } = await this.#send<{ statuses: string[] }>("record", body, randomUUID());
      entries.forEach(({ run }, index) => run.told(statuses[index]));
    } catch (error) {
      const reason = (error as Error).message;
      for (const one of entries) {
        if (entries.length > 1) await this.#record([one]);
        else this.#refused(one, reason);
      }
    }
  }

  /** Ends a job that has done a step which the server does not keep: what comes after it must not be done on the strength of it. */
  #refused({ run, texts }: Entries, reason: string): void {
    this.#plan.warn(`the server refused what job ${run.claimed.lease.id} said: ${reason}`);
    if (!texts.some((text) => text.startsWith('{"step":'))) return;
    const failed: Outcome = { failed: { error: { message: `the server refused to keep a step: ${reason}`, kind: "fatal" } } };
    void this.#end(run, failed).then(() => this.#schedule());
    run.stopping.abort();
  }

  /** Sends a request under one key until it is answered, however long the server is away. */
  async #send<T>(what: string, text: string, idempotencyKey: string, options: Partial<Call> & { maxRetries?: number } = {}): Promise<T> {
    const { maxRetries = Infinity, ...call } = options;
    const response = await request(
      { ...this.#plan.settings, maxRetries },
      {
        method: "POST",
        path: `/api/worker/${what}`,
        text,
        headers: { "idempotency-key": idempotencyKey },
        signal: this.#givenUp.signal,
        onRetry: (error) => this.#plan.warn(`failed to send a ${what}, will try again: ${error.message}`),
        ...call,
      },
    );
    return read(response);
  }

  #claim(kinds: Schemas["SupportedKind"][], slots: number, wait: number): Schemas["WorkerClaim"] {
    // The free slots are shared out among the queues, beginning with another each time.
    this.#first = (this.#first + 1) % this.#queues.length;
    const queues = [...this.#queues.slice(this.#first), ...this.#queues.slice(0, this.#first)].slice(0, slots);
    const share = Math.floor(slots / queues.length);
    const { worker, lease } = this.#plan;
    return { worker, queues: queues.map((queue) => ({ queue, slots: share })), kinds, lease_for: lease, wait };
  }

  #begin(claimed: Claimed[], at: number): void {
    if (claimed.length === 0) return;
    this.#tell({ add: claimed.map(({ lease }) => lease as Lease), at });
    for (const one of claimed) {
      const run = new Run(one);
      this.#runs.set(key(one.lease), run);
      if (!this.#plan.collects.has(one.kind)) void this.#run(run);
      else this.#gather(run);
    }
    // A worker that stops while a claim is on its way hands back what only waits.
    if (this.#stopping.signal.aborted) this.#calls.close();
    this.#schedule();
  }

  /** Keeps a job until its call. Its deadline holds from now on. */
  #gather(run: Run): void {
    const late = () => {
      void this.#end(run, { cancelled: { reason: LATE.message, cancel_reason: "deadline" } }).then(() => this.#schedule());
      run.stopping.abort();
    };
    const { deadline_in } = run.claimed;
    if (deadline_in != null) run.onEnd = after(deadline_in * 1_000, late);
    this.#calls.add(run);
  }

  #limit(run: Run, then: () => void): () => void {
    const { timeout } = run.claimed;
    if (timeout == null) return () => undefined;
    return after(timeout * 1_000, () => {
      void this.#end(run, failure(`the attempt took longer than ${timeout} s`, run.claimed, "timeout")).then(() => this.#schedule());
      run.stopping.abort();
      then();
    });
  }

  #contextOf(run: Run): Context {
    const ask = <T>(what: string, body: unknown) => this.#send<T>(what, stringify(body) ?? "null", randomUUID());
    return contextOf(run, (entry, isAwaited) => this.#recorder.say(run, entry, isAwaited), ask);
  }

  async #run(run: Run): Promise<void> {
    const { claimed, stopping } = run;
    this.#calls.owesSingle = false;
    this.#running += 1;
    const timers: (() => void)[] = [];
    let outcome: Outcome;
    try {
      const work = Promise.resolve(this.#plan.kinds.get(claimed.kind)?.handler(this.#contextOf(run), claimed.args));
      const over = new Promise<never>((_, reject) => {
        for (const [seconds, reason] of [[claimed.timeout, OVER], [claimed.deadline_in, LATE]] as const) {
          if (seconds != null) timers.push(after(seconds * 1_000, () => reject(reason)));
        }
      });
      outcome = completed(timers.length === 0 ? await work : await Promise.race([work, over]));
    } catch (error) {
      const wasAsked = stopping.signal.aborted && (error as Error | undefined)?.name === "AbortError";
      if (error === OVER) outcome = failure(`the attempt took longer than ${claimed.timeout} s`, claimed, "timeout");
      else if (error === LATE) outcome = { cancelled: { reason: LATE.message, cancel_reason: "deadline" } };
      else outcome = wasAsked ? { cancelled: { reason: "it was asked to stop" } } : outcomeOf(error, claimed);
      if (error === OVER || error === LATE) stopping.abort();
    }
    for (const clear of timers) clear();
    await this.#end(run, outcome);
    this.#running -= 1;
    this.#schedule();
  }

  /** Hands a job back. What its handler still says of this run is not heard: the job goes to another worker. */
  #release(run: Run): void {
    if (run.hasEnded) return;
    void this.#end(run, { released: {} }).then(() => this.#schedule());
    run.stopping.abort();
  }

  async #end(run: Run, outcome: Outcome): Promise<void> {
    if (run.hasEnded) return;
    run.hasEnded = true;
    run.onEnd();
    // What is on its way goes before the end: after that nobody may speak for the job.
    const entries = run.sending === undefined && run.entries.length === 0 ? [] : await this.#recorder.last(run);
    if (run.isLost) {
      this.#runs.delete(key(run.claimed.lease));
      this.#tell({ remove: [run.claimed.lease as Lease] });
      for (const { heard } of entries) heard();
      return;
    }
    const cost = run.cost === undefined ? "" : `,"cost":${run.cost}`;
    const text = `{"lease":${stringify(run.claimed.lease)},"outcome":${stringify(outcome)}${cost}`;
    this.#ends.push({ run, text, entries });
  }

  #tell(message: ToKeeper): void {
    this.#keeper.postMessage(message);
  }
}

const OVER = new Error("the time is over");
const LATE = new Error("stopped, because its deadline has passed");
/** Node's longest timer, of 24 days; a longer one would be over at once. */
const LONGEST = 2 ** 31 - 1;

/** Calls after so many milliseconds, however many they are, unless the answer is called before. */
function after(milliseconds: number, call: () => void): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const wait = (left: number) => {
    timer = setTimeout(() => (left > LONGEST ? wait(left - LONGEST) : call()), Math.min(left, LONGEST));
  };
  wait(milliseconds);
  return () => clearTimeout(timer);
}

function finish({ text, entries }: End): string {
  return entries.length > 0 ? `${text},"entries":[${entries.map(({ text }) => text).join(",")}]}` : `${text}}`;
}
