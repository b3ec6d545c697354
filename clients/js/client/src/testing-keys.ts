// The limit keys of the server in memory: their limits and pauses, and the slots that running jobs take. Rates are told, and bound
// nothing there, because no time passes for its jobs.
import type { Job } from "./job.js";
import type { Schemas } from "./openapi.js";
import { type Broken, isName, MAX_UNITS, NAME_RULE, rateOf, rateRules, units, waitingRules } from "./testing-rules.js";

type Key = Schemas["Key"];
/** One thing that keeps a job from running. */
export type Reason = { rule: string; key?: string; used?: number; of?: number; until?: string };

const LONGEST = 315_360_000;
/** Waiting jobs of a key that are counted. */
const MOST_COUNTED = 1_000;
/** The last moment that has a form in RFC 3339: a pause until it is resumed. */
const FOR_EVER = Date.parse("9999-12-30T22:00:00.999Z");

/** The limit keys of a server's jobs. */
export class LimitKeys {
  readonly #jobs: ReadonlyMap<string, Job>;
  readonly #limits = new Map<string, Schemas["KeyLimits"]>();
  readonly #closedUntil = new Map<string, number>();

  constructor(jobs: ReadonlyMap<string, Job>) {
    this.#jobs = jobs;
  }

  /** What keeps a job of these keys from being claimed, in the order in which it is looked at: pauses, then slots. */
  closed({ limit_keys, cost }: Job): Reason[] {
    const closed = limit_keys.flatMap((key): Reason[] => {
      const until = this.#pause(key);
      if (until !== null) return [{ rule: "paused_key", key, until }];
      const [of, used] = [this.#limitsOf(key).slots ?? Infinity, this.#used(key)];
      return used > 0 && used + (cost.slots ?? 1) > of ? [{ rule: "slots_key", key, used, of }] : [];
    });
    return [...closed.filter(({ rule }) => rule === "paused_key"), ...closed.filter(({ rule }) => rule !== "paused_key")];
  }

  /** Pauses a key until a moment, or until it is resumed. A longer pause is not shortened. */
  pause(key: string, until = FOR_EVER): void {
    this.#closedUntil.set(key, Math.max(until, this.#closedUntil.get(key) ?? 0));
  }

  resume(key: string): void {
    this.#closedUntil.delete(key);
  }

  set(key: string, limits: Schemas["KeyLimits"] | undefined): void {
    if (limits === undefined) this.#limits.delete(key);
    else this.#limits.set(key, limits);
  }

  /** A page of keys, by name. */
  list(query: URLSearchParams): { keys: Key[]; next: string | null } {
    const [prefix, queue, after, limit] = [query.get("prefix") ?? "", query.get("queue"), query.get("cursor") ?? "", Number(query.get("limit") ?? 100)];
    const names = new Set([...this.#limits.keys(), ...this.#closedUntil.keys()].filter((key) => this.#limits.has(key) || this.#pause(key) !== null));
    const ofQueue = new Set<string>();
    for (const job of this.#jobs.values()) {
      for (const key of job.limit_keys) {
        if (job.state === "available" || job.state === "running") names.add(key);
        if (job.state === "available" && job.queue === queue) ofQueue.add(key);
      }
    }
    const fits = (key: string) => key.startsWith(prefix) && key > after && (queue === null || ofQueue.has(key));
    const page = [...names].filter(fits).sort((one, other) => (one < other ? -1 : 1)).slice(0, limit);
    return { keys: page.map((key) => this.get(key)), next: page.length === limit ? (page.at(-1) ?? null) : null };
  }

  get(key: string): Key {
    const { slots = null, rate, weight, max_waiting = null, on_full } = this.#limitsOf(key);
    const waiting = [...this.#jobs.values()].filter((job) => job.state === "available" && job.limit_keys.includes(key)).length;
    const [running, closed_until] = [this.#used(key), this.#pause(key)];
    const why = closed_until !== null ? "paused_key" : slots !== null && running >= slots ? "slots_key" : undefined;
    return {
      key,
      waiting: Math.min(waiting, MOST_COUNTED),
      running,
      slots,
      rate: rateOf(rate),
      weight: weight ?? 1,
      max_waiting,
      on_full: on_full ?? "reject",
      own: this.#limits.has(key),
      closed_until,
      rate_free_at: null,
      ...(why && { why }),
    };
  }

  /** The slots that the running jobs of a key take. */
  #used(key: string): number {
    let used = 0;
    for (const { state, limit_keys, cost } of this.#jobs.values()) if (state === "running" && limit_keys.includes(key)) used += cost.slots ?? 1;
    return used;
  }

  /** The end of a key's pause, where it is later than now. */
  #pause(key: string): string | null {
    const until = this.#closedUntil.get(key) ?? 0;
    return until > Date.now() ? new Date(until).toISOString() : null;
  }

  /** A key's own limits, or those of its longest prefix. */
  #limitsOf(key: string): Schemas["KeyLimits"] {
    const own = this.#limits.get(key);
    for (let end = key.length; own === undefined && end >= 0; end--) {
      const limits = this.#limits.get(`${key.slice(0, end)}*`);
      if (limits !== undefined) return limits;
    }
    return own ?? {};
  }
}

/** The rules that the limits of a key break. */
export function limitRules(key: string, limits: Schemas["KeyLimits"]): Broken[] {
  const broken: Broken[] = isName(key) || key === "*" || (key.endsWith("*") && isName(key.slice(0, -1))) ? [] : [{ field: "key", message: NAME_RULE }];
  for (const field of Object.keys(limits)) if (!["slots", "rate", "weight", "max_waiting", "on_full"].includes(field)) broken.push({ field, message: "unknown field" });
  units(broken, "slots", limits.slots, 1, MAX_UNITS);
  units(broken, "weight", limits.weight, 1, 1_000);
  broken.push(...waitingRules(limits));
  return [...broken, ...rateRules(limits.rate)];
}

/** The rules that a pause breaks: it concerns one key, and no prefix. */
export function pauseRules(key: string, seconds: number | null | undefined): Broken[] {
  const broken: Broken[] = isName(key) ? [] : [{ field: "key", message: NAME_RULE }];
  if (seconds != null && !(seconds >= 0 && seconds <= LONGEST)) broken.push({ field: "for", message: `must be from 0 to ${LONGEST} seconds` });
  return broken;
}

/** The rules that the parameters of a list of keys break. */
export function keyListRules(query: URLSearchParams): Broken[] {
  const broken: Broken[] = [];
  for (const name of query.keys()) {
    if (!["prefix", "queue", "limit", "cursor"].includes(name)) broken.push({ field: name, message: "is not a parameter; use prefix, queue, limit, cursor" });
  }
  const limit = query.get("limit") ?? "100";
  if (!/^\d+$/.test(limit) || Number(limit) < 1 || Number(limit) > 1_000) broken.push({ field: "limit", message: "must be a whole number from 1 to 1000" });
  return broken;
}
