import { useEffect, useState } from "preact/hooks";
import type { State } from "../api/model";
import { now } from "./clock";
import { listen } from "./feed";

/** The changes of one second. */
interface Second {
  at: number;
  states: Partial<Record<State, number>>;
  /** Ends per queue. */
  queues: Map<string, number>;
}

export interface Rates {
  /** Jobs that completed, in each second that is kept, oldest first. */
  completed: number[];
  failed: number[];
  /** Changes to a state per second, over the last ten. */
  perSecond: (state: State) => number;
  /** Ends of a queue per second, over the last ten. */
  ofQueue: (queue: string) => number;
}

const KEPT = 60;
const MEAN = 10;

/** What the live feed tells, counted by the second since the page was opened. */
export function useRates(): Rates {
  const [seconds] = useState<Second[]>([]);
  useEffect(
    () =>
      listen((heard) => {
        if (heard === "gap" || heard.state === null) return;
        const at = Math.floor(Date.now() / 1_000);
        let second = seconds.at(-1);
        if (second?.at !== at) {
          second = { at, states: {}, queues: new Map() };
          seconds.push(second);
          if (seconds.length > KEPT) seconds.shift();
        }
        const { state, queue } = heard;
        second.states[state] = (second.states[state] ?? 0) + 1;
        if (state === "completed" || state === "failed") second.queues.set(queue, (second.queues.get(queue) ?? 0) + 1);
      }),
    [],
  );
  // The second that runs is not counted: it is not over.
  const last = Math.floor(now.value / 1_000) - 1;
  const byTime = new Map(seconds.map((second) => [second.at, second]));
  const series = (state: State) => Array.from({ length: KEPT }, (_, index) => byTime.get(last - KEPT + 1 + index)?.states[state] ?? 0);
  const recent = seconds.filter(({ at }) => at > last - MEAN && at <= last);
  return {
    completed: series("completed"),
    failed: series("failed"),
    perSecond: (state) => recent.reduce((sum, { states }) => sum + (states[state] ?? 0), 0) / MEAN,
    ofQueue: (queue) => recent.reduce((sum, { queues }) => sum + (queues.get(queue) ?? 0), 0) / MEAN,
  };
}
