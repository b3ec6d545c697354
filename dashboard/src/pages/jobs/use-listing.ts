import { useEffect, useMemo } from "preact/hooks";
import { isLive, listen } from "../../live/feed";
import { Listing } from "./listing";
import type { Window } from "./use-window";

/** The least time between two readings of what is seen, in milliseconds. */
const EVERY = 1_500;
const WITHOUT_FEED = 3_000;
const BACKSTOP = 15_000;
/** Rows before the end at which the next page is read. */
const AHEAD = 60;

/** The jobs of a search. */
export function useListing(q: string): Listing {
  const listing = useMemo(() => new Listing(q), [q]);
  useEffect(() => {
    void listing.more();
    return () => listing.close();
  }, [listing]);
  return listing;
}

/** Keeps what is seen of a list true, and reads on where its end comes near. */
export function useFresh(listing: Listing, seen: Window): void {
  useEffect(() => {
    let lastAt = performance.now();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const plan = (ms: number) => {
      clearTimeout(timer);
      timer = setTimeout(() => void look(), ms);
    };
    let isStale = false;
    const look = async () => {
      isStale = false;
      if (document.hidden) return;
      if (listing.isRead) await listing.refresh(seen.from, seen.to);
      else await listing.more();
      lastAt = performance.now();
      plan(isStale ? EVERY : isLive.peek() && listing.error.peek() === undefined ? BACKSTOP : WITHOUT_FEED);
    };
    const soon = () => {
      if (isStale) return;
      isStale = true;
      plan(Math.max(0, lastAt + EVERY - performance.now()));
    };
    const unlisten = listen((heard) => {
      if (heard !== "gap") listing.apply(heard, seen.from, seen.to);
      soon();
    });
    document.addEventListener("visibilitychange", soon);
    // What is scrolled into view may have changed since it was read.
    plan(EVERY);
    return () => {
      clearTimeout(timer);
      unlisten();
      document.removeEventListener("visibilitychange", soon);
    };
  }, [listing, seen.from, seen.to]);

  const isNear = listing.rows.length > 0 && seen.to > listing.rows.length - AHEAD;
  useEffect(() => {
    if (isNear && listing.hasMore) void listing.more();
  }, [listing, isNear, listing.rows.length]);
}
