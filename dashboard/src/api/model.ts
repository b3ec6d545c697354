import type { components } from "./openapi";

type Schemas = components["schemas"];

export type Job = Schemas["Job"];
export type JobPage = Schemas["JobPage"];
export type State = Schemas["State"];
export type Step = Schemas["Step"];
export type Delivery = Schemas["Delivery"];
export type Why = Schemas["Why"];
export type Graph = Schemas["Graph"];
export type GraphNode = Schemas["GraphNode"];
export type Reason = Schemas["Reason"];
export type Queue = Schemas["Queue"];
export type Retention = Schemas["Retention"];
export type Schedule = Schemas["Schedule"];
export type Worker = Schemas["Worker"];
export type Kind = Schemas["Kind"];
export type Stats = Schemas["Stats"];
export type Counted = Schemas["StatsTotals"];
export type Times = Schemas["Times"];
export type ErrorGroup = Schemas["ErrorGroup"];
/** A change of a job's state, as the live feed tells it. */
export type Change = Schemas["FeedItem"];
export type Me = Schemas["Me"];
export type Role = Schemas["Role"];
export type Token = Schemas["Token"];
export type NewToken = Schemas["NewToken"];
export type AuditEntry = Schemas["AuditEntry"];
export type AuditPage = Schemas["AuditPage"];
export type Action = Schemas["Action"];
export type Acting = Schemas["BulkAction"];
export type Acted = Schemas["ActionResult"];

export type LimitKey = Schemas["Key"];
export type KeyList = Schemas["KeyList"];
export type KeyLimits = Schemas["KeyLimits"];
export type OnFull = Schemas["OnFull"];
export type OnClash = Schemas["OnClash"];
export type Edge = Schemas["Edge"];
export type CancelReason = Schemas["CancelReason"];

/** In the order in which pages show them: what waits, what runs, what has ended. */
export const STATES = ["available", "running", "scheduled", "blocked", "completed", "failed", "cancelled"] as const satisfies readonly State[];

const ENDS: ReadonlySet<State> = new Set<State>(["completed", "failed", "cancelled"]);
/** True while somebody is to retry or cancel it, because its attempts are used up. */
export const waitsForPerson = ({ waits_for }: { waits_for: string | null }): boolean => waits_for === "person";
/** The name of the signal that a job waits for. */
export const signalOf = ({ waits_for }: { waits_for: string | null }): string | undefined => (waits_for?.startsWith("signal:") === true ? waits_for.slice(7) : undefined);
export const hasEnded = (state: State): boolean => ENDS.has(state);
