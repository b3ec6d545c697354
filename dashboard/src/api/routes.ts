import { api, base, call } from "./call";
import type { Acted, Acting, AuditPage, Delivery, ErrorGroup, Graph, Job, JobPage, KeyLimits, KeyList, Kind, LimitKey, Me, NewToken, OnFull, Queue, Retention, Schedule, Stats, Step, Token, Why, Worker } from "./model";

const segment = encodeURIComponent;
type Signal = AbortSignal | undefined;

/** The parameters that have a value. */
function query(parameters: Record<string, string | number | undefined>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "");
  return given.length === 0 ? "" : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()}`;
}

export const whoAmI = () => call<Me>("me");
export const signIn = (token: string) => call<Me>(new URL(`${base}login`, location.href), { method: "POST", body: { token } });
export const signOut = () => call<unknown>(new URL(`${base}logout`, location.href), { method: "POST" });

export interface Listing {
  q?: string;
  cursor?: string | undefined;
  limit?: number;
}
export const listJobs = (listing: Listing, signal?: Signal) => call<JobPage>(`jobs${query({ ...listing })}`, { signal });
export const getJob = (id: string, signal?: Signal) => call<Job>(`jobs/${segment(id)}`, { signal });
export const stepsOf = (id: string, signal?: Signal) => call<Step[]>(`jobs/${segment(id)}/steps`, { signal });
export const deliveriesOf = (id: string, signal?: Signal) => call<Delivery[]>(`jobs/${segment(id)}/deliveries`, { signal });
export const redeliverPath = (id: string) => `deliveries/${segment(id)}/redeliver`;
export const redeliver = (id: string) => call<Delivery>(redeliverPath(id), { method: "POST" });
export const whyOf = (id: string, signal?: Signal) => call<Why>(`jobs/${segment(id)}/why`, { signal });
export const eventsOf = (id: string) => new URL(`jobs/${segment(id)}/events`, api);

/** An empty `q` fits every job; `ids` are jobs that were picked. */
export type Filter = { q?: string; ids?: string[] };
export const actOnJobs = (acting: Acting, signal?: Signal) => call<Acted>("jobs/actions", { method: "POST", body: acting, signal });
export const cancelJob = (id: string) => call<Job>(`jobs/${segment(id)}/cancel`, { method: "POST" });
export const graphOf = (id: string, signal?: Signal) => call<Graph>(`jobs/${segment(id)}/graph`, { signal });
/** In place, or as a new job. */
export type Way = "retry" | "fork";
/** `text` is the JSON of the request, so that args that were not edited stay as they were written. */
export const runAgain = (id: string, way: Way, text?: string) => call<Job>(`jobs/${segment(id)}/${way}`, { method: "POST", ...(text !== undefined && { text }) });
export const signalPath = (id: string, name: string) => `jobs/${segment(id)}/signals/${segment(name)}`;
/** `value` is JSON text. */
export const sendSignal = (id: string, name: string, value: string) => call<{ accepted: boolean }>(signalPath(id, name), { method: "POST", text: value });
export const deleteJob = (id: string) => call<unknown>(`jobs/${segment(id)}`, { method: "DELETE" });

export const listQueues = (signal?: Signal) => call<{ queues: Queue[] }>("queues", { signal });
export const pauseQueue = (queue: string) => call<Queue>(`queues/${segment(queue)}/pause`, { method: "POST" });
export const resumeQueue = (queue: string) => call<Queue>(`queues/${segment(queue)}/resume`, { method: "POST" });
export const setRetention = (queue: string, retention: Retention) =>
  call<Queue>(`queues/${segment(queue)}`, { method: "PATCH", body: { retention } });
export const setBound = (queue: string, bound: { max_waiting: number | null; on_full: OnFull }) =>
  call<Queue>(`queues/${segment(queue)}`, { method: "PATCH", body: bound });
export const setLimits = (queue: string, limits: Pick<KeyLimits, "slots" | "rate">) => call<Queue>(`queues/${segment(queue)}`, { method: "PATCH", body: limits });
export const setFair = (queue: string, fair: boolean) => call<Queue>(`queues/${segment(queue)}`, { method: "PATCH", body: { fair } });

export const listKeys = (parameters: { prefix?: string; queue?: string; cursor?: string | undefined }, signal?: Signal) =>
  call<KeyList>(`keys${query(parameters)}`, { signal });
export const keyPath = (key: string) => `keys/${segment(key)}`;
export const setKey = (key: string, limits: KeyLimits) => call<LimitKey>(keyPath(key), { method: "PUT", body: limits });
export const removeKey = (key: string) => call<unknown>(keyPath(key), { method: "DELETE" });
export const pauseKey = (key: string, pause: { for?: number }) => call<LimitKey>(`${keyPath(key)}/pause`, { method: "POST", body: pause });
export const resumeKey = (key: string) => call<LimitKey>(`${keyPath(key)}/resume`, { method: "POST" });

export const listSchedules = (signal?: Signal) => call<{ schedules: Schedule[] }>("schedules", { signal });
const steer = (what: string) => (name: string) => call<Schedule>(`schedules/${segment(name)}/${what}`, { method: "POST" });
export const pauseSchedule = steer("pause");
export const resumeSchedule = steer("resume");
export const runSchedule = (name: string) => call<Job>(`schedules/${segment(name)}/run`, { method: "POST" });
export const deleteSchedule = (name: string) => call<unknown>(`schedules/${segment(name)}`, { method: "DELETE" });

export const listTokens = (signal?: Signal) => call<{ tokens: Token[] }>("tokens", { signal });
export const createToken = (token: NewToken) => call<Token>("tokens", { method: "POST", body: token });
export const tokenPath = (id: string) => `tokens/${segment(id)}`;
export const revokeToken = (id: string) => call<unknown>(tokenPath(id), { method: "DELETE" });
export const readAudit = (page: { cursor?: string; limit?: number }, signal?: Signal) => call<AuditPage>(`audit${query({ ...page })}`, { signal });

export const listWorkers = (signal?: Signal) => call<{ workers: Worker[] }>("workers", { signal });
export const listKinds = (signal?: Signal) => call<{ kinds: Kind[] }>("kinds", { signal });

export interface Window {
  window: number;
  step?: number;
  queue?: string;
  kind?: string;
}
export const getStats = (window: Window, signal?: Signal) => call<Stats>(`stats${query({ ...window })}`, { signal });
export const listErrors = (window: Window, signal?: Signal) => call<{ groups: ErrorGroup[] }>(`errors${query({ ...window })}`, { signal });
export const feedUrl = new URL("events", api);
