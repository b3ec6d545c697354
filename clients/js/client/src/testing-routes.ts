// The routes of the server in memory: requests and their answers.
import { isFinished, type Job, type JobFilter } from "./job.js";
import { parse, stringify, unlikeAll } from "./json.js";
import type { Schemas } from "./openapi.js";
import type { Created, Jobs } from "./testing-jobs.js";
import { keyListRules, limitRules, pauseRules } from "./testing-keys.js";
import { type Body, type Broken, brokenRule, fits, jobRules, now, pageRules, queueRules, shown } from "./testing-rules.js";
import { events, feed, held } from "./testing-streams.js";
import { type Asked, dependencyRules, signalOf, signalToken } from "./testing-waits.js";

/** Answers requests from what it knows of jobs. */
export class Routes {
  readonly #jobs: Jobs;
  readonly #replays = new Map<string, { asked: string; status: number; body: string }>();

  constructor(jobs: Jobs) {
    this.#jobs = jobs;
  }

  /** The answer to a request. A repeated idempotency key is answered as before. */
  async answer(request: Request): Promise<Response> {
    const key = request.headers.get("idempotency-key");
    const text = await request.text();
    const asked = `${request.url} ${text}`;
    const kept = key === null ? undefined : this.#replays.get(key);
    if (kept !== undefined && kept.asked !== asked) return problem(422, "idempotency_key_reused", "the key was used for another request");
    if (kept !== undefined) return new Response(kept.body, { status: kept.status, headers: { "idempotency-replayed": "true" } });
    const response = await this.#route(request, text);
    if (key !== null && response.ok) this.#replays.set(key, { asked, status: response.status, body: await response.clone().text() });
    return response;
  }

  async #route(request: Request, text: string): Promise<Response> {
    const url = new URL(request.url);
    const [, ...parts] = url.pathname.slice(1).split("/").map(decodeURIComponent);
    const body = (text === "" ? {} : parse(text)) as Body & Body[];
    const route = `${request.method} ${parts.length > 1 ? `${parts[0]}/*` : (parts[0] ?? "")}`;
    const isBatch = parts[1] === "batch" && Array.isArray(body);
    const known = (one: Asked, place: string, before: Asked[] = []) => [...jobRules(one, place), ...dependencyRules(one, place, this.#jobs.byId, before)];
    const broken = route === "POST jobs" ? known(body, "") : isBatch ? body.flatMap((one, at) => known(one, `[${at}].`, body.slice(0, at))) : [];
    if (broken.length > 0) return invalid(...broken);
    const traceparent = request.headers.get("traceparent");
    if (route === "POST jobs") {
      const created = this.#jobs.create(body, traceparent);
      if (created.status === "full") return problem(429, "queue_full", `as many jobs wait in ${created.full} as may; nothing was created`, { "retry-after": "1" });
      const { job, status } = created;
      const place = { location: `/api/jobs/${encodeURIComponent(job.id)}` };
      if (status === "rejected") return problem(409, "duplicate", `job ${job.id} holds the unique key; nothing was created`, place);
      return answer({ ...this.#jobs.lookedUp(job), ...(status !== "created" && { [status]: true }) }, { status: status === "duplicate" ? 200 : 202, headers: place });
    }
    if (route === "POST jobs/*" && parts[1] === "batch") {
      const refused = { rejected: "duplicate", full: "queue_full" } as const;
      const told = ({ job, status }: Created) => ({
        id: job?.id ?? unlikeAll(),
        duplicate: status === "duplicate",
        ...(status === "replaced" && { replaced: true }),
        ...((status === "rejected" || status === "full") && { refused: refused[status] }),
      });
      return answer(body.map((one) => told(this.#jobs.create(one, traceparent))), { status: 202 });
    }
    if (route === "POST jobs/*" && parts[1] === "actions") {
      const { action, filter, limit, dry_run, priority } = body as unknown as Schemas["BulkAction"] & { limit: number };
      const fault = brokenRule(filter, "filter.");
      if (fault !== undefined) return invalid(fault);
      if (priority != null && Math.abs(priority) > 100) return invalid({ field: "priority", message: "must be -100 to 100" });
      const fitting = [...this.#jobs.byId.values()].filter((job) => fits(job, filter));
      const meant = fitting.filter((job) => isFinished(job.state) === (action === "retry" || action === "delete"));
      const some = meant.slice(0, limit);
      const done = dry_run ? some.length : some.filter((job) => this.#jobs.apply(action, job, { priority })).length;
      return answer({ matched: fitting.length, done, complete: some.length === meant.length });
    }
    if (route === "GET jobs") return this.#list(url.searchParams);
    if (route === "GET events") return feed(this.#jobs, request, url.searchParams);
    if (parts[0] === "queues") return this.#queue(request.method, parts[1], parts[2], body as Schemas["QueuePatch"]);
    if (parts[0] === "keys") return this.#key(request.method, url.searchParams, body, parts[1], parts[2]);
    if (route === "GET me") return answer({ role: "admin" });
    if (route === "GET workers") return answer({ workers: [] });
    if (route === "POST signals/*") return this.#redeem(parts[1] ?? "", text);
    const job = this.#jobs.byId.get(parts[1] ?? "");
    if (parts[0] !== "jobs") return problem(404, "no_such_route", `${url.pathname} is not served`);
    if (job === undefined && this.#jobs.gone.has(parts[1] ?? "")) return problem(410, "gone", "the job was deleted");
    if (job === undefined) return problem(404, "no_such_job", "no job of this id is known");
    switch (`${request.method} ${parts[2] ?? ""}`) {
      case "GET ":
        await held(this.#jobs, job, request);
        return answer(this.#jobs.lookedUp(job));
      case "GET events":
        return events(this.#jobs, job, request, Number(request.headers.get("last-event-id") ?? url.searchParams.get("after") ?? 0));
      case "GET steps":
        return answer([...(this.#jobs.steps.get(job.id)?.values() ?? [])].map(({ output: _, ...step }) => step));
      case "GET why":
        return answer({ state: job.state, position: null, eta_seconds: null, reasons: this.#jobs.why(job), ...ending(job) });
      case "GET graph":
        return answer(this.#jobs.graphs.around(job));
      case "POST signals": {
        if (parts[4] !== "token" || isFinished(job.state)) return this.#signal(job, parts[3] ?? "", text);
        const token = signalToken(job.id, parts[3] ?? "");
        return answer({ token, path: `/api/signals/${token}`, expires_at: now() }, { status: 201 });
      }
      case "POST fork":
        return this.#again(job, body, (kept) => {
          const { kind, queue, args, priority, max_attempts, timeout, limit_keys, cost, on_exhausted, labels } = job;
          const created = this.#jobs.create({ kind, queue, priority, max_attempts, timeout, limit_keys, cost, on_exhausted, labels, args: body.args === undefined ? args : body.args });
          if (created.job === undefined) return problem(429, "queue_full", `as many jobs wait in ${created.full} as may; nothing was created`, { "retry-after": "1" });
          created.job.forked_from = job.id;
          this.#jobs.steps.set(created.job.id, new Map(kept));
          return answer(this.#jobs.lookedUp(created.job), { status: 202 });
        });
      case "POST token":
        return answer({ token: `read-${job.id}` });
      case "POST cancel":
        this.#jobs.apply("cancel", job, {});
        return answer(this.#jobs.lookedUp(job), { status: 202 });
      case "POST retry":
        if (body.from_step != null && (isFinished(job.state) || job.waits_for === "person")) {
          return this.#again(job, body, (kept) => {
            if (!this.#jobs.apply("retry", job, { args: body.args })) return problem(409, "unique_key_held", "another job holds the unique key of this one");
            this.#jobs.steps.set(job.id, new Map(kept));
            return answer(this.#jobs.lookedUp(job), { status: 202 });
          });
        }
      // What follows is for both.
      case "DELETE ":
        if (!this.#jobs.apply(request.method === "DELETE" ? "delete" : "retry", job, body)) {
          if (isFinished(job.state)) return problem(409, "unique_key_held", "another job holds the unique key of this one");
          return problem(409, "not_finished", `the job is ${job.state}; this is for finished jobs, cancel it first`);
        }
        return request.method === "DELETE" ? new Response(null, { status: 204 }) : answer(this.#jobs.lookedUp(job), { status: 202 });
    }
    return problem(404, "no_such_route", `${url.pathname} is not served`);
  }

  /** Gives a job a signal, unless it has ended. */
  #signal(job: Job, name: string, text: string): Response {
    if (isFinished(job.state)) return problem(409, "ended", "the job has ended; no signal changes that");
    return answer({ accepted: this.#jobs.signal(job, `signal:${name}`, { value: text === "" ? null : parse(text) }) }, { status: 202 });
  }

  #redeem(token: string, text: string): Response {
    const signal = signalOf(token);
    const job = signal === undefined ? undefined : this.#jobs.byId.get(signal.id);
    if (signal === undefined || job === undefined) return problem(404, "no_such_token", "the token is not valid here, or no longer");
    return this.#signal(job, signal.name, text);
  }

  /** Runs what a retry or a fork is with the steps that it keeps. */
  #again(job: Job, { from_step, args }: Partial<Schemas["Retry"]>, work: (kept: [string, Schemas["Step"]][]) => Response): Response {
    const steps = [...(this.#jobs.steps.get(job.id) ?? [])];
    if (from_step == null) return work(args === undefined && job.state !== "completed" ? steps : []);
    const at = steps.findIndex(([name]) => name === from_step);
    if (at < 0) return problem(404, "no_such_step", `no step is called ${from_step}; there are ${steps.map(([name]) => name).join(", ")}`);
    if (job.state === "completed") return problem(409, "steps_forgotten", "the job has completed, and the outputs of its steps are kept until then; leave from_step out");
    return work(steps.slice(0, at));
  }

  #queue(method: string, name: string | undefined, action: string | undefined, body: Schemas["QueuePatch"]): Response {
    const { queues } = this.#jobs;
    if (name === undefined) return answer({ queues: queues.list() });
    if (action === "pause" || action === "resume") queues.steer(name, action);
    else if (method === "PATCH") {
      const broken = queueRules(body);
      if (broken.length > 0) return invalid(...broken);
      queues.change(name, body);
    }
    return queues.has(name) ? answer(queues.get(name)) : problem(404, "no_such_queue", "no queue of this name is known");
  }

  #key(method: string, query: URLSearchParams, body: unknown, key: string | undefined, action: string | undefined): Response {
    const refused = (broken: Broken[]) => (broken.length > 0 ? invalid(...broken) : undefined);
    if (key === undefined) return refused(keyListRules(query)) ?? answer(this.#jobs.keys.list(query));
    const limits = body as Schemas["KeyLimits"];
    const pause = body as Schemas["KeyPause"];
    const fault = refused(action === undefined ? limitRules(key, method === "PUT" ? limits : {}) : pauseRules(key, pause.for));
    if (fault !== undefined) return fault;
    if (action === "pause") this.#jobs.keys.pause(key, pause.for == null ? undefined : Date.now() + 1_000 * pause.for);
    else if (action === "resume") this.#jobs.keys.resume(key);
    else if (method === "PUT") this.#jobs.keys.set(key, limits);
    else if (method === "DELETE") {
      this.#jobs.keys.set(key, undefined);
      return new Response(null, { status: 204 });
    }
    return answer(this.#jobs.keys.get(key));
  }

  #list(query: URLSearchParams): Response {
    const filter: Record<string, unknown> = { labels: Object.fromEntries(query.getAll("label").map((label) => label.split(/:(.*)/s))) };
    for (const name of ["state", "kind", "queue", "parent"]) {
      if (query.has(name)) filter[name] = query.getAll(name).filter((value) => value !== "");
    }
    if (query.has("q")) filter.q = query.get("q");
    const fault = pageRules(query) ?? brokenRule(filter as JobFilter);
    if (fault !== undefined) return invalid(fault);
    // Here are no tokens, so nothing was enqueued with one.
    const jobs = query.has("created_by") ? [] : [...this.#jobs.byId.values()];
    const fitting = jobs.reverse().filter((job) => fits(job, filter as JobFilter));
    const start = Number(query.get("cursor") ?? 0);
    const end = start + Number(query.get("limit") ?? 50);
    return answer({ jobs: fitting.slice(start, end).map((job) => (query.get("full") === "true" ? job : shown(job))), next: end < fitting.length ? String(end) : null, searched: { jobs: this.#jobs.byId.size, complete: end >= fitting.length } });
  }
}

function answer(body: unknown, init: ResponseInit = {}): Response {
  return new Response(stringify(body), { ...init, headers: { "content-type": "application/json", ...init.headers } });
}

function invalid(...errors: Broken[]): Response {
  const detail = errors.map(({ field, message }) => `${field}: ${message}`).join("; ");
  return answer({ type: "about:blank", status: 422, code: "invalid", detail, errors }, { status: 422 });
}

function problem(status: number, code: string, detail: string, headers: Record<string, string> = {}): Response {
  return answer({ type: "about:blank", status, code, detail }, { status, headers });
}

/** When a job ends by itself, and what it was cancelled for, where there is such a thing. */
function ending({ state, started_at, expires_at, deadline, cancel_reason }: Job): Record<string, string> {
  const times = isFinished(state) ? [] : [started_at === null ? expires_at : null, deadline];
  const [first] = times.filter((at) => at !== null).sort((one, other) => Date.parse(one) - Date.parse(other));
  return { ...(first !== undefined && { ends_at: first }), ...(cancel_reason !== null && { cancel_reason }) };
}
