import { request, type Settings } from "./http.js";
import type { Acted, Job, JobFilter } from "./job.js";

/** All jobs: lists, and actions on many. */
export class Jobs {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** The jobs that fit, newest first, page by page as they are asked for; `limit` is the size of a page. */
  async *list(filter: JobFilter & { limit?: number; full?: boolean } = {}): AsyncGenerator<Job, void, void> {
    const { limit = 50, ...rest } = filter;
    let cursor: string | null = null;
    do {
      const query: URLSearchParams = queryOf(rest);
      query.append("limit", String(limit));
      if (cursor !== null) query.append("cursor", cursor);
      const response = await request(this.#settings, { path: `/api/jobs?${query.toString()}` });
      const page = (await response.json()) as { jobs: Job[]; next: string | null };
      yield* page.jobs;
      cursor = page.next;
    } while (cursor !== null);
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

  async #act(
    action: string,
    { filter, limit = Infinity, dryRun = false }: { filter: JobFilter; limit?: number; dryRun?: boolean },
  ): Promise<Acted> {
    let [matched, done] = [0, 0];
    for (;;) {
      // A dry run counts all that it can at once, because nothing moves on between two requests.
      const body = { action, filter, limit: Math.min(dryRun ? 10_000 : 1_000, limit - done), dry_run: dryRun };
      const response = await request(this.#settings, { method: "POST", path: "/api/jobs/actions", body });
      const acted = (await response.json()) as Acted;
      matched += acted.matched;
      done += acted.done;
      if (acted.complete || dryRun || acted.done === 0 || done >= limit) return { matched, done, complete: acted.complete };
    }
  }
}

function queryOf(filter: JobFilter & { full?: boolean }): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter) as [string, unknown][]) {
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
