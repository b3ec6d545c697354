import { now } from "../live/clock";
import { ago, between } from "../words";

/** A time in words, exact where the pointer rests; it stays true while the page is open. */
export function Time({ at }: { at: string | null | undefined }) {
  if (at == null) return <>—</>;
  return (
    <time dateTime={at} title={new Date(at).toLocaleString()}>
      {ago(at, now.value)}
    </time>
  );
}

/** The time since then. */
export function Since({ at }: { at: string }) {
  return (
    <time dateTime={at} title={new Date(at).toLocaleString()}>
      {between(at, now.value)}
    </time>
  );
}
