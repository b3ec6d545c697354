// The queues of the server in memory: their configuration, pauses and counts.
import type { Job } from "./job.js";
import type { Schemas } from "./openapi.js";

type Config = { fair: boolean; max_waiting: number | null; on_full: Schemas["OnFull"]; retention: Record<string, unknown> };

const DAY = 86_400;
/** What a queue keeps unless told otherwise. */
const RETENTION: Record<string, unknown> = { completed: { age: DAY, count: null }, failed: { age: 14 * DAY, count: null }, cancelled: { age: DAY, count: null } };
/** The configuration of a queue of which nothing was said. */
const CONFIG: Config = { retention: RETENTION, fair: false, max_waiting: null, on_full: "reject" };

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
    const { fair, max_waiting = before.max_waiting, on_full } = patch;
    this.#configs.set(name, { retention, fair: fair ?? before.fair, max_waiting, on_full: on_full ?? before.on_full });
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
    return { name, paused, states, counts, config: this.config(name) } as unknown as Schemas["Queue"];
  }
}
