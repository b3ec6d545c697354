import type { FeedEvent, Longhaul } from "@longhaul/client";
import { sleep } from "@longhaul/client/http";
import { places } from "./places.js";

/** After an error that no retry helped, the feed is asked for again so many milliseconds later. */
const AGAIN = 30_000;

/** The changes of all jobs, for all components of a page that show lists: they share one connection. */
class Feed {
  readonly #client: Longhaul;
  readonly #listeners = new Set<(event: FeedEvent) => void>();
  #stop: AbortController | undefined;
  /** The connection that is heard. */
  #heard: AbortSignal | undefined;

  constructor(client: Longhaul) {
    this.#client = client;
    // A hidden page hears nothing, and leaves its connection to the pages that are seen.
    globalThis.document?.addEventListener("visibilitychange", () => this.#look());
  }

  /** True while the server tells each change as it happens. */
  get isLive(): boolean {
    return this.#heard !== undefined && this.#heard === this.#stop?.signal;
  }

  /** Hears of every change until the returned function is called. */
  listen(listener: (event: FeedEvent) => void): () => void {
    this.#listeners.add(listener);
    this.#look();
    return () => {
      this.#listeners.delete(listener);
      // StrictMode leaves and comes back at once: the connection is closed only where nobody has come by then.
      setTimeout(() => this.#look(), 0);
    };
  }

  #look(): void {
    const isWanted = this.#listeners.size > 0 && !isHidden();
    if (isWanted && this.#stop === undefined) {
      this.#stop = new AbortController();
      void this.#follow(this.#stop.signal);
    } else if (!isWanted) {
      this.#stop?.abort();
      this.#stop = undefined;
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let leave: (() => void) | undefined;
      try {
        leave = await places.take(signal);
        for await (const event of this.#client.events({ signal })) {
          this.#heard = signal;
          for (const listener of this.#listeners) listener(event);
        }
      } catch {
        // The lists are read by time alone meanwhile, and show what is wrong with the server.
      } finally {
        if (this.#heard === signal) this.#heard = undefined;
        leave?.();
      }
      await sleep(AGAIN, signal).catch(() => undefined);
    }
  }
}

const feeds = new WeakMap<Longhaul, Feed>();

/** The feed of a client. */
export function feedOf(client: Longhaul): Feed {
  const feed = feeds.get(client) ?? new Feed(client);
  feeds.set(client, feed);
  return feed;
}

/** True while nobody can see the page. */
export function isHidden(): boolean {
  return globalThis.document?.hidden === true;
}
