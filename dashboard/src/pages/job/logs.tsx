import { useState } from "preact/hooks";
import { now } from "../../live/clock";
import type { LogEvent } from "../../live/follow";
import { useEnd } from "../../parts/use-end";
import { time } from "../../words";

/** What a job logged and said, attempt by attempt. The newest attempt is shown until another is chosen. */
export function Logs({ events, hasGap, attempt }: { events: LogEvent[]; hasGap: boolean; attempt: number }) {
  const [wanted, setWanted] = useState<number>();
  const end = useEnd<HTMLDivElement>(events);
  const told = events.filter(({ type }) => type === "log" || type === "progress");
  if (told.length === 0) return null;
  const attempts = [...new Set(told.map((event) => event.attempt))].sort((one, other) => one - other);
  const chosen = wanted ?? (attempts.includes(attempt) ? attempt : (attempts.at(-1) ?? attempt));
  const lines = told.filter((event) => event.attempt === chosen).slice(-MOST);
  return (
    <section>
      <h2>Log</h2>
      {attempts.length > 1 && (
        <div class="choices" role="group" aria-label="Attempts">
          {attempts.map((number) => (
            <button key={number} type="button" aria-pressed={number === chosen} onClick={() => setWanted(number)}>
              Attempt {number}
            </button>
          ))}
        </div>
      )}
      {hasGap && <p class="soft">Older events are gone: a job keeps its newest 10,000.</p>}
      {lines.length === MOST && <p class="soft">The last {MOST} lines are shown.</p>}
      <div {...end} class="log" tabIndex={0} role="region" aria-label="Log">
        <ol>
          {lines.map((event) => (
            <li key={event.id}>
              <time dateTime={event.at}>{time(event.at, now.peek())}</time>
              <Line event={event} />
            </li>
          ))}
        </ol>
      </div>
    </section>
  );
}

/** The most lines that stand in the document. */
const MOST = 500;

function Line({ event }: { event: LogEvent }) {
  if (event.type === "progress") {
    return (
      <span>
        <small>{Math.round(Number(event.percent))} %</small> <bdi>{String(event.message)}</bdi>
      </span>
    );
  }
  return (
    <span class={`level-${String(event.level)}`}>
      <small>{String(event.level)}</small> <code>{String(event.message)}</code>
    </span>
  );
}
