import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "../api/call";
import { me } from "../session";
import { isLive, listen, type Heard } from "./feed";

/** What was read last, and the trouble with reading it again. */
export interface Live<T> {
  value: T | undefined;
  error: Error | undefined;
  /** Reads again at once. */
  again: () => void;
}

export interface Reading {
  /** Names what is read: another key is another thing. */
  key: string;
  /** The least time between two readings, in milliseconds. */
  every: number;
  /** True for a change after which to read again. Without it, time alone counts. */
  when?: (change: Exclude<Heard, "gap">) => boolean;
}

/** Where changes are told, what is shown is also read this many times less often by time alone. */
const BACKSTOP = 8;

/**
 * Reads something now and whenever it may have changed: as the live feed tells, or every so often where there is none. A hidden tab
 * reads nothing. What was read stays while it is read again, and while the server is away.
 */
export function useLive<T>(read: (signal: AbortSignal) => Promise<T>, { key, every, when }: Reading): Live<T> {
  const [seen, setSeen] = useState<{ key: string; value?: T; error?: Error }>({ key });
  const again = useRef<() => void>(() => undefined);
  useEffect(() => {
    const over = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isReading = false;
    let isStale = false;
    let lastAt = -Infinity;
    const plan = (ms: number) => {
      clearTimeout(timer);
      timer = setTimeout(() => void look(), ms);
    };
    const look = async () => {
      clearTimeout(timer);
      if (isReading) {
        isStale = true;
        return;
      }
      if (document.hidden || over.signal.aborted) return;
      isReading = true;
      isStale = false;
      try {
        const value = await read(over.signal);
        if (!over.signal.aborted) setSeen({ key, value });
      } catch (error) {
        if (over.signal.aborted) return;
        if (error instanceof Problem && error.status === 401) me.value = null;
        setSeen((seen) => ({ ...(seen.key === key ? seen : { key }), error: error as Error }));
      } finally {
        isReading = false;
        lastAt = performance.now();
      }
      if (!over.signal.aborted) plan(isStale || when === undefined || !isLive.peek() ? every : every * BACKSTOP);
    };
    again.current = () => void look();
    const hear = (heard: Heard) => {
      if (isStale || (heard !== "gap" && when?.(heard) !== true)) return;
      isStale = true;
      if (!isReading) plan(Math.max(0, lastAt + every - performance.now()));
    };
    const unlisten = when === undefined ? undefined : listen(hear);
    document.addEventListener("visibilitychange", again.current);
    void look();
    return () => {
      over.abort();
      clearTimeout(timer);
      unlisten?.();
      document.removeEventListener("visibilitychange", again.current);
    };
  }, [key, every]);
  const current: { value?: T; error?: Error } = seen.key === key ? seen : {};
  return { value: current.value, error: current.error, again: () => again.current() };
}
