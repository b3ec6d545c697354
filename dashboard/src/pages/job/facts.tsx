import type { ComponentChildren } from "preact";
import { hasEnded, type Job } from "../../api/model";
import { To, ToJob } from "../../parts/to";
import { qualified } from "../../search";
import { BECAUSE } from "../../steering";
import { Time } from "../../parts/time";
import { chosen, count, seconds } from "../../words";

/** The dependencies that are named here. */
const SHOWN = 10;

/** What else is known of a job, each a way to others like it. */
export function Facts({ job }: { job: Job }) {
  const search = (name: string, value: string) => (
    <To page="jobs" query={{ q: qualified(name, value) }}>
      {value}
    </To>
  );
  const facts: [string, ComponentChildren][] = [
    ["Queue", search("queue", job.queue)],
    ["Attempt", `${job.attempt} of ${job.max_attempts}`],
  ];
  if (job.version !== 1) facts.push(["Version of its args", job.version]);
  if (job.position !== null) facts.push(["Place in its queue", count(job.position)]);
  if (job.eta_seconds !== null) facts.push(["Ready in about", seconds(job.eta_seconds)]);
  facts.push(["Priority", job.priority]);
  if (job.timeout !== null) facts.push(["Timeout", chosen(job.timeout)]);
  // A job that was started does not expire.
  if (job.expires_at !== null && job.started_at === null) facts.push([hasEnded(job.state) ? "Expired" : "Expires", <Time at={job.expires_at} />]);
  if (job.deadline !== null) facts.push(["Deadline", <Time at={job.deadline} />]);
  if (job.crashes > 0) facts.push(["Workers that died under it", job.crashes]);
  if (job.interruptions > 0) facts.push(["Given back by workers", job.interruptions]);
  if (job.cancel_requested) facts.push(["Asked to stop", job.cancel_reason === null ? "yes" : BECAUSE[job.cancel_reason]]);
  if (job.worker !== null) facts.push(["Worker", <code>{job.worker}</code>]);
  if (job.limit_keys.length > 0) {
    const keys = job.limit_keys.map((key) => <li key={key}>{search("key", key)}</li>);
    facts.push([keys.length === 1 ? "Limit key" : "Limit keys", <ul class="plain">{keys}</ul>]);
  }
  const { slots = 1, rate = 1 } = job.cost;
  if (slots !== 1 || rate !== 1) facts.push(["Cost", `${count(slots)} ${slots === 1 ? "slot" : "slots"}, ${count(rate)} of the rate`]);
  if (job.prefer !== null) {
    const labels = Object.entries(job.prefer).map(([label, value]) => <li key={label}><code>{`${label}=${value}`}</code></li>);
    facts.push([job.prefer_hard ? "Workers that may run it" : "Workers that it prefers", <ul class="plain">{labels}</ul>]);
  }
  if (job.depends_on.length > 0) {
    // Of very many the graph and the box above tell more.
    const shown = job.depends_on.slice(0, SHOWN).map(({ id, on_failure }) => (
      <li key={id}>
        <ToJob id={id}>{id}</ToJob>
        {on_failure === "run" && <small> however it ends</small>}
      </li>
    ));
    const rest = job.depends_on.length - shown.length;
    facts.push(["Depends on", <ul class="plain">{shown}{rest > 0 && <li>and {count(rest)} more</li>}</ul>]);
  }
  if (job.on_exhausted === "pause") facts.push(["Out of attempts", "waits for a person"]);
  if (job.forked_from !== null) facts.push(["Forked from", <ToJob id={job.forked_from}>{job.forked_from}</ToJob>]);
  if (job.parent !== null) facts.push(["Parent", <ToJob id={job.parent}>{job.parent}</ToJob>]);
  for (const [label, value] of Object.entries(job.labels)) facts.push([`Label ${label}`, search(`label.${label}`, value)]);
  return (
    <section>
      <h2>Facts</h2>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
