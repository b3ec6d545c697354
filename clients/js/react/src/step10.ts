import { useEffect, useState } from "react";
import { useLonghaul } from "./provider.js";

/** The status of a curriculum's step 10, field for field as `GET /api/v3/workflow/:id/step10/status` has it. */
export interface Step10Status {
  workflowId: string;
  modulesGenerated: number;
  totalModules: number;
  allComplete: boolean;
  totalLessons: number;
  totalContactHours: number;
  jobs: {
    total: number;
    active: number;
    completed: number;
    failed: number;
    details: {
      jobId: string;
      moduleIndex: number;
      state: string;
      progress: number;
      attemptsMade: number;
      processedOn?: number;
      finishedOn?: number;
      failedReason?: string;
    }[];
  };
  status: "pending" | "in_progress" | "complete" | "failed";
}

/** The minutes of a module, until one was measured. */
const MINUTES_A_MODULE = 15;

/** Follows the generation of a curriculum's lesson plans, asking every `interval` milliseconds until it is complete. */
export function useStep10Status(
  workflowId: string,
  interval = 5_000,
): {
  status: Step10Status | null;
  loading: boolean;
  error: string | null;
  /** 0 to 100, with the part of the module that is being written. */
  progressPercentage: number;
  /** In minutes. */
  estimatedTimeRemaining: number;
} {
  const { settings } = useLonghaul();
  const [seen, setSeen] = useState<{ status: Step10Status | null; error: string | null; loading: boolean }>({
    status: null,
    error: null,
    loading: true,
  });
  useEffect(() => {
    const over = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    setSeen({ status: null, error: null, loading: true });
    const read = async () => {
      let isDone = false;
      try {
        const response = await settings.fetch(`${settings.url}/api/v3/workflow/${encodeURIComponent(workflowId)}/step10/status`, {
          headers: settings.token === undefined ? {} : { authorization: `Bearer ${settings.token}` },
          signal: over.signal,
        });
        const body = (await response.json()) as { success: boolean; data?: Step10Status; error?: string };
        if (over.signal.aborted) return;
        if (!body.success || body.data === undefined) throw new Error(body.error ?? `the server answered ${response.status}`);
        const status = body.data;
        isDone = status.allComplete;
        setSeen({ status, error: null, loading: false });
      } catch (error) {
        if (over.signal.aborted) return;
        setSeen(({ status }) => ({ status, error: (error as Error).message, loading: false }));
      }
      if (!isDone) timer = setTimeout(() => void read(), interval);
    };
    void read();
    return () => {
      over.abort();
      clearTimeout(timer);
    };
  }, [settings, workflowId, interval]);
  return { ...seen, ...progressOf(seen.status) };
}

function progressOf(status: Step10Status | null): { progressPercentage: number; estimatedTimeRemaining: number } {
  if (status === null || status.totalModules === 0) return { progressPercentage: 0, estimatedTimeRemaining: 0 };
  const active = status.jobs.details.filter(({ state }) => state === "active");
  const begun = active.reduce((sum, { progress }) => sum + progress / 100, 0);
  const done = Math.min(status.totalModules, status.modulesGenerated + begun);
  const measured = status.jobs.details.flatMap(({ state, processedOn, finishedOn }) =>
    state === "completed" && processedOn !== undefined && finishedOn !== undefined ? [(finishedOn - processedOn) / 60_000] : [],
  );
  const minutes = measured.length > 0 ? measured.reduce((a, b) => a + b) / measured.length : MINUTES_A_MODULE;
  return {
    progressPercentage: Math.round((100 * done) / status.totalModules),
    estimatedTimeRemaining: Math.ceil((status.totalModules - done) * minutes),
  };
}
