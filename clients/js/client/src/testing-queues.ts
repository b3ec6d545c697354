// The queues of the server in memory: their configuration, pauses and counts, and the slots that running jobs take. Rates are told, and
// bound nothing there, because no time passes for its jobs.
import type { Job } from "./job.js";
import type { Schemas } from "./openapi.js";
import type { Reason } from "./testing-keys.js";
import { rateOf } from "./testing-rules.js";

type Config = { fair: boolean; slots: number | null; rate: Schemas["Rate"] | null; max_waiting: number | null; on_full: Schemas["OnFull"]; retention: Record<string, unknown> };

const DAY = 86_400;
/** What a queue keeps unless told otherwise. */
const RETENTION: Record<string, unknown> = { completed: { age: DAY, count: null }, failed: { age: 14 * DAY, count: null }, cancelled: { age: DAY, count: null } };
/** The configuration of a queue of which nothing was said. */
const CONFIG: Config = { retention: RETENTION, fair: false, slots: null, rate: null, max_waiting: null, on_full: "reject" };

/** The queues of a server's jobs. */
export class Queues {
  readonly #jobs: ReadonlyMap<string, Job>;
  readonly #configs = new Map<string, Config>();
  readonly #paused = new Set<string>();

  constructor(jobs: ReadonlyMap<string, Job>) {
    this.#jobs = jobs;
  }

  /** Makes a queue known. */
  see(name: string): void {
    if (!this.#configs.has(name)) this.#configs.set(name, CONFIG);
  }

  has(name: string): boolean {
    return this.#configs.has(name);
  }

  config(name: string): Config {
    return this.#configs.get(name) ?? CONFIG;
  }

  isPaused(name: string): boolean {
    return this.#paused.has(name);
  }

  /** Gives no job of a queue to anybody, or gives them again. */
  steer(name: string, action: "pause" | "resume"): void {
    this.see(name);
    if (action === "pause") this.#paused.add(name);
    else this.#paused.delete(name);
  }

  /** Changes what is given of a configuration. A bound that is null is taken away. */
  change(name: string, patch: Schemas["QueuePatch"]): void {
    const before = this.config(name);
    const retention = { ...before.retention };
    for (const [state, kept] of Object.entries(patch.retention ?? {})) retention[state] = { ...(retention[state] as object), ...kept };
    const { fair, slots = before.slots, max_waiting = before.max_waiting, on_full } = patch;
    const rate = patch.rate === undefined ? before.rate : rateOf(patch.rate);
    this.#configs.set(name, { retention, fair: fair ?? before.fair, slots, rate, max_waiting, on_full: on_full ?? before.on_full });
  }

  /** What of its queue's limits keeps a job from being claimed. */
  closed(job: Job): Reason[] {
    const [of, used] = [this.config(job.queue).slots ?? Infinity, this.#used(job.queue)];
    const isFull = used > 0 && used + (job.cost.slots ?? 1) > of;
    return isFull ? [{ rule: "slots_queue", key: job.queue, used, of }] : [];
  }

  /** The slots that the running jobs of a queue take. */
  #used(name: string): number {
    let used = 0;
    for (const { state, queue, cost } of this.#jobs.values()) if (state === "running" && queue === name) used += cost.slots ?? 1;
    return used;
  }

  /** All queues, by name. */
  list(): Schemas["Queue"][] {
    return [...this.#configs.keys()].sort().map((name) => this.get(name));
  }

  /** A queue as the API has it. */
  get(name: string): Schemas["Queue"] {
    const states = { blocked: 0, scheduled: 0, available: 0, running: 0, completed: 0, failed: 0, cancelled: 0 };
    for (const { queue, state } of this.#jobs.values()) if (queue === name) states[state] += 1;
    const [paused, waiting] = [this.isPaused(name), states.available + states.blocked];
    const counts = { active: states.running, completed: states.completed, failed: states.failed + states.cancelled, delayed: states.scheduled, waiting: paused ? 0 : waiting, paused: paused ? waiting : 0 };
    const config = this.config(name);
    const limits = { used: config.slots === null ? null : this.#used(name), rate_left: config.rate?.burst ?? null, rate_free_at: null };
    return { name, paused, states, counts, config, ...limits } as unknown as Schemas["Queue"];
  }
}
