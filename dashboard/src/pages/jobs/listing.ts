import { signal } from "@preact/signals";
import type { Change, Job, JobPage, State } from "../../api/model";
import { hasEnded } from "../../api/model";
import { listJobs } from "../../api/routes";
import { BECAUSE } from "../../steering";

/** What a list shows of a job. Args and outputs of 100,000 jobs would fill the tab's memory. */
export interface Row {
  id: string;
  kind: string;
  queue: string;
  state: State;
  attempt: number;
  max_attempts: number;
  priority: number;
  created_at: string;
  run_at: string;
  started_at: string | null;
  finished_at: string | null;
  percent: number | null;
  /** Its last error, why it was cancelled, what it waits for, or what its progress says. */
  says: string;
  children: Job["children"];
}

interface Page {
  /** Where the page begins; none for the newest. */
  cursor: string | undefined;
  rows: Row[];
  /** Where the next begins; null after the last. */
  next: string | null;
}

type Read = (cursor: string | undefined, signal: AbortSignal) => Promise<JobPage>;

const PAGE = 100;
/** Pages that are read in a row without a find, before somebody asks to go on. */
const EMPTY_PAGES = 5;

/** The jobs of a search, as far as they were read: pages by their cursors, of which those that are seen are read again. */
export class Listing {
  /** Rises with each change of what is listed. */
  readonly version = signal(0);
  readonly error = signal<Error | undefined>(undefined);
  rows: Row[] = [];
  /** Jobs that were looked at so far. */
  searched = 0;
  private pages: Page[] = [];
  private readonly read: Read;
  /** Readings follow each other, and one that waits already is not asked for twice. */
  private last: Promise<void> = Promise.resolve();
  private readonly waiting = new Map<string, Promise<void>>();
  private over = new AbortController();

  constructor(q: string, read: Read = (cursor, signal) => listJobs({ q, cursor, limit: PAGE }, signal)) {
    this.read = read;
  }

  /** False until the first answer. */
  get isRead(): boolean {
    return this.pages.length > 0;
  }

  get hasMore(): boolean {
    return this.pages.at(-1)?.next !== null;
  }

  close(): void {
    this.over.abort();
  }

  /** Reads the next page. Where a search finds nothing in a page, it goes on for some. */
  more(): Promise<void> {
    return this.once("more", async () => {
      for (let empty = 0; empty < EMPTY_PAGES && this.hasMore; empty++) {
        const cursor = this.pages.at(-1)?.next ?? undefined;
        const answer = await this.read(cursor, this.over.signal);
        const page: Page = { cursor, rows: answer.jobs.map(rowOf), next: answer.next };
        // Where nothing was found nothing is read again, but for the newest jobs.
        if (this.pages.length > 1 && this.pages.at(-1)?.rows.length === 0) this.pages.pop();
        this.pages.push(page);
        this.searched += answer.searched?.jobs ?? answer.jobs.length;
        // A page that was read again may reach into the next one.
        const known = new Set(this.rows.slice(-2 * PAGE).map(({ id }) => id));
        page.rows = page.rows.filter(({ id }) => !known.has(id));
        this.rows.push(...page.rows);
        if (page.rows.length > 0) break;
        this.version.value++;
      }
    });
  }

  /** Reads the pages again that hold the rows from one to another. */
  refresh(from: number, to: number): Promise<void> {
    return this.once("refresh", async () => {
      let begin = 0;
      for (let at = 0; at < this.pages.length && begin < Math.max(to, 1); at++) {
        const page = this.pages[at] as Page;
        const end = begin + page.rows.length;
        if (end > from || page.rows.length === 0) await this.reread(at);
        begin += (this.pages[at]?.rows.length ?? 0) || 1;
      }
    });
  }

  /** Notes a change that the live feed told, where it is of a row from one to another; the others are read again when they are seen. */
  apply({ id, state, attempt, at }: Change, from: number, to: number): void {
    const row = this.rows.slice(from, to).find((row) => row.id === id);
    // One that is gone is missed when the page is read again.
    if (row === undefined || state === null || (row.state === state && row.attempt === attempt)) return;
    row.state = state;
    row.attempt = attempt;
    if (state === "running") row.started_at = at;
    row.finished_at = hasEnded(state) ? at : null;
    if (state !== "running") row.percent = null;
    this.version.value++;
  }

  private async reread(at: number): Promise<void> {
    const old = this.pages[at] as Page;
    const answer = await this.read(old.cursor, this.over.signal);
    if (at === 0) this.searched = Math.max(this.searched, answer.searched?.jobs ?? answer.jobs.length);
    const fresh: Page = { cursor: old.cursor, rows: answer.jobs.map(rowOf), next: answer.next };
    this.pages.splice(at, this.pages.length - at, fresh, ...rest(fresh, this.pages.slice(at)));
    this.rows = this.pages.flatMap((page) => page.rows);
  }

  private once(name: string, work: () => Promise<void>): Promise<void> {
    const waiting = this.waiting.get(name);
    if (waiting !== undefined) return waiting;
    const run = async () => {
      try {
        if (!this.over.signal.aborted) await work();
        this.error.value = undefined;
      } catch (error) {
        if (!this.over.signal.aborted) this.error.value = error as Error;
      } finally {
        this.waiting.delete(name);
        this.version.value++;
      }
    };
    this.last = this.last.then(run);
    this.waiting.set(name, this.last);
    return this.last;
  }
}

/**
 * What stays of the pages from one on, after this one was read again. It may reach less far than before, because jobs were added, or
 * farther, because some have gone; what it does not reach is kept. Where nothing of it was there, there may be jobs in between that
 * nobody has read: then nothing is kept.
 */
function rest(fresh: Page, pages: Page[]): Page[] {
  if (fresh.next === null) return [];
  if (fresh.rows.length === 0) return pages.slice(1);
  for (let last = fresh.rows.length - 1; last >= 0; last--) {
    const id = (fresh.rows[last] as Row).id;
    for (const [at, page] of pages.entries()) {
      const found = page.rows.findIndex((row) => row.id === id);
      if (found < 0) continue;
      const after = pages.slice(at + 1);
      const tail: Page = { cursor: fresh.next, rows: page.rows.slice(found + 1), next: page.next };
      if (tail.rows.length === 0) return after;
      const [next, ...others] = after;
      const isSmall = next !== undefined && tail.rows.length + next.rows.length <= PAGE;
      return isSmall ? [{ ...tail, rows: [...tail.rows, ...next.rows], next: next.next }, ...others] : [tail, ...after];
    }
  }
  return [];
}

const WAITS: Record<string, string> = { dependencies: "jobs that it depends on", children: "its children", person: "a person" };

function rowOf(job: Job): Row {
  const { id, kind, queue, state, attempt, max_attempts, priority, created_at, run_at, started_at, finished_at, children, cancel_reason, waits_for } = job;
  const isRunning = state === "running";
  const error = state === "failed" || state === "scheduled" || waits_for === "person" ? job.errors.at(-1)?.message : undefined;
  const because = cancel_reason === null ? "" : BECAUSE[cancel_reason];
  return {
    ...{ id, kind, queue, state, attempt, max_attempts, priority, created_at, run_at, started_at, finished_at, children },
    percent: isRunning ? (job.progress?.percent ?? null) : null,
    says: error ?? (isRunning ? (job.progress?.message ?? "") : state === "cancelled" ? because : state === "blocked" && waits_for !== null ? `waits for ${WAITS[waits_for] ?? waits_for.replace(/^signal:/, "signal ")}` : ""),
  };
}
