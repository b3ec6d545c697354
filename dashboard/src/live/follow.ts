import { useEffect, useState } from "preact/hooks";
import { compact, parse } from "../api/json";
import { eventsOf } from "../api/routes";
import { stream } from "./stream";

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
  /** Counts all that was told, for whoever shows what goes along with it. */
  told: number;
}

const NOTHING: Followed = { events: [], text: "", hasGap: false, changes: 0, told: 0 };

/** The shortest time between two renderings while words stream in, in milliseconds. */
const THROTTLE = 50;

/** What is no text stands in a line of its own. */
const line = (before: string, data: unknown): string => `${before === "" || before.endsWith("\n") ? "" : "\n"}${compact(data)}\n`;

/** Follows a job's events while the page shows it. `run` is another number once it was retried: a log that had ended goes on. */
export function useFollowed(id: string, run: number): Followed {
  const [seen, setSeen] = useState<Followed & { of: string }>({ of: id, ...NOTHING });
  useEffect(() => {
    const over = new AbortController();
    // A log may have 10,000 events at once: they are gathered in one array, which is copied for each rendering.
    let events: LogEvent[] = [];
    let [text, hasGap, changes, told] = ["", false, 0, 0];
    let after = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      timer = undefined;
      setSeen({ of: id, events: [...events], text, hasGap, changes, told });
    };
    const take = (type: string, number: number, data: Record<string, unknown>) => {
      after = number;
      told++;
      if (type === "reset") {
        text = "";
        if (number === 0) events = [];
      } else if (type === "gap") hasGap = true;
      else if (type === "chunk") text += typeof data.data === "string" ? data.data : line(text, data.data);
      else events.push({ ...data, id: number, type } as LogEvent);
      if (type === "state") changes++;
      timer ??= setTimeout(show, THROTTLE);
    };
    void stream({
      url: eventsOf(id),
      signal: over.signal,
      after: () => after,
      onEvent: ({ event, id: number, data }) => take(event ?? "", Number(number), parse(data) as Record<string, unknown>),
    });
    return () => {
      over.abort();
      clearTimeout(timer);
    };
  }, [id, run]);
  return seen.of === id ? seen : NOTHING;
}
