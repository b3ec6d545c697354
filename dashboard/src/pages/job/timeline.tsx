import type { ComponentChildren } from "preact";
import { hasEnded, type Job, type Step } from "../../api/model";
import { now } from "../../live/clock";
import type { LogEvent } from "../../live/follow";
import { BECAUSE } from "../../steering";
import { between, time } from "../../words";

interface Moment {
  at: string;
  what: ComponentChildren;
  tone: string;
}

/** The states and attempts of a job, oldest first, and the time between them. */
export function Timeline({ job, events, steps }: { job: Job; events: LogEvent[]; steps: Step[] }) {
  const moments = momentsOf(job, events, steps);
  const isOpen = !hasEnded(job.state);
  return (
    <section>
      <h2>Timeline</h2>
      <ol class="timeline">
        {moments.map(({ at, what, tone }, index) => {
          const next = moments[index + 1]?.at ?? (isOpen ? now.value : undefined);
          return (
            <li key={`${at} ${index}`} class={tone}>
              <span class="moment">
                {what}
                <time dateTime={at} title={new Date(at).toLocaleString()}>
                  {time(at, now.value)}
                </time>
              </span>
              {next !== undefined && Date.parse(at) <= Date.now() && <small>{between(at, next)}</small>}
            </li>
          );
        })}
      </ol>
    </section>
  );
}

/** The log tells only the newest state, so the beginnings of earlier attempts are the first that is known of them. */
function momentsOf(job: Job, events: LogEvent[], steps: Step[]): Moment[] {
  const moments: Moment[] = [{ at: job.created_at, what: "Enqueued", tone: "available" }];
  const begins = new Map<number, string>();
  const note = (attempt: number, at: string | null) => {
    const known = begins.get(attempt);
    if (at !== null && attempt > 0 && (known === undefined || Date.parse(at) < Date.parse(known))) begins.set(attempt, at);
  };
  for (const { type, attempt, at } of events) if (type !== "state" && type !== "reset") note(attempt, at);
  for (const { attempt, started_at } of steps) note(attempt, started_at);
  if (job.started_at !== null && job.attempt > 0) begins.set(job.attempt, job.started_at);
  // What a worker of another machine measured may seem to begin before the job was there.
  const latest = (at: string) => (Date.parse(at) < Date.parse(job.created_at) ? job.created_at : at);
  for (const [attempt, at] of begins) moments.push({ at: latest(at), what: `Attempt ${attempt} began`, tone: "running" });
  for (const { attempt, at, kind } of job.errors) moments.push({ at, what: `Attempt ${attempt} failed${kind === "error" ? "" : `: ${kind}`}`, tone: "failed" });
  // Told while it runs; the log keeps no older states.
  const asked = events.findLast(({ type }) => type === "state");
  if (job.cancel_reason !== null && job.cancel_requested && asked?.cancel_requested === true) moments.push({ at: asked.at, what: `Asked to stop: ${BECAUSE[job.cancel_reason]}`, tone: "cancelled" });
  if (job.state === "scheduled") moments.push({ at: job.run_at, what: job.attempt > 0 ? "Next attempt" : "Due", tone: "scheduled" });
  const isToldAlready = job.state === "failed" && job.errors.at(-1)?.at === job.finished_at;
  if (job.finished_at !== null) {
    if (isToldAlready) moments.pop();
    moments.push({ at: job.finished_at, what: job.state === "failed" && job.attempt > 0 ? `Failed in attempt ${job.attempt}` : capital(job.state) + because(job), tone: job.state });
  }
  return moments.sort((one, other) => Date.parse(one.at) - Date.parse(other.at));
}

const because = ({ state, cancel_reason }: Job) => (state === "cancelled" && cancel_reason !== null ? `: ${BECAUSE[cancel_reason]}` : "");

const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);
