// The unique keys of the server in memory: who holds one, and what becomes of a second job.
import { isFinished, type Job, type JobOptions, type State } from "./job.js";
import { stringify } from "./json.js";
import { type Body, type Broken, STATES } from "./testing-rules.js";

type Unique = NonNullable<JobOptions["unique"]>;
/** A key in a job's hands. */
interface Hold {
  job: Job;
  /** Milliseconds after its completion. */
  period: number | undefined;
  /** The ends that keep the key. */
  ends: State[];
  /** It is held until then, whatever becomes of the job. */
  until: number | undefined;
  /** The hold of the job that this one follows, and was given the key by. */
  behind: Hold | undefined;
}
/** What becomes of a second job: it takes the key, its args replace those of the holder, or nothing of it is created. */
export type Clash = { fate: "join" | "reject" | "take" | "supersede" | "follow"; holder: Job } | { fate: "replace"; holder: Job; at: number | undefined };

const MODES = ["join", "refresh", "reject", "replace", "debounce", "throttle", "supersede", "follow"];

/** The holders of unique keys. */
export class UniqueKeys {
  readonly #holds = new Map<string, Hold>();
  /** By job, the key that it was created with. */
  readonly #keys = new Map<string, { name: string; hold: Hold }>();

  /** What becomes of a job; nothing where it has no key, or a free one. */
  clash(body: Body): Clash | undefined {
    const { unique } = body;
    const hold = unique == null ? undefined : this.#holds.get(nameOf(body, unique));
    if (unique == null || hold === undefined || !isHeld(hold)) return undefined;
    const { job: holder, until } = hold;
    const states = unique.states ?? STATES.filter((state) => state !== "failed" && state !== "cancelled");
    if (until === undefined && !states.includes(holder.state)) return { fate: "take", holder };
    const quiet = Math.min(Date.now() + 1_000 * (unique.delay ?? 0), Date.parse(holder.created_at) + 1_000 * (unique.max_delay ?? Infinity));
    const waits = holder.state === "scheduled" || holder.state === "available";
    const isBlocked = holder.state === "blocked";
    switch (unique.on_clash ?? "join") {
      case "reject":
        return { fate: "reject", holder };
      case "refresh":
        return { fate: isFinished(holder.state) ? "take" : "join", holder };
      case "supersede":
        return { fate: isFinished(holder.state) ? "take" : "supersede", holder };
      case "follow":
        if (isFinished(holder.state)) return { fate: "take", holder };
        if (holder.state === "running" || (isBlocked && holder.started_at !== null)) return { fate: "follow", holder };
      // One that has not begun takes on the newer one's args.
      case "replace":
        return waits || isBlocked ? { fate: "replace", holder, at: isBlocked ? undefined : startOf(body) } : { fate: "join", holder };
      case "debounce":
        if (unique.edge === "leading") {
          hold.until = until === undefined ? undefined : Math.max(until, quiet);
          return { fate: "join", holder };
        }
        // One that is due begins no succession anew.
        return holder.state === "scheduled" && holder.attempt === 0 && Date.parse(holder.run_at) > Date.now() ? { fate: "replace", holder, at: quiet } : { fate: "take", holder };
      default:
        return { fate: "join", holder };
    }
  }

  /** Gives a new job its key, which it may follow another one by. */
  take(body: Body, job: Job, behind: Job | undefined): void {
    const { unique } = body;
    if (unique == null) return;
    const { on_clash, edge, period, delay, states } = unique;
    const time = on_clash === "throttle" ? period : on_clash === "debounce" && edge === "leading" ? delay : undefined;
    const hold: Hold = {
      job,
      period: period == null || time != null ? undefined : 1_000 * period,
      ends: time == null ? (states ?? []).filter(isFinished) : [],
      until: time == null ? undefined : Date.now() + 1_000 * time,
      behind: behind && this.#keys.get(behind.id)?.hold,
    };
    const name = nameOf(body, unique);
    this.#holds.set(name, hold);
    this.#keys.set(job.id, { name, hold });
  }

  /** Gives the key of a job that has ended back to the unfinished job that it follows. */
  ended({ id }: Job): void {
    const own = this.#keys.get(id);
    const followed = own?.hold.behind;
    if (own === undefined || followed === undefined || this.#holds.get(own.name) !== own.hold) return;
    if (!isFinished(followed.job.state)) this.#holds.set(own.name, followed);
  }

  /** The job that holds the key of a job, as the API tells it; nothing where the key is free. */
  holder({ id }: Job): { holder?: string } {
    const own = this.#keys.get(id);
    const hold = own && this.#holds.get(own.name);
    return hold !== undefined && isHeld(hold) ? { holder: hold.job.id } : {};
  }

  /** Gives a job that is to run again its key; false where another one holds it. */
  retake({ id }: Job): boolean {
    const own = this.#keys.get(id);
    if (own === undefined) return true;
    const holder = this.#holds.get(own.name);
    if (holder !== undefined && holder.job.id !== id && isHeld(holder)) return false;
    this.#holds.set(own.name, own.hold);
    return true;
  }

  /** Frees the key of a job that is removed. */
  free({ id }: Job): void {
    const own = this.#keys.get(id);
    if (own !== undefined && this.#holds.get(own.name)?.job.id === id) this.#holds.delete(own.name);
    this.#keys.delete(id);
  }
}

/** The key of a new job, as the API tells it: behind its kind, and where it is made of args as they are. */
export function keyOf(body: Body): Job["unique"] {
  const { kind, unique } = body;
  return unique == null ? null : { key: `${kind}:${unique.key ?? nameOf(body, unique)}` };
}

/** When a new job may first run. */
export function startOf({ run_at, delay, unique }: Body): number {
  if (unique?.on_clash === "debounce" && unique.edge !== "leading") return Date.now() + 1_000 * (unique.delay ?? 0);
  return run_at == null ? Date.now() + 1_000 * (delay ?? 0) : Date.parse(run_at);
}

/** The rules that a unique key breaks. */
export function uniqueRules({ args, unique, delay, run_at }: Body): Broken[] {
  if (unique == null) return [];
  const broken: Broken[] = [];
  const check = (field: string, isWell: boolean, message: string) => isWell || broken.push({ field: `unique.${field}`, message });
  for (const field of Object.keys(unique)) check(field, ["key", "on", "fields", "period", "states", "on_clash", "delay", "max_delay", "edge"].includes(field), "unknown field");
  const { on_clash = "join", period, states, delay: quiet, max_delay, edge } = unique;
  check("on_clash", MODES.includes(on_clash), `unknown variant \`${on_clash}\`, expected one of ${MODES.map((mode) => `\`${mode}\``).join(", ")}`);
  check("states", states?.length !== 0, "must name a state, or be left out for all unfinished ones");
  (states ?? []).forEach((state, at) => check(`states[${at}]`, STATES.includes(state), `unknown variant \`${state}\``));
  check("period", on_clash !== "throttle" || Number(period ?? 0) > 0, "must be more than zero for a throttle: one job is created in each period");
  if (on_clash === "debounce") {
    check("delay", quiet != null, "must be given for on_clash 'debounce'");
    check("delay", quiet == null || quiet > 0, "must be more than zero for a debounce");
    check("max_delay", max_delay == null || max_delay >= Number(quiet), "must not be less than the delay");
    check("on_clash", edge === "leading" || (delay == null && run_at == null), "must not be debounce where the job has a start of its own: its delay is one");
  } else {
    for (const [field, given] of Object.entries({ delay: quiet, max_delay, edge })) check(field, given == null, "is for on_clash 'debounce' alone");
  }
  const [field, paths] = unique.on == null ? ["fields", unique.fields] : ["on", unique.on];
  check(field, paths == null || unique.key == null, "must not be given together with unique.key");
  check(field, paths?.length !== 0, "must name at least one path; leave it out where all of the args count");
  for (const path of paths ?? []) check(field, at(args, path) !== undefined, `names '${path}', which args do not have`);
  return broken;
}

/** True while a job keeps its key from others. */
function isHeld({ job, period, ends, until }: Hold): boolean {
  if (until !== undefined) return until > Date.now();
  if (!isFinished(job.state)) return true;
  const isNamed = ends.includes(job.state);
  if (period === undefined) return isNamed;
  return (isNamed || job.state === "completed") && Date.parse(job.finished_at ?? "") + period > Date.now();
}

/** A key is its kind's own. Without a key and paths, jobs with the same args have the same one. */
function nameOf({ kind, args }: Body, { key, on, fields }: Unique): string {
  const paths = on ?? fields;
  const of = key ?? (paths == null ? sorted(args ?? null) : [...new Set(paths)].sort().map((path) => [path, sorted(at(args, path))]));
  return stringify([kind, key == null, of]) ?? "";
}

/** The value at a path, with dots between members. */
function at(value: any, path: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  if (Object.hasOwn(value, path)) return value[path];
  const dots = [...path.matchAll(/\./g)].map(({ index }) => index);
  return dots.map((dot) => at(value[path.slice(0, dot)], path.slice(dot + 1))).find((found) => found !== undefined);
}

/** The value, with the members of its objects by name: their order does not count. */
function sorted(value: any): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}
