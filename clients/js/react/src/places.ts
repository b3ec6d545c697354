/** Browsers open six connections to a server over HTTP/1.1, and the page's other requests need some of them. */
const STREAMS = 4;

/** The places of a page's streams; they are given to those who wait in their order. */
export const places = {
  free: STREAMS,
  waiting: new Set<() => void>(),
  /** Takes a place; answers how to leave it, or the wait for it. */
  take(signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve) => {
      const enter = () => {
        places.free -= 1;
        places.waiting.delete(enter);
        resolve(() => {
          places.free += 1;
          for (const next of places.waiting) return next();
        });
      };
      signal.addEventListener("abort", () => places.waiting.delete(enter), { once: true });
      if (places.free > 0) enter();
      else places.waiting.add(enter);
    });
  },
};
