import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { type EnqueueOptions, type Job, type JobFilter, JobHandle, Longhaul } from "@longhaul/client";
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

/** The newest jobs that fit a filter, read again every `interval` milliseconds (2,000) while the page is seen. */
export function useJobs(
  filter: JobFilter & { limit?: number },
  { interval = 2_000 }: { interval?: number } = {},
): { jobs: Job[] | undefined; error: Error | undefined } {
  const client = useLonghaul();
  const [seen, setSeen] = useState<{ jobs?: Job[]; error?: Error }>({});
  const wanted = JSON.stringify(filter);
  useEffect(() => {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async () => {
      if (globalThis.document?.hidden !== true) {
        try {
          const { limit = 50, ...rest } = JSON.parse(wanted) as JobFilter & { limit?: number };
          const jobs: Job[] = [];
          for await (const job of client.jobs.list({ ...rest, limit })) if (jobs.push(job) === limit) break;
          if (!isOver) setSeen({ jobs });
        } catch (error) {
          if (!isOver) setSeen(({ jobs }) => ({ ...(jobs && { jobs }), error: error as Error }));
        }
      }
      if (!isOver) timer = setTimeout(() => void read(), interval);
    };
    void read();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [client, wanted, interval]);
  return { jobs: seen.jobs, error: seen.error };
}
