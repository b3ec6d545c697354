import type { Schemas } from "./openapi.js";

/** The states of a job. The last three are ends. */
export type State = Schemas["State"];
/** The progress of a job, `percent` from 0 to 100. */
export type Progress = Schemas["Progress"];
/** A failed attempt. */
export type AttemptError = Schemas["AttemptError"];
/** Something that a running job says, as workers send it. */
export type Entry = Schemas["Entry"];

/** A job as it stood when the server answered. Times are RFC 3339, durations seconds. */
export type Job<Output = unknown, Args = unknown> = Omit<Schemas["Job"], "args" | "output"> & { args: Args; output: Output | null };

/** True once the job has completed, failed or been cancelled. */
export function isFinished(state: State): boolean {
  return state === "completed" || state === "failed" || state === "cancelled";
}

/** A message of a job's log as it is told on: its name as `type`, beside its data. */
type Told<Message> = Message extends { id: number; event: infer Type; data: infer Data } ? { id: number; type: Type } & Data : never;

/**
 * An event of a job's log, by `type`. `id` is its number: the next connection goes on after it. After `reset` drop the chunks so far: the
 * attempt failed, or the log begins anew. `gap` is told where events between the last one seen and the next one are gone, because the log
 * is bounded.
 */
export type JobEvent = Told<Schemas["EventMessage"]>;

/** The options of a job: the fields of `POST /api/jobs` by their names there. Durations are in seconds. */
export type JobOptions = Omit<Schemas["NewJob"], "kind" | "args">;
/** Selects jobs; an empty list fits none. */
export type JobFilter = Partial<Schemas["JobFilter"]>;
/** The result of a bulk action. `complete`: every job that fits was looked at. */
export type Acted = Pick<Schemas["ActionResult"], "matched" | "done" | "complete">;
