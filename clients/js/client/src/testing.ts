// A server in memory, for the tests of an application: the same calls, no process and no port.
import type { Job, JobFilter, State } from "./job.js";
import { isFinished } from "./job.js";
import { Longhaul, type LonghaulOptions } from "./longhaul.js";

interface Kept extends Job {
  unique: unknown;
}
type Body = { kind: string; args?: unknown; unique?: unknown } & Partial<Job>;

/** Jobs in memory. They stand still until `run`, `complete`, `fail` or a call moves them. */
export class MemoryServer {
  readonly jobs = new Map<string, Kept>();
  readonly #logs = new Map<string, { event: string; data: Record<string, unknown> }[]>();
  readonly #replays = new Map<string, { status: number; body: string }>();

  /** A client of this server. */
  client(options: Omit<LonghaulOptions, "url" | "fetch"> = {}): Longhaul {
    return new Longhaul({ ...options, url: "http://memory", fetch: this.fetch });
  }

  /** The server as a `fetch`. */
  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    const request = new Request(input, init);
    const key = request.headers.get("idempotency-key");
    const kept = key === null ? undefined : this.#replays.get(key);
    if (kept !== undefined) return new Response(kept.body, { status: kept.status, headers: { "idempotency-replayed": "true" } });
    const response = this.#route(request, await request.text());
    if (key !== null) this.#replays.set(key, { status: response.status, body: await response.clone().text() });
    return response;
  };

  /** Runs all jobs of a kind that wait, oldest first; an error fails the job. Resolves to how many. */
  async run(kind: string, work: (args: any) => unknown): Promise<number> {
    const waiting = [...this.jobs.values()].filter((job) => job.kind === kind && waits(job));
    for (const job of waiting) {
      this.#begin(job);
      try {
        this.complete(job.id, await work(job.args));
      } catch (error) {
        this.fail(job.id, error instanceof Error ? error.message : String(error));
      }
    }
    return waiting.length;
  }

  /** Ends a job as completed. */
  complete(id: string, output: unknown = null): void {
    const job = this.#job(id);
    if (waits(job)) this.#begin(job);
    job.output = JSON.parse(JSON.stringify(output)) as unknown;
    this.#log(job, "output", { output: job.output });
    this.#enter(job, "completed");
  }

  /** Ends a job as failed. */
  fail(id: string, message: string): void {
    const job = this.#job(id);
    if (waits(job)) this.#begin(job);
    job.errors.push({ attempt: job.attempt, at: now(), message, kind: "error" });
    this.#enter(job, "failed");
  }

  /** Adds a chunk to a job's events. */
  emit(id: string, data: unknown): void {
    this.#log(this.#job(id), "chunk", { data });
  }

  /** Sets a job's progress. */
  progress(id: string, percent: number, message = "", data: unknown = null): void {
    const job = this.#job(id);
    job.progress = { percent, message, data };
    this.#log(job, "progress", { ...job.progress });
  }

  #job(id: string): Kept {
    const job = this.jobs.get(id);
    if (job === undefined) throw new Error(`no job '${id}' is known`);
    return job;
  }

  #begin(job: Kept): void {
    job.attempt += 1;
    job.started_at = now();
    this.#enter(job, "running");
  }

  #enter(job: Kept, state: State): void {
    job.state = state;
    job.finished_at = isFinished(state) ? now() : null;
    this.#log(job, "state", { state, error: state === "failed" ? job.errors.at(-1) : null });
  }

  #log(job: Kept, event: string, data: Record<string, unknown>): void {
    this.#logs.get(job.id)?.push({ event, data: { attempt: job.attempt, at: now(), ...data } });
  }

  #route(request: Request, text: string): Response {
    const url = new URL(request.url);
    const [, ...parts] = url.pathname.slice(1).split("/").map(decodeURIComponent);
    const body = (text === "" ? {} : JSON.parse(text)) as Body & Body[];
    const route = `${request.method} ${parts.length > 1 ? `${parts[0]}/*` : (parts[0] ?? "")}`;
    if (route === "POST jobs") {
      const [job, isNew] = this.#create(body);
      return Response.json(isNew ? job : { ...job, duplicate: true }, { status: isNew ? 202 : 200 });
    }
    if (route === "POST jobs/*" && parts[1] === "batch") {
      const created = body.map((one) => this.#create(one)).map(([{ id }, isNew]) => ({ id, duplicate: !isNew }));
      return Response.json(created, { status: 202 });
    }
    if (route === "POST jobs/*" && parts[1] === "actions") {
      const { action, filter, limit, dry_run } = body as unknown as { action: string; filter: JobFilter; limit: number; dry_run: boolean };
      const fitting = [...this.jobs.values()].filter((job) => fits(job, filter));
      const meant = fitting.slice(0, limit).filter((job) => isFinished(job.state) !== (action === "cancel"));
      const done = dry_run ? meant.length : meant.filter((job) => this.#apply(action, job)).length;
      return Response.json({ matched: fitting.length, done, complete: fitting.length <= limit });
    }
    if (route === "GET jobs") return this.#list(url.searchParams);
    const job = this.jobs.get(parts[1] ?? "");
    if (parts[0] !== "jobs") return problem(404, "no_such_route", `${url.pathname} is not served`);
    if (job === undefined) return problem(404, "no_such_job", `no job '${parts[1]}' is known`);
    switch (`${request.method} ${parts[2] ?? ""}`) {
      case "GET ":
        return Response.json(job);
      case "GET events":
        return this.#events(job, Number(request.headers.get("last-event-id") ?? 0));
      case "POST token":
        return Response.json({ token: `read-${job.id}` });
      case "POST cancel":
        this.#apply("cancel", job);
        return Response.json(job, { status: 202 });
      case "POST retry":
      case "DELETE ":
        if (!this.#apply(request.method === "DELETE" ? "delete" : "retry", job)) {
          return problem(409, "not_finished", "the job has not ended");
        }
        return Response.json(job, { status: request.method === "DELETE" ? 200 : 202 });
    }
    return problem(404, "no_such_route", `${url.pathname} is not served`);
  }

  #create(body: Body): [Kept, boolean] {
    for (const job of this.jobs.values()) {
      const isHeld = body.unique !== undefined && JSON.stringify(body.unique) === JSON.stringify(job.unique);
      if (job.id === body.id || (isHeld && job.kind === body.kind && !isFinished(job.state))) return [job, false];
    }
    const job: Kept = {
      id: body.id ?? crypto.randomUUID(),
      kind: body.kind,
      version: 1,
      queue: body.queue ?? "default",
      args: body.args ?? null,
      state: "available",
      progress: null,
      attempt: 0,
      max_attempts: body.max_attempts ?? 3,
      crashes: 0,
      interruptions: 0,
      priority: body.priority ?? 0,
      timeout: null,
      position: null,
      eta_seconds: null,
      created_at: now(),
      run_at: body.run_at ?? now(),
      started_at: null,
      finished_at: null,
      output: null,
      errors: [],
      cancel_requested: false,
      worker: null,
      parent: body.parent ?? null,
      children: null,
      key: body.key ?? null,
      labels: body.labels ?? {},
      unique: body.unique,
    };
    this.jobs.set(job.id, job);
    this.#logs.set(job.id, []);
    const isLater = body.run_at !== undefined || Number((body as { delay?: number }).delay ?? 0) > 0;
    this.#enter(job, isLater ? "scheduled" : "available");
    return [job, true];
  }

  #apply(action: string, job: Kept): boolean {
    const hasEnded = isFinished(job.state);
    if (hasEnded === (action === "cancel")) return false;
    if (action === "delete") this.jobs.delete(job.id);
    else {
      if (action === "retry") Object.assign(job, { attempt: 0, output: null });
      this.#enter(job, action === "retry" ? "available" : "cancelled");
    }
    return true;
  }

  #list(query: URLSearchParams): Response {
    const filter: Record<string, unknown> = { labels: Object.fromEntries(query.getAll("label").map((label) => label.split(/:(.*)/s))) };
    for (const name of ["state", "kind", "queue", "parent"]) {
      if (query.has(name)) filter[name] = query.getAll(name).filter((value) => value !== "");
    }
    if (query.has("q")) filter.q = query.get("q");
    const fitting = [...this.jobs.values()].reverse().filter((job) => fits(job, filter as JobFilter));
    const start = Number(query.get("cursor") ?? 0);
    const end = start + Number(query.get("limit") ?? 50);
    return Response.json({ jobs: fitting.slice(start, end), next: end < fitting.length ? String(end) : null });
  }

  #events(job: Kept, after: number): Response {
    const log = (this.#logs.get(job.id) ?? []).slice(after);
    if (log.length === 0 && isFinished(job.state)) return new Response(null, { status: 204 });
    const lines = log.map(({ event, data }, n) => `id: ${after + n + 1}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    return new Response(lines.join(""), { headers: { "content-type": "text/event-stream" } });
  }
}

function waits(job: Job): boolean {
  return job.state === "available" || job.state === "scheduled";
}

function fits(job: Job, { labels = {}, q, ids, ...rest }: JobFilter): boolean {
  const wanted: [string, string | string[] | undefined][] = [["id", ids], ...Object.entries(rest)];
  const isAny = ([name, value]: (typeof wanted)[number]) =>
    value === undefined || [value].flat().includes(String(job[name as keyof Job]));
  const text = JSON.stringify([job.id, job.kind, job.args, job.errors.at(-1)]).toLowerCase();
  const hasLabels = Object.entries(labels).every(([label, value]) => job.labels[label] === value);
  return wanted.every(isAny) && hasLabels && text.includes((q ?? "").toLowerCase());
}

function now(): string {
  return new Date().toISOString();
}

function problem(status: number, code: string, detail: string): Response {
  return Response.json({ type: "about:blank", status, code, detail }, { status });
}
