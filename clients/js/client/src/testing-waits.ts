// What jobs of the server in memory wait for: each other, signals, children and people.
import { isFinished, type Job } from "./job.js";
import { plain } from "./json.js";
import { type Reached } from "./steps.js";
import type { Schemas } from "./openapi.js";
import type { Reason } from "./testing-keys.js";
import { type Body, type Broken, now } from "./testing-rules.js";

/** A job that is asked for. */
export type Asked = Body;

/** The token of a signal of a job: no id and no name has a `~`. */
export const signalToken = (id: string, name: string): string => `signal~${id}~${name}`;

/** The job and the signal that a token is for. */
export function signalOf(token: string): { id: string; name: string } | undefined {
  const [what, id, name, ...rest] = token.split("~");
  return what === "signal" && id !== undefined && name !== undefined && rest.length === 0 ? { id, name } : undefined;
}

/** Ends the attempt of a handler whose job waits. */
class Waits extends Error {
  override name = "Waits";
  readonly waits: string;

  constructor(waits: string) {
    super(`waits for ${waits}`);
    this.waits = waits;
  }
}

/** The jobs that wait for others. */
export class Graphs {
  readonly #jobs: ReadonlyMap<string, Job>;
  /** By job, those whose end it still waits for. An end counts once, whatever becomes of the job later. */
  readonly #left = new Map<string, Set<string>>();

  constructor(jobs: ReadonlyMap<string, Job>) {
    this.#jobs = jobs;
  }

  /** What becomes of a new job because of those that it depends on. */
  begin({ id, depends_on }: Job): "blocked" | "cancelled" | "ready" {
    const dependencies = depends_on.map((on) => [this.#jobs.get(on.id), on.on_failure] as const);
    if (dependencies.some(([job, on_failure]) => job !== undefined && isFailure(job) && on_failure !== "run")) return "cancelled";
    const left = new Set(dependencies.flatMap(([job]) => (job === undefined || isFinished(job.state) ? [] : [job.id])));
    if (left.size > 0) this.#left.set(id, left);
    return left.size > 0 ? "blocked" : "ready";
  }

  /** Those that go on, or are cancelled, because a job has ended. */
  ended(job: Job): { of: Job; is: "cancelled" | "ready" }[] {
    const parent = this.#jobs.get(job.parent ?? "");
    const isLast = parent?.waits_for === "children" && this.children(parent.id).every(({ state }) => isFinished(state));
    const freed: { of: Job; is: "cancelled" | "ready" }[] = isLast && parent !== undefined ? [{ of: parent, is: "ready" }] : [];
    for (const [id, left] of this.#left) {
      const of = this.#jobs.get(id);
      if (!left.delete(job.id) || of?.waits_for !== "dependencies") continue;
      const on = of.depends_on.find((one) => one.id === job.id);
      if (isFailure(job) && on?.on_failure !== "run") freed.push({ of, is: "cancelled" });
      else if (left.size === 0) freed.push({ of, is: "ready" });
    }
    return freed;
  }

  children(id: string): Job[] {
    return [...this.#jobs.values()].filter(({ parent }) => parent === id);
  }

  why({ id, waits_for, depends_on }: Job): Reason & { waits_for?: string[] } {
    if (waits_for?.startsWith("signal:")) return { rule: "signal", key: waits_for.slice("signal:".length) };
    if (waits_for === "person") return { rule: "exhausted" };
    const [rule, all] = waits_for === "children" ? ["children", this.children(id).map((child) => child.id)] : ["depends_on", depends_on.map((on) => on.id)];
    const left = all.filter((one) => !isFinished(this.#jobs.get(one)?.state ?? "completed"));
    return { rule, used: all.length - left.length, of: all.length, waits_for: left };
  }

  /** The jobs that are connected with one, and what waits for what. */
  around(job: Job): Schemas["Graph"] {
    const edges = [...this.#jobs.values()].flatMap((to) => to.depends_on.map(({ id, on_failure = "cancel" }) => ({ from: id, to: to.id, on_failure })));
    const ids = new Set([job.id]);
    for (let before = 0; before < ids.size; ) {
      before = ids.size;
      for (const { from, to } of edges) if (ids.has(from) || ids.has(to)) ids.add(from).add(to);
    }
    const nodes = [...ids].flatMap((id) => this.#jobs.get(id) ?? []).map(({ id, kind, state }) => ({ id, kind, state }));
    return { nodes, edges: edges.filter(({ from, to }) => ids.has(from) && ids.has(to)), complete: true };
  }
}

/** The waits of an attempt in memory. */
export function waitsOf(job: Job, steps: Map<string, Schemas["Step"]>, reached: Reached, graphs: Graphs, enqueue: (children: Body[]) => void) {
  const keep = (name: string, output: unknown) => {
    const at = now();
    steps.set(name, { name, output: plain(output), attempt: job.attempt, started_at: at, finished_at: at });
  };
  return {
    async sleep(name: string, _seconds: number): Promise<void> {
      reached.reach(`sleep:${name}`);
      if (!steps.has(`sleep:${name}`)) keep(`sleep:${name}`, { until: Date.now() });
    },
    async waitFor<T>(name: string, _options: { timeout?: number } = {}): Promise<T | undefined> {
      reached.reach(`signal:${name}`);
      reached.reach(`wait:${name}`);
      const kept = steps.get(`signal:${name}`)?.output as { value?: T; timed_out?: boolean } | undefined;
      if (kept === undefined) throw new Waits(`signal:${name}`);
      return kept.timed_out ? undefined : kept.value;
    },
    async waitToken(name: string): Promise<string> {
      return signalToken(job.id, name);
    },
    async patched(name: string): Promise<boolean> {
      reached.reach(`patch:${name}`);
      if (steps.has(`patch:${name}`)) return true;
      if (reached.isReplaying) return false;
      keep(`patch:${name}`, true);
      return true;
    },
    async enqueueChildren(name: string, jobs: Body[]): Promise<string[]> {
      reached.reach(name);
      const done = steps.get(name)?.output;
      if (done !== undefined) return done as string[];
      const children = jobs.map((child, n) => ({ ...child, id: child.id ?? `${job.id}.${name}.${n}`, parent: job.id }));
      enqueue(children);
      const ids = children.map(({ id }) => id);
      keep(name, ids);
      return ids;
    },
    async waitForChildren(): Promise<Schemas["Children"]> {
      const children = graphs.children(job.id);
      if (children.some(({ state }) => !isFinished(state))) throw new Waits("children");
      const count = (state: string) => children.filter((child) => child.state === state).length;
      return { total: children.length, completed: count("completed"), failed: count("failed"), cancelled: count("cancelled") };
    },
  };
}

/** The most ancestors of a new job that are looked at. */
const LOOKED_AT = 100;

/** The parent of a new job, the parent of that, and so on, as many as the server looks at. `before` stand before it in its call. */
export function ancestors({ parent }: Body, jobs: ReadonlyMap<string, Job>, before: Body[] = []): string[] {
  const line: string[] = [];
  for (let id = parent; id != null && line.length < LOOKED_AT; ) {
    line.push(id);
    const of = id;
    id = (jobs.get(of) ?? before.find((one) => one.id === of))?.parent;
  }
  return line;
}

/** The dependencies of a job that are not there, and do not stand before it in its call, or the unfinished ancestor among them. */
export function dependencyRules(body: Body, place: string, jobs: ReadonlyMap<string, Job>, before: Body[]): Broken[] {
  const given = (body.depends_on ?? []).map((on) => (typeof on === "string" ? on : on.id));
  const missing = given.flatMap((id, at) => {
    const isThere = jobs.has(id) || before.some((one) => one.id === id);
    return isThere ? [] : [{ field: `${place}depends_on[${at}]`, message: `must be a job that is there or stands before in the call, and '${id}' is neither` }];
  });
  const isUnfinished = (id: string) => !isFinished(jobs.get(id)?.state ?? "available");
  const nearest = ancestors(body, jobs, before).find((id) => given.includes(id) && isUnfinished(id));
  if (missing.length > 0 || nearest === undefined) return missing;
  return [{ field: `${place}depends_on[${given.indexOf(nearest)}]`, message: `must not be an ancestor that has not ended, and '${nearest}' is one` }];
}

function isFailure({ state }: Job): boolean {
  return state === "failed" || state === "cancelled";
}
