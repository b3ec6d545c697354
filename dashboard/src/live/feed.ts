import { signal } from "@preact/signals";
import type { Change } from "../api/model";
import { feedUrl } from "../api/routes";
import { stream } from "./stream";

/** True while the server tells each change as it happens; pages that hear nothing look by themselves. */
export const isLive = signal(false);

/** A change of state, or `gap` where some may have been missed: then all that is shown is read again. */
export type Heard = Change | "gap";
type Listener = (heard: Heard) => void;

const listeners = new Set<Listener>();
let over: AbortController | undefined;

/** Hears of every change until the returned function is called. All listeners of a tab share one stream. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  over ??= open();
  return () => {
    listeners.delete(listener);
    // The next page listens in a moment: the stream is kept for it.
    setTimeout(() => {
      if (listeners.size > 0) return;
      over?.abort();
      over = undefined;
    }, 1_000);
  };
}

function tell(heard: Heard): void {
  for (const listener of listeners) listener(heard);
}

function open(): AbortController {
  const controller = new AbortController();
  void stream({
    url: feedUrl,
    signal: controller.signal,
    onOpen: () => {
      isLive.value = true;
      tell("gap");
    },
    onEvent: ({ event, data }) => {
      if (event === "gap") tell("gap");
      else if (event === "job") tell(JSON.parse(data) as Change);
    },
    onClose: () => {
      isLive.value = false;
    },
  });
  return controller;
}
