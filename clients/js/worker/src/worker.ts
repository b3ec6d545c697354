import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { Longhaul, type Schemas, VERSION } from "@longhaul/client";
import { type CollectHandler, type CollectOptions, Gather } from "./collect.js";
import { type Handler, type Registered, type RegisteredCollect, Session } from "./session.js";

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
  /** Jobs that `prefer` one of these labels, `{ gpu: "a100" }`, come to this worker first, or to it alone. */
  labels?: Record<string, string>;
  /** Told of trouble with the server; `console.warn` unless given. */
  warn?: (message: string) => void;
}

/** A handler that does not heed its signal after its job was handed back has so many milliseconds more. */
const GRACE = 5_000;

/** Runs jobs of a server. */
export class Worker {
  /** Made anew each time that it starts: a lease of an earlier life is nobody's. */
  readonly id = `${hostname().slice(0, 60)}-${process.pid}-${randomUUID().slice(0, 8)}`;
  readonly #options: WorkerOptions;
  readonly #kinds = new Map<string, Registered>();
  readonly #collects = new Map<string, RegisteredCollect>();
  #session: Session | undefined;
  #stop: () => void = () => undefined;
  readonly #stopped = new Promise<void>((resolve) => (this.#stop = resolve));
  #handBack: () => void = () => undefined;
  readonly #handedBack = new Promise<void>((resolve) => (this.#handBack = resolve));

  constructor(options: WorkerOptions = {}) {
    this.#options = options;
  }

  /** Registers a function for a kind. An error is a failed attempt; `Fatal`, `Cancel`, `Snooze` and `RateLimited` say more. */
  job(kind: string, handler: Handler, { queue = "default", version = 1 }: { queue?: string; version?: number } = {}): this {
    this.#checkNew(kind);
    this.#kinds.set(kind, { handler, queue, version });
    return this;
  }

  /**
   * Registers a function that is handed jobs of a kind many at a time: up to `max`, or as many as there are when the first has waited for
   * `wait` seconds. Where `by` names a path in the args, as `tenant.id`, they have that value in common. Each job has its own `cx` and
   * `args`, and ends by its own `complete` or `fail`; one that was given no end ends as the call does: by the error that it threw, and as
   * a failed attempt where it returned. A call takes one slot. Each job keeps its lease, its timeout (which begins with the call), its
   * deadline and its cancel: where one is cut off, the call goes on for the others.
   */
  collect(kind: string, handler: CollectHandler, options: CollectOptions & { queue?: string; version?: number } = {}): this {
    this.#checkNew(kind);
    const { queue = "default", version = 1 } = options;
    this.#collects.set(kind, { handler, queue, version, gather: new Gather(options) });
    return this;
  }

  #checkNew(kind: string): void {
    if (this.#kinds.has(kind) || this.#collects.has(kind)) throw new Error(`kind '${kind}' is registered already`);
  }

  /**
   * Runs jobs until SIGTERM or SIGINT, which let running jobs end for `drain` seconds. A second signal hands them back at once. A
   * handler that goes on after its job was handed back keeps no process alive.
   */
  async run(): Promise<void> {
    let signals = 0;
    const signalled = () => (++signals === 1 ? this.stop() : this.#handBack());
    process.on("SIGTERM", signalled).on("SIGINT", signalled);
    try {
      await this.start();
    } finally {
      process.off("SIGTERM", signalled).off("SIGINT", signalled);
    }
    // The job runs elsewhere by now, and would be done twice.
    if (this.#session?.isBusy) setTimeout(() => process.exit(), GRACE).unref();
  }

  /** Asks the worker to stop. */
  stop(): void {
    this.#stop();
  }

  /** Runs jobs until `stop`. */
  async start(): Promise<void> {
    if (this.#kinds.size + this.#collects.size === 0) throw new Error("no job is registered: call worker.job(kind, handler) first");
    const { slots = 10, lease = 30, drain = 25, warn = console.warn, url, token } = this.#options;
    const { settings } = new Longhaul({ ...(url !== undefined && { url }), ...(token !== undefined && { token }) });
    const session = (this.#session = new Session({ settings, worker: this.#presentation(slots), kinds: this.#kinds, collects: this.#collects, slots, lease, warn }));
    await this.#stopped;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const over = new Promise((resolve) => {
      // Node's longest timer is of 24 days.
      timer = setTimeout(resolve, Math.min(2 ** 31 - 1, drain * 1_000));
    });
    await session.drain(Promise.race([over, this.#handedBack]));
    clearTimeout(timer);
  }

  #presentation(slots: number): Schemas["WorkerName"] {
    const kinds = [...this.#kinds, ...this.#collects];
    const queues = [...new Set(kinds.map(([, { queue }]) => queue))].sort();
    return {
      id: this.id,
      process: String(process.pid),
      host: hostname(),
      queues: queues.map((queue) => ({ queue, slots })),
      kinds: kinds.map(([kind, { version }]) => ({ kind, version })),
      version: `longhaul-js ${VERSION}`,
      ...(this.#options.labels && { labels: this.#options.labels }),
      started_at: new Date().toISOString(),
    };
  }
}
