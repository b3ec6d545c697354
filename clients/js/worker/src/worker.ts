import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { Worker as Thread } from "node:worker_threads";
import { pause, retryAfter } from "@longhaul/client";
import { type Claimed, completed, type Context, failure, json, type Outcome, outcomeOf } from "./context.js";
import { type FromKeeper, type KeeperData, now, type ToKeeper } from "./thread.js";

/** Runs a job: called with a context and the job's args; what it returns is the output. */
export type Handler = (cx: Context, args: any) => unknown;

export interface WorkerOptions {
  /** `http://127.0.0.1:8000` unless given. */
  url?: string;
  /** The server's worker token. */
  token?: string;
  /** How many jobs run at once, of all queues together; 10 unless given. */
  slots?: number;
  /** A job whose worker is silent for so many seconds goes to another; 30 unless given. */
  lease?: number;
  /** At a shutdown running jobs have so many seconds; then they are handed back at no cost. 25 unless given. */
  drain?: number;
  /** Told of trouble with the server; `console.warn` unless given. */
  warn?: (message: string) => void;
}

interface Run {
  claimed: Claimed;
  stopping: AbortController;
  isLost: boolean;
  isReleased: boolean;
  /** What it has said and is not yet sent, each with whom to tell that it was heard. */
  entries: { entry: unknown; heard: () => void }[];
  /** Resolves once all that it has said before is durable. */
  said: Promise<void>;
}

/** Runs jobs of a server. */
export class Worker {
  /** Made anew each time that it starts: a lease of an earlier life is nobody's. */
  readonly id = `${hostname().slice(0, 60)}-${process.pid}-${randomUUID().slice(0, 8)}`;
  readonly #url: string;
  readonly #headers: Record<string, string>;
  readonly #options: { slots: number; lease: number; drain: number; warn: (message: string) => void };
  readonly #kinds = new Map<string, { handler: Handler; queue: string; version: number }>();
  readonly #runs = new Map<string, Run>();
  #ends: { run: Run; outcome: Outcome; sent: () => void }[] = [];
  #sending: Promise<void> | undefined;
  #recording: Promise<void> | undefined;
  #keeper: Thread | undefined;
  #stopping = new AbortController();
  #turn = 0;
  #wake: () => void = () => undefined;

  constructor(options: WorkerOptions = {}) {
    this.#url = (options.url ?? "http://127.0.0.1:8000").replace(/\/+$/, "");
    this.#headers = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` };
    const { slots = 10, lease = 30, drain = 25, warn = console.warn } = options;
    this.#options = { slots, lease, drain, warn };
  }

  /** Registers a function for a kind. An error is a failed attempt; `Fatal`, `Cancel`, `Snooze` and `RateLimited` say more. */
  job(kind: string, handler: Handler, { queue = "default", version = 1 }: { queue?: string; version?: number } = {}): this {
    if (this.#kinds.has(kind)) throw new Error(`kind '${kind}' is registered already`);
    this.#kinds.set(kind, { handler, queue, version });
    return this;
  }

  /** Runs jobs until SIGTERM or SIGINT, which let running jobs end. A second signal hands them back at once. */
  async run(): Promise<void> {
    const signalled = () => {
      if (this.#stopping.signal.aborted) this.#options.drain = 0;
      this.stop();
    };
    process.on("SIGTERM", signalled).on("SIGINT", signalled);
    try {
      await this.start();
    } finally {
      process.off("SIGTERM", signalled).off("SIGINT", signalled);
    }
  }

  /** Asks the worker to stop. */
  stop(): void {
    this.#stopping.abort();
    this.#wake();
  }

  /** Runs jobs until `stop`. */
  async start(): Promise<void> {
    if (this.#kinds.size === 0) throw new Error("no job is registered: call worker.job(kind, handler) first");
    this.#keep();
    let tries = 0;
    while (!this.#stopping.signal.aborted) {
      const free = this.#options.slots - this.#runs.size;
      if (free <= 0) {
        await this.#woken();
        continue;
      }
      try {
        for (const claimed of await this.#claim(free)) void this.#work(claimed);
        tries = 0;
      } catch (error) {
        if (this.#stopping.signal.aborted) break;
        const { message, after } = error as Refused;
        this.#options.warn(`failed to claim jobs: ${message}`);
        const delay = pause(tries++, after);
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, delay);
          this.#wake = () => (clearTimeout(timer), resolve());
        });
      }
    }
    await this.#drain();
    this.#tellKeeper({ stop: true });
  }

  async #drain(): Promise<void> {
    const until = Date.now() + this.#options.drain * 1_000;
    while (this.#runs.size > 0 && Date.now() < until) {
      const timer = setTimeout(() => this.#wake(), until - Date.now());
      await this.#woken();
      clearTimeout(timer);
    }
    const handedBack = [...this.#runs.values()].map((run) => {
      // What the handler still says of this run is not heard: the job goes to another worker.
      run.isReleased = true;
      run.stopping.abort();
      return this.#end(run, { released: {} });
    });
    await Promise.all(handedBack);
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #claim(free: number): Promise<Claimed[]> {
    // The free slots are shared out among the queues, beginning with another each time.
    const all = [...new Set([...this.#kinds.values()].map(({ queue }) => queue))].sort();
    this.#turn = (this.#turn + 1) % all.length;
    const queues = [...all.slice(this.#turn), ...all.slice(0, this.#turn)].slice(0, free);
    const slots = Math.floor(free / queues.length);
    const body = {
      worker: this.#presentation(),
      queues: queues.map((queue) => ({ queue, slots })),
      kinds: [...this.#kinds].map(([kind, { version }]) => ({ kind, version })),
      lease_for: this.#options.lease,
      wait: 20,
    };
    const at = now();
    const { claimed } = await this.#post<{ claimed: Claimed[] }>("claim", body, randomUUID(), this.#stopping.signal);
    for (const { lease } of claimed) this.#tellKeeper({ add: lease, at });
    return claimed;
  }

  async #work(claimed: Claimed): Promise<void> {
    const stopping = new AbortController();
    const run: Run = { claimed, stopping, isLost: false, isReleased: false, entries: [], said: Promise.resolve() };
    this.#runs.set(key(claimed.lease), run);
    const handler = this.#kinds.get(claimed.kind)?.handler;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let outcome: Outcome;
    try {
      const work = Promise.resolve().then(() => handler?.(this.#context(run), claimed.args));
      const over = new Promise<never>((_, reject) => {
        if (claimed.timeout === null) return;
        timer = setTimeout(() => {
          reject(new Error(`the attempt took longer than ${claimed.timeout} s`));
          stopping.abort();
        }, claimed.timeout * 1_000);
      });
      outcome = completed(await Promise.race([work, over]));
    } catch (error) {
      const wasAsked = stopping.signal.aborted && (error as Error | undefined)?.name === "AbortError";
      outcome = wasAsked ? { cancelled: { reason: "it was asked to stop" } } : outcomeOf(error, claimed);
    } finally {
      clearTimeout(timer);
    }
    if (!run.isReleased) await this.#end(run, outcome);
  }

  #context(run: Run): Context {
    const { claimed } = run;
    const say = (entry: unknown) => void this.#say(run, entry);
    return {
      jobId: claimed.lease.id,
      attempt: claimed.attempt,
      maxAttempts: claimed.max_attempts,
      version: claimed.version,
      labels: claimed.labels,
      signal: run.stopping.signal,
      progress: (percent, message = "", data) =>
        say({ progress: { percent, message, ...(data === undefined ? {} : { data: json(data) }) } }),
      log: (message, level = "info") => say({ log: { level, message } }),
      emit: (data) => say({ chunk: { data: json(data) } }),
      step: async <T>(name: string, work: () => T | Promise<T>): Promise<T> => {
        if (Object.hasOwn(claimed.steps, name)) return claimed.steps[name] as T;
        const output = json(await work());
        await this.#say(run, { step: { name, output } });
        run.stopping.signal.throwIfAborted();
        claimed.steps[name] = output;
        return output as T;
      },
    };
  }

  /** Sends an entry soon, in order, together with what others say. Resolves once it is durable. */
  #say(run: Run, entry: unknown): Promise<void> {
    run.said = new Promise((heard) => run.entries.push({ entry, heard }));
    this.#recording ??= this.#record();
    return run.said;
  }

  /** One request at a time: two under way could be heard in the wrong order. */
  async #record(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 10));
    for (;;) {
      const speaking = [...this.#runs.values()].filter((run) => run.entries.length > 0);
      if (speaking.length === 0) break;
      const said = speaking.map((run) => run.entries.splice(0, run.isLost ? Infinity : 500));
      const heard = speaking.map((run, index) => ({ run, entries: said[index] ?? [] })).filter(({ run }) => !run.isLost);
      try {
        const records = heard.map(({ run, entries }) => ({
          lease: run.claimed.lease,
          entries: entries.map(({ entry }) => entry),
        }));
        const { statuses } = records.length > 0 ? await this.#insist<{ statuses: string[] }>("record", { records }) : { statuses: [] };
        heard.forEach(({ run }, index) => this.#told(run, statuses[index]));
      } catch (error) {
        this.#options.warn(`the server refused what jobs said: ${(error as Error).message}`);
      }
      for (const { heard } of said.flat()) heard();
    }
    this.#recording = undefined;
  }

  #told(run: Run, status: string | undefined): void {
    if (status === "lost") {
      run.isLost = true;
      run.stopping.abort();
    } else if (status === "cancel_requested") {
      run.stopping.abort();
    }
  }

  /** Sends the end of a run, together with those that come meanwhile. Resolves once it was heard. */
  async #end(run: Run, outcome: Outcome): Promise<void> {
    // What the job has said goes before its end: after that nobody may speak for it.
    await run.said;
    if (!run.isLost) {
      await new Promise<void>((sent) => {
        this.#ends.push({ run, outcome, sent });
        this.#sending ??= this.#sendEnds();
      });
    }
    this.#runs.delete(key(run.claimed.lease));
    this.#tellKeeper({ remove: run.claimed.lease });
    this.#wake();
  }

  async #sendEnds(): Promise<void> {
    await Promise.resolve();
    while (this.#ends.length > 0) {
      const ends = this.#ends.splice(0);
      await this.#finish(ends.map(({ run, outcome }) => ({ lease: run.claimed.lease, outcome })));
      for (const { sent } of ends) sent();
    }
    this.#sending = undefined;
  }

  async #finish(finishes: { lease: Claimed["lease"]; outcome: Outcome }[]): Promise<void> {
    try {
      await this.#insist("finish", { finishes });
    } catch (error) {
      if ((error as Refused).status === 413 && finishes.length > 1) {
        // Together they are more than a body may have.
        for (const finish of finishes) await this.#finish([finish]);
        return;
      }
      this.#options.warn(`the server refused the ends of ${finishes.length} jobs: ${(error as Error).message}`);
    }
  }

  /** Sends a request under one key until it is answered, however long the server is away. */
  async #insist<T>(what: string, body: unknown): Promise<T> {
    const idempotencyKey = randomUUID();
    for (let tries = 0; ; tries++) {
      try {
        return await this.#post<T>(what, body, idempotencyKey);
      } catch (error) {
        const { status, message, after } = error as Refused;
        if (status !== undefined && status < 500 && status !== 408 && status !== 429) throw error;
        this.#options.warn(`failed to send a ${what}, will try again: ${message}`);
        await new Promise((resolve) => setTimeout(resolve, pause(Math.min(tries, 5), after)));
      }
    }
  }

  async #post<T>(what: string, body: unknown, idempotencyKey: string, signal?: AbortSignal): Promise<T> {
    const aborting = new AbortController();
    const abort = () => aborting.abort();
    signal?.addEventListener("abort", abort);
    const timer = setTimeout(abort, what === "claim" ? 55_000 : 30_000);
    try {
      if (signal?.aborted) abort();
      const response = await fetch(`${this.#url}/api/worker/${what}`, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": idempotencyKey, ...this.#headers },
        body: JSON.stringify(body),
        signal: aborting.signal,
      });
      if (response.ok) return (await response.json()) as T;
      const text = (await response.text()).slice(0, 500);
      throw new Refused(`${response.status} ${text}`, response.status, retryAfter(response.headers.get("retry-after")));
    } catch (error) {
      if (error instanceof Refused) throw error;
      const { message, cause } = error as Error;
      throw new Refused(cause instanceof Error ? `${message}: ${cause.message}` : message);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  #keep(): void {
    const workerData: KeeperData = {
      url: this.#url,
      headers: this.#headers,
      worker: this.#presentation(),
      lease: this.#options.lease,
    };
    this.#keeper = new Thread(new URL("./keeper.js", import.meta.url), { workerData });
    this.#keeper.on("message", (message: FromKeeper) => {
      if ("warning" in message) this.#options.warn(message.warning);
      else {
        const run = this.#runs.get(key(message.lease));
        if (run !== undefined) this.#told(run, message.status);
      }
    });
  }

  #tellKeeper(message: ToKeeper): void {
    this.#keeper?.postMessage(message);
  }

  #presentation(): unknown {
    const queues = [...new Set([...this.#kinds.values()].map(({ queue }) => queue))].sort();
    return {
      id: this.id,
      process: String(process.pid),
      host: hostname(),
      queues: queues.map((queue) => ({ queue, slots: this.#options.slots })),
    };
  }
}

class Refused extends Error {
  readonly status: number | undefined;
  readonly after: number | undefined;

  constructor(message: string, status?: number, after?: number) {
    super(message);
    this.status = status;
    this.after = after;
  }
}

function key({ id, token }: Claimed["lease"]): string {
  return `${token} ${id}`;
}
