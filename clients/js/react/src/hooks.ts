import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { type EnqueueOptions, type Job, type JobFilter, JobHandle, Longhaul } from "@longhaul/client";
import { feedOf, isHidden } from "./feed.js";
import { type Followed, Follower, nothing } from "./follow.js";
import { useLonghaul } from "./provider.js";

export type { Followed };

export interface UseJobOptions {
  /** The job's read token, where the page's own client may not follow it. */
  token?: string;
  /** False follows nothing yet. */
  enabled?: boolean;
  /** The shortest time between two renderings while words stream in, in milliseconds; 50 unless given. */
  throttle?: number;
}

/** The followers of a page, by client and job: components that show the same job share one connection. */
const followers = new WeakMap<object, Map<string, Follower>>();
const unsubscribed = () => () => undefined;

/** Follows a job: its state, progress, chunks and output as they come. */
export function useJob<Output = unknown>(
  job: string | JobHandle<Output> | undefined,
  { token, enabled = true, throttle = 50 }: UseJobOptions = {},
): Followed<Output> {
  const client = useLonghaul();
  const id = typeof job === "string" ? job : job?.id;
  const follower = useMemo(() => {
    if (id === undefined || !enabled) return undefined;
    const known = followers.get(client) ?? new Map<string, Follower>();
    followers.set(client, known);
    const name = `${token ?? ""} ${id}`;
    let follower = known.get(name);
    if (follower === undefined) {
      const reader = token === undefined ? client : new Longhaul({ ...client.settings, token });
      const handle = token === undefined && typeof job === "object" ? job : reader.job(id);
      follower = new Follower(handle, throttle, () => known.delete(name));
      known.set(name, follower);
    }
    return follower as Follower<Output>;
    // A handle is as good as another one of its job.
  }, [client, id, token, enabled, throttle]);
  const empty = useCallback(() => nothing<Output>(), []);
  return useSyncExternalStore(follower?.subscribe ?? unsubscribed, follower?.snapshot ?? empty, empty);
}

/** A function that enqueues a job of a kind, with what became of the last call. */
export function useEnqueue<Output = unknown>(
  kind: string,
): { enqueue: (args?: unknown, options?: EnqueueOptions) => Promise<JobHandle<Output>>; job: JobHandle<Output> | undefined; isPending: boolean; error: Error | undefined } {
  const client = useLonghaul();
  const [last, setLast] = useState<{ job?: JobHandle<Output>; isPending: boolean; error?: Error }>({ isPending: false });
  const call = useRef(0);
  const enqueue = useCallback(
    async (args?: unknown, options?: EnqueueOptions) => {
      const mine = ++call.current;
      // An answer that comes after a newer call's is not shown.
      const show = (now: typeof last) => mine === call.current && setLast(now);
      show({ isPending: true });
      try {
        const job = (await client.enqueue(kind, args, options)) as JobHandle<Output>;
        show({ job, isPending: false });
        return job;
      } catch (error) {
        show({ isPending: false, error: error as Error });
        throw error;
      }
    },
    [client, kind],
  );
  return { enqueue, job: last.job, isPending: last.isPending, error: last.error };
}

/**
 * Enqueues a job of a kind and follows it. With `persist`, a name, the page goes on with the job after it was loaded again, in the
 * same tab.
 */
export function useRun<Output = unknown>(
  kind: string,
  { persist, ...options }: UseJobOptions & { persist?: string } = {},
): Followed<Output> & { run: (args?: unknown, options?: EnqueueOptions) => Promise<JobHandle<Output>>; isPending: boolean } {
  const { enqueue, job, isPending, error } = useEnqueue<Output>(kind);
  const name = persist === undefined ? undefined : `longhaul:${persist}`;
  const [kept, setKept] = useState<string>();
  // After the first rendering, which is the server's as well.
  useEffect(() => setKept((name && sessionStorage.getItem(name)) || undefined), [name]);
  const run = useCallback(
    async (args?: unknown, options?: EnqueueOptions) => {
      const job = await enqueue(args, options);
      if (name !== undefined) sessionStorage.setItem(name, job.id);
      return job;
    },
    [enqueue, name],
  );
  const followed = useJob<Output>(job ?? kept, options);
  return { ...followed, failure: error ?? followed.failure, run, isPending };
}

/** Where the live feed tells of changes, a list is also read after so many intervals without one. */
const RARELY = 8;

export interface UseJobsOptions {
  /** The shortest time between two readings while changes are told, in milliseconds; 500 unless given. */
  throttle?: number;
  /** The time between two readings while none are told, in milliseconds; 2,000 unless given. */
  interval?: number;
}

/**
 * The newest jobs that fit a filter, read again when the live feed tells of a change that may concern them; by time alone where the
 * feed cannot be had. A page that is hidden reads nothing. The feed tells no progress: `useJob` does.
 */
export function useJobs(
  filter: JobFilter & { limit?: number },
  { throttle = 500, interval = 2_000 }: UseJobsOptions = {},
): { jobs: Job[] | undefined; error: Error | undefined } {
  const client = useLonghaul();
  const [seen, setSeen] = useState<{ of?: string; jobs?: Job[]; error?: Error }>({});
  const wanted = JSON.stringify(filter);
  useEffect(() => {
    const { limit = 50, ...rest } = JSON.parse(wanted) as JobFilter & { limit?: number };
    const feed = feedOf(client);
    let timer: ReturnType<typeof setTimeout> | undefined;
    let [isOver, isReading, isStale, lastAt] = [false, false, false, -Infinity];
    const plan = (milliseconds: number) => {
      clearTimeout(timer);
      timer = setTimeout(() => void read(), milliseconds);
    };
    const read = async () => {
      clearTimeout(timer);
      if (isReading || isOver || isHidden()) return;
      [isReading, isStale] = [true, false];
      let isFailed = false;
      try {
        const jobs: Job[] = [];
        for await (const job of client.jobs.list({ ...rest, limit })) if (jobs.push(job) === limit) break;
        if (!isOver) setSeen({ of: wanted, jobs });
      } catch (error) {
        isFailed = true;
        if (!isOver) setSeen(({ of, jobs }) => ({ of: wanted, ...(of === wanted && jobs && { jobs }), error: error as Error }));
      }
      [isReading, lastAt] = [false, performance.now()];
      if (!isOver) plan(isStale ? throttle : isFailed || !feed.isLive ? interval : interval * RARELY);
    };
    const unlisten = feed.listen((event) => {
      if (isStale || (event.type === "job" && !(isAmong(rest.kind, event.kind) && isAmong(rest.queue, event.queue)))) return;
      isStale = true;
      if (!isReading) plan(Math.max(0, lastAt + throttle - performance.now()));
    });
    const look = () => void read();
    globalThis.document?.addEventListener("visibilitychange", look);
    void read();
    return () => {
      isOver = true;
      clearTimeout(timer);
      unlisten();
      globalThis.document?.removeEventListener("visibilitychange", look);
    };
  }, [client, wanted, throttle, interval]);
  return seen.of === wanted ? { jobs: seen.jobs, error: seen.error } : { jobs: undefined, error: undefined };
}

function isAmong(wanted: string | string[] | null | undefined, value: string): boolean {
  return wanted == null || [wanted].flat().includes(value);
}
