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

interface Place {
  /** The number of the event; the next connection goes on after it. */
  id: number;
  attempt: number;
  at: string;
}

/** An event of a job's log, by `type`. */
export type JobEvent =
  | (Place & { type: "state"; state: State; error: AttemptError | null; children?: Schemas["Children"] | null; cancel_requested?: boolean; cancel_reason?: Schemas["CancelReason"] })
  | (Place & { type: "progress" } & Progress)
  | (Place & { type: "log"; level: Schemas["LogLevel"]; message: string })
  | (Place & { type: "chunk"; data: unknown })
  | (Place & { type: "output"; output: unknown })
  /** The attempt failed, or the log begins anew: drop the chunks so far. */
  | (Place & { type: "reset" })
  /** The log is bounded, and events between the last one seen and the next one are gone. */
  | (Place & { type: "gap" });

/** The options of a job: the fields of `POST /api/jobs` by their names there. Durations are in seconds. */
export type JobOptions = Omit<Schemas["NewJob"], "kind" | "args">;
/** Selects jobs; an empty list fits none. */
export type JobFilter = Partial<Schemas["JobFilter"]>;
/** The result of a bulk action. `complete`: every job that fits was looked at. */
export type Acted = Pick<Schemas["ActionResult"], "matched" | "done" | "complete">;
