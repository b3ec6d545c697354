import type { ComponentChildren } from "preact";
import { hasEnded, type Job, type Reason } from "../../api/model";
import { whyOf } from "../../api/routes";
import { useLive } from "../../live/read";
import { Time } from "../../parts/time";
import { To, ToJob } from "../../parts/to";
import { Trouble } from "../../parts/trouble";
import { qualified } from "../../search";
import { count, isForEver, seconds } from "../../words";

/** Why a job waits, and for how long. Nothing for a job that runs or has ended. */
export function Why({ job }: { job: Job }) {
  const isWaiting = job.state !== "running" && !hasEnded(job.state);
  return isWaiting ? <Reasons job={job} /> : null;
}

function Reasons({ job }: { job: Job }) {
  const why = useLive((signal) => whyOf(job.id, signal), { key: `${job.id} ${job.state}`, every: 2_000, when: ({ queue }) => queue === job.queue });
  return (
    <section class="why">
      <h2>Why it waits</h2>
      <Trouble error={why.error} />
      <ul>
        {why.value !== undefined && why.value.reasons.length === 0 && <li>{turn(job)}</li>}
        {why.value?.reasons.map((reason, at) => (
          <li key={`${reason.rule} ${at}`}>
            <InWords reason={reason} job={job} />
          </li>
        ))}
      </ul>
      {why.value?.ends_at != null && (
        <p>
          {why.value.ends_at === job.deadline ? "Its deadline is" : "It is cancelled unless it is started"} <Time at={why.value.ends_at} />.
        </p>
      )}
      {why.value?.eta_seconds != null && <p>It will be ready in about {seconds(why.value.eta_seconds)}.</p>}
    </section>
  );
}

/** A rule in words. One that this page does not know is told by its name. */
function InWords({ reason, job }: { reason: Reason; job: Job }): ComponentChildren {
  const queue = <To page="queues">{job.queue}</To>;
  const key = <To page="jobs" query={{ q: qualified("key", reason.key ?? "") }}>{reason.key}</To>;
  const until = reason.until != null && (
    <>
      {" "}
      until <Time at={reason.until} />
    </>
  );
  const { slots = 1 } = job.cost;
  switch (reason.rule) {
    case "run_at":
      return <>Its time has not come: it is due <Time at={reason.until ?? job.run_at} />.</>;
    case "retry":
      return <>Its last attempt failed, and the next begins <Time at={reason.until ?? job.run_at} />.</>;
    case "depends_on":
      return <>It waits for {listed(reason.waits_for)} to complete.</>;
    case "children":
      return (
        <>
          It waits for its children to end{used(reason)}.
        </>
      );
    case "paused_queue":
      return <>The queue {queue} is paused{until}. Nothing of it runs until it is resumed.</>;
    case "paused_key":
      return <>Its limit key {key} is paused{reason.until != null && isForEver(reason.until) ? " until it is resumed" : until}.</>;
    case "slots_queue":
      return <>All slots of the queue {queue} are taken{used(reason)}.</>;
    case "slots_key":
      return (
        <>
          Its limit key {key} has too few free slots: {count(reason.used ?? 0)} of {count(reason.of ?? 0)} are taken{slots > 1 && `, and it takes ${count(slots)}`}.
        </>
      );
    case "rate_queue":
      return <>The queue {queue} has used up its rate{used(reason)}{until}.</>;
    case "rate_key":
      return <>The rate of its limit key {key} lets it start <Time at={reason.until} />.</>;
    case "turn":
      return turn(job);
    case "signal":
      return <>It waits for the signal <bdi>{reason.key}</bdi>{until}.</>;
    case "no_worker":
      return <>No worker is there that serves the queue {queue}.</>;
    case "unknown_kind":
      return (
        <>
          No worker that is there takes jobs of kind <bdi>{job.kind}</bdi>, version {job.version}. See <To page="kinds">Kinds</To>.
        </>
      );
    case "exhausted":
      return <>It has used up its attempts, and waits for somebody to decide.</>;
    default:
      return (
        <>
          {reason.rule}
          {until}
        </>
      );
  }
}

const turn = ({ position }: Job): string =>
  position === null ? "Workers take it as soon as they can." : `Its turn has not come: it is number ${position >= 1_000 ? "1,000 or more" : count(position)} in its queue.`;

const used = ({ used, of }: Reason) => (of == null ? "" : `: ${count(used ?? of)} of ${count(of)}`);

function listed(ids: string[] | null | undefined): ComponentChildren {
  if (ids == null || ids.length === 0) return "other jobs";
  return ids.map((id, at) => (
    <span key={id}>
      {at > 0 && ", "}
      <ToJob id={id}>{id}</ToJob>
    </span>
  ));
}
