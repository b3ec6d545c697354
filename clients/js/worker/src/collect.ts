import { keyAt } from "@longhaul/client/json";
import type { Context } from "./context.js";
import type { Run } from "./run.js";

/** How jobs of a kind are gathered into calls. */
export interface CollectOptions {
  /** The most jobs of one call, 1 to 1,000; 100 unless given. */
  max?: number;
  /** The longest that the first job of a call waits for others, in seconds, at most an hour; 1 unless given. */
  wait?: number;
  /** A path in the args, as `tenant.id`, whose value the jobs of a call have in common. */
  by?: string;
}

/** One job of a call. It ends by `complete` or `fail`, each at its own time; one that is given no end ends as the call does. */
export interface Collected {
  /** The context of this job: progress, log, steps and so on. */
  readonly cx: Context;
  readonly args: any;
  /** True where the job has ended: by the call, its timeout or deadline, or because its lease is lost. */
  readonly hasEnded: boolean;
  /** Ends this job as completed. Its end is on its way to the server while the call goes on. */
  complete(output?: unknown): void;
  /** Ends this job as if its handler had thrown `error`. */
  fail(error: unknown): void;
}

/** Runs the jobs of a call: what it throws ends those that were given no end. */
export type CollectHandler = (jobs: Collected[]) => unknown;

const [MAX_JOBS, MAX_WAIT] = [1_000, 3_600];
/** A call that waits for a slot does so for as long again as it has waited for jobs, and at least so many milliseconds. */
const LONGEST_WAIT = 20;
/** Where jobs are told apart by a key, so many calls' worth are held for each free slot, so that their calls become large. */
const CALLS_AHEAD = 8;

interface Group {
  queue: string;
  key: string;
  /** Oldest first. */
  jobs: { run: Run; since: number }[];
}

/** Jobs of one kind that wait for others of their queue and key. */
export class Gather {
  readonly max: number;
  readonly #wait: number;
  readonly #path: string[];
  #groups: Group[] = [];

  constructor({ max = 100, wait = 1, by }: CollectOptions) {
    if (!(Number.isInteger(max) && max >= 1 && max <= MAX_JOBS)) throw new RangeError(`max is a whole number from 1 to ${MAX_JOBS}, and not ${max}`);
    if (!(wait >= 0 && wait <= MAX_WAIT)) throw new RangeError(`wait is 0 to ${MAX_WAIT} s, and not ${wait}`);
    this.#path = by?.split(".") ?? [];
    if (this.#path.includes("")) throw new RangeError(`by is a path in the args, as 'tenant.id', and not '${by}'`);
    this.max = max;
    this.#wait = 1_000 * wait;
  }

  /** Takes a job in. */
  add(run: Run, now: number): void {
    const { queue, args } = run.claimed;
    const key = keyAt(args, this.#path);
    let group = this.#groups.find((one) => one.queue === queue && one.key === key);
    if (group === undefined) this.#groups.push((group = { queue, key, jobs: [] }));
    group.jobs.push({ run, since: now });
  }

  /** Takes a job out; false where it is not there. */
  remove(run: Run): boolean {
    return this.#takeOut((one) => one.run === run).length > 0;
  }

  /** How many jobs to claim where so many slots are free. */
  room(free: number): number {
    const calls = this.max * free;
    const most = this.#path.length === 0 ? calls : Math.max(calls, Math.min(CALLS_AHEAD * calls, MAX_JOBS));
    const held = this.#groups.reduce((sum, { jobs }) => sum + jobs.length, 0);
    return Math.min(MAX_JOBS, Math.max(0, most - held));
  }

  /** The group that is full or has waited long enough. Where no more may be claimed the fullest need not wait longer. */
  ready(free: number, now: number): { since: number; group: Group } | undefined {
    const since = (group: Group) => group.jobs[0]?.since ?? now;
    let group = this.#groups.find((one) => one.jobs.length >= this.max || now - since(one) >= this.#wait);
    if (group === undefined && free > 0 && this.room(free) === 0) {
      for (const one of this.#groups) if (group === undefined || one.jobs.length > group.jobs.length) group = one;
    }
    return group && { since: since(group), group };
  }

  /** Takes the jobs of a call out of a group. */
  take(group: Group): Run[] {
    const taken = group.jobs.splice(0, this.max);
    this.#tidy();
    return taken.map(({ run }) => run);
  }

  /** Takes out what has waited for a slot for too long. */
  giveUp(now: number): Run[] {
    return this.#takeOut(({ since }) => now - since >= this.#patience);
  }

  /** Takes all out. */
  giveUpAll(): Run[] {
    return this.#takeOut(() => true);
  }

  /** The milliseconds until a group has waited long enough, or for too long; infinite where there is none. */
  dueIn(now: number): number {
    const due = ({ jobs }: Group) => {
      const age = now - (jobs[0]?.since ?? now);
      return (age < this.#wait ? this.#wait : this.#patience) - age;
    };
    return Math.min(...this.#groups.map(due));
  }

  get #patience(): number {
    return this.#wait + Math.max(this.#wait, LONGEST_WAIT);
  }

  #takeOut(isMeant: (job: { run: Run; since: number }) => boolean): Run[] {
    const taken: Run[] = [];
    for (const group of this.#groups) {
      taken.push(...group.jobs.filter(isMeant).map(({ run }) => run));
      group.jobs = group.jobs.filter((job) => !isMeant(job));
    }
    this.#tidy();
    return taken;
  }

  #tidy(): void {
    this.#groups = this.#groups.filter(({ jobs }) => jobs.length > 0).sort((a, b) => (a.jobs[0]?.since ?? 0) - (b.jobs[0]?.since ?? 0));
  }
}
