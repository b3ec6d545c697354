import type { Entry, Schemas } from "@longhaul/client";
import { plain } from "@longhaul/client/json";
import { type Reached } from "@longhaul/client/steps";
import { type Child, type Context, Fatal, type Outcome, Waits } from "./context.js";
import type { Run } from "./run.js";

/** Asks the server for something that no entry says. */
export type Ask = <T>(what: string, body: unknown) => Promise<T>;

/** The names of steps that are kept for signals, sleeps and waits begin so. */
const RESERVED = ["signal:", "sleep:", "wait:", "patch:"];

/** Refuses the name of a step that is kept for something else. */
export function checkStep(name: string): void {
  const kept = RESERVED.find((prefix) => name.startsWith(prefix));
  if (kept !== undefined) throw new Fatal(`the name of a step must not begin with '${kept}', and '${name}' does`);
}

/** The waits of a run. Each ends the run where it is not over, and the job runs again once it is. */
export function waitsOf(
  run: Run,
  reached: Reached,
  say: (entry: Entry) => Promise<void>,
  keep: (name: string, output: unknown) => Promise<void>,
  ask: Ask,
): Pick<Context, "sleep" | "waitFor" | "waitToken" | "patched" | "enqueueChildren" | "waitForChildren"> {
  const { claimed } = run;
  const { id } = claimed.lease;

  /** Ends the run. What it says before goes with its end, so that neither is there without the other. */
  const wait = (what: string, outcome: Outcome, step?: { name: string; output: unknown }): never => {
    if (step !== undefined) void say({ step });
    throw new Waits(what, outcome, id);
  };

  /** The seconds that are left of a wait, and the step that keeps its end where it has just begun. */
  const left = (name: string, seconds: number): { seconds: number; step?: { name: string; output: unknown } } => {
    if (!(seconds >= 0 && seconds < Infinity)) throw new TypeError(`a wait has a number of seconds, and not ${seconds}`);
    const kept = claimed.steps[name] as { until: number } | undefined;
    if (kept !== undefined) return { seconds: (kept.until - Date.now()) / 1_000 };
    return { seconds, step: { name, output: { until: Date.now() + Math.round(1_000 * seconds) } } };
  };

  return {
    async sleep(name, time) {
      reached.reach(`sleep:${name}`);
      const { seconds, step } = left(`sleep:${name}`, time);
      if (seconds > 0) wait(`the end of its sleep '${name}'`, { snoozed: { delay: seconds } }, step);
    },

    async waitFor<T>(name: string, { timeout }: { timeout?: number } = {}): Promise<T | undefined> {
      const [signal, what] = [`signal:${name}`, `the signal '${name}'`] as const;
      reached.reach(signal);
      reached.reach(`wait:${name}`);
      const read = (kept: unknown) => {
        const { value, timed_out } = kept as { value?: T; timed_out?: boolean };
        return timed_out ? undefined : value;
      };
      if (Object.hasOwn(claimed.steps, signal)) return read(claimed.steps[signal]);
      if (timeout === undefined) return wait(what, { waits: { on: signal } });
      const { seconds, step } = left(`wait:${name}`, timeout);
      if (seconds > 0) return wait(what, { waits: { on: signal, timeout: seconds } }, step);
      // The first output of a step stays: where the signal came meanwhile, it is the answer.
      await keep(signal, { timed_out: true });
      const { steps } = await ask<{ steps: { name: string; output: unknown }[] | null }>("steps", { id });
      const first = steps?.find((one) => one.name === signal)?.output ?? { timed_out: true };
      claimed.steps[signal] = first;
      return read(first);
    },

    async waitToken(name) {
      const { token } = await ask<{ token: string }>("signal-token", { id, name });
      return token;
    },

    async patched(name) {
      const step = `patch:${name}`;
      reached.reach(step);
      if (Object.hasOwn(claimed.steps, step)) return true;
      if (reached.isReplaying) return false;
      await keep(step, true);
      return true;
    },

    async enqueueChildren(name: string, jobs: Child[]): Promise<string[]> {
      checkStep(name);
      reached.reach(name);
      if (Object.hasOwn(claimed.steps, name)) return claimed.steps[name] as string[];
      const children = jobs.map((job, n) => ({ ...job, id: job.id ?? `${id}.${name}.${n}`, args: plain(job.args ?? null), parent: id }));
      const { enqueued } = await ask<{ enqueued: { status: string }[] }>("enqueue", { jobs: children });
      // Once the step is done, a child that was not created is missing for ever. Those that were are not created again.
      const statuses = new Set(enqueued.map(({ status }) => status));
      if (statuses.has("key_reused")) throw new Fatal("the idempotency key of a child was used for another request");
      if (statuses.has("full")) wait("room for a child, because its queue or one of its limit keys is full", { snoozed: { delay: 1 } });
      const ids = children.map((child) => child.id);
      await keep(name, ids);
      return ids;
    },

    async waitForChildren(): Promise<Schemas["Children"]> {
      const { jobs } = await ask<{ jobs: { found?: { children?: Schemas["Children"] | null } }[] }>("get", { ids: [id] });
      const children = jobs[0]?.found?.children ?? { total: 0, completed: 0, failed: 0, cancelled: 0 };
      const unfinished = children.total - children.completed - children.failed - children.cancelled;
      if (unfinished > 0) wait(`${unfinished} children`, { waits: { on: "children" } });
      return children;
    },
  };
}
