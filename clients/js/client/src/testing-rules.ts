// The rules that the server in memory keeps, and what fits a filter. They are those of a server, with its words.
import type { Job, JobFilter, JobOptions, State } from "./job.js";
import { stringify } from "./json.js";
import type { Schemas } from "./openapi.js";
import { uniqueRules } from "./testing-unique.js";

/** A job that is asked for. */
export type Body = { kind: string; args?: unknown; from_step?: string | null } & JobOptions;
/** A field that breaks a rule, and the rule. */
export type Broken = { field: string; message: string };

const OPTIONS = ["kind", "args", "queue", "id", "unique", "run_at", "delay", "priority", "max_attempts", "timeout", "expires_in", "deadline", "limit_keys", "key", "cost", "prefer", "prefer_hard", "parent", "depends_on", "on_exhausted", "labels", "cancel_on_disconnect", "webhook"];
const FILTERS = ["ids", "state", "kind", "queue", "parent", "labels", "q"];
export const STATES: State[] = ["blocked", "scheduled", "available", "running", "completed", "failed", "cancelled"];
/** The largest bound on waiting jobs. */
const MAX_WAITING = 1_000_000_000;
/** The most units of a limit, and of a cost. */
export const MAX_UNITS = 1_000_000;
export const NAME_RULE = "must be 1 to 128 characters of A-Z a-z 0-9 . _ : -, and not . or ..";
const MAX_ARGS_BYTES = 262_144;
/** Args and outputs of more bytes are left out of lists. */
const SHORT_BYTES = 1_024;

/** The rules that a job breaks. The server knows more of them. */
export function jobRules(body: Body, place = ""): Broken[] {
  const broken: Broken[] = Object.keys(body).flatMap((field) => (OPTIONS.includes(field) ? [] : [{ field, message: "unknown field" }]));
  const check = (field: string, isWell: boolean, message: string) => isWell || broken.push({ field, message });
  for (const field of ["kind", "queue", "id", "key", "parent"] as const) {
    const name = body[field];
    check(field, (name == null && field !== "kind") || isName(name), NAME_RULE);
  }
  const between = (field: "priority" | "max_attempts", least: number, most: number) =>
    check(field, body[field] == null || (body[field] >= least && body[field] <= most), `must be from ${least} to ${most}`);
  between("priority", -100, 100);
  between("max_attempts", 1, 1_000);
  check("timeout", body.timeout == null || body.timeout > 0, "must be more than zero");
  check("expires_in", body.expires_in == null || body.expires_in > 0, "must be more than zero");
  const { deadline } = body;
  if (typeof deadline === "number") check("deadline", deadline > 0, "must be more than zero");
  else check("deadline", deadline == null || !Number.isNaN(Date.parse(deadline)), "must be a time in RFC 3339: 2026-01-01T00:00:00Z");
  check("delay", body.delay == null || body.run_at == null, "must not be given together with run_at");
  broken.push(...limitRules(body), ...preferRules(body), ...uniqueRules(body), ...webhookRules(body));
  const bytes = bytesOf(body.args ?? null);
  check("args", bytes <= MAX_ARGS_BYTES, `must be at most ${MAX_ARGS_BYTES} bytes of JSON, and has ${bytes}`);
  for (const [label, value] of Object.entries(body.labels ?? {})) check(`labels.${label}`, typeof value === "string", "expected a string");
  return broken.map(({ field, message }) => ({ field: place + field, message }));
}

/** The rules that a webhook breaks. */
function webhookRules({ webhook }: Body): Broken[] {
  if (webhook == null) return [];
  const { url, events } = typeof webhook === "string" ? { url: webhook, events: null } : webhook;
  const broken: Broken[] = [];
  if (!/^https?:\/\//.test(url)) broken.push({ field: "webhook.url", message: "must begin with https:// or http://" });
  if (events?.length === 0) broken.push({ field: "webhook.events", message: "must hold completed, failed or cancelled" });
  return broken;
}

/** The rules that the limit keys and the cost of a job break. */
function limitRules({ limit_keys, key, cost }: Body): Broken[] {
  const broken: Broken[] = [];
  if (limit_keys != null && key != null) broken.push({ field: "key", message: "must not be given together with limit_keys" });
  const keys = limit_keys ?? [];
  const twice = keys.find((one, at) => keys.indexOf(one) < at);
  const unfit = keys.findIndex((one) => !isName(one));
  if (keys.length > 4) broken.push({ field: "limit_keys", message: `must be at most 4, and are ${keys.length}` });
  else if (unfit >= 0) broken.push({ field: `limit_keys[${unfit}]`, message: NAME_RULE });
  else if (twice !== undefined) broken.push({ field: "limit_keys", message: `must not name ${twice} twice` });
  for (const field of Object.keys(cost ?? {})) if (field !== "slots" && field !== "rate") broken.push({ field: `cost.${field}`, message: "unknown field" });
  units(broken, "cost.slots", cost?.slots, 1, MAX_UNITS);
  units(broken, "cost.rate", cost?.rate, 0, MAX_UNITS);
  return broken;
}

/** The rules that the workers break that a job prefers. */
function preferRules({ prefer, prefer_hard }: Body): Broken[] {
  const message = "must go with prefer, the labels of the workers that may run it";
  if (prefer == null) return prefer_hard === true ? [{ field: "prefer_hard", message }] : [];
  const pairs = Object.entries(prefer);
  if (pairs.length < 1 || pairs.length > 4) return [{ field: "prefer", message: `must have 1 to 4 labels, and has ${pairs.length}` }];
  const unfit = pairs.find(([label, value]) => !isName(label) || !isName(value));
  return unfit === undefined ? [] : [{ field: isName(unfit[0]) ? `prefer.${unfit[0]}` : "prefer", message: NAME_RULE }];
}

/** The rules that a change of a queue breaks. */
export function queueRules(patch: Schemas["QueuePatch"]): Broken[] {
  const broken = [...waitingRules(patch), ...rateRules(patch.rate)];
  units(broken, "slots", patch.slots, 1, MAX_UNITS);
  return broken;
}

/** The rules that a rate breaks. */
export function rateRules(rate: Schemas["RateLimit"] | null | undefined): Broken[] {
  const broken: Broken[] = [];
  if (rate == null) return broken;
  const { n, per, burst } = rate;
  units(broken, "rate.n", n ?? Number.NaN, 1, MAX_UNITS);
  units(broken, "rate.burst", burst, 1, MAX_UNITS);
  if (!(per >= 0.001 && per <= 31 * 86_400)) broken.push({ field: "rate.per", message: "must be from 0.001 seconds to 31 days" });
  return broken;
}

/** A rate as the API has it. */
export function rateOf(rate: Schemas["RateLimit"] | null | undefined): Schemas["Rate"] | null {
  return rate == null ? null : { n: rate.n, per: rate.per, burst: rate.burst ?? Math.ceil(rate.n / 10) };
}

/** The rules that a bound on waiting jobs breaks. */
export function waitingRules({ max_waiting, on_full }: Schemas["QueuePatch"] | Schemas["KeyLimits"]): Broken[] {
  const broken: Broken[] = [];
  units(broken, "max_waiting", max_waiting, 1, MAX_WAITING);
  if (on_full != null && !["reject", "drop_oldest", "drop_newest"].includes(on_full)) broken.push({ field: "on_full", message: `unknown variant \`${on_full}\`` });
  return broken;
}

/** Notes a number of units that is outside of its bounds. */
export function units(broken: Broken[], field: string, given: number | null | undefined, least: number, most: number): void {
  const isWell = given == null || (Number.isInteger(given) && given >= least && given <= most);
  if (!isWell) broken.push({ field, message: `must be from ${least} to ${most}` });
}

/** True for what may be the name of a kind, a queue, a key or a job. */
export function isName(name: unknown): boolean {
  return typeof name === "string" && /^[\w.:-]{1,128}$/.test(name) && name !== "." && name !== "..";
}

/** The rule that a filter breaks. */
export function brokenRule(filter: JobFilter, place = ""): Broken | undefined {
  for (const name of Object.keys(filter)) if (!FILTERS.includes(name)) return { field: place + name, message: "unknown field" };
  const unknown = [filter.state ?? []].flat().find((state) => !STATES.includes(state));
  return unknown && { field: `${place}state`, message: `no state is called '${unknown}': use ${STATES.join(", ")}` };
}

/** The rules that a page of a list breaks. */
export function pageRules(query: URLSearchParams): Broken | undefined {
  const [limit, cursor] = [query.get("limit") ?? "50", query.get("cursor") ?? "0"];
  if (!/^\d+$/.test(limit) || Number(limit) < 1 || Number(limit) > 100) return { field: "limit", message: "must be a whole number from 1 to 100" };
  return /^\d+$/.test(cursor) ? undefined : { field: "cursor", message: "must be the `next` of an earlier page" };
}

/** A job as a list shows it: what is large is left out. */
export function shown(job: Job): Job {
  const cut: Record<string, unknown> = {};
  for (const field of ["args", "output"] as const) {
    const bytes = bytesOf(job[field]);
    if (bytes > SHORT_BYTES) Object.assign(cut, { [field]: null, [`${field}_cut`]: true, [`${field}_bytes`]: bytes });
  }
  return { ...job, ...cut };
}

function bytesOf(value: unknown): number {
  return new TextEncoder().encode(stringify(value)).length;
}

/** True for a job that no worker has. */
export function waits(job: Job): boolean {
  return job.state === "available" || job.state === "scheduled";
}

/** True where a job fits a filter. */
export function fits(job: Job, { labels = {}, q, ids, ...rest }: JobFilter): boolean {
  const wanted: [string, string | string[] | undefined][] = [["id", ids], ...Object.entries(rest)];
  const isAny = ([name, value]: (typeof wanted)[number]) =>
    value === undefined || [value].flat().includes(String(job[name as keyof Job]));
  const words = [...(q ?? "").matchAll(/(-?)([\w.]+:)?(?:"([^"]*)"|(\S+))/g)];
  const hasWord = ([, not, name, quoted, bare]: RegExpMatchArray) => (not === "-") !== says(job, name?.slice(0, -1), quoted ?? bare ?? "");
  const hasLabels = Object.entries(labels).every(([label, value]) => job.labels[label] === value);
  return wanted.every(isAny) && hasLabels && words.every(hasWord);
}

/** True where a job fits one word of a search. */
function says(job: Job, name: string | undefined, value: string): boolean {
  const has = (of: unknown) => (stringify(of) ?? "").toLowerCase().includes(value.toLowerCase());
  if (name === undefined) return has([job.id, job.kind, job.args, job.errors.at(-1)]);
  if (name === "error") return has(job.errors.at(-1));
  if (name === "key") return job.limit_keys.includes(value);
  if (name === "id" && value.endsWith("*")) return job.id.startsWith(value.slice(0, -1));
  if (name.startsWith("label.")) return job.labels[name.slice(6)] === value;
  if (name.startsWith("args.")) return String(name.split(".").slice(1).reduce((of: any, part) => of?.[part], job.args)) === value;
  return String(job[name as keyof Job]) === value;
}
