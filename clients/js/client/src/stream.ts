import { ApiError, ConnectionError } from "./errors.js";
import { apiError, authorization, mayHelp, pause, type Settings, sleep, words } from "./http.js";
import { type Message, Parser } from "./sse.js";

/** A heartbeat comes every 15 seconds, so that a silence of three is a connection that is gone. */
const SILENCE = 45_000;

/** A stream of server-sent events. */
export interface Stream {
  path: string;
  /** What it tells of, for errors. */
  what: string;
  /** The id of the last message that was seen; the reader keeps it, and a new connection goes on after it. */
  last?: string;
  signal: AbortSignal | undefined;
}

/**
 * The messages of a stream, across connections that break; `open` for each connection. Ends where the server says that there is nothing
 * more, and fails where so many connections as are allowed have brought nothing.
 */
export async function* messages(settings: Settings, stream: Stream): AsyncGenerator<Message | "open", void, void> {
  const { signal } = stream;
  for (let tries = 0; ; tries++) {
    const parser = new Parser();
    let error: Error = new ConnectionError(`${stream.what} were cut off`);
    let told: number | undefined;
    const closing = new AbortController();
    const abort = () => closing.abort(signal?.reason);
    if (signal?.aborted) throw signal.reason;
    signal?.addEventListener("abort", abort);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => closing.abort(new Error("the server fell silent")), SILENCE);
    };
    try {
      heard();
      const headers: Record<string, string> = { accept: "text/event-stream", ...authorization(settings) };
      if (stream.last !== undefined) headers["last-event-id"] = stream.last;
      const response = await settings.fetch(settings.url + stream.path, { headers, signal: closing.signal });
      if (response.status === 204) return;
      if (!response.ok || response.body === null) {
        const problem = await apiError(response);
        if (!mayHelp(response.status)) throw problem;
        error = problem;
        told = problem.retryAfter;
      } else {
        yield "open";
        const reader = response.body.getReader();
        let pieces = 0;
        for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
          heard();
          // A stream may be quiet for hours, and a proxy cut it now and then: a heartbeat is enough to have brought.
          if (pieces++ > 0) tries = 0;
          for (const message of parser.feed(piece.value)) {
            tries = 0;
            yield message;
          }
        }
      }
    } catch (failure) {
      if (signal?.aborted || failure instanceof ApiError) throw failure;
      error = new ConnectionError(`${stream.what} were cut off: ${words(failure)}`, failure);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      // Also where the reader has left the loop: the connection is closed, the job goes on.
      closing.abort();
    }
    if (tries > settings.maxRetries) throw error;
    await sleep(pause(tries, told ?? parser.retry), signal);
  }
}
