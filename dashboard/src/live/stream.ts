import { createParser, type EventSourceMessage } from "eventsource-parser";

export interface Streaming {
  url: URL;
  /** The number after which the stream goes on, where it has numbers. */
  after?: () => number;
  onEvent: (event: EventSourceMessage) => void;
  onOpen?: () => void;
  onClose?: () => void;
  /** Aborted when the stream is no longer wanted. */
  signal: AbortSignal;
}

/** The first and the longest pause before a stream that broke is opened again, in milliseconds. */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8_000;

/**
 * Reads server-sent events while the tab is seen, and opens the stream again whenever it breaks. A hidden tab closes it: it costs
 * the server nothing, and leaves its connection to the tabs that are seen. Ends where the server says that there is no more.
 */
export async function stream(streaming: Streaming): Promise<void> {
  const { signal } = streaming;
  for (let tries = 0; !signal.aborted; ) {
    await seen(signal);
    const once = new AbortController();
    const close = () => once.abort();
    const closeHidden = () => document.hidden && once.abort();
    signal.addEventListener("abort", close);
    document.addEventListener("visibilitychange", closeHidden);
    try {
      const after = streaming.after?.();
      const headers = after === undefined ? undefined : { "last-event-id": String(after) };
      const response = await fetch(streaming.url, { signal: once.signal, ...(headers && { headers }) });
      const isOver = response.status === 204 || (response.status >= 400 && response.status < 500 && response.status !== 429);
      if (isOver) return;
      if (response.ok) {
        streaming.onOpen?.();
        tries = 0;
        const parser = createParser({ onEvent: streaming.onEvent });
        const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
        for (let piece = await reader?.read(); piece !== undefined && !piece.done; piece = await reader?.read()) parser.feed(piece.value);
      }
    } catch {
      // The server is away for a moment, or the tab is hidden, or the page was left.
    } finally {
      signal.removeEventListener("abort", close);
      document.removeEventListener("visibilitychange", closeHidden);
      streaming.onClose?.();
    }
    if (!document.hidden) await pause(Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** tries++), signal);
  }
}

/** Waits until the tab is seen. */
function seen(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
    look();
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(over, ms);
    signal.addEventListener("abort", over, { once: true });
  });
}
