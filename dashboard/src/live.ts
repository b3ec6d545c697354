import { useEffect, useRef, useState } from "preact/hooks";

/** What was read last, and the trouble with reading it again. */
export interface Live<T> {
  value: T | undefined;
  error: Error | undefined;
  /** Reads again at once. */
  again: () => void;
}

/**
 * Reads something now and every `interval` milliseconds, while the tab is seen: a hidden dashboard costs the store nothing.
 * What was read stays while it is read again, and while the server is away.
 */
export function useLive<T>(read: (signal: AbortSignal) => Promise<T>, interval: number, key: string): Live<T> {
  const [seen, setSeen] = useState<{ key: string; value?: T; error?: Error }>({ key });
  const again = useRef<() => void>(() => undefined);
  useEffect(() => {
    const over = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isReading = false;
    const look = async () => {
      clearTimeout(timer);
      if (isReading) return;
      if (!document.hidden) {
        isReading = true;
        try {
          const value = await read(over.signal);
          if (!over.signal.aborted) setSeen({ key, value });
        } catch (error) {
          if (!over.signal.aborted) setSeen((seen) => ({ ...(seen.key === key ? seen : { key }), error: error as Error }));
        } finally {
          isReading = false;
        }
      }
      if (!over.signal.aborted) timer = setTimeout(() => void look(), interval);
    };
    again.current = () => void look();
    document.addEventListener("visibilitychange", again.current);
    void look();
    return () => {
      over.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", again.current);
    };
  }, [key, interval]);
  const current = seen.key === key ? seen : { key };
  return { value: (current as { value?: T }).value, error: (current as { error?: Error }).error, again: () => again.current() };
}
