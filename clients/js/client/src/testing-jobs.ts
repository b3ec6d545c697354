// The jobs of the server in memory: how they are created, and what moves them from state to state.
import { isFinished, type Job, type State } from "./job.js";
import { unlikeAll } from "./json.js";
import type { Schemas } from "./openapi.js";
import { LimitKeys, type Reason } from "./testing-keys.js";
import { Queues } from "./testing-queues.js";
import { type Body, now, waits } from "./testing-rules.js";
import { keyOf, startOf, UniqueKeys } from "./testing-unique.js";
import { ancestors, Graphs } from "./testing-waits.js";

type CancelReason = Schemas["CancelReason"];
/** The job that stands for one that was asked for, and what became of that; nothing where a bound is full. */
export type Created = { job: Job; status: "created" | "duplicate" | "replaced" | "rejected" } | { job?: never; status: "full"; full: string };
/** Hears of each event of any job, and of its deletion. */
export type Listener = (job: Job, event: string) => void;

/** Jobs with their logs, steps, keys and queues. */
export class Jobs {
  readonly byId = new Map<string, Job>();
  readonly logs = new Map<string, { event: string; data: Record<string, unknown> }[]>();
  /** By job, the steps that are done. */
  readonly steps = new Map<string, Map<string, Schemas["Step"]>>();
  /** By job, what stops the handler that runs it. */
  readonly running = new Map<string, AbortController>();
  readonly listeners = new Set<Listener>();
  readonly gone = new Set<string>();
  readonly queues = new Queues(this.byId);
  readonly keys = new LimitKeys(this.byId);
  readonly graphs = new Graphs(this.byId);
  readonly #unique = new UniqueKeys();

  create(body: Body, traceparent: string | null = null): Created {
    const there = body.id == null ? undefined : this.byId.get(body.id);
    if (there !== undefined) return { job: there, status: "duplicate" };
    const clash = this.#unique.clash(body);
    if (clash?.fate === "join") return { job: clash.holder, status: "duplicate" };
    // An ancestor may wait for its children, so that none waits for it.
    const isBehindAncestor = clash?.fate === "follow" && ancestors(body, this.byId).includes(clash.holder.id);
    if (clash?.fate === "reject" || isBehindAncestor) return { job: clash.holder, status: "rejected" };
    if (clash?.fate === "replace") {
      this.#replace(clash.holder, body, clash.at);
      return { job: clash.holder, status: "replaced" };
    }
    const limitKeys = body.limit_keys ?? (body.key == null ? [] : [body.key]);
    const full = this.#full(body.queue ?? "default", limitKeys);
    const refusing = full.find(({ on_full }) => on_full === "reject");
    if (refusing !== undefined) return { status: "full", full: refusing.name };
    const isDropped = full.some(({ on_full }) => on_full === "drop_newest");
    // The oldest of one bound may be that of another, too.
    if (!isDropped) for (const { waiting, most } of full) if (waiting().length >= most) this.cancel(waiting()[0] as Job, "dropped");
    const rival = isDropped ? undefined : this.#unique.clash(body);
    if (rival?.fate === "supersede") this.cancel(rival.holder, "superseded");
    const behind = rival?.fate === "follow" ? rival.holder : undefined;
    const job = newJob(body, limitKeys, behind);
    if (traceparent !== null) job.traceparent = traceparent;
    if (!isDropped) this.#unique.take(body, job, behind);
    this.byId.set(job.id, job);
    this.queues.see(job.queue);
    this.logs.set(job.id, []);
    this.steps.set(job.id, new Map());
    const fate = this.graphs.begin(job);
    if (isDropped) this.enter(job, "cancelled", null, "dropped");
    else if (fate === "cancelled") this.enter(job, "cancelled", null, "dependency");
    else if (fate === "blocked") this.enter(job, "blocked", null, null, "dependencies");
    else this.enter(job, job.state);
    return { job, status: "created" };
  }

  /** Gives a job that waits the args of a newer one, and its time unless it is blocked. */
  #replace(holder: Job, body: Body, at: number | undefined): void {
    holder.args = body.args ?? null;
    this.steps.get(holder.id)?.clear();
    if (at === undefined) return this.enter(holder, holder.state, null, null, holder.waits_for);
    holder.run_at = new Date(at).toISOString();
    this.enter(holder, at > Date.now() ? "scheduled" : "available");
  }

  /** The bounds that are reached of a queue and of limit keys, with the jobs that wait there, the oldest first. */
  #full(queue: string, keys: string[]): { name: string; most: number; on_full: Schemas["OnFull"]; waiting: () => Job[] }[] {
    const waitingOf = (isThere: (job: Job) => boolean) => () => [...this.byId.values()].filter((job) => waits(job) && isThere(job));
    const bounds = [
      { name: `queue ${queue}`, ...this.queues.config(queue), waiting: waitingOf((job) => job.queue === queue) },
      ...keys.map((key) => ({ name: `limit key ${key}`, ...this.keys.get(key), waiting: waitingOf((job) => job.limit_keys.includes(key)) })),
    ];
    return bounds.flatMap(({ name, max_waiting, on_full, waiting }) => (max_waiting !== null && waiting().length >= max_waiting ? [{ name, most: max_waiting, on_full, waiting }] : []));
  }

  /** A job with what only a look-up of it tells: the holder of its unique key. */
  lookedUp(job: Job): Job {
    return job.unique === null ? job : { ...job, unique: { ...job.unique, ...this.#unique.holder(job) } };
  }

  /** Cancels a job: at once, or by asking the handler that runs it. */
  cancel(job: Job, reason: CancelReason): void {
    const stopping = this.running.get(job.id);
    if (stopping === undefined) return this.enter(job, "cancelled", null, reason);
    if (job.cancel_requested) return;
    const asked = { cancel_requested: true, cancel_reason: reason };
    Object.assign(job, asked);
    this.log(job, "state", { state: job.state, error: null, ...asked });
    stopping.abort(new DOMException("the job was cancelled", "AbortError"));
  }

  /** Does something to a job; false where it does not apply. */
  apply(action: string, job: Job, to: { args?: unknown; priority?: number | null | undefined }): boolean {
    const isDone = isFinished(job.state) || (action === "retry" && job.waits_for === "person");
    if (isDone !== (action === "retry" || action === "delete")) return false;
    if (action === "set_priority") job.priority = to.priority ?? 0;
    else if (action === "delete") {
      this.byId.delete(job.id);
      this.#unique.free(job);
      this.gone.add(job.id);
      this.#tell(job, "deleted");
    } else if (action === "retry") {
      if (!this.#unique.retake(job)) return false;
      if (to.args !== undefined) this.steps.get(job.id)?.clear();
      Object.assign(job, { attempt: 0, output: null, progress: null, expires_at: null, deadline: null, ...(to.args !== undefined && { args: to.args }) });
      this.enter(job, "available");
    } else this.cancel(job, "asked");
    return true;
  }

  /** Gives a job a signal; false where an earlier one of the name stands. */
  signal(job: Job, name: string, output: unknown): boolean {
    const steps = this.steps.get(job.id);
    if (steps === undefined || steps.has(name)) return false;
    steps.set(name, { name, output, attempt: job.attempt, started_at: now(), finished_at: now() });
    if (job.waits_for === name) this.enter(job, "available");
    return true;
  }

  /** Moves a job to a state, and those that wait for its end on. */
  enter(job: Job, state: State, error: Job["errors"][number] | null = null, reason: CancelReason | null = null, waits: Job["waits_for"] = null): void {
    Object.assign(job, { state, cancel_requested: false, cancel_reason: reason, waits_for: waits });
    job.finished_at = isFinished(state) ? now() : null;
    this.log(job, "state", { state, error, ...(reason !== null && { cancel_reason: reason }) });
    if (!isFinished(state)) return;
    this.#unique.ended(job);
    for (const { of, is } of this.graphs.ended(job)) {
      if (is === "cancelled") this.enter(of, "cancelled", null, "dependency");
      else this.enter(of, Date.parse(of.run_at) > Date.now() ? "scheduled" : "available");
    }
  }

  /** Adds an event to the log of a job. */
  log(job: Job, event: string, data: Record<string, unknown>): void {
    this.logs.get(job.id)?.push({ event, data: { attempt: job.attempt, at: now(), ...data } });
    this.#tell(job, event);
  }

  #tell(job: Job, event: string): void {
    for (const listener of [...this.listeners]) listener(job, event);
  }

  /** What keeps a job from being claimed, in the order in which it is looked at: pauses, the queue's slots, the keys'. */
  closed(job: Job): Reason[] {
    const keys = this.keys.closed(job);
    const paused = keys.filter(({ rule }) => rule === "paused_key");
    return [...paused, ...this.queues.closed(job), ...keys.slice(paused.length)];
  }

  /** The reasons why a job does not run. */
  why(job: Job): Reason[] {
    const queue: Reason[] = this.queues.isPaused(job.queue) ? [{ rule: "paused_queue", key: job.queue }] : [];
    const closed = this.closed(job);
    if (job.state === "available") return [...queue, ...closed, { rule: "no_worker", key: job.queue }];
    if (job.state === "blocked") return [this.graphs.why(job)];
    if (job.state !== "scheduled") return [];
    const paused = closed.filter(({ rule }) => rule === "paused_key");
    // A run that came to its limit waits as long as its key is paused.
    const own: Reason[] = paused.some(({ until }) => until === job.run_at) ? [] : [{ rule: "run_at", until: job.run_at }];
    return [...own, ...paused, ...queue];
  }
}

function newJob(body: Body, limitKeys: string[], behind: Job | undefined): Job {
  const startsAt = startOf(body);
  const isLater = startsAt > Date.now();
  const after = (seconds: number) => new Date(Date.now() + 1_000 * seconds).toISOString();
  const { expires_in, deadline } = body;
  const depends_on: Job["depends_on"] = (body.depends_on ?? []).map((on) => (typeof on === "string" ? { id: on, on_failure: "cancel" } : { on_failure: "cancel", ...on }));
  if (behind !== undefined && depends_on.every(({ id }) => id !== behind.id)) depends_on.push({ id: behind.id, on_failure: "run" });
  return {
    id: body.id ?? unlikeAll(),
    kind: body.kind,
    version: 1,
    queue: body.queue ?? "default",
    args: body.args ?? null,
    state: isLater ? "scheduled" : "available",
    progress: null,
    attempt: 0,
    max_attempts: body.max_attempts ?? 3,
    crashes: 0,
    interruptions: 0,
    priority: body.priority ?? 0,
    timeout: body.timeout ?? null,
    position: null,
    eta_seconds: null,
    created_at: now(),
    run_at: isLater ? new Date(startsAt).toISOString() : now(),
    started_at: null,
    finished_at: null,
    output: null,
    errors: [],
    expires_at: expires_in == null ? null : after(expires_in),
    deadline: deadline == null ? null : typeof deadline === "number" ? after(deadline) : new Date(deadline).toISOString(),
    cancel_requested: false,
    cancel_reason: null,
    worker: null,
    parent: body.parent ?? null,
    children: null,
    depends_on,
    waits_for: null,
    wakes_at: null,
    on_exhausted: body.on_exhausted ?? "fail",
    forked_from: null,
    unique: keyOf(body),
    limit_keys: limitKeys,
    key: limitKeys[0] ?? null,
    cost: { slots: body.cost?.slots ?? 1, rate: body.cost?.rate ?? 1 },
    prefer: body.prefer ?? null,
    prefer_hard: body.prefer_hard ?? false,
    labels: body.labels ?? {},
  };
}
