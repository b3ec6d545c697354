import { request, type Settings } from "./http.js";
import type { Acted, Job, JobFilter } from "./job.js";
import { read } from "./json.js";
import type { Schemas } from "./openapi.js";

/** What a list is asked for; with `full`, args and outputs over 1 KiB are whole. `created_by` is the id of the token of those who enqueued. */
export type ListFilter = Omit<JobFilter, "ids"> & { created_by?: string; limit?: number; full?: boolean };
/** A page of a list. */
export type JobPage = Omit<Schemas["JobPage"], "jobs"> & { jobs: Job[] };

/** All jobs: lists, and actions on many. */
export class Jobs {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /**
   * The jobs that fit, newest first, page by page as they are asked for; `limit` is the size of a page. `q` is a search as in the
   * dashboard: words such as `queue:mail`, `label.tenant:7` or `error:timeout`, all of which have to fit.
   */
  async *list(filter: ListFilter = {}): AsyncGenerator<Job, void, void> {
    let cursor: string | null | undefined;
    do {
      const page: JobPage = await this.page({ ...filter, ...(cursor && { cursor }) });
      yield* page.jobs;
      cursor = page.next;
    } while (cursor);
  }

  /** One page. `next` is the cursor of the following one, `searched` how many jobs were looked at for this one. */
  async page({ limit = 50, ...filter }: ListFilter & { cursor?: string } = {}): Promise<JobPage> {
    const query = queryOf({ ...filter, limit });
    return read(await request(this.#settings, { path: `/api/jobs?${query.toString()}` }));
  }

  /** Cancels the jobs that fit. An empty list in the filter fits none. */
  cancel(options: { filter: JobFilter; limit?: number; dryRun?: boolean }): Promise<Acted> {
    return this.#act("cancel", options);
  }

  /** Runs the finished jobs that fit again. */
  retry(options: { filter: JobFilter; limit?: number; dryRun?: boolean }): Promise<Acted> {
    return this.#act("retry", options);
  }

  /** Removes the finished jobs that fit. */
  delete(options: { filter: JobFilter; limit?: number; dryRun?: boolean }): Promise<Acted> {
    return this.#act("delete", options);
  }

  /** Gives unfinished jobs that fit another priority, -100 to 100: 10,000 at once, the newest first; `complete` says if that was all. */
  async setPriority(options: { filter: JobFilter; priority: number; limit?: number; dryRun?: boolean }): Promise<Acted> {
    const { filter, priority, limit = 10_000, dryRun = false } = options;
    const body = { action: "set_priority", filter, priority, limit, dry_run: dryRun };
    const response = await request(this.#settings, { method: "POST", path: "/api/jobs/actions", body });
    const { matched, done, complete } = await read<Acted>(response);
    return { matched, done, complete };
  }

  async #act(
    action: string,
    { filter, limit = Infinity, dryRun = false }: { filter: JobFilter; limit?: number; dryRun?: boolean },
  ): Promise<Acted> {
    let [matched, done, bound] = [0, 0, Infinity];
    for (;;) {
      // A dry run counts all that it can at once, because nothing moves on between two requests.
      const body = { action, filter, limit: Math.min(dryRun ? 10_000 : 1_000, limit - done), dry_run: dryRun };
      const response = await request(this.#settings, { method: "POST", path: "/api/jobs/actions", body });
      const acted = await read<Acted>(response);
      matched += acted.matched;
      done += acted.done;
      if (acted.complete || dryRun || acted.done === 0 || done >= Math.min(limit, bound)) return { matched, done, complete: acted.complete };
      if (action === "retry" && limit === Infinity && bound === Infinity) {
        // A job that is retried may fail again while this goes on, and is not to be retried for ever.
        const left = await this.#act(action, { filter, dryRun: true });
        if (left.complete) bound = done + left.done;
      }
    }
  }
}

/** The parameters of a list. */
export function queryOf(filter: Record<string, unknown>): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) {
    if (value === undefined) continue;
    if (name === "labels") {
      for (const [label, wanted] of Object.entries(value as Record<string, string>)) query.append("label", `${label}:${wanted}`);
    } else if (Array.isArray(value)) {
      // A list without a member fits no job: the server reads a parameter without a value so.
      for (const one of value.length > 0 ? value : [""]) query.append(name, String(one));
    } else {
      query.append(name, String(value));
    }
  }
  return query;
}
