import { createParser } from "eventsource-parser";
import { useEffect, useState } from "preact/hooks";
import { authorization, eventsUrl } from "./api";

/** An event of a job's log. */
export interface LogEvent {
  id: number;
  type: string;
  at: string;
  attempt: number;
  [field: string]: unknown;
}

export interface Followed {
  /** All but the chunks, oldest first. */
  events: LogEvent[];
  /** The output as it is written, of the attempt that runs or has completed. */
  text: string;
  /** True where older events are gone. */
  hasGap: boolean;
  /** Counts the changes of state, for whoever reads the job again after each. */
  changes: number;
}

/** The shortest time between two renderings while words stream in, in milliseconds. */
const THROTTLE = 50;

/** Follows a job's events while the page shows it. A connection that breaks goes on after the last event. */
export function useFollowed(id: string): Followed {
  const [seen, setSeen] = useState<Followed & { of: string }>({ of: id, ...NOTHING });
  useEffect(() => {
    const over = new AbortController();
    let next: Followed = NOTHING;
    let after = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      timer = undefined;
      setSeen({ of: id, ...next });
    };
    const take = (type: string, number: number, data: Record<string, unknown>) => {
      after = number;
      if (type === "reset") next = { ...next, text: "" };
      else if (type === "gap") next = { ...next, hasGap: true };
      else if (type === "chunk") next = { ...next, text: next.text + (typeof data.data === "string" ? data.data : JSON.stringify(data.data)) };
      else next = { ...next, events: [...next.events, { ...data, id: number, type } as LogEvent], changes: next.changes + (type === "state" ? 1 : 0) };
      timer ??= setTimeout(show, THROTTLE);
    };
    const follow = async () => {
      for (let tries = 0; !over.signal.aborted; tries++) {
        try {
          const response = await fetch(eventsUrl(id), { headers: { "last-event-id": String(after), ...authorization() }, signal: over.signal });
          if (response.status === 204 || (response.status >= 400 && response.status < 500)) return;
          const parser = createParser({
            onEvent: ({ event, id: number, data }) => {
              tries = 0;
              take(event ?? "", Number(number), JSON.parse(data) as Record<string, unknown>);
            },
          });
          const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
          for (let piece = await reader?.read(); piece !== undefined && !piece.done; piece = await reader?.read()) parser.feed(piece.value);
        } catch {
          // The server is away for a moment, or the page has been left.
        }
        await new Promise((resolve) => setTimeout(resolve, Math.min(8_000, 500 * 2 ** tries)));
      }
    };
    void follow();
    return () => {
      over.abort();
      clearTimeout(timer);
    };
  }, [id]);
  return seen.of === id ? seen : NOTHING;
}

const NOTHING: Followed = { events: [], text: "", hasGap: false, changes: 0 };
